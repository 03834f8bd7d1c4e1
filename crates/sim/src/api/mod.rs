//! The API: a table of endpoints, and what happens between a request and its handler.
//!
//! An [`Endpoint`](endpoint::Endpoint) is data: method, path, parameters, permission, handler. One
//! file per group of paths; [`router::Router`] collects them.

mod absent;
mod access;
mod agent;
mod appliances;
mod backup_jobs;
pub(crate) mod backup_options;
#[cfg(test)]
mod backup_tests;
mod bulk;
pub(crate) mod call;
mod capabilities;
pub(crate) mod carried;
mod cluster;
mod cluster_info;
mod cluster_options;
mod console;
#[cfg(test)]
mod coverage;
mod create;
pub(crate) mod dispatch;
mod empty;
pub(crate) mod endpoint;
mod file_restore;
pub(crate) mod guest_checks;
mod ha_resources;
mod ha_rules;
mod ha_status;
mod indexes;
mod inside;
pub(crate) mod mapping;
pub(crate) mod methods;
pub(crate) mod names;
mod node;
mod node_config;
mod node_info;
pub(crate) mod params;
pub(crate) mod permission;
mod pools;
mod qemu_clone;
mod qemu_cloudinit;
mod qemu_config;
mod qemu_console;
pub(crate) mod qemu_disk;
mod qemu_list;
mod qemu_migrate;
mod qemu_power;
mod qemu_snapshot;
pub(crate) mod quorum;
pub(crate) mod refusal;
mod replication;
mod resources;
pub(crate) mod router;
mod rrd;
mod schedule;
mod services;
#[cfg(test)]
mod snapshot_tests;
mod storage;
mod storage_content;
pub(crate) mod storage_files;
pub(crate) mod storage_prune;
mod storage_scan;
mod storage_status;
mod tasks;
#[cfg(test)]
mod tests;
pub(crate) mod unsimulated;
mod user_config;
mod user_permission;
mod vzdump;

pub(crate) use ha_resources::motion_info;
pub(crate) use inside::Inside;
