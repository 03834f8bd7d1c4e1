//! What pvx names as needed is what Proxmox asks for: a token with exactly that carries the
//! examples out; with any of it taken away the plan says so, and without the preflight the cluster
//! refuses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pvx_core::desired::{Scope, VmidRange};
use pvx_core::document::{LoadOptions, Loaded, load};
use pvx_core::execute::{self, Context, Estimates, Limits, Patience, Report, Stop};
use pvx_core::live::{Guest, GuestRef, Ha, Inventory};
use pvx_core::plan::{Action, ActionKind, Intent, Plan, Privilege, Weight};
use pvx_core::planner::{self, Input, Options};
use pvx_core::preflight::{self, Access, Answers, Questions};
use pvx_core::provider::{Begun, ErrorClass, ProviderError, Reader, Snippets, TaskEnd, Writer};
use pvx_core::read;
use pvx_core::state::Memory;
use pvx_provider_pve::Cluster;
use pvx_provider_pve::client::{Client, ClientOptions, Endpoint, Fingerprint, TlsTrust};
use pvx_provider_pve::credentials::TokenSource;
use pvx_provider_pve::guest::Qemu;
use pvx_sim::{AclKind, Sim, TimeScale, World};

use crate::harness::Forgetful;

const TOKEN: &str = "limited@pve!cli";
const SECRET: &str = "5f0c1d1e-0000-4000-8000-0000000000aa";

/// A cluster, somebody who may do all, and somebody who may do what is said.
struct Stage {
    sim: Sim,
    all: Cluster,
    limited: Cluster,
}

/// A cluster without SSH: what goes over it is put into the simulator's world. This is not about
/// who may log in.
struct NoSsh<'a>(&'a Sim, &'a Cluster);

impl Reader for NoSsh<'_> {
    async fn inventory(&self) -> Result<Inventory, ProviderError> {
        self.1.inventory().await
    }

    async fn guests(&self, wanted: &[GuestRef], power: bool) -> Result<Vec<Guest>, ProviderError> {
        self.1.guests(wanted, power).await
    }

    async fn ha(&self) -> Result<Ha, ProviderError> {
        self.1.ha().await
    }

    async fn snippets(&self, wanted: &[(String, String)]) -> Result<Snippets, ProviderError> {
        self.1.snippets(wanted).await
    }

    async fn preflight(&self, questions: &Questions) -> Result<Answers, ProviderError> {
        self.1.preflight(questions).await
    }
}

impl Writer for NoSsh<'_> {
    async fn begin(&self, action: &Action, digest: Option<&str>) -> Result<Begun, ProviderError> {
        if let ActionKind::Snippet { name, .. } = &action.kind {
            let path = format!("/var/lib/vz/snippets/{name}");
            self.0.edit(|world| world.write_file(&action.node, &path, b"#cloud-config\n", 0));
            return Ok(Begun::Done);
        }
        self.1.begin(action, digest).await
    }

    async fn wait(&self, upid: &str, deadline: Duration) -> Result<TaskEnd, ProviderError> {
        self.1.wait(upid, deadline).await
    }
}

async fn cluster(sim: &Sim, token: &str) -> Cluster {
    let token = TokenSource::Inline(token.to_owned().into()).load().await.unwrap();
    let endpoint: Endpoint = sim.addr().to_string().parse().unwrap();
    let pin: Fingerprint = sim.fingerprint().parse().unwrap();
    let options = ClientOptions::new(vec![endpoint], TlsTrust::Fingerprints(vec![pin]), token);
    Cluster::new(Client::new(options).unwrap())
}

impl Stage {
    async fn start(world: World) -> Self {
        let options = pvx_sim::Options { time_scale: TimeScale::INSTANT, ..Default::default() };
        let sim = Sim::start(world, options).await.unwrap();
        sim.edit(|world| world.access_mut().add_token("limited@pve", "cli", SECRET, false));
        let (id, secret) = sim.token();
        let all = cluster(&sim, &format!("{id}={secret}")).await;
        let limited = cluster(&sim, &format!("{TOKEN}={SECRET}")).await;
        Self { sim, all, limited }
    }

