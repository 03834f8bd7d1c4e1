//! Random graphs, bounds and failures: nothing exceeds a bound, everything is run once and in its
//! order, nothing stands still, and failures skip only what depends on them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::watch;
use tokio::time::Instant;

use super::fake::{Answer, Fake, Step, clone_from, go_with, ids, plan, steps};
use crate::execute::budget::needs;
use crate::execute::schedule::{Ended, Schedule};
use crate::execute::{Estimates, Event, Limits, Stop};
use crate::plan::{ActionId, ActionKind, Plan};

const NODES: [&str; 3] = ["pve1", "pve2", "pve3"];

fn step() -> impl Strategy<Value = Step> {
    (0..NODES.len(), 0..3_u8).prop_map(|(node, what)| match what {
        0 => ("pve1", clone_from(100), &["a"][..]),
        1 => (NODES[node], ActionKind::Destroy, &["a", "b"][..]),
        _ => (NODES[node], ActionKind::Start, &[][..]),
    })
}

/// Chains of guests, and further edges from a lower to a higher number.
fn any_plan() -> impl Strategy<Value = Plan> {
    let guests = prop::collection::vec(prop::collection::vec(step(), 1..4), 1..12);
    let edges = prop::collection::vec((0..40_u32, 0..40_u32), 0..12);
    (guests, edges).prop_map(|(guests, edges)| {
        let mut plan = plan(guests);
        for (one, other) in edges.into_iter().filter(|(one, other)| one != other) {
            plan.actions.order(ActionId(one.min(other)), ActionId(one.max(other)));
        }
        plan
    })
}

fn any_limits() -> impl Strategy<Value = Limits> {
    (1..6_usize, 1..4_usize, 1..4_usize, 1..3_usize, 0..4_u64).prop_map(
        |(total, per_node, per_storage, per_template, wait)| Limits {
            total,
            per_node,
            per_storage: Some(per_storage),
            per_template,
            lock_wait: Duration::from_secs(wait),
            ..Limits::default()
        },
    )
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        6 => (0..30_u64).prop_map(Answer::Task),
        2 => Just(Answer::Busy),
        1 => Just(Answer::Done),
        1 => Just(Answer::Refused),
        1 => Just(Answer::TaskFails),
        1 => Just(Answer::Lost),
    ]
}

