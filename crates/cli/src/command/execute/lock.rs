//! The profiles' locks, and what the runs before left in their journals.

use std::time::{Duration, Instant};

use pvx_core::plan::Intent;
use pvx_core::state::{Folder, Histories, StateError};

use crate::args::RunOptions;
use crate::exit::CliError;
use crate::output;
use crate::owner::owner;
use crate::session::Session;
use crate::view;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// Locks all profiles of the documents, or none; waits for another pvx when asked to.
pub(super) async fn take(
    session: &Session<'_>,
    run: &RunOptions,
    intent: Intent,
    folder: &Folder,
) -> Result<Histories, CliError> {
    let profiles = session.profiles();
    let command = match intent {
        Intent::Apply | Intent::Undo => "apply",
        Intent::Destroy => "destroy",
    };
    let deadline = Instant::now() + Duration::from_secs(run.lock.wait_for_lock);
    let mut said = false;
    loop {
        let names = profiles.iter().map(String::as_str);
        match Histories::lock(folder.clone(), names, owner(command)) {
            Err(locked @ StateError::Locked { .. }) if Instant::now() < deadline => {
                if !said {
                    let seconds = run.lock.wait_for_lock;
                    output::errors(&view::note(&format!("{locked}; waiting up to {seconds} s")));
                    said = true;
                }
                tokio::time::sleep(PAUSE).await;
            }
            result => return Ok(told(result?)),
        }
    }
}

fn told(histories: Histories) -> Histories {
    for note in histories.notes() {
        output::errors(&view::note(note));
    }
    #[cfg(debug_assertions)]
    if let Some(watch) = crate::kill::at_record() {
        return histories.watched(watch);
    }
    histories
}
