//! Storages as folders: a file in the right place with the right name is a volume.

use super::{Errno, Fs, Meta, UMASK, image, split};
use crate::world::World;
use crate::world::files::{Body, Bytes, File};
use crate::world::storage::{Storage, Volume};

/// Content type, folder below the storage's path, and what a volume name starts with.
const FOLDERS: &[(&str, &str, &str)] = &[
    ("iso", "template/iso", "iso/"),
    ("vztmpl", "template/cache", "vztmpl/"),
    ("import", "import", "import/"),
    ("snippets", "snippets", "snippets/"),
    ("backup", "dump", "backup/"),
    ("images", "images", ""),
    ("rootdir", "private", ""),
];

/// The volume name of a file below a storage's path, when the name is one of the kind
/// (`PVE::Storage::path_to_volume_id`).
fn volname(rest: &str) -> Option<(&'static str, String)> {
    let (content, folder, prefix) =
        FOLDERS.iter().find(|(_, folder, _)| rest.starts_with(&format!("{folder}/")))?;
    let name = rest.get(folder.len() + 1..)?;
    let lower = name.to_ascii_lowercase();
    let ends = |all: &[&str]| all.iter().any(|end| lower.ends_with(end) && lower.len() > end.len());
    let fits = match *content {
        "images" => return image_name(name).map(|name| (*content, name)),
        "iso" => ends(&[".iso", ".img"]),
        "vztmpl" => ends(&[".tar", ".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2"]),
        "import" => ends(&[".ova", ".ovf", ".qcow2", ".raw", ".vmdk"]),
        "snippets" => true,
        "backup" => ends(&[".tgz", ".tar", ".vma", ".gz", ".lzo", ".zst", ".bz2"]),
        _ => false,
    };
    (fits && !name.is_empty() && !name.contains('/')).then(|| (*content, format!("{prefix}{name}")))
}

/// `100/vm-100-disk-0.qcow2`.
fn image_name(name: &str) -> Option<String> {
    let (vmid, file) = name.split_once('/')?;
    vmid.parse::<u32>().ok()?;
    let (_, format) = file.rsplit_once('.')?;
    let fits = ["raw", "qcow2", "vmdk"].contains(&format) && !file.contains('/');
    fits.then(|| name.to_owned())
}

/// The storage whose folder a path is in, and the path below it.
pub(super) fn storage_at<'w>(
    world: &'w World,
    node: &str,
    path: &str,
) -> Option<(&'w Storage, String)> {
    let all = world.storages.values().filter(|storage| storage.on_node(node));
    let found = all.filter_map(|storage| {
        let base = storage.path.as_deref()?;
        let rest = path.strip_prefix(base)?;
        (rest.is_empty() || rest.starts_with('/')).then_some((storage, base, rest))
    });
    let (storage, _, rest) = found.max_by_key(|(_, base, _)| base.len())?;
    Some((storage, rest.trim_start_matches('/').to_owned()))
}

/// Folders of storages and those above them.
pub(super) fn storage_folders(world: &World, node: &str) -> Vec<String> {
    let mut out = Vec::new();
    for storage in world.storages.values().filter(|storage| storage.on_node(node)) {
        let Some(base) = &storage.path else { continue };
        let mut above = base.as_str();
        while above != "/" && !above.is_empty() {
            out.push(above.to_owned());
            above = split(above).0;
        }
        for (_, folder, _) in FOLDERS.iter().filter(|(content, ..)| storage.holds(content)) {
            out.push(format!("{base}/{folder}"));
            if let Some((above, _)) = folder.split_once('/') {
                out.push(format!("{base}/{above}"));
            }
        }
    }
    out
}

