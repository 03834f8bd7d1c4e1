//! A guest's configuration: read, pending, change, unlink.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::call::{Call, Reply};
use super::create::{alias_cdrom, check_bridges, check_drives, check_keys, check_storage_access};
use super::endpoint::{Endpoint, Param, optional, required};
use super::permission::Permission;
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
    optional("background_delay", Kind::between(1, 30)),
    optional("delete", Kind::TEXT),
    optional("digest", Kind::Format(Format::Digest)),
    optional("force", Kind::Bool),
    optional("import-working-storage", Kind::Format(Format::StorageId)),
    optional("revert", Kind::TEXT),
    optional("skiplock", Kind::Bool),
];

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/nodes/{node}/qemu/{vmid}/config", read)
        .may(AUDIT)
        .with(&[optional("current", Kind::Bool), optional("snapshot", Kind::TEXT)]),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/pending", pending).may(AUDIT),
    Endpoint::put("/nodes/{node}/qemu/{vmid}/config", put)
        .may(CHANGE)
        .with(UPDATE)
        .with_config_keys(),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/config", post)
        .may(CHANGE)
        .with(UPDATE)
        .with_config_keys(),
    Endpoint::put("/nodes/{node}/qemu/{vmid}/unlink", unlink)
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
    let guest = call.guest()?;
    if let Some(name) = call.params.get("snapshot") {
        return Err(Refusal::die(format!("snapshot '{name}' does not exist")));
    }
    let current = call.params.flag("current").unwrap_or(false);
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

/// The change that the parameters ask for, checked as far as that needs no configuration.
fn update(call: &mut Call<'_>) -> Result<Update, Refusal> {
    let vmid = call.vmid();
    let mut set: BTreeMap<String, String> = call.params.0.clone();
    for name in [
        "node",
        "vmid",
        "background_delay",
        "delete",
        "digest",
        "force",
        "import-working-storage",
        "revert",
        "skiplock",
    ] {
        set.remove(name);
    }
    alias_cdrom(&mut set);
    let skiplock = call.params.flag("skiplock").unwrap_or(false);
    if skiplock && !call.caller.is_root() {
        return Err(Refusal::param("skiplock", "Only root may use this option."));
    }
    let own = |name: &str| -> Vec<String> {
        list(call.params.get(name).unwrap_or_default())
            .map(|key| if key == "cdrom" { "ide2".to_owned() } else { key.to_owned() })
            .collect()
    };
    let (delete, revert) = (own("delete"), own("revert"));
    check_ssh_keys(&set)?;
    if set.is_empty() && delete.is_empty() && revert.is_empty() {
        return Err(Refusal::die("no options specified"));
    }
    check_lists(&set, &delete, &revert)?;
    check_drives(&set)?;
    let node = call.node();
    check_keys(call.world, &call.caller, vmid, delete.iter().map(String::as_str))?;
    check_keys(call.world, &call.caller, vmid, set.keys().map(String::as_str))?;
    check_storage_access(call.world, &call.caller, &node, vmid, &set)?;
    check_bridges(call.world, &call.caller, set.iter())?;
    Ok(Update {
        vmid,
        set,
        delete,
        revert,
        force: call.params.flag("force").unwrap_or(false),
        skiplock,
        digest: call.params.get("digest").map(str::to_owned),
        caller: call.caller.authid.clone(),
    })
}

fn check_lists(
    set: &BTreeMap<String, String>,
    delete: &[String],
    revert: &[String],
) -> Result<(), Refusal> {
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

/// `validate_ssh_public_keys`: each line is options, type, base64 and a comment.
fn check_ssh_keys(set: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let Some(encoded) = set.get("sshkeys") else { return Ok(()) };
    let decoded = percent_encoding::percent_decode_str(encoded).decode_utf8_lossy().into_owned();
    let is_type =
        |word: &str| ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| word.starts_with(prefix));
    for line in
        decoded.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| is_type(word));
        let key = at.and_then(|at| words.get(at + 1));
        let base64 = |key: &&&str| {
            key.len() >= 16
                && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
        };
        if key.filter(|key| base64(key)).is_none() {
            return Err(Refusal::die("SSH public key validation error"));
        }
    }
    Ok(())
}

fn put(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (update, node) = (update(call)?, call.node());
    config::check(call.world, &node, &update)?;
    call.config_lock(update.vmid)?;
    config::apply(call.world, &node, &update, call.moment.now)?;
    Ok(Value::Null.into())
}

fn post(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (update, node) = (update(call)?, call.node());
    config::check(call.world, &node, &update)?;
    call.fork_guest("qmconfig", Work::Config(update))
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
    fn ssh_keys_are_looked_at() {
        let set = |value: &str| BTreeMap::from([("sshkeys".to_owned(), value.to_owned())]);
        let good = "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIMyH%20me%0A%23%20note";
        assert!(check_ssh_keys(&set(good)).is_ok());
        assert!(check_ssh_keys(&set("nonsense")).is_err());
        assert!(check_ssh_keys(&set("ssh-ed25519%20short")).is_err());
    }

    #[test]
    fn passwords_are_masked() {
        assert_eq!(shown("cipassword", "x"), json!(MASK));
    }
}
