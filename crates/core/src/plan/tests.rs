//! The serialised plan, its graph, and what lint finds.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{
    Action, ActionGraph, ActionId, ActionKind, Change, Effect, Facts, Intent, Plan, Precondition,
    Reason, Verb, lint,
};
use crate::address::Address;
use crate::state::Remembered;

fn action(kind: ActionKind) -> Action {
    Action {
        id: ActionId(0),
        address: Address::new("k3s", "w01"),
        vmid: 1000,
        node: "pve1".to_owned(),
        kind,
        reason: Reason::new("missing", "in the documents, not on the cluster"),
        effect: Effect::Create,
        preconditions: vec![
            Precondition::VmidFree,
            Precondition::Unprotected,
            Precondition::Digest { digest: "abc".to_owned() },
            Precondition::Owned { mark: "pvx-k3s".to_owned(), uuid: Uuid::from_u128(7) },
        ],
        storages: vec!["shared".to_owned()],
    }
}

fn clone(full: bool, storage: Option<&str>) -> ActionKind {
    ActionKind::Clone {
        source: 100,
        full,
        storage: storage.map(str::to_owned),
        target: Some("pve2".to_owned()),
        name: "w01".to_owned(),
        note: "pvx is making k3s/w01".to_owned(),
        pool: Some("lab".to_owned()).filter(|_| full),
    }
}

fn configure(set: &[&str], delete: &[&str]) -> ActionKind {
    ActionKind::Configure {
        set: set.iter().map(|key| ((*key).to_owned(), "1".to_owned())).collect(),
        delete: delete.iter().map(|key| (*key).to_owned()).collect(),
        background: true,
    }
}

fn every_kind() -> Vec<ActionKind> {
    vec![
        ActionKind::Create {
            config: BTreeMap::from([("cores".to_owned(), "2".to_owned())]),
            pool: None,
        },
        clone(true, Some("shared")),
        clone(false, None),
        configure(&["cores", "id", "node"], &["onboot"]),
        ActionKind::Resize { disk: "scsi0".to_owned(), size: u64::MAX },
        ActionKind::Migrate { target: "pve2".to_owned(), online: true, with_local_disks: true },
        ActionKind::Start,
        ActionKind::Shutdown { timeout: 120, force: true },
        ActionKind::Destroy,
    ]
}

fn graph() -> ActionGraph {
    let mut graph = ActionGraph::default();
    for kind in every_kind() {
        graph.add(action(kind));
    }
    for (first, later) in [(0, 3), (3, 4), (2, 4), (4, 6)] {
        graph.order(ActionId(first), ActionId(later));
    }
    graph
}

#[test]
fn json_and_back() {
    let graph = graph();
    let text = serde_json::to_string_pretty(&graph).unwrap();
    let back: ActionGraph = serde_json::from_str(&text).unwrap();
    assert_eq!(back, graph);
    assert_eq!(back.needs(ActionId(4)), [ActionId(2), ActionId(3)]);
    insta::assert_snapshot!(text);
}

#[test]
fn graphs_that_differ_only_in_order_differ() {
    let mut other = graph();
    other.order(ActionId(7), ActionId(8));
    assert_ne!(other, graph());
}

fn read(edit: impl FnOnce(&mut Vec<serde_json::Value>)) -> String {
    let mut list: Vec<serde_json::Value> =
        serde_json::from_value(serde_json::to_value(graph()).unwrap()).unwrap();
    edit(&mut list);
    let result = serde_json::from_value::<ActionGraph>(list.into());
    result.unwrap_err().to_string()
}

#[test]
fn graphs_that_cannot_be_run_are_refused() {
    let circle = read(|l| l[0]["needs"] = [6].into());
    assert!(circle.ends_with("waits for itself"), "{circle}");
    assert_eq!(read(|l| l[5]["needs"] = [5].into()), "action #5 waits for itself");
    assert_eq!(
        read(|l| l[5]["needs"] = [99].into()),
        "action #5 needs #99, which is not in the plan"
    );
    assert_eq!(
        read(|l| l[5]["needs"] = [u32::MAX].into()),
        "action #5 needs #4294967295, which is not in the plan"
    );
    assert_eq!(read(|l| l.swap(0, 1)), "action #1 is not at its place in the list");
    assert_eq!(read(|l| drop(l.remove(0))), "action #1 is not at its place in the list");
    assert_eq!(read(|l| l[1]["id"] = 0.into()), "action #0 is not at its place in the list");
    assert!(read(|l| l[0]["do"] = "explode".into()).contains("unknown variant"));
    assert!(read(|l| l[0]["address"] = "k3s".into()).contains("is not an address"));
}

#[test]
fn order_and_depth() {
    let graph = graph();
    assert_eq!(graph.depth(), 4);
    let sequence = graph.sequence().unwrap();
    let place = |id| sequence.iter().position(|s| *s == ActionId(id)).unwrap();
    assert!(
        place(0) < place(3) && place(3) < place(4) && place(2) < place(4) && place(4) < place(6)
    );
    assert_eq!(graph.unlocks(ActionId(3)), [ActionId(4)]);
    assert_eq!(graph.needs(ActionId(99)), []);
    assert_eq!(ActionGraph::default().depth(), 0);
}

