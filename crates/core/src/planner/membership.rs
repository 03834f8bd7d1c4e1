//! What a guest belongs to beside its configuration: a pool, and the HA manager's care.
//!
//! Order inside a guest's steps: its pool and the rules of a guest under HA come before it moves
//! or is started or stopped; it is put under HA, and its HA state is set, after that. So a start
//! waits for the guests it depends on even when the HA manager could start it sooner.

use std::collections::BTreeSet;

use super::Input;
use super::build::Step;
use crate::address::Address;
use crate::desired::{Guest, Ha};
use crate::live::ha::guest_rule;
use crate::plan::{ActionKind, AttributeChange, Effect, Finding, HaChange, Reason};
use crate::provider::{HaComparison, HaRule, HaRuleKind};

/// The path that state remembers for a pool.
const POOL: &str = "pool";
/// The path that state remembers for HA.
const HA: &str = "ha";

/// What has to be done about a guest's memberships.
#[derive(Debug, Default)]
pub(super) struct Membership {
    /// Before the guest moves, starts or stops.
    pub(super) before: Vec<Step>,
    /// After that.
    pub(super) after: Vec<Step>,
    pub(super) attributes: Vec<AttributeChange>,
    /// Paths that the documents manage.
    pub(super) managed: BTreeSet<String>,
    pub(super) findings: Vec<Finding>,
}

/// A guest whose memberships are compared.
pub(super) struct Subject<'a> {
    pub(super) guest: &'a Guest,
    pub(super) vmid: u32,
    /// The node it is on, and the one it comes to.
    pub(super) nodes: (&'a str, &'a str),
    /// Does it run when all else is done?
    pub(super) runs: bool,
    /// Paths that documents managed before.
    pub(super) managed_before: &'a BTreeSet<String>,
    /// The address it had before it was renamed in the documents.
    pub(super) moved_from: Option<&'a Address>,
}

impl Membership {
    /// Compares a guest that is there.
    pub(super) fn of(input: &Input<'_>, subject: &Subject<'_>) -> Self {
        let mut found = Self::default();
        found.pool(input, subject);
        found.high_availability(input, subject);
        found
    }

    /// Of a guest that is made in its pool.
    pub(super) fn of_new(input: &Input<'_>, subject: &Subject<'_>) -> Self {
        let mut found = Self::default();
        if let Some(pool) = &subject.guest.spec.pool {
            found.managed.insert(POOL.to_owned());
            found.findings.extend(missing_pool(input, subject.guest, pool));
        }
        found.high_availability(input, subject);
        found
    }

    /// Nothing to do?
    pub(super) fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }

    fn pool(&mut self, input: &Input<'_>, subject: &Subject<'_>) {
        let summary = input.snapshot.inventory.guests.get(&subject.vmid);
        let live = summary.and_then(|summary| summary.pool.clone());
        let wanted = subject.guest.spec.pool.clone();
        let dropped = wanted.is_none() && subject.managed_before.contains(POOL);
        if let Some(pool) = &wanted {
            self.managed.insert(POOL.to_owned());
            self.findings.extend(missing_pool(input, subject.guest, pool));
        }
        if live == wanted || (wanted.is_none() && !dropped) {
            return;
        }
        let reason =
            if dropped { "no longer in the documents" } else { "differs from the documents" };
        self.attributes.push(AttributeChange {
            path: POOL.to_owned(),
            before: live.clone(),
            after: wanted.clone(),
            effect: Effect::Live,
            reason: reason.to_owned(),
        });
        let kind = ActionKind::Pool { join: wanted, leave: live };
        let reason = Reason::new("pool", reason);
        self.before.push(Step::new(subject.nodes.0, kind, reason, Effect::Live));
    }

    fn high_availability(&mut self, input: &Input<'_>, subject: &Subject<'_>) {
        let nothing = crate::live::Ha::default();
        let live = input.snapshot.ha.as_ref().unwrap_or(&nothing);
        let is_managed = live.resources.contains_key(&subject.vmid);
        if let Some(old) = subject.moved_from.map(guest_rule).filter(|r| live.rules.contains_key(r))
        {
            self.early(subject, HaChange::RemoveRule { rule: old });
        }
        let name = guest_rule(&subject.guest.address);
        let Some(ha) = &subject.guest.spec.ha else {
            if subject.managed_before.contains(HA) {
                self.release(live, subject, name);
            }
            return;
        };
        self.managed.extend(managed_paths(ha));
        let resource = live.resources.get(&subject.vmid);
        let own = input.kind.compare_ha(ha, subject.managed_before, resource, subject.runs);
        let there = live.rules.get(&name);
        let rule = if ha.nodes.is_empty() {
            no_rule(name, there.and_then(|rule| rule.get("nodes")))
        } else {
            let kind = HaRuleKind::Nodes {
                nodes: &ha.nodes,
                strict: ha.strict,
                strict_dropped: ha.strict.is_none() && subject.managed_before.contains("ha.strict"),
            };
            let vmids = BTreeSet::from([subject.vmid]);
            input.kind.compare_rule(&HaRule { name, vmids, kind }, there)
        };
        self.attributes.extend(own.attributes.into_iter().chain(rule.attributes));
        for change in own.changes {
            self.late(subject, change);
        }
        for change in rule.changes {
            // Proxmox makes no rules for guests that are not under HA.
            if is_managed {
                self.early(subject, change);
            } else {
                self.late(subject, change);
            }
        }
    }

    /// Documents do not want it under HA any more.
    fn release(&mut self, live: &crate::live::Ha, subject: &Subject<'_>, rule: String) {
        if live.rules.contains_key(&rule) {
            self.early(subject, HaChange::RemoveRule { rule });
        }
        let Some(resource) = live.resources.get(&subject.vmid) else { return };
        let state = resource.get("state").map_or("started", String::as_str);
        self.attributes.push(AttributeChange {
            path: HA.to_owned(),
            before: Some(state.to_owned()),
            after: None,
            effect: Effect::Live,
            reason: "no longer in the documents: it goes on as it is, without the HA manager"
                .to_owned(),
        });
        self.early(subject, HaChange::Remove);
    }

    fn early(&mut self, subject: &Subject<'_>, change: HaChange) {
        self.before.push(step(subject.nodes.0, change));
    }

    fn late(&mut self, subject: &Subject<'_>, change: HaChange) {
        self.after.push(step(subject.nodes.1, change));
    }
}

