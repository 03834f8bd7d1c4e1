//! The effect that a plan names is the one that happens, and what may not happen does not.

use pvx_core::desired::{ApplyChanges, Desired, Disk, GuestSpec, Network};
use pvx_core::diagnostic::Sources;
use pvx_core::plan::{Effect, Intent, Plan};
use pvx_core::planner::Options;
use pvx_core::state::Memory;
use pvx_sim::World;

use crate::harness::Lab;
use crate::observe::observe;

const VMID: u32 = 2000;

const DOCUMENT: &str = "name: k3s\ntype: generic\ntemplate: 100\nclone: full\ntags: [k3s]\nnodes:\n  \
    controlplane:\n    count: 1\n    cores: 1\n    memory: 512\n    disk: 8G\n    start_vmid: 2000\n    \
    networks: { net0: { bridge: vmbr0 } }\n    \
    disks: { scsi2: { size: 1G, storage: shared }, sata1: { size: 1G, storage: shared } }\n";

type Documents = (Desired, Sources);
type Edit = fn(&mut GuestSpec);

/// A change, the configuration it meets (hot-plug), and its effect on a running guest that may be
/// changed as it runs.
type Case = (&'static str, &'static [(&'static str, &'static str)], Edit, Effect);

fn option(spec: &mut GuestSpec, slot: &str, name: &str, value: &str) {
    let disk = spec.disks.get_mut(slot).unwrap();
    disk.options.insert(name.to_owned(), value.to_owned());
}

const BOOT: &[(&str, &str)] = &[("boot", "order=scsi0;scsi2;net0")];
const MEMORY: &[(&str, &str)] = &[("hotplug", "memory"), ("numa", "1"), ("memory", "1024")];

const CASES: &[Case] = &[
    ("cores", &[], |s| s.set("cores", "2"), Effect::Pending),
    ("memory", &[], |s| s.set("memory", "1024"), Effect::Pending),
    ("memory by modules", MEMORY, |s| s.set("memory", "1536"), Effect::Live),
    ("a disk that it boots from", BOOT, |s| drop(s.disks.remove("scsi2")), Effect::Offline),
    ("cpu", &[], |s| s.set_property("cpu", "cputype", "host"), Effect::Pending),
    ("description", &[], |s| s.set("description", "new"), Effect::Live),
    ("onboot", &[], |s| s.set("onboot", "1"), Effect::Live),
    ("tags", &[], |s| s.tags.extend(["gpu".to_owned()]), Effect::Live),
    ("agent", &[], |s| s.set_property("agent", "enabled", "0"), Effect::Pending),
    ("net0.tag", &[], |s| drop(net(s).options.insert("tag".into(), "7".into())), Effect::Live),
    (
        "net0.tag without hot-plug",
        &[("hotplug", "0")],
        |s| drop(net(s).options.insert("tag".into(), "7".into())),
        Effect::Live,
    ),
    (
        "net0.mtu",
        &[("hotplug", "disk")],
        |s| drop(net(s).options.insert("mtu".into(), "1400".into())),
        Effect::Pending,
    ),
    ("net0.model", &[], |s| net(s).model = Some("e1000".into()), Effect::Live),
    ("scsi2.mbps", &[], |s| option(s, "scsi2", "mbps", "5"), Effect::Live),
    ("scsi2.backup", &[], |s| option(s, "scsi2", "backup", "0"), Effect::Live),
    ("scsi2.ssd", &[], |s| option(s, "scsi2", "ssd", "1"), Effect::Pending),
    ("sata1.mbps", &[], |s| option(s, "sata1", "mbps", "5"), Effect::Live),
    ("sata1.cache", &[], |s| option(s, "sata1", "cache", "writeback"), Effect::Pending),
    ("scsi2.size", &[], |s| s.disks.get_mut("scsi2").unwrap().size = Some(2 << 30), Effect::Live),
    ("scsi3", &[], |s| disk(s, "scsi3"), Effect::Live),
    ("scsi3 without hot-plug", &[("hotplug", "0")], |s| disk(s, "scsi3"), Effect::Pending),
    ("sata3", &[], |s| disk(s, "sata3"), Effect::Pending),
    ("cloudinit.user", &[], |s| s.cloudinit.user = Some("new".into()), Effect::Pending),
    (
        "cloudinit.user with hot-plug",
        &[("hotplug", "cloudinit")],
        |s| s.cloudinit.user = Some("new".into()),
        Effect::Live,
    ),
    ("bios", &[], |s| s.set("bios", "ovmf"), Effect::Pending),
];

