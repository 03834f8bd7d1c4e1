//! What shows an effect, and what does not.

use std::collections::BTreeMap;

use pvx_core::live::{Guest, Ha};
use pvx_core::plan::{ActionKind, HaChange, Precondition};
use pvx_core::provider::Seen;

use super::changed::{ha, is_as_sent, is_done};
use super::made::left_over;
use super::{Task, TaskRow, newest, stranger, task_kinds};
use crate::write::tests::action;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn guest(config: &[(&str, &str)]) -> Guest {
    let digest = Some("new".to_owned());
    Guest { vmid: 1000, node: "pve1".to_owned(), config: map(config), digest, ..Guest::default() }
}

#[test]
fn values_as_proxmox_stores_them() {
    let table = [
        ("cores", "2", "2", true),
        ("cores", "2", "3", false),
        ("cipassword", "<secret>", "**********", true),
        ("description", "a", "a\n", true),
        ("tags", "b;a", "a;b", true),
        ("net0", "virtio,bridge=vmbr0", "virtio=BC:24:11:00:00:01,bridge=vmbr0", true),
        ("net0", "virtio,bridge=vmbr1", "virtio=BC:24:11:00:00:01,bridge=vmbr0", false),
        ("scsi1", "local-lvm:5,discard=on", "local-lvm:vm-1000-disk-1,discard=on,size=5G", true),
        ("scsi1", "local-lvm:5,discard=on", "local-lvm:vm-1000-disk-1,size=5G", false),
        ("scsi1", "shared:5", "local-lvm:vm-1000-disk-1,size=5G", false),
        ("scsi1", "shared:0,import-from=iso:import/a.raw", "shared:vm-1000-disk-1,size=5G", true),
        ("ide2", "shared:cloudinit", "shared:vm-1000-cloudinit,media=cdrom", true),
        ("name", "a", "b", false),
    ];
    for (key, sent, stored, same) in table {
        assert_eq!(is_as_sent(key, sent, stored), same, "{key} {sent} {stored}");
    }
}

fn done(kind: ActionKind, conditions: &[Precondition], guest: &Guest) -> bool {
    let mut action = action(kind);
    action.preconditions = conditions.to_vec();
    is_done(&action, guest)
}

#[test]
fn effects() {
    let digest = |text: &str| Precondition::Digest { digest: text.to_owned() };
    let set = |pairs: &[(&str, &str)], delete: &[&str]| ActionKind::Configure {
        set: map(pairs),
        delete: delete.iter().map(|key| (*key).to_owned()).collect(),
        background: false,
    };
    let two = guest(&[("cores", "2"), ("scsi0", "shared:vm-1000-disk-0,size=5G")]);
    assert!(done(set(&[("cores", "2")], &["agent"]), &[digest("old")], &two));
    assert!(!done(set(&[("cores", "2")], &["scsi0"]), &[digest("old")], &two));
    // Nothing was written since it was read: somebody else had set the same value before.
    assert!(!done(set(&[("cores", "2")], &[]), &[digest("new")], &two));

    let resize = |size| ActionKind::Resize { disk: "scsi0".to_owned(), size };
    assert!(done(resize(5 << 30), &[], &two) && !done(resize(6 << 30), &[], &two));

    let to = |storage: &str, format: Option<&str>| ActionKind::MoveDisk {
        disk: "scsi0".to_owned(),
        storage: storage.to_owned(),
        format: format.map(str::to_owned),
    };
    assert!(done(to("shared", None), &[digest("old")], &two));
    assert!(!done(to("shared", None), &[digest("new")], &two), "it was there before");
    assert!(!done(to("local-lvm", None), &[digest("old")], &two));
    let file = guest(&[("scsi0", "shared:1000/vm-1000-disk-0.raw,size=5G")]);
    assert!(!done(to("shared", Some("qcow2")), &[digest("old")], &file));

    let erase = ActionKind::Erase { disk: "unused0".to_owned() };
    let holds = |volume: &str| Precondition::Holds {
        disk: "unused0".to_owned(),
        volume: volume.to_owned(),
    };
    let unused = guest(&[("unused0", "shared:vm-1000-disk-1")]);
    assert!(!done(erase.clone(), &[holds("shared:vm-1000-disk-1")], &unused));
    assert!(done(erase.clone(), &[holds("shared:vm-1000-disk-2")], &unused));
    assert!(done(erase, &[holds("shared:vm-1000-disk-1")], &two));

    let running = Guest { running: true, ..two.clone() };
    assert!(done(ActionKind::Start, &[], &running) && !done(ActionKind::Start, &[], &two));
    let shutdown = || ActionKind::Shutdown { timeout: 1, force: false };
    assert!(done(shutdown(), &[], &two) && !done(shutdown(), &[], &running));
}

