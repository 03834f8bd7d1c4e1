//! What the token must be allowed for a plan: the checks that Proxmox VE makes of its requests.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::address::Address;

/// One check: any of these privileges on a path of the ACL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Privilege {
    /// The path that Proxmox looks at: `/vms/4400`, `/storage/shared`, `/`.
    pub path: String,
    /// A pool's path where the same privilege is enough: the guest is made in the pool, or has
    /// come to it by then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pool: Option<String>,
    /// One of these is enough. Empty: only root@pam passes, which no token is.
    pub any_of: Vec<String>,
    /// What it is needed for.
    pub uses: Vec<Use>,
}

/// What a privilege is needed for, in few words: `configure net0 of k3s/worker01`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Use {
    /// The action's verb; `read` for what is only looked at.
    pub verb: String,
    /// Keys, disks or things it is about.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub keys: BTreeSet<String>,
    /// The guest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub address: Option<Address>,
}

impl Privilege {
    /// A check without a use yet.
    pub fn new(path: impl Into<String>, any_of: &[&str]) -> Self {
        let any_of = any_of.iter().map(|&privilege| privilege.to_owned()).collect();
        Self { path: path.into(), pool: None, any_of, uses: Vec::new() }
    }

    /// The privileges as people read them: `VM.Config.Cloudinit or VM.Config.Network`.
    pub fn words(&self) -> String {
        self.any_of.join(" or ")
    }

    /// Is it met by every token that meets `other`?
    fn follows_from(&self, other: &Self) -> bool {
        let covered = other.any_of.iter().all(|privilege| self.any_of.contains(privilege));
        // What a pool may give instead, this one must take from the pool too.
        let pool = other.pool.is_none() || other.pool == self.pool;
        self.path == other.path && covered && pool && !other.any_of.is_empty()
    }
}

impl Use {
    /// What is done.
    pub fn new(verb: &str) -> Self {
        Self { verb: verb.to_owned(), keys: BTreeSet::new(), address: None }
    }

    /// Names a key, a disk or a thing.
    #[must_use]
    pub fn of(mut self, key: &str) -> Self {
        self.keys.insert(key.to_owned());
        self
    }

    /// Names the guest.
    #[must_use]
    pub fn about(mut self, address: &Address) -> Self {
        self.address = Some(address.clone());
        self
    }

    /// `configure cores, net0 of k3s/worker01`
    pub fn words(&self) -> String {
        let keys = self.keys.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        match (&self.address, keys.is_empty()) {
            (Some(address), true) => format!("{} {address}", self.verb),
            (Some(address), false) => format!("{} {keys} of {address}", self.verb),
            (None, _) => format!("{} {keys}", self.verb),
        }
    }
}

/// Each check once, by path, with all its uses; a check that follows from another one of its path
/// is left out.
pub fn aggregate(checks: Vec<Privilege>) -> Vec<Privilege> {
    type Check = (String, Option<String>, Vec<String>);
    type Keys = BTreeMap<(String, Option<Address>), BTreeSet<String>>;
    let mut found: BTreeMap<Check, Keys> = BTreeMap::new();
    for check in checks {
        let uses = found.entry((check.path, check.pool, check.any_of)).or_default();
        for one in check.uses {
            uses.entry((one.verb, one.address)).or_default().extend(one.keys);
        }
    }
    let mut by_path: BTreeMap<String, Vec<Privilege>> = BTreeMap::new();
    for ((path, pool, any_of), uses) in found {
        let uses = uses.into_iter().map(|((verb, address), keys)| Use { verb, keys, address });
        let check = Privilege { path, pool, any_of, uses: uses.collect() };
        by_path.entry(check.path.clone()).or_default().push(check);
    }
    by_path.into_values().flat_map(without_consequences).collect()
}

fn without_consequences(checks: Vec<Privilege>) -> Vec<Privilege> {
    let follows = |(place, check): &(usize, &Privilege)| {
        let mut others = checks.iter().enumerate().filter(|(other, _)| other != place);
        others.any(|(_, other)| check.follows_from(other))
    };
    let kept = checks.iter().enumerate().filter(|pair| !follows(pair));
    kept.map(|(_, check)| check.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(path: &str, pool: Option<&str>, any_of: &[&str], key: &str) -> Privilege {
        let uses = vec![Use::new("configure").of(key).about(&Address::new("k3s", "w1"))];
        let pool = pool.map(str::to_owned);
        Privilege { pool, uses, ..Privilege::new(path, any_of) }
    }

    #[test]
    fn each_once_and_nothing_that_follows() {
        let (network, either) = (&["Network"][..], &["Cloudinit", "Network"][..]);
        for (checks, left) in [
            (vec![needed("/vms/1", None, network, "net0"); 2], "/vms/1 Network"),
            (
                vec![
                    needed("/vms/1", None, either, "ciuser"),
                    needed("/vms/1", None, network, "net0"),
                ],
                "/vms/1 Network",
            ),
            (
                vec![
                    needed("/vms/1", None, either, "ciuser"),
                    needed("/vms/2", None, network, "net0"),
                ],
                "/vms/1 Cloudinit or Network; /vms/2 Network",
            ),
            // Who has it on the pool alone does not have it on the guest.
            (
                vec![
                    needed("/vms/1", None, network, "net1"),
                    needed("/vms/1", Some("/pool/p"), network, "net0"),
                ],
                "/vms/1 Network",
            ),
            (
                vec![
                    needed("/vms/1", None, either, "ciuser"),
                    needed("/vms/1", Some("/pool/p"), network, "net0"),
                ],
                "/vms/1 Cloudinit or Network; /vms/1 Network",
            ),
            (
                vec![needed("/vms/1", None, &[], "usb0"), needed("/vms/1", None, network, "net0")],
                "/vms/1 ; /vms/1 Network",
            ),
        ] {
            let found = aggregate(checks);
            let words = found.iter().map(|check| format!("{} {}", check.path, check.words()));
            assert_eq!(words.collect::<Vec<_>>().join("; "), left);
        }
    }

    #[test]
    fn uses_of_one_guest_are_said_together() {
        let found = aggregate(vec![
            needed("/vms/1", None, &["CPU"], "cores"),
            needed("/vms/1", None, &["CPU"], "cpu"),
        ]);
        let words: Vec<String> = found[0].uses.iter().map(Use::words).collect();
        assert_eq!(words, ["configure cores, cpu of k3s/w1"]);
    }
}
