//! Values that Proxmox refuses together: some when they are written, most only when the guest
//! starts, and then it is down. So they are errors of the plan, as soon as one of them is written
//! (qemu-server `API2/Qemu.pm`, `QemuServer.pm` config_to_command, `QemuServer/Memory.pm` config,
//! `QemuServer/Machine.pm` assert_valid_machine_property).

use pvx_core::plan::Finding;

use super::differ::Differ;
use super::effect;
use crate::codec::{self, Boot, parse_boolean};

/// The name of a finding, what is wrong, and the way out.
type Complaint = (&'static str, String, &'static str);

/// What cannot be together, and the keys that it is about, numbered ones by their stem.
type Rule = (fn(&Values<'_, '_>) -> Option<Complaint>, &'static [&'static str]);

const RULES: &[Rule] = &[
    (balloon, &["balloon", "memory"]),
    (vcpus, &["vcpus", "cores", "sockets"]),
    (hugepages, &["hugepages", "numa"]),
    (hotplug, &["hotplug", "memory", "numa", "hugepages", "sockets", "virtiofs"]),
    (nodes, &["numa", "memory"]),
    (viommu, &["machine"]),
    (clipboard, &["vga"]),
    (pcie, &["hostpci", "machine"]),
    (boot, &["boot", "ide", "sata", "scsi", "virtio", "net", "hostpci", "usb"]),
];

pub(super) fn check(differ: &mut Differ<'_>) {
    let found: Vec<Finding> = {
        let values = Values { differ };
        let due = RULES.iter().filter(|(_, keys)| keys.iter().any(|key| values.is_written(key)));
        due.filter_map(|(rule, keys)| Some(finding(rule(&values)?, keys, &values))).collect()
    };
    found.into_iter().for_each(|finding| differ.finding(finding));
}

/// It is about the first of the keys that documents say.
fn finding((code, text, help): Complaint, keys: &[&str], values: &Values<'_, '_>) -> Finding {
    let settings = &values.differ.wanted.spec.settings;
    let said = keys.iter().find(|key| settings.contains_key(**key));
    Finding { path: said.map(|key| (*key).to_owned()), ..Finding::error(code, text).help(help) }
}

/// What the guest's keys will hold.
struct Values<'d, 'a> {
    differ: &'d Differ<'a>,
}

impl Values<'_, '_> {
    fn is_written(&self, stem: &str) -> bool {
        self.differ.written().any(|key| key == stem || is_numbered(key, stem))
    }

    fn get(&self, key: &str) -> Option<String> {
        self.differ.outcome(key)
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.trim().parse().ok()
    }

    fn is_on(&self, key: &str) -> bool {
        self.get(key).as_deref().and_then(parse_boolean).unwrap_or(false)
    }

    /// MiB.
    fn memory(&self) -> u64 {
        effect::mebibytes(self.get("memory").as_deref())
    }

    /// Keys with this stem and a number, and what they will hold.
    fn numbered(&self, stem: &str) -> Vec<(String, String)> {
        let live = self.differ.live.config.keys().map(String::as_str);
        let mut keys: Vec<&str> = live.chain(self.differ.written()).collect();
        keys.retain(|key| is_numbered(key, stem));
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().filter_map(|key| Some((key.to_owned(), self.get(key)?))).collect()
    }

    fn property(&self, key: &str, name: &str) -> Option<String> {
        codec::property(key, &self.get(key)?, name)
    }

    fn is_q35(&self) -> bool {
        self.property("machine", "type").is_some_and(|kind| kind.contains("q35"))
    }
}

fn is_numbered(key: &str, stem: &str) -> bool {
    let number = key.strip_prefix(stem).unwrap_or_default();
    !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
}

/// A bound that no document says is a matter of `scalar`, which knows whose it is.
fn balloon(values: &Values<'_, '_>) -> Option<Complaint> {
    if !values.differ.wanted.spec.settings.contains_key("balloon") {
        return None;
    }
    let (bound, memory) = (values.number("balloon")?, values.memory());
    let text = format!("balloon {bound} MiB is more than the memory, {memory} MiB");
    (bound > memory).then_some(("balloon", text, "it is the least that it may have: lower it"))
}

fn vcpus(values: &Values<'_, '_>) -> Option<Complaint> {
    let count = |key: &str| values.number(key).unwrap_or(1);
    let (vcpus, most) = (values.number("vcpus")?, count("sockets").saturating_mul(count("cores")));
    let text = format!("vcpus {vcpus} is more than its {most} cores (cores times sockets)");
    let help = "vcpus is how many of them are there at the start: give it more cores";
    (vcpus > most).then_some(("vcpus", text, help))
}

fn hugepages(values: &Values<'_, '_>) -> Option<Complaint> {
    values.get("hugepages")?;
    let text = "with hugepages and without numa it does not start".to_owned();
    (!values.is_on("numa")).then_some(("hugepages", text, "say `numa: true`, too"))
}

