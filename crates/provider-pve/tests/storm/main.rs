//! A storm of faults over a cluster of five nodes while guests are made, changed, moved and removed:
//! a run converges, or stops with a true account, and the first run after the storm converges.
//!
//! Everything depends on the seed alone, times of the machine apart: `PVX_STORM_SEED=17` plays one,
//! `PVX_STORM_SEEDS=1000` a thousand, and those that fail are named with their numbers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it played"
)]

mod account;
mod dice;
mod documents;
mod rounds;
mod weather;

use std::time::{Duration, Instant};

use dice::Dice;
use documents::Wishes;
use futures::StreamExt;
use pvx_sim::{LabOptions, TimeScale, World};
use rounds::Lab;

/// Seeds of a normal test run.
const SEEDS: u64 = 20;
/// Seeds that are played at once.
const AT_ONCE: usize = 12;
/// A run that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Sim time runs so fast.
const FAST: f64 = 100.0;

fn world() -> World {
    let nodes = (1..=5).map(|number| format!("pve{number}")).collect();
    let mut world = World::lab_with(LabOptions { nodes, ..LabOptions::default() });
    account::add_foreign(&mut world);
    world
}

/// Plays one seed; what was wrong.
async fn play(seed: u64) -> Result<String, String> {
    let mut dice = Dice::new(seed);
    let wishes = Wishes::draw(&mut dice);
    let calm = Lab::start(world(), TimeScale::INSTANT).await;
    let before = calm.documents(&wishes.before());
    let run = calm.run(&before, 1).await;
    let said = account::untrue(&run, &calm.sim.world(), None);
    if !run.complete() || !said.is_empty() {
        return Err(format!("without any fault: {}\n{}", run.told(), said.join("\n")));
    }
    let world = calm.sim.world();
    calm.close().await;

    let lab = Lab::start(world, TimeScale::times(FAST)).await;
    let after = lab.documents(&wishes.after());
    let lost = weather::begin(&lab.sim, &mut dice);
    let storm = lab.run(&after, 4).await;
    let mut wrong = account::untrue(&storm, &lab.sim.world(), Some(&lost));
    weather::end(&lab.sim);
    let calm = lab.run(&after, 1).await;
    if !calm.complete() {
        wrong.push(format!("the run after the storm: {}", calm.told()));
    }
    let left = lab.plan(&after).await;
    match left {
        Ok(plan) if plan.is_empty() => {}
        Ok(plan) => wrong.push(format!("a plan is left: {}", rounds::outline(&plan))),
        Err(error) => wrong.push(format!("no plan after the storm: {error}")),
    }
    wrong.extend(account::at_the_end(&lab.sim.world(), &wishes));
    let told = format!("{} in the storm, then {}", storm.told(), calm.told());
    lab.close().await;
    if wrong.is_empty() { Ok(told) } else { Err(format!("{}\n{told}", wrong.join("\n"))) }
}

async fn timed(seed: u64) -> (u64, Result<String, String>) {
    let played = tokio::spawn(tokio::time::timeout(PATIENCE, play(seed))).await;
    let result = match played {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err("it hangs".to_owned()),
        Err(panic) => Err(panic.to_string()),
    };
    (seed, result)
}

fn seeds() -> Vec<u64> {
    let number = |name| std::env::var(name).ok().map(|text: String| text.parse::<u64>().unwrap());
    match (number("PVX_STORM_SEED"), number("PVX_STORM_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, count) => (1..=count.unwrap_or(SEEDS)).collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn converges_or_tells_the_truth() {
    let (seeds, began) = (seeds(), Instant::now());
    let mut playing =
        futures::stream::iter(seeds.iter().copied().map(timed)).buffer_unordered(AT_ONCE);
    let mut failed = Vec::new();
    let mut calm = 0;
    while let Some((seed, result)) = playing.next().await {
        match result {
            Ok(told) => {
                calm += usize::from(told.starts_with("complete"));
                if seeds.len() == 1 {
                    println!("seed {seed}: {told}");
                }
            }
            Err(text) => {
                println!("-- seed {seed}\n{text}");
                failed.push(seed);
            }
        }
    }
    failed.sort_unstable();
    println!(
        "storm: {} seeds, {calm} of them complete within the storm, {} failed, {:?}",
        seeds.len(),
        failed.len(),
        began.elapsed()
    );
    assert!(failed.is_empty(), "seeds that failed: {failed:?}");
}
