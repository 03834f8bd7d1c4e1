//! What may begin next: actions that wait for nothing, those with the longest chain behind them
//! first, as far as what they need has room.
//!
//! Actions that need the same things are one class, and only its first is looked at: what is held
//! back costs nothing, however many there are.

mod gate;
mod lock;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use gate::{Gate, Taken};

use super::budget::{Resource, needs};
use super::estimate::{Cost, Sample, per_gib, volumes_on};
use super::{Estimates, Event, Limits};
use crate::plan::{Action, ActionId, Plan};

/// The longest chain behind an action, itself included; the longest is first.
type Rank = (Reverse<Duration>, ActionId);

/// Actions that need the same.
#[derive(Debug, Default)]
struct Class {
    /// Numbers of gates.
    needs: Vec<usize>,
    ready: BTreeSet<Rank>,
    /// All that ever came, in that order, and up to where they were told of each gate that holds
    /// them back.
    came: Vec<ActionId>,
    told: BTreeMap<usize, usize>,
}

/// An action in flight.
#[derive(Debug)]
struct Flight {
    since: Instant,
    cost: Cost,
    /// Numbers of gates, and what was taken of each.
    taken: Vec<(usize, Taken)>,
}

/// How an action in flight ended, as far as bounds are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended<'a> {
    /// Well.
    Well,
    /// A lock was not to be had in time: what Proxmox said.
    Busy(&'a str),
    /// In some other way.
    Otherwise,
}

/// What may begin, what runs, what waits for its next try.
pub(super) struct Schedule<'a> {
    plan: &'a Plan,
    limits: &'a Limits,
    estimates: &'a Estimates,
    chains: BTreeMap<ActionId, Duration>,
    classes: Vec<Class>,
    by_needs: BTreeMap<Vec<usize>, usize>,
    gates: Vec<Gate>,
    by_resource: BTreeMap<Resource, usize>,
    flying: BTreeMap<ActionId, Flight>,
    /// Not before this time.
    later: BTreeSet<(Instant, ActionId)>,
    /// The least time that was needed for a GiB, by kind.
    fastest: BTreeMap<String, Duration>,
    /// What the run shows for later ones: sums, and of how many.
    seen: BTreeMap<String, (Duration, u32)>,
    /// Classes that were looked at: what the scheduler itself costs.
    pub(super) looks: u64,
}

impl<'a> Schedule<'a> {
    pub(super) fn new(plan: &'a Plan, limits: &'a Limits, estimates: &'a Estimates) -> Self {
        Self {
            plan,
            limits,
            estimates,
            chains: chains(plan, estimates),
            classes: Vec::new(),
            by_needs: BTreeMap::new(),
            gates: Vec::new(),
            by_resource: BTreeMap::new(),
            flying: BTreeMap::new(),
            later: BTreeSet::new(),
            fastest: BTreeMap::new(),
            seen: BTreeMap::new(),
            looks: 0,
        }
    }

    /// An action waits for nothing any more.
    pub(super) fn ready(&mut self, id: ActionId) {
        let Some(action) = self.plan.actions.get(id) else { return };
        let chain = self.chains.get(&id).copied().unwrap_or_default();
        let class = self.class_of(action);
        if let Some(class) = self.classes.get_mut(class) {
            class.ready.insert((Reverse(chain), id));
            class.came.push(id);
        }
    }

    /// An action is tried again, not before this time.
    pub(super) fn again(&mut self, id: ActionId, at: Instant) {
        self.later.insert((at, id));
    }

    /// Nobody waits for a next try any more.
    pub(super) fn give_up_pauses(&mut self) {
        self.later.clear();
    }

    fn class_of(&mut self, action: &Action) -> usize {
        let needs: Vec<usize> =
            needs(self.plan, action).into_iter().map(|resource| self.gate_of(resource)).collect();
        let next = self.classes.len();
        let class = *self.by_needs.entry(needs.clone()).or_insert(next);
        if class == next {
            self.classes.push(Class { needs, ..Class::default() });
        }
        class
    }

    fn gate_of(&mut self, resource: Resource) -> usize {
        let next = self.gates.len();
        let gate = *self.by_resource.entry(resource.clone()).or_insert(next);
        if gate == next {
            let bound = self.limits.bound(&resource, &self.plan.storages);
            self.gates.push(Gate::new(resource, bound, self.limits.lock_wait));
        }
        gate
    }

