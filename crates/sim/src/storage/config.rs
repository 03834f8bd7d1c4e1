//! `storage.cfg`: making, changing and removing entries (`PVE::API2::Storage::Config`).

use std::collections::BTreeMap;

use sha1::{Digest, Sha1};

use super::activate;
use super::options::{Rule, is_sensitive, needed, rule};
use crate::guest::format::{list, parse_bool};
use crate::world::World;
use crate::world::guest::hex;
use crate::world::storage::{Storage, StorageKind};

/// Bytes of a storage that an operator makes, where nothing tells its size.
const SIZE: u64 = 100 << 30;

/// The digest of the whole configuration.
pub(crate) fn digest(world: &World) -> String {
    hex(&Sha1::digest(text(world).as_bytes()))
}

/// The file `/etc/pve/storage.cfg`.
pub(crate) fn text(world: &World) -> String {
    let mut out = String::new();
    let mut all: Vec<&Storage> = world.storages.values().collect();
    all.sort_by_key(|storage| storage.order);
    for storage in all {
        out.push_str(&format!("{}: {}\n", storage.kind.name(), storage.id));
        let (switched, mut entries): (Vec<_>, Vec<_>) =
            entries(storage).into_iter().partition(|(key, _)| key == "disable");
        if !switched.is_empty() {
            out.push_str("\tdisable\n");
        }
        let needed = |key: &str| rule(storage.kind, key).is_some_and(|rule| !rule.is_optional());
        entries.sort_by_key(|(key, _)| (!needed(key), key.clone()));
        for (key, value) in entries {
            out.push_str(&format!("\t{key} {value}\n"));
        }
        out.push('\n');
    }
    out
}

/// The options of a storage as they are stored.
pub(crate) fn entries(storage: &Storage) -> Vec<(String, String)> {
    let mut out = Vec::new();
    if let Some(path) = &storage.path {
        out.push(("path".to_owned(), path.clone()));
    }
    out.push(("content".to_owned(), content_of(storage)));
    out.extend(storage.options.iter().map(|(key, value)| (key.clone(), value.clone())));
    if let Some(nodes) = &storage.nodes {
        out.push(("nodes".to_owned(), nodes.join(",")));
    }
    if storage.shared && !storage.kind.always_shared() {
        out.push(("shared".to_owned(), "1".to_owned()));
    }
    out
}

/// The content types as one text; `none` when there are none.
pub(crate) fn content_of(storage: &Storage) -> String {
    if storage.content.is_empty() {
        return "none".to_owned();
    }
    storage.content.join(",")
}

/// `check_config`: the options of a type, as they will be stored.
fn check(kind: StorageKind, params: &BTreeMap<String, String>, create: bool) -> Result<(), String> {
    for (key, value) in params {
        let known = rule(kind, key);
        if !create && known.is_some_and(Rule::is_fixed) {
            return Err(format!("can't change value of fixed parameter '{key}'"));
        }
        if known.is_none() {
            return Err(format!("unexpected property '{key}'"));
        }
        if value.contains(['\n', '\r']) {
            return Err("property contains a line feed".to_owned());
        }
        if key == "content" {
            content(kind, value)?;
        }
    }
    if create && let Some(missing) = needed(kind).find(|name| !params.contains_key(*name)) {
        return Err(format!("missing value for required option '{missing}'"));
    }
    Ok(())
}

/// The content types that a type takes of a list; it drops those it cannot hold.
fn content(kind: StorageKind, value: &str) -> Result<Vec<String>, String> {
    let mut found: Vec<String> = Vec::new();
    for word in list(value).filter(|word| kind.content().contains(word)) {
        if !found.iter().any(|known| known == word) {
            found.push(word.to_owned());
        }
    }
    if found.iter().any(|word| word == "none") && found.len() > 1 {
        return Err("unable to combine 'none' with other content types".to_owned());
    }
    if found.is_empty() && !kind.content().contains(&"none") {
        return Err("storage does not support content type 'none'".to_owned());
    }
    found.retain(|word| word != "none");
    Ok(found)
}

