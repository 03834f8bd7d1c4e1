//! VMIDs that documents beside the named ones claim. `pvx apply clusters/a.yaml` must not take,
//! for a guest with `start_vmid: auto`, a number that `clusters/b.yaml` gives to one of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::files::{File, Search};
use crate::desired::{Desired, Profile, VmidRequest};

/// Neighbours that are read, at most: a folder of thousands of files is no folder of documents.
const MOST_NEIGHBOURS: usize = 256;

/// Files beside the named files that are not named themselves. Folders are named whole.
pub(super) fn neighbours(working_dir: &Path, named: &[PathBuf], found: &[File]) -> Vec<File> {
    let mut search = Search::new(working_dir);
    let files = named.iter().filter(|path| working_dir.join(path).is_file());
    let folders: BTreeSet<PathBuf> =
        files.map(|path| path.parent().unwrap_or(Path::new("")).to_owned()).collect();
    for folder in &folders {
        for path in beside(&working_dir.join(folder)) {
            search.add(&path);
        }
    }
    // One file can be reached by many paths.
    let real = |file: &File| file.path.canonicalize().ok();
    let named: BTreeSet<PathBuf> = found.iter().filter_map(real).collect();
    search.files.retain(|file| real(file).is_some_and(|path| !named.contains(&path)));
    search.files
}

/// YAML files of one folder, not of those in it. A folder that cannot be read has none.
fn beside(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "yaml" || e == "yml"))
        .filter(|path| path.is_file())
        .take(MOST_NEIGHBOURS)
        .collect();
    files.sort();
    files
}

/// Fixed VMIDs of profiles that are none of `named`.
pub(super) fn of(profiles: &[Profile], named: &Desired) -> BTreeSet<u32> {
    let keys: BTreeSet<&str> = named.profiles.iter().map(Profile::key).collect();
    profiles
        .iter()
        .filter(|profile| !keys.contains(profile.key()))
        .flat_map(|profile| &profile.guests)
        .filter_map(|guest| match guest.vmid {
            VmidRequest::Fixed(vmid) => Some(vmid),
            VmidRequest::Auto => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::document::{LoadOptions, load};

    const PROFILE: &str = "type: generic\ntemplate: 100\ntags: [TAG]\nnodes:\n  \
        controlplane: { count: 2, start_vmid: VMID }\n";

    #[test]
    fn neighbours_claim_their_fixed_vmids_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, profile: &str, vmid: &str| {
            let text = PROFILE.replace("TAG", profile).replace("VMID", vmid);
            std::fs::write(folder.path().join(name), format!("name: {profile}\n{text}")).unwrap();
        };
        write("a.yaml", "a", "auto");
        write("b.yaml", "b", "1000");
        std::fs::write(folder.path().join("broken.yaml"), "{").unwrap();
        let options = |path: &str| LoadOptions {
            paths: vec![path.into()],
            working_dir: folder.path().to_owned(),
            ..LoadOptions::default()
        };
        let one = load(&options("a.yaml"));
        assert!(one.diagnostics.is_empty(), "{:?}", one.diagnostics);
        assert_eq!(one.desired.claimed.iter().copied().collect::<Vec<_>>(), [1000, 1001]);
        assert_eq!(one.desired.profiles.len(), 1);
        assert!(load(&options("b.yaml")).desired.claimed.is_empty());
    }
}
