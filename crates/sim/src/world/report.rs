//! What pvestatd last told the cluster about guests: every 10 s of sim time.

use std::collections::BTreeMap;

use super::World;
use crate::guest::status::{Measure, measure};

/// Milliseconds between two reports.
const EVERY_MS: i64 = 10_000;

/// The last report.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    tick: Option<i64>,
    guests: BTreeMap<u32, Reported>,
    /// What nodes that are off said last, by node.
    last: BTreeMap<String, BTreeMap<u32, Reported>>,
}

/// A guest as it was reported.
#[derive(Clone, Debug)]
pub(crate) struct Reported {
    pub(crate) name: String,
    pub(crate) running: bool,
    /// Sim ms of the start, when it ran.
    pub(crate) since_ms: i64,
    pub(crate) template: bool,
    pub(crate) size: Measure,
}

impl Reported {
    pub(crate) fn of(guest: &super::guest::Guest) -> Self {
        Self {
            name: guest.name(),
            running: guest.running.is_some(),
            since_ms: guest.running.as_ref().map_or(0, |running| running.since_ms),
            template: guest.template(),
            size: measure(guest),
        }
    }
}

impl World {
    /// Reports, when a tick passed since the last report. Called before anything changes, so that
    /// the report holds what was true at the tick.
    pub(crate) fn report(&mut self, now: i64) {
        let tick = now.div_euclid(EVERY_MS);
        if !self.lag || self.report.tick == Some(tick) {
            return;
        }
        let guests = self.guests.values().map(|guest| (guest.vmid, Reported::of(guest)));
        self.report.guests = guests.collect();
        self.report.tick = Some(tick);
    }

    /// A node goes off: what it said last stays, and of guests that come to it later nothing is
    /// known.
    pub(crate) fn keep_report(&mut self, node: &str) {
        let own = self.guests.values().filter(|guest| guest.node == node);
        let own = own.filter_map(|guest| Some((guest.vmid, self.reported(guest)?)));
        let own = own.collect();
        self.report.last.entry(node.to_owned()).or_insert(own);
    }

    /// A node came back and reports again.
    pub(crate) fn drop_report(&mut self, node: &str) {
        self.report.last.remove(node);
    }

    /// A guest as the lists show it: of the last report when they lag. None when it is newer.
    pub(crate) fn reported(&self, guest: &super::guest::Guest) -> Option<Reported> {
        if let Some(last) = self.report.last.get(&guest.node) {
            return last.get(&guest.vmid).cloned();
        }
        if self.lag {
            self.report.guests.get(&guest.vmid).cloned()
        } else {
            Some(Reported::of(guest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::guest::Guest;
    use super::*;

    #[test]
    fn guests_of_a_lost_node_stay_as_they_were_last_seen() {
        let mut world = World::lab();
        world.add_guest(Guest::new(300, "pve2", &[("name", "old")]));
        world.guest_mut(300).unwrap().running =
            Some(crate::Running { since_ms: 1, booted_ms: None, pid: 1, paused: false });
        world.set_node_online("pve2", false);
        world.add_guest(Guest::new(301, "pve2", &[("name", "new")]));
        let seen = |world: &World, vmid| {
            let guest = world.guest(vmid).unwrap();
            world.reported(guest).map(|reported| reported.running)
        };
        assert_eq!((seen(&world, 300), seen(&world, 301)), (Some(true), None));
        world.set_node_online("pve2", true);
        assert_eq!((seen(&world, 300), seen(&world, 301)), (Some(false), Some(false)));
    }

    #[test]
    fn a_new_guest_is_unknown_until_the_next_tick() {
        let mut world = World::lab();
        world.set_lag(true);
        world.report(10_000);
        world.add_guest(Guest::new(300, "pve1", &[("name", "new")]));
        if let Some(guest) = world.guest_mut(100) {
            guest.config.insert("name".into(), "renamed".into());
        }
        world.report(19_999);
        let name = |world: &World, vmid| {
            let guest = world.guest(vmid).unwrap();
            world.reported(guest).map(|reported| reported.name)
        };
        assert_eq!((name(&world, 300), name(&world, 100).as_deref()), (None, Some("debian-13")));
        world.report(20_000);
        assert_eq!(name(&world, 300).as_deref(), Some("new"));
        assert_eq!(name(&world, 100).as_deref(), Some("renamed"));
        world.set_lag(false);
        world.guest_mut(300).unwrap().config.remove("name");
        assert_eq!(name(&world, 300).as_deref(), Some("VM 300"));
    }
}