/// A plan with one change of these actions, one after the other.
fn plan(verb: Verb, actions: Vec<Action>) -> Plan {
    let mut graph = ActionGraph::default();
    let ids: Vec<_> = actions.into_iter().map(|action| graph.add(action)).collect();
    let change = Change {
        address: Address::new("k3s", "w01"),
        verb,
        vmid: 1000,
        node: "pve1".to_owned(),
        target: None,
        running: false,
        facts: Facts::default(),
        attributes: Vec::new(),
        effect: Effect::Create,
        reason: "test".to_owned(),
        position: None,
        on_failure: crate::desired::OnFailure::Keep,
        actions: ids,
    };
    Plan { nodes: (3, 3), changes: vec![change], actions: graph, ..Plan::new(Intent::Apply, "lab") }
}

fn complaints(plan: &Plan) -> String {
    lint::check(plan).into_iter().map(|f| f.message).collect::<Vec<_>>().join("\n")
}

fn unproven(kind: ActionKind) -> Action {
    Action { preconditions: Vec::new(), ..action(kind) }
}

fn password(value: &str) -> ActionKind {
    let set = [("cipassword".to_owned(), value.to_owned())].into();
    ActionKind::Configure { set, delete: Vec::new(), background: false }
}

fn snippet(sha256: &str) -> ActionKind {
    let (storage, name) = ("local".to_owned(), "a.yaml".to_owned());
    ActionKind::Snippet { storage, name, sha256: sha256.to_owned() }
}

#[test]
fn lint_finds_actions_that_must_not_be() {
    let one = |kind| complaints(&plan(Verb::Change, vec![action(kind)]));
    for kind in every_kind() {
        assert_eq!(one(kind), "");
    }
    let same =
        ActionKind::Migrate { target: "pve1".to_owned(), online: false, with_local_disks: false };
    let table = [
        (configure(&["cores"], &["cores"]), "sets and deletes the same key"),
        (configure(&[], &[]), "changes nothing"),
        (configure(&[], &["scsi3"]), "deletes a disk"),
        (configure(&[], &["unused0"]), "deletes a disk"),
        (configure(&[], &["efidisk0"]), "deletes a disk"),
        (clone(false, Some("shared")), "gives a linked clone a storage"),
        (same, "migrates to the node it is on"),
        (password("hunter2"), "holds a secret"),
        (snippet("abc"), "does not say which content it writes"),
    ];
    assert_eq!(one(password(crate::secret::MARKER)), "");
    assert_eq!(one(snippet(&"0f".repeat(32))), "");
    for (kind, text) in table {
        let found = one(kind);
        assert!(found.contains(text), "{found}");
    }
    assert_eq!(one(configure(&[], &["net1", "scsihw", "ide"])), "");
}

#[test]
fn lint_asks_for_proof() {
    for kind in every_kind() {
        let first = complaints(&plan(Verb::Change, vec![unproven(kind.clone())]));
        assert!(first.contains("k3s/w01 is touched without any proof"), "{first}");
        let makes = matches!(kind, ActionKind::Create { .. } | ActionKind::Clone { .. });
        let asks_nothing = matches!(kind, ActionKind::Ha { .. } | ActionKind::Snippet { .. });
        let later = plan(Verb::Change, vec![action(ActionKind::Start), unproven(kind.clone())]);
        match complaints(&later) {
            _ if makes => {}
            found if asks_nothing => assert_eq!(found, ""),
            found => assert!(found.contains("without proof of ownership"), "{kind:?} {found}"),
        }
    }
    // A guest that is being made grows right after the write that proved it; its disks do not go.
    let made = |kind| plan(Verb::Create, vec![action(ActionKind::Start), unproven(kind)]);
    let resize = ActionKind::Resize { disk: "scsi0".to_owned(), size: 1 };
    assert_eq!(complaints(&made(resize)), "");
    for kind in every_kind().into_iter().filter(|kind| {
        matches!(
            kind,
            ActionKind::MoveDisk { .. } | ActionKind::Detach { .. } | ActionKind::Erase { .. }
        )
    }) {
        assert!(complaints(&made(kind)).contains("destroys without proof of ownership"));
    }
    let destroy = vec![action(ActionKind::Start), unproven(ActionKind::Destroy)];
    assert!(complaints(&plan(Verb::Destroy, destroy)).contains("without proof of ownership"));
    let clone = vec![action(ActionKind::Start), unproven(clone(true, None))];
    assert!(
        complaints(&plan(Verb::Create, clone)).contains("without asking that the VMID is free")
    );
}

