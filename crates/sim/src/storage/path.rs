//! Where volumes are on a node (`path` and `get_subdir` of the plugins), and back.

use super::volname;
use crate::world::World;
use crate::world::storage::{Storage, StorageKind};

/// The folder of a content type below a storage's path.
fn subfolder(content: &str) -> Option<&'static str> {
    Some(match content {
        "images" => "images",
        "rootdir" => "private",
        "iso" => "template/iso",
        "vztmpl" => "template/cache",
        "backup" => "dump",
        "snippets" => "snippets",
        "import" => "import",
        _ => return None,
    })
}

/// The folder that holds a content type, for storages with a path.
pub(crate) fn folder(storage: &Storage, content: &str) -> Option<String> {
    let path = storage.path.as_deref()?;
    let own = storage.options.get("content-dirs").and_then(|value| {
        crate::guest::format::list(value)
            .find_map(|part| part.strip_prefix(content)?.strip_prefix('='))
    });
    let below = own.or(subfolder(content))?;
    Some(format!("{path}/{below}"))
}

/// Path and owner of a volume; the error of the plugin when it is no name.
pub(crate) fn path(storage: &Storage, name: &str) -> Result<(String, volname::VolName), String> {
    let parsed = volname::parse(storage.kind, name)?;
    let option = |key: &str| storage.options.get(key).cloned();
    let own = &parsed.name;
    let path = match storage.kind {
        StorageKind::Lvm | StorageKind::LvmThin => {
            format!("/dev/{}/{own}", option("vgname").unwrap_or_else(|| "pve".to_owned()))
        }
        StorageKind::ZfsPool | StorageKind::Zfs => {
            let pool = option("pool").unwrap_or_else(|| "rpool".to_owned());
            match parsed.format.as_str() {
                "subvol" => {
                    format!("{}/{own}", option("mountpoint").unwrap_or(format!("/{pool}")))
                }
                _ => format!("/dev/zvol/{pool}/{own}"),
            }
        }
        StorageKind::Rbd => rbd(storage, own),
        _ => {
            let folder = folder(storage, parsed.content).unwrap_or_default();
            match parsed.vmid.filter(|_| parsed.content == "images") {
                Some(vmid) => format!("{folder}/{vmid}/{own}"),
                None => format!("{folder}/{own}"),
            }
        }
    };
    Ok((path, parsed))
}

fn rbd(storage: &Storage, name: &str) -> String {
    let option = |key: &str| storage.options.get(key).map(String::as_str);
    let mut image = option("pool").unwrap_or("rbd").to_owned();
    if let Some(namespace) = option("namespace") {
        image = format!("{image}/{namespace}");
    }
    let user = option("username").unwrap_or("admin");
    let keyring = format!("/etc/pve/priv/ceph/{}.keyring", storage.id);
    match option("monhost") {
        Some(hosts) => {
            let hosts: Vec<&str> = crate::guest::format::list(hosts).collect();
            let hosts = hosts.join(";").replace(':', "\\:");
            format!(
                "rbd:{image}/{name}:mon_host={hosts}:auth_supported=cephx:id={user}:keyring={keyring}"
            )
        }
        None => format!("rbd:{image}/{name}:conf=/etc/pve/ceph.conf:id={user}:keyring={keyring}"),
    }
}

impl World {
    /// The volume id of an absolute path on any node, when a storage's folder holds it
    /// (`path_to_volume_id`): `/var/lib/vz/iso/x.iso` is no volume, `/var/lib/vz/template/iso/x.iso`
    /// is `local:iso/x.iso`. The volume need not exist.
    #[must_use]
    pub fn volid_of_path(&self, path: &str) -> Option<String> {
        let tidy = tidy(path);
        self.storages.values().find_map(|storage| {
            for content in ["images", "iso", "vztmpl", "backup", "snippets", "import"] {
                let Some(folder) = folder(storage, content) else { continue };
                let Some(rest) = tidy.strip_prefix(&format!("{folder}/")) else { continue };
                let name =
                    if content == "images" { rest.to_owned() } else { format!("{content}/{rest}") };
                if volname::parse(storage.kind, &name).is_ok() {
                    return Some(format!("{}:{name}", storage.id));
                }
            }
            None
        })
    }
}

/// Without `.`, `..` and doubled slashes.
fn tidy(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_back() {
        let world = World::truth();
        for (volid, expected) in [
            ("local:iso/a.iso", "/var/lib/vz/template/iso/a.iso"),
            ("local:snippets/user.yaml", "/var/lib/vz/snippets/user.yaml"),
            ("local:import/a.qcow2", "/var/lib/vz/import/a.qcow2"),
            ("vmdata:100/vm-100-disk-0.raw", "/var/lib/vmdata/images/100/vm-100-disk-0.raw"),
        ] {
            let (storage, name) = volid.split_once(':').unwrap();
            let found = path(&world.storages[storage], name).unwrap().0;
            assert_eq!(found, expected);
            assert_eq!(world.volid_of_path(&found).as_deref(), Some(volid));
        }
        assert_eq!(
            world.volid_of_path("/var/lib/vz//snippets/../snippets/./u.yaml").as_deref(),
            Some("local:snippets/u.yaml")
        );
        assert_eq!(world.volid_of_path("/etc/passwd"), None);
        assert_eq!(world.volid_of_path("/var/lib/vz/import/a.txt"), None);
    }

    #[test]
    fn blocks() {
        let mut storage = Storage::new("fast", StorageKind::ZfsPool, false, &["images"], 1);
        storage.options.insert("pool".into(), "tank/vm".into());
        let found = path(&storage, "base-9-disk-0/vm-100-disk-0").unwrap().0;
        assert_eq!(found, "/dev/zvol/tank/vm/vm-100-disk-0");
        storage.kind = StorageKind::Rbd;
        let found = path(&storage, "vm-100-disk-0").unwrap().0;
        assert!(found.starts_with("rbd:tank/vm/vm-100-disk-0:conf=/etc/pve/ceph.conf"), "{found}");
    }
}
