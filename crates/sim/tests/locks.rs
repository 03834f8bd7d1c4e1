//! What locks are held and waited for, and what becomes of a destroy that does not get one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

#[path = "support/script.rs"]
mod script;

use pvx_sim::direct::Direct;
use pvx_sim::fault::Fault;
use pvx_sim::{LockTotals, World};
use script::{START_MS, Script as Lab};

const WORLD: &str = "
from: lab
guests:
  - {vmid: 200, name: one, node: pve1, config: {scsi0: 'shared:4'}}
  - {vmid: 201, name: two, node: pve2, config: {scsi0: 'shared:4'}}
";

fn lab() -> Lab {
    let world = World::from_yaml(WORLD).unwrap();
    let (id, secret) = world.token();
    let caller = format!("PVEAPIToken={id}={secret}");
    Lab { direct: Direct::new(world, START_MS), caller, below: "/nodes/pve1/qemu" }
}

fn shared(lab: &Lab) -> LockTotals {
    let totals = lab.direct.world().lock_totals();
    totals.into_iter().find(|totals| totals.lock == "storage shared").unwrap()
}

#[test]
fn what_frees_on_one_storage_goes_one_after_the_other() {
    let mut lab = lab();
    let one = lab.begin("DELETE 200");
    let two = lab.begin("DELETE /nodes/pve2/qemu/201");
    assert_eq!((lab.exit(&one), lab.exit(&two)), ("OK".to_owned(), "OK".to_owned()));
    let totals = shared(&lab);
    assert_eq!((totals.takes, totals.waits, totals.timeouts), (2, 1, 0));
    assert!(totals.held_ms >= 2 * 90 && totals.waited_ms >= 80, "{totals:?}");
    let world = lab.direct.world();
    let spans = world.lock_spans();
    let on_shared: Vec<_> = spans.iter().filter(|span| span.lock == "storage shared").collect();
    assert_eq!(on_shared.iter().map(|span| &span.upid).collect::<Vec<_>>(), [&one, &two]);
    assert!(on_shared[1].from_ms >= on_shared[0].to_ms, "{on_shared:?}");
    // The second one waited; its work took no longer for it.
    let task = |upid: &str| world.tasks().find(|task| task.upid == upid).unwrap().clone();
    let (one, two) = (task(&one), task(&two));
    assert_eq!((one.waited_ms(), two.waited_ms()), (0, totals.waited_ms));
    assert!((two.worked_ms().unwrap() - one.worked_ms().unwrap()).abs() <= 40);
}

#[test]
fn who_asks_first_gets_a_lock_first() {
    let mut lab = lab();
    // The older task comes back for its second volume when others wait already.
    let clone = "newid=300 full=1 name=old";
    let old = lab.begin(&format!("POST 100/clone {clone}"));
    lab.direct.advance(300);
    let new: Vec<String> =
        (301..304).map(|vmid| lab.begin(&format!("POST 100/clone newid={vmid} full=1"))).collect();
    lab.exit(&old);
    new.iter().for_each(|upid| assert_eq!(lab.exit(upid), "OK"));
    let spans = lab.direct.world().lock_spans();
    let shared = spans.iter().filter(|span| span.lock == "storage shared");
    let asked: Vec<(i64, i64)> = shared.map(|span| (span.asked_ms, span.from_ms)).collect();
    assert_eq!(asked.len(), 8);
    assert!(asked.windows(2).all(|two| two[0].0 <= two[1].0), "{asked:?}");
}

#[test]
fn a_guest_goes_and_its_volume_stays_without_the_lock() {
    let mut lab = lab();
    let fault = r#"{"lock": {"storage": "shared", "for_ms": 60000}}"#;
    let fault: Fault = serde_json::from_str(fault).unwrap();
    lab.direct.add_fault(fault).unwrap();
    let upid = lab.begin("DELETE 200");
    assert_eq!(lab.exit(&upid), "WARNINGS: 1");
    let world = lab.direct.world();
    assert!(world.guest(200).is_none());
    let (volid, _) =
        world.volumes_on("shared", "pve1").find(|(name, _)| name.starts_with("200/")).unwrap();
    let task = world.tasks().find(|task| task.upid == upid).unwrap();
    let said = format!(
        "WARN: Could not remove disk 'shared:{volid}', check manually: \
         cfs-lock 'storage-shared' error: got lock request timeout"
    );
    assert!(task.log.contains(&said), "{:?}", task.log);
    assert_eq!(shared(&lab).timeouts, 1);
}
