//! Clusters are isolated: networks, tags and flux paths of one are not those of another.

use std::collections::{BTreeMap, BTreeSet};

use super::super::decode::names::Cidr;
use super::super::decode::profile::Profile;
use super::super::decode::value::quoted;
use super::Documents;
use crate::diagnostic::{Diagnostic, Spanned};

/// Problems of one kind, at most: pairs grow with the square of the documents.
const MOST: usize = 100;

pub(super) fn check(documents: &Documents, problems: &mut Vec<Diagnostic>) {
    // A profile that is there twice has that problem alone.
    let mut names = BTreeSet::new();
    let profiles: Vec<&Profile> =
        documents.profiles.iter().filter(|p| names.insert(p.name.value.as_str())).collect();
    networks(&profiles, problems);
    tags(&profiles, problems);
    flux(&profiles, problems);
}

/// Pod and service networks overlap neither across profiles nor within one.
fn networks(profiles: &[&Profile], problems: &mut Vec<Diagnostic>) {
    let all: Vec<(&str, &str, &Spanned<Cidr>)> = profiles
        .iter()
        .flat_map(|profile| {
            let name = profile.name.value.as_str();
            let pod = profile.pod_cidr.as_ref().map(|cidr| (name, "pod_cidr", cidr));
            let service = profile.service_cidr.as_ref().map(|cidr| (name, "service_cidr", cidr));
            [pod, service].into_iter().flatten()
        })
        .collect();
    let before = problems.len();
    for (index, (name, key, cidr)) in all.iter().enumerate() {
        for (first_name, first_key, first) in all.iter().take(index) {
            if problems.len() - before >= MOST {
                return;
            }
            if !cidr.value.overlaps(&first.value) {
                continue;
            }
            let message = if name == first_name {
                format!("{first_key} and {key} of profile {name} overlap")
            } else {
                format!("{key} of profile {name} overlaps {first_key} of profile {first_name}")
            };
            problems.push(
                Diagnostic::error("cidr-overlap", message)
                    .at(cidr.span, format!("{key} of {name}"))
                    .at(first.span, format!("{first_key} of {first_name}"))
                    .help("give every cluster networks of its own"),
            );
        }
    }
}

/// No two profiles have the same tags, and each has a tag that no other has.
fn tags(profiles: &[&Profile], problems: &mut Vec<Diagnostic>) {
    const HELP: &str = "give the profile a tag that no other profile has";
    let mut owners: BTreeMap<&str, usize> = BTreeMap::new();
    let mut sets: BTreeMap<BTreeSet<&str>, Vec<&Profile>> = BTreeMap::new();
    for profile in profiles {
        let set: BTreeSet<&str> = profile.tags.iter().map(|tag| tag.value.as_str()).collect();
        set.iter().for_each(|tag| *owners.entry(tag).or_default() += 1);
        sets.entry(set).or_default().push(profile);
    }
    for (set, same) in sets {
        if set.iter().any(|tag| owners.get(tag) == Some(&1)) {
            continue;
        }
        let Some((first, others)) = same.split_first() else { continue };
        let Some(place) = first.tags.first().map(|tag| tag.span) else { continue };
        let name = &first.name.value;
        if others.is_empty() {
            let message = format!("profile {name} has no tag of its own");
            let problem = Diagnostic::error("tags-not-unique", message);
            problems.push(problem.at(place, "other profiles have all of these").help(HELP));
        }
        for other in others {
            let there = other.tags.first().map(|tag| tag.span);
            let message = format!("profiles {name} and {} have the same tags", other.name.value);
            problems.push(
                Diagnostic::error("tags-not-unique", message)
                    .at_opt(there, format!("tags of {}", other.name.value))
                    .at(place, format!("tags of {name}"))
                    .help(HELP),
            );
        }
    }
}

/// Two clusters that are fed from one path would fight over it.
fn flux(profiles: &[&Profile], problems: &mut Vec<Diagnostic>) {
    let mut paths: BTreeMap<(&str, &str), (&Profile, &Spanned<String>)> = BTreeMap::new();
    for profile in profiles {
        let Some(path) = &profile.flux.path else { continue };
        let repo = profile.flux.repo.as_ref().map_or("", |repo| repo.value.trim_end_matches('/'));
        let plain = path.value.trim_start_matches("./").trim_end_matches('/');
        let Some((other, first)) = paths.get(&(repo, plain)) else {
            paths.insert((repo, plain), (profile, path));
            continue;
        };
        let message = format!(
            "profiles {} and {} have the same flux path {}",
            other.name.value,
            profile.name.value,
            quoted(plain),
        );
        problems.push(
            Diagnostic::error("flux-path-not-unique", message)
                .at(path.span, format!("flux of {}", profile.name.value))
                .at(first.span, format!("flux of {}", other.name.value))
                .help("give every cluster a path of its own"),
        );
    }
}