    /// Gives the limited token these privileges, each on its path alone. Of several the one of
    /// this number.
    fn grant(&self, checks: &[&Privilege], choice: usize) {
        let mut by_path: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for check in checks {
            let last = check.any_of.len() - 1;
            // Where a pool is enough, it is all there is.
            let path = check.pool.as_deref().unwrap_or(&check.path);
            by_path.entry(path).or_default().push(&check.any_of[choice.min(last)]);
        }
        self.sim.edit(|world| {
            let access = world.access_mut();
            access.acl.retain(|entry| entry.id != "limited@pve");
            for (number, (path, privileges)) in by_path.into_iter().enumerate() {
                let role = format!("limited-{number}");
                access.add_role(&role, &privileges);
                access.grant(path, AclKind::User, "limited@pve", &role);
                access.acl.last_mut().unwrap().propagate = false;
            }
        });
    }
}

/// Documents and what was applied before.
struct Case {
    loaded: Loaded,
    memory: Memory,
    intent: Intent,
}

impl Case {
    fn input<'a>(
        &'a self,
        snapshot: &'a pvx_core::live::Snapshot,
        options: &'a Options,
    ) -> Input<'a> {
        Input {
            desired: &self.loaded.desired,
            snapshot,
            memory: &self.memory,
            kind: &Qemu,
            options,
            sources: &self.loaded.sources,
        }
    }

    /// The plan, and what it needs; with `check` what would make it fail, too.
    async fn plan(&self, cluster: &Cluster, check: bool) -> Result<Plan, ProviderError> {
        let inventory = cluster.inventory().await?;
        let desired = &self.loaded.desired;
        let snapshot =
            read::snapshot(cluster, inventory, desired, &self.memory, &Qemu, &[]).await?;
        let options = Options::default();
        let input = self.input(&snapshot, &options);
        let mut plan = match self.intent {
            Intent::Apply | Intent::Undo => planner::apply(&input),
            Intent::Destroy => planner::destroy(&input),
        };
        if check {
            let questions = preflight::questions(&plan, &input);
            let answers = cluster.preflight(&questions).await?;
            preflight::check(&mut plan, &input, &answers);
        } else {
            plan.privileges = preflight::needed_privileges(&plan, &input, &Access::default());
        }
        Ok(plan)
    }

    /// Carries a plan out without looking at privileges before.
    async fn carry_out(&self, stage: &Stage, cluster: &Cluster, plan: &Plan) -> Report {
        let writer = NoSsh(&stage.sim, cluster);
        let sink = |_: &execute::Event| {};
        let context = Context {
            plan,
            writer: &writer,
            kind: &Qemu,
            limits: &Limits::default(),
            patience: &Patience::default(),
            estimates: &Estimates::default(),
            now: || 0,
            sink: &sink,
        };
        let (_keep, stop) = tokio::sync::watch::channel(Stop::Go);
        execute::run(&context, &mut Forgetful, stop).await
    }
}

/// Which example, with which values.
struct Example {
    paths: &'static [&'static str],
    config: Option<&'static str>,
    /// Texts of documents that are replaced for the change.
    change: &'static [(&'static str, &'static str)],
}

const EXAMPLES: &[Example] = &[
    Example {
        paths: &["clusters/k3s.yaml"],
        config: None,
        change: &[
            ("cores: 2", "cores: 1\n    onboot: true"),
            ("disk: 20G", "disk: 24G"),
            ("tags: [k3s, lab]", "tags: [k3s, prod]"),
        ],
    },
    Example {
        paths: &["vms/web.yaml", "vms/web.user-data.j2"],
        config: None,
        change: &[
            ("memory: 2048", "memory: 1024\nnetworks: { net0: { bridge: vmbr0, tag: 7 } }"),
            ("ip: 10.0.0.80", "ip: 10.0.0.81\nstartup: { order: 2 }\ncdroms: { sata1: none }"),
        ],
    },
    Example {
        paths: &[
            "reuse/clusters/web.yaml",
            "reuse/vms/runner.yaml",
            "reuse/includes/server.yaml",
            "reuse/cluster-config.yaml",
        ],
        config: Some("reuse/cluster-config.yaml"),
        change: &[
            (
                "scsi2: { size: 10G, ssd: true",
                "scsi3: { size: 1G }\n  scsi2: { size: 11G, ssd: true",
            ),
            ("onboot: true", "onboot: false\n  keyboard: de"),
        ],
    },
];

