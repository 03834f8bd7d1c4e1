//! A guest's status as lists and `status/current` show it (`PVE::QemuServer::vmstatus`).

use serde_json::{Map, Value, json};

use super::drive::drives;
use super::keys;
use super::property::Values;
use crate::world::guest::Guest;

/// What the configuration says of a guest's size.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measure {
    /// Virtual processors.
    pub(crate) cpus: u64,
    /// Bytes of memory.
    pub(crate) memory: u64,
    /// Bytes of the boot disk.
    pub(crate) disk: u64,
}

/// Processors, memory and boot disk. One walk over the configuration: looking each key up costs
/// most of a list of tens of thousands.
pub(crate) fn measure(guest: &Guest) -> Measure {
    let (mut sockets, mut cores, mut vcpus, mut memory, mut boot) = (1, 1, None, None, None);
    let number = |text: &str| text.parse::<u64>().ok();
    for (key, value) in &guest.config {
        match key.as_str() {
            "sockets" => sockets = number(value).unwrap_or(1),
            "cores" => cores = number(value).unwrap_or(1),
            "vcpus" => vcpus = number(value),
            "memory" => memory = Some(value.as_str()),
            "boot" => boot = Some(value.as_str()),
            _ => {}
        }
    }
    let cpus = vcpus.unwrap_or_else(|| sockets.saturating_mul(cores));
    let memory = memory_mib(memory).saturating_mul(1 << 20);
    Measure { cpus, memory, disk: boot_disk_size(guest, boot) }
}

/// MiB of a `memory` value.
pub(crate) fn memory_mib(value: Option<&str>) -> u64 {
    let first = |text: &str| -> Option<u64> {
        let first = text.split(',').next().unwrap_or_default();
        first.strip_prefix("current=").unwrap_or(first).parse().ok()
    };
    // More than the schema allows can only come from a file; nothing may overflow on it.
    value.and_then(first).unwrap_or(512).min(4_178_944)
}

/// `PVE::QemuServer::Drive::bootdisk_size`: of the first disk in the boot order, or of `bootdisk`
/// when there is no order; other disks do not count. Written without allocation: lists ask for it
/// tens of thousands of times.
fn boot_disk_size(guest: &Guest, boot: Option<&str>) -> u64 {
    let disk = |key: &str| guest.get(key).filter(|value| !value.contains("media=cdrom"));
    let parts = || boot.unwrap_or_default().split(',').filter(|part| !part.trim().is_empty());
    let legacy = |part: &str| part.starts_with("legacy=") || !part.contains('=');
    if boot.is_none() || parts().any(legacy) {
        return guest.get("bootdisk").and_then(disk).map_or(0, size_of);
    }
    let order = parts().find_map(|part| part.strip_prefix("order=")).unwrap_or_default();
    let no_disk = |key: &&str| ["net", "usb", "hostpci"].iter().any(|stem| key.starts_with(stem));
    order.split(';').filter(|key| !no_disk(key)).find_map(disk).map_or(0, size_of)
}

fn size_of(value: &str) -> u64 {
    let size = value.rsplit(',').find_map(|part| part.strip_prefix("size="));
    size.and_then(super::size::parse).unwrap_or(0)
}

