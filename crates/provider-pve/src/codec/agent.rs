//! The guest agent: `agent: 1`.

use std::fmt;

use super::{PropertyError, PropertyString, format_boolean, parse_boolean};

/// The value of the key `agent`; `enabled` is the default key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    properties: PropertyString,
}

impl Agent {
    /// Reads the agent's settings.
    ///
    /// # Errors
    /// [`PropertyError`] when it is no property string.
    pub fn parse(text: &str) -> Result<Self, PropertyError> {
        Ok(Self { properties: PropertyString::parse(text, Some("enabled"))? })
    }

    /// Whether the agent is spoken to. When not, the other keys have no effect.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.properties.get("enabled").and_then(parse_boolean).unwrap_or(false)
    }

    /// Switches it, and leaves the other keys as they are.
    ///
    /// # Errors
    /// None that a boolean can cause.
    pub fn set_enabled(&mut self, enabled: bool) -> Result<(), PropertyError> {
        self.properties.set("enabled", format_boolean(enabled))
    }

    /// All keys and values.
    #[must_use]
    pub fn properties(&self) -> &PropertyString {
        &self.properties
    }
}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.properties.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_switches() {
        for (text, enabled) in [("1", true), ("enabled=1", true), ("0", false), ("type=isa", false)]
        {
            assert_eq!(Agent::parse(text).unwrap().enabled(), enabled, "{text}");
        }
        let mut agent = Agent::parse("1,fstrim_cloned_disks=1").unwrap();
        agent.set_enabled(false).unwrap();
        assert_eq!(agent.to_string(), "0,fstrim_cloned_disks=1");
    }
}
