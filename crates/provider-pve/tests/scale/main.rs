//! No command grows faster than the fleet: counted at small sizes, because counts do not depend on
//! the machine. `benches/plan` has the curve up to 5,000, with times.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "the benchmark uses all of it")]
#[path = "../../benches/plan/cost.rs"]
mod cost;
#[allow(dead_code, reason = "the benchmark uses all of it")]
#[path = "../../benches/plan/fleet.rs"]
mod fleet;
#[allow(dead_code, reason = "other tests use all of it")]
#[path = "../simulated/harness.rs"]
mod harness;

use cost::{Cost, Target};
use fleet::{NODES, Shape};

/// VMs of the fleets, each twice the last, and their files.
const SIZES: [usize; 3] = [100, 200, 400];
const DOCUMENTS: usize = 10;

fn cost(shape: Shape, guests: usize) -> Cost {
    // The simulator has threads of its own: only the client's allocations are counted.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let documents = shape.documents(guests, DOCUMENTS);
    let lab = runtime.block_on(fleet::lab(shape, &documents));
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in documents {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let (id, secret) = lab.sim.token();
    cost::of(&Target {
        address: lab.sim.addr().to_string(),
        fingerprint: lab.sim.fingerprint(),
        token: format!("{id}={secret}"),
        folder: folder.path().to_owned(),
        in_flight: Some(1),
    })
}

/// What the last VMs cost is what the first ones cost, within a tenth.
fn grows_no_faster(what: &str, [few, more, many]: [u64; 3]) {
    let (first, last) = ((more - few) as f64 / 100.0, (many - more) as f64 / 200.0);
    assert!(last <= first * 1.1, "{what} for each VM: {first:.1}, then {last:.1}");
}

fn linear(shape: Shape) {
    let costs = SIZES.map(|guests| cost(shape, guests));
    for (guests, cost) in SIZES.into_iter().zip(&costs) {
        assert_eq!(cost.guests, guests);
        assert!(cost.requests <= (3 + NODES + guests) as u64, "{} requests", cost.requests);
    }
    let of = |count: fn(&Cost) -> u64| -> [u64; 3] { costs.each_ref().map(count) };
    grows_no_faster("requests", of(|cost| cost.requests));
    grows_no_faster("bytes received", of(|cost| cost.received));
    grows_no_faster("allocations of validate", of(|cost| cost.validate.count_total));
    grows_no_faster("bytes allocated by validate", of(|cost| cost.validate.bytes_total));
    grows_no_faster("peak of validate", of(|cost| cost.validate.bytes_max));
    grows_no_faster("allocations of plan", of(|cost| cost.plan.count_total));
    grows_no_faster("bytes allocated by plan", of(|cost| cost.plan.bytes_total));
    grows_no_faster("peak of plan", of(|cost| cost.plan.bytes_max));
}

#[test]
fn profiles_cost_the_same_for_each_guest() {
    linear(Shape::Profiles);
}

#[test]
fn standalone_vms_cost_the_same_for_each() {
    linear(Shape::Standalone);
}
