//! Plans in files: `plan --out` makes them, `apply` carries them out, `show` shows them. What
//! makes one good is in the core (`plan::saved`); here are files, the clock, and the session.

mod agree;
mod applied;
mod file;
mod make;

pub(crate) use agree::{agree, check_cluster, open};
pub(crate) use applied::{Stage, remember};
pub(crate) use file::{check_target, write};
pub(crate) use make::{Wishes, make};

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pvx_core::plan::saved::{Saved, Unreadable, is_saved_plan};

use crate::exit::CliError;

/// Bytes of a saved plan that is read; one of 5,000 guests has less than a tenth.
const LARGEST: u64 = 256 << 20;

/// Now, in whole seconds.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Reads a saved plan.
///
/// # Errors
/// When it cannot be read, is none, or is damaged, edited or newer than this pvx.
pub(crate) fn read(path: &Path) -> Result<Saved, CliError> {
    let bytes = read_bytes(path)
        .map_err(|error| CliError::message(format!("cannot read {}: {error}", path.display())))?;
    Saved::decode(&bytes).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &Unreadable) -> CliError {
    let help = match error {
        Unreadable::Foreign => {
            return CliError::with_help(
                format!("{} is no saved plan", path.display()),
                "`pvx plan --out FILE` makes one",
            );
        }
        Unreadable::Newer { .. } => "use the pvx that made it, or a newer one",
        Unreadable::CutOff { .. } | Unreadable::Damaged { .. } => {
            "copy it again from where it was made, or make a new plan with `pvx plan --out`"
        }
        Unreadable::Edited | Unreadable::Invalid(_) => {
            "change the documents instead, and make a new plan with `pvx plan --out`"
        }
    };
    CliError::stale(path, error.to_string(), Vec::new(), help)
}

/// The saved plan among the paths of a command, told by what is in the file; none when they are
/// documents.
///
/// # Errors
/// When it is not the only path.
pub(crate) fn among(paths: &[PathBuf]) -> Result<Option<&Path>, CliError> {
    let Some(found) = paths.iter().find(|path| is_plan(path)) else { return Ok(None) };
    if paths.len() > 1 {
        return Err(CliError::with_help(
            format!("{} is a saved plan, and stands alone", found.display()),
            "its documents are named in it",
        ));
    }
    Ok(Some(found))
}

/// Is this file a saved plan, or what is left of one?
pub(crate) fn is_plan(path: &Path) -> bool {
    // Documents are YAML, which hardly ever begins with a brace: they are not read twice.
    let mut start = Vec::new();
    let regular = fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let begun = regular
        && fs::File::open(path).and_then(|f| f.take(64).read_to_end(&mut start)).is_ok()
        && start.trim_ascii_start().starts_with(b"{");
    begun && read_bytes(path).is_ok_and(|bytes| is_saved_plan(&bytes))
}

fn read_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Commands that take documents say what to do with a saved plan.
///
/// # Errors
/// When there is one among the paths.
pub(crate) fn refuse_among(paths: &[PathBuf]) -> Result<(), CliError> {
    match paths.iter().find(|path| is_plan(path)) {
        None => Ok(()),
        Some(path) => Err(CliError::with_help(
            format!("{} is a saved plan", path.display()),
            "`pvx apply FILE` carries it out, whatever it is for; `pvx show FILE` shows it",
        )),
    }
}
