//! What `pvx state` understands, and locks of profiles.

use clap::Subcommand;

/// Of apply and destroy.
#[derive(Debug, clap::Args)]
pub(crate) struct LockOptions {
    /// Seconds to wait for another pvx that works on the same profile; 0: refuse at once
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(crate) wait_for_lock: u64,
}

/// `pvx state`
#[derive(Debug, clap::Args)]
pub(crate) struct StateOptions {
    #[command(subcommand)]
    pub(crate) command: StateCommand,
    /// The cluster, when there is state of several
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
}

/// What to do with it.
#[derive(Debug, Subcommand)]
pub(crate) enum StateCommand {
    /// List profiles: what is remembered, who works on them, what a run left unfinished
    List,
    /// Break the lock of a profile whose process is gone
    Unlock {
        /// The profile's key, as `list` says it (k3s, vm.gitea)
        profile: String,
        /// Do not ask
        #[arg(long, short = 'y')]
        yes: bool,
        /// Even though the process runs on this machine: two may then work on one profile
        #[arg(long)]
        force: bool,
    },
    /// Keep damaged files aside and begin anew from the cluster
    Repair {
        /// Keys of profiles [default: all that are damaged]
        #[arg(value_name = "PROFILE")]
        profiles: Vec<String>,
    },
}
