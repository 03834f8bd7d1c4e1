//! Power actions.

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional};
use super::permission::Permission;
use super::quorum::Writes;
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind};
use crate::guest::{formats, patterns};
use crate::work::Work;
use crate::work::ha::{Request, Wish};
use crate::work::power::{Action, Power};
use crate::work::suspend::Suspend;

const POWER: Permission = Permission::All("/vms/{vmid}", &["VM.PowerMgmt"]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::post("/nodes/{node}/qemu/{vmid}/status/start", start)
        .may(POWER)
        .writes(Writes::Checked)
        .with(&[
            optional("force-cpu", Kind::TEXT),
            optional("machine", Kind::Properties(formats::MACHINE)),
            optional("migratedfrom", Kind::Format(Format::Node)),
            optional("migration_network", Kind::Formatted(super::cluster_options::cidr)),
            optional("migration_type", Kind::Enum(&["secure", "insecure"])),
            optional("nets-host-mtu", Kind::pattern(patterns::host_mtus)),
            optional("skiplock", Kind::Bool),
            optional("stateuri", Kind::Text { max: 128 }),
            optional("targetstorage", Kind::Format(Format::StorageMap)),
            optional("timeout", Kind::NATURAL),
            optional("with-conntrack-state", Kind::Bool),
        ]),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/status/stop", stop).may(POWER).with(&[
        optional("keepActive", Kind::Bool),
        optional("migratedfrom", Kind::Format(Format::Node)),
        optional("overrule-shutdown", Kind::Bool),
        optional("skiplock", Kind::Bool),
        optional("timeout", Kind::NATURAL),
    ]),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/status/shutdown", shutdown).may(POWER).with(&[
        optional("forceStop", Kind::Bool),
        optional("keepActive", Kind::Bool),
        optional("skiplock", Kind::Bool),
        optional("timeout", Kind::NATURAL),
    ]),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/status/reboot", reboot)
        .may(POWER)
        .with(&[optional("timeout", Kind::NATURAL)]),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/status/reset", reset)
        .may(POWER)
        .with(&[optional("skiplock", Kind::Bool)]),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/status/suspend", suspend).may(POWER).with(&[
        optional("skiplock", Kind::Bool),
        optional("statestorage", Kind::Format(Format::StorageId)),
        optional("todisk", Kind::Bool),
    ]),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/status/resume", resume)
        .may(POWER)
        .with(&[optional("nocheck", Kind::Bool), optional("skiplock", Kind::Bool)]),
];

fn power(call: &mut Call<'_>, action: Action, kind: &str) -> Result<Reply, Refusal> {
    let vmid = call.vmid();
    let skiplock = skiplock(call)?;
    if let Some((kind, wish)) = ha_wish(call, action) {
        return call.fork_guest(kind, Work::Ha(Request { vmid, wish }));
    }
    let mut work = Power::new(vmid, action);
    work.timeout = call.params.int("timeout");
    work.force = call.params.flag("forceStop").unwrap_or(false);
    work.skiplock = skiplock;
    call.fork_guest(kind, Work::Power(work))
}

/// Whether locks are passed over, which is root's alone.
fn skiplock(call: &Call<'_>) -> Result<bool, Refusal> {
    only_root(call, &["skiplock"])?;
    Ok(call.params.flag("skiplock").unwrap_or(false))
}

/// What is asked of the manager instead, when it looks after the guest.
fn ha_wish(call: &Call<'_>, action: Action) -> Option<(&'static str, Wish)> {
    if !call.world.ha_managed(call.vmid()) || call.params.get("migratedfrom").is_some() {
        return None;
    }
    match action {
        Action::Start => Some(("hastart", Wish::Start)),
        Action::Stop => Some(("hastop", Wish::Stop(0))),
        Action::Shutdown => {
            let timeout = call.params.int("timeout").unwrap_or(60);
            Some(("hastop", Wish::Stop(timeout)))
        }
        _ => None,
    }
}

/// Parameters that Proxmox VE passes to itself.
fn only_root(call: &Call<'_>, names: &[&str]) -> Result<(), Refusal> {
    let given =
        |name: &&&str| call.params.get(name).is_some_and(|value| !matches!(value, "" | "0"));
    match names.iter().find(given) {
        Some(name) if !call.caller.is_root() => {
            Err(Refusal::param(name, "Only root may use this option."))
        }
        _ => Ok(()),
    }
}

fn paused(call: &Call<'_>) -> bool {
    let running = call.guest().ok().and_then(|guest| guest.running.as_ref());
    running.is_some_and(|running| running.paused)
}

