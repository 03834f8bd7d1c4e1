//! Boot order: `boot: order=scsi0;net0`.

use std::fmt;

use super::{PropertyError, PropertyString};

/// The value of the key `boot`. The old form (`cdn`) is the default key `legacy` and survives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    properties: PropertyString,
}

impl Boot {
    /// Reads a boot order.
    ///
    /// # Errors
    /// [`PropertyError`] when it is no property string.
    pub fn parse(text: &str) -> Result<Self, PropertyError> {
        Ok(Self { properties: PropertyString::parse(text, Some("legacy"))? })
    }

    /// A boot order of these devices (`scsi0`, `net0`, …). Without any it is empty, which Proxmox
    /// writes as an empty value and reads as "boot from nothing".
    ///
    /// # Errors
    /// [`PropertyError::Value`] when a device's name holds a comma.
    pub fn from_devices<'a>(
        devices: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, PropertyError> {
        let order: Vec<&str> = devices.into_iter().collect();
        let mut properties = PropertyString::new(Some("legacy"));
        if !order.is_empty() {
            properties.set("order", &order.join(";"))?;
        }
        Ok(Self { properties })
    }

    /// The devices in order; empty for the old form.
    pub fn devices(&self) -> impl Iterator<Item = &str> {
        let order = self.properties.get("order").unwrap_or_default();
        order.split(|c: char| c == ';' || c.is_whitespace()).filter(|d| !d.is_empty())
    }

    /// The old form, letters of `acdn`.
    #[must_use]
    pub fn legacy(&self) -> Option<&str> {
        self.properties.get("legacy")
    }
}

impl fmt::Display for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.properties.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        let boot = Boot::parse("order=scsi0;net0").unwrap();
        assert_eq!(boot.devices().collect::<Vec<_>>(), ["scsi0", "net0"]);
        assert_eq!(Boot::from_devices(["scsi0", "net0"]).unwrap(), boot);
        assert_eq!(boot.to_string(), "order=scsi0;net0");
        let old = Boot::parse("cdn").unwrap();
        assert_eq!((old.legacy(), old.devices().count()), (Some("cdn"), 0));
        assert_eq!(old.to_string(), "cdn");
        assert_eq!(Boot::from_devices([]).unwrap().to_string(), "");
    }
}
