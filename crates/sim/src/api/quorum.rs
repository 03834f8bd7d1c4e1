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

use super::call::Call;
use super::endpoint::{Endpoint, Method};
use super::refusal::Refusal;
use crate::world::World;
use crate::world::guest::Guest;
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
    /// The configuration of the guest in the path, once all is checked.
    Guest,
    /// The same, if there is anything to change.
    GuestChanges,
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
pub(crate) fn guard(world: &World, endpoint: &Endpoint) -> Result<(), Refusal> {
    if world.quorate() {
        return Ok(());
    }
    let writes = match endpoint.writes {
        Writes::Usual => usual(endpoint),
        writes => writes,
    };
    match writes {
        Writes::Checked => check(world),
        Writes::Locked(file, failed) => lock(world, &file_lock(file), failed),
        Writes::Usual | Writes::Own | Writes::Guest | Writes::GuestChanges => Ok(()),
    }
}

/// What becomes of a request that writes a guest's configuration: its own refusal, or that this
/// cannot be written. To know that, it is tried on a copy of the world.
pub(crate) fn rehearse(endpoint: &Endpoint, call: &Call<'_>) -> Result<(), Refusal> {
    let always = match endpoint.writes {
        Writes::Guest => true,
        Writes::GuestChanges => false,
        _ => return Ok(()),
    };
    if call.world.quorate() {
        return Ok(());
    }
    let (node, vmid) = (call.node(), call.vmid());
    let mut world = call.world.clone();
    let mut trial = Call {
        world: &mut world,
        params: call.params.clone(),
        caller: call.caller.clone(),
        moment: call.moment,
        fingerprint: call.fingerprint,
    };
    match (endpoint.handler)(&mut trial) {
        // Work that takes its time meets the same when it writes.
        Err(Refusal::Carried(_)) => return Ok(()),
        outcome => outcome?,
    };
    let digest = |world: &World| world.guest(vmid).map(Guest::digest);
    if always || digest(&world) != digest(call.world) {
        return Err(Refusal::die(crate::work::not_writable(&node, vmid)));
    }
    Ok(())
}

/// Storages live in one file; most changes to guests are tasks.
fn usual(endpoint: &Endpoint) -> Writes {
    let failed = match (endpoint.method, endpoint.path) {
        (Method::Post, "/storage") => "create storage failed",
        (Method::Put, "/storage/{storage}") => "update storage failed",
        (Method::Delete, "/storage/{storage}") => "delete storage failed",
        _ => return Writes::Own,
    };
    Writes::Locked("storage.cfg", failed)
}
