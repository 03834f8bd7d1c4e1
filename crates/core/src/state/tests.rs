//! State files, locks and journals on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use tempfile::TempDir;

use super::{
    AskedNode, Folder, Histories, Journal, Locks, Moment, Owner, Record, Remembered, StateError,
    Watch,
};
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

pub(super) fn owner() -> Owner {
    Owner {
        user: "ann".to_owned(),
        host: "ws1".to_owned(),
        pid: 17,
        boot: None,
        since: 0,
        command: "apply".to_owned(),
        run: "run-17".to_owned(),
        version: "0.1.0".to_owned(),
    }
}

fn lock(folder: &Folder, profiles: &[&str]) -> Histories {
    Histories::lock(folder.clone(), profiles.iter().copied(), owner()).unwrap()
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
        let error = folder.load(["k3s"]).unwrap_err();
        let (said, help) = (error.to_string(), error.help().unwrap());
        assert!(said.contains("is damaged") && help.contains("no guest is lost"), "{said}");
        assert!(help.contains("`prevent_destroy`") && help.contains("pvx state repair k3s"));
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
    let newer = load(r#"{"version": 3, "members": []}"#);
    assert!(matches!(newer, StateError::Newer { found: 3, .. }), "{newer}");
    assert!(newer.to_string().contains("written by a newer pvx (version 3, this one knows 2)"));
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
fn all_profiles_are_locked_or_none() {
    let (_root, folder) = folder();
    let taken = folder.lock("web", &owner()).unwrap();
    let error = Histories::lock(folder.clone(), ["k3s", "web", "zoo"], owner()).unwrap_err();
    assert!(error.to_string().contains("another pvx is working on web"), "{error}");
    folder.lock("k3s", &owner()).unwrap();
    drop(taken);
    let all = lock(&folder, &["web", "k3s", "web"]);
    assert!(folder.lock("k3s", &owner()).is_err() && folder.lock("web", &owner()).is_err());
    all.close(&plan(Vec::new(), &[]), true).unwrap();
    assert!(lock(&folder, &["web", "k3s"]).notes().is_empty(), "they were released");
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
        on_failure: crate::desired::OnFailure::Keep,
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
    let mut histories = lock(&folder, &["k3s"]);
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
    let mut histories = lock(&folder, &["k3s"]);
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
    let mut histories = lock(&folder, &["k3s"]);
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
    let mut histories = lock(&folder, &["k3s", "old"]);
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
        let mut histories = lock(&folder, &["k3s"]);
        histories.record(&plan.changes[0], &begin()).unwrap();
        histories.close(&plan, all_known).unwrap();
        let open = Journal::unfinished(&folder, "k3s").unwrap().open;
        assert_eq!(open.len(), usize::from(!all_known));
    }
    assert!(folder.path().join("k3s.journal.old").exists(), "the run before is kept");
}

#[test]
fn a_run_that_had_nothing_to_do_closes_what_it_looked_at() {
    let (_root, folder) = folder();
    let empty = plan(Vec::new(), &[]);
    let mut cut_off = lock(&folder, &["k3s"]);
    cut_off.record(&change("w01", Verb::Create), &begin()).unwrap();
    drop(cut_off);
    // The power went in the middle of a line.
    let path = folder.path().join("k3s.journal");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}{{\"record")).unwrap();
    lock(&folder, &["k3s"]).close(&empty, false).unwrap();
    assert_eq!(Journal::unfinished(&folder, "k3s").unwrap().open.len(), 1);
    lock(&folder, &["k3s"]).close(&empty, true).unwrap();
    assert_eq!(Journal::unfinished(&folder, "k3s").unwrap().open, []);
}

