//! Is what the report says true, and is the cluster in order?

use pvx_core::plan::{Action, ActionKind};
use pvx_core::provider::ErrorClass;
use pvx_sim::{Guest, Volume, World};

use crate::documents::Wishes;
use crate::rounds::{Ran, Round};

/// VMIDs of other people's guests: those that would be taken next, and one among ours.
const FOREIGN: [u32; 3] = [1000, LAST_FOREIGN, 2020];
pub(crate) const LAST_FOREIGN: u32 = 1002;

/// Guests of other people: all have our mark, as clones that were made in the web interface.
pub(crate) fn add_foreign(world: &mut World) {
    for (vmid, node) in FOREIGN.into_iter().zip(["pve1", "pve3", "pve5"]) {
        let disk = format!("local-lvm:vm-{vmid}-disk-0");
        let scsi0 = format!("{disk},size=1G");
        let uuid = format!("uuid=00000000-0000-4000-8000-{vmid:012}");
        let keys = [("name", "theirs"), ("tags", "pvx-app"), ("scsi0", &scsi0), ("smbios1", &uuid)];
        world.add_guest(Guest::new(vmid, node, &keys));
        let volume = Volume {
            content: "images".to_owned(),
            format: "raw".to_owned(),
            size: 1 << 30,
            used: 1 << 20,
            vmid: Some(vmid),
            ..Volume::default()
        };
        world.add_volume(node, &disk, volume);
    }
}

/// What a report says that is not so. Guests of the node that was `lost` may have stopped.
pub(crate) fn untrue(ran: &Ran, now: &World, lost: Option<&str>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (index, round) in ran.rounds.iter().enumerate() {
        let told = |line: String| format!("round {}: {line}", index + 1);
        wrong.extend(of_round(round, lost).into_iter().map(told));
    }
    wrong.extend(foreign(now));
    wrong
}

fn of_round(round: &Round, lost: Option<&str>) -> Vec<String> {
    let report = &round.report;
    let mut wrong = Vec::new();
    for action in round.plan.actions.iter() {
        let what = format!("{} of {} ({})", action.kind.verb(), action.address, action.vmid);
        let power = matches!(action.kind, ActionKind::Start | ActionKind::Shutdown { .. });
        if power && lost.is_some() {
            continue;
        }
        let Some(is) = effect(&round.after, action) else { continue };
        if report.done.contains(&action.id) && !is {
            wrong.push(format!("{what} is said to be done, and is not"));
        }
        let class = report.failed.get(&action.id).map(|error| error.class);
        let unknown = [ErrorClass::OutcomeUnknown, ErrorClass::Exists].map(Some);
        if class.is_some() && !unknown.contains(&class) && is {
            let error = &report.failed[&action.id];
            wrong.push(format!("{what} is said to have failed ({class:?}), and is done: {error}"));
        }
        if report.skipped.contains_key(&action.id) && is {
            wrong.push(format!("{what} is said to be skipped, and is done"));
        }
    }
    wrong
}

/// Whether the action's effect is there; nothing when that cannot be told.
fn effect(world: &World, action: &Action) -> Option<bool> {
    let guest = world.guest(action.vmid);
    match &action.kind {
        ActionKind::Clone { name, .. } => Some(guest.is_some_and(|guest| guest.name() == *name)),
        ActionKind::Create { .. } => {
            Some(guest.is_some_and(|guest| guest.name() == action.address.guest()))
        }
        ActionKind::Destroy => Some(guest.is_none()),
        ActionKind::Migrate { target, .. } => Some(guest?.node == *target),
        ActionKind::Start => Some(guest?.running.is_some()),
        ActionKind::Shutdown { .. } => Some(guest?.running.is_none()),
        ActionKind::MoveDisk { disk, storage, .. } => {
            Some(guest?.get(disk)?.starts_with(&format!("{storage}:")))
        }
        ActionKind::Configure { set, .. } => {
            let wanted = set.get("description")?;
            Some(guest?.get("description")?.trim_end() == wanted.trim_end())
        }
        _ => None,
    }
}

/// What was done to guests of other people.
fn foreign(now: &World) -> Vec<String> {
    let mut world = World::lab_with(pvx_sim::LabOptions {
        nodes: now.nodes().map(|node| node.name.clone()).collect(),
        ..Default::default()
    });
    add_foreign(&mut world);
    let same = |guest: &&Guest| now.guest(guest.vmid).is_some_and(|g| g.text() == guest.text());
    let touched = world.guests().filter(|guest| !same(guest));
    touched.map(|guest| format!("foreign guest {} was touched", guest.vmid)).collect()
}

/// What is wrong with a cluster in which everything was done.
pub(crate) fn at_the_end(world: &World, wishes: &Wishes) -> Vec<String> {
    let mut wrong = world.loose_ends();
    let ours = world.guests().filter(|g| !g.template() && !FOREIGN.contains(&g.vmid));
    let mut names: Vec<String> = ours.map(Guest::name).collect();
    names.sort();
    if names != wishes.names() {
        wrong.push(format!("guests are {names:?}, wanted are {:?}", wishes.names()));
        let twice = |guest: &&Guest| names.iter().filter(|name| **name == guest.name()).count() > 1;
        wrong.extend(
            world
                .guests()
                .filter(twice)
                .map(|guest| format!("{} on {}, twice:\n{}", guest.vmid, guest.node, guest.text())),
        );
    }
    wrong
}
