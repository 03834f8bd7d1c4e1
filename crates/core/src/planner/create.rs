//! Guests that are wanted and missing, and guests whose making was cut off.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::build::{Builder, Step};
use super::membership::{Membership, Subject};
use super::ownership::{Ownership, half_made_note, identity_of};
use super::placement::Nodes;
use super::snippet;
use super::template::{self, Route};
use super::update::locate;
use super::vmid::Vmids;
use crate::address::Address;
use crate::desired::{Guest, Origin, Placement, Power, Profile, VmidRequest};
use crate::live::{self, Inventory, Summary};
use crate::plan::{
    ActionId, ActionKind, Change, Effect, Facts, Finding, Precondition, Reason, Verb,
};
use crate::provider::{Comparison, Volume, Wanted};
use crate::state::Remembered;

/// Start actions of guests that this plan makes or starts, for ordering.
pub(super) type Starts = BTreeMap<Address, ActionId>;

/// Plans every missing guest.
pub(super) fn missing(builder: &mut Builder<'_>, ownership: &Ownership) -> Starts {
    let input = builder.input;
    let mut vmids = Vmids::new(input.desired, &input.snapshot.inventory);
    let mut nodes = Nodes::new(input);
    let mut starts = Starts::new();
    for profile in &input.desired.profiles {
        let mut seats = Seats::new(builder, ownership, profile);
        for guest in &profile.guests {
            let index = seats.next(&guest.group);
            if ownership.member(&guest.address).is_some() || !builder.is_target(&guest.address) {
                continue;
            }
            if ownership.is_contested(&guest.address) {
                builder.findings.push(contested(guest));
                continue;
            }
            if let Some(vmid) = ownership.may_be_unread(&guest.address) {
                builder.findings.push(perhaps_there(guest, vmid));
                continue;
            }
            let seat = match ownership.half_made(&guest.address) {
                Some(vmid) => seats.resume(builder, profile, guest, index, vmid, &mut nodes),
                None => match ownership.being_made(input, guest) {
                    Some(live) => Err(being_made(guest, live)),
                    None => seats.take(builder, profile, guest, index, &mut vmids, &mut nodes),
                },
            };
            match seat {
                Ok(Some(start)) => {
                    starts.insert(guest.address.clone(), start);
                }
                Ok(None) => {}
                Err(finding) => builder.findings.push(finding),
            }
        }
    }
    starts
}

/// Two guests with one identity, or one that lost its mark: never make a third.
fn contested(guest: &Guest) -> Finding {
    let text =
        format!("{} is not made: a live guest may be it, and cannot be proved", guest.address);
    Finding::error("identity-contested", text)
        .about(&guest.address)
        .at(guest.span)
        .help("see the finding on that guest; mend or remove it first")
}

/// A guest that cannot be read is never made a second time.
fn perhaps_there(guest: &Guest, vmid: u32) -> Finding {
    let text = format!("{} is not made: guest {vmid} may be it, and cannot be read", guest.address);
    Finding::note("perhaps-there", text).about(&guest.address).at(guest.span)
}

/// Nor one that someone is making right now: it may be this one, begun by a run that was cut off.
fn being_made(guest: &Guest, live: &Summary) -> Finding {
    let text = format!(
        "{} is not made: guest {} on {} is being made right now, and may be it",
        guest.address, live.vmid, live.node
    );
    Finding::error("being-made", text)
        .about(&guest.address)
        .at(guest.span)
        .help("wait until its lock is gone, then run the command again")
}

/// Which places of a profile's groups are taken.
struct Seats {
    index: BTreeMap<String, usize>,
    nodes: BTreeMap<String, BTreeSet<String>>,
}

impl Seats {
    fn new(builder: &Builder<'_>, ownership: &Ownership, profile: &Profile) -> Self {
        let mut nodes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for guest in &profile.guests {
            let live = ownership
                .member(&guest.address)
                .and_then(|vmid| builder.input.snapshot.guests.get(&vmid));
            if let Some(live) = live {
                nodes.entry(guest.group.clone()).or_default().insert(live.node.clone());
            }
        }
        Self { index: BTreeMap::new(), nodes }
    }

    fn next(&mut self, group: &str) -> usize {
        let next = self.index.entry(group.to_owned()).or_default();
        *next += 1;
        *next - 1
    }

