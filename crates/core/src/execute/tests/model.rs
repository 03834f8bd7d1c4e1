//! The executor against a model of a cluster with locks that are waited for 10 s, on paused time:
//! how close to the best possible time it comes.

mod cluster;
mod guests;

use std::collections::BTreeMap;

use cluster::{Cluster, Speed};
use guests::{Plans, bound};
use tokio::sync::watch;

use super::fake::{Kind, Log};
use crate::execute::{Context, Estimates, Event, Limits, Outcome, Patience, Report, Stop, run};
use crate::plan::Plan;
use crate::state::Durations;

struct Ran {
    report: Report,
    seconds: f64,
    events: Vec<Event>,
}

impl Ran {
    fn refused(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Waiting { .. })).count()
    }
}

async fn carry_out(cluster: &Cluster, plan: &Plan, known: &Durations) -> Ran {
    let events = std::sync::Mutex::new(Vec::new());
    let sink = |event: &Event| events.lock().unwrap().push(event.clone());
    let (_stop, stopped) = watch::channel(Stop::Go);
    let context = Context {
        plan,
        writer: cluster,
        kind: &Kind,
        limits: &Limits::default(),
        patience: &Patience::default(),
        estimates: &Estimates::new(plan, known.clone()),
        sink: &sink,
        now: || 0,
    };
    let mut history = Log { log: std::sync::Arc::default(), refuse: Vec::new() };
    let begun = tokio::time::Instant::now();
    let report = run(&context, &mut history, stopped).await;
    let seconds = begun.elapsed().as_secs_f64();
    Ran { report, seconds, events: events.into_inner().unwrap() }
}

fn plans() -> BTreeMap<&'static str, Plan> {
    BTreeMap::from([
        ("linked", Plans::default().linked(100).plan()),
        ("full", Plans::default().full(100).plan()),
        ("destroy", Plans::default().destroy(200).plan()),
        ("mixed", Plans::default().linked(60).full(20).change(60).moves(20).destroy(40).plan()),
    ])
}

#[tokio::test(start_paused = true)]
async fn with_true_estimates_it_is_as_fast_as_can_be() {
    for (name, plan) in plans() {
        let cluster = Cluster::new(&plan, Speed::default());
        let ran = carry_out(&cluster, &plan, &Durations::default()).await;
        let bound = bound(&cluster, &plan);
        assert_eq!(ran.report.outcome(), Outcome::Complete, "{name}");
        assert!(ran.seconds / bound <= 1.10, "{name}: {:.1} s, {bound:.1} s at best", ran.seconds);
        assert_eq!(ran.refused(), 0, "{name}");
        assert!(cluster.longest_wait() < 6.0, "{name}: {:.1} s", cluster.longest_wait());
    }
}

#[tokio::test(start_paused = true)]
async fn estimates_that_are_wrong_by_ten_are_corrected() {
    for factor in [10.0, 0.1] {
        for (name, plan) in plans() {
            let cluster = Cluster::new(&plan, Speed { locks: factor, ..Speed::default() });
            let ran = carry_out(&cluster, &plan, &Durations::default()).await;
            let ratio = ran.seconds / bound(&cluster, &plan);
            assert_eq!(ran.report.outcome(), Outcome::Complete, "{name} {factor}");
            // Of copies it is seen only when they end how long the lock was held.
            assert!(ratio <= 2.5, "{name} {factor}: {ratio:.2}");

            let mut known = Durations::default();
            ran.report.teach(&mut known);
            let cluster = Cluster::new(&plan, Speed { locks: factor, ..Speed::default() });
            let again = carry_out(&cluster, &plan, &known).await;
            assert!(again.refused() <= ran.refused(), "{name} {factor}");
        }
    }
}
