//! Every key of a guest's configuration, set, changed and removed on a guest that runs and on one
//! that does not: what is in force at once and what waits (`vmconfig_hotplug_pending` and
//! `vmconfig_apply_pending` of qemu-server).

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

#[path = "support/script.rs"]
mod script;

use pvx_sim::Volume;
use script::Script;

const GUEST: &str = "/nodes/pve1/qemu/200";
const CREATE: &str = "POST /nodes/pve1/qemu vmid=200 memory=1024 scsihw=virtio-scsi-pci \
    scsi0=vmdata:0,import-from=local:import/truth-guest.qcow2 scsi1=vmdata:1 boot=order=scsi0 \
    net0=virtio=BC:24:11:00:00:01,bridge=vmbr0";
/// The usual base of a row: a Linux guest.
const LINUX: &str = "ostype=l26";

/// What a change does to a guest that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// In force at once.
    Live,
    /// Waits for the next cold boot.
    Waits,
    /// Nothing is asked: the guest would not start with it, or nothing can change it.
    Unasked,
}
use Does::{Live as L, Unasked as U, Waits as W};

/// Key, what else the guest is made with, two values (the second may be empty), and what setting,
/// changing and removing do.
type Row = (&'static str, &'static str, &'static str, &'static str, [Does; 3]);

