//! The journal (law 3): a begin record is on disk before a side effect. A begin without an end
//! means that the outcome is unknown, and the next run looks before it does anything.
//!
//! One file a profile, `state/<cluster>/<profile>.journal`, one line a record, each with its own
//! checksum; only the last line can be torn, and then its side effect had not begun. A run begins a
//! new file, with what was still open in the last one. What is remembered of guests is in it too, so
//! that the state file is written once a run.

mod flush;
mod legacy;
mod line;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub(super) use flush::Flusher;
use flush::Log;
use line::{Header, VERSION};
pub(super) use line::{Line, Remark};
use read::Reading;

use super::{Folder, Owner, Remembered, StateError};
use crate::address::Address;
use crate::plan::{self, Action, ActionId};

/// One record of what a run does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// About to send a request.
    Begin {
        /// The action, with all that is needed to recognise what became of it. Secrets are not in
        /// it: a plan only names them.
        action: Box<Action>,
        /// When, in seconds since the Unix epoch.
        at: i64,
    },
    /// The request became a task.
    Task {
        /// Action number.
        action: u32,
        /// The task.
        upid: String,
    },
    /// The outcome is known.
    End {
        /// Action number.
        action: u32,
        /// Did it succeed?
        ok: bool,
    },
    /// The run is over and every outcome is known.
    Closed,
}

/// An action that began and did not end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// What was begun. A journal of an older pvx only says what was done to which guest: then what
    /// it was done with is empty, and there are no preconditions.
    pub action: Box<Action>,
    /// When, in seconds since the Unix epoch; 0 when nobody wrote it down.
    pub at: i64,
    /// The task, when the request got as far.
    pub upid: Option<String>,
}

impl Unfinished {
    /// Does it only say what was done to which guest? Then nothing can be concluded from how the guest
    /// is now. Whole begin records have a time, and preconditions.
    pub fn is_vague(&self) -> bool {
        self.at == 0 && self.action.preconditions.is_empty()
    }
}

/// What the journal of the last run says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unsettled {
    /// What began and did not end.
    pub open: Vec<Unfinished>,
    /// Lines that could not be read. What stood on them the cluster shows.
    pub damage: Vec<Damage>,
}

impl IntoIterator for Unsettled {
    type Item = Unfinished;
    type IntoIter = std::vec::IntoIter<Unfinished>;

    /// What began and did not end.
    fn into_iter(self) -> Self::IntoIter {
        self.open.into_iter()
    }
}

/// A line of a journal that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl Damage {
    /// Several in a few words: the first with its reason, and how many more.
    pub fn tell(all: &[Self]) -> String {
        let Some((first, rest)) = all.split_first() else { return "nothing".to_owned() };
        let more =
            if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
        format!("line {} ({}){more}", first.line, first.what)
    }
}

/// When a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It is about to be.
    Before,
    /// It is in the file.
    After,
}

/// Told of every record of every journal: for tests that end the process there.
pub struct Watch(Box<dyn FnMut(Moment) + Send>);

