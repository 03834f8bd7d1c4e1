//! Plans for tests: every kind of change, many guests, and texts that are up to no good.

use std::collections::BTreeMap;

use pvx_core::address::Address;
use pvx_core::desired::ApplyChanges;
use pvx_core::diagnostic::Position;
use pvx_core::plan::{
    Action, ActionId, ActionKind, AttributeChange, Change, Checked, Effect, Facts, Finding,
    HaChange, Held, Intent, Plan, ProfileSummary, Reason, Verb, Verdict,
};
use pvx_core::state::Remembered;

/// An attribute with a reason where it costs something.
pub(crate) fn attribute(path: &str, before: &str, after: &str, effect: Effect) -> AttributeChange {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let reason = if effect > Effect::Start { "it is not taken by a running guest" } else { "" };
    AttributeChange {
        path: path.to_owned(),
        before: some(before),
        after: some(after),
        effect,
        reason: reason.to_owned(),
    }
}

/// A change of one guest, without actions.
pub(crate) fn change(name: &str, verb: Verb, effect: Effect) -> Change {
    Change {
        address: Address::new("k3s", name),
        verb,
        vmid: 1011,
        node: "pve1".to_owned(),
        target: None,
        running: true,
        facts: Facts::default(),
        attributes: Vec::new(),
        effect,
        reason: "differs from the documents".to_owned(),
        position: Some(Position { file: "clusters/k3s.yaml".to_owned(), line: 14, column: 5 }),
        on_failure: pvx_core::desired::OnFailure::Keep,
        actions: Vec::new(),
    }
}

/// A plan that does nothing.
pub(crate) fn empty() -> Plan {
    Plan {
        nodes: (2, 3),
        profiles: vec![ProfileSummary { key: "k3s".to_owned(), wanted: 5, existing: 3 }],
        ..Plan::new(Intent::Apply, "lab")
    }
}

/// Adds a change whose actions follow each other; `first` must be done before them.
pub(crate) fn add(
    plan: &mut Plan,
    mut change: Change,
    kinds: Vec<(ActionKind, Effect)>,
    first: &[ActionId],
) -> Vec<ActionId> {
    let mut last: Option<ActionId> = None;
    for (kind, effect) in kinds {
        let id = plan.actions.add(Action {
            id: ActionId(0),
            address: change.address.clone(),
            vmid: change.vmid,
            node: change.node.clone(),
            kind,
            reason: Reason::new("differs", "differs from the documents"),
            effect,
            preconditions: Vec::new(),
            storages: Vec::new(),
        });
        for before in last.into_iter().chain(first.iter().copied().filter(|_| last.is_none())) {
            plan.actions.order(before, id);
        }
        last = Some(id);
        change.actions.push(id);
    }
    let ids = change.actions.clone();
    plan.outcomes.insert(change.address.clone(), Remembered::default());
    plan.changes.push(change);
    ids
}

fn set(keys: &[&str]) -> BTreeMap<String, String> {
    keys.iter().map(|key| ((*key).to_owned(), "1".to_owned())).collect()
}

fn configure(keys: &[&str], effect: Effect) -> (ActionKind, Effect) {
    (ActionKind::Configure { set: set(keys), delete: Vec::new(), background: false }, effect)
}

/// A guest from a template.
pub(crate) fn made(plan: &mut Plan, name: &str, vmid: u32, first: &[ActionId]) -> Vec<ActionId> {
    let mut change = change(name, Verb::Create, Effect::Create);
    change.vmid = vmid;
    change.running = false;
    change.facts = Facts {
        origin: Some("full clone of debian-13 (9000)".to_owned()),
        cores: Some(2),
        memory: Some(4096),
        disks: vec![("boot disk".to_owned(), 40 << 30), ("scsi1".to_owned(), 3 << 29)],
        addresses: vec![format!("10.0.{}.{}/24", vmid / 250 % 250, vmid % 250)],
        tags: vec!["k3s".to_owned(), "worker".to_owned()],
        ..Facts::default()
    };
    let clone = ActionKind::Clone {
        source: 9000,
        full: true,
        storage: None,
        target: None,
        name: name.to_owned(),
        note: String::new(),
        pool: None,
    };
    let kinds = vec![
        (clone, Effect::Create),
        configure(&["cores", "memory", "net0", "smbios1", "tags"], Effect::Create),
        (ActionKind::Resize { disk: "scsi0".to_owned(), size: 40 << 30 }, Effect::Create),
        (ActionKind::Start, Effect::Start),
    ];
    add(plan, change, kinds, first)
}

