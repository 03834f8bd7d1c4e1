//! A run that fails takes back what it changed: guests that it made, where documents say so, or
//! everything, when the user says so.

use std::collections::BTreeMap;

use pvx_sim::{Fault, Guest, TimeScale, World};
use serde_json::Value;

use crate::environment::{Environment, Run, check_plan};
use crate::served::Served;

struct Lab {
    served: Served,
    folder: Environment,
}

/// What is compared of a world: node, power and configuration of each guest.
type Picture = BTreeMap<u32, (String, BTreeMap<String, String>)>;

impl Lab {
    fn new() -> Self {
        let mut world = World::lab();
        // Somebody else's, among ours.
        let config = [("name", "theirs"), ("tags", "theirs"), ("memory", "256")];
        world.add_guest(Guest::new(1001, "pve2", &config));
        Self { served: Served::with(world, TimeScale::INSTANT), folder: Environment::new() }
    }

    fn pvx(&self, args: &[&str]) -> Run {
        let output = self.folder.command(args).envs(self.served.variables()).output().unwrap();
        Run::of(&output)
    }

    fn apply(&self, more: &[&str]) -> Run {
        self.pvx(&[&["apply", "--yes", "web.yaml"], more].concat())
    }

    fn json(&self, more: &[&str]) -> Value {
        let run = self.apply(&[more, &["--format", "json"]].concat()).expect(3);
        serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}\n{}", run.stdout))
    }

    fn document(&self, text: &str) {
        self.folder.write("web.yaml", text);
    }

    fn picture(&self) -> Picture {
        let world = self.served.sim.world();
        let one = |guest: &Guest| (guest.vmid, (guest.node.clone(), guest.config.clone()));
        world.guests().map(one).collect()
    }

    fn running(&self) -> Vec<u32> {
        let world = self.served.sim.world();
        world.guests().filter(|guest| guest.running.is_some()).map(|guest| guest.vmid).collect()
    }

    fn volumes(&self) -> Vec<String> {
        let world = serde_json::to_value(self.served.sim.world()).unwrap();
        let mut found = Vec::new();
        collect(&world["volumes"], &mut found);
        found
    }

    fn fail(&self, fault: Fault) {
        self.served.sim.add_fault(fault).unwrap();
    }

    fn mend(&self) {
        self.served.sim.clear_faults();
    }

    fn journal(&self) -> String {
        let files = walk(&self.folder.path("state")).into_iter();
        let journals = files.filter(|path| path.extension().is_some_and(|e| e == "journal"));
        journals.filter_map(|path| std::fs::read_to_string(path).ok()).collect()
    }

    /// What is remembered.
    fn state(&self) -> String {
        let mut text = String::new();
        let state = self.folder.path("state");
        for entry in walk(&state) {
            // How long actions took is learned from every run.
            let learned = entry.file_name().is_some_and(|name| name == "_durations.json");
            if !learned && entry.extension().is_some_and(|e| e == "json") {
                let file = std::fs::read_to_string(entry).unwrap();
                let lines = file.lines().filter(|line| !line.contains("\"serial\""));
                text.extend(lines.map(|line| format!("{line}\n")));
            }
        }
        text
    }
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if key.contains("vm-") {
                    found.push(key.clone());
                }
                collect(value, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
        Value::String(text) if text.contains("vm-") => found.push(text.clone()),
        _ => {}
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Three guests on shared storage; what is said more is VM keys of the group.
fn profile(count: usize, more: &str) -> String {
    format!(
        "name: web\ntype: generic\ntemplate: debian-13\ntags: [web]\nnodes:\n  controlplane:\n    \
         count: {count}\n    cores: 1\n    memory: 512\n    storage: shared\n    start_vmid: auto\n{more}"
    )
}

#[test]
fn a_create_that_failed_stays_and_is_told_how_it_goes_on() {
    let lab = Lab::new();
    lab.document(&profile(2, ""));
    lab.fail(Fault::in_task("qmstart").of_guest(1000).fails("disk on fire"));
    let run = lab.apply(&[]).expect(3);
    assert!(
        run.stdout.contains("web/cp01 (1000 on pve1) is half-made and stays"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("`pvx destroy --target web/cp01` removes it"), "{}", run.stdout);
    assert!(lab.picture().contains_key(&1000));
    lab.mend();
    lab.apply(&[]).expect(0);
    lab.served.stop();
}

#[test]
fn a_create_that_failed_is_removed_where_documents_say_so() {
    let lab = Lab::new();
    lab.document(&profile(2, "    on_failure: destroy\n"));
    let (before, volumes) = (lab.picture(), lab.volumes());
    lab.fail(Fault::in_task("qmstart").of_guest(1000).fails("disk on fire"));
    let value = lab.json(&[]);
    check_plan(&value["undo"]["plan"]);
    assert_eq!(value["undo"]["plan"]["intent"], "undo");
    assert_eq!(value["undo"]["result"], "complete", "{:#}", value["undo"]);
    let mut after = lab.picture();
    // The other one was made, and stays.
    assert_eq!(after.remove(&1002).unwrap().1["name"], "cp02");
    assert_eq!(after, before);
    assert!(lab.volumes().iter().all(|v| volumes.contains(v) || v.contains("1002")));
    assert!(!lab.state().contains("web/cp01"), "{}", lab.state());
    lab.mend();
    lab.apply(&[]).expect(0);
    lab.pvx(&["plan", "--detailed-exitcode", "web.yaml"]).expect(0);
    lab.served.stop();
}

#[test]
fn half_made_guests_are_removed_at_every_step() {
    for (method, path) in [
        ("PUT", "/nodes/*/qemu/1000/config"),
        ("POST", "/nodes/*/qemu/1000/config"),
        ("PUT", "/nodes/*/qemu/1000/resize"),
        ("POST", "/nodes/*/qemu/1000/status/start"),
    ] {
        let lab = Lab::new();
        lab.document(&profile(
            1,
            "    disk: 8G\n    disks: {scsi3: {size: 2G}}\n    on_failure: destroy\n",
        ));
        let (before, volumes) = (lab.picture(), lab.volumes());
        lab.fail(Fault::on(method, path).answers(500, pvx_sim::When::Before));
        let run = lab.apply(&[]);
        lab.mend();
        if run.code != 0 {
            run.expect(3);
            assert_eq!(lab.picture(), before, "{method} {path}");
            assert_eq!(lab.volumes(), volumes, "{method} {path}");
        }
        lab.served.stop();
    }
}

#[test]
fn everything_goes_back_when_one_guest_fails() {
    let lab = Lab::new();
    lab.document(&profile(2, ""));
    lab.apply(&[]).expect(0);
    let (before, running, state) = (lab.picture(), lab.running(), lab.state());
    let volumes = lab.volumes();
    // A guest comes, one moves, all change and get a disk; the pool and HA are new.
    lab.document(&profile(
        3,
        "    description: changed\n    disks: {scsi4: {size: 2G}}\n    networks: {net0: {tag: 7}}\n    \
         ha: {max_restart: 2}\n",
    ));
    lab.fail(Fault::in_task("qmstart").of_guest(1003).fails("disk on fire"));
    let run = lab.apply(&["--rollback-on-failure"]).expect(3);
    assert!(run.stdout.contains("taking back what this run changed"), "{}", run.stdout);
    assert!(run.stdout.contains("took back 3 guests"), "{}", run.stdout);
    assert_eq!(lab.picture(), before, "{}", run.stdout);
    assert_eq!(lab.running(), running);
    assert_eq!(lab.volumes(), volumes);
    assert_eq!(lab.state(), state);
    assert!(lab.served.sim.world().guests().any(|guest| guest.config["name"] == "theirs"));
    lab.mend();
    lab.apply(&["--rollback-on-failure"]).expect(0);
    lab.pvx(&["plan", "--detailed-exitcode", "web.yaml"]).expect(0);
    lab.served.stop();
}

#[test]
fn what_cannot_be_taken_back_is_said_before_and_after() {
    let lab = Lab::new();
    lab.document(&profile(1, "    disk: 6G\n"));
    lab.apply(&[]).expect(0);
    lab.document(&profile(2, "    disk: 7G\n"));
    lab.fail(Fault::in_task("qmstart").of_guest(1002).fails("disk on fire"));
    let value = lab.json(&["--rollback-on-failure"]);
    let codes = |plan: &Value, code: &str| -> Vec<String> {
        let all = plan["findings"].as_array().unwrap().iter();
        let one = all.filter(|f| f["code"] == code);
        one.map(|f| f["message"].as_str().unwrap().to_owned()).collect()
    };
    let before = codes(&value["plan"], "no-inverse");
    assert_eq!(
        before,
        [
            "--rollback-on-failure cannot take all of web/cp01 back: scsi0 grows, and disks never shrink"
        ]
    );
    let after = codes(&value["undo"]["plan"], "not-undone");
    assert_eq!(
        after,
        ["web/cp01 (1000): scsi0 stays as large as it is: disks never shrink"],
        "{:#}",
        value["undo"]
    );
    lab.served.stop();
}

#[test]
fn a_guest_that_someone_changed_or_protected_meanwhile_is_left_alone() {
    let lab = Lab::new();
    lab.document(&profile(2, ""));
    lab.apply(&[]).expect(0);
    lab.document(&profile(3, "    description: changed\n    protection: true\n"));
    let before = lab.picture();
    // Whoever reads what is left finds another value there: it is changed when the start fails.
    lab.fail(Fault::in_task("qmstart").of_guest(1003).fails("disk on fire"));
    let value = lab.json(&["--rollback-on-failure"]);
    let said = value["undo"]["plan"]["findings"].to_string();
    assert!(said.contains("web/cp03 (1003) is not removed again: it is protected"), "{said}");
    let after = lab.picture();
    assert!(after.contains_key(&1003));
    assert_eq!(after[&1000], before[&1000]);
    assert_eq!(after[&1002], before[&1002]);
    lab.served.stop();
}

#[test]
fn nothing_is_taken_back_when_all_is_well_or_nobody_asked() {
    let lab = Lab::new();
    lab.document(&profile(1, ""));
    lab.apply(&["--rollback-on-failure"]).expect(0);
    lab.document(&profile(2, "    description: changed\n"));
    lab.fail(Fault::in_task("qmstart").of_guest(1002).fails("disk on fire"));
    let run = lab.apply(&[]).expect(3);
    assert!(!run.stdout.contains("taking back"), "{}", run.stdout);
    assert!(lab.picture()[&1000].1["description"].contains("changed"));
    lab.served.stop();
}

/// The guest's disks are kept: a replacement whose start fails keeps what came back.
#[test]
fn kept_disks_that_came_back_are_never_removed() {
    let lab = Lab::new();
    let vm = "kind: vm\nname: gitea\nvmid: 1500\nnode: pve1\ntemplate: debian-13\nstorage: shared\n\
              on_failure: destroy\ndisks:\n  scsi2: { size: 5G, storage: local-lvm, keep: true }\n";
    lab.document(vm);
    lab.apply(&[]).expect(0);
    lab.fail(Fault::in_task("qmstart").of_guest(1500).fails("disk on fire"));
    let value = lab.json(&["--replace", "vm/gitea"]);
    let said = value["undo"]["plan"]["findings"].to_string();
    assert!(said.contains("disks that were kept for it are there already"), "{said}");
    assert!(lab.picture()[&1500].1["scsi2"].starts_with("local-lvm:vm-1500-disk-"));
    lab.mend();
    lab.apply(&[]).expect(0);
    lab.served.stop();
}

/// An undo that fails itself is no end: the next apply goes on from what is there.
#[test]
fn the_next_apply_goes_on_after_an_undo_that_failed() {
    let lab = Lab::new();
    lab.document(&profile(2, ""));
    lab.apply(&[]).expect(0);
    lab.document(&profile(3, "    description: changed\n"));
    lab.fail(Fault::in_task("qmstart").of_guest(1003).fails("disk on fire"));
    lab.fail(Fault::in_task("qmdestroy").fails("storage is gone"));
    let value = lab.json(&["--rollback-on-failure"]);
    assert_eq!(value["undo"]["result"], "failed", "{:#}", value["undo"]);
    lab.mend();
    lab.apply(&[]).expect(0);
    lab.pvx(&["plan", "--detailed-exitcode", "web.yaml"]).expect(0);
    lab.served.stop();
}

/// Killed while it takes back: the next apply makes what documents say, from whatever is there.
#[test]
fn the_next_apply_goes_on_after_a_kill_in_the_middle_of_an_undo() {
    for left in [1, 3, 5] {
        let lab = Lab::new();
        lab.document(&profile(2, ""));
        lab.apply(&[]).expect(0);
        lab.document(&profile(3, "    description: changed\n    disks: {scsi4: {size: 2G}}\n"));
        lab.fail(Fault::in_task("qmstart").of_guest(1003).fails("disk on fire"));
        // Removal takes long enough to be met, and comes with the first steps of the undo.
        lab.fail(Fault::on("PUT", "/nodes/*/qemu/1000/config").skip(1).latency(300));
        lab.fail(Fault::on("POST", "/nodes/*/qemu/1000/config").skip(1).latency(300));
        let args = ["apply", "--yes", "web.yaml", "--rollback-on-failure", "--parallel", "1"];
        let mut child = lab
            .folder
            .command(&args)
            .envs(lab.served.variables())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let begun = || lab.journal().matches("\"this run failed\"").count();
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while begun() < left && child.try_wait().unwrap().is_none() {
            assert!(std::time::Instant::now() < patience, "nothing was taken back");
            std::thread::yield_now();
        }
        assert!(begun() >= left);
        child.kill().unwrap();
        child.wait().unwrap();
        lab.mend();
        lab.apply(&[]).expect(0);
        lab.pvx(&["plan", "--detailed-exitcode", "web.yaml"]).expect(0);
        let names: Vec<_> =
            lab.picture().into_values().map(|(_, config)| config["name"].clone()).collect();
        for name in ["cp01", "cp02", "cp03", "theirs"] {
            assert_eq!(names.iter().filter(|n| *n == name).count(), 1, "{names:?}");
        }
        lab.served.stop();
    }
}
