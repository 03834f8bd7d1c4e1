//! Addresses that cloud-init sets: `ipconfig0: ip=10.0.0.7/24,gw=10.0.0.1`.

use std::fmt;

use super::{PropertyError, PropertyString};

/// The value of an `ipconfigN` key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpConfig {
    properties: PropertyString,
}

impl Default for IpConfig {
    fn default() -> Self {
        Self { properties: PropertyString::new(None) }
    }
}

impl IpConfig {
    /// Reads the value.
    ///
    /// # Errors
    /// [`PropertyError`] when it is no property string.
    pub fn parse(text: &str) -> Result<Self, PropertyError> {
        Ok(Self { properties: PropertyString::parse(text, None)? })
    }

    /// IPv4 address with prefix length, or `dhcp`.
    #[must_use]
    pub fn ip(&self) -> Option<&str> {
        self.properties.get("ip")
    }

    /// IPv4 gateway; only beside an address.
    #[must_use]
    pub fn gw(&self) -> Option<&str> {
        self.properties.get("gw")
    }

    /// IPv6 address with prefix length, `dhcp` or `auto`.
    #[must_use]
    pub fn ip6(&self) -> Option<&str> {
        self.properties.get("ip6")
    }

    /// IPv6 gateway; only beside an address.
    #[must_use]
    pub fn gw6(&self) -> Option<&str> {
        self.properties.get("gw6")
    }

    /// Sets one of `ip`, `gw`, `ip6`, `gw6`.
    ///
    /// # Errors
    /// As [`PropertyString::set`].
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), PropertyError> {
        self.properties.set(key, value)
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        self.properties.remove(key)
    }

    /// All keys and values.
    #[must_use]
    pub fn properties(&self) -> &PropertyString {
        &self.properties
    }
}

impl fmt::Display for IpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.properties.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        let text = "ip=10.0.0.7/24,gw=10.0.0.1,ip6=auto";
        let config = IpConfig::parse(text).unwrap();
        assert_eq!((config.ip(), config.gw()), (Some("10.0.0.7/24"), Some("10.0.0.1")));
        assert_eq!((config.ip6(), config.gw6()), (Some("auto"), None));
        assert_eq!(config.to_string(), text);
        let mut new = IpConfig::default();
        new.set("ip", "dhcp").unwrap();
        assert_eq!(new.to_string(), "ip=dhcp");
        assert!(IpConfig::parse("10.0.0.7/24").is_err());
    }
}
