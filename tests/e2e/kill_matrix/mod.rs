//! One apply of 20 guests, killed with SIGKILL at every record of its journal and at every request,
//! and run again: always the same cluster.
//!
//! `PVX_KILL_MATRIX=full cargo test -p pvx --test e2e kill_matrix -- --nocapture` goes to every
//! point and prints how many there are; `PVX_KILL_MATRIX='request 17 before'` goes to one. The
//! normal test run takes a sample.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it says what it played")]

mod account;
mod point;
mod scene;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use point::{At, Point, Stage};

/// Points that are tried at once: most of a run is waiting.
const AT_ONCE: usize = 8;
/// Points of the sample.
const SAMPLE: usize = 24;

/// All points of one apply.
fn all(stage: &Stage) -> Vec<Point> {
    let mut points = Vec::new();
    for number in 1..=stage.requests.len() {
        // A read has no effect: before and after it are the same to the cluster.
        let write = stage.requests[number - 1];
        let kinds: &[At] = if write { &[At::Before, At::After, At::Late] } else { &[At::Before] };
        points.extend(kinds.iter().map(|at| Point::request(number, *at)));
    }
    for number in 1..=stage.records {
        points.extend([At::Before, At::After].map(|at| Point::record(number, at)));
    }
    for (index, point) in points.iter_mut().enumerate() {
        // Any number will do, as long as it is always the same and no sample falls in step with it.
        let drawn = index.wrapping_mul(2_654_435_761) >> 7;
        point.slow = drawn % 4 == 1;
        point.lose_state = drawn / 4 % 5 == 2;
        point.twice = (drawn / 20 % 3 == 2).then(|| 1 + drawn / 60 % 70);
    }
    points
}

/// So many of them, evenly spread with a step that takes all kinds.
fn sample(points: &[Point], count: usize) -> Vec<Point> {
    let step = (points.len() / count).max(1) | 1;
    points.iter().step_by(step).take(count).cloned().collect()
}

fn chosen(stage: &Stage) -> Vec<Point> {
    let points = all(stage);
    match std::env::var("PVX_KILL_MATRIX").unwrap_or_default().as_str() {
        "" => sample(&points, SAMPLE),
        "full" => points,
        count if count.parse::<usize>().is_ok() => sample(&points, count.parse().unwrap()),
        name => {
            let mut named = points.iter().filter(|point| point.to_string().starts_with(name));
            let point = named.next().unwrap_or_else(|| panic!("there is no point '{name}'"));
            vec![point.clone()]
        }
    }
}

#[test]
fn any_point_of_an_apply() {
    let stage = Stage::set();
    let points = chosen(&stage);
    let (next, began) = (AtomicUsize::new(0), Instant::now());
    let missed: Mutex<Vec<String>> = Mutex::default();
    let failures: Mutex<BTreeMap<usize, String>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(point) = points.get(index) else { return };
                    match stage.play(point) {
                        Ok(true) => {}
                        Ok(false) => missed.lock().unwrap().push(point.to_string()),
                        Err(text) => {
                            eprintln!("-- {point}\n{text}");
                            failures.lock().unwrap().insert(index, format!("-- {point}\n{text}"));
                        }
                    }
                }
            });
        }
    });
    let (failures, missed) = (failures.into_inner().unwrap(), missed.into_inner().unwrap());
    println!(
        "kill matrix: {} of {} points, {} requests ({} that write), {} records, {} failed, \
         {} not come to, {:?}",
        points.len(),
        all(&stage).len(),
        stage.requests.len(),
        stage.requests.iter().filter(|write| **write).count(),
        stage.records,
        failures.len(),
        missed.len(),
        began.elapsed()
    );
    let names: Vec<&str> = failures.values().filter_map(|text| text.lines().next()).collect();
    assert!(failures.is_empty(), "{} points failed:\n{}", failures.len(), names.join("\n"));
    // Which request is the N-th depends on what runs at once; nearly all must be met.
    assert!(missed.len() * 20 <= points.len(), "points that no run came to: {missed:#?}");
}
