//! What is kept in `state`, and `pvx state`: locks, journals and state files that are held, left
//! behind, damaged, old.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use pvx_core::state::{Folder, Locks, Owner};
use pvx_sim::TimeScale;

use crate::environment::{Environment, Run};
use crate::served::Served;

const WEB: &str = "name: web\ntype: generic\ntemplate: debian-13\nstorage: shared\ntags: [web]\n\
    nodes:\n  controlplane: { count: 2, cores: 1, memory: 512, disk: 6G, start_vmid: auto, \
    placement: spread }\n";
const APPLY: &[&str] = &["apply", "--yes", "web.yaml"];
const LOCK: &str = "state/lab/web.lock";
const JOURNAL: &str = "state/lab/web.journal";
const STATE: &str = "state/lab/web.json";

fn environment() -> Environment {
    let environment = Environment::new();
    environment.write("web.yaml", WEB);
    environment
}

fn owner(host: &str) -> Owner {
    Owner {
        user: "ann".to_owned(),
        host: host.to_owned(),
        pid: std::process::id(),
        boot: None,
        since: 1_700_000_000,
        command: "apply".to_owned(),
        run: "test".to_owned(),
        version: "0.1.0".to_owned(),
    }
}

/// This process holds the lock, as another pvx would.
fn hold(environment: &Environment) -> pvx_core::state::ProfileLock {
    let folder = Folder::new(&environment.path("state"), "lab");
    folder.lock("web", &owner("elsewhere")).unwrap()
}

/// An apply that is killed at a record of its journal.
fn cut_off(environment: &Environment, served: &Served, record: &str) {
    let mut command = environment.command(APPLY);
    command.envs(served.variables()).env("PVX_KILL_AT_RECORD", record);
    let run = Run::of(&command.output().unwrap());
    assert_eq!(run.code, -1, "{}{}", run.stdout, run.stderr);
}

fn run(environment: &Environment, served: &Served, args: &[&str]) -> Run {
    Run::of(&environment.command(args).envs(served.variables()).output().unwrap())
}

#[test]
fn a_second_run_of_a_profile_is_refused_and_told_by_whom() {
    let environment = environment();
    let held = hold(&environment);
    for args in [APPLY, &["destroy", "--yes", "web.yaml"]] {
        let refused = environment.sim(args).expect(4);
        let said = format!(
            "another pvx is working on web: apply of ann on elsewhere, pid {}",
            std::process::id()
        );
        let text = refused.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&said) && text.contains("--wait-for-lock"), "{text}");
    }
    environment.sim(&["plan", "web.yaml"]).expect(0);
    let refused = environment.pvx(&["state", "unlock", "web", "--yes"]).expect(1);
    assert!(refused.stderr.contains("a process that runs"), "{}", refused.stderr);
    drop(held);
    environment.sim(APPLY).expect(0);
    assert_eq!(environment.read(LOCK), "", "it is released");
}

