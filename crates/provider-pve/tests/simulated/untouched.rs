//! Law 5 against the simulator: what a document said before is reset, what it never said is left
//! alone, and a disk that somebody added is told of and not taken away.

use pvx_core::plan::Intent;
use pvx_sim::World;

use crate::harness::Lab;

const VMID: u32 = 1000;

fn document(keys: &str) -> String {
    format!(
        "kind: vm\nname: db\nvmid: {VMID}\nnode: pve1\nstorage: local-lvm\npower: running\n\
         disks: {{ scsi0: 1G }}\n{keys}"
    )
}

fn set(lab: &Lab, keys: &[(&str, &str)]) {
    lab.sim.edit(|world| {
        let guest = world.guest_mut(VMID).unwrap();
        let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        guest.config.extend(keys);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn reset_left_alone_and_reported() {
    let lab = Lab::remembering(World::lab()).await;
    let documents = |keys: &str| lab.documents(&[("db.yaml", document(keys))]);
    lab.apply(&documents("cpulimit: 2\n")).await;
    // By hand: a weight that no document ever named, and a disk.
    let disk = "local-lvm:vm-1000-disk-9,size=2G";
    set(&lab, &[("cpuunits", "300"), ("scsi5", disk)]);

    let plan = lab.plan(&documents("cpulimit: 2\n"), Intent::Apply).await;
    assert!(plan.is_empty(), "{:#?}", plan.changes);
    let about: Vec<&str> = plan.findings.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(about, ["disk-unmanaged"], "{:#?}", plan.findings);
    assert!(plan.findings[0].message.contains("scsi5"), "{}", plan.findings[0].message);

    // The line is deleted: the limit goes, and nothing else does.
    let plan = lab.apply(&documents("")).await;
    let paths: Vec<&str> = plan.changes[0].attributes.iter().map(|a| a.path.as_str()).collect();
    assert_eq!(paths, ["cpulimit"]);
    let world = lab.sim.world();
    let guest = world.guest(VMID).unwrap();
    let left = ["cpulimit", "cpuunits", "scsi5"].map(|key| guest.get(key));
    assert_eq!(left, [None, Some("300"), Some(disk)]);
    lab.sim.shutdown().await;
}

/// Without a state nobody knows what a document said before: nothing is reset.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_state_resets_nothing() {
    let lab = Lab::start(World::lab()).await;
    let documents = |keys: &str| lab.documents(&[("db.yaml", document(keys))]);
    lab.apply(&documents("cpulimit: 2\n")).await;
    let plan = lab.plan(&documents(""), Intent::Apply).await;
    assert!(plan.is_empty(), "{:#?}", plan.changes);
    assert_eq!(lab.sim.world().guest(VMID).unwrap().get("cpulimit"), Some("2"));
    lab.sim.shutdown().await;
}
