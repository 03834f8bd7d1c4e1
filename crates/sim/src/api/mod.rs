//! The API: a table of endpoints, and what happens between a request and its handler.
//!
//! An [`Endpoint`](endpoint::Endpoint) is data: method, path, parameters, permission, handler. One
//! file per group of paths; [`router::Router`] collects them.

mod access;
mod agent;
pub(crate) mod call;
mod cluster;
mod create;
pub(crate) mod dispatch;
pub(crate) mod endpoint;
pub(crate) mod guest_checks;
pub(crate) mod names;
mod node;
pub(crate) mod params;
pub(crate) mod permission;
mod pools;
mod qemu_clone;
mod qemu_cloudinit;
mod qemu_config;
pub(crate) mod qemu_disk;
mod qemu_list;
mod qemu_migrate;
mod qemu_power;
mod qemu_snapshot;
pub(crate) mod refusal;
mod resources;
pub(crate) mod router;
mod storage;
mod tasks;
#[cfg(test)]
mod tests;
mod user_config;
mod user_permission;
