//! One guest: what documents say and what is there.

use std::collections::BTreeMap;

use pvx_core::address::Address;
use pvx_core::desired::{Guest, Origin, Placement, VmidRequest};
use pvx_core::plan::{AttributeChange, Plan};
use pvx_core::planner::{self, Input, Ownership};
use serde::Serialize;

use super::paint::{FAINT, STRONG, pad, paint, widest};

/// Everything that is known of a guest.
#[derive(Debug, Serialize)]
pub(crate) struct Detail {
    address: String,
    position: String,
    wanted: BTreeMap<&'static str, String>,
    vmid: Option<u32>,
    node: Option<String>,
    running: bool,
    /// Stored configuration, pending values merged in. Secrets read as asterisks from the API.
    config: BTreeMap<String, String>,
    pending: Vec<pvx_core::live::Pending>,
    /// What a plan would change.
    changes: Vec<AttributeChange>,
}

impl Detail {
    /// Collects it.
    pub(crate) fn of(input: &Input<'_>, address: &Address) -> Self {
        let ownership = Ownership::of(input);
        let vmid = ownership.member(address).or_else(|| ownership.half_made(address));
        let live = vmid.and_then(|vmid| input.snapshot.guests.get(&vmid));
        let wanted = input.desired.guests().find(|guest| guest.address == *address);
        let plan: Plan = planner::apply(input);
        let changes = plan.changes.into_iter().filter(|change| change.address == *address);
        Self {
            address: address.to_string(),
            position: wanted
                .map(|g| input.sources.position(g.span).to_string())
                .unwrap_or_default(),
            wanted: wanted.map(facts).unwrap_or_default(),
            vmid,
            node: live.map(|guest| guest.node.clone()),
            running: live.is_some_and(|guest| guest.running),
            config: live.map(|guest| guest.config.clone()).unwrap_or_default(),
            pending: live.map(|guest| guest.pending.clone()).unwrap_or_default(),
            changes: changes.flat_map(|change| change.attributes).collect(),
        }
    }
}

fn facts(guest: &Guest) -> BTreeMap<&'static str, String> {
    let spec = &guest.spec;
    let vmid = match guest.vmid {
        VmidRequest::Fixed(vmid) => vmid.to_string(),
        VmidRequest::Auto => "auto".to_owned(),
    };
    let node = match &guest.placement {
        Placement::Node(node) => node.clone(),
        Placement::Spread => "spread".to_owned(),
        Placement::Pack => "pack".to_owned(),
    };
    let origin = match &guest.origin {
        Origin::Template { template, .. } => format!("clone of {template}"),
        Origin::Empty => "made from nothing".to_owned(),
    };
    let list = [
        ("vmid", Some(vmid)),
        ("node", Some(node)),
        ("origin", Some(origin)),
        ("cores", spec.text("cores").map(str::to_owned)),
        ("memory", spec.memory().map(super::units::mebibytes)),
        ("disk", spec.boot_disk.map(super::units::bytes)),
        ("tags", Some(spec.tags.iter().cloned().collect::<Vec<_>>().join(" "))),
        ("address", spec.cloudinit.ipconfig.get(&0).and_then(|c| c.ip.clone())),
        ("pool", spec.pool.clone()),
        ("ha", spec.ha.as_ref().map(|ha| ha.state.word().to_owned())),
        ("mac", spec.networks.get("net0").and_then(|n| n.mac.clone())),
    ];
    list.into_iter().filter_map(|(name, value)| value.map(|v| (name, v))).collect()
}

/// For people.
pub(crate) fn render(detail: &Detail) -> String {
    let place = match (detail.vmid, &detail.node) {
        (Some(vmid), Some(node)) => {
            let state = if detail.running { "running" } else { "stopped" };
            format!("{vmid} on {node} · {state}")
        }
        _ => "not on the cluster".to_owned(),
    };
    let mut text = format!("{}   {place}\n", paint(STRONG, &detail.address));
    text.push_str(&section(&format!("documents ({})", detail.position), &detail.wanted));
    if !detail.config.is_empty() {
        text.push_str(&section("cluster", &detail.config));
    }
    let changes: BTreeMap<&str, String> =
        detail.changes.iter().map(|c| (c.path.as_str(), change(c))).collect();
    if !changes.is_empty() {
        text.push_str(&section("a plan would change", &changes));
    }
    text
}

fn change(change: &AttributeChange) -> String {
    let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "unset".to_owned());
    format!("{} → {}", word(&change.before), word(&change.after))
}

fn section<K: AsRef<str>>(title: &str, entries: &BTreeMap<K, String>) -> String {
    let width = widest(entries.keys().map(AsRef::as_ref));
    let mut text = format!("\n{}\n", paint(FAINT, title));
    for (name, value) in entries {
        for (index, line) in value.lines().enumerate() {
            let name = if index == 0 { name.as_ref() } else { "" };
            text.push_str(&format!("  {}  {line}\n", pad(name, width)));
        }
    }
    text
}
