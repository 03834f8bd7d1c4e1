//! Configurations and pools of guests as they are at each step of a plan.

use std::collections::BTreeMap;

use pvx_core::live::{Guest, Snapshot};
use pvx_core::plan::{Action, ActionKind};

use crate::guest::identity;

/// A configuration.
pub(super) type Config = BTreeMap<String, String>;

/// What every guest is like by now.
pub(super) struct Course<'a> {
    snapshot: &'a Snapshot,
    /// Guests that the plan has made or changed so far.
    changed: BTreeMap<u32, Config>,
    /// Pools that guests came to by the plan.
    pools: BTreeMap<u32, String>,
}

impl<'a> Course<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, changed: BTreeMap::new(), pools: BTreeMap::new() }
    }

    /// A guest's configuration; nothing for one that is not known.
    pub(super) fn config(&self, vmid: u32) -> &Config {
        static NOTHING: Config = Config::new();
        let live = || self.snapshot.guests.get(&vmid).map(|guest| &guest.config);
        self.changed.get(&vmid).or_else(live).unwrap_or(&NOTHING)
    }

    /// The pool that a guest came to by the plan: privileges on it are not listed for the guest
    /// yet.
    pub(super) fn pool(&self, vmid: u32) -> Option<String> {
        self.pools.get(&vmid).cloned()
    }

    fn change(&mut self, vmid: u32) -> &mut Config {
        let now = self.config(vmid).clone();
        self.changed.entry(vmid).or_insert(now)
    }

    /// What the action leaves behind.
    pub(super) fn follow(&mut self, action: &Action) {
        let vmid = action.vmid;
        match &action.kind {
            ActionKind::Create { config, pool } => {
                self.changed.insert(vmid, config.clone());
                self.pools.extend(pool.clone().map(|pool| (vmid, pool)));
            }
            ActionKind::Clone { source, storage, name, note, pool, .. } => {
                let template = Guest { config: self.config(*source).clone(), ..Guest::default() };
                let clone = identity::clone_of(&template, name, note, storage.as_deref());
                self.changed.insert(vmid, clone.config);
                self.pools.extend(pool.clone().map(|pool| (vmid, pool)));
            }
            ActionKind::Configure { set, delete, .. }
            | ActionKind::ConfigureAsRoot { set, delete } => {
                let config = self.change(vmid);
                config.retain(|key, _| !delete.contains(key));
                config.extend(set.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
            ActionKind::Reassign { disk, target, target_disk } => {
                let value = self.change(vmid).remove(disk).unwrap_or_default();
                self.change(*target).insert(target_disk.clone(), value);
            }
            ActionKind::MoveDisk { disk, storage, .. } => {
                let config = self.change(vmid);
                if let Some(value) = config.get_mut(disk)
                    && let Some((_, rest)) = value.split_once(':')
                {
                    *value = format!("{storage}:{rest}");
                }
            }
            ActionKind::Detach { disk } | ActionKind::Erase { disk } => self.detach(vmid, disk),
            ActionKind::Pool { join, .. } => match join {
                Some(pool) => drop(self.pools.insert(vmid, pool.clone())),
                None => drop(self.pools.remove(&vmid)),
            },
            ActionKind::Destroy => {
                self.changed.insert(vmid, Config::new());
                self.pools.remove(&vmid);
            }
            ActionKind::Resize { .. }
            | ActionKind::Migrate { .. }
            | ActionKind::Start
            | ActionKind::Shutdown { .. }
            | ActionKind::Reboot { .. }
            | ActionKind::Ha { .. }
            | ActionKind::Snippet { .. } => {}
        }
    }

    /// A drive's volume stays with the guest as the first free `unusedN`.
    fn detach(&mut self, vmid: u32, disk: &str) {
        let config = self.change(vmid);
        let Some(value) = config.remove(disk) else { return };
        if disk.starts_with("unused") {
            return;
        }
        let free = (0..256).map(|n| format!("unused{n}")).find(|key| !config.contains_key(key));
        config.extend(free.map(|key| (key, value)));
    }
}
