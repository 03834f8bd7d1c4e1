//! Random lives of one guest with snapshots: what its configuration names is there, and nothing
//! that holds RAM is left behind.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::dispatch::{Request, dispatch};
use super::endpoint::Method;
use super::router::Router;
use crate::clock::Moment;
use crate::guest::drive::drives;
use crate::world::World;
use crate::world::access::Caller;
use crate::world::guest::Guest;
use crate::world::storage::{Storage, StorageKind};

/// Parameters of a call.
type Pairs = &'static [(&'static str, &'static str)];

/// Calls on guest 200, wherever it is.
const CALLS: &[(Method, &str, Pairs)] = &[
    (Method::Post, "/snapshot", &[("snapname", "aa"), ("vmstate", "1")]),
    (Method::Post, "/snapshot", &[("snapname", "aa")]),
    (Method::Post, "/snapshot", &[("snapname", "bb"), ("description", "x")]),
    (Method::Post, "/snapshot", &[("snapname", "cc"), ("vmstate", "1")]),
    (Method::Post, "/snapshot/aa/rollback", &[]),
    (Method::Post, "/snapshot/bb/rollback", &[("start", "1")]),
    (Method::Post, "/snapshot/cc/rollback", &[]),
    (Method::Delete, "/snapshot/aa", &[]),
    (Method::Delete, "/snapshot/bb", &[("force", "1")]),
    (Method::Delete, "/snapshot/cc", &[]),
    (Method::Put, "/snapshot/aa/config", &[("description", "y")]),
    (Method::Put, "/config", &[("delete", "scsi0")]),
    (Method::Put, "/config", &[("delete", "scsi1"), ("force", "1")]),
    (Method::Put, "/config", &[("delete", "unused0")]),
    (Method::Put, "/config", &[("scsi1", "vmdata:1,format=qcow2")]),
    (Method::Put, "/config", &[("scsi2", "thin:1")]),
    (Method::Put, "/config", &[("ide2", "shared:cloudinit")]),
    (Method::Put, "/config", &[("delete", "ide2")]),
    (Method::Put, "/config", &[("delete", "vmstate")]),
    (Method::Put, "/resize", &[("disk", "scsi0"), ("size", "+1G")]),
    (Method::Post, "/move_disk", &[("disk", "scsi0"), ("storage", "vmdata")]),
    (Method::Post, "/move_disk", &[("disk", "scsi0"), ("storage", "shared"), ("delete", "1")]),
    (Method::Post, "/migrate", &[("target", "pve2")]),
    (Method::Post, "/migrate", &[("target", "pve1"), ("targetstorage", "vmdata")]),
    (Method::Post, "/status/start", &[]),
    (Method::Post, "/status/stop", &[]),
    (Method::Post, "/status/suspend", &[("todisk", "1")]),
    (Method::Post, "/status/resume", &[]),
    (Method::Post, "/clone", &[("newid", "201"), ("snapname", "aa")]),
    (Method::Post, "/template", &[]),
];

fn call(world: &mut World, now: i64, method: Method, path: &str, pairs: &[(&str, &str)]) {
    static ROUTER: LazyLock<Router> = LazyLock::new(Router::new);
    let Some((endpoint, mut params)) = ROUTER.find(method, path) else {
        panic!("{path} is no endpoint");
    };
    let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    params.0.extend(pairs);
    let caller = Ok(Caller { authid: "root@pam".to_owned() });
    let moment = Moment { now, instant: true };
    let _ = dispatch(world, &Request { endpoint, params, caller }, moment, "AB");
    crate::work::run_due(world, moment);
}

fn world() -> World {
    let mut world = World::truth();
    world.add_storage(Storage::new("thin", StorageKind::LvmThin, false, &["images"], 1 << 40));
    let create = [("vmid", "200"), ("memory", "64"), ("scsi0", "shared:1,format=qcow2")];
    call(&mut world, 1, Method::Post, "/nodes/pve1/qemu", &create);
    world
}

/// The volumes with RAM that a guest names.
fn states(guest: &Guest) -> Vec<&String> {
    let sections = guest.snapshots.values().chain([&guest.config]);
    sections.filter_map(|section| section.get("vmstate")).collect()
}

fn whole(world: &World) -> Result<(), String> {
    for guest in world.guests() {
        let place = |volid: &str| world.volume(&guest.node, volid);
        for name in guest.snapshots.keys() {
            let view = guest.at_snapshot(name).unwrap_or_default();
            if view.get("snapstate").is_some() {
                return Err(format!("{name} is not whole"));
            }
            for (key, drive) in drives(&view).iter().filter(|(_, drive)| !drive.is_cdrom()) {
                let found = place(drive.file()).map(|volume| &volume.snapshots);
                if !found.is_some_and(|all| all.iter().any(|found| found.name == *name)) {
                    return Err(format!("{name} {key}: {} has no snapshot", drive.file()));
                }
            }
            let parent = view.get("parent");
            if parent.is_some_and(|parent| !guest.snapshots.contains_key(parent)) {
                return Err(format!("{name} stands on {parent:?}"));
            }
        }
        if let Some(state) = states(guest).into_iter().find(|state| place(state).is_none()) {
            return Err(format!("{state} is nowhere"));
        }
        if guest.get("lock").is_some_and(|lock| lock != "suspended") {
            return Err(format!("{} stays locked", guest.vmid));
        }
    }
    let named: Vec<&String> = world.guests().flat_map(states).collect();
    for volumes in world.volumes.values() {
        let left = volumes.keys().find(|name| {
            name.contains("-state-") && !named.iter().any(|volid| volid.ends_with(*name))
        });
        if let Some(left) = left {
            return Err(format!("{left} is left"));
        }
    }
    let running = world.tasks().filter(|task| task.running()).count();
    if running == 0 { Ok(()) } else { Err(format!("{running} tasks do not end")) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn random_lives_leave_a_whole_guest(picks in proptest::collection::vec(0..CALLS.len(), 1..30)) {
        let mut world = world();
        for (step, pick) in picks.iter().enumerate() {
            let (method, path, pairs) = CALLS[*pick];
            let Some(node) = world.guest(200).map(|guest| guest.node.clone()) else { break };
            let path = format!("/nodes/{node}/qemu/200{path}");
            call(&mut world, 1_790_000_000_000 + step as i64 * 60_000, method, &path, pairs);
            let found = whole(&world);
            prop_assert!(found.is_ok(), "{found:?} after {path} {pairs:?}");
        }
        let Some(node) = world.guest(200).map(|guest| guest.node.clone()) else { return Ok(()) };
        let path = format!("/nodes/{node}/qemu/200");
        call(&mut world, 1_800_000_000_000, Method::Post, &format!("{path}/status/stop"), &[]);
        call(&mut world, 1_800_000_100_000, Method::Delete, &path, &[]);
        prop_assert_eq!(whole(&world), Ok(()));
    }
}
