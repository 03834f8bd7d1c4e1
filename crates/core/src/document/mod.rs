//! Documents: YAML files become a checked [`Desired`](crate::desired::Desired).
//!
//! ```text
//!  files ──► YAML trees ──► trees with includes ──► typed documents ──► guests ──► checks
//!  files.rs    yaml.rs       and variables            decode/           resolve/   check/
//!                            include.rs, variable/                      merge.rs
//!                            placeholder/
//! ```
//!
//! Every step collects its problems and goes on, so one run shows all problems of all files. The
//! reference of all keys is docs/reference/documents.md.

mod check;
mod claims;
mod config;
mod decode;
mod explain;
mod files;
mod include;
mod layer;
mod load;
mod merge;
mod nearest;
mod placeholder;
mod policy;
mod resolve;
pub mod size;
mod templates;
mod tree;
mod variable;
pub(crate) mod yaml;

pub use config::{
    Ansible, Apply, CloudinitConfig, Cluster, ClusterConfig, ClusterNode, Credentials, TalosConfig,
    Tls, VmidRanges,
};
pub use explain::{Explained, Explanation, Through};
pub use load::{LoadOptions, Loaded, load, load_config};
pub use nearest::nearest;
pub use variable::{Given, Secret};

#[cfg(test)]
mod tests;