const KEYS: &[Row] = &[
    ("acpi", LINUX, "0", "1", [W, W, W]),
    ("affinity", LINUX, "0", "0-1", [W, W, W]),
    ("agent", LINUX, "1", "1,fstrim_cloned_disks=1", [W, L, W]),
    ("agent", "ostype=l26 agent=1,type=isa", "1,type=virtio", "0", [W, W, W]),
    ("allow-ksm", LINUX, "0", "1", [W, W, W]),
    ("amd-sev", LINUX, "type=std", "", [W, U, U]),
    ("arch", LINUX, "x86_64", "", [W, U, W]),
    ("args", LINUX, "-smbios~type=1", "-smbios~type=2", [W, W, W]),
    ("audio0", LINUX, "device=ich9-intel-hda", "device=AC97", [W, W, W]),
    ("autostart", LINUX, "1", "0", [W, W, W]),
    ("balloon", LINUX, "512", "256", [L, L, L]),
    ("balloon", LINUX, "0", "256", [W, W, L]),
    ("balloon", LINUX, "0", "", [W, U, W]),
    ("bios", "ostype=l26 efidisk0=vmdata:1", "ovmf", "seabios", [W, W, W]),
    ("boot", LINUX, "order=scsi1", "order=net0;scsi0", [W, W, W]),
    ("bootdisk", LINUX, "scsi0", "scsi1", [W, W, W]),
    ("cicustom", LINUX, "user=local:snippets/a.yaml", "vendor=local:snippets/a.yaml", [L, L, L]),
    ("cipassword", LINUX, "one", "two", [L, L, L]),
    ("citype", LINUX, "nocloud", "configdrive2", [L, L, L]),
    ("ciupgrade", LINUX, "0", "1", [L, L, L]),
    ("ciuser", LINUX, "one", "two", [L, L, L]),
    ("cores", LINUX, "2", "1", [W, W, W]),
    ("cpu", LINUX, "kvm64", "x86-64-v2", [W, W, W]),
    ("cpulimit", LINUX, "1", "0.5", [L, L, L]),
    ("cpuunits", LINUX, "200", "300", [L, L, L]),
    ("description", LINUX, "one", "two", [L, L, L]),
    ("efidisk0", LINUX, "vmdata:1,efitype=4m", "vmdata:1,efitype=4m", [W, W, W]),
    ("freeze", LINUX, "1", "0", [W, W, W]),
    ("hookscript", LINUX, "local:snippets/a.yaml", "local:snippets/b.yaml", [L, L, L]),
    ("hostpci0", LINUX, "0000:01:00.0", "", [W, U, U]),
    ("hotplug", LINUX, "disk", "network,disk", [L, L, L]),
    ("hotplug", LINUX, "disk,cpu", "disk", [W, W, L]),
    ("hotplug", LINUX, "disk,cpu", "", [W, U, W]),
    ("hugepages", LINUX, "2", "", [W, U, U]),
    ("ide0", LINUX, "none,media=cdrom", "local:iso/truth.iso,media=cdrom", [W, L, W]),
    ("ide1", LINUX, "vmdata:1", "", [W, U, W]),
    ("intel-tdx", LINUX, "type=tdx,attestation=0", "", [W, U, U]),
    ("ipconfig0", LINUX, "ip=dhcp", "ip6=auto", [L, L, L]),
    ("ivshmem", LINUX, "size=32", "size=64", [W, W, W]),
    ("keephugepages", LINUX, "1", "0", [W, W, W]),
    ("keyboard", LINUX, "de", "en-us", [W, W, W]),
    ("kvm", LINUX, "0", "1", [W, W, W]),
    ("localtime", LINUX, "1", "0", [W, W, W]),
    ("machine", LINUX, "q35", "pc", [W, W, W]),
    ("memory", LINUX, "2048", "512", [W, W, W]),
    ("migrate_downtime", LINUX, "0.2", "1", [L, L, L]),
    ("migrate_speed", LINUX, "5", "6", [L, L, L]),
    ("name", LINUX, "one", "two", [L, L, L]),
    ("nameserver", LINUX, "192.0.2.1", "192.0.2.2", [L, L, L]),
    (
        "net1",
        LINUX,
        "virtio=BC:24:11:00:00:02,bridge=vmbr0",
        "virtio=BC:24:11:00:00:02,bridge=vmbr0,tag=5",
        [L, L, L],
    ),
    (
        "net1",
        "ostype=l26 hotplug=0",
        "virtio=BC:24:11:00:00:02,bridge=vmbr0",
        "virtio=BC:24:11:00:00:02,bridge=vmbr0,tag=5,rate=1,firewall=1,link_down=1",
        [W, L, W],
    ),
    (
        "net1",
        "ostype=l26 hotplug=0",
        "virtio=BC:24:11:00:00:02,bridge=vmbr0",
        "virtio=BC:24:11:00:00:02,bridge=vmbr0,mtu=1400",
        [W, W, W],
    ),
    ("numa", LINUX, "1", "0", [W, W, W]),
    ("numa0", LINUX, "cpus=0,memory=1024", "", [W, U, U]),
    ("onboot", LINUX, "1", "0", [L, L, L]),
    ("ostype", "", "l24", "l26", [W, W, W]),
    ("parallel0", LINUX, "/dev/parport0", "", [W, U, U]),
    ("protection", LINUX, "1", "0", [L, L, L]),
    ("reboot", LINUX, "0", "1", [W, W, W]),
    ("rng0", LINUX, "source=/dev/urandom", "source=/dev/random", [W, W, W]),
    ("sata0", LINUX, "vmdata:1", "", [W, U, W]),
    ("scsi2", LINUX, "vmdata:1", "", [L, U, L]),
    ("scsi2", "ostype=l26 hotplug=0", "vmdata:1", "", [W, U, W]),
    ("scsi3", LINUX, "none,media=cdrom", "local:iso/truth.iso,media=cdrom", [L, L, L]),
    ("scsihw", LINUX, "virtio-scsi-single", "lsi", [W, W, W]),
    ("searchdomain", LINUX, "one.example", "two.example", [L, L, L]),
    ("serial0", LINUX, "socket", "/dev/ttyS0", [W, W, W]),
    ("shares", LINUX, "100", "200", [L, L, L]),
    ("smbios1", LINUX, "product=b25l", "product=dHdv", [W, W, W]),
    ("sockets", LINUX, "2", "1", [W, W, W]),
    ("spice_enhancements", LINUX, "foldersharing=1", "videostreaming=all", [W, W, W]),
    ("sshkeys", LINUX, "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIMyH%20one", "", [L, U, L]),
    ("startdate", LINUX, "2026-01-01", "now", [W, W, W]),
    ("startup", LINUX, "order=1", "order=2", [L, L, L]),
    ("tablet", LINUX, "0", "1", [L, L, L]),
    ("tablet", "ostype=l26 hotplug=disk", "0", "1", [W, W, W]),
    ("tags", LINUX, "one", "two", [L, L, L]),
    ("tdf", LINUX, "1", "0", [W, W, W]),
    ("template", LINUX, "1", "", [W, U, U]),
    ("tpmstate0", LINUX, "vmdata:1,version=v2.0", "", [W, U, W]),
    ("usb0", LINUX, "spice", "host=1234:5678", [L, L, L]),
    ("usb0", "ostype=other", "spice", "host=1234:5678", [W, W, W]),
    ("usb0", "ostype=l26 hotplug=disk", "spice", "host=1234:5678", [W, W, W]),
    ("vcpus", LINUX, "1", "", [W, U, W]),
    ("vcpus", "ostype=l26 hotplug=cpu cores=2", "1", "2", [L, L, L]),
    ("vga", LINUX, "std", "qxl", [W, W, W]),
    ("virtio0", LINUX, "vmdata:1", "", [L, U, L]),
    (
        "vmgenid",
        LINUX,
        "11111111-2222-4333-8444-000000000001",
        "11111111-2222-4333-8444-000000000002",
        [W, W, W],
    ),
    ("vmstatestorage", LINUX, "local", "vmdata", [L, L, L]),
    ("watchdog", LINUX, "model=i6300esb", "action=reset", [W, W, W]),
];

impl Script {
    /// A guest as a row wants it, made by root itself; it runs, and the system in it is up.
    fn made(with: &str) -> Self {
        let mut lab = Self::below(GUEST);
        "root@pam".clone_into(&mut lab.caller);
        for name in ["a", "b"] {
            let volume = Volume { content: "snippets".to_owned(), size: 9, ..Volume::default() };
            let volid = format!("local:snippets/{name}.yaml");
            assert!(lab.direct.world_mut().add_volume("pve1", &volid, volume));
        }
        let line = format!("{CREATE} {with}");
        assert_eq!(lab.outcome(line.trim_end()), "OK", "{with}");
        lab
    }

