//! Cloud-init beyond login, keys and network: what documents say, and what people see.

use super::lab::{CONFIG, Lab, PROFILE};
use crate::desired::CloudInit;
use crate::secret::{Password, SecretSource};
use crate::snippet::Part;

const VM: &str = "name: web\ndisk: 10G\nip: 10.0.0.5\ncloudinit:\n";

fn vm(cloudinit: &str) -> Lab {
    let lab = Lab::new();
    lab.write("vms/web.yaml", format!("{VM}{cloudinit}"));
    lab
}

/// What the one VM says.
fn said(lab: &Lab) -> CloudInit {
    let loaded = lab.load(&["vms"]);
    assert!(loaded.diagnostics.is_empty(), "{}", lab.render(&loaded));
    loaded.desired.guests().next().unwrap().spec.cloudinit.clone()
}

#[test]
fn every_key() {
    let lab = vm("  upgrade: false\n  type: configdrive2\n  snippets: shared\n  \
        password: {file: secrets/web, version: 3}\n  cicustom: {network: 'local:snippets/net.yaml'}\n  \
        meta_data: ../meta.j2\n");
    lab.write("meta.j2", "instance-id: {{ name }}-1\n");
    let cloudinit = said(&lab);
    assert_eq!(
        (cloudinit.upgrade, cloudinit.format.as_deref()),
        (Some(false), Some("configdrive2"))
    );
    let source = SecretSource::File(lab.path().join("vms/secrets/web"));
    assert_eq!(cloudinit.password, Some(Password { source, version: Some(3) }));
    assert_eq!(cloudinit.snippets.as_deref(), Some("shared"));
    assert_eq!(cloudinit.custom[&Part::Network], "local:snippets/net.yaml");
    assert_eq!(cloudinit.custom[&Part::Vendor], "local:snippets/vendor.yaml");
    assert_eq!(&*cloudinit.templates[&Part::Meta].text, "instance-id: {{ name }}-1\n");
}

#[test]
fn the_default_vendor_data_yields_to_a_document() {
    let own = said(&vm("  cicustom: {vendor: 'local:snippets/own.yaml'}\n"));
    assert_eq!(own.custom[&Part::Vendor], "local:snippets/own.yaml");
    let lab = vm("  vendor_data: own.j2\n");
    lab.write("vms/own.j2", "#cloud-config\n{}\n");
    assert!(said(&lab).custom.is_empty());
    let lab = vm("  user: a\n");
    lab.write("cluster-config.yaml", CONFIG.replace("local:snippets/", "/var/lib/vz/snippets/"));
    assert_eq!(said(&lab).custom[&Part::Vendor], "local:snippets/vendor.yaml");
}

#[test]
fn talos_gets_files_only_when_asked() {
    let lab = Lab::new();
    let talos = PROFILE.replace("type: generic", "type: talos");
    lab.write("k3s.yaml", &talos);
    let of = |lab: &Lab| {
        let loaded = lab.load(&["k3s.yaml"]);
        let guest = loaded.desired.guests().next().unwrap();
        (guest.spec.cloudinit.drive, guest.spec.cloudinit.custom.len())
    };
    assert_eq!(of(&lab), (false, 0));
    let custom = "{cloudinit: {cicustom: {user: 'local:snippets/talos.yaml'}}, count: 1";
    lab.write("k3s.yaml", talos.replacen("{count: 1", custom, 1));
    assert_eq!(of(&lab), (true, 1));
}

#[test]
fn what_is_wrong() {
    let text = "  type: noclod\n  upgrade: maybe\n  cicustom: {user: user.yaml, usr: x}\n  \
        password: {env: A B, pass: x}\n  snippets: a/b\n";
    insta::assert_snapshot!(vm(text).problems(&["vms"]));
}

#[test]
fn a_password_stays_out() {
    let shown = vm("  password: hunter2\n  cipassword: hunter3\n").problems(&["vms"]);
    assert!(!shown.contains("hunter"), "{shown}");
    // However the key is written.
    let slips =
        vm("  passwrd: hunter2\n  Password: hunter3\npassword: hunter4\n").problems(&["vms"]);
    assert!(!slips.contains("hunter") && slips.matches("unknown key").count() == 3, "{slips}");
    insta::assert_snapshot!(shown);
}

#[test]
fn what_excludes_each_other() {
    let lab = vm("  user_data: a.j2\n  cicustom: {user: 'local:snippets/a.yaml'}\n  \
        password: {env: WEB_PASSWORD}\n");
    lab.write("vms/a.j2", "x\n");
    insta::assert_snapshot!(lab.problems(&["vms"]));
}

#[test]
fn broken_templates() {
    let lab = Lab::new();
    let cloudinit = "{cloudinit: {user_data: ../user.j2, network_data: net.j2}, count:";
    lab.write("clusters/k3s.yaml", PROFILE.replace("{count:", cloudinit));
    lab.write("user.j2", "#cloud-config\nhostname: {{ nmae }}\n");
    insta::assert_snapshot!(lab.problems(&["clusters"]));
}

#[test]
fn a_template_that_renders_to_no_yaml() {
    let lab = vm("  user_data: a.j2\n");
    lab.write("vms/a.j2", "#cloud-config\nruncmd:\n  - echo\n - {{ name }}\n");
    insta::assert_snapshot!(lab.problems(&["vms"]));
}

#[test]
fn a_variable_that_is_not_there() {
    insta::assert_snapshot!(vm("  password: {var: root_password}\n").problems(&["vms"]));
}
