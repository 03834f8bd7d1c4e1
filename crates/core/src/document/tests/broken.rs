//! Broken documents: what people see.

use std::fmt::Write as _;

use super::lab::{CONFIG, Lab, PROFILE};
use crate::diagnostic::has_errors;
use crate::document::{LoadOptions, load, load_config};

/// The problems of [`PROFILE`] with `from` replaced by `to`.
fn profile(from: &str, to: &str) -> String {
    assert!(PROFILE.contains(from), "{from}");
    let lab = Lab::new();
    lab.write("clusters/k3s.yaml", PROFILE.replacen(from, to, 1));
    lab.problems(&["clusters"])
}

fn vm(text: &str) -> String {
    Lab::new().write("vm.yaml", text).problems_of_vm()
}

impl Lab {
    fn problems_of_vm(&self) -> String {
        self.problems(&["vm.yaml"])
    }
}

#[test]
fn bad_key() {
    insta::assert_snapshot!(profile("{count: 1, cores: 2", "{count: 1, croes: 2"));
}

#[test]
fn wrong_type() {
    insta::assert_snapshot!(profile("cores: 2, memory: 4096", "cores: \"2\", memory: [4096]"));
}

#[test]
fn duplicate_key() {
    insta::assert_snapshot!(profile("template: 101", "template: 101\ntemplate: 102"));
}

#[test]
fn missing_keys() {
    insta::assert_snapshot!(profile("template: 101\ntags: [k3s]\n", "tags:\n"));
}

#[test]
fn vmid_outside_the_range() {
    insta::assert_snapshot!(profile("start_vmid: 1010", "start_vmid: 9999"));
}

#[test]
fn a_limit_in_both_its_spellings() {
    let disk = |options: &str| vm(&format!("name: db\ndisks:\n  scsi1: {{{options}}}\n"));
    let both = disk("mbps: 2, bps: 1048576");
    assert!(both.contains("says the same limit as 'mbps'"), "{both}");
    let apart = disk("size: 4G, mbps_rd: 2, bps_wr: 1048576");
    assert!(!apart.contains("the same limit"), "{apart}");
}

#[test]
fn no_vmid_left() {
    let lab = Lab::new();
    lab.write("cluster-config.yaml", CONFIG.replace("1000-9999", "1000-1001"));
    lab.write("k3s.yaml", PROFILE.replace("start_vmid: 1010", "start_vmid: auto"));
    insta::assert_snapshot!(lab.problems(&["k3s.yaml"]));
}

#[test]
fn two_overlapping_profiles() {
    let lab = Lab::new();
    let network = "network: {pod_cidr: 10.244.0.0/16, service_cidr: 10.96.0.0/12}\n\
                   flux: {repo: git, path: clusters/x}\n";
    lab.write("clusters/k3s.yaml", format!("{PROFILE}{network}"));
    let other = PROFILE.replace("name: k3s", "name: rke");
    lab.write("clusters/rke.yaml", format!("{other}{network}"));
    insta::assert_snapshot!(lab.problems(&["clusters"]));
}

#[test]
fn a_profile_without_a_tag_of_its_own() {
    let lab = Lab::new();
    for (name, tags, vmid) in [("a", "[a, x]", "10"), ("b", "[b, x]", "20"), ("c", "[x]", "30")] {
        let text = PROFILE
            .replace("name: k3s", &format!("name: {name}"))
            .replace("[k3s]", tags)
            .replace("start_vmid: 10", &format!("start_vmid: {vmid}"));
        lab.write(&format!("{name}.yaml"), text);
    }
    insta::assert_snapshot!(lab.problems(&["."]));
}

#[test]
fn the_same_profile_twice() {
    let lab = Lab::new();
    lab.write("a/k3s.yaml", PROFILE)
        .write("b/k3s.yaml", PROFILE.replace("start_vmid: 10", "start_vmid: 20"));
    insta::assert_snapshot!(lab.problems(&["a", "b"]));
}

#[test]
fn unknown_node_mac_and_address() {
    insta::assert_snapshot!(profile(
        "start_vmid: 1000}",
        "assignments: [{name: cp1, node: pve1, ip: 10.0.0.300, mac: 'bc:24:11', vmid: 1000}]}",
    ));
}

