//! A cluster of three nodes, and documents about it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pvx_core::address::{Address, STANDALONE};
use pvx_core::desired::{
    CloneMode, Desired, Guest, GuestSpec, Origin, Placement, Power, Profile, ProfileKind, Scope,
    Setting, TemplateRef, VmidRange, VmidRequest,
};
use pvx_core::diagnostic::{Sources, Span};
use pvx_core::document::{self, LoadOptions};
use pvx_core::live::{self, Inventory, Node, Snapshot, Storage, Summary};
use pvx_core::plan::{Intent, Plan, lint};
use pvx_core::planner::{self, Input, Options};
use pvx_core::policy::{self, Policy};
use pvx_core::preflight::place::Known;
use pvx_core::preflight::{self, Answers};
use pvx_core::state::Memory;
use pvx_provider_pve::guest::Qemu;

pub(crate) const NODES: [&str; 3] = ["pve1", "pve2", "pve3"];
/// A template on shared storage, at pve1.
pub(crate) const SHARED: u32 = 100;
/// A template on node-local storage, at pve1.
pub(crate) const LOCAL: u32 = 102;
pub(crate) const GIB: u64 = 1 << 30;

pub(crate) struct Lab {
    pub(crate) desired: Desired,
    pub(crate) snapshot: Snapshot,
    pub(crate) memory: Memory,
    pub(crate) options: Options,
    sources: Sources,
    here: Span,
}

/// Two cores, 2 GiB.
fn two_cores() -> BTreeMap<String, Setting> {
    let said = [("cores", "2"), ("memory", "2048")];
    said.map(|(key, value)| (key.to_owned(), Setting::Value(value.to_owned()))).into()
}

impl Lab {
    pub(crate) fn new() -> Self {
        let mut sources = Sources::default();
        let here = Span { source: sources.add("k3s.yaml", "name: k3s\n"), start: 0, len: 4 };
        let mut lab = Self {
            desired: Desired { scope: scope(), ..Desired::default() },
            snapshot: Snapshot {
                inventory: inventory(),
                ha: Some(live::Ha::default()),
                ..Snapshot::default()
            },
            memory: Memory::default(),
            options: Options::default(),
            sources,
            here,
        };
        lab.template(SHARED, "debian-13", "shared:base-100-disk-0,size=3G");
        lab.template(LOCAL, "debian-local", "local-lvm:base-102-disk-0,size=3G");
        lab
    }

    fn template(&mut self, vmid: u32, name: &str, disk: &str) {
        self.live(
            vmid,
            "pve1",
            false,
            &[
                ("name", name),
                ("template", "1"),
                ("cores", "1"),
                ("memory", "1024"),
                ("boot", "order=scsi0;net0"),
                ("scsi0", disk),
                ("scsihw", "virtio-scsi-single"),
                ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,queues=2"),
                ("smbios1", "base64=1,manufacturer=TGFi,uuid=11111111-1111-4111-8111-111111111111"),
                ("ostype", "l26"),
                ("description", "the golden image"),
            ],
        );
    }

    /// A guest on the cluster, in the list and read in full.
    pub(crate) fn live(&mut self, vmid: u32, node: &str, running: bool, config: &[(&str, &str)]) {
        let config: BTreeMap<String, String> =
            config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let digest = Some(format!("digest-{vmid}"));
        let guest =
            live::Guest { vmid, node: node.to_owned(), config, digest, running, pending: vec![] };
        self.snapshot.inventory.guests.insert(vmid, summary(&guest));
        self.snapshot.guests.insert(vmid, guest);
    }

    /// What a live guest's key holds.
    pub(crate) fn config(&mut self, vmid: u32, key: &str, value: &str) {
        let guest = self.snapshot.guests.get_mut(&vmid).unwrap();
        guest.config.insert(key.to_owned(), value.to_owned());
        let pool = self.pool(vmid);
        let guest = &self.snapshot.guests[&vmid];
        let summary = Summary { pool, ..summary(guest) };
        self.snapshot.inventory.guests.insert(vmid, summary);
    }

