//! Whose is a guest? Law 4: it is ours when it carries the profile's mark *and* the identity
//! that cluster, profile and name give; a copy made in the web UI carries the mark alone.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::Input;
use super::build::Builder;
use super::known::Known;
use super::moved::{self, Moved};
use crate::address::{Address, STANDALONE};
use crate::desired::{self, Profile, ProfileKind, VmidRequest};
use crate::live::{self, Guest, Summary};
use crate::plan::{Finding, Intent, Precondition, Weight};

/// What a guest that was read has to do with a profile.
///
/// In the order of proof: of two things that can be said of a guest the first counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// Ours: mark and identity agree.
    Member(Address),
    /// Ours, but its making was cut off between clone and configuration.
    HalfMade(Address),
    /// Carries the identity, but the mark was taken away.
    LostMark(Address),
    /// Another guest carries the same identity (a restored backup keeps the smbios uuid).
    Twin(Address),
    /// Carries the mark and another identity: a clone of a member, or one whose uuid was changed.
    /// The address that its name would have.
    CopiedMark(Address),
    /// A member that was made a template of.
    Converted(Address),
}

impl Claim {
    /// The address at which a guest with this claim forbids making another one. One that carries
    /// mark and name, but not the uuid, may be it with its uuid changed.
    fn contests(&self) -> Option<&Address> {
        match self {
            Self::LostMark(a) | Self::Twin(a) | Self::CopiedMark(a) | Self::Converted(a) => Some(a),
            Self::Member(_) | Self::HalfMade(_) => None,
        }
    }
}

/// Guests of the snapshot, by what they are to the documents.
#[derive(Debug, Default)]
pub struct Ownership {
    members: BTreeMap<Address, u32>,
    half_made: BTreeMap<Address, u32>,
    claims: BTreeMap<u32, Claim>,
    /// Marked guests that could not be read: profile key, and the summary's VMID.
    unread: Vec<(String, u32)>,
    /// The lowest VMID of those, by profile key and name; the name is none when nobody knows it.
    unread_by: BTreeMap<(String, Option<String>), u32>,
    /// The lowest VMID that stands in the way of an address.
    contested: BTreeMap<Address, u32>,
    /// Guests without name or claim that are being made.
    nameless: Vec<u32>,
    /// Members that still carry the identity of the address they had before.
    moved: BTreeMap<Address, Moved>,
    /// Guests that may be moved ones and could not be read, by the new address.
    moved_unread: BTreeMap<Address, u32>,
    /// Guests of nodes that are off that may be a missing one before it was configured, by its address.
    suspected: BTreeMap<Address, u32>,
    /// Old ones of moved guests, that are there beside the new: VMID and old address.
    still_there: BTreeMap<Address, (u32, Address)>,
}

impl Ownership {
    /// Classifies every guest of the snapshot. Templates are never members, and two guests with
    /// one identity are both left alone.
    pub fn of(input: &Input<'_>) -> Self {
        let mut found = Self::default();
        let mut twins: BTreeSet<Address> = BTreeSet::new();
        let known = Known::new(input);
        for guest in input.snapshot.guests.values() {
            let Some(claim) = claim(input, &known, guest) else { continue };
            let place = match &claim {
                Claim::Member(address) => Some((&mut found.members, address)),
                Claim::HalfMade(address) => Some((&mut found.half_made, address)),
                Claim::CopiedMark(_)
                | Claim::LostMark(_)
                | Claim::Twin(_)
                | Claim::Converted(_) => None,
            };
            if let Some((map, address)) = place
                && map.insert(address.clone(), guest.vmid).is_some()
            {
                twins.insert(address.clone());
            }
            found.claims.insert(guest.vmid, claim);
        }
        found.disown(&twins);
        found.adopt_moved(input);
        found.unread = unread(input, &known);
        found.index(input);
        found.suspected = suspected(input, &found);
        found
    }

