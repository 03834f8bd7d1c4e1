//! The journal (law 3): a begin record is on disk before a side effect. A begin without an end
//! means that the outcome is unknown, and the next run looks before it does anything.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Folder, StateError};
use crate::plan::Action;

/// One line of the journal.
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
    /// What was begun.
    pub action: Box<Action>,
    /// When, in seconds since the Unix epoch.
    pub at: i64,
    /// The task, when the request got as far.
    pub upid: Option<String>,
}

/// Appends records of one run.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    torn: bool,
}

impl Journal {
    /// What the profile's last run left unfinished. A torn last line (the power went while it was
    /// written) is as if it had not been written: its side effect had not begun.
    ///
    /// # Errors
    /// When the file cannot be read, or a line before the last is damaged.
    pub fn unfinished(folder: &Folder, profile: &str) -> Result<Vec<Unfinished>, StateError> {
        let path = folder.file(profile, "journal");
        match fs::read(&path) {
            Ok(bytes) => open_actions(&String::from_utf8_lossy(&bytes))
                .map_err(|detail| StateError::Damaged { path, detail }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(StateError::Io { path, source }),
        }
    }

    /// Begins a new journal; the one of the last run is kept as `.journal.old`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn begin(folder: &Folder, profile: &str) -> Result<Self, StateError> {
        folder.make_folder()?;
        let path = folder.file(profile, "journal");
        let io = |source| StateError::Io { path: path.clone(), source };
        if path.exists() {
            fs::rename(&path, folder.file(profile, "journal.old")).map_err(io)?;
        }
        let file = File::create_new(&path).map_err(io)?;
        folder.sync()?;
        Ok(Self { file, path, torn: false })
    }

    /// Appends a record and waits until it is on disk.
    ///
    /// # Errors
    /// When it cannot be written: then the side effect must not begin. After that nothing more
    /// is appended: a part of a line may be there already, and only at the end it does no harm.
    pub fn append(&mut self, record: &Record) -> Result<(), StateError> {
        let io = |source| StateError::Io { path: self.path.clone(), source };
        if self.torn {
            return Err(io(io::Error::other("a record before this one could not be written")));
        }
        let mut line = serde_json::to_vec(record).map_err(|e| io(e.into()))?;
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        self.torn = written.is_err();
        written.map_err(io)
    }
}

fn open_actions(text: &str) -> Result<Vec<Unfinished>, String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut open: BTreeMap<u32, Unfinished> = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        let record = match serde_json::from_str(line) {
            Ok(record) => record,
            Err(_) if index + 1 == lines.len() && !text.ends_with('\n') => break,
            Err(error) => return Err(format!("line {}: {error}", index + 1)),
        };
        match record {
            Record::Begin { action, at } => {
                open.insert(action.id.0, Unfinished { action, at, upid: None });
            }
            Record::Task { action, upid } => {
                if let Some(entry) = open.get_mut(&action) {
                    entry.upid = Some(upid);
                }
            }
            Record::End { action, .. } => {
                open.remove(&action);
            }
            Record::Closed => open.clear(),
        }
    }
    Ok(open.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;
    use crate::plan::{ActionId, ActionKind, Effect, Reason};

    fn begin(action: u32) -> Record {
        let action = Action {
            id: ActionId(action),
            address: Address::new("k3s", "cp01"),
            vmid: 1000,
            node: "pve1".into(),
            kind: ActionKind::Start,
            reason: Reason::new("missing", "it is missing"),
            effect: Effect::Start,
            preconditions: Vec::new(),
            storages: Vec::new(),
        };
        Record::Begin { action: Box::new(action), at: 0 }
    }

    fn text(records: &[Record]) -> String {
        records.iter().map(|r| serde_json::to_string(r).unwrap() + "\n").collect()
    }

    #[test]
    fn a_begin_without_an_end_is_unfinished() {
        let task = Record::Task { action: 1, upid: "UPID:x".into() };
        let records = [begin(0), Record::End { action: 0, ok: true }, begin(1), task];
        let open = open_actions(&text(&records)).unwrap();
        assert_eq!(open.len(), 1);
        assert_eq!(open[0].upid.as_deref(), Some("UPID:x"));
    }

    #[test]
    fn a_journal_torn_at_any_byte_says_what_its_whole_lines_say() {
        let task = Record::Task { action: 1, upid: "UPID:x".into() };
        let end = |action| Record::End { action, ok: true };
        let records = [begin(0), begin(1), end(0), task, begin(2), end(1), Record::Closed];
        let whole = text(&records);
        for cut in 0..=whole.len() {
            let torn = &whole[..cut];
            let lines = torn.matches('\n').count();
            // A last line that only lacks its line break is whole.
            let complete = cut == whole.len() || whole.as_bytes()[cut] == b'\n';
            let read = if complete && !torn.is_empty() && !torn.ends_with('\n') {
                lines + 1
            } else {
                lines
            };
            let expected = open_actions(&text(&records[..read])).unwrap();
            assert_eq!(open_actions(torn).unwrap(), expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_torn_last_line_never_began() {
        let whole = text(&[begin(0)]);
        assert_eq!(open_actions(&whole[..whole.len() - 5]).unwrap(), []);
    }

    #[test]
    fn a_line_torn_inside_a_letter_is_torn() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Folder::new(folder.path(), "lab");
        folder.make_folder().unwrap();
        let mut bytes = text(&[begin(0)]).into_bytes();
        bytes.extend([b'{', b'"', 0xc3]);
        fs::write(folder.file("k3s", "journal"), bytes).unwrap();
        assert_eq!(Journal::unfinished(&folder, "k3s").unwrap().len(), 1);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn after_a_record_that_was_not_written_none_is() {
        let file = File::options().write(true).open("/dev/full").unwrap();
        let mut journal = Journal { file, path: "journal".into(), torn: false };
        assert!(journal.append(&begin(0)).is_err());
        let space = tempfile::NamedTempFile::new().unwrap();
        journal.file = space.reopen().unwrap();
        let error = journal.append(&begin(1)).unwrap_err().to_string();
        assert!(error.contains("a record before this one"), "{error}");
        assert_eq!(fs::read(space.path()).unwrap(), b"");
    }

    #[test]
    fn damage_before_the_end_is_said() {
        let error = open_actions(&format!("garbage\n{}", text(&[begin(0)]))).unwrap_err();
        assert!(error.starts_with("line 1:"), "{error}");
    }
}
