//! Many guests that are alike.

use std::collections::BTreeMap;

use super::Builder;
use super::guests::complete;
use crate::spec::format::GenerateSpec;
use crate::spec::problem::At;
use crate::storage::alloc::rounded;
use crate::world::guest::Guest;
use crate::world::lab::GIB;
use crate::world::storage::{Storage, Volume};

/// As many guests as anybody has tried.
const MOST: u32 = 200_000;
const MADE: i64 = 1_790_000_000;

impl Builder<'_> {
    pub(super) fn generate(&mut self, spec: &GenerateSpec) {
        let at = At::top("generate");
        if spec.guests > MOST {
            let message = format!("at most {MOST} guests are made");
            return self.wrong(&at.key("guests"), message, None);
        }
        let share = spec.running.unwrap_or(0.8);
        if !(0.0..=1.0).contains(&share) {
            return self.wrong(&at.key("running"), "a share is 0 to 1", None);
        }
        let config = self.config(&at, &spec.config);
        if config.keys().any(|key| crate::guest::keys::is_drive(key)) {
            let help = Some("say 'storage' and 'disk' instead".to_owned());
            return self.wrong(&at.key("config"), "guests that are made have one disk", help);
        }
        let Some(storage) = self.storage_of(&at, spec) else { return };
        let nodes: Vec<String> =
            self.world.nodes.keys().filter(|node| storage.on_node(node)).cloned().collect();
        let made = Made { spec, storage: &storage, nodes: &nodes, share, config };
        let mut vmid = spec.first_vmid.unwrap_or(1000).max(100);
        for index in 0..spec.guests {
            while self.world.guests.contains_key(&vmid) {
                vmid += 1;
            }
            self.generated(&made, index, vmid);
        }
    }

    fn storage_of(&mut self, at: &At<'_>, spec: &GenerateSpec) -> Option<Storage> {
        if let Some(id) = &spec.storage {
            let at = at.key("storage");
            if !self.knows_storage(&at, id) {
                return None;
            }
            let found = self.world.storages.get(id).cloned()?;
            if !found.holds("images") {
                self.wrong(&at, format!("storage '{id}' does not hold images"), None);
                return None;
            }
            return Some(found);
        }
        let found = self.world.storages.values().find(|storage| storage.holds("images")).cloned();
        if found.is_none() && spec.guests > 0 {
            self.wrong(at, "no storage holds images", Some("list one under 'storages'".to_owned()));
        }
        found
    }

    fn generated(&mut self, made: &Made<'_>, index: u32, vmid: u32) {
        let Some(node) = made.nodes.get(index as usize % made.nodes.len().max(1)) else { return };
        let (volname, volume) = made.disk(vmid);
        let volid = format!("{}:{volname}", made.storage.id);
        let size = crate::guest::size::print(volume.size);
        self.world.add_volume(node, &volid, volume);
        let mut config = made.config.clone();
        let prefix = made.spec.name.as_deref().unwrap_or("vm");
        config.insert("name".to_owned(), format!("{prefix}-{vmid}"));
        for (key, value) in [
            ("boot", "order=scsi0"),
            ("cores", "2"),
            ("memory", "2048"),
            ("net0", "virtio,bridge=vmbr0"),
            ("ostype", "l26"),
            ("scsihw", "virtio-scsi-single"),
        ] {
            config.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
        config.insert("scsi0".to_owned(), format!("{volid},size={size}"));
        complete(&mut config, vmid);
        let runs = made.runs(index) && self.world.nodes.get(node).is_some_and(|node| node.online);
        let running = runs.then(|| self.running(true));
        let guest = Guest { vmid, node: node.clone(), config, running, ..Guest::default() };
        self.world.add_guest(guest);
        if made.spec.pools > 0 {
            let pool = format!("pool{}", index % made.spec.pools + 1);
            self.world.pools.entry(pool).or_default().guests.insert(vmid);
        }
    }
}

/// What all of them share.
struct Made<'a> {
    spec: &'a GenerateSpec,
    storage: &'a Storage,
    nodes: &'a [String],
    share: f64,
    config: BTreeMap<String, String>,
}

impl Made<'_> {
    /// Spread evenly: every time the share passes a whole number.
    fn runs(&self, index: u32) -> bool {
        let until = |count: u32| (f64::from(count) * self.share).floor();
        until(index + 1) > until(index)
    }

    fn disk(&self, vmid: u32) -> (String, Volume) {
        let size = rounded(self.storage, self.spec.disk.map_or(8 * GIB, |size| size.0));
        let format = self.storage.default_format();
        let name = match self.storage.kind.has_files() {
            true => format!("{vmid}/vm-{vmid}-disk-0.{format}"),
            false => format!("vm-{vmid}-disk-0"),
        };
        let used = self.spec.used.map_or(0, |used| used.0);
        let volume = Volume {
            content: "images".to_owned(),
            format: format.to_owned(),
            size,
            used: if self.storage.is_thick() { size } else { used },
            vmid: Some(vmid),
            ctime: MADE,
            bootable: true,
            ..Volume::default()
        };
        (name, volume)
    }
}
