//! Removing volumes (`vdisk_free` and `free_image` of the plugins).

use super::{activate::active, path, volname};
use crate::world::World;
use crate::world::storage::{StorageKind, Volume};
use crate::world::volumes::split_volid;

/// Removes a volume; the answer is what is warned of.
pub(crate) fn free(world: &mut World, node: &str, volid: &str) -> Result<Vec<String>, String> {
    let Some((id, name)) = split_volid(volid) else {
        return Err(format!("unable to parse volume ID '{volid}'"));
    };
    let storage = active(world, id, node)?;
    let parsed = volname::parse(storage.kind, name)?;
    let found = world.volume(node, volid);
    // The check reads the base from the names of clones: thin volumes name none.
    let named = storage.kind != StorageKind::LvmThin;
    if parsed.is_base && named && !world.clones_of(node, volid).is_empty() {
        return Err(format!("base volume '{name}' is still in use by linked clones"));
    }
    if found.is_some_and(|volume| volume.protected) {
        return Err(format!("cannot remove protected volume '{name}' on '{id}'"));
    }
    if found.is_none() {
        let files = storage.kind.has_files();
        let path = path::path(storage, name)?.0;
        return match storage.kind {
            StorageKind::Rbd => Err(format!(
                "rbd error: error opening image {}: (2) No such file or directory",
                parsed.name
            )),
            _ if files => Ok(vec![format!("disk image '{path}' does not exist")]),
            _ => Ok(Vec::new()),
        };
    }
    world.remove_volume(node, volid);
    Ok(Vec::new())
}

impl World {
    /// Removes a volume as the storage layer does: refused while linked clones need it, or while
    /// it is protected. A file that is not there is no error; the answer holds the warnings.
    ///
    /// # Errors
    /// The text of the real server's error.
    pub fn free_volume(&mut self, node: &str, volid: &str) -> Result<Vec<String>, String> {
        free(self, node, volid)
    }

    /// Where a volume is on a node: a file, a device, or what QEMU calls it.
    ///
    /// # Errors
    /// The storage does not exist, or the name is none of its type.
    pub fn path_of(&self, volid: &str) -> Result<String, String> {
        let Some((id, name)) = split_volid(volid) else {
            return Err(format!("unable to parse volume ID '{volid}'"));
        };
        path::path(super::activate::find(self, id)?, name).map(|(path, _)| path)
    }

    /// Writes a file at an absolute path of a node, when a storage's folder holds the path and the
    /// storage is there: `/var/lib/vz/snippets/user.yaml` becomes `local:snippets/user.yaml`. What
    /// images hold is not kept, only their size and header; text of snippets is. The answer is the
    /// volume id, none when the path is no volume.
    pub fn write_file(&mut self, node: &str, path: &str, bytes: &[u8], now: i64) -> Option<String> {
        let volid = self.volid_of_path(path)?;
        let (id, name) = split_volid(&volid)?;
        let storage = active(self, id, node).ok()?;
        let parsed = volname::parse(storage.kind, name).ok()?;
        let mut probe = super::probe::Probe::default();
        probe.feed(bytes);
        let mut volume = probe.volume(parsed.content, &parsed.name, now);
        volume.vmid = parsed.vmid;
        volume.bootable = self.known_bootable(&volume);
        if parsed.content == "snippets" {
            volume.text = Some(String::from_utf8_lossy(bytes).into_owned());
        }
        self.add_volume(node, &volid, volume);
        Some(volid)
    }

    /// The text of the file at an absolute path of a node, when it is a snippet.
    #[must_use]
    pub fn read_file(&self, node: &str, path: &str) -> Option<String> {
        self.volume(node, &self.volid_of_path(path)?)?.text.clone()
    }

    /// Removes the file at an absolute path of a node; false when there is none.
    pub fn remove_file(&mut self, node: &str, path: &str) -> bool {
        let Some(volid) = self.volid_of_path(path) else { return false };
        self.remove_volume(node, &volid).is_some()
    }

    /// The volume at an absolute path of a node.
    #[must_use]
    pub fn volume_at(&self, node: &str, path: &str) -> Option<&Volume> {
        self.volume(node, &self.volid_of_path(path)?)
    }

    /// The names in a storage's folder on a node (`/var/lib/vz/snippets`), none when the folder is
    /// no storage's.
    #[must_use]
    pub fn list_folder(&self, node: &str, folder: &str) -> Option<Vec<String>> {
        let wanted = folder.trim_end_matches('/');
        for storage in self.storages.values().filter(|storage| storage.on_node(node)) {
            for content in ["iso", "vztmpl", "backup", "snippets", "import"] {
                if path::folder(storage, content).is_none_or(|own| own != wanted) {
                    continue;
                }
                let prefix = format!("{content}/");
                let names = self.volumes_on(&storage.id, node);
                let names = names.filter_map(|(name, _)| name.strip_prefix(&prefix));
                return Some(names.map(str::to_owned).collect());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_and_go_by_path() {
        let mut world = World::truth();
        let path = "/var/lib/vz/snippets/user.yaml";
        let volid = world.write_file("pve1", path, b"#cloud-config\n", 5_000);
        assert_eq!(volid.as_deref(), Some("local:snippets/user.yaml"));
        assert_eq!(world.read_file("pve1", path).as_deref(), Some("#cloud-config\n"));
        assert_eq!(world.read_file("pve2", path), None, "local is of one node");
        assert_eq!(
            world.list_folder("pve1", "/var/lib/vz/snippets/"),
            Some(vec!["user.yaml".to_owned()])
        );
        assert_eq!(world.write_file("pve1", "/tmp/x", b"", 0), None);
        assert!(world.remove_file("pve1", path) && !world.remove_file("pve1", path));
    }

    #[test]
    fn what_is_not_removed() {
        let mut world = World::lab();
        let volid = "shared:100/base-100-disk-0.raw";
        let child = Volume {
            content: "images".into(),
            vmid: Some(200),
            parent: Some("100/base-100-disk-0.raw".into()),
            ..Volume::default()
        };
        world.add_volume("pve1", "shared:200/vm-200-disk-0.qcow2", child);
        assert_eq!(
            free(&mut world, "pve1", volid).unwrap_err(),
            "base volume '100/base-100-disk-0.raw' is still in use by linked clones"
        );
        free(&mut world, "pve1", "shared:200/vm-200-disk-0.qcow2").unwrap();
        assert_eq!(free(&mut world, "pve1", volid), Ok(Vec::new()));
        assert_eq!(
            free(&mut world, "pve1", "local:iso/no.iso").unwrap(),
            ["disk image '/var/lib/vz/template/iso/no.iso' does not exist"]
        );
    }
}
