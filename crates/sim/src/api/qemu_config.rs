//! A guest's configuration: read, pending, change, unlink.

use serde_json::{Map, Value, json};

use super::call::{Call, Data, Reply};
use super::carried::Carried;
use super::create::clamp_cpu_units;
use super::endpoint::{Endpoint, Param, optional, required};
use super::guest_checks::{
    Settings, alias_cdrom, blank, check_blank, check_bridges, check_drives, check_keys,
    check_ssh_keys, check_storage_access,
};
use super::permission::Permission;
use super::quorum::Writes;
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind, list};
use crate::guest::keys;
use crate::work::Work;
use crate::work::config::{self, Update};

const AUDIT: Permission = Permission::All("/vms/{vmid}", &["VM.Audit"]);
/// `$vm_config_perm_list`.
const CHANGE: Permission = Permission::Any(
    "/vms/{vmid}",
    &[
        "VM.Config.Disk",
        "VM.Config.CDROM",
        "VM.Config.CPU",
        "VM.Config.Memory",
        "VM.Config.Network",
        "VM.Config.HWType",
        "VM.Config.Options",
        "VM.Config.Cloudinit",
    ],
);
const UPDATE: &[Param] = &[
    optional("delete", Kind::Format(Format::ConfigIdList)),
    optional("digest", Kind::Text { max: 40 }),
    optional("force", Kind::Bool).requires("delete"),
    optional("revert", Kind::Format(Format::ConfigIdList)),
    optional("skiplock", Kind::Bool),
];
/// As task.
const UPDATE_LATER: &[Param] = &[
    optional("background_delay", Kind::between(1, 30)),
    optional("delete", Kind::Format(Format::ConfigIdList)),
    optional("digest", Kind::Text { max: 40 }),
    optional("force", Kind::Bool).requires("delete"),
    optional("import-working-storage", Kind::Format(Format::StorageId)),
    optional("revert", Kind::Format(Format::ConfigIdList)),
    optional("skiplock", Kind::Bool),
];

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/nodes/{node}/qemu/{vmid}/config", read)
        .may(AUDIT)
        .with(&[optional("current", Kind::Bool), optional("snapshot", Kind::SNAPSHOT)]),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/pending", pending).may(AUDIT),
    Endpoint::put("/nodes/{node}/qemu/{vmid}/config", put)
        .writes(Writes::Guest)
        .may(CHANGE)
        .with(UPDATE)
        .with_config_keys(),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/config", post)
        .may(CHANGE)
        .with(UPDATE_LATER)
        .with_config_keys(),
    Endpoint::put("/nodes/{node}/qemu/{vmid}/unlink", unlink)
        .writes(Writes::Guest)
        .may(Permission::All("/vms/{vmid}", &["VM.Config.Disk"]))
        .with(&[
            required("idlist", Kind::Format(Format::ConfigIdList)),
            optional("force", Kind::Bool),
        ]),
];

const MASK: &str = "**********";

/// A value as it is shown.
fn shown(key: &str, value: &str) -> Value {
    if key == "cipassword" { json!(MASK) } else { keys::typed(key, value) }
}

fn read(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let current = call.params.flag("current").unwrap_or(false);
    let snapshot = call.params.get("snapshot").filter(|name| !name.is_empty());
    if snapshot.is_some() && current {
        let text = "cannot use 'snapshot' parameter with 'current'".to_owned();
        return Err(Refusal::Params(
            ["current", "snapshot"].map(|key| (key.to_owned(), text.clone())).into(),
        ));
    }
    let guest = call.guest()?;
    if let Some(name) = snapshot {
        let Some(section) = guest.snapshots.get(name) else {
            return Err(Refusal::die(format!("snapshot '{name}' does not exist")));
        };
        let members = section.iter().map(|(key, value)| (key.clone(), shown(key, value)));
        let digest = ("digest".to_owned(), json!(guest.digest()));
        return Ok(Value::Object(members.chain([digest]).collect()).into());
    }
    let names = guest.config.keys().chain(guest.pending.keys().filter(|_| !current));
    let mut out = Map::new();
    for key in names {
        let value = if current { guest.get(key) } else { guest.merged(key) };
        if let Some(value) = value {
            out.insert(key.clone(), shown(key, value));
        }
    }
    out.insert("digest".to_owned(), json!(guest.digest()));
    Ok(Value::Object(out).into())
}

fn pending(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let guest = call.guest()?;
    let mut items = Vec::new();
    for (key, value) in &guest.config {
        let mut item = json!({ "key": key, "value": shown(key, value) });
        if let Some(members) = item.as_object_mut() {
            if let Some(new) = guest.pending.get(key) {
                members.insert("pending".to_owned(), shown(key, new));
            }
            if let Some(force) = guest.pending_delete.get(key) {
                members.insert("delete".to_owned(), json!(if *force { 2 } else { 1 }));
            }
        }
        items.push(item);
    }
    for (key, value) in guest.pending.iter().filter(|(key, _)| !guest.config.contains_key(*key)) {
        items.push(json!({ "key": key, "pending": shown(key, value) }));
    }
    items.push(json!({ "key": "digest", "value": guest.digest() }));
    Ok(Value::Array(items).into())
}

