//! Journals that are torn, damaged, old, new and of others.

use proptest::prelude::*;

use super::*;
use crate::plan::{ActionId, ActionKind, Effect, Reason};
use crate::state::tests::owner;

fn begin(action: u32) -> Record {
    let action = Action {
        id: ActionId(action),
        address: Address::new("k3s", format!("g{action}")),
        vmid: 1000 + action,
        node: "pve1".into(),
        kind: ActionKind::Start,
        reason: Reason::new("missing", "it is missing"),
        effect: Effect::Start,
        preconditions: Vec::new(),
        storages: Vec::new(),
    };
    Record::Begin { action: Box::new(action), at: 7 }
}

fn end(action: u32) -> Record {
    Record::End { action, ok: true }
}

fn task(action: u32) -> Record {
    Record::Task { action, upid: format!("UPID:{action}") }
}

fn header() -> Line {
    let (cluster, profile) = ("lab".to_owned(), "k3s".to_owned());
    let (run, pvx) = ("run-17".to_owned(), "0.1.0".to_owned());
    Line::Journal(Header { version: VERSION, cluster, profile, run, pvx, plan: plan::VERSION })
}

fn bytes(records: &[Record]) -> Vec<u8> {
    let lines = [header()].into_iter().chain(records.iter().cloned().map(Line::Record));
    lines.flat_map(|line| line.encode().unwrap()).collect()
}

fn read(bytes: &[u8]) -> Reading {
    Reading::of(bytes, "lab", "k3s").unwrap()
}

/// Numbers of the actions that are open.
fn open(reading: &Reading) -> Vec<u32> {
    reading.open.iter().map(|open| open.action.id.0).collect()
}

#[test]
fn a_line_is_a_checksum_and_json() {
    let line = String::from_utf8(Line::Record(end(3)).encode().unwrap()).unwrap();
    assert_eq!(line, "dc620ba4 {\"record\":\"end\",\"action\":3,\"ok\":true}\n");
}

#[test]
fn a_begin_without_an_end_is_unfinished() {
    let reading = read(&bytes(&[begin(0), end(0), begin(1), task(1)]));
    assert_eq!((open(&reading), reading.damage), (vec![1], Vec::new()));
    assert_eq!(reading.open[0].upid.as_deref(), Some("UPID:1"));
    assert_eq!(reading.open[0].at, 7);
}

#[test]
fn a_line_that_is_changed_is_told_and_the_others_count() {
    let whole = bytes(&[begin(0), begin(1), task(1), begin(2), end(2)]);
    let text = String::from_utf8(whole).unwrap();
    let reading = read(text.replace("UPID:1", "UPID:9").as_bytes());
    assert_eq!(open(&reading), [0, 1]);
    assert_eq!(reading.open[1].upid, None, "an identifier that may be wrong is none");
    assert!(Damage::tell(&reading.damage).starts_with("line 4 (its checksum"), "{reading:?}");
}

/// Numbers begin anew with each plan: an end may be of an action whose begin cannot be read.
#[test]
fn an_end_across_a_damaged_line_ends_nothing() {
    let text = String::from_utf8(bytes(&[begin(0), begin(0), task(0), end(0), end(0)])).unwrap();
    let second = text.match_indices("vmid").nth(1).unwrap().0;
    let damaged = format!("{}{}", &text[..second], text[second..].replacen("vmid", "vmie", 1));
    let reading = read(damaged.as_bytes());
    assert_eq!((open(&reading), reading.damage.len()), (vec![0], 1));
    assert_eq!(reading.open[0].upid, None);
}

