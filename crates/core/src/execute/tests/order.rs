//! Order, bounds, failures and retries.

use tokio::sync::watch;

use super::fake::{Answer, Fake, Ran, clone_from, go, go_with, ids, plan, steps};
use crate::execute::{Event, Limits, Outcome, Stop};
use crate::plan::{ActionId, ActionKind, HaChange};
use crate::provider::ErrorClass;

async fn limited(fake: &Fake, plan: &crate::plan::Plan, limits: Limits) -> Ran {
    let (_stop, stopped) = watch::channel(Stop::Go);
    go_with(fake, plan, &limits, &[], stopped).await
}

fn ample() -> Limits {
    Limits { total: 99, per_node: 99, per_storage: Some(99), per_template: 99, ..Limits::default() }
}

#[tokio::test(start_paused = true)]
async fn a_chain_runs_in_its_order() {
    let fake = Fake::default();
    let ran = go(&fake, &plan(vec![steps(3)])).await;
    assert_eq!(fake.sent(), [0, 1, 2]);
    assert_eq!(ran.report.outcome(), Outcome::Complete);
    assert_eq!((ids(ran.report.done), ran.seconds.round()), (vec![0, 1, 2], 30.0));
}

#[tokio::test(start_paused = true)]
async fn guests_run_side_by_side() {
    let fake = Fake::default();
    let ran = go(&fake, &plan(vec![steps(1), steps(1), steps(1)])).await;
    assert_eq!((fake.most("total"), ran.seconds.round()), (3, 10.0));
}

#[tokio::test(start_paused = true)]
async fn one_guest_waits_for_another() {
    let fake = Fake::default();
    let mut plan = plan(vec![steps(1), steps(1)]);
    plan.actions.order(ActionId(1), ActionId(0));
    let ran = go(&fake, &plan).await;
    assert_eq!((fake.sent(), ran.seconds.round()), (vec![1, 0], 20.0));
}

/// HA and pools are files under a lock of the whole cluster.
#[tokio::test(start_paused = true)]
async fn writes_under_one_lock_go_one_after_the_other() {
    let ha = || ActionKind::Ha { change: HaChange::Remove };
    let pool = || ActionKind::Pool { join: Some("blue".to_owned()), leave: None };
    let step = |kind| vec![("pve1", kind, &[][..])];
    let fake = Fake::default();
    let plan = plan(vec![step(ha()), step(ha()), step(pool()), step(pool()), steps(1)]);
    let ran = limited(&fake, &plan, ample()).await;
    assert_eq!((fake.most("total"), ran.seconds.round()), (3, 20.0));
}

#[tokio::test(start_paused = true)]
async fn bounds_are_kept_and_used() {
    let clone: super::fake::Step = ("pve1", clone_from(100), &["a", "b"]);
    let table: [(Limits, &str, usize, f32); 5] = [
        (Limits { total: 4, ..ample() }, "total", 4, 20.0),
        (Limits { per_node: 3, ..ample() }, "node pve1", 3, 20.0),
        (Limits { per_storage: Some(2), ..ample() }, "storage a", 2, 30.0),
        (Limits { per_template: 1, ..ample() }, "template 100", 1, 60.0),
        // A bound of nothing would run nothing for ever.
        (Limits { total: 0, ..ample() }, "total", 1, 60.0),
    ];
    for (limits, resource, most, seconds) in table {
        let fake = Fake::default();
        let plan = plan(vec![vec![clone.clone()]; 6]);
        let ran = limited(&fake, &plan, limits).await;
        assert_eq!((fake.most(resource), ran.seconds.round()), (most, seconds), "{resource}");
        assert_eq!(ran.report.done.len(), 6);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_node_does_not_hold_up_the_others() {
    let fake = Fake::default();
    let on = |node| vec![(node, ActionKind::Start, &[] as &[&str])];
    let plan = plan(vec![on("pve1"), on("pve1"), on("pve2")]);
    let ran = limited(&fake, &plan, Limits { per_node: 1, ..ample() }).await;
    assert_eq!((fake.sent(), ran.seconds.round()), (vec![0, 2, 1], 20.0));
}

#[tokio::test(start_paused = true)]
async fn the_longest_chain_comes_first() {
    let fake = Fake::default();
    let plan = plan(vec![steps(1), steps(3), steps(2)]); // #0, #1–#3, #4–#5
    limited(&fake, &plan, Limits { total: 1, ..ample() }).await;
    assert_eq!(fake.sent(), [1, 2, 4, 0, 3, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_skips_only_what_depends_on_it() {
    for answer in [Answer::Refused, Answer::TaskFails] {
        let fake = Fake::default();
        let mut plan = plan(vec![steps(2), steps(2), steps(1)]); // #0–#1, #2–#3, #4
        plan.actions.order(ActionId(1), ActionId(4));
        fake.answer(0, &[answer]);
        let ran = go(&fake, &plan).await;
        assert_eq!(ids(ran.report.failed.keys().copied()), [0]);
        assert_eq!(ids(ran.report.done), [2, 3]);
        let skipped: Vec<_> = ran.report.skipped.iter().map(|(id, by)| (id.0, by.0)).collect();
        assert_eq!(skipped, [(1, 0), (4, 0)]);
        assert!(ran.events.contains(&Event::Skipped { action: ActionId(4), because: ActionId(0) }));
        let settled: Vec<_> =
            fake.lines().into_iter().filter(|l| l.starts_with("settled")).collect();
        assert_eq!(settled, ["settled k3s/g1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_locked_is_tried_again() {
    let fake = Fake::default();
    fake.answer(0, &[Answer::Busy, Answer::Busy, Answer::Done]);
    let ran = go(&fake, &plan(vec![steps(1)])).await;
    assert_eq!(fake.sent(), [0, 0, 0]);
    assert!((0.75..2.25).contains(&ran.seconds), "about 0.5 and 1 second, not {}", ran.seconds);
    let waiting = ran.events.iter().filter(|e| matches!(e, Event::Waiting { .. })).count();
    let started = ran.events.iter().filter(|e| matches!(e, Event::Started { .. })).count();
    assert_eq!((waiting, started, ran.report.outcome()), (2, 1, Outcome::Complete));
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_never_given_back() {
    let fake = Fake::default();
    fake.answer(0, &[Answer::Busy; 99]);
    let ran = go(&fake, &plan(vec![steps(1)])).await;
    assert_eq!(fake.sent().len(), 8, "eight tries in all");
    assert_eq!(ran.report.failed[&ActionId(0)].class, ErrorClass::Busy);
    assert_eq!(fake.lines().last().unwrap(), "journal end #0 false");
}

/// Right after a clone the guest's new node may not have seen its file yet; a guest that was there
/// all along is really gone.
#[tokio::test(start_paused = true)]
async fn a_guest_that_was_just_made_is_looked_for_again() {
    let fake = Fake::default();
    fake.answer(1, &[Answer::Missing, Answer::Done]);
    let ran = go(&fake, &plan(vec![steps(2)])).await;
    assert_eq!(fake.sent(), [0, 1, 1]);
    assert_eq!(ran.report.outcome(), Outcome::Complete);

    let fake = Fake::default();
    fake.answer(0, &[Answer::Missing, Answer::Done]);
    let ran = go(&fake, &plan(vec![steps(2)])).await;
    assert_eq!(fake.sent(), [0]);
    assert_eq!(ran.report.failed[&ActionId(0)].class, ErrorClass::Missing);
}
