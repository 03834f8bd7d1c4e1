//! Source texts and places in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which source text a [`Span`] points into; an index of [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// A range of bytes in one source text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Which text.
    pub source: SourceId,
    /// First byte.
    pub start: u32,
    /// Number of bytes; 0 points between two bytes.
    pub len: u32,
}

/// A value and where the document says it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// `value`, said at `span`.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }

    /// The same place with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { value: f(self.value), span: self.span }
    }
}

/// A place for people and for JSON: lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Position {
    /// The file as the user named it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

#[derive(Debug, Clone)]
struct Source {
    name: String,
    text: Arc<str>,
    file: Option<SourceFile>,
}

/// The file that a source text was read from.
#[derive(Debug, Clone)]
struct SourceFile {
    path: PathBuf,
    /// SHA-256 of its bytes in lower-case hex.
    sha256: String,
}

/// All source texts that were read in one run.
#[derive(Debug, Clone, Default)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// Keeps `text` under the name that is shown to the user.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> SourceId {
        let id = SourceId(u32::try_from(self.0.len()).unwrap_or(u32::MAX));
        self.0.push(Source { name: name.into(), text: text.into(), file: None });
        id
    }

    /// Says which file a source is, and the SHA-256 of its bytes in lower-case hex.
    pub fn read_from(&mut self, id: SourceId, path: PathBuf, sha256: String) {
        if let Some(source) = self.0.get_mut(id.0 as usize) {
            source.file = Some(SourceFile { path, sha256 });
        }
    }

    /// Forgets which file a source is: the hash of a short secret gives it away.
    pub fn forget_file(&mut self, id: SourceId) {
        if let Some(source) = self.0.get_mut(id.0 as usize) {
            source.file = None;
        }
    }

    /// All files that took part, each with the SHA-256 of its bytes in lower-case hex. Files with
    /// values of variables are not among them.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &str)> {
        let files = self.0.iter().filter_map(|source| source.file.as_ref());
        files.map(|file| (file.path.as_path(), file.sha256.as_str()))
    }

    /// Overwrites a secret that a document should not have, so that no snippet shows it; lengths
    /// and line breaks stay.
    pub fn redact(&mut self, span: Span) {
        let Some(source) = self.0.get_mut(span.source.0 as usize) else { return };
        let (start, len) = (span.start as usize, span.len as usize);
        let (Some(before), Some(secret), Some(after)) = (
            source.text.get(..start),
            source.text.get(start..start.saturating_add(len)),
            source.text.get(start.saturating_add(len)..),
        ) else {
            return;
        };
        let stars: String =
            secret.bytes().map(|byte| if byte == b'\n' { '\n' } else { '*' }).collect();
        source.text = format!("{before}{stars}{after}").into();
    }

    /// The name of a source, as the user knows it.
    pub fn name(&self, id: SourceId) -> &str {
        self.0.get(id.0 as usize).map_or("?", |s| s.name.as_str())
    }

    /// The text of a source.
    pub fn text(&self, id: SourceId) -> Arc<str> {
        self.0.get(id.0 as usize).map_or_else(|| Arc::from(""), |s| Arc::clone(&s.text))
    }

    /// File, line and column of the beginning of a span.
    pub fn position(&self, span: Span) -> Position {
        let text = self.text(span.source);
        let before = text.get(..span.start as usize).unwrap_or(&text);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Position {
            file: self.name(span.source).to_owned(),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_overwritten_in_place() {
        let mut sources = Sources::default();
        let source = sources.add("a.yaml", "token: é\n b\nname: x\n");
        sources.redact(Span { source, start: 7, len: 5 });
        assert_eq!(&*sources.text(source), "token: **\n**\nname: x\n");
        sources.redact(Span { source, start: 20, len: 500 });
        assert_eq!(&*sources.text(source), "token: **\n**\nname: x\n");
    }

    #[test]
    fn positions_count_characters_from_one() {
        let mut sources = Sources::default();
        let source = sources.add("a.yaml", "é: 1\nname: x\n");
        let at = |start| sources.position(Span { source, start, len: 1 }).to_string();
        assert_eq!(at(0), "a.yaml:1:1");
        assert_eq!(at(4), "a.yaml:1:4");
        assert_eq!(at(12), "a.yaml:2:7");
        assert_eq!(at(999), "a.yaml:3:1");
    }
}
