//! What a world must be like when all is done, however often it was interrupted.

use std::collections::BTreeMap;

use pvx_sim::World;

use super::scene;

/// All guests by name with their configuration, without what differs from run to run: VMIDs that
/// were `auto`, MACs, generated ids, numbers of volumes. Guests of other people are as they are.
pub(super) fn picture(world: &World) -> BTreeMap<String, String> {
    let mut picture = BTreeMap::new();
    for guest in world.guests() {
        let foreign = scene::FOREIGN.contains(&guest.vmid) || guest.template();
        let (name, text) = if foreign {
            (format!("foreign {}", guest.vmid), guest.text())
        } else {
            (guest.name(), normal(guest))
        };
        let running = guest.running.is_some();
        let text = format!("on {}, running: {running}\n{text}", guest.node);
        if let Some(other) = picture.insert(name.clone(), text) {
            picture.insert(format!("{name} once more"), other);
        }
    }
    for storage in world.storages() {
        for node in world.nodes() {
            for (name, volume) in world.volumes_on(&storage.id, &node.name) {
                if volume.vmid.is_some_and(|vmid| scene::FOREIGN.contains(&vmid)) {
                    let key = format!("foreign volume {name} on {}@{}", storage.id, node.name);
                    picture.insert(key, format!("{volume:?}"));
                }
            }
        }
    }
    picture
}

fn normal(guest: &pvx_sim::Guest) -> String {
    let vmid = guest.vmid.to_string();
    let mut lines: Vec<String> = guest
        .text()
        .lines()
        .filter(|line| !line.starts_with("vmgenid") && !line.starts_with("meta"))
        .map(|line| line.replace(&vmid, "VMID"))
        .map(|line| match line.split_once("-disk-") {
            Some((head, tail)) => {
                format!("{head}-disk-N{}", tail.trim_start_matches(char::is_numeric))
            }
            None => line,
        })
        .map(|line| match (line.starts_with("net"), line.split_once('=')) {
            (true, Some((head, tail))) => {
                format!("{head}=MAC{}", tail.get(17..).unwrap_or_default())
            }
            _ => line,
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

/// What is different between two pictures, for people; nothing when they are the same.
pub(super) fn difference(
    expected: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, text) in expected {
        match found.get(name) {
            None => lines.push(format!("{name} is not there")),
            Some(other) if other != text => {
                let gone = text.lines().filter(|line| !other.lines().any(|o| o == *line));
                lines.extend(gone.map(|line| format!("{name}: - {line}")));
                let new = other.lines().filter(|line| !text.lines().any(|o| o == *line));
                lines.extend(new.map(|line| format!("{name}: + {line}")));
            }
            Some(_) => {}
        }
    }
    let more = found.iter().filter(|(name, _)| !expected.contains_key(*name));
    lines.extend(more.map(|(name, text)| format!("{name} is there too:\n{text}")));
    lines
}
