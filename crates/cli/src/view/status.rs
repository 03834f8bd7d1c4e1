//! Who runs where.

use std::collections::{BTreeMap, BTreeSet};

use pvx_core::address::Address;
use pvx_core::live::{Inventory, Node, Pending};
use pvx_core::planner::{Input, Ownership};
use serde::Serialize;
use serde_json::{Value, json};

use super::paint::{FAINT, GONE, GOOD, STRONG, WARN, facts, item, pad, paint, widest};
use super::{count, units};

/// One guest of the documents.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) address: String,
    pub(crate) group: String,
    pub(crate) state: State,
    pub(crate) vmid: Option<u32>,
    pub(crate) node: Option<String>,
    pub(crate) cores: Option<u32>,
    /// MiB.
    pub(crate) memory: Option<u64>,
    pub(crate) addresses: Vec<String>,
    pub(crate) pending: Vec<Pending>,
}

/// What a guest is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Running,
    Stopped,
    HalfMade,
    Missing,
    /// Perhaps there: on a node that does not answer, or not to be read.
    Unknown,
    /// There, and not provably ours: `plan` says why.
    Unproved,
    NotInDocuments,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::HalfMade => "half-made",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::Unproved => "unproved",
            Self::NotInDocuments => "not in documents",
        }
    }
}

/// A row for every guest of the documents, and for every member that no document names any more.
pub(crate) fn rows(input: &Input<'_>) -> Vec<Row> {
    let ownership = Ownership::of(input);
    let live: BTreeMap<_, u32> = ownership.owned().collect();
    let mut rows = Vec::new();
    for guest in input.desired.guests() {
        let vmid = live.get(&guest.address).copied();
        let mut row = row(input, guest.address.to_string(), vmid);
        row.group.clone_from(&guest.group);
        if ownership.half_made(&guest.address).is_some() {
            row.state = State::HalfMade;
        } else if vmid.is_none() {
            suppose(&mut row, input, &ownership, &guest.address);
        }
        let ips =
            guest.spec.cloudinit.ipconfig.values().flat_map(|c| [c.ip.clone(), c.ip6.clone()]);
        row.addresses = ips.flatten().collect();
        rows.push(row);
    }
    let named: BTreeSet<&Address> = input.desired.guests().map(|guest| &guest.address).collect();
    for (address, vmid) in live.iter().filter(|(address, _)| !named.contains(*address)) {
        let mut row = row(input, address.to_string(), Some(*vmid));
        row.state = State::NotInDocuments;
        rows.push(row);
    }
    rows
}

/// A guest that is not provably there: what may be it.
fn suppose(row: &mut Row, input: &Input<'_>, ownership: &Ownership, address: &Address) {
    let unproved = ownership.in_the_way(address).map(|vmid| (vmid, State::Unproved));
    let unread = || ownership.may_be_unread(address).map(|vmid| (vmid, State::Unknown));
    if let Some((vmid, state)) = unproved.or_else(unread) {
        row.vmid = Some(vmid);
        row.node = input.snapshot.inventory.guests.get(&vmid).map(|guest| guest.node.clone());
        row.state = state;
    }
}

fn row(input: &Input<'_>, address: String, vmid: Option<u32>) -> Row {
    let live = vmid.and_then(|vmid| input.snapshot.guests.get(&vmid));
    let number = |key: &str| -> Option<u64> { live?.config.get(key)?.parse().ok() };
    let state = match live {
        None => State::Missing,
        Some(guest) if guest.running => State::Running,
        Some(_) => State::Stopped,
    };
    Row {
        address,
        group: String::new(),
        state,
        vmid,
        node: live.map(|guest| guest.node.clone()),
        cores: live.map(|_| {
            let (cores, sockets) = (number("cores").unwrap_or(1), number("sockets").unwrap_or(1));
            u32::try_from(cores.saturating_mul(sockets)).unwrap_or(u32::MAX)
        }),
        memory: live.map(|_| number("memory").unwrap_or(512)),
        addresses: Vec::new(),
        pending: live.map(|guest| guest.pending.clone()).unwrap_or_default(),
    }
}

