//! Several at work on one cluster at once: two runs with different profiles, a script that takes the
//! next free VMID, and two runs with the same profile.
//!
//! `PVX_RACE_ROUNDS=100 cargo test -p pvx --test e2e race -- --nocapture` plays as many rounds.

#![allow(clippy::print_stdout, reason = "it says what it played")]

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pvx_provider_pve::client::{
    Client, ClientOptions, Endpoint, Fingerprint, Request, TlsTrust, Upid,
};
use pvx_provider_pve::credentials::TokenSource;
use pvx_sim::{TimeScale, World};
use serde_json::Value;

use crate::environment::{Environment, Run};
use crate::served::Served;

/// Rounds of a normal test run.
const ROUNDS: usize = 3;
/// Guests of a profile.
const GUESTS: usize = 6;
/// Guests of the script in a round. Sim time runs faster than pvx does: a script without an end would
/// always be the first to the next VMID, and pvx stop after some rounds and say so.
const SCRIPT: usize = 12;
/// Sim time runs so fast.
const FAST: f64 = 200.0;

fn profile(name: &str) -> String {
    format!(
        "kind: cluster\nname: {name}\ntype: generic\ntemplate: debian-13\nclone: linked\n\
         tags: [{name}]\nnodes:\n  controlplane:\n    count: {GUESTS}\n    memory: 512\n    \
         name_prefix: {name}\n    start_vmid: auto\n    placement: spread\n"
    )
}

