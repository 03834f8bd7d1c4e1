//! A point at which the run is killed, and what happens from there on.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use pvx_sim::fault::{Fault, Requests, When};
use pvx_sim::{TimeScale, World};

use super::{account, scene};
use crate::environment::{Environment, Run};
use crate::served::Served;

/// The apply under test.
const APPLY: [&str; 5] = ["apply", "--yes", "--replace", "app/cp-anew-a", "vms.yaml"];
/// The one after the kill: what was made anew is not made anew again.
const AGAIN: [&str; 3] = ["apply", "--yes", "vms.yaml"];
/// The longest that a run may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(120);
/// Sim time runs so fast where tasks take time.
const FAST: f64 = 200.0;

/// Where in the life of a request or of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum At {
    /// It never has an effect, or the record is not written.
    Before,
    /// It had its effect, and nobody learned of it; or the record is written.
    After,
    /// The request is under way when the client dies, and has its effect after that.
    Late,
}

/// When the run is killed.
#[derive(Clone, Debug)]
pub(super) struct Point {
    record: bool,
    number: usize,
    at: At,
    /// The folder `state` is removed before the next run.
    pub(super) lose_state: bool,
    /// Tasks take time: some still run when the next run begins.
    pub(super) slow: bool,
    /// The next run is killed too, when the effect of its request of this number is there.
    pub(super) twice: Option<usize>,
}

impl Point {
    pub(super) fn request(number: usize, at: At) -> Self {
        Self { record: false, number, at, lose_state: false, slow: false, twice: None }
    }

    pub(super) fn record(number: usize, at: At) -> Self {
        Self { record: true, ..Self::request(number, at) }
    }

    fn rule(&self) -> Fault {
        let when = if self.at == At::After { When::After } else { When::Before };
        let on = Some(Requests::default());
        let skip = u64::try_from(self.number).unwrap() - 1;
        let rule = Fault { on, skip, times: Some(1), ..Fault::default() }.holds(when);
        if self.at == At::Before { rule.drops(When::Before) } else { rule }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.record { "record" } else { "request" };
        let at = format!("{:?}", self.at).to_lowercase();
        write!(f, "{what} {} {at}", self.number)?;
        f.write_str(if self.slow { ", tasks take time" } else { "" })?;
        f.write_str(if self.lose_state { ", state lost" } else { "" })?;
        match self.twice {
            Some(number) => write!(f, ", and the next run at its request {number}"),
            None => Ok(()),
        }
    }
}

/// What every point begins with, and what must come of it.
pub(super) struct Stage {
    world: World,
    environment: Environment,
    expected: BTreeMap<String, String>,
    /// The requests of an undisturbed apply; whether each writes.
    pub(super) requests: Vec<bool>,
    /// The records of its journal.
    pub(super) records: usize,
}

impl Stage {
    /// Applies the documents of before, and once, undisturbed, those of after.
    pub(super) fn set() -> Self {
        let served = Served::with(scene::world(), TimeScale::INSTANT);
        let environment = Environment::new();
        scene::before(&environment);
        pvx(&environment, &served, &["apply", "--yes", "vms.yaml"]).expect(0);
        let world = served.sim.world();
        served.stop();
        scene::after(&environment);
        let mut stage = Self {
            world,
            environment,
            expected: BTreeMap::new(),
            requests: Vec::new(),
            records: 0,
        };
        let (served, environment) = stage.begin(TimeScale::INSTANT);
        pvx(&environment, &served, &APPLY).expect(0);
        stage.requests = served.sim.requests().iter().map(|request| request.write).collect();
        stage.records = records(&environment.path("state"));
        pvx(&environment, &served, &["plan", "--detailed-exitcode", "vms.yaml"]).expect(0);
        let world = served.sim.world();
        assert_eq!(world.loose_ends(), Vec::<String>::new());
        stage.expected = account::picture(&world);
        for name in scene::wanted() {
            assert!(stage.expected.contains_key(&name), "{name}: {:#?}", stage.expected);
        }
        for gone in ["cp-gone-a", "cp-gone-b", "cp-gone-c"] {
            assert!(!stage.expected.contains_key(gone), "{gone}: {:#?}", stage.expected);
        }
        served.stop();
        stage
    }

