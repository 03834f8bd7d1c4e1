//! Journals and state files of all profiles that a plan touches, as the executor's history.
//!
//! While a run goes on only its journals are written, what is remembered of guests included: one
//! wait for the disk before each request. State files are written once, at its end.

use std::collections::{BTreeMap, BTreeSet};

use super::journal::{Flusher, Line, Remark};
use super::{
    Damage, Folder, Journal, Locks, Owner, ProfileLock, Record, Remembered, StateError, Unfinished,
    Watch,
};
use crate::address::Address;
use crate::execute::History;
use crate::plan::{Change, Plan, Verb};

/// One open journal a profile, under the profile's lock.
#[derive(Debug)]
pub struct Histories {
    folder: Folder,
    owner: Owner,
    /// Before the locks: all is on disk when they are released.
    flusher: Flusher,
    locks: BTreeMap<String, ProfileLock>,
    journals: BTreeMap<String, Journal>,
    /// What state files do not say yet.
    remarks: BTreeMap<String, Vec<Remark>>,
    /// Those of them that journals do not have yet either.
    waiting: BTreeMap<String, Vec<Remark>>,
    begun: BTreeSet<Address>,
    /// What earlier runs left open and is settled since: by profile and number.
    settled: BTreeSet<(String, u32)>,
    notes: Vec<String>,
    watch: Watch,
}

impl Histories {
    /// Locks the profiles, so that no other pvx works on them: all, or none. They are locked in the
    /// order of their names, and two runs never wait for each other crosswise. A journal that is
    /// damaged is kept aside, and what its whole lines say goes on in a new one.
    ///
    /// # Errors
    /// [`StateError::Locked`] when one is taken; [`StateError::Newer`] when a newer pvx wrote one of
    /// the journals.
    pub fn lock<'a>(
        folder: Folder,
        profiles: impl IntoIterator<Item = &'a str>,
        owner: Owner,
    ) -> Result<Self, StateError> {
        let profiles: BTreeSet<&str> = profiles.into_iter().collect();
        let lock = |profile: &str| Ok((profile.to_owned(), folder.lock(profile, &owner)?));
        let locks: BTreeMap<_, _> = profiles.into_iter().map(lock).collect::<Result<_, _>>()?;
        let dead = |(profile, lock): (&String, &ProfileLock)| {
            let before = lock.before.as_ref()?;
            Some(format!("the lock of {profile} is taken over: its process has ended ({before})"))
        };
        let mut all = Self {
            notes: locks.iter().filter_map(dead).collect(),
            folder,
            owner,
            locks,
            flusher: Flusher::default(),
            journals: BTreeMap::new(),
            remarks: BTreeMap::new(),
            waiting: BTreeMap::new(),
            begun: BTreeSet::new(),
            settled: BTreeSet::new(),
            watch: Watch::default(),
        };
        all.keep_damaged_aside()?;
        Ok(all)
    }

    /// The same, with somebody who is told of every record.
    #[must_use]
    pub fn watched(self, watch: Watch) -> Self {
        Self { watch, ..self }
    }

    /// What an earlier run had begun is settled: it does not come along into the next journal.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn settled_open(
        &mut self,
        profile: &str,
        open: &Unfinished,
        ok: bool,
    ) -> Result<(), StateError> {
        let action = open.action.id.0;
        if self.journals.contains_key(profile) {
            let end = Line::Record(Record::End { action, ok });
            return self.append(profile, vec![end], false);
        }
        self.settled.insert((profile.to_owned(), action));
        Ok(())
    }

    /// What is worth knowing of what earlier runs left, each in one sentence.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Says what the plan found unchanged, writes the state files, and closes the journals when every
    /// outcome is known: those of earlier runs too, which this run has looked at. The run may go on
    /// with another plan.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn checkpoint(&mut self, plan: &Plan, all_known: bool) -> Result<(), StateError> {
        let changed: BTreeSet<&Address> = plan.changes.iter().map(|c| &c.address).collect();
        // One write a profile: its file holds all of its guests.
        let mut unchanged: BTreeMap<String, Vec<(&Address, &Remembered)>> = BTreeMap::new();
        for (address, remembered) in plan.outcomes.iter().filter(|(a, _)| !changed.contains(a)) {
            unchanged.entry(address.key()).or_default().push((address, remembered));
        }
        let profiles = self.locks.keys().chain(unchanged.keys()).chain(self.remarks.keys());
        let profiles: BTreeSet<String> = profiles.cloned().collect();
        for profile in &profiles {
            self.fold(profile, unchanged.get(profile).map(Vec::as_slice).unwrap_or_default())?;
        }
        // State is on disk before a journal says that it is.
        self.folder.sync()?;
        for (address, _) in unchanged.values().flatten() {
            self.forget_old(plan, address)?;
        }
        profiles.iter().try_for_each(|profile| self.end(profile, all_known))
    }

    /// [`Self::checkpoint`], and the locks are released.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn close(mut self, plan: &Plan, all_known: bool) -> Result<(), StateError> {
        self.checkpoint(plan, all_known)
    }

    /// Brings a state file up to date.
    fn fold(
        &mut self,
        profile: &str,
        outcomes: &[(&Address, &Remembered)],
    ) -> Result<(), StateError> {
        let remarks = self.remarks.get(profile).map(Vec::as_slice).unwrap_or_default();
        if remarks.is_empty() && outcomes.is_empty() {
            return Ok(());
        }
        self.folder.change(profile, |guests| {
            remarks.iter().for_each(|remark| remark.apply(guests));
            guests.extend(outcomes.iter().map(|(a, r)| ((*a).clone(), (*r).clone())));
        })?;
        self.remarks.remove(profile);
        Ok(())
    }

    /// The state file says all: the journal says that, and, when it is so, that nothing is open.
    fn end(&mut self, profile: &str, all_known: bool) -> Result<(), StateError> {
        if !self.journals.contains_key(profile) && !Journal::is_left(&self.folder, profile)? {
            return Ok(());
        }
        let line = match all_known {
            true => Line::Record(Record::Closed),
            false => Line::Remark(Remark::Folded),
        };
        self.append(profile, vec![line], false)
    }

    /// A guest that was renamed in the documents is remembered under its new address alone.
    fn forget_old(&self, plan: &Plan, address: &Address) -> Result<(), StateError> {
        let Some(old) = plan.moved.get(address) else { return Ok(()) };
        self.folder.forget(&old.key(), old)
    }

    fn keep_damaged_aside(&mut self) -> Result<(), StateError> {
        for profile in self.locks.keys().cloned().collect::<Vec<_>>() {
            let damage = Journal::unfinished(&self.folder, &profile)?.damage;
            if !damage.is_empty() {
                self.append(&profile, Vec::new(), true)?;
                let damage = Damage::tell(&damage);
                self.notes.push(format!(
                    "the journal of {profile} is damaged in {damage}: what else it says counts, and \
                     what it does not the cluster shows"
                ));
            }
        }
        Ok(())
    }

    /// Appends lines to the profile's journal of this run, which is begun with the first ones, and
    /// before them what waited for some. With `wait` they are on disk when this returns.
    fn append(&mut self, profile: &str, lines: Vec<Line>, wait: bool) -> Result<(), StateError> {
        let waiting = self.waiting.remove(profile).unwrap_or_default();
        let lines: Vec<Line> = waiting.into_iter().map(Line::Remark).chain(lines).collect();
        if let Some(journal) = self.journals.get_mut(profile) {
            let later = (!wait).then_some(&mut self.flusher);
            return journal.append(&lines, later, &mut self.watch);
        }
        let settled = &self.settled;
        let open = |id: u32| !settled.contains(&(profile.to_owned(), id));
        let (folder, watch) = (&self.folder, &mut self.watch);
        let (journal, aside) = Journal::begin(folder, profile, &self.owner, &open, lines, watch)?;
        if let Some(aside) = aside {
            self.notes.push(format!("{} is kept", aside.display()));
        }
        self.journals.insert(profile.to_owned(), journal);
        Ok(())
    }

    fn remember(&mut self, profile: &str, remark: Remark) {
        self.remarks.entry(profile.to_owned()).or_default().push(remark);
    }
}

