//! Locks and durations, on sim time alone.

use super::clone::CloneGuest;
use super::{Work, fork, next_due, run_due};
use crate::clock::Moment;
use crate::world::World;
use crate::world::guest::{Guest, Running};

fn at(now: i64) -> Moment {
    Moment { now, instant: false }
}

fn clone_of(source: u32, vmid: u32, full: bool) -> Work {
    Work::Clone(Box::new(CloneGuest { source, vmid, full, ..CloneGuest::default() }))
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
        let mut work = clone_of(200, vmid, true);
        if let Work::Clone(clone) = &mut work {
            clone.running = true;
        }
        fork(&mut world, at(100_000), "pve1", "qmclone", "200", "a@pve", work);
    }
    let end = settle(&mut world, 100_000);
    let wanted = "can't lock file '/var/lock/qemu-server/lock-200.conf' - got timeout";
    assert_eq!(exits(&world), ["OK", "OK", wanted]);
    assert!(end >= 104_000, "4 GiB take 4 s: {end}");
}

/// Keys of a guest's configuration at a point in sim time.
fn keys(world: &World, vmid: u32) -> Vec<&str> {
    let guest = world.guest(vmid).unwrap();
    guest.config.keys().map(String::as_str).collect()
}

/// Every configuration that a guest has until nothing is left to do, each once.
fn shapes(world: &mut World, vmid: u32) -> Vec<Guest> {
    let mut seen: Vec<Guest> = Vec::new();
    let mut now = 0;
    loop {
        run_due(world, at(now));
        let shape = world.guest(vmid).cloned();
        let known = |guest: &Guest| seen.last().is_some_and(|last| last.config == guest.config);
        if let Some(guest) = shape.filter(|guest| !known(guest)) {
            seen.push(guest);
        }
        let Some(due) = next_due(world) else { return seen };
        now = due;
    }
}

#[test]
fn a_clone_is_a_temporary_file_until_its_first_disk_is_copied() {
    let mut world = World::lab();
    let clone = CloneGuest {
        source: 100,
        vmid: 200,
        name: Some("web".to_owned()),
        description: Some("note".to_owned()),
        full: true,
        ..CloneGuest::default()
    };
    fork(&mut world, at(0), "pve1", "qmclone", "100", "a@pve", Work::Clone(Box::new(clone)));
    let shapes = shapes(&mut world, 200);
    let [temporary, first, whole] = shapes.as_slice() else { panic!("{shapes:#?}") };
    assert_eq!(temporary.text(), "# qmclone temporary file\nlock: clone\n");
    assert_eq!(temporary.name(), "VM 200");
    let drives = |guest: &Guest| ["scsi0", "scsi1"].map(|key| guest.get(key).is_some());
    for (guest, expected) in [(first, [true, false]), (whole, [true; 2])] {
        assert_eq!(drives(guest), expected);
        assert_eq!((guest.get("name"), guest.get("description")), (Some("web"), Some("note")));
        assert!(guest.get("net0").is_some() && guest.get("smbios1").is_some());
    }
    assert_eq!((first.get("lock"), whole.get("lock")), (Some("clone"), None));
}

#[test]
fn the_first_disk_is_there_when_its_bytes_are() {
    let mut world = World::lab();
    let disk = "shared:100/base-100-disk-0.raw";
    world.volume_mut("pve1", disk).unwrap().used = 4 << 30;
    fork(&mut world, at(0), "pve1", "qmclone", "100", "a@pve", clone_of(100, 200, true));
    let mut now = 0;
    run_due(&mut world, at(now));
    while let Some(due) = next_due(&world).filter(|due| *due < 4000) {
        now = due;
        run_due(&mut world, at(now));
        if world.guest(200).is_some() {
            assert_eq!(keys(&world, 200), ["description", "lock"], "at {now}");
        }
    }
    settle(&mut world, now);
    assert!(keys(&world, 200).contains(&"scsi0") && !keys(&world, 200).contains(&"lock"));
}

#[test]
fn an_empty_description_leaves_the_source_s() {
    let mut world = World::lab();
    world.guest_mut(100).unwrap().config.insert("description".into(), "theirs".into());
    let clone = CloneGuest {
        source: 100,
        vmid: 200,
        description: Some(String::new()),
        ..CloneGuest::default()
    };
    fork(&mut world, at(0), "pve1", "qmclone", "100", "a@pve", Work::Clone(Box::new(clone)));
    settle(&mut world, 0);
    assert_eq!(world.guest(200).unwrap().get("description"), Some("theirs"));
}

#[test]
fn a_guest_from_nothing_is_only_locked_until_its_disks_exist() {
    let mut world = World::lab();
    let set = [("name", "web"), ("tags", "a"), ("scsi0", "shared:1"), ("scsi1", "shared:1")];
    let set = set.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    world.add_guest(Guest::new(200, "pve1", &[("lock", "create")]));
    let work = Work::Create(super::create::Create::new(200, set, false, None));
    fork(&mut world, at(0), "pve1", "qmcreate", "200", "root@pam", work);
    let shapes = shapes(&mut world, 200);
    let [locked, whole] = shapes.as_slice() else { panic!("{shapes:#?}") };
    assert_eq!((locked.text().as_str(), locked.name().as_str()), ("lock: create\n", "VM 200"));
    assert_eq!((whole.get("lock"), whole.get("name")), (None, Some("web")));
    assert!(whole.get("scsi0").is_some() && whole.get("scsi1").is_some());
}
