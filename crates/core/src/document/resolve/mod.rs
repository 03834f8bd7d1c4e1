//! From typed documents to guests: every name, number and default in its place.

mod address;
mod defaults;
mod group;
mod standalone;

use std::collections::BTreeSet;

use super::config::ClusterConfig;
use super::decode::profile::Profile as ProfileDocument;
use super::decode::standalone::Standalone;
use crate::desired::{Guest, GuestSpec, Power, Profile, ProfileKind};
use crate::diagnostic::{Diagnostic, Spanned};

/// Guests of one run, at most; a larger number is a slip in some `count`.
const MAX_GUESTS: usize = 10_000;

/// Bytes of what the guests of one run say, at most: a long text that a count repeats.
const MAX_BYTES: usize = 256 << 20;

/// What is the same for all documents of a run.
pub(crate) struct Resolver<'c> {
    pub(crate) config: Option<&'c ClusterConfig>,
    /// The keys of `cloudinit.ssh_keys_source`, one a line.
    pub(crate) ssh_keys: Option<String>,
    /// Guests that may still be made.
    left: usize,
    left_bytes: usize,
}

impl<'c> Resolver<'c> {
    pub(crate) fn new(config: Option<&'c ClusterConfig>, ssh_keys: Option<String>) -> Self {
        Self { config, ssh_keys, left: MAX_GUESTS, left_bytes: MAX_BYTES }
    }

    /// Takes `count` guests that say `spec` out of what a run may have.
    fn take(&mut self, count: usize, spec: &GuestSpec) -> Result<(), String> {
        let keys = self.ssh_keys.as_ref().map_or(0, String::len);
        let bytes = (format!("{spec:?}").len() + keys).saturating_mul(count);
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
            let count = group::count(group);
            if let Err(what) = self.take(count, &group.vm.spec) {
                problems.push(
                    Diagnostic::error("too-many", format!("more than {what}"))
                        .at(group.name.span, format!("{count} more are asked for here"))
                        .help("lower count"),
                );
                continue;
            }
            guests.extend((0..count).map(|index| group::guest(self, document, group, index)));
        }
        group::link(document, &mut guests, problems);
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
