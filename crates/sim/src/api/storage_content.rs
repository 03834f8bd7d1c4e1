//! `/nodes/{node}/storage/{storage}/content`: volumes.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional, required};
use super::permission::Permission;
use super::refusal::Refusal;
use super::storage_status::ON_STORAGE;
use crate::guest::format::{Format, Kind};
use crate::storage::activate::{active, enabled, find};
use crate::storage::alloc::{NewImage, alloc};
use crate::storage::options::{CONTENT, IMAGE_FORMAT};
use crate::storage::path;
use crate::storage::volname::{self, VolName};
use crate::work::{Work, copy_volume::CopyVolume, disk::Free};
use crate::world::lock::LockName;
use crate::world::snapshot::is_chain;
use crate::world::storage::{Storage, StorageKind, Volume};
use crate::world::volumes::split_volid;

const CONTENT_PATH: &str = "/nodes/{node}/storage/{storage}/content";
const VOLUME_PATH: &str = "/nodes/{node}/storage/{storage}/content/{*volume}";

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get(CONTENT_PATH, index)
        .may(ON_STORAGE)
        .with(&[optional("content", CONTENT), optional("vmid", Kind::Format(Format::Vmid))]),
    Endpoint::post(CONTENT_PATH, create)
        .may(Permission::All("/storage/{storage}", &["Datastore.AllocateSpace"]))
        .with(&[
            required("filename", Kind::TEXT),
            required("vmid", Kind::Format(Format::Vmid)),
            required("size", Kind::Check(kilobytes)),
            optional("format", IMAGE_FORMAT).requires("size"),
        ]),
    Endpoint::get(VOLUME_PATH, info),
    Endpoint::put(VOLUME_PATH, attributes)
        .with(&[optional("notes", Kind::TEXT), optional("protected", Kind::Bool)]),
    Endpoint::delete(VOLUME_PATH, free).with(&[optional("delay", Kind::between(1, 30))]),
    Endpoint::post(VOLUME_PATH, copy).with(&[
        required("target", Kind::TEXT),
        optional("target_node", Kind::Format(Format::Node)),
    ]),
];

/// `\d+[MG]?`.
fn kilobytes(value: &str) -> Result<(), String> {
    match parse_kilobytes(value) {
        Some(_) => Ok(()),
        None => Err("value does not match the regex pattern".to_owned()),
    }
}

/// KiB, or with `M` or `G`; the answer is bytes.
fn parse_kilobytes(value: &str) -> Option<u64> {
    let (digits, factor) = match (value.strip_suffix('M'), value.strip_suffix('G')) {
        (Some(digits), _) => (digits, 1 << 20),
        (_, Some(digits)) => (digits, 1 << 30),
        _ => (value, 1 << 10),
    };
    let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<u64>().unwrap_or(u64::MAX);
    whole.then(|| number.saturating_mul(factor))
}

/// Whether the caller may use a volume (`check_volume_access`). `vmid` is the guest that it is for.
pub(crate) fn check_volume_access(
    call: &Call<'_>,
    vmid: Option<u32>,
    volid: &str,
) -> Result<VolName, Refusal> {
    let Some((id, name)) = split_volid(volid) else {
        return Err(Refusal::die(format!("unable to parse volume ID '{volid}'")));
    };
    let storage = find(call.world, id)?;
    let parsed = volname::parse(storage.kind, name)?;
    super::guest_checks::check_volume(call.world, &call.caller, vmid, volid, None)?;
    Ok(parsed)
}

/// The id in content lists: a linked clone's names its base.
fn volid(storage: &str, name: &str, volume: &Volume) -> String {
    match &volume.parent {
        Some(parent) => format!("{storage}:{parent}/{name}"),
        None => format!("{storage}:{name}"),
    }
}

