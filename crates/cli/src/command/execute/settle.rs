//! What the last run left open is settled before anything new begins (law 3).

use std::time::Duration;

use pvx_core::live::Inventory;
use pvx_core::provider::{ErrorClass, Writer};
use pvx_core::state::Journal;

use crate::args::RunOptions;
use crate::exit::CliError;
use crate::output;
use crate::session::Session;
use crate::view;

/// What the last run began and did not end is looked at before anything new (law 3): tasks that
/// still run are waited for; what else became of it, the fresh reading shows. False when a task
/// could not be watched to its end.
pub(super) async fn last_run(
    session: &Session<'_>,
    run: &RunOptions,
    inventory: Inventory,
) -> Result<(Inventory, bool), CliError> {
    let folder = session.folder(&inventory);
    let (mut found, mut all_known) = (false, true);
    for profile in session.profiles() {
        for open in Journal::unfinished(&folder, &profile)? {
            found = true;
            let what = format!(
                "{} of {} ({})",
                open.action.kind.verb(),
                open.action.address,
                open.action.vmid
            );
            output::errors(&view::note(&format!("the last run was cut off in {what}")));
            let Some(upid) = open.upid else { continue };
            let deadline = Duration::from_secs(run.task_timeout);
            let end = session.connected.cluster.wait(&upid, deadline).await;
            let word = match end {
                Ok(_) => "it has ended well".to_owned(),
                Err(error) => {
                    all_known &= error.class != ErrorClass::OutcomeUnknown;
                    error.message
                }
            };
            output::errors(&view::note(&word));
        }
    }
    let inventory = if found { session.inventory().await? } else { inventory };
    Ok((inventory, all_known))
}
