//! Disks on the simulator: every change is followed by an empty plan, and what the plan said is
//! what happened. The volume tells whether a disk is the same one: its name and its size.

use std::collections::BTreeMap;

use pvx_core::desired::Desired;
use pvx_core::diagnostic::Sources;
use pvx_core::plan::{ActionGraph, Effect, Intent, Plan, Weight};
use pvx_core::planner::Options;
use pvx_core::state::Memory;
use pvx_sim::World;

use crate::harness::Lab;

const GUEST: u32 = 2000;

/// A lab, what pvx remembers of it, and one guest `vm/w01` in it.
struct One {
    lab: Lab,
    memory: Memory,
    options: Options,
    power: &'static str,
}

impl One {
    async fn start(power: &'static str) -> Self {
        let lab = Lab::start(World::lab()).await;
        Self { lab, memory: Memory::default(), options: Options::default(), power }
    }

    fn documents(&self, keys: &str) -> (Desired, Sources) {
        let keys: String = keys.lines().map(|line| format!("{}\n", line.trim())).collect();
        let node = if keys.contains("node: ") { "" } else { "node: pve1\n" };
        let text = format!(
            "kind: vm\nname: w01\nvmid: {GUEST}\ntemplate: 100\n{node}storage: shared\npower: {}\n{keys}",
            self.power
        );
        self.lab.documents(&[("w01.yaml", text)])
    }

    async fn plan(&self, documents: &(Desired, Sources), intent: Intent) -> Plan {
        self.lab.plan_with(documents, intent, &self.options, &self.memory).await
    }

    fn remember(&mut self, plan: &Plan) {
        for (address, remembered) in &plan.outcomes {
            self.memory.insert(address.clone(), remembered.clone());
        }
    }

    /// Applies; then nothing is left to do, and nothing to say but what waits.
    async fn apply(&mut self, keys: &str) -> Plan {
        let documents = self.documents(keys);
        let plan = self.plan(&documents, Intent::Apply).await;
        assert!(!plan.is_blocked(), "{:#?}", plan.findings);
        self.lab.carry_out(&plan).await;
        self.remember(&plan);
        self.options.replace.clear();
        let again = self.plan(&documents, Intent::Apply).await;
        assert!(again.is_empty(), "{keys}\n{:#?}\n{:#?}", again.changes, self.config(GUEST));
        let loud = again.findings.iter().filter(|f| f.code != "pending");
        assert_eq!(loud.filter(|f| f.weight != Weight::Note).count(), 0, "{:#?}", again.findings);
        self.remember(&again);
        plan
    }

    async fn destroy(&mut self, keys: &str) -> Plan {
        let documents = self.documents(keys);
        let plan = self.plan(&documents, Intent::Destroy).await;
        assert!(!plan.is_blocked(), "{:#?}", plan.findings);
        self.lab.carry_out(&plan).await;
        self.memory = Memory::default();
        assert!(self.plan(&documents, Intent::Destroy).await.is_empty());
        plan
    }

    fn config(&self, vmid: u32) -> BTreeMap<String, String> {
        let world = self.lab.sim.world();
        world.guest(vmid).map_or_else(BTreeMap::new, |guest| guest.config.clone())
    }

    fn get(&self, key: &str) -> String {
        self.config(GUEST).get(key).cloned().unwrap_or_default()
    }

    /// Keeper of the guest's disks.
    fn keeper(&self) -> Option<u32> {
        let world = self.lab.sim.world();
        let mut keepers = world
            .guests()
            .filter(|g| g.config.get("tags").is_some_and(|tags| tags.contains("pvx-kept.vm.w01")));
        keepers.next().map(|guest| guest.vmid)
    }

    async fn stop(self) {
        self.lab.sim.shutdown().await;
    }
}

fn effects(plan: &Plan) -> Vec<(String, Effect)> {
    let attributes = plan.changes.iter().flat_map(|change| &change.attributes);
    attributes.map(|a| (a.path.clone(), a.effect)).collect()
}

