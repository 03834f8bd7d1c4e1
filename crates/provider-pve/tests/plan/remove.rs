//! Guests that go.

use insta::assert_snapshot;
use pvx_core::plan::Intent;

use crate::lab::{Lab, made};

#[test]
fn an_orphan_is_shut_down_and_destroyed() {
    let mut lab = made(|_| {});
    lab.desired.profiles[0].guests.clear();
    assert_snapshot!(lab.apply());
    assert!(!lab.snapshot.guests.contains_key(&1000));
}

#[test]
fn options_of_the_shutdown() {
    let mut lab = made(|_| {});
    lab.options.shutdown_timeout = 7;
    lab.options.force_stop = false;
    let text = crate::text::of(&lab.plan(Intent::Destroy));
    assert!(text.contains("#0 shutdown 1000 within 7s @pve1"), "{text}");
    lab.first().power = pvx_core::desired::Power::Stopped;
    let text = lab.apply();
    assert!(text.contains("#0 shutdown 1000 within 7s @pve1 if owned(pvx-k3s)"), "{text}");
}

#[test]
fn a_protected_orphan_is_an_error_and_nothing_is_done_to_it() {
    let mut lab = made(|g| g.spec.set("protection", "1"));
    lab.desired.profiles[0].guests.clear();
    assert_snapshot!(lab.apply());
    assert_snapshot!(lab.destroy());
}

#[test]
fn a_locked_orphan_too() {
    let mut lab = made(|_| {});
    lab.config(1000, "lock", "backup");
    lab.desired.profiles[0].guests.clear();
    assert_snapshot!(lab.apply(), @"× locked: k3s/w01 (1000) is locked: backup (nowhere)");
}

#[test]
fn destroy_takes_members_and_nobody_else() {
    let mut lab = Lab::new();
    let guests = (1..=2).map(|n| lab.guest("k3s", &format!("w{n:02}"))).collect();
    lab.profile("k3s", guests);
    lab.live(1000, "pve1", true, &[("name", "w01"), ("tags", "k3s")]);
    lab.live(1001, "pve1", true, &[("name", "other"), ("tags", "pvx-k4s")]);
    lab.apply();
    lab.snapshot.guests.get_mut(&1003).unwrap().running = false;
    assert_snapshot!(lab.destroy());
    let left: Vec<_> = lab.snapshot.guests.keys().copied().collect();
    assert_eq!(left, [100, 102, 1000, 1001]);
}
