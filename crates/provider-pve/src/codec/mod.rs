//! The values that Proxmox VE stores in a guest's config: parsed, written and compared.
//!
//! Pure, no I/O. The codecs are symmetric: what was parsed and not changed is written back as it
//! was, unknown keys included. Facts are from qemu-server (`src/PVE/QemuServer*`), pve-common
//! (`src/PVE/JSONSchema.pm`) and pve-guest-common (`src/PVE/GuestHelpers.pm`), and from recordings.

mod agent;
mod boolean;
mod boot;
mod drive;
mod equal;
mod format;
mod ip_config;
mod nic;
mod property_string;
mod size;
mod smbios;
mod ssh_keys;
mod tags;
#[cfg(test)]
mod tests;

pub use agent::Agent;
pub use boolean::{format_boolean, parse_boolean};
pub use boot::Boot;
pub use drive::{Drive, Volume};
pub use equal::{aliases, default_key, equal, property, same_property};
pub use ip_config::IpConfig;
pub use nic::{Nic, normalize_mac};
pub use property_string::{PropertyError, PropertyString};
pub use size::{Size, SizeError};
pub use smbios::Smbios;
pub use ssh_keys::{decode_ssh_keys, encode_ssh_keys, same_ssh_keys};
pub use tags::{TagError, Tags};
