//! `include`: files with VM keys that lie beneath the mapping that names them.
//!
//! Reading replaces the names by what is in the files: the value of `include` becomes the list of
//! fragments, the lowest first, each a mapping whose places are in its own file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::decode::value::{self, quoted};
use super::files::{self, File};
use super::yaml::{self, Kind, Node};
use crate::diagnostic::{Diagnostic, Sources, Span, Spanned};

/// Files that include each other in a row, at most.
const DEEPEST: usize = 8;
/// Fragments of one document, at most.
const MOST: usize = 256;
/// Values in all fragments of one document, at most: what is included twice counts twice.
const MOST_VALUES: usize = 100_000;

/// The key.
pub(crate) const INCLUDE: &str = "include";

/// Reads included files, each once.
pub(crate) struct Includes {
    /// Folders whose files may be included, with those of the including documents.
    roots: Vec<PathBuf>,
    read: BTreeMap<PathBuf, Option<Node>>,
    /// All files that were included, by their real paths.
    fragments: BTreeSet<PathBuf>,
}

/// One document on its way through [`Includes`].
struct Splice<'s> {
    includes: &'s mut Includes,
    sources: &'s mut Sources,
    problems: &'s mut Vec<Diagnostic>,
    /// The folder of the document.
    folder: PathBuf,
    /// `variables` of the fragments, the lowest first.
    variables: Vec<Node>,
    count: usize,
    values: usize,
}

/// A file that is being read and where it was named.
struct Step {
    real: PathBuf,
    named: Option<Span>,
}

impl Includes {
    /// Files below `root` may be included.
    pub(crate) fn new(root: Option<&Path>) -> Self {
        let roots = root.and_then(|root| std::fs::canonicalize(root).ok()).into_iter().collect();
        Self { roots, read: BTreeMap::new(), fragments: BTreeSet::new() }
    }

    /// Was this file included?
    pub(crate) fn has(&self, path: &Path) -> bool {
        !self.fragments.is_empty() && self.fragments.contains(&real(path))
    }

    /// Replaces the names in every `include` of `document` by what is in the files, and gives the
    /// variables that those declare.
    pub(crate) fn splice(
        &mut self,
        document: &mut Node,
        file: &File,
        sources: &mut Sources,
        problems: &mut Vec<Diagnostic>,
    ) -> Vec<Node> {
        let real = real(&file.path);
        let folder = real.parent().map(Path::to_owned).unwrap_or_default();
        let mut splice = Splice {
            includes: self,
            sources,
            problems,
            folder,
            variables: Vec::new(),
            count: 0,
            values: 0,
        };
        let mut chain = vec![Step { real, named: None }];
        splice.mapping(document, file, &mut chain);
        splice.items(document, file, &mut chain);
        let Kind::Map(entries) = &mut document.kind else { return splice.variables };
        for entry in entries {
            match entry.key.value.as_str() {
                "defaults" => splice.mapping(&mut entry.value, file, &mut chain),
                "nodes" if matches!(entry.value.kind, Kind::Map(_)) => {
                    for group in entry.value.entries_mut() {
                        splice.mapping(&mut group.value, file, &mut chain);
                        splice.items(&mut group.value, file, &mut chain);
                    }
                }
                _ => {}
            }
        }
        splice.variables
    }
}

