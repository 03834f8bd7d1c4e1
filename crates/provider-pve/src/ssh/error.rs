//! What can go wrong over SSH, for whoever has to mend it: which node, what, why, what next.

use std::error::Error as _;
use std::process::Output;
use std::time::Duration;

use pvx_core::provider::{ErrorClass, ProviderError};

use super::SshHost;

/// Lines of a failed command's standard error that are shown.
const LINES: usize = 5;

/// There is no `ssh` on this machine.
#[derive(Debug, thiserror::Error)]
#[error("the program `ssh` cannot be run: {source}")]
pub struct SshMissing {
    /// Why it did not start.
    pub source: std::io::Error,
}

pub(super) fn unknown(node: &str) -> ProviderError {
    let text = format!("node {node} cannot be reached over SSH: nobody knows its host");
    ProviderError::new(ErrorClass::Refused, text)
        .help("list it in cluster.nodes of cluster-config.yaml, with its host")
}

pub(super) fn unreached(
    node: &str,
    host: &SshHost,
    user: &str,
    error: &openssh::Error,
) -> ProviderError {
    let why = reason(error);
    let to = place(host);
    let text = format!("node {node} cannot be reached over SSH as {user}@{to}: {why}");
    let help = if why.contains("Host key verification failed") || why.contains("host key") {
        format!(
            "compare the key with the node's own (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), \
             then log in once by hand: ssh {}{user}@{}",
            host.port.map(|port| format!("-p {port} ")).unwrap_or_default(),
            host.host
        )
    } else if why.contains("Permission denied") {
        format!("put your public key into the node's authorized_keys of {user}, or give --ssh-key")
    } else {
        "is the host in cluster.nodes right, and does SSH listen there? ssh_port says another port"
            .to_owned()
    };
    ProviderError::new(ErrorClass::Unreachable, text).help(help)
}

pub(super) fn silent(node: &str, host: &SshHost) -> ProviderError {
    let text = format!("node {node} cannot be reached over SSH: {} does not answer", place(host));
    ProviderError::new(ErrorClass::Unreachable, text)
        .help("is the node up, and is its SSH port open from here?")
}

pub(super) fn late(node: &str, what: &str, limit: Duration) -> ProviderError {
    let seconds = limit.as_secs();
    let text = format!("{what} on {node} did not end within {seconds} s");
    ProviderError::new(ErrorClass::OutcomeUnknown, text)
        .help("a storage that hangs? `pvesm status` on the node shows; then run the command again")
}

pub(super) fn broken(node: &str, what: &str, error: &openssh::Error) -> ProviderError {
    let text = format!("the SSH connection to {node} broke while {what}: {}", reason(error));
    ProviderError::new(ErrorClass::OutcomeUnknown, text).help("run the command again")
}

pub(super) fn failed(node: &str, what: &str, output: &Output) -> ProviderError {
    let text = format!("{what} on {node} failed ({})", output.status);
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let first = lines.len().saturating_sub(LINES);
    let mut error = ProviderError::new(ErrorClass::Failed, text)
        .help("mend what the node says, then run the command again");
    error.log = lines.into_iter().skip(first).map(str::to_owned).collect();
    error
}

fn place(host: &SshHost) -> String {
    match host.port {
        Some(port) => format!("{}:{port}", host.host),
        None => host.host.clone(),
    }
}

/// The innermost reason on one line: what `ssh` said.
fn reason(error: &openssh::Error) -> String {
    let mut text = error.to_string();
    let mut inner = error.source();
    while let Some(error) = inner {
        text = error.to_string();
        inner = error.source();
    }
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // The warnings come first, what ended it last.
    let last = lines.iter().rev().find(|line| !line.starts_with("@@")).copied();
    last.unwrap_or("no reason is given").to_owned()
}
