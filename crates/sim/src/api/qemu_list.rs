//! Guests of a node: list, index, removal.

use serde_json::Value;

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::Kind;
use crate::guest::status;
use crate::work::Work;
use crate::work::destroy::Destroy;

const AUDIT: Permission = Permission::All("/vms/{vmid}", &["VM.Audit"]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/nodes/{node}/qemu", list).with(&[optional("full", Kind::Bool)]),
    Endpoint::delete("/nodes/{node}/qemu/{vmid}", destroy)
        .may(Permission::All("/vms/{vmid}", &["VM.Allocate"]))
        .with(&[
            optional("destroy-unreferenced-disks", Kind::Bool),
            optional("purge", Kind::Bool),
            optional("skiplock", Kind::Bool),
        ]),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/status/current", current).may(AUDIT),
];

fn list(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let node = call.node();
    let own = call.world.guests.values().filter(|guest| guest.node == node);
    let sees = call.visible_guests();
    let visible = own.filter(|guest| sees(guest.vmid));
    let (now, processors) = (call.moment.now, processors(call));
    let item = match call.params.flag("full") {
        Some(true) => status::full,
        _ => status::status,
    };
    let items = visible.map(|guest| Value::Object(item(guest, processors, now)));
    Ok(Value::Array(items.collect()).into())
}

/// How many the node has.
fn processors(call: &Call<'_>) -> u64 {
    call.world.nodes.get(&call.node()).map_or(1, |node| u64::from(node.cpus))
}

fn current(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let guest = call.guest()?;
    let mut out = status::current(guest, processors(call), call.moment.now);
    if let Some(members) = out.as_object_mut() {
        members.insert("ha".to_owned(), call.world.ha.service_status(guest.vmid));
    }
    Ok(out.into())
}

fn destroy(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let vmid = call.vmid();
    if call.params.flag("skiplock") == Some(true) && !call.caller.is_root() {
        return Err(Refusal::param("skiplock", "Only root may use this option."));
    }
    let node = call.node();
    let purge = call.params.flag("purge").unwrap_or(false);
    crate::work::destroy::check(call.world, &node, vmid, purge)?;
    let work = Destroy {
        freeing: Default::default(),
        handled: Vec::new(),
        vmid,
        purge,
        skiplock: call.params.flag("skiplock").unwrap_or(false),
        unreferenced: call.params.flag("destroy-unreferenced-disks").unwrap_or(false),
    };
    call.fork_guest("qmdestroy", Work::Destroy(work))
}
