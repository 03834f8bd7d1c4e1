//! The keys of one mapping, taken one by one; what is left over is unknown.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::super::nearest::nearest;
use super::super::yaml::{Entry, Kind, Node};
use super::value;
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::schema::Key;

/// Problems of one document that are shown; a file with more is not what it seems.
pub(crate) const MOST_PROBLEMS: usize = 50;

/// Takes known keys out of a mapping and collects every problem on the way.
pub(crate) struct Fields<'n, 'p> {
    what: &'static str,
    span: Span,
    entries: &'n [Entry],
    known: Vec<&'static str>,
    /// Keys with a number: `usb0`, `usb1`, …
    numbered: Vec<&'static Key>,
    /// Keys with a problem of their own, which no help offers.
    refused: &'static [&'static str],
    /// Where problems go.
    pub(crate) problems: &'p mut Vec<Diagnostic>,
}

impl<'n, 'p> Fields<'n, 'p> {
    /// Opens the mapping `node`, the value of `key`, which is `what` in errors ("a node group").
    /// Anything else is a problem.
    pub(crate) fn open(
        node: &'n Node,
        key: &str,
        what: &'static str,
        problems: &'p mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            problems.push(value::wrong_type(node, key, "a mapping"));
            return None;
        };
        Some(Self {
            what,
            span: node.span,
            entries,
            known: Vec::new(),
            numbered: Vec::new(),
            refused: &[],
            problems,
        })
    }

    /// Where the mapping begins.
    pub(crate) fn span(&self) -> Span {
        self.span
    }

    /// The value of `key`; a key with nothing after the colon counts as absent.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<&'n Node> {
        self.known.push(key);
        self.entries
            .iter()
            .find(|entry| entry.key.value == key)
            .map(|entry| &entry.value)
            .filter(|node| node.kind != Kind::Null)
    }

    /// The values of a key of the table, by name: several when it has numbers.
    pub(crate) fn take_key(&mut self, key: &'static Key) -> Vec<(&'n str, &'n Node)> {
        if key.slots == 0 {
            return self.take(key.name).map(|node| (key.name, node)).into_iter().collect();
        }
        self.numbered.push(key);
        let named = |entry: &&Entry| key.matches(&entry.key.value);
        let found = self.entries.iter().filter(named).filter(|e| e.value.kind != Kind::Null);
        found.map(|entry| (entry.key.value.as_str(), &entry.value)).collect()
    }

    /// Takes keys that would hold a secret: they are refused, and not offered as known ones.
    pub(crate) fn take_secrets(
        &mut self,
        keys: &'static [&'static str],
    ) -> Vec<(&'n str, &'n Node)> {
        self.refused = keys;
        let refused = |entry: &&Entry| keys.contains(&entry.key.value.as_str());
        let entries = self.entries.iter().filter(refused);
        entries.map(|entry| (entry.key.value.as_str(), &entry.value)).collect()
    }

    /// Opens the mapping under `key`.
    pub(crate) fn mapping(
        &mut self,
        key: &'static str,
        what: &'static str,
    ) -> Option<Fields<'n, '_>> {
        let node = self.take(key)?;
        Fields::open(node, key, what, self.problems)
    }

    /// The entries of the mapping under `key`, whose names are the document's own; repeated names
    /// are problems and left out.
    pub(crate) fn named(&mut self, key: &'static str) -> Vec<&'n Entry> {
        let Some(node) = self.take(key) else { return Vec::new() };
        named(node, key, self.problems)
    }

    /// A text of one line.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<Spanned<String>> {
        value::text(self.take(key)?, key, self.problems)
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, key: &'static str) -> Vec<Spanned<String>> {
        self.take(key).map(|node| value::texts(node, key, self.problems)).unwrap_or_default()
    }

    /// A whole number in `range`.
    pub(crate) fn integer(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u32>,
    ) -> Option<Spanned<u32>> {
        value::integer(self.take(key)?, key, range, self.problems)
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, key: &'static str) -> Option<Spanned<bool>> {
        value::boolean(self.take(key)?, key, self.problems)
    }

    /// One of `known`.
    pub(crate) fn word(&mut self, key: &'static str, known: &[&str]) -> Option<Spanned<String>> {
        value::word(self.take(key)?, key, known, self.problems)
    }

    /// A size in bytes; a bare number counts in `bare` bytes.
    pub(crate) fn bytes(&mut self, key: &'static str, bare: u64) -> Option<Spanned<u64>> {
        value::bytes(self.take(key)?, key, bare, self.problems)
    }

    /// A value that `read` understands, such as an address.
    pub(crate) fn parsed<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Spanned<T>> {
        let node = self.take(key)?;
        parsed(node, key, &read, self.problems)
    }

    /// A list of values that `read` understands.
    pub(crate) fn parsed_list<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<Spanned<T>> {
        let Some(node) = self.take(key) else { return Vec::new() };
        let items = value::items(node, key, 256, self.problems);
        items.iter().filter_map(|item| parsed(item, key, &read, self.problems)).collect()
    }

    /// Reports that `key` is missing, unless it is there with whatever value.
    pub(crate) fn require(&mut self, key: &str, why: &str) {
        let there = |entry: &Entry| entry.key.value == key && entry.value.kind != Kind::Null;
        if self.entries.iter().any(there) {
            return;
        }
        let place = self.entries.iter().find(|entry| entry.key.value == key);
        let problem =
            Diagnostic::error("missing-key", format!("{} needs '{key}'", self.what)).help(why);
        self.problems.push(match place {
            Some(entry) => problem.at(entry.key.span, "there is no value"),
            None => problem.at(self.span, format!("'{key}' is missing here")),
        });
    }

    /// Reports unknown and repeated keys.
    pub(crate) fn finish(self) {
        #[cfg(test)]
        met::keep(self.what, &self.known, &self.numbered);
        let mut first: HashMap<&str, Span> = HashMap::new();
        for entry in self.entries {
            let key = entry.key.value.as_str();
            if self.refused.contains(&key) {
                continue;
            }
            let numbered = self.numbered.iter().any(|known| known.matches(key));
            if !numbered && !self.known.contains(&key) {
                let problem = unknown_key(entry, self.what);
                // Beyond what is shown of one document, a problem is only counted.
                self.problems.push(if self.problems.len() < MOST_PROBLEMS {
                    offer_keys(problem, entry, &self.known, &self.numbered)
                } else {
                    problem
                });
            } else if let Some(span) = first.get(key) {
                self.problems.push(duplicate_key(entry, *span));
            } else {
                first.insert(key, entry.key.span);
            }
        }
    }
}