/// What is remembered is in the journal until the run ends: a run that is cut off anywhere, and all
/// that come after it, remember it.
#[test]
fn a_run_that_is_cut_off_remembers_what_its_journal_says() {
    let (_root, folder) = folder();
    insert(&folder, "w02", 2);
    let changes = vec![
        change("w01", Verb::Create),
        change("w02", Verb::Destroy),
        change("w03", Verb::Create),
    ];
    let plan = plan(changes, &[("w01", 1), ("w03", 3)]);
    let before = fs::read(folder.path().join("k3s.json")).unwrap();
    let mut cut_off = lock(&folder, &["k3s"]);
    for change in &plan.changes {
        cut_off.begins(&plan, change).unwrap();
        cut_off.record(change, &begin()).unwrap();
    }
    cut_off.settled(&plan, &plan.changes[0]).unwrap();
    cut_off.settled(&plan, &plan.changes[1]).unwrap();
    drop(cut_off);
    assert_eq!(fs::read(folder.path().join("k3s.json")).unwrap(), before, "it was written once");
    let vmids = |folder: &Folder| {
        let memory = folder.load(["k3s"]).unwrap();
        ["w01", "w02", "w03"].map(|guest| memory.vmid(&address(guest)))
    };
    assert_eq!(vmids(&folder), [Some(1), None, Some(3)]);
    // The next run begins another journal, and is cut off too.
    let mut next = lock(&folder, &["k3s"]);
    next.record(&plan.changes[0], &begin()).unwrap();
    drop(next);
    assert_eq!(vmids(&folder), [Some(1), None, Some(3)]);
    assert_eq!(Journal::unfinished(&folder, "k3s").unwrap().open.len(), 4);
}

/// What a journal says is older than what a later run wrote into the state file.
#[test]
fn what_the_state_file_says_already_is_not_said_again() {
    let (_root, folder) = folder();
    let one = plan(vec![change("w01", Verb::Change)], &[("w01", 1)]);
    let mut first = lock(&folder, &["k3s"]);
    first.settled(&one, &one.changes[0]).unwrap();
    first.close(&one, false).unwrap();
    let other = plan(Vec::new(), &[("w01", 7)]);
    lock(&folder, &["k3s"]).close(&other, false).unwrap();
    assert_eq!(folder.load(["k3s"]).unwrap().vmid(&address("w01")), Some(7));
}

/// A run may carry out several plans, whose actions have the same numbers.
#[test]
fn what_an_earlier_plan_left_open_stays_so() {
    let (_root, folder) = folder();
    let plan = plan(vec![change("w01", Verb::Create)], &[("w01", 1)]);
    let mut run = lock(&folder, &["k3s"]);
    run.record(&plan.changes[0], &begin()).unwrap();
    run.checkpoint(&plan, false).unwrap();
    run.record(&plan.changes[0], &begin()).unwrap();
    run.record(&plan.changes[0], &Record::End { action: 0, ok: true }).unwrap();
    assert_eq!(Journal::unfinished(&folder, "k3s").unwrap().open.len(), 1);
    run.close(&plan, true).unwrap();
    assert_eq!(Journal::unfinished(&folder, "k3s").unwrap().open, []);
}

#[test]
fn a_damaged_journal_is_kept_and_its_whole_lines_go_on() {
    let (_root, folder) = folder();
    let plan = plan(vec![change("w01", Verb::Create)], &[("w01", 1)]);
    let mut cut_off = lock(&folder, &["k3s"]);
    cut_off.begins(&plan, &plan.changes[0]).unwrap();
    cut_off.record(&plan.changes[0], &begin()).unwrap();
    drop(cut_off);
    let path = folder.path().join("k3s.journal");
    let damaged = format!("{}garbage\n", fs::read_to_string(&path).unwrap());
    for name in ["k3s.journal.damaged", "k3s.journal.damaged-2"] {
        fs::write(&path, &damaged).unwrap();
        let run = lock(&folder, &["k3s"]);
        let notes = run.notes().join("\n");
        assert!(notes.contains(name) && notes.contains("line 4"), "{notes}");
        assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), damaged);
        let left = Journal::unfinished(&folder, "k3s").unwrap();
        assert_eq!((left.open.len(), left.damage), (1, Vec::new()));
        assert_eq!(folder.load(["k3s"]).unwrap().vmid(&address("w01")), Some(1));
    }
}

#[test]
fn every_record_is_told_before_and_after() {
    let (_root, folder) = folder();
    let (send, told) = std::sync::mpsc::channel();
    let path = folder.path().join("k3s.journal");
    let written = move || fs::read_to_string(&path).unwrap_or_default().lines().count();
    let watch = Watch::new(move |moment| send.send((moment, written())).unwrap());
    let plan = plan(vec![change("w01", Verb::Create)], &[("w01", 1)]);
    let mut run = lock(&folder, &["k3s"]).watched(watch);
    run.begins(&plan, &plan.changes[0]).unwrap();
    run.record(&plan.changes[0], &begin()).unwrap();
    run.record(&plan.changes[0], &Record::End { action: 0, ok: true }).unwrap();
    drop(run);
    let told: Vec<(Moment, usize)> = told.into_iter().collect();
    // The first three come with the file.
    let begun = [(Moment::Before, 0), (Moment::After, 3)].into_iter().flat_map(|told| [told; 3]);
    let expected = begun.chain([(Moment::Before, 3), (Moment::After, 4)]);
    assert_eq!(told, expected.collect::<Vec<_>>());
}

