//! Snapshots of volumes: which storage can do what, and what becomes of a volume
//! (`volume_has_feature`, `volume_snapshot` and their like in the plugins of pve-storage).

use super::World;
use super::storage::{Storage, StorageKind, VolumeSnapshot};
use super::volumes::{own_name, split_volid};
use crate::guest::allocate::{path_of, storage_of};

/// What can be asked of a volume, or of a snapshot of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    /// Another snapshot.
    Snapshot,
    /// A linked clone.
    Clone,
    /// A full copy.
    Copy,
}

/// What an operation on a volume printed, and whether it went well.
pub(crate) type Outcome = (Vec<String>, Result<(), String>);

/// The last part of a volume's name: `vm-100-disk-0.qcow2`.
fn file_name(volid: &str) -> &str {
    let own = split_volid(volid).map_or(volid, |(_, name)| own_name(name));
    own.rsplit('/').next().unwrap_or(own)
}

/// Snapshots of this storage are files that stand on each other.
pub(crate) fn is_chain(storage: &Storage) -> bool {
    storage.options.get("snapshot-as-volume-chain").is_some_and(|value| value == "1")
}

/// `base` and `current` name what a volume is when it is not a snapshot of it that is asked for.
fn plugin_has(kind: StorageKind, feature: Feature, file: &str, snapshot: bool) -> bool {
    let base = file.starts_with("base-");
    let current = !snapshot && !base;
    if kind.has_files() {
        let qcow2 = file.ends_with(".qcow2");
        return match feature {
            Feature::Snapshot => qcow2 && (snapshot || current),
            Feature::Clone => !snapshot && base,
            Feature::Copy => !snapshot || qcow2,
        };
    }
    match (kind, feature) {
        (StorageKind::LvmThin, Feature::Snapshot) => current,
        (StorageKind::LvmThin | StorageKind::Rbd, Feature::Clone) => snapshot || base,
        (StorageKind::LvmThin | StorageKind::Rbd, Feature::Copy) => true,
        (StorageKind::ZfsPool | StorageKind::Rbd, Feature::Snapshot) => snapshot || current,
        (StorageKind::ZfsPool, Feature::Clone) => !snapshot && base,
        // Of a snapshot there is no copy.
        (StorageKind::ZfsPool, Feature::Copy) => !snapshot,
        _ => feature == Feature::Copy && !snapshot,
    }
}

impl World {
    /// `PVE::Storage::volume_has_feature`; `snapshot` asks about a snapshot of the volume.
    ///
    /// # Errors
    /// The storage is unknown.
    pub(crate) fn volume_has_feature(
        &self,
        feature: Feature,
        volid: &str,
        snapshot: bool,
    ) -> Result<bool, String> {
        let Some((storage, _)) = split_volid(volid) else { return Ok(false) };
        let kind = storage_of(self, storage)?.kind;
        Ok(plugin_has(kind, feature, file_name(volid), snapshot))
    }

    fn kind_of(&self, volid: &str) -> StorageKind {
        let storage = split_volid(volid).and_then(|(storage, _)| self.storages.get(storage));
        storage.map_or(StorageKind::Dir, |storage| storage.kind)
    }

    /// The volume group of a logical volume.
    fn group(&self, volid: &str) -> String {
        let storage = split_volid(volid).and_then(|(storage, _)| self.storages.get(storage));
        let group = storage.and_then(|storage| storage.options.get("vgname").cloned());
        group.unwrap_or_else(|| "pve".to_owned())
    }

    /// A failed `qemu-img snapshot`.
    fn image_tool(&self, flag: &str, volid: &str, name: &str, why: &str) -> Outcome {
        let path = path_of(self, volid);
        let why = if why.is_empty() {
            format!("Could not open '{path}': Could not open '{path}': No such file or directory")
        } else {
            why.to_owned()
        };
        let command = format!("/usr/bin/qemu-img snapshot {flag} {name} {path}");
        (vec![format!("qemu-img: {why}")], Err(format!("command '{command}' failed: exit code 1")))
    }

    /// Takes a snapshot of a volume.
    pub(crate) fn snapshot_volume(&mut self, node: &str, volid: &str, name: &str) -> Outcome {
        let (kind, file) = (self.kind_of(volid), file_name(volid).to_owned());
        let group = self.group(volid);
        let Some(volume) = self.volume_mut(node, volid) else {
            return match kind {
                StorageKind::LvmThin => {
                    let text = format!("lvcreate snapshot '{group}/snap_{file}_{name}' error: ");
                    (Vec::new(), Err(text + &missing_volume(&group, &file)))
                }
                StorageKind::ZfsPool => (Vec::new(), Err(missing_dataset(&file))),
                StorageKind::Rbd => (Vec::new(), Err(missing_image("snapshot", &file))),
                _ => self.image_tool("-c", volid, name, ""),
            };
        };
        let (size, used, bootable) = (volume.size, volume.used, volume.bootable);
        volume.snapshots.retain(|snapshot| snapshot.name != name);
        volume.snapshots.push(VolumeSnapshot { name: name.to_owned(), size, used, bootable });
        let lines = match kind {
            StorageKind::LvmThin => {
                vec![format!("  Logical volume \"snap_{file}_{name}\" created.")]
            }
            StorageKind::Rbd => vec!["Creating snap: 100% complete...done.".to_owned()],
            _ => Vec::new(),
        };
        (lines, Ok(()))
    }

