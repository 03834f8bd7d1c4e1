//! Snapshots while they are under way: locks, states, interrupts and times, on sim time alone.

use super::rollback::Rollback;
use super::snapshot::Snapshot;
use super::snapshot_delete::DeleteSnapshot;
use super::{Work, fork, next_due, run_due, stop};
use crate::clock::Moment;
use crate::world::World;
use crate::world::guest::{Guest, Running};
use crate::world::lock::LockName;
use crate::world::storage::Volume;

const DISK: &str = "shared:200/vm-200-disk-0.qcow2";

fn at(now: i64) -> Moment {
    Moment { now, instant: false }
}

fn world(running: bool) -> World {
    let mut world = World::truth();
    world.tasks = crate::world::task::Tasks::default();
    let drive = format!("{DISK},size=1G");
    let mut guest = Guest::new(200, "pve1", &[("memory", "256"), ("scsi0", &drive)]);
    if running {
        guest.running = Some(Running { since_ms: 0, booted_ms: None, pid: 1, paused: false });
    }
    world.add_guest(guest);
    let content = "images".to_owned();
    let volume = Volume { content, size: 1 << 30, vmid: Some(200), ..Volume::default() };
    world.add_volume("pve1", DISK, volume);
    world
}

fn start(world: &mut World, now: i64, work: Work) {
    fork(world, at(now), "pve1", "qmsnapshot", "200", "root@pam", work);
    run_due(world, at(now));
}

/// Runs until nothing is left; the sim time at the end.
fn settle(world: &mut World, mut now: i64) -> i64 {
    while let Some(due) = next_due(world) {
        now = due.max(now);
        run_due(world, at(now));
    }
    now
}

fn snapshot(name: &str, ram: bool) -> Work {
    Work::Snapshot(Snapshot::new(200, name, ram, None))
}

fn exits(world: &World) -> Vec<&str> {
    world.tasks().filter_map(crate::Task::exit).collect()
}

/// The guest's lock, and the state of a snapshot.
fn state<'a>(world: &'a World, name: &str) -> (Option<&'a str>, Option<&'a str>) {
    let guest = world.guest(200).unwrap();
    let section = guest.snapshots.get(name);
    let snapstate = section.and_then(|section| section.get("snapstate"));
    (guest.get("lock"), snapstate.map(String::as_str))
}

#[test]
fn a_snapshot_under_way_is_seen_and_locks() {
    let mut world = world(true);
    start(&mut world, 0, snapshot("one", true));
    run_due(&mut world, at(500));
    assert_eq!(state(&world, "one"), (Some("snapshot"), Some("prepare")));
    let guest = world.guest(200).unwrap();
    assert_eq!(guest.get("parent"), None);
    assert!(guest.snapshots["one"].contains_key("vmstate"));
    // The lock is the property: the file itself can be locked.
    assert!(world.locks.free(&LockName::Config(200), true, None));
    start(&mut world, 500, snapshot("two", false));
    start(&mut world, 500, Work::DeleteSnapshot(DeleteSnapshot::new(200, "one", false)));
    let end = settle(&mut world, 500);
    assert_eq!(exits(&world), ["OK", "VM is locked (snapshot)", "VM is locked (snapshot)"]);
    assert_eq!((end, state(&world, "one")), (1200, (None, None)));
    assert_eq!(world.guest(200).unwrap().get("parent"), Some("one"));
}

#[test]
fn an_interrupted_snapshot_leaves_nothing() {
    for now in [0, 500, 1000, 1100] {
        let mut world = world(true);
        let before = world.guest(200).unwrap().config.clone();
        start(&mut world, 0, snapshot("one", true));
        run_due(&mut world, at(now));
        let task = world.tasks.active()[0];
        stop(&mut world, at(now), task);
        assert_eq!(exits(&world), ["received interrupt"]);
        let guest = world.guest(200).unwrap();
        assert_eq!((&guest.config, guest.snapshots.len()), (&before, 0), "at {now}");
        assert_eq!(world.volumes_on("shared", "pve1").filter(|(_, v)| v.vmid.is_some()).count(), 1);
        assert!(world.volume("pve1", DISK).unwrap().snapshots.is_empty());
    }
}

