//! A workflow file of GitHub or Forgejo, read whole: what is not known here fails the test.

use std::collections::{BTreeMap, BTreeSet};

use super::table::Table;

pub(crate) struct Workflow {
    pub(crate) name: String,
    pub(crate) triggers: Triggers,
    /// What the run's token may write.
    pub(crate) may_write: BTreeSet<String>,
    pub(crate) concurrency: Option<Concurrency>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) jobs: BTreeMap<String, Job>,
}

#[derive(Default)]
pub(crate) struct Triggers {
    pub(crate) pull_request: bool,
    pub(crate) push_branches: Vec<String>,
    pub(crate) schedule: bool,
    pub(crate) dispatch: bool,
    /// Inputs that whoever starts the workflow must give.
    pub(crate) inputs: Vec<String>,
}

pub(crate) struct Concurrency {
    pub(crate) group: String,
    pub(crate) cancel: bool,
}

pub(crate) struct Job {
    pub(crate) needs: Vec<String>,
    pub(crate) condition: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) concurrency: Option<Concurrency>,
    pub(crate) outputs: BTreeMap<String, String>,
    pub(crate) steps: Vec<Step>,
}

pub(crate) struct Step {
    pub(crate) id: Option<String>,
    pub(crate) condition: Option<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) work: Work,
}

pub(crate) enum Work {
    /// A script for bash with `pipefail`.
    Script(String),
    Checkout,
    Upload {
        name: String,
        files: Vec<String>,
    },
    Download {
        name: String,
    },
}

pub(crate) fn read(name: &str, text: &str) -> Workflow {
    let mut file = Table::file(name, text);
    let triggers = triggers(file.table("on").unwrap_or_else(|| panic!("{name} has no on")));
    let bash = defaults(file.table("defaults"));
    file.one_of("enable-email-notifications", &["true"]);
    let jobs = file.table("jobs").unwrap().rest().into_iter();
    let jobs: BTreeMap<_, _> = jobs
        .map(|(id, value)| {
            let table = Table::new(&format!("{name}, job {id}"), value);
            (id, job(table, bash))
        })
        .collect();
    let needs = |job: &Job| job.needs.iter().all(|need| jobs.contains_key(need));
    assert!(jobs.values().all(needs), "{name}: a job needs one that is not there");
    let workflow = Workflow {
        name: file.text("name").unwrap(),
        triggers,
        may_write: permissions(file.table("permissions")),
        concurrency: file.table("concurrency").map(concurrency),
        env: texts(file.table("env")),
        jobs,
    };
    file.end();
    workflow
}

fn triggers(mut on: Table) -> Triggers {
    let mut triggers = Triggers::default();
    if let Some(value) = on.take("pull_request") {
        assert!(value.is_null(), "pull_request has no filters");
        triggers.pull_request = true;
    }
    if let Some(mut push) = on.table("push") {
        triggers.push_branches = push.texts("branches");
        push.end();
    }
    for mut entry in on.tables("schedule") {
        assert_eq!(entry.text("cron").unwrap().split(' ').count(), 5, "minute, hour, days, week");
        triggers.schedule = true;
        entry.end();
    }
    if let Some(value) = on.take("workflow_dispatch") {
        triggers.dispatch = true;
        if !value.is_null() {
            triggers.inputs = inputs(Table::new("workflow_dispatch", value));
        }
    }
    on.end();
    triggers
}

fn inputs(mut dispatch: Table) -> Vec<String> {
    let mut names = Vec::new();
    for (name, value) in dispatch.table("inputs").unwrap().rest() {
        let mut input = Table::new(&name, value);
        input.must("description");
        assert_eq!(input.text("required").as_deref(), Some("true"), "{name}");
        assert_eq!(input.text("type").as_deref(), Some("string"), "{name}");
        input.end();
        names.push(name);
    }
    dispatch.end();
    names
}

