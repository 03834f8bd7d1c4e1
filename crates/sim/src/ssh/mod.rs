//! The SSH server: each node listens on an address of its own, all in this process.

mod handler;
mod keys;
mod scp;
mod session;
mod sftp;
mod sftp_packet;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::MethodKind;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::error::SimError;
use crate::server::Shared;
pub(crate) use keys::{host_key, public_line};

/// Where a node's SSH server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshAddr {
    /// Name of the node.
    pub node: String,
    /// Address and port.
    pub address: SocketAddr,
    /// Fingerprint of the host key, `SHA256:…` as ssh shows it.
    pub fingerprint: String,
    /// The host key as in `known_hosts`, `ssh-ed25519 AAAA…`.
    pub host_key: String,
}

/// Binds one address per node: the first where asked, the others on the ports that follow, or on
/// free ones.
pub(crate) async fn start(
    shared: &Arc<Shared>,
    first: SocketAddr,
    stopped: &watch::Receiver<bool>,
) -> Result<(Vec<SshAddr>, Vec<tokio::task::JoinHandle<()>>), SimError> {
    let (names, seed) = {
        let mut world = shared.world();
        if world.ssh_seed.is_empty() {
            world.ssh_seed = uuid::Uuid::new_v4().to_string();
            world.revision += 1;
        }
        let names: Vec<String> = world.nodes.keys().cloned().collect();
        (names, world.ssh_seed.clone())
    };
    let (mut addresses, mut tasks) = (Vec::new(), Vec::new());
    for (number, node) in (0u16..).zip(names) {
        let listener = crate::server::ports::bind(first, number).await?;
        let refused = |source| SimError::Listen { address: first, source };
        let address = listener.local_addr().map_err(refused)?;
        let key = host_key(&seed, &node);
        addresses.push(SshAddr {
            node: node.clone(),
            address,
            fingerprint: key.fingerprint(russh::keys::HashAlg::Sha256).to_string(),
            host_key: public_line(&key),
        });
        let accept = accept(Arc::clone(shared), listener, node, config(key), stopped.clone());
        tasks.push(tokio::spawn(accept));
    }
    Ok((addresses, tasks))
}

fn config(key: russh::keys::PrivateKey) -> Arc<russh::server::Config> {
    let methods = [MethodKind::None, MethodKind::PublicKey, MethodKind::Password];
    Arc::new(russh::server::Config {
        server_id: russh::SshId::Standard("SSH-2.0-pvx_sim".into()),
        methods: (&methods[..]).into(),
        auth_rejection_time: Duration::from_millis(50),
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![key],
        nodelay: true,
        window_size: 8 << 20,
        ..russh::server::Config::default()
    })
}

async fn accept(
    shared: Arc<Shared>,
    listener: TcpListener,
    node: String,
    config: Arc<russh::server::Config>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
            _ = stopped.changed() => return,
        };
        // A node that is switched off does not answer.
        if !shared.world().nodes.get(&node).is_some_and(|node| node.online) {
            continue;
        }
        let _ = stream.set_nodelay(true);
        let handler = handler::Connection::new(Arc::clone(&shared), &node);
        let config = Arc::clone(&config);
        let mut stopped = stopped.clone();
        tokio::spawn(async move {
            let Ok(session) = russh::server::run_stream(config, stream, handler).await else {
                return;
            };
            tokio::select! {
                _ = session => {}
                _ = stopped.changed() => {}
            }
        });
    }
}
