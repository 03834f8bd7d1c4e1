//! What happens while a plan is carried out, as far as it concerns places: disks that are made,
//! grow, move and go; guests that start, move and change.

use std::collections::{BTreeMap, BTreeSet};

use crate::address::Address;
use crate::live;
use crate::plan::{Action, ActionKind, Plan, Precondition};
use crate::planner::Input;
use crate::provider::{Card, Hardware, Medium};

type Config = BTreeMap<String, String>;

/// A disk that gets a volume, or grows.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) address: Address,
    pub(super) slot: String,
    pub(super) node: String,
    pub(super) storage: String,
    /// Bytes that are promised with it.
    pub(super) size: u64,
    /// What it is filled from.
    pub(super) source: Option<Volume>,
    /// A linked clone: nothing is written at first.
    pub(super) linked: bool,
}

/// A volume that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) node: String,
    pub(super) storage: String,
    pub(super) volid: String,
}

impl Volume {
    /// The volume with this name, as a node sees it; none for a path.
    fn named(volid: &str, node: &str) -> Option<Self> {
        let storage = volid.split_once(':')?.0.to_owned();
        Some(Self { node: node.to_owned(), storage, volid: volid.to_owned() })
    }
}

/// A volume that is only read: an ISO, or what a disk is filled from.
#[derive(Debug, Clone)]
pub(super) struct Read {
    pub(super) address: Address,
    pub(super) slot: String,
    pub(super) volume: Volume,
    /// Its content type.
    pub(super) content: &'static str,
}

/// A network device that is plugged into its bridge.
#[derive(Debug, Clone)]
pub(super) struct Plugged {
    pub(super) address: Address,
    pub(super) node: String,
    pub(super) card: Card,
    /// The plan writes it, which needs the right to use its bridge.
    pub(super) written: bool,
}

/// A guest that starts.
#[derive(Debug, Clone)]
pub(super) struct Started {
    pub(super) address: Address,
    pub(super) node: String,
    pub(super) hardware: Hardware,
}

/// A guest that was there before, and moves.
#[derive(Debug, Clone)]
pub(super) struct Moved {
    pub(super) address: Address,
    pub(super) vmid: u32,
    pub(super) node: String,
    pub(super) target: String,
    pub(super) online: bool,
    pub(super) config: Config,
    /// Storages that its disks and discs are on by then.
    pub(super) storages: Vec<String>,
    /// Volumes on storages of its node.
    pub(super) local: Vec<Volume>,
    /// HA resources or rules are other ones by then than those that were asked about.
    pub(super) ha_changed: bool,
}

/// One guest on its way.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) address: Address,
    pub(super) node: String,
    pub(super) config: Config,
    pub(super) running: bool,
    /// As it was found; none for a guest that the plan makes.
    pub(super) before: Option<live::Guest>,
    disks: BTreeMap<String, Disk>,
}

#[derive(Debug, Clone)]
struct Disk {
    storage: String,
    size: Option<u64>,
    volume: Option<Volume>,
}

/// Everything that happens.
#[derive(Default)]
pub(super) struct Course {
    pub(super) placed: Vec<Placed>,
    pub(super) removed: Vec<Volume>,
    pub(super) read: Vec<Read>,
    pub(super) plugged: Vec<Plugged>,
    pub(super) started: Vec<Started>,
    pub(super) moved: Vec<Moved>,
    /// Guests as they are in the end, by VMID.
    pub(super) guests: BTreeMap<u32, State>,
    /// VMIDs of guests that go.
    pub(super) gone: BTreeSet<u32>,
    /// HA resources or rules were changed so far.
    ha_changed: bool,
}

impl Course {
    /// Follows a plan.
    pub(super) fn of(plan: &Plan, input: &Input<'_>) -> Self {
        let mut course = Self::default();
        let ids = plan.actions.sequence().unwrap_or_default();
        for action in ids.into_iter().filter_map(|id| plan.actions.get(id)) {
            course.step(action, input);
        }
        course
    }

