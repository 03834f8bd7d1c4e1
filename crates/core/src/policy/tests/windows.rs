//! When changes are allowed, around nights, weekends, freezes and the days on which clocks change.

use jiff::Timestamp;

use crate::diagnostic::{SourceId, Span};
use crate::policy::Policy;
use crate::policy::window::{self, Freeze, Window, Zone, clock, date, day_named};

fn berlin() -> Zone {
    Zone::named("Europe/Berlin").unwrap()
}

fn window(days: &[&str], from: &str, to: &str) -> Window {
    Window {
        days: days.iter().map(|day| day_named(day).unwrap()).collect(),
        from: clock(from).unwrap(),
        to: clock(to).unwrap(),
        zone: berlin(),
    }
}

fn freeze(from: &str, to: &str) -> Freeze {
    let span = Span { source: SourceId(0), start: 0, len: 0 };
    Freeze { from: date(from).unwrap(), to: date(to).unwrap(), reason: None, span }
}

fn policy(windows: Vec<Window>, freeze: Vec<Freeze>) -> Policy {
    Policy { zone: berlin(), windows, freeze, ..Policy::default() }
}

/// `open`, or when it opens next.
fn at(policy: &Policy, now: &str) -> String {
    let now: Timestamp = now.parse().unwrap();
    window::describe(policy, now)
}

#[test]
fn nights_and_weekends() {
    // A week with a night from Monday to Tuesday, and all of Saturday.
    let week = policy(
        vec![window(&["mon"], "22:00", "06:00"), window(&["sat"], "00:00", "24:00")],
        vec![],
    );
    for (now, expected) in [
        ("2026-11-30T20:59:59Z", "mon 2026-11-30 22:00"),
        ("2026-11-30T21:00:00Z", "open"),
        // Past midnight it is still Monday's window.
        ("2026-12-01T04:59:59Z", "open"),
        ("2026-12-01T05:00:00Z", "sat 2026-12-05 00:00"),
        // The night from Sunday to Monday is none.
        ("2026-11-29T23:30:00Z", "mon 2026-11-30 22:00"),
        ("2026-12-04T23:00:00Z", "open"),
        ("2026-12-05T22:59:59Z", "open"),
        ("2026-12-05T23:00:00Z", "mon 2026-12-07 22:00"),
    ] {
        assert_eq!(at(&week, now), expected, "{now}");
    }
}

#[test]
fn every_day_without_days() {
    let nights = policy(vec![window(&[], "22:00", "06:00")], vec![]);
    assert_eq!(at(&nights, "2026-12-01T12:00:00Z"), "tue 2026-12-01 22:00");
    assert_eq!(at(&nights, "2026-12-01T03:00:00Z"), "open");
    assert_eq!(at(&policy(vec![], vec![]), "2026-12-01T03:00:00Z"), "open");
    // A window that ends when it begins is a whole day.
    let day = policy(vec![window(&["tue"], "08:00", "08:00")], vec![]);
    assert_eq!(at(&day, "2026-12-02T06:59:59Z"), "open");
    assert_eq!(at(&day, "2026-12-02T07:00:00Z"), "tue 2026-12-08 08:00");
}

