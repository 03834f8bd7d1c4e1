//! When saved plans were carried out here, so that a refusal can say it. A cache, as all of `state`
//! is: nothing is decided on it.

use std::fs;
use std::path::PathBuf;

use jiff::Timestamp;
use pvx_core::plan::saved::Saved;
use pvx_core::state::Folder;

/// Lines that are kept.
const MOST: usize = 200;

/// How far a plan was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The first action is about to begin.
    Begun,
    /// All of it is done.
    Done,
}

impl Stage {
    fn word(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Done => "done",
        }
    }
}

/// Remembers it. Where nothing can be written a later refusal says less, and that is all.
pub(crate) fn remember(folder: &Folder, saved: &Saved, stage: Stage, now: Timestamp) {
    let Ok(checksum) = saved.checksum() else { return };
    let path = file(folder);
    let before = fs::read_to_string(&path).unwrap_or_default();
    let line = format!("{checksum} {} {now}", stage.word());
    let lines: Vec<&str> = before.lines().chain([line.as_str()]).collect();
    let kept = lines.get(lines.len().saturating_sub(MOST)..).unwrap_or_default();
    let _ = fs::write(path, kept.join("\n") + "\n");
}

/// What is remembered of the plan, in a sentence.
pub(super) fn told(folder: &Folder, saved: &Saved) -> Option<String> {
    let checksum = saved.checksum().ok()?;
    let text = fs::read_to_string(file(folder)).ok()?;
    let last = text.lines().rev().find_map(|line| line.strip_prefix(checksum.as_str()))?;
    let (stage, when) = last.trim().split_once(' ')?;
    Some(if stage == Stage::Done.word() {
        format!("it was applied at {when}")
    } else {
        format!("it was begun at {when}, and not carried out to its end")
    })
}

fn file(folder: &Folder) -> PathBuf {
    folder.path().join("applied-plans")
}
