//! Disks that outlive their guests (ADR 7). Removing a guest removes every disk it has, detached
//! ones too; so a disk that is to be kept is handed to a guest of its own first, the keeper, and
//! handed back when the guest is made again. The keeper carries a tag and an identity of its own, so
//! it is found without any local file, and is never taken for a guest of the documents.

mod away;
mod back;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::Input;
use super::build::{Builder, Step, UNLOCK};
use super::ownership::address_in;
use crate::address::Address;
use crate::desired::{Guest, Profile};
use crate::live;
use crate::plan::{
    ActionKind, Change, Effect, Facts, Finding, Intent, KEEPS, Precondition, Reason, Verb,
};
use crate::provider::Volume;
use crate::read::{keeper_mark, keepers};

pub(super) use away::{PutAway, put_away};
pub(super) use back::{Back, Holding, bring_back, home, return_to, with_return};

/// Guests that hold kept disks, by the address that their disks belong to.
#[derive(Debug, Default)]
pub(super) struct Keepers {
    by_address: BTreeMap<Address, u32>,
    /// Carry the tag of a keeper, and no identity of one.
    strangers: Vec<u32>,
    /// Two keepers of one guest.
    twins: BTreeSet<Address>,
    /// Tagged, and cannot be read: the profile's key and the VMID.
    unread: Vec<(String, u32)>,
    /// Those whose disks this plan moves: nothing more to say of them.
    used: BTreeSet<Address>,
}

impl Keepers {
    /// Keepers of the documents' profiles.
    pub(super) fn of(input: &Input<'_>) -> Self {
        let mut found = Self::default();
        for summary in keepers(input.desired, &input.snapshot.inventory) {
            let profiles = input.desired.profiles.iter();
            for profile in profiles.filter(|p| summary.tags.contains(&keeper_mark(p))) {
                match input.snapshot.guests.get(&summary.vmid) {
                    Some(live) => found.add(input, profile, live),
                    None => found.unread.push((profile.key().to_owned(), summary.vmid)),
                }
            }
        }
        found
    }

    fn add(&mut self, input: &Input<'_>, profile: &Profile, live: &live::Guest) {
        match address_of(input, profile, live) {
            None => self.strangers.push(live.vmid),
            Some(address) => {
                if self.by_address.insert(address.clone(), live.vmid).is_some() {
                    self.twins.insert(address);
                }
            }
        }
    }

    /// The keeper of this guest's disks.
    pub(super) fn get<'s>(&self, input: &Input<'s>, address: &Address) -> Option<&'s live::Guest> {
        self.by_address.get(address).and_then(|vmid| input.snapshot.guests.get(vmid))
    }

    /// Its disks move in this plan.
    pub(super) fn use_up(&mut self, address: &Address) {
        self.used.insert(address.clone());
    }

    /// A keeper that may be this guest's and cannot be trusted: nothing may be made meanwhile that
    /// would take the place of what it holds.
    pub(super) fn doubt(&self, input: &Input<'_>, address: &Address) -> Option<Finding> {
        if self.twins.contains(address) {
            let text = format!("two guests hold kept disks of {address}");
            let finding = Finding::error("two-keepers", text).about(address);
            return Some(
                finding.help("move the disks together by hand, and remove one of the two"),
            );
        }
        let may_be = |vmid: u32| {
            let name = input.snapshot.inventory.guests.get(&vmid).and_then(|g| g.name.as_deref());
            name.is_none_or(|name| name == keeper_name(address))
        };
        let key = address.key();
        let (_, vmid) = self.unread.iter().find(|(k, vmid)| *k == key && may_be(*vmid))?;
        let text = format!("guest {vmid} may hold kept disks of {address}, and cannot be read");
        let finding = Finding::error("kept-unread", text).about(address);
        Some(finding.help("bring its node back, or give the token VM.Audit on it; then plan again"))
    }
}

