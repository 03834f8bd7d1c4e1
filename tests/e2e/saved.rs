//! Plans in files: one applies exactly what was shown, or is refused with nothing written.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use pvx_core::plan::saved::Saved;
use pvx_sim::{Fault, Guest, LabOptions, TimeScale, When, World};
use serde_json::Value;

use crate::environment::{Environment, Run};
use crate::served::Served;

const CONFIG: &str = "\
cluster: {name: lab, nodes: [{name: pve1, host: a.lab.example},
  {name: pve2, host: b.lab.example}, {name: pve3, host: c.lab.example}]}
defaults: {storage: shared, network_bridge: vmbr0}
vmid_ranges: {templates: 100-999, vms: 1000-9999}
";

const WEB: &str = "\
name: web
type: generic
template: debian-13
tags: [web]
variables: {size: {type: number, default: 1}, pool_key: {required: false, sensitive: true}}
nodes:
  controlplane:
    count: COUNT
    cores: CORES
    memory: 512
    description: 'size {{ var.size }}'
    include: [../includes/small.yaml]
    start_vmid: 1001
";

const DB: &str = "\
kind: vm
name: db
vmid: 1100
node: pve2
storage: local-lvm
power: stopped
cores: 1
memory: 512
disks: {scsi0: 1G}
";

/// What someone else does to the cluster.
type Edit<'a> = &'a dyn Fn(&mut World);

/// Documents, and a cluster that serves while the test runs.
struct Lab {
    environment: Environment,
    served: Served,
}

impl Lab {
    /// Two guests and a VM are there; documents ask for a third one and for more cores.
    fn changed() -> Self {
        let lab = Self::new();
        lab.pvx(&["apply", "--yes"]).expect(0);
        lab.web(3, 4);
        lab
    }

    fn new() -> Self {
        let environment = Environment::new();
        environment.write("cluster-config.yaml", CONFIG).write("vms/db.yaml", DB);
        environment.write("includes/small.yaml", "onboot: true\n");
        let lab = Self { environment, served: Served::start(TimeScale::INSTANT) };
        lab.web(2, 2);
        lab
    }

    fn web(&self, count: u32, cores: u32) {
        let text = WEB.replace("COUNT", &count.to_string());
        self.environment.write("clusters/web.yaml", &text.replace("CORES", &cores.to_string()));
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.environment.command(args);
        command.envs(self.served.variables());
        command
    }

    fn pvx(&self, args: &[&str]) -> Run {
        Run::of(&self.command(args).output().unwrap())
    }

    fn writes(&self) -> Vec<String> {
        let requests = self.served.sim.requests();
        let writes = requests.iter().filter(|request| request.write);
        writes.map(|request| format!("{} {}", request.method, request.path)).collect()
    }

    /// Applies the plan, which must be refused without a write. What was said.
    #[track_caller]
    fn refused(&self, args: &[&str], code: i32) -> String {
        self.served.sim.clear_requests();
        let run = self.pvx(&[&["apply", "--yes"], args].concat()).expect(code);
        assert_eq!(self.writes(), [""; 0], "{}", run.stderr);
        assert_eq!(run.stdout, "");
        run.stderr
    }

    /// The same with a plan that is seen to be something else by what is in its file.
    #[track_caller]
    fn refused_as(&self, text: &str) -> String {
        self.environment.write("other.pvx", text);
        self.refused(&["other.pvx"], 5)
    }

    fn saved(&self) -> Saved {
        Saved::decode(self.environment.read("p.pvx").as_bytes()).unwrap()
    }
}

