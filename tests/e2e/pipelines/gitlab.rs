//! Runs `.gitlab-ci.yml`: rules, stages and needs, manual jobs, scripts, artifacts. What is not known
//! here fails the test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::api;
use super::expression::{self, Names};
use super::lab::Lab;
use super::run::{Event, Job, State};
use super::table::Table;

struct File {
    /// Conditions, one of which must hold for there to be a pipeline.
    rules: Vec<Rule>,
    stages: Vec<String>,
    variables: BTreeMap<String, String>,
    jobs: BTreeMap<String, Definition>,
}

struct Rule {
    condition: Option<String>,
    when: String,
}

struct Definition {
    stage: String,
    needs: Vec<String>,
    rules: Vec<Rule>,
    script: Vec<String>,
    environment: Option<String>,
    group: Option<String>,
    artifacts: Option<Artifacts>,
}

struct Artifacts {
    always: bool,
    paths: Vec<String>,
}

pub(crate) struct Run {
    file: File,
    event: Event,
    commit: String,
    pub(crate) jobs: BTreeMap<String, Job>,
    artifacts: PathBuf,
}

pub(crate) fn start(lab: &mut Lab, file: &(String, String), event: &Event, commit: &str) -> Run {
    let mut run = Run {
        file: read(&file.0, &file.1),
        event: event.clone(),
        commit: commit.to_owned(),
        jobs: BTreeMap::new(),
        artifacts: lab.machine.artifact_folder(),
    };
    assert_ne!(when(&run.file.rules, &run.variables(lab, None)), "never", "no pipeline");
    run.go_on(lab, None);
    run
}

fn read(name: &str, text: &str) -> File {
    let mut table = Table::file(name, text);
    let mut workflow = table.table("workflow").unwrap();
    let rules = rules(&mut workflow);
    workflow.end();
    let mut default = table.table("default").unwrap();
    assert_eq!(default.texts("tags"), ["pvx"]);
    timeout(&mut default);
    default.end();
    let stages = table.texts("stages");
    let mut variables = table.table("variables").unwrap();
    let variables = variables.rest_texts().into_iter().collect();
    let jobs = table.rest().into_iter();
    let jobs: BTreeMap<_, _> = jobs
        .map(|(id, value)| {
            let definition = definition(Table::new(&format!("{name}, {id}"), value));
            assert!(stages.contains(&definition.stage), "{id}");
            (id, definition)
        })
        .collect();
    let needs = |job: &Definition| job.needs.iter().all(|need| jobs.contains_key(need));
    assert!(jobs.values().all(needs), "{name}: a job needs one that is not there");
    File { rules, stages, variables, jobs }
}

fn timeout(table: &mut Table) {
    let Some(text) = table.text("timeout") else { return };
    let (number, unit) = text.split_once(' ').unwrap();
    assert!(number.parse::<u32>().is_ok() && ["minutes", "hours"].contains(&unit), "{text}");
}

fn rules(table: &mut Table) -> Vec<Rule> {
    let read = |mut rule: Table| {
        let condition = rule.text("if");
        let when = rule.one_of("when", &["on_success", "always", "never", "manual"]);
        rule.end();
        Rule { condition, when: when.unwrap_or_else(|| "on_success".to_owned()) }
    };
    table.tables("rules").into_iter().map(read).collect()
}

fn definition(mut table: Table) -> Definition {
    timeout(&mut table);
    let artifacts = table.table("artifacts").map(|mut table| {
        table.text("expose_as");
        assert!(table.text("expire_in").unwrap().ends_with(" days"));
        let always = table.one_of("when", &["on_success", "always"]).as_deref() == Some("always");
        let artifacts = Artifacts { always, paths: table.texts("paths") };
        table.end();
        artifacts
    });
    let definition = Definition {
        stage: table.text("stage").unwrap(),
        needs: table.texts("needs"),
        rules: rules(&mut table),
        script: table.texts("script"),
        environment: table.text("environment"),
        group: table.text("resource_group"),
        artifacts,
    };
    table.end();
    definition
}

/// The first rule that holds says when; none of them means never.
fn when(rules: &[Rule], variables: &BTreeMap<String, String>) -> String {
    let names = Variables(variables);
    let holds =
        |rule: &&Rule| rule.condition.as_deref().is_none_or(|text| expression::holds(text, &names));
    rules.iter().find(holds).map_or_else(|| "never".to_owned(), |rule| rule.when.clone())
}

struct Variables<'a>(&'a BTreeMap<String, String>);

