//! What a node tells about itself: time, DNS, hosts, services, packages, certificates, disks.

use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional, required};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::Kind;
use crate::world::guest::hex;

const AUDIT: Permission = Permission::All("/nodes/{node}", &["Sys.Audit"]);
const CLUSTER_AUDIT: Permission = Permission::All("/", &["Sys.Audit"]);
const SYSLOG: Permission = Permission::All("/nodes/{node}", &["Sys.Syslog"]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    // Nothing to update.
    Endpoint::get("/nodes/{node}/apt/update", |_| Ok(json!([]).into()))
        .may(Permission::All("/nodes/{node}", &["Sys.Modify"])),
    Endpoint::get("/nodes/{node}/apt/versions", versions).may(AUDIT),
    Endpoint::get("/nodes/{node}/certificates/info", certificates),
    Endpoint::get("/nodes/{node}/disks/list", disks).with(&[
        optional("include-partitions", Kind::Bool),
        optional("skipsmart", Kind::Bool),
        optional("type", Kind::Enum(&["unused", "journal_disks"])),
    ]),
    Endpoint::get("/nodes/{node}/dns", dns).may(AUDIT),
    Endpoint::get("/nodes/{node}/hosts", hosts).may(CLUSTER_AUDIT),
    Endpoint::get("/nodes/{node}/netstat", netstat).may(AUDIT),
    Endpoint::get("/nodes/{node}/network/{iface}", interface).may(AUDIT),
    Endpoint::get("/nodes/{node}/report", report).may(AUDIT),
    Endpoint::get("/nodes/{node}/sdn/zones", |_| Ok(json!([]).into())),
    Endpoint::get("/nodes/{node}/subscription", subscription),
    Endpoint::get("/nodes/{node}/syslog", syslog)
        .with(&[
            optional("start", Kind::NATURAL),
            optional("limit", Kind::NATURAL),
            optional("since", Kind::pattern(date)),
            optional("until", Kind::pattern(date)),
            optional("service", Kind::Text { max: 128 }),
        ])
        .may(SYSLOG),
    Endpoint::get("/nodes/{node}/time", time).may(AUDIT),
    Endpoint::get("/nodes/{node}/disks/smart", smart)
        .with(&[required("disk", Kind::pattern(disk_path)), optional("healthonly", Kind::Bool)])
        .may(CLUSTER_AUDIT),
];

/// Nodes keep UTC.
/// `/dev/sda`.
fn disk_path(value: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'/';
    value.strip_prefix("/dev/").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(known))
}

/// `2026-01-31`, `2026-01-31 12:00` or `2026-01-31 12:00:00`.
fn date(value: &str) -> bool {
    let shape: String = value.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    matches!(shape.as_str(), "0000-00-00" | "0000-00-00 00:00" | "0000-00-00 00:00:00")
}

fn time(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let now = call.moment.seconds();
    Ok(json!({ "timezone": "Etc/UTC", "time": now, "localtime": now }).into())
}

fn dns(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let node = call.node();
    let ip = call.world.nodes.get(&node).map(|node| node.ip.as_str()).unwrap_or_default();
    let server = ip.rsplit_once('.').map(|(network, _)| format!("{network}.1"));
    Ok(json!({ "search": call.world.domain, "dns1": server }).into())
}

fn hosts(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let mut text = "127.0.0.1 localhost.localdomain localhost\n".to_owned();
    let name = call.node();
    if let Some(node) = call.world.nodes.get(&name) {
        text.push_str(&format!("{} {name}.{} {name}\n", node.ip, call.world.domain));
    }
    let digest = hex(&Sha1::digest(text.as_bytes()));
    Ok(json!({ "data": text, "digest": digest }).into())
}

/// A line per network card of a running guest.
fn netstat(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let node = call.node();
    let running = call.world.guests.values().filter(|g| g.node == node && g.running.is_some());
    let mut list = Vec::new();
    for guest in running {
        for card in (0..32).map(|index| format!("net{index}")) {
            if guest.get(&card).is_some() {
                let vmid = guest.vmid.to_string();
                list.push(json!({ "vmid": vmid, "dev": card, "in": "0", "out": "0" }));
            }
        }
    }
    Ok(Value::Array(list).into())
}

fn interface(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let wanted = call.params.get("iface").unwrap_or_default();
    let all = super::node::interfaces(call.world, &call.node());
    let found = all.into_iter().find(|item| item.get("iface") == Some(&json!(wanted)));
    let Some(Value::Object(mut members)) = found else {
        return Err(Refusal::param("iface", "interface does not exist"));
    };
    members.remove("iface");
    Ok(Value::Object(members).into())
}

fn report(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let node = call.node();
    let text = format!(
        "==== general system info ====\n\n# hostname\n{node}\n\n# pveversion --verbose\n\
         proxmox-ve: 9.2.0 (simulated)\npve-manager: 9.2.11 (simulated)\n"
    );
    Ok(json!(text).into())
}