impl History for Histories {
    fn begins(&mut self, plan: &Plan, change: &Change) -> Result<(), StateError> {
        let Some(wanted) = plan.outcomes.get(&change.address) else { return Ok(()) };
        if !self.begun.insert(change.address.clone()) {
            return Ok(());
        }
        let (address, remembered) = (change.address.clone(), wanted.clone());
        let remark = Remark::Manages { address, remembered };
        let profile = change.address.key();
        self.remember(&profile, remark.clone());
        // Nothing has begun yet: the begin record goes to the disk together with it.
        self.waiting.entry(profile).or_default().push(remark);
        Ok(())
    }

    fn record(&mut self, change: &Change, record: &Record) -> Result<(), StateError> {
        // What comes after a side effect need not hold up another: if the power takes it away, the
        // next run looks for what it said.
        let wait = matches!(record, Record::Begin { .. });
        self.append(&change.address.key(), vec![Line::Record(record.clone())], wait)
    }

    fn settled(&mut self, plan: &Plan, change: &Change) -> Result<(), StateError> {
        let address = change.address.clone();
        let remembered = plan.outcomes.get(&address).cloned();
        let remembered = remembered.filter(|_| change.verb != Verb::Destroy);
        let remark = Remark::Settled { address, remembered };
        let profile = change.address.key();
        self.remember(&profile, remark.clone());
        self.append(&profile, vec![Line::Remark(remark)], false)?;
        // The next plan may change it again.
        self.begun.remove(&change.address);
        self.forget_old(plan, &change.address)
    }
}
