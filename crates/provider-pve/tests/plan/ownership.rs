//! Whose is a guest? Guests that look like ours, nearly are, or cannot be seen.

use insta::assert_snapshot;
use pvx_core::desired::{Placement, VmidRequest};
use pvx_core::live;
use pvx_core::plan::{Intent, Plan, Weight};

use crate::lab::{Lab, identity, made, summary};

const TAGS: &str = "k3s;pvx-k3s";

#[test]
fn a_clone_made_by_hand_is_left_alone() {
    let mut lab = made(|_| {});
    lab.live(
        1003,
        "pve2",
        true,
        &[
            ("name", "w01-copy"),
            ("tags", TAGS),
            ("smbios1", "uuid=22222222-2222-4222-8222-222222222222"),
        ],
    );
    assert_snapshot!(lab.apply(), @"! copied-mark: guest 1003 'w01-copy' on pve2 carries the mark pvx-k3s but no identity that belongs to it: left alone (nowhere)");
    let text = lab.destroy();
    assert!(!text.contains(" 1003 @") && text.contains("destroy 1000"), "{text}");
}

#[test]
fn one_of_mark_and_name_without_the_uuid_is_not_made_again() {
    let mut lab = made(|_| {});
    lab.config(1000, "smbios1", "uuid=22222222-2222-4222-8222-222222222222");
    assert_snapshot!(lab.apply());
}

#[test]
fn two_with_the_same_identity_are_both_left_alone() {
    let mut lab = made(|_| {});
    let twin = lab.snapshot.guests[&1000].clone();
    let config: Vec<_> = twin.config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    lab.live(1004, "pve2", false, &config);
    assert_snapshot!(lab.apply());
    assert!(!lab.destroy().contains("@"), "nothing is destroyed");
}

#[test]
fn a_lost_mark_is_said_and_no_second_guest_made() {
    let mut lab = made(|_| {});
    lab.config(1000, "tags", "k3s");
    assert_snapshot!(lab.apply());
    assert!(!lab.destroy().contains("@"), "nothing is destroyed");
}

fn half_made(lab: &mut Lab, vmid: u32, name: &str, node: &str) {
    let uuid = live::identity("lab", "k3s", name);
    let note = format!("pvx is making k3s/{name} ({uuid})\n");
    lab.live(
        vmid,
        node,
        false,
        &[
            ("name", name),
            ("description", &note),
            ("scsi0", "shared:vm-1000-disk-0,size=3G"),
            ("smbios1", "uuid=22222222-2222-4222-8222-222222222222"),
            ("net0", "virtio=BC:24:11:00:00:07,bridge=vmbr0"),
        ],
    );
}

fn one_wanted() -> Lab {
    let mut lab = Lab::new();
    let guest = lab.guest("k3s", "w01");
    lab.profile("k3s", vec![guest]);
    lab
}

#[test]
fn a_half_made_guest_is_finished() {
    let mut lab = one_wanted();
    half_made(&mut lab, 1003, "w01", "pve1");
    assert_snapshot!(lab.apply());
    assert_eq!(lab.get(1003, "description"), "");
    assert!(lab.get(1003, "smbios1").contains(&identity("k3s", "w01")));
}

#[test]
fn a_half_made_guest_is_moved_and_finished() {
    let mut lab = one_wanted();
    lab.first().placement = Placement::Node("pve3".into());
    half_made(&mut lab, 1003, "w01", "pve1");
    lab.config(1003, "scsi0", "local-lvm:vm-1003-disk-0,size=3G");
    assert_snapshot!(lab.apply());
}

#[test]
fn a_half_made_guest_that_runs_or_is_locked_or_cannot_move() {
    let mut lab = one_wanted();
    half_made(&mut lab, 1003, "w01", "pve1");
    lab.snapshot.guests.get_mut(&1003).unwrap().running = true;
    let text = lab.apply();
    assert!(!text.contains("start"), "it runs already: {text}");

    let mut lab = one_wanted();
    half_made(&mut lab, 1003, "w01", "pve1");
    lab.config(1003, "lock", "clone");
    assert_snapshot!(lab.apply(), @"× locked: k3s/w01 (1003) is locked: clone (nowhere)");

    let mut lab = one_wanted();
    half_made(&mut lab, 1003, "w01", "pve1");
    lab.first().placement = Placement::Node("pve3".into());
    lab.snapshot.inventory.nodes.get_mut("pve3").unwrap().online = false;
    let text = lab.apply();
    assert!(text.contains("× node-offline: node pve3 is offline"), "{text}");
}