impl Example {
    /// The documents in a folder of their own, as they are or changed.
    fn load(&self, folder: &Path, changed: bool) -> Loaded {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        let mut documents = Vec::new();
        for name in self.paths {
            let mut text = std::fs::read_to_string(examples.join(name)).unwrap();
            for (from, to) in self.change.iter().filter(|_| changed) {
                text = text.replace(from, to);
            }
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            let part = name.contains("includes") || !name.ends_with(".yaml");
            if !part && Some(*name) != self.config {
                documents.push(path);
            }
        }
        let lab = Scope {
            cluster: Some("lab".to_owned()),
            templates: Some(VmidRange { first: 100, last: 999, span: None }),
            ..Scope::default()
        };
        let loaded = load(&LoadOptions {
            paths: documents,
            config: self.config.map(|name| folder.join(name)),
            working_dir: PathBuf::from(folder),
            fallback_scope: Some(lab),
            ..LoadOptions::default()
        });
        assert!(
            !pvx_core::diagnostic::has_errors(&loaded.diagnostics),
            "{:#?}",
            loaded.diagnostics
        );
        loaded
    }
}

fn errors(plan: &Plan) -> Vec<String> {
    let errors = plan.findings.iter().filter(|finding| finding.weight == Weight::Error);
    errors
        .map(|f| format!("{}: {} {}", f.code, f.message, f.help.clone().unwrap_or_default()))
        .collect()
}

fn words(check: &Privilege) -> String {
    format!("{} on {}", check.words(), check.path)
}

fn actions(plan: &Plan) -> String {
    serde_json::to_string(&plan.actions).unwrap()
}

/// Is it for something that is written? Reads alone change no plan's course.
fn is_write(check: &Privilege) -> bool {
    check.uses.iter().any(|one| one.verb != "read")
}

/// Everything about one plan; afterwards it is carried out.
async fn show(stage: &Stage, case: &mut Case) {
    let plan = case.plan(&stage.all, false).await.unwrap();
    assert!(!plan.is_empty());
    let needed: Vec<&Privilege> = plan.privileges.iter().collect();
    let before = stage.sim.world();
    let mut taken_away = 0;
    for lost in &needed {
        let rest: Vec<&Privilege> = needed.iter().copied().filter(|check| check != lost).collect();
        stage.grant(&rest, 0);
        stage.sim.clear_requests();
        said(case, stage, lost).await;
        assert!(stage.sim.requests().iter().all(|request| !request.write), "{}", words(lost));
        if is_write(lost) {
            let report = case.carry_out(stage, &stage.limited, &plan).await;
            let denied = |error: &&ProviderError| {
                error.class == ErrorClass::Denied
                    || error.message.contains("Permission check failed")
            };
            let failed = report.failed.values().filter(denied).count();
            assert!(
                failed > 0,
                "{} is asked for, and not needed: {:#?}",
                words(lost),
                report.failed
            );
            stage.sim.edit(|world| *world = before.clone());
            taken_away += 1;
        }
    }
    assert!(taken_away > 0);
    let most = needed.iter().map(|check| check.any_of.len()).max().unwrap();
    for choice in (0..most).rev() {
        stage.sim.edit(|world| *world = before.clone());
        stage.grant(&needed, choice);
        let own = case.plan(&stage.limited, true).await.unwrap();
        assert_eq!(errors(&own), [] as [&str; 0]);
        assert_eq!(actions(&own), actions(&plan));
        let report = case.carry_out(stage, &stage.limited, &own).await;
        assert_eq!(report.failed, BTreeMap::new());
        assert_eq!(report.done.len(), plan.actions.len());
    }
    for (address, remembered) in &plan.outcomes {
        case.memory.insert(address.clone(), remembered.clone());
    }
    let again = case.plan(&stage.limited, true).await.unwrap();
    assert!(
        again.is_empty() && errors(&again).is_empty(),
        "{:#?} {:#?}",
        again.changes,
        again.findings
    );
}