/// Memory that can be plugged.
fn hotplug(values: &Values<'_, '_>) -> Option<Complaint> {
    const CODE: &str = "memory-hotplug";
    if !values.get("hotplug")?.split([',', ';', ' ']).any(|word| word == "memory") {
        return None;
    }
    let fails = |why: String, help| Some((CODE, format!("hotplug has memory, and {why}"), help));
    if !values.is_on("numa") {
        let why = "without numa the guest does not start".to_owned();
        return fails(why, "say `numa: true`, or leave memory out of hotplug");
    }
    if let Some((node, _)) = values.numbered("numa").first() {
        let why = format!("with {node} the guest does not start");
        return fails(why, "leave memory out of hotplug, or the NUMA nodes away");
    }
    if let Some((folder, _)) = values.numbered("virtiofs").first() {
        let why = format!("with {folder} the guest does not start");
        return fails(why, "leave memory out of hotplug, or the shared folders away");
    }
    let huge = values.get("hugepages").as_deref() == Some("1024");
    let modules = effect::Modules::of(huge, values.number("sockets"));
    let memory = values.memory();
    if memory < modules.fixed {
        let why = format!("needs {} MiB at least, not {memory}", modules.fixed);
        return fails(why, "give it more memory, or leave memory out of hotplug");
    }
    if !modules.reach(memory) {
        let why = format!("{memory} MiB is not {} MiB and modules", modules.fixed);
        return fails(why, "give it a multiple of 1 GiB, or leave memory out of hotplug");
    }
    None
}

/// NUMA nodes of the guest share out all of its memory.
fn nodes(values: &Values<'_, '_>) -> Option<Complaint> {
    let nodes = values.numbered("numa");
    if nodes.is_empty() || !values.is_on("numa") {
        return None;
    }
    let mut sum = 0_u64;
    for (key, _) in &nodes {
        let Some(memory) = values.property(key, "memory") else {
            let text = format!("{key} has no memory: the guest does not start");
            return Some(("numa", text, "give each NUMA node its memory"));
        };
        sum = sum.saturating_add(memory.parse().unwrap_or(0));
    }
    let memory = values.memory();
    let text = format!("its NUMA nodes have {sum} MiB, and its memory is {memory} MiB");
    (sum != memory).then_some(("numa", text, "both have to be the same: else it does not start"))
}

fn viommu(values: &Values<'_, '_>) -> Option<Complaint> {
    let viommu = values.property("machine", "viommu");
    let width = values.property("machine", "aw-bits");
    let intel = viommu.as_deref() == Some("intel");
    let text = if intel && !values.is_q35() {
        "Proxmox takes viommu intel with machine q35 alone"
    } else if intel && width.as_deref().is_some_and(|bits| !matches!(bits, "39" | "48")) {
        "Proxmox takes aw-bits 39 or 48 with viommu intel"
    } else if viommu.is_none() && width.is_some() {
        "Proxmox takes no aw-bits without viommu"
    } else {
        return None;
    };
    Some(("machine", text.to_owned(), "see `machine` in the reference"))
}

fn clipboard(values: &Values<'_, '_>) -> Option<Complaint> {
    let kind = values.property("vga", "type")?;
    let vnc = values.property("vga", "clipboard").as_deref() == Some("vnc");
    let known = ["std", "cirrus", "vmware", "virtio", "qxl"];
    let fits = known.iter().any(|known| kind.starts_with(known));
    let text = format!("vga {kind} has no clipboard of VNC");
    (vnc && !fits).then_some(("vga", text, "leave clipboard away, or take another card"))
}

fn pcie(values: &Values<'_, '_>) -> Option<Complaint> {
    let express = |key: &str| values.property(key, "pcie").and_then(|text| parse_boolean(&text));
    let all = values.numbered("hostpci");
    let (key, _) = all.iter().find(|(key, _)| express(key) == Some(true))?;
    let text = format!("{key} has pcie, which needs machine q35: else it does not start");
    (!values.is_q35()).then_some(("hostpci", text, "say `machine: q35`, or leave pcie away"))
}

/// Proxmox refuses an order that names a device which is not there, and takes a device that goes out
/// of the order: documents that name it would differ from the guest for ever. An order that is stored
/// as documents say it is left alone.
fn boot(values: &Values<'_, '_>) -> Option<Complaint> {
    if !values.differ.wanted.spec.settings.contains_key("boot") {
        return None;
    }
    let order = Boot::parse(&values.get("boot")?).ok()?;
    let is_new = values.is_written("boot");
    let is_gone =
        |device: &&str| values.differ.goes(device) || is_new && values.get(device).is_none();
    let gone = order.devices().find(is_gone)?;
    let text = format!("boot names {gone}, which the guest will not have");
    Some(("boot", text, "leave it out of boot, or say the device, too"))
}
