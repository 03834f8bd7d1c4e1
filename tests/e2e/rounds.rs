//! The cluster moves while a plan is carried out: it is planned again, and what still means the same
//! goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pvx_sim::{Fault, Guest, Sim, TimeScale, When};
use serde_json::Value;

use crate::environment::{Environment, Run};
use crate::served::Served;

const PROFILE: &str = "name: web\ntype: generic\ntemplate: debian-13\nclone: linked\ntags: [web]\n\
    nodes:\n  controlplane: { count: 3, cores: 1, memory: 512, disk: 6G, start_vmid: auto }\n";

const VM: &str = "kind: vm\nname: db\nvmid: 1500\nnode: pve1\nstorage: local-lvm\npower: stopped\ncores: 1\n\
    memory: 512\ndisks: { scsi0: 1G }\n";

fn run(environment: &Environment, served: &Served, args: &[&str]) -> Run {
    let output = environment.command(args).envs(served.variables()).output().unwrap();
    Run::of(&output)
}

/// Runs while `meddle` is called with the cluster again and again, until it says that it is done.
fn run_with(
    environment: &Environment,
    served: &Served,
    args: &[&str],
    meddle: impl Fn(&Sim) -> bool + Sync,
) -> Run {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let patience = Instant::now() + Duration::from_secs(60);
            while !over.load(Ordering::Relaxed) && !meddle(&served.sim) {
                assert!(Instant::now() < patience, "there was nothing to meddle with");
                std::thread::yield_now();
            }
        });
        let run = run(environment, served, args);
        over.store(true, Ordering::Relaxed);
        run
    })
}

/// The first request that matches waits so long that the test can do something meanwhile.
fn slow(served: &Served, method: &str, path: &str) {
    let fault = Fault::on(method, path).times(1).latency(1500);
    served.sim.add_fault(fault).unwrap();
}

fn seen(sim: &Sim, method: &str, end: &str) -> bool {
    sim.requests().iter().any(|r| r.method == method && r.path.ends_with(end))
}

fn foreign(sim: &Sim, vmid: u32) {
    sim.edit(|world| {
        world.add_guest(Guest::new(vmid, "pve2", &[("name", "theirs"), ("memory", "256")]));
    });
}

fn set(sim: &Sim, vmid: u32, key: &str, value: &str) {
    sim.edit(|world| {
        let guest = world.guest_mut(vmid).unwrap();
        guest.config.insert(key.to_owned(), value.to_owned());
    });
}

/// The clone of the first guest is slow; meanwhile somebody takes the VMID of the last.
#[test]
fn somebody_takes_a_vmid() {
    let served = Served::start(TimeScale::times(50.0));
    let environment = Environment::new();
    environment.write("web.yaml", PROFILE);
    slow(&served, "GET", "/nodes/*/storage");
    let run = run_with(&environment, &served, &["apply", "--yes", "web.yaml"], |sim| {
        // The list was read; nothing is made yet.
        let read = sim.requests().iter().any(|r| r.path == "/cluster/resources");
        if read {
            foreign(sim, 1002);
        }
        read
    })
    .expect(0);
    let told = "web/cp03: VMID 1002 was taken by another client meanwhile; it becomes 1003";
    let all = run.stderr.clone() + &run.stdout;
    assert!(all.contains(told) || all.contains("1003"), "{all}");
    let world = served.sim.world();
    assert_eq!(world.guest(1002).unwrap().get("name"), Some("theirs"));
    assert_eq!(world.guests().filter(|g| g.vmid >= 1000).count(), 4);
    drop(world);
    run_plan(&environment, &served, "web.yaml");
    served.stop();
}

fn run_plan(environment: &Environment, served: &Served, file: &str) {
    run(environment, served, &["plan", "--detailed-exitcode", file]).expect(0);
}

/// The clone's request itself is refused, because somebody was faster.
#[test]
fn somebody_is_faster() {
    for (start, code) in [("auto", 0), ("1000", 3)] {
        let served = Served::start(TimeScale::times(50.0));
        let environment = Environment::new();
        environment.write("web.yaml", &PROFILE.replace("auto", start));
        // The first clone is held back until the VMID is taken.
        let fault = Fault::on("POST", "/nodes/*/qemu/*/clone").times(1).latency(1500);
        served.sim.add_fault(fault).unwrap();
        let args = ["apply", "--yes", "--parallel", "1", "--format", "json", "web.yaml"];
        let run = run_with(&environment, &served, &args, |sim| {
            let planned = seen(sim, "GET", "/nodes/pve1/storage");
            if planned {
                foreign(sim, 1002);
            }
            planned
        })
        .expect(code);
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(served.sim.world().guest(1002).unwrap().get("name"), Some("theirs"));
        if code == 0 {
            assert_eq!((&report["rounds"], &report["result"]), (&2.into(), &"complete".into()));
            assert!(run.stderr.contains("it becomes 1003"), "{}", run.stderr);
            assert!(report["retried"].as_array().is_some_and(|ids| !ids.is_empty()));
        } else {
            let why = report["left_alone"]["web/cp03"].as_str().unwrap();
            assert!(why.contains("VMID 1002") && why.contains("taken by 'theirs'"), "{why}");
            assert_eq!(report["result"], "failed");
        }
        served.stop();
    }
}