/// Every kind of change, held back attributes, and findings of every weight.
pub(crate) fn every_kind() -> Plan {
    let mut plan = empty();
    made(&mut plan, "worker02", 1012, &[]);
    let mut changed = change("worker01", Verb::Change, Effect::Pending);
    changed.attributes = vec![
        attribute("cores", "2", "4", Effect::Pending),
        attribute("scsi0.size", "40G", "60G", Effect::Live),
        attribute("tags", "k3s;old", "gpu;k3s", Effect::Live),
        attribute("memory", "", "4096", Effect::Live),
        attribute("description", "one\ntwo | three", "one\n```\nthree", Effect::Live),
        attribute("net0", "virtio,bridge=vmbr0,tag=20", "virtio,bridge=vmbr0,tag=30", Effect::Live),
    ];
    add(
        &mut plan,
        changed,
        vec![configure(&["cores", "memory", "tags", "net0"], Effect::Live)],
        &[],
    );
    let mut rebooted = change("worker03", Verb::Change, Effect::Reboot);
    rebooted.vmid = 1013;
    rebooted.attributes = vec![attribute("sockets", "1", "2", Effect::Reboot)];
    let reboot = || (ActionKind::Reboot { timeout: 120 }, Effect::Reboot);
    add(&mut plan, rebooted, vec![configure(&["sockets"], Effect::Live), reboot()], &[]);
    let mut stopped = change("worker04", Verb::Change, Effect::Offline);
    stopped.vmid = 1014;
    stopped.attributes = vec![
        attribute("memory", "2048", "3072", Effect::Offline),
        attribute("scsi1", "shared:vm-1014-disk-1,size=5G", "", Effect::DataLoss),
    ];
    let kinds = vec![
        (ActionKind::Shutdown { timeout: 120, force: true }, Effect::Offline),
        configure(&["memory"], Effect::Live),
        (ActionKind::Detach { disk: "scsi1".to_owned() }, Effect::Live),
        (ActionKind::Erase { disk: "unused0".to_owned() }, Effect::DataLoss),
        (ActionKind::Start, Effect::Start),
    ];
    add(&mut plan, stopped, kinds, &[]);
    let mut disk = change("worker05", Verb::Change, Effect::Move);
    disk.vmid = 1015;
    disk.attributes = vec![attribute("scsi0.storage", "local-lvm", "shared", Effect::Move)];
    let kind =
        ActionKind::MoveDisk { disk: "scsi0".into(), storage: "shared".into(), format: None };
    add(&mut plan, disk, vec![(kind, Effect::Move)], &[]);
    let mut power = change("worker06", Verb::Power, Effect::Stop);
    power.vmid = 1016;
    power.reason = "documents want it stopped".to_owned();
    add(
        &mut plan,
        power,
        vec![(ActionKind::Shutdown { timeout: 60, force: false }, Effect::Stop)],
        &[],
    );
    let mut moved = change("cp01", Verb::Migrate, Effect::Migrate);
    moved.vmid = 1001;
    moved.target = Some("pve3".to_owned());
    let migrate =
        ActionKind::Migrate { target: "pve3".to_owned(), online: true, with_local_disks: false };
    let rule = HaChange::AddRule { rule: "pvx-k3s-cp".to_owned(), set: set(&["nodes"]) };
    let kinds = vec![(migrate, Effect::Migrate), (ActionKind::Ha { change: rule }, Effect::Live)];
    add(&mut plan, moved, kinds, &[]);
    replaced_and_gone(&mut plan);
    findings(&mut plan);
    plan.policy = policy();
    plan
}

fn policy() -> Vec<Checked> {
    let position = Position { file: "policies/org.yaml".to_owned(), line: 3, column: 11 };
    vec![
        Checked::new("max_destroy", Verdict::Passed),
        Checked {
            reason: Some("disk full, ticket <42>".to_owned()),
            ..Checked::new("windows", Verdict::Ignored)
        },
        Checked { position: Some(position), ..Checked::new("naming", Verdict::Violated) },
    ]
}

fn replaced_and_gone(plan: &mut Plan) {
    let mut anew = change("worker08", Verb::Replace, Effect::Replace);
    anew.vmid = 1018;
    anew.facts = Facts {
        origin: Some("full clone of debian-13 (9000)".to_owned()),
        disks: vec![("scsi0".to_owned(), 40 << 30)],
        ..Facts::default()
    };
    anew.attributes = vec![attribute("scsi0.size", "40G", "20G", Effect::Replace)];
    let stop = || (ActionKind::Shutdown { timeout: 120, force: true }, Effect::Stop);
    let kinds = vec![
        stop(),
        (ActionKind::Destroy, Effect::DataLoss),
        (ActionKind::Create { config: set(&["cores", "scsi0"]), pool: None }, Effect::Create),
        (ActionKind::Start, Effect::Start),
    ];
    let start = add(plan, anew, kinds, &[]);
    let mut gone = change("worker09", Verb::Destroy, Effect::DataLoss);
    gone.vmid = 1019;
    gone.reason = "no longer in the documents".to_owned();
    gone.facts.disks = vec![("scsi0".to_owned(), 40 << 30), ("scsi1".to_owned(), 40 << 30)];
    gone.facts.kept = vec![("scsi2".to_owned(), 100 << 30)];
    let hand_over = ActionKind::Reassign {
        disk: "scsi2".to_owned(),
        target: 1099,
        target_disk: "scsi0".to_owned(),
    };
    let kinds = vec![stop(), (hand_over, Effect::Live), (ActionKind::Destroy, Effect::DataLoss)];
    add(plan, gone, kinds, start.get(3..).unwrap_or_default());
    let mut renamed = change("db01", Verb::Change, Effect::Live);
    renamed.vmid = 1020;
    renamed.attributes = vec![attribute("name", "old01", "db01", Effect::Live)];
    plan.moved.insert(renamed.address.clone(), Address::new("k3s", "old01"));
    add(plan, renamed, vec![configure(&["name"], Effect::Live)], &[]);
}

