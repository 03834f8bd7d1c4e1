//! State files, locks and journals on disk.

use std::collections::BTreeSet;
use std::fs;

use tempfile::TempDir;

use super::{AskedNode, Folder, Histories, Journal, Record, Remembered, StateError};
use crate::address::Address;
use crate::execute::History;
use crate::plan::{
    Action, ActionId, ActionKind, Change, Effect, Facts, Intent, Plan, Reason, Verb,
};

fn folder() -> (TempDir, Folder) {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::new(root.path(), "lab");
    (root, folder)
}

fn address(guest: &str) -> Address {
    Address::new("k3s", guest)
}

fn remembered(vmid: u32) -> Remembered {
    Remembered { vmid, managed: BTreeSet::from(["cores".to_owned()]), ..Remembered::default() }
}

fn insert(folder: &Folder, guest: &str, vmid: u32) {
    folder.update("k3s", |guests| drop(guests.insert(address(guest), remembered(vmid)))).unwrap();
}

#[test]
fn what_is_written_is_read() {
    let (_root, folder) = folder();
    assert_eq!(folder.load(["k3s"]).unwrap().vmid(&address("w01")), None);
    assert!(!folder.path().exists(), "reading makes nothing");
    insert(&folder, "w01", 1000);
    insert(&folder, "w02", 1001);
    let memory = folder.load(["k3s", "other"]).unwrap();
    assert_eq!(memory.vmid(&address("w01")), Some(1000));
    assert!(memory.managed(&address("w02")).contains("cores"));
    let text = fs::read_to_string(folder.path().join("k3s.json")).unwrap();
    assert!(text.contains("\"serial\": 2"), "{text}");
}

#[test]
fn what_does_not_change_is_not_written() {
    let (_root, folder) = folder();
    insert(&folder, "w01", 1000);
    let before = fs::read(folder.path().join("k3s.json")).unwrap();
    insert(&folder, "w01", 1000);
    assert_eq!(fs::read(folder.path().join("k3s.json")).unwrap(), before);
}

#[test]
fn a_write_that_fails_leaves_the_old_file() {
    let (_root, folder) = folder();
    insert(&folder, "w01", 1000);
    let before = fs::read(folder.path().join("k3s.json")).unwrap();
    // The partial file cannot be made: a folder has its name.
    fs::create_dir(folder.path().join("k3s.json.new")).unwrap();
    let result = folder.update("k3s", std::collections::BTreeMap::clear);
    assert!(matches!(result, Err(StateError::Io { .. })));
    assert_eq!(fs::read(folder.path().join("k3s.json")).unwrap(), before);
}

#[test]
fn what_a_cut_off_write_left_does_no_harm() {
    let (_root, folder) = folder();
    insert(&folder, "w01", 1000);
    fs::write(folder.path().join("k3s.json.new"), "{\"vers").unwrap();
    assert_eq!(folder.load(["k3s"]).unwrap().vmid(&address("w01")), Some(1000));
    insert(&folder, "w02", 1001);
    assert_eq!(folder.load(["k3s"]).unwrap().vmid(&address("w02")), Some(1001));
}

#[test]
fn a_state_file_cut_at_any_byte_is_damaged_and_says_so() {
    let (_root, folder) = folder();
    insert(&folder, "w01", 1000);
    let path = folder.path().join("k3s.json");
    let whole = fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let error = folder.load(["k3s"]).unwrap_err().to_string();
        assert!(error.contains("is damaged") && error.contains("no guest is lost"), "{error}");
    }
}

#[test]
fn files_of_others() {
    let (_root, folder) = folder();
    fs::create_dir_all(folder.path()).unwrap();
    let load = |text: &str| {
        fs::write(folder.path().join("k3s.json"), text).unwrap();
        folder.load(["k3s"]).unwrap_err()
    };
    // A newer file may have any shape.
    let newer = load(r#"{"version": 2, "members": []}"#);
    assert!(matches!(newer, StateError::Newer { found: 2, .. }), "{newer}");
    assert!(newer.to_string().contains("written by a newer pvx (version 2, this one knows 1)"));
    let other = r#"{"version":1,"cluster":"prod","profile":"k3s","serial":1,"guests":{}}"#;
    assert!(load(other).to_string().contains("it belongs to k3s on prod"));
    let renamed = r#"{"version":1,"cluster":"lab","profile":"web","serial":1,"guests":{}}"#;
    assert!(load(renamed).to_string().contains("it belongs to web on lab"));
    assert!(matches!(load("[]"), StateError::Damaged { .. }));
}

#[test]
fn names_stay_inside_their_folder() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::new(root.path(), "../../etc");
    folder.update("../x/y", |_| {}).unwrap();
    assert_eq!(folder.path().parent(), Some(root.path()));
    let inside: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(inside, ["_.._x_y.json"]);
}

