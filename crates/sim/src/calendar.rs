//! Calendar events: when jobs run (`Proxmox::RS::CalendarEvent`, a subset of those of systemd).

/// Days that are looked at for the next run.
const DAYS: i64 = 366 * 40;
const DAY: i64 = 86_400;
/// Unix seconds at the end of the year 9950: nothing is planned so far from now.
const FAR: u64 = 251_856_000_000;
/// Keywords and what they stand for.
const WORDS: &[(&str, &str)] = &[
    ("minutely", "*:*"),
    ("hourly", "*:00"),
    ("daily", "00:00"),
    ("weekly", "mon 00:00"),
    ("monthly", "*-1 00:00"),
    ("yearly", "1-1 00:00"),
    ("annually", "1-1 00:00"),
    ("quarterly", "1,4,7,10-1 00:00"),
    ("semiannually", "1,7-1 00:00"),
    ("semi-annually", "1,7-1 00:00"),
];
const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Values of one part of a time: every `step`th of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    first: u32,
    last: u32,
    step: u32,
}

impl Span {
    fn holds(self, value: u32) -> bool {
        let within = (self.first..=self.last).contains(&value);
        within && (value - self.first).checked_rem(self.step).unwrap_or(value - self.first) == 0
    }
}

/// Nothing is everything.
fn fits(spans: &[Span], value: u32) -> bool {
    spans.is_empty() || spans.iter().any(|span| span.holds(value))
}

/// When something happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calendar {
    /// Monday is the first; none of them is all of them.
    weekdays: [bool; 7],
    years: Vec<Span>,
    months: Vec<Span>,
    days: Vec<Span>,
    hours: Vec<Span>,
    minutes: Vec<Span>,
    seconds: Vec<Span>,
}

impl Calendar {
    /// Reads `mon..fri 8..17:0/15` and its like. Times are those of the node, which are UTC here.
    ///
    /// # Errors
    /// What `pve_verify_calendar_event` says of it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let failed = |why: String| {
            Err(format!("invalid calendar event '{text}' - unable to parse calendar event{why}\n"))
        };
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return failed(" - event is empty".to_owned());
        }
        match read(trimmed) {
            Ok((calendar, "")) => Ok(calendar),
            Ok((_, rest)) => failed(format!(" at '{rest}' - Nom(Eof)")),
            Err((rest, what)) => failed(format!(" at '{rest}' - Context(\"{what}\")")),
        }
    }

    /// The first time after a moment, in Unix seconds.
    pub(crate) fn next(&self, after: i64) -> Option<i64> {
        if after.unsigned_abs() > FAR {
            return None;
        }
        let begin = after + 1;
        let today = begin.div_euclid(DAY);
        (today..today + DAYS).find_map(|day| {
            let from = if day == today { begin.rem_euclid(DAY) } else { 0 };
            self.on_day(day)
                .then(|| self.within_day(from))
                .flatten()
                .map(|second| day * DAY + second)
        })
    }

    fn on_day(&self, day: i64) -> bool {
        let time = jiff::Timestamp::from_second(day * DAY).unwrap_or_default();
        let date = time.to_zoned(jiff::tz::TimeZone::UTC).date();
        let number = |value: i64| u32::try_from(value).unwrap_or(0);
        let weekday = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0);
        let any = !self.weekdays.contains(&true);
        (any || self.weekdays.get(weekday).copied().unwrap_or(false))
            && fits(&self.years, number(date.year().into()))
            && fits(&self.months, number(date.month().into()))
            && fits(&self.days, number(date.day().into()))
    }

    /// The first second of a day, from one on.
    fn within_day(&self, from: i64) -> Option<i64> {
        let from = u32::try_from(from).unwrap_or(0);
        let hours = (from / 3600..24).filter(|hour| fits(&self.hours, *hour));
        let minutes = hours.flat_map(|hour| (0..60).map(move |minute| (hour, minute)));
        let minutes = minutes.filter(|(_, minute)| fits(&self.minutes, *minute));
        let seconds = minutes.flat_map(|(hour, minute)| {
            (0..60).map(move |second| (second, hour * 3600 + minute * 60 + second))
        });
        let mut later = seconds.filter(|(second, at)| *at >= from && fits(&self.seconds, *second));
        later.next().map(|(_, at)| i64::from(at))
    }
}

