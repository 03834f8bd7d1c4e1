//! The guest agent: ping, addresses, names.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::endpoint::Endpoint;
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::agent;

const AUDIT: Permission =
    Permission::Any("/vms/{vmid}", &["VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted"]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::post("/nodes/{node}/qemu/{vmid}/agent/ping", ping).may(AUDIT),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/agent/network-get-interfaces", interfaces).may(AUDIT),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/agent/get-host-name", host_name).may(AUDIT),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/agent/get-osinfo", os_info).may(AUDIT),
];

/// `assert_agent_available`, and an answer wrapped in `result`.
fn answer(
    call: &Call<'_>,
    result: impl FnOnce(&crate::world::guest::Guest) -> Value,
) -> Result<Reply, Refusal> {
    let guest = call.guest()?;
    if !agent::configured(guest) {
        return Err(Refusal::die("No QEMU guest agent configured"));
    }
    if guest.running.is_none() {
        return Err(Refusal::die(format!("VM {} is not running", guest.vmid)));
    }
    if !agent::booted(guest, call.moment.now) {
        return Err(Refusal::die("QEMU guest agent is not running"));
    }
    Ok(json!({ "result": result(guest) }).into())
}

fn ping(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    answer(call, |_| json!({}))
}

fn interfaces(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    answer(call, agent::interfaces)
}

fn host_name(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    answer(call, |guest| json!({ "host-name": guest.name() }))
}

fn os_info(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    answer(call, |_| {
        json!({
            "id": "debian", "name": "Debian GNU/Linux", "pretty-name": "Debian GNU/Linux 13 (trixie)",
            "version-id": "13", "machine": "x86_64", "kernel-release": "6.12.0-amd64",
            "kernel-version": "#1 SMP PREEMPT_DYNAMIC Debian",
        })
    })
}
