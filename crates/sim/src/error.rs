//! Errors of starting, loading and saving; refusals of the API are `api::refusal`.

use std::path::PathBuf;

/// Why a simulator did not start, or a world could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// The listen address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// What was asked for.
        address: std::net::SocketAddr,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The self-signed certificate could not be made or is unusable.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// A world or state file cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A world file that somebody wrote is wrong.
    #[error("{0}")]
    World(Box<crate::spec::Problems>),
    /// A world or state file does not hold a world.
    #[error("{} is not a world: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        reason: String,
    },
    /// A state file of another version of the simulator.
    #[error("{} holds a world of version {found}, this simulator reads version {wanted}; delete the file to start from a fresh world", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// [`crate::WORLD_VERSION`].
        wanted: u32,
    },
}