    fn step(&mut self, action: &Action, input: &Input<'_>) {
        match &action.kind {
            ActionKind::Create { config, .. } => self.create(action, config, input),
            ActionKind::Clone { .. } => self.clone_of(action, input),
            ActionKind::Destroy => self.destroy(action, input),
            ActionKind::Reassign { disk, target, target_disk } => {
                self.reassign(action, disk, *target, target_disk, input);
            }
            ActionKind::Ha { .. } => self.ha_changed = true,
            _ => {
                let Some(mut state) = self.state(action, input) else { return };
                self.change(action, &mut state, input);
                self.guests.insert(action.vmid, state);
            }
        }
    }

    /// The guest of an action, as it is by then.
    fn state(&mut self, action: &Action, input: &Input<'_>) -> Option<State> {
        if let Some(state) = self.guests.remove(&action.vmid) {
            return Some(state);
        }
        let live = input.snapshot.guests.get(&action.vmid)?;
        let hardware = input.kind.hardware(&live.config);
        let mut disks = BTreeMap::new();
        for drive in hardware.drives {
            if let Medium::Volume { storage, volid, size } = drive.medium {
                let volume = Volume { node: live.node.clone(), storage: storage.clone(), volid };
                disks.insert(drive.slot, Disk { storage, size, volume: Some(volume) });
            }
        }
        Some(State {
            address: action.address.clone(),
            node: live.node.clone(),
            config: live.config.clone(),
            running: live.running,
            before: Some(live.clone()),
            disks,
        })
    }

    fn create(&mut self, action: &Action, config: &Config, input: &Input<'_>) {
        let mut state = State {
            address: action.address.clone(),
            node: action.node.clone(),
            config: Config::new(),
            running: false,
            before: None,
            disks: BTreeMap::new(),
        };
        self.set(&mut state, config, input);
        self.guests.insert(action.vmid, state);
    }

    fn clone_of(&mut self, action: &Action, input: &Input<'_>) {
        let ActionKind::Clone { source, full, storage, target, name, note, .. } = &action.kind
        else {
            return;
        };
        let Some(template) = input.snapshot.guests.get(source) else { return };
        let config = input.kind.clone_of(template, name, note, storage.as_deref()).config;
        let mut disks = BTreeMap::new();
        for drive in input.kind.hardware(&template.config).drives {
            let Medium::Volume { storage: held, volid, size } = drive.medium else { continue };
            if drive.slot.starts_with("unused") {
                continue;
            }
            let to = storage.as_ref().unwrap_or(&held).clone();
            let source = Volume { node: template.node.clone(), storage: held, volid };
            self.placed.push(Placed {
                address: action.address.clone(),
                slot: drive.slot.clone(),
                node: action.node.clone(),
                storage: to.clone(),
                size: size.unwrap_or(0),
                source: Some(source.clone()),
                linked: !full && drive.slot != "tpmstate0",
            });
            // What is copied on from here is a copy of the template's bytes.
            disks.insert(drive.slot, Disk { storage: to, size, volume: Some(source) });
        }
        let node = target.as_ref().unwrap_or(&action.node).clone();
        let address = action.address.clone();
        let state = State { address, node, config, running: false, before: None, disks };
        self.guests.insert(action.vmid, state);
    }

    fn destroy(&mut self, action: &Action, input: &Input<'_>) {
        if let Some(state) = self.state(action, input) {
            let own = state.before.is_some();
            let volumes = state.disks.into_values().filter(|_| own).filter_map(|d| d.volume);
            self.removed.extend(volumes);
        }
        self.gone.insert(action.vmid);
    }

    /// A disk goes to another guest, with all that is on it: nothing is written and nothing is free.
    fn reassign(
        &mut self,
        action: &Action,
        disk: &str,
        target: u32,
        target_disk: &str,
        input: &Input<'_>,
    ) {
        let Some(mut state) = self.state(action, input) else { return };
        let value = state.config.remove(disk);
        let moved = state.disks.remove(disk);
        self.guests.insert(action.vmid, state);
        // One that nothing else happens to is not followed.
        if let Some(other) = self.guests.get_mut(&target) {
            other.config.extend(value.map(|value| (target_disk.to_owned(), value)));
            other.disks.extend(moved.map(|disk| (target_disk.to_owned(), disk)));
        }
    }

