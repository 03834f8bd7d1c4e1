//! `/etc/pve`: files made of the world. Guest configurations and `datacenter.cfg` can be written,
//! moved and removed; other generated files cannot, and what is none of them is kept cluster-wide.

use super::{Errno, Fs, Meta, pve_conf};
use crate::world::files::{Body, Bytes};
use crate::world::mapping::Kind;

/// The path below `/etc/pve`, empty for the folder itself.
pub(super) fn below(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/etc/pve")?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

/// Files with a content of their own.
const FILES: &[&str] = &[
    ".members",
    ".version",
    ".vmlist",
    "authkey.pub",
    "corosync.conf",
    "datacenter.cfg",
    "ha/resources.cfg",
    "jobs.cfg",
    "mapping/directory.cfg",
    "mapping/pci.cfg",
    "mapping/usb.cfg",
    "pve-root-ca.pem",
    "storage.cfg",
    "user.cfg",
];
const FOLDERS: &[&str] =
    &["", "ha", "nodes", "priv", "priv/lock", "sdn", "firewall", "virtual-guest", "mapping"];
/// Folders of a node.
const OF_NODE: &[&str] = &["lxc", "openvz", "priv", "qemu-server"];

/// Node and VMID of `nodes/NODE/qemu-server/VMID.conf`.
fn guest_file(rest: &str) -> Option<(&str, u32)> {
    let rest = rest.strip_prefix("nodes/")?;
    let (node, file) = rest.split_once("/qemu-server/")?;
    let vmid = file.strip_suffix(".conf")?.parse().ok()?;
    (!node.contains('/')).then_some((node, vmid))
}

fn full(rest: &str) -> String {
    format!("/etc/pve/{rest}")
}

fn text(fs: &Fs<'_>, rest: &str) -> Option<String> {
    let world = &*fs.world;
    if let Some((node, vmid)) = guest_file(rest) {
        return world
            .guest(vmid)
            .filter(|guest| guest.node == node)
            .map(crate::world::guest::Guest::text);
    }
    Some(match rest {
        "jobs.cfg" => world.jobs_cfg(),
        _ if rest.starts_with("mapping/") => {
            let kind = Kind::ALL.into_iter().find(|kind| kind.file() == rest)?;
            world.mapping_cfg(kind)
        }
        "storage.cfg" => world.storage_cfg(),
        "user.cfg" => pve_conf::users(world),
        "datacenter.cfg" => pve_conf::datacenter(world),
        "corosync.conf" => pve_conf::corosync(world),
        ".members" => pve_conf::members(world, fs.node),
        ".vmlist" => pve_conf::vmlist(world),
        ".version" => {
            format!("{{\n\"starttime\": 0,\n\"clinfo\": 1,\n\"vmlist\": {}\n}}\n", world.revision)
        }
        "pve-root-ca.pem" => world.identity.as_ref()?.certificate.clone(),
        _ => return None,
    })
    .filter(|text| !text.is_empty() || rest == "datacenter.cfg")
}

pub(super) fn meta(fs: &Fs<'_>, rest: &str) -> Result<Meta, Errno> {
    let folder = Meta { folder: true, size: 0, mode: 0o755, mtime: 0 };
    if FOLDERS.contains(&rest) || is_node_folder(fs, rest) {
        return Ok(folder);
    }
    if let Some(text) = text(fs, rest) {
        return Ok(Meta { folder: false, size: text.len() as u64, mode: 0o640, mtime: 0 });
    }
    fs.plain_meta(&full(rest))
}

fn is_node_folder(fs: &Fs<'_>, rest: &str) -> bool {
    let Some(rest) = rest.strip_prefix("nodes/") else { return false };
    let (node, inner) = rest.split_once('/').unwrap_or((rest, ""));
    fs.world.nodes.contains_key(node) && (inner.is_empty() || OF_NODE.contains(&inner))
}

pub(super) fn read(fs: &Fs<'_>, rest: &str) -> Result<Bytes, Errno> {
    if let Some(text) = text(fs, rest) {
        return Ok(Bytes::from(text.into_bytes()));
    }
    match fs.plain_body(&full(rest))? {
        Body::Bytes(bytes) => Ok(bytes),
        _ => Err(Errno::IsFolder),
    }
}

pub(super) fn list(fs: &Fs<'_>, rest: &str) -> Vec<String> {
    let prefix = if rest.is_empty() { String::new() } else { format!("{rest}/") };
    let child = |path: &&str| {
        let inner = path.strip_prefix(&prefix).filter(|inner| !inner.is_empty())?;
        (!inner.contains('/')).then(|| inner.to_owned())
    };
    let there = |path: &&&str| FOLDERS.contains(path) || text(fs, path).is_some();
    let mut names: Vec<String> = FILES
        .iter()
        .chain(FOLDERS)
        .filter(there)
        .copied()
        .filter_map(|path| child(&path))
        .collect();
    names.retain(|name| !name.starts_with('.') || !rest.is_empty());
    if rest.is_empty() {
        names.extend(["local", "lxc", "openvz", "qemu-server"].map(str::to_owned));
    } else if rest == "nodes" {
        names.extend(fs.world.nodes.keys().cloned());
    } else if let Some(node) = rest.strip_prefix("nodes/") {
        match node.split_once('/') {
            None => names.extend(OF_NODE.iter().map(|&name| name.to_owned())),
            Some((node, "qemu-server")) => {
                let guests = fs.world.guests.values().filter(|guest| guest.node == node);
                names.extend(guests.map(|guest| format!("{}.conf", guest.vmid)));
            }
            Some(_) => {}
        }
    }
    let folder = format!("/etc/pve{}{rest}", if rest.is_empty() { "" } else { "/" });
    names.extend(fs.plain_list(&folder));
    names
}

pub(super) fn write(fs: &mut Fs<'_>, rest: &str, bytes: Bytes) -> Result<(), Errno> {
    if !fs.world.quorate() {
        return Err(Errno::Denied);
    }
    if bytes.0.len() > 1 << 20 {
        return Err(Errno::TooLarge);
    }
    let text = std::str::from_utf8(&bytes.0).map_err(|_| Errno::Invalid);
    if let Some((node, vmid)) = guest_file(rest) {
        return pve_conf::write_guest(fs.world, node, vmid, text?);
    }
    if rest == "datacenter.cfg" {
        fs.world.options = pve_conf::options(text?).ok_or(Errno::Invalid)?;
        return Ok(());
    }
    if FILES.contains(&rest) || rest.starts_with("nodes/") {
        return Err(Errno::Denied);
    }
    fs.write_plain(&full(rest), Body::Bytes(bytes))
}

pub(super) fn remove(fs: &mut Fs<'_>, rest: &str) -> Result<(), Errno> {
    if !fs.world.quorate() {
        return Err(Errno::Denied);
    }
    if let Some((_, vmid)) = guest_file(rest) {
        // As on a node, the disks stay where they are.
        fs.world.guests.remove(&vmid);
        return Ok(());
    }
    if rest == "datacenter.cfg" {
        fs.world.options.clear();
        return Ok(());
    }
    if fs.remove_plain(&full(rest)) { Ok(()) } else { Err(Errno::Denied) }
}

/// Moving a guest's configuration moves the guest. None when it is about other files.
pub(super) fn rename(fs: &mut Fs<'_>, from: &str, to: &str) -> Option<Result<(), Errno>> {
    let (_, vmid) = guest_file(from)?;
    let Some((node, new)) = guest_file(to) else { return Some(Err(Errno::Denied)) };
    if !fs.world.quorate() {
        return Some(Err(Errno::Denied));
    }
    if !fs.world.nodes.contains_key(node) {
        return Some(Err(Errno::NoEntry));
    }
    if new != vmid && fs.world.guests.contains_key(&new) {
        return Some(Err(Errno::Exists));
    }
    let mut guest = fs.world.guests.remove(&vmid)?;
    guest.node = node.to_owned();
    guest.vmid = new;
    fs.world.add_guest(guest);
    fs.world.revision += 1;
    Some(Ok(()))
}
