//! Values that Proxmox refuses together.

use pvx_core::desired::{GuestSpec, Setting};
use pvx_core::schema::{self, Shape};

use super::{compare, create, line, live, spec};
use crate::codec::{PropertyString, default_key};

/// `key=value` as documents say it.
fn say(spec: &mut GuestSpec, text: &str) {
    let (key, value) = text.split_once('=').unwrap();
    if !matches!(schema::key(key).unwrap().shape, Shape::Properties(_)) {
        spec.set(key, value);
        return;
    }
    let parsed = PropertyString::parse(value, default_key(key)).unwrap();
    let all = parsed.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    spec.settings.insert(key.to_owned(), Setting::Properties(all));
}

/// What documents say, what is stored, and the error.
type Case =
    (&'static [&'static str], &'static [(&'static str, &'static str)], Option<&'static str>);

const CASES: &[Case] = &[
    (&["balloon=2048", "memory=1024"], &[], Some("balloon")),
    (&["balloon=1024", "memory=1024"], &[], None),
    (&["balloon=1024"], &[], Some("balloon")),
    (&["balloon=1024"], &[("memory", "2048")], None),
    (&["memory=512"], &[("memory", "2048"), ("balloon", "1024")], Some("balloon")),
    // As it is: nothing is written.
    (&["balloon=2048"], &[("memory", "1024"), ("balloon", "2048")], None),
    (&["vcpus=4", "cores=2"], &[], Some("vcpus")),
    (&["vcpus=4", "cores=2"], &[("sockets", "2")], None),
    (&["cores=1"], &[("cores", "4"), ("vcpus", "2")], Some("vcpus")),
    (&["hugepages=any"], &[], Some("hugepages")),
    (&["hugepages=any", "numa=1"], &[], None),
    (&["hotplug=disk,memory", "memory=2048"], &[], Some("memory-hotplug")),
    (&["hotplug=disk,memory", "memory=2048", "numa=1"], &[], None),
    (&["hotplug=disk,memory", "memory=512", "numa=1"], &[], Some("memory-hotplug")),
    (&["memory=2100"], &[("hotplug", "memory"), ("numa", "1")], Some("memory-hotplug")),
    (&["memory=1536"], &[("hotplug", "memory"), ("numa", "1")], None),
    (&["memory=2100"], &[("numa", "1")], None),
    (
        &["numa=0"],
        &[("hotplug", "memory"), ("numa", "1"), ("memory", "2048")],
        Some("memory-hotplug"),
    ),
    (
        &["numa=1", "memory=2048", "hotplug=memory", "numa0=cpus=0,memory=2048"],
        &[],
        Some("memory-hotplug"),
    ),
    (
        &["virtiofs0=dirid=share"],
        &[("hotplug", "memory"), ("numa", "1"), ("memory", "2048")],
        Some("memory-hotplug"),
    ),
    (&["numa=1", "memory=2048", "numa0=cpus=0,memory=1024"], &[], Some("numa")),
    (&["numa=1", "memory=2048", "numa0=cpus=0,memory=1024", "numa1=cpus=1,memory=1024"], &[], None),
    (&["numa=1", "numa0=cpus=0"], &[], Some("numa")),
    (&["numa0=cpus=0,memory=1024"], &[], None),
    (&["machine=type=pc,viommu=intel"], &[], Some("machine")),
    (&["machine=type=q35,viommu=intel"], &[], None),
    (&["machine=type=q35,viommu=intel,aw-bits=40"], &[], Some("machine")),
    (&["machine=type=q35,aw-bits=39"], &[], Some("machine")),
    (&["vga=type=serial0,clipboard=vnc"], &[], Some("vga")),
    (&["vga=type=qxl2,clipboard=vnc"], &[], None),
    (&["hostpci0=mapping=gpu,pcie=1"], &[], Some("hostpci")),
    (&["hostpci0=mapping=gpu,pcie=1"], &[("machine", "pc-q35-9.2")], None),
    (&["boot=order=scsi0;net0"], &[("scsi0", "local:vm-1000-disk-0,size=1G")], Some("boot")),
    (&["boot=order=scsi0"], &[("scsi0", "local:vm-1000-disk-0,size=1G")], None),
];

#[test]
fn what_proxmox_would_refuse_is_an_error_before_anything_is_written() {
    for (said, stored, expected) in CASES {
        let spec = spec(|spec| said.iter().for_each(|text| say(spec, text)));
        let found = compare(&spec, &[], &live(stored));
        let found: Vec<&str> = found.findings.iter().map(|f| f.code.as_str()).collect();
        let expected: Vec<&str> = expected.iter().copied().collect();
        assert_eq!(found, expected, "{said:?} on {stored:?}");
    }
}

#[test]
fn a_new_guest_is_held_to_the_same() {
    let spec = spec(|spec| say(spec, "boot=order=scsi0"));
    assert!(line(&create(&spec)).contains("Error:boot"), "{}", line(&create(&spec)));
}

/// The reader is sent to a key that documents say, not to one that came with the template.
#[test]
fn the_finding_is_about_what_is_said() {
    for (said, stored, path) in [
        (&["balloon=8192", "memory=4096"][..], ("cores", "2"), Some("balloon")),
        (&["cores=2"], ("vcpus", "4"), Some("cores")),
        (&["hostpci0=mapping=gpu,pcie=1"], ("cores", "2"), None),
    ] {
        let spec = spec(|spec| said.iter().for_each(|text| say(spec, text)));
        let found = compare(&spec, &[], &live(&[stored])).findings;
        assert_eq!(found[0].path.as_deref(), path, "{said:?}: {found:?}");
    }
}
