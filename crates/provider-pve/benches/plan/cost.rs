//! What `pvx validate` and `pvx plan` cost: requests, bytes and allocations do not depend on the
//! machine, milliseconds do.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use allocation_counter::{AllocationInfo, measure};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use pvx_core::document::{LoadOptions, Loaded, load};
use pvx_core::live::GuestRef;
use pvx_core::plan::Plan;
use pvx_core::planner::{self, Input, Options};
use pvx_core::provider::Reader as _;
use pvx_core::read;
use pvx_core::state::Memory;
use pvx_provider_pve::Cluster;
use pvx_provider_pve::client::{
    ApiError, ApiPath, Client, ClientOptions, Endpoint, Fingerprint, Request, TlsTrust,
};
use pvx_provider_pve::credentials::TokenSource;
use pvx_provider_pve::guest::Qemu;
use serde::de::IgnoredAny;
use tokio::runtime::{Builder, Runtime};

/// A simulator and a folder of documents.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// `127.0.0.1:8006`
    pub(crate) address: String,
    pub(crate) fingerprint: String,
    /// `user@realm!name=secret`
    pub(crate) token: String,
    pub(crate) folder: PathBuf,
    /// Requests at a time; none: as many as pvx sends. With one, counts are the same every time.
    pub(crate) in_flight: Option<usize>,
}

/// What it cost.
#[derive(Debug)]
pub(crate) struct Cost {
    pub(crate) guests: usize,
    pub(crate) requests: u64,
    /// Bytes of the answers.
    pub(crate) received: u64,
    /// Reading and checking the documents.
    pub(crate) validate: AllocationInfo,
    /// The same, then reading the cluster and planning.
    pub(crate) plan: AllocationInfo,
    pub(crate) validate_time: Time,
    pub(crate) plan_time: Time,
}

/// How long something took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time {
    /// As a clock on the wall has it; grows when the machine has other things to do.
    pub(crate) wall: Duration,
    /// On a processor: this thread alone, where the system tells it.
    pub(crate) busy: Duration,
}

impl Time {
    /// The better of two runs.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { wall: self.wall.min(other.wall), busy: self.busy.min(other.busy) }
    }
}

/// Runs `work` on this thread.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Time) {
    let (began, before) = (Instant::now(), busy());
    let done = work();
    (done, Time { wall: began.elapsed(), busy: busy().saturating_sub(before) })
}

/// Time of this thread on a processor (Linux, `/proc/thread-self/schedstat`).
fn busy() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split_whitespace().next();
    Duration::from_nanos(first.and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

impl Target {
    fn options(&self, runtime: &Runtime) -> ClientOptions {
        let token = TokenSource::Inline(self.token.clone().into());
        let token = runtime.block_on(token.load()).unwrap();
        let endpoint: Endpoint = self.address.parse().unwrap();
        let pin: Fingerprint = self.fingerprint.parse().unwrap();
        let mut options =
            ClientOptions::new(vec![endpoint], TlsTrust::Fingerprints(vec![pin]), token);
        if let Some(most) = self.in_flight {
            options.total_in_flight = most;
        }
        options
    }
}

/// Measures both commands on one thread, after a first run that remembers what it found, as an
/// applied cluster is remembered, and makes what is made once.
pub(crate) fn of(target: &Target) -> Cost {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let options = target.options(&runtime);
    let (first, _) =
        runtime.block_on(plan(&options, &documents(&target.folder), &Memory::default()));
    let memory: Memory = first.outcomes.into_iter().collect();
    let mut validated = None;
    let validate = measure(|| validated = Some(timed(|| drop(documents(&target.folder)))));
    let mut planned = None;
    let counted = measure(|| {
        planned = Some(timed(|| {
            let loaded = documents(&target.folder);
            runtime.block_on(plan(&options, &loaded, &memory))
        }));
    });
    let (_, validate_time) = validated.unwrap();
    let ((made, client), plan_time) = planned.unwrap();
    assert!(made.is_empty(), "{:#?}", made.changes.first());
    assert!(!made.is_blocked(), "{:#?}", made.findings.first());
    let stats = client.stats();
    assert_eq!(stats.writes, 0);
    Cost {
        guests: made.profiles.iter().map(|profile| profile.existing).sum(),
        requests: stats.requests,
        received: stats.bytes_in,
        validate,
        plan: counted,
        validate_time,
        plan_time,
    }
}

fn documents(folder: &Path) -> Loaded {
    let loaded = load(&LoadOptions { working_dir: folder.to_owned(), ..LoadOptions::default() });
    assert!(loaded.diagnostics.is_empty(), "{:#?}", loaded.diagnostics.first());
    loaded
}

async fn plan(options: &ClientOptions, loaded: &Loaded, memory: &Memory) -> (Plan, Client) {
    let cluster = Cluster::new(Client::new(options.clone()).unwrap());
    let inventory = cluster.inventory().await.unwrap();
    let desired = &loaded.desired;
    let snapshot = read::snapshot(&cluster, inventory, desired, memory, &Qemu, &[]).await.unwrap();
    let input = Input {
        desired,
        snapshot: &snapshot,
        memory,
        kind: &Qemu,
        options: &Options::default(),
        sources: &loaded.sources,
    };
    (planner::apply(&input), cluster.client().clone())
}

/// The lower bound: the same requests by the same client, their answers thrown away.
pub(crate) fn requests_alone(target: &Target, guests: &[GuestRef]) -> Time {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let client = Client::new(target.options(&runtime)).unwrap();
    let mut paths: Vec<ApiPath> = vec!["/cluster/status".into(), "/cluster/resources".into()];
    let nodes: std::collections::BTreeSet<&str> = guests.iter().map(|g| g.node.as_str()).collect();
    paths.extend(nodes.iter().map(|node| ApiPath::new("/nodes/{}/qemu", &[node])));
    let pending = |g: &GuestRef| ApiPath::new("/nodes/{}/qemu/{}/pending", &[&g.node, &g.vmid]);
    paths.extend(guests.iter().map(pending));
    let all = async {
        let ask = async |path| client.get::<IgnoredAny>(&Request::get(path)).await.map(drop);
        let all = stream::iter(paths).map(ask).buffer_unordered(128);
        let done: Result<(), ApiError> = all.try_collect().await;
        done.unwrap();
    };
    timed(|| runtime.block_on(all)).1
}
