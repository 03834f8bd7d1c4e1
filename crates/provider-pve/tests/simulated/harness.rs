//! A simulator, a folder of documents, and the way from one to the other.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use pvx_core::desired::Desired;
use pvx_core::diagnostic::Sources;
use pvx_core::document::{LoadOptions, load};
use pvx_core::execute::{self, Context, Estimates, History, Limits, Patience, Report, Stop};
use pvx_core::live::Snapshot;
use pvx_core::plan::{Change, Finding, Intent, Plan, lint};
use pvx_core::planner::{self, Input, Options};
use pvx_core::preflight;
use pvx_core::provider::{ProviderError, Reader};
use pvx_core::read;
use pvx_core::state::{Durations, Memory, Record, StateError};
use pvx_provider_pve::Cluster;
use pvx_provider_pve::client::{
    Client, ClientOptions, Endpoint, Fingerprint, TlsTrust, WaitOptions,
};
use pvx_provider_pve::credentials::TokenSource;
use pvx_provider_pve::guest::Qemu;
use pvx_sim::{Sim, TimeScale, World};
use tempfile::TempDir;

/// The cluster under test.
pub(crate) struct Lab {
    pub(crate) sim: Sim,
    pub(crate) cluster: Cluster,
    folder: TempDir,
    /// What a state file would say; nothing unless the lab remembers.
    memory: Mutex<Memory>,
    remembers: bool,
}

/// Keeps nothing: what pvx needs is on the cluster.
pub(crate) struct Forgetful;

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// Tasks of the simulator end at once: nothing is waited for that takes long.
pub(crate) fn patience() -> Patience {
    let millis = std::time::Duration::from_millis;
    Patience { pause: millis(10), late: millis(200), ..Patience::default() }
}

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

impl Lab {
    /// A simulator whose tasks end at once.
    pub(crate) async fn start(world: World) -> Self {
        Self::start_at(world, TimeScale::INSTANT).await
    }

    /// A simulator whose tasks take as long as recorded, so many times as fast; whoever waits for
    /// them looks as much more often.
    pub(crate) async fn start_faster(world: World, factor: u32) -> Self {
        let lab = Self::start_at(world, TimeScale::times(f64::from(factor))).await;
        let usual = WaitOptions::new(Duration::ZERO);
        let waiting = WaitOptions {
            first_interval: usual.first_interval / factor,
            max_interval: usual.max_interval / factor,
            ..usual
        };
        Self { cluster: lab.cluster.clone().waiting(waiting), ..lab }
    }

    /// The same lab, reached another way.
    pub(crate) fn by(self, cluster: Cluster) -> Self {
        Self { cluster, ..self }
    }

    async fn start_at(world: World, time_scale: TimeScale) -> Self {
        let options = pvx_sim::Options { time_scale, ..Default::default() };
        let sim = Sim::start(world, options).await.unwrap();
        let (id, secret) = sim.token();
        let (address, token) = (sim.addr().to_string(), format!("{id}={secret}"));
        let cluster = connect(&address, &sim.fingerprint(), &token).await;
        Self {
            sim,
            cluster,
            folder: tempfile::tempdir().unwrap(),
            memory: Mutex::default(),
            remembers: false,
        }
    }

    /// The same, with a state that remembers what was applied.
    pub(crate) async fn remembering(world: World) -> Self {
        Self { remembers: true, ..Self::start(world).await }
    }

    /// A simulator whose tasks take their time, with a state from before.
    #[allow(dead_code, reason = "for the benchmarks")]
    pub(crate) async fn paced(world: World, time_scale: TimeScale, memory: Memory) -> Self {
        let memory = Mutex::new(memory);
        Self { remembers: true, memory, ..Self::start_at(world, time_scale).await }
    }

    pub(crate) fn memory(&self) -> Memory {
        self.memory.lock().unwrap().clone()
    }

    pub(crate) fn remember(&self, plan: &Plan) {
        if !self.remembers {
            return;
        }
        let mut memory = self.memory.lock().unwrap();
        plan.moved.values().for_each(|old| memory.forget(old));
        for (address, remembered) in &plan.outcomes {
            memory.insert(address.clone(), remembered.clone());
        }
    }

    /// The cluster as pvx sees it.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Documents by file name, checked: a test never plans from broken ones.
    pub(crate) fn documents(&self, files: &[(&str, String)]) -> (Desired, Sources) {
        let paths: Vec<PathBuf> = files
            .iter()
            .map(|(name, text)| {
                let path = self.folder.path().join(name);
                std::fs::write(&path, text).unwrap();
                path
            })
            .collect();
        let options = LoadOptions {
            paths,
            working_dir: self.folder.path().to_owned(),
            ..LoadOptions::default()
        };
        let loaded = load(&options);
        let errors: Vec<_> = loaded
            .diagnostics
            .iter()
            .filter(|d| d.severity == pvx_core::diagnostic::Severity::Error)
            .collect();
        assert!(errors.is_empty(), "{errors:#?}\n{files:#?}");
        (loaded.desired, loaded.sources)
    }

    pub(crate) async fn read(
        &self,
        desired: &Desired,
        memory: &Memory,
        replace: &[String],
    ) -> Snapshot {
        let inventory = self.cluster.inventory().await.unwrap();
        let snapshot = read::snapshot(&self.cluster, inventory, desired, memory, &Qemu, replace);
        snapshot.await.unwrap()
    }

    pub(crate) async fn plan(&self, documents: &(Desired, Sources), intent: Intent) -> Plan {
        self.plan_with(documents, intent, &Options::default(), &self.memory()).await
    }

