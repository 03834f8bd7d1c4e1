//! When changes are allowed: windows of the week, and days on which nothing changes.
//!
//! Local times follow the clocks of their time zone. A time that the clocks skip counts as the
//! moment after the gap that is as far on; of a time that they show twice the first counts.

use std::fmt;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan, Zoned};

use super::{Policy, Verdicts};
use crate::diagnostic::Span;
use crate::plan::{Checked, Finding, Plan, Verdict};
use crate::planner::Input;

/// Days that are looked ahead for the next window: a year, and then some.
const HORIZON: i32 = 400;

/// A time zone and the name it was asked for by.
#[derive(Debug, Clone)]
pub struct Zone {
    /// `Europe/Berlin`
    pub name: String,
    zone: TimeZone,
}

impl Default for Zone {
    fn default() -> Self {
        Self { name: "UTC".to_owned(), zone: TimeZone::UTC }
    }
}

impl Zone {
    /// The zone of this name in the IANA database, which is built in.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<Self, String> {
        // Not that of the machine, which may be older, or absent.
        let bundled = TimeZoneDatabase::bundled();
        let zone = bundled.get(name).map_err(|_| "there is no such time zone".to_owned())?;
        Ok(Self { name: name.to_owned(), zone })
    }

    /// The local time.
    pub(super) fn at(&self, now: Timestamp) -> Zoned {
        now.to_zoned(self.zone.clone())
    }
}

/// Hours of some days of the week in which changes are allowed.
#[derive(Debug, Clone)]
pub struct Window {
    /// Days on which it opens; none: every day.
    pub days: Vec<Weekday>,
    /// When it opens.
    pub from: Time,
    /// When it closes: on the next day unless it is later than `from`.
    pub to: Time,
    /// Whose clocks.
    pub zone: Zone,
}

/// Days, both ends included, on which no changes are allowed.
#[derive(Debug, Clone)]
pub struct Freeze {
    /// First day.
    pub from: Date,
    /// Last day.
    pub to: Date,
    /// For people.
    pub reason: Option<String>,
    /// Where it is said.
    pub span: Span,
}

impl Window {
    /// The window that opens on this day.
    fn on(&self, day: Date) -> Option<(Timestamp, Timestamp)> {
        if !self.days.is_empty() && !self.days.contains(&day.weekday()) {
            return None;
        }
        let last = if self.to > self.from { day } else { day.tomorrow().ok()? };
        let moment = |day: Date, time: Time| {
            let local = day.to_datetime(time).to_zoned(self.zone.zone.clone());
            local.ok().map(|local| local.timestamp())
        };
        Some((moment(day, self.from)?, moment(last, self.to)?))
    }

    fn is_open(&self, now: Timestamp) -> bool {
        let today = self.zone.at(now).date();
        let days = [today.yesterday().ok(), Some(today)].into_iter().flatten();
        days.filter_map(|day| self.on(day)).any(|(from, to)| from <= now && now < to)
    }

    /// The moments at which it opens after `now`, the first one first.
    fn openings(&self, now: Timestamp) -> impl Iterator<Item = Timestamp> {
        let today = self.zone.at(now).date();
        let days = (0..HORIZON).filter_map(move |ahead| today.checked_add(ahead.days()).ok());
        days.filter_map(|day| self.on(day)).map(|(from, _)| from).filter(move |from| *from > now)
    }
}

/// May anything be changed now?
#[derive(Debug)]
enum State<'p> {
    Open,
    Frozen(&'p Freeze),
    Closed,
}

fn state(policy: &Policy, now: Timestamp) -> State<'_> {
    let today = policy.zone.at(now).date();
    if let Some(freeze) = policy.freeze.iter().find(|f| f.from <= today && today <= f.to) {
        return State::Frozen(freeze);
    }
    if policy.windows.is_empty() || policy.windows.iter().any(|window| window.is_open(now)) {
        return State::Open;
    }
    State::Closed
}

/// The next moment at which changes are allowed, on the clocks of the policy.
fn next_opening(policy: &Policy, now: Timestamp) -> Option<Zoned> {
    let thaw = policy.freeze.iter().filter_map(|freeze| {
        let day = freeze.to.tomorrow().ok()?;
        day.to_zoned(policy.zone.zone.clone()).ok().map(|local| local.timestamp())
    });
    let openings = policy.windows.iter().flat_map(|window| window.openings(now));
    let mut moments: Vec<Timestamp> = thaw.filter(|at| *at > now).chain(openings).collect();
    moments.sort_unstable();
    let open = moments.into_iter().find(|at| matches!(state(policy, *at), State::Open))?;
    Some(policy.zone.at(open))
}