    fn begin(&self, scale: TimeScale) -> (Served, Environment) {
        let environment = Environment::new();
        copy(&self.environment.path(""), &environment.path(""));
        (Served::with(self.world.clone(), scale), environment)
    }

    /// Kills an apply at the point, applies again, and looks at everything.
    ///
    /// False when the run ended before the point.
    pub(super) fn play(&self, point: &Point) -> Result<bool, String> {
        let scale = if point.slow { TimeScale::times(FAST) } else { TimeScale::INSTANT };
        let (served, environment) = self.begin(scale);
        let killed = if point.record {
            kill_at_record(&environment, &served, point)
        } else {
            kill_at_request(&environment, &served, point, &APPLY)
        };
        let result = killed.and_then(|killed| {
            self.go_on(point, &served, &environment)?;
            Ok(killed)
        });
        served.stop();
        result
    }

    fn go_on(&self, point: &Point, served: &Served, lab: &Environment) -> Result<(), String> {
        if point.lose_state {
            let _ = std::fs::remove_dir_all(lab.path("state"));
        }
        if let Some(number) = point.twice {
            kill_at_request(lab, served, &Point::request(number, At::After), &AGAIN)?;
        }
        let again = pvx(lab, served, &AGAIN);
        let said = format!("-- the second run\n{}{}", again.stdout, again.stderr);
        if again.code != 0 {
            return Err(format!("exit {}\n{said}", again.code));
        }
        let plan = pvx(lab, served, &["plan", "--detailed-exitcode", "vms.yaml"]);
        if plan.code != 0 {
            return Err(format!(
                "a plan is left, exit {}\n{}{}\n{said}",
                plan.code, plan.stdout, plan.stderr
            ));
        }
        let world = served.sim.world();
        let mut wrong = world.loose_ends();
        let mut found = account::picture(&world);
        let mut expected = self.expected.clone();
        if point.lose_state {
            // Nobody knows any more that the document said this.
            for picture in [&mut found, &mut expected] {
                picture.remove("cp-cfg-c");
            }
        }
        wrong.extend(account::difference(&expected, &found));
        if wrong.is_empty() { Ok(()) } else { Err(format!("{}\n{said}", wrong.join("\n"))) }
    }
}

fn pvx(environment: &Environment, served: &Served, args: &[&str]) -> Run {
    let output = environment.command(args).envs(served.variables()).output().unwrap();
    Run::of(&output)
}

fn spawn(
    environment: &Environment,
    served: &Served,
    args: &[&str],
    variables: &[(&str, String)],
) -> Child {
    let mut command = environment.command(args);
    command.envs(served.variables()).envs(variables.iter().cloned());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The request is held on the server's side while the client dies.
fn kill_at_request(
    environment: &Environment,
    served: &Served,
    point: &Point,
    args: &[&str],
) -> Result<bool, String> {
    let id = served.sim.add_fault(point.rule()).unwrap();
    let mut child = spawn(environment, served, args, &[]);
    let come = served.wait_for_fault(&id, PATIENCE, || child.try_wait().unwrap().is_some());
    let ended = child.try_wait().unwrap().is_some();
    let _ = child.kill();
    child.wait().unwrap();
    served.sim.remove_fault(&id);
    if !come && !ended {
        return Err("the killed run neither ended nor came to the point".to_owned());
    }
    Ok(come)
}

/// The run kills itself (`PVX_KILL_AT_RECORD`).
fn kill_at_record(
    environment: &Environment,
    served: &Served,
    point: &Point,
) -> Result<bool, String> {
    let at = if point.at == At::Before { ":before" } else { "" };
    let variable = ("PVX_KILL_AT_RECORD", format!("{}{at}", point.number));
    let mut child = spawn(environment, served, &APPLY, &[variable]);
    let began = Instant::now();
    loop {
        match child.try_wait().unwrap() {
            Some(status) => return Ok(status.signal() == Some(9)),
            None if began.elapsed() > PATIENCE => break,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    let _ = child.kill();
    child.wait().unwrap();
    Err("the killed run neither ended nor died".to_owned())
}

/// Records of the journals: lines that are no header.
fn records(state: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(state).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            count += records(&path);
        } else if path.extension().is_some_and(|end| end == "journal") {
            let text = std::fs::read_to_string(&path).unwrap();
            count += text.lines().filter(|line| line.contains("\"record\"")).count();
        }
    }
    count
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
