//! Volumes beside the disks of guests.

use super::Builder;
use crate::spec::format::{VolumeSpec, WorldFile};
use crate::spec::problem::At;
use crate::spec::value::WordOr;
use crate::storage::alloc::rounded;
use crate::storage::volname;
use crate::world::lab::GIB;
use crate::world::storage::Volume;
use crate::world::volumes::split_volid;

impl Builder<'_> {
    pub(super) fn volumes(&mut self, file: &WorldFile) {
        let top = At::top("volumes");
        for (index, item) in file.volumes.iter().enumerate() {
            let at = top.item(index);
            match item {
                WordOr::Full(spec) => self.volume(&at, spec),
                WordOr::Word(volid) => {
                    let spec = VolumeSpec { volid: volid.clone(), ..VolumeSpec::default() };
                    self.volume(&at, &spec);
                }
            }
        }
    }

    fn volume(&mut self, at: &At<'_>, spec: &VolumeSpec) {
        let (volid, place) = (spec.volid.as_str(), at.key("volid"));
        let Some((id, name)) = split_volid(volid) else {
            let help = Some("as in 'local:iso/debian.iso'".to_owned());
            self.wrong(&place, format!("'{volid}' is no volume"), help);
            return;
        };
        if !self.knows_storage(&place, id) {
            return;
        }
        let Some(storage) = self.world.storages.get(id).cloned() else { return };
        let parsed = match volname::parse(storage.kind, name) {
            Ok(parsed) => parsed,
            Err(text) => return self.wrong(&place, text, Some(forms(&storage).to_owned())),
        };
        if !storage.holds(parsed.content) {
            let message = format!("storage '{id}' does not hold '{}'", parsed.content);
            let help = Some(format!("it holds {}", storage.content.join(", ")));
            return self.wrong(&place, message, help);
        }
        let volume = made(&storage, &parsed, spec);
        for node in self.nodes_of(at, &storage, spec) {
            let room = crate::storage::alloc::free_bytes(&self.world, &storage, &node);
            if volume.used > room {
                let message = format!("there is no room for '{volid}' on storage '{id}' of {node}");
                return self.wrong(at, message, Some("raise its 'capacity'".to_owned()));
            }
            self.world.add_volume(&node, volid, volume.clone());
        }
    }

    /// The nodes that get it: one when the storage is shared.
    fn nodes_of(
        &mut self,
        at: &At<'_>,
        storage: &crate::world::storage::Storage,
        spec: &VolumeSpec,
    ) -> Vec<String> {
        if let Some(nodes) = &spec.nodes {
            let at = at.key("nodes");
            let all = nodes.iter().enumerate();
            let known: Vec<String> = all
                .filter(|(index, node)| self.knows_node(&at.item(*index), node))
                .map(|(_, node)| node.clone())
                .collect();
            return known;
        }
        let names = self.world.nodes.keys().filter(|node| storage.on_node(node)).cloned();
        names.take(if storage.shared { 1 } else { usize::MAX }).collect()
    }
}

fn made(
    storage: &crate::world::storage::Storage,
    parsed: &volname::VolName,
    spec: &VolumeSpec,
) -> Volume {
    let image = parsed.content == "images";
    let text = spec.text.as_ref().map(|text| text.len() as u64);
    let size = spec.size.map(|size| size.0).or(text).unwrap_or(GIB);
    let size = if image { rounded(storage, size) } else { size };
    let disk = image || (parsed.content == "import" && parsed.format != "ova");
    let used = match spec.used {
        Some(used) => used.0,
        None if image && storage.is_thick() => size,
        None if disk => size / 10,
        None => size,
    };
    let format = match parsed.content {
        "iso" => "iso",
        "snippets" => "snippet",
        "backup" => parsed.name.split_once(".vma").map_or("tar", |_| "vma.zst"),
        _ => parsed.format.as_str(),
    };
    Volume {
        content: parsed.content.to_owned(),
        format: spec.format.clone().unwrap_or_else(|| format.to_owned()),
        size,
        used,
        vmid: parsed.vmid,
        parent: parsed.base.as_ref().map(|(base, _)| base.clone()),
        ctime: 1_790_000_000,
        bootable: spec.bootable,
        text: spec.text.clone(),
        notes: spec.notes.clone(),
        protected: spec.protected,
        checksums: spec.checksums.clone(),
        ..Volume::default()
    }
}

/// How volumes of a storage are named.
fn forms(storage: &crate::world::storage::Storage) -> &'static str {
    match storage.kind.has_files() {
        true => {
            "files are iso/NAME.iso, import/NAME.qcow2, snippets/NAME, vztmpl/NAME.tar.zst, backup/vzdump-…, or VMID/vm-VMID-disk-0.qcow2"
        }
        false => "disks are vm-VMID-disk-0, or base-VMID-disk-0 of a template",
    }
}
