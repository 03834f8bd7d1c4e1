//! What may not be removed: `prevent_destroy`, `protected_tags`, `max_destroy`.

use std::collections::{BTreeSet, HashMap};

use super::{Policy, Verdicts};
use crate::address::Address;
use crate::desired::Guest;
use crate::plan::{ActionKind, Change, Finding, Plan, Verb};
use crate::planner::{Input, tags_of};

/// Names that a finding lists, at most.
const MOST_NAMED: usize = 10;

pub(super) fn check(plan: &Plan, input: &Input<'_>, policy: &Policy, verdicts: &mut Verdicts) {
    let guests: HashMap<_, _> = input.desired.guests().map(|g| (&g.address, g)).collect();
    let going: Vec<Going<'_>> = plan.changes.iter().filter_map(|c| Going::of(c, &guests)).collect();
    let guarded = input.desired.guests().any(|guest| guest.prevent_destroy);
    let prevented: Vec<Finding> = going.iter().filter_map(|g| g.prevented(input)).collect();
    if guarded || !prevented.is_empty() {
        verdicts.add("prevent_destroy", prevented);
    }
    if !policy.protected_tags.is_empty() {
        let found = going.iter().filter_map(|g| g.protected(plan, input, policy));
        verdicts.add("protected_tags", found.collect());
    }
    if policy.max_destroy.is_some() || input.options.max_destroy.is_some() {
        verdicts.add("max_destroy", too_many(&going, input, policy).into_iter().collect());
    }
}

/// A guest that goes, or is made anew.
struct Going<'a> {
    change: &'a Change,
    guest: Option<&'a Guest>,
    /// What happens to it: `destroyed`, `replaced`.
    word: &'static str,
}

impl<'a> Going<'a> {
    fn of(change: &'a Change, guests: &HashMap<&Address, &'a Guest>) -> Option<Self> {
        let word = match change.verb {
            Verb::Destroy => "destroyed",
            Verb::Replace => "replaced",
            _ => return None,
        };
        let guest = guests.get(&change.address).copied();
        Some(Self { change, guest, word })
    }

    fn address(&self) -> &Address {
        &self.change.address
    }

    /// Documents say `prevent_destroy`, or said it when they knew the guest.
    fn prevented(&self, input: &Input<'_>) -> Option<Finding> {
        let (address, word) = (self.address(), self.word);
        match self.guest {
            Some(guest) if guest.prevent_destroy => {
                let text = format!(
                    "{address} would be {word}, and its document says `prevent_destroy: true`"
                );
                let finding = Finding::error("prevent-destroy", text).about(address);
                let help = "when it may go, say `prevent_destroy: false` here";
                Some(finding.at(guest.place("prevent_destroy")).help(help))
            }
            None if input.memory.prevents_destroy(address) => {
                let text = format!(
                    "{address} would be {word}: it is no longer in the documents, and was not to \
                     be destroyed (prevent_destroy) when it was last applied"
                );
                let help = "put it back into the documents; when it may go, apply once with \
                            `prevent_destroy: false` before it is taken out";
                Some(Finding::error("prevent-destroy", text).about(address).help(help))
            }
            _ => None,
        }
    }

    /// It has a protected tag: on the cluster, or in the documents.
    fn protected(&self, plan: &Plan, input: &Input<'_>, policy: &Policy) -> Option<Finding> {
        let (address, word) = (self.address(), self.word);
        let live = self.live_tags(plan, input);
        let said = self.guest.map(|guest| &guest.spec.tags);
        let has = |tag: &String| live.contains(tag) || said.is_some_and(|said| said.contains(tag));
        let tag = policy.protected_tags.iter().find(|tag| has(&tag.value))?;
        let in_documents = said.is_some_and(|said| said.contains(&tag.value));
        let place = match (live.contains(&tag.value), in_documents) {
            (true, false) => " on the cluster",
            (false, _) => " in its document",
            _ => "",
        };
        let text =
            format!("{address} would be {word}, and has the protected tag {}{place}", tag.value);
        let place = input.sources.position(tag.span);
        let help = format!(
            "when it may go, take the tag off it first, in its document and on the cluster; the \
             tag is protected by {}:{}",
            place.file, place.line
        );
        let span = self.guest.map_or(tag.span, |guest| guest.place("tags"));
        Some(Finding::error("protected-tag", text).about(address).at(span).help(help))
    }

    fn live_tags(&self, plan: &Plan, input: &Input<'_>) -> BTreeSet<String> {
        let actions = self.change.actions.iter().filter_map(|id| plan.actions.get(*id));
        let removed = actions.filter(|action| action.kind == ActionKind::Destroy);
        let live = removed.filter_map(|action| input.snapshot.guests.get(&action.vmid));
        live.flat_map(tags_of).collect()
    }
}

/// More than the policy and `--max-destroy` allow: the smaller of the two counts.
fn too_many(going: &[Going<'_>], input: &Input<'_>, policy: &Policy) -> Option<Finding> {
    let said = policy.max_destroy.as_ref();
    let asked = input.options.max_destroy;
    let most = said.map(|said| said.value).into_iter().chain(asked).min()?;
    if going.len() <= usize::try_from(most).unwrap_or(usize::MAX) {
        return None;
    }
    let mut names: Vec<String> =
        going.iter().take(MOST_NAMED).map(|g| g.address().to_string()).collect();
    if going.len() > MOST_NAMED {
        names.push(format!("… {} more", going.len() - MOST_NAMED));
    }
    let count = going.len();
    let guests = if count == 1 { "1 guest" } else { &format!("{count} guests") };
    let text = format!(
        "{guests} would be destroyed or replaced, and at most {most} may be: {}",
        names.join(", ")
    );
    let by_policy = said.filter(|said| said.value == most);
    let help = match by_policy {
        Some(_) => "take fewer at a time with --target, or raise policy.max_destroy",
        None => "take fewer at a time with --target, or raise --max-destroy",
    };
    let finding = Finding::error("too-many-destroyed", text).help(help);
    Some(match by_policy {
        Some(said) => finding.at(said.span),
        None => finding,
    })
}
