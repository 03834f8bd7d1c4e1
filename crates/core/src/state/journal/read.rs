//! Reads a journal: what is whole counts, what is not is told.

use serde::Deserialize;

use super::line::{Line, Remark, VERSION, checked};
use super::{Damage, Record, Unfinished, legacy};

/// What a journal says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// What began and did not end, in order.
    pub(super) open: Vec<Unfinished>,
    /// What the state file may not say yet, in order.
    pub(super) remarks: Vec<Remark>,
    pub(super) damage: Vec<Damage>,
}

/// What the header of every version has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Reading {
    /// Reads a journal of this profile.
    ///
    /// # Errors
    /// The version of one that a newer pvx wrote.
    pub(super) fn of(bytes: &[u8], cluster: &str, profile: &str) -> Result<Self, u32> {
        let lines: Vec<RawLine<'_>> =
            bytes.split_inclusive(|b| *b == b'\n').map(RawLine::of).collect();
        let mut reader = Reader::default();
        let unchecked = lines.iter().all(|line| checked(line.text).is_none());
        if unchecked && lines.iter().any(|line| line.text.starts_with(b"{")) {
            reader.all(&lines, legacy::record);
            return Ok(reader.end());
        }
        let first = lines.iter().find_map(|line| checked(line.text));
        let said = first.and_then(|json| serde_json::from_slice::<Versioned>(json).ok());
        if let Some(newer) = said.filter(|said| said.version > VERSION) {
            return Err(newer.version);
        }
        if let Some(Line::Journal(header)) =
            first.and_then(|json| serde_json::from_slice(json).ok())
            && (header.cluster != cluster || header.profile != profile)
        {
            let what = format!("it belongs to {} on {}", header.profile, header.cluster);
            return Ok(Self { damage: vec![Damage { line: 1, what }], ..Self::default() });
        }
        reader.all(&lines, parse);
        Ok(reader.end())
    }
}

/// A line as it lies in the file.
struct RawLine<'a> {
    text: &'a [u8],
    /// Its line break is there.
    ended: bool,
}

impl<'a> RawLine<'a> {
    fn of(line: &'a [u8]) -> Self {
        match line.strip_suffix(b"\n") {
            Some(text) => Self { text, ended: true },
            None => Self { text: line, ended: false },
        }
    }
}

fn parse(line: &[u8]) -> Result<Line, String> {
    let json = checked(line).ok_or("its checksum is another: it was changed or cut")?;
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

/// Takes line after line.
#[derive(Default)]
struct Reader {
    /// With the number of damaged lines before each.
    open: Vec<(usize, Unfinished)>,
    remarks: Vec<Remark>,
    damage: Vec<Damage>,
}

impl Reader {
    /// Takes all lines. The last one may be torn.
    fn all(&mut self, lines: &[RawLine<'_>], parse: impl Fn(&[u8]) -> Result<Line, String>) {
        for (index, line) in lines.iter().enumerate() {
            match parse(line.text) {
                Ok(line) => self.take(line),
                Err(_) if !line.ended => {}
                Err(what) => self.damage.push(Damage { line: index + 1, what }),
            }
        }
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Journal(_) => {}
            Line::Remark(Remark::Folded) => self.remarks.clear(),
            Line::Remark(remark) => self.remarks.push(remark),
            Line::Record(Record::Begin { action, at }) => {
                self.open.push((self.damage.len(), Unfinished { action, at, upid: None }));
            }
            Line::Record(Record::Task { action, upid }) => {
                let open = self.newest(action).and_then(|index| self.open.get_mut(index));
                if let Some((_, open)) = open {
                    open.upid = Some(upid);
                }
            }
            Line::Record(Record::End { action, .. }) => {
                if let Some(index) = self.newest(action) {
                    self.open.remove(index);
                }
            }
            Line::Record(Record::Closed) => {
                self.open.clear();
                self.remarks.clear();
            }
        }
    }

    /// Where the action of this number is. Numbers begin anew with each plan, so the newest is meant;
    /// but not across a damaged line, on which a newer one may have begun.
    fn newest(&self, action: u32) -> Option<usize> {
        let index = self.open.iter().rposition(|(_, open)| open.action.id.0 == action)?;
        let (damage, _) = self.open.get(index)?;
        (*damage == self.damage.len()).then_some(index)
    }

    fn end(self) -> Reading {
        let Self { open, remarks, damage } = self;
        Reading { open: open.into_iter().map(|(_, open)| open).collect(), remarks, damage }
    }
}
