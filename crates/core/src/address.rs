//! How people and files name one guest: `k3s/worker02`, or `vm/gitea` for a standalone VM.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The profile name under which standalone VM specs are addressed.
pub const STANDALONE: &str = "vm";

/// `<profile>/<guest>`: unique among all documents of one cluster, stable over the guest's life,
/// and independent of VMID and node.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[schemars(with = "String")]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    profile: String,
    guest: String,
}

impl Address {
    /// The address of `guest` in `profile`. Both must be DNS labels; documents are checked for
    /// that before any address is made.
    pub fn new(profile: impl Into<String>, guest: impl Into<String>) -> Self {
        Self { profile: profile.into(), guest: guest.into() }
    }

    /// The profile's name, or [`STANDALONE`].
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// The key under which state and journal of the profile are kept: `k3s`, and `vm.gitea` for a
    /// standalone VM, which is a profile of one.
    pub fn key(&self) -> String {
        if self.profile == STANDALONE {
            format!("{STANDALONE}.{}", self.guest)
        } else {
            self.profile.clone()
        }
    }

    /// The guest's name inside the profile, which is also its Proxmox name.
    pub fn guest(&self) -> &str {
        &self.guest
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.profile, self.guest)
    }
}

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an address: expected PROFILE/GUEST, such as k3s/worker02 or vm/gitea")]
pub struct AddressError(String);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((profile, guest))
                if !profile.is_empty() && !guest.is_empty() && !guest.contains('/') =>
            {
                Ok(Self::new(profile, guest))
            }
            _ => Err(AddressError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["k3s/worker02", "vm/gitea"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_an_address() {
        for text in ["", "k3s", "/a", "a/", "a/b/c"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