fn findings(plan: &mut Plan) {
    plan.held = vec![Held {
        address: Address::new("k3s", "worker10"),
        vmid: 1010,
        mode: ApplyChanges::Manual,
        attributes: vec![attribute("cores", "2", "4", Effect::Pending)],
    }];
    let position = Position { file: "clusters/k3s.yaml".to_owned(), line: 22, column: 9 };
    let offline = "node pve2 is offline: its guests are left as they are";
    let mut storage = Finding::warning("storage-full", "shared has 31 GiB free after this plan")
        .help("give it more room, or name another storage in clusters/k3s.yaml");
    storage.position = Some(position);
    plan.findings = vec![
        Finding::note("pending", "k3s/worker05 waits").help("reboot it"),
        Finding::warning("node-offline", offline),
        storage,
    ];
}

/// A change of 30 guests, with every effect.
pub(crate) fn thirty() -> Plan {
    let mut plan = every_kind();
    plan.profiles = vec![
        ProfileSummary { key: "k3s".to_owned(), wanted: 28, existing: 12 },
        ProfileSummary { key: "vm.gitea".to_owned(), wanted: 1, existing: 1 },
    ];
    let mut starts = Vec::new();
    for number in 1..=3 {
        let ids = made(&mut plan, &format!("control-plane-{number:02}"), 1100 + number, &[]);
        starts.extend(ids.last().copied());
    }
    for number in 1..=17 {
        let ids = made(&mut plan, &format!("agent{number:02}"), 1200 + number, &[]);
        if let Some(own) = ids.last() {
            for start in &starts {
                plan.actions.order(*start, *own);
            }
        }
    }
    plan
}

/// So many guests from a template, each unlike all others in its attributes.
pub(crate) fn many(number: u32) -> Plan {
    let mut plan = every_kind();
    for index in 0..number {
        if index % 3 == 0 {
            made(&mut plan, &format!("w{index:05}"), 2000 + index, &[]);
            continue;
        }
        let mut changed = change(&format!("w{index:05}"), Verb::Change, Effect::Pending);
        changed.vmid = 2000 + index;
        changed.attributes = vec![
            attribute("cores", "2", &index.to_string(), Effect::Pending),
            attribute("description", "old\ntext", &"a line | `x`\n".repeat(9), Effect::Live),
        ];
        add(&mut plan, changed, vec![configure(&["cores"], Effect::Live)], &[]);
        let text = format!("guest {index} is odd");
        plan.findings.push(Finding::warning("odd", text).help("look at it"));
    }
    plan
}

/// The same text everywhere where documents and clusters can say something.
pub(crate) fn hostile(text: &str) -> Plan {
    let mut plan = every_kind();
    text.clone_into(&mut plan.cluster);
    let mut bad = change("w1", Verb::Replace, Effect::DataLoss);
    bad.address = Address::new(text, text);
    bad.node = text.to_owned();
    bad.target = Some(text.to_owned());
    bad.reason = text.to_owned();
    bad.position = Some(Position { file: text.to_owned(), line: 1, column: 1 });
    bad.facts.origin = Some(text.to_owned());
    bad.attributes = vec![
        AttributeChange { reason: text.to_owned(), ..attribute(text, text, text, Effect::Reboot) },
        attribute("description", &format!("a\n{text}"), text, Effect::Pending),
    ];
    plan.held.push(Held {
        address: bad.address.clone(),
        vmid: 1,
        mode: ApplyChanges::Live,
        attributes: bad.attributes.clone(),
    });
    plan.profiles.push(ProfileSummary { key: text.to_owned(), wanted: 1, existing: 0 });
    plan.moved.insert(bad.address.clone(), Address::new(text, text));
    let snippet = ActionKind::Snippet {
        storage: text.to_owned(),
        name: text.to_owned(),
        sha256: String::new(),
    };
    let mut finding = Finding::error("bad", text).about(&bad.address).help(text);
    finding.position.clone_from(&bad.position);
    add(&mut plan, bad, vec![(snippet, Effect::Create)], &[]);
    plan.findings
        .extend([finding.clone(), Finding { weight: pvx_core::plan::Weight::Note, ..finding }]);
    plan
}

#[test]
fn plans_of_tests_are_as_their_schema_says() {
    let schema = jsonschema::draft202012::new(&pvx_core::plan::json_schema()).unwrap();
    for plan in [empty(), every_kind(), thirty(), hostile("a|b")] {
        let value = serde_json::to_value(&plan).unwrap();
        let wrong: Vec<String> = schema.iter_errors(&value).map(|e| e.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        if !plan.is_empty() {
            let mut broken = value.clone();
            broken["actions"][0]["do"] = "explode".into();
            assert!(!schema.is_valid(&broken));
        }
    }
}