fn cpu_and_tag(spec: &mut GuestSpec) {
    spec.set_property("cpu", "cputype", "host");
    net(spec).options.insert("tag".to_owned(), "7".to_owned());
}

fn net(spec: &mut GuestSpec) -> &mut Network {
    spec.networks.get_mut("net0").unwrap()
}

fn disk(spec: &mut GuestSpec, slot: &str) {
    let disk = Disk { size: Some(1 << 30), storage: Some("shared".into()), ..Disk::default() };
    spec.disks.insert(slot.to_owned(), disk);
}

/// A guest that was applied and runs, its documents, and what the cluster was like then.
struct Made {
    lab: Lab,
    documents: Documents,
    memory: Memory,
    world: World,
}

impl Made {
    async fn new() -> Self {
        let lab = Lab::start(World::lab()).await;
        let documents = lab.documents(&[("k3s.yaml", DOCUMENT.to_owned())]);
        let plan = lab.apply(&documents).await;
        let memory = plan.outcomes.into_iter().collect();
        let world = lab.sim.world();
        Self { lab, documents, memory, world }
    }

    /// The guest as it was made, with other values.
    fn reset(&self, running: bool, config: &[(&str, &str)]) {
        let mut world = self.world.clone();
        let guest = world.guest_mut(VMID).unwrap();
        guest.config.extend(config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        if !running {
            guest.running = None;
        }
        self.lab.sim.edit(|now| *now = world);
    }

    fn edited(&self, edit: Edit, running: bool) -> Documents {
        let mut documents = self.documents.clone();
        let guest = &mut documents.0.profiles[0].guests[0];
        if !running {
            guest.power = pvx_core::desired::Power::Unmanaged;
        }
        edit(&mut guest.spec);
        documents
    }

    async fn plan(&self, documents: &Documents, mode: ApplyChanges) -> Plan {
        let options = Options { apply_changes: mode, ..Options::default() };
        let plan = self.lab.plan_with(documents, Intent::Apply, &options, &self.memory).await;
        assert!(!plan.is_blocked(), "{:#?}", plan.findings);
        plan
    }

    /// What the plan named and what happened; after it there is nothing left to do.
    async fn run(&self, documents: &Documents, mode: ApplyChanges) -> (Effect, Effect, Plan) {
        let before = self.lab.sim.world();
        let plan = self.plan(documents, mode).await;
        self.lab.carry_out(&plan).await;
        let after = self.lab.sim.world();
        let again = self.plan(documents, mode).await;
        assert!(again.is_empty(), "{:#?}", again.changes);
        let named = plan.changes.first().map_or(Effect::Live, |change| change.effect);
        (named, observe(&before, &after, VMID), plan)
    }
}

/// The documents say what the guest has where a case begins with other values.
fn begins(documents: &mut Documents, config: &[(&str, &str)]) {
    let spec = &mut documents.0.profiles[0].guests[0].spec;
    if let Some((_, memory)) = config.iter().find(|(key, _)| *key == "memory")
        && spec.memory() == Some(512)
    {
        spec.set("memory", *memory);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_named_is_what_happens_to_a_running_guest() {
    let made = Made::new().await;
    for (name, config, edit, live) in CASES {
        let mut documents = made.edited(*edit, true);
        begins(&mut documents, config);

        made.reset(true, config);
        let (named, happened, plan) = made.run(&documents, ApplyChanges::Live).await;
        // What cannot be done is held back and said.
        let expected = if *live == Effect::Offline { Effect::Live } else { *live };
        assert_eq!((named, happened), (expected, expected), "{name} live");
        assert_eq!(plan.held.is_empty(), *live != Effect::Offline, "{name}");

        made.reset(true, config);
        let (named, happened, plan) = made.run(&documents, ApplyChanges::Reboot).await;
        let expected = if *live == Effect::Pending { Effect::Reboot } else { *live };
        assert_eq!((named, happened), (expected, expected), "{name} reboot");
        assert!(plan.held.is_empty(), "{name}");

        made.reset(true, config);
        let (named, happened, plan) = made.run(&documents, ApplyChanges::Manual).await;
        assert_eq!((named, happened), (Effect::Live, Effect::Live), "{name} manual");
        let unnoticed = ["description", "onboot", "tags", "scsi2.backup"].contains(name);
        assert_eq!(plan.held.is_empty(), unnoticed, "{name}");
        let finding = plan.findings.iter().any(|finding| finding.code == "held");
        assert_eq!(finding, !unnoticed, "{name}");
    }
    made.lab.sim.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_live_on_a_stopped_guest() {
    let made = Made::new().await;
    for mode in [ApplyChanges::Live, ApplyChanges::Reboot, ApplyChanges::Manual] {
        for (name, config, edit, _) in CASES {
            let mut documents = made.edited(*edit, false);
            begins(&mut documents, config);
            made.reset(false, config);
            let (named, happened, plan) = made.run(&documents, mode).await;
            assert_eq!((named, happened), (Effect::Live, Effect::Live), "{name} {mode:?}");
            assert!(plan.held.is_empty() && !plan.changes.is_empty(), "{name} {mode:?}");
        }
    }
    made.lab.sim.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_from_an_earlier_run_is_rebooted_into_effect() {
    let made = Made::new().await;
    let documents = made.edited(two_cores, true);
    assert_eq!(made.run(&documents, ApplyChanges::Live).await.1, Effect::Pending);
    // Nothing of the documents, and no reason to reboot.
    made.lab.sim.edit(|world| {
        let guest = world.guest_mut(VMID).unwrap();
        guest.pending.insert("vga".to_owned(), "std".to_owned());
    });
    let (named, happened, plan) = made.run(&documents, ApplyChanges::Reboot).await;
    assert_eq!((named, happened), (Effect::Reboot, Effect::Reboot));
    assert_eq!(plan.changes[0].reason, "2 values wait for a cold boot");
    assert_eq!(plan.counts().reboot, 1);
    let world = made.lab.sim.world();
    let guest = world.guest(VMID).unwrap();
    assert_eq!((guest.get("cores"), guest.get("cpu")), (Some("2"), Some("host")));
    // It has no business with what others left to wait.
    made.lab.sim.edit(|world| {
        let guest = world.guest_mut(VMID).unwrap();
        guest.pending.insert("vga".to_owned(), "qxl".to_owned());
    });
    assert!(made.plan(&documents, ApplyChanges::Reboot).await.is_empty());
    made.lab.sim.shutdown().await;
}

/// What documents said and do not say is reset in every mode, also when it was held back or has to
/// wait in between.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_survives_being_held_and_waiting() {
    let mut made = Made::new().await;
    made.reset(true, &[("cpu", "host")]);
    let with = made.edited(cpu_and_tag, true);
    let plan = made.run(&with, ApplyChanges::Live).await.2;
    made.memory = plan.outcomes.into_iter().collect();
    let without = made.documents.clone();

    let plan = made.run(&without, ApplyChanges::Manual).await.2;
    let held: Vec<&str> = plan.held[0].attributes.iter().map(|a| a.path.as_str()).collect();
    assert_eq!(held, ["cpu", "net0.tag"]);
    made.memory = plan.outcomes.into_iter().collect();
    let (named, happened, plan) = made.run(&without, ApplyChanges::Live).await;
    assert_eq!((named, happened), (Effect::Pending, Effect::Pending));
    made.memory = plan.outcomes.into_iter().collect();
    let (named, happened, plan) = made.run(&without, ApplyChanges::Reboot).await;
    assert_eq!((named, happened), (Effect::Reboot, Effect::Reboot));
    let world = made.lab.sim.world();
    assert_eq!(world.guest(VMID).unwrap().get("cpu"), None);
    assert!(!world.guest(VMID).unwrap().get("net0").unwrap().contains("tag"));
    made.memory = plan.outcomes.into_iter().collect();
    assert!(made.plan(&without, ApplyChanges::Reboot).await.is_empty());
    made.lab.sim.shutdown().await;
}

/// A document's own word stands over the command line's.
#[tokio::test(flavor = "multi_thread")]
async fn documents_say_what_may_happen_to_their_guests() {
    let made = Made::new().await;
    let mut documents = made.edited(|s| s.set("cores", "2"), true);
    documents.0.profiles[0].guests[0].apply_changes = Some(ApplyChanges::Manual);
    let plan = made.plan(&documents, ApplyChanges::Reboot).await;
    assert!(plan.is_empty());
    assert_eq!(plan.held[0].mode, ApplyChanges::Manual);
    documents.0.profiles[0].guests[0].apply_changes = Some(ApplyChanges::Reboot);
    let (named, happened, _) = made.run(&documents, ApplyChanges::Manual).await;
    assert_eq!((named, happened), (Effect::Reboot, Effect::Reboot));
    made.lab.sim.shutdown().await;
}

fn two_cores(spec: &mut GuestSpec) {
    spec.set("cores", "2");
    spec.set_property("cpu", "cputype", "host");
}
