//! Kept disks on their way from a guest that goes to their keeper.

use std::collections::{BTreeMap, BTreeSet};

use super::back::Holding;
use super::{identity, keeper_name, owned};
use crate::address::Address;
use crate::desired::Profile;
use crate::live;
use crate::plan::{ActionKind, Effect, Finding, Precondition, Reason};
use crate::planner::build::{Builder, Step, UNLOCK};
use crate::planner::create;
use crate::provider::Volume;
use crate::read::keeper_mark;

/// What keeps a guest's disks from going with it.
#[derive(Default)]
pub(in crate::planner) struct PutAway {
    /// Run when the guest is stopped, before it goes.
    pub(in crate::planner) steps: Vec<Step>,
    /// What the keeper holds then.
    pub(in crate::planner) holding: Option<Holding>,
}

/// The steps that hand the disks of these slots of a guest, with its proof, to the guest's keeper, which is made when there is
/// none.
///
/// # Errors
/// For what Proxmox would refuse half-way (qemu-server, move_vm_disk with `target-vmid`).
pub(in crate::planner) fn put_away(
    builder: &mut Builder<'_>,
    profile: &Profile,
    address: &Address,
    live: &live::Guest,
    guest: &Precondition,
    slots: &BTreeSet<String>,
    reason: &Reason,
) -> Result<PutAway, Finding> {
    let input = builder.input;
    let holding = builder.keepers.get(input, address).map(|keeper| Holding::of(input, keeper));
    if slots.is_empty() {
        return Ok(PutAway { steps: Vec::new(), holding });
    }
    if let Some(doubt) = builder.keepers.doubt(input, address) {
        return Err(doubt);
    }
    let keeper = builder.keepers.get(input, address);
    if let Some((keeper, lock)) = keeper.and_then(|keeper| Some((keeper, keeper.lock()?))) {
        let text = format!("guest {}, which keeps its disks, is locked: {lock}", keeper.vmid);
        return Err(Finding::error("locked", text).about(address).help(UNLOCK));
    }
    let volumes: Vec<Volume> = input.kind.volumes(live);
    let volumes: Vec<Volume> = volumes.into_iter().filter(|v| slots.contains(&v.slot)).collect();
    check(builder, address, live, &volumes, holding.as_ref())?;
    let proof = owned(&input.snapshot.inventory.cluster, profile, address);
    let (mut steps, mut holding) = match holding {
        Some(there) => (ready(builder, &there, live, address, &proof, reason)?, there),
        None => make(builder, profile, address, live, slots, reason)?,
    };
    live.node.clone_into(&mut holding.node);
    for volume in volumes {
        let (disk, target) = (volume.slot.clone(), holding.vmid);
        let kind = ActionKind::Reassign { target_disk: disk.clone(), disk, target };
        let step = Step::new(&live.node, kind, reason.clone(), Effect::Live);
        steps.push(
            step.requires(of_guest(builder, profile, address, live, guest))
                .on_storages([volume.storage]),
        );
        let value = live.config.get(&volume.slot).cloned().unwrap_or_default();
        holding.disks.insert(volume.slot, value);
    }
    builder.keepers.use_up(address);
    Ok(PutAway { steps, holding: Some(holding) })
}

/// Proof of the guest whose disks they are. A clone that was never configured has its provisional
/// description alone.
fn of_guest(
    builder: &Builder<'_>,
    profile: &Profile,
    address: &Address,
    live: &live::Guest,
    owned: &Precondition,
) -> Precondition {
    let cluster = &builder.input.snapshot.inventory.cluster;
    let uuid = crate::planner::ownership::identity_of(cluster, profile, address.guest());
    let note = crate::planner::half_made_note(address, uuid);
    if live.config.get("description").is_some_and(|d| d.trim_end() == note) {
        return Precondition::Begun { note };
    }
    owned.clone()
}

fn check(
    builder: &Builder<'_>,
    address: &Address,
    live: &live::Guest,
    volumes: &[Volume],
    holding: Option<&Holding>,
) -> Result<(), Finding> {
    let inventory = &builder.input.snapshot.inventory;
    let refuse = |code: &str, why: String, help: &str| {
        let text = format!("a disk of {address} ({}) cannot be kept: {why}", live.vmid);
        Err(Finding::error(code, text).about(address).help(help))
    };
    if live.config.contains_key("parent") {
        let why = "the guest has snapshots, and they hold it".to_owned();
        return refuse("keep-snapshots", why, "delete the snapshots, then plan again");
    }
    for volume in volumes {
        let plugin = inventory.storage(&live.node, &volume.storage).map(|s| s.plugin.as_str());
        if plugin.is_some_and(|plugin| !builder.input.kind.can_reassign(plugin)) {
            let why =
                format!("{} is on {}, where volumes have fixed names", volume.slot, volume.storage);
            return refuse("keep-storage", why, "move it to another storage first");
        }
        if holding.is_some_and(|holding| holding.disks.contains_key(&volume.slot)) {
            let vmid = holding.map_or(0, |holding| holding.vmid);
            let why = format!("guest {vmid} keeps another {} of it already", volume.slot);
            return refuse(
                "keep-twice",
                why,
                "give one of the two disks away by hand, or erase it",
            );
        }
    }
    Ok(())
}

/// A keeper that is there comes to the guest's node; its notes are written anew, which proves it.
fn ready(
    builder: &Builder<'_>,
    there: &Holding,
    live: &live::Guest,
    address: &Address,
    proof: &Precondition,
    reason: &Reason,
) -> Result<Vec<Step>, Finding> {
    let mut steps = there.migration(builder, &live.node, address, proof, reason)?;
    let kind = ActionKind::Configure {
        set: BTreeMap::from([("description".to_owned(), description(address))]),
        delete: Vec::new(),
        background: false,
    };
    let step = Step::new(&live.node, kind, reason.clone(), Effect::Live);
    steps.push(step.to(there.vmid).requires(proof.clone()));
    Ok(steps)
}

fn make(
    builder: &mut Builder<'_>,
    profile: &Profile,
    address: &Address,
    live: &live::Guest,
    slots: &BTreeSet<String>,
    reason: &Reason,
) -> Result<(Vec<Step>, Holding), Finding> {
    let input = builder.input;
    let what = format!("the keeper of {} of {address}", list(slots));
    let vmid = create::lowest_vmid(builder, &what).map_err(|finding| finding.about(address))?;
    let uuid = identity(&input.snapshot.inventory.cluster, profile, address.guest());
    let (name, mark) = (keeper_name(address), keeper_mark(profile));
    let config = input.kind.keeper(&name, uuid, &mark, &description(address));
    let step = Step::new(
        &live.node,
        ActionKind::Create { config, pool: None },
        reason.clone(),
        Effect::Create,
    );
    let step = step.to(vmid).requires(Precondition::VmidFree);
    let node = live.node.clone();
    Ok((vec![step], Holding { vmid, node, disks: BTreeMap::new(), others: false }))
}

fn list(slots: &BTreeSet<String>) -> String {
    slots.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// What a keeper says of itself in Proxmox's own views.
fn description(address: &Address) -> String {
    format!(
        "pvx keeps disks of {address} here. They go back to the guest when `pvx apply` makes it \
         again. Not to be started. To be rid of them: `pvx destroy --erase-kept`"
    )
}