const NO_KEYS: &[&str] = &[
    "node",
    "vmid",
    "background_delay",
    "delete",
    "digest",
    "force",
    "import-working-storage",
    "revert",
    "skiplock",
];

/// The change that the parameters ask for, checked as far as that needs no configuration, in the
/// order of `$update_vm_api`.
fn update(call: &mut Call<'_>) -> Result<Update, Refusal> {
    let vmid = call.vmid();
    let mut set: Settings = call.params.0.clone();
    set.retain(|name, _| !NO_KEYS.contains(&name.as_str()));
    let blank = blank(&call.params, NO_KEYS);
    let line = log_line(vmid, &call.params.0);
    let skiplock = call.params.flag("skiplock").unwrap_or(false);
    if skiplock && !call.caller.is_root() {
        return Err(Refusal::param("skiplock", "Only root may use this option."));
    }
    let own = |name: &str| -> Vec<String> {
        list(call.params.get(name).unwrap_or_default()).map(str::to_owned).collect()
    };
    let (mut delete, revert) = (own("delete"), own("revert"));
    check_ssh_keys(&set)?;
    clamp_cpu_units(&mut set);
    if set.is_empty() && blank.is_empty() && delete.is_empty() && revert.is_empty() {
        return Err(Refusal::die("no options specified"));
    }
    alias_cdrom(&mut set);
    for key in delete.iter_mut().filter(|key| *key == "cdrom") {
        "ide2".clone_into(key);
    }
    check_lists(&set, &delete, &revert)?;
    check_blank(&blank)?;
    check_drives(call.world, &call.node(), &mut set)?;
    config::complete(call.world, &call.node(), &mut set)?;
    let (world, caller) = (&*call.world, &call.caller);
    check_keys(world, caller, vmid, None, delete.iter().map(String::as_str))?;
    check_keys(world, caller, vmid, None, set.keys().chain(&blank).map(String::as_str))?;
    check_storage_access(world, caller, vmid, &set)?;
    check_bridges(world, caller, set.iter())?;
    Ok(Update {
        vmid,
        set,
        blank,
        delete,
        revert,
        force: call.params.flag("force").unwrap_or(false),
        skiplock,
        digest: call.params.get("digest").map(str::to_owned).filter(|digest| !digest.is_empty()),
        caller: call.caller.authid.clone(),
        line,
        waits: Vec::new(),
    })
}

/// `update VM 100: -cores 2`, as the parameters came.
fn log_line(vmid: u32, params: &Settings) -> String {
    let hidden = ["node", "vmid", "digest", "background_delay", "import-working-storage"];
    let given = params.iter().filter(|(key, _)| !hidden.contains(&key.as_str()));
    let pairs = given.map(|(key, value)| match key.as_str() {
        "cipassword" => format!("-{key} <hidden>"),
        _ => format!("-{key} {value}"),
    });
    format!("update VM {vmid}: {}", pairs.collect::<Vec<_>>().join(" "))
}

fn check_lists(set: &Settings, delete: &[String], revert: &[String]) -> Result<(), Refusal> {
    for key in revert {
        if keys::find(key).is_none() {
            return Err(Refusal::param("revert", format!("unknown option '{key}'")));
        }
        if set.contains_key(key) {
            let text = format!("you can't use '-{key}' and -revert {key}' at the same time");
            return Err(Refusal::param("delete", text));
        }
    }
    for key in delete {
        if set.contains_key(key) {
            let text = format!("you can't use '-{key}' and -delete {key}' at the same time");
            return Err(Refusal::param("delete", text));
        }
        if revert.contains(key) {
            let text = format!("you can't use '-delete {key}' and -revert {key}' at the same time");
            return Err(Refusal::param("revert", text));
        }
        if keys::find(key).is_none() {
            return Err(Refusal::param("delete", format!("unknown option '{key}'")));
        }
    }
    Ok(())
}

fn put(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (update, node) = (update(call)?, call.node());
    config::check(call.world, &node, &update)?;
    if update.takes_time(call.world, &node) {
        return Err(call.carry_guest(Work::Config(update)));
    }
    call.config_lock(update.vmid)?;
    let mut log = Vec::new();
    let result = config::apply(call.world, &node, &update, call.moment.now, &mut log);
    call.world.printed = log;
    result?;
    Ok(Value::Null.into())
}

fn post(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (update, node) = (update(call)?, call.node());
    config::check(call.world, &node, &update)?;
    let vmid = update.vmid;
    let delay = call.params.int("background_delay");
    let reply = call.fork_guest("qmconfig", Work::Config(update))?;
    let Some(seconds) = delay else { return Ok(reply) };
    let upid = match &reply.data {
        Data::Value(Value::String(upid)) => upid.as_str(),
        _ => "",
    };
    let Some((key, _)) = call.world.tasks.find(upid) else { return Ok(reply) };
    let until = Some(call.moment.after(seconds.saturating_mul(1000)));
    Err(Refusal::Carried(Carried { key, until, before: format!("failed to update VM {vmid}: ") }))
}

fn unlink(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let idlist = call.params.take("idlist").unwrap_or_default();
    call.params.0.insert("delete".to_owned(), idlist);
    put(call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked() {
        assert_eq!(shown("cipassword", "x"), json!(MASK));
    }
}