/// One write to the HA manager's configuration.
pub(super) fn step(node: &str, change: HaChange) -> Step {
    let reason = Reason::new("ha", "the documents say so");
    Step::new(node, ActionKind::Ha { change }, reason, Effect::Live)
}

fn no_rule(rule: String, nodes: Option<&String>) -> HaComparison {
    let Some(nodes) = nodes else { return HaComparison::default() };
    let attribute = AttributeChange {
        path: "ha.nodes".to_owned(),
        before: Some(nodes.clone()),
        after: None,
        effect: Effect::Live,
        reason: "no longer in the documents".to_owned(),
    };
    HaComparison { changes: vec![HaChange::RemoveRule { rule }], attributes: vec![attribute] }
}

fn managed_paths(ha: &Ha) -> BTreeSet<String> {
    let said = [
        (HA, true),
        ("ha.max_restart", ha.max_restart.is_some()),
        ("ha.max_relocate", ha.max_relocate.is_some()),
        ("ha.failback", ha.failback.is_some()),
        ("ha.comment", ha.comment.is_some()),
        ("ha.nodes", !ha.nodes.is_empty()),
        ("ha.strict", ha.strict.is_some()),
        ("ha.affinity", ha.affinity.is_some()),
    ];
    said.into_iter().filter(|(_, said)| *said).map(|(path, _)| path.to_owned()).collect()
}

/// A pool must be there. Pools without Pool.Audit are not shown, and neither are their members.
fn missing_pool(input: &Input<'_>, guest: &Guest, pool: &str) -> Option<Finding> {
    let known = &input.snapshot.inventory.pools;
    if known.contains(pool) {
        return None;
    }
    let text =
        format!("{} is to be in pool {pool}, which the cluster does not show", guest.address);
    let known: Vec<_> = known.iter().map(String::as_str).collect();
    let shown = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let help = format!(
        "make it (`pvesh create /pools --poolid {pool}`), or give the token Pool.Audit on /pool/{pool}; shown: {shown}"
    );
    Some(
        Finding::error("pool-missing", text)
            .about(&guest.address)
            .at(guest.place(POOL))
            .shown_by(format!("/pool/{pool}"), "Pool.Audit")
            .help(help),
    )
}

/// Does anything here need the HA manager's configuration?
pub(crate) fn concerns_ha(
    desired: &crate::desired::Desired,
    memory: &crate::state::Memory,
) -> bool {
    desired.guests().any(|guest| guest.spec.ha.is_some())
        || memory.addresses().any(|address| memory.managed(address).contains(HA))
}
