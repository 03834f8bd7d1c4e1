//! Privileges as a user meets them: what `pvx privileges` names and prints, what a plan says to a
//! token that lacks some, and that apply writes nothing then.

use std::process::Command;

use pvx_sim::{AclKind, Guest, TimeScale};

use crate::environment::{Environment, Run, repository};
use crate::served::Served;

const SECRET: &str = "5f0c1d1e-0000-4000-8000-0000000000aa";
const TOKEN: &str = "ops@pve!cli";

const DOCUMENT: &str = "name: one\ntype: generic\ntemplate: debian-13\ntags: [one]\nnodes:\n  \
    controlplane: { count: 2, name_prefix: one, cores: 1, memory: 512, start_vmid: 1001 }\n";

/// A served lab where a user with a token may do nothing yet.
fn lab() -> (Served, Environment) {
    let served = Served::start(TimeScale::INSTANT);
    served.sim.edit(|world| world.access_mut().add_token("ops@pve", "cli", SECRET, true));
    let environment = Environment::new();
    environment.write("one.yaml", DOCUMENT);
    (served, environment)
}

fn pvx(served: &Served, environment: &Environment, args: &[&str]) -> Run {
    let mut command = environment.command(args);
    command.envs(served.variables()).env("PVX_TOKEN", format!("{TOKEN}={SECRET}"));
    Run::of(&command.output().unwrap())
}

/// The same as the lab's operator.
fn operator(served: &Served, environment: &Environment, args: &[&str]) -> Run {
    Run::of(&environment.command(args).envs(served.variables()).output().unwrap())
}

/// Gives user and token a role on a path.
fn grant(served: &Served, path: &str, role: &str) {
    served.sim.edit(|world| {
        let access = world.access_mut();
        access.grant(path, AclKind::User, "ops@pve", role);
        access.grant(path, AclKind::Token, TOKEN, role);
    });
}

fn writes(served: &Served) -> usize {
    served.sim.requests().iter().filter(|request| request.write).count()
}

/// A token that may do nothing is told what lets it look, and then what else it needs.
#[test]
fn a_token_without_rights() {
    let (served, environment) = lab();
    let run = pvx(&served, &environment, &["plan", "one.yaml"]).expect(1);
    let said = "token ops@pve!cli may not look at the cluster: it lacks Sys.Audit on /";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    // In one piece, so that it can be copied.
    let command = "pveum acl modify / --users ops@pve --tokens 'ops@pve!cli' --roles PVEAuditor";
    assert!(run.stderr.contains(command), "{}", run.stderr);

    grant(&served, "/", "PVEAuditor");
    served.sim.clear_requests();
    let run = pvx(&served, &environment, &["apply", "--yes", "one.yaml"]).expect(1);
    insta::assert_snapshot!(run.stdout);
    assert_eq!(writes(&served), 0);
    served.sim.clear_requests();
    let run = pvx(&served, &environment, &["privileges", "one.yaml"]).expect(0);
    insta::assert_snapshot!(run.stdout);
    // Where there is room is another question.
    let asked = served.sim.requests();
    assert!(asked.iter().all(|r| !r.template.contains("/storage")), "{asked:#?}");
    served.stop();
}

/// One privilege is missing on one path: said once, with its action.
#[test]
fn one_that_is_missing() {
    let (served, environment) = lab();
    let mut role = Vec::new();
    let json =
        operator(&served, &environment, &["privileges", "one.yaml", "--format", "json"]).expect(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&json["version"], &json["over_ssh"]), (&1.into(), &serde_json::json!([])));
    for row in json["privileges"].as_array().unwrap() {
        assert_eq!(row["held"], true, "{row}");
        role.push(row["any_of"][0].as_str().unwrap().to_owned());
    }
    let all: Vec<&str> = role.iter().map(String::as_str).collect();
    let without = |privilege: &str| {
        let rest: Vec<&str> = all.iter().copied().filter(|name| *name != privilege).collect();
        served.sim.edit(|world| {
            world.access_mut().add_role("Rest", &rest);
            world.access_mut().add_role("All", &all);
        });
    };
    without("VM.PowerMgmt");
    grant(&served, "/", "All");
    grant(&served, "/vms/1002", "Rest");
    served.sim.clear_requests();
    let run = pvx(&served, &environment, &["apply", "--yes", "one.yaml"]).expect(1);
    let said = "× token ops@pve!cli lacks VM.PowerMgmt on /vms/1002, to start one/one02\n";
    assert!(run.stdout.contains(said), "{}", run.stdout);
    assert_eq!(run.stdout.matches('×').count(), 1, "{}", run.stdout);
    assert_eq!(writes(&served), 0);
    // The rest can be done.
    pvx(&served, &environment, &["apply", "--yes", "one.yaml", "--target", "one/one01"]).expect(0);
    served.stop();
}

