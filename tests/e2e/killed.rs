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
    let mut child = environment
        .command(&["apply", "--yes", "web.yaml"])
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
