//! Locks of profiles: one apply or destroy at a time.
//!
//! On one machine the system keeps the lock, and frees it when the process ends, however it ends.
//! What the file says is for people, and for machines that share the folder over a network where the
//! system's locks may not reach: there a lock of another machine counts until it is released, or
//! broken by hand.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Folder, StateError};

/// Who works on a profile, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Login name.
    pub user: String,
    /// Host name.
    pub host: String,
    /// Process id.
    pub pid: u32,
    /// Tells one running system kernel from all others, where it can be told: containers with names of
    /// their own share a kernel, and so its locks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// Since when, in seconds since the Unix epoch.
    pub since: i64,
    /// `apply`, `destroy`
    pub command: String,
    /// Tells this run from all others.
    pub run: String,
    /// Version of pvx.
    pub version: String,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, host, pid, command, .. } = self;
        write!(f, "{command} of {user} on {host}, pid {pid}")
    }
}

/// What is known of whoever holds a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Alive {
    /// The process runs: the system keeps its lock.
    Runs,
    /// The process ran here and has ended: the next run takes the lock over.
    Ended,
    /// The process runs, or ran, on another machine; or nobody can tell where.
    Unseen,
}

/// A lock that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Who has it, when that can be read.
    pub owner: Option<Owner>,
    /// Does the process run?
    pub alive: Alive,
}

/// Where locks of profiles are kept. [`Folder`] keeps them in files; a place that several machines
/// share can keep its own.
pub trait Locks {
    /// Takes the profile's lock for `owner`.
    ///
    /// # Errors
    /// [`StateError::Locked`] when someone else has it.
    fn lock(&self, profile: &str, owner: &Owner) -> Result<ProfileLock, StateError>;

    /// Who has the profile's lock. `here` is this process.
    ///
    /// # Errors
    /// When that cannot be read.
    fn held(&self, profile: &str, here: &Owner) -> Result<Option<Held>, StateError>;

    /// Takes the lock away from whoever has it. A process that runs and does not know goes on.
    ///
    /// # Errors
    /// When it cannot be written.
    fn unlock(&self, profile: &str) -> Result<(), StateError>;
}

/// Held while a profile is changed; released when dropped or when the process ends.
#[derive(Debug)]
pub struct ProfileLock {
    /// Who had the lock and ended without releasing it.
    pub before: Option<Owner>,
    _guard: Box<dyn Guard>,
}

impl ProfileLock {
    /// A lock that is released when `guard` is dropped.
    pub fn new(before: Option<Owner>, guard: impl Guard + 'static) -> Self {
        Self { before, _guard: Box::new(guard) }
    }
}

/// Releases a lock when it is dropped.
pub trait Guard: fmt::Debug + Send {}

/// A lock file that the system has locked for this process.
#[derive(Debug)]
struct LockedFile(File);

impl Guard for LockedFile {}

impl Drop for LockedFile {
    /// Released in good order: nobody has it. When that cannot be written, the next run finds a
    /// process that has ended.
    fn drop(&mut self) {
        let _ = self.0.set_len(0);
    }
}

/// What a lock file says.
enum Content {
    Nothing,
    Owner(Owner),
    Unreadable,
}

impl Content {
    fn of(file: &mut File) -> io::Result<Self> {
        let mut text = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut text)?;
        if text.trim_ascii().is_empty() {
            return Ok(Self::Nothing);
        }
        Ok(serde_json::from_slice(&text).map_or(Self::Unreadable, Self::Owner))
    }

    fn owner(self) -> Option<Owner> {
        match self {
            Self::Owner(owner) => Some(owner),
            Self::Nothing | Self::Unreadable => None,
        }
    }
}

