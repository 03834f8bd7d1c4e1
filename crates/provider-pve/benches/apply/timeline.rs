//! When the busiest locks were idle: what a better order, or a quicker look, could have saved.

use std::collections::BTreeMap;

use pvx_sim::{LockSpan, Sim, TaskState, World};

use crate::bound::guest_of;

/// Prints, for each of the three locks that are held longest, its idle time by what it was: before
/// the first holder, after the last one, and between; and the longest gaps.
pub(crate) fn print(sim: &Sim, began_ms: i64, ended_ms: i64) {
    let mut locks: BTreeMap<String, Vec<LockSpan>> = BTreeMap::new();
    let world = sim.world();
    for span in world.lock_spans().into_iter().filter(|span| span.exclusive) {
        locks.entry(span.lock.clone()).or_default().push(span);
    }
    requests(sim);
    kinds(&world, began_ms);
    let held = |spans: &[LockSpan]| spans.iter().map(|span| span.to_ms - span.from_ms).sum::<i64>();
    let mut locks: Vec<(String, Vec<LockSpan>)> = locks.into_iter().collect();
    locks.sort_by_key(|(_, spans)| -held(spans));
    for (name, spans) in locks.iter().take(3) {
        let (first, last) = (spans[0].from_ms, spans[spans.len() - 1].to_ms);
        let gaps = spans.windows(2).map(|two| (two[1].from_ms - two[0].to_ms, &two[0], &two[1]));
        let mut gaps: Vec<_> = gaps.filter(|(ms, ..)| *ms > 0).collect();
        let idle: i64 = gaps.iter().map(|(ms, ..)| ms).sum();
        println!(
            "  {name}: held {} ms by {}, idle {} ms before, {idle} ms in {} gaps, {} ms after",
            held(spans),
            spans.len(),
            first - began_ms,
            gaps.len(),
            ended_ms - last
        );
        gaps.sort_by_key(|(ms, ..)| -ms);
        for (ms, before, after) in gaps.iter().take(8) {
            let at = before.to_ms - began_ms;
            println!(
                "    {ms} ms at {at}: {} → {}",
                task(&world, &before.upid),
                task(&world, &after.upid)
            );
        }
    }
}

/// What was asked, most often first.
fn requests(sim: &Sim) {
    let mut totals = sim.request_totals();
    totals.sort_by_key(|one| std::cmp::Reverse(one.count));
    for one in totals.iter().take(12) {
        println!("  {} {} {}: {} bytes", one.count, one.method, one.template, one.bytes_out);
    }
}

/// When tasks of each kind began and ended, ms from the beginning.
fn kinds(world: &World, began_ms: i64) {
    let mut kinds: BTreeMap<&str, Vec<(i64, i64)>> = BTreeMap::new();
    for task in world.tasks().filter(|task| task.start_ms >= began_ms) {
        let TaskState::Stopped { end_ms, .. } = task.state else { continue };
        kinds.entry(&task.kind).or_default().push((task.start_ms - began_ms, end_ms - began_ms));
    }
    for (kind, times) in kinds {
        let (starts, ends): (Vec<i64>, Vec<i64>) = times.into_iter().unzip();
        let first = |of: &[i64]| of.iter().min().copied().unwrap_or(0);
        let last = |of: &[i64]| of.iter().max().copied().unwrap_or(0);
        let (begun, ended) = ((first(&starts), last(&starts)), (first(&ends), last(&ends)));
        println!(
            "  {} {kind}: begun {} to {} ms, ended {} to {} ms",
            starts.len(),
            begun.0,
            begun.1,
            ended.0,
            ended.1
        );
    }
}

/// `qmclone 1003 on pve2`.
fn task(world: &World, upid: &str) -> String {
    match world.tasks().find(|task| task.upid == upid) {
        Some(task) => format!("{} {} on {}", task.kind, guest_of(task), task.node),
        None => "a request".to_owned(),
    }
}