/// The entries of a mapping whose names are the document's own.
pub(crate) fn named<'n>(
    node: &'n Node,
    key: &str,
    problems: &mut Vec<Diagnostic>,
) -> Vec<&'n Entry> {
    let Kind::Map(entries) = &node.kind else {
        problems.push(value::wrong_type(node, key, "a mapping"));
        return Vec::new();
    };
    let mut first: HashMap<&str, Span> = HashMap::new();
    let mut kept = Vec::new();
    for entry in entries {
        match first.get(entry.key.value.as_str()) {
            Some(span) => problems.push(duplicate_key(entry, *span)),
            None => {
                first.insert(entry.key.value.as_str(), entry.key.span);
                kept.push(entry);
            }
        }
    }
    kept
}

/// A scalar that `read` understands.
pub(crate) fn parsed<T>(
    node: &Node,
    key: &str,
    read: impl Fn(&str) -> Result<T, String>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Spanned<T>> {
    let text = value::text(node, key, problems)?;
    match read(&text.value) {
        Ok(value) => Some(Spanned::new(value, text.span)),
        Err(why) => {
            problems.push(value::bad_value(text.span, key, why));
            None
        }
    }
}

fn unknown_key(entry: &Entry, what: &str) -> Diagnostic {
    let message = format!("unknown key {} in {what}", value::quoted(&entry.key.value));
    Diagnostic::error("unknown-key", message)
}

/// Known keys that are listed; nobody reads more.
const MOST_OFFERED: usize = 40;

fn is_password(key: &str) -> bool {
    const PASSWORDS: [&str; 2] = ["password", "cipassword"];
    PASSWORDS.contains(&key) || nearest(key, PASSWORDS).is_some()
}

/// Adds the place and the nearest known key, or all known keys.
fn offer_keys(
    problem: Diagnostic,
    entry: &Entry,
    known: &[&'static str],
    numbered: &[&'static Key],
) -> Diagnostic {
    if is_password(&entry.key.value) && !matches!(entry.value.kind, Kind::Seq(_) | Kind::Map(_)) {
        // What it holds is a secret, however its key is written and wherever it stands.
        return Diagnostic { code: value::SECRET, ..problem }
            .at(entry.value.span, "a secret does not belong into this file")
            .help("a guest's password is `cloudinit.password`, which says where the secret is");
    }
    let near = nearest(&entry.key.value, known.iter().copied());
    let stem = entry.key.value.trim_end_matches(|c: char| c.is_ascii_digit());
    let near = match numbered.iter().find(|key| key.name == stem && stem != entry.key.value) {
        Some(key) if key.slots == 1 => Some(format!("there is only {}", key.title())),
        Some(key) => Some(format!("there are {}", key.title())),
        None => near.map(|key| format!("did you mean '{key}'?")),
    };
    let is_near = near.is_some();
    let problem = problem.at(entry.key.span, near.unwrap_or_else(|| "not known".to_owned()));
    if known.len() > MOST_OFFERED && is_near {
        return problem;
    }
    if known.len() > MOST_OFFERED {
        let help = "`pvx schema reference` lists all keys, and so does docs/reference/documents.md";
        return problem.help(help);
    }
    let titles = numbered.iter().map(|key| key.title());
    let mut sorted: Vec<String> = known.iter().map(|k| (*k).to_owned()).chain(titles).collect();
    sorted.sort_unstable();
    // Some are asked for twice.
    sorted.dedup();
    problem.help(format!("known here: {}", sorted.join(", ")))
}

fn duplicate_key(entry: &Entry, first: Span) -> Diagnostic {
    let message = format!("key {} is given twice", value::quoted(&entry.key.value));
    Diagnostic::error("duplicate-key", message)
        .at(entry.key.span, "again here")
        .at(first, "first here")
        .help("keep one of the two")
}

/// Which keys each kind of mapping was asked for: held against the tables of the reference.
#[cfg(test)]
pub(crate) mod met {
    use std::cell::RefCell;
    use std::collections::{BTreeMap, BTreeSet};

    use crate::schema::Key;

    type Known = BTreeMap<&'static str, BTreeSet<String>>;

    thread_local! {
        static KNOWN: RefCell<Known> = RefCell::default();
    }

    pub(super) fn keep(what: &'static str, known: &[&'static str], numbered: &[&'static Key]) {
        let names = known.iter().map(|name| (*name).to_owned());
        let names = names.chain(numbered.iter().map(|key| key.title()));
        KNOWN.with_borrow_mut(|all| all.entry(what).or_default().extend(names));
    }

    /// What this thread has met so far.
    pub(crate) fn all() -> Known {
        KNOWN.with_borrow(Clone::clone)
    }
}