impl Locks for Folder {
    fn lock(&self, profile: &str, owner: &Owner) -> Result<ProfileLock, StateError> {
        self.make_folder()?;
        let path = self.file(profile, "lock");
        let io = |source| StateError::Io { path: path.clone(), source };
        let refused = |by: Content, runs: bool| {
            let by = by.owner().map(Box::new);
            let age = by.as_ref().map(|by| owner.since.saturating_sub(by.since).max(0));
            let (profile, path) = (profile.to_owned(), path.clone());
            StateError::Locked { profile, path, owner: by, age, runs }
        };
        let (mut file, free) = open_and_lock(&path).map_err(io)?;
        let content = Content::of(&mut file);
        if !free {
            // On some systems a file that is locked cannot even be read.
            return Err(refused(content.unwrap_or(Content::Unreadable), true));
        }
        let before = match content.map_err(io)? {
            Content::Nothing => None,
            Content::Owner(before) if before.is_near(owner) => Some(before),
            other => return Err(refused(other, false)),
        };
        let mut lock = LockedFile(file);
        write(&mut lock.0, owner).map_err(io)?;
        Ok(ProfileLock::new(before, lock))
    }

    fn held(&self, profile: &str, here: &Owner) -> Result<Option<Held>, StateError> {
        let path = self.file(profile, "lock");
        let io = |source| StateError::Io { path: path.clone(), source };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        // Only a lock that someone claims is tried: an apply that begins now is not disturbed.
        let content = Content::of(&mut file).unwrap_or(Content::Unreadable);
        if matches!(content, Content::Nothing) {
            return Ok(None);
        }
        let runs = matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock));
        let owner = content.owner();
        let alive = match &owner {
            _ if runs => Alive::Runs,
            Some(owner) if owner.is_near(here) => Alive::Ended,
            _ => Alive::Unseen,
        };
        Ok(Some(Held { owner, alive }))
    }

    fn unlock(&self, profile: &str) -> Result<(), StateError> {
        // The file goes, and with it whatever lock the system keeps on it.
        let path = self.file(profile, "lock");
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(StateError::Io { path, source })
            }
            _ => Ok(()),
        }
    }
}

/// Opens a lock file and tries to lock it. One that was removed in between locks nobody out, and is
/// opened anew.
fn open_and_lock(path: &Path) -> io::Result<(File, bool)> {
    loop {
        let file =
            File::options().create(true).truncate(false).read(true).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => return Ok((file, true)),
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok((file, false)),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |found: fs::Metadata| (found.dev(), found.ino());
    file.metadata().map(id).ok() == fs::metadata(path).map(id).ok()
}

/// A file that is open cannot be removed there.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

fn write(file: &mut File, owner: &Owner) -> io::Result<()> {
    let text = serde_json::to_string(owner)? + "\n";
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())
}

/// `12s`, `3m`, `2h05m`, `4d`.
pub(super) fn age(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d", seconds / 86400),
    }
}

impl Owner {
    /// Does the system's lock reach from one to the other? The same name with another kernel is a
    /// machine that was started again.
    fn is_near(&self, other: &Self) -> bool {
        self.host == other.host || (self.boot.is_some() && self.boot == other.boot)
    }

    /// For how long it has had the lock at `now` (seconds since the Unix epoch), for people.
    pub fn age(&self, now: i64) -> String {
        age(now.saturating_sub(self.since))
    }
}

