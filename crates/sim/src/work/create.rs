//! `qmcreate`: a new guest, its drives one after the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::{clipboard, mac_prefix};
use super::{Next, Stage, config_lock};
use crate::api::guest_checks::{check_tags, unwritable};
use crate::api::refusal::broken;
use crate::guest::allocate::allocate;
use crate::guest::drive::{Drive, default_boot};
use crate::guest::written::{normalise, retire_smp, written};
use crate::guest::{keys, machine, network};
use crate::world::World;
use crate::world::access::Caller;

/// Milliseconds to write a configuration.
const BASE_MS: i64 = 20;
/// Milliseconds to make a volume.
pub(crate) const VOLUME_MS: i64 = 180;
/// The tags of a guest that is not there yet: an empty hash, taken for text
/// (`assert_tag_permissions`).
const NO_TAGS: &str = "HASH(0x55d5c8a1f2b8)";
/// Milliseconds to copy a GiB.
pub(crate) const COPY_MS_PER_GIB: i64 = 1000;

/// A guest to make. Its configuration is there already, locked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Create {
    pub(crate) vmid: u32,
    /// Keys and values as given.
    pub(crate) set: BTreeMap<String, String>,
    /// Keys that were given without a value.
    #[serde(default)]
    pub(crate) blank: Vec<String>,
    pub(crate) start: bool,
    pub(crate) pool: Option<String>,
    /// It becomes an HA resource.
    #[serde(default)]
    pub(crate) managed: bool,
    /// Drives that are still to be made.
    pub(crate) queue: Vec<String>,
    /// The storage whose lock is held.
    pub(crate) locked: Option<String>,
    /// Bytes to copy into the volume that was just made.
    pub(crate) copying: Option<u64>,
    /// Volumes made so far.
    pub(crate) made: Vec<String>,
}

/// Milliseconds to copy so many bytes.
pub(crate) fn copy_ms(bytes: u64) -> i64 {
    i64::try_from(bytes >> 20).unwrap_or(i64::MAX / COPY_MS_PER_GIB) * COPY_MS_PER_GIB / 1024
}

