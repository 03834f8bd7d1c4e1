//! What a plan's actions do to the built cluster, in the way Proxmox does it; what Proxmox would
//! refuse ends the test.

use std::collections::BTreeMap;

use pvx_core::live::{Guest, Summary};
use pvx_core::plan::{Action, ActionKind, Plan, Precondition};
use uuid::Uuid;

use crate::lab::{Lab, summary};
use crate::value::{Value, is_drive, is_nic, size};

impl Lab {
    /// Carries the plan out, one action after the other, and remembers it.
    pub(crate) fn carry_out(&mut self, plan: &Plan) {
        for id in plan.actions.sequence().unwrap() {
            self.act(plan.actions.get(id).unwrap());
        }
        for old in plan.moved.values() {
            self.memory.forget(old);
        }
        for (address, remembered) in &plan.outcomes {
            self.memory.insert(address.clone(), remembered.clone());
        }
    }

    pub(crate) fn act(&mut self, action: &Action) {
        let vmid = action.vmid;
        let pool = match &action.kind {
            ActionKind::Create { pool, .. } | ActionKind::Clone { pool, .. } => pool.clone(),
            ActionKind::Pool { join, leave } => {
                assert_eq!(*leave, self.pool(vmid), "VM {vmid} is not a pool member");
                join.clone()
            }
            _ => self.pool(vmid),
        };
        assert!(pool.iter().all(|pool| self.snapshot.inventory.pools.contains(pool)));
        assert!(self.snapshot.inventory.nodes[&action.node].online, "{action:?}");
        match &action.kind {
            ActionKind::Create { config, .. } => self.create(action, config),
            ActionKind::Clone { .. } => self.clone_template(action),
            ActionKind::Snippet { storage, name, .. } => self.snippet(action, storage, name),
            ActionKind::Reassign { disk, target, target_disk } => {
                self.reassign(action, disk, *target, target_disk);
            }
            _ => self.change(action),
        }
        match self.snapshot.guests.get(&vmid) {
            Some(guest) => {
                let summary = Summary { pool, ..summary(guest) };
                self.snapshot.inventory.guests.insert(vmid, summary);
            }
            None => drop(self.snapshot.inventory.guests.remove(&vmid)),
        }
    }

    fn insert(&mut self, vmid: u32, node: &str, config: BTreeMap<String, String>) {
        let known = self.snapshot.inventory.guests.contains_key(&vmid);
        assert!(!known, "VMID {vmid} is taken");
        let guest = Guest { vmid, node: node.to_owned(), config, ..Guest::default() };
        self.snapshot.guests.insert(vmid, guest);
    }

    fn create(&mut self, action: &Action, config: &BTreeMap<String, String>) {
        self.insert(action.vmid, &action.node, BTreeMap::new());
        let guest = self.snapshot.guests.get_mut(&action.vmid).unwrap();
        configure(guest, config, &[]);
        let bootable =
            guest.config.keys().find(|k| k.starts_with("scsi") || k.starts_with("virtio"));
        if let Some(slot) = bootable {
            let order = format!("order={slot}");
            guest.config.insert("boot".to_owned(), order);
        }
        guest.digest = Some("created".to_owned());
        self.check_storages(action.vmid);
    }

    fn clone_template(&mut self, action: &Action) {
        let ActionKind::Clone { source, full, storage, target, name, note, .. } = &action.kind
        else {
            unreachable!()
        };
        let template = self.snapshot.guests[source].clone();
        assert_eq!(template.node, action.node, "a clone is asked for at its template");
        assert!(*full || storage.is_none(), "storage is refused for a linked clone");
        let mut config = BTreeMap::new();
        for (key, value) in &template.config {
            let value = match key.as_str() {
                "template" | "lock" | "parent" => continue,
                key if key.starts_with("unused") => continue,
                key if is_nic(key) => with_new_mac(value, action.vmid),
                key if is_drive(key) => self.cloned(value, key, action.vmid, storage.as_ref()),
                "smbios1" => with_uuid(value, Uuid::from_u128(u128::from(action.vmid))),
                _ => value.clone(),
            };
            config.insert(key.clone(), value);
        }
        config.insert("name".to_owned(), name.clone());
        config.insert("description".to_owned(), note.clone());
        config.entry("smbios1".to_owned()).or_insert_with(|| with_uuid("", Uuid::from_u128(1)));
        let local =
            |v: &str| is_volume(v) && !self.snapshot.inventory.is_shared(Value::parse(v).storage());
        if target.is_some() {
            let all = template.config.iter().chain(&config);
            let mut drives = all.filter(|(key, _)| is_drive(key));
            assert!(!drives.any(|(_, v)| local(v)), "Can't clone to node (VM uses local storage)");
        }
        let node = target.as_ref().unwrap_or(&action.node).clone();
        self.insert(action.vmid, &node, config);
        let guest = self.snapshot.guests.get_mut(&action.vmid).unwrap();
        guest.digest = Some("cloned".to_owned());
        self.check_storages(action.vmid);
    }

