//! `pvx sim`: the embedded simulator.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Subcommand;

/// `pvx sim`
#[derive(Debug, clap::Args)]
pub(crate) struct SimOptions {
    #[command(subcommand)]
    pub(crate) command: SimCommand,
}

/// What to do with the simulator.
#[derive(Debug, Subcommand)]
pub(crate) enum SimCommand {
    /// Serve the API on an address until Ctrl-C
    Serve(ServeOptions),
    /// List the built-in worlds
    Worlds,
    /// Print the JSON schema of world files
    Schema,
    /// Forget the world that --sim keeps
    Reset,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

/// `pvx sim serve`
#[derive(Debug, clap::Args)]
pub(crate) struct ServeOptions {
    /// The cluster to begin with: a built-in world (`pvx sim worlds`), or a YAML file
    /// (docs/simulator.md)
    #[arg(long, default_value = "lab", value_name = "NAME|FILE")]
    pub(crate) world: String,
    /// Where the API listens; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8006", value_name = "ADDR:PORT")]
    pub(crate) listen: SocketAddr,
    /// Where the first node listens for SSH, the others on the next ports; port 0 takes free ones.
    /// Without it there is no SSH
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) ssh_listen: Option<SocketAddr>,
    /// Where the first node's own API port is, the others on the next ports; port 0 takes free ones.
    /// Without it one port stands for all nodes
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) node_listen: Option<SocketAddr>,
    /// At the port of a node that is off, connections are reset, or nothing is heard
    #[arg(long, default_value = "reset", value_name = "reset|silent", value_enum)]
    pub(crate) node_off: NodeOff,
    /// How many times faster than on a real cluster tasks run; 0 ends them at once
    #[arg(long, default_value_t = 1.0, value_name = "N")]
    pub(crate) time_scale: f64,
    /// Whether lists of the cluster are 10 s behind, as on a real one [default: as the world says]
    #[arg(long, value_name = "on|off", value_enum)]
    pub(crate) lag: Option<Switch>,
    /// Requests that write and that a node has in hand at once, more wait; 0: no limit
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub(crate) workers: usize,
    /// Keep the world in this file between runs; once it is there, --world is not read
    #[arg(long, value_name = "FILE")]
    pub(crate) state_file: Option<PathBuf>,
}

/// What is seen at the port of a simulated node that is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum NodeOff {
    /// Connections are reset
    Reset,
    /// Packets vanish
    Silent,
}
