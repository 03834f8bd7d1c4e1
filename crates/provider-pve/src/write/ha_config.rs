//! The HA manager's configuration of a guest: resources and rules of Proxmox VE 9
//! (pve-ha-manager `API2/HA/Resources.pm`, `API2/HA/Rules.pm`).

use std::collections::BTreeMap;

use pvx_core::plan::HaChange;

use crate::client::{ApiPath, Request};

/// The request of one change.
pub(super) fn request(vmid: u32, change: &HaChange) -> Request {
    let sid = format!("vm:{vmid}");
    let resource = || ApiPath::new("/cluster/ha/resources/{}", &[&sid]);
    let rule_path = |rule: &String| ApiPath::new("/cluster/ha/rules/{}", &[rule]);
    match change {
        HaChange::Add { set } => {
            with(Request::post("/cluster/ha/resources").parameter("sid", &sid), set, &[])
        }
        HaChange::Update { set, delete } => with(Request::put(resource()), set, delete),
        HaChange::Remove => Request::delete(resource()),
        HaChange::AddRule { rule, set } => {
            with(Request::post("/cluster/ha/rules").parameter("rule", rule), set, &[])
        }
        HaChange::UpdateRule { rule, set, delete } => {
            with(Request::put(rule_path(rule)), set, delete)
        }
        HaChange::RemoveRule { rule } => Request::delete(rule_path(rule)),
    }
}

fn with(request: Request, set: &BTreeMap<String, String>, delete: &[String]) -> Request {
    let request = set.iter().fold(request, |r, (key, value)| r.parameter(key, value));
    if delete.is_empty() { request } else { request.parameter("delete", delete.join(",")) }
}