#[test]
fn applies_exactly_and_once() {
    let lab = Lab::changed();
    let plan = lab.pvx(&["plan", "--out", "p.pvx", "--format", "json"]).expect(0);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    let file: Value = serde_json::from_str(&lab.environment.read("p.pvx")).unwrap();
    assert_eq!(plan, file["plan"], "what is shown is what is saved");
    let mode = std::fs::metadata(lab.environment.path("p.pvx")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(lab.pvx(&["apply", "p.pvx"]).expect(4).code, 4, "nobody was asked");

    lab.served.sim.clear_requests();
    let run = lab.pvx(&["apply", "--yes", "p.pvx", "--format", "json"]).expect(0);
    let result: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(result["plan"]["actions"], file["plan"]["actions"]);
    let planned = file["plan"]["actions"].as_array().unwrap().len();
    assert_eq!(lab.writes().len(), planned, "{:#?}", lab.writes());
    lab.pvx(&["plan", "--detailed-exitcode"]).expect(0);

    let again = lab.refused(&["p.pvx"], 5);
    let when = again.split_once("it was applied at ").unwrap().1.lines().next().unwrap();
    insta::assert_snapshot!(again.replace(when, "TIME"), @r#"
    × the plan p.pvx is refused: nothing of it is left to do
    │ it was applied at TIME
    help: nothing was changed; `pvx plan` shows whether the cluster is as the
          documents say
    "#);
    // Where nobody remembers, the cluster still shows it.
    std::fs::remove_file(lab.environment.path("state/lab/applied-plans")).unwrap();
    assert!(lab.refused(&["p.pvx"], 5).contains("it was applied already, or someone else"));
    for (what, said) in [("cluster-config.yaml", "is no saved plan"), ("gone.pvx", "such a file")] {
        let run = lab.pvx(&["show", what]).expect(1);
        assert!(run.stderr.replace("\n  │", "").contains(said), "{}", run.stderr);
    }
    // The file is shown without a cluster, and without documents.
    let elsewhere = Environment::new();
    elsewhere.write("p.pvx", &lab.environment.read("p.pvx"));
    let shown = elsewhere.pvx(&["show", "p.pvx"]).expect(0).stdout;
    let (line, rest) = shown.split_once('\n').unwrap();
    assert!(line.starts_with("saved 20") && line.ends_with("for cluster lab"), "{line}");
    insta::assert_snapshot!(rest);
    let json = elsewhere.pvx(&["show", "p.pvx", "--format", "json"]).expect(0).stdout;
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), plan);
    lab.served.stop();
}

/// What others do that leaves the plan as it was shown is no reason to refuse it.
#[test]
fn other_peoples_guests_do_not_make_it_another_plan() {
    let lab = Lab::new();
    let vm = "kind: vm\nname: auto\ntemplate: debian-13\nmemory: 512\n";
    lab.environment.write("vms/auto.yaml", vm);
    let edit = |change: Edit<'_>| lab.served.sim.edit(|world| change(world));
    let stranger = |vmid| Guest::new(vmid, "pve2", &[("name", "stranger"), ("memory", "60000")]);
    edit(&|world| world.add_guest(stranger(1000)));
    lab.pvx(&["plan", "--out", "p.pvx"]).expect(0);
    let auto = |saved: &Saved| {
        let change = saved.plan.changes.iter().find(|c| c.address.to_string() == "vm/auto");
        change.map(|c| (c.vmid, c.node.clone())).unwrap()
    };
    let (vmid, node) = auto(&lab.saved());
    assert_ne!(vmid, 1000);
    // A lower VMID is free now, and its node is nearly full.
    edit(&|world| {
        world.remove_guest(1000);
        let mut large = stranger(900);
        large.node.clone_from(&node);
        world.add_guest(large);
    });
    lab.pvx(&["apply", "--yes", "p.pvx"]).expect(0);
    assert_eq!(lab.served.sim.world().guest(vmid).unwrap().node, node);
    lab.served.stop();
}