    /// Guests that were renamed in the documents are members at their new address.
    fn adopt_moved(&mut self, input: &Input<'_>) {
        self.moved_unread = moved::unread(input);
        for (address, candidates) in moved::candidates(input) {
            let taken = self.members.contains_key(address) || self.half_made.contains_key(address);
            match candidates.as_slice() {
                [one] if taken => {
                    self.still_there.insert(address.clone(), (one.vmid, one.from.clone()));
                }
                [one] => {
                    let claim = if one.proof.is_some() {
                        Claim::Member(address.clone())
                    } else {
                        Claim::LostMark(address.clone())
                    };
                    self.reclaim(one.vmid, claim);
                    if let Some(proof) = &one.proof {
                        self.members.insert(address.clone(), one.vmid);
                        self.moved.insert(address.clone(), proof.clone());
                    }
                }
                several => {
                    for one in several.iter().filter(|_| !taken) {
                        self.reclaim(one.vmid, Claim::Twin(address.clone()));
                    }
                }
            }
        }
    }

    /// Members that were made templates are members again: all of them for a destroy, otherwise
    /// those that are to be made anew. A template is never changed: Proxmox starts none, and what
    /// was cloned from it hangs on its disks.
    pub(super) fn include_templates(&mut self, input: &Input<'_>, intent: Intent) {
        let converted = self.claims.iter().filter_map(|(vmid, claim)| match claim {
            Claim::Converted(address) => Some((*vmid, address.clone())),
            _ => None,
        });
        let replaced = |address: &Address| input.options.replace.contains(&address.to_string());
        let meant = converted.filter(|(_, a)| intent == Intent::Destroy || replaced(a));
        let meant: Vec<(u32, Address)> = meant.collect();
        for (vmid, address) in meant {
            if self.member(&address).is_none() && self.half_made(&address).is_none() {
                self.contested.remove(&address);
                self.claims.insert(vmid, Claim::Member(address.clone()));
                self.members.insert(address, vmid);
            }
        }
    }

    /// A guest is something else than was thought.
    fn reclaim(&mut self, vmid: u32, claim: Claim) {
        let before = self.claims.insert(vmid, claim);
        let Some(Claim::Member(address) | Claim::HalfMade(address)) = before else { return };
        for map in [&mut self.members, &mut self.half_made] {
            if map.get(&address) == Some(&vmid) {
                map.remove(&address);
            }
        }
    }

    /// The guest under the old address of a moved one that is there as well.
    pub(super) fn still_there(&self, address: &Address) -> Option<u32> {
        self.still_there.get(address).map(|(vmid, _)| *vmid)
    }

    /// The address that the member at this one still is by its identity.
    pub(super) fn moved_from(&self, address: &Address) -> Option<&Address> {
        self.moved.get(address).map(|moved| &moved.from)
    }

    /// What proves the member of an address; none when no document has its profile.
    pub(super) fn proof(&self, input: &Input<'_>, address: &Address) -> Option<Precondition> {
        if let Some(moved) = self.moved.get(address) {
            return Some(moved.proof());
        }
        let key = address.key();
        let profile = input.desired.profiles.iter().find(|profile| profile.key() == key)?;
        let uuid = identity_of(&input.snapshot.inventory.cluster, profile, address.guest());
        Some(Precondition::Owned { mark: profile.mark.clone(), uuid })
    }

    fn disown(&mut self, twins: &BTreeSet<Address>) {
        for address in twins {
            self.members.remove(address);
            self.half_made.remove(address);
        }
        for claim in self.claims.values_mut() {
            if let Claim::Member(address) | Claim::HalfMade(address) = claim
                && twins.contains(address)
            {
                *claim = Claim::Twin(address.clone());
            }
        }
    }

    /// What is asked once for every missing guest, and must not look at every live one each time.
    fn index(&mut self, input: &Input<'_>) {
        let inventory = &input.snapshot.inventory.guests;
        for (vmid, claim) in &self.claims {
            if let Some(address) = claim.contests() {
                self.contested.entry(address.clone()).or_insert(*vmid);
            }
        }
        for (key, vmid) in &self.unread {
            let name = inventory.get(vmid).and_then(|guest| guest.name.clone());
            self.unread_by.entry((key.clone(), name)).or_insert(*vmid);
        }
        let nameless = inventory.values().filter(|g| g.is_being_made() && g.is_unnamed());
        let unclaimed = nameless.map(|g| g.vmid).filter(|vmid| !self.claims.contains_key(vmid));
        self.nameless = unclaimed.collect();
    }

    /// VMID of the member at this address.
    pub fn member(&self, address: &Address) -> Option<u32> {
        self.members.get(address).copied()
    }

