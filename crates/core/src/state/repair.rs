//! In what condition the files of a profile are, and what can be done about damage.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::stored::Stored;
use super::{
    Damage, Folder, Held, Journal, Locks, Owner, Remembered, StateError, Unfinished, Watch,
};
use crate::address::Address;

/// The files of one profile.
#[derive(Debug)]
pub struct Condition {
    /// The profile's key.
    pub profile: String,
    /// How often its state was written; none when it never was, or is damaged.
    pub serial: Option<u64>,
    /// Guests that are remembered.
    pub guests: usize,
    /// What is wrong with the state file.
    pub state_damage: Option<StateError>,
    /// What the last run began and did not end.
    pub open: Vec<Unfinished>,
    /// Lines of the journal that cannot be read.
    pub journal_damage: Vec<Damage>,
    /// Who works on it.
    pub lock: Option<Held>,
}

impl Condition {
    /// Is anything to be repaired?
    pub fn is_damaged(&self) -> bool {
        self.state_damage.is_some() || !self.journal_damage.is_empty()
    }
}

/// What a repair did.
#[derive(Debug, Default)]
pub struct Repaired {
    /// Under which names the damaged files are kept.
    pub kept: Vec<PathBuf>,
    /// What is remembered now: guests of the cluster with their VMIDs, and what the journal said.
    pub guests: BTreeMap<Address, Remembered>,
    /// The state file was damaged: what it remembered besides is lost.
    pub state: bool,
    /// Lines of the journal that could not be read.
    pub lines: usize,
}

impl Folder {
    /// Looks at the files of a profile and changes nothing. `here` is this process.
    ///
    /// # Errors
    /// When a file cannot be read, or a newer pvx wrote it.
    pub fn condition(&self, profile: &str, here: &Owner) -> Result<Condition, StateError> {
        let (stored, state_damage) = match self.read(profile) {
            Ok(stored) => (stored, None),
            Err(damaged @ StateError::Damaged { .. }) => (None, Some(damaged)),
            Err(error) => return Err(error),
        };
        let serial = stored.as_ref().map(|stored| stored.serial);
        let mut guests = stored.map(|stored| stored.guests).unwrap_or_default();
        Journal::replay(self, profile, &mut guests)?;
        let last = Journal::unfinished(self, profile)?;
        Ok(Condition {
            profile: profile.to_owned(),
            serial,
            guests: guests.len(),
            state_damage,
            open: last.open,
            journal_damage: last.damage,
            lock: self.held(profile, here)?,
        })
    }

    /// Keeps what is damaged under another name and begins anew: the state file with the VMIDs of
    /// `members`, the journal with what its whole lines say is open. Nothing when both are sound.
    ///
    /// # Errors
    /// [`StateError::Locked`] when someone works on the profile; when files cannot be written.
    pub fn repair(
        &self,
        profile: &str,
        members: &BTreeMap<Address, u32>,
        owner: &Owner,
    ) -> Result<Option<Repaired>, StateError> {
        let _lock = self.lock(profile, owner)?;
        let found = self.condition(profile, owner)?;
        if !found.is_damaged() {
            return Ok(None);
        }
        let mut done = Repaired {
            state: found.state_damage.is_some(),
            lines: found.journal_damage.len(),
            ..Repaired::default()
        };
        if done.state {
            done.kept.push(self.keep_aside(&self.file(profile, "json"))?);
            let mut stored = Stored::new(self.cluster(), profile);
            let member = |(address, vmid): (&Address, &u32)| {
                (address.clone(), Remembered { vmid: *vmid, ..Remembered::default() })
            };
            stored.guests = members.iter().map(member).collect();
            Journal::replay(self, profile, &mut stored.guests)?;
            self.write(stored)?;
            self.sync()?;
        }
        if done.lines > 0 {
            let (_, aside) =
                Journal::begin(self, profile, owner, &|_| true, Vec::new(), &mut Watch::default())?;
            done.kept.extend(aside);
        }
        done.guests = self.read(profile)?.map(|stored| stored.guests).unwrap_or_default();
        Ok(Some(done))
    }
}
