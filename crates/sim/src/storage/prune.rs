//! Which backups to keep (`prune_mark_backup_group` of `PVE::Storage`).

use std::collections::BTreeSet;

use crate::guest::property::Values;
use crate::world::World;

/// Retention options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keep {
    pub(crate) all: bool,
    /// last, hourly, daily, weekly, monthly, yearly.
    pub(crate) counts: [u64; 6],
}

const NAMES: [&str; 6] =
    ["keep-last", "keep-hourly", "keep-daily", "keep-weekly", "keep-monthly", "keep-yearly"];

impl Keep {
    /// Of a property string.
    pub(crate) fn parse(text: &str) -> Self {
        let values = Values::parse(text, "");
        let count = |name| values.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        Self { all: values.flag("keep-all"), counts: NAMES.map(count) }
    }

    /// Whether anything but "all" is asked for.
    pub(crate) fn limits(&self) -> bool {
        self.counts.iter().any(|count| *count > 0)
    }
}

/// A backup and what is to become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) volid: String,
    pub(crate) ctime: i64,
    /// `qemu`, `lxc`, `openvz` or `unknown`.
    pub(crate) kind: String,
    pub(crate) vmid: Option<u32>,
    /// `keep`, `remove`, `protected` or `renamed`.
    pub(crate) mark: &'static str,
}

/// Type, guest and time in `vzdump-qemu-100-2026_11_23-04_05_06.vma.zst`.
pub(crate) fn standard_name(file: &str) -> Option<(String, u32, i64)> {
    let rest = file.strip_prefix("vzdump-")?;
    let (kind, rest) = rest.split_once('-')?;
    let (vmid, rest) = rest.split_once('-')?;
    let (stamp, extension) = rest.split_once('.')?;
    super::filename::backup_extension(file).filter(|known| known == extension)?;
    let time: jiff::civil::DateTime =
        jiff::civil::DateTime::strptime("%Y_%m_%d-%H_%M_%S", stamp).ok()?;
    let zoned = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some((kind.to_owned(), vmid.parse().ok()?, zoned.timestamp().as_second()))
}

/// What would become of the backups on a storage.
pub(crate) fn plan(
    world: &World,
    node: &str,
    storage: &str,
    keep: &Keep,
    vmid: Option<u32>,
    kind: Option<&str>,
) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (name, volume) in world.volumes_on(storage, node) {
        let Some(file) = name.strip_prefix("backup/") else { continue };
        let standard = standard_name(file);
        let owner = standard.as_ref().map(|(_, vmid, _)| *vmid).or(volume.vmid);
        let named = file.strip_prefix("vzdump-").and_then(|rest| rest.split('-').next());
        let kind_of = named.unwrap_or("unknown").to_owned();
        if vmid.is_some_and(|vmid| owner != Some(vmid)) || kind.is_some_and(|kind| kind != kind_of)
        {
            continue;
        }
        let mark = match (volume.protected, &standard) {
            (true, _) => "protected",
            (false, None) => "renamed",
            (false, Some(_)) => "",
        };
        let ctime = standard.map_or(volume.ctime, |(_, _, time)| time);
        let volid = format!("{storage}:{name}");
        entries.push(Entry { volid, ctime, kind: kind_of, vmid: owner, mark });
    }
    let groups: BTreeSet<(String, Option<u32>)> =
        entries.iter().map(|entry| (entry.kind.clone(), entry.vmid)).collect();
    for group in groups {
        let mut own: Vec<&mut Entry> = entries
            .iter_mut()
            .filter(|entry| (&entry.kind, entry.vmid) == (&group.0, group.1))
            .filter(|entry| entry.mark != "renamed")
            .collect();
        own.sort_by_key(|entry| std::cmp::Reverse(entry.ctime));
        mark(&mut own, keep);
    }
    entries
}

fn mark(newest_first: &mut [&mut Entry], keep: &Keep) {
    if keep.all || !keep.limits() {
        for entry in newest_first.iter_mut().filter(|entry| entry.mark.is_empty()) {
            entry.mark = "keep";
        }
        return;
    }
    for (at, count) in keep.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let period = |entry: &Entry| period(at, entry.ctime);
        let known: BTreeSet<String> = newest_first
            .iter()
            .filter(|entry| entry.mark == "keep")
            .map(|entry| period(entry))
            .collect();
        let mut new = BTreeSet::new();
        for entry in newest_first.iter_mut() {
            let own = period(entry);
            if !entry.mark.is_empty() || known.contains(&own) {
                continue;
            }
            if new.contains(&own) {
                entry.mark = "remove";
            } else if new.len() as u64 >= *count {
                break;
            } else {
                new.insert(own);
                entry.mark = "keep";
            }
        }
    }
    for entry in newest_first.iter_mut().filter(|entry| entry.mark.is_empty()) {
        entry.mark = "remove";
    }
}

/// The hour, day, week, month or year of a time.
fn period(at: usize, seconds: i64) -> String {
    let format = match at {
        1 => "%Y-%m-%d %H",
        2 => "%Y-%m-%d",
        3 => "%G-%V",
        4 => "%Y-%m",
        5 => "%Y",
        _ => return seconds.to_string(),
    };
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    time.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::storage::Volume;

    #[test]
    fn names_tell_type_guest_and_time() {
        let found = standard_name("vzdump-qemu-100-2026_11_23-04_05_06.vma.zst").unwrap();
        assert_eq!((found.0.as_str(), found.1, found.2), ("qemu", 100, 1_795_406_706));
        for bad in ["vzdump-qemu-100-old.vma", "x.vma", "vzdump-qemu-100-2026_13_23-04_05_06.vma"] {
            assert_eq!(standard_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_newest_of_each_period_stay() {
        let mut world = World::lab();
        for (day, hour) in [(20, 1), (21, 1), (22, 1), (22, 5), (23, 1)] {
            let name =
                format!("local:backup/vzdump-qemu-100-2026_11_{day}-{hour:02}_00_00.vma.zst");
            let volume = Volume { content: "backup".into(), vmid: Some(100), ..Volume::default() };
            world.add_volume("pve1", &name, volume);
        }
        world
            .volume_mut("pve1", "local:backup/vzdump-qemu-100-2026_11_20-01_00_00.vma.zst")
            .unwrap()
            .protected = true;
        let marks = |text: &str| {
            let found = plan(&world, "pve1", "local", &Keep::parse(text), Some(100), None);
            found.iter().map(|entry| entry.mark).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(marks("keep-last=2"), "protected remove remove keep keep");
        assert_eq!(marks("keep-daily=2"), "protected remove remove keep keep");
        assert_eq!(marks("keep-last=1,keep-daily=1"), "protected remove remove keep keep");
        assert_eq!(marks("keep-all=1"), "protected keep keep keep keep");
        assert_eq!(marks("keep-yearly=1"), "protected remove remove remove keep");
    }
}