    /// VMID of the guest whose making was cut off.
    pub fn half_made(&self, address: &Address) -> Option<u32> {
        self.half_made.get(address).copied()
    }

    /// All guests that are ours, half-made ones included.
    pub fn owned(&self) -> impl Iterator<Item = (&Address, u32)> {
        self.members.iter().chain(&self.half_made).map(|(address, vmid)| (address, *vmid))
    }

    /// Does some live guest hold this address in a way that forbids making another?
    pub fn is_contested(&self, address: &Address) -> bool {
        self.in_the_way(address).is_some()
    }

    /// The guest that could not be read and may be this one: of its name, or of no known name.
    pub fn may_be_unread(&self, address: &Address) -> Option<u32> {
        let of = |name: Option<String>| self.unread_by.get(&(address.key(), name)).copied();
        let named = || of(None).into_iter().chain(of(Some(address.guest().to_owned()))).min();
        let known = if self.unread_by.is_empty() { None } else { named() };
        let known = known.or_else(|| self.moved_unread.get(address).copied());
        known.or_else(|| self.suspected.get(address).copied())
    }

    /// A guest that is being made right now by nobody knows whom, and may be this one: at the VMID
    /// it asks for or had, or at any when it takes what is free. Until its first disk is copied a
    /// clone carries neither name nor description (qemu-server, clone_vm).
    pub fn being_made<'s>(
        &self,
        input: &'s Input<'_>,
        guest: &desired::Guest,
    ) -> Option<&'s Summary> {
        let had = input.memory.vmid(&guest.address);
        let may_be = |vmid: u32| match guest.vmid {
            VmidRequest::Fixed(fixed) => vmid == fixed || Some(vmid) == had,
            VmidRequest::Auto => input.desired.scope.vms.contains(vmid),
        };
        let vmid = self.nameless.iter().copied().find(|vmid| may_be(*vmid))?;
        input.snapshot.inventory.guests.get(&vmid)
    }

    /// What a reader should know of guests that look like ours and are not, or cannot be read.
    pub(super) fn findings(&self, builder: &Builder<'_>, intent: Intent) -> Vec<Finding> {
        let input = builder.input;
        let about = |finding: Finding| match &finding.address {
            // What is wrong with a guest that is not meant stops nobody.
            Some(address) if !builder.is_target(address) => {
                Finding { weight: finding.weight.max(Weight::Warning), ..finding }
            }
            _ => finding,
        };
        let claims =
            self.claims.iter().filter_map(|(vmid, claim)| finding(input, *vmid, claim, intent));
        let unread = self.unread.iter().filter_map(|(key, vmid)| {
            let meant = intent == Intent::Destroy && builder.is_profile_target(key);
            unread_finding(input, key, *vmid, meant)
        });
        let both = self.still_there.iter();
        let both = both.map(|(address, (vmid, from))| moved::both(address, *vmid, from));
        let twice = self.half_made.iter().filter_map(|(address, vmid)| {
            let member = self.members.get(address)?;
            Some(begun_twice(input, address, *vmid, *member))
        });
        claims.chain(unread).chain(both).chain(twice).map(about).collect()
    }

    /// Live guests that stand in the way of an address without being provably it.
    pub fn in_the_way(&self, address: &Address) -> Option<u32> {
        self.contested.get(address).copied()
    }
}

/// What was begun for a guest that is there besides. Nothing of it was ever configured or started.
fn begun_twice(input: &Input<'_>, address: &Address, vmid: u32, member: u32) -> Finding {
    let node = input.snapshot.guests.get(&vmid).map_or("its node", |guest| &guest.node);
    let text = format!(
        "guest {vmid} on {node} was begun for {address} and never finished; {address} is guest {member}"
    );
    Finding::warning("begun-twice", text).about(address).help(format!(
        "nothing was ever configured on it: remove it with `qm destroy {vmid}` on {node}"
    ))
}

