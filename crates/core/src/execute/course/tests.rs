//! What is made of a written course of events.

use std::time::Duration;

use super::*;
use crate::execute::tests::{plan, steps};
use crate::plan::ActionId;
use crate::provider::{ErrorClass, ProviderError};

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn id(number: u32) -> ActionId {
    ActionId(number)
}

fn begun(course: &mut Course, seconds: u64, number: u32) {
    course.event(at(seconds), &Event::Started { action: id(number) });
}

fn done(course: &mut Course, seconds: u64, number: u32) {
    course.event(at(seconds), &Event::Finished { action: id(number), warnings: 0 });
}

fn round(course: &mut Course, seconds: u64, plan: &Plan) {
    let limits = Limits { total: 2, ..Limits::default() };
    course.round(at(seconds), plan, &limits, &Estimates::default());
}

/// Guests of two, one and one actions: #0 before #1, #2, #3.
fn course() -> Course {
    let mut course = Course::default();
    round(&mut course, 0, &plan(vec![steps(2), steps(1), steps(1)]));
    course
}

#[test]
fn times_are_told_apart() {
    let mut course = course();
    begun(&mut course, 0, 0);
    begun(&mut course, 0, 2);
    course.event(at(0), &Event::Held { action: id(3), by: Resource::Total });
    course.event(at(2), &Event::Waiting { action: id(2), why: "can't lock file".to_owned() });
    course.event(at(5), &Event::Again { action: id(2) });
    course.event(at(6), &Event::Looking { action: id(2), why: "connection lost".to_owned() });
    course.event(at(7), &Event::Found { action: id(2), what: "it was made".to_owned() });
    done(&mut course, 10, 2);
    begun(&mut course, 10, 3);
    let error = ProviderError::new(ErrorClass::Failed, "the clone failed");
    course.event(at(12), &Event::Failed { action: id(0), error });
    course.event(at(12), &Event::Skipped { action: id(1), because: id(0) });
    let summary = course.summary(at(15));
    assert_eq!(summary.actions, Counted { done: 1, failed: 1, skipped: 1, running: 1, waiting: 0 });
    assert_eq!((summary.retries, summary.retry_seconds), (1, 3.0));
    assert_eq!((summary.lost, summary.settled), (1, 1));
    let held = &summary.held[0];
    assert_eq!((&held.by, held.actions, held.seconds), (&Resource::Total, 1, 10.0));
    let slow: Vec<_> = summary.slowest.iter().map(|s| (s.action.0, s.seconds)).collect();
    assert_eq!(slow, [(0, 12.0), (2, 10.0), (3, 5.0)]);
    assert_eq!(summary.nodes.iter().map(|node| node.actions).sum::<usize>(), 3);
    assert_eq!(summary.guests.iter().map(|g| (g.done, g.of)).collect::<Vec<_>>(), [(1, 3)]);
}

#[test]
fn what_is_left_gets_less_and_learns_from_the_run() {
    let mut course = course();
    let before = course.left(at(0)).unwrap();
    assert_eq!(course.estimate(), before);
    for number in [0, 2] {
        begun(&mut course, 0, number);
        done(&mut course, 40, number);
    }
    // Two actions of 40 s each, side by side.
    assert_eq!(course.left(at(40)), Some(at(40)));
    begun(&mut course, 40, 1);
    begun(&mut course, 40, 3);
    assert_eq!(course.left(at(70)), Some(at(10)));
    // Longer than thought: a little longer still.
    assert_eq!(course.left(at(100)), Some(at(4)));
    done(&mut course, 101, 1);
    done(&mut course, 101, 3);
    assert_eq!(course.left(at(101)), Some(at(0)));
}

#[test]
fn when_it_is_stopped_only_what_runs_is_left() {
    let mut course = course();
    begun(&mut course, 0, 0);
    course.stopping(Stop::Drain);
    let alone = course.current().unwrap().step(id(0)).unwrap().estimate;
    assert_eq!(course.left(at(0)), Some(alone));
}

#[test]
fn a_later_plan_says_whether_a_guest_is_done() {
    let mut course = course();
    for number in 0..3 {
        begun(&mut course, 0, number);
        done(&mut course, 5, number);
    }
    let error = ProviderError::new(ErrorClass::Changed, "someone changed it");
    course.event(at(5), &Event::Failed { action: id(3), error });
    let mut again = plan(vec![steps(2), steps(1), steps(1)]);
    again.changes.drain(..2);
    round(&mut course, 6, &again);
    begun(&mut course, 6, 3);
    done(&mut course, 9, 3);
    let summary = course.summary(at(9));
    assert_eq!((summary.rounds, summary.seconds), (2, 9.0));
    assert_eq!(summary.guests.iter().map(|g| (g.done, g.of)).collect::<Vec<_>>(), [(3, 3)]);
}