/// Everything that may have changed, one at a time; each is taken back.
#[test]
fn refused_when_anything_changed() {
    let lab = Lab::changed();
    lab.environment.write("vars.yaml", "size: 2\n");
    let given = ["--var-file", "vars.yaml"];
    let run = lab.pvx(&[&["plan", "--out", "p.pvx"], given.as_slice()].concat()).expect(0);
    let said = run.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.ends_with("with the same values of variables"), "{said}");
    let apply = ["p.pvx", given[0], given[1]];
    let mut said = String::new();
    let mut tell = |what: &str, text: String| said += &format!("-- {what}\n{text}");

    for file in ["clusters/web.yaml", "includes/small.yaml", "cluster-config.yaml"] {
        let text = lab.environment.read(file);
        lab.environment.write(file, &format!("{text}# more\n"));
        tell(&format!("{file} has a comment more"), lab.refused(&apply, 5));
        lab.environment.write(file, &text);
    }
    let more = DB.replace("db", "more").replace("1100", "1101");
    lab.environment.write("vms/more.yaml", &more);
    std::fs::rename(lab.environment.path("vms/db.yaml"), lab.environment.path("gone")).unwrap();
    tell("one file more, one fewer", lab.refused(&apply, 5));
    std::fs::rename(lab.environment.path("gone"), lab.environment.path("vms/db.yaml")).unwrap();
    std::fs::remove_file(lab.environment.path("vms/more.yaml")).unwrap();
    lab.environment.write("vars.yaml", "size: 3\n");
    tell("a value in the file of variables", lab.refused(&apply, 5));
    lab.environment.write("vars.yaml", "size: 2\n");
    tell("no file of variables", lab.refused(&["p.pvx"], 5));
    tell("a sensitive variable", lab.refused(&[&apply, &["--var", "pool_key=x"][..]].concat(), 5));

    let before = lab.served.sim.world();
    let edit = |change: Edit<'_>| lab.served.sim.edit(|world| change(world));
    let guest = |world: &mut World, vmid: u32, key: &str, value: &str| {
        world.guest_mut(vmid).unwrap().config.insert(key.to_owned(), value.to_owned());
    };
    let cases: [(&str, Edit<'_>); 7] = [
        ("by hand, a guest that changes", &|world| guest(world, 1001, "startup", "order=3")),
        ("by hand, a guest that does not", &|world| guest(world, 1100, "cores", "2")),
        ("by hand, the template", &|world| guest(world, 100, "description", "new")),
        ("moved", &|world| world.guest_mut(1002).unwrap().node = "pve3".to_owned()),
        ("stopped", &|world| world.guest_mut(1001).unwrap().running = None),
        ("gone", &|world| drop(world.remove_guest(1002))),
        ("a stranger", &|world| {
            world.add_guest(Guest::new(1003, "pve3", &[("name", "stranger")]));
        }),
    ];
    for (what, change) in cases {
        edit(change);
        tell(what, lab.refused(&apply, 5));
        edit(&|world| *world = before.clone());
    }
    insta::assert_snapshot!(said);
    // All of it was taken back: the plan holds again.
    lab.pvx(&[&["apply", "--yes"][..], &apply].concat()).expect(0);
    lab.served.stop();
}

#[test]
fn refused_when_it_is_not_the_plan_that_was_made() {
    let lab = Lab::changed();
    lab.pvx(&["plan", "--out", "p.pvx", "--expires", "7d"]).expect(0);
    let (text, saved) = (lab.environment.read("p.pvx"), lab.saved());
    assert_eq!(saved.expires.duration_since(saved.made).as_hours(), 168);
    let mut said = String::new();
    let mut tell = |what: &str, text: String| said += &format!("-- {what}\n{text}");
    let expired = Saved {
        made: "2026-01-01T00:00:00Z".parse().unwrap(),
        expires: "2026-01-02T00:00:00Z".parse().unwrap(),
        ..saved.clone()
    };
    tell("expired", lab.refused_as(&expired.encode().unwrap()));
    let newer = text.replacen("\"pvx_plan\": 1", "\"pvx_plan\": 2", 1);
    tell("newer", lab.refused_as(&newer));
    tell("edited", lab.refused_as(&text.replacen("\"cores\": \"4\"", "\"cores\": \"8\"", 1)));
    tell("cut off", lab.refused_as(text.split_once("\"documents\"").unwrap().0));
    tell("damaged", lab.refused_as(&text.replacen("\"plan\": {", "\"plan\": {,", 1)));
    // Who edits the plan and its checksum too has not won anything: it is made again.
    let mut forged = saved.clone();
    let actions = serde_json::to_string(&saved.plan.actions).unwrap();
    let actions = actions.replace("\"cores\":\"4\"", "\"cores\":\"8\"");
    forged.plan.actions = serde_json::from_str(&actions).unwrap();
    assert_ne!(forged.plan, saved.plan);
    tell("forged", lab.refused_as(&forged.encode().unwrap()));
    insta::assert_snapshot!(said);

    let options = ["--target", "web", "--apply-changes", "live", "--no-force-stop"];
    let error = lab.refused(&[&["p.pvx"], options.as_slice()].concat(), 1);
    assert!(error.contains("--target, --apply-changes, --no-force-stop cannot be"), "{error}");
    let error = lab.refused(&["p.pvx", "clusters/web.yaml"], 1);
    assert!(error.contains("p.pvx is a saved plan, and stands alone"), "{error}");
    for command in ["plan", "destroy", "status", "validate"] {
        let run = lab.pvx(&[command, "p.pvx"]).expect(1);
        assert!(run.stderr.contains("p.pvx is a saved plan"), "{command}: {}", run.stderr);
    }
    lab.served.stop();
}

