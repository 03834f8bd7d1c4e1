//! What rules do to the world.

use super::armed::{Facts, Held, HeldBack, Hold, RequestEffects, TaskEffect, TaskFacts};
use super::{Fault, LockHold, StorageFull};
use crate::world::World;
use crate::world::lock::LockName;

/// Holders of locks that are no task have numbers from here on.
const FIRST_HOLDER: u64 = u64::MAX / 2;

pub(super) fn deadline(now: i64, for_ms: Option<u64>) -> Option<i64> {
    for_ms.map(|ms| now.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)))
}

impl World {
    /// Adds a rule; its id.
    pub(crate) fn add_fault(&mut self, fault: Fault, now: i64) -> Result<String, String> {
        fault.check()?;
        self.check_names(&fault)?;
        let id = self.faults.add(fault, now);
        self.run_faults(now);
        self.revision += 1;
        Ok(id)
    }

    /// Whether the node and the storage that a rule names are there.
    pub(crate) fn check_names(&self, fault: &Fault) -> Result<(), String> {
        let node = fault.node.as_ref().map(|change| &change.name);
        let node = node.or(fault.lock.as_ref().and_then(|lock| lock.node.as_ref()));
        let node = node.or(fault.full.as_ref().and_then(|full| full.node.as_ref()));
        if let Some(node) = node.filter(|node| !self.nodes.contains_key(*node)) {
            return Err(format!("there is no node '{node}'"));
        }
        let storage = fault.full.as_ref().map(|full| &full.storage);
        let storage = storage.or(fault.lock.as_ref().and_then(|lock| lock.storage.as_ref()));
        if let Some(storage) = storage.filter(|storage| !self.storages.contains_key(*storage)) {
            return Err(format!("there is no storage '{storage}'"));
        }
        Ok(())
    }

    /// Removes a rule and what it holds in force; false when there is none.
    pub(crate) fn remove_fault(&mut self, id: &str) -> bool {
        let before = self.faults.rules.len();
        self.faults.rules.retain(|rule| rule.fault.id.as_deref() != Some(id));
        self.release(|hold| hold.of == id);
        self.revision += 1;
        self.faults.rules.len() < before
    }

    /// Removes all rules and what they hold in force.
    pub(crate) fn clear_faults(&mut self) {
        self.faults.rules.clear();
        self.release(|_| true);
        self.revision += 1;
    }

    /// Lets rules fire whose time has come, and ends what is over. True when something changed.
    pub(crate) fn run_faults(&mut self, now: i64) -> bool {
        if self.faults.is_empty() {
            return false;
        }
        let fired = self.faults.at_time(now);
        let mut changed = !fired.is_empty();
        for fault in fired {
            self.apply_fault(&fault, now);
        }
        changed |= self.take_locks(now);
        changed | self.release(|hold| hold.until_ms.is_some_and(|until| until <= now))
    }

    /// What happens to a request; what happens to the world happens here.
    pub(crate) fn request_faults(&mut self, facts: &Facts<'_>, now: i64) -> RequestEffects {
        let mut effects = RequestEffects::default();
        for fault in self.faults.at_request(facts) {
            effects.latency_ms = effects.latency_ms.saturating_add(fault.latency_ms.unwrap_or(0));
            if let (None, Some(hold)) = (&effects.hold, &fault.hold) {
                let of = fault.id.clone().unwrap_or_default();
                effects.hold = Some(HeldBack { of, when: hold.when, come: false, until_ms: None });
            }
            effects.drop = effects.drop.or(fault.drop);
            effects.no_upid = effects.no_upid.or(fault.no_upid);
            if let (None, Some(answer)) = (&effects.answer, &fault.answer) {
                effects.answer = Some((answer.status, answer.reason.clone(), answer.when));
            }
            self.apply_fault(&fault, now);
        }
        effects
    }

    /// What happens to a task before a stage.
    pub(crate) fn stage_faults(
        &mut self,
        facts: &TaskFacts<'_>,
        stage: u32,
        now: i64,
    ) -> TaskEffect {
        if let Some(exit) = self.faults.doomed(facts.key) {
            return TaskEffect::Fail(exit);
        }
        let mut effect = TaskEffect::None;
        for fault in self.faults.at_stage(facts, stage) {
            self.apply_fault(&fault, now);
            match (&effect, fault.fail, fault.latency_ms) {
                (TaskEffect::Fail(_), ..) => {}
                (_, Some(exit), _) => effect = TaskEffect::Fail(exit),
                _ if fault.hang => {
                    self.hang(fault.id.as_deref().unwrap_or_default(), facts.key);
                    effect = TaskEffect::Hang;
                }
                (TaskEffect::Hang, ..) => {}
                (_, None, Some(ms)) => {
                    effect = TaskEffect::Delay(i64::try_from(ms).unwrap_or(i64::MAX));
                }
                _ => {}
            }
        }
        effect
    }

