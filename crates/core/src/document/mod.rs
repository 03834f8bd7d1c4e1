//! Documents: YAML files become a checked [`Desired`](crate::desired::Desired).
//!
//! ```text
//!  files ──► YAML tree with places ──► typed documents ──► guests ──► checks between documents
//!  files.rs     yaml.rs                  decode/             resolve/   check/
//! ```
//!
//! Every step collects its problems and goes on, so one run shows all problems of all files. The
//! reference of all keys is docs/reference/documents.md.

mod check;
mod claims;
mod config;
mod decode;
mod files;
mod load;
mod nearest;
mod resolve;
pub mod size;
mod templates;
pub(crate) mod yaml;

pub use config::{
    Ansible, CloudinitConfig, Cluster, ClusterConfig, ClusterNode, Credentials, Defaults,
    TalosConfig, Tls, VmidRanges,
};
pub use load::{LoadOptions, Loaded, load, load_config};
pub use nearest::nearest;

#[cfg(test)]
mod tests;