/// Somebody edits the guest between the plan and the write.
#[test]
fn somebody_edits_a_guest() {
    let cases = [
        // The same is left to do.
        ("onboot", "1", 0, None),
        ("cores", "3", 0, None),
        // Something else is.
        ("memory", "1024", 1, Some("memory differs now too")),
    ];
    for (key, value, code, why) in cases {
        let served = Served::start(TimeScale::times(50.0));
        let environment = Environment::new();
        environment.write("db.yaml", VM);
        run(&environment, &served, &["apply", "--yes", "db.yaml"]).expect(0);
        environment.write("db.yaml", &VM.replace("cores: 1", "cores: 2"));
        served.sim.clear_requests();
        // Between the reading for the plan and the one before the write.
        let fault = Fault::on("GET", "/nodes/*/qemu/1500/pending").skip(1).times(1).latency(1500);
        served.sim.add_fault(fault).unwrap();
        let args = ["apply", "--yes", "--format", "json", "db.yaml"];
        let run = run_with(&environment, &served, &args, |sim| {
            let read = seen(sim, "GET", "/qemu/1500/pending");
            if read {
                set(sim, 1500, key, value);
            }
            read
        })
        .expect(code);
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        let world = served.sim.world();
        let guest = world.guest(1500).unwrap();
        match why {
            None => {
                assert_eq!(report["rounds"], 2, "{key}: {}", run.stderr);
                assert_eq!(guest.get("cores"), Some("2"));
            }
            Some(why) => {
                let told = report["left_alone"]["vm/db"].as_str().unwrap();
                assert!(told.contains(why), "{told}");
                assert_ne!(guest.get("cores"), Some("2"));
                assert_eq!(guest.get(key), Some(value));
            }
        }
        drop(world);
        served.stop();
    }
}

/// A saved plan says its VMIDs: another one would be another plan.
#[test]
fn a_saved_plan_keeps_its_vmids() {
    let served = Served::start(TimeScale::times(50.0));
    let environment = Environment::new();
    environment.write("web.yaml", PROFILE);
    run(&environment, &served, &["plan", "--out", "it.plan", "web.yaml"]).expect(0);
    served.sim.clear_requests();
    let fault = Fault::on("POST", "/nodes/*/qemu/*/clone").times(1).latency(1500);
    served.sim.add_fault(fault).unwrap();
    let args = ["apply", "--yes", "--parallel", "1", "--format", "json", "it.plan"];
    let run = run_with(&environment, &served, &args, |sim| {
        let planned = seen(sim, "GET", "/nodes/pve1/storage");
        if planned {
            foreign(sim, 1002);
        }
        planned
    })
    .expect(3);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let why = report["left_alone"]["web/cp03"].as_str().unwrap();
    assert_eq!(why, "it would be guest 1003 now, not 1002");
    served.stop();
}

/// The answer to the clone is lost after its effect, and the run is killed: the next one finds it.
#[test]
fn a_killed_run_is_settled_by_looking() {
    let served = Served::start(TimeScale::times(50.0));
    let environment = Environment::new();
    environment.write("web.yaml", &PROFILE.replace("count: 3", "count: 1"));
    let fault = Fault::on("POST", "/nodes/*/qemu/*/clone").times(1).drops(When::After).latency(400);
    served.sim.add_fault(fault).unwrap();
    let mut child = environment
        .command(&["apply", "--yes", "web.yaml"])
        .envs(served.variables())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    while !served.sim.requests().iter().any(|r| r.write) {
        assert!(Instant::now() < patience, "it never wrote");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let run = run(&environment, &served, &["apply", "--yes", "web.yaml"]).expect(0);
    assert!(run.stderr.contains("clone of web/cp01"), "{}", run.stderr);
    assert!(run.stderr.contains("was cut off: it is done"), "{}", run.stderr);
    assert_eq!(served.sim.world().guests().filter(|g| g.vmid >= 1000).count(), 1);
    run_plan(&environment, &served, "web.yaml");
    served.stop();
}
