//! From typed documents to guests: every name, number and default in its place.

mod address;
mod beside;
mod choices;
mod defaults;
pub(crate) mod group;
mod moved;
mod prepare;
mod standalone;

use std::collections::{BTreeSet, HashSet};

use super::config::ClusterConfig;
use super::decode::profile::Profile as ProfileDocument;
use super::decode::standalone::Standalone;
use super::explain::Explanation;
use super::layer::Layer;
use super::yaml::Node;
use crate::address::Address;
use crate::desired::{Guest, GuestSpec, Power, Profile, ProfileKind};
use crate::diagnostic::{Diagnostic, Sources, Span, Spanned};

/// Guests of one run, at most; a larger number is a slip in some `count`.
const MAX_GUESTS: usize = 10_000;

/// Bytes of what the guests of one run say, at most: a long text that a count repeats.
const MAX_BYTES: usize = 256 << 20;

/// What is the same for all documents of a run.
pub(crate) struct Resolver<'c> {
    pub(crate) config: Option<&'c ClusterConfig>,
    /// The keys of `cloudinit.ssh_keys_source`, one a line.
    pub(crate) ssh_keys: Option<String>,
    pub(crate) sources: &'c Sources,
    /// The guest to explain.
    pub(crate) explain: Option<&'c Address>,
    /// What became of [`Resolver::explain`].
    pub(crate) explanation: Option<Explanation>,
    /// `defaults` of the configuration, for guests without a template and for clones.
    defaults: (Node, Node),
    /// Problems that were reported: what many guests share is said once.
    said: HashSet<(&'static str, Option<Span>)>,
    /// Guests that may still be made.
    left: usize,
    left_bytes: usize,
}

impl<'c> Resolver<'c> {
    /// `said` are the problems so far.
    pub(crate) fn new(
        config: Option<&'c ClusterConfig>,
        ssh_keys: Option<String>,
        sources: &'c Sources,
        said: &[Diagnostic],
    ) -> Self {
        Self {
            config,
            ssh_keys,
            sources,
            explain: None,
            explanation: None,
            defaults: defaults::of(config),
            said: said.iter().map(key).collect(),
            left: MAX_GUESTS,
            left_bytes: MAX_BYTES,
        }
    }

    /// The configuration's own layers.
    fn config_layers(&self) -> &'c [Layer] {
        self.config.map(|config| config.defaults.as_slice()).unwrap_or_default()
    }

    /// `cluster.name`.
    fn cluster(&self) -> Option<&'c str> {
        Some(self.config?.cluster.name.as_ref()?.value.as_str())
    }

    /// Reports problems of one guest, without those that were reported for another.
    fn report(&mut self, found: Vec<Diagnostic>, problems: &mut Vec<Diagnostic>) {
        let new: Vec<Diagnostic> =
            found.into_iter().filter(|problem| !self.said.contains(&key(problem))).collect();
        self.said.extend(new.iter().map(key));
        problems.extend(new);
    }

    /// Takes `count` guests that say what `tree` says out of what a run may have.
    fn take(&mut self, count: usize, tree: &Node) -> Result<(), String> {
        /// What a guest weighs beside its values, and a value beside its text.
        const GUEST: usize = 1024;
        const VALUE: usize = 64;
        let keys = self.ssh_keys.as_ref().map_or(0, String::len);
        let mut said = 0;
        tree.walk(&mut |node| said += VALUE + node.scalar().map_or(0, |text| text.len()));
        let bytes = (said + keys + GUEST).saturating_mul(count);
        if count > self.left {
            return Err(format!("{MAX_GUESTS} guests"));
        }
        if bytes > self.left_bytes {
            return Err(format!("{} MiB of guests", MAX_BYTES >> 20));
        }
        self.left -= count;
        self.left_bytes -= bytes;
        Ok(())
    }

    /// The guests of a cluster profile.
    pub(crate) fn profile(
        &mut self,
        document: &ProfileDocument,
        problems: &mut Vec<Diagnostic>,
    ) -> Profile {
        let mut guests: Vec<Guest> = Vec::new();
        for group in &document.groups {
            let tree = group::tree(self, document, group, problems);
            let count = group::count(group);
            if let Err(what) = self.take(count, &tree) {
                problems.push(
                    Diagnostic::error("too-many", format!("more than {what}"))
                        .at(group.name.span, format!("{count} more are asked for here"))
                        .help("lower count"),
                );
                continue;
            }
            guests.extend(group::guests(self, document, group, &tree, problems));
        }
        group::link(document, &mut guests, problems);
        moved::of_profile(document, &mut guests, problems);
        Profile {
            name: document.name.value.clone(),
            kind: document.kind,
            mark: profile_mark(&document.name.value),
            span: document.span(),
            guests,
        }
    }

    /// The one guest of a standalone VM spec.
    pub(crate) fn standalone(
        &mut self,
        document: &Standalone,
        problems: &mut Vec<Diagnostic>,
    ) -> Profile {
        let guest = standalone::guest(self, document, problems);
        Profile {
            name: document.name.value.clone(),
            kind: ProfileKind::Vm,
            mark: standalone_mark(&document.name.value),
            span: document.name.span,
            guests: vec![guest],
        }
    }
}

/// What makes a problem the same for two guests.
fn key(problem: &Diagnostic) -> (&'static str, Option<Span>) {
    (problem.code, problem.labels.first().map(|label| label.span))
}

fn profile_mark(name: &str) -> String {
    format!("pvx-{name}")
}

fn standalone_mark(name: &str) -> String {
    format!("pvx-{}.{name}", crate::address::STANDALONE)
}

/// What a guest should be doing: what its document says, else what the HA manager makes of it.
fn power(said: Option<Power>, spec: &GuestSpec) -> Power {
    let by_ha = spec.ha.as_ref().and_then(|ha| ha.state.power());
    said.or(by_ha).unwrap_or(Power::Running)
}

/// Tags of a guest: what documents say, and what pvx adds.
fn tags<'t>(
    said: impl Iterator<Item = &'t Spanned<String>>,
    role: Option<&str>,
    mark: String,
) -> BTreeSet<String> {
    let said = said.map(|tag| tag.value.clone());
    said.chain(role.map(str::to_lowercase)).chain([mark]).collect()
}
