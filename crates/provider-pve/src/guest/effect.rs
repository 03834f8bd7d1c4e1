//! What a change costs, decided from live facts: is the guest running, what does its `hotplug`
//! say, what is it running with. The written table of keys is [`mod@rule`]; this is the decision.
//!
//! Proxmox decides for a key as a whole, from the value that runs and the value that is to be
//! (qemu-server `vmconfig_hotplug_pending`), and so does this, after everything else is known: an
//! option that could change at once waits when another option of the same drive has to.

mod count;
mod device;
mod rule;
#[cfg(test)]
mod tests;

pub(super) use count::{Modules, mebibytes};
pub use rule::{Feature, Rule, property, rule, table};

use std::collections::BTreeMap;

use pvx_core::live::{Guest, Pending};
use pvx_core::plan::{AttributeChange, Effect};
use pvx_core::provider::Comparison;

use super::differ::{DIFFERS, DROPPED};
use super::disk;
use crate::codec::{self, Volume};

/// What the change of one key costs on a guest as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) effect: Effect,
    /// Can the guest notice it before its next cold boot?
    pub(super) noticed: bool,
    /// Why it is not live, in a few words.
    pub(super) why: String,
}

impl Cost {
    fn live() -> Self {
        Self { effect: Effect::Live, noticed: true, why: String::new() }
    }

    fn unnoticed() -> Self {
        Self { noticed: false, ..Self::live() }
    }

    fn pending(why: impl Into<String>) -> Self {
        Self { effect: Effect::Pending, noticed: true, why: why.into() }
    }

    /// Proxmox refuses it while the guest runs.
    fn offline(why: impl Into<String>) -> Self {
        Self { effect: Effect::Offline, noticed: true, why: why.into() }
    }

    /// Waits because `hotplug` does not name the feature.
    fn off(feature: Feature) -> Self {
        Self::pending(format!("hot-plug of {} is off", feature.word()))
    }

    /// At once when `hotplug` names the feature.
    fn plugged(feature: Feature, guest: &Guest) -> Self {
        if hotplugs(guest, feature) { Self::live() } else { Self::off(feature) }
    }
}

/// The cost of changing `key` from the value that runs to another; `None` is no value.
pub(super) fn of_change(
    key: &str,
    before: Option<&str>,
    after: Option<&str>,
    guest: &Guest,
) -> Cost {
    if key == "tpmstate0" && other_tpm(before, after) {
        let why = "the version of a TPM cannot change".to_owned();
        return Cost { effect: Effect::Replace, noticed: true, why };
    }
    let same = match (before, after) {
        (Some(before), Some(after)) => codec::equal(key, before, after),
        (before, after) => before == after,
    };
    // The latter takes back what waits.
    if !guest.running || same {
        return Cost::live();
    }
    if key == "smbios1" && same_but_uuid(before, after) {
        return Cost { noticed: false, ..Cost::pending("needs no boot: it is pvx's own mark") };
    }
    match rule(key) {
        Rule::Unnoticed => Cost::unnoticed(),
        Rule::Live => Cost::live(),
        Rule::Plug(feature) => Cost::plugged(feature, guest),
        Rule::Usb => usb(guest),
        Rule::Vcpus => count::vcpus(after, guest),
        Rule::Memory => count::memory(before, after, guest),
        Rule::Balloon => count::balloon(before, after),
        Rule::Agent => device::agent(before, after),
        Rule::Hotplug => hotplug(before, after),
        Rule::Cloudinit => cloudinit(guest),
        Rule::Nic => device::nic(before, after, guest),
        Rule::Drive | Rule::FixedDrive => device::drive(key, before, after, guest),
        Rule::Pending | Rule::Stored | Rule::Fixed => Cost::pending("needs a cold boot"),
    }
}

/// Qemu-server `prohibit_tpm_version_change`.
fn other_tpm(before: Option<&str>, after: Option<&str>) -> bool {
    let version = |text: &str| {
        let drive = codec::Drive::parse(text).ok();
        drive.and_then(|drive| drive.get("version").map(str::to_owned))
    };
    match (before, after) {
        (Some(before), Some(after)) => version(before) != version(after),
        _ => false,
    }
}

/// The uuid is pvx's own mark: it counts from the moment it is written, because values that wait are
/// read merged in. What runs inside sees another one at its next cold boot, which is no reason to
/// reboot it, and nothing to be held back.
fn same_but_uuid(before: Option<&str>, after: Option<&str>) -> bool {
    let rest = |text: Option<&str>| {
        let mut smbios = codec::PropertyString::parse(text.unwrap_or_default(), None).ok()?;
        smbios.remove("uuid");
        Some(smbios.to_string())
    };
    matches!((rest(before), rest(after)), (Some(before), Some(after)) if before == after)
}

/// USB needs an OS that knows the xHCI controller, and a machine of 7.1 at least.
fn usb(guest: &Guest) -> Cost {
    let cost = Cost::plugged(Feature::Usb, guest);
    let known = matches!(running(guest, "ostype"), Some("l26" | "win8" | "win10" | "win11"));
    match cost.effect {
        Effect::Live if !known => Cost::pending("hot-plug of usb needs ostype l26, or Windows 8"),
        Effect::Live if machine_below(guest, (7, 1)) => {
            Cost::pending("hot-plug of usb needs a machine of 7.1")
        }
        _ => cost,
    }
}

