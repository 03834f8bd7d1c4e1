//! What a run that was cut off had begun.

use super::fake::{Fake, clone_from, configure, plan};
use crate::execute::{Became, Patience, resume};
use crate::plan::{ActionId, ActionKind};
use crate::provider::Seen;
use crate::state::Unfinished;

fn open(kind: ActionKind, upid: Option<&str>) -> Unfinished {
    let plan = plan(vec![vec![("pve1", kind, &[])]]);
    let action = Box::new(plan.actions.get(ActionId(0)).unwrap().clone());
    Unfinished { action, at: 100, upid: upid.map(str::to_owned) }
}

fn word(became: &Became) -> String {
    match became {
        Became::Done => "done".to_owned(),
        Became::Nothing => "nothing".to_owned(),
        Became::Failed(error) => format!("failed {:?}", error.class),
        Became::Unknown(error) => format!("unknown {:?}", error.class),
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_is_waited_for_and_what_has_none_is_looked_at() {
    let destroy = || ActionKind::Destroy;
    let late = || vec![Seen::Nothing; 99];
    let table = [
        (configure(), Some("UPID:good"), vec![], 200, "done"),
        (configure(), Some("UPID:bad"), vec![], 200, "failed Failed"),
        (configure(), Some("UPID:bad"), vec![Seen::Done], 200, "done"),
        (configure(), Some("UPID:lost"), vec![Seen::Done], 200, "done"),
        (configure(), Some("UPID:lost"), vec![Seen::Nothing], 200, "nothing"),
        (configure(), None, vec![Seen::Done], 200, "done"),
        // It is planned anew, so one look is enough.
        (configure(), None, vec![Seen::Nothing], 100, "nothing"),
        (configure(), None, vec![], 200, "unknown OutcomeUnknown"),
        (clone_from(100), None, vec![Seen::Running("UPID:good".to_owned())], 200, "done"),
        (clone_from(100), None, vec![Seen::Other("x".to_owned())], 200, "failed Exists"),
        (destroy(), None, vec![Seen::Nothing], 200, "nothing"),
        (destroy(), None, late(), 101, "nothing"),
    ];
    for (kind, upid, seen, now, expected) in table {
        let fake = Fake::default();
        fake.show(0, &seen);
        let open = open(kind.clone(), upid);
        let became = resume(&fake, &Patience::default(), &open, now, &|_| ()).await;
        assert_eq!(word(&became), expected, "{kind:?} {upid:?} {seen:?}");
        assert_eq!(fake.sent(), [0; 0], "nothing is sent");
    }
}

/// A removal of a moment ago may still wait in a queue, and hit what is made at its VMID next.
#[tokio::test(start_paused = true)]
async fn a_removal_of_a_moment_ago_is_waited_out() {
    for (now, least) in [(101, 28.0), (200, 0.0)] {
        let fake = Fake::default();
        fake.show(0, &vec![Seen::Nothing; 99]);
        let began = tokio::time::Instant::now();
        let open = open(ActionKind::Destroy, None);
        let became = resume(&fake, &Patience::default(), &open, now, &|_| ()).await;
        assert_eq!(became, Became::Nothing);
        let seconds = began.elapsed().as_secs_f32();
        assert!(seconds >= least && seconds < least + 6.0, "{seconds}");
    }
}

/// The oldest journals name a guest and what was done to it: that it looks as if it were done, or as if
/// somebody else were there, says nothing.
#[tokio::test(start_paused = true)]
async fn a_record_that_says_too_little_is_not_looked_at() {
    let table =
        [(None, "nothing"), (Some("UPID:good"), "done"), (Some("UPID:bad"), "failed Failed")];
    for (upid, expected) in table {
        let fake = Fake::default();
        fake.show(0, &[Seen::Done, Seen::Other("x".to_owned())]);
        let mut open = Unfinished { at: 0, ..open(configure(), upid) };
        open.action.preconditions.clear();
        let became = resume(&fake, &Patience::default(), &open, 200, &|_| ()).await;
        assert_eq!(word(&became), expected, "{upid:?}");
    }
}
