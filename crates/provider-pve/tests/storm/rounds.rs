//! Read, plan, carry out, and again while something failed: what `pvx apply` does with one set of
//! documents, without a terminal.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pvx_core::desired::Desired;
use pvx_core::diagnostic::Sources;
use pvx_core::document::{LoadOptions, load};
use pvx_core::execute::{self, Context, Estimates, History, Limits, Patience, Report, Stop};
use pvx_core::plan::{Change, Plan, Weight, lint};
use pvx_core::planner::{self, Input, Options};
use pvx_core::preflight;
use pvx_core::provider::{ProviderError, Reader};
use pvx_core::read;
use pvx_core::state::{Memory, Record, StateError};
use pvx_provider_pve::Cluster;
use pvx_provider_pve::client::{
    Client, ClientOptions, Endpoint, Fingerprint, RetryOptions, TlsTrust,
};
use pvx_provider_pve::credentials::TokenSource;
use pvx_provider_pve::guest::Qemu;
use pvx_sim::{Sim, TimeScale, World};
use tempfile::TempDir;

type Documents = (Desired, Sources);

pub(crate) struct Lab {
    pub(crate) sim: Arc<Sim>,
    cluster: Cluster,
    folder: TempDir,
}

tokio::task_local! {
    /// The cluster whose clock is looked at: sim time runs faster than that of the machine.
    static CLOCK: Arc<Sim>;
}

/// Milliseconds of sim time until the next try.
const PAUSE_MS: i64 = 3_000;

/// One plan, and what became of it.
pub(crate) struct Round {
    pub(crate) plan: Plan,
    pub(crate) report: Report,
    /// The cluster when the round was over; tasks that nobody waited for may still run.
    pub(crate) after: World,
}

/// A whole run.
#[derive(Default)]
pub(crate) struct Ran {
    pub(crate) rounds: Vec<Round>,
    /// Why it stopped before everything was done.
    stopped: Option<String>,
}

impl Ran {
    pub(crate) fn complete(&self) -> bool {
        self.stopped.is_none()
    }

    fn stop(&mut self, why: String) {
        self.stopped = Some(why);
    }

    pub(crate) fn told(&self) -> String {
        let count = self.rounds.len();
        match &self.stopped {
            None => format!("complete in {count} rounds"),
            Some(why) => format!("stopped after {count} rounds ({why})"),
        }
    }
}

/// Keeps nothing: what pvx needs is on the cluster.
struct Forgetful;

impl History for Forgetful {
    fn begins(&mut self, _: &Plan, _: &Change) -> Result<(), StateError> {
        Ok(())
    }

    fn record(&mut self, _: &Change, _: &Record) -> Result<(), StateError> {
        Ok(())
    }

    fn settled(&mut self, _: &Plan, _: &Change) -> Result<(), StateError> {
        Ok(())
    }
}

/// The actions of a plan in a line each.
pub(crate) fn outline(plan: &Plan) -> String {
    let line = |action: &pvx_core::plan::Action| {
        format!("{} {} ({}) on {}", action.kind.verb(), action.address, action.vmid, action.node)
    };
    let errors = plan.findings.iter().filter(|f| f.weight == Weight::Error);
    let errors = errors.map(|f| format!("× {}", f.message));
    plan.actions.iter().map(line).chain(errors).collect::<Vec<_>>().join("; ")
}

fn failures(plan: &Plan, report: &Report) -> Vec<String> {
    let told = report.failed.iter().map(|(id, error)| {
        let action = plan.actions.get(*id).unwrap();
        format!("{} {}: {:?} {error}", action.kind.verb(), action.vmid, error.class)
    });
    told.collect()
}