pub(super) fn check(
    plan: &Plan,
    input: &Input<'_>,
    policy: &Policy,
    now: Timestamp,
    verdicts: &mut Verdicts,
) {
    if policy.windows.is_empty() && policy.freeze.is_empty() {
        return;
    }
    if plan.is_empty() {
        verdicts.checked.push(Checked::new("windows", Verdict::Skipped));
        return;
    }
    let ignored = input.options.ignore_window.as_deref();
    let found = outside(policy, now, input.options.applying, ignored);
    match ignored.filter(|_| found.is_some()) {
        Some(reason) => {
            let checked = Checked::new("windows", Verdict::Ignored);
            verdicts.checked.push(Checked { reason: Some(reason.to_owned()), ..checked });
            verdicts.findings.extend(found);
        }
        None => verdicts.add("windows", found.into_iter().collect()),
    }
}

/// What is said of changes that are made now, outside all windows: an Error when they are made
/// (`applying`), a Warning when they are only planned, or when `ignored` says why they are made all
/// the same. Nothing inside a window.
pub fn outside(
    policy: &Policy,
    now: Timestamp,
    applying: bool,
    ignored: Option<&str>,
) -> Option<Finding> {
    let (what, span) = match state(policy, now) {
        State::Open => return None,
        State::Closed => ("outside all windows".to_owned(), policy.windows_at),
        State::Frozen(freeze) => {
            let why = freeze.reason.as_ref().map(|reason| format!(": {reason}"));
            let text = format!("frozen until {} {}", weekday(freeze.to.weekday()), freeze.to);
            (text + &why.unwrap_or_default(), Some(freeze.span))
        }
    };
    let local = policy.zone.at(now);
    let again = if policy.windows.is_empty() { "allowed again" } else { "the next window opens" };
    let next = next_opening(policy, now).map_or_else(
        || "no window opens within a year".to_owned(),
        |at| format!("{again} {}", Shown(&at)),
    );
    let text = format!("no changes now ({} {}), {what}; {next}", Shown(&local), policy.zone.name);
    let finding = match ignored {
        Some(reason) => Finding::warning("window-ignored", format!("{text}; ignored: {reason}")),
        None if applying => Finding::error("outside-window", text)
            .help("apply then; what cannot wait: --ignore-window REASON, which the plan records"),
        None => {
            Finding::warning("outside-window", text).help("the plan may be made now, not applied")
        }
    };
    Some(placed(finding, span))
}

fn placed(finding: Finding, span: Option<Span>) -> Finding {
    match span {
        Some(span) => finding.at(span),
        None => finding,
    }
}

/// `mon 2026-11-30 22:00`
struct Shown<'z>(&'z Zoned);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.0;
        let day = weekday(at.weekday());
        write!(f, "{day} {} {:02}:{:02}", at.date(), at.hour(), at.minute())
    }
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// The word for a day in documents, rules and messages.
pub(super) fn weekday(day: Weekday) -> &'static str {
    DAYS.iter().find(|(_, known)| *known == day).map_or("", |(word, _)| word)
}

/// A day by its word.
pub(crate) fn day_named(word: &str) -> Result<Weekday, String> {
    let found = DAYS.iter().find(|(known, _)| *known == word).map(|(_, day)| *day);
    found.ok_or_else(|| "days are mon, tue, wed, thu, fri, sat and sun".to_owned())
}

/// A time of day, `22:00`; `24:00` is the midnight at the end of the day.
pub(crate) fn clock(text: &str) -> Result<Time, String> {
    let wrong = || "a time is written as 22:00".to_owned();
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        if digits { text.parse::<i8>().map_err(|_| wrong()) } else { Err(wrong()) }
    };
    match (number(hour)?, number(minute)?) {
        (24, 0) => Ok(Time::midnight()),
        (hour, minute) => Time::new(hour, minute, 0, 0).map_err(|_| wrong()),
    }
}

/// A day, `2026-12-20`.
pub(crate) fn date(text: &str) -> Result<Date, String> {
    let wrong = || "a day is written as 2026-12-20".to_owned();
    if text.len() != 10 {
        return Err(wrong());
    }
    text.parse().map_err(|_| wrong())
}

/// `open`, or when it opens next.
#[cfg(test)]
pub(super) fn describe(policy: &Policy, now: Timestamp) -> String {
    match state(policy, now) {
        State::Open => "open".to_owned(),
        _ => next_opening(policy, now).map_or("never".to_owned(), |at| Shown(&at).to_string()),
    }
}
