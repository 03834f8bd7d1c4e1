//! High availability: what `/etc/pve/ha` holds, what the cluster resource manager decides, and
//! what the local resource managers do about it (pve-ha-manager).
//!
//! | file | holds |
//! |---|---|
//! | `config` | `resources.cfg`, the status of services, commands to the manager |
//! | `rules` | `rules.cfg`: which rules can hold together, and what they say of nodes |
//! | `place` | the choice of a node for a service |
//! | `crm` | the manager: from one state of a service to the next |
//! | `lrm` | the agents: tasks that carry a state out |
//!
//! Managers and agents act on a beat of [`BEAT_MS`] of sim time: agents on every beat, the
//! manager on every second one. When nothing takes time they act until nothing changes.

pub(crate) mod config;
mod crm;
mod lrm;
mod place;
pub(crate) mod rules;

pub(crate) use config::{Command, Ha, Resource, State, sid_of};

use crate::clock::Moment;
use crate::world::World;

/// Milliseconds between two rounds of the agents; the manager takes every second one.
const BEAT_MS: i64 = 5_000;
/// Rounds in one moment when nothing takes time.
const ROUNDS: usize = 4;

/// Whether manager and agents have nothing to do at this moment.
pub(crate) fn quiet(world: &World, moment: Moment) -> bool {
    let ha = &world.ha;
    let same = ha.beat == moment.now.div_euclid(BEAT_MS);
    !ha.busy() || (same && !(moment.instant && ha.settled != world.revision))
}

/// Lets manager and agents act when their beat has come. True when something changed.
pub(crate) fn run(world: &mut World, moment: Moment) -> bool {
    if quiet(world, moment) {
        return false;
    }
    let beat = moment.now.div_euclid(BEAT_MS);
    // The first beat begins with what was just asked for, not with what was before.
    let first = world.ha.beat == 0;
    world.ha.beat = beat;
    if moment.instant {
        return (0..ROUNDS).fold(false, |changed, _| {
            let again = crm::round(world, moment) | lrm::round(world, moment);
            changed | again
        });
    }
    let manages = beat % 2 == 0 && !first && crm::round(world, moment);
    let attends = !first && lrm::round(world, moment);
    manages || attends
}

/// The sim time of the next beat, when there is something to manage.
pub(crate) fn next_due(world: &World) -> Option<i64> {
    let beat = world.ha.beat.saturating_add(1).saturating_mul(BEAT_MS);
    world.ha.busy().then_some(beat)
}
