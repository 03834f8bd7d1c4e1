//! The file's form, and what makes it refused.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cluster, Document, FORMAT, Saved, Seen, Unreadable, Variable, check, is_saved_plan};
use crate::address::Address;
use crate::live;
use crate::plan::{
    Action, ActionGraph, ActionId, ActionKind, Effect, Finding, Intent, Plan, Precondition, Reason,
    VERSION,
};
use crate::planner::Options;

fn plan() -> Plan {
    let mut actions = ActionGraph::default();
    let action = |vmid, kind, precondition| Action {
        id: ActionId(0),
        address: Address::new("k3s", "w01"),
        vmid,
        node: "pve1".to_owned(),
        kind,
        reason: Reason::new("missing", "in the documents, not on the cluster"),
        effect: Effect::Create,
        preconditions: vec![precondition],
        storages: Vec::new(),
    };
    let set = BTreeMap::from([("cores".to_owned(), "4".to_owned())]);
    let first = actions.add(action(1012, ActionKind::Start, Precondition::VmidFree));
    let second = actions.add(action(
        1011,
        ActionKind::Configure { set, delete: vec!["tags".to_owned()], background: false },
        Precondition::Digest { digest: "d1".to_owned() },
    ));
    actions.order(first, second);
    Plan {
        nodes: (3, 3),
        actions,
        findings: vec![Finding::note("pending", "it waits")],
        ..Plan::new(Intent::Apply, "lab")
    }
}

fn saved() -> Saved {
    let variable =
        |hash: Option<&str>| Variable { from: "--var".to_owned(), sha256: hash.map(str::to_owned) };
    let seen = |name: &str, digest: &str| Seen {
        name: name.to_owned(),
        node: "pve1".to_owned(),
        digest: Some(digest.to_owned()),
        running: true,
    };
    Saved {
        format: FORMAT,
        pvx: "0.1.0".to_owned(),
        made: "2026-01-01T00:00:00Z".parse().unwrap(),
        expires: "2026-01-02T00:00:00Z".parse().unwrap(),
        cluster: cluster("lab", Some("AA:BB"), &["pve1", "pve2"]),
        paths: vec!["clusters".to_owned()],
        documents: documents(&[("clusters/k3s.yaml", "1"), ("b.yaml", "2")]),
        variables: BTreeMap::from([
            ("cores".to_owned(), variable(Some("5"))),
            ("secret".to_owned(), variable(None)),
        ]),
        options: Options::default(),
        guests: BTreeMap::from([(1011, seen("w01", "d1"))]),
        plan: plan(),
    }
}

fn cluster(name: &str, authority: Option<&str>, nodes: &[&str]) -> Cluster {
    Cluster {
        name: name.to_owned(),
        authority: authority.map(str::to_owned),
        nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
    }
}

fn documents(all: &[(&str, &str)]) -> BTreeSet<Document> {
    let document = |(path, sha256): &(&str, &str)| Document {
        path: (*path).to_owned(),
        sha256: (*sha256).to_owned(),
    };
    all.iter().map(document).collect()
}

/// The cluster as [`saved`] saw it.
fn snapshot() -> live::Snapshot {
    let mut snapshot = live::Snapshot::default();
    add(&mut snapshot, 1011, "w01", "pve1", Some("d1"));
    snapshot
}

fn add(snapshot: &mut live::Snapshot, vmid: u32, name: &str, node: &str, digest: Option<&str>) {
    let (name, node) = (name.to_owned(), node.to_owned());
    let config = BTreeMap::from([("name".to_owned(), name.clone())]);
    let guest = live::Guest {
        vmid,
        node: node.clone(),
        config,
        digest: digest.map(str::to_owned),
        running: true,
        ..live::Guest::default()
    };
    let summary = live::Summary { vmid, node, name: Some(name), ..live::Summary::default() };
    snapshot.inventory.guests.insert(vmid, summary);
    if guest.digest.is_some() {
        snapshot.guests.insert(vmid, guest);
    }
}