    /// A plan with what was applied before, and what the user says. Its preflight finds nothing:
    /// plans of these tests work.
    pub(crate) async fn plan_with(
        &self,
        documents: &(Desired, Sources),
        intent: Intent,
        options: &Options,
        memory: &Memory,
    ) -> Plan {
        let (draft, plan) = self.preflight(documents, intent, options, memory).await;
        let new = plan.findings.iter().filter(|finding| !draft.findings.contains(finding));
        assert_eq!(new.collect::<Vec<_>>(), Vec::<&Finding>::new());
        plan
    }

    /// A plan before and after its preflight.
    pub(crate) async fn preflight(
        &self,
        documents: &(Desired, Sources),
        intent: Intent,
        options: &Options,
        memory: &Memory,
    ) -> (Plan, Plan) {
        let snapshot = self.read(&documents.0, memory, &options.replace).await;
        let input = Input {
            desired: &documents.0,
            snapshot: &snapshot,
            memory,
            kind: &Qemu,
            options,
            sources: &documents.1,
        };
        let plan = match intent {
            Intent::Apply | Intent::Undo => planner::apply(&input),
            Intent::Destroy => planner::destroy(&input),
        };
        assert_eq!(lint::check(&plan), []);
        let questions = preflight::questions(&plan, &input);
        let mut checked = plan.clone();
        if !questions.is_empty() {
            let answers = self.cluster.preflight(&questions).await.unwrap();
            preflight::check(&mut checked, &input, &answers);
        }
        (plan, checked)
    }

    /// Writes the configuration that documents are read with from now on.
    pub(crate) fn configure(&self, text: &str) {
        if !text.is_empty() {
            std::fs::write(self.folder.path().join("cluster-config.yaml"), text).unwrap();
        }
    }

    /// Carries a plan out and expects that nothing fails.
    pub(crate) async fn carry_out(&self, plan: &Plan) -> Report {
        let (report, failures) = self.run(plan).await;
        assert_eq!(failures, []);
        report
    }

    /// Carries a plan out, whatever was found; what fails.
    pub(crate) async fn attempt(&self, plan: &Plan) -> Vec<ProviderError> {
        self.run(plan).await.1
    }

    async fn run(&self, plan: &Plan) -> (Report, Vec<ProviderError>) {
        execute(&self.cluster, plan, &Limits::default()).await
    }

    /// Plans, carries out, and expects that nothing is left to do.
    pub(crate) async fn apply(&self, documents: &(Desired, Sources)) -> Plan {
        let plan = self.plan(documents, Intent::Apply).await;
        assert!(!plan.is_blocked(), "{:#?}", plan.findings);
        self.nothing_is_missing(documents, &plan).await;
        self.carry_out(&plan).await;
        self.remember(&plan);
        let again = self.plan(documents, Intent::Apply).await;
        assert!(again.is_empty(), "{:#?}", again.changes);
        plan
    }

    /// What the operator's token is about to carry out, it must not be said to lack rights for.
    async fn nothing_is_missing(&self, documents: &(Desired, Sources), plan: &Plan) {
        let (memory, options) = (self.memory(), Options::default());
        let snapshot = self.read(&documents.0, &memory, &[]).await;
        let input = Input {
            desired: &documents.0,
            snapshot: &snapshot,
            memory: &memory,
            kind: &Qemu,
            options: &options,
            sources: &documents.1,
        };
        let answers = self.cluster.preflight(&preflight::questions(plan, &input)).await.unwrap();
        let mut checked = plan.clone();
        preflight::check(&mut checked, &input, &answers);
        let codes = ["privilege-missing", "root-only", "vmid-hidden", "pool-hidden"];
        let said = checked.findings.iter().filter(|finding| codes.contains(&finding.code.as_str()));
        assert_eq!(said.collect::<Vec<_>>(), [] as [&Finding; 0]);
    }

    pub(crate) async fn destroy(&self, documents: &(Desired, Sources)) -> Plan {
        let plan = self.plan(documents, Intent::Destroy).await;
        assert!(!plan.is_blocked(), "{:#?}", plan.findings);
        self.carry_out(&plan).await;
        assert!(self.plan(documents, Intent::Destroy).await.is_empty());
        plan
    }
}

/// A client of a simulator at this address, with the token `user@realm!name=secret`.
pub(crate) async fn connect(address: &str, fingerprint: &str, token: &str) -> Cluster {
    let token = TokenSource::Inline(token.to_owned().into()).load().await.unwrap();
    let endpoint: Endpoint = address.parse().unwrap();
    let pin: Fingerprint = fingerprint.parse().unwrap();
    let options = ClientOptions::new(vec![endpoint], TlsTrust::Fingerprints(vec![pin]), token);
    Cluster::new(Client::new(options).unwrap())
}

/// Carries a plan out; what fails.
pub(crate) async fn execute(
    cluster: &Cluster,
    plan: &Plan,
    limits: &Limits,
) -> (Report, Vec<ProviderError>) {
    let failures = Mutex::new(Vec::new());
    let sink = |event: &execute::Event| {
        if let execute::Event::Failed { error, .. } = event {
            failures.lock().unwrap().push(error.clone());
        }
    };
    let context = Context {
        plan,
        writer: cluster,
        kind: &Qemu,
        limits,
        patience: &patience(),
        estimates: &Estimates::new(plan, Durations::default()),
        sink: &sink,
        now,
    };
    let (_keep, stop) = tokio::sync::watch::channel(Stop::Go);
    let report = execute::run(&context, &mut Forgetful, stop).await;
    (report, failures.into_inner().unwrap())
}