impl Fs<'_> {
    pub(super) fn storage_at(&self, path: &str) -> Option<(&Storage, String)> {
        storage_at(self.world, self.node, path)
    }

    pub(super) fn storage_folders(&self) -> Vec<String> {
        storage_folders(self.world, self.node)
    }

    pub(super) fn is_storage_folder(&self, path: &str) -> bool {
        if self.storage_folders().iter().any(|folder| folder == path) {
            return true;
        }
        // `images/100` is there while it holds something.
        let Some((storage, rest)) = self.storage_at(path) else { return false };
        let Some(vmid) = rest.strip_prefix("images/") else { return false };
        let prefix = format!("{vmid}/");
        self.world.volumes_on(&storage.id, self.node).any(|(name, _)| name.starts_with(&prefix))
    }

    /// The volume id that a file at this path has.
    pub(crate) fn volume_at(&self, path: &str) -> Option<String> {
        let (storage, rest) = self.storage_at(path)?;
        let (content, name) = volname(&rest)?;
        let holds = storage.holds(content) || (content == "images" && storage.holds("rootdir"));
        holds.then(|| format!("{}:{name}", storage.id))
    }

    fn found(&self, path: &str) -> Option<&Volume> {
        self.world.volume(self.node, &self.volume_at(path)?)
    }

    pub(super) fn volume_meta(&self, path: &str) -> Option<Meta> {
        let volume = self.found(path)?;
        let meta = Meta::file(file_size(volume), volume.ctime);
        Some(Meta { mode: volume.mode.unwrap_or(meta.mode), ..meta })
    }

    pub(super) fn volume_body(&self, path: &str) -> Option<Body> {
        let volume = self.found(path)?;
        if let Some(text) = &volume.text {
            return Some(Body::Bytes(Bytes::from(text.clone().into_bytes())));
        }
        // Bytes of a volume that was replaced since through the API are old.
        let kept = self.stored(path).filter(|file| file.mtime == volume.ctime);
        match kept.map(|file| &file.body) {
            Some(Body::Bytes(bytes)) if bytes.0.len() as u64 == volume.used => {
                Some(Body::Bytes(bytes.clone()))
            }
            Some(Body::Image(image)) if image.used == volume.used => {
                Some(Body::Image(image.clone()))
            }
            _ => Some(Body::Image(crate::world::files::Image {
                format: volume.format.clone(),
                size: volume.size,
                used: file_size(volume),
                bootable: volume.bootable,
                ..crate::world::files::Image::default()
            })),
        }
    }

    /// Writes a volume: its content where it is small, its outside always.
    pub(super) fn write_volume(
        &mut self,
        path: &str,
        volid: &str,
        body: Body,
    ) -> Result<(), Errno> {
        let Some((storage, rest)) = self.storage_at(path) else { return Err(Errno::NoEntry) };
        let (id, capacity) = (storage.id.clone(), storage.capacity);
        let Some((content, name)) = volname(&rest) else { return Err(Errno::Invalid) };
        let outside = match &body {
            Body::Image(image) => image.clone(),
            Body::Bytes(bytes) => image::probe(&bytes.0),
            Body::Folder => return Err(Errno::Invalid),
        };
        let new = (self.umask != UMASK).then_some(0o666 & !self.umask);
        let (before, mode) = self.found(path).map_or((0, new), |old| (old.used, old.mode));
        let used = self.world.used(&id, self.node).saturating_sub(before);
        if used.saturating_add(outside.used) > capacity {
            return Err(Errno::NoSpace);
        }
        let is_disk = matches!(content, "images" | "import");
        let format = match content {
            "iso" => "iso".to_owned(),
            "snippets" => "snippet".to_owned(),
            _ => name.rsplit('.').next().unwrap_or_default().to_owned(),
        };
        let text = match &body {
            Body::Bytes(bytes) if content == "snippets" => String::from_utf8(bytes.0.to_vec()).ok(),
            _ => None,
        };
        let volume = Volume {
            content: content.to_owned(),
            format,
            size: if is_disk { outside.size } else { outside.used },
            used: outside.used,
            vmid: name.split('/').next().and_then(|vmid| vmid.parse().ok()),
            ctime: self.now,
            bootable: is_disk && outside.bootable,
            mode,
            text,
            ..Volume::default()
        };
        let keep = volume.text.is_none();
        self.world.add_volume(self.node, volid, volume);
        let place = self.place(path);
        let files = self.world.files.entry(place).or_default();
        files.remove(path);
        let keep = keep
            && match &body {
                Body::Bytes(_) => true,
                Body::Image(image) => image.lost,
                Body::Folder => false,
            };
        if keep {
            files.insert(path.to_owned(), File { mode: 0o644, mtime: self.now, body });
        }
        Ok(())
    }

    pub(super) fn remove_volume_at(&mut self, path: &str) -> bool {
        let Some(volid) = self.volume_at(path) else { return false };
        let removed = self.world.remove_volume(self.node, &volid).is_some();
        if removed {
            self.remove_plain(path);
        }
        removed
    }

    /// Volumes (and folders of guests) in a storage's folder.
    pub(super) fn volume_list(&self, path: &str) -> Vec<String> {
        let Some((storage, rest)) = self.storage_at(path) else { return Vec::new() };
        let prefix = match rest.as_str() {
            "images" => String::new(),
            other => match (other.strip_prefix("images/"), folder_prefix(other)) {
                (Some(vmid), _) => format!("{vmid}/"),
                (None, Some(prefix)) => prefix.to_owned(),
                (None, None) => return Vec::new(),
            },
        };
        let all = self.world.volumes_on(&storage.id, self.node);
        let names = all.filter_map(|(name, volume)| {
            let inside = name.strip_prefix(&prefix)?;
            let fits = !prefix.is_empty() || volume.content == "images";
            fits.then(|| inside.split('/').next().unwrap_or(inside).to_owned())
        });
        names.collect()
    }

    /// The path of a volume on this node.
    pub(crate) fn path_of(&self, volid: &str) -> String {
        match volid.split_once(":backup/") {
            Some((storage, file)) => {
                let base = self.world.storages.get(storage).and_then(|found| found.path.clone());
                format!("{}/dump/{file}", base.unwrap_or_default())
            }
            None => crate::guest::allocate::path_of(self.world, volid),
        }
    }
}

fn folder_prefix(folder: &str) -> Option<&'static str> {
    FOLDERS.iter().find(|(_, known, _)| *known == folder).map(|(_, _, prefix)| *prefix)
}

/// Of a raw image the file is as long as the disk; of others as long as what is allocated.
fn file_size(volume: &Volume) -> u64 {
    if volume.content == "images" && volume.format == "raw" { volume.size } else { volume.used }
}

#[cfg(test)]
mod tests {
    use super::volname;

    #[test]
    fn volume_names_of_files() {
        for (path, name) in [
            ("template/iso/a.iso", Some("iso/a.iso")),
            ("template/iso/a.txt", None),
            ("snippets/x.yaml", Some("snippets/x.yaml")),
            ("import/a.qcow2", Some("import/a.qcow2")),
            ("import/.qcow2", None),
            ("images/100/vm-100-disk-0.qcow2", Some("100/vm-100-disk-0.qcow2")),
            ("images/x/vm-100-disk-0.qcow2", None),
            ("images/100/notes.txt", None),
            ("other/x", None),
        ] {
            assert_eq!(volname(path).map(|found| found.1).as_deref(), name, "{path}");
        }
    }
}