#[test]
fn what_can_be_is_rebuilt_from_the_cluster() {
    let (_root, folder) = folder();
    insert(&folder, "w01", 1000);
    let members = BTreeMap::from([(address("w01"), 1000), (address("w02"), 1001)]);
    let repair = || folder.repair("k3s", &members, &owner()).unwrap();
    assert!(repair().is_none(), "it is sound");
    let mut cut_off = lock(&folder, &["k3s"]);
    cut_off.settled(&plan(Vec::new(), &[("w03", 3)]), &change("w03", Verb::Create)).unwrap();
    drop(cut_off);
    let path = folder.path().join("k3s.json");
    fs::write(&path, "{").unwrap();
    let found = folder.condition("k3s", &owner()).unwrap();
    assert!(found.is_damaged() && found.serial.is_none());
    let done = repair().unwrap();
    assert_eq!((done.guests.len(), done.lines, done.state), (3, 0, true));
    assert_eq!(fs::read_to_string(&done.kept[0]).unwrap(), "{");
    let memory = folder.load(["k3s"]).unwrap();
    assert_eq!(memory.vmid(&address("w02")), Some(1001));
    assert!(
        memory.managed(&address("w01")).is_empty() && !memory.managed(&address("w03")).is_empty()
    );
    assert!(repair().is_none());
}

#[test]
fn folders_and_profiles_that_are_there() {
    let (root, folder) = folder();
    assert!(Folder::all(root.path()).unwrap().is_empty());
    insert(&folder, "w01", 1000);
    folder.lock("vm.gitea", &owner()).unwrap();
    for (folder, name) in
        [("lab", "_durations.json"), ("lab", "applied-plans"), ("sim", "a.world.json")]
    {
        fs::create_dir_all(root.path().join(folder)).unwrap();
        fs::write(root.path().join(folder).join(name), "").unwrap();
    }
    let all = Folder::all(root.path()).unwrap();
    assert_eq!(all.iter().map(Folder::cluster).collect::<Vec<_>>(), ["lab"]);
    assert_eq!(folder.profiles().unwrap().into_iter().collect::<Vec<_>>(), ["k3s", "vm.gitea"]);
}

#[test]
fn a_profile_without_a_journal_gets_none() {
    let (_root, folder) = folder();
    lock(&folder, &["k3s"]).close(&plan(Vec::new(), &[]), true).unwrap();
    assert!(!folder.path().join("k3s.journal").exists());
}

/// What cannot be told stays open through the runs that follow, until one of them can.
#[test]
fn what_is_not_known_comes_along() {
    let (_root, folder) = folder();
    let plan = plan(vec![change("w01", Verb::Create)], &[]);
    let change = &plan.changes[0];
    let begun = begin();
    let task = Record::Task { action: 0, upid: "UPID:x".to_owned() };
    let mut first = lock(&folder, &["k3s"]);
    first.record(change, &begun).unwrap();
    first.record(change, &task).unwrap();
    drop(first);
    let open = || Journal::unfinished(&folder, "k3s").unwrap().open;
    // A run that cannot tell either, with an action of the same number of its own.
    let mut second = lock(&folder, &["k3s"]);
    second.record(change, &begun).unwrap();
    second.record(change, &Record::End { action: 0, ok: true }).unwrap();
    second.close(&plan, false).unwrap();
    assert_eq!((open().len(), open()[0].action.id.0), (1, u32::MAX));
    assert_eq!(open()[0].upid.as_deref(), Some("UPID:x"));
    // One that can.
    let mut third = lock(&folder, &["k3s"]);
    third.settled_open("k3s", &open()[0], true).unwrap();
    third.record(change, &begun).unwrap();
    third.record(change, &Record::End { action: 0, ok: true }).unwrap();
    third.close(&plan, false).unwrap();
    assert_eq!(open(), []);
}
