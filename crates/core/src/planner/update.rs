//! Guests that are wanted and there: what differs, what it costs, and what merely waits.

use super::build::{Builder, Step};
use super::create::{Starts, check_allocates, check_cpus, live_disks, migrate_live, wanted};
use super::keep;
use super::ownership::{Ownership, identity_of};
use super::replace;
use super::steps::configure;
use crate::desired::{Guest, Placement, Power, Profile};
use crate::live::{self, Inventory};
use crate::plan::{
    ActionKind, AttributeChange, Change, Effect, Facts, Finding, Precondition, Reason, Verb,
};
use crate::provider::Comparison;
use crate::state::Remembered;

/// Plans every member that exists; the start actions it planned.
pub(super) fn existing(builder: &mut Builder<'_>, ownership: &Ownership) -> Starts {
    let input = builder.input;
    let mut starts = Starts::new();
    for profile in &input.desired.profiles {
        for guest in &profile.guests {
            let live =
                ownership.member(&guest.address).and_then(|vmid| input.snapshot.guests.get(&vmid));
            let Some(live) = live.filter(|_| builder.is_target(&guest.address)) else { continue };
            one(builder, profile, guest, live, &mut starts);
        }
    }
    starts
}

fn one(
    builder: &mut Builder<'_>,
    profile: &Profile,
    guest: &Guest,
    live: &live::Guest,
    starts: &mut Starts,
) {
    if replace::is_asked(builder, guest) {
        replace::one(builder, profile, guest, live, starts);
        return;
    }
    let input = builder.input;
    let reason = Reason::new("kept", "kept for it while it was gone");
    let place = (live.vmid, live.node.as_str());
    let mut back = match keep::bring_back(builder, profile, guest, live.clone(), place, &reason) {
        Ok(back) => back,
        Err(finding) => {
            builder.findings.push(finding.at(guest.span));
            return;
        }
    };
    let live = &std::mem::take(&mut back.base);
    replace::note_origin(builder, guest);
    let identity = identity_of(&input.snapshot.inventory.cluster, profile, guest.address.guest());
    let before = input.memory.managed(&guest.address);
    let mut comparison = input.kind.compare(&wanted(guest, identity, before), live);
    back.tell(&mut comparison);
    note_pending(builder, guest, live, &comparison);
    note_fixed_vmid(builder, guest, live);
    let managed = comparison.managed.clone();
    let origin = Some(replace::origin(builder, guest));
    let remembered = Remembered { vmid: live.vmid, managed, origin };
    builder.outcomes.insert(guest.address.clone(), remembered);
    let findings = comparison.findings.iter().cloned();
    builder.findings.extend(findings.map(|f| locate(f, guest)));
    let difference = Difference::between(builder, guest, live, comparison);
    if difference.is_empty() && back.is_nothing() {
        return;
    }
    let inventory = &input.snapshot.inventory;
    if let Err(finding) = check_allocates(inventory, guest, &difference.comparison, &live.node) {
        builder.findings.push(finding);
    }
    let node = difference.migration.as_ref().map_or(&live.node, |(target, _)| target);
    if let Err(finding) = check_cpus(inventory, guest, node) {
        builder.findings.push(finding);
    }
    if let Some(lock) = live.lock() {
        builder.findings.push(locked(guest, live, lock));
    }
    let steps = difference.steps(builder, live, profile, identity);
    let steps = keep::with_return(back, steps);
    let starting = matches!(steps.last(), Some(step) if step.kind == ActionKind::Start);
    let ids = builder.chain(&guest.address, live.vmid, steps);
    if starting && let Some(id) = ids.last() {
        starts.insert(guest.address.clone(), *id);
    }
    let change = difference.change(builder, guest, live, ids);
    builder.changes.push(change);
}

/// What has to happen to one live guest.
struct Difference {
    comparison: Comparison,
    /// The node it moves to, and the step that moves it.
    migration: Option<(String, Step)>,
    power: Option<Power>,
}

impl Difference {
    fn between(
        builder: &mut Builder<'_>,
        guest: &Guest,
        live: &live::Guest,
        comparison: Comparison,
    ) -> Self {
        let power = match (guest.power, live.running) {
            (Power::Running, false) => Some(Power::Running),
            (Power::Stopped, true) => Some(Power::Stopped),
            _ => None,
        };
        let wanted_move = match &guest.placement {
            Placement::Node(node) if *node != live.node => {
                let reason = Reason::new("misplaced", format!("the documents put it on {node}"));
                let added = &super::create::comes_to(&comparison);
                Some((node, migrate_live(builder, guest, live, added, node, &reason)))
            }
            _ => None,
        };
        let migration = wanted_move.and_then(|(node, step)| match step {
            Ok(step) => Some((node.clone(), step)),
            Err(finding) => {
                builder.findings.push(finding);
                None
            }
        });
        Self { comparison, migration, power }
    }

    fn is_empty(&self) -> bool {
        self.comparison.is_empty() && self.migration.is_none() && self.power.is_none()
    }