    fn change(&mut self, action: &Action, state: &mut State, input: &Input<'_>) {
        match &action.kind {
            ActionKind::Configure { set, delete, .. }
            | ActionKind::ConfigureAsRoot { set, delete } => {
                self.set(state, set, input);
                delete.iter().for_each(|key| drop(state.config.remove(key)));
            }
            ActionKind::Resize { disk, size } => self.grow(state, disk, *size),
            ActionKind::MoveDisk { disk, storage, .. } => {
                self.rehouse(state, disk, storage);
            }
            ActionKind::Migrate { target, online, .. } => {
                self.migrate(action, state, target, *online, input);
            }
            ActionKind::Start | ActionKind::Reboot { .. } => self.start(state, input),
            ActionKind::Shutdown { .. } => state.running = false,
            ActionKind::Detach { disk } => {
                state.config.remove(disk);
                state.disks.remove(disk);
            }
            ActionKind::Erase { .. } => {
                let held = action.preconditions.iter().find_map(|p| match p {
                    Precondition::Holds { volume, .. } => Some(volume),
                    _ => None,
                });
                let volume = held.and_then(|volid| Volume::named(volid, &state.node));
                self.removed.extend(volume);
            }
            _ => {}
        }
    }

    /// Values that are written: drives that are made, and devices that are plugged.
    fn set(&mut self, state: &mut State, set: &Config, input: &Input<'_>) {
        let before = input.kind.hardware(&state.config);
        state.config.extend(set.iter().map(|(key, value)| (key.clone(), value.clone())));
        let after = input.kind.hardware(&state.config);
        for drive in after.drives.iter().filter(|drive| set.contains_key(&drive.slot)) {
            self.drive(state, &drive.slot, &drive.medium);
        }
        if state.running {
            let written = after.cards.iter().filter(|card| set.contains_key(&card.slot));
            let plugs = |card: &&Card| match before.card(&card.slot) {
                Some(old) => {
                    old.bridge != card.bridge || old.tag != card.tag || old.trunks != card.trunks
                }
                None => after.plugs_cards,
            };
            let cards: Vec<Card> = written.filter(plugs).cloned().collect();
            self.plug(state, cards, |_| true);
        }
    }

    fn drive(&mut self, state: &mut State, slot: &str, medium: &Medium) {
        match medium {
            Medium::New { storage, size, from } => {
                let source = from.as_ref().and_then(|volid| Volume::named(volid, &state.node));
                self.read.extend(source.iter().filter(|v| v.volid.contains(":import/")).map(|v| {
                    let (address, slot) = (state.address.clone(), slot.to_owned());
                    Read { address, slot, volume: v.clone(), content: "import" }
                }));
                self.placed.push(Placed {
                    address: state.address.clone(),
                    slot: slot.to_owned(),
                    node: state.node.clone(),
                    storage: storage.clone(),
                    size: size.unwrap_or(0),
                    source,
                    linked: false,
                });
                let disk = Disk { storage: storage.clone(), size: *size, volume: None };
                state.disks.insert(slot.to_owned(), disk);
            }
            Medium::Iso { storage, volid } => self.read.push(Read {
                address: state.address.clone(),
                slot: slot.to_owned(),
                volume: Volume {
                    node: state.node.clone(),
                    storage: storage.clone(),
                    volid: volid.clone(),
                },
                content: "iso",
            }),
            Medium::Volume { .. } | Medium::Cloudinit | Medium::Other => {}
        }
    }

    fn grow(&mut self, state: &mut State, slot: &str, size: u64) {
        let Some(disk) = state.disks.get_mut(slot) else { return };
        let more = size.saturating_sub(disk.size.unwrap_or(0));
        disk.size = Some(size);
        self.placed.push(Placed {
            address: state.address.clone(),
            slot: slot.to_owned(),
            node: state.node.clone(),
            storage: disk.storage.clone(),
            size: more,
            source: None,
            linked: false,
        });
    }

