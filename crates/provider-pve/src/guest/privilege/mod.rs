//! Which checks Proxmox VE 9 makes of the requests of a plan (qemu-server 9.2 `API2/Qemu.pm`,
//! pve-storage `Storage.pm`, pve-guest-common `GuestHelpers.pm`, pve-manager `API2/Pool.pm`,
//! pve-ha-manager `API2/HA`), and of those that a plan is made from. Pure.
//!
//! `action` has one function a kind of request, `key` the checks of single keys and values of a
//! configuration, `read` what is only looked at. `course` follows the configurations through the
//! plan: what is checked depends on what a guest has by then.

mod action;
mod course;
mod key;
mod read;

use std::collections::BTreeSet;

use pvx_core::address::Address;
use pvx_core::plan::{Action, ActionKind, Privilege, Use};
use pvx_core::preflight::Access;
use pvx_core::provider::Reach;

use course::Course;

/// Tags of guests that the token sees.
type Seen<'a> = BTreeSet<&'a str>;

/// The checks of a plan, each as often as it is made.
pub(super) fn of(reach: &Reach<'_>) -> Vec<Privilege> {
    let mut course = Course::new(reach.snapshot);
    let mut found = read::of(reach);
    let listed = reach.snapshot.inventory.guests.values();
    let seen: Seen<'_> = listed.flat_map(|guest| guest.tags.iter().map(String::as_str)).collect();
    let order = reach.plan.actions.sequence().unwrap_or_default();
    for action in order.into_iter().filter_map(|id| reach.plan.actions.get(id)) {
        let mut checks = Checks::of(action, course.pool(action.vmid), reach.access);
        action::check(&mut checks, action, &course, &seen);
        found.extend(checks.found);
        course.follow(action);
    }
    found
}

/// The action in a sentence: `configure HA of k3s/cp01`.
fn verb(kind: &ActionKind) -> &'static str {
    match kind {
        ActionKind::Ha { .. } => "configure",
        ActionKind::Pool { .. } => "change",
        _ => kind.verb(),
    }
}

/// Collects the checks of one request.
struct Checks<'a> {
    verb: &'a str,
    address: &'a Address,
    vmid: u32,
    /// A pool that gives privileges on the guest, when the ACL's list does not show them yet.
    pool: Option<String>,
    access: &'a Access,
    found: Vec<Privilege>,
}

impl<'a> Checks<'a> {
    fn of(action: &'a Action, pool: Option<String>, access: &'a Access) -> Self {
        Self {
            verb: verb(&action.kind),
            address: &action.address,
            vmid: action.vmid,
            pool,
            access,
            found: Vec::new(),
        }
    }

    /// On the guest, or on the pool that it is in by then.
    fn guest(&mut self, any_of: &[&str], key: &str) {
        let mut check = Privilege::new(format!("/vms/{}", self.vmid), any_of);
        check.pool = self.pool.as_ref().map(|pool| format!("/pool/{pool}"));
        self.add(check, key);
    }

    /// On some path.
    fn on(&mut self, path: String, any_of: &[&str], key: &str) {
        self.add(Privilege::new(path, any_of), key);
    }

    fn storage(&mut self, storage: &str, any_of: &[&str], key: &str) {
        self.on(format!("/storage/{storage}"), any_of, key);
    }

    fn add(&mut self, mut check: Privilege, key: &str) {
        let used = Use::new(self.verb).about(self.address);
        check.uses.push(if key.is_empty() { used } else { used.of(key) });
        self.found.push(check);
    }
}
