//! Keys with one value.

use pvx_core::desired::GuestSpec;
use pvx_core::provider::GuestKind;

use super::{Qemu, attributes, compare, line, live, spec};

/// A field: its key, how it is said, the stored spellings that mean the same, whether an absent
/// key means the same, and another value.
struct Field {
    key: &'static str,
    say: fn(&mut GuestSpec),
    same: &'static [&'static str],
    default: bool,
    other: &'static str,
    set: &'static str,
}

const fn field(
    key: &'static str,
    say: fn(&mut GuestSpec),
    same: &'static [&'static str],
    default: bool,
    other: &'static str,
    set: &'static str,
) -> Field {
    Field { key, say, same, default, other, set }
}

const FIELDS: &[Field] = &[
    field("cores", |s| s.set("cores", "2"), &["2", "02"], false, "4", "2"),
    field("cores", |s| s.set("cores", "1"), &["1"], true, "4", "1"),
    field("sockets", |s| s.set("sockets", "2"), &["2"], false, "1", "2"),
    field("sockets", |s| s.set("sockets", "1"), &["1"], true, "2", "1"),
    field("memory", |s| s.set("memory", "4096"), &["4096", "current=4096"], false, "2048", "4096"),
    field("memory", |s| s.set("memory", "512"), &["512"], true, "2048", "512"),
    field(
        "cpu",
        |s| s.set_property("cpu", "cputype", "host"),
        &["host", "cputype=host", "host,hidden=0"],
        false,
        "kvm64",
        "host",
    ),
    field("cpu", |s| s.set_property("cpu", "cputype", "kvm64"), &["kvm64"], true, "host", "kvm64"),
    field("bios", |s| s.set("bios", "ovmf"), &["ovmf"], false, "seabios", "ovmf"),
    field("bios", |s| s.set("bios", "seabios"), &["seabios"], true, "ovmf", "seabios"),
    field(
        "machine",
        |s| s.set_property("machine", "type", "q35"),
        &["q35", "type=q35", "pc-q35-9.2+pve1"],
        false,
        "pc",
        "q35",
    ),
    field(
        "machine",
        |s| s.set_property("machine", "type", "pc"),
        &["pc", "pc-i440fx-9.2"],
        true,
        "q35",
        "pc",
    ),
    field(
        "machine",
        |s| s.set_property("machine", "type", "pc-q35-9.0"),
        &["pc-q35-9.0"],
        false,
        "pc-q35-9.2",
        "pc-q35-9.0",
    ),
    field(
        "scsihw",
        |s| s.set("scsihw", "virtio-scsi-single"),
        &["virtio-scsi-single"],
        false,
        "lsi",
        "virtio-scsi-single",
    ),
    field("scsihw", |s| s.set("scsihw", "lsi"), &["lsi"], true, "pvscsi", "lsi"),
    field("ostype", |s| s.set("ostype", "l26"), &["l26"], false, "win11", "l26"),
    field("ostype", |s| s.set("ostype", "other"), &["other"], true, "l26", "other"),
    field("onboot", |s| s.set("onboot", "1"), &["1", "yes", "on"], false, "0", "1"),
    field("onboot", |s| s.set("onboot", "0"), &["0", "no"], true, "1", "0"),
    field("protection", |s| s.set("protection", "1"), &["1"], false, "0", "1"),
    field("protection", |s| s.set("protection", "0"), &["0"], true, "1", "0"),
    field(
        "agent",
        |s| s.set_property("agent", "enabled", "1"),
        &["1", "enabled=1", "1,fstrim_cloned_disks=1"],
        false,
        "0",
        "1",
    ),
    field(
        "agent",
        |s| s.set_property("agent", "enabled", "0"),
        &["0", "enabled=0", "type=isa"],
        true,
        "1",
        "0",
    ),
    field("description", |s| s.set("description", "a\nb \n"), &["a\nb"], false, "c", "a\nb \n"),
    field("description", |s| s.set("description", ""), &[], true, "c", ""),
];

