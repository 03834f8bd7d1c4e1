//! Journals and state files of all profiles that a plan touches, as the executor's history.

use std::collections::{BTreeMap, BTreeSet};

use super::{Folder, Journal, ProfileLock, Record, Remembered, StateError, Unfinished};
use crate::address::Address;
use crate::execute::History;
use crate::plan::{ActionId, Change, Plan, Verb};

/// One open journal a profile, under the profile's lock.
#[derive(Debug)]
pub struct Histories {
    folder: Folder,
    locks: Vec<(String, ProfileLock)>,
    journals: BTreeMap<String, Journal>,
    begun: BTreeSet<Address>,
    /// What earlier runs began and nobody knows the end of: it comes along into new journals.
    open: Vec<(String, Unfinished)>,
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
        Ok(Self {
            folder,
            locks,
            journals: BTreeMap::new(),
            begun: BTreeSet::new(),
            open: Vec::new(),
        })
    }

    /// What an earlier run of a profile began stays open: its outcome could not be told.
    pub fn keep_open(&mut self, profile: &str, unfinished: Unfinished) {
        self.open.push((profile.to_owned(), unfinished));
    }

    /// A new journal, with what stays open of the one before. Numbers are counted down from the highest:
    /// those of this run are counted up.
    fn begin(&self, key: &str) -> Result<Journal, StateError> {
        let mut journal = Journal::begin(&self.folder, key)?;
        let open = self.open.iter().filter(|(profile, _)| profile == key).map(|(_, open)| open);
        for (number, open) in (0..=u32::MAX).rev().zip(open) {
            let mut action = open.action.clone();
            action.id = ActionId(number);
            journal.append(&Record::Begin { action, at: open.at })?;
            if let Some(upid) = open.upid.clone() {
                journal.append(&Record::Task { action: number, upid })?;
            }
        }
        Ok(journal)
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
            let journal = self.begin(&key)?;
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
