//! What does not depend on the machine: allocations and bytes of one request, without sockets.

use pvx_sim::World;
use pvx_sim::direct::{Ask, Direct};

use crate::{Failure, KINDS, paths, say, worlds};

/// Counts of requests to `lab`.
pub(crate) fn of_lab() -> Result<(), Failure> {
    say("allocations per read of lab, without sockets:")?;
    of(World::lab(), "pve1", 100)
}

/// Counts of requests to the big world.
pub(crate) fn of_big() -> Result<(), Failure> {
    say("allocations per read of 20,000 guests, without sockets:")?;
    of(worlds::big(50, 20_000), "node01", 1000)
}

fn of(world: World, node: &str, vmid: u32) -> Result<(), Failure> {
    let (id, secret) = world.token();
    let authorization = Some(format!("PVEAPIToken={id}={secret}"));
    let mut direct = Direct::new(world, 1_790_000_000_000);
    for (name, path) in KINDS {
        let target = paths(path, node, vmid);
        let target = target.trim_start_matches("/api2/json").to_owned();
        let ask = Ask {
            method: "GET".to_owned(),
            target,
            authorization: authorization.clone(),
            ..Ask::default()
        };
        direct.ask(&ask);
        let mut size = 0;
        let counted = allocation_counter::measure(|| size = direct.ask(&ask).body.len());
        let (count, bytes, most) = (counted.count_total, counted.bytes_total, counted.bytes_max);
        say(&format!(
            "  {name:<18} {count:>7} allocations of {bytes:>9} bytes, {most:>8} at once; \
             answer {size} bytes"
        ))?;
    }
    Ok(())
}
