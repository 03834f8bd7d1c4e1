//! What a team sees, the same on every forge.

use super::api;
use super::forge::Forge;
use super::lab::{APPLY_SECRET, Lab, PLAN_SECRET, Run, profile};
use super::machine;
use super::run::State;

/// One test for each forge.
macro_rules! on_every_forge {
    ($($scenario:ident),* $(,)?) => {
        on_every_forge!(@ github GitHub $($scenario)*);
        on_every_forge!(@ gitlab GitLab $($scenario)*);
        on_every_forge!(@ forgejo Forgejo $($scenario)*);
    };
    (@ $module:ident $forge:ident $($scenario:ident)*) => {
        mod $module {
            $(#[test]
            fn $scenario() {
                if super::machine::is_ready() {
                    super::$scenario(super::Lab::new(super::Forge::$forge));
                }
            })*
        }
    };
}

on_every_forge!(
    what_may_run_and_who_may_write,
    a_request_carries_its_plan,
    a_plan_that_is_approved_is_applied,
    a_plan_is_refused_when_the_cluster_changed,
    the_night_tells_drift_from_errors,
    documents_with_errors_make_no_plan,
    a_plan_with_errors_is_shown,
    a_fork_gets_no_plan,
);

/// Comments that were there before.
const FOREIGN: usize = 3;

/// The comments that the pipelines wrote.
fn plans(lab: &Lab) -> Vec<api::Comment> {
    let comments = lab.api.comments();
    comments.into_iter().skip(FOREIGN).collect()
}

/// No secret in a log, a comment, an artifact, or in what everybody on the machine can read.
#[track_caller]
fn nothing_leaked(lab: &Lab) {
    let comments: String = lab.api.comments().into_iter().map(|comment| comment.body).collect();
    for secret in [PLAN_SECRET, APPLY_SECRET, api::TOKEN] {
        for (place, text) in [
            ("log", lab.logs()),
            ("comment", &comments),
            ("argument", &lab.machine.arguments()),
            ("artifact", &lab.machine.artifacts()),
        ] {
            assert!(!text.contains(secret), "a secret in a {place}: {text}");
        }
    }
    assert!(lab.machine.arguments().contains("pvx "), "arguments are written down");
}

/// How many guests of the documents there are, and the memory of the first.
fn guests(lab: &Lab) -> (usize, String) {
    let world = lab.served().sim.world();
    let found: Vec<_> = world.guests().filter(|guest| guest.name().starts_with("web")).collect();
    (found.len(), found[0].get("memory").unwrap().to_owned())
}

/// Another client gives the first guest more memory.
fn somebody_changes_the_cluster(lab: &Lab) {
    let client = |world: &mut pvx_sim::World| {
        let guest = world.guest_mut(1001).unwrap();
        guest.config.insert("memory".to_owned(), "3072".to_owned());
    };
    lab.served().sim.edit(client);
}

#[track_caller]
fn wrote_nothing(lab: &Lab) {
    let requests = lab.served().sim.requests();
    assert!(!requests.is_empty(), "the cluster was asked");
    let writes: Vec<_> = requests.iter().filter(|request| request.write).collect();
    assert!(writes.is_empty(), "{writes:?}");
}

fn commented<'a>(lab: &Lab, run: &'a Run) -> &'a super::run::Job {
    run.job(if lab.forge == Forge::GitLab { "comment" } else { "plan" })
}

/// What whoever approves looks at.
fn shown(lab: &Lab, run: &Run) -> String {
    match run {
        Run::Actions(run) if lab.forge == Forge::GitHub => run.summary.clone(),
        Run::Actions(_) => lab.origin.file(&lab.machine, "pvx-plan", "README.md"),
        Run::GitLab(run) => run.jobs["plan"].log.clone(),
    }
}

