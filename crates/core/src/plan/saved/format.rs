//! The file's form: JSON with a checksum over its content, whatever the white space and the order
//! of keys, so that a tool which formats JSON does no harm.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{FORMAT, Saved, sha256};
use crate::plan::VERSION;

/// Why a file is no saved plan that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Something else.
    #[error("it is no saved plan")]
    Foreign,
    /// The end is missing.
    #[error("its end is missing: it was cut off at line {line}")]
    CutOff {
        /// Last line, from 1.
        line: usize,
    },
    /// It is no JSON any more.
    #[error("it is damaged at {line}:{column}")]
    Damaged {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A newer pvx made it.
    #[error("a newer pvx made it (form {found}, this one knows {known})")]
    Newer {
        /// The version of its form.
        found: u64,
        /// The newest that is known.
        known: u32,
    },
    /// Its content is not what its checksum says.
    #[error("it was changed after it was made: its checksum is another")]
    Edited,
    /// The checksum is right and the content is not.
    #[error("its content is not that of a plan: {0}")]
    Invalid(String),
}

/// Is this text a saved plan, or what is left of one? No document looks like it.
pub fn is_saved_plan(text: &[u8]) -> bool {
    let start = text.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(text.len());
    let text = text.get(start..).unwrap_or_default();
    let holds = |word: &[u8]| text.windows(word.len()).any(|window| window == word);
    text.starts_with(b"{") && (holds(b"\"pvx_plan\"") || holds(b"\"checksum\": \"sha256:"))
}

impl Saved {
    /// The file's text.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn encode(&self) -> Result<String, serde_json::Error> {
        #[derive(Serialize)]
        struct Sealed<'a> {
            #[serde(flatten)]
            saved: &'a Saved,
            checksum: String,
        }
        let checksum = self.checksum()?;
        let mut text = serde_json::to_string_pretty(&Sealed { saved: self, checksum })?;
        text.push('\n');
        Ok(text)
    }

    /// The checksum of its content: its name among plans.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn checksum(&self) -> Result<String, serde_json::Error> {
        checksum(serde_json::to_value(self)?)
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// When it is no saved plan, not all of it, an edited one, or of a newer pvx.
    pub fn decode(text: &[u8]) -> Result<Self, Unreadable> {
        if !is_saved_plan(text) {
            return Err(Unreadable::Foreign);
        }
        let mut value: Value = serde_json::from_slice(text).map_err(|error| broken(&error))?;
        check_version(&value)?;
        let said = value.as_object_mut().and_then(|object| object.remove("checksum"));
        let found = checksum(value.clone()).map_err(|error| broken(&error))?;
        if said.as_ref().and_then(Value::as_str) != Some(found.as_str()) {
            return Err(Unreadable::Edited);
        }
        serde_json::from_value(value).map_err(|error| Unreadable::Invalid(error.to_string()))
    }
}

fn broken(error: &serde_json::Error) -> Unreadable {
    if error.is_eof() {
        return Unreadable::CutOff { line: error.line() };
    }
    Unreadable::Damaged { line: error.line(), column: error.column() }
}

/// A newer file may have another shape: its version is looked at before anything else.
fn check_version(value: &Value) -> Result<(), Unreadable> {
    let file = value.get("pvx_plan").and_then(Value::as_u64);
    let plan = value.pointer("/plan/version").and_then(Value::as_u64);
    for (found, known) in [(file, FORMAT), (plan, VERSION)] {
        if let Some(found) = found.filter(|found| *found > u64::from(known)) {
            return Err(Unreadable::Newer { found, known });
        }
    }
    Ok(())
}

fn checksum(value: Value) -> Result<String, serde_json::Error> {
    Ok(format!("sha256:{}", sha256(&serde_json::to_vec(&Sorted::from(value))?)))
}

/// JSON whose keys are in order, however the JSON library keeps them.
#[derive(Serialize)]
#[serde(untagged)]
enum Sorted {
    Object(BTreeMap<String, Sorted>),
    List(Vec<Sorted>),
    Single(Value),
}

impl From<Value> for Sorted {
    fn from(value: Value) -> Self {
        match value {
            Value::Object(map) => {
                Self::Object(map.into_iter().map(|(key, value)| (key, value.into())).collect())
            }
            Value::Array(list) => Self::List(list.into_iter().map(Self::from).collect()),
            single => Self::Single(single),
        }
    }
}
