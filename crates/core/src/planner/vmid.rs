//! Which VMID a new guest gets: free on every node, inside the range, not claimed by a document.

use std::collections::BTreeSet;

use crate::desired::{Desired, VmidRange, VmidRequest};
use crate::live::Inventory;

/// VMIDs that are still to be had in this plan.
#[derive(Debug)]
pub(super) struct Vmids {
    taken: BTreeSet<u32>,
    claimed: BTreeSet<u32>,
    /// Those that others are likely to take meanwhile: only when nothing else is left.
    avoided: BTreeSet<u32>,
    range: VmidRange,
    next: u32,
}

impl Vmids {
    /// Every VMID of the inventory is taken, containers and unreadable guests included, and those that
    /// Proxmox has refused; every VMID a document names is claimed.
    pub(super) fn new(
        desired: &Desired,
        inventory: &Inventory,
        refused: &BTreeSet<u32>,
        avoided: &BTreeSet<u32>,
    ) -> Self {
        let claimed = desired.guests().filter_map(|guest| match guest.vmid {
            VmidRequest::Fixed(vmid) => Some(vmid),
            VmidRequest::Auto => None,
        });
        Self {
            taken: inventory.guests.keys().chain(refused).copied().collect(),
            claimed: claimed.chain(desired.claimed.iter().copied()).collect(),
            avoided: avoided.clone(),
            range: desired.scope.vms,
            next: desired.scope.vms.first,
        }
    }

    /// Takes exactly this one; `false` when a guest has it.
    pub(super) fn take(&mut self, vmid: u32) -> bool {
        self.taken.insert(vmid)
    }

    /// Is this one of the range that nobody has or claims?
    pub(super) fn has(&self, vmid: u32) -> bool {
        (self.range.first..=self.range.last).contains(&vmid)
            && !self.claimed.contains(&vmid)
            && !self.taken.contains(&vmid)
    }

    /// Takes the lowest free one, of those to be avoided last; `None` when the range is full.
    pub(super) fn take_lowest(&mut self) -> Option<u32> {
        while self.next <= self.range.last {
            let vmid = self.next;
            self.next += 1;
            let meant = !self.claimed.contains(&vmid) && !self.avoided.contains(&vmid);
            if meant && self.taken.insert(vmid) {
                return Some(vmid);
            }
        }
        let left = self.avoided.iter().copied().find(|vmid| self.has(*vmid))?;
        self.taken.insert(left);
        Some(left)
    }

    /// The range that VMIDs are taken from.
    pub(super) fn range(&self) -> VmidRange {
        self.range
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vmids(taken: &[u32], claimed: &[u32]) -> Vmids {
        Vmids {
            taken: taken.iter().copied().collect(),
            claimed: claimed.iter().copied().collect(),
            avoided: BTreeSet::new(),
            range: VmidRange { first: 1000, last: 1004, span: None },
            next: 1000,
        }
    }

    #[test]
    fn lowest_free_and_unclaimed() {
        let mut vmids = vmids(&[1000], &[1002]);
        let taken: Vec<_> = std::iter::from_fn(|| vmids.take_lowest()).collect();
        assert_eq!(taken, [1001, 1003, 1004]);
    }

    #[test]
    fn what_others_may_take_comes_last() {
        let mut vmids = vmids(&[1000], &[1002]);
        vmids.avoided = [1000, 1001, 1002, 1003, 9999].into();
        let taken: Vec<_> = std::iter::from_fn(|| vmids.take_lowest()).collect();
        assert_eq!(taken, [1004, 1001, 1003]);
    }

    #[test]
    fn a_fixed_one_is_taken_once() {
        let mut vmids = vmids(&[1000], &[1002]);
        assert!(!vmids.take(1000));
        assert!(vmids.take(1002));
        assert!(!vmids.take(1002));
    }
}
