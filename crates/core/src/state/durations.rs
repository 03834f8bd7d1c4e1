//! How long actions took on this cluster: `state/<cluster>/_durations.json`. Only estimates are made
//! from it, so a damaged file is as good as none.

use std::collections::BTreeMap;
use std::time::Duration;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::file::write_atomically;
use super::{Folder, StateError};

const VERSION: u32 = 1;

/// No profile has this name: names of profiles are DNS labels, which have no underscore.
const FILE: &str = "_durations.json";

/// The least that one more action counts. Until four were seen, all count the same.
const LEAST_SHARE: f64 = 0.25;

/// How long actions of each kind took: `key` is whatever the caller tells kinds apart by (`start`,
/// `clone full shared`). The newest count most.
///
/// ```
/// # use std::time::Duration;
/// # use pvx_core::state::Durations;
/// let mut durations = Durations::default();
/// assert_eq!(durations.of("start"), None);
/// durations.learn("start", Duration::from_secs(2));
/// durations.learn("start", Duration::from_secs(4));
/// assert_eq!(durations.of("start"), Some(Duration::from_secs(3)));
/// ```
///
/// Read once with [`Folder::durations`] when a run begins, and written once with
/// [`Folder::keep_durations`] at its end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Durations(BTreeMap<String, Mean>);

/// An exponentially weighted mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Mean {
    /// Milliseconds.
    ms: u64,
    /// How many it was made from.
    count: u32,
}

impl Durations {
    /// How long an action of this kind takes; none when nobody has seen one.
    pub fn of(&self, key: &str) -> Option<Duration> {
        self.0.get(key).map(|mean| Duration::from_millis(mean.ms))
    }

    /// An action of this kind took so long.
    pub fn learn(&mut self, key: &str, took: Duration) {
        let mean = self.0.entry(key.to_owned()).or_insert(Mean { ms: 0, count: 0 });
        mean.count = mean.count.saturating_add(1);
        let share = (1.0 / f64::from(mean.count)).max(LEAST_SHARE);
        let before = Duration::from_millis(mean.ms).as_secs_f64();
        let now = before + (took.as_secs_f64() - before) * share;
        let now = Duration::try_from_secs_f64(now).unwrap_or_default();
        mean.ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    }

    /// Is nothing known?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    actions: Durations,
}

impl Folder {
    /// What earlier runs learned. A file that cannot be read or understood is as none, and a note
    /// says so in one sentence.
    pub fn durations(&self) -> (Durations, Option<String>) {
        let path = self.path().join(FILE);
        let ignored = |why: String| {
            let note = format!("{} is ignored, times are guessed: {why}", path.display());
            (Durations::default(), Some(note))
        };
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Default::default(),
            Err(error) => return ignored(error.to_string()),
        };
        match serde_json::from_slice::<Stored>(&text) {
            Ok(stored) if stored.version == VERSION => (stored.actions, None),
            Ok(stored) => ignored(format!("version {}, not {VERSION}", stored.version)),
            Err(error) => ignored(error.to_string()),
        }
    }

    /// Writes them for the next run; nothing when there is nothing to say.
    ///
    /// # Errors
    /// When the folder cannot be written. No run fails because of it.
    pub fn keep_durations(&self, durations: &Durations) -> Result<(), StateError> {
        if durations.is_empty() {
            return Ok(());
        }
        self.make_folder()?;
        let path = self.path().join(FILE);
        let stored = Stored { version: VERSION, actions: durations.clone() };
        serde_json::to_vec_pretty(&stored)
            .map_err(io::Error::from)
            .and_then(|text| write_atomically(&path, &text))
            .map_err(|source| StateError::Io { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_newest_count_most() {
        let mut durations = Durations::default();
        for _ in 0..50 {
            durations.learn("clone", seconds(100));
        }
        assert_eq!(durations.of("clone"), Some(seconds(100)));
        for _ in 0..10 {
            durations.learn("clone", seconds(10));
        }
        let now = durations.of("clone").unwrap();
        assert!(now > seconds(10) && now < seconds(20), "{now:?}");
    }

    #[test]
    fn what_is_kept_is_read() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path(), "lab");
        assert_eq!(folder.durations(), (Durations::default(), None));
        let mut durations = Durations::default();
        folder.keep_durations(&durations).unwrap();
        assert!(!folder.path().exists(), "nothing is no reason to make a folder");
        durations.learn("start", Duration::from_millis(1500));
        folder.keep_durations(&durations).unwrap();
        assert_eq!(folder.durations(), (durations, None));
    }

    #[test]
    fn a_file_that_says_nothing_is_told_of() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path(), "lab");
        folder.make_folder().unwrap();
        for text in ["{", "[]", r#"{"version":9,"actions":{}}"#, r#"{"version":1}"#] {
            fs::write(folder.path().join(FILE), text).unwrap();
            let (durations, note) = folder.durations();
            assert!(durations.is_empty());
            assert!(note.unwrap().contains("is ignored"), "{text}");
        }
    }
}
