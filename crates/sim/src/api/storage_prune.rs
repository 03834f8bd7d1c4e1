//! `/nodes/{node}/storage/{storage}/prunebackups`.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional};
use super::refusal::Refusal;
use super::storage_status::ON_STORAGE;
use crate::guest::format::{Format, Kind};
use crate::storage::activate::{active, find};
use crate::storage::options::PRUNE;
use crate::storage::prune::{Keep, plan};
use crate::work::Work;
use crate::work::prune::Prune;
use crate::world::World;

const PATH: &str = "/nodes/{node}/storage/{storage}/prunebackups";
const PARAMS: &[super::endpoint::Param] = &[
    optional("prune-backups", PRUNE),
    optional("type", Kind::Enum(&["qemu", "lxc"])),
    optional("vmid", Kind::Format(Format::Vmid)),
];

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get(PATH, dry_run).may(ON_STORAGE).with(PARAMS),
    Endpoint::delete(PATH, delete).with(PARAMS),
];

fn vmid(call: &Call<'_>) -> Option<u32> {
    call.params.get("vmid").and_then(|text| text.parse().ok())
}

/// The retention to use: as asked, or as configured.
pub(crate) fn keep(
    world: &World,
    node: &str,
    id: &str,
    asked: Option<&str>,
) -> Result<Keep, String> {
    let storage = find(world, id)?;
    if !storage.holds("backup") {
        return Err(format!("storage '{id}' does not support backups"));
    }
    let text = asked.or(storage.options.get("prune-backups").map(String::as_str));
    let Some(text) = text else {
        return Err(format!("no prune-backups options configured for storage '{id}'"));
    };
    active(world, id, node)?;
    Ok(Keep::parse(text))
}

fn dry_run(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (node, id) = (call.node(), call.params.get("storage").unwrap_or_default());
    let keep = keep(call.world, &node, id, call.params.get("prune-backups"))?;
    let entries = plan(call.world, &node, id, &keep, vmid(call), call.params.get("type"));
    let items = entries.into_iter().map(|entry| {
        let mut item = json!({
            "volid": entry.volid, "ctime": entry.ctime, "mark": entry.mark, "type": entry.kind,
        });
        if let (Some(vmid), Some(members)) = (entry.vmid, item.as_object_mut()) {
            members.insert("vmid".to_owned(), json!(vmid));
        }
        item
    });
    Ok(Value::Array(items.collect()).into())
}

fn delete(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (node, id) = (call.node(), call.params.get("storage").unwrap_or_default().to_owned());
    let path = format!("/storage/{id}");
    let vmid = vmid(call);
    let task = match vmid {
        Some(vmid) => {
            call.require(&path, &["Datastore.AllocateSpace"])?;
            call.require(&format!("/vms/{vmid}"), &["VM.Backup"])?;
            format!("{vmid}@{id}")
        }
        None => {
            call.require(&path, &["Datastore.Allocate"])?;
            id.clone()
        }
    };
    let text = |name: &str| call.params.get(name).map(str::to_owned);
    let work = Prune { storage: id, keep: text("prune-backups"), kind: text("type"), vmid };
    Ok(call.fork(&node, "prunebackups", &task, Work::Prune(work)))
}
