//! What is wrong with a world file, and where.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What, in one sentence.
    pub message: String,
    /// First byte of the place in the text, and how many; none when it is about no place.
    pub place: Option<(usize, usize)>,
    /// What to do.
    pub help: Option<String>,
}

/// All that is wrong with a world file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The file as it was named.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Never empty.
    pub problems: Vec<Problem>,
}

impl std::error::Error for Problems {}

/// `FILE:LINE:COLUMN: what`, the line, and what to do.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            match problem.place {
                Some((start, len)) => self.show(f, &problem.message, start, len)?,
                None => write!(f, "{}: {}", self.file, problem.message)?,
            }
            if let Some(help) = &problem.help {
                write!(f, "\n  help: {help}")?;
            }
        }
        Ok(())
    }
}

impl Problems {
    fn show(
        &self,
        f: &mut fmt::Formatter<'_>,
        message: &str,
        start: usize,
        len: usize,
    ) -> fmt::Result {
        let before = self.text.get(..start).unwrap_or(&self.text);
        let number = before.matches('\n').count() + 1;
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        let column = self.text.get(begin..start).unwrap_or_default().chars().count() + 1;
        let line = self.text.get(begin..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let shown: String =
            line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(100).collect();
        let room = shown.chars().count().saturating_sub(column - 1).max(1);
        let marks = "^".repeat(len.clamp(1, room));
        let gutter = " ".repeat(number.to_string().len());
        write!(f, "{}:{number}:{column}: {message}\n  {number} | {shown}", self.file)?;
        if column <= shown.chars().count() + 1 {
            write!(f, "\n  {gutter} | {}{marks}", " ".repeat(column - 1))?;
        }
        Ok(())
    }
}

/// Where a value is in a file: keys and numbers of list items on the way to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Key(&'a str),
    Item(usize),
}

impl<'a> At<'a> {
    /// A key of the file.
    pub(crate) fn top(key: &'a str) -> Self {
        Self { parent: None, step: Step::Key(key) }
    }

    /// A key below.
    pub(crate) fn key<'b>(&'b self, key: &'b str) -> At<'b> {
        At { parent: Some(self), step: Step::Key(key) }
    }

    /// An item below, from 0.
    pub(crate) fn item(&self, index: usize) -> At<'_> {
        At { parent: Some(self), step: Step::Item(index) }
    }

    fn steps(&self) -> Vec<Step<'a>> {
        let mut steps = self.parent.map(At::steps).unwrap_or_default();
        steps.push(self.step);
        steps
    }

    /// Bytes of the place in `text`; of the nearest place above it when there is none, as for a
    /// short form.
    pub(crate) fn find(&self, text: &str) -> Option<(usize, usize)> {
        let tree = super::tree::parse(text)?;
        let (mut here, mut place) = (&tree, None);
        for step in self.steps() {
            let next = match step {
                Step::Key(key) => here.key(key),
                Step::Item(index) => here.item(index),
            };
            let Some((found, at)) = next else { break };
            (here, place) = (found, Some(at));
        }
        place
    }
}

/// The known name that `name` was probably meant to be. Case, and `_` against `-`, do not count.
pub(crate) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let fold = |text: &str| text.to_lowercase().replace('-', "_");
    let wanted = fold(name);
    if wanted.is_empty() || wanted.len() > 64 {
        return None;
    }
    let allowed = (wanted.chars().count() / 3).max(1);
    let distance = |candidate: &str| {
        let edits = strsim::damerau_levenshtein(&wanted, candidate);
        let unfinished = wanted.len() >= 3 && candidate.starts_with(&wanted);
        if unfinished { edits.min(1) } else { edits }
    };
    let far = known.into_iter().map(|candidate| (distance(&fold(candidate)), candidate));
    let near = far.filter(|(far, _)| *far <= allowed).min_by_key(|(far, _)| *far);
    near.map(|(_, candidate)| candidate)
}

/// `did you mean 'pve1'?`, or the names there are.
pub(crate) fn suggest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(near) = nearest(name, known.iter().copied()) {
        return Some(format!("did you mean '{near}'?"));
    }
    match known.len() {
        0 => None,
        1..=16 => Some(format!("there are: {}", known.join(", "))),
        more => Some(format!("there are {more}: {}, …", known.get(..8)?.join(", "))),
    }
}