impl Watch {
    /// Calls `tell` before and after each record.
    pub fn new(tell: impl FnMut(Moment) + Send + 'static) -> Self {
        Self(Box::new(tell))
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new(|_| ())
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

/// Appends records of one run.
#[derive(Debug)]
pub struct Journal {
    log: Arc<Log>,
    path: PathBuf,
    torn: bool,
}

impl Journal {
    /// What the profile's last run left unfinished. A torn last line (the power went while it was
    /// written) is as if it had not been written: its side effect had not begun. Damage elsewhere is
    /// told, and all lines that are whole count.
    ///
    /// # Errors
    /// When the file cannot be read, or a newer pvx wrote it.
    pub fn unfinished(folder: &Folder, profile: &str) -> Result<Unsettled, StateError> {
        let Reading { open, damage, .. } = read(folder, profile)?;
        Ok(Unsettled { open, damage })
    }

    /// What a run that was cut off remembered of guests and could not write into the state file.
    pub(super) fn replay(
        folder: &Folder,
        profile: &str,
        guests: &mut BTreeMap<Address, Remembered>,
    ) -> Result<(), StateError> {
        for remark in read(folder, profile)?.remarks {
            remark.apply(guests);
        }
        Ok(())
    }

    /// Is there anything in the profile's journal that a new run has to take over?
    pub(super) fn is_left(folder: &Folder, profile: &str) -> Result<bool, StateError> {
        let Reading { open, damage, remarks } = read(folder, profile)?;
        Ok(!(open.is_empty() && damage.is_empty() && remarks.is_empty()))
    }

    /// Begins a new journal in the place of the last one, with what is `still_open` of it, by number,
    /// and the `first` lines of this run; when this returns they are on disk. Numbers of old actions
    /// are counted down from the highest, as the new run's are counted up. The last one is kept
    /// as `.journal.old`; a damaged one under a name that stays, which is returned. At every moment
    /// one of the two is there.
    ///
    /// # Errors
    /// When the folder cannot be written, or a newer pvx wrote the last journal.
    pub(super) fn begin(
        folder: &Folder,
        profile: &str,
        owner: &Owner,
        still_open: &dyn Fn(u32) -> bool,
        first: Vec<Line>,
        watch: &mut Watch,
    ) -> Result<(Self, Option<PathBuf>), StateError> {
        folder.make_folder()?;
        let path = folder.file(profile, "journal");
        let io = |source| StateError::Io { path: path.clone(), source };
        let Reading { open, damage, remarks } = read(folder, profile)?;
        if !remarks.is_empty() {
            folder.update(profile, |guests| remarks.iter().for_each(|r| r.apply(guests)))?;
        }
        let aside = match damage.is_empty() {
            true if path.exists() => {
                fs::copy(&path, folder.file(profile, "journal.old")).map_err(io)?;
                None
            }
            true => None,
            false => Some(folder.keep_aside(&path)?),
        };
        let partial = folder.file(profile, "journal.new");
        let file = File::create(&partial).map_err(io)?;
        let mut journal = Self { log: Log::new(file), path: partial.clone(), torn: false };
        let header = Line::Journal(Header {
            version: VERSION,
            cluster: folder.cluster().to_owned(),
            profile: profile.to_owned(),
            run: owner.run.clone(),
            pvx: owner.version.clone(),
            plan: plan::VERSION,
        });
        let open = open.into_iter().filter(|open| still_open(open.action.id.0));
        let open = (0..=u32::MAX).rev().zip(open).flat_map(|(number, open)| again(number, open));
        let lines: Vec<Line> = [header].into_iter().chain(open).chain(first).collect();
        // They come into the journal all at once.
        lines.iter().for_each(|_| watch.0(Moment::Before));
        journal.append(&lines, None, &mut Watch::default())?;
        fs::rename(&partial, &path).map_err(io)?;
        folder.sync()?;
        journal.path.clone_from(&path);
        lines.iter().for_each(|_| watch.0(Moment::After));
        Ok((journal, aside))
    }

    /// Appends lines and waits until they are on disk; with somebody who does that (`later`) it does
    /// not wait.
    ///
    /// # Errors
    /// When they cannot be written: then the side effect must not begin. After that nothing more
    /// is appended: a part of a line may be there already, and only at the end it does no harm.
    pub(super) fn append(
        &mut self,
        lines: &[Line],
        later: Option<&mut Flusher>,
        watch: &mut Watch,
    ) -> Result<(), StateError> {
        let io = |source| StateError::Io { path: self.path.clone(), source };
        if self.torn || self.log.has_failed() {
            return Err(io(io::Error::other("a record before this one could not be written")));
        }
        let mut written = Ok(());
        for line in lines {
            let bytes = line.encode().map_err(io)?;
            watch.0(Moment::Before);
            written = written.and_then(|()| (&self.log.file).write_all(&bytes));
            watch.0(Moment::After);
        }
        let written = written.and_then(|()| match later {
            Some(flusher) => flusher.soon(&self.log),
            None => self.log.sync(),
        });
        self.torn = written.is_err();
        written.map_err(io)
    }
}

/// An action that is still open, as records of a new journal.
fn again(number: u32, open: Unfinished) -> Vec<Line> {
    let mut action = open.action;
    action.id = ActionId(number);
    let begin = Record::Begin { action, at: open.at };
    let task = open.upid.map(|upid| Record::Task { action: number, upid });
    [Some(begin), task].into_iter().flatten().map(Line::Record).collect()
}

fn read(folder: &Folder, profile: &str) -> Result<Reading, StateError> {
    let path = folder.file(profile, "journal");
    let Some(bytes) = bytes(&path)? else { return Ok(Reading::default()) };
    Reading::of(&bytes, folder.cluster(), profile).map_err(|found| StateError::Newer {
        path,
        found,
        known: VERSION,
    })
}

fn bytes(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StateError::Io { path: path.to_owned(), source }),
    }
}