/// A guest that the token does not see holds the VMID.
#[test]
fn a_hidden_guest_holds_the_vmid() {
    let (served, environment) = lab();
    served.sim.edit(|world| {
        world.add_guest(Guest::new(1001, "pve2", &[("name", "theirs")]));
        let audit = ["Sys.Audit", "Datastore.Audit"];
        world.access_mut().add_role("Looks", &audit);
        world.access_mut().add_role("Sees", &["VM.Audit", "VM.Clone"]);
    });
    grant(&served, "/", "Looks");
    grant(&served, "/vms/100", "Sees");
    let run = pvx(&served, &environment, &["plan", "one.yaml"]).expect(1);
    let text = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = "× VMID 1001 of one/one01 is held by a guest that this token cannot see";
    assert!(text.contains(said), "{}", run.stdout);
    assert!(!text.contains("VMID 1002"), "{}", run.stdout);
    served.stop();
}

/// The printed commands are enough, and can be run twice: as root on a node, for another token
/// than the one that asked.
#[test]
fn printed_commands_are_enough() {
    if Command::new("ssh").arg("-V").output().is_err() {
        return;
    }
    let (served, environment) = lab();
    let args = ["privileges", "--pveum", "--token", TOKEN, "one.yaml"];
    let commands = operator(&served, &environment, &args).expect(0).stdout;
    for _ in 0..2 {
        on_node(&served, &environment, &commands);
    }
    pvx(&served, &environment, &["apply", "--yes", "one.yaml"]).expect(0);
    let run = pvx(&served, &environment, &["privileges", "one.yaml"]).expect(0);
    assert!(run.stdout.contains("0 actions · nothing is missing"), "{}", run.stdout);
    let run = pvx(&served, &environment, &["privileges", "--destroy", "one.yaml"]).expect(0);
    assert!(run.stdout.contains("nothing is missing"), "{}", run.stdout);
    pvx(&served, &environment, &["destroy", "--yes", "one.yaml"]).expect(0);
    served.stop();
}

fn on_node(served: &Served, environment: &Environment, commands: &str) {
    let ssh = &served.sim.ssh_addrs()[0];
    let port = ssh.address.port().to_string();
    let keys = format!("[127.0.0.1]:{port} {}\n", ssh.host_key);
    let known = environment.write("known_hosts", &keys).path("known_hosts");
    let known = format!("UserKnownHostsFile={}", known.display());
    let mut command = Command::new("ssh");
    command.args(["-F", "/dev/null", "-p", &port, "-o", &known, "-o", "BatchMode=yes"]);
    command.args(["-o", "IdentityFile=/dev/null", "-o", "IdentitiesOnly=yes"]);
    let output = command.args(["root@127.0.0.1", commands]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{commands}\n{said}");
}

/// What goes over SSH is no privilege, and is named.
#[test]
fn files_go_over_ssh() {
    let environment = Environment::new();
    for name in ["web.yaml", "web.user-data.j2"] {
        let text = std::fs::read_to_string(repository().join("examples/vms").join(name)).unwrap();
        environment.write(&format!("vms/{name}"), &text);
    }
    let (code, json) = environment.sim_json(&["privileges", "vms"]);
    assert_eq!(code, 0);
    assert_eq!(json["over_ssh"][0]["node"], "pve1", "{json}");
    let run = environment.sim(&["privileges", "vms"]).expect(0);
    assert!(run.stdout.contains("over SSH, because no API token may"), "{}", run.stdout);
    // A plan's own JSON has them too.
    let (_, plan) = environment.sim_json(&["plan", "vms"]);
    assert_eq!(plan["version"], 4);
    assert_eq!(plan["privileges"][0]["path"], "/");
}

/// Documents take a guest out of a pool that the token does not see.
#[test]
fn a_pool_that_is_not_seen() {
    if Command::new("ssh").arg("-V").output().is_err() {
        return;
    }
    let (served, environment) = lab();
    on_node(&served, &environment, "pvesh create /pools --poolid web");
    environment.write("one.yaml", "name: one\ntemplate: debian-13\nvmid: 1001\npool: web\n");
    operator(&served, &environment, &["apply", "--yes", "one.yaml"]).expect(0);
    environment.write("one.yaml", "name: one\ntemplate: debian-13\nvmid: 1001\ncores: 1\n");
    served.sim.edit(|world| {
        let most = ["Sys.Audit", "Datastore.Audit", "VM.Audit", "VM.Config.CPU"];
        world.access_mut().add_role("Most", &most);
    });
    grant(&served, "/", "Most");
    let run = pvx(&served, &environment, &["plan", "one.yaml"]).expect(0);
    let text = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("this token does not see all pools"), "{}", run.stdout);
    let run = operator(&served, &environment, &["plan", "one.yaml"]).expect(0);
    assert!(run.stdout.contains("pool") && !run.stdout.contains("see all"), "{}", run.stdout);
    served.stop();
}

