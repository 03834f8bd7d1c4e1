//! Any small profile and any foreign guests.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use pvx_core::address::Address;
use pvx_core::desired::{
    Affinity, ApplyChanges, CloneMode, Disk, Guest, Ha, HaState, IpConfig, Network, Origin,
    Placement, Power, VmidRequest,
};
use pvx_core::plan::{ActionKind, Intent, Plan};

use crate::lab::{GIB, LOCAL, Lab, NODES, SHARED, clone_of};

/// Bridge, tag and firewall.
type Nic = (Option<u8>, Option<u16>, Option<bool>);

/// Everything that a guest of documents may say here.
#[derive(Debug, Clone)]
pub(crate) struct Sketch {
    cores: Option<u32>,
    memory: Option<u64>,
    tags: BTreeSet<String>,
    placement: Placement,
    origin: Option<(u32, CloneMode)>,
    disk: Option<u64>,
    extra: Option<(&'static str, u64, Option<&'static str>)>,
    networks: BTreeMap<u8, Nic>,
    cloudinit: bool,
    address: Option<bool>,
    scalars: (Option<bool>, Option<bool>, Option<bool>, Option<&'static str>),
    power: u8,
    ssd: Option<bool>,
    pool: Option<&'static str>,
    ha: Option<(HaState, Vec<&'static str>, Option<u32>)>,
}

pub(crate) fn sketch() -> impl Strategy<Value = Sketch> {
    let option = proptest::option::of::<std::ops::Range<u32>>;
    let placement = prop_oneof![
        Just(Placement::Spread),
        Just(Placement::Pack),
        prop::sample::select(NODES.to_vec()).prop_map(|n| Placement::Node(n.to_owned())),
    ];
    let mode = prop_oneof![Just(CloneMode::Full), Just(CloneMode::Linked)];
    let origin = proptest::option::weighted(0.8, (prop::sample::select(vec![SHARED, LOCAL]), mode));
    let size = proptest::option::of(3_u64..20);
    let storage = prop::sample::select(vec![None, Some("shared"), Some("local-lvm")]);
    let slot = prop::sample::select(vec!["scsi1", "virtio3", "sata0"]);
    let extra = proptest::option::of((slot, 1_u64..9, storage));
    let network = (
        proptest::option::of(0_u8..3),
        proptest::option::of(1_u16..100),
        proptest::option::of(any::<bool>()),
    );
    let networks = prop::collection::btree_map(0_u8..3, network, 0..3);
    let scalars = (
        proptest::option::of(any::<bool>()),
        proptest::option::of(any::<bool>()),
        proptest::option::of(any::<bool>()),
        prop::sample::select(vec![None, Some(""), Some("notes\n"), Some("a, b = c")]),
    );
    let tags = prop::collection::btree_set("[a-z]{1,4}", 0..3);
    let first = (option(1..5), proptest::option::of(256_u64..4096), tags, placement, origin, size);
    let flag = || proptest::option::of(any::<bool>());
    let second = (extra, networks, any::<bool>(), flag(), scalars, 0_u8..3, flag());
    let pool = prop::sample::select(vec![None, Some("blue"), Some("green")]);
    let state = prop::sample::select(HaState::ALL.to_vec());
    let nodes = prop::sample::select(vec![vec![], vec!["pve1"], vec!["pve2", "pve3"]]);
    let ha = proptest::option::of((state, nodes, proptest::option::of(0_u32..4)));
    (first, second, pool, ha).prop_map(|(a, b, pool, ha)| Sketch {
        pool,
        ha,
        cores: a.0,
        memory: a.1,
        tags: a.2,
        placement: a.3,
        origin: a.4,
        disk: a.5,
        extra: b.0,
        networks: b.1,
        cloudinit: b.2,
        address: b.3,
        scalars: b.4,
        power: b.5,
        ssd: b.6,
    })
}

fn guest(lab: &Lab, name: &str, sketch: &Sketch) -> Guest {
    let mut guest = lab.guest("k3s", name);
    guest.placement = sketch.placement.clone();
    guest.power = [Power::Running, Power::Stopped, Power::Unmanaged][usize::from(sketch.power)];
    let spec = &mut guest.spec;
    spec.tags.extend(sketch.tags.iter().cloned());
    spec.settings.clear();
    let flag = |on: bool| if on { "1" } else { "0" }.to_owned();
    let said = [
        ("cores", sketch.cores.map(|n| n.to_string())),
        ("memory", sketch.memory.map(|n| n.to_string())),
        ("onboot", sketch.scalars.0.map(flag)),
        ("bios", sketch.scalars.2.map(|o| if o { "ovmf" } else { "seabios" }.to_owned())),
        ("description", sketch.scalars.3.map(str::to_owned)),
    ];
    for (key, value) in said.into_iter().filter_map(|(key, v)| v.map(|v| (key, v))) {
        spec.set(key, value);
    }
    if let Some(on) = sketch.scalars.1 {
        spec.set_property("agent", "enabled", flag(on));
    }
    spec.boot_disk = sketch.disk.map(|gib| gib * GIB);
    if let Some((slot, gib, storage)) = sketch.extra {
        let storage = storage.map(str::to_owned);
        let (size, keep) = (Some(gib * GIB), gib % 3 == 0);
        spec.disks.insert(slot.into(), Disk { size, storage, keep, ..Disk::default() });
    }
    for (index, (bridge, tag, firewall)) in &sketch.networks {
        let bridge = bridge.map(|b| format!("vmbr{b}"));
        let tag = tag.map(|tag| ("tag".to_owned(), tag.to_string()));
        let firewall = firewall.map(|on| ("firewall".to_owned(), flag(on)));
        let options = tag.into_iter().chain(firewall).collect();
        let network = Network { bridge, options, ..Network::default() };
        spec.networks.insert(format!("net{index}"), network);
    }
    spec.cloudinit.drive = sketch.cloudinit;
    if let Some(v4) = sketch.address {
        let ip = Some("10.0.0.9/24".to_owned()).filter(|_| v4);
        let ip6 = Some("auto".to_owned()).filter(|_| !v4);
        spec.cloudinit.ipconfig.insert(0, IpConfig { ip, ip6, ..IpConfig::default() });
    }
    if let Some(ssd) = sketch.ssd {
        let options = BTreeMap::from([("ssd".to_owned(), u8::from(ssd).to_string())]);
        spec.disks.insert("scsi0".into(), Disk { options, ..Disk::default() });
    }
    spec.pool = sketch.pool.map(str::to_owned);
    spec.ha = sketch.ha.as_ref().map(|(state, nodes, max_restart)| Ha {
        state: *state,
        nodes: nodes.iter().map(|node| ((*node).to_owned(), 1)).collect(),
        max_restart: *max_restart,
        ..Ha::default()
    });
    // Documents in which the two differ are refused.
    if let Some((state, ..)) = &sketch.ha
        && guest.power != Power::Unmanaged
    {
        guest.power = state.power().unwrap_or(guest.power);
    }
    // Storage is given: without it much of this is refused, as it should be.
    spec.storage = Some("shared".to_owned());
    match sketch.origin {
        Some((template, mode)) => guest.origin = clone_of(template, mode),
        None => {
            guest.origin = Origin::Empty;
            let size = spec.boot_disk.take().or(Some(GIB));
            spec.disks.entry("scsi0".into()).or_default().size = size;
        }
    }
    guest
}

/// Foreign guests: VMID, and what they carry.
pub(crate) fn foreign() -> impl Strategy<Value = BTreeMap<u32, (bool, u8)>> {
    prop::collection::btree_map(1000_u32..1010, (any::<bool>(), 0_u8..4), 0..4)
}

pub(crate) fn add_foreign(lab: &mut Lab, foreign: &BTreeMap<u32, (bool, u8)>) {
    for (vmid, (running, kind)) in foreign {
        let (name, tags) = match kind {
            0 => ("w01", "k3s"),
            1 => ("w01-copy", "k3s;pvx-k3s"),
            2 => ("other", "pvx-other"),
            _ => ("plain", ""),
        };
        let disk = format!("local-lvm:vm-{vmid}-disk-0,size=1G");
        lab.live(
            *vmid,
            "pve2",
            *running,
            &[
                ("name", name),
                ("tags", tags),
                ("scsi0", &disk),
                ("smbios1", "uuid=33333333-3333-4333-8333-333333333333"),
            ],
        );
    }
}

impl Lab {
    /// Somebody moves what pvx owns and can move.
    fn move_by_hand(&mut self, node: &str) {
        for guest in self.snapshot.guests.values_mut().filter(|g| g.vmid >= 1000) {
            let ours = guest.config.get("tags").is_some_and(|tags| tags.contains("pvx-k3s"));
            let copy = guest.name() == "w01-copy";
            let shared = !guest.config.values().any(|value| value.starts_with("local-lvm:"));
            if ours && shared && !copy {
                guest.node = node.to_owned();
                self.snapshot.inventory.guests.get_mut(&guest.vmid).unwrap().node = node.to_owned();
            }
        }
    }
}

fn touched(plan: &Plan) -> BTreeSet<u32> {
    plan.actions.iter().map(|action| action.vmid).collect()
}

pub(crate) fn names(lab: &mut Lab, sketches: &[Sketch], affinity: Option<Affinity>) -> Vec<Guest> {
    let all = sketches.iter().enumerate();
    let mut guests: Vec<Guest> =
        all.map(|(n, sketch)| guest(lab, &format!("w{:02}", n + 1), sketch)).collect();
    for guest in &mut guests {
        if let Some(ha) = &mut guest.spec.ha {
            ha.affinity = affinity;
        }
    }
    guests
}

pub(crate) fn affinity() -> impl Strategy<Value = Option<Affinity>> {
    prop::sample::select(vec![None, Some(Affinity::Apart), Some(Affinity::Together)])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    /// Apply, apply other documents, destroy: after each the plan is empty, and no foreign guest
    /// is ever named.
    #[test]
    fn every_plan_leads_to_an_empty_one(
        before in prop::collection::vec(sketch(), 1..4),
        after in prop::collection::vec(sketch(), 1..4),
        foreign in foreign(),
        forget in any::<bool>(),
        mode in prop::sample::select(vec![
            ApplyChanges::Live, ApplyChanges::Reboot, ApplyChanges::Manual,
        ]),
        fixed in proptest::option::of(1000_u32..1010),
        affinities in (affinity(), affinity()),
        rename in any::<bool>(),
        elsewhere in prop::sample::select(vec![None, Some("pve1"), Some("pve3")]),
    ) {
        let mut lab = Lab::new();
        // What is held back is written in a second run where the HA manager stops the guest.
        let ha = before.iter().chain(&after).any(|sketch| sketch.ha.is_some());
        let mode = if ha { mode.max(ApplyChanges::Live) } else { mode };
        lab.options.apply_changes = mode;
        add_foreign(&mut lab, &foreign);
        let strangers = lab.snapshot.clone();
        let guests = names(&mut lab, &before, affinities.0);
        lab.profile("k3s", guests);
        if let Some(vmid) = fixed {
            lab.first().vmid = VmidRequest::Fixed(vmid);
        }
        for step in 0..4 {
            if step == 1 {
                lab.desired.profiles[0].guests = names(&mut lab, &after, affinities.1);
                if rename {
                    let old = Address::new("k3s", "w01");
                    lab.first().address = Address::new("k3s", "renamed");
                    lab.first().moved_from = Some(old);
                }
                if let Some(node) = elsewhere {
                    lab.move_by_hand(node);
                }
                if forget {
                    lab.memory = pvx_core::state::Memory::default();
                }
            }
            let intent = if step >= 2 { Intent::Destroy } else { Intent::Apply };
            if intent == Intent::Destroy {
                // Room for what is kept; and at last that goes too.
                lab.desired.scope.vms.last = 1029;
                lab.options.erase_kept = step == 3;
            }
            let plan = lab.settle(intent);
            prop_assert!(mode == ApplyChanges::Manual || plan.held.is_empty());
            let touched = touched(&plan);
            prop_assert!(foreign.keys().all(|vmid| !touched.contains(vmid)));
            let sources = plan.actions.iter().filter_map(|a| match a.kind {
                ActionKind::Clone { source, .. } => Some(source),
                _ => None,
            });
            for vmid in touched.iter().copied().chain(sources) {
                prop_assert!(vmid >= 1000 || vmid == SHARED || vmid == LOCAL);
            }
            if step == 0 && plan.is_blocked() {
                let clash = fixed.is_some_and(|vmid| foreign.contains_key(&vmid));
                let text = crate::text::of(&plan);
                prop_assert!(clash || text.contains("no-vmid-left"), "blocked: {text}");
            }
        }
        prop_assert_eq!(&lab.snapshot.guests, &strangers.guests);
    }
}
