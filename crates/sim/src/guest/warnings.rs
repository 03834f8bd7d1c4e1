//! What a start warns of (`log_warn` in `config_to_command` and around it). The guest runs, and the
//! task ends with `WARNINGS: n`.

use super::drive::drives;
use super::property::{Values, parse};
use super::{formats, keys};
use crate::world::guest::Guest;

/// The version of QEMU that machine types are counted from.
const QEMU: (u32, u32) = (10, 2);
/// Major versions after which QEMU calls a machine type deprecated.
const DEPRECATED: u32 = 3;

/// The lines that a start prints, the warnings with `WARN: ` before them.
pub(crate) fn warnings(guest: &Guest) -> Vec<String> {
    let mut lines = firmware(guest);
    for warning in drives_ignored(guest).into_iter().chain(cards(guest)).chain(machine(guest)) {
        lines.push(format!("WARN: {warning}"));
    }
    lines
}

/// `check_efi_vars`, and `PVE::QemuServer::OVMF`.
fn firmware(guest: &Guest) -> Vec<String> {
    if guest.get("bios") != Some("ovmf") {
        return Vec::new();
    }
    let Some(disk) = guest.get("efidisk0").map(|value| Values::parse(value, "file")) else {
        return vec!["WARN: no efidisk configured! Using temporary efivars disk.".to_owned()];
    };
    if !disk.flag("pre-enrolled-keys") || disk.get("ms-cert") == Some("2023k") {
        return Vec::new();
    }
    [
        "WARN: EFI disk without 'ms-cert=2023k' option, suggesting that not all UEFI 2023",
        "certificates from Microsoft are enrolled yet.",
    ]
    .map(str::to_owned)
    .into()
}

/// I/O threads need a controller per disk; the node has no CD-ROM drive, which is said once.
fn drives_ignored(guest: &Guest) -> Vec<String> {
    let single = guest.get("scsihw") == Some("virtio-scsi-single");
    let all = drives(guest);
    let threads = all.iter().filter(|(key, drive)| {
        !single && keys::is_numbered(key, "scsi") && drive.values.flag("iothread")
    });
    let ignored =
        "iothread is only valid with virtio disk or virtio-scsi-single controller, ignoring";
    let mut found: Vec<String> = threads.map(|_| ignored.to_owned()).collect();
    if all.iter().any(|(_, drive)| drive.is_cdrom() && drive.file() == "cdrom") {
        found.push("no physical CD-ROM available, ignoring".to_owned());
    }
    found
}

/// Only virtio cards on a bridge have an MTU.
fn cards(guest: &Guest) -> Vec<String> {
    let all = guest.config.iter().filter(|(key, _)| keys::is_numbered(key, "net"));
    let ignored = |(key, value): (&String, &String)| {
        let card = parse(formats::NET, value).unwrap_or_default();
        let mtu = card.get("mtu")?;
        let why = match (card.get("bridge"), card.get("model")) {
            (None, _) => "no bridge configured",
            (_, Some("virtio")) => return None,
            _ => "not using VirtIO",
        };
        Some(format!("netdev {key}: ignoring MTU '{mtu}', {why}"))
    };
    all.filter_map(ignored).collect()
}

/// What QEMU calls deprecated (`query-machines`).
fn machine(guest: &Guest) -> Option<String> {
    let values = parse(formats::MACHINE, guest.get("machine")?).unwrap_or_default();
    let kind = values.get("type")?;
    let (_, version) = kind.rsplit_once('-')?;
    let (major, minor) = version.split('+').next()?.split_once('.')?;
    let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    let age = QEMU.0.saturating_sub(major);
    let old = age > DEPRECATED || (age == DEPRECATED && QEMU.1 > minor);
    old.then(|| {
        format!(
            "current machine version '{kind}' is deprecated - see the documentation and change to a newer one"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_or_old() {
        for (config, count) in [
            (&[("scsi0", "s:1/vm-1-disk-0.raw,iothread=1")][..], 1),
            (&[("scsi0", "s:1/a.raw,iothread=1"), ("scsi1", "s:1/b.raw,iothread=1")], 2),
            (&[("scsi0", "s:1/a.raw,iothread=1"), ("scsihw", "virtio-scsi-single")], 0),
            (&[("virtio0", "s:1/a.raw,iothread=1")], 0),
            (&[("bios", "ovmf")], 1),
            (&[("bios", "ovmf"), ("efidisk0", "s:1/a.raw,efitype=4m")], 0),
            (&[("bios", "ovmf"), ("efidisk0", "s:1/a.raw,pre-enrolled-keys=1")], 1),
            (&[("bios", "ovmf"), ("efidisk0", "s:1/a.raw,ms-cert=2023k,pre-enrolled-keys=1")], 0),
            (&[("efidisk0", "s:1/a.raw,pre-enrolled-keys=1")], 0),
            (&[("ide2", "cdrom,media=cdrom"), ("ide3", "cdrom,media=cdrom")], 1),
            (&[("ide2", "none,media=cdrom")], 0),
            (&[("net0", "e1000=BC:24:11:00:00:01,bridge=vmbr0,mtu=1400")], 1),
            (&[("net0", "virtio=BC:24:11:00:00:01,mtu=1400")], 1),
            (&[("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,mtu=1400")], 0),
            (&[("machine", "pc-i440fx-7.1")], 1),
            (&[("machine", "pc-q35-6.2+pve0")], 1),
            (&[("machine", "pc-q35-7.2")], 0),
            (&[("machine", "q35")], 0),
        ] {
            let lines = warnings(&Guest::new(1, "pve1", config));
            let found = lines.iter().filter(|line| line.starts_with("WARN: ")).count();
            assert_eq!(found, count, "{config:?}: {lines:?}");
        }
    }
}