impl Lab {
    pub(crate) async fn start(world: World, time_scale: TimeScale) -> Self {
        let options = pvx_sim::Options { time_scale, ..Default::default() };
        let sim = Sim::start(world, options).await.unwrap();
        let (id, secret) = sim.token();
        let token = TokenSource::Inline(format!("{id}={secret}").into()).load().await.unwrap();
        let endpoint: Endpoint = sim.addr().to_string().parse().unwrap();
        let pin: Fingerprint = sim.fingerprint().parse().unwrap();
        let retry = RetryOptions { first_pause: Duration::from_millis(5), ..Default::default() };
        let options = ClientOptions {
            retry,
            skip_after_failure: Duration::from_millis(50),
            ..ClientOptions::new(vec![endpoint], TlsTrust::Fingerprints(vec![pin]), token)
        };
        let cluster = Cluster::new(Client::new(options).unwrap());
        Self { sim: Arc::new(sim), cluster, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn documents(&self, text: &str) -> Documents {
        let path = self.folder.path().join("vms.yaml");
        std::fs::write(&path, text).unwrap();
        let working_dir = self.folder.path().to_owned();
        let loaded =
            load(&LoadOptions { paths: vec![path], working_dir, ..LoadOptions::default() });
        let error = pvx_core::diagnostic::Severity::Error;
        let errors: Vec<_> = loaded.diagnostics.iter().filter(|d| d.severity == error).collect();
        assert!(errors.is_empty(), "{errors:#?}\n{text}");
        (loaded.desired, loaded.sources)
    }

    /// A plan with its preflight.
    pub(crate) async fn plan(&self, documents: &Documents) -> Result<Plan, ProviderError> {
        let (memory, options) =
            (Memory::default(), Options { applying: true, ..Options::default() });
        let inventory = self.cluster.inventory().await?;
        let snapshot =
            read::snapshot(&self.cluster, inventory, &documents.0, &memory, &Qemu, &[]).await?;
        let input = Input {
            desired: &documents.0,
            snapshot: &snapshot,
            memory: &memory,
            kind: &Qemu,
            options: &options,
            sources: &documents.1,
        };
        let mut plan = planner::apply(&input);
        assert_eq!(lint::check(&plan), []);
        let questions = preflight::questions(&plan, &input);
        if !questions.is_empty() {
            let answers = self.cluster.preflight(&questions).await?;
            preflight::check(&mut plan, &input, &answers);
        }
        Ok(plan)
    }

    /// So many plans at most are carried out. Where `pvx` would stop and say why, it is begun again a
    /// little later, as whoever is in front of it would.
    pub(crate) async fn run(&self, documents: &Documents, rounds: usize) -> Ran {
        let mut ran = Ran::default();
        for _ in 0..rounds * 3 {
            let plan = match self.plan(documents).await {
                Ok(plan) if !plan.is_blocked() => plan,
                Ok(plan) => {
                    ran.stop(format!("refused: {}", outline(&plan)));
                    self.sim.advance(PAUSE_MS);
                    continue;
                }
                Err(error) => {
                    ran.stop(format!("not read: {error}"));
                    self.sim.advance(PAUSE_MS);
                    continue;
                }
            };
            let report = self.carry_out(&plan).await;
            let failed = failures(&plan, &report);
            ran.rounds.push(Round { plan, report, after: self.sim.world() });
            ran.stopped = (!failed.is_empty()).then(|| failed.join("; "));
            if ran.complete() || ran.rounds.len() == rounds {
                return ran;
            }
        }
        ran
    }

    /// Stops the cluster.
    pub(crate) async fn close(self) {
        Arc::into_inner(self.sim).unwrap().shutdown().await;
    }

    async fn carry_out(&self, plan: &Plan) -> Report {
        let failures = Mutex::new(Vec::new());
        let sink = |event: &execute::Event| failures.lock().unwrap().push(format!("{event:?}"));
        let pause = Duration::from_millis(10);
        let context = Context {
            plan,
            writer: &self.cluster,
            kind: &Qemu,
            limits: &Limits::default(),
            patience: &Patience {
                late: Duration::from_millis(300),
                task: Duration::from_secs(3),
                pause,
                ..Patience::default()
            },
            estimates: &Estimates::default(),
            sink: &sink,
            now: || CLOCK.with(|sim| sim.now_ms() / 1000),
        };
        let (_keep, stop) = tokio::sync::watch::channel(Stop::Go);
        let run = async { execute::run(&context, &mut Forgetful, stop).await };
        CLOCK.scope(Arc::clone(&self.sim), run).await
    }
}
