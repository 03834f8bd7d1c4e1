//! Locks and durations, on sim time alone.

use super::clone::CloneGuest;
use super::{Work, fork, next_due, run_due};
use crate::clock::Moment;
use crate::world::World;
use crate::world::guest::Running;

fn at(now: i64) -> Moment {
    Moment { now, instant: false }
}

fn clone_of(source: u32, vmid: u32, full: bool) -> Work {
    Work::Clone(CloneGuest { source, vmid, full, ..CloneGuest::default() })
}

/// Runs until nothing is left; the sim time at the end.
fn settle(world: &mut World, mut now: i64) -> i64 {
    run_due(world, at(now));
    while let Some(due) = next_due(world) {
        assert!(due >= now, "time goes on");
        now = due;
        run_due(world, at(now));
    }
    now
}

fn exits(world: &World) -> Vec<&str> {
    world.tasks().filter_map(crate::Task::exit).collect()
}

#[test]
fn linked_clones_share_the_source_and_queue_for_the_storage() {
    let mut world = World::lab();
    for vmid in 200..220 {
        fork(&mut world, at(0), "pve1", "qmclone", "100", "a@pve", clone_of(100, vmid, false));
    }
    let end = settle(&mut world, 0);
    assert!(exits(&world).iter().all(|exit| *exit == "OK"), "{:?}", exits(&world));
    assert!((2000..10_000).contains(&end), "{end}");
}

#[test]
fn too_many_parallel_clones_wait_too_long() {
    let mut world = World::lab();
    for vmid in 200..400 {
        fork(&mut world, at(0), "pve1", "qmclone", "100", "a@pve", clone_of(100, vmid, false));
    }
    settle(&mut world, 0);
    let exits = exits(&world);
    let failed: Vec<&&str> = exits.iter().filter(|exit| **exit != "OK").collect();
    assert!(!failed.is_empty() && failed.len() < 200, "{}", failed.len());
    assert_eq!(
        *failed[0],
        "clone failed: cfs-lock 'storage-shared' error: got lock request timeout"
    );
    assert_eq!(world.guests().count(), 3 + 200 - failed.len(), "a failed clone leaves no guest");
    let left = world
        .volumes_on("shared", "pve1")
        .filter(|(_, volume)| volume.vmid.is_some_and(|vmid| world.guest(vmid).is_none()));
    assert_eq!(left.count(), 0, "nor a volume");
}

#[test]
fn a_running_source_is_cloned_by_one_at_a_time() {
    let mut world = World::lab();
    fork(&mut world, at(0), "pve1", "qmclone", "100", "a@pve", clone_of(100, 200, true));
    settle(&mut world, 0);
    let running = Running { since_ms: 0, booted_ms: None, pid: 1, paused: false };
    world.guest_mut(200).unwrap().running = Some(running);
    let disk = "shared:200/vm-200-disk-0.raw";
    world.volume_mut("pve1", disk).unwrap().used = 4 << 30;
    for vmid in [201, 202] {
        fork(&mut world, at(100_000), "pve1", "qmclone", "200", "a@pve", clone_of(200, vmid, true));
    }
    let end = settle(&mut world, 100_000);
    let wanted = "can't lock file '/var/lock/qemu-server/lock-200.conf' - got timeout";
    assert_eq!(exits(&world), ["OK", "OK", wanted]);
    assert!(end >= 104_000, "4 GiB take 4 s: {end}");
}
