//! A scripted cluster and a scripted history, which write into one log.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

use crate::address::Address;
use crate::execute::{Context, Estimates, Event, History, Limits, Patience, Report, Stop, run};
use crate::live::{Guest, GuestRef, Ha, Inventory, Properties};
use crate::plan::{
    Action, ActionGraph, ActionId, ActionKind, Change, Effect, Facts, Intent, Plan, Precondition,
    Reason, Verb,
};
use crate::provider::{
    Begun, Comparison, ErrorClass, GuestKind, HaComparison, HaRule, ProviderError, Reader, Seen,
    TaskEnd, Volume, Wanted, Writer,
};
use crate::state::{Record, Remembered, StateError};

/// What the cluster answers to one request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    /// Done at once.
    Done,
    /// A task of so many seconds.
    Task(u64),
    /// A task that fails after ten seconds.
    TaskFails,
    /// A task that never ends.
    Hold,
    /// A lock is held.
    Busy,
    /// The lock of this storage was not to be had in time.
    LockTimeout(&'static str),
    /// Refused.
    Refused,
    /// The guest is not there.
    Missing,
    /// The answer is lost.
    Lost,
    /// What is to be made is there.
    Exists,
    /// A task that cannot be watched to its end.
    TaskLost,
}

/// Something that happens to the cluster meanwhile.
pub(super) type Interference = Box<dyn Fn(&Fake) + Send>;

#[derive(Default)]
pub(super) struct Fake {
    /// Answers by action; ten-second tasks when there are no more.
    pub(super) script: Mutex<BTreeMap<u32, VecDeque<Answer>>>,
    pub(super) guests: Mutex<BTreeMap<u32, Guest>>,
    pub(super) log: Arc<Mutex<Vec<String>>>,
    /// In flight by resource, now and at most.
    flying: Mutex<BTreeMap<String, (usize, usize)>>,
    tasks: Mutex<BTreeMap<String, (Action, Answer)>>,
    /// What looks at an action show; unclear when there are no more.
    pub(super) looks: Mutex<BTreeMap<u32, VecDeque<Seen>>>,
    /// Digests that went with requests, in order.
    pub(super) digests: Mutex<Vec<Option<String>>>,
    /// Told before each answer.
    pub(super) before: Mutex<Option<Interference>>,
}

impl Fake {
    pub(super) fn answer(&self, action: u32, answers: &[Answer]) {
        self.script.lock().unwrap().insert(action, answers.iter().copied().collect());
    }

    pub(super) fn show(&self, action: u32, seen: &[Seen]) {
        self.looks.lock().unwrap().insert(action, seen.iter().cloned().collect());
    }

    pub(super) fn say(&self, line: String) {
        self.log.lock().unwrap().push(line);
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Numbers of the actions that were sent, in order.
    pub(super) fn sent(&self) -> Vec<u32> {
        let sent = |line: &String| line.strip_prefix("send #").and_then(|n| n.parse().ok());
        self.lines().iter().filter_map(sent).collect()
    }

    /// The most that was in flight at once: `total`, `node pve1`, `storage s`, `template 100`.
    pub(super) fn most(&self, resource: &str) -> usize {
        self.flying.lock().unwrap().get(resource).map_or(0, |(_, most)| *most)
    }

    fn fly(&self, action: &Action, up: bool) {
        let mut resources = vec!["total".to_owned(), format!("node {}", action.node)];
        resources.extend(action.storages.iter().map(|s| format!("storage {s}")));
        if let ActionKind::Clone { source, .. } = action.kind {
            resources.push(format!("template {source}"));
        }
        let mut flying = self.flying.lock().unwrap();
        for resource in resources {
            let (now, most) = flying.entry(resource).or_default();
            *now = if up { *now + 1 } else { *now - 1 };
            *most = (*most).max(*now);
        }
    }
}

fn error(class: ErrorClass) -> ProviderError {
    ProviderError::new(class, format!("{class:?}"))
}

impl Reader for Fake {
    async fn inventory(&self) -> Result<Inventory, ProviderError> {
        Ok(Inventory::default())
    }

    async fn guests(&self, wanted: &[GuestRef], _: bool) -> Result<Vec<Guest>, ProviderError> {
        let guests = self.guests.lock().unwrap();
        let here = |r: &GuestRef| guests.get(&r.vmid).filter(|g| g.node == r.node).cloned();
        Ok(wanted.iter().filter_map(here).collect())
    }