    fn rehouse(&mut self, state: &mut State, slot: &str, storage: &str) {
        let node = state.node.clone();
        let Some(disk) = state.disks.get_mut(slot) else { return };
        let own = disk.volume.clone().filter(|_| state.before.is_some());
        let placed = Placed {
            address: state.address.clone(),
            slot: slot.to_owned(),
            node,
            storage: storage.to_owned(),
            size: disk.size.unwrap_or(0),
            source: disk.volume.clone(),
            linked: false,
        };
        if own.is_none() {
            let old = disk.storage.clone();
            self.placed.retain(|p| {
                (&p.address, p.slot.as_str(), &p.storage) != (&state.address, slot, &old)
            });
        }
        self.placed.push(placed);
        storage.clone_into(&mut disk.storage);
        if let Some(volume) = own {
            disk.volume = None;
            self.removed.push(volume);
        }
    }

    fn migrate(
        &mut self,
        action: &Action,
        state: &mut State,
        target: &str,
        online: bool,
        input: &Input<'_>,
    ) {
        let inventory = &input.snapshot.inventory;
        let mut local = Vec::new();
        for (slot, disk) in &mut state.disks {
            if inventory.is_shared(&disk.storage) {
                continue;
            }
            let source = disk.volume.take();
            let placed = Placed {
                address: state.address.clone(),
                slot: slot.clone(),
                node: target.to_owned(),
                storage: disk.storage.clone(),
                size: disk.size.unwrap_or(0),
                source: source.clone(),
                linked: false,
            };
            local.extend(source.clone());
            match state.before.is_some() {
                true => self.removed.extend(source),
                // It leaves nothing behind where it was made.
                false => self.placed.retain(|p| {
                    (&p.address, &p.slot, &p.node) != (&state.address, slot, &state.node)
                }),
            }
            self.placed.push(placed);
        }
        if state.before.is_some() {
            let disks = state.disks.values().map(|disk| disk.storage.clone());
            self.moved.push(Moved {
                address: state.address.clone(),
                vmid: action.vmid,
                node: state.node.clone(),
                target: target.to_owned(),
                online,
                config: state.config.clone(),
                storages: disks.chain(discs(&state.config, input)).collect(),
                local,
                ha_changed: self.ha_changed,
            });
        }
        target.clone_into(&mut state.node);
        if online {
            let cards = input.kind.hardware(&state.config).cards;
            self.plug(state, cards, |_| false);
        }
    }

    fn start(&mut self, state: &mut State, input: &Input<'_>) {
        state.running = true;
        let hardware = input.kind.hardware(&state.config);
        let before = state.before.as_ref().map(|live| input.kind.hardware(&live.config));
        let written = |card: &Card| {
            before.as_ref().is_none_or(|before| {
                before.card(&card.slot).is_none_or(|old| old.bridge != card.bridge)
            })
        };
        self.plug(state, hardware.cards.clone(), written);
        for drive in &hardware.drives {
            let known = |read: &Read| read.address == state.address && read.slot == drive.slot;
            if matches!(drive.medium, Medium::Iso { .. }) && !self.read.iter().any(known) {
                self.drive(state, &drive.slot, &drive.medium);
            }
        }
        self.started.push(Started {
            address: state.address.clone(),
            node: state.node.clone(),
            hardware,
        });
    }

    fn plug(&mut self, state: &State, cards: Vec<Card>, written: impl Fn(&Card) -> bool) {
        self.plugged.extend(cards.into_iter().map(|card| Plugged {
            address: state.address.clone(),
            node: state.node.clone(),
            written: written(&card),
            card,
        }));
    }
}

/// Storages of discs: of ISOs, and of the cloud-init drive.
fn discs(config: &Config, input: &Input<'_>) -> impl Iterator<Item = String> {
    let drives = input.kind.hardware(config).drives.into_iter();
    drives.filter_map(|drive| match drive.medium {
        Medium::Iso { storage, .. } => Some(storage),
        Medium::Cloudinit => Some(config.get(&drive.slot)?.split_once(':')?.0.to_owned()),
        _ => None,
    })
}
