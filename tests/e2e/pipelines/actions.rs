//! Runs workflows of GitHub and Forgejo: which jobs an event starts, their conditions, steps,
//! outputs and artifacts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::api;
use super::expression::{self, Names};
use super::forge::Forge;
use super::lab::Lab;
use super::run::{Event, Job, State};
use super::workflow::{self, Step, Work, Workflow};

/// One run of one workflow.
pub(crate) struct Run {
    workflow: Workflow,
    event: Event,
    commit: String,
    pub(crate) jobs: BTreeMap<String, Job>,
    artifacts: PathBuf,
    /// What a reviewer sees on the run's page.
    pub(crate) summary: String,
}

/// Starts every workflow that the event triggers; there must be exactly one.
pub(crate) fn start(lab: &mut Lab, files: &[(String, String)], event: &Event, commit: &str) -> Run {
    let workflows = files.iter().map(|(name, text)| workflow::read(name, text));
    let mut triggered: Vec<_> = workflows.filter(|workflow| triggers(workflow, event)).collect();
    assert_eq!(triggered.len(), 1, "workflows for {event:?}");
    let mut run = Run {
        workflow: triggered.remove(0),
        event: event.clone(),
        commit: commit.to_owned(),
        jobs: BTreeMap::new(),
        artifacts: lab.machine.artifact_folder(),
        summary: String::new(),
    };
    run.go_on(lab, None);
    run
}

fn triggers(workflow: &Workflow, event: &Event) -> bool {
    let on = &workflow.triggers;
    match event {
        Event::Request => on.pull_request,
        Event::Push => on.push_branches.iter().any(|branch| branch == "main"),
        Event::Schedule => on.schedule,
        // Started by hand is one workflow: the one that has these inputs.
        Event::Dispatch(inputs) => on.dispatch && inputs.keys().eq(on.inputs.iter()),
    }
}

impl Run {
    /// A reviewer of the environment lets the job that waits go on.
    pub(crate) fn approve(&mut self, lab: &mut Lab) {
        let waits = |job: &Job| job.state == State::Waits;
        let id = self.jobs.iter().find(|(_, job)| waits(job)).unwrap().0.clone();
        self.jobs.remove(&id);
        self.go_on(lab, Some(&id));
    }

    /// Runs jobs until none is ready.
    fn go_on(&mut self, lab: &mut Lab, approved: Option<&str>) {
        loop {
            let ready = self.workflow.jobs.iter().find(|(id, job)| {
                !self.jobs.contains_key(*id) && job.needs.iter().all(|need| self.ended(need))
            });
            let Some((id, _)) = ready else { return };
            let id = id.clone();
            let job = self.job(lab, &id, approved == Some(id.as_str()));
            self.jobs.insert(id, job);
        }
    }

    fn ended(&self, id: &str) -> bool {
        self.jobs.get(id).is_some_and(|job| job.state != State::Waits)
    }

    fn job(&mut self, lab: &mut Lab, id: &str, approved: bool) -> Job {
        let job = &self.workflow.jobs[id];
        let mut context = self.context(lab, id);
        context.failed = job.needs.iter().any(|need| self.jobs[need].state != State::Success);
        if !context.goes_on(job.condition.as_deref()) {
            return Job::unstarted(State::Skipped);
        }
        if job.environment.is_some() && !approved {
            return Job::unstarted(State::Waits);
        }
        let folder = lab.machine.job_folder();
        let mut result = Job::unstarted(State::Success);
        let mut summary = String::new();
        for step in &job.steps {
            if !context.goes_on(step.condition.as_deref()) {
                continue;
            }
            let code = self.step(lab, &folder, step, &mut context, &mut result.log, &mut summary);
            if code != 0 && !context.failed {
                (context.failed, result.code, result.state) = (true, code, State::Failure);
            }
        }
        let outputs = job.outputs.iter();
        result.outputs = outputs.map(|(name, text)| (name.clone(), context.fill(text))).collect();
        lab.said(&result.log);
        lab.said(&summary);
        self.summary.push_str(&summary);
        result
    }

    fn step(
        &self,
        lab: &mut Lab,
        folder: &Path,
        step: &Step,
        context: &mut Context,
        log: &mut String,
        summary: &mut String,
    ) -> i32 {
        let script = match &step.work {
            Work::Script(script) => script,
            work => return self.action(lab, folder, work, log),
        };
        let mut variables = self.variables(lab);
        for (name, text) in self.workflow.env.iter().chain(&step.env) {
            variables.insert(name.clone(), context.fill(text));
        }
        let kept = tempfile::tempdir().unwrap();
        for name in ["OUTPUT", "STEP_SUMMARY"] {
            std::fs::write(kept.path().join(name), "").unwrap();
            let path = kept.path().join(name).display().to_string();
            variables.insert(format!("{}_{name}", lab.forge.prefix()), path);
        }
        let ended = lab.machine.script(folder, &variables, script);
        log.push_str(&ended.log);
        let written = |name| std::fs::read_to_string(kept.path().join(name)).unwrap();
        summary.push_str(&written("STEP_SUMMARY"));
        for line in written("OUTPUT").lines() {
            let (name, value) = line.split_once('=').unwrap();
            let id = step.id.as_deref().expect("a step with outputs has an id");
            context.values.insert(format!("steps.{id}.outputs.{name}"), value.to_owned());
        }
        ended.code
    }