#[test]
fn refused_on_another_cluster() {
    let lab = Lab::new();
    lab.pvx(&["plan", "--out", "p.pvx"]).expect(0);
    let namesake = Served::start(TimeScale::INSTANT);
    let options = LabOptions { cluster: "prod".to_owned(), ..LabOptions::default() };
    let prod = Served::with(World::lab_with(options), TimeScale::INSTANT);
    let mut said = String::new();
    for other in [namesake, prod] {
        let args = ["apply", "--yes", "p.pvx"];
        let mut command = lab.environment.command(&args);
        let run = Run::of(&command.envs(other.variables()).output().unwrap()).expect(5);
        assert!(other.sim.requests().iter().all(|request| !request.write));
        let text = run.stderr.replace(&other.sim.fingerprint()[..29], "THIS ONE'S");
        said += &text.replace(&lab.served.sim.fingerprint()[..29], "THE PLAN'S");
        other.stop();
    }
    insta::assert_snapshot!(said, @r#"
    × the plan p.pvx is refused: it was made for another cluster that is named
    │ lab too
    │ certificate authority of the plan's cluster: THE PLAN'S…
    │ certificate authority of this one: THIS ONE'S…
    help: nothing was changed; reach the cluster that it was made for (--endpoint,
          --config), or make a new plan with `pvx plan --out`

    × the plan p.pvx is refused: it was made for cluster lab, and this is prod
    help: nothing was changed; reach the cluster that it was made for (--endpoint,
          --config), or make a new plan with `pvx plan --out`
    "#);
    lab.served.stop();
}

/// Two runs on the kept simulator are on the same cluster; on one that was made anew they are not.
#[test]
fn the_kept_simulator_is_one_cluster() {
    let lab = Environment::new();
    lab.write("db.yaml", DB);
    lab.sim(&["plan", "--out", "p.pvx", "db.yaml"]).expect(0);
    let kept = lab.read("p.pvx");
    lab.sim(&["sim", "reset"]).expect(0);
    let run = lab.sim(&["apply", "--yes", "p.pvx"]).expect(5);
    assert!(run.stderr.contains("made for another cluster"), "{}", run.stderr);
    lab.sim(&["plan", "--out", "p.pvx", "db.yaml"]).expect(0);
    assert_ne!(lab.read("p.pvx"), kept, "an older plan is written over");
    lab.sim(&["apply", "--yes", "p.pvx"]).expect(0);
    // A plan of nothing is one, and does nothing.
    lab.sim(&["plan", "--out", "nothing.pvx", "db.yaml"]).expect(0);
    lab.sim(&["apply", "--yes", "nothing.pvx"]).expect(0);
    lab.sim(&["apply", "--yes", "nothing.pvx"]).expect(0);
}

/// Who may not see the certificate authority still sees name and nodes.
#[test]
fn without_an_authority_name_and_nodes_decide() {
    let lab = Lab::new();
    let hidden = Fault::on("GET", "/nodes/*/certificates/info").answers(403, When::Before);
    lab.served.sim.add_fault(hidden).unwrap();
    lab.pvx(&["plan", "--out", "p.pvx"]).expect(0);
    assert_eq!(lab.saved().cluster.authority, None);
    lab.pvx(&["apply", "--yes", "p.pvx"]).expect(0);
    lab.served.stop();
}

/// What was done of it in part is not done again, nor is the rest of it alone.
#[test]
fn carried_out_in_part_it_is_refused() {
    let lab = Lab::changed();
    lab.pvx(&["plan", "--out", "p.pvx"]).expect(0);
    let failing = lab.served.sim.add_fault(Fault::in_task("qmclone").fails("no space")).unwrap();
    lab.pvx(&["apply", "--yes", "p.pvx"]).expect(3);
    lab.served.sim.remove_fault(&failing);
    let said = lab.refused(&["p.pvx", "--format", "human"], 5);
    assert!(said.contains("it was begun at 20"), "{said}");
    assert!(said.contains("the configuration of guest 1001 (cp01) on pve1 was changed"), "{said}");
    let run = lab.pvx(&["apply", "--yes", "p.pvx", "--format", "json"]).expect(5);
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    let details = value["error"]["details"].as_array().unwrap();
    assert!(details[0].as_str().unwrap().starts_with("it was begun at 20"), "{value}");
    lab.pvx(&["plan", "--out", "p.pvx"]).expect(0);
    lab.pvx(&["apply", "--yes", "p.pvx"]).expect(0);
    lab.served.stop();
}

#[test]
fn a_destroy_is_saved_too() {
    let lab = Lab::changed();
    lab.pvx(&["plan", "--destroy", "--out", "p.pvx", "vms"]).expect(0);
    assert!(lab.pvx(&["destroy", "--yes", "p.pvx"]).expect(1).stderr.contains("pvx apply FILE"));
    lab.pvx(&["apply", "--yes", "p.pvx"]).expect(0);
    let world = lab.served.sim.world();
    assert!(world.guest(1100).is_none() && world.guest(1001).is_some());
    lab.served.stop();
}

/// Options that say which plan is made are in the file, and are said once.
#[test]
fn what_was_said_with_the_plan_is_in_it() {
    let lab = Lab::changed();
    let options = ["--target", "web/cp01", "--replace", "web/cp01", "--apply-changes", "reboot"];
    let shutdown = ["--shutdown-timeout", "7", "--no-force-stop"];
    lab.pvx(&[&["plan", "--out", "p.pvx"][..], &options, &shutdown].concat()).expect(0);
    let said = lab.saved().options;
    assert_eq!((said.shutdown_timeout, said.force_stop), (7, false));
    let file = lab.environment.read("p.pvx");
    assert!(file.contains("\"timeout\": 7") && file.contains("\"force\": false"), "{file}");
    let uuid =
        |vmid: u32| lab.served.sim.world().guest(vmid).unwrap().get("vmgenid").map(str::to_owned);
    let before = (uuid(1001), uuid(1002));
    lab.pvx(&["apply", "--yes", "p.pvx"]).expect(0);
    assert_ne!(uuid(1001), before.0, "made anew");
    assert_eq!(uuid(1002), before.1);
    assert!(lab.served.sim.world().guest(1003).is_none(), "it was no target");
    for wrong in ["0s", "-1h", "2y", "soon"] {
        let run = lab.pvx(&["plan", "--out", "p.pvx", &format!("--expires={wrong}")]).expect(1);
        assert!(run.stderr.contains("30m, 24h or 7d"), "{wrong}: {}", run.stderr);
    }
    assert!(lab.pvx(&["plan", "--expires", "1h"]).expect(1).stderr.contains("--out"));
    lab.served.stop();
}

/// The same documents in another folder, and a plan that lies in a third.
#[test]
fn applies_from_another_folder() {
    let lab = Lab::new();
    lab.pvx(&["plan", "--out", "p.pvx", "clusters/web.yaml", "vms"]).expect(0);
    let other = Environment::new();
    for file in ["cluster-config.yaml", "clusters/web.yaml", "vms/db.yaml", "includes/small.yaml"] {
        other.write(&format!("checkout/{file}"), &lab.environment.read(file));
    }
    other.write("plans/p.pvx", &lab.environment.read("p.pvx"));
    let run = |args: &[&str]| {
        Run::of(&other.command(args).envs(lab.served.variables()).output().unwrap())
    };
    let lost = run(&["apply", "--yes", "plans/p.pvx"]).expect(5);
    assert!(lost.stderr.contains("clusters/web.yaml: missing"), "{}", lost.stderr);
    let config = ["--config", "checkout/cluster-config.yaml"];
    run(&[&["apply", "--yes", "plans/p.pvx"], config.as_slice()].concat()).expect(0);
    lab.served.stop();
}

#[test]
fn written_over_nothing_but_an_older_plan() {
    let lab = Lab::new();
    let document = lab.environment.read("clusters/web.yaml");
    let refused = |out: &str, why: &str| {
        lab.served.sim.clear_requests();
        let run = lab.pvx(&["plan", "--out", out]).expect(1);
        assert!(run.stderr.contains(why), "{out}: {}", run.stderr);
        assert!(lab.served.sim.requests().is_empty(), "said before anything is asked");
    };
    refused("clusters/web.yaml", "would be taken for a document");
    lab.environment.write("web", &document);
    refused("web", "is there already, and is no saved plan");
    assert_eq!(lab.environment.read("web"), document);
    refused("clusters", "not a regular file");
    refused("nowhere/p.pvx", "there is no folder nowhere");
    symlink("clusters/web.yaml", lab.environment.path("link.pvx")).unwrap();
    refused("link.pvx", "is a symbolic link");
    assert_eq!(lab.environment.read("clusters/web.yaml"), document);
    // A plan that cannot be applied is shown and not saved.
    lab.environment.write("vms/db.yaml", &DB.replace("pve2", "pve7"));
    let run = lab.pvx(&["plan", "--out", "p.pvx"]).expect(1);
    assert!(!lab.environment.path("p.pvx").exists(), "{}", run.stderr);
    lab.served.stop();
}

/// No byte of a secret, and no hash of one: that of a short one gives it away.
#[test]
fn holds_no_secret() {
    let lab = Lab::new();
    let (flag, file, password) = ("canary-4711", "canary-0815", "canary-2342");
    lab.environment.write(
        "clusters/web.yaml",
        &format!(
            "{}    cloudinit: {{vendor_data: ../vendor.j2, password: {{env: WEB_PASSWORD}}}}\n",
            WEB.replace("COUNT", "1")
                .replace("CORES", "1")
                .replace("pool_key:", "other: {required: false, sensitive: true}, pool_key:"),
        ),
    );
    let template = "#cloud-config\nruncmd: [canary, '{{ var.pool_key }}', '{{ var.other }}']\n";
    lab.environment.write("vendor.j2", template);
    lab.environment.write("vars.yaml", &format!("other: {file}\n"));
    let variable = format!("pool_key={flag}");
    let args = ["plan", "--out", "p.pvx", "--var", &variable, "--var-file", "vars.yaml"];
    let output = lab.command(&args).env("WEB_PASSWORD", password).output().unwrap();
    let run = Run::of(&output).expect(0);
    let text = lab.environment.read("p.pvx");
    let hash = |text: &str| pvx_core::plan::saved::sha256(text.as_bytes());
    let vars = lab.environment.read("vars.yaml");
    for secret in [flag, file, password, &vars] {
        for secret in [secret.to_owned(), hash(secret)] {
            for said in [&text, &run.stdout, &run.stderr] {
                assert!(!said.contains(&secret), "{secret} is in {said}");
            }
        }
    }
    assert!(!text.contains("canary"), "{text}");
    let variables = &lab.saved().variables;
    assert!(variables["pool_key"].sha256.is_none() && variables["other"].sha256.is_none());
    let documents = &lab.saved().documents;
    let paths: Vec<&str> = documents.iter().map(|document| document.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "cluster-config.yaml",
            "clusters/web.yaml",
            "includes/small.yaml",
            "vendor.j2",
            "vms/db.yaml"
        ]
    );
    // Another template is seen, and so is another value of a sensitive variable.
    let given = ["p.pvx", "--var", &variable, "--var-file", "vars.yaml"];
    lab.environment.write("vendor.j2", &format!("{template}# more\n"));
    assert!(lab.refused(&given, 5).contains("vendor.j2: changed"));
    lab.environment.write("vendor.j2", template);
    lab.environment.write("vars.yaml", "other: canary-4712\n");
    let said = lab.refused(&given, 5);
    assert!(said.contains("the plan would be another one now"), "{said}");
    assert!(!said.contains("canary"), "{said}");
    lab.served.stop();
}
