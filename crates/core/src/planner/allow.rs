//! `apply_changes`: what may happen to a running guest now. What may not is held back and said;
//! what waits for a cold boot waits, or brings a reboot into the plan.

use std::collections::BTreeSet;

use super::Input;
use super::build::Builder;
use crate::desired::{ApplyChanges, Guest, Power};
use crate::live::{self, Pending};
use crate::plan::{AttributeChange, Effect, Finding, Held};
use crate::provider::Comparison;

/// What of a comparison is carried out, and how.
pub(super) struct Allowed {
    pub(super) comparison: Comparison,
    /// What differs and is not written now.
    pub(super) held: Vec<AttributeChange>,
    pub(super) restart: Option<Restart>,
}

/// How a running guest comes to what it cannot take over as it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restart {
    /// Rebooted after everything is written.
    Reboot,
    /// Shut down, written, started again.
    Offline,
}

impl Allowed {
    /// Is a change of this key of documents (`disks.scsi1`) held back?
    pub(super) fn holds(&self, path: &str) -> bool {
        let key = path.rsplit('.').next().unwrap_or(path);
        self.held.iter().any(|attribute| attribute.path == key || attribute.path == path)
    }

    fn all(comparison: Comparison) -> Self {
        Self { comparison, held: Vec::new(), restart: None }
    }
}

/// The mode of a guest: its document's, else the run's.
pub(super) fn mode(input: &Input<'_>, guest: &Guest) -> ApplyChanges {
    guest.apply_changes.unwrap_or(input.options.apply_changes)
}

/// What may happen now.
pub(super) fn allow(
    mode: ApplyChanges,
    guest: &Guest,
    live: &live::Guest,
    comparison: Comparison,
) -> Allowed {
    let possible = hold(comparison, |attribute, _| attribute.effect != Effect::Replace);
    if !live.running {
        return possible;
    }
    if guest.power == Power::Stopped {
        return at_rest(possible);
    }
    let Allowed { comparison, held, .. } = possible;
    let mut allowed = match mode {
        ApplyChanges::Manual => hold(comparison, |_, unnoticed| unnoticed),
        ApplyChanges::Live => hold(comparison, |a, _| a.effect != Effect::Offline),
        ApplyChanges::Reboot => restart(comparison, live),
    };
    allowed.held.splice(0..0, held);
    allowed
}

/// Leaves out what may not be written. `keep` sees each attribute, and whether the guest could
/// notice it.
fn hold(mut all: Comparison, keep: impl Fn(&AttributeChange, bool) -> bool) -> Allowed {
    let key = |a: &AttributeChange| all.keys.get(&a.path).unwrap_or(&a.path).clone();
    let may = |a: &AttributeChange| {
        keep(a, all.unnoticed.contains(&key(a)) && a.effect <= Effect::Pending)
    };
    let (kept, held): (Vec<_>, Vec<_>) = all.attributes.iter().cloned().partition(may);
    if held.is_empty() {
        return Allowed::all(all);
    }
    let grows = |slot: &str| kept.iter().any(|a| a.path == format!("{slot}.size"));
    all.resize.retain(|(slot, _)| grows(slot));
    let has = |path: &str| kept.iter().any(|a| a.path == path);
    let moves = |slot: &str| has(&format!("{slot}.storage")) || has(&format!("{slot}.format"));
    all.moves.retain(|to| moves(&to.slot));
    all.detach.retain(|drive| has(&drive.slot));
    all.erase.retain(|(unused, _)| has(unused));
    // One value of many properties is written as a whole or not at all. A size is not written.
    let written = |a: &&AttributeChange| !grows_disk(&all, a);
    let stay: BTreeSet<String> = held.iter().filter(written).map(key).collect();
    all.set.retain(|key, _| !stay.contains(key));
    all.delete.retain(|key| !stay.contains(key));
    all.set_as_root.retain(|key, _| !stay.contains(key));
    all.delete_as_root.retain(|key| !stay.contains(key));
    all.rewrites.retain(|rewrite| !stay.contains(&rewrite.key));
    if !all.allocating.iter().any(|key| all.set.contains_key(key)) {
        all.allocates.clear();
    }
    all.attributes = kept;
    Allowed { comparison: all, held, restart: None }
}

fn grows_disk(all: &Comparison, attribute: &AttributeChange) -> bool {
    let slot = attribute.path.strip_suffix(".size");
    slot.is_some_and(|slot| all.resize.iter().any(|(grows, _)| grows == slot))
}