    /// `volume_rollback_is_possible`: ZFS and chains of files go back to the newest snapshot only.
    pub(crate) fn rollback_is_possible(
        &self,
        node: &str,
        volid: &str,
        name: &str,
    ) -> Result<(), String> {
        let Some((id, volname)) = split_volid(volid) else {
            return Err(format!("unable to parse volume ID '{volid}'"));
        };
        let storage = storage_of(self, id)?;
        let shown = match storage.kind {
            StorageKind::ZfsPool => volid,
            kind if kind.has_files() && is_chain(storage) => volname,
            _ => return Ok(()),
        };
        let all = self.volume(node, volid).map_or(&[][..], |volume| &volume.snapshots);
        match all.iter().position(|snapshot| snapshot.name == name) {
            None => Err(format!("can't rollback, snapshot '{name}' does not exist on '{shown}'")),
            Some(at) if at + 1 < all.len() => {
                Err(format!("can't rollback, '{name}' is not most recent snapshot on '{shown}'"))
            }
            Some(_) => Ok(()),
        }
    }

    /// Makes a volume what it was.
    pub(crate) fn rollback_volume(&mut self, node: &str, volid: &str, name: &str) -> Outcome {
        if let Err(error) = self.rollback_is_possible(node, volid, name) {
            return (Vec::new(), Err(error));
        }
        let (kind, file) = (self.kind_of(volid), file_name(volid).to_owned());
        let group = self.group(volid);
        let volume = self.volume_mut(node, volid);
        let there = volume.is_some();
        let found = volume.and_then(|volume| {
            let mut all = volume.snapshots.iter();
            let found = all.find(|snapshot| snapshot.name == name).cloned()?;
            volume.size = found.size;
            volume.bootable = found.bootable;
            // A file does not shrink.
            volume.used = if kind.has_files() { volume.used } else { found.used };
            Some(found)
        });
        match (kind, found.is_some()) {
            (StorageKind::LvmThin, true) => {
                let removed = format!("  Logical volume \"{file}\" successfully removed.");
                (vec![removed, format!("  Logical volume \"{file}\" created.")], Ok(()))
            }
            (StorageKind::Rbd, true) => {
                (vec!["Rolling back to snapshot: 100% complete...done.".to_owned()], Ok(()))
            }
            (_, true) => (Vec::new(), Ok(())),
            (StorageKind::LvmThin, false) => {
                let snapshot = format!("snap_{file}_{name}");
                let text = format!("lvm rollback '{group}/{snapshot}' error: ");
                (Vec::new(), Err(text + &missing_volume(&group, &snapshot)))
            }
            (StorageKind::Rbd, false) => (Vec::new(), Err(missing_image("snapshot", &file))),
            (_, false) => {
                let why = format!("Could not apply snapshot '{name}': snapshot not found");
                self.image_tool("-a", volid, name, if there { &why } else { "" })
            }
        }
    }

    /// Drops a snapshot of a volume.
    pub(crate) fn delete_volume_snapshot(
        &mut self,
        node: &str,
        volid: &str,
        name: &str,
    ) -> Outcome {
        let (kind, file) = (self.kind_of(volid), file_name(volid).to_owned());
        let group = self.group(volid);
        let volume = self.volume_mut(node, volid);
        let there = volume.is_some();
        let dropped = volume.is_some_and(|volume| {
            let before = volume.snapshots.len();
            volume.snapshots.retain(|snapshot| snapshot.name != name);
            volume.snapshots.len() < before
        });
        let snapshot = format!("snap_{file}_{name}");
        match (kind, dropped) {
            (StorageKind::LvmThin, true) => {
                (vec![format!("  Logical volume \"{snapshot}\" successfully removed.")], Ok(()))
            }
            (StorageKind::Rbd, true) => {
                (vec!["Removing snap: 100% complete...done.".to_owned()], Ok(()))
            }
            (_, true) => (Vec::new(), Ok(())),
            (StorageKind::LvmThin, false) => {
                let text = format!("lvremove snapshot '{group}/{snapshot}' error: ");
                (Vec::new(), Err(text + &missing_volume(&group, &snapshot)))
            }
            (StorageKind::Rbd, false) => (Vec::new(), Err(missing_image("snapshot", &file))),
            (StorageKind::ZfsPool, false) => (
                Vec::new(),
                Err("zfs error: could not find any snapshots to destroy; check snapshot names."
                    .to_owned()),
            ),
            (_, false) => {
                let why = format!("Could not delete snapshot '{name}': snapshot not found");
                self.image_tool("-d", volid, name, if there { &why } else { "" })
            }
        }
    }
}

