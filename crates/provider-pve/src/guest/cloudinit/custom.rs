//! `cicustom`: files that take the place of what Proxmox writes onto the drive. Each of the four
//! is a matter of its own: what documents say nothing of stays as it is.

use pvx_core::plan::Finding;
use pvx_core::snippet::Part;

use super::super::differ::{DIFFERS, Differ};
use crate::codec::PropertyString;

const KEY: &str = "cicustom";

pub(super) fn compare(differ: &mut Differ<'_>) {
    let stored = differ.stored(KEY);
    let live = stored.map(|text| PropertyString::parse(text, None));
    let (before, readable) = match live {
        Some(Ok(parsed)) => (parsed, true),
        Some(Err(_)) => (PropertyString::new(None), false),
        None => (PropertyString::new(None), true),
    };
    let mut after = PropertyString::new(None);
    // What pvx does not know survives.
    let known = |key: &str| Part::ALL.iter().any(|part| part.name() == key);
    let mut kept = before.iter().filter(|(key, _)| !known(key));
    let mut fine = kept.all(|(key, value)| after.set(key, value).is_ok());
    for part in Part::ALL {
        let path = path(part);
        let wanted = differ.wanted.spec.cloudinit.custom.get(&part).map(String::as_str);
        let was = before.get(part.name());
        let value = match wanted {
            Some(volid) => {
                differ.manage(&path);
                Some(volid)
            }
            None if differ.is_dropped(&path) => None,
            None => was,
        };
        if value != was {
            attribute(differ, part, was, value);
        }
        fine &= value.is_none_or(|volid| after.set(part.name(), volid).is_ok());
    }
    if !fine {
        differ.finding(
            Finding::error("cicustom", "a snippet's name cannot be written")
                .help("write it without commas, or take it out"),
        );
        return;
    }
    let any = !differ.wanted.spec.cloudinit.custom.is_empty();
    match after.encode().as_str() {
        "" if stored.is_some() && readable => differ.delete(KEY),
        text if readable && !after.same_entries(&before) => differ.set(KEY, text),
        text if !readable && any => differ.set(KEY, text),
        _ => {}
    }
}

fn path(part: Part) -> String {
    format!("cloudinit.{KEY}.{}", part.name())
}

/// The drive is written anew when the guest starts, and NoCloud's `instance-id` is a hash of user
/// and network data (qemu-server, Cloudinit.pm `nocloud_gen_metadata`): with another one,
/// cloud-init takes the guest for a new machine and runs again.
fn attribute(differ: &mut Differ<'_>, part: Part, before: Option<&str>, after: Option<&str>) {
    let again = matches!(part, Part::User | Part::Network) && before != after;
    let first_boot = before.is_none() && differ.live.vmid == 0;
    let reason = match again && !first_boot {
        true => "cloud-init runs again at the next start",
        false => DIFFERS,
    };
    differ.explain((&path(part), KEY), before, after, reason);
}