fn spawn(environment: &Environment, served: &Served, args: &[&str]) -> Child {
    let mut command = environment.command(args);
    command.envs(served.variables()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn pvx(environment: &Environment, served: &Served, args: &[&str]) -> Run {
    Run::of(&spawn(environment, served, args).wait_with_output().unwrap())
}

/// Somebody's script: asks for the next free VMID and makes a guest with it.
struct Script {
    client: Client,
    runtime: tokio::runtime::Runtime,
}

impl Script {
    fn new(served: &Served) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let token = runtime.block_on(TokenSource::Inline(served.token().into()).load()).unwrap();
        let endpoint: Endpoint = served.sim.addr().to_string().parse().unwrap();
        let pin: Fingerprint = served.sim.fingerprint().parse().unwrap();
        let options = ClientOptions::new(vec![endpoint], TlsTrust::Fingerprints(vec![pin]), token);
        Self { client: Client::new(options).unwrap(), runtime }
    }

    /// Makes a guest; its VMID, unless somebody was faster.
    async fn make(&self, number: usize) -> Option<u32> {
        let vmid: Value = self.client.get(&Request::get("/cluster/nextid")).await.unwrap();
        let vmid: u32 = vmid.as_str().unwrap().parse().unwrap();
        let node = format!("pve{}", 1 + number % 3);
        let request = Request::post(format!("/nodes/{node}/qemu").as_str())
            .node(&node)
            .parameter("vmid", vmid)
            .parameter("name", format!("script-{number}"))
            .parameter("memory", 512)
            .parameter("scsi0", "local-lvm:1");
        let upid: Upid = self.client.send(&request).await.ok()?.as_str()?.parse().ok()?;
        loop {
            let status = self.client.task_status(&upid).await.ok()?;
            match status.end() {
                Some(end) => return end.is_success().then_some(vmid),
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    /// Makes its guests, unless told to stop: names by VMID, and how often somebody was faster.
    fn work(&self, stop: &AtomicBool) -> (BTreeMap<u32, String>, usize) {
        let (mut made, mut beaten) = (BTreeMap::new(), 0);
        for number in 0..SCRIPT {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            match self.runtime.block_on(self.make(number)) {
                Some(vmid) => drop(made.insert(vmid, format!("script-{number}"))),
                None => beaten += 1,
            }
        }
        (made, beaten)
    }
}

/// Names of guests that are no templates, sorted.
fn names(world: &World, start: &str) -> Vec<String> {
    let guests = world.guests().filter(|guest| !guest.template());
    let mut names: Vec<String> = guests.map(pvx_sim::Guest::name).collect();
    names.retain(|name| name.starts_with(start));
    names.sort();
    names
}

fn round() -> (usize, usize) {
    let served = Served::start(TimeScale::times(FAST));
    let script = Script::new(&served);
    let lower = Request::put("/cluster/options").parameter("next-id", "lower=1000");
    script.runtime.block_on(script.client.send(&lower)).unwrap();
    let labs = ["red", "blue"].map(|name| {
        let lab = Environment::new();
        lab.write(&format!("{name}.yaml"), &profile(name));
        lab
    });
    let stop = AtomicBool::new(false);
    let (runs, (made, beaten)) = std::thread::scope(|scope| {
        let script = scope.spawn(|| script.work(&stop));
        let children = labs.each_ref().map(|lab| spawn(lab, &served, &["apply", "--yes", "."]));
        let runs = children.map(|child| Run::of(&child.wait_with_output().unwrap()));
        stop.store(true, Ordering::Relaxed);
        (runs, script.join().unwrap())
    });
    for (lab, run) in labs.iter().zip(runs) {
        run.expect(0);
        pvx(lab, &served, &["plan", "--detailed-exitcode", "."]).expect(0);
    }
    let world = served.sim.world();
    assert_eq!(world.loose_ends(), Vec::<String>::new());
    for name in ["red", "blue"] {
        let expected: Vec<String> = (1..=GUESTS).map(|n| format!("{name}{n:02}")).collect();
        assert_eq!(names(&world, name), expected);
    }
    // The script's guests are all there, and as it made them.
    for (vmid, name) in &made {
        let guest = world.guest(*vmid).unwrap_or_else(|| panic!("{vmid} of the script is lost"));
        assert_eq!((guest.name(), guest.get("tags")), (name.clone(), None));
    }
    assert_eq!(names(&world, "script-").len(), made.len());
    for lab in &labs {
        pvx(lab, &served, &["destroy", "--yes", "."]).expect(0);
    }
    let world = served.sim.world();
    assert_eq!(names(&world, "").len(), made.len(), "destroy takes its own");
    served.stop();
    (made.len(), beaten)
}

#[test]
fn two_profiles_and_a_script() {
    let rounds = std::env::var("PVX_RACE_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap());
    let (mut made, mut beaten) = (0, 0);
    for _ in 0..rounds {
        let (new, faster) = round();
        made += new;
        beaten += faster;
    }
    println!(
        "race: {rounds} rounds, {made} guests of the script, which lost {beaten} VMIDs to others"
    );
    assert!(made >= rounds, "the script made nothing: it was no race");
}

/// Two runs with the same profile, from the same folder: one works, the other waits or refuses and
/// says who is at work.
#[test]
fn two_runs_of_one_profile() {
    let served = Served::start(TimeScale::times(FAST));
    let lab = Environment::new();
    lab.write("red.yaml", &profile("red"));
    let children = [0, 1].map(|_| spawn(&lab, &served, &["apply", "--yes", "."]));
    let runs = children.map(|child| Run::of(&child.wait_with_output().unwrap()));
    assert!(runs.iter().any(|run| run.code == 0), "{}", runs.map(|run| run.stderr).concat());
    for run in runs.into_iter().filter(|run| run.code != 0) {
        assert!(run.stderr.contains("another pvx is working on red"), "{}", run.stderr);
    }
    pvx(&lab, &served, &["plan", "--detailed-exitcode", "."]).expect(0);
    let world = served.sim.world();
    assert_eq!(names(&world, "").len(), GUESTS);
    assert_eq!(world.loose_ends(), Vec::<String>::new());
    served.stop();
}

/// The same from two folders, as from two machines without a shared state: whoever is later to a
/// VMID takes another or stops; nothing is made twice, and the next run has nothing to do but what
/// is left.
#[test]
fn two_runs_of_one_profile_from_two_folders() {
    let served = Served::start(TimeScale::times(FAST));
    let labs = [(), ()].map(|()| {
        let lab = Environment::new();
        lab.write("red.yaml", &profile("red"));
        lab
    });
    let children = labs.each_ref().map(|lab| spawn(lab, &served, &["apply", "--yes", "."]));
    let runs = children.map(|child| Run::of(&child.wait_with_output().unwrap()));
    let said =
        runs.map(|run| format!("-- exit {}\n{}{}", run.code, run.stdout, run.stderr)).concat();
    let again = pvx(&labs[0], &served, &["apply", "--yes", "."]);
    let world = served.sim.world();
    let expected: Vec<String> = (1..=GUESTS).map(|n| format!("red{n:02}")).collect();
    assert_eq!(names(&world, ""), expected, "{said}");
    assert_eq!(again.code, 0, "{said}\n-- again\n{}{}", again.stdout, again.stderr);
    assert_eq!(world.loose_ends(), Vec::<String>::new());
    pvx(&labs[0], &served, &["plan", "--detailed-exitcode", "."]).expect(0);
    served.stop();
}
