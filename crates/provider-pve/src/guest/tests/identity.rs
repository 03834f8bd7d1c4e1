//! Name, tags, smbios uuid and the provisional description.

use pvx_core::live::{Guest, identity as uuid_of};
use pvx_core::provider::GuestKind;

use super::{Qemu, compare, create, line, live, spec};

#[test]
fn smbios_keeps_its_other_fields() {
    let id = uuid_of("lab", "k3s", "w01");
    let other = "2b9c5d2e-0000-4000-8000-000000000000";
    let table = [
        (format!("uuid={}", id.to_string().to_uppercase()), String::new()),
        (format!("base64=1,serial=UTE9PQ==,uuid={id}"), String::new()),
        (
            format!("base64=1,manufacturer=UHJveG1veA==,uuid={other},serial=UTE9PQ=="),
            format!("smbios1=base64=1,manufacturer=UHJveG1veA==,uuid={id},serial=UTE9PQ=="),
        ),
        ("serial=x".to_owned(), format!("smbios1=serial=x,uuid={id}")),
        ("uuid=nonsense".to_owned(), format!("smbios1=uuid={id}")),
        // Not even a property string: replaced.
        ("nonsense".to_owned(), format!("smbios1=uuid={id}")),
    ];
    for (stored, expected) in table {
        assert_eq!(line(&compare(&spec(|_| {}), &[], &live(&[("smbios1", &stored)]))), expected);
    }
    let mut none = live(&[]);
    none.config.remove("smbios1");
    assert_eq!(line(&compare(&spec(|_| {}), &[], &none)), format!("smbios1=uuid={id}"));
}

#[test]
fn tags_are_a_set() {
    for stored in ["pvx-k3s;k3s", "K3S,pvx-k3s", "k3s pvx-k3s"] {
        assert_eq!(line(&compare(&spec(|_| {}), &[], &live(&[("tags", stored)]))), "", "{stored}");
    }
    for stored in ["pvx-k3s", "pvx-k3s;k3s;x", ""] {
        let comparison = compare(&spec(|_| {}), &[], &live(&[("tags", stored)]));
        assert_eq!(line(&comparison), "tags=k3s;pvx-k3s", "{stored}");
    }
}

#[test]
fn the_provisional_description_goes() {
    let id = uuid_of("lab", "k3s", "w01");
    let note = format!("pvx is making k3s/w01 ({id})");
    let own = spec(|s| s.set("description", "own"));
    assert_eq!(
        line(&compare(&spec(|_| {}), &[], &live(&[("description", &note)]))),
        "-description"
    );
    let stored = format!("{note}\n");
    assert_eq!(
        line(&compare(&spec(|_| {}), &[], &live(&[("description", &stored)]))),
        "-description"
    );
    assert_eq!(line(&compare(&own, &[], &live(&[("description", &note)]))), "description=own");
    // What people wrote is theirs.
    for text in ["pvx is making my life easier", "notes", &format!("{note} and more")] {
        assert_eq!(
            line(&compare(&spec(|_| {}), &[], &live(&[("description", text)]))),
            "",
            "{text}"
        );
    }
}

fn template() -> Guest {
    live(&[
        ("template", "1"),
        ("protection", "1"),
        ("scsi0", "local-lvm:base-100-disk-0,size=3G,ssd=1"),
        ("ide2", "local:iso/x.iso,media=cdrom"),
        ("ide3", "local-lvm:vm-100-cloudinit,media=cdrom"),
        ("unused0", "local-lvm:vm-100-disk-9"),
        ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,queues=2"),
        ("smbios1", "base64=1,serial=UTE9PQ==,uuid=2b9c5d2e-0000-4000-8000-000000000000"),
        ("lock", "backup"),
        ("parent", "before"),
    ])
}

#[test]
fn what_a_clone_takes_over() {
    let clone = Qemu.clone_of(&template(), "w02", "note", None);
    let text: Vec<_> = clone.config.iter().map(|(k, v)| format!("{k}: {v}")).collect();
    insta::assert_snapshot!(text.join("\n"), @r"
    description: note
    ide2: local:iso/x.iso,media=cdrom
    ide3: local-lvm:vm-100-cloudinit,media=cdrom
    name: w02
    net0: virtio,bridge=vmbr0,queues=2
    protection: 1
    scsi0: local-lvm:<volume of the clone>,size=3G,ssd=1
    smbios1: base64=1,serial=UTE9PQ==,uuid=00000000-0000-0000-0000-000000000000
    tags: k3s;pvx-k3s
    ");
    let volumes = Qemu.volumes(&clone);
    let slots: Vec<_> = volumes.iter().map(|v| (v.slot.as_str(), v.cloudinit, v.iso)).collect();
    assert_eq!(slots, [("ide2", false, true), ("ide3", true, false), ("scsi0", false, false)]);
}

#[test]
fn a_guest_from_nothing_has_its_identity_from_the_start() {
    let comparison = create(&spec(|_| {}));
    let id = uuid_of("lab", "k3s", "w01");
    assert_eq!(line(&comparison), format!("name=w01 smbios1=uuid={id} tags=k3s;pvx-k3s"));
}