/// Whether scripts run in bash with `pipefail`, which a shell that nobody named has not on GitHub.
fn defaults(table: Option<Table>) -> bool {
    let Some(mut defaults) = table else { return false };
    let mut run = defaults.table("run").unwrap();
    assert_eq!(run.text("shell").as_deref(), Some("bash"));
    run.end();
    defaults.end();
    true
}

fn permissions(table: Option<Table>) -> BTreeSet<String> {
    let Some(mut permissions) = table else { return BTreeSet::new() };
    let mut may_write = BTreeSet::new();
    for name in ["contents", "pull-requests"] {
        if permissions.one_of(name, &["read", "write"]).as_deref() == Some("write") {
            may_write.insert(name.to_owned());
        }
    }
    permissions.end();
    may_write
}

fn concurrency(mut table: Table) -> Concurrency {
    let group = table.text("group").unwrap();
    let cancel = table.one_of("cancel-in-progress", &["true", "false"]).unwrap() == "true";
    table.end();
    Concurrency { group, cancel }
}

fn texts(table: Option<Table>) -> BTreeMap<String, String> {
    table.map(|mut table| table.rest_texts().into_iter().collect()).unwrap_or_default()
}

fn job(mut table: Table, bash: bool) -> Job {
    let runner = table.texts("runs-on");
    assert!(runner.iter().any(|label| label == "pvx"), "a runner with pvx: {runner:?}");
    table.text("timeout-minutes").map(|minutes| minutes.parse::<u32>().unwrap());
    let job = Job {
        needs: table.texts("needs"),
        condition: table.text("if").map(bare),
        environment: table.text("environment"),
        concurrency: table.table("concurrency").map(concurrency),
        outputs: texts(table.table("outputs")),
        steps: table.tables("steps").into_iter().map(|table| step(table, bash)).collect(),
    };
    table.end();
    job
}

/// A condition without the `${{ }}` that it may have.
fn bare(condition: String) -> String {
    match condition.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}")) {
        Some(inner) => inner.trim().to_owned(),
        None => condition,
    }
}

fn step(mut table: Table, bash: bool) -> Step {
    table.text("name");
    let id = table.text("id");
    let condition = table.text("if").map(bare);
    let env = texts(table.table("env"));
    let bash = table.one_of("shell", &["bash"]).is_some() || bash;
    let work = match (table.text("run"), table.text("uses")) {
        (Some(script), None) => {
            assert!(bash, "without `shell: bash` there is no pipefail: {script}");
            assert!(!script.contains("${{"), "values come through env, never as code: {script}");
            Work::Script(script)
        }
        (None, Some(action)) => action_of(&action, table.table("with")),
        _ => panic!("a step has either run or uses"),
    };
    table.end();
    Step { id, condition, env, work }
}

/// The actions that are known, with what they are asked for.
fn action_of(action: &str, with: Option<Table>) -> Work {
    let mut with = with.unwrap_or_else(|| Table::new("with", serde_json::json!({})));
    let work = match action {
        "actions/checkout@v6" | "https://data.forgejo.org/actions/checkout@v4" => {
            with.one_of("persist-credentials", &["false"]);
            Work::Checkout
        }
        "actions/upload-artifact@v7" | "https://data.forgejo.org/forgejo/upload-artifact@v4" => {
            let files: Vec<_> =
                with.text("path").unwrap().lines().map(|line| line.trim().to_owned()).collect();
            let plain = |file: &String| !file.contains(['/', '*', '!']);
            assert!(files.iter().all(plain), "only files of the folder itself: {files:?}");
            assert_eq!(with.text("if-no-files-found").as_deref(), Some("error"));
            with.text("retention-days").unwrap().parse::<u32>().unwrap();
            Work::Upload { name: with.text("name").unwrap(), files }
        }
        "actions/download-artifact@v8" => Work::Download { name: with.text("name").unwrap() },
        _ => panic!("{action} is not known"),
    };
    with.end();
    work
}