type Parsed<'a, T> = Option<(&'a str, T)>;

/// The event and what is left of the text, or where it goes wrong and what was expected.
fn read(text: &str) -> Result<(Calendar, &str), (&str, &'static str)> {
    let text = text.strip_suffix("UTC").map_or(text, |before| before.trim_end_matches(' '));
    let known = WORDS.iter().find(|(word, _)| *word == text);
    let mut rest = known.map_or(text, |(_, meaning)| meaning);
    let mut calendar = Calendar::default();
    let mut given = false;
    if rest.starts_with(|first: char| first.is_ascii_alphabetic()) {
        rest = weekdays(rest, &mut calendar.weekdays)?.trim_start_matches([' ', '\t']);
        given = true;
    }
    if let Some((after, (years, months, days))) = date(rest) {
        (calendar.years, calendar.months, calendar.days) = (years, months, days);
        rest = after.trim_start_matches([' ', '\t']);
        given = true;
    }
    if let Some((after, (hours, minutes, seconds))) = time(rest) {
        (calendar.hours, calendar.minutes, calendar.seconds) = (hours, minutes, seconds);
        return Ok((calendar, after));
    }
    if !given {
        return Err((rest, "date or time specification"));
    }
    let midnight = || vec![Span { first: 0, last: 0, step: 1 }];
    (calendar.hours, calendar.minutes, calendar.seconds) = (midnight(), midnight(), midnight());
    Ok((calendar, rest))
}

/// `mon..wed,sun`; the error of the first one only, later ones are left over.
fn weekdays<'a>(text: &'a str, days: &mut [bool; 7]) -> Result<&'a str, (&'a str, &'static str)> {
    let mut rest = weekday_range(text, days).map_err(|word| (word, "weekday"))?;
    while let Some(more) = rest.strip_prefix(',') {
        match weekday_range(more, days) {
            Ok(after) => rest = after,
            Err(_) => break,
        }
    }
    Ok(rest)
}

fn weekday_range<'a>(text: &'a str, days: &mut [bool; 7]) -> Result<&'a str, &'a str> {
    let (mut rest, first) = weekday(text)?;
    let mut last = first;
    if let Some(Ok((after, end))) = rest.strip_prefix("..").map(weekday) {
        (rest, last) = (after, end);
    }
    for (number, day) in days.iter_mut().enumerate() {
        let within = (first..=last).contains(&number);
        // `fri..mon` goes over the end of the week.
        let around = first > last && (number >= first || number <= last);
        *day |= within || around;
    }
    Ok(rest)
}

fn weekday(text: &str) -> Result<(&str, usize), &str> {
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let lower = word.to_ascii_lowercase();
    let same = |name: &&str| **name == lower || name.get(..3) == Some(lower.as_str());
    WEEKDAYS.iter().position(same).map(|day| (rest, day)).ok_or(word)
}

fn number(text: &str, limit: u32) -> Parsed<'_, u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    digits.parse().ok().filter(|value| *value < limit).map(|value| (rest, value))
}

/// `5`, `5..9`, `5/2`, `5..9/2`.
fn span(text: &str, limit: u32) -> Parsed<'_, Span> {
    let (mut rest, first) = number(text, limit)?;
    let (mut last, mut step) = (first, 1);
    let mut ranged = false;
    if let Some((after, end)) = rest.strip_prefix("..").and_then(|more| number(more, limit)) {
        if first > end {
            return None;
        }
        (rest, last, ranged) = (after, end, true);
    }
    if let Some(more) = rest.strip_prefix('/') {
        (rest, step) = number(more, limit)?;
        last = if ranged { last } else { u32::MAX };
    }
    Some((rest, Span { first, last, step }))
}