impl Names for Variables<'_> {
    fn value(&self, name: &str) -> String {
        let name = name.strip_prefix('$').unwrap_or_else(|| panic!("{name} is no variable"));
        // Only those that GitLab sets in some pipelines may be missing.
        let known = ["CI_COMMIT_BRANCH", "CI_MERGE_REQUEST_IID"];
        let value = self.0.get(name).cloned();
        assert!(value.is_some() || known.contains(&name), "{name} is not known");
        value.unwrap_or_default()
    }

    fn call(&self, function: &str) -> bool {
        panic!("{function}() is not known")
    }
}

impl Run {
    /// Somebody starts the manual job.
    pub(crate) fn approve(&mut self, lab: &mut Lab) {
        let waits = |job: &Job| job.state == State::Waits;
        let id = self.jobs.iter().find(|(_, job)| waits(job)).unwrap().0.clone();
        self.jobs.remove(&id);
        self.go_on(lab, Some(&id));
    }

    /// Stage by stage, and in a stage those first that others need.
    fn go_on(&mut self, lab: &mut Lab, approved: Option<&str>) {
        for stage in self.file.stages.clone() {
            loop {
                let ready = self.file.jobs.iter().find(|(id, job)| {
                    job.stage == stage
                        && !self.jobs.contains_key(*id)
                        && job.needs.iter().all(|need| self.jobs.contains_key(need))
                });
                let Some((id, _)) = ready else { break };
                let id = id.clone();
                let job = self.job(lab, &id, approved == Some(id.as_str()));
                self.jobs.insert(id, job);
            }
        }
    }

    fn job(&self, lab: &mut Lab, id: &str, approved: bool) -> Job {
        let job = &self.file.jobs[id];
        let variables = self.variables(lab, job.environment.as_deref());
        let needs = |state| job.needs.iter().any(|need| self.jobs[need].state == state);
        let failed = needs(State::Failure);
        match when(&job.rules, &variables).as_str() {
            "never" => return Job::unstarted(State::Skipped),
            "on_success" | "manual" if failed => return Job::unstarted(State::Skipped),
            "manual" if !approved => return Job::unstarted(State::Waits),
            _ => {}
        }
        assert!(!needs(State::Skipped), "{id} needs a job that is not in the pipeline");
        let folder = lab.machine.job_folder();
        lab.origin.checkout(&lab.machine, &self.commit, &folder);
        for need in &job.needs {
            copy_all(&self.artifacts.join(need), &folder);
        }
        let ended = lab.machine.script(&folder, &variables, &job.script.join("\n"));
        lab.said(&ended.log);
        if let Some(artifacts) = &job.artifacts
            && (artifacts.always || ended.code == 0)
        {
            let kept = self.artifacts.join(id);
            std::fs::create_dir(&kept).unwrap();
            for path in &artifacts.paths {
                let _ = std::fs::copy(folder.join(path), kept.join(path));
            }
        }
        let state = if ended.code == 0 { State::Success } else { State::Failure };
        Job { state, code: ended.code, log: ended.log, outputs: BTreeMap::new() }
    }

    /// What GitLab sets, then those of the file, then those of the project.
    fn variables(&self, lab: &Lab, environment: Option<&str>) -> BTreeMap<String, String> {
        let url = lab.api.url();
        let source = match self.event {
            Event::Request => "merge_request_event",
            Event::Push => "push",
            Event::Schedule => "schedule",
            Event::Dispatch(_) => "web",
        };
        let mut variables = vec![
            ("CI", "true"),
            ("CI_API_V4_URL", &url),
            ("CI_COMMIT_SHA", &self.commit),
            ("CI_DEFAULT_BRANCH", "main"),
            ("CI_PIPELINE_SOURCE", source),
            ("CI_PROJECT_ID", "7"),
        ];
        if self.event == Event::Request {
            variables.push(("CI_MERGE_REQUEST_IID", "1"));
        } else {
            variables.push(("CI_COMMIT_BRANCH", "main"));
        }
        let token = lab.token(environment);
        let of_file =
            self.file.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        variables.extend(of_file);
        variables.extend([("PVX_TOKEN", token.as_str()), ("PVX_COMMENT_TOKEN", api::TOKEN)]);
        variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// The groups of which one job at a time runs.
    pub(crate) fn groups(&self) -> Vec<String> {
        self.file.jobs.values().filter_map(|job| job.group.clone()).collect()
    }
}

fn copy_all(from: &Path, to: &Path) {
    let Ok(files) = std::fs::read_dir(from) else { return };
    for file in files.flatten() {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}