/// The fields that lists and `status/current` share. `processors` are the node's: more are not
/// shown, unless `vcpus` says so.
pub(crate) fn status(guest: &Guest, processors: u64, now: i64) -> Map<String, Value> {
    let mut size = measure(guest);
    if guest.get("vcpus").is_none_or(|vcpus| vcpus == "0") {
        size.cpus = size.cpus.min(processors.max(1));
    }
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| {
        out.insert(key.to_owned(), value);
    };
    put("vmid", json!(guest.vmid));
    put("name", json!(guest.name()));
    put("cpus", json!(size.cpus));
    put("maxmem", json!(size.memory));
    put("maxdisk", json!(size.disk));
    put("disk", json!(0));
    for key in ["cpu", "netin", "netout"] {
        put(key, json!(0));
    }
    let uptime = guest.running.as_ref().map_or(0, |running| (now - running.since_ms).max(0) / 1000);
    put("uptime", json!(uptime));
    let used = if guest.running.is_some() { size.memory / 4 } else { 0 };
    put("mem", json!(used));
    put("memhost", json!(used));
    put("status", json!(if guest.running.is_some() { "running" } else { "stopped" }));
    if let Some(tags) = guest.get("tags") {
        put("tags", json!(tags));
    }
    if let Some(lock) = guest.get("lock") {
        put("lock", json!(lock));
    }
    if guest.template() {
        put("template", json!(1));
    }
    if guest.config.keys().any(|key| keys::is_numbered(key, "serial")) {
        put("serial", json!(1));
    }
    let number = |key: &str| guest.get(key).and_then(|text| text.parse::<u64>().ok());
    if let Some(least) = number("balloon").filter(|least| *least > 0) {
        put("balloon_min", json!(least.saturating_mul(1 << 20)));
        put("shares", json!(number("shares").unwrap_or(1000)));
    }
    if let Some(running) = &guest.running {
        put("pid", json!(running.pid));
        for key in PRESSURE {
            put(key, json!(0));
        }
    }
    out
}

/// The status that only QEMU knows: of `status/current` and of full lists.
pub(crate) fn full(guest: &Guest, processors: u64, now: i64) -> Map<String, Value> {
    let mut out = status(guest, processors, now);
    let qmp = match &guest.running {
        None => "stopped",
        Some(running) if running.paused => "paused",
        Some(_) => "running",
    };
    out.insert("qmpstatus".to_owned(), json!(qmp));
    if guest.running.is_some() {
        running_details(guest, now, &mut out);
    }
    out
}

const PRESSURE: &[&str] = &[
    "pressurecpusome",
    "pressurecpufull",
    "pressureiosome",
    "pressureiofull",
    "pressurememorysome",
    "pressurememoryfull",
];

/// `status/current`.
pub(crate) fn current(guest: &Guest, processors: u64, now: i64) -> Value {
    let mut out = full(guest, processors, now);
    let mut put = |key: &str, value: Value| {
        out.insert(key.to_owned(), value);
    };
    put("ha", json!({ "managed": 0 }));
    if super::agent::configured(guest) {
        put("agent", json!(1));
    }
    if let Some(vga) = guest.get("vga") {
        let vga = Values::parse(vga, "type");
        let kind = vga.get("type").unwrap_or_default();
        if kind.starts_with("virtio") || matches!(kind, "qxl" | "qxl2" | "qxl3" | "qxl4") {
            put("spice", json!(1));
        }
        // There, without a value too.
        put("clipboard", json!(vga.get("clipboard")));
    }
    Value::Object(out)
}

/// The machine type that QEMU runs: the newest of its kind.
pub(crate) fn running_machine(guest: &Guest) -> &'static str {
    let machine = guest.get("machine").unwrap_or("pc");
    if machine.contains("q35") { "pc-q35-10.2+pve0" } else { "pc-i440fx-10.2+pve0" }
}

