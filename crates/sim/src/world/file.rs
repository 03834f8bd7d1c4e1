//! Worlds in files.
//!
//! A saved world is the serialised [`World`] with its `version`, JSON or YAML: state files, and
//! what `GET /sim/world` answers. Anything else is a world file that somebody wrote: `spec`.

use std::path::Path;

use serde::Deserialize;

use super::{WORLD_VERSION, World};
use crate::error::SimError;

/// How long a guest of a world file has run when the simulator starts.
const HOUR_MS: i64 = 3_600_000;
/// What is looked at first: the rest of another version may be anything.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    version: u64,
}

impl World {
    /// Reads a world from a file: one that somebody wrote, or a saved one.
    ///
    /// # Errors
    /// The file cannot be read, holds no world, or one of another version.
    pub fn load(path: &Path) -> Result<Self, SimError> {
        let file = |source| SimError::File { action: "read", path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(file)?;
        let format = |reason: String| SimError::Format { path: path.to_owned(), reason };
        if !is_saved(&text) {
            let name = path.display().to_string();
            let read = crate::spec::read(&name, &text);
            return read.map_err(|problems| SimError::World(Box::new(problems)));
        }
        if text.trim_start().starts_with('{') {
            let head: Head =
                serde_json::from_str(&text).map_err(|error| format(error.to_string()))?;
            let found = head.version;
            if found != u64::from(WORLD_VERSION) {
                let path = path.to_owned();
                return Err(SimError::Version { path, found, wanted: WORLD_VERSION });
            }
            let world = serde_json::from_str(&text).map_err(|error| format(error.to_string()))?;
            return Ok(Self::loaded(world));
        }
        Self::from_saved_yaml(&text).map_err(format)
    }

    /// Makes a world of the text of a world file, or of the saved form in YAML.
    ///
    /// # Errors
    /// What is wrong with it, with lines and columns.
    pub fn from_yaml(text: &str) -> Result<Self, String> {
        if is_saved(text) {
            return Self::from_saved_yaml(text);
        }
        crate::spec::read("world", text).map_err(|problems| problems.to_string())
    }

    fn from_saved_yaml(text: &str) -> Result<Self, String> {
        let world: Self = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        if world.version != WORLD_VERSION {
            return Err(format!("version {}, this simulator reads {WORLD_VERSION}", world.version));
        }
        Ok(Self::loaded(world))
    }

    /// Gives what a world file says of the past its place in time: what was made at sim time 0
    /// began an hour before `now`, and rules of faults are counted from `now`.
    pub(crate) fn wake(&mut self, now: i64) {
        let guests = self.guests.values_mut().filter_map(|guest| guest.running.as_mut());
        for running in guests.filter(|running| running.since_ms == 0) {
            running.since_ms = now - HOUR_MS;
        }
        for rule in self.faults.rules.iter_mut().filter(|rule| rule.added_ms == 0) {
            rule.added_ms = now;
        }
    }

    fn loaded(mut self) -> Self {
        self.tasks.reindex();
        self
    }

    /// Writes the world as JSON: to a file beside it first, then renamed over it.
    ///
    /// # Errors
    /// The folder cannot be made or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), SimError> {
        write(path, &self.to_json())
    }

    /// The world as JSON.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Whether a text is a saved world: it has a version, in JSON as a member of the object.
fn is_saved(text: &str) -> bool {
    if text.trim_start().starts_with('{') {
        // Its first members come first; a file that is cut off is one too.
        let head: String = text.chars().take(64).filter(|c| !c.is_whitespace()).collect();
        return head.starts_with("{\"version\":")
            || head == "{"
            || serde_json::from_str::<Versioned>(text).is_ok();
    }
    text.lines().any(|line| line.starts_with("version:"))
}

/// What tells a saved world.
#[derive(serde::Deserialize)]
struct Versioned {
    #[serde(rename = "version")]
    _version: u64,
}

/// Replaces a file in one step.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), SimError> {
    let file = |source| SimError::File { action: "write", path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(file)?;
    }
    let beside = path.with_extension("tmp");
    std::fs::write(&beside, bytes).map_err(file)?;
    std::fs::rename(&beside, path).map_err(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/world.json");
        let world = World::lab();
        world.save(&path).unwrap();
        let again = World::load(&path).unwrap();
        assert_eq!(again.to_json(), world.to_json());
    }

    #[test]
    fn other_versions_and_other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("world.json");
        for (text, part) in [
            ("{\"version\": 99}", "version 99"),
            ("{\"version\": 1}", "not a world"),
            ("{", "not a world"),
            ("- a\n", "world.json:1:1: "),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = World::load(&path).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(World::load(&folder.path().join("none")).is_err());
    }

    #[test]
    fn a_small_yaml_world_is_read() {
        let text = "
version: 1
cluster: small
nodes:
  a: {name: a, id: 1, ip: 192.0.2.11, online: true, cpus: 8, memory: 34359738368,
      rootfs: 107374182400, bridges: [vmbr0]}
storages:
  local: {id: local, type: dir, path: /var/lib/vz, shared: false, content: [images, iso],
          capacity: 107374182400}
volumes: {}
access: {users: {root@pam: {enable: true, password: secret}}}
guests: {}
operator: ['root@pam!x', 'secret']
";
        let world = World::from_yaml(text).unwrap();
        assert_eq!(world.cluster(), "small");
        assert_eq!(world.nodes().count(), 1);
        assert!(World::from_yaml(&text.replace("version: 1", "version: 2")).is_err());
    }
}
