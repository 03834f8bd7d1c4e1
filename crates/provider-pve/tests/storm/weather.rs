//! The faults of a storm: which ones, and when, is drawn from the seed.

use pvx_sim::Sim;
use pvx_sim::fault::{Fault, Requests, When};

use crate::account::LAST_FOREIGN;
use crate::dice::Dice;

/// Any request.
fn any() -> Fault {
    Fault { on: Some(Requests::default()), ..Fault::default() }
}

fn later(after_ms: u64) -> Fault {
    Fault { after_ms: Some(after_ms), ..Fault::default() }
}

/// One connection in ten is dropped, half of them after the effect; one answer in twenty is an
/// error, as a daemon or a proxy gives it; one node is lost for 30 s; somebody else holds locks; one
/// task does not end. The node that is lost.
pub(crate) fn begin(sim: &Sim, dice: &mut Dice) -> String {
    let add = |fault: Fault| drop(sim.add_fault(fault).unwrap());
    for (when, share) in [(When::Before, 0.05), (When::After, 0.05)] {
        add(any().drops(when).sometimes(share, dice.next()));
    }
    let answers = [
        (500, When::Before),
        (503, When::Before),
        (595, When::Before),
        (596, When::Before),
        (596, When::After),
    ];
    for (status, when) in answers {
        add(any().answers(status, when).sometimes(0.01, dice.next()));
    }
    let lost = format!("pve{}", 2 + dice.below(4));
    add(later(dice.below(30_000)).node_off(&lost, Some(30_000)));
    for _ in 0..3 {
        let vmid = if dice.percent(50) { 2000 } else { LAST_FOREIGN + 1 }
            + u32::try_from(dice.below(8)).unwrap();
        add(later(dice.below(40_000)).holds_guest(vmid, 2_000 + dice.below(6_000)));
    }
    for storage in ["shared", "local-lvm"] {
        add(later(dice.below(40_000)).holds_storage(storage, 3_000 + dice.below(12_000)));
    }
    let kinds = ["qmclone", "qmcreate", "qmigrate", "qmstart", "qmdestroy", "qmmove", "resize"];
    add(Fault::in_task(dice.pick::<&str>(&kinds)).skip(dice.below(3)).times(1).hangs());
    lost
}

/// The storm is over, and every task has ended.
pub(crate) fn end(sim: &Sim) {
    sim.clear_faults();
    for _ in 0..10_000 {
        sim.advance(1_000);
        if !sim.world().tasks().any(pvx_sim::Task::running) {
            return;
        }
    }
    let world = sim.world();
    let running: Vec<_> = world.tasks().filter(|task| task.running()).collect();
    panic!("tasks that do not end: {running:#?}");
}