#[test]
fn what_is_written_is_read() {
    let text = saved().encode().unwrap();
    assert!(text.starts_with("{\n  \"pvx_plan\": 1,"), "{text}");
    assert_eq!(Saved::decode(text.as_bytes()).unwrap(), saved());
    // A tool that formats JSON does no harm.
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(Saved::decode(value.to_string().as_bytes()).unwrap(), saved());
    assert_eq!(Saved::decode(text.replace('\n', "\r\n").as_bytes()).unwrap(), saved());
}

/// Each byte becomes another, in many ways: refused, or the same in other white space.
#[test]
fn every_edited_byte_is_refused_or_means_the_same() {
    let text = saved().encode().unwrap().into_bytes();
    let mut refused = 0;
    for at in 0..text.len() {
        let was = text[at];
        for now in [b' ', b'1', b'"', b'}', 0xff, was ^ 1] {
            let mut edited = text.clone();
            edited[at] = now;
            match Saved::decode(&edited) {
                Ok(read) => assert_eq!(read, saved(), "byte {at}: {was} became {now}"),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > text.len() * 4, "{refused} of {}", text.len());
}

#[test]
fn a_plan_that_is_cut_off_anywhere_is_refused() {
    let text = saved().encode().unwrap();
    let whole = text.trim_end().len();
    for length in 0..whole {
        let error = Saved::decode(&text.as_bytes()[..length]).unwrap_err();
        // What is so short that nobody knows what it was is a foreign file.
        let known = is_saved_plan(&text.as_bytes()[..length]);
        let cut_off = matches!(error, Unreadable::CutOff { .. });
        assert!(cut_off == known && (known || length < 20), "{length}: {error}");
    }
    assert!(Saved::decode(&text.as_bytes()[..whole]).is_ok());
}

#[test]
fn foreign_newer_and_invalid_files() {
    let decode = |text: &str| Saved::decode(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(decode("name: k3s\n# \"pvx_plan\""), "it is no saved plan");
    assert_eq!(decode("{name: k3s, nodes: {}}"), "it is no saved plan");
    let newer = Saved { format: FORMAT + 1, ..saved() }.encode().unwrap();
    assert_eq!(decode(&newer), "a newer pvx made it (form 2, this one knows 1)");
    let plan = Plan { version: VERSION + 1, ..plan() };
    let newer = Saved { plan, ..saved() }.encode().unwrap();
    assert!(decode(&newer).starts_with("a newer pvx made it"), "{}", decode(&newer));
    let text = saved().encode().unwrap();
    assert!(decode(&text.replace("\"4\"", "\"8\"")).contains("checksum"));
    assert!(decode(&text.replace("{\n", "{,\n")).contains("damaged at 1:2"));
    // A deep tree is no way to make it fall over.
    let deep = format!("{{\"pvx_plan\": {}", "[".repeat(100_000));
    assert!(decode(&deep).contains("damaged"), "{}", decode(&deep));
}

fn lines(result: Result<(), check::Stale>) -> Vec<String> {
    result
        .err()
        .into_iter()
        .flat_map(|stale| [vec![stale.message], stale.details].concat())
        .collect()
}

#[test]
fn time_and_cluster() {
    let time = |text: &str| lines(check::time(&saved(), text.parse().unwrap()));
    assert!(time("2026-01-01T23:59:59Z").is_empty());
    assert_eq!(
        time("2026-01-02T00:00:00Z"),
        ["it expired at 2026-01-02T00:00:00Z (made at 2026-01-01T00:00:00Z)"]
    );
    let is = |name: &str, authority: Option<&str>, nodes: &[&str]| {
        lines(check::cluster(&saved(), &cluster(name, authority, nodes)))
    };
    // A node that came or went since is no other cluster.
    assert!(is("lab", Some("AA:BB"), &["pve1", "pve3"]).is_empty());
    assert!(is("lab", None, &["pve1", "pve2"]).is_empty());
    insta::assert_debug_snapshot!([
        is("prod", Some("AA:BB"), &[]),
        is("lab", Some("AA:CC"), &["pve1", "pve2"]),
        is("lab", None, &["pve1"]),
    ], @r#"
    [
        [
            "it was made for cluster lab, and this is prod",
        ],
        [
            "it was made for another cluster that is named lab too",
            "certificate authority of the plan's cluster: AA:BB",
            "certificate authority of this one: AA:CC",
        ],
        [
            "it was made for another cluster that is named lab too",
            "nodes of the plan's cluster: pve1, pve2",
            "nodes of this one: pve1",
        ],
    ]
    "#);
}

#[test]
fn documents_and_variables() {
    let found = |all| lines(check::documents(&saved(), &documents(all)));
    assert!(found(&[("clusters/k3s.yaml", "1"), ("b.yaml", "2")]).is_empty());
    let mut given = saved().variables;
    assert!(lines(check::variables(&saved(), &given)).is_empty());
    given.get_mut("cores").unwrap().sha256 = Some("6".to_owned());
    given.remove("secret");
    let more = Variable { from: "PVX_VAR_MORE".to_owned(), sha256: None };
    given.insert("more".to_owned(), more);
    insta::assert_debug_snapshot!([
        found(&[("b.yaml", "3"), ("c.yaml", "1")]),
        found(&[("elsewhere/k3s.yaml", "1")]),
        lines(check::variables(&saved(), &given)),
    ], @r#"
    [
        [
            "the documents changed since it was made",
            "b.yaml: changed",
            "clusters/k3s.yaml: missing",
            "c.yaml: new",
        ],
        [
            "the documents that it was made from are not here",
            "b.yaml: missing",
            "clusters/k3s.yaml: missing",
            "elsewhere/k3s.yaml: new",
        ],
        [
            "variables have other values than when it was made",
            "cores: --var gives another value",
            "secret: not given (--var gave it)",
            "more: PVX_VAR_MORE gives it now",
        ],
    ]
    "#);
}

#[test]
fn the_cluster_and_the_plan() {
    let again = |snapshot: &live::Snapshot, again: &Plan| {
        lines(check::plan(&saved(), snapshot, again, |_, _| vec!["the difference".to_owned()]))
    };
    // Findings, and nodes that answer or not, are not what is done.
    let same = Plan { findings: Vec::new(), nodes: (2, 3), ..plan() };
    assert!(again(&snapshot(), &same).is_empty());
    let live = |name: &str, node: &str, digest: Option<&str>| {
        let mut snapshot = live::Snapshot::default();
        add(&mut snapshot, 1011, name, node, digest);
        snapshot
    };
    let mut taken = snapshot();
    add(&mut taken, 1012, "stranger", "pve3", None);
    let mut stopped = snapshot();
    stopped.guests.get_mut(&1011).unwrap().running = false;
    assert!(again(&stopped, &plan()).is_empty(), "power that changes nothing");
    let nothing = Plan { actions: ActionGraph::default(), ..plan() };
    let other = Plan { intent: Intent::Destroy, ..plan() };
    let error = Finding::error("denied", "VM.Audit is missing on /vms").help("grant it");
    let blocked = Plan { findings: vec![error], ..plan() };
    insta::assert_debug_snapshot!([
        again(&live::Snapshot::default(), &other),
        again(&live("w01", "pve2", Some("d1")), &other),
        again(&live("w01", "pve1", Some("d2")), &plan()),
        again(&stopped, &other),
        again(&taken, &plan()),
        again(&snapshot(), &blocked),
        again(&snapshot(), &other),
        again(&snapshot(), &nothing),
    ], @r#"
    [
        [
            "the cluster changed since it was made",
            "guest 1011 (w01) is not there any more; it was on pve1",
        ],
        [
            "the cluster changed since it was made",
            "guest 1011 (w01) moved from pve1 to pve2",
        ],
        [
            "the cluster changed since it was made",
            "the configuration of guest 1011 (w01) on pve1 was changed",
        ],
        [
            "the cluster changed since it was made",
            "guest 1011 (w01) on pve1 is stopped now",
        ],
        [
            "the cluster changed since it was made",
            "VMID 1012 is taken meanwhile by stranger on pve3",
        ],
        [
            "something stands in its way that did not when it was made",
            "VM.Audit is missing on /vms (grant it)",
        ],
        [
            "the plan would be another one now",
            "the difference",
        ],
        [
            "nothing of it is left to do",
            "it was applied already, or someone else made the same changes",
            "or it was made with another `state` folder (--state): its guests are as they were",
        ],
    ]
    "#);
}
