//! Volumes of a world: names, places, sizes, space.

use super::World;
use super::storage::{Storage, Volume};

/// `STORAGE:VOLNAME` taken apart.
pub(crate) fn split_volid(volid: &str) -> Option<(&str, &str)> {
    let (storage, volume) = volid.split_once(':')?;
    (!storage.is_empty() && !volume.is_empty()).then_some((storage, volume))
}

/// The name of the volume itself: without the base that a linked clone's name starts with
/// (`4020/base-4020-disk-0.raw/4021/vm-4021-disk-0.qcow2`).
pub(crate) fn own_name(volname: &str) -> &str {
    let slashes: Vec<usize> = volname.match_indices('/').map(|(at, _)| at).collect();
    match slashes.as_slice() {
        [_, second, _] => volname.get(second + 1..).unwrap_or(volname),
        [only] if volname.starts_with("base-") => volname.get(only + 1..).unwrap_or(volname),
        _ => volname,
    }
}

/// The base in the name of a linked clone.
pub(crate) fn base_name(volname: &str) -> Option<&str> {
    let own = own_name(volname);
    volname.strip_suffix(own)?.strip_suffix('/')
}

impl World {
    /// The key of a storage's content as seen from a node.
    pub(crate) fn place(storage: &Storage, node: &str) -> String {
        if storage.shared { storage.id.clone() } else { format!("{}@{node}", storage.id) }
    }

    /// A volume by its id, as a guest on `node` would name it.
    #[must_use]
    pub fn volume(&self, node: &str, volid: &str) -> Option<&Volume> {
        let (storage, volname) = split_volid(volid)?;
        let place = Self::place(self.storages.get(storage)?, node);
        self.volumes.get(&place)?.get(own_name(volname))
    }

    /// The volumes of a storage as seen from `node`, by volume name.
    pub fn volumes_on<'a>(
        &'a self,
        storage: &str,
        node: &str,
    ) -> impl Iterator<Item = (&'a str, &'a Volume)> + use<'a> {
        let place = self.storages.get(storage).map(|storage| Self::place(storage, node));
        let found = place.and_then(|place| self.volumes.get(&place));
        found.into_iter().flatten().map(|(name, volume)| (name.as_str(), volume))
    }

    /// Adds a volume. False when the storage does not exist or the id has no volume name.
    pub fn add_volume(&mut self, node: &str, volid: &str, volume: Volume) -> bool {
        let Some((storage, volname)) = split_volid(volid) else { return false };
        let Some(storage) = self.storages.get(storage) else { return false };
        let place = Self::place(storage, node);
        self.volumes.entry(place).or_default().insert(own_name(volname).to_owned(), volume);
        true
    }

    /// Changes a volume; none when it does not exist.
    pub(crate) fn volume_mut(&mut self, node: &str, volid: &str) -> Option<&mut Volume> {
        let (storage, volname) = split_volid(volid)?;
        let place = Self::place(self.storages.get(storage)?, node);
        self.volumes.get_mut(&place)?.get_mut(own_name(volname))
    }

    /// Takes a volume away.
    pub(crate) fn remove_volume(&mut self, node: &str, volid: &str) -> Option<Volume> {
        let (storage, volname) = split_volid(volid)?;
        let place = Self::place(self.storages.get(storage)?, node);
        self.volumes.get_mut(&place)?.remove(own_name(volname))
    }

    /// Bytes taken on a storage as seen from `node`, by volumes and by what is reserved.
    pub(crate) fn used(&self, storage: &str, node: &str) -> u64 {
        let found = self.storages.get(storage);
        let place = found.map(|storage| Self::place(storage, node));
        let foreign = place.map_or(0, |place| self.faults.ballast(&place));
        let reserved = found.map_or(0, |storage| storage.reserved);
        let own = self.volumes_on(storage, node).map(|(_, volume)| volume.used);
        own.fold(foreign.saturating_add(reserved), u64::saturating_add)
    }

    /// Volume names of the linked clones of a base.
    pub(crate) fn clones_of(&self, node: &str, volid: &str) -> Vec<String> {
        let Some((storage, volname)) = split_volid(volid) else { return Vec::new() };
        let own = own_name(volname);
        let all = self.volumes_on(storage, node);
        let of_it = all.filter(|(_, volume)| volume.parent.as_deref() == Some(own));
        of_it.map(|(name, _)| name.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_linked_clones() {
        let linked = "4020/base-4020-disk-0.raw/4021/vm-4021-disk-0.qcow2";
        assert_eq!(own_name(linked), "4021/vm-4021-disk-0.qcow2");
        assert_eq!(base_name(linked), Some("4020/base-4020-disk-0.raw"));
        assert_eq!(own_name("4021/vm-4021-disk-0.qcow2"), "4021/vm-4021-disk-0.qcow2");
        assert_eq!(base_name("4021/vm-4021-disk-0.qcow2"), None);
        assert_eq!(own_name("base-1-disk-0/vm-2-disk-0"), "vm-2-disk-0");
        assert_eq!(own_name("iso/truth.iso"), "iso/truth.iso");
        assert_eq!(own_name("vm-2-disk-0"), "vm-2-disk-0");
    }
}