impl Folder {
    /// Where the profile's lock is kept.
    pub fn lock_file(&self, profile: &str) -> PathBuf {
        self.file(profile, "lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn folder() -> (TempDir, Folder) {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path(), "lab");
        (root, folder)
    }

    fn owner(host: &str, pid: u32, since: i64) -> Owner {
        let version = "0.1.0".to_owned();
        let (user, command, run) = ("ann".to_owned(), "apply".to_owned(), format!("run-{pid}"));
        Owner { user, host: host.to_owned(), pid, boot: None, since, command, run, version }
    }

    #[test]
    fn one_at_a_time_and_the_other_is_told_who() {
        let (_root, folder) = folder();
        let first = folder.lock("k3s", &owner("ws1", 17, 1000)).unwrap();
        assert_eq!(first.before, None);
        let error = folder.lock("k3s", &owner("ws1", 18, 1185)).unwrap_err();
        let said = "another pvx is working on k3s: apply of ann on ws1, pid 17, for 3m";
        assert_eq!(error.to_string(), said);
        assert!(error.help().unwrap().contains("--wait-for-lock"));
        assert!(matches!(error, StateError::Locked { runs: true, .. }));
        folder.lock("web", &owner("ws1", 18, 1185)).unwrap();
        drop(first);
        assert_eq!(fs::read(folder.lock_file("k3s")).unwrap(), b"");
        assert_eq!(folder.lock("k3s", &owner("ws1", 18, 1185)).unwrap().before, None);
    }

    #[test]
    fn a_lock_of_a_process_that_ended_is_taken_over() {
        let (_root, folder) = folder();
        folder.make_folder().unwrap();
        let dead = owner("ws1", 17, 1000);
        fs::write(folder.lock_file("k3s"), serde_json::to_vec(&dead).unwrap()).unwrap();
        let held = folder.held("k3s", &owner("ws1", 1, 0)).unwrap().unwrap();
        assert_eq!((held.owner.as_ref(), held.alive), (Some(&dead), Alive::Ended));
        let lock = folder.lock("k3s", &owner("ws1", 18, 2000)).unwrap();
        assert_eq!(lock.before, Some(dead));
        assert_eq!(folder.held("k3s", &owner("ws1", 1, 0)).unwrap().unwrap().alive, Alive::Runs);
    }

    #[test]
    fn a_lock_of_another_machine_counts_until_it_is_broken() {
        let (_root, folder) = folder();
        folder.make_folder().unwrap();
        let other = serde_json::to_vec(&owner("ws2", 17, 1000)).unwrap();
        for (text, said) in [(other.as_slice(), "on ws2"), (b"garbage", "does not say which")] {
            fs::write(folder.lock_file("k3s"), text).unwrap();
            let error = folder.lock("k3s", &owner("ws1", 18, 1010)).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
            assert!(error.help().unwrap().contains("pvx state unlock k3s"), "{error}");
            assert_eq!(fs::read(folder.lock_file("k3s")).unwrap(), text, "it is not touched");
            assert_eq!(
                folder.held("k3s", &owner("ws1", 1, 0)).unwrap().unwrap().alive,
                Alive::Unseen
            );
            folder.unlock("k3s").unwrap();
            assert_eq!(folder.held("k3s", &owner("ws1", 1, 0)).unwrap(), None);
            folder.lock("k3s", &owner("ws1", 18, 1010)).unwrap();
        }
    }

    /// Containers have names of their own and one kernel, which knows what has ended.
    #[test]
    fn a_lock_of_another_container_is_taken_over_when_its_process_has_ended() {
        let (_root, folder) = folder();
        let boot =
            |boot: &str, host| Owner { boot: Some(boot.to_owned()), ..owner(host, 17, 1000) };
        let first = folder.lock("k3s", &boot("a", "job-1")).unwrap();
        assert!(folder.lock("k3s", &boot("a", "job-2")).is_err(), "it runs");
        let left = fs::read(folder.lock_file("k3s")).unwrap();
        drop(first);
        fs::write(folder.lock_file("k3s"), &left).unwrap();
        assert!(folder.lock("k3s", &boot("b", "job-2")).is_err(), "on another machine");
        assert!(folder.lock("k3s", &owner("job-2", 18, 1000)).is_err(), "nobody can tell");
        let taken = folder.lock("k3s", &boot("a", "job-2")).unwrap();
        assert_eq!(taken.before.as_ref().map(|owner| owner.host.as_str()), Some("job-1"));
    }

    /// Who was pushed out releases its own lock at its end, and not that of the next.
    #[test]
    #[cfg(unix)]
    fn a_broken_lock_is_not_released_for_another() {
        let (_root, folder) = folder();
        let first = folder.lock("k3s", &owner("ws1", 17, 1000)).unwrap();
        folder.unlock("k3s").unwrap();
        let second = folder.lock("k3s", &owner("ws1", 18, 1010)).unwrap();
        drop(first);
        assert_eq!(
            folder.held("k3s", &owner("ws1", 1, 0)).unwrap().unwrap().owner.unwrap().pid,
            18
        );
        assert!(folder.lock("k3s", &owner("ws1", 19, 1020)).is_err());
        drop(second);
    }

    #[test]
    fn ages() {
        for (seconds, text) in
            [(-5, "0s"), (59, "59s"), (185, "3m"), (7500, "2h05m"), (90000, "1d")]
        {
            assert_eq!(age(seconds), text);
        }
    }
}
