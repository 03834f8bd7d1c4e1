//! What guests become.

use super::lab::{CONFIG, Lab, PROFILE};
use crate::desired::{Desired, Scope, VmidRange};
use crate::diagnostic::Sources;
use crate::document::load;

/// The profile of the documents' reference: three assigned controlplanes, two workers.
const TALOS: &str = r#"
name: talos
type: talos
template: 101
tags: [k8s, talos-lab]
nodes:
  controlplane:
    count: 3
    name_prefix: talos-cp-
    cores: 4
    memory: 8192
    disk: "100G"
    start_vmid: 1000
    placement: spread
    assignments:
      - {name: talos-cp-01, node: pve01, vmid: 1000, ip: 10.0.0.61, mac: "bc:24:11:00:00:01"}
      - {name: talos-cp-02, node: pve02, vmid: 1001, ip: 10.0.0.62, mac: "bc:24:11:00:00:02"}
      - {name: talos-cp-03, node: pve03, vmid: 1002, ip: 10.0.0.63, mac: "bc:24:11:00:00:03"}
  workers:
    count: 2
    name_prefix: talos-worker-
    cores: 8
    memory: 16384
    disk: "200G"
    start_vmid: 1010
    placement: pack
    assignments: []
network:
  api_endpoint: 10.0.0.60:6443
  pod_cidr: 10.244.0.0/16
  service_cidr: 10.96.0.0/12
talos:
  version: v1.10.3
  kubernetes_version: 1.30
  config_dir: ~/talos/lab
  secrets_file: secrets.yaml
  patches_dir: patches
  factory: {schematic_id: 376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba, extensions: [siderolabs/qemu-guest-agent]}
  vip: {interface: eth0, ip: 10.0.0.60}
