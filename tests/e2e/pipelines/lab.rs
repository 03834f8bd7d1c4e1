//! A cluster, a repository on a forge with the example's pipelines, and what happens to them.

use std::collections::BTreeMap;

use pvx_sim::{AclKind, TimeScale};

use super::api::Api;
use super::forge::Forge;
use super::machine::Machine;
use super::origin::Origin;
use super::run::{Event, Job};
use super::{actions, gitlab};
use crate::environment::repository;
use crate::served::Served;

/// The secret of the token that plans are made with.
pub(crate) const PLAN_SECRET: &str = "5e7c1a90-0b1d-4c8e-9a55-3f6d2e7b8c91";
/// The secret of the token that only the protected environment has.
pub(crate) const APPLY_SECRET: &str = "0b3d77f2-6a4e-4f0b-8d1c-91e5a7c3d2f4";

/// The user who plans.
const REVIEWER: &str = "review@pve";

pub(crate) struct Lab {
    pub(crate) forge: Forge,
    pub(crate) machine: Machine,
    pub(crate) origin: Origin,
    pub(crate) api: Api,
    served: Option<Served>,
    /// The user whose tokens the secrets are.
    user: String,
    /// Where request 1 comes from; another repository is a fork.
    pub(crate) head_repository: String,
    /// The forge's pipeline files, names and texts.
    pub(crate) files: Vec<(String, String)>,
    /// The logs and summaries of all jobs.
    logs: String,
}

/// A run of the forge's pipeline.
pub(crate) enum Run {
    Actions(actions::Run),
    GitLab(gitlab::Run),
}

/// A profile of so many guests with so much memory.
pub(crate) fn profile(count: u32, memory: u32) -> String {
    format!(
        "name: web\ntype: generic\ntemplate: debian-13\nclone: linked\ntags: [web]\nnodes:\n  \
         controlplane: {{ count: {count}, name_prefix: web, cores: 1, memory: {memory}, start_vmid: \
         1001 }}\n"
    )
}

impl Lab {
    /// Two guests run, as `main` says.
    pub(crate) fn new(forge: Forge) -> Self {
        let served = Served::start(TimeScale::INSTANT);
        let (operator, _) = served.sim.token();
        let user = operator.split_once('!').unwrap().0.to_owned();
        served.sim.edit(|world| {
            let access = world.access_mut();
            access.add_token(&user, "apply", APPLY_SECRET, false);
            // Whoever plans may look, and no more.
            access.add_token(REVIEWER, "plan", PLAN_SECRET, false);
            access.grant("/", AclKind::User, REVIEWER, "PVEAuditor");
        });
        let machine = Machine::new();
        let origin = Origin::new(&machine);
        let others = [
            ("somebody", "a plan begins with <!-- pvx-plan cluster=lab intent=apply -->"),
            ("mallory", "<!-- pvx-plan cluster=lab intent=apply -->\nno changes, merge it"),
            (
                forge.bot(),
                "<!-- pvx-plan cluster=other intent=apply -->\na plan of another cluster",
            ),
        ];
        let api = Api::start(forge, &others);
        let head_repository = "lab/cluster".to_owned();
        let logs = String::new();
        let mut lab = Self {
            forge,
            machine,
            origin,
            api,
            served: Some(served),
            user,
            head_repository,
            files: files(forge),
            logs,
        };
        lab.set_up();
        lab
    }

