//! Keys whose number decides: processors, memory and its balloon.

use pvx_core::live::Guest;

use super::rule::Feature;
use super::{Cost, hotplugs, running};
use crate::codec::PropertyString;

/// `vcpus` (`qemu_cpu_hotplug`): up to the cores that QEMU was started with.
pub(super) fn vcpus(after: Option<&str>, guest: &Guest) -> Cost {
    let cost = Cost::plugged(Feature::Cpu, guest);
    let count = |key| running(guest, key).and_then(|text| text.parse::<u64>().ok()).unwrap_or(1);
    let most = count("sockets").saturating_mul(count("cores"));
    let wanted = after.and_then(|text| text.parse::<u64>().ok()).unwrap_or(most);
    if cost == Cost::live() && wanted > most {
        return Cost::offline(format!("it runs with {most} cores"));
    }
    cost
}

/// `balloon` in MiB: 0 is no balloon device, which can be neither plugged nor unplugged.
pub(super) fn balloon(before: Option<&str>, after: Option<&str>) -> Cost {
    let off = |value: Option<&str>| value == Some("0");
    match (off(before), off(after)) {
        (false, false) => Cost::live(),
        (true, _) => Cost::pending("the balloon device comes at a cold boot"),
        (false, true) => Cost::pending("the balloon device goes at a cold boot"),
    }
}

/// Memory that is there from the start in MiB, the rest being modules (`QemuServer/Memory.pm`,
/// `$STATICMEM`).
const STATIC: u64 = 1024;

/// What a guest has without `memory`, MiB.
const DEFAULT: u64 = 512;

/// `memory` (`qemu_memory_hotplug`).
pub(super) fn memory(before: Option<&str>, after: Option<&str>, guest: &Guest) -> Cost {
    if !hotplugs(guest, Feature::Memory) {
        return Cost::off(Feature::Memory);
    }
    if running(guest, "numa") != Some("1") {
        return Cost::pending("hot-plug of memory needs numa");
    }
    let (old, new) = (mebibytes(before), mebibytes(after));
    if old == new {
        return Cost::live();
    }
    let huge = running(guest, "hugepages") == Some("1024");
    let sockets = running(guest, "sockets").and_then(|text| text.parse::<u64>().ok());
    let modules = Modules::of(huge, sockets);
    let Modules { fixed, module } = modules;
    if new < fixed {
        return Cost::offline(format!("with hot-plug of memory it runs with {fixed} MiB at least"));
    }
    if !modules.reach(new) {
        return Cost::offline(format!("memory is plugged in modules of {module} MiB and more"));
    }
    Cost::live()
}

/// What memory that can be plugged is made of, in MiB.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Modules {
    /// There from the start.
    pub(in super::super) fixed: u64,
    /// The smallest module.
    module: u64,
}

impl Modules {
    /// `huge`: with huge pages of 1 GiB.
    pub(in super::super) fn of(huge: bool, sockets: Option<u64>) -> Self {
        match huge {
            true => Self { fixed: STATIC.saturating_mul(sockets.unwrap_or(1)), module: 1024 },
            false => Self { fixed: STATIC, module: 512 },
        }
    }

    /// Can a guest have exactly this much?
    pub(in super::super) fn reach(self, wanted: u64) -> bool {
        is_sum_of_modules(self.fixed, self.module, wanted)
    }
}

/// Modules grow: 32 of a size, then 32 of twice that (`foreach_dimm`). Proxmox plugs until there is
/// enough, and stores what there is then.
fn is_sum_of_modules(fixed: u64, module: u64, wanted: u64) -> bool {
    let mut sizes = (0..8).flat_map(|step| std::iter::repeat_n(module << step, 32));
    let mut size = fixed;
    while size < wanted {
        let Some(next) = sizes.next() else { return false };
        size = size.saturating_add(next);
    }
    size == wanted
}

/// The value of `memory`, MiB.
pub(in super::super) fn mebibytes(value: Option<&str>) -> u64 {
    let parsed = value.and_then(|text| PropertyString::parse(text, Some("current")).ok());
    let number = parsed.and_then(|memory| memory.get("current")?.parse::<u64>().ok());
    number.unwrap_or(DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_modules_reach() {
        let table = [
            (1024, 512, 1024, true),
            (1024, 512, 1536, true),
            (1024, 512, 2100, false),
            (1024, 512, 1024 + 32 * 512, true),
            (1024, 512, 1024 + 33 * 512, false),
            (1024, 512, 1024 + 34 * 512, true),
            (2048, 1024, 3072, true),
            (2048, 1024, 2560, false),
            (1024, 512, u64::MAX, false),
        ];
        for (fixed, module, wanted, reached) in table {
            assert_eq!(is_sum_of_modules(fixed, module, wanted), reached, "{wanted}");
        }
    }

    #[test]
    fn sizes_in_both_spellings() {
        assert_eq!(mebibytes(Some("2048")), 2048);
        assert_eq!(mebibytes(Some("current=2048")), 2048);
        assert_eq!(mebibytes(None), 512);
    }
}
