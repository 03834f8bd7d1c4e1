//! Frames at several sizes, and of courses at random.

use std::time::Duration;

use proptest::prelude::*;
use pvx_core::address::Address;
use pvx_core::execute::{Estimates, Event, Limits, Resource, Stop};
use pvx_core::plan::{ActionId, ActionKind, Effect, Plan, Verb};
use pvx_core::provider::{ErrorClass, ProviderError};
use unicode_width::UnicodeWidthStr;

use super::*;
use crate::view::review::samples::{add, change, empty};

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// So many guests on three nodes, each a clone, a configuration and a start. The first one's start
/// comes before those of all others with a number that can be divided by five.
fn plan(guests: u32, names: &str) -> Plan {
    let mut plan = empty();
    let mut first = Vec::new();
    for n in 0..guests {
        let mut guest = change(&format!("{names}{n:02}"), Verb::Create, Effect::Create);
        (guest.vmid, guest.node) = (1000 + n, format!("pve{}", n % 3 + 1));
        guest.address = Address::new("k3s", format!("{names}{n:02}"));
        let clone = ActionKind::Clone {
            source: 9000,
            full: true,
            storage: None,
            target: None,
            name: "guest".to_owned(),
            note: String::new(),
            pool: None,
        };
        let configure = ActionKind::Configure {
            set: Default::default(),
            delete: Vec::new(),
            background: false,
        };
        let kinds = [clone, configure, ActionKind::Start].map(|kind| (kind, Effect::Create));
        let ids = add(&mut plan, guest, kinds.to_vec(), &[]);
        match (first.is_empty(), n % 5) {
            (true, _) => first = ids,
            (false, 0) => plan.actions.order(first[2], ids[2]),
            _ => {}
        }
    }
    plan
}

fn begun(plan: &Plan) -> Course {
    let mut course = Course::default();
    course.round(at(0), plan, &Limits::default(), &Estimates::default());
    course
}

fn text(course: &Course, now: u64, width: usize, height: usize) -> String {
    let frame = frame(course, at(now), Size { width, height });
    anstream::adapter::strip_str(&frame.join("\n")).to_string()
}

#[test]
fn one_guest() {
    let mut course = begun(&plan(1, "worker"));
    course.event(at(0), &Event::Started { action: ActionId(0) });
    insta::assert_snapshot!("one_80x24", text(&course, 7, 80, 24));
    course.event(at(21), &Event::Finished { action: ActionId(0), warnings: 0 });
    course.event(at(21), &Event::Started { action: ActionId(1) });
    let why = "can't lock file '/var/lock/qemu-server/lock-1000.conf' - got timeout".to_owned();
    course.event(at(22), &Event::Waiting { action: ActionId(1), why });
    insta::assert_snapshot!("one_is_tried_again", text(&course, 24, 80, 24));
}

/// Twenty guests: sixteen clones run, four are held back; one guest failed.
fn twenty() -> Course {
    let mut course = begun(&plan(20, "worker"));
    for n in 0..16 {
        course.event(at(u64::from(n) / 4), &Event::Started { action: ActionId(n * 3) });
    }
    for n in 16..20 {
        let by = Resource::Storage("vmdata".to_owned());
        course.event(at(4), &Event::Held { action: ActionId(n * 3), by });
    }
    let (resource, why) = (Resource::Storage("vmdata".to_owned()), "a lock timed out".to_owned());
    course.event(at(5), &Event::Bound { resource, limit: 3, why });
    let error = ProviderError::new(ErrorClass::Failed, "clone of 9000 failed: no space left");
    course.event(at(6), &Event::Failed { action: ActionId(9), error });
    for action in [ActionId(10), ActionId(11)] {
        course.event(at(6), &Event::Skipped { action, because: ActionId(9) });
    }
    let why = "the connection was closed".to_owned();
    course.event(at(8), &Event::Looking { action: ActionId(30), why });
    course
}

#[test]
fn twenty_guests() {
    insta::assert_snapshot!("twenty_80x24", text(&twenty(), 12, 80, 24));
    insta::assert_snapshot!("twenty_120x40", text(&twenty(), 12, 120, 40));
}

#[test]
fn a_run_that_is_stopped_says_what_it_waits_for() {
    let mut course = twenty();
    course.stopping(Stop::Drain);
    let text = text(&course, 12, 80, 10);
    assert!(
        text.contains("stopping: waits for 15 that run; Ctrl-C again leaves at once"),
        "{text}"
    );
}

#[test]
fn a_hundred_that_run_at_once() {
    let mut course = begun(&plan(120, "worker"));
    for n in 0..104 {
        course.event(at(u64::from(n) / 10), &Event::Started { action: ActionId(n * 3) });
    }
    insta::assert_snapshot!("hundred_80x24", text(&course, 3700, 80, 24));
}

#[test]
fn what_stays() {
    let plan = plan(1, "worker");
    let mut course = begun(&plan);
    let mut said = String::new();
    let mut tell = |course: &mut Course, seconds: u64, event: &Event| {
        course.event(at(seconds), event);
        said.push_str(&lasting(course.current().unwrap(), at(seconds), event));
    };
    for n in 0..3 {
        tell(&mut course, u64::from(n) * 10, &Event::Started { action: ActionId(n) });
        let warnings = u32::from(n == 1);
        tell(
            &mut course,
            u64::from(n) * 10 + 9,
            &Event::Finished { action: ActionId(n), warnings },
        );
    }
    let mut error = ProviderError::new(ErrorClass::Failed, "the start failed\nbadly");
    error.log = vec!["one\x1b[2J".to_owned(), "TASK ERROR: start failed".to_owned()];
    tell(&mut course, 40, &Event::Failed { action: ActionId(2), error });
    insta::assert_snapshot!("what_stays", anstream::adapter::strip_str(&said).to_string());
}

/// Something that may happen to an action, and what is said of it.
fn events() -> impl Strategy<Value = Vec<(u64, u32, u8, String)>> {
    prop::collection::vec((0..4000u64, 0..400u32, 0..9u8, ".{0,120}"), 0..200)
}

fn event(action: ActionId, kind: u8, text: &str) -> Event {
    let (why, what) = (text.to_owned(), text.to_owned());
    match kind {
        0 => Event::Task { action, upid: text.to_owned() },
        1 => Event::Looking { action, why },
        2 => Event::Found { action, what },
        3 => Event::Waiting { action, why },
        4 => Event::Finished { action, warnings: 1 },
        5 => Event::Failed { action, error: ProviderError::new(ErrorClass::Failed, text) },
        6 => Event::Held { action, by: Resource::Storage(text.to_owned()) },
        7 => Event::Bound { resource: Resource::Total, limit: 3, why },
        _ => Event::Started { action },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_frame_is_larger_than_its_terminal(
        guests in 0..130u32, names in "[a-z界-]{1,40}", events in events(),
        width in 0..200usize, height in 0..60usize, stops in any::<bool>(), now in 0..9000u64,
    ) {
        let mut course = begun(&plan(guests, &names));
        for (seconds, action, kind, text) in &events {
            course.event(at(*seconds), &event(ActionId(*action), *kind, text));
        }
        if stops {
            course.stopping(Stop::Drain);
        }
        let frame = frame(&course, at(now), Size { width, height });
        prop_assert!(frame.len() <= height.saturating_sub(1), "{} rows", frame.len());
        for line in frame {
            let plain = anstream::adapter::strip_str(&line).to_string();
            prop_assert!(plain.width() <= width, "{plain:?}");
            prop_assert!(!plain.chars().any(char::is_control), "{plain:?}");
        }
    }
}
