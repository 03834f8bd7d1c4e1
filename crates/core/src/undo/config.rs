//! Configuration keys get the values that they had before the run.

use std::collections::{BTreeMap, BTreeSet};

use super::drive;
use super::walk::Walk;
use crate::plan::{ActionKind, Effect, lint};
use crate::secret::SECRET_KEYS;

/// Takes back what one write set and deleted.
pub(super) fn back(
    walk: &mut Walk<'_>,
    vmid: u32,
    set: &BTreeMap<String, String>,
    delete: &[String],
    as_root: bool,
) {
    let mut write = Write::default();
    let mut new_drives = Vec::new();
    for key in set.keys().chain(delete).collect::<BTreeSet<_>>() {
        let (was, is) = (walk.was(vmid, key), walk.is(vmid, key));
        if SECRET_KEYS.contains(&key.as_str()) && was.is_some() {
            // Proxmox shows none, so that nobody knows the old one.
            if walk.returned.insert(format!("secret {vmid} {key}")) {
                walk.lose(format!("{key} stays as written: nobody knows what it was before"));
            }
            continue;
        }
        match (was, is) {
            (was, is) if was == is => {}
            (None, Some(_)) if lint::is_disk(key) => new_drives.push(key.clone()),
            (Some(was), Some(is)) if lint::is_disk(key) => {
                if let Some(value) = drive::options_of(walk, vmid, key, &was, &is) {
                    walk.follow(vmid, key, Some(drive::on_volume(&is, &was)));
                    walk.tell(key, Some(is), Some(was));
                    write.set.insert(key.clone(), value);
                }
            }
            // A drive that is gone is attached again, not written.
            (Some(_), None) if lint::is_disk(key) => {}
            (was, is) => {
                walk.tell(key, is, was.clone());
                write.add(key, was);
            }
        }
    }
    write.send(walk, vmid, as_root);
    for slot in new_drives {
        drive::take_out(walk, vmid, &slot);
    }
}

/// The boot order, which Proxmox changes when drives come and go.
pub(super) fn boot_order(walk: &mut Walk<'_>, vmid: u32) {
    let was = walk.was(vmid, "boot");
    if was.is_none() && walk.is(vmid, "boot").is_none() {
        return;
    }
    // What Proxmox does to it on the way is not followed, so it is written in any case.
    let mut write = Write::default();
    write.add("boot", was);
    write.send(walk, vmid, false);
}

/// One write.
#[derive(Default)]
struct Write {
    set: BTreeMap<String, String>,
    delete: Vec<String>,
}

impl Write {
    fn add(&mut self, key: &str, value: Option<String>) {
        match value {
            Some(value) => drop(self.set.insert(key.to_owned(), value)),
            None => self.delete.push(key.to_owned()),
        }
    }

    fn send(self, walk: &mut Walk<'_>, vmid: u32, as_root: bool) {
        let Self { set, delete } = self;
        if set.is_empty() && delete.is_empty() {
            return;
        }
        let kind = match as_root {
            true => ActionKind::ConfigureAsRoot { set: set.clone(), delete: delete.clone() },
            false => ActionKind::Configure {
                set: set.clone(),
                delete: delete.clone(),
                background: false,
            },
        };
        // Its proof is what the guest carries until it is written.
        walk.step(vmid, kind, Effect::Live);
        walk.wrote = true;
        for (key, value) in set.into_iter().filter(|(key, _)| !lint::is_disk(key)) {
            walk.follow(vmid, &key, Some(value));
        }
        for key in delete {
            walk.follow(vmid, &key, None);
        }
    }
}
