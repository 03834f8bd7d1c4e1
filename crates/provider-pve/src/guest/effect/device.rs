//! Devices that are one value of many properties: drives, network devices, the agent. One property
//! that has to wait makes all of the value wait.

use std::collections::BTreeSet;

use pvx_core::live::Guest;

use super::super::unnamed;
use super::rule::{Feature, Rule, property, rule};
use super::{Cost, hotplugs, running};
use crate::codec::{Agent, Boot, Drive, Nic, PropertyString};

/// A network device (`vmconfig_update_net`).
pub(super) fn nic(before: Option<&str>, after: Option<&str>, guest: &Guest) -> Cost {
    let parse = |text: Option<&str>| text.and_then(|text| Nic::parse(text).ok());
    let itself = || Cost::plugged(Feature::Network, guest);
    let (Some(old), Some(new)) = (parse(before), parse(after)) else { return itself() };
    // Coming from or going to QEMU's own NAT is another device.
    let bridged = old.bridge().is_some() && new.bridge().is_some();
    let same = old.model() == new.model() && old.macaddr() == new.macaddr();
    let plugged = |name: &&str| property("net0", name) == Rule::Plug(Feature::Network);
    let changed = changed(old.properties(), new.properties());
    if bridged && same && !changed.iter().any(|name| plugged(&name.as_str())) {
        return Cost::live();
    }
    itself()
}

/// A drive (`vmconfig_update_disk`, and the removal in `vmconfig_hotplug_pending`).
pub(super) fn drive(key: &str, before: Option<&str>, after: Option<&str>, guest: &Guest) -> Cost {
    let parse = |text: Option<&str>| text.and_then(|text| Drive::parse(text).ok());
    let (old, new) = match (parse(before), parse(after)) {
        (None, _) => return comes(key, guest),
        (Some(_), None) => return goes(key, guest),
        (Some(old), Some(new)) => (old, new),
    };
    if old.is_cdrom() != new.is_cdrom() {
        return Cost::offline("a disk cannot become a CD-ROM drive, or back, while it runs");
    }
    if old.is_cdrom() {
        return Cost::live();
    }
    // A volume that is moved is the same disk.
    if old.file() != new.file() && !unnamed::is(&new) {
        return another_volume(key, guest);
    }
    options(key, &old, &new)
}

fn comes(key: &str, guest: &Guest) -> Cost {
    if rule(key) == Rule::FixedDrive {
        return Cost::pending("IDE and SATA have no hot-plug");
    }
    Cost::plugged(Feature::Disk, guest)
}

fn goes(key: &str, guest: &Guest) -> Cost {
    match comes(key, guest) {
        cost if cost == Cost::live() && boots(key, guest) => Cost::offline("it boots from it"),
        cost => cost,
    }
}

/// The old volume is unplugged first, which IDE and SATA refuse instead of waiting
/// (`vm_deviceunplug`).
fn another_volume(key: &str, guest: &Guest) -> Cost {
    if !hotplugs(guest, Feature::Disk) {
        return Cost::off(Feature::Disk);
    }
    if rule(key) == Rule::FixedDrive {
        return Cost::offline("IDE and SATA have no hot-plug");
    }
    goes(key, guest)
}

fn options(key: &str, old: &Drive, new: &Drive) -> Cost {
    let changed = changed(old.properties(), new.properties());
    let rules: Vec<Rule> = changed.iter().map(|name| property(key, name)).collect();
    if let Some(name) = changed.iter().find(|name| property(key, name) == Rule::Pending) {
        return Cost::pending(format!("{name} needs a cold boot"));
    }
    if let Some(name) = changed.iter().find(|name| property(key, name) == Rule::Stored) {
        return Cost::pending(format!("{name} needs a cold boot"));
    }
    if rules.iter().all(|rule| *rule == Rule::Unnoticed) { Cost::unnoticed() } else { Cost::live() }
}

/// Is it a disk that the running guest boots from (`get_bootdisks`)?
fn boots(key: &str, guest: &Guest) -> bool {
    let order = running(guest, "boot").and_then(|text| Boot::parse(text).ok());
    match order.filter(|order| order.devices().next().is_some()) {
        Some(order) => order.devices().any(|device| device == key),
        None => running(guest, "bootdisk") == Some(key),
    }
}

/// The agent's properties (`vmconfig_update_agent`); those of an agent that is off do not count.
pub(super) fn agent(before: Option<&str>, after: Option<&str>) -> Cost {
    let parse = |text: Option<&str>| text.and_then(|text| Agent::parse(text).ok());
    let wait = || Cost::pending("needs a cold boot");
    let (Some(old), Some(new)) = (parse(before), parse(after)) else { return wait() };
    match (old.enabled(), new.enabled()) {
        // Proxmox compares with nothing when the whole value is a plain 0.
        (false, false) if before != Some("0") => Cost::live(),
        (true, true) => {
            let changed = changed(old.properties(), new.properties());
            let live = changed.iter().all(|name| property("agent", name) == Rule::Live);
            if live { Cost::live() } else { wait() }
        }
        _ => wait(),
    }
}

/// Names of the properties that differ.
fn changed(old: &PropertyString, new: &PropertyString) -> BTreeSet<String> {
    let names = old.iter().chain(new.iter()).map(|(name, _)| name);
    let differs = |name: &&str| old.get(name) != new.get(name);
    names.filter(differs).map(str::to_owned).collect()
}