/// What the type's list says of a volume, besides id, content and format.
fn item(storage: &Storage, name: &str, volume: &Volume) -> Value {
    let mut item = json!({
        "volid": volid(&storage.id, name, volume), "content": volume.content,
        "format": volume.format,
    });
    let Some(members) = item.as_object_mut() else { return item };
    let mut put = |key: &str, value: Value| {
        members.insert(key.to_owned(), value);
    };
    if volume.content != "images" {
        // Of a file that holds a disk, the list shows the file's size.
        put("size", json!(volume.used));
        put("ctime", json!(volume.ctime));
        if volume.content == "backup" {
            backup(volume, name, &mut put);
        }
        return item;
    }
    put("size", json!(volume.size));
    put("vmid", json!(volume.vmid));
    match storage.kind {
        StorageKind::Lvm | StorageKind::LvmThin => put("ctime", json!(volume.ctime)),
        StorageKind::ZfsPool | StorageKind::Zfs | StorageKind::Rbd => {
            let own = name.rsplit('/').next().unwrap_or(name);
            put("name", json!(own));
            put("parent", json!(volume.parent.as_ref().map(|parent| format!("{parent}@__base__"))));
        }
        _ => {
            put("ctime", json!(volume.ctime));
            put("used", json!(volume.used));
            let base = volume.parent.as_ref().map(|parent| format!("../{parent}"));
            // An image stands on the file of its last snapshot, where snapshots are files.
            let last = volume.snapshots.last().filter(|_| is_chain(storage));
            let own = name.rsplit('/').next().unwrap_or(name);
            let snapshot = last.map(|snapshot| format!("snap-{}-{own}", snapshot.name));
            put("parent", json!(snapshot.or(base)));
        }
    }
    item
}

fn backup(volume: &Volume, name: &str, put: &mut impl FnMut(&str, Value)) {
    let file = name.strip_prefix("backup/").unwrap_or(name);
    let standard = crate::storage::prune::standard_name(file);
    if let Some((_, _, time)) = &standard {
        put("ctime", json!(time));
    }
    let kind = file.strip_prefix("vzdump-").and_then(|rest| rest.split('-').next());
    let known = kind.filter(|kind| ["qemu", "lxc", "openvz"].contains(kind));
    put("subtype", json!(known.unwrap_or("unknown")));
    if let Some(vmid) = volume.vmid.or(standard.map(|(_, vmid, _)| vmid)) {
        put("vmid", json!(vmid));
    }
    if let Some(first) = volume.notes.as_deref().and_then(|notes| notes.lines().next()) {
        put("notes", json!(first));
    }
    if volume.protected {
        put("protected", json!(1));
    }
}

fn index(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let id = call.params.get("storage").unwrap_or_default();
    let node = call.node();
    let storage = match enabled(call.world, id, &node)? {
        // A volume group that is not there has no volumes.
        storage if storage.kind == StorageKind::Lvm => storage,
        _ => active(call.world, id, &node)?,
    };
    let kind = call.params.get("content");
    let vmid: Option<u32> = call.params.get("vmid").and_then(|text| text.parse().ok());
    let mut items = Vec::new();
    for (name, volume) in call.world.volumes_on(id, &node) {
        let own = vmid.is_none_or(|vmid| match volume.content.as_str() {
            "images" | "rootdir" | "backup" => volume.vmid == Some(vmid),
            "iso" | "vztmpl" => false,
            _ => true,
        });
        let content = volume.content.as_str();
        let fits = own && storage.holds(content) && kind.is_none_or(|kind| kind == content);
        if fits && check_volume_access(call, None, &format!("{id}:{name}")).is_ok() {
            items.push(item(storage, name, volume));
        }
    }
    items.sort_by_cached_key(|item| {
        item.get("volid").and_then(Value::as_str).unwrap_or_default().to_lowercase()
    });
    Ok(Value::Array(items).into())
}

fn create(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (id, node) = (call.params.get("storage").unwrap_or_default().to_owned(), call.node());
    let name = call.params.get("filename").unwrap_or_default().to_owned();
    let size = call.params.get("size").and_then(parse_kilobytes).unwrap_or(0);
    let asked = call.params.get("format").map(str::to_owned);
    let named = name.rsplit_once('.').map(|(_, format)| format);
    let named = named.filter(|format| ["raw", "qcow2", "vmdk"].contains(format));
    if let (Some(asked), Some(named)) = (&asked, named)
        && asked != named
    {
        let text = format!("different storage formats ({asked} != {named})");
        return Err(Refusal::param("format", text));
    }
    let format = asked.or(named.map(str::to_owned));
    active(call.world, &id, &node)?;
    storage_lock(call, &id, &node)?;
    let new = NewImage {
        vmid: call.vmid(),
        format: format.as_deref(),
        name: Some(&name),
        size,
        ctime: call.moment.seconds(),
    };
    let volid = alloc(call.world, &node, &id, &new)?;
    Ok(json!(volid).into())
}

