//! Every key of the schema's table: set, changed and removed, on a stopped and on a running guest.
//! Each step is followed by an empty plan, and the effect that the plan named is the one that
//! happened.

use std::collections::BTreeMap;

use pvx_core::plan::{Effect, Intent, Plan, Weight};
use pvx_core::planner::Options;
use pvx_core::schema::{self, KEYS, Key};
use pvx_core::state::Memory;
use pvx_sim::World;

use crate::harness::Lab;

/// What a key needs beside it: other keys of the same document.
fn beside(key: &Key) -> &'static str {
    match (key.name, key.slots) {
        ("vcpus", _) => "cores: 4\n",
        ("numa", 8) => "numa: true\ncores: 2\nmemory: 2048\n",
        _ => "",
    }
}

/// One key of one guest.
struct Case {
    key: &'static Key,
    /// `usb0`
    name: String,
    /// The guest.
    guest: String,
    /// Values that no root is needed for.
    examples: Vec<&'static str>,
}

fn cases() -> Vec<Case> {
    let plain = |key: &&Key| !key.is_root_only();
    let case = |(index, key): (usize, &'static Key)| {
        let name = if key.slots == 0 { key.name.to_owned() } else { format!("{}0", key.name) };
        let examples = key.examples.into_iter().filter(|e| !schema::needs_root(&name, e));
        let examples = examples.collect();
        Case { key, name, guest: format!("vm{index:02}"), examples }
    };
    KEYS.iter().filter(plain).enumerate().map(case).collect()
}

fn document(case: &Case, value: Option<&str>, power: &str) -> String {
    let (guest, beside) = (&case.guest, beside(case.key));
    let said = value.map(|value| format!("{}: {value}\n", case.name)).unwrap_or_default();
    format!(
        "kind: vm\nname: {guest}\nnode: pve1\nstorage: local-lvm\npower: {power}\ndisks: {{ scsi0: 1G }}\n\
         networks: {{ net0: vmbr0 }}\n{beside}{said}---\n"
    )
}

/// A guest's stored values with pending ones merged in, and the keys that wait.
struct Observed {
    config: BTreeMap<String, String>,
    pending: Vec<String>,
    running: bool,
}

fn observe(lab: &Lab, guest: &str) -> Observed {
    let world = lab.sim.world();
    let found = world.guests().find(|g| g.config.get("name").is_some_and(|n| n == guest)).unwrap();
    let pending = found.pending.keys().chain(found.pending_delete.keys()).cloned().collect();
    Observed { config: found.config.clone(), pending, running: found.running.is_some() }
}

struct Run {
    lab: Lab,
    memory: Memory,
    power: &'static str,
}

impl Run {
    async fn start(power: &'static str) -> Self {
        Self { lab: Lab::start(World::lab()).await, memory: Memory::default(), power }
    }

    /// Applies all guests at once, each with the value that `choose` gives its key.
    async fn step(&mut self, cases: &[Case], choose: impl Fn(&Case) -> Option<&'static str>) {
        let text: String = cases.iter().map(|c| document(c, choose(c), self.power)).collect();
        let documents = self.lab.documents(&[("all.yaml", text)]);
        let options = Options::default();
        let plan = self.lab.plan_with(&documents, Intent::Apply, &options, &self.memory).await;
        let errors: Vec<_> = plan.findings.iter().filter(|f| f.weight == Weight::Error).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        self.lab.carry_out(&plan).await;
        for (address, remembered) in &plan.outcomes {
            self.memory.insert(address.clone(), remembered.clone());
        }
        let again = self.lab.plan_with(&documents, Intent::Apply, &options, &self.memory).await;
        assert!(again.is_empty(), "{} {:#?}", self.power, again.changes);
        let wrong = self.wrong_effects(cases, &plan);
        assert!(wrong.is_empty(), "{} guests: {wrong:#?}", self.power);
    }

    /// Attributes whose effect is not the one that happened.
    fn wrong_effects(&self, cases: &[Case], plan: &Plan) -> Vec<String> {
        let mut wrong = Vec::new();
        for change in &plan.changes {
            let case = cases.iter().find(|case| case.guest == change.address.guest()).unwrap();
            let after = observe(&self.lab, &case.guest);
            assert_eq!(after.running, self.power == "running", "{}", case.name);
            for attribute in &change.attributes {
                let waits = after.pending.contains(&case.name);
                let seen = if waits { Effect::Pending } else { Effect::Live };
                if attribute.effect != seen {
                    let (before, after) = (&attribute.before, &attribute.after);
                    wrong.push(format!(
                        "{} {before:?} → {after:?}: {:?}, but it was {seen:?}",
                        case.name, attribute.effect
                    ));
                }
            }
        }
        wrong
    }
}

async fn all(power: &'static str) {
    let cases = cases();
    let mut run = Run::start(power).await;
    run.step(&cases, |_| None).await;
    run.step(&cases, |case| case.examples.first().copied()).await;
    run.step(&cases, |case| case.examples.get(1).or(case.examples.first()).copied()).await;
    run.step(&cases, |_| None).await;
    for case in &cases {
        let left = observe(&run.lab, &case.guest);
        let said = beside(case.key).contains(&format!("{}:", case.name));
        // A key that waits to go is still stored for the guest that runs.
        let gone = !left.config.contains_key(&case.name) || left.pending.contains(&case.name);
        assert!(said || gone, "{} is still {:?}", case.name, left.config.get(&case.name));
    }
    run.lab.sim.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_stopped_guests() {
    all("stopped").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_running_guests() {
    all("running").await;
}