/// Two of them, as two people start them: the clones of the first one take as long as in reality.
#[test]
fn of_two_applies_at_once_one_works() {
    let served = Served::start(TimeScale::REAL);
    let environment = environment();
    let mut first = environment.command(APPLY);
    first.envs(served.variables()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut first = first.spawn().unwrap();
    while std::fs::read(environment.path(LOCK)).unwrap_or_default().is_empty() {
        assert!(first.try_wait().unwrap().is_none(), "it ended without a lock");
        std::thread::yield_now();
    }
    let refused = run(&environment, &served, APPLY).expect(4).stderr;
    assert!(refused.contains(&format!("pid {}", first.id())), "{refused}");
    first.kill().unwrap();
    first.wait().unwrap();
    served.stop();
}

#[test]
fn a_run_can_wait_for_another() {
    let environment = environment();
    let held = hold(&environment);
    let arguments = [APPLY, &["--wait-for-lock", "300", "--sim", "--sim-speed", "0"]].concat();
    let mut child = environment
        .command(&arguments)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let said = lines.by_ref().map(Result::unwrap).find(|line| line.contains("is working on web"));
    assert!(said.is_some());
    drop(held);
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(
        !rest.iter().any(|line| line.contains("is working on web")),
        "it is said once: {rest:?}"
    );
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_a_killed_run_left_is_listed_and_taken_over() {
    let served = Served::start(TimeScale::INSTANT);
    let environment = environment();
    // The header, what is managed, the begin of the first clone.
    cut_off(&environment, &served, "3");
    let list = environment.pvx(&["state", "list"]).expect(0).stdout;
    assert!(list.contains("web") && list.contains("has ended"), "{list}");
    assert!(list.contains("begun, and not ended: clone of web/"), "{list}");
    let list = environment.pvx(&["state", "list", "--format", "json"]).expect(0).stdout;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let web = &list["clusters"][0]["profiles"][0];
    assert_eq!((&web["profile"], &web["lock"]["alive"]), (&"web".into(), &"ended".into()));
    assert_eq!(web["lock"]["owner"]["command"], "apply");
    assert_eq!(web["unfinished"][0]["action"], "clone");
    let again = run(&environment, &served, APPLY).expect(0).stderr;
    let again = again.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(again.contains("the lock of web is taken over: its process has ended"), "{again}");
    run(&environment, &served, &["plan", "--detailed-exitcode", "web.yaml"]).expect(0);
    let list = environment.pvx(&["state", "list"]).expect(0).stdout;
    assert!(!list.contains("not ended") && !list.contains("has ended"), "{list}");
    served.stop();
}

#[test]
fn before_a_record_it_is_not_there() {
    let served = Served::start(TimeScale::INSTANT);
    let environment = environment();
    cut_off(&environment, &served, "3:before");
    assert!(!environment.path(JOURNAL).exists() || !environment.read(JOURNAL).contains("begin"));
    assert_eq!(served.sim.requests().iter().filter(|request| request.write).count(), 0);
    run(&environment, &served, APPLY).expect(0);
    served.stop();
}

#[test]
fn a_lock_of_another_machine_is_broken_by_hand() {
    let environment = environment();
    environment.write(LOCK, &serde_json::to_string(&owner("elsewhere")).unwrap());
    let refused = environment.sim(APPLY).expect(4).stderr;
    assert!(refused.contains("pvx state unlock web"), "{refused}");
    let list = environment.pvx(&["state", "list"]).expect(0).stdout;
    assert!(list.contains("ann on elsewhere") && list.contains("not seen from here"), "{list}");
    environment.pvx(&["state", "unlock", "web"]).expect(4);
    let broken = environment.pvx(&["state", "unlock", "web", "--yes"]).expect(0).stdout;
    assert!(broken.contains("the lock of web is broken"), "{broken}");
    environment.sim(APPLY).expect(0);
    let nothing = environment.pvx(&["state", "unlock", "web"]).expect(0).stdout;
    assert!(nothing.contains("not locked"), "{nothing}");
}

#[test]
fn force_breaks_the_lock_of_a_process_that_runs() {
    let environment = environment();
    let held = hold(&environment);
    environment.pvx(&["state", "unlock", "web", "--yes", "--force"]).expect(0);
    environment.sim(APPLY).expect(0);
    drop(held);
    assert_eq!(environment.read(LOCK), "");
}

#[test]
fn a_damaged_journal_stops_nothing() {
    let served = Served::start(TimeScale::INSTANT);
    let environment = environment();
    cut_off(&environment, &served, "6");
    let damaged = environment.read(JOURNAL).replacen("clone", "klone", 1);
    environment.write(JOURNAL, &damaged);
    let list = environment.pvx(&["state", "list"]).expect(0).stdout;
    assert!(list.contains("damaged in line 3"), "{list}");
    let said = run(&environment, &served, APPLY).expect(0).stderr;
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        said.contains("damaged in line 3") && said.contains("web.journal.damaged is kept"),
        "{said}"
    );
    assert_eq!(environment.read(&format!("{JOURNAL}.damaged")), damaged);
    run(&environment, &served, &["plan", "--detailed-exitcode", "web.yaml"]).expect(0);
    assert_eq!(served.sim.world().guests().filter(|guest| guest.vmid >= 1000).count(), 2);
    served.stop();
}

#[test]
fn a_damaged_journal_is_mended_without_a_cluster() {
    let environment = environment();
    environment.sim(APPLY).expect(0);
    environment.write(JOURNAL, &format!("{}garbage\n", environment.read(JOURNAL)));
    let said = environment.pvx(&["state", "repair", "web"]).expect(0).stdout;
    assert!(said.contains("1 line of the journal"), "{said}");
    let sound = environment.pvx(&["state", "repair", "web"]).expect(1).stderr;
    assert!(sound.contains("is sound"), "{sound}");
    assert!(environment.pvx(&["state", "repair"]).expect(0).stdout.contains("nothing is damaged"));
}

#[test]
fn damaged_state_is_rebuilt_from_the_cluster() {
    let environment = environment();
    environment.sim(APPLY).expect(0);
    let damaged = environment.read(STATE).replacen("cores", "corez", 1);
    environment.write(STATE, &damaged);
    for args in [APPLY, &["plan", "web.yaml"]] {
        let refused = environment.sim(args).expect(1).stderr;
        let refused = refused.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(refused.contains("web.json is damaged"), "{refused}");
        assert!(refused.contains("`prevent_destroy`"), "{refused}");
        assert!(refused.contains("pvx state repair web"), "{refused}");
    }
    let list = environment.pvx(&["state", "list"]).expect(0).stdout;
    assert!(list.contains("web.json is damaged"), "{list}");
    let said = environment.sim(&["state", "repair"]).expect(0).stdout;
    assert!(said.contains("2 guests found again") && said.contains("is forgotten"), "{said}");
    assert_eq!(environment.read(&format!("{STATE}.damaged")), damaged);
    environment.sim(&["plan", "--detailed-exitcode", "web.yaml"]).expect(0);
    environment.sim(APPLY).expect(0);
    assert!(environment.read(STATE).contains("cores"), "what documents manage is known again");
}

#[test]
fn files_of_version_1_are_migrated() {
    let environment = environment();
    environment.sim(APPLY).expect(0);
    let mut state: serde_json::Value = serde_json::from_str(&environment.read(STATE)).unwrap();
    assert_eq!(state["version"], 2);
    state["version"] = 1.into();
    state.as_object_mut().unwrap().remove("checksum").unwrap();
    environment.write(STATE, &state.to_string());
    let begin = r#"{"record":"begin","action":0,"address":"web/web-cp01","vmid":1000,"node":"pve1","verb":"configure"}"#;
    environment.write(JOURNAL, &format!("{begin}\n"));
    environment.write("web.yaml", &WEB.replace("memory: 512", "memory: 1024"));
    let said = environment.sim(APPLY).expect(0).stderr;
    assert!(said.contains("configure of web/web-cp01 (1000 on pve1) was cut off"), "{said}");
    let state: serde_json::Value = serde_json::from_str(&environment.read(STATE)).unwrap();
    assert_eq!(state["version"], 2);
    assert!(state["checksum"].as_str().unwrap().starts_with("sha256:"));
    let journal = environment.read(JOURNAL);
    assert!(journal.lines().next().unwrap().contains("\"version\":2"), "{journal}");
    assert!(journal.ends_with("{\"record\":\"closed\"}\n"), "{journal}");
    environment.sim(&["plan", "--detailed-exitcode", "web.yaml"]).expect(0);
}

#[test]
fn state_of_several_clusters() {
    let environment = Environment::new();
    assert!(environment.pvx(&["state", "list"]).expect(0).stdout.contains("nothing is remembered"));
    let refused = environment.pvx(&["state", "unlock", "web"]).expect(1).stderr;
    assert!(refused.contains("there is no state here"), "{refused}");
    for cluster in ["lab", "prod"] {
        let lock = serde_json::to_string(&owner("elsewhere")).unwrap();
        environment.write(&format!("state/{cluster}/web.lock"), &lock);
    }
    let refused = environment.pvx(&["state", "unlock", "web", "--yes"]).expect(1).stderr;
    assert!(refused.contains("lab, prod"), "{refused}");
    let list = environment.pvx(&["state", "list"]).expect(0).stdout;
    assert!(list.contains("cluster lab") && list.contains("cluster prod"), "{list}");
    environment.pvx(&["state", "unlock", "web", "--yes", "--cluster", "prod"]).expect(0);
    assert!(environment.path(LOCK).exists() && !environment.path("state/prod/web.lock").exists());
    let refused = environment.pvx(&["state", "list", "--cluster", "moon"]).expect(1).stderr;
    assert!(refused.contains("no state of a cluster moon"), "{refused}");
}
