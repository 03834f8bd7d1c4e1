//! Proxmox VE for pvx: credentials, the REST client, the codecs of stored config values, and the
//! resource kinds.

pub mod client;
mod cluster;
pub mod codec;
pub mod credentials;
pub mod guest;
mod preflight;
mod read;
mod read_authority;
mod read_ha;
pub mod ssh;
mod write;

pub use cluster::{Cluster, Secrets};
