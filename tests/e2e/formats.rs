//! The profile of users who come from the older tool: Talos, three assigned control planes,
//! workers numbered from a VMID, a template given by its VMID.

use serde_json::Value;

use crate::environment::Environment;

const CONFIG: &str = "
cluster:
  name: homelab
  nodes:
    - { name: pve01, host: pve01.lab.example }
    - { name: pve02, host: pve02.lab.example }
    - { name: pve03, host: 10.20.0.13 }
defaults:
  storage: STORAGE
  network_bridge: vmbr1
  bios: ovmf
  machine: q35
  cpu: host
  scsi_controller: virtio-scsi-single
  efidisk_pre_enrolled_keys: false
  guest_agent: true
vmid_ranges:
  templates: 100-999
  vms: 1000-9999
credentials:
  pass_path: infra/proxmox/token
  ssh_user: root
tags:
  templates: [template]
  cloudinit: [cloudinit]
  talos: [talos, kubernetes]
cloudinit:
  default_user: admin
  ssh_keys_source: ~/.ssh/authorized_keys
  vendor_snippet_path: local:snippets/vendor.yaml
ansible:
  fleet_infra_path: ~/fleet
  inventory: inventory/hosts.yaml
talos:
  default_extensions: [siderolabs/qemu-guest-agent]
  factory_base_url: https://factory.lab.example
  default_kubernetes_version: 1.30.1
  interface_name: eth0
";

const PROFILE: &str = "
name: talos-prod
type: talos
template: 101
tags: [kubernetes, talos-prod]
nodes:
  controlplane:
    count: 3
    name_prefix: prod-cp
    cores: 4
    memory: 8192
    disk: \"100G\"
    start_vmid: 1100
    placement: spread
    assignments:
      - { name: prod-cp01, node: pve01, vmid: 1101, ip: 10.20.0.51, mac: \"BC:24:11:00:00:01\" }
      - { name: prod-cp02, node: pve02, vmid: 1102, ip: 10.20.0.52, mac: \"BC:24:11:00:00:02\" }
      - { name: prod-cp03, node: pve03, vmid: 1103, ip: 10.20.0.53, mac: \"bc:24:11:00:00:03\" }
  workers:
    count: 2
    name_prefix: prod-worker
    cores: 8
    memory: 16384
    disk: \"200G\"
    start_vmid: 1200
    placement: spread
    assignments: []
network:
  api_endpoint: 10.20.0.50:6443
  pod_cidr: 10.244.0.0/16
  service_cidr: 10.96.0.0/12
talos:
  version: v1.10.1
  kubernetes_version: 1.30
  config_dir: ~/talos/prod
  secrets_file: ~/talos/prod/secrets.yaml
  patches_dir: ~/talos/patches
  factory: { schematic_id: abc123, extensions: [siderolabs/qemu-guest-agent] }
  vip: { interface: eth0, ip: 10.20.0.50 }
flux:
  repo: https://git.lab.example/fleet
  path: clusters/prod
  branch: main
";

fn world(environment: &Environment) -> Value {
    serde_json::from_str(&environment.read("state/sim/homelab.world.json")).unwrap()
}

/// The stored configuration of a guest, wherever the world file keeps it.
fn config(world: &Value, vmid: u64) -> &Value {
    let guests = &world["guests"];
    let found = match guests {
        Value::Array(list) => list.iter().find(|g| g["vmid"] == vmid),
        Value::Object(map) => map.get(&vmid.to_string()),
        _ => None,
    };
    &found.unwrap_or_else(|| panic!("no guest {vmid}"))["config"]
}

fn apply_on(storage: &str) -> Environment {
    let environment = Environment::new();
    environment.write("cluster-config.yaml", &CONFIG.replace("STORAGE", storage));
    environment.write("clusters/talos-prod.yaml", PROFILE);
    environment.pvx(&["validate", "clusters"]).expect(0);
    environment.sim(&["apply", "--yes", "clusters"]).expect(0);
    environment.sim(&["plan", "--detailed-exitcode", "clusters"]).expect(0);
    environment
}

#[test]
fn names_numbers_nodes_tags_and_addresses() {
    let environment = apply_on("shared");
    let (_, status) = environment.sim_json(&["status", "clusters"]);
    let rows: Vec<String> = status["guests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| format!("{} {} {} {}", g["address"], g["vmid"], g["node"], g["addresses"]))
        .collect();
    insta::assert_snapshot!(rows.join("\n").replace('"', ""));
    let world = world(&environment);
    let tags = config(&world, 1101)["tags"].as_str().unwrap();
    for tag in ["kubernetes", "talos-prod", "controlplane"] {
        assert!(tags.split(';').any(|t| t == tag), "{tags}");
    }
    assert!(config(&world, 1200)["tags"].as_str().unwrap().split(';').any(|t| t == "worker"));
    let nic = config(&world, 1103)["net0"].as_str().unwrap();
    assert!(nic.contains("BC:24:11:00:00:03") && nic.contains("bridge=vmbr1"), "{nic}");
    let address = config(&world, 1102)["ipconfig0"].as_str().unwrap();
    assert!(address.contains("10.20.0.52"), "{address}");
    // Hardware stays the template's; sizes are the profile's.
    assert!(config(&world, 1201)["scsi0"].as_str().unwrap().contains("size=200G"));
}

#[test]
fn node_local_storage_works_too() {
    let environment = apply_on("local-lvm");
    let world = world(&environment);
    for vmid in [1101, 1102, 1103, 1200, 1201] {
        let disk = config(&world, vmid)["scsi0"].as_str().unwrap();
        assert!(disk.starts_with("local-lvm:"), "{disk}");
    }
}