    fn cloned(&self, value: &str, key: &str, vmid: u32, storage: Option<&String>) -> String {
        let mut drive = Value::parse(value);
        if !is_volume(value) {
            return value.to_owned();
        }
        let storage = storage.map_or_else(|| drive.storage().to_owned(), Clone::clone);
        let cloudinit = drive.first.ends_with("-cloudinit");
        let end = if cloudinit { "cloudinit".to_owned() } else { format!("disk-{key}") };
        drive.first = format!("{storage}:vm-{vmid}-{end}");
        drive.print()
    }

    fn change(&mut self, action: &Action) {
        let shared = self.snapshot.inventory.clone();
        let guest = self.snapshot.guests.get_mut(&action.vmid).unwrap();
        assert_eq!(guest.node, action.node, "asked at another node: {action:?}");
        assert_eq!(guest.lock(), None, "locked");
        for precondition in &action.preconditions {
            holds(guest, precondition);
        }
        match &action.kind {
            ActionKind::Configure { set, delete, background } => {
                let allocates = set.iter().any(|(k, v)| is_drive(k) && is_new(v));
                assert_eq!(*background, allocates, "allocations run as tasks, and nothing else");
                configure(guest, set, delete);
                guest.digest = guest.digest.as_ref().map(|digest| format!("{digest}+"));
            }
            ActionKind::Resize { disk, size: bytes } => {
                let mut drive = Value::parse(&guest.config[disk]);
                assert!(drive.size() <= *bytes, "shrinking");
                assert_ne!(drive.rest.get("media").map(String::as_str), Some("cdrom"));
                drive.rest.insert("size".to_owned(), size(*bytes));
                guest.config.insert(disk.clone(), drive.print());
            }
            ActionKind::Migrate { target, online, with_local_disks } => {
                assert!(shared.nodes[target].online && *target != guest.node);
                assert_eq!(*online, guest.running, "online is for running guests");
                let local = guest.config.iter().any(|(key, v)| {
                    is_drive(key) && is_volume(v) && !shared.is_shared(Value::parse(v).storage())
                });
                assert!(!guest.running || !local || *with_local_disks);
                guest.node.clone_from(target);
            }
            ActionKind::Start => {
                assert!(!guest.running, "VM already running");
                guest.running = true;
                let custom = guest.config.get("cicustom").cloned().unwrap_or_default();
                let ours = custom.split([',', '=']).filter_map(|v| v.split_once(":snippets/pvx-"));
                for (storage, name) in ours {
                    let name = format!("pvx-{name}");
                    let there = self.snapshot.has_snippet(&action.node, storage, &name);
                    assert_ne!(there, Some(false), "{name} is not on {}", action.node);
                }
            }
            ActionKind::Shutdown { .. } => {
                guest.running = false;
                guest.pending.clear();
            }
            ActionKind::Reboot { .. } => {
                assert!(guest.running, "VM not running");
                guest.pending.clear();
            }
            ActionKind::Destroy => {
                assert!(!guest.running && !guest.is_protected());
                self.snapshot.guests.remove(&action.vmid);
                self.purge_ha(action.vmid);
                return;
            }
            ActionKind::Pool { .. } => {}
            ActionKind::Ha { change } => self.high_availability(action.vmid, change),
            ActionKind::Create { .. } | ActionKind::Clone { .. } => unreachable!(),
            ActionKind::MoveDisk { disk, storage, format } => {
                let mut drive = Value::parse(&guest.config[disk]);
                assert_ne!((drive.storage(), format.is_none()), (storage.as_str(), true));
                assert!(!guest.running || disk != "tpmstate0");
                assert!(!guest.pending.iter().any(|p| p.key == *disk), "a boot would miss {disk}");
                let end = format.iter().map(|f| format!(".{f}")).collect::<String>();
                drive.first = format!("{storage}:vm-{}-moved-{disk}{end}", guest.vmid);
                guest.config.insert(disk.clone(), drive.print());
                guest.digest = guest.digest.as_ref().map(|digest| format!("{digest}+"));
            }
            ActionKind::Detach { disk } => {
                let drive = Value::parse(&guest.config.remove(disk).expect("it is there"));
                if !drive.rest.contains_key("media") {
                    let free = (0..).map(|n| format!("unused{n}"));
                    let free =
                        free.into_iter().find(|key| !guest.config.contains_key(key)).unwrap();
                    guest.config.insert(free, drive.first);
                }
                guest.digest = guest.digest.as_ref().map(|digest| format!("{digest}+"));
            }
            ActionKind::Erase { disk } => {
                assert!(disk.starts_with("unused"));
                guest.config.remove(disk).expect("it is there");
                guest.digest = guest.digest.as_ref().map(|digest| format!("{digest}+"));
            }
            other => panic!("this small world cannot {}", other.verb()),
        }
        self.check_storages(action.vmid);
    }