/// One apply at a time, which nothing cancels; no token of the forge that may more than comment.
fn what_may_run_and_who_may_write(mut lab: Lab) {
    match lab.merge() {
        Run::Actions(run) => {
            assert!(run.groups(&lab).contains(&("pvx-apply".to_owned(), false)), "{}", run.name());
            assert_eq!(run.may_write(), [""; 0]);
        }
        Run::GitLab(run) => assert_eq!(run.groups(), ["pvx"]),
    }
    if let Run::Actions(run) = lab.request(&profile(2, 1024)) {
        assert_eq!(run.groups(&lab), [("pvx-plan-refs/pull/1/merge".to_owned(), true)]);
        let writes: &[&str] = if lab.forge == Forge::GitHub { &["pull-requests"] } else { &[] };
        assert_eq!(run.may_write(), writes);
    }
    if let Run::Actions(run) = lab.night() {
        assert_eq!(run.may_write(), [""; 0]);
    }
}

fn a_request_carries_its_plan(mut lab: Lab) {
    let foreign = lab.api.comments();
    lab.served().sim.clear_requests();
    let run = lab.request(&profile(3, 1024));
    run.job("plan").expect(State::Success, 0);
    commented(&lab, &run).expect(State::Success, 0);
    let first = plans(&lab);
    assert_eq!(first.len(), 1, "{first:?}");
    insta::assert_snapshot!("comment", first[0].body);

    let run = lab.request(&profile(2, 2048));
    commented(&lab, &run).expect(State::Success, 0);
    let second = plans(&lab);
    assert_eq!(second.len(), 1, "{second:?}");
    assert_eq!(second[0].id, first[0].id);
    insta::assert_snapshot!("comment_renewed", second[0].body);

    assert_eq!(lab.api.comments()[..FOREIGN], foreign, "other comments stay as they are");
    wrote_nothing(&lab);
    nothing_leaked(&lab);
}

fn a_plan_that_is_approved_is_applied(mut lab: Lab) {
    lab.request(&profile(3, 1024));
    let run = lab.merge();
    run.job("plan").expect(State::Success, 0);
    if lab.forge != Forge::Forgejo {
        run.job("apply").expect(State::Waits, 0);
    }
    assert!(shown(&lab, &run).contains("web/web03"), "{}", shown(&lab, &run));
    assert_eq!(guests(&lab).0, 2, "nothing happens before somebody approves");
    lab.approve(run).job("apply").expect(State::Success, 0);
    assert_eq!(guests(&lab), (3, "1024".to_owned()));
    assert!(lab.machine.arguments().contains("pvx apply plan.pvx --yes"));
    nothing_leaked(&lab);
}

fn a_plan_is_refused_when_the_cluster_changed(mut lab: Lab) {
    lab.request(&profile(2, 2048));
    let run = lab.merge();
    somebody_changes_the_cluster(&lab);
    lab.served().sim.clear_requests();
    let run = lab.approve(run);
    let log = &run.job("apply").expect(State::Failure, 5).log;
    assert!(log.contains("guest 1001 (web01) on pve1 was changed"), "the reason: {log}");
    assert_eq!(guests(&lab), (2, "3072".to_owned()));
    wrote_nothing(&lab);
    nothing_leaked(&lab);
}

fn the_night_tells_drift_from_errors(mut lab: Lab) {
    let run = lab.night();
    assert!(run.job("drift").expect(State::Success, 0).log.contains("no drift"));

    somebody_changes_the_cluster(&lab);
    let run = lab.night();
    let log = &run.job("drift").expect(State::Failure, 2).log;
    assert!(log.contains("the cluster is not as the documents say"), "{log}");
    assert!(log.contains("memory"), "what has changed: {log}");

    lab.stop();
    let run = lab.night();
    let log = &run.job("drift").expect(State::Failure, 1).log;
    assert!(log.contains("not known"), "{log}");
    assert!(!log.contains("the cluster is not as the documents say"), "{log}");
    nothing_leaked(&lab);
}

fn documents_with_errors_make_no_plan(mut lab: Lab) {
    lab.served().sim.clear_requests();
    let run = lab.request("name: web\ntype: generic\nmemroy: 1\n");
    let log = &run.job("plan").expect(State::Failure, 1).log;
    assert!(log.contains("memroy"), "{log}");
    assert_eq!(plans(&lab), []);
    assert!(lab.served().sim.requests().is_empty(), "the cluster is not asked");
    nothing_leaked(&lab);
}