/// There is no key; the server's id is for who may audit the node.
fn subscription(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let node = call.node();
    let mut found = json!({
        "status": "notfound", "message": "There is no subscription key",
        "url": "https://www.proxmox.com/en/proxmox-virtual-environment/pricing",
    });
    if let (true, Some(members)) =
        (call.may(&format!("/nodes/{node}"), &["Sys.Audit"]), found.as_object_mut())
    {
        let id = hex(&Sha1::digest(node.as_bytes())).to_uppercase();
        members.insert("serverid".to_owned(), json!(id.get(..32)));
    }
    Ok(found.into())
}

/// The journal has the beginnings of tasks and nothing else.
fn syslog(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let node = call.node();
    let number = |name: &str, default| {
        call.params.int(name).and_then(|value| usize::try_from(value).ok()).unwrap_or(default)
    };
    let (start, limit) = (number("start", 0), number("limit", 50));
    let tasks = call.world.tasks().filter(|task| task.node == node);
    let mut lines: Vec<String> = tasks
        .map(|task| format!("{node} pvedaemon[{}]: starting task {}", task.pid, task.upid))
        .collect();
    if lines.is_empty() {
        // `PVE::Tools::dump_journal` never answers an empty list.
        lines.push("no content".to_owned());
    }
    let total = lines.len();
    let page = lines.into_iter().enumerate().skip(start).take(limit);
    let list: Value = page.map(|(index, text)| json!({ "n": index + 1, "t": text })).collect();
    let mut reply = Reply::from(list);
    reply.total = Some(total);
    Ok(reply)
}

/// The certificate that the server shows, as the cluster's authority and as the node's: it signs
/// itself (pve-manager `API2/Certificates.pm` lists the authority first).
fn certificates(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let pem = call.world.identity.as_ref().map(|identity| identity.certificate.clone());
    let mut names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    names.push(call.node());
    let name = format!("/CN={}.{}", call.node(), call.world.domain);
    let list = ["pve-root-ca.pem", "pve-ssl.pem"].map(|file| {
        json!({
            "filename": file, "fingerprint": call.fingerprint, "pem": pem, "san": names,
            "subject": name, "issuer": name, "notbefore": 157_766_400,
            "notafter": 67_090_464_000_i64, "public-key-type": "id-ecPublicKey",
            "public-key-bits": 256,
        })
    });
    Ok(Value::from(list.to_vec()).into())
}

/// One disk, in partitions, with the root file system on it.
fn disks(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let name = call.node();
    let node_path = format!("/nodes/{name}");
    if !call.may("/", &["Sys.Audit"]) && !call.may(&node_path, &["Sys.Audit"]) {
        return Err(Refusal::permission(""));
    }
    if call.params.get("type").is_some() {
        return Ok(json!([]).into());
    }
    let size = call.world.nodes.get(&name).map_or(0, |node| node.rootfs);
    let mut list = vec![json!({
        "devpath": "/dev/sda", "size": size, "model": "QEMU_HARDDISK", "vendor": "QEMU    ",
        "serial": "drive-scsi0", "type": "hdd", "rpm": -1, "health": "OK", "wearout": "N/A",
        "used": "partitions", "gpt": 1, "osdid": -1, "osdid-list": null, "wwn": "unknown",
        "by_id_link": "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi0",
    })];
    if call.params.flag("include-partitions") == Some(true) {
        list.push(json!({
            "devpath": "/dev/sda1", "parent": "/dev/sda", "size": size, "used": "ext4",
            "type": "partition", "gpt": 1, "osdid": -1, "osdid-list": null,
        }));
    }
    Ok(Value::Array(list).into())
}

fn smart(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    match call.params.get("disk") {
        Some("/dev/sda") => Ok(json!({ "health": "OK" }).into()),
        _ => Err(Refusal::die("not a valid block device")),
    }
}

/// Names and versions of the packages that the recordings were made with.
fn versions(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    let packages = [
        ("proxmox-ve", "9.2.0"),
        ("pve-manager", "9.2.11"),
        ("corosync", "3.1.9-pve2"),
        ("libpve-access-control", "9.1.1"),
        ("libpve-common-perl", "9.2.1"),
        ("libpve-guest-common-perl", "6.0.2"),
        ("libpve-http-server-perl", "6.0.5"),
        ("libpve-storage-perl", "9.1.7"),
        ("pve-cluster", "9.1.6"),
        ("pve-ha-manager", "5.2.0"),
        ("pve-qemu-kvm", "10.2.2"),
        ("qemu-server", "9.2.6"),
    ];
    let list = packages.iter().map(|(name, version)| {
        let mut item = json!({
            "Package": name, "Version": version, "OldVersion": version, "Title": name,
            "CurrentState": "Installed", "Arch": "amd64", "Origin": "Proxmox", "Section": "admin",
            "Priority": "optional", "Description": name,
        });
        if let (&"pve-manager", Some(members)) = (name, item.as_object_mut()) {
            members.insert("ManagerVersion".to_owned(), json!("9.2.11/14a22df35955d97d"));
            members.insert("RunningKernel".to_owned(), json!(super::node::KERNEL));
        }
        item
    });
    Ok(list.collect::<Value>().into())
}