#[test]
fn lint_knows_what_documents_want() {
    let mut plan = plan(Verb::Destroy, vec![action(ActionKind::Destroy)]);
    assert_eq!(complaints(&plan), "");
    plan.outcomes.insert(Address::new("k3s", "w01"), Remembered::default());
    assert!(complaints(&plan).contains("destroys a guest that documents want"));
    plan.intent = Intent::Destroy;
    assert_eq!(complaints(&plan), "");
}

#[test]
fn lint_checks_that_changes_and_actions_belong_together() {
    let start = || plan(Verb::Power, vec![action(ActionKind::Start)]);
    let mut none = start();
    none.changes[0].actions.clear();
    let text = complaints(&none);
    assert!(
        text.contains("changes without any action") && text.contains("action #0 does not belong")
    );

    let mut other = start();
    other.changes[0].address = Address::new("k3s", "w02");
    assert!(complaints(&other).contains("k3s/w02 names action #0 of another guest"));

    let mut unknown = start();
    unknown.changes[0].actions.push(ActionId(9));
    assert!(complaints(&unknown).contains("names action #9 of another guest"));

    let mut twice = start();
    twice.changes.push(twice.changes[0].clone());
    let text = complaints(&twice);
    assert!(text.contains("VMID 1000 stands in two changes") && text.contains("does not belong"));

    let mut circle = plan(Verb::Power, vec![action(ActionKind::Start), action(ActionKind::Start)]);
    circle.actions.order(ActionId(0), ActionId(1));
    circle.actions.order(ActionId(1), ActionId(0));
    assert!(complaints(&circle).contains("the actions cannot be ordered"));
}

fn of_keeper(kind: ActionKind) -> Action {
    let uuid = Uuid::from_u128(9);
    let owned = Precondition::Owned { mark: "pvx-kept.k3s".to_owned(), uuid };
    Action { vmid: 1007, preconditions: vec![owned], ..action(kind) }
}

#[test]
fn lint_lets_a_change_touch_the_keeper_of_its_disks_and_no_other_guest() {
    let other = Action { vmid: 1007, ..action(ActionKind::Start) };
    let text = complaints(&plan(Verb::Change, vec![action(ActionKind::Start), other.clone()]));
    assert!(text.contains("k3s/w01 touches guest 1007, which is not it"), "{text}");
    let keeper = || vec![action(ActionKind::Start), of_keeper(ActionKind::Destroy)];
    let mut wanted = plan(Verb::Change, keeper());
    wanted.outcomes.insert(Address::new("k3s", "w01"), Remembered::default());
    assert_eq!(complaints(&wanted), "");
    // A guest that is replaced may get another number.
    assert_eq!(complaints(&plan(Verb::Replace, vec![action(ActionKind::Start), other])), "");
    // Two guests never share one.
    let mut twice = wanted.clone();
    let mut second = twice.changes[0].clone();
    second.address = Address::new("k3s", "w02");
    second.vmid = 1007;
    second.actions = vec![
        twice
            .actions
            .add(Action { address: second.address.clone(), ..of_keeper(ActionKind::Start) }),
    ];
    twice.changes.push(second);
    assert!(complaints(&twice).contains("VMID 1007 stands in two changes"));
}

#[test]
fn lint_lets_a_guest_go_that_is_made_anew() {
    let mut plan = plan(Verb::Replace, vec![action(ActionKind::Destroy)]);
    plan.outcomes.insert(Address::new("k3s", "w01"), Remembered::default());
    assert_eq!(complaints(&plan), "");
}

#[test]
fn lint_lets_only_known_bytes_go() {
    let erase = |disk: &str| action(ActionKind::Erase { disk: disk.to_owned() });
    let text = complaints(&plan(Verb::Change, vec![erase("scsi1")]));
    assert!(text.contains("erases a disk that is not detached"), "{text}");
    let text = complaints(&plan(Verb::Change, vec![erase("unused0")]));
    assert!(text.contains("erases a disk without asking which one it is"), "{text}");
    let (disk, volume) = ("unused0".to_owned(), "shared:vm-1000-disk-1".to_owned());
    let mut known = erase("unused0");
    known.preconditions.push(Precondition::Holds { disk, volume });
    assert_eq!(complaints(&plan(Verb::Change, vec![known])), "");
}

#[test]
fn lint_lets_no_kept_disk_go() {
    let hand_over = action(ActionKind::Reassign {
        disk: "scsi1".to_owned(),
        target: 1007,
        target_disk: "scsi1".to_owned(),
    });
    let destroy = || action(ActionKind::Destroy);
    for (actions, complains) in [
        (vec![hand_over.clone(), destroy()], false),
        (vec![destroy(), hand_over.clone()], true),
        (vec![Action { vmid: 1001, ..hand_over }, destroy()], true),
        (vec![destroy()], true),
    ] {
        let mut plan = plan(Verb::Destroy, actions);
        plan.changes[0].facts.kept = vec![("scsi1".to_owned(), 1)];
        let text = complaints(&plan);
        assert_eq!(text.contains("loses scsi1, which is to be kept"), complains, "{text}");
    }
}