/// Waits while a task holds the storage's lock.
fn storage_lock(call: &Call<'_>, id: &str, node: &str) -> Result<(), Refusal> {
    let shared = call.world.storages.get(id).is_some_and(|storage| storage.shared);
    if shared {
        call.cfs_lock(&format!("storage-{id}"), "")?;
    }
    let lock = if shared {
        LockName::SharedStorage(id.to_owned())
    } else {
        LockName::Storage(id.to_owned(), node.to_owned())
    };
    if call.world.locks.free(&lock, true, None) {
        return Ok(());
    }
    Err(Refusal::Blocked { lock, wait_ms: 10_000, before: String::new() })
}

/// `VOLNAME` or `STORAGE:VOLNAME` as a volume id.
fn real_volume_id(call: &Call<'_>, parameter: &str) -> Result<String, Refusal> {
    let storage = call.params.get("storage").unwrap_or_default();
    let volume = call.params.get(parameter).unwrap_or_default();
    if !volume.contains(':') {
        return Ok(format!("{storage}:{volume}"));
    }
    let found = split_volid(volume)
        .filter(|(id, _)| crate::guest::format::check_format(Format::StorageId, id).is_ok());
    match found {
        None => Err(Refusal::param("volume", format!("unable to parse volume ID '{volume}'\n"))),
        Some((id, _)) if id != storage => {
            Err(Refusal::param("volume", format!("storage ID mismatch ({id} != {storage})\n")))
        }
        Some(_) => Ok(volume.to_owned()),
    }
}

fn info(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let volid = real_volume_id(call, "volume")?;
    let parsed = check_volume_access(call, None, &volid)?;
    let (id, name) = split_volid(&volid).unwrap_or_default();
    let storage = find(call.world, id)?;
    let (path, _) = path::path(storage, name)?;
    let node = call.node();
    let reachable = storage.reachable(&node);
    let Some(found) = call.world.volume(&node, &volid).filter(|_| reachable) else {
        return Err(Refusal::die(missing(storage, &volid, &parsed, &path)));
    };
    // Files that hold no disk are read as raw images, whose size is a multiple of 512.
    let size = match parsed.content {
        "images" | "import" => found.size,
        _ => found.used.div_ceil(512) * 512,
    };
    if size == 0 && found.format != "subvol" {
        return Err(Refusal::die(format!("volume '{volid}' has size zero")));
    }
    let used = match storage.kind {
        StorageKind::Lvm | StorageKind::LvmThin => 0,
        _ => found.used,
    };
    // An archive is asked about as a raw image (`file_size_info`).
    let format =
        if parsed.format == "ova" || parsed.format == "ovf" { "raw" } else { &parsed.format };
    let mut item = json!({ "path": path, "size": size, "used": used, "format": format });
    if let Some(members) = item.as_object_mut().filter(|_| parsed.content == "backup") {
        members.insert("notes".to_owned(), json!(found.notes.as_deref().unwrap_or_default()));
        members.insert("protected".to_owned(), json!(u8::from(found.protected)));
    }
    Ok(item.into())
}

/// What asking for the size of a volume that is not there says.
fn missing(storage: &Storage, volid: &str, parsed: &VolName, path: &str) -> String {
    let option = |key: &str| storage.options.get(key).map(String::as_str).unwrap_or_default();
    let name = &parsed.name;
    match storage.kind {
        StorageKind::Lvm | StorageKind::LvmThin => {
            let group = option("vgname");
            format!(
                "can't get size of '{path}':   Failed to find logical volume \"{group}/{name}\""
            )
        }
        StorageKind::ZfsPool | StorageKind::Zfs => {
            format!("zfs error: cannot open '{}/{name}': dataset does not exist", option("pool"))
        }
        StorageKind::Rbd => {
            format!("rbd error: rbd: error opening image {name}: (2) No such file or directory")
        }
        _ => format!("volume_size_info on '{volid}' failed - no format"),
    }
}

/// How many protected backups of a guest a storage takes; none is any number.
pub(crate) fn most_protected(call: &Call<'_>, storage: &Storage) -> Option<usize> {
    let limit = storage.options.get("max-protected-backups").and_then(|text| text.parse().ok());
    let all = call.may(&format!("/storage/{}", storage.id), &["Datastore.Allocate"]);
    let limit: i64 = limit.unwrap_or(if all { -1 } else { 5 });
    usize::try_from(limit).ok()
}