/// Takes options over into a storage.
fn set(storage: &mut Storage, params: &BTreeMap<String, String>) {
    for (key, value) in params {
        match key.as_str() {
            "path" => storage.path = Some(value.clone()),
            "content" => storage.content = content(storage.kind, value).unwrap_or_default(),
            "nodes" => {
                let mut nodes: Vec<String> = list(value).map(str::to_owned).collect();
                nodes.sort();
                nodes.dedup();
                storage.nodes = Some(nodes).filter(|nodes| !nodes.is_empty());
            }
            "shared" => {
                let shared = parse_bool(value).unwrap_or(false);
                storage.shared = storage.kind.always_shared() || shared;
                storage.options.remove(key);
                if !shared {
                    // A plain `no` is stored too.
                    storage.options.insert(key.clone(), "0".to_owned());
                }
            }
            name if is_sensitive(name) => {}
            _ => {
                let stored = match parse_bool(value).filter(|_| is_flag(key)) {
                    Some(flag) => u8::from(flag).to_string(),
                    None => value.clone(),
                };
                // `disable` stands there or not, and nothing is no value (`write_config`).
                if stored.is_empty() || (key == "disable" && stored == "0") {
                    storage.options.remove(key);
                } else {
                    storage.options.insert(key.clone(), stored);
                }
            }
        }
    }
}

/// Options that are stored as 0 or 1 and listed as numbers.
pub(crate) fn is_flag(name: &str) -> bool {
    matches!(
        name,
        "disable"
            | "sparse"
            | "krbd"
            | "fuse"
            | "mkdir"
            | "create-base-path"
            | "create-subdirs"
            | "nocow"
            | "saferemove"
            | "tagged_only"
            | "nowritecache"
            | "skip-cert-verification"
            | "snapshot-as-volume-chain"
            | "shared"
    )
}

/// Options that are listed as numbers.
pub(crate) fn is_number(name: &str) -> bool {
    matches!(name, "port" | "max-protected-backups" | "saferemove-stepsize") || is_flag(name)
}

/// Makes a storage. `node` is the node that answers: it tries to use the storage.
pub(crate) fn create(
    world: &mut World,
    node: &str,
    id: &str,
    kind: StorageKind,
    mut params: BTreeMap<String, String>,
) -> Result<(), String> {
    params.retain(|name, value| name != "nodes" || !value.is_empty());
    if matches!(kind, StorageKind::Nfs | StorageKind::Cifs | StorageKind::CephFs) {
        params.entry("path".to_owned()).or_insert_with(|| format!("/mnt/pve/{id}"));
    }
    check(kind, &params, true)?;
    let mut storage = Storage::new(id, kind, kind.always_shared(), kind.default_content(), SIZE);
    storage.path = None;
    set(&mut storage, &params);
    if matches!(kind, StorageKind::Dir | StorageKind::Btrfs) {
        check_path(&mut storage)?;
        find_folder(world, node, &mut storage);
    }
    let failed = |text: String| format!("create storage failed: {text}");
    if world.storages.contains_key(id) {
        return Err(failed(format!("storage ID '{id}' already defined")));
    }
    before_adding(world, &storage, &params).map_err(failed)?;
    resources(world, node, &mut storage);
    let used_here = !storage.disabled() && storage.on_node(node);
    if used_here && !storage.reachable(node) && kind.is_tried() {
        return Err(failed(activate::unreachable(&storage)));
    }
    world.add_storage(storage);
    Ok(())
}

/// What plugins refuse before a storage is tried (`on_add_hook`).
fn before_adding(
    world: &World,
    storage: &Storage,
    params: &BTreeMap<String, String>,
) -> Result<(), String> {
    if storage.kind == StorageKind::Esxi && !params.contains_key("password") {
        return Err("missing password".to_owned());
    }
    let base = storage.options.get("base").and_then(|base| base.split(':').next());
    match base.map(|id| (id, world.storages.get(id))) {
        Some((id, None)) => Err(format!("base storage ID '{id}' does not exist")),
        Some((_, Some(other))) if other.kind != StorageKind::Iscsi => Err(format!(
            "unsupported base type '{}' at /usr/share/perl5/PVE/Storage/LVMPlugin.pm line 489.",
            other.kind.name()
        )),
        _ => Ok(()),
    }
}

