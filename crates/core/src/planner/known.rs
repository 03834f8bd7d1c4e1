//! What the documents want, found by what a live guest carries. Made once for all guests: looking
//! through every profile for every guest grows with the square, and each identity is a hash.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::Input;
use super::ownership::identity_of;
use crate::address::Address;
use crate::desired::{Guest, Profile};
use crate::live;

/// Profiles and guests of the documents, by mark and by identity.
pub(super) struct Known<'a> {
    input: &'a Input<'a>,
    by_mark: HashMap<&'a str, Vec<&'a Profile>>,
    by_identity: HashMap<Uuid, Vec<(&'a Profile, &'a Guest)>>,
    /// Names that are remembered; most plans never ask.
    remembered: OnceCell<HashMap<Uuid, &'a Address>>,
}

impl<'a> Known<'a> {
    pub(super) fn new(input: &'a Input<'a>) -> Self {
        let cluster = &input.snapshot.inventory.cluster;
        let mut by_mark: HashMap<&str, Vec<&Profile>> = HashMap::new();
        let mut by_identity: HashMap<Uuid, Vec<(&Profile, &Guest)>> = HashMap::new();
        for profile in &input.desired.profiles {
            by_mark.entry(&profile.mark).or_default().push(profile);
            for guest in &profile.guests {
                let identity = identity_of(cluster, profile, guest.address.guest());
                by_identity.entry(identity).or_default().push((profile, guest));
            }
        }
        Self { input, by_mark, by_identity, remembered: OnceCell::new() }
    }

    /// The profiles whose mark is among `tags`.
    pub(super) fn marked<'k>(
        &'k self,
        tags: &'k BTreeSet<String>,
    ) -> impl Iterator<Item = &'a Profile> + 'k {
        tags.iter().filter_map(|tag| self.by_mark.get(tag.as_str())).flatten().copied()
    }

    /// The wanted guests with this identity, in document order: one, unless documents are broken.
    pub(super) fn named(&self, identity: Option<Uuid>) -> &[(&'a Profile, &'a Guest)] {
        identity.and_then(|id| self.by_identity.get(&id)).map_or(&[], Vec::as_slice)
    }

    /// The identity of a guest name inside a profile.
    pub(super) fn identity(&self, profile: &Profile, name: &str) -> Uuid {
        identity_of(&self.input.snapshot.inventory.cluster, profile, name)
    }

    /// The guest that this identity was given to before, in a profile.
    pub(super) fn remembered(&self, profile: &Profile, identity: Uuid) -> Option<&'a Address> {
        let cluster = &self.input.snapshot.inventory.cluster;
        let all = self.remembered.get_or_init(|| {
            let identity = |a: &Address| live::identity(cluster, &a.key(), a.guest());
            self.input.memory.addresses().map(|a| (identity(a), a)).collect()
        });
        all.get(&identity).copied().filter(|address| address.key() == profile.key())
    }
}