#[test]
fn count_below_assignments() {
    insta::assert_snapshot!(profile(
        "start_vmid: 1000}",
        "assignments: [{name: a, vmid: 1000}, {name: b, vmid: 1001}]}",
    ));
}

#[test]
fn names_addresses_and_macs_twice() {
    insta::assert_snapshot!(profile(
        "count: 1, cores: 2, memory: 4096, disk: 40G, start_vmid: 1000}",
        "count: 2, assignments: [\n\
         \x20   {name: a, vmid: 1000, ip: 10.0.0.1, mac: 'bc:24:11:00:00:01'},\n\
         \x20   {name: A, vmid: 1000, ip: 10.0.0.1/16, mac: 'BC:24:11:00:00:01'}]}\n",
    ));
}

#[test]
fn unknown_words() {
    insta::assert_snapshot!(profile("type: generic", "type: Talos\nclone: fulll\ndepends: no"));
}

#[test]
fn numbers_out_of_range() {
    insta::assert_snapshot!(profile(
        "cores: 2, memory: 4GiB, disk: 40G",
        "cores: 0, sockets: 1.5, memory: 8, disk: 40 elephants"
    ));
}

#[test]
fn no_controlplane() {
    insta::assert_snapshot!(profile("count: 1", "count: 0"));
}

#[test]
fn groups_that_wait_for_each_other() {
    let lab = Lab::new();
    let text = PROFILE
        .replace("controlplane: {", "controlplane: {depends_on: [workers], ")
        .replace("workers: {", "workers: {depends_on: [controlplane, wokers], ");
    lab.write("k3s.yaml", text);
    insta::assert_snapshot!(lab.problems(&["k3s.yaml"]));
}

#[test]
fn name_differs_from_file() {
    let lab = Lab::new();
    lab.write("rke.yaml", PROFILE);
    insta::assert_snapshot!(lab.problems(&["rke.yaml"]));
}

