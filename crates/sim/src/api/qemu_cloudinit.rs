//! Cloud-init: what is pending, regenerate, dump.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, required};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::cloudinit::{LISTED, meta_data, network_data, user_data};
use crate::guest::format::Kind;
use crate::guest::keys::typed;

const AUDIT: Permission = Permission::All("/vms/{vmid}", &["VM.Audit"]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/nodes/{node}/qemu/{vmid}/cloudinit", list).may(AUDIT),
    Endpoint::put("/nodes/{node}/qemu/{vmid}/cloudinit", regenerate)
        .may(Permission::Any("/vms/{vmid}", &["VM.Config.Cloudinit"])),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/cloudinit/dump", dump)
        .may(AUDIT)
        .with(&[required("type", Kind::Enum(&["user", "network", "meta"]))]),
];

fn shown(key: &str, value: &str) -> Value {
    if key == "cipassword" { json!("**********") } else { typed(key, value) }
}

fn list(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let guest = call.guest()?;
    let mut items = Vec::new();
    for (key, value) in &guest.config {
        match guest.cloudinit.get(key).map(String::as_str) {
            Some("") => items.push(json!({ "key": key, "pending": shown(key, value) })),
            Some(old) => items.push(
                json!({ "key": key, "value": shown(key, old), "pending": shown(key, value) }),
            ),
            None if LISTED.contains(&key.as_str()) => {
                items.push(json!({ "key": key, "value": shown(key, value) }));
            }
            None => {}
        }
    }
    for (key, old) in guest.cloudinit.iter().filter(|(key, _)| !guest.config.contains_key(*key)) {
        items.push(json!({ "key": key, "value": shown(key, old), "delete": 1 }));
    }
    Ok(Value::Array(items).into())
}

fn regenerate(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let vmid = call.vmid();
    let guest = call.guest()?;
    call.check_lock(guest)?;
    if let Some(guest) = call.world.guests.get_mut(&vmid) {
        guest.cloudinit.clear();
    }
    Ok(Value::Null.into())
}

fn dump(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let guest = call.guest()?;
    let domain = &call.world.domain;
    let text = match call.params.get("type") {
        Some("network") => network_data(guest, domain),
        Some("meta") => meta_data(guest, domain),
        _ => user_data(guest),
    };
    Ok(json!(text).into())
}
