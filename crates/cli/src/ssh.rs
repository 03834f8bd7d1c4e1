//! How nodes are reached over SSH: real ones as the configuration says, the simulator's on
//! loopback.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use pvx_core::document::ClusterConfig;
use pvx_provider_pve::ssh::{Ssh, SshHost, SshOptions};
use pvx_sim::Sim;

use crate::args::Connection;
use crate::exit::CliError;

/// The nodes of the configuration, with the keys, the agent and the settings of the user's `ssh`.
pub(crate) fn to_nodes(connection: &Connection, config: Option<&ClusterConfig>) -> Ssh {
    let nodes = config.map(|config| config.cluster.nodes.as_slice()).unwrap_or_default();
    let hosts = nodes.iter().map(|node| {
        let host = SshHost { host: node.host.value.clone(), port: node.ssh_port };
        (node.name.value.clone(), host)
    });
    let mut options = SshOptions::new(hosts.collect(), std::env::temp_dir());
    let configured = config.and_then(|config| config.credentials.ssh_user.as_ref());
    let said = connection.ssh_user.clone().filter(|user| !user.is_empty());
    if let Some(user) = said.or_else(|| configured.map(|user| user.value.clone())) {
        options.user = user;
    }
    options.key = connection.ssh_key.clone();
    options.known_hosts = connection.ssh_known_hosts.clone();
    Ssh::new(options)
}

/// The simulator's nodes. Their host keys are checked as anyone's; the user's own settings are
/// not read, because nothing of them is meant for the simulator.
pub(crate) fn to_simulator(sim: &Sim, world: &Path) -> Result<Ssh, CliError> {
    let (mut hosts, mut known) = (BTreeMap::new(), String::new());
    for node in sim.ssh_addrs() {
        let (ip, port) = (node.address.ip(), node.address.port());
        let _ = writeln!(known, "[{ip}]:{port} {}", node.host_key);
        hosts.insert(node.node.clone(), SshHost { host: ip.to_string(), port: Some(port) });
    }
    let file = world.with_extension("known_hosts");
    std::fs::write(&file, known)
        .map_err(|error| CliError::message(format!("{}: {error}", file.display())))?;
    let mut options = SshOptions::new(hosts, std::env::temp_dir());
    options.known_hosts = Some(std::path::absolute(&file).unwrap_or(file));
    options.config_file = Some("/dev/null".into());
    Ok(Ssh::new(options))
}
