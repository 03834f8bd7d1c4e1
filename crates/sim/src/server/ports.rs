//! A port for each node, as each node of a real cluster has an address.
//!
//! What is asked at a node's port is done as by that node's pveproxy: `localhost` is this node, what
//! belongs to no node is done here, and what is for another node is passed on to it. While the node
//! is off, nobody is there: see [`NodeOff`].

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};

use super::Shared;
use crate::error::SimError;

/// Where a node's API listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAddr {
    /// Name of the node.
    pub node: String,
    /// Address and port.
    pub address: SocketAddr,
}

/// What clients see at the port of a node that is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodeOff {
    /// Connections are reset at once, those that are open too: the machine is there, and nothing
    /// listens.
    #[default]
    Reset,
    /// Packets vanish: connections stand still and new ones get no answer, until the node is back
    /// and resets them.
    Silent,
}

/// Binds the port that is so many after the first one, or a free one where that is taken; a free
/// one for each when the first port is 0.
pub(crate) async fn bind(first: SocketAddr, number: u16) -> Result<TcpListener, SimError> {
    let failed = |source| SimError::Listen { address: first, source };
    let port = if first.port() == 0 { Some(0) } else { first.port().checked_add(number) };
    let wanted = SocketAddr::new(first.ip(), port.unwrap_or(0));
    match TcpListener::bind(wanted).await {
        Err(_) if number > 0 => {
            TcpListener::bind(SocketAddr::new(first.ip(), 0)).await.map_err(failed)
        }
        other => other.map_err(failed),
    }
}

/// Binds a port for each of the nodes, in their order.
pub(crate) async fn bind_all(
    first: SocketAddr,
    nodes: Vec<String>,
) -> Result<Vec<(NodeAddr, TcpListener)>, SimError> {
    let mut bound = Vec::new();
    for (number, node) in (0u16..).zip(nodes) {
        let listener = bind(first, number).await?;
        let refused = |source| SimError::Listen { address: first, source };
        let address = listener.local_addr().map_err(refused)?;
        bound.push((NodeAddr { node, address }, listener));
    }
    Ok(bound)
}

/// A connection to a node's port, and how it ends when the node goes off.
pub(crate) struct Line {
    shared: Arc<Shared>,
    node: Arc<str>,
    /// The same socket once more, to reset it whoever reads and writes.
    twin: TcpStream,
}

impl Line {
    /// The stream, and a second handle of it.
    pub(crate) fn of(
        shared: &Arc<Shared>,
        node: &Arc<str>,
        stream: TcpStream,
    ) -> std::io::Result<(Self, TcpStream)> {
        let stream = stream.into_std()?;
        let twin = TcpStream::from_std(stream.try_clone()?)?;
        let line = Self { shared: Arc::clone(shared), node: Arc::clone(node), twin };
        Ok((line, TcpStream::from_std(stream)?))
    }

    /// Serves as long as the node runs.
    pub(crate) async fn serve(self, served: impl Future<Output = ()>) {
        tokio::select! {
            () = served => {}
            () = self.until(false) => {
                if self.shared.node_off == NodeOff::Silent {
                    self.until(true).await;
                }
                let _ = self.twin.set_zero_linger();
            }
        }
    }

    /// Waits until the node is on, or off.
    async fn until(&self, on: bool) {
        loop {
            let changed = self.shared.changed.notified();
            if self.shared.is_on(&self.node) == on {
                return;
            }
            changed.await;
        }
    }
}
