//! Random calls of every endpoint: nothing panics, and the world stays whole.

use proptest::prelude::*;

use super::dispatch::{Request, dispatch};
use super::endpoint::Method;
use super::params::Params;
use super::router::TABLES;
use crate::clock::Moment;
use crate::guest::drive::drives;
use crate::world::World;
use crate::world::access::Caller;
use crate::world::volumes::split_volid;

/// Values that mean something somewhere.
const VALUES: &[&str] = &[
    "1",
    "0",
    "",
    "100",
    "101",
    "102",
    "200",
    "201",
    "pve1",
    "pve2",
    "nosuch",
    "shared",
    "local-lvm",
    "local",
    "shared:1",
    "local-lvm:1",
    "shared:cloudinit",
    "none,media=cdrom",
    "scsi0",
    "scsi1",
    "net0,scsi0",
    "+1G",
    "9G",
    "virtio,bridge=vmbr0",
    "order=scsi0",
    "raw",
    "qcow2",
    "-5",
    "ü",
    "a,b;c",
    "%41",
    ",",
    "=",
    "shared:",
    ":x",
    "shared:100/base-100-disk-0.raw",
    "shared:0,import-from=shared:import/debian-13-cloud.qcow2",
    "/etc/passwd",
    "UPID:pve1:00000001:00000001:00000001:x:1:root@pam:",
    "root@pam",
    "iso/debian-13.iso",
    "user",
    "unused0",
    "snap",
];
/// Parameters that endpoints share.
const NAMES: &[&str] = &[
    "scsi0",
    "scsi2",
    "ide2",
    "net0",
    "memory",
    "cores",
    "delete",
    "revert",
    "force",
    "newid",
    "target",
    "storage",
    "full",
    "disk",
    "size",
    "idlist",
    "timeout",
    "start",
    "name",
    "tags",
    "boot",
    "format",
    "type",
    "purge",
    "limit",
    "online",
    "with-local-disks",
    "vmid",
    "path",
    "roles",
    "users",
    "content",
    "description",
    "protection",
    "snapname",
    "vmstate",
    "todisk",
];

fn call() -> impl Strategy<Value = (usize, Vec<usize>, Vec<(usize, usize)>)> {
    let in_path = proptest::collection::vec(0..VALUES.len(), 4);
    let others = proptest::collection::vec((0..NAMES.len(), 0..VALUES.len()), 0..4);
    (0..1000usize, in_path, others)
}

/// Mostly what exists, so that calls get far.
fn path_value(name: &str, pick: usize) -> String {
    match (name, pick % 4) {
        ("node", 0..=2) => "pve1".to_owned(),
        ("vmid", number @ 0..=2) => ["100", "102", "200"][number].to_owned(),
        ("storage", 0..=2) => "shared".to_owned(),
        ("snapname", 0..=2) => "snap".to_owned(),
        _ => VALUES[pick].to_owned(),
    }
}

fn perform(
    world: &mut World,
    now: i64,
    (pick, path, others): (usize, Vec<usize>, Vec<(usize, usize)>),
) {
    let all: Vec<_> = TABLES.iter().copied().flatten().collect();
    let endpoint = all[pick % all.len()];
    let frees = ["/storage/{storage}", "/nodes/{node}/storage/{storage}/content/{*volume}"];
    if frees.contains(&endpoint.path) && endpoint.method == Method::Delete {
        // As the real server, it frees what a guest still names.
        return;
    }
    let mut params = Params::default();
    let names =
        endpoint.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    for (name, pick) in names.zip(path) {
        let name = name.trim_start_matches('*');
        params.0.insert(name.to_owned(), path_value(name, pick));
    }
    for (name, value) in others {
        let name = NAMES[name];
        if endpoint.kind(name).is_some() && !endpoint.in_path(name) {
            params.0.insert(name.to_owned(), VALUES[value].to_owned());
        }
    }
    if endpoint.path.ends_with("/clone") {
        params.0.entry("newid".to_owned()).or_insert_with(|| "200".to_owned());
    }
    let caller = Ok(Caller { authid: "root@pam".to_owned() });
    let moment = Moment { now, instant: true };
    let _ = dispatch(world, &Request { endpoint, params, caller }, moment, "AB");
    crate::work::run_due(world, moment);
}

/// Every disk of a guest has a volume where the guest lives.
fn whole(world: &World) -> Result<(), String> {
    for guest in world.guests() {
        for (key, drive) in drives(guest) {
            let file = drive.file();
            if split_volid(file).is_some() && world.volume(&guest.node, file).is_none() {
                return Err(format!("{} {key}: {file} is nowhere", guest.vmid));
            }
        }
        // Who is suspended to disk is locked until it goes on, and its state is there.
        let asleep = guest.get("lock") == Some("suspended") && guest.running.is_none();
        let state = guest.get("vmstate").and_then(|volid| world.volume(&guest.node, volid));
        if guest.get("lock").is_some() && !(asleep && state.is_some()) {
            return Err(format!("{} stays locked", guest.vmid));
        }
    }
    let running = world.tasks().filter(|task| task.running()).count();
    if running == 0 { Ok(()) } else { Err(format!("{running} tasks do not end")) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn random_calls_leave_a_whole_world(calls in proptest::collection::vec(call(), 1..40)) {
        let mut world = World::lab();
        for (step, one) in calls.into_iter().enumerate() {
            perform(&mut world, 1_790_000_000_000 + step as i64 * 1000, one);
            let found = whole(&world);
            prop_assert!(found.is_ok(), "{found:?}");
        }
    }
}