fn missing_volume(group: &str, name: &str) -> String {
    format!("  Failed to find logical volume \"{group}/{name}\"")
}

fn missing_dataset(name: &str) -> String {
    format!("zfs error: cannot open '{name}': dataset does not exist")
}

fn missing_image(what: &str, name: &str) -> String {
    format!(
        "rbd {what} '{name}' error: rbd: error opening image {name}: (2) No such file or directory"
    )
}

#[cfg(test)]
mod tests {
    use super::super::storage::Volume;
    use super::*;

    #[test]
    fn features_by_plugin_and_format() {
        use Feature::{Clone, Copy, Snapshot};
        use StorageKind::{Dir, LvmThin, Nfs, Rbd, ZfsPool};
        // Plugin, file, then for each feature: of the volume, of a snapshot of it.
        let table = [
            (Dir, "vm-1-disk-0.qcow2", [(true, true), (false, false), (true, true)]),
            (Nfs, "vm-1-disk-0.raw", [(false, false), (false, false), (true, false)]),
            (Dir, "base-1-disk-0.qcow2", [(false, true), (true, false), (true, true)]),
            (LvmThin, "vm-1-disk-0", [(true, false), (false, true), (true, true)]),
            (LvmThin, "base-1-disk-0", [(false, false), (true, true), (true, true)]),
            (ZfsPool, "vm-1-disk-0", [(true, true), (false, false), (true, false)]),
            (Rbd, "vm-1-disk-0", [(true, true), (false, true), (true, true)]),
        ];
        for (kind, file, expected) in table {
            for (feature, (volume, snapshot)) in [Snapshot, Clone, Copy].into_iter().zip(expected) {
                assert_eq!(plugin_has(kind, feature, file, false), volume, "{file} {feature:?}");
                assert_eq!(plugin_has(kind, feature, file, true), snapshot, "{file} {feature:?}");
            }
        }
    }

    #[test]
    fn zfs_and_chains_go_back_to_the_newest_only() {
        let mut world = World::empty("x");
        let images = ["images"];
        world.add_storage(Storage::new("zfs", StorageKind::ZfsPool, false, &images, 1 << 40));
        let mut chain = Storage::new("chain", StorageKind::Dir, false, &images, 1 << 40);
        chain.options.insert("snapshot-as-volume-chain".into(), "1".into());
        world.add_storage(chain);
        world.add_storage(Storage::new("dir", StorageKind::Dir, false, &images, 1 << 40));
        for (volid, shown) in [
            ("zfs:vm-1-disk-0", Some("zfs:vm-1-disk-0")),
            ("chain:1/vm-1-disk-0.qcow2", Some("1/vm-1-disk-0.qcow2")),
            ("dir:1/vm-1-disk-0.qcow2", None),
        ] {
            world.add_volume("a", volid, Volume { size: 1 << 30, ..Volume::default() });
            for name in ["one", "two"] {
                assert_eq!(world.snapshot_volume("a", volid, name).1, Ok(()));
            }
            let Some(shown) = shown else {
                assert_eq!(world.rollback_volume("a", volid, "one").1, Ok(()));
                continue;
            };
            let expected =
                format!("can't rollback, 'one' is not most recent snapshot on '{shown}'");
            assert_eq!(world.rollback_volume("a", volid, "one").1, Err(expected));
            let expected = format!("can't rollback, snapshot 'no' does not exist on '{shown}'");
            assert_eq!(world.rollback_is_possible("a", volid, "no"), Err(expected));
            assert_eq!(world.delete_volume_snapshot("a", volid, "two").1, Ok(()));
            assert_eq!(world.rollback_volume("a", volid, "one").1, Ok(()));
        }
    }

    #[test]
    fn a_volume_becomes_what_it_was() {
        let mut world = World::truth();
        let volid = "shared:1/vm-1-disk-0.qcow2";
        let error = world.snapshot_volume("pve1", volid, "a").1.unwrap_err();
        let path = "/mnt/shared/images/1/vm-1-disk-0.qcow2";
        let command = format!("/usr/bin/qemu-img snapshot -c a {path}");
        assert_eq!(error, format!("command '{command}' failed: exit code 1"));
        let volume = Volume { size: 1 << 30, bootable: true, ..Volume::default() };
        world.add_volume("pve1", volid, volume);
        assert_eq!(world.snapshot_volume("pve1", volid, "a"), (Vec::new(), Ok(())));
        let changed = world.volume_mut("pve1", volid).unwrap();
        (changed.size, changed.bootable) = (2 << 30, false);
        assert_eq!(world.rollback_volume("pve1", volid, "a"), (Vec::new(), Ok(())));
        let volume = world.volume("pve1", volid).unwrap();
        assert_eq!((volume.size, volume.bootable), (1 << 30, true));
        assert!(world.rollback_volume("pve1", volid, "b").1.is_err());
        assert_eq!(world.delete_volume_snapshot("pve1", volid, "a").1, Ok(()));
        assert!(world.delete_volume_snapshot("pve1", volid, "a").1.is_err());
    }
}