fn start(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let internal = [
        "stateuri",
        "skiplock",
        "migratedfrom",
        "migration_type",
        "migration_network",
        "targetstorage",
        "force-cpu",
        "with-conntrack-state",
        "nets-host-mtu",
    ];
    only_root(call, &internal)?;
    if call.params.get("targetstorage").is_some() && call.params.get("migratedfrom").is_none() {
        let text = "targetstorage can only by used with migratedfrom.";
        return Err(Refusal::param("targetstorage", text));
    }
    power(call, Action::Start, "qmstart")
}

fn stop(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    only_root(call, &["skiplock", "keepActive", "migratedfrom"])?;
    let overrule = call.params.flag("overrule-shutdown").unwrap_or(false);
    if overrule && ha_wish(call, Action::Stop).is_some() {
        return Err(Refusal::param("overrule-shutdown", "Not applicable for HA resources."));
    }
    if overrule && ha_wish(call, Action::Stop).is_none() {
        let (vmid, overrules) = (call.vmid(), running_shutdowns(call));
        let mut work = Power::new(vmid, Action::Stop);
        work.timeout = call.params.int("timeout");
        work.skiplock = call.params.flag("skiplock").unwrap_or(false);
        work.overrules = overrules;
        return call.fork_guest("qmstop", Work::Power(work));
    }
    power(call, Action::Stop, "qmstop")
}

/// The shutdowns of the guest that the caller may end: its own, or all with `Sys.Modify`.
fn running_shutdowns(call: &Call<'_>) -> Vec<String> {
    let (node, id) = (call.node(), call.vmid().to_string());
    let all = call.may(&format!("/nodes/{node}"), &["Sys.Modify"]);
    let own = |user: &str| all || super::tasks::is_own(call, user);
    let running = call.world.tasks.iter().filter(|task| task.running() && task.node == node);
    let shutdowns = running.filter(|task| task.kind == "qmshutdown" && task.id == id);
    shutdowns.filter(|task| own(&task.user)).map(|task| task.upid.clone()).collect()
}

fn shutdown(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    only_root(call, &["skiplock", "keepActive"])?;
    if paused(call) {
        // A paused system would obey when it runs again, whoever wants that then.
        if call.params.flag("forceStop") == Some(true) {
            return power(call, Action::Stop, "qmshutdown");
        }
        return Err(Refusal::die("VM is paused - cannot shutdown"));
    }
    power(call, Action::Shutdown, "qmshutdown")
}

fn reboot(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    if paused(call) {
        return Err(Refusal::die("VM is paused - cannot shutdown"));
    }
    require_running(call)?;
    power(call, Action::Reboot, "qmreboot")
}

fn reset(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    skiplock(call)?;
    require_running(call)?;
    power(call, Action::Reset, "qmreset")
}

fn suspend(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let to_disk = call.params.flag("todisk");
    if call.params.get("statestorage").is_some() && to_disk.is_none() {
        return Err(Refusal::param("todisk", "missing property required by 'statestorage'"));
    }
    let skiplock = skiplock(call)?;
    require_running(call)?;
    if to_disk == Some(true) {
        return suspend_to_disk(call, skiplock);
    }
    power(call, Action::Suspend, "qmpause")
}

/// The RAM goes to a volume, and the guest stops.
fn suspend_to_disk(call: &mut Call<'_>, skiplock: bool) -> Result<Reply, Refusal> {
    let vmid = call.vmid();
    if call.world.ha_managed(vmid) {
        return Err(Refusal::die("Cannot suspend HA managed VM to disk"));
    }
    call.require(&format!("/vms/{vmid}"), &["VM.Config.Disk"])?;
    let guest = call.guest()?;
    if guest.config.keys().any(|key| crate::guest::keys::is_numbered(key, "hostpci")) {
        let text = "cannot suspend VM to disk due to passed-through PCI device(s), which lack the possibility to save/restore their internal state";
        return Err(Refusal::die(text));
    }
    let storage = match call.params.get("statestorage") {
        Some(storage) => storage.to_owned(),
        None => crate::guest::vmstate::find_storage(call.world, guest)?,
    };
    call.require(&format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
    call.fork_guest("qmsuspend", Work::Suspend(Suspend { vmid, skiplock, storage }))
}

fn resume(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    only_root(call, &["skiplock", "nocheck"])?;
    if call.guest().is_ok_and(|guest| guest.get("lock") == Some("suspended")) {
        let skiplock = skiplock(call)?;
        let work = Power { skiplock, ..Power::start(call.vmid()) };
        return call.fork_guest("qmresume", Work::Power(work));
    }
    require_running(call)?;
    power(call, Action::Resume, "qmresume")
}

fn require_running(call: &Call<'_>) -> Result<(), Refusal> {
    if call.checked_guest()?.running.is_some() {
        return Ok(());
    }
    Err(Refusal::die(format!("VM {} not running", call.vmid())))
}
