//! The rules of a world: what they counted, and what of theirs is in force.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Fault, Requests, TaskPoint, When, glob};
use crate::world::lock::LockName;

/// A rule and what it did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultState {
    /// The rule; its id is always there.
    #[serde(flatten)]
    pub fault: Fault,
    /// How many requests, task points or moments it matched.
    #[serde(default)]
    pub matched: u64,
    /// How often it fired.
    #[serde(default)]
    pub fired: u64,
    /// How many requests or tasks came to the point at which it holds them.
    #[serde(default)]
    pub held: u64,
    /// Sim ms at which it was added.
    #[serde(default)]
    pub added_ms: i64,
}

/// What a rule looks at in a request.
pub(crate) struct Facts<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) template: &'a str,
    pub(crate) node: Option<&'a str>,
    pub(crate) vmid: Option<u32>,
    pub(crate) caller: &'a str,
}

/// What a rule looks at in a task.
pub(crate) struct TaskFacts<'a> {
    pub(crate) key: u64,
    pub(crate) kind: &'a str,
    pub(crate) node: &'a str,
    pub(crate) vmid: Option<u32>,
    pub(crate) caller: &'a str,
}

/// What happens to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestEffects {
    /// Real milliseconds.
    pub(crate) latency_ms: u64,
    pub(crate) hold: Option<HeldBack>,
    pub(crate) drop: Option<When>,
    /// Status, reason.
    pub(crate) answer: Option<(u16, Option<String>, When)>,
    pub(crate) no_upid: Option<When>,
}

/// A request that a rule holds, or will hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldBack {
    /// Id of the rule.
    pub(crate) of: String,
    pub(crate) when: When,
    /// Whether it has come to that point.
    pub(crate) come: bool,
    /// Sim ms at which it goes on; none for when the rule is gone.
    pub(crate) until_ms: Option<i64>,
}

/// Something that a rule keeps in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hold {
    /// Id of the rule.
    pub(crate) of: String,
    /// Sim ms; none for as long as the rule is there.
    pub(crate) until_ms: Option<i64>,
    pub(crate) what: Held,
    /// The holder's number in the table of locks.
    pub(crate) holder: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Held {
    /// A lock; `for_ms` until it was to be had.
    Lock {
        lock: LockName,
        for_ms: Option<i64>,
    },
    /// A node whose state changes back.
    Node {
        name: String,
        online: bool,
    },
    Quorum,
    /// A task that stands still, by its number.
    Task {
        key: u64,
    },
    /// Bytes on a place, beside its volumes.
    Ballast {
        place: String,
        bytes: u64,
    },
}

/// What is remembered of a running task while there are rules for tasks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Progress {
    /// The last stage that was looked at.
    stage: Option<u32>,
    /// A stage of it took time.
    waited: bool,
    /// It fails at its next point with this text.
    exit: Option<String>,
}

/// All rules of a world.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Faults {
    #[serde(default)]
    pub(crate) rules: Vec<FaultState>,
    #[serde(default)]
    next: u64,
    #[serde(default)]
    pub(crate) holds: Vec<Hold>,
    #[serde(default)]
    progress: BTreeMap<u64, Progress>,
}

/// What happens to a task at a point.
pub(crate) enum TaskEffect {
    None,
    /// The stage is put off, sim ms.
    Delay(i64),
    /// Not before the rule is removed.
    Hang,
    Fail(String),
}

impl Faults {
    /// Adds a rule; its id. One of the same id is replaced.
    pub(crate) fn add(&mut self, mut fault: Fault, now: i64) -> String {
        let id = match fault.id.take().filter(|id| !id.is_empty()) {
            Some(id) => id,
            None => loop {
                self.next += 1;
                let id = format!("f{}", self.next);
                if self.rules.iter().all(|rule| rule.fault.id.as_ref() != Some(&id)) {
                    break id;
                }
            },
        };
        self.rules.retain(|rule| rule.fault.id.as_ref() != Some(&id));
        fault.id = Some(id.clone());
        self.rules.push(FaultState { fault, matched: 0, fired: 0, held: 0, added_ms: now });
        id
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.holds.is_empty()
    }