#[test]
fn whose_guest_it_is() {
    let uuid = "00000000-0000-0000-0000-000000000007";
    let owned = Precondition::Owned { mark: "pvx-k3s".to_owned(), uuid: uuid.parse().unwrap() };
    let smbios = format!("uuid={uuid}");
    let ours = guest(&[("tags", "k3s;pvx-k3s"), ("smbios1", &smbios)]);
    let theirs = guest(&[("name", "x"), ("tags", "pvx-k3s")]);
    let mut start = action(ActionKind::Start);
    start.preconditions = vec![owned];
    assert_eq!(stranger(&start, &ours), None);
    let text = stranger(&start, &theirs).unwrap();
    assert_eq!(text, "guest 1000 on pve1 is 'x' now, and is not k3s/w01");
    // The write that makes it ours takes the note away that proved it.
    let set = map(&[("smbios1", &smbios)]);
    let mut configure =
        action(ActionKind::Configure { set, delete: Vec::new(), background: false });
    configure.preconditions = vec![Precondition::Begun { note: "pvx is making it".to_owned() }];
    assert_eq!(stranger(&configure, &ours), None);
    assert!(stranger(&configure, &theirs).is_some());
}

#[test]
fn tasks() {
    let row = |start: &str, kind: &str, id: &str, status: Option<&str>| TaskRow {
        upid: format!("UPID:pve1:00000F2A:000862E8:{start}:{kind}:{id}:root@pam:"),
        status: status.map(str::to_owned),
    };
    let kinds = task_kinds(&ActionKind::Start);
    let since = 0x6000_0000;
    let found = |rows: &[TaskRow]| {
        newest(rows, kinds, "1000", since).map(|task| match task {
            Task::Runs(_) => "runs",
            Task::Ended(_) => "ended",
        })
    };
    let (old, new) = ("5FFFFF00", "60000005");
    assert_eq!(found(&[row(new, "qmstart", "1000", None)]), Some("runs"));
    assert_eq!(found(&[row(new, "qmstart", "1000", Some("RUNNING"))]), Some("runs"));
    assert_eq!(found(&[row(new, "qmstart", "1000", Some("start failed"))]), Some("ended"));
    assert_eq!(found(&[row(new, "hastart", "1000", Some("OK"))]), Some("ended"));
    // It must show; or nobody knows; or it is another guest's, another kind's, an older one.
    for other in [
        row(new, "qmstart", "1000", Some("OK")),
        row(new, "qmstart", "1000", Some("unexpected status")),
        row(new, "qmstart", "1001", None),
        row(new, "qmstop", "1000", None),
        row(old, "qmstart", "1000", Some("start failed")),
    ] {
        assert_eq!(found(std::slice::from_ref(&other)), None, "{other:?}");
    }
    // One that still runs counts whatever the clocks say.
    assert_eq!(found(&[row(old, "qmstart", "1000", None)]), Some("runs"));
}

#[test]
fn a_guest_that_is_half_removed_is_not_gone() {
    let file = guest(&[("lock", "destroyed")]);
    assert_eq!(
        left_over(&file, Some(Task::Runs("UPID".to_owned()))),
        Seen::Running("UPID".to_owned())
    );
    let Seen::Unclear(text) = left_over(&file, None) else { panic!("it is there") };
    assert!(text.contains("`qm destroy 1000 --skiplock --purge`"), "{text}");
}

#[test]
fn high_availability() {
    let there = Ha {
        resources: BTreeMap::from([(1000, map(&[("state", "started")]))]),
        rules: BTreeMap::from([("r".to_owned(), map(&[("nodes", "pve1,pve2")]))]),
    };
    let none = Ha::default();
    let add = |state: &str| HaChange::Add { set: map(&[("state", state)]) };
    assert_eq!(ha(1000, &add("started"), &there), Seen::Done);
    assert_eq!(ha(1000, &add("started"), &none), Seen::Nothing);
    assert!(matches!(ha(1000, &add("stopped"), &there), Seen::Other(_)));
    let rule = HaChange::UpdateRule {
        rule: "r".to_owned(),
        set: map(&[("nodes", "pve2,pve1")]),
        delete: vec!["strict".to_owned()],
    };
    assert_eq!(ha(1000, &rule, &there), Seen::Done);
    assert_eq!(ha(1000, &HaChange::Remove, &there), Seen::Nothing);
    assert_eq!(ha(1000, &HaChange::RemoveRule { rule: "r".to_owned() }, &none), Seen::Done);
}
