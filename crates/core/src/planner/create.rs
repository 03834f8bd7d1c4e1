//! Guests that are wanted and missing, and guests whose making was cut off.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::build::{Builder, Step};
use super::keep::{self, Back, PutAway};
use super::membership::{Membership, Subject};
use super::ownership::{Ownership, half_made_note, identity_of};
use super::placement::Nodes;
use super::replace::said_origin;
use super::template::{self, Route};
use super::update::locate;
use super::{resume, snippet, steps};
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
                    None => seats.take(builder, profile, guest, index, &mut nodes),
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
    let help = format!(
        "wait until its lock is gone, then run the command again; when no task works on it (its node was \
         lost meanwhile), remove it: `qm unlock {0}; qm destroy {0}` on {1}",
        live.vmid, live.node
    );
    Finding::error("being-made", text).about(&guest.address).at(guest.span).help(help)
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
        nodes: &mut Nodes,
    ) -> Result<Option<ActionId>, Finding> {
        let node = self.seat(builder, guest, index, nodes)?;
        check_cpus(&builder.input.snapshot.inventory, guest, &node)?;
        let vmid = choose_vmid(builder, guest)?;
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
        resume::half_made(builder, profile, guest, vmid, &node)
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
        let node = keep::home(builder, guest).unwrap_or(node);
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

/// The VMID that documents give, or the lowest free one.
pub(super) fn choose_vmid(builder: &mut Builder<'_>, guest: &Guest) -> Result<u32, Finding> {
    match guest.vmid {
        VmidRequest::Fixed(vmid) if builder.vmids.take(vmid) => Ok(vmid),
        VmidRequest::Fixed(vmid) => Err(taken(builder, guest, vmid)),
        VmidRequest::Auto => {
            let seat = builder.input.options.seats.get(&guest.address);
            if let Some(vmid) = seat.map(|seat| seat.vmid).filter(|vmid| builder.vmids.has(*vmid)) {
                builder.vmids.take(vmid);
                return Ok(vmid);
            }
            let found = lowest_vmid(builder, &guest.address.to_string());
            found.map_err(|finding| {
                let span = finding.span.unwrap_or(guest.span);
                finding.about(&guest.address).at(span)
            })
        }
    }
}

/// The lowest free VMID.
pub(super) fn lowest_vmid(builder: &mut Builder<'_>, what: &str) -> Result<u32, Finding> {
    builder.vmids.take_lowest().ok_or_else(|| {
        let range = builder.vmids.range();
        let text =
            format!("no VMID left in vmid_ranges.vms ({}-{}) for {what}", range.first, range.last);
        let finding = Finding::error("no-vmid-left", text)
            .help("widen the range, or remove guests that nobody needs");
        match range.span {
            Some(span) => finding.at(span),
            None => finding,
        }
    })
}

fn taken(builder: &Builder<'_>, guest: &Guest, vmid: u32) -> Finding {
    let unseen = match builder.input.options.taken.contains(&vmid) {
        true => "a guest that the token cannot see",
        false => "another guest of this plan",
    };
    let owner = builder.input.snapshot.inventory.guests.get(&vmid).map_or_else(
        || unseen.to_owned(),
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
    let reason = Reason::new("missing", "in the documents, not on the cluster");
    let doubt = builder.keepers.doubt(input, &guest.address);
    if let Some(doubt) = doubt.filter(|_| !guest.spec.disks.is_empty()) {
        return Err(doubt.at(guest.span));
    }
    let away = keep::existing(builder, &guest.address);
    let made = prepare(builder, profile, guest, (vmid, node), &away, &reason)?;
    Ok(finish(builder, guest, made, false))
}

/// A guest that is made in the place of one that goes.
pub(super) struct Anew {
    pub(super) steps: Vec<Step>,
    pub(super) facts: Facts,
    pub(super) findings: Vec<Finding>,
    pub(super) remembered: Remembered,
    /// Which step starts it.
    pub(super) start: Option<usize>,
}

/// The steps that make a guest where another one was, with the disks that were put away.
pub(super) fn anew(
    builder: &mut Builder<'_>,
    profile: &Profile,
    guest: &Guest,
    (vmid, node): (u32, &str),
    away: &PutAway,
    reason: &Reason,
) -> Result<Anew, Finding> {
    check_cpus(&builder.input.snapshot.inventory, guest, node)?;
    let mut made = prepare(builder, profile, guest, (vmid, node), away, reason)?;
    let start = add_start(guest, &mut made, false);
    let managed = &made.comparison.managed | &made.membership.managed;
    let findings = made.comparison.findings.into_iter().map(|f| locate(f, guest)).collect();
    Ok(Anew {
        steps: made.steps,
        facts: facts(guest, made.origin),
        findings,
        remembered: Remembered {
            vmid,
            managed,
            node: (&guest.placement).into(),
            origin: Some(said_origin(guest)),
            prevent_destroy: guest.prevent_destroy,
        },
        start,
    })
}

/// Where a guest that is made anew comes to: its node, unless documents give another one.
pub(super) fn replacement_node(
    builder: &Builder<'_>,
    guest: &Guest,
    live: &live::Guest,
) -> Result<String, Finding> {
    let node = match &guest.placement {
        Placement::Node(node) => node,
        Placement::Spread | Placement::Pack => &live.node,
    };
    super::update::check_online(&builder.input.snapshot.inventory, guest, live, node)?;
    Ok(node.clone())
}

/// Everything but the start.
fn prepare(
    builder: &mut Builder<'_>,
    profile: &Profile,
    guest: &Guest,
    (vmid, node): (u32, &str),
    away: &PutAway,
    reason: &Reason,
) -> Result<Made, Finding> {
    let input = builder.input;
    let rendered = snippet::rendered(builder, guest, node);
    let guest = &*rendered.guest;
    let identity = identity_of(&input.snapshot.inventory.cluster, profile, guest.address.guest());
    let nothing = BTreeSet::new();
    let wanted = wanted(guest, identity, &nothing);
    rendered.note_missing(builder, node);
    let files = rendered.steps(builder, node, true, Effect::Create);
    let held = away.holding.as_ref();
    let owned = Precondition::Owned { mark: profile.mark.clone(), uuid: identity };
    let (mut steps, comparison, back, origin) = match &guest.origin {
        Origin::Template { template, clone } => {
            let mut notes = Vec::new();
            let route = template::route(input, guest, template, *clone, node, &mut notes)?;
            builder.findings.extend(notes);
            let note = half_made_note(&guest.address, identity);
            let (name, storage) = (guest.address.guest(), route.storage.as_deref());
            let base = input.kind.clone_of(route.template, name, &note, storage);
            let back = keep::return_to(builder, profile, guest, base, (vmid, node), held, reason)?;
            let comparison = input.kind.compare(&wanted, &back.base);
            let (now, later) = steps::split(comparison, &back.slots);
            let mut all = clone_steps(guest, &route, &note, reason);
            all.extend(files);
            all.extend(steps::configure_begun(node, &now, reason, &note, &owned));
            (all, (now, later), back, route.words())
        }
        Origin::Empty => {
            let base = live::Guest::default();
            let back = keep::return_to(builder, profile, guest, base, (vmid, node), held, reason)?;
            let comparison = input.kind.create(&wanted, &back.base);
            let (now, later) = steps::split(comparison, &back.slots);
            let free = |step: Step| step.requires(Precondition::VmidFree);
            let mut all: Vec<Step> = files.into_iter().map(free).collect();
            all.push(create_step(node, guest, &now, reason));
            all.extend(steps::configure_as_root(node, &now, reason, Effect::Create));
            all.extend(steps::grow_made(node, &now, reason));
            (all, (now, later), back, "made from nothing".to_owned())
        }
    };
    let (comparison, later) = comparison;
    let origin = match back.slots.iter().cloned().collect::<Vec<_>>().join(", ") {
        slots if slots.is_empty() => origin,
        slots => format!("{origin}, {slots} kept from before"),
    };
    check_allocates(&input.snapshot.inventory, guest, &comparison, node)?;
    steps.extend(returned(node, back, &later, reason, &owned));
    let (node, reason) = (node.to_owned(), reason.clone());
    let subject = subject(guest, vmid, (&node, &node), &nothing);
    let membership = Membership::of_new(input, &subject);
    Ok(Made { vmid, node, steps, comparison, membership, origin, reason, owned })
}

/// The steps that bring kept disks back to a guest that is configured, and what they need then.
pub(super) fn returned(
    node: &str,
    back: Back,
    later: &Comparison,
    reason: &Reason,
    owned: &Precondition,
) -> Vec<Step> {
    let writes = steps::configure(node, later, reason, Effect::Create, None);
    let writes = writes.into_iter().map(|step| step.requires(owned.clone()));
    back.first.into_iter().chain(writes).chain(back.last).collect()
}

/// A guest on its way into the plan, for its pool and HA.
pub(super) fn subject<'a>(
    guest: &'a Guest,
    vmid: u32,
    nodes: (&'a str, &'a str),
    nothing: &'a BTreeSet<String>,
) -> Subject<'a> {
    let runs = guest.power == Power::Running;
    Subject { guest, vmid, nodes, runs, managed_before: nothing, moved_from: None }
}