#[test]
fn journals_of_version_1_are_read() {
    let first = r#"{"record":"begin","action":0,"address":"k3s/w01","vmid":1000,"node":"pve1","verb":"clone"}
{"record":"begin","action":1,"address":"k3s/w02","vmid":1001,"node":"pve2","verb":"configure as root"}
{"record":"task","action":1,"upid":"UPID:x"}
{"record":"begin","action":2,"address":"k3s/w03","vmid":1002,"node":"pve3","verb":"start"}
{"record":"end","action":2,"ok":true}
{"record":"begin","action":3,"addr"#;
    let reading = read(first.as_bytes());
    assert_eq!((open(&reading), &reading.damage), (vec![0, 1], &Vec::new()));
    let [clone, configure] = reading.open.as_slice() else { panic!("{reading:?}") };
    assert_eq!((clone.action.kind.verb(), clone.action.vmid, clone.at), ("clone", 1000, 0));
    assert_eq!(configure.action.kind.verb(), "configure as root");
    assert_eq!(
        (configure.action.node.as_str(), configure.upid.as_deref()),
        ("pve2", Some("UPID:x"))
    );

    let later: String = [begin(0), begin(1), task(1), end(0)]
        .iter()
        .map(|record| serde_json::to_string(record).unwrap() + "\n")
        .collect();
    assert_eq!(open(&read(later.as_bytes())), [1]);
    let reading = read(format!("garbage\n{later}").as_bytes());
    assert_eq!((open(&reading), reading.damage[0].line), (vec![1], 1));
    assert_eq!(open(&read(format!("{later}{{\"record\":\"closed\"}}\n").as_bytes())), [0; 0]);
}

#[test]
fn each_verb_of_version_1_is_known() {
    for verb in [
        "create",
        "clone",
        "configure",
        "configure as root",
        "resize",
        "migrate",
        "start",
        "shutdown",
        "reboot",
        "move",
        "reassign",
        "detach",
        "erase",
        "pool",
        "destroy",
    ] {
        let line = format!(
            r#"{{"record":"begin","action":0,"address":"k3s/a","vmid":1,"node":"n","verb":"{verb}"}}"#
        );
        assert_eq!(read(line.as_bytes()).open[0].action.kind.verb(), verb);
    }
}

#[test]
fn newer_ones_and_those_of_others() {
    let newer = br#"{"record":"journal","version":9,"shape":"other"}"#;
    let newer =
        format!("{:08x} {}\nwhatever\n", crc32fast::hash(newer), String::from_utf8_lossy(newer));
    assert_eq!(Reading::of(newer.as_bytes(), "lab", "k3s"), Err(9));
    let reading = Reading::of(&bytes(&[begin(0)]), "prod", "k3s").unwrap();
    assert_eq!(reading.open, [], "actions of another cluster are not looked for here");
    assert!(Damage::tell(&reading.damage).contains("it belongs to k3s on lab"));
}

#[test]
#[cfg(target_os = "linux")]
fn after_a_record_that_was_not_written_none_is() {
    let file = File::options().write(true).open("/dev/full").unwrap();
    let mut journal = Journal { log: Log::new(file), path: "journal".into(), torn: false };
    let append = |journal: &mut Journal| {
        journal.append(&[Line::Record(begin(0))], None, &mut Watch::default())
    };
    assert!(append(&mut journal).is_err());
    let space = tempfile::NamedTempFile::new().unwrap();
    journal.log = Log::new(space.reopen().unwrap());
    let error = append(&mut journal).unwrap_err().to_string();
    assert!(error.contains("a record before this one"), "{error}");
    assert_eq!(fs::read(space.path()).unwrap(), b"");
}

/// A new journal has what the old one left open, whole, before the old one is out of the way.
#[test]
fn what_is_open_goes_on_in_the_next_journal() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::new(root.path(), "lab");
    folder.make_folder().unwrap();
    let old = bytes(&[begin(0), task(0), begin(1), end(1), begin(2)]);
    fs::write(folder.file("k3s", "journal"), &old).unwrap();
    let before = Journal::unfinished(&folder, "k3s").unwrap();
    let (mut journal, aside) = Journal::begin(
        &folder,
        "k3s",
        &owner(),
        &|_| true,
        vec![Line::Record(begin(7))],
        &mut Watch::default(),
    )
    .unwrap();
    assert_eq!(aside, None);
    let now = Journal::unfinished(&folder, "k3s").unwrap().open;
    let ids: Vec<u32> = now.iter().map(|open| open.action.id.0).collect();
    assert_eq!(ids, [u32::MAX, u32::MAX - 1, 7]);
    let upids = |open: &[Unfinished]| -> Vec<_> { open.iter().map(|o| o.upid.clone()).collect() };
    let old_ones: Vec<Unfinished> = now.into_iter().take(2).collect();
    assert_eq!(upids(&old_ones), upids(&before.open));
    let guests =
        |open: &[Unfinished]| -> Vec<_> { open.iter().map(|o| o.action.address.clone()).collect() };
    assert_eq!(guests(&old_ones), guests(&before.open));
    assert_eq!(fs::read(folder.file("k3s", "journal.old")).unwrap(), old);
    journal.append(&[Line::Record(Record::Closed)], None, &mut Watch::default()).unwrap();
    assert_eq!(Journal::unfinished(&folder, "k3s").unwrap(), Unsettled::default());
}

