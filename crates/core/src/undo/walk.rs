//! Through the actions of one guest, the last first: each step takes back what one action did, as
//! far as it is there. What is there is followed along the way, so that nothing is taken back twice.

use std::collections::{BTreeMap, BTreeSet};

use super::work::{Begun, Work};
use super::{Input, Scope, config, drive, guard, ha, lost, made};
use crate::live::Guest;
use crate::plan::{
    Action, ActionId, ActionKind, AttributeChange, Effect, Finding, Precondition, Reason, Verb,
};

/// One action of the undo, and which action of the run it takes back.
#[derive(Debug)]
pub(super) struct Step {
    /// Round and action; none for what puts things right at the end.
    pub(super) of: Option<(usize, ActionId)>,
    pub(super) action: Action,
}

/// What is taken back of one guest.
pub(super) struct Walk<'a> {
    pub(super) input: &'a Input<'a>,
    pub(super) work: &'a Work<'a>,
    pub(super) steps: Vec<Step>,
    pub(super) attributes: Vec<AttributeChange>,
    pub(super) findings: Vec<Finding>,
    /// The guest and the keeper of its disks, as they are after the steps so far.
    pub(super) guests: BTreeMap<u32, Guest>,
    /// What was taken back already, by this guest or by another: rules are about several.
    pub(super) returned: BTreeSet<String>,
    /// Drives came or went: Proxmox changes the boot order along.
    pub(super) drives: bool,
    /// The HA manager was told again to keep it running, or stopped.
    pub(super) governed: Option<bool>,
    /// A configuration was written.
    pub(super) wrote: bool,
    proofs: Vec<Precondition>,
    /// The action that is taken back.
    of: Option<(usize, ActionId)>,
    /// Guests that steps were made for: the first asks for the digest.
    pub(super) touched: BTreeSet<u32>,
}

impl<'a> Walk<'a> {
    /// What takes back everything of this guest.
    pub(super) fn through(
        input: &'a Input<'a>,
        work: &'a Work<'a>,
        returned: BTreeSet<String>,
    ) -> Self {
        let mut proofs = guard::proofs(&input.now.inventory.cluster, work);
        let obstacle = guard::obstacle(input, work, &proofs);
        proofs.push(guard::keeper_proof(&input.now.inventory.cluster, work));
        let mut walk = Self {
            input,
            work,
            steps: Vec::new(),
            attributes: Vec::new(),
            findings: Vec::new(),
            guests: input
                .now
                .guests
                .clone()
                .into_iter()
                .filter(|(v, _)| concerns(work, *v))
                .collect(),
            returned,
            drives: false,
            governed: None,
            wrote: false,
            proofs,
            of: None,
            touched: BTreeSet::new(),
        };
        if let Some(finding) = obstacle.or_else(|| walk.is_past()) {
            walk.findings.push(finding);
            return walk;
        }
        if made::may_go(&mut walk) {
            for begun in work.begun.iter().rev() {
                walk.back(begun);
            }
            walk.of = None;
            walk.put_right();
        }
        walk
    }

    /// A guest that is gone comes back no more, and what was made in its place stays.
    fn is_past(&self) -> Option<Finding> {
        let work = self.work;
        let address = &work.address;
        let finding = |text: String| Some(lost(address, text));
        let (vmid, was) = (work.vmid, &self.input.before.inventory.guests);
        if work.verb == Verb::Create && was.contains_key(&vmid) && !self.is_made(vmid) {
            let text = format!("{address} ({vmid}) was half-made before this run and stays so");
            return finding(text).map(|finding| finding.help("`pvx apply` goes on with it"));
        }
        let missing =
            was.contains_key(&vmid) && !self.input.now.inventory.guests.contains_key(&vmid);
        let gone = work.removed().or(missing.then_some(vmid))?;
        if self.input.scope == Scope::FailedCreates {
            return None;
        }
        if work.verb == Verb::Replace {
            return finding(format!(
                "{address} was replaced: the guest that had VMID {gone} is gone with its disks, so \
                 what was made in its place stays"
            ))
            .map(|finding| finding.help("`pvx apply` goes on with it"));
        }
        finding(format!(
            "{address} ({gone}) was destroyed: the guest and its disks do not come back"
        ))
        .map(|finding| finding.help("restore it from a backup"))
    }