    /// A stage is to take `ms`: how long until the task fails instead, if a rule says so.
    pub(crate) fn wait_faults(&mut self, facts: &TaskFacts<'_>, ms: i64, now: i64) -> Option<i64> {
        let (fault, after) = self.faults.at_wait(facts, ms)?;
        self.apply_fault(&fault, now);
        Some(after)
    }

    fn apply_fault(&mut self, fault: &Fault, now: i64) {
        let of = fault.id.clone().unwrap_or_default();
        if let Some(change) = &fault.node {
            self.set_node_online(&change.name, change.online);
            if let Some(until) = deadline(now, change.for_ms) {
                let what = Held::Node { name: change.name.clone(), online: !change.online };
                self.hold(&of, Some(until), what);
            }
        }
        if let Some(loss) = &fault.quorum_loss {
            self.hold(&of, deadline(now, loss.for_ms), Held::Quorum);
        }
        if let Some(lock) = &fault.lock {
            self.hold_locks(&of, lock);
            self.take_locks(now);
        }
        if let Some(full) = &fault.full {
            self.fill(&of, full, now);
        }
        self.revision += 1;
    }

    pub(super) fn hold(&mut self, of: &str, until_ms: Option<i64>, what: Held) {
        let last = self.faults.holds.iter().map(|hold| hold.holder).max().unwrap_or(FIRST_HOLDER);
        self.faults.holds.push(Hold { of: of.to_owned(), until_ms, what, holder: last + 1 });
    }

    fn hold_locks(&mut self, of: &str, wanted: &LockHold) {
        let for_ms = Some(i64::try_from(wanted.for_ms).unwrap_or(i64::MAX));
        if let Some(vmid) = wanted.vmid {
            self.hold(of, None, Held::Lock { lock: LockName::Config(vmid), for_ms });
        }
        let Some(storage) = &wanted.storage else { return };
        if self.storages.get(storage).is_some_and(|storage| storage.shared) {
            let lock = LockName::SharedStorage(storage.clone());
            self.hold(of, None, Held::Lock { lock, for_ms });
            return;
        }
        let nodes: Vec<String> = self.nodes.keys().cloned().collect();
        for node in
            nodes.into_iter().filter(|node| wanted.node.as_ref().is_none_or(|own| own == node))
        {
            let lock = LockName::Storage(storage.clone(), node);
            self.hold(of, None, Held::Lock { lock, for_ms });
        }
    }

    /// Takes the locks that are to be held and were not to be had so far; a world that was loaded
    /// takes them again.
    fn take_locks(&mut self, now: i64) -> bool {
        let mut changed = false;
        for hold in &mut self.faults.holds {
            let Held::Lock { lock, for_ms } = &mut hold.what else { continue };
            if !self.locks.take(lock, true, hold.holder) {
                continue;
            }
            if let Some(ms) = for_ms.take() {
                hold.until_ms = Some(now.saturating_add(ms));
                changed = true;
            }
        }
        changed
    }

    fn fill(&mut self, of: &str, full: &StorageFull, now: i64) {
        let Some(storage) = self.storages.get(&full.storage).cloned() else { return };
        let nodes: Vec<String> = self.nodes.keys().cloned().collect();
        for node in nodes.iter().filter(|node| full.node.as_ref().is_none_or(|own| own == *node)) {
            let place = Self::place(&storage, node);
            let free = storage.capacity.saturating_sub(self.used(&storage.id, node));
            let bytes = free.saturating_sub(full.free);
            self.hold(of, deadline(now, full.for_ms), Held::Ballast { place, bytes });
            if storage.shared {
                return;
            }
        }
    }

    /// Ends what is held in force.
    fn release(&mut self, ends: impl Fn(&Hold) -> bool) -> bool {
        let (gone, kept): (Vec<Hold>, Vec<Hold>) =
            std::mem::take(&mut self.faults.holds).into_iter().partition(ends);
        self.faults.holds = kept;
        for hold in &gone {
            match &hold.what {
                Held::Lock { .. } => self.locks.give_all(hold.holder),
                Held::Node { name, online } => {
                    self.set_node_online(name, *online);
                }
                Held::Task { key } => self.go_on(*key),
                Held::Quorum | Held::Ballast { .. } => {}
            }
        }
        if !gone.is_empty() {
            self.revision += 1;
        }
        !gone.is_empty()
    }
}