    /// A file comes to a storage: of a node, or of all of them. The guest may not be there yet.
    fn snippet(&mut self, action: &Action, storage: &str, name: &str) {
        if let Some(guest) = self.snapshot.guests.get(&action.vmid) {
            assert_eq!(guest.node, action.node, "asked at another node: {action:?}");
            action.preconditions.iter().for_each(|precondition| holds(guest, precondition));
        }
        let shared = self.snapshot.inventory.is_shared(storage);
        for ((node, other), names) in &mut self.snapshot.snippets {
            if other == storage && (shared || *node == action.node) {
                assert!(names.insert(name.to_owned()), "{name} is there already");
            }
        }
    }

    /// A disk goes from one guest to another on the same node, and its volume gets another name.
    fn reassign(&mut self, action: &Action, disk: &str, target: u32, target_disk: &str) {
        let source = self.snapshot.guests.get_mut(&action.vmid).unwrap();
        let node = source.node.clone();
        assert_eq!(node, action.node, "asked at another node: {action:?}");
        assert!(!source.running || disk.starts_with("unused"), "detach first");
        for precondition in &action.preconditions {
            holds(source, precondition);
        }
        let mut drive = Value::parse(&source.config.remove(disk).expect("it is there"));
        source.digest = Some("without".to_owned());
        let own = format!("vm-{}-", action.vmid);
        assert!(drive.first.contains(&own), "a base has no other owner: {}", drive.first);
        drive.first = drive.first.replace(&own, &format!("vm-{target}-"));
        let target = self.snapshot.guests.get_mut(&target).expect("the target is there");
        assert_eq!(target.node, node, "Both VMs need to be on the same node");
        assert!(!target.config.contains_key(target_disk), "{target_disk} is already in use");
        target.config.insert(target_disk.to_owned(), drive.print());
        target.digest = Some("with".to_owned());
    }

    /// Every volume is on a storage that its node has.
    fn check_storages(&self, vmid: u32) {
        let guest = &self.snapshot.guests[&vmid];
        for (_, value) in guest.config.iter().filter(|(k, v)| is_drive(k) && is_volume(v)) {
            let storage = Value::parse(value).storage().to_owned();
            let there = self.snapshot.inventory.storage(&guest.node, &storage);
            assert!(there.is_some(), "{} has no {storage}", guest.node);
        }
    }
}

fn holds(guest: &Guest, precondition: &Precondition) {
    match precondition {
        Precondition::VmidFree => panic!("{} is there", guest.vmid),
        // As the executor compares: Proxmox adds and strips trailing white space.
        Precondition::Begun { note } => assert_eq!(guest.config["description"].trim_end(), note),
        Precondition::Unprotected => assert!(!guest.is_protected()),
        Precondition::Holds { disk, volume } => {
            assert_eq!(Value::parse(&guest.config[disk]).first, *volume);
        }
        Precondition::Digest { digest } => assert_eq!(guest.digest.as_ref(), Some(digest)),
        Precondition::Owned { mark, uuid } => {
            assert!(guest.config["tags"].split(';').any(|tag| tag == mark));
            assert!(guest.config["smbios1"].contains(&uuid.to_string()));
        }
    }
}

/// Stands for the volume of a clone that is not made yet; the provider puts in its name.
const UNNAMED: [&str; 2] = ["<volume of the clone>", "<moved volume>"];

