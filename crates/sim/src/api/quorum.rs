//! Without quorum the cluster's file system cannot be written. How that shows depends on how
//! something is written, never on what:
//!
//! | kind | where in Proxmox VE | shows as |
//! |---|---|---|
//! | checked | `check_cfs_quorum` before anything else | `cluster not ready - no quorum?`, at once |
//! | locked | `cfs_lock_file`, `cfs_lock_domain`, `cfs_lock_storage` | `cfs-lock '…' error: no quorum!`, after 10 s |
//! | plain | a guest's configuration, under its own local lock | `unable to open file '….conf.tmp.…' - Permission denied`, at once |
//! | task | a worker that meets one of the others | the task fails with that text |
//!
//! Handlers that know better ask by themselves ([`super::call::Call::check_quorum`],
//! [`super::call::Call::cfs_lock`]); for the rest [`guard`] stands before the handler.

use super::endpoint::{Endpoint, Method};
use super::params::Params;
use super::refusal::Refusal;
use crate::world::World;
use crate::world::lock::LockName;

/// Milliseconds for which a cluster-wide lock is tried.
const LOCK_MS: i64 = 9_900;

/// How an endpoint writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writes {
    /// What the group of paths is known for.
    Usual,
    /// Nothing, or its handler asks by itself.
    Own,
    /// Checked first.
    Checked,
    /// Under the lock of a file (`user.cfg`), with what stands before the error.
    Locked(&'static str, &'static str),
    /// The configuration of the guest in the path.
    Guest,
}

/// `check_cfs_quorum`.
pub(crate) fn check(world: &World) -> Result<(), Refusal> {
    if world.quorate() { Ok(()) } else { Err(Refusal::die("cluster not ready - no quorum?")) }
}

/// What waiting for a cluster-wide lock comes to.
pub(crate) fn lock(world: &World, lock: &str, failed: &str) -> Result<(), Refusal> {
    if world.quorate() {
        return Ok(());
    }
    let lock = LockName::NoQuorum { file: lock.to_owned(), what: failed.to_owned() };
    Err(Refusal::Blocked { lock, wait_ms: LOCK_MS, before: String::new() })
}

/// The lock of a file.
fn file_lock(name: &str) -> String {
    format!("file-{}", name.replace(['.', '/'], "_"))
}

/// Refuses what an endpoint cannot write.
pub(crate) fn guard(world: &World, endpoint: &Endpoint, params: &Params) -> Result<(), Refusal> {
    if world.quorate() {
        return Ok(());
    }
    let writes = match endpoint.writes {
        Writes::Usual => usual(endpoint),
        writes => writes,
    };
    match writes {
        Writes::Usual | Writes::Own => Ok(()),
        Writes::Checked => check(world),
        Writes::Locked(file, failed) => lock(world, &file_lock(file), failed),
        Writes::Guest => {
            let vmid = params.get("vmid").and_then(|text| text.parse().ok()).unwrap_or(0);
            let node = params.get("node").unwrap_or_default();
            Err(Refusal::die(crate::work::not_writable(node, vmid)))
        }
    }
}

/// Storages live in one file; changes to guests are tasks, or write the guest's configuration.
fn usual(endpoint: &Endpoint) -> Writes {
    let failed = match (endpoint.method, endpoint.path) {
        (Method::Put, "/nodes/{node}/qemu/{vmid}/config") => return Writes::Guest,
        (Method::Post, "/storage") => "create storage failed",
        (Method::Put, "/storage/{storage}") => "update storage failed",
        (Method::Delete, "/storage/{storage}") => "delete storage failed",
        _ => return Writes::Own,
    };
    Writes::Locked("storage.cfg", failed)
}