    fn back(&mut self, begun: &Begun<'a>) {
        let action = begun.action;
        self.of = Some((begun.round, action.id));
        let vmid = action.vmid;
        // Whatever else was done to it goes with it.
        let goes = self.is_made(vmid);
        match &action.kind {
            ActionKind::Create { .. } | ActionKind::Clone { .. } => made::remove(self, vmid),
            ActionKind::Destroy => made::again(self, vmid),
            ActionKind::Reassign { disk, target, target_disk } => {
                made::hand_back(self, action, disk, *target, target_disk);
            }
            ActionKind::Ha { change } => ha::back(self, action, change),
            ActionKind::Start => self.stop(begun),
            ActionKind::Shutdown { .. } => self.start(vmid),
            // Refers to nothing, and nothing refers to it any more.
            ActionKind::Snippet { .. } => {}
            ActionKind::Reboot { .. } if !goes => self.start(vmid),
            ActionKind::Pool { .. } if !goes => self.pool(vmid),
            ActionKind::Migrate { with_local_disks, .. } if !goes => {
                self.migrate(action, *with_local_disks);
            }
            ActionKind::Configure { set, delete, .. } if !goes => {
                config::back(self, vmid, set, delete, false);
            }
            ActionKind::ConfigureAsRoot { set, delete } if !goes => {
                config::back(self, vmid, set, delete, true);
            }
            ActionKind::Resize { disk, .. } if !goes => drive::grown(self, vmid, disk),
            ActionKind::MoveDisk { disk, .. } if !goes => drive::move_back(self, vmid, disk),
            ActionKind::Detach { disk } if !goes => drive::attach(self, vmid, disk),
            ActionKind::Erase { disk } if !goes && begun.done => drive::erased(self, action, disk),
            _ => {}
        }
    }

    /// Was the guest made by this run?
    pub(super) fn is_made(&self, vmid: u32) -> bool {
        // What is not made in the place of another guest may go on from an earlier run.
        let on_failure = self.input.scope == Scope::FailedCreates && vmid == self.work.vmid;
        let anew = !self.input.before.inventory.guests.contains_key(&vmid);
        on_failure || (anew && self.work.makes(vmid))
    }

    /// Does the undo end with the removal of the guest?
    pub(super) fn removes_guest(&self) -> bool {
        let of_guest = |step: &Step| step.action.vmid == self.work.vmid;
        self.steps.iter().any(|s| of_guest(s) && s.action.kind == ActionKind::Destroy)
    }

    /// What a key held before the run.
    pub(super) fn was(&self, vmid: u32, key: &str) -> Option<String> {
        self.input.before.guests.get(&vmid).and_then(|guest| guest.config.get(key)).cloned()
    }

    /// What it holds now.
    pub(super) fn is(&self, vmid: u32, key: &str) -> Option<String> {
        self.guests.get(&vmid).and_then(|guest| guest.config.get(key)).cloned()
    }

    /// Follows what a step writes.
    pub(super) fn follow(&mut self, vmid: u32, key: &str, value: Option<String>) {
        let Some(guest) = self.guests.get_mut(&vmid) else { return };
        match value {
            Some(value) => drop(guest.config.insert(key.to_owned(), value)),
            None => drop(guest.config.remove(key)),
        }
    }

    /// Something that does not come back.
    pub(super) fn lose(&mut self, text: String) {
        let address = &self.work.address;
        let text = format!("{address} ({}): {text}", self.work.vmid);
        self.findings.push(lost(address, text));
    }

    /// A step on the guest's node, with proof of what it is done to.
    pub(super) fn step(&mut self, vmid: u32, kind: ActionKind, effect: Effect) {
        self.step_on(vmid, kind, effect, Vec::new());
    }

    /// The same for one that allocates or frees volumes.
    pub(super) fn step_on(
        &mut self,
        vmid: u32,
        kind: ActionKind,
        effect: Effect,
        storages: Vec<String>,
    ) {
        let Some(guest) = self.guests.get(&vmid) else { return };
        let holds = |proof: &&Precondition| guard::holds(self.input.kind, proof, guest);
        let mut preconditions: Vec<_> =
            self.proofs.iter().find(holds).cloned().into_iter().collect();
        let digest = guest.digest.clone().filter(|_| self.touched.insert(vmid));
        match &kind {
            ActionKind::Create { .. } => preconditions = vec![Precondition::VmidFree],
            _ => preconditions.extend(digest.map(|digest| Precondition::Digest { digest })),
        }
        match &kind {
            ActionKind::Destroy => preconditions.push(Precondition::Unprotected),
            ActionKind::Erase { disk } => {
                preconditions.extend(guest.config.get(disk).map(|volume| drive::file(volume)).map(
                    |volume| Precondition::Holds { disk: disk.clone(), volume: volume.to_owned() },
                ));
            }
            _ => {}
        }
        let storages: BTreeSet<String> = storages.into_iter().collect();
        let action = Action {
            id: ActionId(0),
            address: self.work.filed_under().clone(),
            vmid,
            node: guest.node.clone(),
            kind,
            reason: Reason::new("undo", "this run failed"),
            effect,
            preconditions,
            storages: storages.into_iter().collect(),
        };
        self.steps.push(Step { of: self.of, action });
    }

    /// An attribute that is as before again.
    pub(super) fn tell(&mut self, path: &str, before: Option<String>, after: Option<String>) {
        self.attributes.push(AttributeChange {
            path: path.to_owned(),
            before,
            after,
            effect: Effect::Live,
            reason: "as it was before this run".to_owned(),
        });
    }