    fn take(
        &mut self,
        builder: &mut Builder<'_>,
        profile: &Profile,
        guest: &Guest,
        index: usize,
        vmids: &mut Vmids,
        nodes: &mut Nodes,
    ) -> Result<Option<ActionId>, Finding> {
        let node = self.seat(builder, guest, index, nodes)?;
        check_cpus(&builder.input.snapshot.inventory, guest, &node)?;
        let vmid = choose_vmid(builder, guest, vmids)?;
        make(builder, profile, guest, vmid, &node)
    }

    /// A guest that was begun before goes on to the node it was meant for.
    fn resume(
        &mut self,
        builder: &mut Builder<'_>,
        profile: &Profile,
        guest: &Guest,
        index: usize,
        vmid: u32,
        nodes: &mut Nodes,
    ) -> Result<Option<ActionId>, Finding> {
        let node = self.seat(builder, guest, index, nodes)?;
        check_cpus(&builder.input.snapshot.inventory, guest, &node)?;
        resume(builder, profile, guest, vmid, &node)
    }

    fn seat(
        &mut self,
        builder: &Builder<'_>,
        guest: &Guest,
        index: usize,
        nodes: &mut Nodes,
    ) -> Result<String, Finding> {
        let taken = self.nodes.entry(guest.group.clone()).or_default();
        let node = nodes.choose(guest, index, taken, builder.input)?;
        taken.insert(node.clone());
        Ok(node)
    }
}

/// QEMU starts no guest with more vCPUs than its node has (qemu-server, config_to_command).
pub(super) fn check_cpus(inventory: &Inventory, guest: &Guest, node: &str) -> Result<(), Finding> {
    let cpus = inventory.nodes.get(node).map_or(0, |node| node.cpus);
    let wanted = guest.spec.cpus().unwrap_or(1);
    if cpus == 0 || wanted <= cpus || guest.power != Power::Running {
        return Ok(());
    }
    let text = format!(
        "{} wants {wanted} vCPUs, node {node} has {cpus}: it cannot start there",
        guest.address
    );
    Err(Finding::error("too-many-cpus", text)
        .about(&guest.address)
        .at(guest.place("cores"))
        .help("lower cores or sockets, or put it on another node"))
}

fn choose_vmid(builder: &Builder<'_>, guest: &Guest, vmids: &mut Vmids) -> Result<u32, Finding> {
    match guest.vmid {
        VmidRequest::Fixed(vmid) if vmids.take(vmid) => Ok(vmid),
        VmidRequest::Fixed(vmid) => Err(taken(builder, guest, vmid)),
        VmidRequest::Auto => vmids.take_lowest().ok_or_else(|| {
            let range = vmids.range();
            let finding = Finding::error(
                "no-vmid-left",
                format!(
                    "no VMID left in vmid_ranges.vms ({}-{}) for {}",
                    range.first, range.last, guest.address
                ),
            )
            .about(&guest.address)
            .help("widen the range, or remove guests that nobody needs");
            finding.at(range.span.unwrap_or(guest.span))
        }),
    }
}

fn taken(builder: &Builder<'_>, guest: &Guest, vmid: u32) -> Finding {
    let owner = builder.input.snapshot.inventory.guests.get(&vmid).map_or_else(
        || "another guest of this plan".to_owned(),
        |g| format!("'{}' on {}", g.name.as_deref().unwrap_or("unnamed"), g.node),
    );
    Finding::error("vmid-taken", format!("VMID {vmid} of {} is taken by {owner}", guest.address))
        .about(&guest.address)
        .at(guest.place("vmid"))
        .help(
            "give the guest another VMID, or `auto`; pvx never takes over a guest it did not make",
        )
}

