//! Templates of cloud-init files: read beside the document that names them, and rendered once for
//! every guest, so that what is wrong with one shows before anything is done.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::files::{self, File};
use crate::desired::{Desired, Guest, Placement};
use crate::diagnostic::{Diagnostic, SourceId, Sources, Span};
use crate::secret::SecretSource;
use crate::snippet::{self, Part, RenderError};

/// Problems of templates that are shown.
const MOST: usize = 20;

/// What a template is tried with when nobody knows the guest's node yet.
const SOME_NODE: &str = "node";

/// Reads the templates of all guests and tries them out.
pub(super) fn attach(
    desired: &mut Desired,
    sources: &mut Sources,
    working_dir: &Path,
    home: Option<&Path>,
) -> Vec<Diagnostic> {
    let node = desired.scope.nodes.first().map_or(SOME_NODE.to_owned(), |node| node.value.clone());
    let mut reader = Reader { sources, working_dir, home, read: BTreeMap::new() };
    let mut problems = Vec::new();
    let mut met: BTreeSet<(Option<SourceId>, usize, String)> = BTreeSet::new();
    for guest in desired.profiles.iter_mut().flat_map(|profile| profile.guests.iter_mut()) {
        secret_file(guest, &reader, &mut problems);
        if guest.spec.cloudinit.templates.is_empty() {
            continue;
        }
        read(guest, &mut reader, &mut problems);
        let node = match &guest.placement {
            Placement::Node(node) => node,
            Placement::Spread | Placement::Pack => &node,
        };
        if let Err(error) = snippet::render(guest, node)
            && met.insert((error.source, error.range.start, error.message.clone()))
            && met.len() <= MOST
        {
            problems.push(broken(guest, &error));
        }
    }
    problems
}

/// Puts the texts into the guest's templates. One that cannot be read stays empty.
fn read(guest: &mut Guest, reader: &mut Reader<'_>, problems: &mut Vec<Diagnostic>) {
    let parts: Vec<Part> = guest.spec.cloudinit.templates.keys().copied().collect();
    for part in parts {
        let place = guest.place(&format!("cloudinit.{}", part.key()));
        let Some(template) = guest.spec.cloudinit.templates.get_mut(&part) else { continue };
        if let Some((source, text)) = reader.text(&template.path, place, problems) {
            template.source = Some(source);
            template.text = text;
        }
    }
}

/// A password's file is found from the document's folder, and a variable must be there.
fn secret_file(guest: &mut Guest, reader: &Reader<'_>, problems: &mut Vec<Diagnostic>) {
    let place = guest.place("cloudinit.password");
    let known = match guest.spec.cloudinit.extra.0.get("var") {
        Some(serde_json::Value::Object(map)) => map.keys().cloned().collect(),
        _ => BTreeSet::new(),
    };
    let Some(password) = &mut guest.spec.cloudinit.password else { return };
    match &mut password.source {
        SecretSource::File(path) => match reader.path(&path.display().to_string(), place) {
            Ok(full) => *path = full,
            Err(why) => problems.push(
                Diagnostic::error("bad-value", "the value of 'file' cannot be used").at(place, why),
            ),
        },
        SecretSource::Variable(name) if !known.contains(name) => {
            let message = format!("there is no variable '{name}'");
            problems.push(Diagnostic::error("unknown-variable", message).at(place, "used here"));
        }
        SecretSource::Variable(_) | SecretSource::Env(_) | SecretSource::Pass(_) => {}
    }
}

/// What is wrong with a template, shown in the template.
fn broken(guest: &Guest, error: &RenderError) -> Diagnostic {
    let key = error.part.key();
    let message = format!("{key} of {} cannot be rendered", guest.address);
    let clamp = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let span = error.source.map(|source| Span {
        source,
        start: clamp(error.range.start),
        len: clamp(error.range.len()),
    });
    Diagnostic::error("template", message)
        .at_opt(span, error.message.clone())
        .at(guest.place(&format!("cloudinit.{key}")), "the template is named here")
        .help(error.help)
}

/// `a/../b` is shown as `b`. Read is what is written: `a` may be a link.
fn short(path: &Path) -> PathBuf {
    let mut short = PathBuf::new();
    for part in path.components() {
        let folder = matches!(short.components().next_back(), Some(Component::Normal(_)));
        if part == Component::ParentDir && folder {
            short.pop();
        } else {
            short.push(part);
        }
    }
    short
}

/// Reads every file once.
struct Reader<'s> {
    sources: &'s mut Sources,
    working_dir: &'s Path,
    home: Option<&'s Path>,
    read: BTreeMap<PathBuf, Option<(SourceId, Arc<str>)>>,
}

impl Reader<'_> {
    /// The text of the template `said` at `place`; what is wrong is said once.
    fn text(
        &mut self,
        said: &str,
        place: Span,
        problems: &mut Vec<Diagnostic>,
    ) -> Option<(SourceId, Arc<str>)> {
        let path = match self.path(said, place) {
            Ok(path) => path,
            Err(why) => {
                let problem = Diagnostic::error("bad-value", "the template cannot be read");
                problems.push(problem.at(place, why));
                return None;
            }
        };
        if let Some(known) = self.read.get(&path) {
            return known.clone();
        }
        let shown = files::shown(&short(&path), self.working_dir);
        let file = File { path: path.clone(), shown };
        let found = match files::read(&file, self.sources) {
            Ok(source) => Some((source, self.sources.text(source))),
            Err(mut problem) => {
                problem.help = Some("a path begins at the document's folder".to_owned());
                problems.push(problem.at(place, "this template"));
                None
            }
        };
        self.read.insert(path, found.clone());
        found
    }

    /// A path as a document says it: `~/` is the home folder, others begin at the folder of the
    /// file that `place` is in.
    fn path(&self, said: &str, place: Span) -> Result<PathBuf, String> {
        if let Some(rest) = said.strip_prefix("~/") {
            let home = self.home.ok_or("there is no home folder that '~' could stand for")?;
            return Ok(home.join(rest));
        }
        let document = self.working_dir.join(self.sources.name(place.source));
        Ok(document.parent().unwrap_or(self.working_dir).join(said))
    }
}
