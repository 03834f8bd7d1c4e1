//! Cloud-init files over SSH, and secrets on their way: to the nodes, and to nothing else.
//!
//! Where OpenSSH's `ssh` is not installed the tests say so and are skipped; with `PVX_TEST_SSH`
//! set in the environment they fail instead.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use pvx_sim::TimeScale;

use crate::environment::{Environment, Run, repository};
use crate::served::Served;

const CONFIG: &str = "\
cluster: {name: lab, nodes: [{name: pve1, host: pve01.lab.example}, {name: pve2, host: pve02.lab.example}]}
defaults: {storage: shared, network_bridge: vmbr0}
vmid_ranges: {templates: 100-999, vms: 1000-9999}
cloudinit: {default_user: ops, vendor_snippet_path: 'local:snippets/vendor.yaml'}
";

const PROFILE: &str = "\
name: web
type: generic
template: debian-13
tags: [web]
nodes:
  controlplane:
    count: 2
    assignments: [{ip: 10.0.0.11}, {ip: 10.0.0.12}]
    cloudinit:
      network_data: ../network.j2
      vendor_data: ../vendor.j2
      password: {env: WEB_PASSWORD}
";

const NETWORK: &str = "version: 1\nconfig: [] # {{ name }} {{ ip }}\n";

#[expect(clippy::print_stderr, reason = "who skips a test says so")]
fn lab() -> Option<Environment> {
    let found = Command::new("ssh").arg("-V").stdin(Stdio::null()).output().is_ok();
    if !found {
        assert!(std::env::var_os("PVX_TEST_SSH").is_none(), "OpenSSH's ssh is not installed");
        eprintln!("skipped: OpenSSH's ssh is not installed");
        return None;
    }
    let lab = Environment::new();
    lab.write("cluster-config.yaml", CONFIG).write("clusters/web.yaml", PROFILE);
    lab.write("network.j2", NETWORK).write("vendor.j2", "#cloud-config\npackages: [jq]\n");
    Some(lab)
}

/// Arguments of every process that there is, seen again and again while `command` runs.
fn watched(command: &mut Command) -> (Run, BTreeSet<String>) {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut seen = BTreeSet::new();
    // What it says is little: no pipe fills up meanwhile.
    while child.try_wait().unwrap().is_none() {
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            if let Ok(line) = std::fs::read(entry.path().join("cmdline")) {
                seen.insert(String::from_utf8_lossy(&line).replace('\0', " "));
            }
        }
    }
    (Run::of(&child.wait_with_output().unwrap()), seen)
}

fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            found.push((path.display().to_string(), text));
        }
    }
}

#[test]
fn secrets_reach_the_cluster_and_nothing_else() {
    let Some(lab) = lab() else { return };
    // Proxmox VE keeps a hash as it is.
    let (password, content) = ("$6$canary$b7f1e0c4a9d8", "canary-52d90af1");
    lab.write("vendor.j2", &format!("#cloud-config\npassword: {content}\n"));
    let plan = lab.sim(&["plan", "--format", "json"]).expect(0);
    let args = ["apply", "--yes", "-v", "--sim", "--sim-speed", "0"];
    let (run, seen) = watched(lab.command(&args).env("WEB_PASSWORD", password));
    let run = run.expect(0);
    assert!(seen.iter().any(|line| line.contains("cat > ")), "ssh was seen: {seen:#?}");
    // Once more, at its most talkative.
    lab.write("vendor.j2", &format!("#cloud-config\npassword: {content}-2\n"));
    let text = PROFILE.replace("{env: WEB_PASSWORD}", "{env: WEB_PASSWORD, version: 2}");
    lab.write("clusters/web.yaml", &text);
    let args = ["apply", "--yes", "-vvv", "--sim", "--sim-speed", "0"];
    let talk = Run::of(&lab.command(&args).env("WEB_PASSWORD", password).output().unwrap());
    let talk = talk.expect(0);
    assert!(talk.stderr.contains("cipassword=***"), "the log is on: {}", talk.stderr);
    let mut said: Vec<(String, String)> =
        seen.into_iter().map(|line| ("argv".into(), line)).collect();
    for run in [plan, run, talk] {
        said.extend([("stdout".to_owned(), run.stdout), ("stderr".to_owned(), run.stderr)]);
    }
    files(&lab.path("state"), &mut said);
    assert!(said.iter().any(|(name, _)| name.ends_with(".journal")));
    for (name, text) in said {
        if name.ends_with(".world.json") {
            assert!(text.contains(password) && text.contains(&format!("{content}-2")), "{name}");
        } else {
            assert!(!text.contains("canary"), "{name} holds a secret");
        }
    }
}