/// A clone that is not configured yet carries no mark: its description tells, and on a node that is off
/// nobody can read that. So one at the VMID that a missing guest had, or of its name within the range,
/// may be it: it must not be made a second time.
fn suspected(input: &Input<'_>, found: &Ownership) -> BTreeMap<Address, u32> {
    let inventory = &input.snapshot.inventory;
    let off = |live: &&Summary| inventory.nodes.get(&live.node).is_some_and(|node| !node.online);
    let unread = |live: &&Summary| !input.snapshot.guests.contains_key(&live.vmid);
    let guests = inventory.guests.values().filter(|live| live.qemu && !live.template);
    let dark: Vec<&Summary> = guests.filter(off).filter(unread).collect();
    let in_range = |live: &&&Summary| input.desired.scope.vms.contains(live.vmid);
    let named = dark.iter().filter(in_range).filter_map(|l| Some((l.name.as_deref()?, l.vmid)));
    let named: BTreeMap<&str, u32> = named.collect();
    let vmids: BTreeSet<u32> = dark.iter().map(|live| live.vmid).collect();
    let missing = input.desired.guests().map(|guest| &guest.address).filter(|address| {
        found.member(address).is_none() && found.half_made(address).is_none() && !dark.is_empty()
    });
    let suspect = |address: &Address| {
        let had = input.memory.vmid(address).filter(|vmid| vmids.contains(vmid));
        Some((address.clone(), had.or_else(|| named.get(address.guest()).copied())?))
    };
    missing.filter_map(suspect).collect()
}

fn unread(input: &Input<'_>, known: &Known<'_>) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for guest in crate::read::marked(input.desired, &input.snapshot.inventory) {
        if input.snapshot.guests.contains_key(&guest.vmid) {
            continue;
        }
        found.extend(known.marked(&guest.tags).map(|p| (p.key().to_owned(), guest.vmid)));
    }
    found
}

/// How the description of a half-made guest begins.
const HALF_MADE: &str = "pvx is making ";

/// The description a clone carries until it is configured. It names the identity, so that a
/// half-made guest is recognised without any local file.
pub fn half_made_note(address: &Address, identity: Uuid) -> String {
    format!("{HALF_MADE}{address} ({identity})")
}

fn claim(input: &Input<'_>, known: &Known<'_>, guest: &Guest) -> Option<Claim> {
    if is_template_vmid(input, guest.vmid) {
        return None;
    }
    let identity = input.kind.identity_of(guest);
    let named = known.named(identity);
    let tags = tags_of(guest);
    if guest.is_template() {
        return converted(named, &tags);
    }
    let wanted = |profile: &Profile| named.iter().find(|(of, _)| std::ptr::eq(*of, profile));
    let marked = known.marked(&tags).map(|profile| match wanted(profile) {
        Some((_, wanted)) => Claim::Member(wanted.address.clone()),
        None => marked_only(known, profile, guest, identity),
    });
    let lost = named.iter().filter(|(profile, _)| !tags.contains(&profile.mark));
    let lost = lost.map(|(_, wanted)| Claim::LostMark(wanted.address.clone()));
    // A template may carry a mark: then its clones do, before they are configured.
    let begun = half_made(input, guest).map(Claim::HalfMade);
    marked.chain(lost).chain(begun).min()
}

/// A member that somebody made a template of. Other templates are nobody's.
fn converted(named: &[(&Profile, &desired::Guest)], tags: &BTreeSet<String>) -> Option<Claim> {
    let mut marked = named.iter().filter(|(profile, _)| tags.contains(&profile.mark));
    marked.next().map(|(_, wanted)| Claim::Converted(wanted.address.clone()))
}

/// Marked, and none of the wanted guests: ours when its own name proves it (it was removed from
/// the documents), or a name that is remembered (and it was renamed before), otherwise a copy.
fn marked_only(known: &Known<'_>, profile: &Profile, guest: &Guest, id: Option<Uuid>) -> Claim {
    let own = address_in(profile, guest.name());
    match id {
        Some(id) if id == known.identity(profile, guest.name()) => Claim::Member(own),
        Some(id) => known
            .remembered(profile, id)
            .map_or(Claim::CopiedMark(own), |address| Claim::Member(address.clone())),
        None => Claim::CopiedMark(own),
    }
}

