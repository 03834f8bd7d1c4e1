//! CD-ROM drives. Their medium can be changed while the guest runs (qemu-server,
//! vmconfig_update_disk); the drive itself comes and goes like any other.

use pvx_core::plan::{Effect, Finding};
use pvx_core::provider::Detach;

use super::super::differ::Differ;
use super::removed;
use crate::codec::Drive;

pub(super) fn compare(differ: &mut Differ<'_>) {
    for (slot, medium) in &differ.wanted.spec.cdroms {
        drive(differ, slot, medium);
    }
    dropped(differ);
}

fn drive(differ: &mut Differ<'_>, slot: &str, medium: &str) {
    differ.manage(&format!("cdroms.{slot}"));
    let before = match differ.stored(slot).map(Drive::parse) {
        None => None,
        Some(Ok(live)) if live.is_cdrom() && !live.is_cloudinit() => {
            if live.file() == medium {
                return;
            }
            Some(live.file().to_owned())
        }
        Some(_) => {
            let held = differ.stored(slot).unwrap_or_default().to_owned();
            let text = format!("slot {slot} holds no CD-ROM but {held}");
            let finding = Finding::error("cdrom-slot", text);
            differ.speak_of(format!("cdroms.{slot}"));
            differ.finding(finding.help("give the CD-ROM another slot, or free this one"));
            return;
        }
    };
    differ.attribute(slot, before.as_deref(), Some(medium), Effect::Live);
    differ.set(slot, &format!("{medium},media=cdrom"));
}

/// A drive that documents no longer name goes: it holds nothing of the guest's own.
fn dropped(differ: &mut Differ<'_>) {
    let paths: Vec<&str> = differ.managed_before("cdroms.").collect();
    for path in paths.into_iter().filter(|path| differ.is_dropped(path)).collect::<Vec<_>>() {
        let slot = path.trim_start_matches("cdroms.");
        if differ.live.pending.iter().any(|p| p.key == slot && p.next.is_none()) {
            differ.name_key(path, slot);
            differ.manage(path); // it goes with the next cold boot
            continue;
        }
        let live = differ.stored(slot).and_then(|text| Drive::parse(text).ok());
        let Some(live) = live.filter(|d| d.is_cdrom() && !d.is_cloudinit()) else { continue };
        if removed::is_protected(differ, path, slot) {
            continue;
        }
        let effect = removed::effect_of(differ, slot);
        differ.gone(slot, live.file(), None, effect);
        differ.detach(Detach { slot: slot.to_owned(), erase: None });
    }
}
