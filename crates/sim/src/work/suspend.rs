//! `qmsuspend`: the RAM goes to a volume and the process ends; the next start takes it from there
//! (`PVE::QemuServer::RunState::vm_suspend`, and `vm_start_nolock` with `resume`).

use serde::{Deserialize, Serialize};

use super::snapshot::assert_migratable;
use super::{Next, Stage, config_lock};
use crate::api::call::{check_lock, load_config};
use crate::guest::vmstate;
use crate::world::World;
use crate::world::guest::Guest;
use crate::world::lock::LockName;

/// A guest to suspend to disk.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Suspend {
    pub(crate) vmid: u32,
    pub(crate) skiplock: bool,
    pub(crate) storage: String,
}

impl Suspend {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        match stage.number {
            0 | 4 => Ok(config_lock(self.vmid, 10_000)),
            1 => {
                self.check(stage.world, &stage.node)?;
                Ok(stage.storage_lock(&self.storage))
            }
            2 => self.begin(stage),
            3 => {
                let node = stage.node.clone();
                let guest =
                    load_config(stage.world, &node, self.vmid).map_err(|refusal| refusal.exit())?;
                let bytes = vmstate::saved_bytes(guest);
                let state = guest.get("vmstate").unwrap_or_default().to_owned();
                let result = vmstate::fill(stage.world, &node, &state, bytes);
                result.inspect_err(|_| self.undo(stage.world, &node, &state))?;
                stage.say("State saved, quitting");
                Ok(Next::After(0))
            }
            _ => self.finish(stage),
        }
    }

    fn check(&self, world: &World, node: &str) -> Result<Guest, String> {
        let guest = load_config(world, node, self.vmid).map_err(|refusal| refusal.exit())?;
        let backup = guest.get("lock") == Some("backup");
        if !self.skiplock && !backup {
            check_lock(guest)?;
        }
        if backup {
            return Err("cannot suspend to disk during backup".to_owned());
        }
        assert_migratable(guest, true)?;
        if guest.running.is_none() {
            return Err(format!("cannot obtain PID for VM {}!", self.vmid));
        }
        Ok(guest.clone())
    }

    fn begin(&self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let guest = self.check(stage.world, &stage.node)?;
        let name = format!("suspend-{}", date(stage.moment.seconds()));
        let now = stage.moment.now;
        let (keys, log) = vmstate::allocate(stage.world, &guest, &self.storage, &name, now)?;
        stage.log.extend(log);
        if let Some(guest) = stage.world.guests.get_mut(&self.vmid) {
            guest.config.extend(keys);
            guest.config.insert("lock".to_owned(), "suspending".to_owned());
        }
        stage.unlock_storage(&self.storage);
        stage.world.locks.give(&LockName::Config(self.vmid), stage.holder);
        Ok(Next::After(vmstate::save_seconds(vmstate::saved_bytes(&guest)) * 1000))
    }

    /// The state goes; the lock stays, to show that something went wrong.
    fn undo(&self, world: &mut World, node: &str, state: &str) {
        world.remove_volume(node, state);
        if let Some(guest) = world.guests.get_mut(&self.vmid) {
            guest.config.retain(|key, _| !vmstate::KEYS.contains(&key.as_str()));
        }
    }

    fn finish(&self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let Some(guest) = stage.world.guests.get_mut(&self.vmid) else {
            return Err(crate::api::call::no_config(&stage.node, self.vmid));
        };
        if guest.get("lock") != Some("suspending") {
            return Err("lock changed unexpectedly".to_owned());
        }
        guest.running = None;
        guest.config.insert("lock".to_owned(), "suspended".to_owned());
        Ok(Next::Done)
    }
}

/// What a start of a suspended guest says first.
pub(super) fn announce(stage: &mut Stage<'_>, guest: &Guest) {
    let state = guest.get("vmstate");
    if state.is_none() && guest.get("lock") != Some("suspended") {
        return;
    }
    stage.say("Resuming suspended VM");
    if let Some(state) = state {
        stage.say(format!("activating and using '{state}' as vmstate"));
    }
}

/// The guest goes on; its state is no longer needed. Pending changes go on waiting.
pub(super) fn load(stage: &mut Stage<'_>, guest: &Guest) {
    let state = guest.get("vmstate");
    super::rollback::resume(stage, guest.vmid, state);
    stage.say("Resumed VM, removing state");
    if let Some(state) = state {
        stage.world.remove_volume(&guest.node, state);
    }
    if let Some(guest) = stage.world.guests.get_mut(&guest.vmid) {
        guest.config.retain(|key, _| key != "lock" && !vmstate::KEYS.contains(&key.as_str()));
    }
}

/// `2026-11-22` of Unix seconds (civil date from days, in UTC).
fn date(seconds: i64) -> String {
    let days = seconds.div_euclid(86_400) + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // Months count from March.
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day:02}", year + era * 400 + carry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_795_379_072, "2026-11-22"),
            (1_798_761_599, "2026-12-31"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }
}
