//! Which guests are read in full: all that a plan depends on, and no others.

use std::sync::Mutex;

use pvx_core::desired::VmidRequest;
use pvx_core::live::{Guest, GuestRef, Ha, Inventory, Snapshot};
use pvx_core::provider::{ProviderError, Reader};
use pvx_core::state::Remembered;
use pvx_provider_pve::guest::Qemu;

use crate::lab::{Lab, SHARED, identity, made};

/// Answers from the built cluster, and notes what it was asked.
struct Asked<'a> {
    snapshot: &'a Snapshot,
    calls: Mutex<Vec<(Vec<u32>, bool)>>,
}

impl Reader for Asked<'_> {
    async fn inventory(&self) -> Result<Inventory, ProviderError> {
        Ok(self.snapshot.inventory.clone())
    }

    async fn guests(&self, wanted: &[GuestRef], power: bool) -> Result<Vec<Guest>, ProviderError> {
        self.calls.lock().unwrap().push((wanted.iter().map(|g| g.vmid).collect(), power));
        let live = |g: &GuestRef| {
            let mut guest = self.snapshot.guests.get(&g.vmid).filter(|l| l.node == g.node)?.clone();
            guest.running &= power;
            Some(guest)
        };
        Ok(wanted.iter().filter_map(live).collect())
    }

    async fn ha(&self) -> Result<Ha, ProviderError> {
        Ok(self.snapshot.ha.clone().unwrap_or_default())
    }
}

/// What was asked, and what was read.
fn read(lab: &Lab) -> (Vec<(Vec<u32>, bool)>, Snapshot) {
    let asked = Asked { snapshot: &lab.snapshot, calls: Mutex::default() };
    let inventory = lab.snapshot.inventory.clone();
    let reading =
        pvx_core::read::snapshot(&asked, inventory, &lab.desired, &lab.memory, &Qemu, &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let snapshot = runtime.block_on(reading).unwrap();
    (asked.calls.into_inner().unwrap(), snapshot)
}

fn asked(lab: &Lab) -> (Vec<u32>, Vec<u32>) {
    let (calls, _) = read(lab);
    let [(members, true), (further, false)] = calls.as_slice() else { panic!("{calls:?}") };
    (members.clone(), further.clone())
}

fn one_wanted() -> Lab {
    let mut lab = Lab::new();
    let guest = lab.guest("k3s", "w01");
    lab.profile("k3s", vec![guest]);
    lab
}

#[test]
fn members_alone_when_nothing_is_missing() {
    let mut lab = made(|_| {});
    lab.live(1004, "pve2", true, &[("name", "x"), ("tags", "k3s;pvx-k4s")]);
    assert_eq!(asked(&lab), (vec![1000], vec![]));
    // One of a member's name may have been begun for it.
    lab.live(1003, "pve2", true, &[("name", "w01")]);
    assert_eq!(asked(&lab), (vec![1000], vec![1003]));
}

#[test]
fn the_template_when_a_guest_is_missing() {
    let mut lab = one_wanted();
    lab.live(1003, "pve2", true, &[("name", "other")]);
    assert_eq!(asked(&lab), (vec![], vec![SHARED]));
}

#[test]
fn whoever_may_be_the_missing_one() {
    let mut lab = one_wanted();
    lab.first().vmid = VmidRequest::Fixed(1005);
    let address = lab.first().address.clone();
    lab.memory.insert(address, Remembered { vmid: 1006, ..Remembered::default() });
    for (vmid, name) in [(1003, "w01"), (1004, "w01"), (1005, "a"), (1006, "b"), (1007, "c")] {
        lab.live(vmid, "pve2", true, &[("name", name)]);
    }
    assert_eq!(asked(&lab), (vec![], vec![SHARED, 1003, 1004, 1005, 1006]));
}

#[test]
fn a_clone_that_was_cut_off_seconds_ago_has_no_name_yet_and_is_found() {
    let mut lab = one_wanted();
    let note = format!("pvx is making k3s/w01 ({})", &identity("k3s", "w01")[5..]);
    lab.live(1000, "pve1", false, &[("name", "w01"), ("description", &note)]);
    lab.live(2000, "pve1", false, &[("name", "far away")]);
    for vmid in [1000, 2000] {
        lab.snapshot.inventory.guests.get_mut(&vmid).unwrap().name = None;
    }
    assert_eq!(asked(&lab), (vec![], vec![SHARED, 1000]), "2000 is outside the range");
    lab.snapshot = read(&lab).1;
    let text = crate::text::of(&lab.plan(pvx_core::plan::Intent::Apply));
    assert!(text.contains("#0 configure 1000") && !text.contains("clone"), "{text}");
}

#[test]
fn a_guest_without_its_mark_is_found_behind_another_of_its_name() {
    let mut lab = made(|_| {});
    lab.config(1000, "tags", "k3s");
    lab.live(999, "pve2", true, &[("name", "w01")]);
    let (_, snapshot) = read(&lab);
    lab.snapshot = snapshot;
    assert!(lab.apply().contains("× lost-mark: guest 1000"));
}

#[test]
fn one_that_is_found_without_its_mark_runs_as_the_list_says() {
    let mut lab = made(|_| {});
    lab.config(1000, "tags", "k3s");
    assert!(read(&lab).1.guests[&1000].running);
}

#[test]
fn nodes_that_do_not_answer_are_not_asked() {
    let mut lab = made(|_| {});
    for node in lab.snapshot.inventory.nodes.values_mut() {
        node.online = false;
    }
    assert_eq!(asked(&lab), (vec![], vec![]));
}

#[test]
fn templates_and_containers_are_no_members() {
    let mut lab = made(|_| {});
    lab.live(500, "pve1", false, &[("name", "t"), ("tags", "pvx-k3s")]);
    lab.live(1008, "pve1", false, &[("name", "ct"), ("tags", "pvx-k3s")]);
    lab.snapshot.inventory.guests.get_mut(&1008).unwrap().qemu = false;
    lab.live(1009, "pve1", false, &[("name", "t"), ("tags", "pvx-k3s"), ("template", "1")]);
    // A template with the mark may be a member that somebody converted.
    assert_eq!(asked(&lab), (vec![1000, 1009], vec![]));
}

/// A clone that is handed to its node between the list and the look at it.
struct Moving<'a> {
    before: &'a Snapshot,
    after: &'a Snapshot,
    looks: Mutex<usize>,
}