#[test]
fn said_against_what_is_stored() {
    for field in FIELDS {
        let wanted = spec(field.say);
        for same in field.same {
            let comparison = compare(&wanted, &[], &live(&[(field.key, same)]));
            assert_eq!(line(&comparison), "", "{} is {same}", field.key);
            assert!(comparison.managed.contains(field.key));
        }
        let other = compare(&wanted, &[], &live(&[(field.key, field.other)]));
        assert_eq!(line(&other), format!("{}={}", field.key, field.set), "{}", field.other);
        assert_eq!(attributes(&other), [format!("{} {} → {}", field.key, field.other, field.set)]);
        let absent = compare(&wanted, &[], &live(&[]));
        let absent_is_same = absent.is_empty() && absent.attributes.is_empty();
        assert_eq!(absent_is_same, field.default, "{} {}", field.key, field.set);
    }
}

#[test]
fn not_said() {
    for field in FIELDS {
        let stored = live(&[(field.key, field.other)]);
        // Never said: not managed. Said before: back to the default.
        assert_eq!(line(&compare(&spec(|_| {}), &[], &stored)), "");
        let dropped = compare(&spec(|_| {}), &[field.key], &stored);
        assert_eq!(line(&dropped), format!("-{}", field.key));
        assert_eq!(attributes(&dropped), [format!("{} {} → ∅", field.key, field.other)]);
        assert_eq!(line(&compare(&spec(|_| {}), &[field.key], &live(&[]))), "");
        assert!(!dropped.managed.contains(field.key));
    }
}

#[test]
fn the_agent_keeps_what_was_set_by_hand() {
    let stored = live(&[("agent", "0,fstrim_cloned_disks=1,type=isa")]);
    let comparison = compare(&spec(|s| s.set_property("agent", "enabled", "1")), &[], &stored);
    assert_eq!(line(&comparison), "agent=1,fstrim_cloned_disks=1,type=isa");
    let absent = compare(&spec(|s| s.set_property("agent", "enabled", "1")), &[], &live(&[]));
    assert_eq!(line(&absent), "agent=1");
}

#[test]
fn memory_below_the_balloon_is_refused() {
    let wanted = spec(|s| s.set("memory", "1024"));
    let table: [(&[(&str, &str)], &str); 7] = [
        (&[("memory", "4096"), ("balloon", "2048")], "memory=1024 Error:balloon"),
        (&[("balloon", "1025")], "memory=1024 Error:balloon"),
        (&[("memory", "4096"), ("balloon", "1024")], "memory=1024"),
        (&[("memory", "4096"), ("balloon", "0")], "memory=1024"),
        (&[("memory", "4096")], "memory=1024"),
        // Odd, and nothing is written.
        (&[("memory", "current=1024"), ("balloon", "2048")], ""),
        (&[("memory", "4096"), ("balloon", "what")], "memory=1024"),
    ];
    for (stored, expected) in table {
        assert_eq!(line(&compare(&wanted, &[], &live(stored))), expected, "{stored:?}");
    }
    let refused = compare(&wanted, &[], &live(&[("balloon", "2048")]));
    let help = refused.findings[0].help.as_deref().unwrap_or_default();
    assert!(help.contains("qm set 1000 --balloon 1024"), "{help}");
    let clone = Qemu.clone_of(&live(&[("balloon", "2048")]), "w01", "note", None);
    let refused = compare(&wanted, &[], &clone);
    let help = refused.findings[0].help.as_deref().unwrap_or_default();
    assert!(help.contains("the template's"), "{help}");
    let silent = compare(&spec(|_| {}), &[], &live(&[("memory", "1024"), ("balloon", "2048")]));
    assert_eq!(line(&silent), "", "nothing is said of memory");
}

#[test]
fn an_id_that_proxmox_made_is_what_was_asked_for() {
    let one = spec(|spec| spec.set("vmgenid", "1"));
    for (stored, set) in [("c0ffee00-0000-4000-8000-000000000001", 0), ("0", 1)] {
        let comparison = compare(&one, &[], &live(&[("vmgenid", stored)]));
        assert_eq!(comparison.set_as_root.len(), set, "{stored}");
    }
    assert_eq!(compare(&one, &[], &live(&[])).set_as_root["vmgenid"], "1");
}
