//! YAML text as a tree that knows the place of every key and item. Made only to tell where an
//! error is.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

/// Mappings and lists; everything else has nothing below it.
pub(crate) enum Tree {
    Leaf,
    List(Vec<Spanned<Tree>>),
    /// Keys and values.
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

type Found<'t> = (&'t Tree, (usize, usize));

impl Tree {
    /// The value under a key, and the place of the value where it is on the key's line (a text, a
    /// list in brackets), else of the key.
    pub(crate) fn key(&self, name: &str) -> Option<Found<'_>> {
        let Self::Map(entries) = self else { return None };
        let (key, value) = entries.iter().find(|(key, _)| key.value == name)?;
        let inline = value.defined.line() == key.defined.line();
        let place = bytes(if inline { value.defined } else { key.defined });
        Some((&value.value, place?))
    }

    /// An item of a list.
    pub(crate) fn item(&self, index: usize) -> Option<Found<'_>> {
        let Self::List(items) = self else { return None };
        let item = items.get(index)?;
        let place = match &item.value {
            // A block mapping has no first character of its own: its first key stands for it.
            Self::Map(entries) => bytes(entries.first()?.0.defined),
            _ => bytes(item.defined),
        };
        Some((&item.value, place?))
    }
}

/// Byte range of a location.
pub(crate) fn bytes(location: Location) -> Option<(usize, usize)> {
    let span = location.span();
    let (start, len) = (span.byte_offset()?, span.byte_len()?);
    Some((usize::try_from(start).ok()?, usize::try_from(len).ok()?))
}

/// The tree of a text; none when it is no YAML.
pub(crate) fn parse(text: &str) -> Option<Tree> {
    let found: Spanned<Tree> =
        serde_saphyr::from_str_with_options(text, super::yaml_options()).ok()?;
    Some(found.value)
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Trees)
    }
}

struct Trees;

impl<'de> Visitor<'de> for Trees {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_str<E>(self, _: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree::Map(entries))
    }
}
