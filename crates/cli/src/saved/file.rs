//! Writing the file: as a whole or not at all, for its owner alone, and never over anything but an
//! older plan.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use pvx_core::plan::saved::Saved;

use super::is_plan;
use crate::exit::CliError;

/// May a plan be written there?
///
/// # Errors
/// When something is there that is no saved plan, or the folder is missing.
pub(crate) fn check_target(path: &Path) -> Result<(), CliError> {
    let shown = path.display();
    let other = "name another file for the plan";
    let refused = |message: String| Err(CliError::with_help(message, other));
    if path.as_os_str() == "-" {
        return refused("a plan is saved in a file, not in standard output".to_owned());
    }
    if path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
        return refused(format!("{shown} would be taken for a document, and a plan is none"));
    }
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => {
            refused(format!("{shown} is a symbolic link, and no plan is written through one"))
        }
        Ok(found) if !found.is_file() => refused(format!("{shown} is not a regular file")),
        // An empty file is what a temporary file begins as.
        Ok(found) if found.len() > 0 && !is_plan(path) => {
            refused(format!("{shown} is there already, and is no saved plan"))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => check_folder(path),
        Err(error) => refused(format!("{shown}: {error}")),
    }
}

fn check_folder(path: &Path) -> Result<(), CliError> {
    let folder = folder_of(path);
    if path.file_name().is_some() && folder.is_dir() {
        return Ok(());
    }
    let message = format!("there is no folder {} for the plan", folder.display());
    Err(CliError::with_help(message, "make it, or name another file for the plan"))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes the plan.
///
/// # Errors
/// When it cannot be written; then what was there before still is.
pub(crate) fn write(path: &Path, saved: &Saved) -> Result<(), CliError> {
    check_target(path)?;
    let text = saved
        .encode()
        .map_err(|error| CliError::message(format!("the plan cannot be written: {error}")))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = folder_of(path).join(format!(".{name}.{}.new", std::process::id()));
    let written = write_new(&partial, text.as_bytes()).and_then(|()| fs::rename(&partial, path));
    written.map_err(|error| {
        // What is left of it is of no use; that it cannot be removed changes nothing.
        let _ = fs::remove_file(&partial);
        CliError::message(format!("{} cannot be written: {error}", path.display()))
    })
}

fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    // Whoever prepared a file or a link of this name gets nothing.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file: File = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
