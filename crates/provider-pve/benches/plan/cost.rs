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
    pub(crate) validate_time: Duration,
    pub(crate) plan_time: Duration,
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
    let mut validate_time = Duration::MAX;
    let validate = measure(|| {
        let began = Instant::now();
        drop(documents(&target.folder));
        validate_time = began.elapsed();
    });
    let mut plan_time = Duration::MAX;
    let mut made = None;
    let counted = measure(|| {
        let began = Instant::now();
        let loaded = documents(&target.folder);
        made = Some(runtime.block_on(plan(&options, &loaded, &memory)));
        plan_time = began.elapsed();
    });
    let (made, client) = made.unwrap();
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
    let snapshot = read::snapshot(&cluster, inventory, desired, memory, &Qemu).await.unwrap();
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
pub(crate) fn requests_alone(target: &Target, guests: &[GuestRef]) -> Duration {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let client = Client::new(target.options(&runtime)).unwrap();
    let mut paths: Vec<ApiPath> = vec!["/cluster/status".into(), "/cluster/resources".into()];
    let nodes: std::collections::BTreeSet<&str> = guests.iter().map(|g| g.node.as_str()).collect();
    paths.extend(nodes.iter().map(|node| ApiPath::new("/nodes/{}/qemu", &[node])));
    let pending = |g: &GuestRef| ApiPath::new("/nodes/{}/qemu/{}/pending", &[&g.node, &g.vmid]);
    paths.extend(guests.iter().map(pending));
    let began = Instant::now();
    runtime.block_on(async {
        let ask = async |path| client.get::<IgnoredAny>(&Request::get(path)).await.map(drop);
        let all = stream::iter(paths).map(ask).buffer_unordered(128);
        let done: Result<(), ApiError> = all.try_collect().await;
        done.unwrap();
    });
    began.elapsed()
}
