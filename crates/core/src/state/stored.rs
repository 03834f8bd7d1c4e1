//! What a state file says, in its versions.
//!
//! | version | what it has |
//! |---|---|
//! | 1 | `cluster`, `profile`, `serial`, `guests` |
//! | 2 | the same, and the checksum of `guests` |

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Remembered;
use crate::address::Address;

pub(super) const VERSION: u32 = 2;

/// A state file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stored {
    version: u32,
    pub(super) cluster: String,
    pub(super) profile: String,
    /// Counts the writes: a history without times.
    pub(super) serial: u64,
    /// SHA-256 of `guests` without white space, its keys in order. Version 1 has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
    pub(super) guests: BTreeMap<Address, Remembered>,
}

/// Why a text is no state file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// This version is newer.
    Newer(u32),
    /// This is wrong with it.
    Damaged(String),
}

/// What every version has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Stored {
    /// One that was never written.
    pub(super) fn new(cluster: &str, profile: &str) -> Self {
        Self {
            version: VERSION,
            cluster: cluster.to_owned(),
            profile: profile.to_owned(),
            serial: 0,
            checksum: None,
            guests: BTreeMap::new(),
        }
    }

    /// Reads any version that is known.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Unreadable> {
        let damaged = |error: serde_json::Error| Unreadable::Damaged(error.to_string());
        // A newer file may have another shape: its version is looked at before anything else.
        let said: Versioned = serde_json::from_slice(text).map_err(damaged)?;
        if said.version > VERSION {
            return Err(Unreadable::Newer(said.version));
        }
        let value: Value = serde_json::from_slice(text).map_err(damaged)?;
        let found = value.get("guests").map(checksum);
        let stored: Self = serde_json::from_slice(text).map_err(damaged)?;
        if stored.version >= 2 && stored.checksum != found {
            let why = "its guests are not what the checksum says: it was edited, or lost a part";
            return Err(Unreadable::Damaged(why.to_owned()));
        }
        Ok(stored)
    }

    /// Was it written before, and in the newest version?
    pub(super) fn is_current(&self) -> bool {
        self.serial > 0 && self.version == VERSION
    }

    /// As it is written: in the newest version, with one more in its serial.
    pub(super) fn text(mut self) -> serde_json::Result<Vec<u8>> {
        self.version = VERSION;
        self.serial += 1;
        self.checksum = Some(checksum(&serde_json::to_value(&self.guests)?));
        serde_json::to_vec_pretty(&self)
    }
}

/// Keys of a JSON object are in order, and formatting does not count.
fn checksum(guests: &Value) -> String {
    let sum = Sha256::digest(guests.to_string().as_bytes());
    let hex: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{"version":1,"cluster":"lab","profile":"k3s","serial":7,
        "guests":{"k3s/w01":{"vmid":1000,"managed":["cores"]}}}"#;

    #[test]
    fn a_file_of_version_1_is_written_as_version_2() {
        let old = Stored::parse(OLD.as_bytes()).unwrap();
        let text = old.clone().text().unwrap();
        let new = Stored::parse(&text).unwrap();
        assert_eq!((new.version, new.serial, &new.guests), (2, 8, &old.guests));
        let compact: Value = serde_json::from_slice(&text).unwrap();
        assert!(Stored::parse(compact.to_string().as_bytes()).is_ok(), "formatting does no harm");
    }

    #[test]
    fn what_was_edited_is_damaged() {
        let text = Stored::parse(OLD.as_bytes()).unwrap().text().unwrap();
        let text = String::from_utf8(text).unwrap();
        for (from, to) in [("1000", "1001"), ("cores", "corex"), ("\"sha256:", "\"sha512:")] {
            let error = Stored::parse(text.replace(from, to).as_bytes()).unwrap_err();
            assert!(matches!(&error, Unreadable::Damaged(why) if why.contains("checksum")), "{to}");
        }
        let without = text.replace("checksum", "checksun");
        assert!(Stored::parse(without.as_bytes()).is_err(), "the checksum is not optional");
    }

    #[test]
    fn a_newer_one_may_have_any_shape() {
        let error = Stored::parse(br#"{"version":3,"members":[]}"#).unwrap_err();
        assert_eq!(error, Unreadable::Newer(3));
    }
}