#[test]
fn files_are_there_before_the_guests_start_and_stay() {
    let Some(lab) = lab() else { return };
    lab.write("clusters/web.yaml", &PROFILE.replace("      password: {env: WEB_PASSWORD}\n", ""));
    lab.sim(&["apply", "--yes"]).expect(0);
    lab.sim(&["plan", "--detailed-exitcode"]).expect(0);
    let world = lab.read("state/sim/lab.world.json");
    assert!(world.contains("# cp01 10.0.0.11") && world.contains("# cp02 10.0.0.12"));
    lab.write("network.j2", "version: 2\n");
    let plan = lab.sim(&["plan", "--detailed-exitcode"]).expect(2);
    assert!(plan.stdout.contains("pending"), "{}", plan.stdout);
    lab.sim(&["apply", "--yes"]).expect(0);
    lab.sim(&["plan", "--detailed-exitcode"]).expect(0);
    lab.sim(&["destroy", "--yes"]).expect(0);
}

#[test]
fn what_is_missing_here_shows_before_anything_is_changed() {
    let Some(lab) = lab() else { return };
    let run = lab.sim(&["apply", "--yes"]).expect(1);
    assert!(run.stderr.contains("the password of web/cp01 (env WEB_PASSWORD)"), "{}", run.stderr);
    let mut command = lab.command(&["apply", "--yes", "--sim", "--sim-speed", "0"]);
    command.env("WEB_PASSWORD", "x").env("PATH", lab.path("nothing"));
    let run = Run::of(&command.output().unwrap()).expect(1);
    assert!(run.stderr.contains("`ssh` cannot be run"), "{}", run.stderr);
    assert!(!lab.read("state/sim/lab.world.json").contains("\"cp01\""));
}

/// `pvx apply` on a cluster that is served elsewhere.
fn apply(lab: &Environment, served: &Served, args: &[&str]) -> Run {
    let mut command = lab.command(&[&["apply", "--yes"], args].concat());
    command.envs(served.variables());
    Run::of(&command.output().unwrap())
}

#[test]
fn nodes_are_known_by_their_host_keys() {
    let Some(lab) = lab() else { return };
    let served = Served::start(TimeScale::INSTANT);
    let guests = || served.sim.world().guests().count();
    let before = guests();
    lab.write("clusters/web.yaml", &PROFILE.replace("      password: {env: WEB_PASSWORD}\n", ""));
    let (mut nodes, mut keys) = (String::new(), String::new());
    for ssh in served.sim.ssh_addrs() {
        let port = ssh.address.port();
        nodes += &format!("{{name: {}, host: 127.0.0.1, ssh_port: {port}}}, ", ssh.node);
        keys += &format!("[127.0.0.1]:{port} {}\n", ssh.host_key);
    }
    let config =
        "vmid_ranges: {vms: 1000-9999}\ndefaults: {storage: shared, network_bridge: vmbr0}\n";
    lab.write(
        "cluster-config.yaml",
        &format!("cluster: {{name: lab, nodes: [{nodes}]}}\n{config}"),
    );
    let none = lab.write("nothing", "").path("nothing");
    let run = apply(&lab, &served, &["--ssh-known-hosts", none.to_str().unwrap()]).expect(1);
    assert!(
        run.stderr.contains("node pve1 cannot be reached over SSH as root@127.0.0.1:"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("then log in once by hand"), "{}", run.stderr);
    assert_eq!(guests(), before, "nothing was changed");
    let known = lab.write("known_hosts", &keys).path("known_hosts");
    apply(&lab, &served, &["--ssh-known-hosts", known.to_str().unwrap()]).expect(0);
    assert_eq!(guests(), before + 2);
    let names = served.sim.world().list_folder("pve2", "/var/lib/vz/snippets").unwrap();
    assert!(names.iter().any(|name| name.starts_with("pvx-web-cp02-network-")), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("cp01")), "{names:?}");
    served.stop();
}