/// Without it the plan cannot be made, or says what is missing where.
async fn said(case: &Case, stage: &Stage, lost: &Privilege) {
    let names = |text: &String| {
        text.contains(&lost.path) && lost.any_of.iter().any(|privilege| text.contains(privilege))
    };
    match case.plan(&stage.limited, true).await {
        Err(error) => {
            let text = format!("{} {}", error.message, error.help.unwrap_or_default());
            assert!(names(&text), "{}: {text}", words(lost));
        }
        Ok(plan) => {
            let errors = errors(&plan);
            // A template that is not seen has a name and no VMID.
            let hidden =
                |text: &String| text.starts_with("template-missing") && text.contains("VM.Audit");
            let template = lost.any_of == ["VM.Audit"] && errors.iter().any(hidden);
            assert!(template || errors.iter().any(names), "{}: {errors:#?}", words(lost));
            assert!(plan.is_blocked());
        }
    }
}

async fn example(number: usize) {
    let example = &EXAMPLES[number];
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::lab();
    if example.config.is_some() {
        world = World::lab_with(pvx_sim::LabOptions {
            cluster: "reuse".to_owned(),
            nodes: ["pve1", "pve2", "pve3"].map(str::to_owned).to_vec(),
            storages: vec!["shared".to_owned()],
            bridges: vec!["vmbr0".to_owned()],
        });
    }
    let stage = Stage::start(world).await;
    let loaded = example.load(folder.path(), false);
    let mut case = Case { loaded, memory: Memory::default(), intent: Intent::Apply };
    show(&stage, &mut case).await;
    case.loaded = example.load(folder.path(), true);
    show(&stage, &mut case).await;
    case.intent = Intent::Destroy;
    show(&stage, &mut case).await;
    stage.sim.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_of_clones() {
    example(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_with_user_data() {
    example(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_with_disks_of_their_own() {
    example(2).await;
}

/// Documents by name, made and then removed, in a world with a pool.
async fn in_a_pool(text: &str, change: &str) {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::start(World::lab()).await;
    let request = pvx_provider_pve::client::Request::post("/pools").parameter("poolid", "web");
    let root = stage.sim.edit(|world| {
        world.access_mut().add_token("root@pam", "test", SECRET, false);
        format!("root@pam!test={SECRET}")
    });
    cluster(&stage.sim, &root).await.client().send(&request).await.unwrap();
    let load = |text: &str| {
        let path = folder.path().join("one.yaml");
        std::fs::write(&path, text).unwrap();
        let working_dir = folder.path().to_owned();
        let loaded =
            load(&LoadOptions { paths: vec![path], working_dir, ..LoadOptions::default() });
        assert!(
            !pvx_core::diagnostic::has_errors(&loaded.diagnostics),
            "{:#?}",
            loaded.diagnostics
        );
        loaded
    };
    let mut case = Case { loaded: load(text), memory: Memory::default(), intent: Intent::Apply };
    show(&stage, &mut case).await;
    case.loaded = load(change);
    show(&stage, &mut case).await;
    case.intent = Intent::Destroy;
    show(&stage, &mut case).await;
    stage.sim.shutdown().await;
}

/// A clone that is made in a pool needs nothing on itself; later the pool's privileges are its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_clone_in_a_pool() {
    let text = "name: one\ntemplate: debian-13\npool: web\ncores: 2\nha: started\nvmid: 1000\n";
    in_a_pool(text, &text.replace("cores: 2", "sockets: 2").replace("ha: started", "ha: ignored"))
        .await;
}

/// Made from nothing, with an image and a CD-ROM; it moves, and loses a disk.
#[tokio::test(flavor = "multi_thread")]
async fn made_from_nothing_in_a_pool() {
    let text = "name: one\nvmid: 1000\nnode: pve1\nstorage: local-lvm\npool: web\npower: stopped\n\
        disks: { scsi0: 1G, scsi1: { size: 1G, on_removal: erase } }\nstartup: { order: 2 }\n\
        networks: { net0: { bridge: vmbr0, tag: 5 } }\nserial0: socket\nusb0: spice\n";
    let change = text
        .replace("node: pve1", "node: pve2")
        .replace(
            "disks: { scsi0: 1G, scsi1: { size: 1G, on_removal: erase } }",
            "disks: { scsi0: { size: 1G, storage: shared } }",
        )
        .replace("usb0: spice\n", "");
    in_a_pool(text, &change).await;
}