/// A guest that is not there at all.
fn make(
    builder: &mut Builder<'_>,
    profile: &Profile,
    guest: &Guest,
    vmid: u32,
    node: &str,
) -> Result<Option<ActionId>, Finding> {
    let input = builder.input;
    let rendered = snippet::rendered(builder, guest, node);
    let guest = &*rendered.guest;
    let identity = identity_of(&input.snapshot.inventory.cluster, profile, guest.address.guest());
    let nothing = BTreeSet::new();
    let wanted = wanted(guest, identity, &nothing);
    let reason = Reason::new("missing", "in the documents, not on the cluster");
    rendered.note_missing(builder, node);
    let files = rendered.steps(builder, node, true, Effect::Create);
    let (mut steps, comparison, origin) = match &guest.origin {
        Origin::Template { template, clone } => {
            let mut notes = Vec::new();
            let route = template::route(input, guest, template, *clone, node, &mut notes)?;
            builder.findings.extend(notes);
            let note = half_made_note(&guest.address, identity);
            let base = input.kind.clone_of(route.template, guest.address.guest(), &note);
            let comparison = input.kind.compare(&wanted, &base);
            let origin = route.words();
            (clone_steps(guest, &route, &note, &reason), comparison, origin)
        }
        Origin::Empty => {
            let comparison = input.kind.create(&wanted);
            let root = configure_as_root(node, &comparison, &reason, Effect::Create);
            let mut steps: Vec<Step> =
                files.iter().cloned().map(|step| step.requires(Precondition::VmidFree)).collect();
            steps.push(create_step(node, guest, &comparison, &reason));
            steps.extend(root);
            (steps, comparison, "made from nothing".to_owned())
        }
    };
    check_allocates(&input.snapshot.inventory, guest, &comparison, node)?;
    if matches!(guest.origin, Origin::Template { .. }) {
        steps.extend(files);
        let note = half_made_note(&guest.address, identity);
        steps.extend(configure_begun(node, &comparison, &reason, &note));
    }
    let owned = Precondition::Owned { mark: profile.mark.clone(), uuid: identity };
    let node = node.to_owned();
    let subject = subject(guest, vmid, (&node, &node), &nothing);
    let membership = Membership::of_new(input, &subject);
    let made = Made { vmid, node, steps, comparison, membership, origin, reason, owned };
    Ok(finish(builder, guest, made, false))
}

/// A guest that was cloned and never configured.
fn resume(
    builder: &mut Builder<'_>,
    profile: &Profile,
    guest: &Guest,
    vmid: u32,
    target: &str,
) -> Result<Option<ActionId>, Finding> {
    let input = builder.input;
    let Some(live) = input.snapshot.guests.get(&vmid) else { return Ok(None) };
    let identity = identity_of(&input.snapshot.inventory.cluster, profile, guest.address.guest());
    let nothing = BTreeSet::new();
    let reason = Reason::new("half-made", "its making was cut off before");
    if let Some(lock) = live.lock() {
        return Err(super::update::locked(guest, live, lock));
    }
    let mut steps = Vec::new();
    let mut node = live.node.clone();
    if target != node {
        match migrate_live(builder, guest, live, &nothing, target, &reason) {
            Ok(step) => {
                steps.push(step);
                target.clone_into(&mut node);
            }
            Err(finding) if matches!(guest.placement, Placement::Node(_)) => return Err(finding),
            Err(_) => {} // it stays where it is: its place is only a preference
        }
    }
    let rendered = snippet::rendered(builder, guest, &node);
    let guest = &*rendered.guest;
    let comparison = input.kind.compare(&wanted(guest, identity, &nothing), live);
    check_allocates(&input.snapshot.inventory, guest, &comparison, &node)?;
    let note = half_made_note(&guest.address, identity);
    steps.extend(rendered.steps(builder, &node, true, Effect::Create));
    steps.extend(configure_begun(&node, &comparison, &reason, &note));
    // Neither mark nor identity yet: that the file is as it was read stands for them.
    if let (Some(first), Some(digest)) = (steps.first_mut(), live.digest.clone()) {
        first.preconditions.push(Precondition::Digest { digest });
    }
    let origin = "made before, now finished".to_owned();
    let owned = Precondition::Owned { mark: profile.mark.clone(), uuid: identity };
    let membership = Membership::of(input, &subject(guest, vmid, (&node, &node), &nothing));
    let made = Made { vmid, node, steps, comparison, membership, origin, reason, owned };
    Ok(finish(builder, guest, made, live.running))
}

/// A guest on its way into the plan, for its pool and HA.
fn subject<'a>(
    guest: &'a Guest,
    vmid: u32,
    nodes: (&'a str, &'a str),
    nothing: &'a BTreeSet<String>,
) -> Subject<'a> {
    let runs = guest.power == Power::Running;
    Subject { guest, vmid, nodes, runs, managed_before: nothing, moved_from: None }
}

/// The writes to a clone that is not configured yet. Its provisional description proves that it is
/// the one that was made: a VMID can be freed and taken while a clone or a migration runs.
fn configure_begun(node: &str, comparison: &Comparison, reason: &Reason, note: &str) -> Vec<Step> {
    let mut steps = configure_steps(node, comparison, reason, Effect::Create, None);
    if let Some(first) = steps.first_mut() {
        first.preconditions.push(Precondition::Begun { note: note.to_owned() });
    }
    steps
}