fn attributes(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let volid = real_volume_id(call, "volume")?;
    let parsed = check_volume_access(call, None, &volid)?;
    let (id, _) = split_volid(&volid).unwrap_or_default();
    let storage = find(call.world, id)?;
    let node = call.node();
    if let Some(notes) = call.params.get("notes").map(str::to_owned) {
        if !storage.kind.has_files() {
            return Err(Refusal::die(format!(
                "volume notes are not supported for PVE::Storage::{} at /usr/share/perl5/PVE/Storage/Plugin.pm line 1300.",
                storage.kind.class()
            )));
        }
        if parsed.content != "backup" {
            return Err(Refusal::die("only backups can have notes"));
        }
        if let Some(volume) = call.world.volume_mut(&node, &volid) {
            volume.notes = Some(notes).filter(|notes| !notes.is_empty());
        }
    }
    let Some(protected) = call.params.flag("protected") else { return Ok(Value::Null.into()) };
    let storage = find(call.world, id)?;
    if !storage.kind.has_files() {
        let kind = storage.kind.name();
        let error = format!("attribute 'protected' is not supported for storage type '{kind}'");
        return Err(Refusal::die(error));
    }
    if parsed.content != "backup" {
        return Err(Refusal::die("only backups support attribute 'protected'"));
    }
    let already = call.world.volume(&node, &volid).is_some_and(|volume| volume.protected);
    if let (Some(limit), true, false) = (most_protected(call, storage), protected, already) {
        let own = call.world.volumes_on(id, &node).filter(|(_, volume)| {
            volume.content == "backup" && volume.vmid == parsed.vmid && volume.protected
        });
        if parsed.vmid.is_some() && own.count() >= limit {
            return Err(Refusal::die(format!(
                "The number of protected backups per guest is limited to {limit} on storage '{id}'"
            )));
        }
    }
    if let Some(volume) = call.world.volume_mut(&node, &volid) {
        volume.protected = protected;
    }
    Ok(Value::Null.into())
}

fn free(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (node, volid) = (call.node(), real_volume_id(call, "volume")?);
    let (id, name) = split_volid(&volid).unwrap_or_default();
    let (_, parsed) = path::path(find(call.world, id)?, name)?;
    let path = format!("/storage/{id}");
    match parsed.vmid.filter(|_| parsed.content == "backup") {
        Some(vmid) => {
            call.require(&path, &["Datastore.AllocateSpace"])?;
            call.require(&format!("/vms/{vmid}"), &["VM.Backup"])?;
        }
        None => call.require(&path, &["Datastore.Allocate"])?,
    }
    let task = match parsed.vmid {
        Some(vmid) => format!("{vmid}@{id}"),
        None => id.to_owned(),
    };
    let reply = call.fork(&node, "imgdel", &task, Work::FreeVolume(Free { volid: volid.clone() }));
    if call.params.get("delay").is_some() {
        // Removing takes less than a second: the answer waits for it.
        crate::work::run_due(call.world, call.moment);
        let upid = match &reply.data {
            super::call::Data::Value(Value::String(upid)) => upid.clone(),
            _ => String::new(),
        };
        let ended = call.world.tasks.find(&upid).and_then(|(_, task)| task.exit());
        return match ended {
            Some("OK") => Ok(Value::Null.into()),
            Some(error) => Err(Refusal::die(error)),
            None => Ok(reply),
        };
    }
    Ok(reply)
}

/// Copying a volume: "experimental code" upstream, which copies to another node.
fn copy(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    if !call.caller.is_root() {
        // Nobody but root may call a method that says nothing of permissions.
        return Err(Refusal::permission("user != root@pam"));
    }
    let source = real_volume_id(call, "volume")?;
    let target = real_volume_id(call, "target")?;
    let node = call.node();
    let to = call.params.get("target_node").unwrap_or(&node).to_owned();
    let (id, _) = split_volid(&target).unwrap_or_default();
    enabled(call.world, id, &to)?;
    let work = CopyVolume { source, target, to, started: false };
    Ok(call.fork(&node, "imgcopy", "", Work::CopyVolume(work)))
}
