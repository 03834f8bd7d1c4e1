//! Several rounds as one.

use std::collections::BTreeSet;

use super::fake::{Step, clone_from, ids, plan, steps};
use crate::execute::{Outcome, Report, Rounds};
use crate::plan::{ActionId, ActionKind, Plan};
use crate::provider::{ErrorClass, ProviderError};

fn error(class: ErrorClass) -> ProviderError {
    ProviderError::new(class, "test")
}

/// `done`, what failed with which class, and what was skipped because of what.
fn report(done: &[u32], failed: &[(u32, ErrorClass)], skipped: &[(u32, u32)]) -> Report {
    Report {
        done: done.iter().copied().map(ActionId).collect(),
        failed: failed.iter().map(|(id, class)| (ActionId(*id), error(*class))).collect(),
        skipped: skipped.iter().map(|(a, b)| (ActionId(*a), ActionId(*b))).collect(),
        ..Report::default()
    }
}

fn making() -> Vec<Step> {
    vec![("pve1", clone_from(100), &[]), ("pve1", ActionKind::Start, &[])]
}

fn meant(rounds: &Rounds) -> Vec<String> {
    rounds.meant().iter().map(|address| address.guest().to_owned()).collect()
}

fn first(failed: ErrorClass) -> Rounds {
    // g0 is made; g1 fails at its clone.
    let plan = plan(vec![making(), making()]);
    Rounds::new(plan, report(&[0, 1], &[(2, failed)], &[(3, 2)]))
}

#[test]
fn who_goes_on() {
    use ErrorClass::{Busy, Changed, Denied, Exists, Failed, Missing, OutcomeUnknown, Protocol};
    use ErrorClass::{Refused, Unreachable};
    for class in [Busy, Changed, Exists, Missing, OutcomeUnknown, Unreachable] {
        assert_eq!(meant(&first(class)), ["g1"], "{class:?}");
    }
    for class in [Denied, Failed, Protocol, Refused] {
        assert_eq!(meant(&first(class)), [] as [&str; 0], "{class:?}");
    }
    let mut left = first(Exists);
    left.left.insert(left.plan.changes[1].address.clone(), "no".to_owned());
    assert_eq!(meant(&left), [] as [&str; 0]);
    let mut stopped = first(Exists);
    stopped.report.unstarted.insert(ActionId(3));
    assert_eq!(meant(&stopped), [] as [&str; 0]);
}

#[test]
fn what_failed_has_others_in_its_place() {
    let mut rounds = first(ErrorClass::Exists);
    assert_eq!((rounds.offset(), rounds.taken()), (4, BTreeSet::from([1001])));
    let mut next = plan(vec![making(), making()]);
    next.changes.remove(0);
    next.changes[0].vmid = 1007;
    let only: Plan = {
        let mut only = Plan { actions: crate::plan::ActionGraph::default(), ..next.clone() };
        let new: Vec<ActionId> = [2, 3]
            .map(|id| only.actions.add(next.actions.get(ActionId(id)).unwrap().clone()))
            .to_vec();
        only.actions.order(new[0], new[1]);
        only.changes[0].actions = new;
        only
    };
    rounds.add(&only, report(&[0, 1], &[], &[]));
    assert_eq!((rounds.count, rounds.report.outcome()), (2, Outcome::Complete));
    assert_eq!(ids(rounds.retried.iter().copied()), [2, 3]);
    assert_eq!(ids(rounds.plan.changes[1].actions.iter().copied()), [4, 5]);
    assert_eq!(rounds.plan.changes[1].vmid, 1007);
    assert_eq!(ids(rounds.report.done.iter().copied()), [0, 1, 4, 5]);
    assert_eq!(rounds.plan.actions.needs(ActionId(5)), [ActionId(4)]);
    assert_eq!(meant(&rounds), [] as [&str; 0]);
}

/// A request that was lost and is done after all: what waited for it goes on.
#[test]
fn what_is_settled_later_counts() {
    let mut rounds = first(ErrorClass::OutcomeUnknown);
    rounds.settle(ActionId(2));
    assert_eq!((meant(&rounds), rounds.report.outcome()), (vec!["g1".to_owned()], Outcome::Failed));
    // Nothing is left to do when it is planned again: somebody started it.
    let address = rounds.plan.changes[1].address.clone();
    rounds.nothing_left(&address);
    assert_eq!(rounds.report.outcome(), Outcome::Complete);
    assert_eq!(ids(rounds.report.done.iter().copied()), [0, 1, 2]);
    assert_eq!(ids(rounds.retried.iter().copied()), [3]);
}

#[test]
fn what_was_removed_is_not_removed_again() {
    let mut replaced = plan(vec![steps(1), vec![("pve1", ActionKind::Destroy, &[])]]);
    replaced.changes[0].actions.truncate(1);
    let rounds = Rounds::new(replaced, report(&[0, 1], &[], &[]));
    let removed = |n: usize| rounds.is_removed(&rounds.plan.changes[n].address);
    assert_eq!((removed(0), removed(1)), (false, true));
}
