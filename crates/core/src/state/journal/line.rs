//! One line of a journal: its CRC-32 in eight hexadecimal digits, a space, JSON, a line break. A
//! CRC finds every change of a few bytes, and names the line that has it.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::Record;
use crate::address::Address;
use crate::state::Remembered;

/// Journals without a header, and with no checksums, are version 1.
pub(super) const VERSION: u32 = 2;

/// The first line of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::state) struct Header {
    /// Of the journal's form.
    pub(super) version: u32,
    pub(super) cluster: String,
    pub(super) profile: String,
    /// The run that writes it.
    pub(super) run: String,
    /// Version of pvx.
    pub(super) pvx: String,
    /// Version of the plan whose actions these are.
    pub(super) plan: u32,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub(in crate::state) enum Line {
    /// The first one.
    Journal(Header),
    /// What is remembered of a guest.
    #[serde(untagged)]
    Remark(Remark),
    /// What the run does.
    #[serde(untagged)]
    Record(Record),
}

/// What is remembered of a guest until the state file says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub(in crate::state) enum Remark {
    /// From here on documents manage this much of the guest, whatever becomes of its actions.
    Manages { address: Address, remembered: Remembered },
    /// All actions of the guest succeeded; nothing is remembered of one that was destroyed.
    Settled { address: Address, remembered: Option<Remembered> },
    /// The state file says all that stands before.
    Folded,
}

impl Remark {
    /// Brings what is remembered up to date.
    pub(in crate::state) fn apply(&self, guests: &mut BTreeMap<Address, Remembered>) {
        match self {
            Self::Manages { address, remembered } => match guests.get_mut(address) {
                Some(known) => {
                    known.managed.extend(remembered.managed.iter().cloned());
                    known.prevent_destroy |= remembered.prevent_destroy;
                }
                None => drop(guests.insert(address.clone(), remembered.clone())),
            },
            Self::Settled { address, remembered: Some(remembered) } => {
                guests.insert(address.clone(), remembered.clone());
            }
            Self::Settled { address, remembered: None } => drop(guests.remove(address)),
            Self::Folded => {}
        }
    }
}

impl Line {
    /// With its checksum and line break.
    pub(super) fn encode(&self) -> io::Result<Vec<u8>> {
        let json = serde_json::to_string(self)?;
        Ok(format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())).into_bytes())
    }
}

/// The JSON of a line (without its line break) whose checksum agrees.
pub(super) fn checked(line: &[u8]) -> Option<&[u8]> {
    let (sum, rest) = line.split_at_checked(8)?;
    let json = rest.strip_prefix(b" ")?;
    let right = format!("{:08x}", crc32fast::hash(json));
    (sum == right.as_bytes()).then_some(json)
}
