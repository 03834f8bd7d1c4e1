//! What a run says while it runs and when it ends: plain lines, the file of events, exit codes, Ctrl-C.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use pvx_sim::{Fault, TimeScale};
use serde_json::Value;

use crate::environment::{Environment, Run, repository};
use crate::served::Served;

const ONE: &str = "name: one\ntemplate: debian-13\nstorage: shared\n";

const MANY: &str = "name: web\ntype: generic\ntemplate: debian-13\ntags: [web]\nnodes:\n  \
    controlplane: { count: 4, cores: 1, memory: 512, disk: 6G, start_vmid: 2000, \
    placement: spread }\n";

/// The lines of a file of events, each as the schema says, without gaps, with times that can be read.
fn events(environment: &Environment, name: &str) -> Vec<Value> {
    static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
        let file = repository().join("docs/reference/events.schema.json");
        let schema = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        jsonschema::draft202012::new(&schema).unwrap()
    });
    let lines = environment.read(name);
    let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    for (n, line) in lines.iter().enumerate() {
        let wrong: Vec<_> = SCHEMA.iter_errors(line).map(|e| e.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:#?}\n{line}");
        assert_eq!(line["seq"], n, "{line}");
        assert!(line["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{line}");
    }
    lines
}

fn names(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["event"].as_str().unwrap()).collect()
}