    /// Configure where it is, move, then start; or shut down after all else.
    fn steps(
        &self,
        builder: &Builder<'_>,
        live: &live::Guest,
        profile: &Profile,
        identity: uuid::Uuid,
    ) -> Vec<Step> {
        let options = builder.input.options;
        let reason = Reason::new("differs", "the documents say otherwise");
        let effect = dearest(&self.comparison.attributes).unwrap_or(Effect::Live);
        let digest = live.digest.clone();
        let mut steps = configure(&live.node, &self.comparison, &reason, effect, digest);
        let mut node = live.node.as_str();
        if let Some((target, step)) = &self.migration {
            steps.push(step.clone());
            node = target;
        }
        match self.power {
            Some(Power::Running) => {
                let reason = Reason::new("stopped", "the documents want it running");
                steps.push(Step::new(node, ActionKind::Start, reason, Effect::Start));
            }
            Some(Power::Stopped) => {
                let reason = Reason::new("running", "the documents want it stopped");
                let (timeout, force) = (options.shutdown_timeout, options.force_stop);
                let kind = ActionKind::Shutdown { timeout, force };
                steps.push(Step::new(node, kind, reason, Effect::Stop));
            }
            Some(Power::Unmanaged) | None => {}
        }
        let owned = Precondition::Owned { mark: profile.mark.clone(), uuid: identity };
        if let Some(first) = steps.first_mut() {
            first.preconditions.insert(0, owned);
        }
        steps
    }

    fn change(
        self,
        builder: &Builder<'_>,
        guest: &Guest,
        live: &live::Guest,
        actions: Vec<crate::plan::ActionId>,
    ) -> Change {
        let power = match self.power {
            Some(Power::Running) => Some(Effect::Start),
            Some(Power::Stopped) => Some(Effect::Stop),
            Some(Power::Unmanaged) | None => None,
        };
        let moves = self.migration.is_some().then_some(Effect::Migrate);
        let verb = if self.migration.is_some() {
            Verb::Migrate
        } else if self.comparison.is_empty() {
            Verb::Power
        } else {
            Verb::Change
        };
        let effect = [dearest(&self.comparison.attributes), power, moves];
        Change {
            address: guest.address.clone(),
            verb,
            vmid: live.vmid,
            node: live.node.clone(),
            target: self.migration.map(|(target, _)| target),
            running: live.running,
            facts: Facts { disks: live_disks(builder, live), ..Facts::default() },
            effect: effect.into_iter().flatten().max().unwrap_or(Effect::Live),
            reason: power.map_or("differs from the documents", power_reason).to_owned(),
            attributes: self.comparison.attributes,
            position: Some(builder.input.sources.position(guest.span)),
            actions,
        }
    }
}

/// Nothing moves to a node that does not answer.
pub(super) fn check_online(
    inventory: &Inventory,
    guest: &Guest,
    live: &live::Guest,
    target: &str,
) -> Result<(), Finding> {
    if inventory.nodes.get(target).is_some_and(|node| node.online) {
        return Ok(());
    }
    let text = format!(
        "{} cannot move from {} to {target}: that node is not online",
        guest.address, live.node
    );
    let finding = Finding::error("node-offline", text).about(&guest.address);
    Err(finding.at(guest.place("node")))
}

fn power_reason(effect: Effect) -> &'static str {
    match effect {
        Effect::Start => "is stopped, the documents want it running",
        _ => "is running, the documents want it stopped",
    }
}

fn dearest(attributes: &[AttributeChange]) -> Option<Effect> {
    attributes.iter().map(|a| a.effect).max()
}

/// Names the guest, and its place in the documents when the finding has none of its own.
pub(super) fn locate(finding: Finding, guest: &Guest) -> Finding {
    let span = finding.span.unwrap_or(guest.span);
    finding.about(&guest.address).at(span)
}

/// Values that were written before and wait for a cold boot are said, never planned again.
fn note_pending(
    builder: &mut Builder<'_>,
    guest: &Guest,
    live: &live::Guest,
    comparison: &Comparison,
) {
    let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "unset".to_owned());
    let waiting = live.pending.iter().filter(|p| !comparison.set.contains_key(&p.key));
    let list: Vec<String> =
        waiting.map(|p| format!("{} {} → {}", p.key, word(&p.running), word(&p.next))).collect();
    if !list.is_empty() {
        let text = format!("{} at its next cold boot: {}", guest.address, list.join(", "));
        builder.findings.push(Finding::note("pending", text).about(&guest.address));
    }
}

/// VMIDs cannot be changed in place; a guest keeps the one it was made with.
fn note_fixed_vmid(builder: &mut Builder<'_>, guest: &Guest, live: &live::Guest) {
    let crate::desired::VmidRequest::Fixed(vmid) = guest.vmid else { return };
    if vmid == live.vmid {
        return;
    }
    let text = format!(
        "{} keeps VMID {}, the document says {vmid}: Proxmox cannot renumber a guest",
        guest.address, live.vmid
    );
    builder.findings.push(
        Finding::warning("vmid-differs", text)
            .about(&guest.address)
            .at(guest.place("vmid"))
            .help("write the live VMID into the document, or destroy and make the guest anew"),
    );
}

/// Proxmox refuses every write to a locked guest.
pub(super) fn locked(guest: &Guest, live: &live::Guest, lock: &str) -> Finding {
    let text = format!("{} ({}) is locked: {lock}", guest.address, live.vmid);
    Finding::error("locked", text)
        .about(&guest.address)
        .help("wait for the task that holds the lock, or look at it with `qm unlock` in mind")
}