/// All that depends on these, by whatever way.
fn behind(plan: &Plan, from: impl IntoIterator<Item = ActionId>) -> BTreeSet<ActionId> {
    let mut reach: Vec<ActionId> = from.into_iter().collect();
    let mut behind = BTreeSet::new();
    while let Some(id) = reach.pop() {
        reach.extend(plan.actions.unlocks(id).into_iter().filter(|next| behind.insert(*next)));
    }
    behind
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_walk_is_a_good_one(
        plan in any_plan(),
        limits in any_limits(),
        answers in prop::collection::vec(prop::collection::vec(answer(), 0..3), 40),
    ) {
        let fake = Fake::default();
        for (id, answers) in (0..).zip(&answers) {
            fake.answer(id, answers);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let (_stop, stopped) = watch::channel(Stop::Go);
        let ran = runtime.block_on(async {
            let run = go_with(&fake, &plan, &limits, &[], stopped);
            tokio::time::timeout(Duration::from_secs(86_400), run).await.expect("it ends")
        });
        let report = ran.report;
        let count = report.done.len() + report.failed.len() + report.skipped.len();
        prop_assert_eq!(count, plan.actions.len(), "each has one end");
        let skipped: BTreeSet<ActionId> = report.skipped.keys().copied().collect();
        prop_assert_eq!(&skipped, &behind(&plan, report.failed.keys().copied()));
        prop_assert_eq!(ran.events.iter().filter(|e| matches!(e, Event::Started { .. })).count(),
            report.done.len() + report.failed.len());
        for resource in ["total", "node pve1", "node pve2", "storage a", "storage b", "template 100"] {
            let bound = match resource {
                "total" => limits.total,
                "template 100" => limits.per_template,
                _ if resource.starts_with("node") => limits.per_node,
                _ => limits.per_storage.unwrap(),
            };
            prop_assert!(fake.most(resource) <= bound, "{resource}");
        }
        // Once something is sent, all before it has succeeded.
        let mut over = BTreeSet::new();
        for line in fake.lines() {
            if let Some(id) = line.strip_prefix("send #") {
                let id = ActionId(id.parse().unwrap());
                prop_assert!(plan.actions.needs(id).iter().all(|need| over.contains(need)), "{id}");
            }
            if let Some(id) = line.strip_suffix(" true").and_then(|l| l.strip_prefix("journal end #")) {
                prop_assert!(over.insert(ActionId(id.parse().unwrap())), "{id} twice");
            }
        }
    }
}

/// What is held back is not looked at again for each thing that happens.
#[test]
fn the_scheduler_costs_little() {
    let looks = |guests: usize| {
        let clone: Step = ("pve1", clone_from(100), &["a"]);
        let chain = |n: usize| vec![clone.clone(), (NODES[n % 3], ActionKind::Start, &[][..])];
        let plan = plan((0..guests).map(chain).collect());
        let (limits, estimates) = (Limits::default(), Estimates::default());
        let mut schedule = Schedule::new(&plan, &limits, &estimates);
        let ready = plan.actions.iter().filter(|a| plan.actions.needs(a.id).is_empty());
        ready.for_each(|action| schedule.ready(action.id));
        let (mut now, mut held) = (Instant::now(), 0_usize);
        let mut flying = std::collections::VecDeque::new();
        let mut done = 0;
        while done < plan.actions.len() {
            while let Some(action) = schedule.next(now) {
                flying.push_back(action);
            }
            schedule.held(now, &mut |_| held += 1);
            let Some(action) = flying.pop_front() else { panic!("nothing runs") };
            now += Duration::from_millis(100);
            schedule.end(action, Ended::Well, now, &mut |_| {});
            plan.actions.unlocks(action.id).into_iter().for_each(|next| schedule.ready(next));
            done += 1;
        }
        let most: usize = plan.actions.iter().map(|action| needs(&plan, action).len()).sum();
        assert!(held <= most, "{held} were told to be held back, of {most}");
        schedule.looks
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _context = runtime.enter();
    let (small, large) = (looks(500), looks(5_000));
    assert!(large <= small * 12, "{small} for 1,000 actions, {large} for 10,000");
    assert!(large < 10_000 * 16, "{large}");
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_is_told_once() {
    let fake = Fake::default();
    let (_stop, stopped) = watch::channel(Stop::Go);
    let limits = Limits { per_node: 1, ..Limits::default() };
    let ran = go_with(&fake, &plan(vec![steps(1); 5]), &limits, &[], stopped).await;
    let held = ran.events.iter().filter_map(|event| match event {
        Event::Held { action, by } => Some((action.0, by.to_string())),
        _ => None,
    });
    let expected: Vec<_> = (1..5).map(|id| (id, "node pve1".to_owned())).collect();
    assert_eq!(held.collect::<Vec<_>>(), expected);
}

/// Nobody waits at a storage of another node.
#[tokio::test(start_paused = true)]
async fn storages_of_nodes_are_bound_each_by_itself() {
    let fake = Fake::default();
    let on = |node: &'static str| -> Vec<Step> { vec![(node, ActionKind::Destroy, &["local"])] };
    let mut plan = plan(vec![on("pve1"), on("pve2"), on("pve1"), on("pve2")]);
    let limits = Limits { per_storage: Some(1), ..Limits::default() };
    for (shared, seconds) in [(false, 20.0), (true, 40.0)] {
        let store = crate::plan::Store { shared, plugin: "dir".to_owned() };
        plan.storages = BTreeMap::from([("local".to_owned(), store)]);
        let (_stop, stopped) = watch::channel(Stop::Go);
        let ran = go_with(&fake, &plan, &limits, &[], stopped).await;
        assert_eq!(ran.seconds.round(), seconds, "shared: {shared}");
    }
}

/// A refusal that names the lock of a storage lowers its bound; once all goes well it is raised.
#[tokio::test(start_paused = true)]
async fn a_lock_that_was_not_to_be_had_lowers_the_bound() {
    let fake = Fake::default();
    fake.answer(0, &[Answer::LockTimeout("a"), Answer::Done]);
    fake.answer(1, &[Answer::LockTimeout("other"), Answer::Done]);
    let destroy: Step = ("pve1", ActionKind::Destroy, &["a"]);
    let (_stop, stopped) = watch::channel(Stop::Go);
    let plan = plan(vec![vec![destroy]; 200]);
    let ran = go_with(&fake, &plan, &Limits::default(), &[], stopped).await;
    let bounds: Vec<_> = ran
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Bound { resource, limit, .. } => Some((resource.to_string(), *limit)),
            _ => None,
        })
        .collect();
    assert_eq!(ids(ran.report.done).len(), 200);
    assert_eq!(bounds.first(), Some(&("storage a".to_owned(), 4)), "{bounds:?}");
}