    /// The pool a guest is in.
    pub(crate) fn pool(&self, vmid: u32) -> Option<String> {
        self.snapshot.inventory.guests.get(&vmid)?.pool.clone()
    }

    pub(crate) fn get(&self, vmid: u32, key: &str) -> &str {
        self.snapshot.guests[&vmid].config.get(key).map_or("", String::as_str)
    }

    /// A guest of documents: two cores, 2 GiB, from the shared template, on any node.
    pub(crate) fn guest(&self, profile: &str, name: &str) -> Guest {
        let mark =
            if profile == STANDALONE { format!("pvx-vm.{name}") } else { format!("pvx-{profile}") };
        Guest {
            address: Address::new(profile, name),
            group: "workers".to_owned(),
            vmid: VmidRequest::Auto,
            placement: Placement::Spread,
            origin: clone_of(SHARED, CloneMode::Full),
            spec: GuestSpec {
                tags: BTreeSet::from([profile.to_owned(), mark]),
                settings: two_cores(),
                ..GuestSpec::default()
            },
            after: BTreeSet::new(),
            power: Power::Running,
            pinned: false,
            moved_from: None,
            apply_changes: None,
            prevent_destroy: false,
            on_failure: pvx_core::desired::OnFailure::Keep,
            span: self.here,
            places: BTreeMap::new(),
        }
    }

    /// A profile of guests.
    pub(crate) fn profile(&mut self, name: &str, guests: Vec<Guest>) {
        let mark = format!("pvx-{name}");
        let kind = ProfileKind::Generic;
        self.desired.profiles.push(Profile {
            name: name.into(),
            kind,
            mark,
            span: self.here,
            guests,
        });
    }

    /// A profile of one.
    pub(crate) fn standalone(&mut self, guest: Guest) {
        let name = guest.address.guest().to_owned();
        let (mark, kind) = (format!("pvx-vm.{name}"), ProfileKind::Vm);
        let profile = Profile { name, kind, mark, span: self.here, guests: vec![guest] };
        self.desired.profiles.push(profile);
    }

    /// The first guest of the first profile.
    pub(crate) fn first(&mut self) -> &mut Guest {
        &mut self.desired.profiles[0].guests[0]
    }

    /// What a plan is made from.
    pub(crate) fn input(&self) -> Input<'_> {
        Input {
            desired: &self.desired,
            snapshot: &self.snapshot,
            memory: &self.memory,
            kind: &Qemu,
            options: &self.options,
            sources: &self.sources,
        }
    }

    pub(crate) fn plan(&self, intent: Intent) -> Plan {
        let input = self.input();
        let plan = match intent {
            Intent::Apply | Intent::Undo => planner::apply(&input),
            Intent::Destroy => planner::destroy(&input),
        };
        assert_eq!(lint::check(&plan), []);
        let json = serde_json::to_string(&plan).unwrap();
        let back: Plan = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), json, "a plan survives JSON");
        plan
    }

    /// What the preflight finds, with what is known of places: `Error storage-full`.
    pub(crate) fn foreseen(&self, known: Known) -> Vec<String> {
        let mut plan = self.plan(Intent::Apply);
        let input = Input {
            desired: &self.desired,
            snapshot: &self.snapshot,
            memory: &self.memory,
            kind: &Qemu,
            options: &self.options,
            sources: &self.sources,
        };
        let before = plan.findings.clone();
        let answers = Answers { places: known, ..Answers::default() };
        preflight::check(&mut plan, &input, &answers);
        let new = plan.findings.iter().filter(|finding| !before.contains(finding));
        new.map(|finding| format!("{:?} {}", finding.weight, finding.code)).collect()
    }

    /// A plan that was held against a policy.
    pub(crate) fn checked(&self, intent: Intent, policy: &Policy, now: &str) -> Plan {
        let mut plan = self.plan(intent);
        let input = self.input();
        policy::check(&mut plan, &input, policy, now.parse().unwrap());
        plan
    }

    /// Takes the documents in `clusters` of a folder, and gives its policy.
    pub(crate) fn load(&mut self, folder: &Path) -> Policy {
        let paths = vec!["clusters".into()];
        let working_dir = folder.to_owned();
        let loaded = document::load(&LoadOptions { paths, working_dir, ..Default::default() });
        assert_eq!(loaded.diagnostics, []);
        self.desired = loaded.desired;
        self.sources = loaded.sources;
        loaded.config.unwrap().policy
    }

    /// Plans, carries the plan out on the built cluster, and plans again: that must be empty.
    pub(crate) fn settle(&mut self, intent: Intent) -> Plan {
        let plan = self.plan(intent);
        if plan.is_blocked() {
            return plan;
        }
        self.carry_out(&plan);
        let again = self.plan(intent);
        assert!(again.is_empty(), "a second plan is not empty:\n{}", crate::text::of(&again));
        plan
    }

    /// The text of an apply, after which a second one does nothing.
    pub(crate) fn apply(&mut self) -> String {
        crate::text::of(&self.settle(Intent::Apply))
    }

    /// The text of a destroy, after which a second one does nothing.
    pub(crate) fn destroy(&mut self) -> String {
        crate::text::of(&self.settle(Intent::Destroy))
    }
}

