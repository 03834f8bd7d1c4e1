//! Disks of guests that run and of guests that do not: detached, attached again, moved, handed
//! over, freed; media changed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

#[path = "support/script.rs"]
mod script;

use script::Script;
use serde_json::{Value, json};

const GUEST: &str = "/nodes/pve1/qemu/200";
const CREATE: (&str, &str) = (
    "POST /nodes/pve1/qemu vmid=200 memory=128 ostype=l26 scsihw=virtio-scsi-pci \
     scsi0=vmdata:0,import-from=local:import/truth-guest.qcow2 scsi1=vmdata:1 \
     sata0=vmdata:1 ide2=local:iso/truth.iso,media=cdrom boot=order=scsi0",
    "OK",
);
const START: (&str, &str) = ("POST status/start", "OK");

/// A guest that runs, the system in it being up.
fn running() -> Script {
    let mut lab = Script::below(GUEST);
    lab.play(&[CREATE, START]);
    lab.direct.advance(5_000);
    lab
}

fn current<const N: usize>(lab: &mut Script, keys: [&str; N]) -> [Value; N] {
    let config = lab.data("GET config?current=1");
    keys.map(|key| config[key].clone())
}

#[test]
fn a_disk_goes_and_comes_back() {
    let mut lab = running();
    lab.play(&[("PUT config delete=scsi1", "done")]);
    let volume = json!("vmdata:200/vm-200-disk-2.raw");
    assert_eq!(current(&mut lab, ["scsi1", "unused0"]), [Value::Null, volume]);
    lab.play(&[("PUT config scsi3=vmdata:200/vm-200-disk-2.raw,discard=on", "done")]);
    let again = json!("vmdata:200/vm-200-disk-2.raw,discard=on,size=1G");
    assert_eq!(current(&mut lab, ["scsi3", "unused0"]), [again, Value::Null]);
    lab.play(&[
        ("PUT config delete=scsi3 force=1", "done"),
        (
            "PUT config sata1=vmdata:200/vm-200-disk-2.raw",
            "volume 'vmdata:200/vm-200-disk-2.raw' does not exist",
        ),
    ]);
    assert_eq!(current(&mut lab, ["scsi3", "unused0"]), [Value::Null, Value::Null]);
}

#[test]
fn what_cannot_be_unplugged_waits_or_is_refused() {
    let mut lab = running();
    lab.play(&[
        ("PUT config delete=sata0", "done"),
        ("PUT config sata0=vmdata:1", "sata0: hotplug problem - can't unplug device 'sata0'\n"),
        ("PUT config revert=sata0", "done"),
        ("PUT config delete=scsi0", "scsi0: hotplug problem - can't unplug bootdisk 'scsi0'\n"),
        ("PUT config revert=scsi0,boot", "done"),
        ("PUT config scsihw=virtio-scsi-single", "done"),
        ("POST status/stop", "OK"),
        START,
        // Nothing is up in it yet: its controller does not go.
        ("PUT config delete=scsi1", "scsi1: hotplug problem - error on hot-unplugging device 'virtioscsi1' - still busy in guest?\n"),
    ]);
}

#[test]
fn media_change_while_a_guest_runs() {
    let mut lab = running();
    for value in ["none,media=cdrom", "local:iso/truth.iso,media=cdrom"] {
        lab.play(&[(&format!("PUT config ide2={value}"), "done")]);
        let [medium] = current(&mut lab, ["ide2"]);
        assert!(medium.as_str().unwrap().starts_with(value.split(',').next().unwrap()), "{medium}");
    }
    lab.play(&[
        ("PUT config ide2=vmdata:1", "ide2: hotplug problem - unable to change media type\n"),
        ("PUT config revert=ide2", "done"),
        ("PUT config delete=ide2", "done"),
    ]);
    assert_ne!(current(&mut lab, ["ide2"]), [Value::Null]);
}

