//! Reads of single things of which the world has none: what the real server says when there is no
//! such rule, job or network.

use super::call::{Call, Reply};
use super::cluster::subdirs;
use super::endpoint::{Endpoint, Param, optional};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::Kind;

const AUDIT: Permission = Permission::All("/", &["Sys.Audit"]);
const GUEST: Permission = Permission::All("/vms/{vmid}", &["VM.Audit"]);
const NODE: Permission = Permission::All("/nodes/{node}", &["Sys.Audit"]);
const PENDING: &[Param] = &[optional("running", Kind::Bool), optional("pending", Kind::Bool)];

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/cluster/acme/account/{name}", |call| {
        if call.caller.authid != "root@pam" {
            return Err(Refusal::permission("user != root@pam"));
        }
        let name = given(call, "name");
        let text = format!("ACME account config file '{name}' does not exist.");
        Err(Refusal::param("name", text))
    }),
    Endpoint::get("/cluster/firewall/aliases/{name}", alias).may(AUDIT),
    Endpoint::get("/cluster/firewall/groups/{group}", |call| {
        missing(format!("no such security group '{}'", given(call, "group")))
    })
    .may(AUDIT),
    Endpoint::get("/cluster/firewall/ipset/{name}", set).may(AUDIT),
    Endpoint::get("/cluster/firewall/rules/{pos}", rule).may(AUDIT),
    Endpoint::get("/cluster/jobs/realm-sync/{id}", job).may(AUDIT),
    Endpoint::get("/cluster/metrics/server/{id}", |call| {
        missing(format!("status server entry '{}' does not exist", given(call, "id")))
    })
    .may(AUDIT),
    Endpoint::get("/cluster/qemu/custom-cpu-models/{cputype}", |call| {
        let name = given(call, "cputype");
        let name = name.strip_prefix("custom-").unwrap_or(&name);
        mapped(call, &format!("/mapping/cpu/{name}"))?;
        missing(format!("Custom cputype '{name}' not found"))
    }),
    Endpoint::get("/cluster/sdn/controllers/{controller}", |call| network(call, "controller"))
        .with(PENDING)
        .may(Permission::All("/sdn/controllers/{controller}", &["SDN.Allocate"])),
    Endpoint::get("/cluster/sdn/dns/{dns}", |call| network(call, "dns"))
        .may(Permission::All("/sdn/dns/{dns}", &["SDN.Allocate"])),
    Endpoint::get("/cluster/sdn/ipams/{ipam}", |call| {
        if call.params.get("ipam") == Some("pve") {
            return Ok(super::cluster_info::pve_ipam().into());
        }
        network(call, "ipam")
    })
    .may(Permission::All("/sdn/ipams/{ipam}", &["SDN.Allocate"])),
    Endpoint::get("/cluster/sdn/vnets/{vnet}", vnet).with(PENDING),
    Endpoint::get("/cluster/sdn/vnets/{vnet}/subnets", vnet).with(PENDING),
    Endpoint::get("/cluster/sdn/zones/{zone}", |call| network(call, "zone"))
        .with(PENDING)
        .may(Permission::All("/sdn/zones/{zone}", &["SDN.Allocate"])),
    Endpoint::get("/nodes/{node}/firewall/rules/{pos}", rule).may(NODE),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/firewall/aliases/{name}", alias).may(GUEST),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/firewall/ipset/{name}", set).may(GUEST),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/firewall/rules/{pos}", rule).may(GUEST),
    Endpoint::get("/nodes/{node}/replication/{id}", |_| {
        Ok(subdirs(&["schedule_now", "log", "status"], "name").into())
    }),
    Endpoint::get("/nodes/{node}/replication/{id}/log", replication)
        .with(&[optional("start", Kind::NATURAL), optional("limit", Kind::NATURAL)]),
    Endpoint::get("/nodes/{node}/replication/{id}/status", replication),
    Endpoint::get("/nodes/{node}/sdn/zones/{zone}", |_| {
        Ok(subdirs(&["content", "bridges", "ip-vrf"], "subdir").into())
    })
    .may(Permission::All("/sdn/zones/{zone}", &["SDN.Audit"])),
];

fn given(call: &Call<'_>, name: &str) -> String {
    call.params.get(name).unwrap_or_default().to_owned()
}

fn missing(text: String) -> Result<Reply, Refusal> {
    Err(Refusal::die(text))
}

fn job(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    Err(Refusal::param("id", format!("No such job '{}'", given(call, "id"))))
}

fn replication(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    missing(format!("no such replication job '{}'", given(call, "id")))
}

fn alias(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    Err(Refusal::param("name", "no such alias"))
}

fn set(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    missing(format!("no such IPSet '{}'", given(call, "name")))
}

fn rule(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    missing(format!("no rule at position {}", given(call, "pos")))
}

/// Any of the three on a mapping; a check of many paths says nothing of what it missed.
pub(super) fn mapped(call: &Call<'_>, path: &str) -> Result<(), Refusal> {
    if call.may(path, &["Mapping.Use", "Mapping.Modify", "Mapping.Audit"]) {
        return Ok(());
    }
    Err(Refusal::permission(""))
}

fn network(call: &Call<'_>, kind: &str) -> Result<Reply, Refusal> {
    missing(format!("sdn '{}' does not exist", given(call, kind)))
}

fn vnet(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    missing(format!("sdn vnet '{}' does not exist", given(call, "vnet")))
}
