//! What pvx knows of Proxmox's checks, held against what was measured on a real cluster
//! (`privileges.json`): the same checks for every operation that pvx performs.

use std::collections::{BTreeMap, BTreeSet};

use pvx_core::address::Address;
use pvx_core::live::{Guest, Inventory, Snapshot, Summary};
use pvx_core::plan::{
    Action, ActionGraph, ActionId, ActionKind, Effect, HaChange, Intent, Plan, Privilege, Reason,
};
use pvx_core::preflight::{Access, TagRules};
use pvx_core::provider::{GuestKind, Reach, Reads};
use pvx_provider_pve::guest::Qemu;
use serde_json::Value;

const VMID: u32 = 4400;
const TEMPLATE: u32 = 4401;

/// Operations that pvx does not perform, so that their checks are not in its table. May only
/// shrink: what pvx comes to perform is taken out here.
const NOT_PERFORMED: &[&str] = &[
    "agent exec",
    "agent fsfreeze-freeze",
    "agent interfaces",
    "agent ping",
    "backup",
    "bulk start",
    // Written over SSH by root: no token may.
    "config affinity",
    "config vmgenid",
    "convert to template",
    "create role",
    "create user",
    "create with start",
    "delete snapshot",
    "delete volume",
    "download-url",
    "migrate preconditions",
    "node network",
    "node status",
    "pool create",
    "read config",
    "read snapshots",
    "read status",
    "regenerate cloud-init",
    "rollback",
    "snapshot",
    "stop",
    "storage status",
    "tasks of others",
    "termproxy",
    // pvx detaches, and deletes the `unusedN` then.
    "unlink force",
];

/// Reads, with what of them is asked for.
const READS: &[&str] = &[
    "read pending",
    "cluster status",
    "ha list",
    "storage content",
    "nextid",
    "own permissions",
    "cluster options",
];

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What pvx does for an operation, with its parameters.
fn kind(name: &str, params: &BTreeMap<String, String>) -> Option<ActionKind> {
    let param = |key: &str| params.get(key).cloned();
    let disk = || "scsi0".to_owned();
    Some(match name {
        _ if NOT_PERFORMED.contains(&name) || READS.contains(&name) => return None,
        "start" => ActionKind::Start,
        "delete vm" => ActionKind::Destroy,
        "resize disk" => ActionKind::Resize { disk: disk(), size: 2 << 30 },
        "move disk" => {
            ActionKind::MoveDisk { disk: disk(), storage: param("storage")?, format: None }
        }
        "detach disk" => ActionKind::Detach { disk: disk() },
        "migrate" => {
            ActionKind::Migrate { target: param("target")?, online: false, with_local_disks: false }
        }
        "ha add" => ActionKind::Ha { change: HaChange::Add { set: BTreeMap::new() } },
        "pool add vm" => ActionKind::Pool { join: Some("probe".to_owned()), leave: None },
        _ if name.starts_with("clone") => ActionKind::Clone {
            source: TEMPLATE,
            full: params.contains_key("full"),
            storage: param("storage"),
            target: param("target"),
            name: "clone".to_owned(),
            note: "note".to_owned(),
            pool: param("pool"),
        },
        _ if name.starts_with("create") => {
            let mut config = params.clone();
            config.retain(|key, _| key != "vmid" && key != "pool");
            ActionKind::Create { config, pool: param("pool") }
        }
        _ if name.starts_with("config ") => {
            ActionKind::Configure { set: params.clone(), delete: Vec::new(), background: false }
        }
        _ => panic!("{name}: performed or not?"),
    })
}

fn guest(vmid: u32, config: &[(&str, &str)]) -> (u32, Guest) {
    let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    (vmid, Guest { vmid, node: "pve1".to_owned(), config: config.collect(), ..Guest::default() })
}

fn snapshot() -> Snapshot {
    let smbios = ("smbios1", "uuid=11111111-2222-4333-8444-555555555555");
    let template = [
        ("template", "1"),
        ("scsi0", "shared:4401/base-4401-disk-0.qcow2,size=1G"),
        ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0"),
        smbios,
    ];
    let own = [("scsi0", "shared:4400/vm-4400-disk-0.qcow2,size=1G"), ("memory", "64"), smbios];
    let guests = BTreeMap::from([guest(TEMPLATE, &template), guest(VMID, &own)]);
    Snapshot { guests, ..Snapshot::default() }
}

