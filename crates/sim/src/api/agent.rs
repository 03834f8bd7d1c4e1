//! The guest agent (`PVE::API2::Qemu::Agent`). What it answers is in [`crate::guest::inside`].

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::cluster::subdirs;
use super::endpoint::{Endpoint, optional, required};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::Kind;
use crate::guest::{agent, inside};

const VM: &str = "/vms/{vmid}";
const AUDIT: Permission =
    Permission::Any(VM, &["VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted"]);
const FREEZE: Permission =
    Permission::Any(VM, &["VM.GuestAgent.FileSystemMgmt", "VM.GuestAgent.Unrestricted"]);
const FROZEN: Permission = Permission::Any(
    VM,
    &["VM.GuestAgent.Audit", "VM.GuestAgent.FileSystemMgmt", "VM.GuestAgent.Unrestricted"],
);
const POWER: Permission = Permission::Any(VM, &["VM.PowerMgmt", "VM.GuestAgent.Unrestricted"]);
const ALL: Permission = Permission::All(VM, &["VM.GuestAgent.Unrestricted"]);
/// The compatible call checks like the others.
const ANY: Permission =
    Permission::Any(VM, &["VM.GuestAgent.Unrestricted", "VM.GuestAgent.Unrestricted"]);
const READ: Permission =
    Permission::Any(VM, &["VM.GuestAgent.FileRead", "VM.GuestAgent.Unrestricted"]);
const WRITE: Permission =
    Permission::Any(VM, &["VM.GuestAgent.FileWrite", "VM.GuestAgent.Unrestricted"]);

/// Commands without parameters, sorted: the enumeration of `POST …/agent`.
const COMMANDS: &[&str] = &[
    "fsfreeze-freeze",
    "fsfreeze-status",
    "fsfreeze-thaw",
    "fstrim",
    "get-fsinfo",
    "get-host-name",
    "get-memory-block-info",
    "get-memory-blocks",
    "get-osinfo",
    "get-time",
    "get-timezone",
    "get-users",
    "get-vcpus",
    "info",
    "network-get-interfaces",
    "ping",
    "shutdown",
    "suspend-disk",
    "suspend-hybrid",
    "suspend-ram",
];

/// The endpoints of commands without parameters. What is done stands in the path, which a handler
/// does not see: one function each.
macro_rules! commands {
    ($($method:ident $name:literal $permission:expr),* $(,)?) => {
        &[
            $(Endpoint::$method(
                concat!("/nodes/{node}/qemu/{vmid}/agent/", $name),
                |call| run(call, $name),
            )
            .may($permission)),*
        ]
    };
}

pub(crate) const ENDPOINTS: &[Endpoint] = commands![
    get "get-fsinfo" AUDIT,
    get "get-host-name" AUDIT,
    get "get-memory-block-info" AUDIT,
    get "get-memory-blocks" AUDIT,
    get "get-osinfo" AUDIT,
    get "get-time" AUDIT,
    get "get-timezone" AUDIT,
    get "get-users" AUDIT,
    get "get-vcpus" AUDIT,
    get "info" AUDIT,
    get "network-get-interfaces" AUDIT,
    post "fsfreeze-freeze" FREEZE,
    post "fsfreeze-status" FROZEN,
    post "fsfreeze-thaw" FREEZE,
    post "fstrim" FREEZE,
    post "ping" AUDIT,
    post "shutdown" POWER,
    post "suspend-disk" POWER,
    post "suspend-hybrid" POWER,
    post "suspend-ram" POWER,
];

/// Those with parameters.
pub(crate) const WITH_PARAMETERS: &[Endpoint] = &[
    Endpoint::get("/nodes/{node}/qemu/{vmid}/agent", index),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/agent", any)
        .may(ANY)
        .with(&[required("command", Kind::Enum(COMMANDS))]),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/agent/exec", exec).may(ALL).with(&[
        required("command", Kind::TEXT).array(),
        optional("input-data", Kind::Text { max: 65_536 }),
    ]),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/agent/exec-status", exec_status)
        .may(ALL)
        .with(&[required("pid", Kind::INT)]),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/agent/file-read", file_read).may(READ).with(&[
        required("file", Kind::TEXT),
        optional("count", Kind::between(1, 16_777_216)),
        optional("decode", Kind::Bool),
        optional("offset", Kind::NATURAL),
    ]),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/agent/file-write", file_write).may(WRITE).with(&[
        required("file", Kind::TEXT),
        required("content", Kind::Text { max: 61_440 }),
        optional("encode", Kind::Bool),
    ]),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/agent/set-user-password", set_password)
        .may(ALL)
        .with(&[
            required("username", Kind::TEXT),
            required("password", Kind::Sized { min: 5, max: 1024 }),
            optional("crypted", Kind::Bool),
        ]),
];