/// Storages that get volumes by these changes.
pub(super) fn comes_to(comparison: &Comparison) -> BTreeSet<String> {
    let moved = comparison.moves.iter().map(|to| to.storage.clone());
    comparison.allocates.iter().cloned().chain(moved).collect()
}

/// Storages on which volumes are made must be there, on the node where they are made.
pub(super) fn check_allocates(
    inventory: &Inventory,
    guest: &Guest,
    comparison: &Comparison,
    node: &str,
) -> Result<(), Finding> {
    let storages = comes_to(comparison);
    let mut storages = storages.iter();
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
    let local: Vec<String> = storages.filter(|s| !inventory.is_shared(s)).collect();
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

/// A guest on its way into the plan.
pub(super) struct Made {
    pub(super) vmid: u32,
    pub(super) node: String,
    pub(super) steps: Vec<Step>,
    pub(super) comparison: Comparison,
    pub(super) membership: Membership,
    pub(super) origin: String,
    pub(super) reason: Reason,
    /// What proves it once it is configured.
    pub(super) owned: Precondition,
}

/// Adds the start, the actions and the change; the start's id when there is one.
pub(super) fn finish(
    builder: &mut Builder<'_>,
    guest: &Guest,
    mut made: Made,
    running: bool,
) -> Option<ActionId> {
    let start = add_start(guest, &mut made, running);
    let Made { vmid, node, steps, comparison, membership, origin, reason, .. } = made;
    let ids = builder.chain(&guest.address, vmid, steps);
    builder.findings.extend(membership.findings);
    builder.findings.extend(comparison.findings.into_iter().map(|f| locate(f, guest)));
    let remembered = Remembered {
        vmid,
        managed: &comparison.managed | &membership.managed,
        node: (&guest.placement).into(),
        origin: Some(said_origin(guest)),
        prevent_destroy: guest.prevent_destroy,
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
        on_failure: guest.on_failure,
        actions: ids.clone(),
    });
    start.and_then(|place| ids.get(place)).copied()
}

/// Pool and HA, and the start, when documents want it running: which step that is.
fn add_start(guest: &Guest, made: &mut Made, running: bool) -> Option<usize> {
    made.steps.append(&mut made.membership.before);
    let start = (guest.power == Power::Running && !running).then_some(made.steps.len());
    if start.is_some() {
        // A start may wait for others for long.
        let start = Step::new(&made.node, ActionKind::Start, made.reason.clone(), Effect::Start);
        made.steps.push(start.requires(made.owned.clone()));
    }
    made.steps.append(&mut made.membership.after);
    start
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
        kept: Vec::new(),
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
