//! What really happened to a guest, seen from outside: the effect that a plan should have named.

use pvx_core::plan::Effect;
use pvx_sim::{Guest, World};

/// The dearest effect that a run had on a guest, between two looks at the cluster.
pub(crate) fn observe(before: &World, after: &World, vmid: u32) -> Effect {
    let Some(now) = after.guest(vmid) else {
        return Effect::DataLoss;
    };
    let Some(then) = before.guest(vmid) else {
        return Effect::Create;
    };
    let known: Vec<&str> = before.tasks().map(|task| task.upid.as_str()).collect();
    let new: Vec<&str> = after
        .tasks()
        .filter(|task| !known.contains(&task.upid.as_str()) && task.id == vmid.to_string())
        .map(|task| task.kind.as_str())
        .collect();
    let ran = |kind: &str| new.contains(&kind);
    let restarted = pid(then).is_some() && pid(now).is_some() && pid(then) != pid(now);
    match () {
        () if pid(then).is_some() && pid(now).is_none() => Effect::Stop,
        () if restarted && ran("qmshutdown") => Effect::Offline,
        () if restarted && ran("qmreboot") => Effect::Reboot,
        () if restarted => panic!("it was restarted by {new:?}"),
        () if then.node != now.node => Effect::Migrate,
        () if ran("qmmove") => Effect::Move,
        () if pid(now).is_some() && waits(now) => Effect::Pending,
        () if pid(then).is_none() && pid(now).is_some() => Effect::Start,
        () => Effect::Live,
    }
}

fn pid(guest: &Guest) -> Option<u32> {
    guest.running.as_ref().map(|running| running.pid)
}

/// Does something wait for the next cold boot: a value, or values that its cloud-init drive does
/// not have? A name and a network device are noted there too, and are in effect without it.
fn waits(guest: &Guest) -> bool {
    let drive = guest.cloudinit.keys().any(|key| key != "name" && !key.starts_with("net"));
    drive || !guest.pending.is_empty() || !guest.pending_delete.is_empty()
}
