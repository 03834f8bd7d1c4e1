//! Consoles of guests: their tickets and tasks are there, what is on the screen is not.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional, required};
use super::names;
use super::permission::{Permission, normalize_path};
use super::refusal::Refusal;
use crate::guest::format::{Kind, list};
use crate::server::auth;
use crate::work::Work;
use crate::work::console::Console;
use crate::world::access::Caller;

const CONSOLE: Permission = Permission::All("/vms/{vmid}", &["VM.Console"]);
const SERIALS: &[&str] = &["serial0", "serial1", "serial2", "serial3"];

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::post("/nodes/{node}/qemu/{vmid}/termproxy", terminal)
        .may(CONSOLE)
        .with(&[optional("serial", Kind::Enum(SERIALS))]),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/vncproxy", screen)
        .may(CONSOLE)
        .with(&[optional("websocket", Kind::Bool), optional("generate-password", Kind::Bool)]),
    Endpoint::post("/access/vncticket", verify).may(Permission::World).with(&[
        required("authid", Kind::Text { max: 64 }),
        required("path", Kind::Text { max: 64 }),
        required("privs", names::PRIVILEGES).list(),
        required("vncticket", Kind::TEXT),
        optional("port", Kind::INT),
    ]),
];

/// The first port for consoles; each running task of this kind holds one.
const FIRST_PORT: usize = 5900;

fn port(call: &Call<'_>) -> usize {
    let node = call.node();
    let busy = |task: &&crate::world::task::Task| {
        task.running() && task.kind == "vncproxy" && task.node == node
    };
    FIRST_PORT + call.world.tasks.iter().filter(busy).count().min(99)
}

/// The serial port that the display of the guest is.
fn serial_display(call: &Call<'_>) -> Result<Option<String>, Refusal> {
    let vga = call.guest()?.get("vga").unwrap_or_default();
    let kind = vga.split(',').next().unwrap_or_default().trim_start_matches("type=");
    Ok(SERIALS.contains(&kind).then(|| kind.to_owned()))
}

/// Starts the task; what both kinds answer.
fn proxy(call: &mut Call<'_>, port: usize, failure: String) -> Result<Value, Refusal> {
    let (user, vmid) = (call.caller.authid.clone(), call.vmid());
    let now = call.moment.seconds();
    let ticket = auth::make_vnc_ticket(call.world, &user, &format!("/vms/{vmid}"), port, now);
    let work = Work::Console(Console { failure });
    let upid = call.fork_guest("vncproxy", work)?.data.value();
    Ok(json!({ "user": user, "ticket": ticket, "port": port, "upid": upid }))
}

fn terminal(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let display = serial_display(call)?;
    let serial = call.params.get("serial").map(str::to_owned).or(display);
    let (vmid, port) = (call.vmid(), port(call));
    let iface = serial.map_or(String::new(), |serial| format!(" -iface {serial}"));
    let failure = format!(
        "command '/usr/bin/termproxy {port} --path /vms/{vmid} --perm VM.Console \
         --vncticket-endpoint --verify-port --ticket-fd 9 -- \
         /usr/sbin/qm terminal {vmid} -escape 0{iface}' failed: exit code 1"
    );
    Ok(proxy(call, port, failure)?.into())
}

fn screen(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let serial = serial_display(call)?;
    let wants = |name| call.params.flag(name).unwrap_or(false);
    let with_password = serial.is_none() || wants("websocket") || wants("generate-password");
    let port = port(call);
    let mut out = proxy(call, port, "connection timed out".to_owned())?;
    let certificate = call.world.identity.as_ref().map(|identity| identity.certificate.clone());
    if let Some(members) = out.as_object_mut() {
        members.insert("cert".to_owned(), json!(certificate.unwrap_or_default()));
        if with_password {
            let password: String =
                uuid::Uuid::new_v4().simple().to_string().chars().take(8).collect();
            let ticket = members.get("ticket").and_then(Value::as_str).unwrap_or_default();
            let ticket = format!("{password}:{ticket}");
            members.insert("ticket".to_owned(), json!(ticket));
            members.insert("password".to_owned(), json!(password));
        }
    }
    Ok(out.into())
}

/// `POST /access/vncticket`: says nothing of why it refuses.
fn verify(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let text = |name: &str| call.params.get(name).unwrap_or_default();
    let (user, now) = (text("authid"), call.moment.seconds());
    let valid = normalize_path(text("path")).filter(|path| {
        let wanted: Vec<&str> = list(text("privs")).collect();
        let caller = Caller { authid: user.to_owned() };
        auth::check_vnc_ticket(call.world, text("vncticket"), user, path, text("port"), now)
            && !wanted.is_empty()
            && call.world.require(&caller, path, &wanted).is_ok()
    });
    match valid {
        Some(_) => Ok(Value::Null.into()),
        None => Err(Refusal::message(401, "authentication failure")),
    }
}
