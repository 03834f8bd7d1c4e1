//! What is measured: fleets, and what is to be done with them.

use std::fmt::Write as _;

use pvx_core::plan::Intent;
use pvx_core::state::Memory;
use pvx_sim::{LabOptions, TimeScale, World};

use crate::harness::Lab;

/// Nodes of the world.
pub(crate) const NODES: usize = 5;
/// The VMID of the first guest.
const FIRST: usize = 1000;
/// The template that is cloned, and its disk.
const TEMPLATE: &str = "shared:100/base-100-disk-0.raw";

/// Something to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// Linked clones of one template on shared storage, started.
    Linked,
    /// Full clones on shared storage, 3 GiB to copy each, started.
    Full,
    /// Guests that are there: tags, sizes, moves, migrations and reboots.
    Mixed,
    /// Guests that are there go.
    Destroy,
}

impl Case {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Linked, Self::Full, Self::Mixed, Self::Destroy];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Linked => "linked",
            Self::Full => "full",
            Self::Mixed => "mixed",
            Self::Destroy => "destroy",
        }
    }

    /// How many guests, unless told.
    pub(crate) fn guests(self) -> usize {
        match self {
            Self::Linked | Self::Full => 100,
            Self::Mixed | Self::Destroy => 200,
        }
    }

    pub(crate) fn intent(self) -> Intent {
        if self == Self::Destroy { Intent::Destroy } else { Intent::Apply }
    }

    /// The documents to apply, or to destroy.
    pub(crate) fn documents(self, guests: usize) -> String {
        match self {
            Self::Linked => created("linked", guests),
            Self::Full => created("full", guests),
            Self::Mixed => fleet(guests, true),
            Self::Destroy => fleet(guests, false),
        }
    }

    /// A cluster on which that is to be done, at this speed; with what pvx remembers of it.
    pub(crate) async fn lab(self, guests: usize, scale: TimeScale) -> Lab {
        let (world, memory) = match self {
            Self::Linked | Self::Full => (empty(), Memory::default()),
            Self::Mixed => made(&fleet(guests, false)).await,
            // They are off: what is measured is their removal.
            Self::Destroy => {
                let (mut world, memory) = made(&fleet(guests, false)).await;
                let all: Vec<u32> = world.guests().map(|guest| guest.vmid).collect();
                for vmid in all {
                    if let Some(guest) = world.guest_mut(vmid) {
                        guest.running = None;
                    }
                }
                (world, memory)
            }
        };
        Lab::paced(world, scale, memory).await
    }
}

/// Five nodes, and a template whose disk holds 3 GiB.
pub(crate) fn empty() -> World {
    let mut world = World::lab_with(LabOptions {
        cluster: "fleet".to_owned(),
        nodes: (0..NODES).map(node).collect(),
        storages: vec!["tank".to_owned()],
        bridges: vec!["vmbr0".to_owned()],
    });
    fill_template(&mut world, 3 << 30);
    world
}

/// So many bytes of the template's disk are written.
pub(crate) fn fill_template(world: &mut World, used: u64) {
    let disk = world.volume(&node(0), TEMPLATE).cloned().expect("the lab has it");
    world.add_volume(&node(0), TEMPLATE, pvx_sim::Volume { used, ..disk });
}

/// The same cluster after pvx applied these documents.
async fn made(documents: &str) -> (World, Memory) {
    let lab = Lab::remembering(empty()).await;
    let documents = lab.documents(&[("fleet.yaml", documents.to_owned())]);
    lab.apply(&documents).await;
    (lab.sim.world(), lab.memory())
}

fn node(number: usize) -> String {
    format!("pve{}", number % NODES + 1)
}

/// A profile of so many clones.
pub(crate) fn created(clone: &str, guests: usize) -> String {
    format!(
        "name: fleet\ntype: generic\ntemplate: debian-13\nclone: {clone}\ntags: [fleet]\n\
         nodes:\n  controlplane:\n    count: {guests}\n    cores: 2\n    memory: 2048\n    \
         disk: 6G\n    start_vmid: {FIRST}\n"
    )
}

/// A fleet of standalone VMs, before or after a change of every one.
fn fleet(guests: usize, changed: bool) -> String {
    (0..guests).map(|number| vm(number, number * 20 / guests, changed)).collect()
}

/// One of them. `share` is its twentieth of the fleet: a quarter gets a tag, a fifth a larger disk,
/// a tenth a disk moved, a tenth is migrated, a fifth gets a core and a reboot, the rest tags and a
/// larger disk.
fn vm(number: usize, share: usize, changed: bool) -> String {
    let on = |range: std::ops::Range<usize>| changed && range.contains(&share);
    let tags = if on(0..5) || on(17..20) { "fleet, changed" } else { "fleet" };
    let disk = if on(5..9) || on(17..20) { 5 } else { 4 };
    let node = node(number + usize::from(on(11..13)));
    let cores = if on(13..17) { 3 } else { 2 };
    let mut text = format!(
        "---\nname: vm-{number:03}\ntemplate: debian-13\nclone: linked\nvmid: {}\nnode: {node}\n\
         placement: pinned\nmemory: 1024\ncores: {cores}\ndisk: {disk}G\ntags: [{tags}]\n\
         apply_changes: reboot\n",
        FIRST + number
    );
    if (9..11).contains(&share) {
        let storage = if on(9..11) { "tank" } else { "shared" };
        let _ = writeln!(text, "disks: {{ scsi2: {{ size: 2G, storage: {storage} }} }}");
    }
    text
}