fn disk(options: &str) -> String {
    format!("    disks: {{ scsi2: {{ size: 5G, storage: shared{options} }} }}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn options_are_set_changed_and_reset() {
    for (power, effect) in [("stopped", Effect::Live), ("running", Effect::Pending)] {
        let mut one = One::start(power).await;
        one.apply(&disk("")).await;
        for options in [", cache: none, iothread: true", ", cache: writeback, mbps_rd: 20", ""] {
            let plan = one.apply(&disk(options)).await;
            let found = effects(&plan);
            // What it runs with is there again without a boot.
            let effect = if options.is_empty() { Effect::Live } else { effect };
            assert!(!found.is_empty() && found.iter().all(|(_, e)| *e == effect), "{found:?}");
        }
        one.apply(&disk(", backup: false")).await;
        one.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_a_running_guest_apply_at_once() {
    let mut one = One::start("running").await;
    one.apply(&disk("")).await;
    let plan = one.apply(&disk(", iops_wr: 500, mbps: 20, replicate: false")).await;
    assert!(effects(&plan).iter().all(|(_, effect)| *effect == Effect::Live));
    assert!(one.get("scsi2").contains("iops_wr=500"), "{}", one.get("scsi2"));
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disks_move_to_another_storage_and_into_another_format() {
    for power in ["stopped", "running"] {
        let mut one = One::start(power).await;
        one.apply(&disk("")).await;
        let moved = |storage: &str, rest: &str| {
            format!("    disks: {{ scsi2: {{ size: 6G, storage: {storage}{rest} }} }}\n")
        };
        let plan = one.apply(&moved("local-lvm", ", cache: none")).await;
        assert!(effects(&plan).contains(&("scsi2.storage".to_owned(), Effect::Move)));
        if power == "stopped" {
            assert_eq!(one.get("scsi2"), "local-lvm:vm-2000-disk-0,cache=none,size=6G");
            one.apply(&moved("shared", ", format: qcow2")).await;
            assert!(one.get("scsi2").contains(".qcow2"), "{}", one.get("scsi2"));
            one.apply(&moved("shared", ", format: raw")).await;
            assert!(one.get("scsi2").contains(".raw"), "{}", one.get("scsi2"));
        } else {
            assert!(one.get("scsi2").starts_with("local-lvm:"), "{}", one.get("scsi2"));
            // Its cache waits for a cold boot, and so does a second move.
            let documents = one.documents(&moved("shared", ", cache: none"));
            let plan = one.plan(&documents, Intent::Apply).await;
            let codes: Vec<_> = plan.findings.iter().map(|f| f.code.as_str()).collect();
            assert!(plan.is_empty() && codes.contains(&"disk-not-moved"), "{codes:?}");
        }
        one.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_boot_disk_of_a_clone_is_put_where_its_entry_says() {
    let mut one = One::start("running").await;
    one.apply("    disks: { scsi0: { storage: local-lvm } }\n").await;
    assert!(one.get("scsi0").starts_with("local-lvm:"), "{}", one.get("scsi0"));
    // The guest's general storage moves nothing that is there.
    one.apply("    disks: { scsi0: {} }\n").await;
    assert!(one.get("scsi0").starts_with("local-lvm:"), "{}", one.get("scsi0"));
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_not_named_any_more_is_detached_and_comes_back() {
    for power in ["stopped", "running"] {
        let mut one = One::start(power).await;
        one.apply(&disk("")).await;
        let volume = one.get("scsi2").split(',').next().unwrap().to_owned();
        let plan = one.apply("").await;
        assert!(plan.findings.iter().any(|f| f.code == "disk-detached"));
        assert_eq!((one.get("scsi2"), one.get("unused0")), (String::new(), volume.clone()));
        one.apply(&disk(", ssd: true")).await;
        assert!(one.get("scsi2").starts_with(&volume), "{}", one.get("scsi2"));
        assert!(one.get("scsi2").contains("size=5G") && one.get("unused0").is_empty());
        one.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_on_a_bus_without_hot_plug_goes_with_the_next_cold_boot() {
    let sata = "    disks: { sata1: { size: 1G, on_removal: erase } }\n";
    let mut one = One::start("stopped").await;
    one.apply(sata).await;
    one.power = "running";
    one.apply(sata).await;
    let plan = one.apply("").await;
    assert_eq!(effects(&plan), [("sata1".to_owned(), Effect::Pending)]);
    assert!(one.get("sata1").contains("size=1G"), "it is there until then");
    // Shut down, it is detached; the apply after that erases it.
    one.power = "stopped";
    let documents = one.documents("");
    let plan = one.plan(&documents, Intent::Apply).await;
    one.lab.carry_out(&plan).await;
    one.remember(&plan);
    assert!(one.get("unused0").contains("vm-2000-disk"), "{}", one.get("unused0"));
    let plan = one.apply("").await;
    assert_eq!(effects(&plan), [("unused0".to_owned(), Effect::DataLoss)]);
    assert_eq!((one.get("sata1"), one.get("unused0")), (String::new(), String::new()));
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_go_where_that_was_said() {
    for power in ["stopped", "running"] {
        let mut one = One::start(power).await;
        one.apply(&disk(", on_removal: erase")).await;
        let plan = one.apply("").await;
        assert_eq!(effects(&plan), [("scsi2".to_owned(), Effect::DataLoss)]);
        assert_eq!((one.get("scsi2"), one.get("unused0")), (String::new(), String::new()));
        one.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cdroms_come_change_and_go() {
    for power in ["stopped", "running"] {
        let mut one = One::start(power).await;
        let cdrom = |medium: &str| format!("    cdroms: {{ ide0: {medium} }}\n");
        one.apply(&cdrom("none")).await;
        let plan = one.apply(&cdrom("'local:iso/debian-13.iso'")).await;
        assert_eq!(effects(&plan), [("ide0".to_owned(), Effect::Live)]);
        assert!(one.get("ide0").starts_with("local:iso/debian-13.iso,"), "{}", one.get("ide0"));
        one.apply(&cdrom("none")).await;
        one.apply("").await;
        one.stop().await;
    }
}

/// Proxmox itself adds CD-ROM drives that are written to the boot order, and takes drives that go
/// out of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_boot_order_is_what_documents_say_whatever_comes_and_goes() {
    let medium = |medium: &str| format!("cdroms: {{ sata1: {medium} }}\n");
    let data = "disks: { sata2: { size: 1G, storage: shared } }\n";
    for power in ["stopped", "running"] {
        let mut one = One::start(power).await;
        one.apply("boot: [scsi0, net0]\nnetworks: { net0: vmbr0 }\n").await;
        for (order, rest) in [
            ("[scsi0, net0]", medium("none")),
            ("[scsi0, net0]", medium("local:iso/debian-13.iso")),
            ("[net0, scsi0]", medium("none")),
            ("[sata2, scsi0]", format!("{}{data}", medium("local:iso/debian-13.iso"))),
            ("[net0, scsi0]", String::new()),
        ] {
            one.apply(&format!("boot: {order}\nnetworks: {{ net0: vmbr0 }}\n{rest}")).await;
        }
        one.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn firmware_disks_come_where_they_are_missing() {
    let mut one = One::start("stopped").await;
    let both = "    bios: ovmf\n    efidisk0: { pre-enrolled-keys: true }\n    tpmstate0: { storage: shared }\n";
    one.apply(both).await;
    assert!(one.get("efidisk0").contains("pre-enrolled-keys=1"), "{}", one.get("efidisk0"));
    assert!(one.get("tpmstate0").contains("version=v2.0"), "{}", one.get("tpmstate0"));
    let moved = both.replace("storage: shared", "storage: local-lvm");
    one.apply(&moved).await;
    assert!(one.get("tpmstate0").starts_with("local-lvm:"), "{}", one.get("tpmstate0"));
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_is_filled_once_and_grows() {
    let import = ", import_from: 'shared:import/debian-13-cloud.qcow2', keep: true";
    for power in ["stopped", "running"] {
        let mut one = One::start(power).await;
        one.apply(&disk(import)).await;
        assert!(one.get("scsi2").contains("size=5G"), "{}", one.get("scsi2"));
        one.apply(&disk(", import_from: 'shared:import/other.qcow2'")).await;
        one.stop().await;
    }
}

/// A disk that waits for a cold boot is not there for Proxmox, which does not grow it.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_comes_with_the_next_cold_boot_grows_then() {
    let image = "shared:import/debian-13-cloud.qcow2";
    let disk = |size: &str| {
        format!("disks: {{ sata2: {{ size: {size}, storage: shared, import_from: '{image}' }} }}")
    };
    let mut one = One::start("running").await;
    one.apply("").await;
    one.apply(&disk("5G")).await;
    one.apply(&disk("6G")).await;
    one.power = "stopped";
    let plan = one.plan(&one.documents(&disk("6G")), Intent::Apply).await;
    one.lab.carry_out(&plan).await;
    one.remember(&plan);
    one.apply(&disk("6G")).await;
    assert!(one.get("sata2").contains("size=6G"), "{}", one.get("sata2"));
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_whose_options_wait_grows_and_keeps_its_size() {
    let sized = |size: &str| disk(", cache: writeback").replace("5G", size);
    let mut one = One::start("running").await;
    one.apply(&disk("")).await;
    one.apply(&sized("5G")).await;
    one.apply(&sized("6G")).await;
    one.power = "stopped";
    one.apply(&sized("6G")).await;
    assert!(one.get("scsi2").contains("size=6G"), "{}", one.get("scsi2"));
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_disk_outlives_its_guest_and_comes_back() {
    for storage in ["shared", "local-lvm"] {
        let keys = disk(", keep: true").replace("storage: shared", &format!("storage: {storage}"));
        let mut one = One::start("running").await;
        one.apply(&keys).await;
        let plan = one.destroy(&keys).await;
        assert_eq!(plan.changes[0].facts.kept, [("scsi2".to_owned(), 5 << 30)]);
        let keeper = one.keeper().expect("a keeper");
        assert!(one.config(GUEST).is_empty());
        assert!(one.config(keeper)["scsi2"].contains("size=5G"));
        // Without anything remembered, on another node, larger.
        let larger = keys.replace("5G", "7G") + "    node: pve3\n";
        one.apply(&larger).await;
        assert!(one.get("scsi2").contains("size=7G"), "{}", one.get("scsi2"));
        assert!(one.get("scsi2").contains("vm-2000-"), "{}", one.get("scsi2"));
        assert_eq!(one.keeper(), None);
        one.options.erase_kept = true;
        one.destroy(&larger).await;
        assert_eq!(one.lab.sim.world().guests().count(), 3, "the templates");
        one.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_made_anew() {
    let keys = disk(", keep: true") + "    disk: 6G\n";
    let mut one = One::start("running").await;
    one.apply(&keys).await;
    let smaller = keys.replace("6G", "4G");
    let blocked = one.plan(&one.documents(&smaller), Intent::Apply).await;
    assert!(blocked.findings.iter().any(|f| f.code == "disk-shrink"));
    one.options.replace = vec!["vm/w01".to_owned()];
    let plan = one.apply(&smaller).await;
    assert_eq!(plan.counts().replace, 1);
    assert!(one.get("scsi0").contains("size=4G"), "{}", one.get("scsi0"));
    assert!(one.get("scsi2").contains("size=5G"), "{}", one.get("scsi2"));
    assert_eq!(one.keeper(), None);
    one.stop().await;
}

/// The first `count` actions of a plan, in its order.
fn begun(plan: &Plan, count: usize) -> Plan {
    let mut part = plan.clone();
    let mut actions = ActionGraph::default();
    let mut ids = BTreeMap::new();
    for id in plan.actions.sequence().unwrap().into_iter().take(count) {
        let new = actions.add(plan.actions.get(id).unwrap().clone());
        for before in plan.actions.needs(id) {
            actions.order(ids[&before], new);
        }
        ids.insert(id, new);
    }
    for change in &mut part.changes {
        change.actions = change.actions.iter().filter_map(|id| ids.get(id).copied()).collect();
    }
    part.actions = actions;
    part
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_that_is_cut_off_anywhere_goes_on_and_keeps_the_disk() {
    let keys = disk(", keep: true");
    for count in 1..20 {
        let mut one = One::start("running").await;
        one.apply(&keys).await;
        one.options.replace = vec!["vm/w01".to_owned()];
        let plan = one.plan(&one.documents(&keys), Intent::Apply).await;
        if count > plan.actions.len() {
            one.stop().await;
            break;
        }
        one.lab.carry_out(&begun(&plan, count)).await;
        one.options.replace.clear();
        one.memory = Memory::default();
        one.apply(&keys).await;
        assert!(one.get("scsi2").contains("size=5G"), "{count}: {}", one.get("scsi2"));
        assert_eq!(one.keeper(), None, "{count}");
        let disks = one.lab.sim.world().guests().count();
        assert_eq!(disks, 4, "{count}: templates and the guest");
        one.stop().await;
    }
}

/// Options of drives with two values each, and the buses that have them.
const OPTIONS: &[(&str, [&str; 2], &str)] = &[
    ("aio", ["threads", "io_uring"], "scsi virtio sata ide"),
    ("backup", ["false", "true"], "scsi virtio sata ide"),
    ("cache", ["none", "writeback"], "scsi virtio sata ide"),
    ("detect_zeroes", ["false", "true"], "scsi virtio sata ide"),
    ("discard", ["on", "ignore"], "scsi virtio sata ide"),
    ("iops", ["100", "200"], "scsi virtio sata ide"),
    ("iops_max", ["100", "200"], "scsi virtio sata ide"),
    ("iops_max: 9, iops_max_length", ["2", "3"], "scsi virtio sata ide"),
    ("iops_rd", ["100", "200"], "scsi virtio sata ide"),
    ("iops_rd_max", ["100", "200"], "scsi virtio sata ide"),
    ("iops_rd_max: 9, iops_rd_max_length", ["2", "3"], "scsi virtio sata ide"),
    ("iops_wr", ["100", "200"], "scsi virtio sata ide"),
    ("iops_wr_max", ["100", "200"], "scsi virtio sata ide"),
    ("iops_wr_max: 9, iops_wr_max_length", ["2", "3"], "scsi virtio sata ide"),
    ("bps", ["1000", "2000"], "scsi virtio sata ide"),
    ("bps_rd", ["1000", "2000"], "scsi virtio sata ide"),
    ("bps_wr", ["1000", "2000"], "scsi virtio sata ide"),
    ("mbps: 1, mbps_max: 2, bps_max_length", ["2", "3"], "scsi virtio sata ide"),
    ("mbps_rd: 1, mbps_rd_max: 2, bps_rd_max_length", ["2", "3"], "scsi virtio sata ide"),
    ("mbps_wr: 1, mbps_wr_max: 2, bps_wr_max_length", ["2", "3"], "scsi virtio sata ide"),
    ("mbps", ["1.5", "20"], "scsi virtio sata ide"),
    ("mbps: 1, mbps_max", ["10", "20"], "scsi virtio sata ide"),
    ("mbps_rd", ["10", "20"], "scsi virtio sata ide"),
    ("mbps_rd: 1, mbps_rd_max", ["10", "20"], "scsi virtio sata ide"),
    ("mbps_wr", ["10", "20"], "scsi virtio sata ide"),
    ("mbps_wr: 1, mbps_wr_max", ["10", "20"], "scsi virtio sata ide"),
    ("replicate", ["false", "true"], "scsi virtio sata ide"),
    ("rerror", ["ignore", "stop"], "scsi virtio sata ide"),
    ("werror", ["enospc", "report"], "scsi virtio sata ide"),
    ("serial", ["abc", "def"], "scsi virtio sata ide"),
    ("shared", ["true", "false"], "scsi virtio sata ide"),
    ("iothread", ["true", "false"], "scsi virtio"),
    ("ro", ["true", "false"], "scsi virtio"),
    ("ssd", ["true", "false"], "scsi sata ide"),
    ("wwn", ["'0x500a075110a7f5b5'", "'0x500a075110a7f5b6'"], "scsi sata ide"),
    ("queues", ["2", "4"], "scsi"),
    ("product", ["one", "two"], "scsi"),
    ("vendor", ["one", "two"], "scsi"),
    ("model", ["one", "two"], "ide"),
];

/// Stored at once and read by the next cold boot: Proxmox shows nothing that waits.
const READ_AT_BOOT: [&str; 6] = ["detect_zeroes", "rerror", "werror", "serial", "wwn", "model"];

/// Options of a bus that can stand beside each other: limits for reading and writing together
/// exclude those for either.
fn batches(bus: &str) -> [Vec<&'static (&'static str, [&'static str; 2], &'static str)>; 2] {
    let of_bus = OPTIONS.iter().filter(|(.., buses)| buses.split(' ').any(|b| b == bus));
    let together = |name: &str| {
        let limit = ["mbps", "iops", "bps"].iter().any(|kind| name.starts_with(kind));
        limit && !name.contains("_rd") && !name.contains("_wr")
    };
    let (both, rest): (Vec<_>, Vec<_>) = of_bus.partition(|(name, ..)| together(name));
    // Only one spelling of a limit, and only one of what it needs.
    let plain = |list: Vec<&'static (&str, [&str; 2], &str)>| {
        list.into_iter()
            .filter(|(name, ..)| !name.contains(':') && !name.starts_with("bps"))
            .collect()
    };
    [plain(both), plain(rest)]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_option_of_every_bus_is_set_changed_and_reset() {
    for (slot, power) in
        [("scsi2", "stopped"), ("virtio1", "running"), ("sata1", "running"), ("ide1", "stopped")]
    {
        let mut one = One::start(power).await;
        let disk = |rest: &str| format!("disks: {{ {slot}: {{ size: 1G{rest} }} }}");
        one.apply(&disk("")).await;
        for batch in batches(slot.trim_end_matches(|c: char| c.is_ascii_digit())) {
            for index in [0, 1] {
                let said =
                    batch.iter().map(|(name, values, _)| format!(", {name}: {}", values[index]));
                let plan = one.apply(&disk(&said.collect::<String>())).await;
                assert!(!plan.is_empty());
            }
            one.apply(&disk("")).await;
            let left = one.get(slot);
            assert_eq!(left.split(',').count(), 2, "volume and size alone: {left}");
        }
        one.stop().await;
    }
}

/// What is said to be live does not wait, and the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn every_option_waits_for_a_cold_boot_or_does_not_as_the_plan_said() {
    let mut one = One::start("running").await;
    let disk = |rest: &str| format!("disks: {{ scsi2: {{ size: 1G{rest} }} }}");
    one.apply(&disk("")).await;
    for (name, values, _) in OPTIONS.iter().filter(|(.., buses)| buses.contains("scsi")) {
        for value in [values[0], ""] {
            let said = format!(", {name}: {value}");
            let plan = one.apply(&disk(if value.is_empty() { "" } else { &said })).await;
            let waits = one.lab.sim.world().guest(GUEST).unwrap().pending.contains_key("scsi2");
            let pending = effects(&plan).iter().any(|(_, effect)| *effect == Effect::Pending);
            let silent = READ_AT_BOOT.contains(name);
            assert!(waits == pending || silent, "{name} {value}: {:?}", effects(&plan));
        }
    }
    one.stop().await;
}
