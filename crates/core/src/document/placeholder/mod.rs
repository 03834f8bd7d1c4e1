//! Placeholders in texts: `{var.cores}`, `{index:02}`, `{10.0.0.60+index}`.
//!
//! A text is taken apart once, when its document is read; variables are filled in there and then,
//! the rest when guests are made of it. A text without any placeholder stays exactly as it is; in
//! a text with one, `{{` and `}}` stand for braces.

pub(crate) mod address;
mod fill;
mod read;

pub(crate) use fill::{Context, fill, fill_known};
pub(crate) use read::read_texts;

use std::fmt;
use std::net::IpAddr;

use super::nearest::nearest;

/// A piece of a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    /// As it stands.
    Text(String),
    /// To be filled in.
    Place(Place),
}

/// What is to be filled in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Place {
    /// `{var.NAME}`
    Var(String),
    /// `{index}`, `{index+10}`, `{index:03}`: the guest's number, from 1.
    Index {
        /// Added to it.
        add: i64,
        /// Filled up with zeros to so many digits.
        width: usize,
    },
    /// `{10.0.0.60+index}`
    Address(IpAddr),
    /// `{name}` and the like.
    Word(Word),
}

/// Placeholders of one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Name,
    Profile,
    Group,
    Each,
    Cluster,
    Vmid,
    Node,
}

const WORDS: [(&str, Word); 7] = [
    ("name", Word::Name),
    ("profile", Word::Profile),
    ("group", Word::Group),
    ("each", Word::Each),
    ("cluster", Word::Cluster),
    ("vmid", Word::Vmid),
    ("node", Word::Node),
];

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Var(name) => write!(f, "{{var.{name}}}"),
            Self::Index { add, width } => {
                f.write_str("{index")?;
                if *add != 0 {
                    write!(f, "{add:+}")?;
                }
                if *width > 0 {
                    write!(f, ":0{width}")?;
                }
                f.write_str("}")
            }
            Self::Address(ip) => write!(f, "{{{ip}+index}}"),
            Self::Word(word) => {
                let name = WORDS.iter().find(|(_, known)| known == word).map_or("", |(n, _)| n);
                write!(f, "{{{name}}}")
            }
        }
    }
}

/// A text as its pieces say it, placeholders as they are written.
pub(crate) fn written(pieces: &[Piece]) -> String {
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Place(place) => place.to_string(),
        })
        .collect()
}

/// A word in braces that is no placeholder and was probably meant to be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slip {
    /// With its braces.
    pub(crate) written: String,
    /// What may have been meant.
    pub(crate) meant: &'static str,
}

/// Takes a text apart; none when it has no placeholder.
///
/// # Errors
/// A word in braces that is almost one.
pub(crate) fn parse(text: &str) -> Result<Option<Vec<Piece>>, Slip> {
    if !has_placeholder(text)? {
        return Ok(None);
    }
    let mut pieces: Vec<Piece> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        push(&mut pieces, before);
        if let Some(after) = from.strip_prefix("{{") {
            push(&mut pieces, "{");
            rest = after;
        } else if let Some(after) = from.strip_prefix("}}") {
            push(&mut pieces, "}");
            rest = after;
        } else if let Some((place, after)) = place_at(from) {
            pieces.push(Piece::Place(place));
            rest = after;
        } else {
            let (brace, after) = from.split_at(1);
            push(&mut pieces, brace);
            rest = after;
        }
    }
    push(&mut pieces, rest);
    Ok(Some(pieces))
}

fn push(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Text(last)) => last.push_str(text),
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

/// Is there a placeholder anywhere, between doubled braces too?
fn has_placeholder(text: &str) -> Result<bool, Slip> {
    let mut found = false;
    for (at, _) in text.match_indices('{') {
        let from = text.get(at..).unwrap_or_default();
        if place_at(from).is_some() {
            found = true;
        } else if !from.starts_with("{{")
            && !text.get(..at).is_some_and(|before| before.ends_with('{'))
            && let Some(slip) = slip_at(from)
        {
            return Err(slip);
        }
    }
    Ok(found)
}

/// What is in the braces that `from` begins with, and what comes after them.
fn in_braces(from: &str) -> Option<(&str, &str)> {
    from.strip_prefix('{')?.split_once('}')
}

fn place_at(from: &str) -> Option<(Place, &str)> {
    let (word, after) = in_braces(from)?;
    Some((place(word)?, after))
}

/// The placeholder that `word` is, without braces.
pub(crate) fn place(word: &str) -> Option<Place> {
    if let Some((_, word)) = WORDS.iter().find(|(name, _)| *name == word) {
        return Some(Place::Word(*word));
    }
    if let Some(name) = word.strip_prefix("var.") {
        let valid = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        return (!name.is_empty() && name.chars().all(valid)).then(|| Place::Var(name.to_owned()));
    }
    if let Some(base) = word.strip_suffix("+index") {
        return base.parse().ok().map(Place::Address);
    }
    index(word)
}

fn index(word: &str) -> Option<Place> {
    let rest = word.strip_prefix("index")?;
    let (add, width) = rest.split_once(':').map_or((rest, None), |(add, w)| (add, Some(w)));
    let digits = |text: &str, most: usize| {
        !text.is_empty() && text.len() <= most && text.bytes().all(|b| b.is_ascii_digit())
    };
    let add: i64 = match add.strip_prefix(['+', '-']) {
        _ if add.is_empty() => 0,
        Some(number) if digits(number, 9) => add.parse().ok()?,
        _ => return None,
    };
    let width = match width {
        None => 0,
        Some(width) => {
            let width = width.strip_prefix('0').filter(|w| digits(w, 2))?.parse().ok()?;
            if !(1..=20).contains(&width) {
                return None;
            }
            width
        }
    };
    Some(Place::Index { add, width })
}

/// A word that is near a placeholder. Texts of other tools (`{{ x }}`, JSON) are not.
fn slip_at(from: &str) -> Option<Slip> {
    let (word, _) = in_braces(from)?;
    let valid = |c: char| c.is_ascii_alphanumeric() || "_.:+-".contains(c);
    if !word.starts_with(|c: char| c.is_ascii_alphabetic()) || !word.chars().all(valid) {
        return None;
    }
    let written = format!("{{{word}}}");
    let base = word.split(['.', ':', '+', '-']).next().unwrap_or_default();
    let known = WORDS.iter().map(|(name, _)| *name).chain(["index", "var"]);
    let meant = match nearest(base, known)? {
        "index" => "{index}, {index+10} or {index:03}",
        "var" if word.contains('.') => "{var.NAME}",
        "var" => return None,
        "name" => "{name}",
        "profile" => "{profile}",
        "group" => "{group}",
        "each" => "{each}",
        "cluster" => "{cluster}",
        "vmid" => "{vmid}",
        _ => "{node}",
    };
    Some(Slip { written, meant })
}

#[cfg(test)]
mod tests;