#[test]
fn a_half_made_guest_is_destroyed_by_its_digest() {
    let mut lab = one_wanted();
    half_made(&mut lab, 1003, "w01", "pve1");
    assert_snapshot!(lab.destroy());
}

#[test]
fn a_half_made_clone_of_a_marked_template_is_half_made() {
    let mut lab = one_wanted();
    half_made(&mut lab, 1003, "w01", "pve1");
    lab.config(1003, "tags", TAGS);
    let text = lab.apply();
    assert!(text.contains("#0 configure 1003"), "{text}");

    half_made(&mut lab, 1003, "w01", "pve1");
    lab.config(1003, "tags", TAGS);
    assert_snapshot!(lab.destroy(), @r"
    #0 destroy 1003 @pve1 if begun+unprotected on shared
    Destroy k3s/w01 1003 on pve1: destroy was asked for (DataLoss)
    ");
}

#[test]
fn a_guest_with_the_marks_of_two_profiles_is_its_identity_s() {
    let mut lab = made(|_| {});
    let other = lab.guest("web", "a");
    lab.profile("web", vec![other]);
    lab.desired.profiles.reverse();
    lab.config(1000, "tags", "k3s;pvx-k3s;pvx-web");
    let plan = lab.plan(pvx_core::plan::Intent::Destroy);
    let gone: Vec<_> = plan.changes.iter().map(|c| c.address.to_string()).collect();
    assert_eq!(gone, ["k3s/w01"]);
}

#[test]
fn a_member_on_an_offline_node_is_not_made_again() {
    let mut lab = made(|g| g.placement = Placement::Node("pve3".into()));
    lab.first().placement = Placement::Spread;
    lab.snapshot.inventory.nodes.get_mut("pve3").unwrap().online = false;
    lab.snapshot.guests.remove(&1000);
    assert_snapshot!(lab.apply());
}

/// Begun twice, in a run that did not see the first one.
#[test]
fn what_was_begun_for_a_member_is_told() {
    let mut lab = made(|_| {});
    half_made(&mut lab, 1003, "w01", "pve1");
    let plan = lab.plan(pvx_core::plan::Intent::Apply);
    let found: Vec<&str> = plan.findings.iter().map(|f| f.code.as_str()).collect();
    assert_eq!((plan.is_empty(), found), (true, vec!["begun-twice"]));
}

/// Cloned and not configured yet: no mark, and on a node that is off nobody can read what it is.
#[test]
fn a_half_made_guest_on_an_offline_node_is_not_made_again() {
    let there = |name: &str, vmid: u32| {
        let mut lab = made(|_| {});
        lab.snapshot.guests.remove(&1000);
        let mut live = lab.snapshot.inventory.guests.remove(&1000).unwrap();
        live.tags.clear();
        live.node = "pve3".into();
        live.name = Some(name.to_owned());
        live.vmid = vmid;
        lab.snapshot.inventory.guests.insert(vmid, live);
        lab.snapshot.inventory.nodes.get_mut("pve3").unwrap().online = false;
        let plan = lab.plan(pvx_core::plan::Intent::Apply);
        (plan.is_empty(), plan.findings.iter().any(|f| f.code == "perhaps-there"))
    };
    assert_eq!(there("w01", 1003), (true, true), "by its name");
    assert_eq!(there("other", 1003), (false, false), "somebody else's");
    assert_eq!(there("w01", 7000), (false, false), "outside of the range");
}

#[test]
fn an_unread_member_of_unknown_name_may_be_any() {
    let mut lab = made(|_| {});
    lab.snapshot.guests.remove(&1000);
    lab.snapshot.inventory.guests.get_mut(&1000).unwrap().name = None;
    let text = lab.apply();
    assert!(text.contains("i perhaps-there: k3s/w01 is not made"), "{text}");
}

#[test]
fn templates_are_never_members() {
    let mut lab = one_wanted();
    let identity = identity("k3s", "w01");
    let config = [("name", "w01"), ("tags", TAGS), ("smbios1", identity.as_str())];
    lab.live(500, "pve1", false, &config);
    lab.live(2000, "pve1", false, &config);
    lab.config(2000, "template", "1");
    let plan = lab.plan(Intent::Destroy);
    assert!(plan.is_empty() && !plan.is_blocked(), "{plan:?}");
    // One that carries mark and identity was a member once; the one of the templates' range never.
    let text = lab.apply();
    assert!(text.contains("× converted: guest 2000"), "{text}");
    assert!(!text.contains("500") && !text.contains("clone"), "{text}");
}

#[test]
fn a_renamed_member_is_known_and_gets_its_name_back() {
    let mut lab = made(|_| {});
    lab.config(1000, "name", "somebody");
    assert_snapshot!(lab.apply());
}

#[test]
fn a_member_keeps_its_vmid() {
    let mut lab = made(|_| {});
    lab.first().vmid = VmidRequest::Fixed(1007);
    assert_snapshot!(lab.apply(), @"! vmid-differs: k3s/w01 keeps VMID 1000, the document says 1007: Proxmox cannot renumber a guest");
}

#[test]
fn without_state_nothing_changes() {
    let mut lab = made(|_| {});
    lab.memory = pvx_core::state::Memory::default();
    assert_eq!(lab.apply(), "nothing to do");
    let guest = lab.snapshot.guests[&1000].clone();
    lab.snapshot.inventory.guests.insert(1000, summary(&guest));
    assert!(lab.destroy().contains("destroy 1000"));
}

/// A clone carries neither name nor description until its first disk is copied.
#[test]
fn a_guest_that_is_being_made_by_nobody_knows_whom_is_not_made_again() {
    let mut lab = one_wanted();
    lab.live(1000, "pve1", false, &[("lock", "clone")]);
    lab.snapshot.inventory.guests.get_mut(&1000).unwrap().name = Some("VM 1000".into());
    let text = lab.apply();
    assert!(text.contains("× being-made: k3s/w01 is not made: guest 1000"), "{text}");

    // Outside the range it is somebody else's, and so is one with a name.
    let mut lab = one_wanted();
    lab.live(5000, "pve1", false, &[("lock", "clone")]);
    lab.live(1001, "pve1", false, &[("lock", "clone"), ("name", "theirs")]);
    lab.snapshot.inventory.guests.get_mut(&5000).unwrap().name = None;
    lab.desired.scope.vms.last = 1999;
    let text = lab.apply();
    assert!(text.contains("clone 100→1000"), "{text}");
}

#[test]
fn a_member_that_became_a_template_is_neither_made_again_nor_destroyed() {
    let mut lab = made(|_| {});
    lab.config(1000, "template", "1");
    let text = lab.apply();
    assert!(text.contains("× converted: guest 1000 'w01'"), "{text}");
    assert!(!text.contains("clone"), "{text}");
    assert!(!lab.destroy().contains("destroy 1000"));
}

#[test]
fn a_renamed_member_that_left_the_documents_is_known_by_memory() {
    let mut lab = made(|_| {});
    lab.config(1000, "name", "renamed");
    lab.desired.profiles[0].guests.clear();
    lab.memory = pvx_core::state::Memory::default();
    assert!(lab.apply().contains("copied-mark"));
    let address = pvx_core::address::Address::new("k3s", "w01");
    lab.memory.suppose(address, 1000);
    assert!(lab.apply().contains("destroy 1000"));
}

#[test]
fn destroy_does_not_pass_over_a_member_it_cannot_read() {
    let mut lab = made(|_| {});
    lab.snapshot.guests.remove(&1000);
    lab.snapshot.inventory.nodes.get_mut("pve1").unwrap().online = false;
    assert!(lab.plan(Intent::Destroy).is_blocked());
    assert!(!lab.plan(Intent::Apply).is_blocked());
    lab.options.targets = vec!["k3s/other".into()];
    let blocked = |plan: Plan| {
        plan.findings.iter().any(|f| f.weight == Weight::Error && f.code == "unread-member")
    };
    assert!(!blocked(lab.plan(Intent::Destroy)));
}

#[test]
fn what_is_wrong_with_another_guest_does_not_stop_a_target() {
    let mut lab = made(|_| {});
    let second = lab.guest("k3s", "w02");
    lab.desired.profiles[0].guests.push(second);
    lab.config(1000, "tags", "k3s");
    lab.options.targets = vec!["k3s/w02".into()];
    let plan = lab.plan(Intent::Apply);
    assert!(!plan.is_blocked(), "{:?}", plan.findings);
}

/// The VMID of a half-made guest can be taken by somebody else while it moves.
#[test]
fn a_half_made_guest_is_proved_again_after_it_moved() {
    let mut lab = one_wanted();
    half_made(&mut lab, 1003, "w01", "pve1");
    lab.first().placement = Placement::Node("pve2".into());
    let text = lab.apply();
    let configure = text.lines().find(|line| line.contains("configure 1003")).unwrap();
    assert!(configure.contains("begun"), "{text}");
    let migrate = text.lines().find(|line| line.contains("migrate 1003")).unwrap();
    assert!(migrate.contains("unchanged"), "{text}");
}