/// Storages on which volumes are made must be there, on the node where they are made.
pub(super) fn check_allocates(
    inventory: &Inventory,
    guest: &Guest,
    comparison: &Comparison,
    node: &str,
) -> Result<(), Finding> {
    let mut storages = comparison.allocates.iter();
    storages.try_for_each(|storage| template::check_storage(inventory, guest, storage, &[node]))
}

pub(super) fn wanted<'a>(
    guest: &'a Guest,
    identity: Uuid,
    managed_before: &'a BTreeSet<String>,
) -> Wanted<'a> {
    Wanted { name: guest.address.guest(), identity, spec: &guest.spec, managed_before }
}

fn clone_steps(guest: &Guest, route: &Route<'_>, note: &str, reason: &Reason) -> Vec<Step> {
    let kind = ActionKind::Clone {
        source: route.template.vmid,
        full: route.full,
        storage: route.storage.clone(),
        target: route.target.clone(),
        name: guest.address.guest().to_owned(),
        note: note.to_owned(),
        pool: guest.spec.pool.clone(),
    };
    let clone = Step::new(&route.template.node, kind, reason.clone(), Effect::Create)
        .requires(Precondition::VmidFree)
        .on_storages(route.storages.iter().cloned());
    let mut steps = vec![clone];
    if let Some(target) = &route.migrate_to {
        let step = migrate_step(&route.template.node, target, false, false, reason)
            .requires(Precondition::Begun { note: note.to_owned() });
        steps.push(step.on_storages(route.storages.iter().cloned()));
    }
    steps
}

fn create_step(node: &str, guest: &Guest, comparison: &Comparison, reason: &Reason) -> Step {
    let (config, pool) = (comparison.set.clone(), guest.spec.pool.clone());
    let kind = ActionKind::Create { config, pool };
    Step::new(node, kind, reason.clone(), Effect::Create)
        .requires(Precondition::VmidFree)
        .on_storages(comparison.allocates.iter().cloned())
}

fn migrate_step(
    node: &str,
    target: &str,
    online: bool,
    with_local_disks: bool,
    reason: &Reason,
) -> Step {
    let kind = ActionKind::Migrate { target: target.to_owned(), online, with_local_disks };
    Step::new(node, kind, reason.clone(), Effect::Migrate)
}

/// A guest that is there moves, with its disks on node-local storage if it has any: those of
/// storages where disks are `added` right before are among them.
///
/// # Errors
/// For what Proxmox refuses to move (qemu-server, QemuMigrate's scan_local_volumes).
pub(super) fn migrate_live(
    builder: &Builder<'_>,
    guest: &Guest,
    live: &live::Guest,
    added: &BTreeSet<String>,
    target: &str,
    reason: &Reason,
) -> Result<Step, Finding> {
    let inventory = &builder.input.snapshot.inventory;
    super::update::check_online(inventory, guest, live, target)?;
    let volumes = builder.input.kind.volumes(live);
    let mut here = volumes.iter().filter(|v| !inventory.is_shared(&v.storage));
    if let Some(stuck) = here.find(|v| v.iso || v.is_linked()) {
        return Err(immovable(guest, live, stuck, target));
    }
    let storages = volumes.into_iter().map(|v| v.storage).chain(added.iter().cloned());
    let local: BTreeSet<String> = storages.filter(|s| !inventory.is_shared(s)).collect();
    let step = migrate_step(&live.node, target, live.running, !local.is_empty(), reason);
    Ok(step.on_storages(local))
}

fn immovable(guest: &Guest, live: &live::Guest, stuck: &Volume, target: &str) -> Finding {
    let (why, help) = if stuck.iso {
        ("has an ISO", "eject it, then plan again")
    } else {
        ("is a linked clone", "leave it where it is, or move its disk to shared storage first")
    };
    let text = format!(
        "{} ({}) cannot move to {target}: it {why} on node-local storage {} ({})",
        guest.address, live.vmid, stuck.storage, stuck.slot
    );
    Finding::error("cannot-move", text).about(&guest.address).at(guest.place("node")).help(help)
}

