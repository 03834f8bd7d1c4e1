//! Guests that are made anew, where that was said.

use insta::assert_snapshot;
use pvx_core::desired::{CloneMode, Disk, VmidRequest};
use pvx_core::plan::{Intent, Verb};

use crate::lab::{GIB, LOCAL, Lab, clone_of, made};

/// Plans, carries out, and plans again without `--replace`.
fn replaced(lab: &mut Lab) -> String {
    lab.options.replace = vec!["k3s/w01".to_owned()];
    let plan = lab.plan(Intent::Apply);
    lab.options.replace.clear();
    if !plan.is_blocked() {
        lab.carry_out(&plan);
        let again = lab.apply();
        assert_eq!(again, "nothing to do");
    }
    crate::text::of(&plan)
}

#[test]
fn a_guest_is_made_anew_at_its_number_and_its_kept_disk_comes_back() {
    let mut lab = made(|g| {
        let disk = Disk {
            size: Some(5 * GIB),
            storage: Some("local-lvm".into()),
            keep: true,
            ..Disk::default()
        };
        g.spec.disks.insert("scsi1".into(), disk);
    });
    assert_snapshot!(replaced(&mut lab));
    assert_eq!(lab.get(1000, "scsi1"), "local-lvm:vm-1000-disk-scsi1,size=5G");
    assert_eq!(lab.snapshot.guests.len(), 3, "two templates and the guest");
}

#[test]
fn what_cannot_be_changed_in_place_is_there_afterwards() {
    let mut lab = made(|g| {
        g.spec.boot_disk = Some(9 * GIB);
    });
    lab.first().spec.boot_disk = Some(4 * GIB);
    lab.first().vmid = VmidRequest::Fixed(1005);
    assert!(lab.apply().contains("× disk-shrink"));
    lab.first().origin = clone_of(LOCAL, CloneMode::Full);
    assert_snapshot!(replaced(&mut lab));
    assert!(lab.get(1005, "scsi0").ends_with("size=4G"));
}

#[test]
fn another_template_is_said_and_changes_nothing_by_itself() {
    let mut lab = made(|_| {});
    lab.first().origin = clone_of(LOCAL, CloneMode::Full);
    let text = lab.apply();
    assert_snapshot!(text, @"! template-differs: k3s/w01 was made from 100, the document says 102: a template is only read once");
    assert_eq!(lab.apply(), text);
    assert!(replaced(&mut lab).contains("template 100 → 102 (Replace)"));
}

#[test]
fn nobody_is_replaced_who_was_not_named() {
    let mut lab = made(|_| {});
    lab.options.replace = vec!["k3s".to_owned()];
    assert!(lab.apply().contains("× unknown-replace: --replace k3s matches no guest"));
    lab.options.replace = vec!["k3s/w01".to_owned()];
    lab.config(1000, "protection", "1");
    assert!(lab.apply().contains("× protected"));
    lab.options.replace.clear();
    let plan = lab.plan(Intent::Apply);
    assert!(plan.changes.iter().all(|change| change.verb != Verb::Replace));
}

#[test]
fn a_guest_that_is_not_there_is_only_made() {
    let mut lab = made(|_| {});
    lab.destroy();
    let text = replaced(&mut lab);
    assert!(text.contains("Create k3s/w01"), "{text}");
}
