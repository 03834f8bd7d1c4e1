//! Proxmox VE for pvx: credentials, the REST client, the codecs of stored config values, and the
//! resource kinds.

pub mod client;
mod cluster;
pub mod codec;
pub mod credentials;
pub mod guest;
mod read;
mod read_access;
mod read_ha;
pub mod ssh;
mod write;

pub use cluster::{Cluster, Secrets};
