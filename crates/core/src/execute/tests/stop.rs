//! Stopping in good order, and at once.

use std::time::Duration;

use tokio::sync::watch;

use super::fake::{Answer, Fake, Ran, go_with, ids, plan, steps};
use crate::execute::{Limits, Outcome, Stop};
use crate::plan::Plan;

async fn stopped_after(seconds: u64, how: Stop, fake: &Fake, plan: &Plan) -> Ran {
    let (sender, receiver) = watch::channel(Stop::Go);
    let limits = Limits { total: 2, ..Limits::default() };
    let run = go_with(fake, plan, &limits, &[], receiver);
    let stop = async {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        sender.send(how).unwrap();
    };
    let both = async { tokio::join!(run, stop).0 };
    tokio::time::timeout(Duration::from_secs(3600), both).await.expect("the run ends")
}

#[tokio::test(start_paused = true)]
async fn drain_finishes_what_runs_and_begins_nothing() {
    let fake = Fake::default();
    let plan = plan(vec![steps(2), steps(1), steps(1)]); // #0–#1, #2, #3
    let ran = stopped_after(5, Stop::Drain, &fake, &plan).await;
    assert_eq!((fake.sent(), ran.seconds.round()), (vec![0, 2], 10.0));
    assert_eq!(ids(ran.report.done.iter().copied()), [0, 2]);
    assert_eq!(ids(ran.report.unstarted.iter().copied()), [1, 3]);
    assert!(ran.report.abandoned.is_empty());
    assert_eq!(ran.report.outcome(), Outcome::Cancelled);
    let ends = fake.lines().iter().filter(|l| l.starts_with("journal end")).count();
    assert_eq!(ends, 2, "what was waited for is known");
}

#[tokio::test(start_paused = true)]
async fn a_failure_outweighs_a_stop() {
    let fake = Fake::default();
    fake.answer(0, &[Answer::TaskFails]);
    let ran = stopped_after(5, Stop::Drain, &fake, &plan(vec![steps(2), steps(1), steps(1)])).await;
    assert_eq!(ran.report.outcome(), Outcome::Failed);
    assert_eq!(ids(ran.report.skipped.into_keys()), [1]);
    assert_eq!(ids(ran.report.unstarted), [3]);
}

#[tokio::test(start_paused = true)]
async fn leave_returns_at_once_and_leaves_the_journal_open() {
    let fake = Fake::default();
    fake.answer(0, &[Answer::Hold]);
    let ran = stopped_after(5, Stop::Leave, &fake, &plan(vec![steps(2), steps(1), steps(1)])).await;
    assert_eq!(ran.seconds.round(), 5.0);
    assert_eq!(ids(ran.report.abandoned.iter().copied()), [0, 2]);
    assert_eq!(ids(ran.report.unstarted.iter().copied()), [1, 3]);
    assert_eq!(ran.report.outcome(), Outcome::Cancelled);
    assert!(!fake.lines().iter().any(|l| l.starts_with("journal end")));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_before_it_begins() {
    for how in [Stop::Drain, Stop::Leave] {
        let fake = Fake::default();
        let (_sender, receiver) = watch::channel(how);
        let ran = go_with(&fake, &plan(vec![steps(2)]), &Limits::default(), &[], receiver).await;
        assert_eq!(fake.lines(), [""; 0]);
        assert_eq!(ids(ran.report.unstarted), [0, 1]);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_left_who_could_stop_it() {
    let fake = Fake::default();
    let (sender, receiver) = watch::channel(Stop::Go);
    drop(sender);
    let ran = go_with(&fake, &plan(vec![steps(2)]), &Limits::default(), &[], receiver).await;
    assert_eq!(ran.report.outcome(), Outcome::Complete);
}

/// What was refused and waits for its next try is given up at once, and is known to have done
/// nothing.
#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_pauses_between_tries() {
    for how in [Stop::Drain, Stop::Leave] {
        let fake = Fake::default();
        fake.answer(0, &[Answer::Busy; 99]);
        let ran = stopped_after(20, how, &fake, &plan(vec![steps(2)])).await;
        assert_eq!(ran.seconds.round(), 20.0);
        assert_eq!(ids(ran.report.unstarted.iter().copied()), [0, 1]);
        assert_eq!(ran.report.outcome(), Outcome::Cancelled);
        assert_eq!(fake.lines().last().unwrap(), "journal end #0 false");
    }
}