    async fn ha(&self) -> Result<Ha, ProviderError> {
        Ok(Ha::default())
    }
}

impl Writer for Fake {
    async fn begin(&self, action: &Action, digest: Option<&str>) -> Result<Begun, ProviderError> {
        self.say(format!("send {}", action.id));
        self.digests.lock().unwrap().push(digest.map(str::to_owned));
        if let Some(before) = &*self.before.lock().unwrap() {
            before(self);
        }
        let scripted =
            self.script.lock().unwrap().get_mut(&action.id.0).and_then(VecDeque::pop_front);
        let answer = scripted.unwrap_or(Answer::Task(10));
        match answer {
            Answer::Done => return Ok(Begun::Done),
            Answer::Busy => return Err(error(ErrorClass::Busy)),
            Answer::LockTimeout(storage) => {
                let text = format!("cfs-lock 'storage-{storage}' error: got lock request timeout");
                return Err(ProviderError::new(ErrorClass::Busy, text));
            }
            Answer::Refused => return Err(error(ErrorClass::Refused)),
            Answer::Missing => return Err(error(ErrorClass::Missing)),
            Answer::Lost => return Err(error(ErrorClass::OutcomeUnknown)),
            Answer::Exists => return Err(error(ErrorClass::Exists)),
            Answer::Task(_) | Answer::TaskFails | Answer::Hold | Answer::TaskLost => {}
        }
        self.fly(action, true);
        let upid = format!("UPID:{}", action.id.0);
        self.tasks.lock().unwrap().insert(upid.clone(), (action.clone(), answer));
        Ok(Begun::Task(upid))
    }

    async fn look(&self, action: &Action, _: i64) -> Result<Seen, ProviderError> {
        self.say(format!("look {}", action.id));
        let mut looks = self.looks.lock().unwrap();
        let next = looks.get_mut(&action.id.0).and_then(VecDeque::pop_front);
        Ok(next.unwrap_or_else(|| Seen::Unclear("nobody knows".to_owned())))
    }

    async fn wait(&self, upid: &str, _: Duration) -> Result<TaskEnd, ProviderError> {
        let found = self.tasks.lock().unwrap().remove(upid);
        let Some((action, answer)) = found else {
            // One that a look named.
            self.say(format!("wait {upid}"));
            return match upid {
                "UPID:bad" => Err(error(ErrorClass::Failed)),
                "UPID:lost" => Err(error(ErrorClass::OutcomeUnknown)),
                _ => Ok(TaskEnd { warnings: 0 }),
            };
        };
        let seconds = match answer {
            Answer::Task(seconds) => seconds,
            Answer::Hold => std::future::pending().await,
            _ => 10,
        };
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        self.fly(&action, false);
        self.say(format!("over {}", action.id));
        match answer {
            Answer::TaskFails => Err(error(ErrorClass::Failed)),
            Answer::TaskLost => Err(ProviderError {
                upid: Some(upid.to_owned()),
                ..error(ErrorClass::OutcomeUnknown)
            }),
            _ => Ok(TaskEnd { warnings: 0 }),
        }
    }
}

/// A guest's identity is its config key `uuid`.
pub(super) struct Kind;

impl GuestKind for Kind {
    fn identity_of(&self, guest: &Guest) -> Option<Uuid> {
        guest.config.get("uuid").and_then(|text| Uuid::try_parse(text).ok())
    }

    fn volumes(&self, _: &Guest) -> Vec<Volume> {
        Vec::new()
    }

    fn clone_of(&self, template: &Guest, _: &str, _: &str, _: Option<&str>) -> Guest {
        template.clone()
    }

    fn with_disk(&self, guest: &Guest, _: &str, _: &str) -> Guest {
        guest.clone()
    }

    fn keeper(&self, _: &str, _: Uuid, _: &str, _: &str) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    fn can_reassign(&self, _: &str) -> bool {
        true
    }

    fn create(&self, _: &Wanted<'_>, _: &Guest) -> Comparison {
        Comparison::default()
    }

    fn compare(&self, _: &Wanted<'_>, _: &Guest) -> Comparison {
        Comparison::default()
    }

    fn compare_ha(
        &self,
        _: &crate::desired::Ha,
        _: &std::collections::BTreeSet<String>,
        _: Option<&Properties>,
        _: bool,
    ) -> HaComparison {
        HaComparison::default()
    }

    fn compare_rule(&self, _: &HaRule<'_>, _: Option<&Properties>) -> HaComparison {
        HaComparison::default()
    }
}

/// Writes into the fake's log; refuses what begins with one of the given texts.
pub(super) struct Log {
    pub(super) log: Arc<Mutex<Vec<String>>>,
    pub(super) refuse: Vec<&'static str>,
}

impl Log {
    fn write(&self, line: String) -> Result<(), StateError> {
        if self.refuse.iter().any(|text| line.starts_with(text)) {
            let source = std::io::Error::other("disk full");
            return Err(StateError::Io { path: "journal".into(), source });
        }
        self.log.lock().unwrap().push(line);
        Ok(())
    }
}

impl History for Log {
    fn begins(&mut self, _: &Plan, _: &Change) -> Result<(), StateError> {
        Ok(())
    }

