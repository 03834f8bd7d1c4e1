//! Snapshots: the list, which always has `current`.

use serde_json::json;

use super::call::{Call, Reply};
use super::endpoint::Endpoint;
use super::permission::Permission;
use super::refusal::Refusal;

pub(crate) const ENDPOINTS: &[Endpoint] =
    &[Endpoint::get("/nodes/{node}/qemu/{vmid}/snapshot", list)
        .may(Permission::All("/vms/{vmid}", &["VM.Audit"]))];

fn list(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let guest = call.guest()?;
    Ok(json!([{
        "name": "current", "description": "You are here!", "digest": guest.digest(),
        "running": u8::from(guest.running.is_some()),
    }])
    .into())
}
