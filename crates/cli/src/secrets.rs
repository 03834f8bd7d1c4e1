//! What a plan names and does not hold: contents of snippets, and passwords. Both are brought
//! together right before a plan is carried out, and only what it needs.

use std::collections::BTreeMap;

use pvx_core::address::Address;
use pvx_core::desired::Guest;
use pvx_core::plan::{Action, ActionKind, Plan};
use pvx_core::planner;
use pvx_core::secret::{self, SecretSource};
use pvx_provider_pve::credentials::SecretText;
use pvx_provider_pve::{Cluster, Secrets, ssh};
use secrecy::SecretString;

use crate::exit::CliError;
use crate::session::Session;

/// The cluster, able to carry `plan` out.
pub(crate) async fn writer(session: &Session<'_>, plan: &Plan) -> Result<Cluster, CliError> {
    let cluster = &session.connected.cluster;
    check_ssh(cluster, plan).await?;
    let secrets = Secrets {
        contents: planner::contents(plan, session.desired()),
        passwords: passwords(session, plan).await?,
    };
    Ok(cluster.clone().with_secrets(secrets))
}

/// Files, and keys that only root may change, are written over SSH: the program must be there, and
/// each node must let us in.
async fn check_ssh(cluster: &Cluster, plan: &Plan) -> Result<(), CliError> {
    let over_ssh = |action: &&Action| {
        matches!(action.kind, ActionKind::Snippet { .. } | ActionKind::ConfigureAsRoot { .. })
    };
    let writes = plan.actions.iter().filter(over_ssh);
    let mut nodes: Vec<&str> = writes.map(|action| action.node.as_str()).collect();
    nodes.sort_unstable();
    nodes.dedup();
    if nodes.is_empty() {
        return Ok(());
    }
    ssh::check().await.map_err(|error| {
        CliError::with_help(
            format!("the plan needs SSH to nodes, and {error}"),
            "install the OpenSSH client; nothing was changed",
        )
    })?;
    let Some(ssh) = cluster.ssh() else {
        return Err(CliError::message("the plan needs SSH to nodes, and it is not set up"));
    };
    for node in nodes {
        ssh.reach(node).await?;
    }
    Ok(())
}

async fn passwords(
    session: &Session<'_>,
    plan: &Plan,
) -> Result<BTreeMap<Address, SecretString>, CliError> {
    let needed = secret::needed(plan);
    let mut known: Vec<(&SecretSource, SecretString)> = Vec::new();
    let mut passwords = BTreeMap::new();
    for guest in session.desired().guests().filter(|guest| needed.contains(&guest.address)) {
        let Some(password) = &guest.spec.cloudinit.password else { continue };
        let source = &password.source;
        let variable = matches!(source, SecretSource::Variable(_));
        // One entry of pass may be that of many guests, and ask for a passphrase each time.
        let read = known.iter().find(|(other, _)| !variable && *other == source);
        let text = match read {
            Some((_, text)) => text.clone(),
            None => read_password(guest, source).await?,
        };
        known.push((source, text.clone()));
        passwords.insert(guest.address.clone(), text);
    }
    Ok(passwords)
}

async fn read_password(guest: &Guest, source: &SecretSource) -> Result<SecretString, CliError> {
    let failed = |why: String| {
        CliError::with_help(
            format!("the password of {} ({source}) cannot be read: {why}", guest.address),
            "nothing was changed",
        )
    };
    let text = match source {
        SecretSource::Env(name) => {
            // An error that is not of absence would repeat the value.
            let why = "there is no such text in the environment";
            let value = std::env::var(name).map_err(|_| failed(why.to_owned()))?;
            SecretText::Inline(SecretString::from(value))
        }
        SecretSource::File(path) => SecretText::File(path.clone()),
        SecretSource::Pass(entry) => SecretText::Pass(entry.clone()),
        SecretSource::Variable(name) => {
            let variables = guest.spec.cloudinit.extra.0.get("var");
            let value = variables.and_then(|all| all.get(name)).and_then(|value| value.as_str());
            let value = value.ok_or_else(|| failed("there is no such text".to_owned()))?;
            SecretText::Inline(SecretString::from(value.to_owned()))
        }
    };
    text.load().await.map_err(|error| failed(error.to_string()))
}
