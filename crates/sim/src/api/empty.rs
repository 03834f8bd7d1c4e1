//! Lists of what this cluster has none of: containers, networks
//! of the SDN, firewall rules, ACME accounts, metric servers. Permissions, parameters and
//! shapes are the real ones.

use serde_json::json;

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, Param, optional};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind};

const AUDIT: Permission = Permission::All("/", &["Sys.Audit"]);
const GUEST: Permission = Permission::All("/vms/{vmid}", &["VM.Audit"]);
const NODE: Permission = Permission::All("/nodes/{node}", &["Sys.Audit"]);
const ZONE: Permission = Permission::All("/sdn/zones/{zone}", &["SDN.Audit"]);
const PENDING: &[Param] = &[optional("running", Kind::Bool), optional("pending", Kind::Bool)];
const REFS: &[Param] = &[optional("type", Kind::Enum(&["alias", "ipset"]))];
const ZONES: &[&str] = &["evpn", "faucet", "qinq", "simple", "vlan", "vxlan"];
const CONTROLLERS: &[&str] = &["bgp", "evpn", "faucet", "isis"];

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/cluster/acme/account", none),
    Endpoint::get("/cluster/config/qdevice", |_| Ok(json!({}).into())).may(AUDIT),
    Endpoint::get("/cluster/firewall/aliases", none).may(AUDIT),
    Endpoint::get("/cluster/firewall/groups", none),
    Endpoint::get("/cluster/firewall/ipset", none).may(AUDIT),
    Endpoint::get("/cluster/firewall/options", options).may(AUDIT),
    Endpoint::get("/cluster/firewall/refs", none).with(REFS).may(AUDIT),
    Endpoint::get("/cluster/firewall/rules", none).may(AUDIT),
    Endpoint::get("/cluster/jobs/realm-sync", none).may(AUDIT),
    Endpoint::get("/cluster/metrics/server", none).may(AUDIT),
    Endpoint::get("/cluster/qemu/custom-cpu-models", none),
    Endpoint::get("/cluster/sdn/controllers", none).with(&[
        optional("type", Kind::Enum(CONTROLLERS)),
        optional("running", Kind::Bool),
        optional("pending", Kind::Bool),
    ]),
    Endpoint::get("/cluster/sdn/dns", none).with(&[optional("type", Kind::Enum(&["powerdns"]))]),
    Endpoint::get("/cluster/sdn/fabrics/fabric", none).with(PENDING),
    Endpoint::get("/cluster/sdn/fabrics/node", none).with(PENDING),
    Endpoint::get("/cluster/sdn/vnets", none).with(PENDING),
    Endpoint::get("/cluster/sdn/zones", none).with(&[
        optional("type", Kind::Enum(ZONES)),
        optional("running", Kind::Bool),
        optional("pending", Kind::Bool),
    ]),
    Endpoint::get("/nodes/{node}/disks/directory", none).may(AUDIT),
    Endpoint::get("/nodes/{node}/disks/lvm", |_| Ok(json!({ "leaf": 0, "children": [] }).into()))
        .may(AUDIT),
    Endpoint::get("/nodes/{node}/disks/lvmthin", none).may(AUDIT),
    Endpoint::get("/nodes/{node}/disks/zfs", none).may(AUDIT),
    Endpoint::get("/nodes/{node}/firewall/options", options).may(NODE),
    Endpoint::get("/nodes/{node}/firewall/rules", none).may(NODE),
    Endpoint::get("/nodes/{node}/hardware/pci", none)
        .with(&[
            optional("pci-class-blacklist", Kind::TEXT).list(),
            optional("verbose", Kind::Bool),
        ])
        .may(Permission::Any("/", &["Sys.Audit", "Sys.Modify"])),
    Endpoint::get("/nodes/{node}/hardware/usb", none).may(Permission::All("/", &["Sys.Modify"])),
    Endpoint::get("/nodes/{node}/lxc", none),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/firewall/aliases", none).may(GUEST),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/firewall/ipset", none).may(GUEST),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/firewall/options", options).may(GUEST),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/firewall/refs", none).with(REFS).may(GUEST),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/firewall/rules", none).may(GUEST),
    Endpoint::get("/nodes/{node}/replication", none)
        .with(&[optional("guest", Kind::Format(Format::Vmid))]),
    Endpoint::get("/nodes/{node}/sdn/zones/{zone}/content", none).may(ZONE),
];

fn none(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    Ok(json!([]).into())
}

/// No option is set: what is left is the digest of nothing (`copy_opject_with_digest`).
fn options(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    Ok(json!({ "digest": "da39a3ee5e6b4b0d3255bfef95601890afd80709" }).into())
}