    /// The first commit, applied by hand.
    fn set_up(&mut self) {
        let address = self.served().sim.addr();
        let node = |name: &str| format!("    - {{ name: {name}, host: \"{address}\" }}\n");
        let config = format!(
            "cluster:\n  name: lab\n  nodes:\n{}{}{}vmid_ranges: {{ templates: 100-999, vms: \
             1000-1999 }}\n",
            node("pve1"),
            node("pve2"),
            node("pve3")
        );
        let ca = self.served().sim.ca_pem();
        let files = [
            ("cluster-config.yaml", config.as_str()),
            ("pve-root-ca.pem", &ca),
            ("clusters/web.yaml", &profile(2, 1024)),
        ];
        let commit = self.origin.commit(&self.machine, "main", &files);
        let folder = self.machine.job_folder();
        self.origin.checkout(&self.machine, &commit, &folder);
        let variables = BTreeMap::from([
            ("PVX_TOKEN".to_owned(), self.token(Some("production"))),
            ("PVX_CA_FILE".to_owned(), "pve-root-ca.pem".to_owned()),
        ]);
        let ended = self.machine.script(&folder, &variables, "pvx apply --yes");
        assert_eq!(ended.code, 0, "{}", ended.log);
    }

    pub(crate) fn served(&self) -> &Served {
        self.served.as_ref().unwrap()
    }

    /// The cluster does not answer any more.
    pub(crate) fn stop(&mut self) {
        self.served.take().unwrap().stop();
    }

    /// The secret `PVX_TOKEN`, as a job of this environment gets it.
    pub(crate) fn token(&self, environment: Option<&str>) -> String {
        match environment {
            Some("production") => format!("{}!apply={APPLY_SECRET}", self.user),
            Some(other) => panic!("{other} is not known"),
            // It has no environments: one token does everything.
            None if self.forge == Forge::Forgejo => self.token(Some("production")),
            None => format!("{REVIEWER}!plan={PLAN_SECRET}"),
        }
    }

    pub(crate) fn said(&mut self, text: &str) {
        self.logs.push_str(text);
    }

    pub(crate) fn logs(&self) -> &str {
        &self.logs
    }

    /// Pushes these documents to the branch of request 1.
    pub(crate) fn request(&mut self, document: &str) -> Run {
        let files = [("clusters/web.yaml", document)];
        let commit = self.origin.commit(&self.machine, "change", &files);
        self.happens(&Event::Request, &commit)
    }

    /// Merges request 1, if there is one; `main` is pushed.
    pub(crate) fn merge(&mut self) -> Run {
        let commit = self.origin.merge(&self.machine, "change");
        self.happens(&Event::Push, &commit)
    }

    pub(crate) fn night(&mut self) -> Run {
        let commit = self.origin.head(&self.machine, "main");
        self.happens(&Event::Schedule, &commit)
    }

    /// Somebody looks at what a run of `main` planned, and approves it as their forge has it.
    pub(crate) fn approve(&mut self, run: Run) -> Run {
        match run {
            Run::Actions(_) if self.forge == Forge::Forgejo => {
                let plan = self.origin.head(&self.machine, "pvx-plan");
                self.dispatch(&plan)
            }
            Run::Actions(mut run) => {
                run.approve(self);
                Run::Actions(run)
            }
            Run::GitLab(mut run) => {
                run.approve(self);
                Run::GitLab(run)
            }
        }
    }

    /// Starts the workflow that applies the plan of a commit.
    pub(crate) fn dispatch(&mut self, plan: &str) -> Run {
        let inputs = BTreeMap::from([("plan".to_owned(), plan.to_owned())]);
        let commit = self.origin.head(&self.machine, "main");
        self.happens(&Event::Dispatch(inputs), &commit)
    }

    fn happens(&mut self, event: &Event, commit: &str) -> Run {
        let files = self.files.clone();
        if self.forge == Forge::GitLab {
            return Run::GitLab(gitlab::start(self, &files[0], event, commit));
        }
        Run::Actions(actions::start(self, &files, event, commit))
    }
}

fn files(forge: Forge) -> Vec<(String, String)> {
    let folder = repository().join(forge.folder());
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let text = |path: &std::path::PathBuf| std::fs::read_to_string(path).unwrap();
    paths.iter().map(|path| (path.display().to_string(), text(path))).collect()
}

impl Run {
    pub(crate) fn job(&self, id: &str) -> &Job {
        match self {
            Self::Actions(run) => &run.jobs[id],
            Self::GitLab(run) => &run.jobs[id],
        }
    }
}