    pub(crate) fn quorum_lost(&self) -> bool {
        self.holds.iter().any(|hold| matches!(hold.what, Held::Quorum))
    }

    /// Bytes that fill a place beside its volumes.
    pub(crate) fn ballast(&self, place: &str) -> u64 {
        let on = self.holds.iter().filter_map(|hold| match &hold.what {
            Held::Ballast { place: own, bytes } if own == place => Some(*bytes),
            _ => None,
        });
        on.fold(0, u64::saturating_add)
    }

    /// The rules that fire at a request.
    pub(super) fn at_request(&mut self, facts: &Facts<'_>) -> Vec<Fault> {
        let fits = |fault: &Fault| fault.on.as_ref().is_some_and(|on| on.fits(facts));
        self.rules
            .iter_mut()
            .filter(|rule| fits(&rule.fault))
            .filter_map(FaultState::draw)
            .collect()
    }

    /// The rules that fire by themselves.
    pub(super) fn at_time(&mut self, now: i64) -> Vec<Fault> {
        let due =
            |rule: &&mut FaultState| rule.alone().is_some_and(|at| rule.matched == 0 && at <= now);
        self.rules.iter_mut().filter(due).filter_map(FaultState::draw).collect()
    }

    /// The next point in sim time at which something happens by itself.
    pub(crate) fn next_due(&self) -> Option<i64> {
        let rules = self.rules.iter().filter(|rule| rule.matched == 0);
        let holds = self.holds.iter().filter_map(|hold| hold.until_ms);
        rules.filter_map(FaultState::alone).chain(holds).min()
    }

    /// Whether any rule is for tasks.
    pub(crate) fn for_tasks(&self) -> bool {
        !self.progress.is_empty() || self.rules.iter().any(|rule| rule.fault.task.is_some())
    }

    /// The rules that fire before a stage; each stage is looked at once.
    pub(super) fn at_stage(&mut self, facts: &TaskFacts<'_>, stage: u32) -> Vec<Fault> {
        let progress = self.progress.entry(facts.key).or_default();
        if progress.stage == Some(stage) {
            return Vec::new();
        }
        progress.stage = Some(stage);
        let fits = |fault: &Fault| {
            fault.task.as_ref().is_some_and(|point| {
                point.percent.is_none() && point.stage.unwrap_or(0) == stage && point.fits(facts)
            })
        };
        self.rules
            .iter_mut()
            .filter(|rule| fits(&rule.fault))
            .filter_map(FaultState::draw)
            .collect()
    }

    /// A stage takes `ms`: the rule that ends it midway, and after how long.
    pub(super) fn at_wait(&mut self, facts: &TaskFacts<'_>, ms: i64) -> Option<(Fault, i64)> {
        let progress = self.progress.entry(facts.key).or_default();
        if progress.waited || ms <= 0 {
            return None;
        }
        progress.waited = true;
        for rule in &mut self.rules {
            let Some(point) = rule.fault.task.clone().filter(|point| point.fits(facts)) else {
                continue;
            };
            let Some(percent) = point.percent else { continue };
            if let Some(fault) = rule.draw() {
                let progress = self.progress.entry(facts.key).or_default();
                progress.exit = Some(fault.fail.clone().unwrap_or_default());
                return Some((fault, ms.saturating_mul(i64::from(percent)) / 100));
            }
        }
        None
    }

    /// The text that a task fails with now, when [`Faults::at_wait`] said so.
    pub(super) fn doomed(&mut self, key: u64) -> Option<String> {
        self.progress.get_mut(&key).and_then(|progress| progress.exit.take())
    }

    /// Forgets a task that ended.
    pub(crate) fn ended(&mut self, key: u64) {
        self.progress.remove(&key);
    }
}

impl FaultState {
    /// Whether it did something: what is held has come to that point.
    pub(crate) fn came(&self) -> bool {
        let holds = self.fault.hold.is_some() || self.fault.hang;
        if holds { self.held > 0 } else { self.fired > 0 }
    }