/// A directory's path has few characters, and no slash at its end.
fn check_path(storage: &mut Storage) -> Result<(), String> {
    let path = storage.path.clone().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-/_.@".contains(&byte);
    if path.len() < 2 || !path.bytes().all(plain) {
        return Err(format!("illegal path for directory storage: {path}"));
    }
    let parts: Vec<&str> =
        path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    storage.path = Some(format!("/{}", parts.join("/")));
    Ok(())
}

/// Whether a new storage's folder is there: a mount point only where another storage has it, and
/// without `create-base-path` only what is there already (`config_aware_base_mkdir`).
fn find_folder(world: &mut World, node: &str, storage: &mut Storage) {
    let flag = |key: &str| storage.options.get(key).and_then(|text| parse_bool(text));
    let makes = flag("create-base-path").or(flag("mkdir")).unwrap_or(true);
    let wanted = mount_point(storage).or(storage.path.clone().filter(|_| !makes));
    let Some(wanted) = wanted else { return };
    let mounted = mount_point(storage).is_some();
    let known = world.storages.values().any(|other| other.path.as_ref() == Some(&wanted));
    let there = known || (!mounted && is_folder(world, node, &wanted));
    if !there {
        storage.unreachable = vec!["*".to_owned()];
    }
}

/// `parse_is_mountpoint`: where something has to be mounted.
pub(crate) fn mount_point(storage: &Storage) -> Option<String> {
    let text = storage.options.get("is_mountpoint")?;
    match parse_bool(text) {
        Some(true) => storage.path.clone(),
        Some(false) => None,
        None => Some(text.clone()),
    }
}

/// Whether a node has a folder at a path.
fn is_folder(world: &mut World, node: &str, path: &str) -> bool {
    crate::shell::fs::Fs { world, node, now: 0, umask: crate::shell::fs::UMASK }.is_folder(path)
}

/// What a new storage stands on: the root file system, or what another storage of the world shows
/// to be there (a volume group, a pool, a server).
fn resources(world: &World, node: &str, storage: &mut Storage) {
    let named: &[&str] = match storage.kind {
        StorageKind::Lvm => &["vgname"],
        StorageKind::LvmThin => &["vgname", "thinpool"],
        StorageKind::ZfsPool => &["pool"],
        StorageKind::Nfs | StorageKind::Cifs | StorageKind::Pbs | StorageKind::Esxi => &["server"],
        StorageKind::Iscsi | StorageKind::IscsiDirect | StorageKind::Zfs => &["portal"],
        StorageKind::Rbd | StorageKind::CephFs => &[],
        StorageKind::Dir | StorageKind::Btrfs => {
            storage.capacity = world.nodes.get(node).map_or(SIZE, |node| node.rootfs);
            return;
        }
    };
    let same = |key: &str, other: &Storage| {
        let (wanted, own) = (storage.options.get(key), other.options.get(key));
        match (wanted, own) {
            // A pool is there with all that is below it.
            (Some(wanted), Some(own)) if key == "pool" => {
                wanted.split('/').next() == own.split('/').next()
            }
            (wanted, own) => wanted == own,
        }
    };
    let related = |other: &&Storage| match storage.kind {
        StorageKind::Rbd | StorageKind::CephFs => {
            matches!(other.kind, StorageKind::Rbd | StorageKind::CephFs)
        }
        StorageKind::Lvm => matches!(other.kind, StorageKind::Lvm | StorageKind::LvmThin),
        kind => other.kind == kind,
    };
    let mut others = world.storages.values().filter(related);
    let found = others.find(|other| named.iter().all(|key| same(key, other)));
    let declared = named.iter().any(|key| {
        let value = storage.options.get(*key);
        value.is_some_and(|value| world.resources.contains_key(value))
    });
    let size = named
        .iter()
        .filter_map(|key| world.resources.get(storage.options.get(*key)?))
        .copied()
        .next();
    storage.capacity = size.or(found.map(|other| other.capacity)).unwrap_or(SIZE);
    if found.is_none() && !declared {
        storage.unreachable = vec!["*".to_owned()];
    }
}

