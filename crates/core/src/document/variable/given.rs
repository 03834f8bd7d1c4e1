//! Values from outside the documents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::super::decode::value::{self, quoted};
use super::super::files::{self, File};
use super::super::nearest::nearest;
use super::super::yaml::{self, Kind, Node};
use crate::diagnostic::{Diagnostic, SourceId, Sources, Span, Spanned};

/// Values of variables, as the command line has them. Any of them may be a secret.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// `--var NAME=VALUE`, in their order.
    pub flags: Vec<(String, SecretString)>,
    /// `--var-file FILE`, in their order.
    pub files: Vec<PathBuf>,
    /// Variables of the environment by their names there (`PVX_VAR_CORES`).
    pub environment: BTreeMap<String, SecretString>,
}

/// The beginning of a variable's name in the environment.
pub(super) const PREFIX: &str = "PVX_VAR_";

/// Values by the names of variables.
#[derive(Debug, Default)]
pub(crate) struct Values {
    pub(super) flags: BTreeMap<String, SecretString>,
    /// With the place of the name in the file.
    pub(super) files: BTreeMap<String, (Spanned<()>, Node)>,
    pub(super) environment: BTreeMap<String, SecretString>,
    /// Names that some document declares.
    declared: BTreeSet<String>,
    /// The files, by their real paths.
    read: BTreeSet<PathBuf>,
}

impl Values {
    /// Reads the files of variables. What is wrong with them is in `problems`.
    pub(crate) fn read(
        given: &Given,
        working_dir: &Path,
        sources: &mut Sources,
        problems: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut values = Self {
            flags: given.flags.iter().cloned().collect(),
            environment: given.environment.clone(),
            ..Self::default()
        };
        for path in &given.files {
            let file = File { path: working_dir.join(path), shown: path.display().to_string() };
            values.read.extend(std::fs::canonicalize(&file.path));
            match files::read(&file, sources) {
                Ok(source) => {
                    sources.forget_file(source);
                    values.file(&file.shown, source, sources, problems);
                }
                Err(mut problem) => {
                    // Bytes that are no text may be a secret too.
                    problem.labels.clear();
                    problems.push(problem);
                }
            }
        }
        values
    }

    fn file(
        &mut self,
        shown: &str,
        source: SourceId,
        sources: &mut Sources,
        problems: &mut Vec<Diagnostic>,
    ) {
        let text = sources.text(source);
        let parsed = yaml::parse(source, &text);
        let (nodes, wrong) = match parsed {
            Ok(nodes) => (nodes, None),
            Err(problem) => (Vec::new(), problem.labels.first().map(|label| label.span)),
        };
        conceal(source, &text, nodes.first(), sources);
        if let Some(span) = wrong {
            problems.push(
                Diagnostic::error("invalid-yaml", format!("{shown} is not YAML"))
                    .at(span, "at or above this line")
                    .help("a file of variables is a mapping: 'name: value'"),
            );
        }
        let Some(node) = nodes.into_iter().next() else { return };
        let span = node.span;
        let Kind::Map(entries) = node.kind else {
            problems.push(
                Diagnostic::error("wrong-type", format!("{shown} must be a mapping"))
                    .at(span, "this is none")
                    .help("a file of variables is a mapping: 'name: value'"),
            );
            return;
        };
        for entry in entries {
            let place = Spanned::new((), entry.key.span);
            self.files.insert(entry.key.value, (place, entry.value));
        }
    }

    /// Is this a file of variables? Then it is no document, wherever it lies.
    pub(crate) fn has(&self, path: &Path) -> bool {
        !self.read.is_empty()
            && std::fs::canonicalize(path).is_ok_and(|real| self.read.contains(&real))
    }

    /// A document declares `name`.
    pub(super) fn declares(&mut self, name: &str) {
        self.declared.insert(name.to_owned());
    }

    /// Values for variables that no document declares.
    pub(crate) fn undeclared(&self, problems: &mut Vec<Diagnostic>) {
        let near = |name: &str| nearest(name, self.declared.iter().map(String::as_str));
        let help = || {
            let names: Vec<&str> = self.declared.iter().map(String::as_str).collect();
            if names.is_empty() {
                "no document declares any; write 'variables:' in one".to_owned()
            } else {
                format!("declared: {}", names.join(", "))
            }
        };
        let message = |name: &str, how: &str| {
            format!("no document declares the variable {} of {how}", value::quoted(name))
        };
        for name in self.flags.keys().filter(|name| !self.declared.contains(*name)) {
            let help =
                near(name).map_or_else(help, |near| format!("did you mean '{near}'? {}", help()));
            let problem = Diagnostic::error("undeclared-variable", message(name, "--var"));
            problems.push(problem.help(help));
        }
        for (name, (place, _)) in &self.files {
            if self.declared.contains(name) {
                continue;
            }
            let label = near(name)
                .map_or_else(|| "not known".to_owned(), |near| format!("did you mean '{near}'?"));
            problems.push(
                Diagnostic::error("undeclared-variable", message(name, "--var-file"))
                    .at(place.span, label)
                    .help(help()),
            );
        }
    }

    /// What the environment calls a variable.
    pub(super) fn in_environment(name: &str) -> String {
        format!("{PREFIX}{}", name.to_uppercase().replace('-', "_"))
    }
}

/// Keeps only the names of a file of variables: any value, comment or text may be a secret, and
/// problems are shown with what is around them.
fn conceal(source: SourceId, text: &str, node: Option<&Node>, sources: &mut Sources) {
    let mut kept: Vec<Span> = Vec::new();
    if let Some(node) = node {
        kept.extend(node.entries().iter().map(|entry| entry.key.span));
    }
    kept.sort();
    let mut from = 0_u32;
    let end = u32::try_from(text.len()).unwrap_or(u32::MAX);
    for span in kept {
        if span.start > from {
            sources.redact(Span { source, start: from, len: span.start - from });
        }
        from = from.max(span.start.saturating_add(span.len));
    }
    sources.redact(Span { source, start: from, len: end.saturating_sub(from) });
}

/// A variable's name may be given in every way there is.
pub(super) fn ways(name: &str) -> String {
    format!(
        "give it with --var {name}=…, as '{name}: …' in a --var-file, as {} in the environment, \
         or as 'default' of its declaration",
        Values::in_environment(name)
    )
}

/// A value that is shown, or not.
pub(super) fn shown(text: &str, sensitive: bool) -> String {
    if sensitive { "its value".to_owned() } else { quoted(text) }
}
