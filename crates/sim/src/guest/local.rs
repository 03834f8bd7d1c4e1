//! What ties a guest to its node beside its disks (`check_local_resources` of
//! `PVE::QemuMigrate::Helpers`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::keys;
use super::property::Values;
use crate::world::World;
use crate::world::guest::Guest;
use crate::world::mapping::Kind;

/// Devices of the node, and those that a mapping names on every node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resources {
    /// What keeps the guest here.
    pub(crate) local: Vec<String>,
    /// The name of the mapping, by key.
    pub(crate) mapped: BTreeMap<String, String>,
    /// The keys whose device can be moved while it works.
    live: BTreeSet<String>,
}

impl Resources {
    /// What the configuration names; a running guest is tied by more.
    pub(crate) fn of(world: &World, guest: &Guest) -> Self {
        let running = guest.running.is_some();
        let mut found = Self::default();
        if running {
            let keys = ["amd-sev", "intel-tdx"].into_iter().filter(|key| guest.get(key).is_some());
            found.local.extend(keys.map(str::to_owned));
            if guest.config.keys().any(|key| keys::is_numbered(key, "virtiofs")) {
                found.local.push("virtiofs".to_owned());
            }
        }
        if guest.get("ivshmem").is_some() {
            found.local.push("ivshmem".to_owned());
        }
        for (key, value) in &guest.config {
            found.look(world, key, value, running);
        }
        found
    }

    fn look(&mut self, world: &World, key: &str, value: &str, running: bool) {
        let is = |stem| keys::is_numbered(key, stem);
        if is("usb") {
            let values = Values::parse(value, "host");
            if values.get("host").is_some_and(|host| host.eq_ignore_ascii_case("spice")) {
                return;
            }
            self.map(key, values.get("mapping"));
        } else if is("hostpci") {
            let values = Values::parse(value, "host");
            let mapping = values.get("mapping");
            self.map(key, mapping);
            let found = mapping.and_then(|id| world.mapping(Kind::Pci, id));
            if found.is_some_and(|mapping| mapping.flag("live-migration-capable")) {
                self.live.insert(key.to_owned());
                return;
            }
            // Offline, only the mapping on the other node counts.
            if values.get("mapping").is_some() && !running {
                return;
            }
        } else if is("virtiofs") {
            self.map(key, Values::parse(value, "dirid").get("dirid"));
        } else if !(is("serial") && value != "socket" || is("parallel")) {
            return;
        }
        self.local.push(key.to_owned());
    }

    fn map(&mut self, key: &str, name: Option<&str>) {
        self.mapped.extend(name.map(|name| (key.to_owned(), name.to_owned())));
    }

    /// The keys whose mapping names nothing on a node.
    pub(crate) fn missing_on(&self, world: &World, node: &str) -> Vec<&str> {
        let missing = |(key, id): &(&String, &String)| {
            let found = Kind::of_key(key).and_then(|kind| world.mapped_on(kind, id, node));
            found.is_none_or(|entries| entries.is_empty())
        };
        self.mapped.iter().filter(missing).map(|(key, _)| key.as_str()).collect()
    }

    /// The mapped devices that a running guest cannot take along, as `KEY:MAPPING`.
    pub(crate) fn held(&self) -> Vec<String> {
        let held = self.mapped.iter().filter(|(key, _)| !self.live.contains(*key));
        held.map(|(key, id)| format!("{key}:{id}")).collect()
    }

    /// Those that no mapping names: they forbid a migration.
    pub(crate) fn blocking(&self) -> Vec<&str> {
        let blocks = |key: &&String| !self.mapped.contains_key(*key);
        self.local.iter().filter(blocks).map(String::as_str).collect()
    }

    /// As the preconditions tell of the mapped ones.
    pub(crate) fn info(&self) -> Value {
        let each = self.mapped.iter();
        let each = each.map(|(key, name)| {
            let live = self.live.contains(key);
            let info = if live {
                json!({ "name": name, "live-migration": 1 })
            } else {
                json!({ "name": name })
            };
            (key.clone(), info)
        });
        Value::Object(each.collect::<Map<_, _>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ties_a_guest_to_its_node() {
        let guest = Guest::new(
            1,
            "a",
            &[
                ("usb0", "spice"),
                ("usb1", "host=1234:5678"),
                ("usb2", "mapping=stick"),
                ("hostpci0", "mapping=card"),
                ("hostpci1", "01:00.0"),
                ("serial0", "socket"),
                ("serial1", "/dev/ttyS0"),
                ("parallel0", "/dev/parport0"),
                ("scsihw", "virtio-scsi-pci"),
            ],
        );
        let found = Resources::of(&World::truth(), &guest);
        assert_eq!(found.local, ["hostpci1", "parallel0", "serial1", "usb1", "usb2"]);
        assert_eq!(found.blocking(), ["hostpci1", "parallel0", "serial1", "usb1"]);
        let info = json!({ "hostpci0": { "name": "card" }, "usb2": { "name": "stick" } });
        assert_eq!(found.info(), info);
    }
}