fn plan(kinds: Vec<ActionKind>) -> Plan {
    let mut actions = ActionGraph::default();
    let mut last: Option<ActionId> = None;
    for kind in kinds {
        let id = actions.add(Action {
            id: ActionId(0),
            address: Address::new("k3s", "w1"),
            vmid: VMID,
            node: "pve1".to_owned(),
            kind,
            reason: Reason::new("test", "test"),
            effect: Effect::Live,
            preconditions: Vec::new(),
            storages: Vec::new(),
        });
        if let Some(last) = last {
            actions.order(last, id);
        }
        last = Some(id);
    }
    Plan { actions, ..Plan::new(Intent::Apply, "lab") }
}

/// The checks of some actions, one after the other; of reads or of writes.
fn checks(
    kinds: Vec<ActionKind>,
    snapshot: &Snapshot,
    access: &Access,
    reads: bool,
) -> Vec<Privilege> {
    let plan = plan(kinds);
    let reach =
        Reach { plan: &plan, snapshot, guests: BTreeMap::new(), reads: Reads::default(), access };
    let all = Qemu.privileges(&reach).into_iter();
    all.filter(|check| check.uses.iter().all(|one| (one.verb == "read") == reads)).collect()
}

type Check = (String, BTreeSet<String>);

/// As it is written down; what its refusal does not name is left out: Datastore.Allocate is
/// looked at silently before the others (pve-storage, check_volume_access).
fn known(check: &Privilege) -> Check {
    let mut any_of: BTreeSet<String> = check.any_of.iter().cloned().collect();
    if any_of.contains("Datastore.Audit") {
        any_of.remove("Datastore.Allocate");
    }
    (check.path.clone(), any_of)
}

fn measured(check: &Value) -> Check {
    let path = text(&check["path"])
        .replace("{vmid}", &VMID.to_string())
        .replace("{template}", &TEMPLATE.to_string());
    // The refusal of VM.Allocate names no path.
    let path = if path == "?" { format!("/vms/{VMID}") } else { path };
    (path, text(&check["privilege"]).split('|').map(str::to_owned).collect())
}

