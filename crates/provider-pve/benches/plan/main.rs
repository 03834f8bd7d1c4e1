//! What it costs to validate and to plan a fleet in which nothing is to be done: see
//! `docs/benchmarks.md`.
//!
//! `cargo bench -p pvx-provider-pve --bench plan [-- SHAPE…] [SIZE…]`; shapes are `profiles` and
//! `standalone`. `PVX_BENCH_RUNS` (3) says how often times are taken: the best counts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints"
)]

mod cost;
mod fleet;
#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../../tests/simulated/harness.rs"]
mod harness;

use std::process::Command;

use cost::{Cost, Target, Time};
use fleet::{NODES, Shape};
use pvx_core::live::GuestRef;

/// VMs of a fleet.
const SIZES: [usize; 7] = [10, 50, 100, 500, 1000, 2500, 5000];
/// Files of a fleet.
const DOCUMENTS: usize = 50;
/// Tells this binary to measure in a process of its own, so that memory is that of one run.
const MEASURE: &str = "PVX_BENCH_MEASURE";

fn main() {
    if let Ok(told) = std::env::var(MEASURE) {
        return child(&told);
    }
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let sizes: Vec<usize> = asked.iter().filter_map(|a| a.parse().ok()).collect();
    let sizes = if sizes.is_empty() { SIZES.to_vec() } else { sizes };
    let named = |shape: &Shape| asked.iter().any(|a| a == shape.name());
    let all = !Shape::ALL.iter().any(named);
    for shape in Shape::ALL.into_iter().filter(|shape| all || named(shape)) {
        println!("{}, {NODES} nodes, nothing to do; allocations are for each VM", shape.name());
        println!(
            "| VMs | documents | requests | received | validate: allocations, peak | \
             plan: allocations, peak | resident | validate: busy / wall | \
             requests alone | plan |"
        );
        println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
        for guests in &sizes {
            measure(shape, *guests);
        }
    }
}

/// Serves the fleet to a process that measures.
fn measure(shape: Shape, guests: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let documents = shape.documents(guests, DOCUMENTS);
    let lab = runtime.block_on(fleet::lab(shape, &documents));
    for (name, text) in &documents {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let (id, secret) = lab.sim.token();
    let told = [
        lab.sim.addr().to_string(),
        lab.sim.fingerprint(),
        format!("{id}={secret}"),
        folder.path().display().to_string(),
        documents.len().to_string(),
        guests.to_string(),
    ];
    let mut child = Command::new(std::env::current_exe().unwrap());
    let status = child.env(MEASURE, told.join("\n")).status().unwrap();
    assert!(status.success(), "the measuring process failed");
}

fn child(told: &str) {
    let told: Vec<&str> = told.lines().collect();
    let target = Target {
        address: told[0].to_owned(),
        fingerprint: told[1].to_owned(),
        token: told[2].to_owned(),
        folder: told[3].into(),
        in_flight: None,
    };
    let runs = std::env::var("PVX_BENCH_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    let mut cost = cost::of(&target);
    let resident = resident();
    for _ in 1..runs {
        let again = cost::of(&target);
        cost.validate_time = cost.validate_time.or(again.validate_time);
        cost.plan_time = cost.plan_time.or(again.plan_time);
    }
    let guests: Vec<GuestRef> = fleet::references(cost.guests);
    let mut alone = cost::requests_alone(&target, &guests);
    for _ in 1..runs {
        alone = alone.or(cost::requests_alone(&target, &guests));
    }
    assert_eq!(cost.guests.to_string(), told[5], "guests that are there");
    assert!(cost.requests <= (3 + NODES + cost.guests) as u64, "{} requests", cost.requests);
    print(&cost, told[4], &resident, alone);
}

fn print(cost: &Cost, documents: &str, resident: &str, alone: Time) {
    let each = |total: u64| total / cost.guests as u64;
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let ms = |time: Time| {
        let [busy, wall] = [time.busy, time.wall].map(|time| time.as_secs_f64() * 1000.0);
        format!("{busy:.0} / {wall:.0} ms")
    };
    println!(
        "| {} | {documents} | {} | {} ({}) | {}, {} | {}, {} | {resident} | {} | {} | {} |",
        cost.guests,
        cost.requests,
        mib(cost.received),
        each(cost.received),
        each(cost.validate.count_total),
        mib(cost.validate.bytes_max),
        each(cost.plan.count_total),
        mib(cost.plan.bytes_max),
        ms(cost.validate_time),
        ms(alone),
        ms(cost.plan_time),
    );
}

/// The most memory that this process had, where the system tells it.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map_or_else(|| "?".to_owned(), |kib| format!("{} MiB", kib >> 10))
}