fn running_details(guest: &Guest, now: i64, out: &mut Map<String, Value>) {
    let memory = measure(guest).memory;
    out.insert("diskread".to_owned(), json!(0));
    out.insert("diskwrite".to_owned(), json!(0));
    out.insert("running-machine".to_owned(), json!(running_machine(guest)));
    out.insert("running-qemu".to_owned(), json!("10.2.2"));
    if guest.get("balloon") != Some("0") {
        out.insert("balloon".to_owned(), json!(memory));
        let mut info = json!({ "actual": memory, "max_mem": memory });
        // The balloon driver of a system that runs inside reports what it sees.
        if let (true, Some(members)) = (super::agent::booted(guest, now), info.as_object_mut()) {
            let names =
                ["major_page_faults", "minor_page_faults", "mem_swapped_in", "mem_swapped_out"];
            members.extend(names.iter().map(|name| ((*name).to_owned(), json!(0))));
            members.insert("total_mem".to_owned(), json!(memory));
            members.insert("free_mem".to_owned(), json!(memory / 2));
            members.insert("last_update".to_owned(), json!(now / 1000));
            out.insert("freemem".to_owned(), json!(memory / 2));
        }
        out.insert("ballooninfo".to_owned(), info);
    }
    // Only a bridge needs a device on the node.
    let bridged = |card: &str| Values::parse(card, "model").get("bridge").is_some();
    let cards = guest.config.iter().filter(|(key, _)| keys::is_numbered(key, "net"));
    let cards = cards.filter(|(_, card)| bridged(card));
    let taps = cards.filter_map(|(key, _)| key.strip_prefix("net"));
    let taps = taps
        .map(|number| (format!("tap{}i{number}", guest.vmid), json!({ "netin": 0, "netout": 0 })));
    put_some(out, "nics", taps.collect());
    let mut disks: Map<String, Value> = drives(guest)
        .into_iter()
        // swtpm has the one, the firmware the other.
        .filter(|(key, _)| !matches!(key.as_str(), "tpmstate0" | "efidisk0"))
        .map(|(key, _)| (key, block_statistics()))
        .collect();
    if guest.get("bios") == Some("ovmf") {
        // Without a disk of its own it gets one for the time being.
        disks.extend(["pflash0", "efidisk0"].map(|key| (key.to_owned(), block_statistics())));
    }
    put_some(out, "blockstat", disks);
    out.insert(
        "proxmox-support".to_owned(),
        json!({
            "backup-access-api": true, "backup-fleecing": true, "backup-max-workers": true,
            "pbs-dirty-bitmap": true, "pbs-dirty-bitmap-migration": true,
            "pbs-dirty-bitmap-savevm": true, "pbs-library-version": "1.5.1", "pbs-masterkey": true,
            "query-bitmap-info": true,
        }),
    );
}

/// What is gathered one by one is not there when there is nothing.
fn put_some(out: &mut Map<String, Value>, key: &str, found: Map<String, Value>) {
    if !found.is_empty() {
        out.insert(key.to_owned(), Value::Object(found));
    }
}

fn block_statistics() -> Value {
    let mut out = Map::new();
    for operation in ["rd", "wr", "flush", "unmap", "zone_append"] {
        for (prefix, suffix) in [
            ("", "operations"),
            ("failed_", "operations"),
            ("invalid_", "operations"),
            ("", "total_time_ns"),
        ] {
            out.insert(format!("{prefix}{operation}_{suffix}"), json!(0));
        }
        if operation != "flush" {
            out.insert(format!("{operation}_bytes"), json!(0));
            out.insert(format!("{operation}_merged"), json!(0));
        }
    }
    out.insert("wr_highest_offset".to_owned(), json!(0));
    out.insert("account_failed".to_owned(), json!(true));
    out.insert("account_invalid".to_owned(), json!(true));
    out.insert("timed_stats".to_owned(), json!([]));
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_come_from_the_configuration() {
        let guest = Guest::new(
            1,
            "pve1",
            &[
                ("cores", "2"),
                ("sockets", "2"),
                ("memory", "current=1024"),
                ("boot", "order=net0;usb0;ide2;scsi1"),
                ("ide2", "a:iso/x.iso,media=cdrom,size=5G"),
                ("net0", "virtio=AA:BB:CC:00:00:01,size=6G"),
                ("scsi0", "a:b,size=1G"),
                ("scsi1", "a:c,size=2G,ssd=1"),
                ("usb0", "host=1-1"),
            ],
        );
        let size = measure(&guest);
        assert_eq!((size.cpus, size.memory, size.disk), (4, 1 << 30, 2 << 30));
        for (boot, disk) in [
            ("order=net0;scsi0", 1 << 30),
            // Nothing is booted from: its disks do not count.
            ("order=net0", 0),
            (" ", 0),
            ("cdn", 2 << 30),
        ] {
            let guest = Guest::new(
                1,
                "pve1",
                &[
                    ("boot", boot),
                    ("bootdisk", "scsi1"),
                    ("scsi0", "a:b,size=1G"),
                    ("scsi1", "a:c,size=2G"),
                ],
            );
            assert_eq!(measure(&guest).disk, disk, "{boot}");
        }
        let bare = measure(&Guest::new(1, "pve1", &[]));
        assert_eq!((bare.cpus, bare.memory, bare.disk), (1, 512 << 20, 0));
    }
}
