//! What the HA manager is told to do: two requests (`/cluster/ha/resources`, `/cluster/ha/rules`),
//! made only when documents or memory manage HA.

use std::collections::{BTreeMap, BTreeSet};

use crate::address::Address;

/// Properties as Proxmox VE names them, as text.
pub type Properties = BTreeMap<String, String>;

/// The HA manager's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ha {
    /// VMs under HA by VMID; `type` and `sid` are left out.
    pub resources: BTreeMap<u32, Properties>,
    /// Rules by name, with their `type`.
    pub rules: BTreeMap<String, Properties>,
}

/// The name of the node affinity rule of one guest. Names of profiles and guests have no `_`, so
/// no two guests share one, and no group's rule has the name of a guest's.
pub fn guest_rule(address: &Address) -> String {
    format!("{}_{}", rule_prefix(&address.key()), address.guest())
}

/// The name of the resource affinity rule of one group; `key` is its profile's.
pub fn group_rule(key: &str, group: &str) -> String {
    format!("{}{group}", group_rule_prefix(key))
}

/// How the names of all group rules of a profile begin.
pub fn group_rule_prefix(key: &str) -> String {
    format!("{}_group_", rule_prefix(key))
}

/// Rules are `pve-configid`: no dots, which the key of a standalone VM has.
fn rule_prefix(key: &str) -> String {
    format!("pvx-{}", key.split('.').next().unwrap_or(key))
}

/// Guests that a rule is about, from its list `vm:100,vm:101`; containers are left out.
pub fn vmids(resources: &str) -> BTreeSet<u32> {
    let sids = resources.split([',', ';', ' ']);
    sids.filter_map(|sid| sid.strip_prefix("vm:")?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_names_of_their_own() {
        let guest = |profile: &str, name: &str| guest_rule(&Address::new(profile, name));
        assert_eq!(guest("k3s", "cp01"), "pvx-k3s_cp01");
        assert_eq!(guest("vm", "gitea"), "pvx-vm_gitea");
        assert_eq!(group_rule("k3s", "workers"), "pvx-k3s_group_workers");
        assert_ne!(guest("a-b", "c"), guest("a", "b-c"));
        assert_ne!(guest("k3s", "workers"), group_rule("k3s", "workers"));
    }

    #[test]
    fn guests_of_a_rule() {
        assert_eq!(vmids("ct:7,vm:100,vm:101"), BTreeSet::from([100, 101]));
    }
}