#[test]
fn an_interrupted_removal_or_rollback_leaves_the_guest_locked() {
    for (work, lock) in [
        (Work::DeleteSnapshot(DeleteSnapshot::new(200, "one", false)), "snapshot-delete"),
        (Work::Rollback(Rollback { vmid: 200, name: "one".to_owned(), start: false }), "rollback"),
    ] {
        let mut world = world(false);
        start(&mut world, 0, snapshot("one", false));
        assert_eq!(settle(&mut world, 0), 200);
        start(&mut world, 1000, work);
        assert_eq!(state(&world, "one").0, Some(lock));
        let task = world.tasks.active()[0];
        stop(&mut world, at(1100), task);
        let snapstate = (lock == "snapshot-delete").then_some("delete");
        assert_eq!(state(&world, "one"), (Some(lock), snapstate));
        let remedy = |world: &mut World| {
            world.guest_mut(200).unwrap().config.remove("lock");
        };
        remedy(&mut world);
        start(&mut world, 2000, Work::DeleteSnapshot(DeleteSnapshot::new(200, "one", true)));
        settle(&mut world, 2000);
        assert_eq!(exits(&world).last(), Some(&"OK"));
    }
}

#[test]
fn removal_waits_for_the_migration_lock_unless_forced() {
    let mut world = world(false);
    for (now, name) in [(0, "one"), (500, "two")] {
        start(&mut world, now, snapshot(name, false));
        settle(&mut world, now);
    }
    let lock = LockName::Migration(200);
    assert!(world.locks.take(&lock, true, 999));
    start(&mut world, 1000, Work::DeleteSnapshot(DeleteSnapshot::new(200, "one", false)));
    start(&mut world, 1000, Work::DeleteSnapshot(DeleteSnapshot::new(200, "two", true)));
    let rollback = Rollback { vmid: 200, name: "one".to_owned(), start: false };
    start(&mut world, 1000, Work::Rollback(rollback));
    assert_eq!(settle(&mut world, 1000), 11_000);
    let file = "/var/lock/pve-manager/pve-migrate-200";
    assert_eq!(
        exits(&world)[2..],
        [
            "Failed to obtain guest migration lock - replication running?",
            "OK",
            &format!("can't lock file '{file}' - got timeout"),
        ]
    );
}

#[test]
fn a_rollback_stops_the_guest_and_starts_what_was_saved() {
    let mut world = world(true);
    start(&mut world, 0, snapshot("one", true));
    settle(&mut world, 0);
    let rollback = || Rollback { vmid: 200, name: "one".to_owned(), start: true };
    start(&mut world, 10_000, Work::Rollback(rollback()));
    run_due(&mut world, at(11_200));
    assert_eq!(state(&world, "one").0, Some("rollback"));
    assert!(world.guest(200).unwrap().running.is_none());
    let end = settle(&mut world, 11_200);
    assert_eq!(end, 10_000 + 1200 + 200 + 850);
    assert!(world.guest(200).unwrap().running.is_some());
    // The saved RAM started it: there is no other task for that.
    assert_eq!(exits(&world), ["OK", "OK"]);
}

#[test]
fn a_volume_that_is_gone_undoes_the_snapshot() {
    let mut world = world(false);
    let drive = "shared:200/vm-200-disk-1.qcow2,size=1G".to_owned();
    world.guest_mut(200).unwrap().config.insert("scsi1".into(), drive);
    start(&mut world, 0, snapshot("one", false));
    settle(&mut world, 0);
    let path = "/mnt/shared/images/200/vm-200-disk-1.qcow2";
    let command = format!("/usr/bin/qemu-img snapshot -c one {path}");
    assert_eq!(exits(&world), [format!("command '{command}' failed: exit code 1")]);
    let task = world.tasks().next().unwrap();
    assert!(task.log.contains(&"snapshot create failed: starting cleanup".to_owned()));
    let guest = world.guest(200).unwrap();
    assert_eq!((guest.get("lock"), guest.get("unused0"), guest.snapshots.len()), (None, None, 0));
    assert!(world.volume("pve1", DISK).unwrap().snapshots.is_empty());
}
