//! Events in a file, a line of JSON each.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use pvx_core::execute::stream::{Body, Line};

use super::clock;
use crate::exit::CliError;
use crate::output;
use crate::view;

/// A name that stands for no file elsewhere is none here either.
pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("expected a file".to_owned()),
        "-" => Err("standard output is for the result; name a file, or a pipe such as /dev/fd/3"
            .to_owned()),
        _ => Ok(PathBuf::from(text)),
    }
}

/// A file of events.
pub(super) struct EventFile {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    /// None once it could not be written: a file with a gap would say something wrong.
    file: Option<File>,
    seq: u64,
}

impl EventFile {
    /// Makes it, empty. An older one is written over.
    pub(super) fn create(path: &Path) -> Result<Self, CliError> {
        let file = File::create(path).map_err(|error| {
            CliError::with_help(
                format!("the file of events {} cannot be written: {error}", path.display()),
                "nothing was changed; say another file to --events",
            )
        })?;
        let state = Mutex::new(State { file: Some(file), seq: 0 });
        Ok(Self { path: path.to_owned(), state })
    }

    /// Writes a line. What is carried out goes on when that fails: the exit code tells.
    pub(super) fn write(&self, round: u32, body: Body) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let line = Line { seq: state.seq, time: clock::precise(), round, body };
        state.seq += 1;
        let Some(file) = state.file.as_mut() else { return };
        let written =
            serde_json::to_vec(&line).map_err(std::io::Error::from).and_then(|mut text| {
                text.push(b'\n');
                file.write_all(&text)
            });
        if let Err(error) = written {
            state.file = None;
            output::is_lost();
            let text = format!("the file of events {} ends here: {error}", self.path.display());
            output::errors(&view::note(&text));
        }
    }
}
