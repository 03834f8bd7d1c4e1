//! A simulator of the Proxmox VE API in one process.
//!
//! [`Sim::start`] serves a [`World`] over HTTPS on loopback. Configuration values are kept as the
//! text that Proxmox VE would store, tasks run on a clock of their own ([`TimeScale`]), and what
//! the real server refuses is refused in its words. The recordings of a real cluster
//! (`tests/recordings`) are the measure.
//!
//! | folder | holds |
//! |---|---|
//! | [`mod@world`] | the state: nodes, storages, volumes, guests, users, tasks; files of it |
//! | `server` | sockets, TLS, authentication, the request log, the scheduler of tasks |
//! | `api` | the table of endpoints: path, parameters, permission, handler |
//! | `storage` | what storage types allow, and how they name and refuse |
//! | [`mod@direct`] | the same without sockets, for tests |
//! | `guest` | what a guest's configuration means: keys, property strings, drives, pending |
//! | [`mod@fault`] | faults on demand |
//! | `ha` | high availability: the manager and its agents |
//! | `spec` | world files that people write, and their JSON schema |
//! | `ssh` | the SSH server of each node: logins, channels, scp and sftp |
//! | `shell` | scripts, files and commands of a node |
//! | `work` | the effects of tasks, one file per kind |
//!
//! The crate shares no code with the provider: a shared mistake would cancel itself out in every
//! test.

mod api;
mod calendar;
mod clock;
pub mod direct;
mod error;
pub mod fault;
mod fetch;
mod guest;
mod ha;
mod server;
mod shell;
mod spec;
mod ssh;
mod storage;
mod work;
pub mod world;

pub use clock::TimeScale;
pub use error::SimError;
pub use fault::{Fault, FaultState, When};
pub use server::log::{RequestRecord, RequestTotals};
pub use server::ports::{NodeAddr, NodeOff};
pub use server::{Options, Sim};
pub use spec::{Problem, Problems, schema as world_schema};
pub use ssh::SshAddr;
pub use world::access::{Access, AclEntry, AclKind, Token, User};
pub use world::guest::{Guest, GuestStatus, Running};
pub use world::lab::LabOptions;
pub use world::lock_use::{LockSpan, LockTotals};
pub use world::node::{Bridge, Node};
pub use world::storage::{Storage, StorageKind, Volume, VolumeSnapshot};
pub use world::task::{Task, TaskState};
pub use world::urls::UrlAnswer;
pub use world::{WORLD_VERSION, World};