#[test]
fn the_checks_are_the_measured_ones() {
    let all: Value = serde_json::from_str(include_str!("privileges.json")).unwrap();
    let operations = all["operations"].as_object().unwrap();
    let (snapshot, access) = (snapshot(), Access::default());
    let mut wrong = Vec::new();
    let mut performed = 0;
    for (name, operation) in operations {
        let params = operation["params"].as_object().into_iter().flatten();
        let params = params.map(|(key, value)| (key.clone(), text(value))).collect();
        let Some(kind) = kind(name, &params) else { continue };
        performed += 1;
        let ours: Vec<Check> =
            checks(vec![kind], &snapshot, &access, false).iter().map(known).collect();
        let theirs: Vec<Check> =
            operation["checks"].as_array().unwrap().iter().map(measured).collect();
        // Which privilege was given where one of several is enough is not recorded: another check
        // may have been met by it. What was given was given on `/`, so on all other paths, too.
        let given = |check: &Check| {
            theirs.iter().any(|other| match other.0 == check.0 {
                true => other.1.len() > 1 && check.1.is_subset(&other.1),
                false => other.1.len() == 1 && other.1.is_subset(&check.1),
            })
        };
        let unknown: Vec<_> = theirs.iter().filter(|check| !ours.contains(check)).collect();
        let surplus: Vec<_> =
            ours.iter().filter(|check| !theirs.contains(check) && !given(check)).collect();
        if !unknown.is_empty() || !surplus.is_empty() {
            wrong.push(format!("{name}: not known {unknown:?}, too many {surplus:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(performed + NOT_PERFORMED.len() + READS.len(), operations.len());
}

#[test]
fn reads_are_the_measured_ones() {
    let all: Value = serde_json::from_str(include_str!("privileges.json")).unwrap();
    let clone = kind("clone linked", &BTreeMap::new()).unwrap();
    let ours = checks(vec![clone], &snapshot(), &Access::default(), true);
    let ours: Vec<Check> = ours.iter().map(known).collect();
    for name in READS {
        for check in all["operations"][name]["checks"].as_array().unwrap().iter().map(measured) {
            let met = |own: &&Check| own.0 == check.0 && own.1.is_subset(&check.1);
            assert!(ours.iter().any(|own| met(&own)), "{name}: {check:?} not in {ours:?}");
        }
    }
}

/// What the recording does not have, from the sources: after the steps before, on other values.
#[test]
fn checks_from_the_sources() {
    let configure = |set: &[(&str, &str)], delete: &[&str]| ActionKind::Configure {
        set: set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        delete: delete.iter().map(|key| (*key).to_owned()).collect(),
        background: false,
    };
    let create = |config: &[(&str, &str)], pool: Option<&str>| ActionKind::Create {
        config: config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        pool: pool.map(str::to_owned),
    };
    let pool = |join: Option<&str>, leave: Option<&str>| ActionKind::Pool {
        join: join.map(str::to_owned),
        leave: leave.map(str::to_owned),
    };
    let reassign = ActionKind::Reassign {
        disk: "scsi0".to_owned(),
        target: 5000,
        target_disk: "scsi1".to_owned(),
    };
    let erase = ActionKind::Erase { disk: "unused0".to_owned() };
    let detach = ActionKind::Detach { disk: "scsi0".to_owned() };
    let cases: Vec<(&str, Vec<ActionKind>)> = vec![
        ("tag", vec![configure(&[("net0", "virtio,bridge=vmbr0,tag=7,trunks=5;8-9")], &[])]),
        ("VNet", vec![configure(&[("net0", "virtio,bridge=blue")], &[])]),
        (
            "other bridge",
            vec![
                configure(&[("net1", "virtio,bridge=vmbr1")], &[]),
                configure(&[("net1", "virtio,bridge=vmbr2")], &[]),
                configure(&[], &["net1"]),
            ],
        ),
        (
            "devices",
            vec![configure(
                &[
                    ("usb0", "mapping=stick"),
                    ("usb1", "spice"),
                    ("hostpci0", "mapping=gpu,pcie=1"),
                    ("rng0", "source=/dev/hwrng"),
                    ("virtiofs0", "dirid=data"),
                    ("serial0", "socket"),
                    ("cpu", "custom-fast"),
                ],
                &[],
            )],
        ),
        (
            "imports",
            vec![configure(
                &[
                    ("scsi1", "shared:0,import-from=local:900/vm-900-disk-0.raw"),
                    ("scsi2", "shared:0,import-from=local:import/a.ova/disk.vmdk"),
                ],
                &[],
            )],
        ),
        (
            "drives",
            vec![configure(&[("ide2", "none,media=cdrom"), ("sata0", "cdrom,media=cdrom")], &[])],
        ),
        ("detached, and erased", vec![detach, erase]),
        ("handed over", vec![reassign]),
        (
            "made in a pool",
            vec![
                create(&[("tags", "a"), ("cores", "2"), ("scsi0", "shared:1")], Some("web")),
                ActionKind::Start,
            ],
        ),
        (
            "from pool to pool",
            vec![pool(Some("web"), Some("old")), ActionKind::Start, pool(None, Some("web"))],
        ),
        ("guarded tags", vec![configure(&[("tags", "prod;mine")], &[])]),
        (
            "a template with devices",
            vec![ActionKind::Clone {
                source: 4402,
                full: true,
                storage: None,
                target: None,
                name: "clone".to_owned(),
                note: "note".to_owned(),
                pool: None,
            }],
        ),
        ("a seen tag", vec![configure(&[("tags", "known")], &[])]),
        (
            "over SSH",
            vec![ActionKind::ConfigureAsRoot {
                set: BTreeMap::from([("args".to_owned(), "-x".to_owned())]),
                delete: Vec::new(),
            }],
        ),
    ];
    let mut snapshot = snapshot();
    let devices = [("usb0", "host=1234:abcd"), ("hostpci0", "mapping=gpu"), ("cpu", "custom-fast")];
    snapshot.guests.extend([guest(4402, &devices)]);
    snapshot.inventory = Inventory {
        guests: BTreeMap::from([(
            1,
            Summary { tags: BTreeSet::from(["known".to_owned()]), ..Summary::default() },
        )]),
        ..Inventory::default()
    };
    let access = Access {
        applying: None,
        zones: BTreeMap::from([("blue".to_owned(), "evpn".to_owned())]),
        tags: TagRules {
            registered: BTreeSet::from(["prod".to_owned()]),
            mode: Some("existing".to_owned()),
            listed: BTreeSet::from(["mine".to_owned()]),
        },
        ..Access::default()
    };
    let mut text = String::new();
    for (name, kinds) in cases {
        text.push_str(&format!("{name}\n"));
        let found = pvx_core::plan::aggregate_privileges(checks(kinds, &snapshot, &access, false));
        for check in found.iter().filter(|check| check.any_of.len() < 8) {
            let pool = check.pool.as_ref().map(|pool| format!(" (or on {pool})"));
            let uses: Vec<String> = check.uses.iter().map(pvx_core::plan::Use::words).collect();
            let line = format!(
                "{} {}{}: {}",
                check.path,
                check.words(),
                pool.unwrap_or_default(),
                uses.join("; ")
            );
            text.push_str(&format!("  {line}\n"));
        }
    }
    insta::assert_snapshot!(text.replace(" of k3s/w1", "").replace(" k3s/w1", ""));
}
