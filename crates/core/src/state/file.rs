//! State files: `state/<cluster>/<profile>.json`, written atomically, one writer at a time.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Memory, Remembered};
use crate::address::Address;

const VERSION: u32 = 1;

/// Why a state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is damaged.
    #[error(
        "{path} is damaged: {detail}. It is only a cache: move it away and plan again, no guest is lost"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A newer pvx wrote it.
    #[error("{path} was written by a newer pvx (version {found}, this one knows {VERSION})")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Another pvx works on the profile.
    #[error("another pvx is working on {profile} (lock {path}): wait for it, or end it")]
    Locked {
        /// The profile's key.
        profile: String,
        /// The lock file.
        path: PathBuf,
    },
}

/// The state folder of one cluster.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
    cluster: String,
}

/// What every version of the file has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    cluster: String,
    profile: String,
    /// Counts the writes: a history without times.
    serial: u64,
    guests: BTreeMap<Address, Remembered>,
}

/// Held while a profile is changed; released when dropped or when the process ends.
#[derive(Debug)]
pub struct ProfileLock {
    _file: File,
}

impl Folder {
    /// The folder for `cluster` below `root` (usually `state`). Nothing is made until a write.
    pub fn new(root: &Path, cluster: &str) -> Self {
        Self { path: root.join(file_name(cluster)), cluster: cluster.to_owned() }
    }

    /// Where the files of this cluster are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is remembered of these profiles; nothing for a profile without a file.
    ///
    /// # Errors
    /// [`StateError::Damaged`] and [`StateError::Newer`] for files that cannot be understood.
    pub fn load<'a>(
        &self,
        profiles: impl IntoIterator<Item = &'a str>,
    ) -> Result<Memory, StateError> {
        let mut all = BTreeMap::new();
        for profile in profiles {
            if let Some(stored) = self.read(profile)? {
                all.extend(stored.guests);
            }
        }
        Ok(all.into_iter().collect())
    }

    /// Takes the profile's lock.
    ///
    /// # Errors
    /// [`StateError::Locked`] when another process has it.
    pub fn lock(&self, profile: &str) -> Result<ProfileLock, StateError> {
        let path = self.file(profile, "lock");
        self.make_folder()?;
        let io = |source| StateError::Io { path: path.clone(), source };
        let file =
            File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(ProfileLock { _file: file }),
            Err(fs::TryLockError::WouldBlock) => {
                Err(StateError::Locked { profile: profile.to_owned(), path })
            }
            Err(fs::TryLockError::Error(source)) => Err(StateError::Io { path, source }),
        }
    }

    /// Changes what is remembered of a profile and writes it atomically.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn update(
        &self,
        profile: &str,
        change: impl FnOnce(&mut BTreeMap<Address, Remembered>),
    ) -> Result<(), StateError> {
        let mut stored = self.read(profile)?.unwrap_or_else(|| Stored {
            version: VERSION,
            cluster: self.cluster.clone(),
            profile: profile.to_owned(),
            serial: 0,
            guests: BTreeMap::new(),
        });
        let before = stored.guests.clone();
        change(&mut stored.guests);
        if before == stored.guests && stored.serial > 0 {
            return Ok(());
        }
        stored.serial += 1;
        self.make_folder()?;
        let path = self.file(profile, "json");
        let text = serde_json::to_vec_pretty(&stored)
            .map_err(|e| StateError::Damaged { path: path.clone(), detail: e.to_string() })?;
        write_atomically(&path, &text).map_err(|source| StateError::Io { path, source })?;
        self.sync()
    }

    /// Forgets one guest of a profile; a file that does not know it is not touched.
    pub(super) fn forget(&self, profile: &str, address: &Address) -> Result<(), StateError> {
        let known = self.read(profile)?.is_some_and(|s| s.guests.contains_key(address));
        if !known {
            return Ok(());
        }
        self.update(profile, |guests| drop(guests.remove(address)))
    }

    /// Path of one of the profile's files.
    pub(super) fn file(&self, profile: &str, extension: &str) -> PathBuf {
        self.path.join(format!("{}.{extension}", file_name(profile)))
    }

    pub(super) fn make_folder(&self) -> Result<(), StateError> {
        fs::create_dir_all(&self.path)
            .map_err(|source| StateError::Io { path: self.path.clone(), source })
    }

    /// Waits until names of new files are on disk.
    pub(super) fn sync(&self) -> Result<(), StateError> {
        // Other systems cannot open a folder, and keep its names in order by themselves.
        if !cfg!(unix) {
            return Ok(());
        }
        File::open(&self.path)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| StateError::Io { path: self.path.clone(), source })
    }

    fn read(&self, profile: &str) -> Result<Option<Stored>, StateError> {
        let path = self.file(profile, "json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StateError::Io { path, source }),
        };
        let damaged = |detail: String| StateError::Damaged { path: path.clone(), detail };
        // A newer file may have another shape: its version is looked at before anything else.
        let said: Versioned = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
        if said.version > VERSION {
            return Err(StateError::Newer { path, found: said.version });
        }
        let stored: Stored = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
        if stored.cluster != self.cluster || stored.profile != profile {
            return Err(damaged(format!("it belongs to {} on {}", stored.profile, stored.cluster)));
        }
        Ok(Some(stored))
    }
}

/// Names of clusters and profiles are DNS labels; anything else is made harmless for a path.
fn file_name(name: &str) -> String {
    let harmless = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = name.chars().map(harmless).collect();
    if name.is_empty() || name.starts_with('.') { format!("_{name}") } else { name }
}

/// A reader sees the old file or the new one, never a part.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("json.new");
    let mut file = File::create(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&partial, path)
}
