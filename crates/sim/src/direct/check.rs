//! What must hold of a world, whatever was asked of it.

use crate::guest::volids;
use crate::world::World;
use crate::world::access::AclKind;
use crate::world::guest::Guest;
use crate::world::task::Task;
use crate::world::volumes::split_volid;

impl World {
    /// Looks for what must not be: a guest on no node, a lock that nobody holds, a group, an
    /// ACL or high availability that names what is gone, a saved world that reads back as
    /// another.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        for (vmid, guest) in &self.guests {
            if guest.vmid != *vmid || !self.nodes.contains_key(&guest.node) {
                return Err(format!("guest {vmid}: it says {} on '{}'", guest.vmid, guest.node));
            }
        }
        for place in self.volumes.keys() {
            let (storage, node) = place.split_once('@').unwrap_or((place, ""));
            if !node.is_empty() && !self.nodes.contains_key(node) {
                return Err(format!("volumes at {place}: no such node ({storage})"));
            }
        }
        for holder in self.locks.holders() {
            let task = self.tasks.get(holder).is_some_and(Task::running);
            if !task && !self.faults.holds.iter().any(|hold| hold.holder == holder) {
                return Err(format!("a lock is held by {holder}, which does not run"));
            }
        }
        self.check_members()?;
        self.check_access()?;
        self.check_saved()
    }

    /// The guests that high availability names exist. (A pool may name guests and storages that do
    /// not: `PVE::API2::Pool` does not look.)
    fn check_members(&self) -> Result<(), String> {
        for sid in self.ha.resources.keys() {
            let vmid = sid.split(':').nth(1).and_then(|vmid| vmid.parse().ok());
            if !vmid.is_some_and(|vmid: u32| self.guests.contains_key(&vmid)) {
                return Err(format!("HA resource {sid}: no such guest"));
            }
        }
        Ok(())
    }

    /// Groups and the ACL name what exists.
    fn check_access(&self) -> Result<(), String> {
        let access = &self.access;
        for (group, members) in &access.groups {
            if let Some(user) = members.iter().find(|user| !access.users.contains_key(*user)) {
                return Err(format!("group {group}: user {user} does not exist"));
            }
        }
        for entry in &access.acl {
            let found = match entry.kind {
                AclKind::User => access.users.contains_key(&entry.id),
                AclKind::Group => access.groups.contains_key(&entry.id),
                AclKind::Token => entry.id.split_once('!').is_some_and(|(user, token)| {
                    access.users.get(user).is_some_and(|user| user.tokens.contains_key(token))
                }),
            };
            if !found {
                return Err(format!(
                    "ACL at {}: no {} {}",
                    entry.path,
                    entry.kind.name(),
                    entry.id
                ));
            }
        }
        Ok(())
    }

    /// Further, what holds while no storage is changed, no volume made or freed by hand, no task
    /// stopped, and no fault strikes: every volume that a configuration names is there, and
    /// a guest is locked only while a task works on it. (A destroyed guest leaves volumes that
    /// it did not name, as on the real server.)
    ///
    /// # Errors
    /// What is wrong.
    pub fn check_whole(&self) -> Result<(), String> {
        for guest in self.guests.values() {
            self.check_volumes(guest)?;
            // A rollback, a removal or a suspend that fails leaves its lock, as on the real server.
            let leaves = ["suspended", "suspending", "rollback", "snapshot-delete"];
            let stays = |lock: &&str| !leaves.contains(lock);
            let Some(lock) = guest.get("lock").filter(stays) else { continue };
            let id = guest.vmid.to_string();
            let mut running = self.tasks.iter().rev().filter(|task| task.running());
            // A clone's task has the number of what is cloned.
            let works = |task: &Task| task.id == id || task.id.is_empty() || task.kind == "qmclone";
            if !running.any(works) {
                return Err(format!("guest {id} has the lock {lock}, and no task runs"));
            }
        }
        Ok(())
    }

    fn check_volumes(&self, guest: &Guest) -> Result<(), String> {
        let id = guest.vmid.to_string();
        for (volid, named) in volids::named(guest) {
            let Some((storage, _)) = split_volid(&volid) else { continue };
            if volid.starts_with('/') || !self.storages.contains_key(storage) || named.cdrom {
                continue;
            }
            if self.volume(&guest.node, &volid).is_none() {
                let mut running = self.tasks.iter().rev().filter(|task| task.running());
                if !running.any(|task| task.id == id || task.id.is_empty()) {
                    return Err(format!(
                        "guest {id} names {volid}, which is not on {}",
                        guest.node
                    ));
                }
            }
        }
        Ok(())
    }

    fn check_saved(&self) -> Result<(), String> {
        let saved = self.to_json();
        let again: Self =
            serde_json::from_slice(&saved).map_err(|error| format!("saved world: {error}"))?;
        if again.to_json() != saved {
            return Err("the saved world reads back as another".to_owned());
        }
        Ok(())
    }
}
