//! The state folder of a cluster, and state files in it: `state/<cluster>/<profile>.json`, written
//! atomically, by whoever holds the profile's lock.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::stored::{self, Stored, Unreadable};
use super::{Journal, Memory, Remembered, StateError};
use crate::address::{Address, STANDALONE};

/// The state folder of one cluster.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
    cluster: String,
}

impl Folder {
    /// The folder for `cluster` below `root` (usually `state`). Nothing is made until a write.
    pub fn new(root: &Path, cluster: &str) -> Self {
        Self { path: root.join(file_name(cluster)), cluster: cluster.to_owned() }
    }

    /// The folders below `root` that hold state of a cluster, by the names of the clusters.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn all(root: &Path) -> Result<Vec<Self>, StateError> {
        let mut all = Vec::new();
        for entry in entries(root)? {
            let folder = Self::new(root, &entry);
            if folder.path.is_dir() && !folder.profiles()?.is_empty() {
                all.push(folder);
            }
        }
        Ok(all)
    }

    /// Where the files of this cluster are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Keys of the profiles that there are files of.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn profiles(&self) -> Result<BTreeSet<String>, StateError> {
        let key = |name: String| {
            let (stem, extension) = name.rsplit_once('.')?;
            let known = ["json", "journal", "lock"].contains(&extension);
            // `lab.world.json` and `_durations.json` are of no profile.
            let label = stem.strip_prefix(STANDALONE).and_then(|s| s.strip_prefix('.'));
            let label = label.unwrap_or(stem);
            (known && !label.contains(['.', '_'])).then(|| stem.to_owned())
        };
        Ok(entries(&self.path)?.into_iter().filter_map(key).collect())
    }

    /// What is remembered of these profiles; nothing for a profile without a file. What a run that
    /// was cut off had only written into its journal counts.
    ///
    /// # Errors
    /// [`StateError::Damaged`] and [`StateError::Newer`] for files that cannot be understood.
    pub fn load<'a>(
        &self,
        profiles: impl IntoIterator<Item = &'a str>,
    ) -> Result<Memory, StateError> {
        let mut all = BTreeMap::new();
        for profile in profiles {
            let mut guests = self.read(profile)?.map(|s| s.guests).unwrap_or_default();
            Journal::replay(self, profile, &mut guests)?;
            all.extend(guests);
        }
        Ok(all.into_iter().collect())
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
        self.change(profile, change)?;
        self.sync()
    }

    /// [`Self::update`] of several profiles, which are on disk after one [`Self::sync`].
    pub(super) fn change(
        &self,
        profile: &str,
        change: impl FnOnce(&mut BTreeMap<Address, Remembered>),
    ) -> Result<(), StateError> {
        let stored = self.read(profile)?;
        let mut stored = stored.unwrap_or_else(|| Stored::new(&self.cluster, profile));
        let before = stored.guests.clone();
        change(&mut stored.guests);
        if before == stored.guests && stored.is_current() {
            return Ok(());
        }
        self.write(stored)
    }

    pub(super) fn write(&self, stored: Stored) -> Result<(), StateError> {
        self.make_folder()?;
        let path = self.file(&stored.profile, "json");
        stored
            .text()
            .map_err(io::Error::from)
            .and_then(|text| write_atomically(&path, &text))
            .map_err(|source| StateError::Io { path, source })
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
        if !cfg!(unix) || !self.path.exists() {
            return Ok(());
        }
        File::open(&self.path)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| StateError::Io { path: self.path.clone(), source })
    }

    pub(super) fn read(&self, profile: &str) -> Result<Option<Stored>, StateError> {
        let path = self.file(profile, "json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StateError::Io { path, source }),
        };
        let damaged = |detail: String| {
            let (path, profile) = (path.clone(), profile.to_owned());
            StateError::Damaged { path, profile, detail }
        };
        let stored = Stored::parse(&text).map_err(|why| match why {
            Unreadable::Damaged(detail) => damaged(detail),
            Unreadable::Newer(found) => {
                StateError::Newer { path: path.clone(), found, known: stored::VERSION }
            }
        })?;
        if stored.cluster != self.cluster || stored.profile != profile {
            return Err(damaged(format!("it belongs to {} on {}", stored.profile, stored.cluster)));
        }
        Ok(Some(stored))
    }

    /// Copies a damaged file to a name that is not taken, and says which.
    pub(super) fn keep_aside(&self, path: &Path) -> Result<PathBuf, StateError> {
        let io = |source| StateError::Io { path: path.to_owned(), source };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for number in 1.. {
            let end = if number == 1 { String::new() } else { format!("-{number}") };
            let aside = path.with_file_name(format!("{name}.damaged{end}"));
            match File::create_new(&aside) {
                Ok(mut copy) => {
                    let bytes = fs::read(path).map_err(io)?;
                    copy.write_all(&bytes).and_then(|()| copy.sync_all()).map_err(io)?;
                    self.sync()?;
                    return Ok(aside);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(io(error)),
            }
        }
        Err(io(io::ErrorKind::AlreadyExists.into()))
    }
}

/// Names in a folder, in order; none when it is not there.
fn entries(folder: &Path) -> Result<BTreeSet<String>, StateError> {
    let io = |source| StateError::Io { path: folder.to_owned(), source };
    let list = match fs::read_dir(folder) {
        Ok(list) => list,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(io(error)),
    };
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().into_string().ok());
    let names: io::Result<Vec<Option<String>>> = list.map(name).collect();
    Ok(names.map_err(io)?.into_iter().flatten().collect())
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