    fn record(&mut self, _: &Change, record: &Record) -> Result<(), StateError> {
        self.write(match record {
            Record::Begin { action, .. } => format!("journal begin {}", action.id),
            Record::Task { action, .. } => format!("journal task #{action}"),
            Record::End { action, ok } => format!("journal end #{action} {ok}"),
            Record::Closed => "journal closed".to_owned(),
        })
    }

    fn settled(&mut self, _: &Plan, change: &Change) -> Result<(), StateError> {
        self.write(format!("settled {}", change.address))
    }
}

pub(super) fn clone_from(source: u32) -> ActionKind {
    ActionKind::Clone {
        source,
        full: true,
        storage: None,
        target: None,
        name: "x".to_owned(),
        note: "x".to_owned(),
        pool: None,
    }
}

pub(super) fn configure() -> ActionKind {
    let set = BTreeMap::from([("cores".to_owned(), "2".to_owned())]);
    ActionKind::Configure { set, delete: Vec::new(), background: false }
}

/// One step of a guest: node, what, storages.
pub(in crate::execute) type Step = (&'static str, ActionKind, &'static [&'static str]);

/// Starts on one node, as many as are asked for.
pub(in crate::execute) fn steps(count: usize) -> Vec<Step> {
    vec![("pve1", ActionKind::Start, &[]); count]
}

/// A plan of guests `k3s/g0`, `k3s/g1`, … with VMIDs 1000, 1001, …, each a chain of steps.
pub(in crate::execute) fn plan(guests: Vec<Vec<Step>>) -> Plan {
    let mut actions = ActionGraph::default();
    let mut changes = Vec::new();
    for (n, chain) in guests.into_iter().enumerate() {
        let address = Address::new("k3s", format!("g{n}"));
        let vmid = 1000 + u32::try_from(n).unwrap();
        let mut ids: Vec<ActionId> = Vec::new();
        for (node, kind, storages) in chain {
            let id = actions.add(Action {
                id: ActionId(0),
                address: address.clone(),
                vmid,
                node: node.to_owned(),
                kind,
                reason: Reason::new("test", "test"),
                effect: Effect::Live,
                preconditions: vec![Precondition::VmidFree],
                storages: storages.iter().map(|s| (*s).to_owned()).collect(),
            });
            if let Some(before) = ids.last() {
                actions.order(*before, id);
            }
            ids.push(id);
        }
        changes.push(Change {
            address,
            verb: Verb::Change,
            vmid,
            node: "pve1".to_owned(),
            target: None,
            running: false,
            facts: Facts::default(),
            attributes: Vec::new(),
            effect: Effect::Live,
            reason: "test".to_owned(),
            position: None,
            on_failure: crate::desired::OnFailure::Keep,
            actions: ids,
        });
    }
    let outcomes = changes.iter().map(|c| (c.address.clone(), Remembered::default())).collect();
    Plan { changes, actions, outcomes, ..Plan::new(Intent::Apply, "lab") }
}

/// A run and what it said.
pub(super) struct Ran {
    pub(super) report: Report,
    pub(super) events: Vec<Event>,
    pub(super) seconds: f32,
}

/// Runs with ample limits and a healthy journal.
pub(super) async fn go(fake: &Fake, plan: &Plan) -> Ran {
    let limits = Limits { per_storage: Some(99), ..Limits::default() };
    let (_stop, stopped) = watch::channel(Stop::Go);
    go_with(fake, plan, &limits, &[], stopped).await
}

pub(super) async fn go_with(
    fake: &Fake,
    plan: &Plan,
    limits: &Limits,
    refuse: &[&'static str],
    stop: watch::Receiver<Stop>,
) -> Ran {
    let events = Mutex::new(Vec::new());
    let sink = |event: &Event| events.lock().unwrap().push(event.clone());
    let patience = Patience::default();
    let estimates = Estimates::default();
    let context = Context {
        plan,
        writer: fake,
        kind: &Kind,
        limits,
        patience: &patience,
        estimates: &estimates,
        sink: &sink,
        now: || 0,
    };
    let mut history = Log { log: Arc::clone(&fake.log), refuse: refuse.to_vec() };
    let begun = tokio::time::Instant::now();
    let report = run(&context, &mut history, stop).await;
    let seconds = begun.elapsed().as_secs_f32();
    Ran { report, events: events.into_inner().unwrap(), seconds }
}

pub(super) fn ids(ids: impl IntoIterator<Item = ActionId>) -> Vec<u32> {
    ids.into_iter().map(|id| id.0).collect()
}