/// Is the machine pinned to a version (`pc-q35-6.2`) before this one?
fn machine_below(guest: &Guest, least: (u32, u32)) -> bool {
    let machine = running(guest, "machine").unwrap_or_default();
    let kind = machine.split(',').next().unwrap_or_default();
    let version = kind.rsplit('-').next().unwrap_or_default();
    let mut parts = version.split(['.', '+']).map(|part| part.parse::<u32>().ok());
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) < least,
        _ => false,
    }
}

/// `hotplug` itself: memory and cpu are matters of how QEMU was started.
fn hotplug(before: Option<&str>, after: Option<&str>) -> Cost {
    let text = [before, after].map(Option::unwrap_or_default).join(" ");
    match ["cpu", "memory"].into_iter().find(|word| text.contains(word)) {
        Some(word) => Cost::pending(format!("hot-plug of {word} needs a cold boot")),
        None => Cost::live(),
    }
}

/// The values are stored at once. The drive that carries them is written when the guest starts, or
/// at once with `cloudinit` in `hotplug`.
fn cloudinit(guest: &Guest) -> Cost {
    let has_drive = disk::volumes(guest).iter().any(|volume| volume.cloudinit);
    if !has_drive {
        return Cost::unnoticed();
    }
    if hotplugs(guest, Feature::Cloudinit) {
        return Cost::live();
    }
    Cost::pending("written to its cloud-init drive at the next boot")
}

/// What is hot-plugged when `hotplug` is not set, or 1.
const DEFAULT_HOTPLUG: &str = "network,disk,usb";

/// Does the `hotplug` that the guest runs with name this feature? `0` names nothing.
fn hotplugs(guest: &Guest, feature: Feature) -> bool {
    let list = match running(guest, "hotplug").unwrap_or("1") {
        "0" => "",
        "1" => DEFAULT_HOTPLUG,
        other => other,
    };
    list.split([',', ';', ' ']).any(|word| word == feature.word())
}

/// The value that the guest runs with: not one that waits.
pub(super) fn running<'a>(guest: &'a Guest, key: &str) -> Option<&'a str> {
    match guest.pending.iter().find(|pending| pending.key == key) {
        Some(pending) => pending.running.as_deref(),
        None => guest.config.get(key).map(String::as_str),
    }
}

/// Says of every attribute what it costs, and of every key whether the guest can notice.
pub(super) fn settle(out: &mut Comparison, guest: &Guest) {
    let set = out.set.iter().map(|(key, value)| (key, Some(value.as_str())));
    let all = set.chain(out.delete.iter().map(|key| (key, None)));
    let cost = |(key, after): (&String, Option<&str>)| {
        (key.clone(), of_change(key, running(guest, key), after, guest))
    };
    let costs: BTreeMap<String, Cost> = all.map(cost).collect();
    for attribute in &mut out.attributes {
        let key = key_of(&attribute.path).to_owned();
        let key = out.keys.entry(attribute.path.clone()).or_insert(key);
        let grows =
            attribute.path.ends_with(".size") && out.resize.iter().any(|(slot, _)| slot == key);
        if let Some(cost) = costs.get(key).filter(|_| !grows) {
            apply(attribute, cost);
        }
        // Until it takes effect it is a matter of the documents, so that it is seen to the end.
        if attribute.effect == Effect::Pending && out.delete.contains(key) {
            out.managed.insert(attribute.path.clone());
        }
    }
    // A value that waits, and that no guest misses, is none that has to come into effect.
    let missed = |pending: &Pending| {
        let (before, after) = (pending.running.as_deref(), pending.next.as_deref());
        of_change(&pending.key, before, after, guest).noticed
    };
    for pending in guest.pending.iter().filter(|pending| !missed(pending)) {
        out.managed_keys.remove(&pending.key);
    }
    let allocating = out.set.iter().filter(|(key, value)| disk::is_slot(key) && allocates(value));
    out.allocating = allocating.map(|(key, _)| key.clone()).collect();
    let unnoticed = costs.into_iter().filter(|(_, cost)| !cost.noticed).map(|(key, _)| key);
    out.unnoticed = unnoticed.collect();
}

/// Does the value of a drive ask for a new volume: `storage:8`, `storage:cloudinit`?
fn allocates(value: &str) -> bool {
    let Ok(drive) = codec::Drive::parse(value) else { return false };
    match drive.volume() {
        Volume::Allocate { .. } => true,
        Volume::Id { name, .. } => name == "cloudinit",
        Volume::Empty | Volume::HostCdrom | Volume::Path(_) => false,
    }
}

fn apply(attribute: &mut AttributeChange, cost: &Cost) {
    // A move or a loss is more than the write that belongs to it.
    if attribute.effect > Effect::Pending {
        return;
    }
    attribute.effect = cost.effect;
    // A reason of its own says more than why it waits.
    if !cost.why.is_empty() && matches!(attribute.reason.as_str(), DIFFERS | DROPPED) {
        attribute.reason.clone_from(&cost.why);
    }
}

/// Proxmox's key of a path of attributes or of documents, where it is a part of it.
pub(super) fn key_of(path: &str) -> &str {
    let rest = ["disks.", "raw."].iter().find_map(|prefix| path.strip_prefix(prefix));
    let path = rest.unwrap_or(path);
    path.split('.').next().unwrap_or(path)
}
