//! Why a file of the state folder cannot be used, and what to do about it.

use std::io;
use std::path::PathBuf;

use super::Owner;

/// Why a state file, a journal or a lock cannot be used.
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
    /// The state file is damaged.
    #[error("{path} is damaged: {detail}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The profile's key.
        profile: String,
        /// What is wrong.
        detail: String,
    },
    /// A newer pvx wrote it.
    #[error("{path} was written by a newer pvx (version {found}, this one knows {known})")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest one that is understood here.
        known: u32,
    },
    /// Another pvx works on the profile.
    #[error("{}", locked(.profile, .owner.as_deref(), *.age))]
    Locked {
        /// The profile's key.
        profile: String,
        /// The lock file.
        path: PathBuf,
        /// Who has it, when that can be read.
        owner: Option<Box<Owner>>,
        /// For how long, in seconds.
        age: Option<i64>,
        /// It is certain that the process runs: the system keeps its lock.
        runs: bool,
    },
}

impl StateError {
    /// What to do next.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Io { .. } => None,
            Self::Damaged { profile, .. } => Some(format!(
                "no guest is lost with it. Lost is what it remembers: which keys documents managed \
                 before, `prevent_destroy` of guests that left the documents, and where they asked \
                 for guests to be. `pvx state repair {profile}` keeps the file under another name \
                 and begins a new one from the cluster"
            )),
            Self::Newer { .. } => Some("use that pvx, or a newer one".to_owned()),
            Self::Locked { runs: true, .. } => Some(
                "nothing was changed; wait for it (`--wait-for-lock SECONDS` does), or end it"
                    .to_owned(),
            ),
            Self::Locked { runs: false, profile, path, .. } => Some(format!(
                "nothing was changed; whether it still runs cannot be seen from here. Wait for it \
                 (`--wait-for-lock SECONDS` does), or, when it is certain that it has ended: \
                 `pvx state unlock {profile}` ({})",
                path.display()
            )),
        }
    }
}

fn locked(profile: &str, owner: Option<&Owner>, age: Option<i64>) -> String {
    let Some(owner) = owner else {
        return format!("another pvx is working on {profile}, and its lock does not say which");
    };
    let age = age.map(|age| format!(", for {}", super::lock::age(age))).unwrap_or_default();
    format!("another pvx is working on {profile}: {owner}{age}")
}
