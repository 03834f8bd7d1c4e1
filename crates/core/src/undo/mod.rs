//! What a run that failed takes back: a plan of its own, made from the cluster as it was before the
//! run and as it is now, and carried out by the same executor ([ADR 19](../../../docs/adr/0019-undo.md)).
//!
//! Pure: what was begun says which guests are looked at and in which order, what is there says what
//! is written. So an action that failed half-way, or whose outcome nobody knows, is taken back as
//! far as it came. Where no inverse exists, a finding of the plan says why.
//!
//! `work` collects what was begun, guest by guest; `guard` says which guests are left alone;
//! `order` joins them; `walk` goes through a guest's actions in reverse, with `config`, `drive`, `ha` and `made` for
//! single kinds of actions; `forecast` says beforehand what could not be taken back.

mod config;
mod drive;
mod forecast;
mod guard;
mod ha;
mod made;
mod order;
mod walk;
mod work;

pub use forecast::forecast;
pub use work::guests;

use std::collections::BTreeSet;

use crate::address::Address;
use crate::execute::Report;
use crate::live::Snapshot;
use crate::plan::{ActionId, ActionKind, Change, Effect, Facts, Finding, Intent, Plan, Verb, lint};
use crate::provider::GuestKind;
use crate::state::Memory;

use order::Inverse;
use walk::{Step, Walk};
use work::Work;

/// What is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Guests whose making failed and whose documents say `on_failure: destroy`.
    FailedCreates,
    /// Everything that the run changed (`--rollback-on-failure`).
    Everything,
}

/// A plan, and what became of it.
#[derive(Debug, Clone, Copy)]
pub struct Round<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What became of its actions.
    pub report: &'a Report,
}

/// Everything an undo is made from.
pub struct Input<'a> {
    /// What was carried out, in order.
    pub rounds: &'a [Round<'a>],
    /// The cluster before the first of them.
    pub before: &'a Snapshot,
    /// The cluster now: its inventory, and every guest that [`guests`] names and that is there.
    pub now: &'a Snapshot,
    /// What was remembered before.
    pub memory: &'a Memory,
    /// How Proxmox spells a guest.
    pub kind: &'a dyn GuestKind,
    /// What is taken back.
    pub scope: Scope,
    /// Seconds that a guest has to shut down; then it is stopped.
    pub shutdown_timeout: u32,
}

/// The plan that takes back what the rounds changed. Its findings say what it does not take back,
/// and why. State is as before when it has been carried out.
pub fn undo(input: &Input<'_>) -> Plan {
    let inventory = &input.now.inventory;
    let mut plan = Plan {
        nodes: (inventory.online_nodes().count(), inventory.nodes.len()),
        quorate: inventory.quorate,
        ..Plan::new(Intent::Undo, &inventory.cluster)
    };
    let mut inverse = Inverse::new();
    let mut returned = BTreeSet::new();
    // The last first, as their actions.
    for work in Work::all(input).into_iter().rev() {
        let mut walk = Walk::through(input, &work, returned);
        returned = std::mem::take(&mut walk.returned);
        add(&mut plan, &mut inverse, &work, walk);
    }
    order::reversed(input, &mut plan, &inverse);
    order::rules(&mut plan);
    plan.findings.extend(lint::check(&plan));
    plan
}

/// Adds what a guest's walk came to.
fn add(plan: &mut Plan, inverse: &mut Inverse, work: &Work<'_>, walk: Walk<'_>) {
    let address = work.filed_under();
    let is_made = walk.removes_guest();
    plan.findings.extend(walk.findings.iter().cloned());
    if walk.steps.is_empty() {
        return;
    }
    let change = change(work, &walk);
    let mut ids: Vec<ActionId> = Vec::new();
    for Step { of, action } in walk.steps {
        let id = plan.actions.add(action);
        if let Some(last) = ids.last() {
            plan.actions.order(*last, id);
        }
        if let Some(of) = of {
            inverse.entry(of).or_default().push(id);
        }
        ids.push(id);
    }
    plan.changes.push(Change { actions: ids, ..change });
    if let Some(remembered) = walk.input.memory.get(address).filter(|_| !is_made) {
        plan.outcomes.insert(address.clone(), remembered.clone());
    }
    if *address != work.address {
        plan.moved.insert(address.clone(), work.address.clone());
    }
}

fn change(work: &Work<'_>, walk: &Walk<'_>) -> Change {
    let is_made = walk.removes_guest();
    let now = walk.input.now.guests.get(&work.vmid);
    let kinds = || walk.steps.iter().map(|step| &step.action.kind);
    let target = kinds().find_map(|kind| match kind {
        ActionKind::Migrate { target, .. } => Some(target.clone()),
        _ => None,
    });
    let verb = match () {
        () if is_made => Verb::Destroy,
        () if target.is_some() => Verb::Migrate,
        () if kinds().all(walk::is_power) => Verb::Power,
        () => Verb::Change,
    };
    let disks = now.filter(|_| is_made).map(|guest| walk::sizes(walk.input, guest));
    let effects = walk.steps.iter().map(|step| step.action.effect);
    Change {
        address: work.filed_under().clone(),
        verb,
        vmid: work.vmid,
        node: now.map(|guest| guest.node.clone()).unwrap_or_default(),
        target,
        running: now.is_some_and(|guest| guest.running),
        facts: Facts { disks: disks.unwrap_or_default(), ..Facts::default() },
        attributes: walk.attributes.clone(),
        effect: effects.max().unwrap_or(Effect::Live),
        reason: match is_made {
            true => "made by this run".to_owned(),
            false => "changed by this run".to_owned(),
        },
        position: None,
        on_failure: crate::desired::OnFailure::Keep,
        actions: Vec::new(),
    }
}

/// Something is not taken back.
fn lost(address: &Address, text: String) -> Finding {
    Finding::warning("not-undone", text).about(address)
}
