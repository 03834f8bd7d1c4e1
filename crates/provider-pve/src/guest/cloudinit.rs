//! Cloud-init: a drive for every guest that wants one, and the keys that are written onto it.

use pvx_core::desired;
use pvx_core::plan::{Effect, Finding};

use super::differ::Differ;
use super::disk;
use crate::codec::{IpConfig, encode_ssh_keys, format_boolean};

mod custom;
mod password;

pub(super) fn compare(differ: &mut Differ<'_>) {
    let wanted = &differ.wanted.spec.cloudinit;
    if wanted.drive {
        drive(differ);
    }
    // No key at all is the same as none: Proxmox stores no empty list.
    let keys = wanted.ssh_keys.as_deref().filter(|keys| !keys.trim().is_empty());
    let keys = keys.map(encode_ssh_keys);
    let servers = (!wanted.nameservers.is_empty()).then(|| wanted.nameservers.join(" "));
    text(differ, "cloudinit.user", "ciuser", wanted.user.as_deref());
    text(differ, "cloudinit.ssh_keys", "sshkeys", keys.as_deref());
    text(differ, "cloudinit.nameservers", "nameserver", servers.as_deref());
    text(differ, "cloudinit.searchdomain", "searchdomain", wanted.searchdomain.as_deref());
    let upgrade = wanted.upgrade.map(format_boolean);
    with_default(differ, "cloudinit.upgrade", "ciupgrade", upgrade, "1");
    let format = default_format(differ);
    with_default(differ, "cloudinit.type", "citype", wanted.format.as_deref(), format);
    addresses(differ);
    custom::compare(differ);
    password::compare(differ);
}

fn with_default(
    differ: &mut Differ<'_>,
    path: &str,
    key: &str,
    wanted: Option<&str>,
    default: &str,
) {
    match wanted {
        Some(value) => differ.value(path, key, value, Some(default)),
        None if differ.is_dropped(path) => differ.reset(path, key),
        None => {}
    }
}

/// What Proxmox takes when `citype` is absent (qemu-server, Cloudinit.pm `get_cloudinit_format`
/// and Helpers.pm `windows_version`).
fn default_format(differ: &Differ<'_>) -> &'static str {
    let ostype = differ.wanted.spec.text("ostype").or(differ.stored("ostype"));
    if ostype.is_some_and(|ostype| ostype.starts_with('w')) { "configdrive2" } else { "nocloud" }
}

fn text(differ: &mut Differ<'_>, path: &str, key: &str, wanted: Option<&str>) {
    match wanted {
        Some(value) => differ.value(path, key, value, None),
        None if differ.is_dropped(path) => differ.reset(path, key),
        None => {}
    }
}

fn addresses(differ: &mut Differ<'_>) {
    let wanted = &differ.wanted.spec.cloudinit.ipconfig;
    for (index, config) in wanted {
        address(differ, &format!("ipconfig{index}"), config);
    }
    let gone = |path: &&str| !path.contains('.') && differ.is_dropped(path);
    let dropped: Vec<&str> = differ.managed_before("ipconfig").filter(gone).collect();
    for path in dropped {
        differ.reset(path, path);
    }
}

/// Address and gateway of one family belong together; the other family is a matter of its own,
/// and stays as it is when documents say nothing of it.
fn address(differ: &mut Differ<'_>, key: &str, wanted: &desired::IpConfig) {
    let stored = differ.stored(key).and_then(|text| IpConfig::parse(text).ok()).unwrap_or_default();
    let v4 = [("ip", wanted.ip.as_deref()), ("gw", wanted.gw.as_deref())];
    let v6 = [("ip6", wanted.ip6.as_deref()), ("gw6", wanted.gw6.as_deref())];
    let mut value = IpConfig::default();
    for family in [v4, v6] {
        let path = format!("{key}.{}", family[0].0);
        let said = family.iter().any(|(_, part)| part.is_some());
        if said {
            differ.manage(&path);
        }
        // Proxmox refuses a gateway alone, and gives a guest with DHCP and a gateway no network at
        // all (qemu-server, parse_ipconfig).
        let fixed = family[0].1.is_some_and(|address| address.contains('/'));
        if family[1].1.is_some() && !fixed {
            let text = format!("{key}: a gateway needs an address with its prefix beside it");
            let finding =
                Finding::error("ipconfig", text).help("write it without commas, or take it out");
            differ.finding(finding.help(format!(
                "give {} as ADDRESS/PREFIX, or leave the gateway away",
                family[0].0
            )));
        }
        let kept = !said && !differ.is_dropped(&path);
        for (name, part) in family {
            let part = if kept { stored.properties().get(name) } else { part };
            if let Some(part) = part
                && value.set(name, part).is_err()
            {
                let text = format!("{key}: '{part}' cannot be its {name}");
                differ.finding(Finding::error("ipconfig", text));
            }
        }
    }
    match value.to_string().as_str() {
        "" => differ.reset(key, key),
        text => differ.value(key, key, text, None),
    }
}

/// Adds a drive where the guest has none. With OVMF it must not sit on IDE, so it
/// takes `scsi1` there and `ide2`, Proxmox's own habit, elsewhere.
fn drive(differ: &mut Differ<'_>) {
    differ.manage("cloudinit.drive");
    if disk::volumes(differ.live).iter().any(|volume| volume.cloudinit) {
        return;
    }
    let spec = differ.wanted.spec;
    let home = disk::boot_disk(differ.live);
    let beside = home.and_then(|slot| {
        disk::volumes(differ.live).into_iter().find(|v| v.slot == slot).map(|v| v.storage)
    });
    let Some(storage) = spec.storage.clone().or(beside) else {
        let text = "the guest wants a cloud-init drive and no storage is given for it";
        differ.finding(Finding::error("cloudinit-storage", text).help("give `storage`"));
        return;
    };
    let ovmf = spec.text("bios").or(differ.stored("bios")) == Some("ovmf");
    let said = |slot: &str| spec.disks.contains_key(slot) || spec.cdroms.contains_key(slot);
    let free = |slot: &&str| !differ.live.config.contains_key(*slot) && !said(slot);
    let slots = if ovmf { ["scsi1", "scsi2", "sata5"] } else { ["ide2", "scsi1", "sata5"] };
    let Some(slot) = slots.into_iter().find(free) else {
        let text = format!("no slot is free for a cloud-init drive ({})", slots.join(", "));
        differ.finding(Finding::error("cloudinit-slot", text).help("free one of them"));
        return;
    };
    let what = format!("cloud-init drive on {storage}");
    differ.attribute(slot, None, Some(&what), Effect::Live);
    differ.set(slot, &format!("{storage}:cloudinit"));
    differ.allocates_on(&storage);
}