/// It is shut down first, and then nobody is there to notice.
fn at_rest(mut allowed: Allowed) -> Allowed {
    for attribute in &mut allowed.comparison.attributes {
        if matches!(attribute.effect, Effect::Pending | Effect::Offline) {
            attribute.effect = Effect::Live;
        }
    }
    allowed
}

/// Everything takes effect, by a reboot or by a stop where that is needed. Values that wait from
/// an earlier run are among them when documents manage their keys.
fn restart(mut comparison: Comparison, live: &live::Guest) -> Allowed {
    let offline = comparison.attributes.iter().any(|a| a.effect == Effect::Offline);
    let (effect, restart) = match offline {
        true => (Effect::Offline, Restart::Offline),
        false => (Effect::Reboot, Restart::Reboot),
    };
    let Comparison { attributes, keys, unnoticed, .. } = &mut comparison;
    let noticed =
        |a: &AttributeChange| keys.get(&a.path).is_none_or(|key| !unnoticed.contains(key));
    // What nobody misses waits on, unless there is a boot anyway.
    let boots = offline || attributes.iter().any(|a| a.effect == Effect::Pending && noticed(a));
    for attribute in attributes.iter_mut() {
        let waits = boots && attribute.effect == Effect::Pending;
        // While it is shut down a live change is no live change.
        if waits || (offline && noticed(attribute) && attribute.effect == Effect::Live) {
            attribute.effect = effect;
        }
    }
    let waiting = live.pending.iter().filter(|pending| is_ours(&comparison, pending));
    let waiting: Vec<_> = waiting.map(|pending| waited(pending, effect)).collect();
    comparison.attributes.extend(waiting);
    let restarts = comparison.attributes.iter().any(|a| a.effect == effect);
    Allowed { comparison, held: Vec::new(), restart: restarts.then_some(restart) }
}

/// Does a value wait that documents ask for, and that is not written anew?
fn is_ours(comparison: &Comparison, pending: &Pending) -> bool {
    let key = &pending.key;
    let plain = comparison.set.contains_key(key) || comparison.delete.contains(key);
    let as_root = comparison.set_as_root.contains_key(key);
    let written = plain || as_root || comparison.delete_as_root.contains(key);
    comparison.managed_keys.contains(key) && !written
}

fn waited(pending: &Pending, effect: Effect) -> AttributeChange {
    AttributeChange {
        path: pending.key.clone(),
        before: pending.running.clone(),
        after: pending.next.clone(),
        effect,
        reason: "written before, waits for a cold boot".to_owned(),
    }
}

/// Says what is held back, in words and in the plan.
pub(super) fn note(
    builder: &mut Builder<'_>,
    guest: &Guest,
    live: &live::Guest,
    held: Vec<AttributeChange>,
) {
    if held.is_empty() {
        return;
    }
    let mode = mode(builder.input, guest);
    let list: Vec<String> = held.iter().map(in_words).collect();
    let text = format!("{} is left as it is for now: {}", guest.address, list.join(", "));
    let finding = Finding::note("held", text).about(&guest.address).at(guest.span);
    builder.findings.push(finding.help(way_out(mode, guest, &held)));
    let address = guest.address.clone();
    builder.held.push(Held { address, vmid: live.vmid, mode, attributes: held });
}

/// Longer values are in the plan's JSON.
const SHORT: usize = 32;

fn in_words(attribute: &AttributeChange) -> String {
    let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "unset".to_owned());
    let (before, after) = (word(&attribute.before), word(&attribute.after));
    let short = |text: &str| text.chars().count() <= SHORT && !text.contains('\n');
    if short(&before) && short(&after) {
        return format!("{} {before} → {after}", attribute.path);
    }
    attribute.path.clone()
}

fn way_out(mode: ApplyChanges, guest: &Guest, held: &[AttributeChange]) -> String {
    if held.iter().any(|attribute| attribute.effect == Effect::Replace) {
        return "the guest would have to be made anew for it".to_owned();
    }
    let next = match mode {
        ApplyChanges::Manual => "live",
        ApplyChanges::Live | ApplyChanges::Reboot => "reboot",
    };
    let said = match guest.apply_changes {
        Some(_) => format!("`apply_changes: {next}` in its document"),
        None => format!("--apply-changes {next}"),
    };
    match mode {
        ApplyChanges::Manual => {
            format!("apply_changes is manual: stop it and apply again, or say {said}")
        }
        ApplyChanges::Live | ApplyChanges::Reboot => {
            format!(
                "Proxmox refuses it while the guest runs: stop it and apply again, or say {said}"
            )
        }
    }
}
