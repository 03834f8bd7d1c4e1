//! `rrddata` (`PVE::RRD::create_rrd_data`): what was measured since a node booted or a guest began
//! to run. The load is the same all the time.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, Param, optional, required};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::Kind;
use crate::guest::status::measure;

const CONSOLIDATION: Kind = Kind::Enum(&["AVERAGE", "MAX"]);
const FRAMES: &[&str] = &["hour", "day", "week", "month", "year", "decade"];
const NODE: &[Param] = &[required("timeframe", Kind::Enum(FRAMES)), optional("cf", CONSOLIDATION)];
const GUEST: &[Param] = &[
    required("timeframe", Kind::Enum(&["hour", "day", "week", "month", "year"])),
    optional("cf", CONSOLIDATION),
];

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/nodes/{node}/qemu/{vmid}/rrddata", guest)
        .with(GUEST)
        .may(Permission::All("/vms/{vmid}", &["VM.Audit"])),
    Endpoint::get("/nodes/{node}/rrddata", node)
        .with(NODE)
        .may(Permission::All("/nodes/{node}", &["Sys.Audit"])),
];

/// Seconds between two points, and their number.
fn frame(name: &str) -> (i64, i64) {
    match name {
        "day" => (60, 1440),
        "week" => (60 * 30, 336),
        "month" => (60 * 30, 1440),
        "year" => (3600 * 6, 1440),
        "decade" => (86_400 * 7, 570),
        _ => (60, 60),
    }
}

/// The points of the frame; those since `since` have the values, those before only a time.
fn points(call: &Call<'_>, since: i64, values: &Value) -> Reply {
    let (step, count) = frame(call.params.get("timeframe").unwrap_or_default());
    let end = call.moment.seconds() / step * step;
    let list = (0..count).map(|index| end - step * (count - index)).map(|time| {
        let mut point = if time >= since { values.clone() } else { json!({}) };
        if let Some(members) = point.as_object_mut() {
            members.insert("time".to_owned(), json!(time));
        }
        point
    });
    list.collect::<Value>().into()
}

fn node(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let name = call.node();
    let Some(node) = call.world.nodes.get(&name) else {
        return Err(Refusal::die(format!("no such cluster node '{name}'")));
    };
    let values = json!({
        "cpu": 0.02, "maxcpu": node.cpus, "iowait": 0, "loadavg": 0.1, "memtotal": node.memory,
        "memused": super::node::memory_used(call.world, &name), "swaptotal": 0, "swapused": 0,
        "roottotal": node.rootfs, "rootused": node.rootfs / 15, "netin": 0, "netout": 0,
    });
    let since = call.moment.seconds() - node.uptime(call.moment.now);
    Ok(points(call, since, &values))
}

fn guest(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let Some(guest) = call.world.guests.get(&call.vmid()) else {
        // There is no file, and nothing is measured.
        return Ok(json!([]).into());
    };
    let size = measure(guest);
    let running = guest.running.as_ref().map(|running| running.since_ms / 1000);
    let values = json!({
        "cpu": 0, "maxcpu": size.cpus, "mem": size.memory / 4, "maxmem": size.memory, "disk": 0,
        "maxdisk": size.disk, "netin": 0, "netout": 0, "diskread": 0, "diskwrite": 0,
    });
    Ok(points(call, running.unwrap_or(i64::MAX), &values))
}
