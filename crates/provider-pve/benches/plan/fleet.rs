//! Fleets: documents for so many VMs, in both shapes that documents have, and a world in which all
//! of them are there, exactly as pvx would have made them.

use std::fmt::Write as _;

use pvx_core::desired;
use pvx_core::live::{GuestRef, identity};
use pvx_sim::{Guest, LabOptions, World};

use crate::harness::Lab;

/// Nodes of the world.
pub(crate) const NODES: usize = 5;
/// The VMID of the first VM.
const FIRST: usize = 1000;
/// The cluster's name.
const CLUSTER: &str = "fleet";

/// How the documents say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Cluster profiles with a count and an assignment with an address for each guest.
    Profiles,
    /// Files of standalone VMs.
    Standalone,
}

impl Shape {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Profiles, Self::Standalone];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Profiles => "profiles",
            Self::Standalone => "standalone",
        }
    }

    /// So many VMs in so many files, or in one each: names of files and texts.
    pub(crate) fn documents(self, guests: usize, files: usize) -> Vec<(String, String)> {
        let files = files.min(guests);
        let share = |file: usize| file * guests / files..(file + 1) * guests / files;
        (0..files)
            .map(|file| {
                let name = format!("app{file:02}");
                let text = match self {
                    Self::Profiles => profile(&name, share(file)),
                    Self::Standalone => share(file).map(|number| vm(&name, number)).collect(),
                };
                (format!("{name}.yaml"), text)
            })
            .collect()
    }
}

fn address(number: usize) -> String {
    format!("10.0.{}.{}", number / 250 + 1, number % 250 + 1)
}

fn profile(name: &str, numbers: std::ops::Range<usize>) -> String {
    let (count, first) = (numbers.len(), FIRST + numbers.start);
    let mut text = format!(
        "name: {name}\ntype: generic\ntemplate: debian-13\nclone: linked\ntags: [{name}]\n\
         network: {{ prefix: 16, gateway: 10.0.0.1 }}\nnodes:\n  controlplane:\n    \
         count: {count}\n    cores: 2\n    memory: 2048\n    disk: 20G\n    \
         start_vmid: {first}\n    assignments:\n"
    );
    for number in numbers {
        let _ = writeln!(text, "      - {{ ip: {} }}", address(number));
    }
    text
}

fn vm(tag: &str, number: usize) -> String {
    format!(
        "---\nname: vm-{number:05}\ntemplate: debian-13\nclone: linked\ncores: 2\nmemory: 2048\n\
         disk: 20G\nvmid: {}\nip: {}/16\ngateway: 10.0.0.1\ntags: [{tag}]\n",
        FIRST + number,
        address(number),
    )
}

/// A simulator of a world in which all VMs of these documents are there. One is made by pvx; the
/// others are copies of it with names, addresses and identities of their own.
pub(crate) async fn lab(shape: Shape, documents: &[(String, String)]) -> Lab {
    let lab = Lab::start(empty()).await;
    lab.apply(&lab.documents(&borrowed(&shape.documents(1, 1)))).await;
    let mut world = lab.sim.world();
    let made = u32::try_from(FIRST).unwrap();
    let pattern = world.guest(made).cloned().expect("pvx made it");
    let wanted = lab.documents(&borrowed(documents)).0;
    let all = wanted.profiles.iter().flat_map(|p| p.guests.iter().map(move |g| (p, g)));
    for (number, (profile, guest)) in all.enumerate() {
        world.add_guest(copy(&pattern, profile.key(), guest, number));
    }
    Lab::start(world).await
}

fn borrowed(documents: &[(String, String)]) -> Vec<(&str, String)> {
    documents.iter().map(|(name, text)| (name.as_str(), text.clone())).collect()
}

fn empty() -> World {
    World::lab_with(LabOptions {
        cluster: CLUSTER.to_owned(),
        nodes: (0..NODES).map(node).collect(),
        storages: Vec::new(),
        bridges: Vec::new(),
    })
}

fn node(number: usize) -> String {
    format!("pve{:02}", number % NODES + 1)
}

fn copy(pattern: &Guest, profile: &str, wanted: &desired::Guest, number: usize) -> Guest {
    let mut guest = pattern.clone();
    let (old, new) = (pattern.vmid.to_string(), (FIRST + number).to_string());
    guest.vmid = u32::try_from(FIRST + number).unwrap();
    guest.node = node(number);
    for (key, value) in &mut guest.config {
        if key.starts_with("scsi") {
            *value = value.replace(&old, &new);
        }
    }
    let name = wanted.address.guest();
    let tags: Vec<&str> = wanted.spec.tags.iter().map(String::as_str).collect();
    let ip = wanted.spec.cloudinit.ipconfig.get(&0).cloned().unwrap_or_default();
    let (ip, gateway) = (ip.ip.unwrap_or_default(), ip.gw.unwrap_or_default());
    let uuid = identity(CLUSTER, profile, name);
    for (key, value) in [
        ("name", name.to_owned()),
        ("tags", tags.join(";")),
        ("ipconfig0", format!("ip={ip},gw={gateway}")),
        ("smbios1", format!("uuid={uuid}")),
    ] {
        guest.config.insert(key.to_owned(), value);
    }
    guest
}

/// Where the first so many VMs of a fleet are.
pub(crate) fn references(guests: usize) -> Vec<GuestRef> {
    let one =
        |number| GuestRef { vmid: u32::try_from(FIRST + number).unwrap(), node: node(number) };
    (0..guests).map(one).collect()
}