/// The writes that a comparison comes down to: one configuration write, then the disks. A disk
/// whose options change too grows first: its options are written together with its size, and on a
/// running guest they wait for the next cold boot, where an old size would come back.
pub(super) fn configure_steps(
    node: &str,
    comparison: &Comparison,
    reason: &Reason,
    effect: Effect,
    digest: Option<String>,
) -> Vec<Step> {
    let resize = comparison.resize.iter().map(|(disk, size)| {
        let kind = ActionKind::Resize { disk: disk.clone(), size: *size };
        Step::new(node, kind, reason.clone(), effect)
    });
    let mut steps: Vec<Step> = resize.collect();
    if !comparison.set.is_empty() || !comparison.delete.is_empty() {
        let kind = ActionKind::Configure {
            set: comparison.set.clone(),
            delete: comparison.delete.iter().cloned().collect(),
            background: !comparison.allocates.is_empty(),
        };
        let step = Step::new(node, kind, reason.clone(), effect)
            .on_storages(comparison.allocates.iter().cloned());
        let both = comparison.resize.iter().any(|(disk, _)| comparison.set.contains_key(disk));
        steps.insert(if both { steps.len() } else { 0 }, step);
    }
    steps.extend(configure_as_root(node, comparison, reason, effect));
    // The first write changes the digest.
    if let (Some(first), Some(digest)) = (steps.first_mut(), digest) {
        first.preconditions.push(Precondition::Digest { digest });
    }
    steps
}

/// What no API token may write.
fn configure_as_root(
    node: &str,
    comparison: &Comparison,
    reason: &Reason,
    effect: Effect,
) -> Option<Step> {
    let (set, delete) = (&comparison.set_as_root, &comparison.delete_as_root);
    (!set.is_empty() || !delete.is_empty()).then(|| {
        let delete = delete.iter().cloned().collect();
        let kind = ActionKind::ConfigureAsRoot { set: set.clone(), delete };
        Step::new(node, kind, reason.clone(), effect)
    })
}

/// A guest on its way into the plan.
struct Made {
    vmid: u32,
    node: String,
    steps: Vec<Step>,
    comparison: Comparison,
    membership: Membership,
    origin: String,
    reason: Reason,
    /// What proves it once it is configured.
    owned: Precondition,
}

/// Adds the start, the actions and the change; the start's id when there is one.
fn finish(builder: &mut Builder<'_>, guest: &Guest, made: Made, running: bool) -> Option<ActionId> {
    let Made { vmid, node, mut steps, comparison, membership, origin, reason, owned } = made;
    steps.extend(membership.before);
    let start = (guest.power == Power::Running && !running).then_some(steps.len());
    if start.is_some() {
        // A start may wait for others for long.
        let start = Step::new(&node, ActionKind::Start, reason.clone(), Effect::Start);
        steps.push(start.requires(owned));
    }
    steps.extend(membership.after);
    let ids = builder.chain(&guest.address, vmid, steps);
    builder.findings.extend(membership.findings);
    builder.findings.extend(comparison.findings.into_iter().map(|f| locate(f, guest)));
    let remembered = Remembered {
        vmid,
        managed: &comparison.managed | &membership.managed,
        node: (&guest.placement).into(),
    };
    builder.outcomes.insert(guest.address.clone(), remembered);
    builder.changes.push(Change {
        address: guest.address.clone(),
        verb: Verb::Create,
        vmid,
        node,
        target: None,
        running,
        facts: facts(guest, origin),
        attributes: Vec::new(),
        effect: Effect::Create,
        reason: reason.text,
        position: Some(builder.input.sources.position(guest.span)),
        actions: ids.clone(),
    });
    start.and_then(|place| ids.get(place)).copied()
}

fn facts(guest: &Guest, origin: String) -> Facts {
    let spec = &guest.spec;
    let boot = spec.boot_disk.map(|size| ("boot disk".to_owned(), size));
    let disks = spec.disks.iter().filter_map(|(slot, d)| d.size.map(|size| (slot.clone(), size)));
    let ips = spec.cloudinit.ipconfig.values().flat_map(|c| [c.ip.clone(), c.ip6.clone()]);
    Facts {
        origin: Some(origin),
        cores: spec.cpus(),
        memory: spec.memory(),
        disks: boot.into_iter().chain(disks).collect(),
        addresses: ips.flatten().collect(),
        tags: spec.tags.iter().cloned().collect(),
        macs: spec.networks.values().filter_map(|n| n.mac.clone()).collect(),
        pool: spec.pool.clone(),
        ha: spec.ha.as_ref().map(|ha| ha.state.word().to_owned()),
    }
}

/// Disks of a live guest with their sizes, for what a destroy loses.
pub(super) fn live_disks(builder: &Builder<'_>, guest: &live::Guest) -> Vec<(String, u64)> {
    let volumes = builder.input.kind.volumes(guest);
    volumes
        .into_iter()
        .filter(|v| v.is_own() && !v.cloudinit)
        .filter_map(|v| v.size.map(|size| (v.slot, size)))
        .collect()
}