/// On 2026-03-29 the clocks of Berlin go from 02:00 to 03:00, on 2026-10-25 from 03:00 to 02:00.
#[test]
fn days_on_which_clocks_change() {
    let early = policy(vec![window(&["sun"], "01:30", "03:30")], vec![]);
    // In spring the window is an hour shorter, in autumn an hour longer.
    for (now, expected) in [
        ("2026-03-29T00:29:59Z", "sun 2026-03-29 01:30"),
        ("2026-03-29T00:30:00Z", "open"),
        ("2026-03-29T01:29:59Z", "open"),
        ("2026-03-29T01:30:00Z", "sun 2026-04-05 01:30"),
        ("2026-10-24T23:30:00Z", "open"),
        ("2026-10-25T02:29:59Z", "open"),
        ("2026-10-25T02:30:00Z", "sun 2026-11-01 01:30"),
    ] {
        assert_eq!(at(&early, now), expected, "{now}");
    }
    // 02:30 is skipped in spring: the window opens at 03:30 of the new time.
    let skipped = policy(vec![window(&["sun"], "02:30", "05:00")], vec![]);
    assert_eq!(at(&skipped, "2026-03-29T01:29:59Z"), "sun 2026-03-29 03:30");
    assert_eq!(at(&skipped, "2026-03-29T01:30:00Z"), "open");
    // It is there twice in autumn: the window closes at the first.
    let twice = policy(vec![window(&["sun"], "01:00", "02:30")], vec![]);
    assert_eq!(at(&twice, "2026-10-25T00:29:59Z"), "open");
    assert_eq!(at(&twice, "2026-10-25T00:30:00Z"), "sun 2026-11-01 01:00");
}

#[test]
fn nothing_changes_in_a_freeze() {
    let windows = vec![window(&[], "22:00", "23:00")];
    let both = policy(windows, vec![freeze("2026-12-20", "2027-01-06")]);
    for (now, expected) in [
        ("2026-12-19T21:30:00Z", "open"),
        ("2026-12-20T21:30:00Z", "thu 2027-01-07 22:00"),
        ("2027-01-06T21:30:00Z", "thu 2027-01-07 22:00"),
        ("2027-01-07T21:30:00Z", "open"),
    ] {
        assert_eq!(at(&both, now), expected, "{now}");
    }
    // Without windows everything opens when the freeze is over, at midnight of Berlin.
    let alone = policy(vec![], vec![freeze("2026-12-20", "2027-01-06")]);
    assert_eq!(at(&alone, "2026-12-19T22:59:59Z"), "open");
    assert_eq!(at(&alone, "2026-12-19T23:00:00Z"), "thu 2027-01-07 00:00");
    assert_eq!(at(&alone, "2027-01-06T23:00:00Z"), "open");
    let ever = policy(vec![], vec![freeze("2026-01-01", "2400-01-01")]);
    assert_eq!(at(&ever, "2026-12-19T23:00:00Z"), "sun 2400-01-02 00:00");
}

#[test]
fn what_is_no_time_is_none() {
    for text in ["", "22", "22:0", "9:00", "24:01", "25:00", "22:60", "aa:bb", "22:00:00", "-1:00"]
    {
        assert!(clock(text).is_err(), "{text}");
    }
    for text in ["", "2026-02-30", "20261220", "2026-12-20T10:00", "12/20/2026"] {
        assert!(date(text).is_err(), "{text}");
    }
    assert!(day_named("Mon").is_err() && Zone::named("Europe/Nowhere").is_err());
}

#[test]
fn what_is_said_outside() {
    let nights = policy(vec![window(&["mon"], "22:00", "06:00")], vec![]);
    let now: Timestamp = "2026-11-28T17:00:00Z".parse().unwrap();
    let said = |applying, ignored| {
        let finding = window::outside(&nights, now, applying, ignored).unwrap();
        format!("{:?} {}: {}", finding.weight, finding.code, finding.message)
    };
    insta::assert_snapshot!(said(false, None), @"Warning outside-window: no changes now (sat 2026-11-28 18:00 Europe/Berlin), outside all windows; the next window opens mon 2026-11-30 22:00");
    insta::assert_snapshot!(said(true, None), @"Error outside-window: no changes now (sat 2026-11-28 18:00 Europe/Berlin), outside all windows; the next window opens mon 2026-11-30 22:00");
    insta::assert_snapshot!(said(true, Some("disk full")), @"Warning window-ignored: no changes now (sat 2026-11-28 18:00 Europe/Berlin), outside all windows; the next window opens mon 2026-11-30 22:00; ignored: disk full");
    let open: Timestamp = "2026-11-30T21:00:00Z".parse().unwrap();
    assert_eq!(window::outside(&nights, open, true, None), None);
}