    /// A start is taken back by a shutdown; also one in the middle, after which all else can be
    /// taken back at rest as it was written at rest.
    fn stop(&mut self, begun: &Begun<'_>) {
        let vmid = begun.action.vmid;
        let ran = self.input.before.guests.get(&vmid).is_some_and(|guest| guest.running);
        let runs = self.guests.get(&vmid).is_some_and(|guest| guest.running);
        if runs && (begun.done || !ran || self.is_made(vmid)) {
            self.shut_down(vmid);
        }
    }

    pub(super) fn shut_down(&mut self, vmid: u32) {
        let timeout = self.input.shutdown_timeout;
        self.step(vmid, ActionKind::Shutdown { timeout, force: true }, Effect::Stop);
        if let Some(guest) = self.guests.get_mut(&vmid) {
            guest.running = false;
        }
    }

    /// Ran before and does not now.
    fn start(&mut self, vmid: u32) {
        let ran = self.input.before.guests.get(&vmid).is_some_and(|guest| guest.running);
        let Some(guest) = self.guests.get_mut(&vmid).filter(|guest| ran && !guest.running) else {
            return;
        };
        guest.running = true;
        self.step(vmid, ActionKind::Start, Effect::Start);
    }

    /// What the HA manager started or stopped meanwhile, unless it does so itself.
    fn power(&mut self, vmid: u32) {
        let ha = |b: &Begun<'_>| matches!(b.action.kind, ActionKind::Ha { .. });
        if self.governed.is_some() || !self.work.begun.iter().any(ha) {
            return;
        }
        self.start(vmid);
        let ran = self.input.before.guests.get(&vmid).is_none_or(|guest| guest.running);
        if !ran && self.guests.get(&vmid).is_some_and(|guest| guest.running) {
            self.shut_down(vmid);
        }
    }

    fn migrate(&mut self, action: &Action, with_local_disks: bool) {
        let vmid = action.vmid;
        let Some(before) = self.input.before.guests.get(&vmid) else { return };
        let Some(guest) = self.guests.get(&vmid).filter(|guest| guest.node != before.node) else {
            return;
        };
        let (target, online) = (before.node.clone(), guest.running);
        let kind = ActionKind::Migrate { target: target.clone(), online, with_local_disks };
        self.step_on(vmid, kind, Effect::Migrate, action.storages.clone());
        if let Some(guest) = self.guests.get_mut(&vmid) {
            guest.node = target;
        }
    }

    fn pool(&mut self, vmid: u32) {
        let of = |inventory: &crate::live::Inventory| {
            inventory.guests.get(&vmid).and_then(|summary| summary.pool.clone())
        };
        let (was, is) = (of(&self.input.before.inventory), of(&self.input.now.inventory));
        if was == is || !self.returned.insert(format!("pool {vmid}")) {
            return;
        }
        self.tell("pool", is.clone(), was.clone());
        self.step(vmid, ActionKind::Pool { join: was, leave: is }, Effect::Live);
    }

    /// What Proxmox changed along, and a boot for what waits for one.
    fn put_right(&mut self) {
        let vmid = self.work.vmid;
        if self.is_made(vmid) || self.removes_guest() {
            return;
        }
        if self.drives {
            config::boot_order(self, vmid);
        }
        self.power(vmid);
        let reboots = self.work.begun.iter().find_map(|b| match b.action.kind {
            ActionKind::Reboot { timeout } if b.done => Some(timeout),
            _ => None,
        });
        let runs = self.guests.get(&vmid).is_some_and(|guest| guest.running);
        if let Some(timeout) = reboots.filter(|_| self.wrote && runs) {
            self.step(vmid, ActionKind::Reboot { timeout }, Effect::Reboot);
        }
    }
}

/// The guest itself, and guests that something of this was done to.
fn concerns(work: &Work<'_>, vmid: u32) -> bool {
    let touches = |b: &Begun<'_>| match &b.action.kind {
        ActionKind::Reassign { target, .. } if *target == vmid => true,
        _ => b.action.vmid == vmid,
    };
    work.vmid == vmid || work.begun.iter().any(touches)
}

/// Does it only start, stop or reboot a guest?
pub(super) fn is_power(kind: &ActionKind) -> bool {
    matches!(kind, ActionKind::Start | ActionKind::Shutdown { .. } | ActionKind::Reboot { .. })
}

/// Disks of a guest with their sizes in bytes.
pub(super) fn sizes(input: &Input<'_>, guest: &Guest) -> Vec<(String, u64)> {
    let volumes = input.kind.volumes(guest).into_iter();
    let own = volumes.filter(|volume| volume.is_own() && !volume.cloudinit);
    own.filter_map(|volume| volume.size.map(|size| (volume.slot, size))).collect()
}
