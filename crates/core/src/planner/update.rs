//! Guests that are wanted and there: what differs, what it costs, and what merely waits.

use super::build::{Builder, Step};
use super::create::{Starts, configure_steps, live_disks, migrate_step, wanted};
use super::ownership::{Ownership, identity_of};
use crate::desired::{Guest, Placement, Power, Profile};
use crate::live;
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
    let input = builder.input;
    let identity = identity_of(&input.snapshot.inventory.cluster, profile, guest.address.guest());
    let before = input.memory.managed(&guest.address);
    let comparison = input.kind.compare(&wanted(guest, identity, before), live);
    note_pending(builder, guest, live, &comparison);
    note_fixed_vmid(builder, guest, live);
    let remembered = Remembered { vmid: live.vmid, managed: comparison.managed.clone() };
    builder.outcomes.insert(guest.address.clone(), remembered);
    let findings = comparison.findings.iter().cloned();
    builder.findings.extend(findings.map(|f| locate(f, guest)));
    let difference = Difference::between(builder, guest, live, comparison);
    if difference.is_empty() {
        return;
    }
    if let Some(lock) = live.lock() {
        builder.findings.push(locked(guest, live, lock));
    }
    let steps = difference.steps(guest, live, profile, identity);
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
    target: Option<String>,
    local_disks: bool,
    power: Option<Power>,
}

impl Difference {
    fn between(
        builder: &mut Builder<'_>,
        guest: &Guest,
        live: &live::Guest,
        comparison: Comparison,
    ) -> Self {
        let inventory = &builder.input.snapshot.inventory;
        let volumes = builder.input.kind.volumes(live);
        let power = match (guest.power, live.running) {
            (Power::Running, false) => Some(Power::Running),
            (Power::Stopped, true) => Some(Power::Stopped),
            _ => None,
        };
        let target = match &guest.placement {
            Placement::Node(node) if *node != live.node => Some(node.clone()),
            _ => None,
        };
        let target = target.filter(|node| match inventory.nodes.get(node) {
            Some(found) if found.online => true,
            _ => {
                let text = format!(
                    "{} cannot move from {} to {node}: that node is not online",
                    guest.address, live.node
                );
                let finding = Finding::error("node-offline", text).about(&guest.address);
                builder.findings.push(finding.at(guest.place("node")));
                false
            }
        });
        let local_disks = volumes.iter().any(|v| !inventory.is_shared(&v.storage));
        Self { comparison, target, local_disks, power }
    }

    fn is_empty(&self) -> bool {
        self.comparison.is_empty() && self.target.is_none() && self.power.is_none()
    }

    /// Configure where it is, move, then start; or shut down after all else.
    fn steps(
        &self,
        guest: &Guest,
        live: &live::Guest,
        profile: &Profile,
        identity: uuid::Uuid,
    ) -> Vec<Step> {
        let reason = Reason::new("differs", "the documents say otherwise");
        let effect = dearest(&self.comparison.attributes).unwrap_or(Effect::Live);
        let digest = live.digest.clone();
        let mut steps = configure_steps(&live.node, &self.comparison, &reason, effect, digest);
        let mut node = live.node.as_str();
        if let Some(target) = &self.target {
            let reason = Reason::new("misplaced", format!("the documents put it on {target}"));
            steps.push(migrate_step(node, target, live.running, self.local_disks, &reason));
            node = target;
        }
        match self.power {
            Some(Power::Running) => {
                let reason = Reason::new("stopped", "the documents want it running");
                steps.push(Step::new(node, ActionKind::Start, reason, Effect::Start));
            }
            Some(Power::Stopped) => {
                let reason = Reason::new("running", "the documents want it stopped");
                let kind = ActionKind::Shutdown { timeout: 120, force: false };
                steps.push(Step::new(node, kind, reason, Effect::Stop));
            }
            Some(Power::Unmanaged) | None => {}
        }
        let owned = Precondition::Owned { mark: profile.mark.clone(), uuid: identity };
        if let Some(first) = steps.first_mut() {
            first.preconditions.insert(0, owned);
        }
        let _ = guest;
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
        let moves = self.target.is_some().then_some(Effect::Migrate);
        let verb = if self.target.is_some() {
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
            target: self.target,
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

fn power_reason(effect: Effect) -> &'static str {
    match effect {
        Effect::Start => "is stopped, the documents want it running",
        _ => "is running, the documents want it stopped",
    }
}

fn dearest(attributes: &[AttributeChange]) -> Option<Effect> {
    attributes.iter().map(|a| a.effect).max()
}

fn locate(finding: Finding, guest: &Guest) -> Finding {
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
    for pending in live.pending.iter().filter(|p| !comparison.set.contains_key(&p.key)) {
        let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "unset".to_owned());
        let text = format!(
            "{} {}: {} → {} waits for the next cold boot",
            guest.address,
            pending.key,
            word(&pending.running),
            word(&pending.next)
        );
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

fn locked(guest: &Guest, live: &live::Guest, lock: &str) -> Finding {
    let text = format!("{} ({}) is locked: {lock}", guest.address, live.vmid);
    Finding::error("locked", text)
        .about(&guest.address)
        .help("wait for the task that holds the lock, or look at it with `qm unlock` in mind")
}