impl Create {
    pub(crate) fn new(
        vmid: u32,
        set: BTreeMap<String, String>,
        start: bool,
        pool: Option<String>,
    ) -> Self {
        let mut queue: Vec<String> =
            set.keys().filter(|key| keys::is_drive(key)).cloned().collect();
        // Worked off from the end.
        queue.reverse();
        Self {
            vmid,
            set,
            blank: Vec::new(),
            start,
            pool,
            managed: false,
            queue,
            locked: None,
            copying: None,
            made: Vec::new(),
        }
    }

    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let result = self.step(stage);
        result.map_err(|error| {
            for volid in &self.made {
                stage.world.remove_volume(&stage.node, volid);
            }
            stage.world.guests.remove(&self.vmid);
            format!("unable to create VM {} - {error}", self.vmid)
        })
    }

    fn step(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        match stage.number {
            0 => return Ok(config_lock(self.vmid, 1000)),
            1 => return Ok(Next::After(BASE_MS)),
            _ => {}
        }
        if let Some(copied) = self.copying.take() {
            // The lock covers the allocation, not the copying.
            if let Some(storage) = self.locked.take() {
                stage.unlock_storage(&storage);
            }
            return Ok(Next::After(copy_ms(copied)));
        }
        if self.locked.is_some() {
            return self.make_next(stage);
        }
        let Some(key) = self.queue.last() else { return self.finish(stage) };
        let value = self.set.get(key).cloned().unwrap_or_default();
        match Drive::parse(&value).wish().storage() {
            Some(storage) => {
                self.locked = Some(storage.to_owned());
                Ok(stage.storage_lock(storage))
            }
            None => self.make_next(stage),
        }
    }

    fn make_next(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let Some(key) = self.queue.pop() else { return Ok(Next::After(0)) };
        let value = self.set.get(&key).cloned().unwrap_or_default();
        let node = stage.node.clone();
        let now = stage.moment.now;
        let made = allocate(stage.world, &node, self.vmid, &key, &value, &self.set, now)?;
        stage.log.extend(made.log);
        let time = if made.volid.is_some() { VOLUME_MS } else { 0 };
        self.copying = Some(made.copied);
        self.made.extend(made.volid);
        self.set.insert(key, made.value);
        Ok(Next::After(time))
    }

    fn finish(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let config = self.configuration(stage)?;
        unwritable(&self.blank, &["boot", "description", "smbios1", "vmgenid"])?;
        let Some(guest) = stage.world.guests.get_mut(&self.vmid) else {
            return Err(broken("the configuration file vanished"));
        };
        guest.config = config;
        if let Some(pool) = self.pool.as_ref().and_then(|pool| stage.world.pools.get_mut(pool)) {
            pool.guests.insert(self.vmid);
        }
        if self.managed {
            self.add_resource(stage);
        }
        if self.start {
            stage.say("Execute autostart");
            let (kind, work) = self.starter(stage.world);
            let (node, user) = (stage.node.clone(), stage.user.clone());
            let id = self.vmid.to_string();
            super::fork(stage.world, stage.moment, &node, kind, &id, &user, work);
        }
        Ok(Next::Done)
    }

    /// `ha-manager add`, whose failure is only said.
    fn add_resource(&self, stage: &mut Stage<'_>) {
        stage.say("Add as HA resource");
        let sid = crate::ha::sid_of(self.vmid);
        let state = if self.start { "started" } else { "stopped" };
        if stage.world.ha.resources.contains_key(&sid) {
            stage.say(format!("create resource failed: resource ID '{sid}' already defined"));
            stage.say(format!(
                "command 'ha-manager add {sid} --state {state}' failed: exit code 255"
            ));
            return;
        }
        let state = Some(state.to_owned());
        let resource = crate::ha::Resource { state, ..crate::ha::Resource::default() };
        stage.world.ha.resources.insert(sid, resource);
    }

    /// The task that starts it: the manager is asked when it looks after the guest.
    fn starter(&self, world: &World) -> (&'static str, super::Work) {
        let vmid = self.vmid;
        if world.ha_managed(vmid) {
            let wish = super::ha::Wish::Start;
            return ("hastart", super::Work::Ha(super::ha::Request { vmid, wish }));
        }
        ("qmstart", super::Work::Power(super::power::Power::start(vmid)))
    }

    /// The configuration as it is stored. Values stay as they were given, but for what is made or
    /// put in order.
    fn configuration(&self, stage: &mut Stage<'_>) -> Result<BTreeMap<String, String>, String> {
        let prefix = mac_prefix(stage.world).to_owned();
        let mut config = BTreeMap::new();
        for (key, value) in &self.set {
            let stored = if keys::is_drive(key) || key == "cipassword" {
                value.clone()
            } else if keys::is_numbered(key, "net") {
                network::normalise(value, &prefix, false)
            } else {
                normalise(stage.world, key, value)
            };
            // What is false in Perl is made below.
            let absent =
                stored.is_empty() && matches!(key.as_str(), "boot" | "description" | "smbios1");
            if !absent && let Some(stored) = written(key, &stored)? {
                config.insert(key.clone(), stored);
            }
        }
        if let Some(tags) = config.get("tags") {
            let caller = Caller { authid: stage.user.clone() };
            check_tags(stage.world, &caller, self.vmid, NO_TAGS, tags)
                .map_err(|refusal| refusal.exit())?;
        }
        clipboard(config.get("vga").map_or("", String::as_str))?;
        let new_uuid = || uuid::Uuid::new_v4().to_string();
        config.entry("smbios1".to_owned()).or_insert_with(|| format!("uuid={}", new_uuid()));
        let arm = config.get("arch").is_some_and(|arch| arch == "aarch64");
        if config.get("vmgenid").is_none_or(|id| id == "1") && !arm {
            config.insert("vmgenid".to_owned(), new_uuid());
        }
        let ostype = config.get("ostype").map_or("", String::as_str);
        let (pinned, line) = machine::pin(config.get("machine").map(String::as_str), ostype)?;
        stage.log.extend(line);
        if let Some(pinned) = pinned {
            config.insert("machine".to_owned(), pinned);
        }
        retire_smp(&mut config);
        let seconds = stage.moment.seconds();
        config.insert("meta".to_owned(), format!("creation-qemu=10.2.2,ctime={seconds}"));
        if !config.contains_key("boot")
            && let Some(order) = written("boot", &default_boot(&config))?
        {
            config.insert("boot".to_owned(), order);
        }
        Ok(config)
    }

    /// Takes away what was made; other volumes with its id stay.
    pub(crate) fn abandon(self, world: &mut World) {
        let Some(guest) = world.guests.remove(&self.vmid) else { return };
        for volid in &self.made {
            world.remove_volume(&guest.node, volid);
        }
    }
}
