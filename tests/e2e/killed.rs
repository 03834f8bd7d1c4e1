//! `pvx apply` that is killed with SIGKILL after some number of writes, with and without losing its
//! state, and run again: always the same cluster, no guest twice, nothing left behind.

use std::time::{Duration, Instant};

use pvx_sim::TimeScale;

use crate::environment::{Environment, Run};
use crate::served::Served;

/// Node-local storage: each guest is cloned, migrated, configured, grown and started.
const PROFILE: &str = "name: web\ntype: generic\ntemplate: debian-13-local\nstorage: local-lvm\n\
    tags: [web]\nnodes:\n  controlplane: { count: 3, cores: 1, memory: 512, disk: 6G, \
    start_vmid: auto, placement: spread }\n";

fn run(environment: &Environment, served: &Served, args: &[&str]) -> Run {
    let output = environment.command(args).envs(served.variables()).output().unwrap();
    Run::of(&output)
}

/// Begins an apply and kills it when the cluster has seen so many writes.
fn kill_after(environment: &Environment, served: &Served, writes: usize) {
    kill(environment, served, &["apply", "--yes", "web.yaml"], writes);
}

/// Begins a run and kills it when the cluster has seen so many writes in all.
fn kill(environment: &Environment, served: &Served, args: &[&str], writes: usize) {
    let mut child = environment
        .command(args)
        .envs(served.variables())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    while served.sim.requests().iter().filter(|r| r.write).count() < writes {
        assert!(Instant::now() < patience, "it never wrote {writes} times");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn check(writes: usize, lose_state: bool) {
    let served = Served::start(TimeScale::times(20.0));
    let environment = Environment::new();
    environment.write("web.yaml", PROFILE);
    kill_after(&environment, &served, writes);
    if lose_state {
        std::fs::remove_dir_all(environment.path("state")).unwrap();
    }
    // Without state a task of the killed run can still be at work on a guest: then that guest is
    // left alone, and the next run finds it at rest.
    let first = run(&environment, &served, &["apply", "--yes", "web.yaml"]);
    if first.code != 0 {
        assert!(lose_state && first.code == 3, "{}{}", first.stdout, first.stderr);
        run(&environment, &served, &["apply", "--yes", "web.yaml"]).expect(0);
    }
    run(&environment, &served, &["plan", "--detailed-exitcode", "web.yaml"]).expect(0);
    let world = served.sim.world();
    let nodes: Vec<_> =
        world.guests().filter(|g| g.vmid >= 1000).map(|g| (g.vmid, g.node.clone())).collect();
    let expected = [(1000, "pve1"), (1001, "pve2"), (1002, "pve3")].map(|(v, n)| (v, n.to_owned()));
    assert_eq!(nodes, expected, "after {writes} writes, state lost: {lose_state}");
    run(&environment, &served, &["destroy", "--yes", "web.yaml"]).expect(0);
    assert!(served.sim.world().guests().all(|guest| guest.vmid < 1000));
    served.stop();
}

#[test]
fn any_number_of_writes_before_the_kill() {
    for writes in [1, 3, 5, 7, 9, 12, 14] {
        check(writes, false);
    }
}

#[test]
fn the_state_is_lost_too() {
    for writes in [2, 4, 6, 8, 11, 13] {
        check(writes, true);
    }
}

/// A guest with a disk that outlives it.
const KEEPING: &str = "kind: vm\nname: gitea\nvmid: 1500\nnode: pve1\ntemplate: debian-13\n\
    storage: shared\ndisks:\n  scsi2: { size: 5G, storage: local-lvm, keep: true }\n";

/// A replacement shuts down, makes the keeper, hands over, removes, clones, configures, hands back,
/// opens and removes the keeper, starts: ten writes. Wherever it is killed, the next apply has the
/// guest with its disk, and no keeper.
#[test]
fn a_kept_disk_survives_any_number_of_writes_before_the_kill() {
    for (writes, lose_state) in
        [(2, true), (3, false), (4, true), (6, false), (7, true), (8, false)]
    {
        let served = Served::start(TimeScale::times(20.0));
        let environment = Environment::new();
        environment.write("gitea.yaml", KEEPING);
        run(&environment, &served, &["apply", "--yes", "gitea.yaml"]).expect(0);
        let before = served.sim.requests().iter().filter(|r| r.write).count();
        let replace = ["apply", "--yes", "--replace", "vm/gitea", "gitea.yaml"];
        kill(&environment, &served, &replace, before + writes);
        if lose_state {
            std::fs::remove_dir_all(environment.path("state")).unwrap();
        }
        for _ in 0..3 {
            if run(&environment, &served, &["apply", "--yes", "gitea.yaml"]).code == 0 {
                break;
            }
        }
        run(&environment, &served, &["plan", "--detailed-exitcode", "gitea.yaml"]).expect(0);
        let world = served.sim.world();
        let disks: Vec<_> = world
            .guests()
            .filter(|guest| guest.vmid >= 1000)
            .map(|guest| (guest.vmid, guest.config["scsi2"].clone()))
            .collect();
        let expected = "local-lvm:vm-1500-disk-0,size=5G".to_owned();
        assert_eq!(disks, [(1500, expected)], "after {writes} writes, state lost: {lose_state}");
        drop(world);
        served.stop();
    }
}
