//! Law 3: the answer was lost. Look, then decide.

use super::fake::{Answer, Fake, Ran, clone_from, configure, go, ids, plan};
use crate::execute::Event;
use crate::plan::{ActionId, ActionKind, Plan};
use crate::provider::{ErrorClass, Seen};

fn one(kind: ActionKind) -> Plan {
    plan(vec![vec![("pve1", kind, &[])]])
}

/// The first answer is lost, looks show this; what was sent how often, and how it ended.
async fn lost(kind: ActionKind, seen: &[Seen]) -> (usize, Ran) {
    let fake = Fake::default();
    fake.answer(0, &[Answer::Lost, Answer::Done]);
    fake.show(0, seen);
    let ran = go(&fake, &one(kind)).await;
    (fake.sent().len(), ran)
}

fn class(ran: &Ran) -> Option<ErrorClass> {
    ran.report.failed.get(&ActionId(0)).map(|error| error.class)
}

fn running(upid: &str) -> Seen {
    Seen::Running(upid.to_owned())
}

fn shutdown() -> ActionKind {
    ActionKind::Shutdown { timeout: 1, force: false }
}

#[tokio::test(start_paused = true)]
async fn what_the_look_shows_decides() {
    use ErrorClass::{Changed, Exists, Failed, OutcomeUnknown};
    let nothing = vec![Seen::Nothing; 9];
    let coming = vec![Seen::Coming("being made".to_owned()); 40];
    let other = Seen::Other("somebody else's".to_owned());
    let table = [
        (configure(), vec![Seen::Done], 1, None),
        (configure(), vec![Seen::Nothing, Seen::Nothing, Seen::Done], 1, None),
        (configure(), nothing.clone(), 2, None),
        (configure(), vec![running("UPID:good")], 1, None),
        (configure(), vec![running("UPID:bad")], 1, Some(Failed)),
        (configure(), vec![running("UPID:lost"), Seen::Done], 1, None),
        (configure(), vec![running("UPID:lost"), Seen::Nothing], 2, None),
        (configure(), vec![running("UPID:lost"), running("UPID:lost")], 1, Some(OutcomeUnknown)),
        (configure(), vec![], 1, Some(OutcomeUnknown)),
        (configure(), vec![other.clone()], 1, Some(Changed)),
        (clone_from(100), vec![other], 1, Some(Exists)),
        // It takes as long as a task may.
        (clone_from(100), [coming, vec![Seen::Done]].concat(), 1, None),
    ];
    for (kind, seen, sent, failed) in table {
        let (times, ran) = lost(kind.clone(), &seen).await;
        assert_eq!((times, class(&ran)), (sent, failed), "{kind:?} {seen:?}");
        let looks = |e: &&Event| matches!(e, Event::Looking { .. });
        assert_eq!(ran.events.iter().filter(looks).count(), 1, "{kind:?} {seen:?}");
    }
}

/// What would do harm when it came twice is repeated only when it can no longer come.
#[tokio::test(start_paused = true)]
async fn a_late_effect_is_waited_out_where_it_would_do_harm() {
    for (kind, least) in [(configure(), 0.0), (shutdown(), 30.0), (ActionKind::Destroy, 30.0)] {
        let (times, ran) = lost(kind.clone(), &vec![Seen::Nothing; 99]).await;
        assert_eq!((times, class(&ran)), (2, None));
        assert!(ran.seconds >= least && ran.seconds < least + 10.0, "{kind:?} {}", ran.seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_never_arrive_are_given_up() {
    let fake = Fake::default();
    fake.answer(0, &[Answer::Lost; 20]);
    fake.show(0, &vec![Seen::Nothing; 99]);
    let ran = go(&fake, &one(configure())).await;
    assert_eq!((fake.sent().len(), class(&ran)), (8, Some(ErrorClass::Unreachable)));
    let error = &ran.report.failed[&ActionId(0)];
    assert!(error.message.contains("sent 8 times"), "{}", error.message);
}

/// A task that cannot be watched: what it did is looked at, and its request is in no queue any more.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_task_was_lost() {
    let table = [(Seen::Done, 1, None), (Seen::Nothing, 2, None)];
    for (seen, sent, failed) in table {
        let fake = Fake::default();
        fake.answer(0, &[Answer::TaskLost, Answer::Done]);
        fake.show(0, std::slice::from_ref(&seen));
        let ran = go(&fake, &one(shutdown())).await;
        assert_eq!((fake.sent().len(), class(&ran)), (sent, failed), "{seen:?}");
    }
}

/// What is there is not taken for ours unless it shows that it is.
#[tokio::test(start_paused = true)]
async fn it_exists() {
    let theirs = Seen::Other("VMID 1000 was taken by 'x' on pve2 meanwhile".to_owned());
    let coming = Seen::Coming("being made".to_owned());
    let table = [
        (vec![Answer::Exists], vec![Seen::Done], None),
        (vec![Answer::Exists], vec![theirs], Some(ErrorClass::Exists)),
        (vec![Answer::Exists], vec![Seen::Nothing], Some(ErrorClass::Exists)),
        (vec![Answer::Exists], vec![], Some(ErrorClass::Exists)),
        // Somebody else's may be made there, unless a request of our own was lost before.
        (vec![Answer::Exists], vec![coming.clone(), Seen::Done], Some(ErrorClass::Exists)),
        (
            vec![Answer::Lost, Answer::Exists],
            [vec![Seen::Nothing; 3], vec![coming.clone(), coming, Seen::Done]].concat(),
            None,
        ),
    ];
    for (answers, seen, failed) in table {
        let fake = Fake::default();
        fake.answer(0, &answers);
        fake.show(0, &seen);
        let ran = go(&fake, &one(clone_from(100))).await;
        assert_eq!(class(&ran), failed, "{answers:?} {seen:?}");
        if let Some(error) = ran.report.failed.get(&ActionId(0)).filter(|_| seen.len() == 1) {
            assert!(matches!(&seen[0], Seen::Nothing) || error.message.contains("was taken by"));
        }
    }
}

/// Right after a removal a node may still show the old guest, which has the identity of the new.
#[tokio::test(start_paused = true)]
async fn the_old_guest_is_not_taken_for_the_new_one() {
    let fake = Fake::default();
    let both = plan(vec![vec![("pve1", ActionKind::Destroy, &[]), ("pve1", clone_from(100), &[])]]);
    fake.answer(1, &[Answer::Exists, Answer::Done]);
    fake.show(1, &[Seen::Done]);
    let ran = go(&fake, &both).await;
    assert_eq!((fake.sent(), ids(ran.report.done)), (vec![0, 1, 1], vec![0, 1]));
    assert!(!fake.lines().contains(&"look #1".to_owned()));
}