flux: {repo: ssh://git@git.lab.example/fleet.git, path: clusters/talos, branch: main}
"#;

/// Guests as text, each value with its place.
fn shown(desired: &Desired, sources: &Sources) -> String {
    let mut text = String::new();
    for profile in &desired.profiles {
        text +=
            &format!("{} {:?} {} {}\n", profile.name, profile.kind, profile.mark, profile.key());
        for guest in &profile.guests {
            text += &format!(
                "\n{} [{}] {:?} {:?}\n  {:?} {:?}\n  after {:?}\n",
                guest.address,
                guest.group,
                guest.vmid,
                guest.placement,
                guest.origin,
                guest.power,
                guest.after.iter().map(ToString::to_string).collect::<Vec<_>>(),
            );
            text += &format!("  {:?}\n", guest.spec);
            text += &format!("  at {}\n", sources.position(guest.span));
            for (path, span) in &guest.places {
                let text_at = sources.text(span.source);
                let start = span.start as usize;
                let said = &text_at[start..start + span.len as usize];
                text += &format!("    {path}: {} {said}\n", sources.position(*span));
            }
        }
    }
    text
}

fn golden(lab: &Lab, paths: &[&str]) -> String {
    let loaded = lab.load(paths);
    assert!(loaded.diagnostics.is_empty(), "{}", lab.render(&loaded));
    shown(&loaded.desired, &loaded.sources)
}

#[test]
fn a_full_talos_profile() {
    let lab = Lab::new();
    lab.write("clusters/talos.yaml", TALOS);
    insta::assert_snapshot!(golden(&lab, &["clusters/talos.yaml"]));
}

#[test]
fn a_generic_profile_with_more_groups() {
    let lab = Lab::new();
    lab.write(
        "clusters/k3s.yaml",
        "
name: k3s
type: generic
template: debian-13
tags: [K3s]
clone: linked
storage: fast
network: {gateway: 10.0.0.1, prefix: 23, nameservers: [10.0.0.2, 10.0.0.3], searchdomain: lab.example}
nodes:
  storage:
    count: 1
    start_vmid: auto
    depends_on: [controlplane]
    clone: full
    storage: bulk
    tags: [disk-heavy]
    memory: 2GiB
    disks: {scsi1: {size: 1T, storage: bulk, ssd: true, discard: true, iothread: 1}, scsi2: 20}
    networks: {net0: {model: virtio, firewall: no}, net1: vmbr1}
    cloudinit: {user: admin, ipconfig: {1: dhcp}}
    power: stopped
  workers: {count: 1, start_vmid: 1010, depends_on: [controlplane, storage]}
  controlplane:
    count: 2
    onboot: yes
    assignments:
      - {name: cp-a, ip: 10.0.0.61}
      - {ip: 10.0.1.62/22, vmid: 1005, node: pve02}
",
    );
    insta::assert_snapshot!(golden(&lab, &["clusters"]));
}

#[test]
fn standalone_vms() {
    let lab = Lab::new();
    lab.write(
        "vms/gitea.yaml",
        "
name: gitea
template: debian-13
node: pve02
ip: fd00::10
gateway: fd00::1
mac: BC:24:11:00:00:10
cores: 2
disk: 60G
description: |
  Git for the lab.
  Ask ops.
",
    );
    lab.write(
        "vms/router.yml",
        "
kind: vm
name: router
vmid: 1500
disk: 4
cpu: host,flags=+aes
bios: seabios
depends_on: [vm/gitea]
power: unmanaged
",
    );
    insta::assert_snapshot!(golden(&lab, &["vms"]));
}

#[test]
fn without_a_configuration() {
    let lab = Lab::bare();
    lab.write("k3s.yaml", PROFILE);
    let loaded = lab.load(&["k3s.yaml"]);
    assert!(loaded.diagnostics.is_empty(), "{}", lab.render(&loaded));
    assert_eq!(loaded.root, lab.path());
    assert!(loaded.config.is_none());
    assert_eq!(loaded.desired.scope.vms, VmidRange::default());
    assert_eq!(loaded.desired.guests().count(), 3);
    assert!(loaded.desired.guests().all(|guest| guest.spec.networks.is_empty()));

    let world = Scope { vms: VmidRange { first: 1, last: 2000, span: None }, ..Scope::default() };
    let mut options = lab.options(&["k3s.yaml"]);
    options.fallback_scope = Some(world.clone());
    assert_eq!(load(&options).desired.scope.vms, world.vms);
}

#[test]
fn the_configuration_is_found_upwards_and_typed() {
    let lab = Lab::new();
    lab.write("a/b/k3s.yaml", PROFILE);
    let loaded = lab.load(&["a/b/k3s.yaml"]);
    assert!(loaded.diagnostics.is_empty(), "{}", lab.render(&loaded));
    assert_eq!(loaded.root, lab.path());
    let config = loaded.config.unwrap();
    assert_eq!(config.folder(), lab.path());
    let node = &config.cluster.nodes[2];
    assert_eq!((node.host.value.as_str(), node.port), ("10.0.0.13", 8006));
    assert_eq!(config.tags["talos"], ["talos"]);
    assert_eq!(config.ansible.fleet_infra_path.unwrap().value, lab.path().join("home/fleet-infra"));
    assert_eq!(config.credentials.pass_path.unwrap().value, "lab/proxmox/token");
}

#[test]
fn the_folder_above_a_folder_above() {
    let lab = Lab::new();
    lab.write("a/cluster-config.yaml", "cluster: {}\n").write("b/k3s.yaml", PROFILE);
    let loaded = lab.load(&["b/k3s.yaml", "a/../b/k3s.yaml", "a/../b"]);
    assert!(loaded.diagnostics.is_empty(), "{}", lab.render(&loaded));
    assert_eq!(loaded.root, lab.path());
}

#[test]
fn a_configuration_beside_the_documents_is_not_a_document() {
    let lab = Lab::new();
    lab.write("k3s.yaml", PROFILE);
    lab.write("state/old.yaml", "junk").write(".hidden.yaml", "junk").write("notes.md", "junk");
    lab.write("other-config.yaml", CONFIG);
    let loaded = lab.load(&["."]);
    assert!(loaded.diagnostics.is_empty(), "{}", lab.render(&loaded));
    assert_eq!(loaded.desired.profiles.len(), 1);
}

#[test]
fn several_documents_in_one_file_and_one_file_twice() {
    let lab = Lab::new();
    lab.write("all.yaml", "name: a\ncores: 1\n---\nname: b\ncores: 1\n---\n# nothing\n");
    let loaded = lab.load(&["all.yaml", ".", "./all.yaml"]);
    assert!(loaded.diagnostics.is_empty(), "{}", lab.render(&loaded));
    let names: Vec<_> = loaded.desired.profiles.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn anchors_and_merge_keys() {
    let lab = Lab::new();
    lab.write(
        "k3s.yaml",
        "
name: k3s
type: generic
template: 101
tags: &tags [k3s]
nodes:
  controlplane: &small {count: 1, cores: 2, memory: 4096}
  workers: {<<: *small, count: 2, tags: *tags}
",
    );
    let loaded = lab.load(&["k3s.yaml"]);
    assert!(loaded.diagnostics.is_empty(), "{}", lab.render(&loaded));
    let memory: Vec<_> = loaded.desired.guests().map(|guest| guest.spec.memory()).collect();
    assert_eq!(memory, [Some(4096); 3]);
}

#[test]
fn drives() {
    let lab = Lab::new();
    lab.write(
        "vm.yaml",
        "
name: web
template: 101
disks:
  scsi1: {size: 4G, storage: fast, format: qcow2, keep: true, iops_rd: 100, bps_wr: 1572864, mbps_wr_max: 3, bps_wr_max_length: 3}
  scsi2: {import_from: 'local:import/x.qcow2', on_removal: erase, backup: false}
cdroms:
  ide2: 'local:iso/x.iso'
  sata1: cdrom
efidisk0: {storage: fast, efitype: 4m, pre-enrolled-keys: true, ms-cert: 2023k}
tpmstate0: {version: v2.0}
",
    );
    let loaded = lab.load(&["vm.yaml"]);
    assert!(loaded.diagnostics.is_empty(), "{:#?}", loaded.diagnostics);
    let spec = &loaded.desired.profiles[0].guests[0].spec;
    insta::assert_debug_snapshot!((&spec.disks, &spec.cdroms, &spec.efidisk, &spec.tpmstate));
}

/// What Proxmox takes and people write is taken as it is meant.
#[test]
fn spellings_that_proxmox_takes() {
    let lab = Lab::new();
    let disks = "disks:\n  scsi1: {size: 1G, product: \"my disk\", vendor: PVX-1}\n";
    for (hotplug, stored) in [("on", "1"), ("off", "0"), ("no", "0"), ("disk", "disk")] {
        lab.write("vms/a.yaml", format!("name: a\nhotplug: {hotplug}\ntemplate: 101\n{disks}"));
        let shown = golden(&lab, &["vms"]);
        assert!(shown.contains("my disk"), "{shown}");
        assert!(shown.contains(&format!("\"hotplug\": Value(\"{stored}\")")), "{shown}");
    }
}
