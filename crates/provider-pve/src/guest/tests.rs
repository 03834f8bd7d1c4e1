//! What a comparison comes to, for every field of a spec: absent, default or explicit, against a
//! live value that is absent, equal, spelled differently, or another one.

mod cloudinit;
mod disks;
mod firstboot;
mod identity;
mod networks;
mod raw;
mod scalars;
mod schema;
mod together;
mod unnamed;

use std::collections::BTreeSet;

use pvx_core::desired::GuestSpec;
use pvx_core::live::{Guest, identity as uuid_of};
use pvx_core::provider::{Comparison, GuestKind, Wanted};

use super::Qemu;

/// A live guest that is what `spec()` asks for, with these keys besides.
fn live(config: &[(&str, &str)]) -> Guest {
    let uuid = format!("uuid={}", uuid_of("lab", "k3s", "w01"));
    let base = [("name", "w01"), ("tags", "k3s;pvx-k3s"), ("smbios1", uuid.as_str())];
    let all = base.iter().chain(config);
    let config = all.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Guest { vmid: 1000, node: "pve1".to_owned(), config, ..Guest::default() }
}

fn spec(change: impl FnOnce(&mut GuestSpec)) -> GuestSpec {
    let tags = BTreeSet::from(["k3s".to_owned(), "pvx-k3s".to_owned()]);
    let mut spec = GuestSpec { tags, ..GuestSpec::default() };
    change(&mut spec);
    spec
}

fn compare(spec: &GuestSpec, before: &[&str], live: &Guest) -> Comparison {
    let managed_before = before.iter().map(|path| (*path).to_owned()).collect();
    let identity = uuid_of("lab", "k3s", "w01");
    Qemu.compare(&Wanted { name: "w01", identity, spec, managed_before: &managed_before }, live)
}

fn create(spec: &GuestSpec) -> Comparison {
    let identity = uuid_of("lab", "k3s", "w01");
    let nothing = BTreeSet::new();
    let wanted = Wanted { name: "w01", identity, spec, managed_before: &nothing };
    Qemu.create(&wanted, &Guest::default())
}

/// `set` and `delete` in one line: `cores=2 -onboot scsi0→20G`, and findings by code.
fn line(comparison: &Comparison) -> String {
    let set = comparison.set.iter().map(|(k, v)| format!("{k}={v}"));
    let delete = comparison.delete.iter().map(|k| format!("-{k}"));
    let resize = comparison.resize.iter().map(|(slot, size)| format!("{slot}→{}M", size >> 20));
    let moves = comparison.moves.iter().map(|m| {
        let format = m.format.as_ref().map_or_else(String::new, |f| format!(":{f}"));
        format!("{}⇒{}{format}", m.slot, m.storage)
    });
    let detach = comparison.detach.iter().map(|d| {
        let erase = d.erase.as_ref().map_or_else(String::new, |(u, v)| format!("!{u}={v}"));
        format!("⏏{}{erase}", d.slot)
    });
    let erase = comparison.erase.iter().map(|(unused, volume)| format!("!{unused}={volume}"));
    let disks = moves.chain(detach).chain(erase);
    let findings = comparison.findings.iter().map(|f| format!("{:?}:{}", f.weight, f.code));
    set.chain(delete).chain(resize).chain(disks).chain(findings).collect::<Vec<_>>().join(" ")
}

/// Paths of attributes with before and after.
fn attributes(comparison: &Comparison) -> Vec<String> {
    let word = |v: &Option<String>| v.clone().unwrap_or_else(|| "∅".to_owned());
    let text = |a: &pvx_core::plan::AttributeChange| {
        format!("{} {} → {}", a.path, word(&a.before), word(&a.after))
    };
    comparison.attributes.iter().map(text).collect()
}

#[test]
fn what_is_as_it_should_be_is_not_touched() {
    let comparison = compare(&spec(|_| {}), &[], &live(&[("onboot", "1"), ("net0", "virtio")]));
    assert_eq!((line(&comparison), attributes(&comparison)), (String::new(), vec![]));
    assert!(comparison.is_empty());
}