/// Keepers that another task has locked: what they hold cannot be handed over meanwhile.
pub fn locked_keepers(input: &Input<'_>) -> Vec<String> {
    let keepers = Keepers::of(input).by_address;
    let locked = keepers.into_iter().filter_map(|(address, vmid)| {
        let lock = input.snapshot.guests.get(&vmid)?.lock()?;
        Some(format!("guest {vmid}, which keeps disks of {address} ({lock})"))
    });
    locked.collect()
}

/// The identity of the guest that holds the kept disks of `name`.
fn identity(cluster: &str, profile: &Profile, name: &str) -> Uuid {
    live::identity(cluster, &format!("kept.{}", profile.key()), name)
}

/// Proof that a guest is the keeper of this one's disks.
fn owned(cluster: &str, profile: &Profile, address: &Address) -> Precondition {
    let uuid = identity(cluster, profile, address.guest());
    Precondition::Owned { mark: keeper_mark(profile), uuid }
}

/// For people; what proves a keeper is its identity. Proxmox takes a name for a DNS name.
fn keeper_name(address: &Address) -> String {
    let name: String = address.guest().chars().take(58).collect();
    format!("{}-kept", name.trim_end_matches('-'))
}

/// Whose disks a guest with the tag of a keeper holds. Names are known from the documents, from
/// what was applied before, and from its own name.
fn address_of(input: &Input<'_>, profile: &Profile, live: &live::Guest) -> Option<Address> {
    let cluster = &input.snapshot.inventory.cluster;
    let uuid = input.kind.identity_of(live)?;
    let wanted = profile.guests.iter().map(|g| g.address.clone());
    let remembered = input.memory.addresses().filter(|a| a.key() == profile.key()).cloned();
    let own = live.name().strip_suffix("-kept").map(|name| address_in(profile, name));
    let mut known = wanted.chain(remembered).chain(own);
    known.find(|address| identity(cluster, profile, address.guest()) == uuid)
}

/// What is kept of a guest that is not there.
pub(super) fn existing(builder: &Builder<'_>, address: &Address) -> PutAway {
    let keeper = builder.keepers.get(builder.input, address);
    let holding = keeper.map(|keeper| Holding::of(builder.input, keeper));
    PutAway { steps: Vec::new(), holding }
}

/// Slots of a live guest whose disks are kept when it goes: what the documents say of a guest they
/// have, else what its own tags say.
pub(super) fn slots(
    builder: &Builder<'_>,
    address: &Address,
    live: &live::Guest,
) -> BTreeSet<String> {
    let volumes = builder.input.kind.volumes(live);
    let has = |slot: &str| volumes.iter().any(|v| v.slot == slot && v.is_disk());
    let said = builder.input.desired.guests().find(|guest| guest.address == *address);
    let tags = live.config.get("tags").map_or("", String::as_str);
    let kept: BTreeSet<String> = match said {
        Some(guest) => kept_by_documents(guest),
        None => {
            let tags = tags.split([';', ',', ' ']);
            tags.filter_map(|tag| tag.strip_prefix(KEEPS)).map(str::to_owned).collect()
        }
    };
    let erased = builder.input.options.erase_kept;
    kept.into_iter().filter(|slot| !erased && has(slot)).collect()
}

fn kept_by_documents(guest: &Guest) -> BTreeSet<String> {
    let kept = guest.spec.disks.iter().filter(|(_, disk)| disk.keep);
    kept.map(|(slot, _)| slot.clone()).collect()
}

/// Takes a keeper away: its protection, then itself.
fn remove(
    vmid: u32,
    node: &str,
    proof: &Precondition,
    reason: &Reason,
    effect: Effect,
) -> Vec<Step> {
    let kind = ActionKind::Configure {
        set: BTreeMap::new(),
        delete: vec!["protection".to_owned()],
        background: false,
    };
    let open = Step::new(node, kind, reason.clone(), Effect::Live).to(vmid);
    let destroy = Step::new(node, ActionKind::Destroy, reason.clone(), effect).to(vmid);
    let destroy = destroy.requires(proof.clone()).requires(Precondition::Unprotected);
    vec![open.requires(proof.clone()), destroy]
}