/// Stores values as Proxmox does.
fn configure(guest: &mut Guest, set: &BTreeMap<String, String>, delete: &[String]) {
    for key in delete {
        assert!(!set.contains_key(key), "400: {key} is set and deleted");
        assert!(!is_drive(key), "a disk would be detached");
        guest.config.remove(key);
    }
    for (key, value) in set {
        assert!(!value.is_empty() || key == "description", "{key} cannot be empty");
        let stored = match key.as_str() {
            "tags" => {
                let mut tags: Vec<_> = value.split(';').map(str::to_lowercase).collect();
                tags.sort();
                tags.join(";")
            }
            "description" => value.trim_end().to_owned(),
            key if is_drive(key) => stored_drive(guest, key, value),
            key if is_nic(key) => stored_nic(value, guest.vmid),
            _ => value.clone(),
        };
        if stored.is_empty() {
            guest.config.remove(key);
        } else {
            guest.config.insert(key.clone(), stored);
        }
    }
}

fn stored_drive(guest: &mut Guest, key: &str, value: &str) -> String {
    let mut drive = Value::parse(value);
    if drive.rest.contains_key("media") && !drive.first.ends_with("cloudinit") {
        return drive.print();
    }
    let storage = drive.storage().to_owned();
    if UNNAMED.iter().any(|name| drive.first.ends_with(name)) {
        let stored = Value::parse(&guest.config[key]);
        drive.first.clone_from(&stored.first);
        drive.rest.insert("size".to_owned(), stored.rest["size"].clone());
        drive.rest.remove("format");
        return drive.print();
    }
    let unused = guest.config.iter().find(|(k, v)| k.starts_with("unused") && **v == drive.first);
    if let Some(unused) = unused.map(|(key, _)| key.clone()) {
        guest.config.remove(&unused);
        drive.rest.entry("size".to_owned()).or_insert_with(|| "1G".to_owned());
        return drive.print();
    }
    if !is_new(value) {
        let before = guest.config.get(key).map(|v| Value::parse(v).first);
        assert_eq!(before, Some(drive.first.clone()), "{key} would get another volume");
        return drive.print();
    }
    assert!(!guest.config.contains_key(key), "{key} would be detached");
    drive.rest.remove("format");
    let asked = drive.first.split(':').nth(1).unwrap().to_owned();
    let (end, bytes) = match (asked.as_str(), key) {
        ("cloudinit", _) => ("cloudinit".to_owned(), 4 << 20),
        (_, "efidisk0") => ("disk-efi".to_owned(), 4 << 20),
        _ if drive.rest.remove("import-from").is_some() => (format!("disk-{key}"), 2 << 30),
        (gib, _) => {
            let mib = gib.parse::<f64>().unwrap() * 1024.0;
            (format!("disk-{key}"), (mib as u64) << 20)
        }
    };
    drive.first = format!("{storage}:vm-{}-{end}", guest.vmid);
    drive.rest.insert("size".to_owned(), size(bytes));
    if asked == "cloudinit" {
        drive.rest.insert("media".to_owned(), "cdrom".to_owned());
    }
    drive.print()
}

fn stored_nic(value: &str, vmid: u32) -> String {
    let nic = Value::parse(value);
    if nic.first.contains('=') { nic.print() } else { with_new_mac(value, vmid) }
}

fn with_new_mac(value: &str, vmid: u32) -> String {
    let mut nic = Value::parse(value);
    let model = nic.first.split('=').next().unwrap().to_owned();
    nic.first = format!("{model}=BC:24:11:AA:{:02X}:{:02X}", vmid >> 8 & 255, vmid & 255);
    nic.print()
}

fn with_uuid(value: &str, uuid: Uuid) -> String {
    let others = value.split(',').filter(|p| !p.is_empty() && !p.starts_with("uuid="));
    others.map(str::to_owned).chain([format!("uuid={uuid}")]).collect::<Vec<_>>().join(",")
}

/// `storage:SIZE` and `storage:cloudinit` ask for a new volume.
fn is_new(value: &str) -> bool {
    let volume = value.split(',').next().unwrap();
    volume
        .split_once(':')
        .is_some_and(|(_, name)| name == "cloudinit" || name.parse::<f64>().is_ok())
}

/// Is it on a storage (no `none`, no ISO)?
fn is_volume(value: &str) -> bool {
    value.split(',').next().unwrap().contains(':') && !value.contains(":iso/")
}
