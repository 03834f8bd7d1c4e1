//! Journals and state files of all profiles that a plan touches, as the executor's history.

use std::collections::{BTreeMap, BTreeSet};

use super::{Folder, Journal, ProfileLock, Record, Remembered, StateError};
use crate::address::Address;
use crate::execute::History;
use crate::plan::{Change, Plan, Verb};

/// One open journal a profile, under the profile's lock.
#[derive(Debug)]
pub struct Histories {
    folder: Folder,
    locks: Vec<(String, ProfileLock)>,
    journals: BTreeMap<String, Journal>,
    begun: BTreeSet<Address>,
}

impl Histories {
    /// Locks the profiles, so that no other pvx on this machine works on them.
    ///
    /// # Errors
    /// [`StateError::Locked`] when one is taken.
    pub fn lock<'a>(
        folder: Folder,
        profiles: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, StateError> {
        let lock = |profile: &str| Ok((profile.to_owned(), folder.lock(profile)?));
        let locks = profiles.into_iter().map(lock).collect::<Result<_, _>>()?;
        Ok(Self { folder, locks, journals: BTreeMap::new(), begun: BTreeSet::new() })
    }

    /// Says what the plan found unchanged, and closes the journals when every outcome is known:
    /// those of earlier runs too, which this run has looked at.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn close(mut self, plan: &Plan, all_known: bool) -> Result<(), StateError> {
        if all_known {
            for (profile, _) in &self.locks {
                match self.journals.get_mut(profile) {
                    Some(journal) => journal.append(&Record::Closed)?,
                    None if Journal::unfinished(&self.folder, profile)?.is_empty() => {}
                    None => Journal::begin(&self.folder, profile)?.append(&Record::Closed)?,
                }
            }
        }
        let changed: BTreeSet<&Address> = plan.changes.iter().map(|c| &c.address).collect();
        // One write a profile: its file holds all of its guests.
        let mut unchanged: BTreeMap<String, Vec<(&Address, &Remembered)>> = BTreeMap::new();
        for (address, remembered) in plan.outcomes.iter().filter(|(a, _)| !changed.contains(a)) {
            unchanged.entry(address.key()).or_default().push((address, remembered));
        }
        for (profile, outcomes) in unchanged {
            self.folder.update(&profile, |guests| {
                guests.extend(outcomes.iter().map(|(a, r)| ((*a).clone(), (*r).clone())));
            })?;
            for (address, _) in &outcomes {
                self.forget_old(plan, address)?;
            }
        }
        drop(self.locks);
        Ok(())
    }
}

impl Histories {
    /// A guest that was renamed in the documents is remembered under its new address alone.
    fn forget_old(&self, plan: &Plan, address: &crate::address::Address) -> Result<(), StateError> {
        let Some(old) = plan.moved.get(address) else { return Ok(()) };
        self.folder.forget(&old.key(), old)
    }
}

impl History for Histories {
    fn begins(&mut self, plan: &Plan, change: &Change) -> Result<(), StateError> {
        let Some(wanted) = plan.outcomes.get(&change.address) else { return Ok(()) };
        if !self.begun.insert(change.address.clone()) {
            return Ok(());
        }
        self.folder.update(&change.address.key(), |guests| match guests.get_mut(&change.address) {
            Some(known) => {
                known.managed.extend(wanted.managed.iter().cloned());
                known.prevent_destroy |= wanted.prevent_destroy;
            }
            None => drop(guests.insert(change.address.clone(), wanted.clone())),
        })
    }

    fn record(&mut self, change: &Change, record: &Record) -> Result<(), StateError> {
        let key = change.address.key();
        if !self.journals.contains_key(&key) {
            let journal = Journal::begin(&self.folder, &key)?;
            self.journals.insert(key.clone(), journal);
        }
        self.journals.get_mut(&key).map_or(Ok(()), |journal| journal.append(record))
    }

    fn settled(&mut self, plan: &Plan, change: &Change) -> Result<(), StateError> {
        let address = change.address.clone();
        let remembered = plan.outcomes.get(&address).cloned();
        self.folder.update(&address.key(), |guests| match remembered {
            Some(remembered) if change.verb != Verb::Destroy => {
                guests.insert(address, remembered);
            }
            _ => {
                guests.remove(&address);
            }
        })?;
        self.forget_old(plan, &change.address)
    }
}