#[test]
fn one_at_a_time() {
    let (_root, folder) = folder();
    let first = folder.lock("k3s").unwrap();
    let error = folder.lock("k3s").unwrap_err();
    assert!(matches!(error, StateError::Locked { .. }));
    assert!(error.to_string().contains("another pvx is working on k3s"), "{error}");
    folder.lock("web").unwrap();
    drop(first);
    folder.lock("k3s").unwrap();
}

fn change(guest: &str, verb: Verb) -> Change {
    Change {
        address: address(guest),
        verb,
        vmid: 1000,
        node: "pve1".to_owned(),
        target: None,
        running: false,
        facts: Facts::default(),
        attributes: Vec::new(),
        effect: Effect::Live,
        reason: "test".to_owned(),
        position: None,
        actions: Vec::new(),
    }
}

fn plan(changes: Vec<Change>, outcomes: &[(&str, u32)]) -> Plan {
    Plan {
        changes,
        outcomes: outcomes.iter().map(|(g, vmid)| (address(g), remembered(*vmid))).collect(),
        ..Plan::new(Intent::Apply, "lab")
    }
}

fn begin() -> Record {
    let action = Action {
        id: ActionId(0),
        address: address("w01"),
        vmid: 1000,
        node: "pve1".into(),
        kind: ActionKind::Start,
        reason: Reason::new("missing", "it is missing"),
        effect: Effect::Start,
        preconditions: Vec::new(),
        storages: Vec::new(),
    };
    Record::Begin { action: Box::new(action), at: 0 }
}

#[test]
fn what_succeeded_and_what_was_unchanged_is_remembered() {
    let (_root, folder) = folder();
    let changes = vec![change("w01", Verb::Create), change("w02", Verb::Change)];
    let plan = plan(changes, &[("w01", 1), ("w02", 2), ("w03", 3)]);
    let mut histories = Histories::lock(folder.clone(), ["k3s"]).unwrap();
    histories.settled(&plan, &plan.changes[0]).unwrap();
    histories.close(&plan, true).unwrap();
    let memory = folder.load(["k3s"]).unwrap();
    let vmids = ["w01", "w02", "w03"].map(|g| memory.vmid(&address(g)));
    assert_eq!(vmids, [Some(1), None, Some(3)], "w02 was not carried out");
}

#[test]
fn what_was_begun_and_not_ended_is_remembered_beside_what_was_before() {
    let (_root, folder) = folder();
    let before = Remembered {
        managed: BTreeSet::from(["cpulimit".to_owned()]),
        node: AskedNode::Named("pve1".to_owned()),
        ..remembered(2)
    };
    folder.update("k3s", |guests| drop(guests.insert(address("w02"), before.clone()))).unwrap();
    let changes = vec![change("w01", Verb::Create), change("w02", Verb::Change)];
    let mut plan = plan(changes, &[("w01", 1), ("w02", 2)]);
    for outcome in plan.outcomes.values_mut() {
        outcome.managed = BTreeSet::from(["balloon".to_owned()]);
        outcome.node = AskedNode::Named("pve2".to_owned());
    }
    let mut histories = Histories::lock(folder.clone(), ["k3s"]).unwrap();
    for change in &plan.changes {
        histories.begins(&plan, change).unwrap();
    }
    histories.close(&plan, false).unwrap();
    let memory = folder.load(["k3s"]).unwrap();
    let paths = |of: &str| memory.managed(&address(of)).iter().cloned().collect::<Vec<_>>();
    assert_eq!(paths("w01"), ["balloon"]);
    assert_eq!(paths("w02"), ["balloon", "cpulimit"]);
    assert_eq!(*memory.node(&address("w02")), before.node, "it may not have been moved yet");
}

#[test]
fn what_is_destroyed_is_forgotten() {
    let (_root, folder) = folder();
    insert(&folder, "w01", 1000);
    let plan = plan(vec![change("w01", Verb::Destroy)], &[]);
    let mut histories = Histories::lock(folder.clone(), ["k3s"]).unwrap();
    histories.settled(&plan, &plan.changes[0]).unwrap();
    assert_eq!(folder.load(["k3s"]).unwrap().vmid(&address("w01")), None);
}