/// A token that may only look plans for one that may do more: the privileges of that one are
/// checked.
#[test]
fn one_plans_and_another_applies() {
    let (served, environment) = lab();
    grant(&served, "/", "PVEAuditor");
    let plan = |token: &str, code: i32| {
        let args = ["plan", "one.yaml", "--detailed-exitcode", "--apply-token", token];
        pvx(&served, &environment, &args).expect(code).stdout
    };
    let said = plan("pvx@pve!sim", 2);
    assert!(!said.contains("lacks"), "{said}");
    let said = plan("nobody@pve!none", 1);
    assert!(said.contains("token nobody@pve!none lacks"), "{said}");
    assert!(!said.contains(TOKEN), "{said}");
    // Who may not look at others says so, and the plan is not blocked.
    grant(&served, "/access", "NoAccess");
    let said = plan("pvx@pve!sim", 2);
    assert!(said.contains("token pvx@pve!sim lacks is not known"), "{said}");
    assert!(said.contains("Sys.Audit on /access"), "{said}");
    served.stop();
}

/// What goes into commands that are printed is an id, or it is refused before anything is asked.
#[test]
fn the_token_that_applies_is_an_id() {
    let environment = Environment::new();
    for id in ["pvx", "pvx@pve!cli' --roles Administrator '", "pvx@pve!"] {
        let run = environment.pvx(&["plan", "--apply-token", id]).expect(1);
        assert!(run.stderr.contains("expected USER@REALM!NAME"), "{}", run.stderr);
    }
}

/// An entry of the user that does not go on below its path hides there what its group is given: the
/// list of all paths does not tell, and a path itself is asked. Plan and privileges say the same.
#[test]
fn an_entry_that_goes_no_further() {
    let world = format!(
        "from: lab\nusers: {{ops@pve: {{groups: [ops], tokens: {{cli: {{secret: {SECRET}, privsep: \
         false}}}}}}}}\ngroups: {{ops: {{}}}}\nacl:\n  \
         - {{path: /, user: ops@pve, role: PVEAdmin}}\n  \
         - {{path: /vms, group: ops, role: PVEAuditor}}\n  \
         - {{path: /vms, user: ops@pve, role: PVEAuditor, propagate: false}}\n"
    );
    let served = Served::with(pvx_sim::World::from_yaml(&world).unwrap(), TimeScale::INSTANT);
    let environment = Environment::new();
    environment.write("one.yaml", DOCUMENT);
    let plan = pvx(&served, &environment, &["plan", "one.yaml"]).expect(1).stdout;
    assert!(plan.contains("VM.Allocate (to clone)"), "{plan}");
    let said = pvx(&served, &environment, &["privileges", "one.yaml"]).expect(0).stdout;
    assert!(said.contains("× VM.Allocate"), "{said}");
    served.stop();
}