/// Disks of a guest with their sizes in bytes.
fn sizes(input: &Input<'_>, live: &live::Guest) -> Vec<(String, u64)> {
    let volumes = input.kind.volumes(live).into_iter().filter(|v| v.is_own() && !v.cloudinit);
    volumes.map(|v| (v.slot, v.size.unwrap_or(0))).collect()
}

/// Says where kept disks are that this plan leaves there.
pub(super) fn report(builder: &mut Builder<'_>, intent: Intent) {
    let input = builder.input;
    let mut notes = Vec::new();
    for (address, vmid) in &builder.keepers.by_address {
        let live = input.snapshot.guests.get(vmid);
        let Some(live) = live.filter(|_| builder.is_target(address)) else { continue };
        if builder.keepers.used.contains(address) {
            continue;
        }
        notes.push(note(input, address, live, intent));
    }
    for vmid in &builder.keepers.strangers {
        let text = format!(
            "guest {vmid} carries the tag of a keeper of disks, but is none of ours: left alone"
        );
        let finding = Finding::warning("copied-mark", text);
        notes.push(finding.help("a clone made by hand copies tags; take the pvx- tag off it"));
    }
    builder.findings.extend(notes);
}

fn note(input: &Input<'_>, address: &Address, live: &live::Guest, intent: Intent) -> Finding {
    let disk = |(slot, size): &(String, u64)| format!("{slot} ({} MiB)", size >> 20);
    let disks: Vec<String> = sizes(input, live).iter().map(disk).collect();
    let list = if disks.is_empty() { "nothing any more".to_owned() } else { disks.join(", ") };
    let text =
        format!("guest {} '{}' on {} keeps {list} of {address}", live.vmid, live.name(), live.node);
    let help = match intent {
        Intent::Apply => {
            "named under `disks` of that guest they come back to it; `pvx destroy --erase-kept` removes them"
        }
        Intent::Destroy | Intent::Undo => "--erase-kept removes them too",
    };
    Finding::note("kept-disks", text).about(address).help(help)
}

/// `pvx destroy --erase-kept`: the keepers of all guests go, with what they hold.
pub(super) fn erase_all(builder: &mut Builder<'_>) {
    let input = builder.input;
    let reason = Reason::new("erase-kept", "--erase-kept was said");
    for (address, vmid) in builder.keepers.by_address.clone() {
        let Some(live) = input.snapshot.guests.get(&vmid) else { continue };
        let profile = input.desired.profiles.iter().find(|p| p.key() == address.key());
        let Some(profile) = profile.filter(|_| builder.is_target(&address)) else { continue };
        if let Some(lock) = live.lock() {
            let text = format!("guest {vmid}, which keeps disks of {address}, is locked: {lock}");
            builder.findings.push(Finding::error("locked", text).about(&address).help(UNLOCK));
            continue;
        }
        let proof = owned(&input.snapshot.inventory.cluster, profile, &address);
        let storages: Vec<String> = input
            .kind
            .volumes(live)
            .into_iter()
            .filter(Volume::is_own)
            .map(|v| v.storage)
            .collect();
        let mut steps = remove(vmid, &live.node, &proof, &reason, Effect::DataLoss);
        if let Some(last) = steps.pop() {
            steps.push(last.on_storages(storages));
        }
        let ids = builder.chain(&address, vmid, steps);
        let disks = sizes(input, live);
        builder.keepers.use_up(&address);
        // The guest itself may go too: then it is one change.
        if let Some(change) = builder.changes.iter_mut().find(|c| c.address == address) {
            change.actions.extend(ids);
            change.facts.disks.extend(disks);
            continue;
        }
        builder.changes.push(Change {
            address: address.clone(),
            verb: Verb::Destroy,
            vmid,
            node: live.node.clone(),
            target: None,
            running: false,
            facts: Facts { disks, ..Facts::default() },
            attributes: Vec::new(),
            effect: Effect::DataLoss,
            reason: reason.text.clone(),
            position: None,
            on_failure: crate::desired::OnFailure::Keep,
            actions: ids,
        });
    }
}
