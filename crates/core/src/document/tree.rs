//! Making and changing YAML trees: what layers, placeholders and addresses have in common.

use super::yaml::{Entry, Kind, Node};
use crate::diagnostic::{Span, Spanned};

impl Node {
    /// A mapping without keys.
    pub(crate) fn mapping(span: Span) -> Self {
        Self { span, kind: Kind::Map(Vec::new()) }
    }

    /// A text that is said at `span`.
    pub(crate) fn text(text: impl Into<String>, span: Span) -> Self {
        Self { span, kind: Kind::Text(text.into()) }
    }

    /// The entries of a mapping; none of anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The entries of a mapping, to change them; none of anything else.
    pub(crate) fn entries_mut(&mut self) -> &mut [Entry] {
        match &mut self.kind {
            Kind::Map(entries) => entries,
            _ => &mut [],
        }
    }

    /// Adds an entry at the end of a mapping. What is no mapping becomes one.
    pub(crate) fn push(&mut self, entry: Entry) {
        match &mut self.kind {
            Kind::Map(entries) => entries.push(entry),
            other => *other = Kind::Map(vec![entry]),
        }
    }

    /// The value under `key`, which is made of nothing, at `span`, when it is not there. What is no
    /// mapping becomes one.
    pub(crate) fn entry(&mut self, key: &str, span: Span) -> &mut Node {
        let there = self.entries().iter().position(|entry| entry.key.value == key);
        let index = there.unwrap_or_else(|| {
            let value = Node { span, kind: Kind::Null };
            self.push(Entry { key: Spanned::new(key.to_owned(), span), value });
            self.entries().len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "found or pushed just above")]
        &mut self.entries_mut()[index].value
    }

    /// Sets `key` to `value`.
    pub(crate) fn set(&mut self, key: &str, value: Node) {
        let span = value.span;
        *self.entry(key, span) = value;
    }

    /// Takes `key` out of a mapping.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Entry> {
        let Kind::Map(entries) = &mut self.kind else { return None };
        let index = entries.iter().position(|entry| entry.key.value == key)?;
        Some(entries.remove(index))
    }

    /// The value under a path of keys.
    pub(crate) fn find(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// Calls `each` with every node that is no mapping, and its path (`disks.scsi1.size`).
    pub(crate) fn leaves<'n>(&'n self, path: &str, each: &mut impl FnMut(&str, &'n Node)) {
        match &self.kind {
            Kind::Map(entries) => {
                for entry in entries {
                    let key = &entry.key.value;
                    let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    entry.value.leaves(&inner, each);
                }
            }
            _ => each(path, self),
        }
    }

    /// Calls `each` with every node, itself included.
    pub(crate) fn walk<'n>(&'n self, each: &mut impl FnMut(&'n Node)) {
        each(self);
        match &self.kind {
            Kind::Map(entries) => entries.iter().for_each(|entry| entry.value.walk(each)),
            Kind::Seq(items) => items.iter().for_each(|item| item.walk(each)),
            _ => {}
        }
    }

    /// Does anything in it wait for a guest?
    pub(crate) fn has_templates(&self) -> bool {
        match &self.kind {
            Kind::Template(_) => true,
            Kind::Map(entries) => entries.iter().any(|entry| entry.value.has_templates()),
            Kind::Seq(items) => items.iter().any(Node::has_templates),
            _ => false,
        }
    }
}
