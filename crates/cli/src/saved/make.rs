//! What goes into the file beside the plan.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use pvx_core::document::Loaded;
use pvx_core::live::Inventory;
use pvx_core::plan::Plan;
use pvx_core::plan::saved::{self, Cluster, Document, FORMAT, Saved};
use pvx_core::planner::Options;

use crate::exit::CliError;
use crate::session::{Reading, Session};

/// What the user said.
pub(crate) struct Wishes<'a> {
    /// Paths of documents as they were named.
    pub(crate) paths: &'a [PathBuf],
    /// What the plan was made with.
    pub(crate) options: &'a Options,
    /// How long the file is good for.
    pub(crate) expires: SignedDuration,
}

/// Everything of a plan that `apply` needs later. `now` is when it was asked for.
pub(crate) async fn make(
    session: &Session<'_>,
    reading: &Reading,
    plan: &Plan,
    wishes: &Wishes<'_>,
    now: Timestamp,
) -> Result<Saved, CliError> {
    let root = real(&session.loaded.root);
    let expires = now.checked_add(wishes.expires).unwrap_or(Timestamp::MAX);
    Ok(Saved {
        format: FORMAT,
        pvx: env!("CARGO_PKG_VERSION").to_owned(),
        made: now,
        expires,
        cluster: identity(session, &reading.snapshot.inventory).await?,
        paths: wishes.paths.iter().map(|path| relative(&root, path)).collect(),
        documents: documents(&session.loaded),
        variables: session.loaded.variables.clone(),
        options: wishes.options.clone(),
        guests: saved::guests(plan, &reading.snapshot),
        plan: plan.clone(),
    })
}

/// What tells the cluster from others: one request.
pub(super) async fn identity(
    session: &Session<'_>,
    inventory: &Inventory,
) -> Result<Cluster, CliError> {
    let authority = match inventory.online_nodes().next() {
        Some(node) => session.connected.cluster.authority(node).await?,
        None => None,
    };
    Ok(Cluster {
        name: inventory.cluster.clone(),
        authority,
        nodes: inventory.nodes.keys().cloned().collect(),
    })
}

/// The files that took part, as they lie below the root: the same documents elsewhere are the same
/// documents.
pub(super) fn documents(loaded: &Loaded) -> BTreeSet<Document> {
    let root = real(&loaded.root);
    let document = |(path, sha256): (&Path, &str)| Document {
        path: relative(&root, path),
        sha256: sha256.to_owned(),
    };
    loaded.sources.files().map(document).collect()
}

/// A path below the root without it, another one as it is.
fn relative(root: &Path, path: &Path) -> String {
    let real = real(path);
    match real.strip_prefix(root) {
        Ok(below) if below.as_os_str().is_empty() => ".".to_owned(),
        Ok(below) => below.display().to_string(),
        Err(_) => real.display().to_string(),
    }
}

/// The path without detours; one that is not there stays as it is.
fn real(path: &Path) -> PathBuf {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
