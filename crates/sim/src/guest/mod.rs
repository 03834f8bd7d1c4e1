//! What a guest's configuration means: keys and their types, property strings, drives, networks,
//! pending changes. Values stay text, as Proxmox VE stores them.

pub(crate) mod agent;
pub(crate) mod allocate;
pub(crate) mod base;
pub(crate) mod cloudinit;
pub(crate) mod cpu;
pub(crate) mod devices;
pub(crate) mod drive;
pub(crate) mod drive_formats;
pub(crate) mod format;
pub(crate) mod formats;
pub(crate) mod hotplug;
pub(crate) mod import_from;
pub(crate) mod inside;
pub(crate) mod keys;
pub(crate) mod local;
pub(crate) mod machine;
pub(crate) mod network;
pub(crate) mod patterns;
pub(crate) mod pending;
pub(crate) mod property;
pub(crate) mod size;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod vmstate;
pub(crate) mod volids;
pub(crate) mod warnings;
pub(crate) mod written;
