//! Collects what differs between a wanted and a live guest.

use pvx_core::live::Guest;
use pvx_core::plan::{AttributeChange, Effect, Finding};
use pvx_core::provider::{Comparison, Wanted};

use super::effect;
use crate::codec;

/// A comparison in the making.
pub(super) struct Differ<'a> {
    pub(super) wanted: &'a Wanted<'a>,
    pub(super) live: &'a Guest,
    out: Comparison,
}

impl<'a> Differ<'a> {
    pub(super) fn new(wanted: &'a Wanted<'a>, live: &'a Guest) -> Self {
        Self { wanted, live, out: Comparison::default() }
    }

    /// The stored value of a key.
    pub(super) fn stored(&self, key: &str) -> Option<&'a str> {
        self.live.config.get(key).map(String::as_str)
    }

    /// Documents manage this path from now on.
    pub(super) fn manage(&mut self, path: &str) {
        self.out.managed.insert(path.to_owned());
    }

    /// Documents managed this path when the guest was last applied, and do not now.
    pub(super) fn is_dropped(&self, path: &str) -> bool {
        self.wanted.managed_before.contains(path) && !self.out.managed.contains(path)
    }

    /// Paths below `prefix` that documents managed before.
    pub(super) fn managed_before(&self, prefix: &str) -> impl Iterator<Item = &'a str> {
        let prefix = prefix.to_owned();
        self.wanted
            .managed_before
            .iter()
            .map(String::as_str)
            .filter(move |p| p.starts_with(&prefix))
    }

    /// A key that holds one value, unless Proxmox takes both to be the same.
    pub(super) fn value(&mut self, path: &str, key: &str, wanted: &str, default: Option<&str>) {
        self.manage(path);
        let stored = self.stored(key);
        let same = match stored {
            Some(stored) => codec::equal(key, stored, wanted),
            None => default.is_some_and(|d| codec::equal(key, d, wanted)),
        };
        if !same {
            let effect = effect::of_key(key, self.live);
            self.attribute(path, stored, Some(wanted), effect);
            self.set(key, wanted);
        }
    }

    /// Sets a key; what it means to people is said with [`Differ::attribute`].
    pub(super) fn set(&mut self, key: &str, value: &str) {
        self.out.set.insert(key.to_owned(), value.to_owned());
    }

    /// Deletes a key; what it means to people is said with [`Differ::change`].
    pub(super) fn delete(&mut self, key: &str) {
        self.out.delete.insert(key.to_owned());
    }

    /// Says what changes, with a reason of its own.
    pub(super) fn change(&mut self, change: AttributeChange) {
        self.out.attributes.push(change);
    }

    /// Resets a key that documents no longer say.
    pub(super) fn reset(&mut self, path: &str, key: &str) {
        if let Some(stored) = self.stored(key) {
            let change = AttributeChange {
                path: path.to_owned(),
                before: Some(stored.to_owned()),
                after: None,
                effect: effect::of_key(key, self.live),
                reason: "no longer in the documents: back to Proxmox's default".to_owned(),
            };
            self.out.attributes.push(change);
            self.out.delete.insert(key.to_owned());
        }
    }

    pub(super) fn attribute(
        &mut self,
        path: &str,
        before: Option<&str>,
        after: Option<&str>,
        effect: Effect,
    ) {
        self.out.attributes.push(AttributeChange {
            path: path.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
            effect,
            reason: "differs from the documents".to_owned(),
        });
    }

    pub(super) fn resize(&mut self, slot: &str, bytes: u64) {
        self.out.resize.push((slot.to_owned(), bytes));
    }

    /// The size in bytes that a disk grows to.
    pub(super) fn grown(&self, slot: &str) -> Option<u64> {
        self.out.resize.iter().find(|(name, _)| name == slot).map(|(_, bytes)| *bytes)
    }

    pub(super) fn allocates_on(&mut self, storage: &str) {
        self.out.allocates.insert(storage.to_owned());
    }

    pub(super) fn finding(&mut self, finding: Finding) {
        self.out.findings.push(finding);
    }

    pub(super) fn finish(self) -> Comparison {
        self.out
    }
}
