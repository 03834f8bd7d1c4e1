//! What each action sends, and what its answer means.

use std::collections::BTreeMap;

use pvx_core::address::Address;
use pvx_core::plan::{Action, ActionId, ActionKind, Effect, HaChange, Reason};
use pvx_core::provider::{Begun, ErrorClass};
use serde_json::json;

use super::{begun, class_of_end, is_member_already, request};

pub(super) fn action(kind: ActionKind) -> Action {
    Action {
        id: ActionId(0),
        address: Address::new("k3s", "w01"),
        vmid: 1000,
        node: "pve1".to_owned(),
        kind,
        reason: Reason::new("test", "test"),
        effect: Effect::Live,
        preconditions: Vec::new(),
        storages: Vec::new(),
    }
}

/// `POST /path key=value …`
fn sent(kind: ActionKind) -> String {
    let request = request(&action(kind), Some("abc"));
    let debug = format!("{request:?}");
    let parameters = debug.split_once("parameters: ").unwrap().1;
    format!("{} {} {parameters}", request.method(), request.path().as_str())
}

fn clone(full: bool, storage: Option<&str>, target: Option<&str>) -> ActionKind {
    ActionKind::Clone {
        source: 100,
        full,
        storage: storage.map(str::to_owned),
        target: target.map(str::to_owned),
        name: "w01".to_owned(),
        note: "note".to_owned(),
        pool: storage.map(|_| "lab".to_owned()),
    }
}

fn map(key: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(key.to_owned(), value.to_owned())])
}

#[test]
fn requests() {
    let pool = |join: Option<&str>, leave: Option<&str>| ActionKind::Pool {
        join: join.map(str::to_owned),
        leave: leave.map(str::to_owned),
    };
    let ha = |change| ActionKind::Ha { change };
    let configure = |set, delete: &[&str], background| ActionKind::Configure {
        set,
        delete: delete.iter().map(|key| (*key).to_owned()).collect(),
        background,
    };
    let migrate = |online, with_local_disks| ActionKind::Migrate {
        target: "pve2".to_owned(),
        online,
        with_local_disks,
    };
    let all = [
        ActionKind::Create { config: map("cores", "2"), pool: None },
        ActionKind::Create { config: map("cores", "2"), pool: Some("lab".to_owned()) },
        clone(true, Some("shared"), Some("pve2")),
        clone(false, None, None),
        configure(map("cores", "2"), &[], false),
        configure(map("scsi1", "shared:5"), &["onboot", "cpu"], true),
        ActionKind::Resize { disk: "scsi0".to_owned(), size: 40 << 30 },
        ActionKind::Resize { disk: "scsi0".to_owned(), size: (40 << 30) + 512 },
        migrate(false, false),
        migrate(true, true),
        ActionKind::Start,
        ActionKind::Shutdown { timeout: 120, force: false },
        ActionKind::Shutdown { timeout: 120, force: true },
        ActionKind::Destroy,
        pool(Some("lab"), None),
        pool(Some("lab"), Some("other")),
        pool(None, Some("lab")),
        ha(HaChange::Add { set: map("state", "started") }),
        ha(HaChange::Update { set: map("state", "stopped"), delete: vec!["comment".to_owned()] }),
        ha(HaChange::Remove),
        ha(HaChange::AddRule { rule: "r".to_owned(), set: map("type", "node-affinity") }),
        ha(HaChange::UpdateRule {
            rule: "r".to_owned(),
            set: map("type", "node-affinity"),
            delete: vec!["strict".to_owned(), "disable".to_owned()],
        }),
        ha(HaChange::RemoveRule { rule: "r".to_owned() }),
    ];
    let lines: Vec<_> = all.into_iter().map(sent).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn members_of_pools() {
    let pool = |join: Option<&str>, leave: Option<&str>| ActionKind::Pool {
        join: join.map(str::to_owned),
        leave: leave.map(str::to_owned),
    };
    let (there, gone) = (
        "refused (500 update pools failed: VM 1000 is already a pool member)",
        "refused (500 update pools failed: VM 1000 is not a pool member)",
    );
    let (join, leave) = (pool(Some("lab"), Some("other")), pool(None, Some("lab")));
    assert!(is_member_already(&join, there) && !is_member_already(&join, gone));
    assert!(is_member_already(&leave, gone) && !is_member_already(&leave, there));
    assert!(!is_member_already(&ActionKind::Start, there));
}

#[test]
fn ends_of_tasks() {
    use ErrorClass::{Busy, Changed, Exists, Failed, Missing};
    let table = [
        ("clone failed: cfs-lock 'storage-shared' error: got lock request timeout", Busy),
        ("VM is locked (backup)", Busy),
        ("clone failed: 'storage-shared'-locked command timed out - aborting", Failed),
        ("unable to create VM 100: config file already exists", Exists),
        ("checksum mismatch (file change by other user?)", Changed),
        (
            "VM 100: detected modified configuration - file changed by other user? Try again.",
            Changed,
        ),
        ("Configuration file 'nodes/pve1/qemu-server/100.conf' does not exist", Missing),
        (
            "clone failed: can't add VM 100 to pool 'lab': cfs-lock 'file-user_cfg' error: \
             got lock request timeout",
            Failed,
        ),
        ("received interrupt", Failed),
    ];
    for (text, class) in table {
        assert_eq!(class_of_end(text), class, "{text}");
    }
}

#[test]
fn answers() {
    let start = action(ActionKind::Start);
    assert_eq!(begun(&start, &json!(null)), Ok(Begun::Done));
    let task = "UPID:pve1:0000:00:00:qmstart:1000:root@pam:";
    assert_eq!(begun(&start, &json!(task)), Ok(Begun::Task(task.to_owned())));
    // Accepted, and not understood: it must be looked at, never repeated.
    for answer in [json!("fine"), json!({"upid": task}), json!(1), json!([])] {
        assert_eq!(begun(&start, &answer).unwrap_err().class, ErrorClass::OutcomeUnknown);
    }
}
