//! "Did you mean": the known name that is closest to one that is not known.

/// Longer names are never a slip of the finger, and comparing them costs time.
const LONGEST: usize = 64;

/// The name among `known` that `name` was probably meant to be, or none when all are far off.
/// Case, and `_` against `-`, do not count.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if name.is_empty() || name.len() > LONGEST {
        return None;
    }
    let wanted = fold(name);
    let allowed = (wanted.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(&wanted, &fold(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn fold(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}

/// An unfinished word (`mem` for `memory`) counts as one slip.
fn distance(wanted: &str, candidate: &str) -> usize {
    let edits = strsim::damerau_levenshtein(wanted, candidate);
    let unfinished = wanted.len() >= 3 && candidate.starts_with(wanted);
    if unfinished { edits.min(1) } else { edits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let known = ["cores", "memory", "start_vmid", "network", "networks"];
        for (name, expected) in [
            ("core", Some("cores")),
            ("croes", Some("cores")),
            ("Cores", Some("cores")),
            ("mem", Some("memory")),
            ("start-vmid", Some("start_vmid")),
            ("network", Some("network")),
            ("bananas", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
