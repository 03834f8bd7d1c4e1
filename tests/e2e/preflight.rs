//! A plan that would fail is shown with what is wrong, and nothing is written.

use crate::environment::Environment;

const VM: &str = "kind: vm\nname: db\nvmid: 1000\nnode: pve1\nmemory: 512\n\
                  disks: { scsi0: { size: 4G, storage: local-lvm } }\n\
                  networks: { net0: { bridge: vmbr7 } }\n";

#[test]
fn apply_is_refused_with_the_place_and_the_way_out() {
    let lab = Environment::new();
    lab.write("vms/db.yaml", VM);
    let plan = lab.sim(&["plan", "vms"]).expect(1);
    let text = plan.stdout + &plan.stderr;
    for part in ["node pve1 has no bridge vmbr7", "db.yaml:7", "did you mean vmbr0?"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    lab.sim(&["apply", "--yes", "vms"]).expect(1);
    let (_, status) = lab.sim_json(&["status", "vms"]);
    assert!(!status.to_string().contains("\"vmid\":1000"), "{status}");
    // With a bridge that is there, the same document works.
    lab.write("vms/db.yaml", &VM.replace("vmbr7", "vmbr0"));
    lab.sim(&["apply", "--yes", "vms"]).expect(0);
}

#[test]
fn the_configuration_says_how_much_may_be_promised() {
    let lab = Environment::new();
    let vm = VM.replace("vmbr7", "vmbr0").replace("4G", "300G");
    lab.write("vms/db.yaml", &vm);
    let plan = lab.sim(&["plan", "vms"]).expect(0);
    assert!((plan.stdout + &plan.stderr).contains("300 GiB are"));
    for (ratio, code) in [("2.0", 0), ("1.0", 1)] {
        let config = format!("preflight: {{ overcommit: {{ storage: {ratio} }} }}\n");
        lab.write("cluster-config.yaml", &config);
        let (found, plan) = lab.sim_json(&["plan", "vms"]);
        let told = plan.to_string().contains("storage-overcommitted");
        assert_eq!((found, told), (code, code == 1), "{ratio}: {plan}");
    }
    lab.write("cluster-config.yaml", "preflight: { overcommit: { storage: much } }\n");
    let run = lab.sim(&["plan", "vms"]).expect(1);
    assert!(run.stderr.contains("a ratio is a number"), "{}", run.stderr);
}