#[test]
fn the_example_works() {
    let Some(lab) = lab() else { return };
    for name in ["web.yaml", "web.user-data.j2"] {
        let text = std::fs::read_to_string(repository().join("examples/vms").join(name)).unwrap();
        lab.write(&format!("vms/{name}"), &text);
    }
    lab.sim(&["apply", "--yes", "vms"]).expect(0);
    assert!(lab.read("state/sim/lab.world.json").contains("web on 10.0.0.80"));
}

/// `qm` and `pvesm` end with 255 when they refuse, as `ssh` does when a connection breaks.
#[test]
fn what_qm_refuses_is_told_in_its_words() {
    let Some(lab) = lab() else { return };
    let document = "name: one\ntemplate: debian-13\nstorage: shared\n";
    lab.write("one.yaml", &format!("{document}hookscript: local:snippets/none.pl\n"));
    let run = lab.sim(&["apply", "--yes", "one.yaml"]).expect(3);
    let said = run.stdout + &run.stderr;
    assert!(said.contains("'local:snippets/none.pl' does not exist"), "{said}");
    lab.write("one.yaml", document);
    lab.sim(&["apply", "--yes", "one.yaml"]).expect(0);
}

/// Every key beyond login, keys and network: set, changed and taken out, each followed by an empty
/// plan. No file is written, so there need be no `ssh`.
#[test]
fn set_change_and_remove() {
    let lab = Environment::new();
    let document = |cloudinit: &str| {
        let text =
            format!("name: one\ntemplate: debian-13\nstorage: shared\ncloudinit: {cloudinit}\n");
        lab.write("one.yaml", &text);
    };
    document("{user: ops}");
    lab.sim(&["apply", "--yes", "one.yaml"]).expect(0);
    let steps = [
        "{user: ops, upgrade: false, type: configdrive2, password: {env: PW}}",
        "{user: ops, upgrade: true, type: nocloud, password: {env: PW, version: 2}}",
        "{user: ops, upgrade: false, type: nocloud, password: {env: PW, version: 2}}",
        "{user: ops, cicustom: {user: 'local:snippets/a.yaml'}}",
        "{user: ops, cicustom: {user: 'local:snippets/b.yaml', meta: 'local:snippets/m.yaml'}}",
        "{user: ops, cicustom: {meta: 'local:snippets/m.yaml'}}",
        "{user: ops}",
    ];
    for cloudinit in steps {
        document(cloudinit);
        lab.sim(&["plan", "--detailed-exitcode", "one.yaml"]).expect(2);
        let mut command = lab.command(&["apply", "--yes", "--sim", "--sim-speed", "0", "one.yaml"]);
        Run::of(&command.env("PW", "secret").output().unwrap()).expect(0);
        lab.sim(&["plan", "--detailed-exitcode", "one.yaml"]).expect(0);
    }
    let world = lab.read("state/sim/lab.world.json");
    let made = world.split("\"one\"").nth(1).unwrap_or_default();
    assert!(!world.is_empty() && !made.contains("ciupgrade") && !made.contains("cicustom"));
}
