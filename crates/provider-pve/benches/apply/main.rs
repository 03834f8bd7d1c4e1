//! How long an apply takes, against the least that it can take: see `docs/benchmarks.md`.
//!
//! `cargo bench -p pvx-provider-pve --bench apply [-- CASE…]`; cases are `linked`, `full`, `mixed`,
//! `destroy`, `idle` and `memory`. `PVX_BENCH_SCALE` (1) lets the simulator's clock run so many times
//! as fast, `PVX_BENCH_GUESTS` takes other numbers of guests, `PVX_BENCH_TIMELINE=1` shows when locks
//! were idle.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints"
)]

mod alone;
mod bound;
mod cases;
#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../../tests/simulated/harness.rs"]
mod harness;
mod timeline;

use alone::Alone;
use bound::Bound;
use cases::Case;
use pvx_core::planner::Options;
use pvx_sim::TimeScale;

fn main() {
    if let Ok(told) = std::env::var(alone::MEASURE) {
        return alone::child(&told);
    }
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wanted = |name: &str| asked.is_empty() || asked.iter().any(|one| one == name);
    let cases: Vec<Case> = Case::ALL.into_iter().filter(|case| wanted(case.name())).collect();
    if !cases.is_empty() {
        println!(
            "| case | guests | makespan | lower bound | ratio | with its way | ratio | critical path | longest lock | \
             requests a guest | kB a guest | lock time-outs | failed tasks |"
        );
        println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for case in cases {
        runtime.block_on(measure(case));
    }
    let alone: Vec<Alone> = Alone::ALL.into_iter().filter(|one| wanted(one.name())).collect();
    if !alone.is_empty() {
        println!("\n| case | of | processor | requests | most memory |");
        println!("|---|---|--:|--:|--:|");
    }
    alone.into_iter().for_each(Alone::measure);
}

fn number(name: &str) -> Option<f64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

async fn measure(case: Case) {
    let guests = number("PVX_BENCH_GUESTS").map_or(case.guests(), |guests| guests as usize);
    let scale = TimeScale::times(number("PVX_BENCH_SCALE").unwrap_or(1.0));
    let lab = case.lab(guests, scale).await;
    let documents = lab.documents(&[("fleet.yaml", case.documents(guests))]);
    lab.sim.clear_requests();
    lab.sim.edit(pvx_sim::World::clear_locks);
    let before = lab.cluster.client().stats();
    let (options, memory) = (Options::default(), lab.memory());
    let (_, plan) = lab.preflight(&documents, case.intent(), &options, &memory).await;
    assert!(!plan.is_blocked(), "{:#?}", plan.findings);
    assert_eq!(plan.changes.len(), guests, "every guest has something to be done");
    let began = lab.sim.now_ms();
    lab.carry_out(&plan).await;
    let ended = lab.sim.now_ms();
    let after = lab.cluster.client().stats();
    let bound = Bound::of(&lab.sim, began);
    let each = |total: u64| total as f64 / guests as f64;
    let seconds = |ms: i64| ms as f64 / 1000.0;
    let (lock, held) = &bound.lock;
    println!(
        "| {} | {guests} | {:.1} s | {:.1} s | {:.2} | {:.1} s | {:.2} | {:.1} s | {lock}: {:.1} s | {:.1} | {:.1} | {} | {} |",
        case.name(),
        seconds(ended - began),
        seconds(bound.ms()),
        (ended - began) as f64 / bound.ms().max(1) as f64,
        seconds(bound.with_way_ms()),
        (ended - began) as f64 / bound.with_way_ms().max(1) as f64,
        seconds(bound.path_ms),
        seconds(*held),
        each(after.requests - before.requests),
        each(after.bytes_in - before.bytes_in) / 1000.0,
        bound.timeouts,
        bound.failed,
    );
    if std::env::var_os("PVX_BENCH_TIMELINE").is_some() {
        timeline::print(&lab.sim, began, ended);
    }
}