/// The address whose making was cut off, by the provisional description.
fn half_made(input: &Input<'_>, guest: &Guest) -> Option<Address> {
    let note = guest.config.get("description").map(|text| text.trim_end())?;
    if !note.starts_with(HALF_MADE) {
        return None;
    }
    let cluster = &input.snapshot.inventory.cluster;
    let of = |profile: &Profile| {
        let address = address_in(profile, guest.name());
        let identity = identity_of(cluster, profile, guest.name());
        (note == half_made_note(&address, identity)).then_some(address)
    };
    input.desired.profiles.iter().filter_map(of).min()
}

pub(super) fn is_template_vmid(input: &Input<'_>, vmid: u32) -> bool {
    input.desired.scope.templates.is_some_and(|range| range.contains(vmid))
}

pub(crate) fn tags_of(guest: &Guest) -> BTreeSet<String> {
    let tags = guest.config.get("tags").map_or("", String::as_str);
    tags.split([';', ',', ' ']).filter(|t| !t.is_empty()).map(str::to_lowercase).collect()
}

fn marks_of(input: &Input<'_>, guest: &Guest) -> String {
    let tags = tags_of(guest);
    let marks = input.desired.profiles.iter().map(|p| p.mark.as_str());
    marks.filter(|mark| tags.contains(*mark)).collect::<Vec<_>>().join(", ")
}

/// The address of a guest name inside a profile.
pub(super) fn address_in(profile: &Profile, name: &str) -> Address {
    match profile.kind {
        ProfileKind::Vm => Address::new(STANDALONE, name),
        ProfileKind::Talos | ProfileKind::Generic => Address::new(profile.name.clone(), name),
    }
}

/// The identity of a guest name inside a profile.
pub(super) fn identity_of(cluster: &str, profile: &Profile, name: &str) -> Uuid {
    live::identity(cluster, profile.key(), name)
}

fn finding(input: &Input<'_>, vmid: u32, claim: &Claim, intent: Intent) -> Option<Finding> {
    let guest = input.snapshot.guests.get(&vmid)?;
    let name = guest.name();
    let node = &guest.node;
    match claim {
        Claim::Member(_) | Claim::HalfMade(_) => None,
        Claim::CopiedMark(_) => Some(
            Finding::warning(
                "copied-mark",
                format!("guest {vmid} '{name}' on {node} carries the mark {} but no identity that belongs to it: left alone", marks_of(input, guest)),
            )
            .help("a clone made by hand copies tags; take the pvx- tag off it"),
        ),
        Claim::Twin(address) => Some(
            Finding::error(
                "same-identity",
                format!("guest {vmid} '{name}' on {node} is {address} by its smbios uuid, and so is another guest: both are left alone"),
            )
            .about(address)
            .help("a restored backup keeps the uuid: remove the one that is too many, or give it another smbios uuid"),
        ),
        Claim::LostMark(address) => Some(
            Finding::error(
                "lost-mark",
                format!("guest {vmid} '{name}' on {node} is {address} by its smbios uuid, but its ownership tag is gone"),
            )
            .about(address)
            .help(format!(
                "add the tag pvx-{} to it again, or give it another smbios uuid to let it go",
                address.key()
            )),
        ),
        Claim::Converted(address) => Some(
            Finding::new(
                // Nothing is made in its place; what else is destroyed, it does not hold up.
                if intent == Intent::Apply { Weight::Error } else { Weight::Warning },
                "converted",
                format!("guest {vmid} '{name}' on {node} is {address}, and was made a template: left alone"),
            )
            .about(address)
            .help(format!(
                "take the tag pvx-{} off it to keep it as a template; to have it removed, say \
                 --include-templates{}",
                address.key(),
                if intent == Intent::Apply {
                    format!(" --replace {address}")
                } else {
                    String::new()
                }
            )),
        ),
    }
}

fn unread_finding(input: &Input<'_>, key: &str, vmid: u32, destroy: bool) -> Option<Finding> {
    let guest = input.snapshot.inventory.guests.get(&vmid)?;
    let name = guest.name.as_deref().unwrap_or("of unknown name");
    let text = format!(
        "guest {vmid} '{name}' on {} carries the mark of {key} and cannot be read: left alone",
        guest.node
    );
    // A destroy that leaves a member behind would say that nothing is left.
    let weight = if destroy { Weight::Error } else { Weight::Warning };
    Some(
        Finding::new(weight, "unread-member", text)
            .help("bring its node back, or give the token VM.Audit on it; then plan again"),
    )
}