fn index(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    let more = ["exec", "exec-status", "file-read", "file-write", "set-user-password"];
    let mut names: Vec<&str> = COMMANDS.iter().copied().chain(more).collect();
    names.sort_unstable();
    Ok(subdirs(&names, "name").into())
}

fn any(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let command = call.params.get("command").unwrap_or_default().to_owned();
    run(call, &command)
}

/// `assert_agent_available`.
fn available(call: &Call<'_>) -> Result<(), Refusal> {
    let guest = call.guest()?;
    if guest.get("agent").is_none() {
        return Err(Refusal::die("No QEMU guest agent configured"));
    }
    if guest.running.is_none() {
        return Err(Refusal::die(format!("VM {} is not running", guest.vmid)));
    }
    if !agent::answers(guest, call.moment.now) {
        return Err(Refusal::die("QEMU guest agent is not running"));
    }
    Ok(())
}

/// An answer of the agent; an error of it is an answer too.
fn run(call: &mut Call<'_>, command: &str) -> Result<Reply, Refusal> {
    available(call)?;
    let (vmid, moment) = (call.vmid(), call.moment);
    let result = inside::command(call.world, vmid, command, moment);
    Ok(json!({ "result": result }).into())
}

/// An error of the agent, where the API makes it one.
fn agent_error(text: &str) -> Refusal {
    Refusal::die(format!("Agent error: {text}"))
}

fn exec(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    call.guest()?;
    let command = call.params.get("command").unwrap_or_default();
    let words: Vec<String> = command.split('\0').map(str::to_owned).collect();
    available(call)?;
    let input = call.params.get("input-data").map(str::to_owned);
    let (vmid, now) = (call.vmid(), call.moment.now);
    let pid = inside::exec(call.world, vmid, &words, input.as_deref(), now)
        .map_err(|text| agent_error(&text))?;
    Ok(json!({ "pid": pid }).into())
}

fn exec_status(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    available(call)?;
    let pid = call.params.int("pid").unwrap_or(0);
    let vmid = call.vmid();
    // The agent forgets a process once it has told of its end.
    let found = call.world.guests.get_mut(&vmid);
    let ended = found.and_then(|guest| guest.inside.processes.remove(&pid));
    let Some(ended) = ended else {
        return Err(agent_error(&format!("PID {pid} does not exist")));
    };
    let mut out = json!({ "exited": 1, "exitcode": ended.code });
    if let Some(members) = out.as_object_mut() {
        for (name, text) in [("out", ended.out), ("err", ended.err)] {
            if !text.is_empty() {
                members.insert(format!("{name}-data"), Value::String(text));
                members.insert(format!("{name}-truncated"), json!(0));
            }
        }
    }
    Ok(out.into())
}

fn file_read(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    available(call)?;
    let path = call.params.get("file").unwrap_or_default();
    let guest = call.guest()?;
    let Some(text) = inside::file(guest, path) else {
        return Err(agent_error(&format!(
            "failed to open file '{path}' (mode: 'r'): No such file or directory"
        )));
    };
    let number = |name: &str, default: usize| {
        call.params.int(name).and_then(|value| usize::try_from(value).ok()).unwrap_or(default)
    };
    let (offset, count) = (number("offset", 0), number("count", 16_777_216));
    let rest = text.as_bytes().get(offset..).unwrap_or_default();
    let cut = rest.get(..count.min(rest.len())).unwrap_or(rest);
    let content = if call.params.flag("decode").unwrap_or(true) {
        String::from_utf8_lossy(cut).into_owned()
    } else {
        inside::base64(cut)
    };
    let mut out = json!({ "content": content, "bytes-read": cut.len() });
    if let (true, Some(members)) = (cut.len() == count, out.as_object_mut()) {
        // The end was not seen.
        members.insert("truncated".to_owned(), json!(1));
    }
    Ok(out.into())
}

fn file_write(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    available(call)?;
    let path = call.params.get("file").unwrap_or_default().to_owned();
    let given = call.params.get("content").unwrap_or_default();
    let content = if call.params.flag("encode").unwrap_or(true) {
        given.to_owned()
    } else {
        inside::from_base64(given).ok_or_else(|| agent_error("invalid base64 data in 'buf-b64'"))?
    };
    if path.ends_with('/') || !path.starts_with('/') {
        let text = format!("failed to open file '{path}' (mode: 'wb'): No such file or directory");
        return Err(agent_error(&text));
    }
    let vmid = call.vmid();
    if let Some(guest) = call.world.guests.get_mut(&vmid) {
        guest.files.insert(path, content);
    }
    Ok(Value::Null.into())
}

fn set_password(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    available(call)?;
    let name = call.params.get("username").unwrap_or_default();
    let guest = call.guest()?;
    if !inside::users(guest).iter().any(|user| user == name) {
        return Err(agent_error("child process has failed to set user password"));
    }
    Ok(json!({ "result": {} }).into())
}
