//! Law 3: what is begun is on disk before it is sent.

use tokio::sync::watch;

use super::fake::{Answer, Fake, Ran, go, go_with, ids, plan, steps};
use crate::execute::{Limits, Outcome, Stop};
use crate::plan::Plan;

async fn refusing(fake: &Fake, plan: &Plan, refuse: &[&'static str]) -> Ran {
    let (_stop, stopped) = watch::channel(Stop::Go);
    go_with(fake, plan, &Limits::default(), refuse, stopped).await
}

#[tokio::test(start_paused = true)]
async fn begin_send_task_end() {
    let fake = Fake::default();
    fake.answer(1, &[Answer::Done]);
    go(&fake, &plan(vec![steps(2)])).await;
    let lines = fake.lines();
    let expected = [
        "journal begin #0",
        "send #0",
        "journal task #0",
        "over #0",
        "journal end #0 true",
        "journal begin #1",
        "send #1",
        "journal end #1 true",
        "settled k3s/g0",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test(start_paused = true)]
async fn without_a_begin_record_nothing_is_sent() {
    let fake = Fake::default();
    let ran = refusing(&fake, &plan(vec![steps(2), steps(1)]), &["journal begin #0"]).await;
    assert_eq!(fake.sent(), [2]);
    assert_eq!(ids(ran.report.failed.keys().copied()), [0]);
    assert_eq!(ids(ran.report.skipped.keys().copied()), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_cannot_be_noted_is_waited_for() {
    let fake = Fake::default();
    let ran = refusing(&fake, &plan(vec![steps(2)]), &["journal task #0"]).await;
    assert!(fake.lines().contains(&"over #0".to_owned()));
    assert_eq!((fake.sent(), ran.report.outcome()), (vec![0], Outcome::Failed));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_cannot_be_noted_is_said() {
    let fake = Fake::default();
    let ran = refusing(&fake, &plan(vec![steps(1)]), &["journal end"]).await;
    assert_eq!((ran.report.state_errors.len(), ran.report.outcome()), (1, Outcome::Failed));
    let ran = refusing(&Fake::default(), &plan(vec![steps(1)]), &["settled"]).await;
    assert_eq!((ran.report.state_errors.len(), ran.report.outcome()), (1, Outcome::Failed));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_stays_open() {
    let fake = Fake::default();
    fake.answer(0, &[Answer::Lost, Answer::Done]);
    let ran = go(&fake, &plan(vec![steps(2), steps(1)])).await;
    assert_eq!(fake.sent(), [0, 2], "never repeated");
    let ends: Vec<_> = fake.lines().into_iter().filter(|l| l.starts_with("journal end")).collect();
    assert_eq!(ends, ["journal end #2 true"]);
    assert_eq!(ids(ran.report.skipped.into_keys()), [1]);
}