    /// When a rule without a trigger fires.
    fn alone(&self) -> Option<i64> {
        let (on, task) = (&self.fault.on, &self.fault.task);
        let after = i64::try_from(self.fault.after_ms.unwrap_or(0)).unwrap_or(i64::MAX);
        (on.is_none() && task.is_none()).then(|| self.added_ms.saturating_add(after))
    }

    /// Counts a match; the rule when it fires.
    fn draw(&mut self) -> Option<Fault> {
        self.matched += 1;
        let fault = &self.fault;
        if self.matched <= fault.skip || fault.times.is_some_and(|times| self.fired >= times) {
            return None;
        }
        if fault.probability.is_some_and(|share| share <= chance(fault.seed, self.matched)) {
            return None;
        }
        self.fired += 1;
        Some(self.fault.clone())
    }
}

/// A number from 0 up to 1 that depends on the seed and the number of the draw (SplitMix64).
fn chance(seed: u64, number: u64) -> f64 {
    let mut z = seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

fn caller_fits(wanted: Option<&str>, caller: &str) -> bool {
    // A rule for a user is for its tokens too.
    wanted.is_none_or(|wanted| wanted == caller || caller.split('!').next() == Some(wanted))
}

impl Requests {
    fn fits(&self, facts: &Facts<'_>) -> bool {
        let path = |pattern: &String| {
            glob::matches(pattern, facts.path) || glob::matches(pattern, facts.template)
        };
        self.method.as_deref().is_none_or(|method| method == facts.method)
            && self.path.as_ref().is_none_or(path)
            && (self.node.is_none() || self.node.as_deref() == facts.node)
            && (self.vmid.is_none() || self.vmid == facts.vmid)
            && caller_fits(self.caller.as_deref(), facts.caller)
    }
}

impl TaskPoint {
    fn fits(&self, facts: &TaskFacts<'_>) -> bool {
        self.kind.as_deref().is_none_or(|kind| kind == facts.kind)
            && self.node.as_deref().is_none_or(|node| node == facts.node)
            && (self.vmid.is_none() || self.vmid == facts.vmid)
            && caller_fits(self.caller.as_deref(), facts.caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts<'a>(method: &'a str, caller: &'a str) -> Facts<'a> {
        let (path, template) = ("/nodes/pve1/qemu/7/config", "/nodes/{node}/qemu/{vmid}/config");
        Facts { method, path, template, node: Some("pve1"), vmid: Some(7), caller }
    }

    #[test]
    fn matches_are_counted_and_skipped() {
        let mut faults = Faults::default();
        let rule = Fault::on("PUT", "/nodes/*/qemu/*/config").skip(1).times(2).latency(1);
        assert_eq!(faults.add(rule, 0), "f1");
        let fired: Vec<usize> =
            (0..5).map(|_| faults.at_request(&facts("PUT", "a@pve")).len()).collect();
        assert_eq!(fired, [0, 1, 1, 0, 0]);
        assert!(faults.at_request(&facts("GET", "a@pve")).is_empty());
        let rule = faults.rules.first().unwrap();
        assert_eq!((rule.matched, rule.fired), (5, 2));
    }

    #[test]
    fn callers_and_guests() {
        let rule = |caller: Option<&str>, vmid| Requests {
            caller: caller.map(str::to_owned),
            vmid,
            ..Requests::default()
        };
        for (rule, expected) in [
            (rule(None, None), true),
            (rule(Some("a@pve"), None), true),
            (rule(Some("a@pve!t"), None), true),
            (rule(Some("b@pve"), None), false),
            (rule(None, Some(7)), true),
            (rule(None, Some(8)), false),
        ] {
            assert_eq!(rule.fits(&facts("GET", "a@pve!t")), expected, "{rule:?}");
        }
    }

    #[test]
    fn draws_depend_on_seed_and_number_alone() {
        let draw = |seed| {
            let mut faults = Faults::default();
            faults.add(Fault::on("GET", "/**").sometimes(0.5, seed).latency(1), 0);
            (0..200).map(|_| faults.at_request(&facts("GET", "x")).len()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let fired: usize = draw(1).iter().sum();
        assert!((70..130).contains(&fired), "{fired}");
    }
}