    fn boot(&mut self) -> String {
        let outcome = self.outcome("POST status/start");
        self.direct.advance(5_000);
        outcome
    }

    /// Changes a key, and looks whether that waits; an error as it is told.
    fn change(&mut self, key: &str, change: &str) -> Result<Does, String> {
        let before = self.current(key);
        let outcome = self.outcome(&format!("PUT config {change}"));
        if outcome != "done" {
            return Err(outcome);
        }
        let waits = self.waits().iter().any(|item| item == key);
        if waits == (self.current(key) != before) {
            return Err("neither waits nor is in force".to_owned());
        }
        Ok(if waits { Does::Waits } else { Does::Live })
    }

    fn current(&mut self, key: &str) -> Option<String> {
        let guest = self.direct.world().guests().find(|guest| guest.vmid == 200)?;
        guest.get(key).map(str::to_owned)
    }

    /// The keys that wait.
    fn waits(&mut self) -> Vec<String> {
        let items = self.data("GET pending");
        let items = items.as_array().unwrap().iter();
        let waits =
            items.filter(|item| item.get("pending").is_some() || item.get("delete").is_some());
        waits.map(|item| item["key"].as_str().unwrap().to_owned()).collect()
    }

    /// A cold boot, after which nothing waits.
    fn cold(&mut self) -> Result<(), String> {
        let outcomes = (self.outcome("POST status/stop"), self.waits(), self.boot());
        let wanted = ("OK".to_owned(), Vec::new(), "OK".to_owned());
        if outcomes == wanted { Ok(()) } else { Err(format!("cold boot: {outcomes:?}")) }
    }
}

/// What a row comes to on a guest that runs, but for what is not asked.
fn running((key, with, first, second, does): &Row) -> Result<Vec<Does>, String> {
    let mut lab = Script::made(with);
    assert_eq!(lab.boot(), "OK", "{with}");
    let mut found = Vec::new();
    let steps = [format!("{key}={first}"), format!("{key}={second}"), format!("delete={key}")];
    for (step, _) in steps.iter().zip(does).filter(|(_, does)| **does != Does::Unasked) {
        // What waited is in force after a cold boot.
        if found.last() == Some(&Does::Waits) {
            lab.cold()?;
        }
        found.push(lab.change(key, step).map_err(|error| format!("{step}: {error}"))?);
    }
    Ok(found)
}

/// The same on one that does not run, where all is in force at once.
fn stopped((key, with, first, second, _): &Row) -> Result<(), String> {
    let mut lab = Script::made(with);
    let values = [*first, *second];
    let sets = values.iter().filter(|value| !value.is_empty());
    let sets = sets.map(|value| format!("{key}={value}"));
    for step in sets.chain([format!("delete={key}")]) {
        let does = lab.change(key, &step).map_err(|error| format!("{step}: {error}"))?;
        if does != Does::Live {
            return Err(format!("{step}: {does:?}"));
        }
    }
    if lab.current(key).is_some() { Err(format!("{key} is left")) } else { Ok(()) }
}

#[test]
fn of_a_guest_that_runs() {
    let mut wrong = Vec::new();
    for row in KEYS {
        let wanted = row.4.into_iter().filter(|does| *does != Does::Unasked).collect();
        let found = running(row);
        if found != Ok(wanted) {
            wrong.push(format!("{row:?}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn of_a_guest_that_does_not_run() {
    let wrong: Vec<_> = KEYS.iter().filter_map(|row| Some((row, stopped(row).err()?))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What makes waiting changes real: a stop and a reboot of QEMU, a start; not what happens inside.
#[test]
fn a_cold_boot_is_a_new_process() {
    let waits = |lab: &mut Script| lab.waits();
    let mut lab = Script::made("ostype=l26 agent=1");
    assert_eq!(lab.boot(), "OK");
    let change = ("PUT config cores=2", "done");
    lab.play(&[change, ("POST status/reset", "OK"), ("POST status/suspend todisk=1", "OK")]);
    assert_eq!(waits(&mut lab), ["cores"]);
    // It goes on with the process that it had.
    assert_eq!(lab.boot(), "OK");
    assert_eq!(waits(&mut lab), ["cores"]);
    lab.play(&[("POST status/reboot", "OK")]);
    lab.direct.advance(5_000);
    assert_eq!((waits(&mut lab), lab.current("cores").as_deref()), (Vec::new(), Some("2")));
    // The system inside powers off: nobody but the next start looks at what waits.
    lab.play(&[("PUT config cores=1", "done")]);
    lab.data("POST agent command=shutdown");
    assert_eq!(waits(&mut lab), ["cores"]);
    assert_eq!(lab.boot(), "OK");
    assert_eq!((waits(&mut lab), lab.current("cores").as_deref()), (Vec::new(), Some("1")));
    // A start that fails has applied it all the same.
    lab.play(&[("PUT config cores=64", "done")]);
    lab.data("POST agent command=shutdown");
    assert_eq!(lab.boot(), "MAX 2 vcpus allowed per VM on this node");
    assert_eq!((waits(&mut lab), lab.current("cores").as_deref()), (Vec::new(), Some("64")));
}
