//! Cloud-init: what is pending, regenerate, dump.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, required};
use super::permission::Permission;
use super::quorum::Writes;
use super::refusal::Refusal;
use crate::guest::cloudinit::{LISTED, meta_data, network_data, user_data};
use crate::guest::drive::drives;
use crate::guest::format::Kind;
use crate::guest::keys::typed;

const AUDIT: Permission = Permission::All("/vms/{vmid}", &["VM.Audit"]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/nodes/{node}/qemu/{vmid}/cloudinit", list).may(AUDIT),
    Endpoint::put("/nodes/{node}/qemu/{vmid}/cloudinit", regenerate)
        .writes(Writes::GuestChanges)
        .may(Permission::Any("/vms/{vmid}", &["VM.Config.Cloudinit"])),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/cloudinit/dump", dump)
        .may(AUDIT)
        .with(&[required("type", Kind::Enum(&["user", "network", "meta"]))]),
];

fn shown(key: &str, value: &str) -> Value {
    if key == "cipassword" { json!("**********") } else { typed(key, value) }
}

/// What the drive has, and what waits: added keys, then those of cloud-init, then removed ones.
fn list(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let guest = call.guest()?;
    let added = |key: &str| guest.cloudinit.get(key).is_some_and(String::is_empty);
    let mut items = Vec::new();
    for (key, value) in guest.config.iter().filter(|(key, _)| added(key)) {
        items.push(json!({ "key": key, "pending": shown(key, value) }));
    }
    for (key, value) in guest.config.iter().filter(|(key, _)| LISTED.contains(&key.as_str())) {
        match guest.cloudinit.get(key) {
            Some(old) if old.is_empty() => {}
            Some(old) => items.push(
                json!({ "key": key, "value": shown(key, old), "pending": shown(key, value) }),
            ),
            None => items.push(json!({ "key": key, "value": shown(key, value) })),
        }
    }
    for key in guest.cloudinit.keys().filter(|key| !guest.config.contains_key(*key)) {
        items.push(json!({ "key": key, "delete": 1 }));
    }
    Ok(Value::Array(items).into())
}

fn regenerate(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let vmid = call.vmid();
    call.config_lock(vmid)?;
    let guest = call.guest()?;
    call.check_lock(guest)?;
    if !drives(guest).iter().any(|(_, drive)| drive.is_cloudinit()) {
        return Ok(Value::Null.into());
    }
    crate::work::power::custom_files(call.world, guest).map_err(Refusal::die)?;
    if let Some(guest) = call.world.guests.get_mut(&vmid) {
        guest.cloudinit.clear();
    }
    call.world.printed.push("generating cloud-init ISO".to_owned());
    Ok(Value::Null.into())
}

fn dump(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let guest = call.guest()?;
    let domain = &call.world.domain;
    let text = match call.params.get("type") {
        Some("network") => network_data(guest, domain),
        Some("meta") => meta_data(guest, domain),
        _ => {
            let path = format!("/vms/{}", guest.vmid);
            if call.may(&path, &["VM.Config.Cloudinit"]) || guest.get("cipassword").is_none() {
                user_data(guest)
            } else {
                let mut masked = guest.clone();
                masked.config.insert("cipassword".to_owned(), "**********".to_owned());
                user_data(&masked)
            }
        }
    };
    Ok(json!(text).into())
}
