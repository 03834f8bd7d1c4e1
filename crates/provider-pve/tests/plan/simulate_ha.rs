//! What HA changes do to the built cluster, and what Proxmox would refuse (pve-ha-manager
//! `API2/HA/Resources.pm`, `API2/HA/Rules.pm`).

use std::collections::BTreeSet;

use pvx_core::live::ha::vmids;
use pvx_core::live::{Ha, Properties};
use pvx_core::plan::HaChange;

use crate::lab::{Lab, NODES};

impl Lab {
    pub(crate) fn ha(&mut self) -> &mut Ha {
        self.snapshot.ha.as_mut().unwrap()
    }

    pub(crate) fn high_availability(&mut self, vmid: u32, change: &HaChange) {
        let ha = self.ha();
        match change {
            HaChange::Add { set } => {
                assert!(!ha.resources.contains_key(&vmid), "already defined");
                ha.resources.insert(vmid, set.clone());
            }
            HaChange::Update { set, delete } => {
                let resource = ha.resources.get_mut(&vmid).expect("no such resource");
                resource.extend(set.clone());
                delete.iter().for_each(|key| drop(resource.remove(key)));
            }
            HaChange::Remove => {
                assert!(ha.resources.contains_key(&vmid), "not HA managed");
                self.purge_ha(vmid);
            }
            HaChange::AddRule { rule, set } => {
                assert!(!ha.rules.contains_key(rule), "HA rule already defined");
                ha.rules.insert(rule.clone(), set.clone());
                check_rules(ha, rule);
            }
            HaChange::UpdateRule { rule, set, delete } => {
                let stored = ha.rules.get_mut(rule).expect("HA rule does not exist");
                assert_eq!(stored.get("type"), set.get("type"), "type is required");
                stored.extend(set.clone());
                delete.iter().for_each(|key| drop(stored.remove(key)));
                check_rules(ha, rule);
            }
            HaChange::RemoveRule { rule } => drop(ha.rules.remove(rule)),
        }
        if matches!(change, HaChange::Add { .. } | HaChange::Update { .. }) {
            self.run_manager(vmid);
        }
    }

    /// Rules forget a guest that leaves HA, and go with their last one.
    pub(crate) fn purge_ha(&mut self, vmid: u32) {
        let ha = self.ha();
        ha.resources.remove(&vmid);
        for rule in ha.rules.values_mut() {
            let mut left = vmids(&rule["resources"]);
            left.remove(&vmid);
            let left: Vec<_> = left.iter().map(|vmid| format!("vm:{vmid}")).collect();
            rule.insert("resources".to_owned(), left.join(","));
        }
        ha.rules.retain(|_, rule| !rule["resources"].is_empty());
    }

    /// The manager starts and stops a guest.
    fn run_manager(&mut self, vmid: u32) {
        let resource = &self.ha().resources[&vmid];
        let running = match resource.get("state").map(String::as_str) {
            None | Some("started" | "enabled") => true,
            Some("stopped" | "disabled") => false,
            Some(_) => return,
        };
        self.snapshot.guests.get_mut(&vmid).unwrap().running = running;
    }
}

/// Guests are under HA, nodes exist, and the rule goes together with the others.
fn check_rules(ha: &Ha, name: &str) {
    let rule = &ha.rules[name];
    let members = vmids(&rule["resources"]);
    assert!(!members.is_empty(), "no resources were specified");
    for vmid in &members {
        assert!(ha.resources.contains_key(vmid), "cannot use unmanaged resource vm:{vmid}");
    }
    let mut others = ha.rules.iter().filter(|(other, _)| *other != name);
    if let Some(nodes) = rule.get("nodes") {
        for node in nodes.split(',') {
            assert!(NODES.contains(&node.split(':').next().unwrap()), "non-existent node {node}");
        }
        let shares = |other: &Properties| !vmids(&other["resources"]).is_disjoint(&members);
        let in_two = others.clone().any(|(_, other)| other.contains_key("nodes") && shares(other));
        assert!(!in_two, "already used in another node affinity rule");
        let priorities: BTreeSet<_> = nodes.split(',').map(|n| n.split(':').nth(1)).collect();
        let paired = others.any(|(_, other)| other.contains_key("affinity") && shares(other));
        assert!(priorities.len() < 2 || !paired, "multiple priorities");
        return;
    }
    assert!(members.len() > 1, "less than two resources");
    assert!(rule["affinity"] != "negative" || members.len() <= NODES.len(), "too few nodes");
}