#[test]
fn a_broken_vm() {
    insta::assert_snapshot!(vm("
name: web
node: pve01
placement: pack
ip: 10.0.0.1
gateway: 10.0.0.1
tags: [pvx-mine, 'a b']
depends_on: [vm/wbe, web, vm/web]
disks: {scsi31: 4G, scsi1: {storage: local, sise: 4G, cache: fast, serial: 'a,b'}, scsi01: 1}
networks: {eth0: vmbr0, net0: {tag: 4095, model: e1001}}
cloudinit:
  ssh_keys: ['-----BEGIN OPENSSH PRIVATE KEY-----']
  ipconfig: {0: {ip: 10.0.0.1, gw: fd00::1}, net1: dhcp}
"));
}

#[test]
fn broken_disks() {
    insta::assert_snapshot!(vm("
name: web
disks:
  ide2: 4G
  ide0: {size: 4G, iothread: true}
  virtio1: {size: 4G, ssd: true, queues: 4}
  scsi1: {size: 4G, keep: true, on_removal: erase}
  scsi2: {import_from: /dev/sda}
  scsi3: {size: 4G, on_removal: forget}
cdroms:
  ide2: none
  virtio0: none
  sata1: debian.iso
efidisk0: {efitype: 8m}
tpmstate0: {version: v2.0, size: 4M}
"));
}

#[test]
fn limits_that_proxmox_refuses() {
    insta::assert_snapshot!(vm("
name: web
template: 101
disks:
  ide2: 4G
  scsi1: {size: 4G, mbps_max: 20}
  scsi2: {size: 4G, iops_rd_max: 20, iops_rd_max_length: 2, bps: 1048576, mbps_wr: 3}
cdroms: {ide2: none}
"));
}

#[test]
fn a_broken_configuration() {
    let lab = Lab::new();
    lab.write(
        "cluster-config.yaml",
        "
cluster:
  name: lab
  nodes:
    - {name: pve01, host: 'https://pve01:8006'}
    - {name: pve02, host: '10.0.0.256'}
    - {name: pve03, host: pve03, fingerprint: AB:CD}
    - {name: pve03, host: '[fd00::1]:8007'}
defaults: {bios: uefi, guest_agent: maybe}
vmid_ranges: {templates: 100-1000, vms: 1000-999}
credentials: {token: abc, pass-path: x}
cloudinit: {ssh_keys_source: ~ops/keys}
tls: {ca: x}
",
    );
    lab.write("k3s.yaml", PROFILE);
    insta::assert_snapshot!(lab.problems(&["k3s.yaml"]));
}

#[test]
fn secrets_are_not_shown() {
    let lab = Lab::new();
    lab.write(
        "cluster-config.yaml",
        format!("{CONFIG}tls: {{cafile: x}}\n")
            .replace("  ssh_user: root\n", "  ssh_user: root\n  token: 11111111-2222\n"),
    );
    lab.write(
        "vm.yaml",
        "name: web\ncores: 1\ncloudinit:\n  password: hunter2\n  ssh_keys: |\n    \
         -----BEGIN OPENSSH PRIVATE KEY-----\n    b3BlbnNzaC1r\n  user: ops\n",
    );
    let text = lab.problems_of_vm();
    for secret in ["11111111", "hunter2", "b3BlbnNzaC1r"] {
        assert!(!text.contains(secret), "{text}");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn what_excludes_each_other() {
    insta::assert_snapshot!(vm("
name: web
clone: full
mac: BC:24:11:00:00:01
ip: 10.0.0.5
networks: {net0: {mac: BC:24:11:00:00:02}}
cloudinit: {ipconfig: {0: dhcp}}
scsihw: lsi
scsi_controller: pvscsi
"));
}

#[test]
fn too_many_guests() {
    let groups: String = (0..11).map(|n| format!("  g{n}: {{count: 1000}}\n")).collect();
    let lab = Lab::bare();
    lab.write("k3s.yaml", format!("{PROFILE}{groups}"));
    let loaded = lab.load(&["k3s.yaml"]);
    assert!(loaded.desired.guests().count() <= 10_000);
    assert!(loaded.diagnostics.iter().any(|problem| problem.code == "too-many"));

    let long = format!("{{count: 1000, description: {}}}", "x".repeat(8000));
    let groups: String = (0..9).map(|n| format!("  g{n}: {long}\n")).collect();
    lab.write("k3s.yaml", format!("{PROFILE}{groups}"));
    let guests = lab.load(&["k3s.yaml"]).desired.guests().count();
    assert_eq!(guests, 9003, "nine groups of 8 MB are still taken");
}

#[test]
fn a_configuration_that_is_not_there() {
    let lab = Lab::bare();
    lab.write("k3s.yaml", PROFILE);
    let mut options = lab.options(&["k3s.yaml"]);
    options.config = Some("missing.yaml".into());
    insta::assert_snapshot!(lab.render(&load(&options)));
    assert!(has_errors(&load_config(&options).diagnostics));
}

#[test]
fn two_configurations() {
    let lab = Lab::bare();
    lab.write("a/cluster-config.yaml", CONFIG).write("b/cluster-config.yaml", CONFIG);
    lab.write("a/one.yaml", "name: one\ncores: 1\n").write("b/two.yaml", "name: two\ncores: 1\n");
    lab.write("home/keys.pub", "ssh-ed25519 AAAA ops@lab\n");
    insta::assert_snapshot!(lab.problems(&["a", "b"]));
}

#[test]
fn missing_ssh_keys_are_a_warning() {
    let lab = Lab::bare();
    lab.write("cluster-config.yaml", CONFIG).write("k3s.yaml", PROFILE);
    insta::assert_snapshot!(lab.problems(&["k3s.yaml"]));
}

/// Ten levels of ten aliases: ten thousand million values.
#[test]
fn alias_bomb() {
    let mut text = "name: web\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(text, "a{level}: &a{level} [{items}]").unwrap();
    }
    insta::assert_snapshot!(vm(&text));
}

/// One large text, repeated.
#[test]
fn a_bomb_of_text() {
    let text = format!("a: &a '{}'\nb: [{}]\n", "x".repeat(3 << 20), vec!["*a"; 5000].join(", "));
    insta::assert_snapshot!(vm(&text));
}

#[test]
fn too_deep() {
    insta::assert_snapshot!("flow", vm(&"[".repeat(100_000)));
    let block: String = (0..200).map(|depth| " ".repeat(depth) + "a:\n").collect();
    insta::assert_snapshot!("block", vm(&block));
}

#[test]
fn too_many_values() {
    insta::assert_snapshot!(vm(&format!("name: [{}]\n", vec!["1"; 100_000].join(","))));
}

#[test]
fn too_many_problems() {
    let text: String = (0..1000).map(|n| format!("key{n}: 1\n")).collect();
    let loaded = Lab::new().write("vm.yaml", format!("name: web\n{text}")).load(&["vm.yaml"]);
    assert_eq!(loaded.diagnostics.len(), 51);
    assert_eq!(loaded.diagnostics[0].message, "vm.yaml has 950 problems more");
}

#[test]
fn not_yaml() {
    insta::assert_snapshot!(vm("name: web\ncores: [1, 2\nmemory: }{\n"));
}

#[test]
fn tabs() {
    insta::assert_snapshot!(vm("name: web\ndisks:\n\tscsi0: 4G\n"));
}

#[test]
fn no_text() {
    insta::assert_snapshot!(
        "binary",
        Lab::new().write("vm.yaml", [b'a', b':', 0xff, 0xfe]).problems_of_vm()
    );
    insta::assert_snapshot!("empty", vm("# soon\n"));
    insta::assert_snapshot!("scalar", vm("just words\n"));
    insta::assert_snapshot!("kubernetes", vm("apiVersion: v1\nspec: {}\n"));
    insta::assert_snapshot!("keys", vm("? [a, b]\n: 1\n"));
    insta::assert_snapshot!("unknown_anchor", vm("name: *web\n"));
    insta::assert_snapshot!("control_characters", vm("name: \"a\u{1b}[2Jb\ncores: 1\n"));
}

/// The size decides before a byte is read: the file here has no content at all.
#[test]
fn a_file_of_100_mb() {
    let lab = Lab::new();
    let file = std::fs::File::create(lab.path().join("vm.yaml")).unwrap();
    file.set_len(100 << 20).unwrap();
    insta::assert_snapshot!(lab.problems_of_vm());
}

#[test]
fn paths_without_documents() {
    let lab = Lab::new();
    std::fs::create_dir(lab.path().join("empty")).unwrap();
    insta::assert_snapshot!(lab.problems(&["empty", "missing", "missing.yaml"]));
    insta::assert_snapshot!("only_the_configuration", lab.problems(&["."]));
}

#[cfg(unix)]
#[test]
fn links_in_circles_and_things_that_are_no_files() {
    let lab = Lab::new();
    lab.write("a/vm.yaml", "name: web\ncores: 1\n");
    std::os::unix::fs::symlink(lab.path().join("a"), lab.path().join("a/again")).unwrap();
    std::os::unix::fs::symlink("nowhere", lab.path().join("a/gone.yaml")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", lab.path().join("a/zero.yaml")).unwrap();
    insta::assert_snapshot!(lab.problems(&["a"]));
}

#[test]
fn nothing_at_all() {
    let loaded =
        load(&LoadOptions { working_dir: "/nowhere/at/all".into(), ..LoadOptions::default() });
    assert!(has_errors(&loaded.diagnostics));
}

/// All problems of all files, by file and place.
#[test]
fn problems_are_sorted() {
    let lab = Lab::new();
    lab.write("b.yaml", "name: b\nx: 1\ncores: no\n").write("a.yaml", "cores: 0\nname: B\n");
    let loaded = lab.load(&["b.yaml", "a.yaml"]);
    let places: Vec<String> = loaded
        .diagnostics
        .iter()
        .map(|d| loaded.sources.position(d.labels[0].span).to_string())
        .collect();
    assert_eq!(places, ["b.yaml:2:1", "b.yaml:3:8", "a.yaml:1:8", "a.yaml:2:7"]);
}
