//! Guests that are wanted and there: what differs, what it costs, and what merely waits.

use std::collections::BTreeSet;

use super::allow::{self, Allowed, Restart};
use super::build::{Builder, Step, WAIT};
use super::create::{Starts, check_allocates, check_cpus, live_disks, migrate_live, wanted};
use super::keep;
use super::membership::{Membership, Subject};
use super::moved;
use super::ownership::{Ownership, identity_of};
use super::relocate;
use super::replace;
use super::snippet;
use super::steps::configure;
use crate::address::Address;
use crate::desired::{Guest, Power, Profile};
use crate::live::{self, Inventory};
use crate::plan::{
    ActionKind, AttributeChange, Change, Effect, Facts, Finding, Precondition, Reason, Verb, Weight,
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
            one(builder, ownership, profile, guest, live, &mut starts);
        }
    }
    starts
}

fn one(
    builder: &mut Builder<'_>,
    ownership: &Ownership,
    profile: &Profile,
    guest: &Guest,
    live: &live::Guest,
    starts: &mut Starts,
) {
    if replace::is_asked(builder, guest) {
        replace::one(builder, ownership, profile, guest, live, starts);
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
    let known_as = moved::remembered_as(input, ownership, guest);
    let before = input.memory.managed(known_as);
    let target = relocate::target(input, guest, live, known_as).ok().flatten();
    let target = target.unwrap_or(&live.node).to_owned();
    let rendered = snippet::rendered(builder, guest, &target);
    let guest = &*rendered.guest;
    let mut comparison = input.kind.compare(&wanted(guest, identity, before), live);
    back.tell(&mut comparison);
    note_fixed_vmid(builder, guest, live);
    let (mut allowed, held_back) = allow(builder, guest, live, comparison);
    let files =
        snippet::Files::of(builder, &rendered, (live, target.as_str()), &mut allowed.comparison);
    let mut difference = Difference::between(builder, ownership, guest, live, allowed);
    difference.files = files.when(difference.migration.is_some());
    remember(builder, guest, live, &difference, held_back.then_some(before));
    note_moved(builder, ownership, guest);
    if difference.restart.is_none() && !difference.at_rest() {
        note_pending(builder, guest, live, &difference.comparison);
    }
    if difference.is_empty() && back.is_nothing() {
        return;
    }
    check(builder, guest, live, &difference);
    let owned = Precondition::Owned { mark: profile.mark.clone(), uuid: identity };
    let before = ownership.proof(input, &guest.address).unwrap_or_else(|| owned.clone());
    let steps = difference.steps(builder, live, (&before, &owned));
    let steps = keep::with_return(back, steps);
    let starts_it =
        |step: &Step| matches!(step.kind, ActionKind::Start | ActionKind::Reboot { .. });
    let start = steps.iter().position(starts_it);
    let ids = builder.chain(&guest.address, live.vmid, steps);
    if let Some(id) = start.and_then(|place| ids.get(place)) {
        starts.insert(guest.address.clone(), *id);
    }
    let mut change = difference.change(builder, guest, live, ids);
    if let Some(from) = ownership.moved_from(&guest.address) {
        change.reason = format!("was {from} in the documents");
    }
    builder.changes.push(change);
}

/// A guest that goes by another name now is remembered under that one.
fn note_moved(builder: &mut Builder<'_>, ownership: &Ownership, guest: &Guest) {
    if let Some(from) = &guest.moved_from
        && ownership.still_there(&guest.address).is_none()
    {
        builder.moved.insert(guest.address.clone(), from.clone());
    }
}

/// What of a comparison may happen now, and whether anything is held back. Says what was found.
fn allow(
    builder: &mut Builder<'_>,
    guest: &Guest,
    live: &live::Guest,
    comparison: Comparison,
) -> (Allowed, bool) {
    let findings = comparison.findings.clone();
    let mode = allow::mode(builder.input, guest);
    let mut allowed = allow::allow(mode, guest, live, comparison);
    let held_back = !allowed.held.is_empty();
    let is_held = |f: &Finding| f.path.as_ref().is_some_and(|path| allowed.holds(path));
    let findings = findings.into_iter().filter(|f| f.weight != Weight::Note || !is_held(f));
    builder.findings.extend(findings.map(|f| locate(f, guest)));
    allow::note(builder, guest, live, std::mem::take(&mut allowed.held));
    (allowed, held_back)
}

/// Findings that stand in the way of what is planned for a guest.
fn check(builder: &mut Builder<'_>, guest: &Guest, live: &live::Guest, difference: &Difference) {
    let inventory = &builder.input.snapshot.inventory;
    let node = difference.migration.as_ref().map_or(&live.node, |(target, _)| target);
    let written = if difference.at_rest() { node } else { &live.node };
    let checks = [
        check_allocates(inventory, guest, &difference.comparison, written),
        check_cpus(inventory, guest, node),
        live.lock().map_or(Ok(()), |lock| Err(locked(guest, live, lock))),
    ];
    builder.findings.extend(checks.into_iter().filter_map(Result::err));
}

/// What has to happen to one live guest.
struct Difference {
    comparison: Comparison,
    /// The node it moves to, and the step that moves it.
    migration: Option<(String, Step)>,
    power: Option<Power>,
    membership: Membership,
    restart: Option<Restart>,
    files: snippet::Files,
}

impl Difference {
    fn between(
        builder: &mut Builder<'_>,
        ownership: &Ownership,
        guest: &Guest,
        live: &live::Guest,
        allowed: Allowed,
    ) -> Self {
        let Allowed { comparison, restart, .. } = allowed;
        let power = match (guest.power, live.running) {
            (Power::Running, false) => Some(Power::Running),
            (Power::Stopped, true) => Some(Power::Stopped),
            _ => None,
        };
        let known_as = moved::remembered_as(builder.input, ownership, guest);
        let moves = migration(builder, guest, live, known_as, &comparison);
        let migration = moves.unwrap_or_else(|finding| {
            builder.findings.push(finding);
            None
        });
        let node = migration.as_ref().map_or(live.node.as_str(), |(target, _)| target);
        let mut membership = Membership::of(
            builder.input,
            &Subject {
                guest,
                vmid: live.vmid,
                nodes: (&live.node, node),
                runs: power.map_or(live.running, |power| power == Power::Running),
                managed_before: builder.input.memory.managed(known_as),
                moved_from: ownership.moved_from(&guest.address),
            },
        );
        builder.findings.append(&mut membership.findings);
        let files = snippet::Files::default();
        Self { comparison, migration, power, membership, restart, files }
    }

    fn is_empty(&self) -> bool {
        let still = self.migration.is_none() && self.power.is_none() && self.restart.is_none();
        self.comparison.is_empty() && still && self.membership.is_empty() && self.files.is_empty()
    }

    /// Is it shut down before it is written to?
    fn at_rest(&self) -> bool {
        self.restart == Some(Restart::Offline) || self.power == Some(Power::Stopped)
    }

    /// All steps, each with the proof that the guest carries by then: `before`, and from the write on
    /// that gives a renamed guest its mark and identity, `then`.
    fn steps(
        &self,
        builder: &Builder<'_>,
        live: &live::Guest,
        (before, then): (&Precondition, &Precondition),
    ) -> Vec<Step> {
        let mut owned = before;
        let mut steps = match self.at_rest() {
            true => self.at_rest_steps(builder, live),
            false => self.running_steps(builder, live),
        };
        for (place, step) in steps.iter_mut().enumerate() {
            // A file on a storage is nobody's; but the first step of all asks whose guest it is.
            let asks = place == 0 || !matches!(step.kind, ActionKind::Snippet { .. });
            if asks && !step.preconditions.contains(owned) {
                step.preconditions.insert(0, owned.clone());
            }
            if matches!(step.kind, ActionKind::Configure { .. }) {
                owned = then;
            }
        }
        steps
    }

    /// Configure where it is, move, then start or reboot.
    fn running_steps(&self, builder: &Builder<'_>, live: &live::Guest) -> Vec<Step> {
        let mut steps = self.files.here.clone();
        steps.extend(self.writes(&live.node, live.digest.clone()));
        steps.extend(self.membership.before.iter().cloned());
        let mut node = live.node.as_str();
        if let Some((target, step)) = &self.migration {
            steps.push(step.clone());
            steps.extend(self.files.there.iter().cloned());
            node = target;
        }
        if self.power == Some(Power::Running) {
            let reason = Reason::new("stopped", "the documents want it running");
            steps.push(Step::new(node, ActionKind::Start, reason, Effect::Start));
        }
        if self.restart == Some(Restart::Reboot) {
            let reason = Reason::new("waits", self.waiting());
            let kind = ActionKind::Reboot { timeout: builder.input.options.shutdown_timeout };
            steps.push(Step::new(node, kind, reason, Effect::Reboot));
        }
        steps.extend(self.membership.after.iter().cloned());
        steps
    }

    /// Move, shut down, configure where it is then, and start again what the documents do not want
    /// stopped. The stop writes what waited, so no digest is known for the writes: they ask whose
    /// guest it is, as all steps do.
    fn at_rest_steps(&self, builder: &Builder<'_>, live: &live::Guest) -> Vec<Step> {
        let mut steps: Vec<Step> = self.membership.before.clone();
        steps.extend(self.files.here.iter().cloned());
        let mut node = live.node.as_str();
        if let Some((target, step)) = &self.migration {
            steps.push(step.clone());
            steps.extend(self.files.there.iter().cloned());
            node = target;
        }
        steps.push(self.shutdown(builder, node));
        steps.extend(self.writes(node, None));
        if self.restart.is_some() {
            let reason = Reason::new("offline", "it was shut down to be changed");
            steps.push(Step::new(node, ActionKind::Start, reason, Effect::Start));
        }
        steps.extend(self.membership.after.iter().cloned());
        steps
    }

    fn shutdown(&self, builder: &Builder<'_>, node: &str) -> Step {
        let options = builder.input.options;
        let timeout = options.shutdown_timeout;
        if self.restart.is_some() {
            // A change is no reason to pull the plug.
            let kind = ActionKind::Shutdown { timeout, force: false };
            let reason = Reason::new("offline", "it cannot be changed while it runs");
            return Step::new(node, kind, reason, Effect::Offline);
        }
        let kind = ActionKind::Shutdown { timeout, force: options.force_stop };
        let reason = Reason::new("running", "the documents want it stopped");
        Step::new(node, kind, reason, Effect::Stop)
    }

    fn writes(&self, node: &str, digest: Option<String>) -> Vec<Step> {
        let reason = Reason::new("differs", "the documents say otherwise");
        // The reboot is a step of its own.
        let written = |effect| if effect == Effect::Reboot { Effect::Pending } else { effect };
        let effect = dearest(&self.comparison.attributes).map_or(Effect::Live, written);
        configure(node, &self.comparison, &reason, effect, digest)
    }

    /// `2 values wait for a cold boot`
    fn waiting(&self) -> String {
        let waits = |a: &&AttributeChange| a.effect == Effect::Reboot;
        match self.comparison.attributes.iter().filter(waits).count() {
            1 => "a value waits for a cold boot".to_owned(),
            count => format!("{count} values wait for a cold boot"),
        }
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
        let reason = match (power, self.comparison.is_empty(), self.restart) {
            (Some(effect), ..) => power_reason(effect).to_owned(),
            (None, true, Some(_)) => self.waiting(),
            _ => "differs from the documents".to_owned(),
        };
        let moves = self.migration.is_some().then_some(Effect::Migrate);
        let verb = if self.migration.is_some() {
            Verb::Migrate
        } else if self.comparison.is_empty() && self.membership.is_empty() && self.files.is_empty()
        {
            Verb::Power
        } else {
            Verb::Change
        };
        let mut attributes = self.comparison.attributes;
        attributes.extend(self.membership.attributes);
        let effect = [dearest(&attributes), power, moves];
        Change {
            address: guest.address.clone(),
            verb,
            vmid: live.vmid,
            node: live.node.clone(),
            target: self.migration.map(|(target, _)| target),
            running: live.running,
            facts: Facts { disks: live_disks(builder, live), ..Facts::default() },
            effect: effect.into_iter().flatten().max().unwrap_or(Effect::Live),
            reason,
            attributes,
            position: Some(builder.input.sources.position(guest.span)),
            on_failure: crate::desired::OnFailure::Keep,
            actions,
        }
    }
}

/// The node that the guest moves to, and the step that moves it.
fn migration(
    builder: &Builder<'_>,
    guest: &Guest,
    live: &live::Guest,
    known_as: &Address,
    comparison: &Comparison,
) -> Result<Option<(String, Step)>, Finding> {
    let target = relocate::target(builder.input, guest, live, known_as)?;
    let Some(node) = target else { return Ok(None) };
    let reason = Reason::new("misplaced", format!("the documents put it on {node}"));
    let step =
        migrate_live(builder, guest, live, &super::create::comes_to(comparison), node, &reason)?;
    Ok(Some((node.to_owned(), step)))
}

/// What state says of the guest from now on. While something is held back, nothing that documents
/// said `before` is forgotten: what they no longer say is still to be reset.
fn remember(
    builder: &mut Builder<'_>,
    guest: &Guest,
    live: &live::Guest,
    difference: &Difference,
    before: Option<&BTreeSet<String>>,
) {
    let managed = difference.comparison.managed.union(&difference.membership.managed);
    let managed = managed.chain(before.into_iter().flatten()).cloned().collect();
    let node = (&guest.placement).into();
    let origin = Some(replace::origin(builder, guest));
    let prevent_destroy = guest.prevent_destroy;
    let remembered = Remembered { vmid: live.vmid, managed, node, origin, prevent_destroy };
    builder.outcomes.insert(guest.address.clone(), remembered);
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
    let finding = Finding::error("node-offline", text).about(&guest.address).help(WAIT);
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
    let said = |path: &String| guest.places.get(path).copied();
    let span = finding.span.or(finding.path.as_ref().and_then(said)).unwrap_or(guest.span);
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
