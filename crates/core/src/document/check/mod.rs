//! What must hold between documents: everything that can be known without the cluster.

mod addresses;
mod depends;
mod disks;
pub(super) mod ha;
mod isolation;
mod moved;
mod names;
mod nodes;
mod repeated;
mod vmids;

use std::collections::BTreeMap;

use super::decode::profile::Profile as ProfileDocument;
use super::decode::standalone::Standalone;
use crate::desired::{Desired, Profile, ProfileKind};
use crate::diagnostic::Diagnostic;

/// The documents of one run, as they were written.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    pub(crate) profiles: Vec<ProfileDocument>,
    pub(crate) standalone: Vec<Standalone>,
}

/// All problems between the documents and inside each.
pub(crate) fn all(documents: &Documents, desired: &Desired) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    names::check(documents, desired, &mut problems);
    nodes::check(documents, &desired.scope, &mut problems);
    vmids::check(desired, &mut problems);
    addresses::check(documents, desired, &mut problems);
    disks::check(desired, &mut problems);
    isolation::check(documents, &mut problems);
    depends::check(documents, desired, &mut problems);
    ha::check(desired, &mut problems);
    moved::check(desired, &mut problems);
    problems
}

/// `profile k3s`, `VM gitea`.
fn called(profile: &Profile) -> String {
    match profile.kind {
        ProfileKind::Vm => format!("VM {}", profile.name),
        ProfileKind::Talos | ProfileKind::Generic => format!("profile {}", profile.name),
    }
}

/// Names that wait for each other in a circle, in waiting order; none when there is no circle.
/// Names that no one has an entry for are passed over.
pub(crate) fn circle<'n>(edges: &BTreeMap<&'n str, Vec<&'n str>>) -> Option<Vec<&'n str>> {
    // What is known to lead into no circle; and the way that is being followed, with how many
    // edges of each name were tried. No recursion: documents choose the depth.
    let mut done: std::collections::BTreeSet<&str> = std::collections::BTreeSet::new();
    for start in edges.keys() {
        let mut way: Vec<(&str, usize)> = vec![(start, 0)];
        let mut places: BTreeMap<&str, usize> = BTreeMap::from([(*start, 0)]);
        while let Some((name, tried)) = way.last_mut() {
            let next = edges.get(name).and_then(|wanted| wanted.get(*tried)).copied();
            *tried += 1;
            let Some(next) = next else {
                done.insert(*name);
                places.remove(*name);
                way.pop();
                continue;
            };
            if let Some(from) = places.get(next) {
                return Some(way.iter().skip(*from).map(|(name, _)| *name).collect());
            }
            if !done.contains(next) && edges.contains_key(next) {
                places.insert(next, way.len());
                way.push((next, 0));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles() {
        let circle_of = |edges: &[(&'static str, &'static str)]| {
            let mut map: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for (from, to) in edges {
                map.entry(from).or_default().push(to);
            }
            circle(&map)
        };
        assert_eq!(circle_of(&[("a", "b"), ("b", "c"), ("a", "c")]), None);
        assert_eq!(circle_of(&[("a", "a")]), Some(vec!["a"]));
        assert_eq!(circle_of(&[("a", "b"), ("b", "c"), ("c", "b")]), Some(vec!["b", "c"]));
        assert_eq!(circle_of(&[("a", "nowhere")]), None);
    }
}