#[test]
fn a_file_of_events_tells_the_whole_run() {
    let lab = Environment::new();
    lab.write("web.yaml", MANY);
    lab.sim(&["apply", "--yes", "--events", "a.jsonl", "web.yaml"]).expect(0);
    let lines = events(&lab, "a.jsonl");
    let (first, last) = (&lines[0], &lines[lines.len() - 1]);
    assert_eq!((&first["event"], &first["schema"]), (&"run".into(), &1.into()));
    assert_eq!(first["plan"]["guests"].as_array().unwrap().len(), 4, "{first}");
    for action in first["plan"]["actions"].as_array().unwrap() {
        let of = |event: &str| {
            lines.iter().filter(|l| l["event"] == event && l["action"] == action["action"]).count()
        };
        assert_eq!((of("started"), of("finished"), of("failed")), (1, 1, 0), "{action}");
    }
    assert_eq!((&last["event"], &last["result"]), (&"ended".into(), &"complete".into()));
    assert_eq!((&last["exit_code"], &last["converged"]), (&0.into(), &true.into()));
    assert_eq!(last["summary"]["guests"][0]["done"], 4, "{last}");
    lab.sim(&["apply", "--yes", "--events", "a.jsonl", "web.yaml"]).expect(0);
    let lines = events(&lab, "a.jsonl");
    assert_eq!(names(&lines), ["run", "ended"], "written over, and nothing to do");
    assert_eq!(lines[1]["result"], "unchanged");
    lab.sim(&["destroy", "--events", "a.jsonl", "web.yaml"]).expect(4);
    let lines = events(&lab, "a.jsonl");
    assert_eq!((&lines[1]["result"], &lines[1]["exit_code"]), (&"refused".into(), &4.into()));
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_before() {
    let lab = Environment::new();
    lab.write("one.yaml", ONE);
    let run = lab.sim(&["apply", "--yes", "--events", "no/such/folder", "one.yaml"]).expect(1);
    assert!(run.stderr.contains("no/such/folder cannot be written"), "{}", run.stderr);
    let run = lab.sim(&["apply", "--yes", "--events", "-", "one.yaml"]).expect(1);
    assert!(run.stderr.contains("name a file"), "{}", run.stderr);
    lab.sim(&["plan", "--detailed-exitcode", "one.yaml"]).expect(2);
}

/// `TIME  WORD  #N …`, one event a line.
#[test]
fn plain_lines_have_times_and_stable_words() {
    let lab = Environment::new();
    lab.write("one.yaml", ONE);
    let run = lab.sim(&["apply", "--yes", "--plain", "--parallel", "1", "one.yaml"]).expect(0);
    let stamped = |line: &&str| {
        line.split_once("  ").is_some_and(|(time, _)| time.parse::<jiff::Timestamp>().is_ok())
    };
    let lines: Vec<&str> = run.stderr.lines().filter(stamped).collect();
    let words: Vec<&str> = lines.iter().filter_map(|l| l.split_whitespace().nth(1)).collect();
    assert_eq!(
        words,
        ["begins", "started", "task", "done", "started", "done", "started", "task", "done"],
        "{}",
        run.stderr
    );
    assert!(lines[1].contains("  started  #0  vm/one  clone 100 → "), "{}", run.stderr);
    let run = lab.sim(&["destroy", "--yes", "one.yaml"]).expect(0);
    assert!(
        run.stderr.lines().any(|line| line.starts_with("done     vm/one  destroy ")),
        "{}",
        run.stderr
    );
}

#[test]
fn what_failed_before_any_effect_changed_nothing() {
    let served = Served::start(TimeScale::times(0.0));
    let environment = Environment::new();
    environment.write("one.yaml", ONE);
    let pvx = |args: &[&str]| {
        Run::of(&environment.command(args).envs(served.variables()).output().unwrap())
    };
    let denied = Fault::on("POST", "/nodes/*/qemu/*/clone").answers(403, pvx_sim::When::Before);
    let denied = served.sim.add_fault(denied).unwrap();
    let run = pvx(&["apply", "--yes", "--events", "a.jsonl", "one.yaml"]).expect(1);
    assert!(
        run.stdout
            .ends_with("nothing was changed; run the command again when the cause is mended\n"),
        "{}",
        run.stdout
    );
    let lines = events(&environment, "a.jsonl");
    let failed = lines.iter().find(|line| line["event"] == "failed").unwrap();
    assert_eq!(failed["error"]["class"], "denied", "{failed}");
    assert_eq!(lines[lines.len() - 1]["exit_code"], 1);
    served.sim.remove_fault(&denied);
    // A task may have had an effect before it failed.
    served.sim.add_fault(Fault::in_task("qmclone").fails("no space")).unwrap();
    let run = pvx(&["apply", "--yes", "--plain", "one.yaml"]).expect(3);
    assert!(
        run.stderr.lines().any(|l| l.contains("  log      #0  ") && l.contains("no space")),
        "{}",
        run.stderr
    );
    served.stop();
}

/// A run whose lines are read while it runs.
struct Running {
    child: Child,
    lines: BufReader<std::process::ChildStderr>,
}

impl Running {
    fn start(environment: &Environment, served: &Served) -> Self {
        environment.write("web.yaml", MANY);
        let args = ["apply", "--yes", "--plain", "--events", "a.jsonl", "web.yaml"];
        let mut child = environment
            .command(&args)
            .envs(served.variables())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines }
    }

    /// Waits for a line with this word.
    fn until(&mut self, word: &str) {
        let mut line = String::new();
        while self.lines.read_line(&mut line).unwrap() > 0 {
            if line.split_whitespace().nth(1) == Some(word) {
                return;
            }
            line.clear();
        }
        panic!("it ended without '{word}'");
    }

    fn send(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    fn end(mut self) -> (i32, String) {
        let mut stdout = String::new();
        let _ = self.lines.read_to_string(&mut String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        (self.child.wait().unwrap().code().unwrap_or(-1), stdout)
    }
}

#[test]
fn the_first_ctrl_c_waits_for_what_runs() {
    for signal in ["-INT", "-TERM"] {
        let served = Served::start(TimeScale::times(2.0));
        let environment = Environment::new();
        let mut run = Running::start(&environment, &served);
        run.until("task");
        run.send(signal);
        run.until("stopping");
        let (code, stdout) = run.end();
        assert_eq!(code, 130, "{stdout}");
        assert!(stdout.contains("then stopped\nrun the command again to go on"), "{stdout}");
        let lines = events(&environment, "a.jsonl");
        let last = &lines[lines.len() - 1];
        assert_eq!((&last["result"], &last["exit_code"]), (&"cancelled".into(), &130.into()));
        let began = lines.iter().filter(|line| line["event"] == "started").count();
        let ended = lines.iter().filter(|line| line["event"] == "finished").count();
        assert_eq!(began, ended, "what ran was waited for");
        assert!(last["summary"]["actions"]["waiting"].as_u64() > Some(0), "nothing new: {last}");
        let again = environment.command(&["apply", "--yes", "web.yaml"]);
        let again = { again }.envs(served.variables()).output().unwrap();
        Run::of(&again).expect(0);
        served.stop();
    }
}

#[test]
fn the_second_one_leaves_and_says_what_still_runs() {
    let served = Served::start(TimeScale::times(0.02));
    let environment = Environment::new();
    let mut run = Running::start(&environment, &served);
    run.until("task");
    run.send("-INT");
    run.until("stopping");
    run.send("-TERM");
    let (code, stdout) = run.end();
    assert_eq!(code, 130, "{stdout}");
    assert!(stdout.contains("still runs on the cluster\n  UPID:"), "{stdout}");
    assert!(stdout.ends_with("it waits for what still runs, and goes on\n"), "{stdout}");
    let lines = events(&environment, "a.jsonl");
    let last = &lines[lines.len() - 1];
    assert!(last["still_running"][0].as_str().unwrap().starts_with("UPID:"), "{last}");
    assert_eq!(names(&lines).iter().filter(|name| **name == "stopping").count(), 2);
    served.stop();
}