/// Runs of actions as they happen: each begins, some become tasks, some end.
fn records() -> impl Strategy<Value = Vec<Record>> {
    let action = |id: u32, how: u8| match how {
        0 => vec![begin(id)],
        1 => vec![begin(id), task(id)],
        2 => vec![begin(id), end(id)],
        _ => vec![begin(id), task(id), end(id)],
    };
    proptest::collection::vec((0..3_u32, 0..4_u8), 1..6)
        .prop_map(move |all| all.into_iter().flat_map(|(id, how)| action(id, how)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_journal_torn_at_any_byte_says_what_its_whole_lines_say(records in records()) {
        let whole = bytes(&records);
        for cut in 0..=whole.len() {
            let torn = &whole[..cut];
            let lines = torn.iter().filter(|byte| **byte == b'\n').count();
            // A last line that only lacks its line break is whole.
            let complete = !torn.ends_with(b"\n") && whole.get(cut) == Some(&b'\n');
            let count = (lines + usize::from(complete)).saturating_sub(1);
            let expected = read(&bytes(&records[..count]));
            prop_assert_eq!(read(torn), expected, "cut at {}", cut);
        }
    }

    #[test]
    fn a_journal_with_any_byte_changed_loses_and_invents_nothing(
        records in records(),
        change in 1..=255_u8,
        step in 3..11_usize,
    ) {
        let whole = bytes(&records);
        let truth = read(&whole);
        let begun: Vec<u32> = records.iter().filter_map(|r| match r {
            Record::Begin { action, .. } => Some(action.id.0),
            _ => None,
        }).collect();
        let count = |of: &[u32], id: u32| of.iter().filter(|x| **x == id).count();
        for place in (0..whole.len()).step_by(step) {
            let mut damaged = whole.clone();
            damaged[place] ^= change;
            let reading = read(&damaged);
            // The line that was changed, and the one after it when a line break went.
            let line = whole[..place].iter().filter(|byte| **byte == b'\n').count();
            let touched = [Some(line), (whole[place] == b'\n').then_some(line + 1)];
            let lost = |id: u32| touched.iter().flatten().filter_map(|n| records.get(n.wrapping_sub(1)))
                .filter(|r| matches!(r, Record::Begin { action, .. } if action.id.0 == id)).count();
            for id in 0..3 {
                let (found, open) = (open(&reading), open(&truth));
                prop_assert!(count(&found, id) <= count(&begun, id), "invented at {}", place);
                prop_assert!(count(&found, id) + lost(id) >= count(&open, id), "lost at {}", place);
            }
            for found in &reading.open {
                let right = found.upid.is_none() || found.upid == Some(format!("UPID:{}", found.action.id.0));
                prop_assert!(right && found.action.vmid == 1000 + found.action.id.0);
            }
            let last = whole.len() - 1;
            let tail = whole[..last].iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
            prop_assert!(!reading.damage.is_empty() || place > tail, "untold at {}", place);
        }
    }
}
