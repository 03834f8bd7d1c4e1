//! Collects what differs between a wanted and a live guest.

use pvx_core::live::Guest;
use pvx_core::plan::{AttributeChange, Effect, Finding};
use pvx_core::provider::{Comparison, Detach, DiskMove, Wanted};

use super::effect;
use crate::codec;

/// The reason of most changes.
pub(super) const DIFFERS: &str = "differs from the documents";
/// The reason of a reset.
pub(super) const DROPPED: &str = "no longer in the documents: back to Proxmox's default";
/// The reason why a device goes.
pub(super) const GONE: &str = "no longer in the documents";

/// A comparison in the making.
pub(super) struct Differ<'a> {
    pub(super) wanted: &'a Wanted<'a>,
    pub(super) live: &'a Guest,
    out: Comparison,
    /// The key of documents that is looked at.
    subject: Option<String>,
    /// Disks that become `unusedN`.
    unused: usize,
}

impl<'a> Differ<'a> {
    pub(super) fn new(wanted: &'a Wanted<'a>, live: &'a Guest) -> Self {
        Self { wanted, live, subject: None, out: Comparison::default(), unused: 0 }
    }

    /// The stored value of a key.
    pub(super) fn stored(&self, key: &str) -> Option<&'a str> {
        self.live.config.get(key).map(String::as_str)
    }

    /// What the key will hold: what is going to be written, else what is stored.
    pub(super) fn current(&self, key: &str) -> Option<String> {
        self.out.set.get(key).map(String::as_str).or(self.stored(key)).map(str::to_owned)
    }

    /// What the key holds when all is written: what waits for a cold boot counts as written.
    pub(super) fn outcome(&self, key: &str) -> Option<String> {
        if self.goes(key) { None } else { self.current(key) }
    }

    /// Keys that are set or deleted, and slots that are freed.
    pub(super) fn written(&self) -> impl Iterator<Item = &str> {
        let freed = self.out.detach.iter().map(|drive| &drive.slot);
        self.out.set.keys().chain(&self.out.delete).chain(freed).map(String::as_str)
    }

    /// Is this device deleted or detached?
    pub(super) fn goes(&self, device: &str) -> bool {
        self.out.delete.contains(device) || self.out.detach.iter().any(|d| d.slot == device)
    }

    /// Documents manage this path from now on.
    pub(super) fn manage(&mut self, path: &str) {
        self.out.managed_keys.insert(effect::key_of(path).to_owned());
        self.out.managed.insert(path.to_owned());
    }

    /// This path is this key of Proxmox.
    pub(super) fn name_key(&mut self, path: &str, key: &str) {
        self.out.managed_keys.insert(key.to_owned());
        self.out.keys.insert(path.to_owned(), key.to_owned());
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
        self.name_key(path, key);
        let stored = self.stored(key);
        let same = match stored {
            Some(stored) => codec::equal(key, stored, wanted),
            None => default.is_some_and(|d| codec::equal(key, d, wanted)),
        };
        if !same {
            self.attribute(path, stored, Some(wanted), Effect::Live);
            self.set(key, wanted);
        }
    }

    /// Sets a key; what it means to people is said with [`Differ::attribute`].
    pub(super) fn set(&mut self, key: &str, value: &str) {
        self.out.set.insert(key.to_owned(), value.to_owned());
    }

    /// Deletes a key; what it means to people is said with [`Differ::attribute`].
    pub(super) fn delete(&mut self, key: &str) {
        self.out.delete.insert(key.to_owned());
    }

    /// Says what changes of a key, with a reason of its own. What it costs is decided later.
    pub(super) fn explain(
        &mut self,
        (path, key): (&str, &str),
        before: Option<&str>,
        after: Option<&str>,
        reason: &str,
    ) {
        self.name_key(path, key);
        self.attribute(path, before, after, Effect::Live);
        if let Some(last) = self.out.attributes.last_mut() {
            reason.clone_into(&mut last.reason);
        }
    }

    /// A device that documents no longer name.
    pub(super) fn gone(&mut self, slot: &str, before: &str, after: Option<&str>, effect: Effect) {
        self.attribute(slot, Some(before), after, effect);
        let reason = if effect == Effect::Pending { "needs a cold boot" } else { GONE };
        if let Some(last) = self.out.attributes.last_mut() {
            reason.clone_into(&mut last.reason);
        }
    }

    /// Resets a key that documents no longer say.
    pub(super) fn reset(&mut self, path: &str, key: &str) {
        self.name_key(path, key);
        if self.live.pending.iter().any(|p| p.key == key && p.next.is_none()) {
            self.manage(path); // it was reset, and waits
        }
        if let Some(stored) = self.stored(key) {
            let change = AttributeChange {
                path: path.to_owned(),
                before: Some(stored.to_owned()),
                after: None,
                effect: Effect::Live,
                reason: DROPPED.to_owned(),
            };
            self.out.attributes.push(change);
            self.out.delete.insert(key.to_owned());
        }
    }

    /// What differs, for people. What writing a key costs is decided when all is known; an effect
    /// that is more than that (a move, a loss) stands.
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
            reason: DIFFERS.to_owned(),
        });
    }

    pub(super) fn resize(&mut self, slot: &str, bytes: u64) {
        self.out.resize.push((slot.to_owned(), bytes));
    }

    /// Sets a key that nothing has set yet.
    pub(super) fn default(&mut self, key: &str, value: &str) {
        self.out.set.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    }

    /// Sets a key whose volume is made, or found again, by that.
    pub(super) fn make(&mut self, slot: &str, value: &str) {
        self.set(slot, value);
        self.out.made.insert(slot.to_owned());
    }

    pub(super) fn move_disk(&mut self, to: DiskMove) {
        self.out.moves.push(to);
    }

    pub(super) fn detach(&mut self, drive: Detach) {
        self.out.detach.push(drive);
    }

    pub(super) fn erase(&mut self, unused: &str, volume: &str) {
        self.out.erase.push((unused.to_owned(), volume.to_owned()));
    }

    /// The `unusedN` that the next detached disk becomes: Proxmox takes the lowest free one
    /// (pve-guest-common, add_unused_volume).
    pub(super) fn take_unused(&mut self) -> String {
        let taken = |name: &String| self.live.config.contains_key(name);
        let mut free = (0_u16..256).map(|n| format!("unused{n}")).filter(|name| !taken(name));
        let next = free.nth(self.unused).unwrap_or_default();
        self.unused += 1;
        next
    }

    /// What only a guest that is made anew would have.
    pub(super) fn only_anew(&mut self, path: &str, before: Option<&str>, after: Option<&str>) {
        self.out.replace.push(AttributeChange {
            path: path.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
            effect: Effect::Replace,
            reason: "cannot be changed on the guest that is there".to_owned(),
        });
    }

    /// The size in bytes that a disk grows to.
    pub(super) fn grown(&self, slot: &str) -> Option<u64> {
        self.out.resize.iter().find(|(name, _)| name == slot).map(|(_, bytes)| *bytes)
    }

    pub(super) fn allocates_on(&mut self, storage: &str) {
        self.out.allocates.push(storage.to_owned());
    }

    /// What is found from now on is about this key of documents.
    pub(super) fn speak_of(&mut self, path: impl Into<String>) {
        self.subject = Some(path.into());
    }

    /// What is found from now on is about no single key.
    pub(super) fn speak_of_all(&mut self) {
        self.subject = None;
    }

    pub(super) fn finding(&mut self, finding: Finding) {
        let path = finding.path.clone().or_else(|| self.subject.clone());
        self.out.findings.push(Finding { path, ..finding });
    }

    pub(super) fn finish(mut self) -> Comparison {
        effect::settle(&mut self.out, self.live);
        self.out
    }
}
