//! A disk that outlives its guest, and a guest that is made anew, from the command line.

use serde_json::Value;

use crate::environment::Environment;

const GITEA: &str = "kind: vm\nname: gitea\nvmid: 1500\nnode: pve1\ntemplate: debian-13\n\
    storage: shared\ndisk: 6G\ndisks:\n  scsi2: { size: 5G, storage: local-lvm, keep: true }\n";

fn lab(environment: &Environment) -> Value {
    serde_json::from_str(&environment.read("state/sim/lab.world.json")).unwrap()
}

/// The guest's slot in the kept world.
fn slot(environment: &Environment, vmid: &str, slot: &str) -> String {
    lab(environment)["guests"][vmid]["config"][slot].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_kept_disk_outlives_destroy_and_replace() {
    let environment = Environment::new();
    environment.write("vms/gitea.yaml", GITEA);
    environment.sim(&["apply", "--yes"]).expect(0);
    assert!(slot(&environment, "1500", "scsi2").contains("size=5G"), "{}", lab(&environment));

    let gone = environment.sim(&["destroy", "--yes"]).expect(0);
    assert!(gone.stdout.contains("1 disk, 6 GiB lost · 1 disk, 5 GiB kept"), "{}", gone.stdout);
    assert!(slot(&environment, "1000", "scsi2").contains("size=5G"));
    let again = environment.sim(&["destroy", "--yes"]).expect(0);
    assert!(again.stdout.contains("keeps scsi2"), "{}", again.stdout);

    std::fs::remove_dir_all(environment.path("state/lab")).unwrap();
    let made = environment.sim(&["apply", "--yes"]).expect(0);
    assert!(made.stdout.contains("scsi2 kept from before"), "{}", made.stdout);
    assert!(slot(&environment, "1500", "scsi2").contains("vm-1500-"));
    assert_eq!(lab(&environment)["guests"].get("1000"), None);

    environment.write("vms/gitea.yaml", &GITEA.replace("6G", "4G"));
    let blocked = environment.sim(&["apply", "--yes"]).expect(1);
    assert!(blocked.stdout.contains("--replace"), "{}", blocked.stdout);
    let plan = environment.sim(&["plan", "--replace", "vm/gitea", "--detailed-exitcode"]).expect(2);
    assert!(plan.stdout.contains("± vm/gitea"), "{}", plan.stdout);
    assert!(plan.stdout.contains("1 to replace"), "{}", plan.stdout);
    environment.sim(&["apply", "--yes", "--replace", "vm/gitea"]).expect(0);
    assert!(slot(&environment, "1500", "scsi0").contains("size=4G"));
    assert!(slot(&environment, "1500", "scsi2").contains("size=5G"));
    environment.sim(&["plan", "--detailed-exitcode"]).expect(0);

    environment.sim(&["destroy", "--yes"]).expect(0);
    let all = environment.sim(&["destroy", "--yes", "--erase-kept"]).expect(0);
    assert!(all.stdout.contains("1 disk, 5 GiB lost"), "{}", all.stdout);
    assert_eq!(slot(&environment, "1000", "scsi2"), "");
}