impl Reader for Moving<'_> {
    async fn inventory(&self) -> Result<Inventory, ProviderError> {
        *self.looks.lock().unwrap() += 1;
        Ok(self.after.inventory.clone())
    }

    async fn guests(&self, wanted: &[GuestRef], _: bool) -> Result<Vec<Guest>, ProviderError> {
        let live = |g: &GuestRef| self.after.guests.get(&g.vmid).filter(|l| l.node == g.node);
        Ok(wanted.iter().filter_map(live).cloned().collect())
    }

    async fn ha(&self) -> Result<Ha, ProviderError> {
        panic!("nobody manages HA here")
    }
}

#[test]
fn a_guest_that_moves_meanwhile_is_looked_for_again() {
    let before = made(|_| {});
    let mut after = made(|_| {});
    after.snapshot.guests.get_mut(&1000).unwrap().node = "pve3".into();
    after.snapshot.inventory.guests.get_mut(&1000).unwrap().node = "pve3".into();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let read = |after: &Snapshot| {
        let moving = Moving { before: &before.snapshot, after, looks: Mutex::new(0) };
        let inventory = moving.before.inventory.clone();
        let (desired, memory) = (&before.desired, &before.memory);
        let reading = pvx_core::read::snapshot(&moving, inventory, desired, memory, &Qemu, &[]);
        let snapshot = runtime.block_on(reading).unwrap();
        (moving.looks.into_inner().unwrap(), snapshot)
    };
    let (looks, snapshot) = read(&after.snapshot);
    assert_eq!((looks, snapshot.guests[&1000].node.as_str()), (1, "pve3"));

    // One that stays unreadable does not hold us for ever.
    after.snapshot.guests.remove(&1000);
    assert_eq!(read(&after.snapshot).0, 2);
}