/// A change of a storage.
pub(crate) struct Change {
    pub(crate) id: String,
    pub(crate) set: BTreeMap<String, String>,
    /// What is wrong with the parameters whatever the storage is.
    pub(crate) blank: Result<(), String>,
    pub(crate) delete: Vec<String>,
    pub(crate) digest: Option<String>,
}

/// Changes a storage; the answer is its type.
pub(crate) fn update(world: &mut World, change: &Change) -> Result<StorageKind, String> {
    try_update(world, change).map_err(|text| format!("update storage failed: {text}"))
}

fn try_update(world: &mut World, change: &Change) -> Result<StorageKind, String> {
    if change.digest.as_ref().is_some_and(|given| *given != digest(world)) {
        return Err(
            "detected modified configuration - file changed by other user? Try again.".to_owned()
        );
    }
    let storage = activate::find(world, &change.id)?;
    let kind = storage.kind;
    check(kind, &change.set, false)?;
    change.blank.clone()?;
    for key in &change.delete {
        let Some(rule) = rule(kind, key) else { return Err(format!("no such option '{key}'")) };
        if !rule.is_optional() {
            return Err(format!("unable to delete required option '{key}'"));
        }
        if rule.is_fixed() {
            return Err(format!("unable to delete fixed option '{key}'"));
        }
        if change.set.contains_key(key) {
            return Err(format!("cannot set and delete property '{key}' at the same time!"));
        }
    }
    let Some(storage) = world.storages.get_mut(&change.id) else { return Ok(kind) };
    for key in &change.delete {
        match key.as_str() {
            "nodes" => storage.nodes = None,
            "shared" => {
                storage.shared = kind.always_shared();
                storage.options.remove(key);
            }
            "content" => {
                storage.content =
                    kind.default_content().iter().map(|&word| word.to_owned()).collect();
            }
            _ => {
                storage.options.remove(key);
            }
        }
    }
    set(storage, &change.set);
    let named = |key: &str| change.set.contains_key(key) || change.delete.iter().any(|k| k == key);
    if named("is_mountpoint") {
        let mounted = mount_point(storage).is_none();
        storage.unreachable = if mounted { Vec::new() } else { vec!["*".to_owned()] };
    }
    // `local` is on every node (`parse_config`).
    if change.id == "local" {
        storage.nodes = None;
    }
    Ok(kind)
}

/// Removes a storage from the configuration; what is on it stays.
pub(crate) fn delete(world: &mut World, id: &str) -> Result<(), String> {
    let failed = |text: &str| Err(format!("delete storage failed: {text}"));
    if let Err(text) = activate::find(world, id) {
        return failed(&text);
    }
    let based = |storage: &Storage| {
        storage.options.get("base").is_some_and(|base| base.split(':').next() == Some(id))
    };
    if world.storages.values().any(based) {
        return failed("can't remove storage - storage is used as base of another storage");
    }
    // `remove_storage_access`.
    let place = format!("/storage/{id}");
    world.access.acl.retain(|entry| entry.path != place);
    if id == "local" {
        // Reading the configuration brings it back with its defaults.
        let mut local = Storage::new(
            "local",
            StorageKind::Dir,
            false,
            &["backup", "images", "iso", "rootdir", "snippets", "vztmpl"],
            world.storages.get("local").map_or(SIZE, |storage| storage.capacity),
        );
        local.path = Some("/var/lib/vz".to_owned());
        local.options.insert("prune-backups".to_owned(), "keep-all=1".to_owned());
        world.add_storage(local);
        return Ok(());
    }
    world.storages.remove(id);
    Ok(())
}

impl World {
    /// The file `/etc/pve/storage.cfg`.
    #[must_use]
    pub fn storage_cfg(&self) -> String {
        text(self)
    }
}
