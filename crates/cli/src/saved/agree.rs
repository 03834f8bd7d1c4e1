//! May a saved plan be carried out? What can be said without the cluster comes first.

use std::path::Path;

use jiff::Timestamp;
use pvx_core::document;
use pvx_core::live::Inventory;
use pvx_core::plan::Plan;
use pvx_core::plan::saved::Saved;
use pvx_core::plan::saved::check::{self, Stale};

use super::{applied, make};
use crate::args::Global;
use crate::exit::CliError;
use crate::session::{self, Reading, Session};
use crate::view;

/// Reads the documents of the plan and connects.
///
/// # Errors
/// When it expired, when documents or variables are not those it was made from, or when the
/// cluster is not reached.
pub(crate) async fn open<'a>(
    global: &'a Global,
    path: &Path,
    saved: &Saved,
    now: Timestamp,
) -> Result<Session<'a>, CliError> {
    let refused = |stale: Stale| refused(path, stale);
    check::time(saved, now).map_err(refused)?;
    // The root is that of the configuration, which lies above the plan or the working directory.
    let found = document::load_config(&session::load_options(global, vec![path.to_owned()]));
    let loaded = session::load_below(global, &found.root, &saved.paths);
    check::documents(saved, &make::documents(&loaded)).map_err(refused)?;
    let loaded = session::checked(global, loaded)?;
    check::variables(saved, &loaded.variables).map_err(refused)?;
    Session::with(global, loaded).await
}

/// Is this the cluster that it was made for?
pub(crate) async fn check_cluster(
    session: &Session<'_>,
    path: &Path,
    saved: &Saved,
    inventory: &Inventory,
) -> Result<(), CliError> {
    let live = make::identity(session, inventory).await?;
    check::cluster(saved, &live).map_err(|stale| refused(path, stale))
}

/// The saved plan, when `again`, the plan that is made now, is the same. What is found, and what
/// the policy says, is that of now.
pub(crate) fn agree(
    session: &Session<'_>,
    path: &Path,
    saved: &Saved,
    reading: &Reading,
    again: Plan,
) -> Result<Plan, CliError> {
    let sources = &session.loaded.sources;
    let shown = |before: &Plan, now: &Plan| view::saved::difference(before, now, sources);
    let checked = check::plan(saved, &reading.snapshot, &again, shown);
    checked.map_err(|mut stale| {
        let folder = session.folder(&reading.snapshot.inventory);
        if let Some(told) = applied::told(&folder, saved) {
            stale.details.retain(|line| line != check::ALREADY && line != check::OTHER_STATE);
            stale.details.insert(0, told);
        }
        refused(path, stale)
    })?;
    let Plan { findings, policy, nodes, .. } = again;
    Ok(Plan { findings, policy, nodes, ..saved.plan.clone() })
}

fn refused(path: &Path, stale: Stale) -> CliError {
    CliError::stale(path, stale.message, stale.details, stale.help)
}
