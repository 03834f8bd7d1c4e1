//! Every volume that a configuration names, its snapshots and pending changes included, and how
//! (`foreach_volid` of `PVE::QemuServer`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::drive::{Drive, drive_order};
use super::keys;
use crate::world::guest::{Guest, Section};

/// How a volume is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// Only ever as a CD-ROM; cloud-init drives are such.
    pub(crate) cdrom: bool,
    pub(crate) cloudinit: bool,
    pub(crate) unused: bool,
    /// By a drive of the configuration itself.
    pub(crate) attached: bool,
    pub(crate) pending: bool,
    /// The snapshots that name it.
    pub(crate) snapshots: BTreeSet<String>,
    /// It holds RAM.
    pub(crate) state: bool,
    pub(crate) tpm: bool,
    /// Marked as shared by hand.
    pub(crate) shared: bool,
    pub(crate) replicate: bool,
    /// Bytes, as the first that names it says.
    pub(crate) size: Option<u64>,
    pub(crate) drive: Option<String>,
}

impl Named {
    /// As `migrate` tells of local disks.
    pub(crate) fn json(&self, volid: &str) -> Value {
        let flag = u8::from;
        let mut out = json!({
            "volid": volid, "cdrom": flag(self.cdrom), "is_cloudinit": flag(self.cloudinit),
            "is_unused": flag(self.unused), "is_attached": flag(self.attached),
            "is_vmstate": flag(self.state), "is_tpmstate": flag(self.tpm),
            "replicate": flag(self.replicate), "shared": flag(self.shared),
        });
        let Some(members) = out.as_object_mut() else { return out };
        members.extend(self.size.map(|size| ("size".to_owned(), json!(size))));
        members.extend(self.drive.as_ref().map(|key| ("drivename".to_owned(), json!(key))));
        if self.pending {
            members.insert("referenced_in_pending".to_owned(), json!(1));
        }
        if !self.snapshots.is_empty() {
            let names = self.snapshots.iter().map(|name| (name.clone(), json!(1)));
            let names = Value::Object(names.collect::<Map<_, _>>());
            members.insert("referenced_in_snapshot".to_owned(), names);
        }
        out
    }
}

/// Volumes (and `none`, `cdrom`, paths) by name.
pub(crate) fn named(guest: &Guest) -> BTreeMap<String, Named> {
    let mut all = BTreeMap::new();
    walk(&mut all, &guest.config, None, false);
    walk(&mut all, &guest.pending, None, true);
    for (name, section) in &guest.snapshots {
        walk(&mut all, section, Some(name), false);
    }
    all
}

fn walk(
    all: &mut BTreeMap<String, Named>,
    section: &Section,
    snapshot: Option<&str>,
    pending: bool,
) {
    let names =
        |key: &str| keys::is_drive(key) || keys::is_numbered(key, "unused") || key == "vmstate";
    let mut found: Vec<(&String, &String)> = section.iter().filter(|(key, _)| names(key)).collect();
    found.sort_by_key(|(key, _)| drive_order(key));
    for (key, value) in found {
        let drive = Drive::parse(value);
        if drive.file().is_empty() {
            continue;
        }
        let unused = keys::is_numbered(key, "unused");
        let first = Named { cdrom: true, ..Named::default() };
        let entry = all.entry(drive.file().to_owned()).or_insert(first);
        entry.cdrom &= drive.is_cdrom();
        entry.cloudinit |= drive.is_cloudinit();
        entry.unused |= unused;
        entry.attached |= !entry.unused && snapshot.is_none() && !pending;
        entry.pending |= pending;
        entry.snapshots.extend(snapshot.map(str::to_owned));
        entry.state |= key == "vmstate";
        entry.tpm |= key == "tpmstate0";
        entry.shared |= drive.values.flag("shared");
        entry.replicate |=
            drive.values.get("replicate").is_none() || drive.values.flag("replicate");
        entry.size = entry.size.or(drive.size());
        if keys::is_drive(key) {
            entry.drive = Some(key.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_volumes_are_named() {
        let mut guest = Guest::new(
            1,
            "a",
            &[
                ("scsi0", "d:1/vm-1-disk-0.qcow2,size=1G"),
                ("ide2", "l:iso/x.iso,media=cdrom"),
                ("unused0", "d:1/vm-1-disk-1.raw"),
            ],
        );
        guest.pending.insert("scsi1".into(), "d:1/vm-1-disk-2.raw".into());
        let section =
            [("scsi0", "d:1/vm-1-disk-0.qcow2,size=1G"), ("vmstate", "d:1/vm-1-state-s.raw")];
        let section = section.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        guest.snapshots.insert("s".into(), section);
        let all = named(&guest);
        assert_eq!(all.len(), 5);
        let disk = &all["d:1/vm-1-disk-0.qcow2"];
        assert!(disk.attached && disk.snapshots.contains("s") && !disk.cdrom);
        assert_eq!((disk.size, disk.drive.as_deref()), (Some(1 << 30), Some("scsi0")));
        assert!(all["l:iso/x.iso"].cdrom && all["d:1/vm-1-disk-1.raw"].unused);
        let waits = &all["d:1/vm-1-disk-2.raw"];
        assert!(waits.pending && !waits.attached);
        let state = &all["d:1/vm-1-state-s.raw"];
        assert!(state.state && !state.attached);
        assert_eq!(disk.json("x")["referenced_in_snapshot"], json!({ "s": 1 }));
    }
}