    /// The next action to begin: then it is in flight. None when nothing more may begin now.
    pub(super) fn next(&mut self, now: Instant) -> Option<&'a Action> {
        self.wake(now);
        let (class, rank) = self.best(now)?;
        let action = self.plan.actions.get(rank.1)?;
        let cost = self.estimates.cost(action);
        let class = self.classes.get_mut(class)?;
        class.ready.remove(&rank);
        let mut taken = Vec::with_capacity(class.needs.len());
        for index in &class.needs {
            if let Some(gate) = self.gates.get_mut(*index) {
                taken.push((*index, gate.take(action, cost, now)));
            }
        }
        self.flying.insert(rank.1, Flight { since: now, cost, taken });
        Some(action)
    }

    /// Those whose pause is over.
    fn wake(&mut self, now: Instant) {
        while let Some((at, id)) = self.later.first().copied() {
            if at > now {
                return;
            }
            self.later.pop_first();
            self.ready(id);
        }
    }

    /// The class whose first may begin and has the longest chain of all.
    fn best(&mut self, now: Instant) -> Option<(usize, Rank)> {
        let mut best: Option<(usize, Rank)> = None;
        for (index, class) in self.classes.iter().enumerate() {
            let Some(rank) = class.ready.first().copied() else { continue };
            self.looks += 1;
            if best.is_some_and(|(_, found)| found <= rank) {
                continue;
            }
            if closed(&self.gates, class, now).is_none() {
                best = Some((index, rank));
            }
        }
        best
    }

    /// What is ready and held back, once for each action and resource.
    pub(super) fn held(&mut self, now: Instant, tell: &mut dyn FnMut(&Event)) {
        for class in self.classes.iter_mut().filter(|class| !class.ready.is_empty()) {
            let Some(by) = closed(&self.gates, class, now) else { continue };
            let Some(gate) = self.gates.get(by) else { continue };
            let told = class.told.entry(by).or_default();
            for id in class.came.iter().skip(*told) {
                let chain = self.chains.get(id).copied().unwrap_or_default();
                if class.ready.contains(&(Reverse(chain), *id)) {
                    tell(&Event::Held { action: *id, by: gate.resource.clone() });
                }
            }
            *told = class.came.len();
        }
    }

    /// When something may begin although nothing ends until then.
    pub(super) fn wakes(&self, now: Instant) -> Option<Instant> {
        let pause = self.later.first().map(|(at, _)| *at);
        let ready = self.classes.iter().filter(|class| !class.ready.is_empty());
        let opens = ready.filter_map(|class| {
            let gate = self.gates.get(closed(&self.gates, class, now)?)?;
            gate.opens(now)
        });
        opens.chain(pause).min()
    }

    /// An action in flight ended: what it held is free. Bounds that change are told. How long it
    /// was in flight is returned.
    pub(super) fn end(
        &mut self,
        action: &Action,
        ended: Ended<'_>,
        now: Instant,
        tell: &mut dyn FnMut(&Event),
    ) -> Duration {
        let Some(flight) = self.flying.remove(&action.id) else { return Duration::ZERO };
        let took = now.saturating_duration_since(flight.since);
        let own = match ended {
            Ended::Well => self.own(action, flight.cost, took),
            // All it did was wait.
            Ended::Busy(_) | Ended::Otherwise => Some(Duration::ZERO),
        };
        let locks = flight.taken.iter().filter(|(_, taken)| taken.is_share()).count();
        for (index, taken) in &flight.taken {
            let Some(gate) = self.gates.get_mut(*index) else { continue };
            // Two locks cannot be told apart.
            let own = own.filter(|_| locks == 1);
            if let Some(event) = gate.give(*taken, ended, own.map(|own| took - own), now) {
                tell(&event);
            }
        }
        if ended == Ended::Well {
            self.remember(action, &flight, took);
        }
        took
    }

    /// How much of the time that an action was in flight was its own, as far as can be told: of
    /// one that copies, as much as the fastest of its kind took for each GiB. None for the first
    /// of its kind, which only says how fast it is.
    fn own(&mut self, action: &Action, cost: Cost, took: Duration) -> Option<Duration> {
        let Some(gib) = cost.copies else { return Some(cost.own.min(took)) };
        let one = took.div_f64(gib);
        let known = self.fastest.entry(per_gib(action));
        let mut first = false;
        let fastest = known.or_insert_with(|| {
            first = true;
            one
        });
        *fastest = one.min(*fastest);
        (!first).then(|| fastest.mul_f64(gib).min(took))
    }

    fn remember(&mut self, action: &Action, flight: &Flight, took: Duration) {
        let queued = flight.taken.iter().filter_map(|(index, taken)| {
            self.gates.get(*index).and_then(|gate| gate.queued(*taken))
        });
        let own = took.saturating_sub(queued.max().unwrap_or_default());
        self.add(Sample::of(action, flight.cost, own));
        for (index, taken) in &flight.taken {
            let hold = self.gates.get(*index).and_then(|gate| gate.learned(*taken));
            let Some((storage, hold)) = hold else { continue };
            let volume = hold / volumes_on(action, storage).max(1);
            self.add(Sample::of_lock(storage, volume));
        }
    }

    fn add(&mut self, sample: Sample) {
        let (sum, count) = self.seen.entry(sample.key).or_default();
        *sum = sum.saturating_add(sample.took);
        *count = count.saturating_add(1);
    }

    /// Names and means of what the run showed.
    pub(super) fn learned(&self) -> BTreeMap<String, Duration> {
        let mean = |(key, (sum, count)): (&String, &(Duration, u32))| {
            (key.clone(), *sum / (*count).max(1))
        };
        self.seen.iter().map(mean).collect()
    }

    /// Is nothing ready, and does nothing wait for its next try?
    pub(super) fn is_empty(&self) -> bool {
        self.later.is_empty() && self.classes.iter().all(|class| class.ready.is_empty())
    }

    /// Those in flight.
    pub(super) fn in_flight(&self) -> BTreeSet<ActionId> {
        self.flying.keys().copied().collect()
    }
}

/// The first gate that holds a class back.
fn closed(gates: &[Gate], class: &Class, now: Instant) -> Option<usize> {
    let shut = |index: &&usize| gates.get(**index).is_some_and(|gate| !gate.is_open(now));
    class.needs.iter().find(shut).copied()
}

/// How long the longest chain takes that begins with each action.
fn chains(plan: &Plan, estimates: &Estimates) -> BTreeMap<ActionId, Duration> {
    let mut chains: BTreeMap<ActionId, Duration> = BTreeMap::new();
    for id in plan.actions.sequence().unwrap_or_default().into_iter().rev() {
        let after = plan.actions.unlocks(id);
        let longest = after.iter().filter_map(|next| chains.get(next)).max().copied();
        let own = plan.actions.get(id).map(|action| estimates.of(action)).unwrap_or_default();
        chains.insert(id, own.saturating_add(longest.unwrap_or_default()));
    }
    chains
}