#[test]
fn disks_are_moved() {
    let mut lab = running();
    lab.play(&[
        ("POST move_disk disk=ide2 storage=shared", "you can't move a cdrom"),
        (
            "POST move_disk disk=scsi1 storage=vmdata",
            "you can't move to the same storage with same format",
        ),
        ("POST move_disk disk=scsi1 storage=vmdata format=qcow2", "OK"),
        ("POST move_disk disk=scsi0 storage=shared delete=1", "OK"),
        (
            "POST move_disk disk=sata0 storage=shared digest=x",
            "detected modified configuration - file changed by other user? Try again.",
        ),
        ("POST move_disk disk=unused0 storage=shared delete=1", "OK"),
    ]);
    let disk = |text: &str| json!(format!("{text},size=1G"));
    // What was in use is named with its size; what is unused is not.
    let found = current(&mut lab, ["scsi1", "unused0", "unused1"]);
    let expected = [
        disk("vmdata:200/vm-200-disk-3.qcow2"),
        json!("shared:200/vm-200-disk-1.raw"),
        Value::Null,
    ];
    assert_eq!(found, expected);
}

#[test]
fn disks_change_hands() {
    let mut lab = running();
    lab.play(&[
        ("POST /nodes/pve2/qemu vmid=300", "OK"),
        ("POST /nodes/pve1/qemu vmid=201", "OK"),
        ("POST move_disk disk=scsi1 target-vmid=300", "Both VMs need to be on the same node (pve1 != pve2)"),
        ("POST move_disk disk=scsi1 target-vmid=201", "Cannot move disk to another VM while the source VM is running - detach first"),
        ("POST move_disk disk=scsi1 target-vmid=201 storage=local", "storage: either set 'storage' or 'target-vmid', but not both; target-vmid: either set 'storage' or 'target-vmid', but not both"),
        ("POST move_disk disk=scsi1", "storage: both 'storage' and 'target-vmid' missing, either needs to be set; target-vmid: both 'storage' and 'target-vmid' missing, either needs to be set"),
        ("PUT config delete=scsi1", "done"),
        ("POST move_disk disk=unused0 target-vmid=201 target-disk=virtio5 target-digest=x", "VM 201: detected modified configuration - file changed by other user? Try again."),
        ("POST move_disk disk=unused0 target-vmid=201 target-disk=virtio5", "OK"),
    ]);
    assert_eq!(current(&mut lab, ["unused0"]), [Value::Null]);
    let other = lab.data("GET /nodes/pve1/qemu/201/config");
    assert_eq!(other["virtio5"], "vmdata:201/vm-201-disk-0.raw,size=1G");
    lab.play(&[(
        "POST /nodes/pve1/qemu/201/move_disk disk=virtio5 target-vmid=200 target-disk=unused3",
        "OK",
    )]);
    let [unused] = current(&mut lab, ["unused3"]);
    assert!(unused.as_str().unwrap().ends_with(".raw"), "{unused}");
    lab.play(&[("PUT config delete=unused3", "done")]);
}

#[test]
fn disks_grow() {
    let mut lab = running();
    lab.play(&[
        ("PUT resize disk=scsi1 size=+512M", "OK"),
        ("PUT resize disk=scsi1 size=1536M", "OK"),
        ("PUT resize disk=scsi1 size=1G", "shrinking disks is not supported"),
        ("PUT resize disk=ide2 size=+1G", "you can't resize a cdrom"),
        (
            "PUT resize disk=scsi1 size=2G digest=x",
            "checksum mismatch (file change by other user?)",
        ),
        ("PUT config tpmstate0=vmdata:1,version=v2.0 efidisk0=vmdata:1", "done"),
        ("PUT resize disk=efidisk0 size=1M", "disk 'efidisk0' does not exist"),
        ("POST status/stop", "OK"),
        ("PUT resize disk=efidisk0 size=1M", "OK"),
        ("PUT resize disk=tpmstate0 size=8M", "OK"),
    ]);
    let [scsi, tpm] = current(&mut lab, ["scsi1", "tpmstate0"]);
    assert_eq!(scsi, "vmdata:200/vm-200-disk-2.raw,size=1536M");
    assert!(tpm.as_str().unwrap().contains("size=8M"), "{tpm}");
}