/// One guest `k3s/w01` that was made by an apply already.
pub(crate) fn made(change: impl FnOnce(&mut Guest)) -> Lab {
    let mut lab = Lab::new();
    let mut guest = lab.guest("k3s", "w01");
    change(&mut guest);
    lab.profile("k3s", vec![guest]);
    let plan = lab.settle(Intent::Apply);
    assert!(!plan.is_blocked(), "{}", crate::text::of(&plan));
    lab
}

pub(crate) fn clone_of(vmid: u32, clone: CloneMode) -> Origin {
    Origin::Template { template: TemplateRef::Vmid(vmid), clone }
}

pub(crate) fn identity(profile: &str, name: &str) -> String {
    format!("uuid={}", live::identity("lab", profile, name))
}

pub(crate) fn summary(guest: &live::Guest) -> Summary {
    let tags = guest.config.get("tags").map_or("", String::as_str);
    Summary {
        vmid: guest.vmid,
        qemu: true,
        node: guest.node.clone(),
        name: guest.config.get("name").cloned(),
        tags: tags.split(';').filter(|t| !t.is_empty()).map(str::to_owned).collect(),
        template: guest.is_template(),
        status: if guest.running { "running" } else { "stopped" }.to_owned(),
        memory: GIB,
        lock: guest.lock().map(str::to_owned),
        pool: None,
    }
}

fn scope() -> Scope {
    Scope {
        cluster: Some("lab".to_owned()),
        nodes: Vec::new(),
        vms: VmidRange { first: 1000, last: 1009, span: None },
        templates: Some(VmidRange { first: 100, last: 999, span: None }),
        overcommit: pvx_core::desired::Overcommit::default(),
    }
}

fn inventory() -> Inventory {
    let mut inventory =
        Inventory { cluster: "lab".to_owned(), quorate: true, ..Inventory::default() };
    inventory.pools = ["blue", "green"].map(str::to_owned).into();
    for node in NODES {
        let live = Node { online: true, cpus: 8, memory: 16 * GIB };
        inventory.nodes.insert(node.to_owned(), live);
        for (name, shared) in [("local-lvm", false), ("shared", true)] {
            let content = BTreeSet::from(["images".to_owned()]);
            let storage = Storage { shared, content, available: true, ..Storage::default() };
            inventory.storages.insert((node.to_owned(), name.to_owned()), storage);
        }
    }
    inventory
}
