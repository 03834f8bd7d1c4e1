//! Drives that Proxmox would refuse (qemu-server `QemuServer/Drive.pm`, parse_drive), and slots that
//! are given twice.

use std::collections::BTreeSet;

use crate::desired::{Desired, Disk, Guest};
use crate::diagnostic::{Diagnostic, Span};

/// An option of a drive that is nothing without another one.
const NEEDS: [(&str, &str); 9] = [
    ("mbps_max", "mbps"),
    ("mbps_rd_max", "mbps_rd"),
    ("mbps_wr_max", "mbps_wr"),
    ("bps_max_length", "mbps_max"),
    ("bps_rd_max_length", "mbps_rd_max"),
    ("bps_wr_max_length", "mbps_wr_max"),
    ("iops_max_length", "iops_max"),
    ("iops_rd_max_length", "iops_rd_max"),
    ("iops_wr_max_length", "iops_wr_max"),
];

/// A limit for reading and writing together excludes one for either alone.
const EXCLUDES: [(&str, &str); 4] =
    [("mbps", "mbps_rd"), ("mbps", "mbps_wr"), ("iops", "iops_rd"), ("iops", "iops_wr")];

/// One problem for each place that says it, however many guests it makes.
pub(super) fn check(desired: &Desired, problems: &mut Vec<Diagnostic>) {
    let mut said: BTreeSet<Span> = BTreeSet::new();
    for guest in desired.guests() {
        for (slot, disk) in &guest.spec.disks {
            let found = [taken_twice(guest, slot), limits(guest, slot, disk)];
            for (span, problem) in found.into_iter().flatten() {
                if said.insert(span) {
                    problems.push(problem);
                }
            }
        }
    }
}

fn taken_twice(guest: &Guest, slot: &str) -> Option<(Span, Diagnostic)> {
    guest.spec.cdroms.get(slot)?;
    let span = guest.place(&format!("cdroms.{slot}"));
    let problem = Diagnostic::error("slot-taken-twice", format!("slot '{slot}' is given twice"))
        .at(span, "a CD-ROM here")
        .at(guest.place(&format!("disks.{slot}")), "a disk here")
        .help("give the disk or the CD-ROM another slot");
    Some((span, problem))
}

fn limits(guest: &Guest, slot: &str, disk: &Disk) -> Option<(Span, Diagnostic)> {
    let has = |name: &str| disk.options.get(name).is_some_and(|value| value != "0");
    let place = |name: &str| guest.place(&format!("disks.{slot}.{name}"));
    let problem = |name: &str, text: String, help: &str| {
        let span = place(name);
        let problem = Diagnostic::error("drive-limits", text).at(span, "here").help(help);
        Some((span, problem))
    };
    if let Some((name, needed)) = NEEDS.iter().find(|(name, needed)| has(name) && !has(needed)) {
        let text = format!("disk '{slot}' has '{name}' without '{needed}'");
        return problem(name, text, "Proxmox refuses the one without the other");
    }
    let (both, one) = EXCLUDES.iter().find(|(both, one)| has(both) && has(one))?;
    let text = format!("disk '{slot}' has both '{both}' and '{one}'");
    problem(one, text, "a limit for all, or one each for reading and writing")
}