/// The cluster in one line.
pub(crate) fn headline(inventory: &Inventory) -> String {
    let online = inventory.online_nodes().count();
    let nodes = count(inventory.nodes.len(), "node");
    let quorate = if inventory.quorate { "quorate" } else { "NO QUORUM" };
    let away =
        if online == inventory.nodes.len() { String::new() } else { format!(", {online} online") };
    let name = paint(STRONG, &inventory.cluster);
    let state = |(name, node): (&String, &Node)| match node.online {
        true => name.clone(),
        false => format!("{name} (offline)"),
    };
    let list: Vec<String> = inventory.nodes.iter().map(state).collect();
    format!(
        "cluster {name} · {nodes}{away} · {quorate}\n{}{}\n",
        listed("nodes", &list),
        listed("templates", &templates(inventory))
    )
}

/// Templates that the token sees, as documents can name them.
fn templates(inventory: &Inventory) -> Vec<String> {
    let templates = inventory.guests.values().filter(|guest| guest.template);
    templates
        .map(|guest| format!("{} ({})", guest.name.as_deref().unwrap_or("?"), guest.vmid))
        .collect()
}

fn listed(title: &str, items: &[String]) -> String {
    if items.is_empty() {
        return String::new();
    }
    let facts = facts(items, 11);
    format!("{}{}", paint(FAINT, &pad(title, 11)), facts.get(11..).unwrap_or_default())
}

/// The table for people.
pub(crate) fn render(rows: &[Row]) -> String {
    let address = widest(rows.iter().map(|r| r.address.as_str())).max(7);
    let node = widest(rows.iter().filter_map(|r| r.node.as_deref())).max(4);
    let head = format!(
        "{}  {}  {}  {}  CORES    MEMORY  ADDRESS",
        pad("GUEST", address),
        pad("VMID", 6),
        pad("NODE", node),
        pad("STATE", 9)
    );
    let mut text = paint(FAINT, &head) + "\n";
    for row in rows {
        let style = match row.state {
            State::Running => GOOD,
            State::Stopped => FAINT,
            State::HalfMade | State::Unknown | State::Unproved => WARN,
            State::Missing | State::NotInDocuments => GONE,
        };
        let line = format!(
            "{}  {}  {}  {}  {:>5}  {:>8}  {}",
            pad(&row.address, address),
            pad(&row.vmid.map_or_else(|| "-".to_owned(), |v| v.to_string()), 6),
            pad(row.node.as_deref().unwrap_or("-"), node),
            paint(style, &pad(row.state.word(), 9)),
            row.cores.map_or_else(|| "-".to_owned(), |v| v.to_string()),
            row.memory.map_or_else(|| "-".to_owned(), units::mebibytes),
            row.addresses.join(" ")
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str(&pending(rows));
    text
}

/// What waits, a guest a line.
fn pending(rows: &[Row]) -> String {
    let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "unset".to_owned());
    let one = |p: &Pending| format!("{} {} → {}", p.key, word(&p.running), word(&p.next));
    let line = |row: &Row| {
        let list: Vec<String> = row.pending.iter().map(one).collect();
        item(FAINT, "·", &format!("{} at its next cold boot: {}", row.address, list.join(", ")))
    };
    rows.iter().filter(|row| !row.pending.is_empty()).map(line).collect()
}

/// The table for programs.
pub(crate) fn to_json(inventory: &Inventory, rows: &[Row]) -> Value {
    let templates = inventory.guests.values().filter(|guest| guest.template);
    let templates: Vec<Value> = templates
        .map(|guest| json!({ "vmid": guest.vmid, "name": guest.name, "node": guest.node }))
        .collect();
    json!({
        "version": 1,
        "cluster": inventory.cluster,
        "quorate": inventory.quorate,
        "nodes": inventory.nodes,
        "templates": templates,
        "guests": rows,
    })
}
