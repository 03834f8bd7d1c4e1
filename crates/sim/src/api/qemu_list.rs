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
    let items = visible.map(|guest| Value::Object(status::status(guest, call.moment.now)));
    Ok(Value::Array(items.collect()).into())
}

fn current(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let guest = call.guest()?;
    let mut out = status::current(guest, call.moment.now);
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
    let guest = call.guest()?;
    if guest.flag("protection") {
        return Err(Refusal::die(format!("can't remove VM {vmid} - protection mode enabled")));
    }
    let managed = call.world.ha.resources.contains_key(&crate::ha::sid_of(vmid));
    if managed && !call.params.flag("purge").unwrap_or(false) {
        return Err(Refusal::die(format!(
            "unable to remove VM {vmid} - used in HA resources and purge parameter not set."
        )));
    }
    if guest.running.is_some() {
        return Err(Refusal::die(format!("VM {vmid} is running - destroy failed")));
    }
    let work = Destroy {
        vmid,
        purge: call.params.flag("purge").unwrap_or(false),
        unreferenced: call.params.flag("destroy-unreferenced-disks").unwrap_or(false),
    };
    call.fork_guest("qmdestroy", Work::Destroy(work))
}
