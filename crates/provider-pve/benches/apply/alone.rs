//! What the process of an apply costs by itself: it runs apart from the simulator.

use std::process::Command;
use std::time::Duration;

use pvx_core::document::{LoadOptions, load};
use pvx_core::execute::Limits;
use pvx_core::plan::Plan;
use pvx_core::planner::{self, Input, Options};
use pvx_core::provider::Reader as _;
use pvx_core::read;
use pvx_core::state::Memory;
use pvx_provider_pve::Cluster;
use pvx_provider_pve::guest::Qemu;
use pvx_sim::TimeScale;

use crate::cases;
use crate::harness::{Lab, connect, execute};

/// Tells this binary what to measure in a process of its own.
pub(crate) const MEASURE: &str = "PVX_BENCH_MEASURE";
/// How long an idle wait is watched.
const WATCHED: Duration = Duration::from_secs(20);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alone {
    /// Waiting for 100 tasks that take long.
    Idle,
    /// Making 500 guests.
    Memory,
}

impl Alone {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Idle, Self::Memory];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Memory => "memory",
        }
    }

    fn guests(self) -> usize {
        match self {
            Self::Idle => 100,
            Self::Memory => 500,
        }
    }

    /// Serves a cluster to a process that measures.
    pub(crate) fn measure(self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let mut world = cases::empty();
        let scale = match self {
            Self::Idle => TimeScale::REAL,
            Self::Memory => TimeScale::times(20.0),
        };
        if self == Self::Idle {
            // A quarter of an hour of copying.
            cases::fill_template(&mut world, 900 << 30);
        }
        let lab = runtime.block_on(Lab::paced(world, scale, Default::default()));
        let (id, secret) = lab.sim.token();
        let told = [
            self.name().to_owned(),
            lab.sim.addr().to_string(),
            lab.sim.fingerprint(),
            format!("{id}={secret}"),
        ];
        let mut child = Command::new(std::env::current_exe().unwrap());
        let status = child.env(MEASURE, told.join("\n")).status().unwrap();
        assert!(status.success(), "the measuring process failed");
    }
}

/// The process that is measured.
pub(crate) fn child(told: &str) {
    let told: Vec<&str> = told.lines().collect();
    let alone = Alone::ALL.into_iter().find(|alone| alone.name() == told[0]).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let cluster = connect(told[1], told[2], told[3]).await;
        match alone {
            Alone::Idle => idle(&cluster, alone.guests()).await,
            Alone::Memory => memory(&cluster, alone.guests()).await,
        }
    });
}

/// The plan that makes so many guests.
async fn plan(cluster: &Cluster, clone: &str, guests: usize) -> Plan {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("fleet.yaml"), cases::created(clone, guests)).unwrap();
    let working_dir = folder.path().to_owned();
    let loaded = load(&LoadOptions { working_dir, ..LoadOptions::default() });
    let (desired, memory) = (&loaded.desired, &Memory::default());
    let inventory = cluster.inventory().await.unwrap();
    let snapshot = read::snapshot(cluster, inventory, desired, memory, &Qemu, &[]).await.unwrap();
    planner::apply(&Input {
        desired,
        snapshot: &snapshot,
        memory,
        kind: &Qemu,
        options: &Options::default(),
        sources: &loaded.sources,
    })
}

async fn idle(cluster: &Cluster, guests: usize) {
    let plan = plan(cluster, "full", guests).await;
    let limits = Limits {
        total: guests,
        per_node: guests,
        per_storage: Some(guests),
        per_template: guests,
        ..Limits::default()
    };
    let watched = async {
        // Every clone is begun, and copies.
        while cluster.client().stats().writes < guests as u64 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        tokio::time::sleep(Duration::from_secs(15)).await;
        let (before, requests) = (ticks(), cluster.client().stats().requests);
        tokio::time::sleep(WATCHED).await;
        (ticks() - before, cluster.client().stats().requests - requests)
    };
    tokio::select! {
        _ = execute(cluster, &plan, &limits) => panic!("the tasks ended too soon"),
        (ticks, requests) = watched => {
            // A tick is a hundredth of a second.
            let share = ticks as f64 / WATCHED.as_secs_f64();
            println!(
                "| idle | {guests} tasks | {share:.2} % of a core | {:.1} requests/s | {} |",
                requests as f64 / WATCHED.as_secs_f64(),
                resident()
            );
        }
    }
}

async fn memory(cluster: &Cluster, guests: usize) {
    let plan = plan(cluster, "linked", guests).await;
    let (_, failures) = execute(cluster, &plan, &Limits::default()).await;
    assert_eq!(failures, []);
    println!("| memory | {guests} guests made | | | {} |", resident());
}

/// Time on a processor of this process, all threads, user and system (`/proc/self/stat`, 14 and 15).
fn ticks() -> u64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    after.split_whitespace().skip(11).take(2).filter_map(|part| part.parse::<u64>().ok()).sum()
}

/// The most memory that this process had, where the system tells it.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.map_or_else(|| "?".to_owned(), |kib| format!("{:.1} MB", kib * 1024.0 / 1e6))
}
