//! SMBIOS type 1: `smbios1: uuid=…`.

use std::fmt;

use uuid::Uuid;

use super::{PropertyError, PropertyString, parse_boolean};

/// The value of the key `smbios1`. With `base64=1` all texts but the uuid are base64; they are given
/// as they stand, and the flag survives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smbios {
    properties: PropertyString,
}

impl Smbios {
    /// Reads the value.
    ///
    /// # Errors
    /// [`PropertyError`] when it is no property string.
    pub fn parse(text: &str) -> Result<Self, PropertyError> {
        Ok(Self { properties: PropertyString::parse(text, None)? })
    }

    /// One with a uuid and nothing else.
    ///
    /// # Errors
    /// None that a uuid can cause.
    pub fn from_uuid(uuid: Uuid) -> Result<Self, PropertyError> {
        let mut smbios = Self { properties: PropertyString::new(None) };
        smbios.set_uuid(uuid)?;
        Ok(smbios)
    }

    /// The uuid, when there is one and it is well-formed.
    #[must_use]
    pub fn uuid(&self) -> Option<Uuid> {
        self.properties.get("uuid").and_then(|text| Uuid::try_parse(text).ok())
    }

    /// Sets the uuid, and leaves all else as it is.
    ///
    /// # Errors
    /// None that a uuid can cause.
    pub fn set_uuid(&mut self, uuid: Uuid) -> Result<(), PropertyError> {
        self.properties.set("uuid", &uuid.hyphenated().to_string())
    }

    /// Whether the texts are base64.
    #[must_use]
    pub fn base64(&self) -> bool {
        self.properties.get("base64").and_then(parse_boolean).unwrap_or(false)
    }

    /// All keys and values.
    #[must_use]
    pub fn properties(&self) -> &PropertyString {
        &self.properties
    }
}

impl fmt::Display for Smbios {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.properties.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "base64=1,manufacturer=UHJveG1veA==,uuid=B1AC2673-a79a-4e76-afa6-8361bd4f6263";

    #[test]
    fn keeps_what_it_does_not_change() {
        let mut smbios = Smbios::parse(TEXT).unwrap();
        assert!(smbios.base64());
        assert_eq!(smbios.to_string(), TEXT);
        let uuid = smbios.uuid().unwrap();
        assert_eq!(uuid.to_string(), "b1ac2673-a79a-4e76-afa6-8361bd4f6263");
        smbios.set_uuid(Uuid::nil()).unwrap();
        assert_eq!(
            smbios.to_string(),
            "base64=1,manufacturer=UHJveG1veA==,uuid=00000000-0000-0000-0000-000000000000"
        );
        assert_eq!(Smbios::from_uuid(uuid).unwrap().uuid(), Some(uuid));
        assert_eq!(Smbios::parse("uuid=nonsense").unwrap().uuid(), None);
    }
}