fn a_plan_with_errors_is_shown(mut lab: Lab) {
    let run = lab.request(&profile(3, 1024).replace("debian-13", "debian-99"));
    let job = run.job("plan");
    assert_eq!(job.state, State::Failure, "{}", job.log);
    if lab.forge == Forge::GitLab {
        run.job("comment").expect(State::Success, 0);
    }
    let comments = plans(&lab);
    assert_eq!(comments.len(), 1, "{}", job.log);
    insta::assert_snapshot!("comment_errors", comments[0].body);
    nothing_leaked(&lab);
}

fn a_fork_gets_no_plan(mut lab: Lab) {
    // On GitLab the pipeline of a fork runs in the fork, which has no variables of this project.
    if lab.forge == Forge::GitLab {
        return;
    }
    lab.served().sim.clear_requests();
    "mallory/cluster".clone_into(&mut lab.head_repository);
    lab.request(&profile(3, 1024)).job("plan").expect(State::Skipped, 0);
    assert!(lab.served().sim.requests().is_empty(), "the cluster is not asked");
    assert_eq!(lab.api.requests(), [""; 0]);
}

/// Forgejo's approval names the plan that somebody looked at. No other is applied.
#[test]
fn forgejo_applies_only_the_plan_that_was_agreed_to() {
    if !machine::is_ready() {
        return;
    }
    let mut lab = Lab::new(Forge::Forgejo);
    lab.request(&profile(3, 1024));
    lab.merge();
    let older = lab.origin.head(&lab.machine, "pvx-plan");
    lab.request(&profile(2, 2048));
    lab.merge();
    lab.served().sim.clear_requests();
    let newer = lab.origin.head(&lab.machine, "pvx-plan");
    for plan in [older.as_str(), "", "main", &newer[..9]] {
        let run = lab.dispatch(plan);
        let log = &run.job("apply").expect(State::Failure, 1).log;
        assert!(log.contains(&newer), "{log}");
    }
    assert!(lab.served().sim.requests().is_empty(), "the cluster is not asked");
    lab.dispatch(&newer[..10]).job("apply").expect(State::Success, 0);
    assert_eq!(guests(&lab).0, 2);

    // Documents that went on without a plan of theirs.
    lab.request(&profile(3, 2048));
    lab.merge();
    let plan = lab.origin.head(&lab.machine, "pvx-plan");
    lab.origin.commit(&lab.machine, "main", &[("clusters/web.yaml", &profile(4, 2048))]);
    let run = lab.dispatch(&plan);
    let log = &run.job("apply").expect(State::Failure, 5).log;
    assert!(log.contains("clusters/web.yaml"), "{log}");
    assert_eq!(guests(&lab).0, 2);
}

/// What the runner does not know fails, wherever it stands.
#[test]
fn nothing_in_a_file_is_skipped() {
    let github = [
        ("timeout-minutes:", "timeout-minuts:"),
        ("pull_request:", "pull_request:\n  pull_request_target:"),
        ("actions/checkout@v6", "somebody/checkout@v6"),
        ("github.event.number", "github.event.nomber"),
        ("!cancelled()", "!canceled()"),
        ("pull-requests: write", "id-token: write"),
        ("needs: plan", "needs: plans"),
    ];
    let forgejo = [("shell: bash", "shell: sh"), ("forgejo.token", "github.token")];
    let gitlab = [
        ("resource_group:", "resource_groups:"),
        ("$CI_PIPELINE_SOURCE ==", "$CI_PIPELINE_SORCE =="),
        ("when: always", "when: delayed"),
        ("needs: [plan]", "needs: [plans]"),
    ];
    if machine::is_ready() {
        is_not_skipped(Forge::GitHub, &github);
        is_not_skipped(Forge::Forgejo, &forgejo);
        is_not_skipped(Forge::GitLab, &gitlab);
    }
}

fn is_not_skipped(forge: Forge, changes: &[(&str, &str)]) {
    let mut lab = Lab::new(forge);
    let files = lab.files.clone();
    for (from, to) in changes {
        for (_, text) in &mut lab.files {
            *text = text.replace(from, to);
        }
        assert_ne!(lab.files, files, "{from} is not in the files of {forge:?}");
        let request = std::panic::AssertUnwindSafe(|| lab.request(&profile(3, 1024)));
        assert!(std::panic::catch_unwind(request).is_err(), "{to} is skipped on {forge:?}");
        lab.files.clone_from(&files);
    }
}
