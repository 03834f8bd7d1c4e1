//! What `pvx schema` understands.

use std::path::PathBuf;

use clap::ValueEnum;

/// `pvx schema`
#[derive(Debug, clap::Args)]
pub(crate) struct SchemaOptions {
    /// Which; without it, all are listed
    #[arg(value_enum)]
    pub(crate) kind: Option<SchemaKind>,
    /// Write all JSON schemas into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "kind")]
    pub(crate) out: Option<PathBuf>,
}

/// What `pvx schema` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaKind {
    /// JSON schema of cluster-config.yaml
    Config,
    /// JSON schema of a cluster profile
    Cluster,
    /// JSON schema of a standalone VM
    Vm,
    /// JSON schema of a file of rules
    Policy,
    /// JSON schema of what `plan --format json` prints
    Plan,
    /// JSON schema of a line of events, which apply and destroy write
    Events,
    /// JSON schema of a world file of the simulator
    World,
    /// The reference of all keys, as Markdown
    Reference,
}