    fn action(&self, lab: &Lab, folder: &Path, work: &Work, log: &mut String) -> i32 {
        let copied = match work {
            Work::Checkout => {
                lab.origin.checkout(&lab.machine, &self.commit, folder);
                return 0;
            }
            Work::Upload { name, files } => {
                let kept = self.artifacts.join(name);
                std::fs::create_dir(&kept).unwrap();
                // A file that is missing is left out, as long as there is any.
                let copied = files.iter().filter(|f| copy(&folder.join(f), &kept.join(f))).count();
                copied > 0
            }
            Work::Download { name } => std::fs::read_dir(self.artifacts.join(name))
                .map(|files| {
                    files.flatten().all(|file| copy(&file.path(), &folder.join(file.file_name())))
                })
                .unwrap_or(false),
            Work::Script(_) => unreachable!(),
        };
        if !copied {
            log.push_str("no such artifact, or no files of it\n");
        }
        i32::from(!copied)
    }

    /// What the runner sets for every step.
    fn variables(&self, lab: &Lab) -> BTreeMap<String, String> {
        let prefix = lab.forge.prefix();
        let mut variables = BTreeMap::from([("CI".to_owned(), "true".to_owned())]);
        for (name, value) in [
            ("ACTIONS", "true"),
            ("API_URL", &lab.api.url()),
            ("EVENT_NAME", self.event.name()),
            ("REF", self.git_ref()),
            ("REPOSITORY", "lab/cluster"),
            ("SHA", &self.commit),
        ] {
            variables.insert(format!("{prefix}_{name}"), value.to_owned());
        }
        if lab.forge == Forge::Forgejo {
            variables.insert("FORGEJO_TOKEN".to_owned(), api::TOKEN.to_owned());
        }
        variables
    }

    fn git_ref(&self) -> &'static str {
        if self.event == Event::Request { "refs/pull/1/merge" } else { "refs/heads/main" }
    }

    /// What expressions of a job can name.
    fn context(&self, lab: &Lab, id: &str) -> Context {
        let job = &self.workflow.jobs[id];
        let own = lab.forge.prefix().to_lowercase();
        // GitHub's token may do what the file asks for; Forgejo's always may.
        let writes =
            lab.forge == Forge::Forgejo || self.workflow.may_write.contains("pull-requests");
        let token = if writes { api::TOKEN } else { api::READ_ONLY };
        let mut values = BTreeMap::new();
        let mut insert = |name: String, value: &str| values.insert(name, value.to_owned());
        insert(format!("{own}.event_name"), self.event.name());
        insert(format!("{own}.ref"), self.git_ref());
        insert(format!("{own}.repository"), "lab/cluster");
        insert(format!("{own}.token"), token);
        if self.event == Event::Request {
            insert(format!("{own}.event.number"), "1");
            let head = format!("{own}.event.pull_request.head.repo.full_name");
            insert(head, &lab.head_repository);
        }
        if let Event::Dispatch(inputs) = &self.event {
            for (name, value) in inputs {
                insert(format!("inputs.{name}"), value);
            }
        }
        for need in &job.needs {
            for (name, value) in &self.jobs[need].outputs {
                insert(format!("needs.{need}.outputs.{name}"), value);
            }
        }
        // A fork's request gets none; those of an environment hide those of the repository.
        if self.event != Event::Request || lab.head_repository == "lab/cluster" {
            insert("secrets.PVX_TOKEN".to_owned(), &lab.token(job.environment.as_deref()));
        }
        Context { values, failed: false }
    }

    /// The groups of which one run at a time goes on, with whether a newer one cancels it.
    pub(crate) fn groups(&self, lab: &Lab) -> Vec<(String, bool)> {
        let of_jobs = self.workflow.jobs.iter().map(|(id, job)| (id, job.concurrency.as_ref()));
        let first = self.workflow.jobs.keys().next().unwrap();
        let all = std::iter::once((first, self.workflow.concurrency.as_ref())).chain(of_jobs);
        let all = all.filter_map(|(id, group)| Some((id, group?)));
        all.map(|(id, group)| (self.context(lab, id).fill(&group.group), group.cancel)).collect()
    }

    /// What the run's token may write, as the file asks for.
    pub(crate) fn may_write(&self) -> Vec<&str> {
        self.workflow.may_write.iter().map(String::as_str).collect()
    }

    /// The workflow's own name.
    pub(crate) fn name(&self) -> &str {
        &self.workflow.name
    }
}

fn copy(from: &Path, to: &Path) -> bool {
    std::fs::copy(from, to).is_ok()
}

struct Context {
    values: BTreeMap<String, String>,
    /// Something before has failed.
    failed: bool,
}

impl Context {
    /// Whether a job or step with this condition runs. One that asks for no status runs only after
    /// success.
    fn goes_on(&self, condition: Option<&str>) -> bool {
        let Some(condition) = condition else { return !self.failed };
        let asks = ["always()", "cancelled()", "success()", "failure()"];
        let asks = asks.iter().any(|function| condition.contains(function));
        (asks || !self.failed) && expression::holds(condition, self)
    }

    /// A text with the values of its `${{ }}`.
    fn fill(&self, text: &str) -> String {
        let Some((before, rest)) = text.split_once("${{") else { return text.to_owned() };
        let (name, after) = rest.split_once("}}").unwrap();
        format!("{before}{}{}", self.value(name.trim()), self.fill(after))
    }
}

impl Names for Context {
    fn value(&self, name: &str) -> String {
        let value = self.values.get(name);
        // Outputs of a step that did not come to write them are empty.
        let unwritten = name.starts_with("steps.") && self.failed;
        match value {
            Some(value) => value.clone(),
            None if unwritten => String::new(),
            None => panic!("{name} is not known; known are {:?}", self.values.keys()),
        }
    }

    fn call(&self, function: &str) -> bool {
        match function {
            "always" => true,
            "cancelled" => false,
            "success" => !self.failed,
            "failure" => self.failed,
            _ => panic!("{function}() is not known"),
        }
    }
}
