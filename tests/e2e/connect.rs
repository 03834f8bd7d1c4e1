//! Reaching a cluster as users do: addresses, trust and token from the configuration, `pass`, the
//! environment and files; one node down.

use std::os::unix::fs::PermissionsExt;

use pvx_sim::TimeScale;

use crate::environment::Environment;
use crate::served::Served;

const PROFILE: &str = "name: one\ntype: generic\ntemplate: debian-13\ntags: [one]\nnodes:\n  \
    controlplane: { count: 1, cores: 1, memory: 512, start_vmid: auto }\n";

fn config(served: &Served, credentials: &str) -> String {
    format!(
        "cluster:\n  name: lab\n  nodes:\n    - {{ name: pve1, host: \"127.0.0.1:1\" }}\n    \
         - {{ name: pve2, host: \"{}\" }}\nvmid_ranges: {{ templates: 100-999, vms: 1000-1999 }}\n\
         tls: {{ fingerprints: [\"{}\"] }}\n{credentials}",
        served.sim.addr(),
        served.sim.fingerprint()
    )
}

/// `pass` from the configuration, and the first node of it down: the next one serves.
#[test]
fn pass_and_a_dead_first_node() {
    let served = Served::start(TimeScale::INSTANT);
    let environment = Environment::new();
    let config = config(&served, "credentials: { pass_path: infra/pvx }\n");
    environment.write("cluster-config.yaml", &config).write("clusters/one.yaml", PROFILE);
    let (id, secret) = served.sim.token();
    let script = format!(
        "#!/bin/sh\n[ \"$1 $2\" = 'show infra/pvx' ] || exit 1\nprintf '%s\\n%s\\n' '{id}' '{secret}'\n"
    );
    environment.write("bin/pass", &script);
    let pass = environment.path("bin/pass");
    std::fs::set_permissions(&pass, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", environment.path("bin").display(), std::env::var("PATH").unwrap());
    let output = environment.command(&["apply", "--yes"]).env("PATH", path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(served.sim.world().guests().any(|guest| guest.get("name") == Some("cp01")));
    served.stop();
}

#[test]
fn token_from_a_file_and_from_the_environment() {
    let served = Served::start(TimeScale::INSTANT);
    let environment = Environment::new();
    environment.write("cluster-config.yaml", &config(&served, "")).write("one.yaml", PROFILE);
    environment.write("token", &served.token());
    let run = environment.pvx(&["plan", "--token-file", "token", "one.yaml"]).expect(0);
    assert!(run.stderr.contains("chmod 600"), "{}", run.stderr);
    let output = environment
        .command(&["plan", "one.yaml"])
        .env("PVX_TOKEN", served.token())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let run = environment.pvx(&["plan", "one.yaml"]).expect(1);
    assert!(run.stderr.contains("PVX_TOKEN"), "{}", run.stderr);
    served.stop();
}

#[test]
fn a_certificate_that_is_not_trusted_is_shown_and_refused() {
    let served = Served::start(TimeScale::INSTANT);
    let environment = Environment::new();
    environment.write("one.yaml", PROFILE).write("token", &served.token());
    let address = served.sim.addr().to_string();
    let base = ["plan", "one.yaml", "--token-file", "token", "--endpoint", &address];
    let run = environment.pvx(&base).expect(1);
    // In one piece, so that it can be copied.
    assert!(run.stderr.contains(&served.sim.fingerprint()), "{}", run.stderr);
    let wrong = "00:".repeat(31) + "00";
    environment.pvx(&[base.as_slice(), &["--fingerprint", &wrong]].concat()).expect(1);
    assert!(served.sim.requests().is_empty(), "nothing was sent to a stranger");
    environment.pvx(&[base.as_slice(), &["--insecure"]].concat()).expect(0);
    served.stop();
}
