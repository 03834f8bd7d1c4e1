//! What was begun and did not end is settled before anything new begins (law 3): what the last run
//! left open, and what a round of this one could not tell.

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use pvx_core::execute::{Became, Patience, resume};
use pvx_core::live::Inventory;
use pvx_core::state::{Folder, Histories, Journal, Unfinished};

use super::carry_out::patience;
use crate::args::RunOptions;
use crate::exit::CliError;
use crate::output;
use crate::session::Session;
use crate::view;

/// Looks at a time.
const AT_ONCE: usize = 16;

/// What the last run began and did not end: its tasks are waited for, the rest is looked at, and each
/// outcome is said. What cannot be told stays open in the journal, and all is known when there is
/// nothing of that kind.
pub(super) async fn last_run(
    session: &Session<'_>,
    run: &RunOptions,
    inventory: Inventory,
    histories: &mut Histories,
) -> Result<(Inventory, bool), CliError> {
    let open = open(session, &session.folder(&inventory))?;
    if open.is_empty() {
        return Ok((inventory, true));
    }
    let mut all_known = true;
    for (profile, unfinished, became) in settle(session, &patience(run), open).await {
        match became {
            Became::Unknown(_) => all_known = false,
            became => histories.settled_open(&profile, &unfinished, became == Became::Done)?,
        }
    }
    Ok((session.inventory().await?, all_known))
}

/// What the journals of the documents' profiles know no end of.
pub(super) fn open(
    session: &Session<'_>,
    folder: &Folder,
) -> Result<Vec<(String, Unfinished)>, CliError> {
    let mut all = Vec::new();
    for profile in session.profiles() {
        let open = Journal::unfinished(folder, &profile)?;
        all.extend(open.into_iter().map(|open| (profile.clone(), open)));
    }
    Ok(all)
}

/// Settles all, and says of each what became of it.
pub(super) async fn settle(
    session: &Session<'_>,
    patience: &Patience,
    open: Vec<(String, Unfinished)>,
) -> Vec<(String, Unfinished, Became)> {
    let cluster = &session.connected.cluster;
    let now = Timestamp::now().as_second();
    let one = |(profile, open): (String, Unfinished)| async move {
        let said = |text: &str| say(&open, text);
        let became = resume(cluster, patience, &open, now, &said).await;
        match &became {
            Became::Done => said("it is done"),
            Became::Nothing => said("nothing came of it"),
            Became::Failed(error) => said(&error.message),
            Became::Unknown(error) => said(&error.message),
        }
        (profile, open, became)
    };
    stream::iter(open).map(one).buffer_unordered(AT_ONCE).collect().await
}

fn say(open: &Unfinished, text: &str) {
    let action = &open.action;
    let what = format!(
        "{} of {} ({} on {}) was cut off: {text}",
        action.kind.verb(),
        action.address,
        action.vmid,
        action.node
    );
    output::errors(&view::note(&what));
}
