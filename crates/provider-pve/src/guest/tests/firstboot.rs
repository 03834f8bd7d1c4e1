//! Cloud-init beyond login, keys and network.

use pvx_core::desired::GuestSpec;
use pvx_core::plan::Effect;
use pvx_core::secret::{MARKER, Password, SecretSource};
use pvx_core::snippet::Part;

use super::{attributes, compare, line, live, spec};
use crate::guest::Qemu;
use pvx_core::provider::GuestKind;

const USER: (Part, &str) = (Part::User, "local:snippets/u.yaml");
const VENDOR: (Part, &str) = (Part::Vendor, "a:snippets/v");

/// Wanted files, what was managed before, the live configuration, what is written.
type Case = (
    &'static [(Part, &'static str)],
    &'static [&'static str],
    &'static [(&'static str, &'static str)],
    &'static str,
);

/// The wanted version of a wanted password, what was managed before, is there one, what is written.
type Version<'a> = (Option<Option<u32>>, &'a [&'a str], bool, &'a str);

fn custom(parts: &[(Part, &str)]) -> GuestSpec {
    spec(|s| {
        s.cloudinit.custom = parts.iter().map(|(part, v)| (*part, (*v).to_owned())).collect();
    })
}

fn password(version: Option<u32>) -> GuestSpec {
    let source = SecretSource::Pass("web/root".to_owned());
    spec(|s| s.cloudinit.password = Some(Password { source, version }))
}

#[test]
fn each_file_is_a_matter_of_its_own() {
    let table: [Case; 9] = [
        (&[], &[], &[], ""),
        (&[USER], &[], &[], "cicustom=user=local:snippets/u.yaml"),
        (&[USER], &[], &[("cicustom", "user=local:snippets/u.yaml")], ""),
        (
            &[USER, VENDOR],
            &[],
            &[("cicustom", "vendor=a:snippets/v,user=local:snippets/u.yaml")],
            "",
        ),
        // What the document says nothing of stays.
        (
            &[USER],
            &[],
            &[("cicustom", "meta=a:snippets/m,new=a:snippets/n")],
            "cicustom=new=a:snippets/n,meta=a:snippets/m,user=local:snippets/u.yaml",
        ),
        (&[], &["cores"], &[("cicustom", "user=local:snippets/u.yaml")], ""),
        // What it said before goes.
        (
            &[],
            &["cloudinit.cicustom.user"],
            &[("cicustom", "user=local:snippets/u.yaml")],
            "-cicustom",
        ),
        (
            &[VENDOR],
            &["cloudinit.cicustom.user", "cloudinit.cicustom.vendor"],
            &[("cicustom", "user=local:snippets/u.yaml,vendor=a:snippets/v")],
            "cicustom=vendor=a:snippets/v",
        ),
        (&[], &["cloudinit.cicustom.user"], &[], ""),
    ];
    for (wanted, before, config, expected) in table {
        let comparison = compare(&custom(wanted), before, &live(config));
        assert_eq!(line(&comparison), expected, "{wanted:?} {before:?} {config:?}");
    }
    let read = compare(&custom(&[VENDOR]), &[], &live(&[("cicustom", "vendor=a:snippets/x")]));
    assert_eq!(attributes(&read), ["cloudinit.cicustom.vendor a:snippets/x → a:snippets/v"]);
    assert_eq!(read.managed.iter().filter(|p| p.starts_with("cloudinit.cicustom")).count(), 1);
}

#[test]
fn another_user_data_says_that_cloud_init_runs_again() {
    let drive = ("ide2", "a:vm-1000-cloudinit,media=cdrom");
    let mut guest = live(&[("cicustom", "user=a:snippets/x,vendor=a:snippets/x"), drive]);
    guest.running = true;
    let wanted = custom(&[(Part::User, "a:snippets/y"), (Part::Vendor, "a:snippets/y")]);
    let changes = compare(&wanted, &[], &guest).attributes;
    assert!(changes.iter().all(|change| change.effect == Effect::Pending));
    let again: Vec<bool> =
        changes.iter().map(|change| change.reason.contains("runs again")).collect();
    assert_eq!(again, [true, false]);
}

#[test]
fn defaults_are_no_difference() {
    let upgrade = |on| spec(|s| s.cloudinit.upgrade = Some(on));
    assert_eq!(line(&compare(&upgrade(true), &[], &live(&[]))), "");
    assert_eq!(line(&compare(&upgrade(false), &[], &live(&[]))), "ciupgrade=0");
    assert_eq!(line(&compare(&upgrade(false), &[], &live(&[("ciupgrade", "0")]))), "");
    let dropped = compare(&spec(|_| {}), &["cloudinit.upgrade"], &live(&[("ciupgrade", "0")]));
    assert_eq!(line(&dropped), "-ciupgrade");
    let format = |name: &str| spec(|s| s.cloudinit.format = Some(name.to_owned()));
    assert_eq!(line(&compare(&format("nocloud"), &[], &live(&[("ostype", "l26")]))), "");
    assert_eq!(line(&compare(&format("configdrive2"), &[], &live(&[("ostype", "win11")]))), "");
    assert_eq!(
        line(&compare(&format("nocloud"), &[], &live(&[("ostype", "win11")]))),
        "citype=nocloud"
    );
}

#[test]
fn a_password_is_compared_by_being_there_and_by_its_version() {
    const SET: (&str, &str) = ("cipassword", "**********");
    let set = format!("cipassword={MARKER}");
    let (one, two) = ("cloudinit.password@1", "cloudinit.password@2");
    let table: [Version<'_>; 11] = [
        (Some(None), &[], false, &set),
        (Some(None), &["cloudinit.password"], true, ""),
        (Some(None), &[], true, ""),
        (Some(Some(1)), &[one], true, ""),
        (Some(Some(2)), &[one], true, &set),
        (Some(Some(2)), &["cores"], true, &set),
        // Nothing is remembered: the state is lost.
        (Some(Some(2)), &[], true, ""),
        (Some(Some(2)), &[two], false, &set),
        (None, &[one], true, "-cipassword"),
        (None, &["cloudinit.password"], false, ""),
        (None, &["cores"], true, ""),
    ];
    for (wanted, before, there, expected) in table {
        let guest = if there { live(&[SET]) } else { live(&[]) };
        let wanted = wanted.map_or_else(|| spec(|_| {}), password);
        assert_eq!(line(&compare(&wanted, before, &guest)), expected, "{before:?} {there}");
    }
    let managed = compare(&password(Some(2)), &[one], &live(&[SET])).managed;
    assert!(managed.contains(two) && !managed.contains(one));
}

#[test]
fn the_password_of_a_template_is_not_its_clones() {
    let template = live(&[("cipassword", "**********"), ("template", "1")]);
    let clone = Qemu.clone_of(&template, "w01", "note", None);
    let comparison = compare(&password(None), &[], &clone);
    assert_eq!(comparison.set["cipassword"], MARKER);
}