/// `*`, `*/5`, or spans with commas between.
fn spans(text: &str, first: u32, limit: u32) -> Parsed<'_, Vec<Span>> {
    if let Some(rest) = text.strip_prefix('*') {
        let Some(more) = rest.strip_prefix('/') else { return Some((rest, Vec::new())) };
        let (after, step) = number(more, limit)?;
        let every = vec![Span { first, last: u32::MAX, step }];
        return Some(if step > 0 { (after, every) } else { (rest, Vec::new()) });
    }
    let (mut rest, one) = span(text, limit)?;
    let mut out = vec![one];
    while let Some((after, next)) = rest.strip_prefix(',').and_then(|more| span(more, limit)) {
        out.push(next);
        rest = after;
    }
    Some((rest, out))
}

type Three = (Vec<Span>, Vec<Span>, Vec<Span>);

/// `2026-*-1`, `*-1`.
fn date(text: &str) -> Parsed<'_, Three> {
    let day_of = |text| {
        let (rest, months) = spans(text, 1, 13)?;
        let (rest, days) = spans(rest.strip_prefix('-')?, 1, 32)?;
        Some((rest, months, days))
    };
    let whole = spans(text, 0, 2200).and_then(|(rest, years)| {
        let (rest, months, days) = day_of(rest.strip_prefix('-')?)?;
        Some((rest, (years, months, days)))
    });
    whole.or_else(|| {
        let (rest, months, days) = day_of(text)?;
        Some((rest, (Vec::new(), months, days)))
    })
}

/// `8..17:0/15`, `22:00:30`, `30` (minutes).
fn time(text: &str) -> Parsed<'_, Three> {
    let hours = spans(text, 0, 24).and_then(|(rest, hours)| Some((rest.strip_prefix(':')?, hours)));
    let (rest, hours) = hours.unwrap_or((text, Vec::new()));
    let (rest, minutes) = spans(rest, 0, 60)?;
    let seconds = rest.strip_prefix(':').and_then(|more| spans(more, 0, 60));
    let (rest, seconds) = seconds.unwrap_or((rest, vec![Span { first: 0, last: 0, step: 1 }]));
    Some((rest, (hours, minutes, seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    /// Those of pve-common's own tests among them.
    #[test]
    fn when_it_is_next() {
        let cases: &[(&str, i64, i64)] = &[
            ("*", 30, 60),
            ("*/10", 599, 600),
            ("*/12:0", 13 * HOUR, 24 * HOUR),
            ("1/12:0/15", 3600, HOUR + 15 * 60),
            ("1,4,6", 60, 240),
            ("Mon", 0, 4 * DAY),
            ("sat..sun", 3 * DAY, 9 * DAY),
            ("20..22:*/30", 22 * HOUR + 1800, 44 * HOUR),
            ("2,4:0,1,3..5", 2 * HOUR + 5 * 60, 4 * HOUR),
            ("daily", 0, DAY),
            ("hourly", 1, HOUR),
            ("minutely", 0, 60),
            ("monthly", 0, 31 * DAY),
            ("quarterly", 0, 90 * DAY),
            ("fri..sat 22:00", 0, DAY + 22 * HOUR),
            ("sun..mon 1:30 UTC", 0, 3 * DAY + HOUR + 1800),
            ("1970-2-3 4:5:6", 0, 33 * DAY + 4 * HOUR + 306),
            ("*-*-2", 0, DAY),
        ];
        for (text, after, expected) in cases {
            let calendar = Calendar::parse(text).unwrap();
            assert_eq!(calendar.next(*after), Some(*expected), "{text} after {after}");
        }
        assert_eq!(Calendar::parse("1969-1-1").unwrap().next(0), None);
        assert_eq!(Calendar::parse("daily").unwrap().next(i64::MAX), None);
    }

    #[test]
    fn what_is_no_event() {
        for (text, why) in [
            ("foo", " at 'foo' - Context(\"weekday\")"),
            ("61", " at '61' - Context(\"date or time specification\")"),
            ("mon 61", " at '61' - Nom(Eof)"),
            ("12:00 x", " at ' x' - Nom(Eof)"),
            ("", " - event is empty"),
            ("5..2", " at '5..2' - Context(\"date or time specification\")"),
        ] {
            let expected =
                format!("invalid calendar event '{text}' - unable to parse calendar event{why}\n");
            assert_eq!(Calendar::parse(text), Err(expected), "{text}");
        }
    }
}