#[test]
fn a_renamed_guest_is_remembered_under_its_new_address_alone() {
    let (_root, folder) = folder();
    // One is settled by this run; one was before, and only state did not know it yet.
    for old in ["w08", "w09"] {
        let old = Address::new("old", old);
        folder.update("old", |guests| drop(guests.insert(old, remembered(7)))).unwrap();
    }
    let mut plan = plan(vec![change("w01", Verb::Change)], &[("w01", 7), ("w02", 7)]);
    plan.moved.insert(address("w01"), Address::new("old", "w09"));
    plan.moved.insert(address("w02"), Address::new("old", "w08"));
    let mut histories = Histories::lock(folder.clone(), ["k3s", "old"]).unwrap();
    histories.settled(&plan, &plan.changes[0]).unwrap();
    let memory = || folder.load(["k3s", "old"]).unwrap();
    assert_eq!(memory().vmid(&Address::new("old", "w09")), None);
    assert_eq!(memory().vmid(&Address::new("old", "w08")), Some(7));
    histories.close(&plan, true).unwrap();
    assert_eq!(memory().addresses().cloned().collect::<Vec<_>>(), [address("w01"), address("w02")]);
}

#[test]
fn files_of_an_older_pvx_do_not_know_the_node() {
    let (_root, folder) = folder();
    let node = |name: &str| AskedNode::Named(name.to_owned());
    let one = Remembered { node: node("pve1"), ..remembered(1000) };
    folder.update("k3s", |guests| drop(guests.insert(address("w01"), one))).unwrap();
    insert(&folder, "w02", 1001);
    assert_eq!(*folder.load(["k3s"]).unwrap().node(&address("w01")), node("pve1"));
    let text = fs::read_to_string(folder.path().join("k3s.json")).unwrap();
    assert_eq!(text.matches("\"node\"").count(), 1, "unknown is not written: {text}");
    assert!(folder.load(["k3s"]).unwrap().node(&address("w02")).is_unknown());
}

#[test]
fn a_journal_that_is_closed_is_finished() {
    let (_root, folder) = folder();
    let plan = plan(vec![change("w01", Verb::Create)], &[]);
    for all_known in [false, true] {
        let mut histories = Histories::lock(folder.clone(), ["k3s"]).unwrap();
        histories.record(&plan.changes[0], &begin()).unwrap();
        histories.close(&plan, all_known).unwrap();
        let open = Journal::unfinished(&folder, "k3s").unwrap();
        assert_eq!(open.len(), usize::from(!all_known));
    }
    assert!(folder.path().join("k3s.journal.old").exists(), "the run before is kept");
}

#[test]
fn a_run_that_had_nothing_to_do_closes_what_it_looked_at() {
    let (_root, folder) = folder();
    let empty = plan(Vec::new(), &[]);
    Journal::begin(&folder, "k3s").unwrap().append(&begin()).unwrap();
    // The power went in the middle of a line.
    let path = folder.path().join("k3s.journal");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}{{\"record")).unwrap();
    Histories::lock(folder.clone(), ["k3s"]).unwrap().close(&empty, false).unwrap();
    assert_eq!(Journal::unfinished(&folder, "k3s").unwrap().len(), 1);
    Histories::lock(folder.clone(), ["k3s"]).unwrap().close(&empty, true).unwrap();
    assert_eq!(Journal::unfinished(&folder, "k3s").unwrap(), []);
}

#[test]
fn a_profile_without_a_journal_gets_none() {
    let (_root, folder) = folder();
    Histories::lock(folder.clone(), ["k3s"]).unwrap().close(&plan(Vec::new(), &[]), true).unwrap();
    assert!(!folder.path().join("k3s.journal").exists());
}

/// What cannot be told stays open through the runs that follow, until one of them can.
#[test]
fn what_is_not_known_comes_along() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::new(root.path(), "lab");
    let mut histories = Histories::lock(folder.clone(), ["k3s"]).unwrap();
    let begun = begin();
    let Record::Begin { action, at } = begun.clone() else { unreachable!() };
    let upid = Some("UPID:x".to_owned());
    histories.keep_open("k3s", super::Unfinished { action, at, upid });
    let plan = plan(vec![change("w01", Verb::Create)], &[]);
    let change = &plan.changes[0];
    histories.record(change, &begun).unwrap();
    let Record::Begin { action, .. } = &begun else { unreachable!() };
    histories.record(change, &Record::End { action: action.id.0, ok: true }).unwrap();
    histories.close(&plan, false).unwrap();
    let open = Journal::unfinished(&folder, "k3s").unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].action.id.0, open[0].upid.as_deref()), (u32::MAX, Some("UPID:x")));
}
