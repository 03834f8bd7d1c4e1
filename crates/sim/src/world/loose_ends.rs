//! What an interrupted client, or a fault of one, leaves in a cluster and nobody owns.

use std::collections::BTreeSet;

use super::World;
use super::guest::Guest;
use super::task::Task;
use super::volumes::{own_name, split_volid};
use crate::guest::drive::Drive;
use crate::guest::keys;

impl World {
    /// Volumes of guests that no guest refers to, disks whose volume is not there, volumes that two
    /// guests refer to, and locks (`lock: clone`) that are left although no task runs. One line
    /// each, sorted; nothing of it is in a cluster that is in order.
    #[must_use]
    pub fn loose_ends(&self) -> Vec<String> {
        let mut ends = BTreeSet::new();
        let mut held = BTreeSet::new();
        for guest in self.guests() {
            let vmid = guest.vmid;
            if let Some(lock) = guest.get("lock").filter(|_| !self.tasks().any(Task::running)) {
                ends.insert(format!("guest {vmid} is locked ({lock}) and no task runs"));
            }
            for (key, place, volume) in self.held_by(guest) {
                if !self.volumes.get(&place).is_some_and(|found| found.contains_key(&volume)) {
                    ends.insert(format!("{key} of guest {vmid} is {volume} on {place}: not there"));
                }
                if !held.insert((place.clone(), volume.clone())) {
                    ends.insert(format!("two drives are {volume} on {place}"));
                }
            }
        }
        for (place, volumes) in &self.volumes {
            for (name, volume) in volumes.iter().filter(|(_, volume)| volume.vmid.is_some()) {
                let of_guest = matches!(volume.content.as_str(), "images" | "rootdir");
                if of_guest && !held.contains(&(place.clone(), name.clone())) {
                    ends.insert(format!("{name} on {place} belongs to no guest"));
                }
            }
        }
        ends.into_iter().collect()
    }

    /// Slot, place and name of all volumes that a guest names, those of snapshots apart.
    fn held_by(&self, guest: &Guest) -> Vec<(String, String, String)> {
        let values = guest.config.iter().chain(&guest.pending);
        let drives = values.filter(|(key, _)| keys::is_drive(key) || key.starts_with("unused"));
        let mut held: Vec<_> = drives
            .filter_map(|(key, value)| {
                let drive = Drive::parse(value);
                let (storage, name) = split_volid(drive.file())?;
                let place = Self::place(self.storages.get(storage)?, &guest.node);
                let owned = !name.starts_with("iso/");
                owned.then(|| (key.clone(), place, own_name(name).to_owned()))
            })
            .collect();
        held.dedup();
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::storage::Volume;

    fn volume(vmid: u32) -> Volume {
        Volume { content: "images".to_owned(), vmid: Some(vmid), ..Volume::default() }
    }

    #[test]
    fn a_world_in_order_has_none() {
        assert_eq!(World::lab().loose_ends(), Vec::<String>::new());
        assert_eq!(World::truth().loose_ends(), Vec::<String>::new());
    }

    #[test]
    fn each_is_told() {
        let mut world = World::lab();
        world.add_volume("pve1", "local-lvm:vm-7-disk-0", volume(7));
        let disks = [("scsi0", "shared:8/vm-8-disk-0.raw,size=1G"), ("lock", "clone")];
        world.add_guest(Guest::new(8, "pve2", &disks));
        let again =
            [("scsi0", "shared:8/vm-8-disk-0.raw,size=1G"), ("ide2", "local:iso/x,media=cdrom")];
        world.add_guest(Guest::new(9, "pve3", &again));
        assert_eq!(
            world.loose_ends(),
            [
                "guest 8 is locked (clone) and no task runs",
                "scsi0 of guest 8 is 8/vm-8-disk-0.raw on shared: not there",
                "scsi0 of guest 9 is 8/vm-8-disk-0.raw on shared: not there",
                "two drives are 8/vm-8-disk-0.raw on shared",
                "vm-7-disk-0 on local-lvm@pve1 belongs to no guest",
            ]
        );
    }
}