impl Splice<'_> {
    /// Replaces `include` of one mapping.
    fn mapping(&mut self, node: &mut Node, file: &File, chain: &mut Vec<Step>) {
        let Kind::Map(entries) = &mut node.kind else { return };
        let Some(entry) = entries.iter_mut().find(|entry| entry.key.value == INCLUDE) else {
            return;
        };
        let names = value::texts(&entry.value, INCLUDE, self.problems);
        let mut found = Vec::new();
        for name in names {
            self.file(&name, file, chain, &mut found);
        }
        entry.value = Node { span: entry.value.span, kind: Kind::Seq(found) };
    }

    /// The same of single guests: items of `assignments` and `for_each`.
    fn items(&mut self, node: &mut Node, file: &File, chain: &mut Vec<Step>) {
        let Kind::Map(entries) = &mut node.kind else { return };
        for entry in entries {
            match (entry.key.value.as_str(), &mut entry.value.kind) {
                ("assignments", Kind::Seq(items)) => {
                    items.iter_mut().for_each(|item| self.mapping(item, file, chain));
                }
                ("for_each", Kind::Map(items)) => {
                    items.iter_mut().for_each(|item| self.mapping(&mut item.value, file, chain));
                }
                _ => {}
            }
        }
    }

    /// Adds the fragment `name` and what it includes to `found`.
    fn file(
        &mut self,
        name: &Spanned<String>,
        from: &File,
        chain: &mut Vec<Step>,
        found: &mut Vec<Node>,
    ) {
        self.count += 1;
        let file = beside(from, &name.value);
        let real = match self.check(name, &file, chain) {
            Ok(real) => real,
            Err(problem) => {
                let problem = chained(problem, chain);
                self.problems.push(problem);
                return;
            }
        };
        self.includes.fragments.insert(real.clone());
        let Some(mut node) = self.read(&real, &file, name, chain) else { return };
        node.walk(&mut |_| self.values += 1);
        if self.values > MOST_VALUES {
            let message = format!("more than {MOST_VALUES} values are included");
            let problem = Diagnostic::error("bad-include", message)
                .at(name.span, "here it is too much")
                .help("include large files once, where all that need them can see them");
            self.problems.push(chained(problem, chain));
            return;
        }
        chain.push(Step { real, named: Some(name.span) });
        self.mapping(&mut node, &file, chain);
        chain.pop();
        if let Some(inner) = node.remove(INCLUDE)
            && let Kind::Seq(inner) = inner.value.kind
        {
            found.extend(inner);
        }
        if let Some(variables) = node.remove("variables") {
            self.variables.push(variables.value);
        }
        found.push(node);
    }

    /// The real path of a file that may be included here.
    fn check(
        &self,
        name: &Spanned<String>,
        file: &File,
        chain: &[Step],
    ) -> Result<PathBuf, Diagnostic> {
        let problem = |message: String| Diagnostic::error("bad-include", message);
        if name.value.contains('{') {
            return Err(problem("an include has no placeholders".to_owned())
                .at(name.span, "files are included before variables have values")
                .help("include all of them, and choose with variables inside"));
        }
        if self.count > MOST {
            return Err(problem(format!("more than {MOST} files are included"))
                .at(name.span, "this is one too many")
                .help("include files once, where all that need them can see them"));
        }
        let real = std::fs::canonicalize(&file.path).map_err(|error| {
            problem(format!("cannot include {}", quoted(&file.shown)))
                .at(name.span, files::reason(&error))
                .help("the path begins at the folder of the file that includes it")
        })?;
        let inside = |folder: &PathBuf| real.starts_with(folder);
        if !inside(&self.folder) && !self.includes.roots.iter().any(inside) {
            return Err(problem(format!("{} is outside", quoted(&file.shown)))
                .at(name.span, "neither below cluster-config.yaml nor below the document")
                .help("copy the file there, or put cluster-config.yaml above both"));
        }
        if chain.iter().any(|step| step.real == real) {
            return Err(problem(format!("{} includes itself", quoted(&file.shown)))
                .at(name.span, "this closes the circle")
                .help("take out one of the includes"));
        }
        if chain.len() > DEEPEST {
            return Err(problem(format!("more than {DEEPEST} files include each other in a row"))
                .at(name.span, "this is one too many")
                .help("include the innermost files directly"));
        }
        Ok(real)
    }

    /// The mapping that a file holds.
    fn read(
        &mut self,
        real: &Path,
        file: &File,
        name: &Spanned<String>,
        chain: &[Step],
    ) -> Option<Node> {
        if let Some(known) = self.includes.read.get(real) {
            return known.clone();
        }
        let node = match self.parse(file, name) {
            Ok(node) => Some(node),
            Err(problem) => {
                let own = problem.labels.first().map(|label| label.span) == Some(name.span);
                let problem = if own { problem } else { problem.at(name.span, "included here") };
                self.problems.push(chained(problem, chain));
                None
            }
        };
        self.includes.read.insert(real.to_owned(), node.clone());
        node
    }

    fn parse(&mut self, file: &File, name: &Spanned<String>) -> Result<Node, Diagnostic> {
        let source = files::read(file, self.sources)?;
        let mut nodes = yaml::parse(source, &self.sources.text(source))?;
        if let Some(second) = nodes.get(1) {
            return Err(Diagnostic::error("bad-include", "an included file is one YAML document")
                .at(second.span, "a second one begins here"));
        }
        let Some(node) = nodes.pop() else {
            return Err(Diagnostic::error("bad-include", format!("{} is empty", file.shown))
                .at(name.span, "only comments and white space"));
        };
        if !matches!(node.kind, Kind::Map(_)) {
            return Err(value::wrong_type(&node, INCLUDE, "a file with a mapping"));
        }
        Ok(node)
    }
}

/// Adds where the files on the way were included.
fn chained(mut problem: Diagnostic, chain: &[Step]) -> Diagnostic {
    for span in chain.iter().rev().filter_map(|step| step.named) {
        problem = problem.at(span, "included here");
    }
    problem
}

fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The file `name`, which begins at the folder of `from`.
fn beside(from: &File, name: &str) -> File {
    let folder = from.path.parent().unwrap_or(Path::new(""));
    let shown = Path::new(&from.shown).parent().unwrap_or(Path::new("")).join(name);
    File { path: folder.join(name), shown: plain(&shown).display().to_string() }
}

/// A path without `a/..` and `.` in it, for people.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        let inside = matches!(plain.components().next_back(), Some(Component::Normal(_)));
        match part {
            Component::CurDir => {}
            Component::ParentDir if inside => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}
