//! Worlds in files.
//!
//! A file is the serialised [`World`], JSON or YAML, with `version`. The least that makes sense:
//!
//! ```yaml
//! version: 1
//! cluster: small
//! nodes:
//!   a: {name: a, id: 1, ip: 192.0.2.11, online: true, cpus: 8, memory: 34359738368,
//!       rootfs: 107374182400, bridges: [vmbr0]}
//! storages:
//!   local: {id: local, type: dir, path: /var/lib/vz, shared: false, content: [images, iso],
//!           capacity: 107374182400}
//! volumes: {}
//! access: {users: {root@pam: {enable: true, password: secret}}}
//! guests: {}
//! operator: ["root@pam!x", "secret"]
//! ```

use std::path::Path;

use super::{WORLD_VERSION, World};
use crate::error::SimError;

impl World {
    /// Reads a world from a JSON or YAML file.
    ///
    /// # Errors
    /// The file cannot be read, holds no world, or one of another version.
    pub fn load(path: &Path) -> Result<Self, SimError> {
        let file = |source| SimError::File { action: "read", path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(file)?;
        let format = |reason: String| SimError::Format { path: path.to_owned(), reason };
        if text.trim_start().starts_with('{') {
            let head: serde_json::Value =
                serde_json::from_str(&text).map_err(|error| format(error.to_string()))?;
            let found = head.get("version").and_then(serde_json::Value::as_u64).unwrap_or(0);
            if found != u64::from(WORLD_VERSION) {
                let path = path.to_owned();
                return Err(SimError::Version { path, found, wanted: WORLD_VERSION });
            }
            let world = serde_json::from_value(head).map_err(|error| format(error.to_string()))?;
            return Ok(Self::loaded(world));
        }
        Self::from_yaml(&text).map_err(format)
    }

    /// Reads a world from YAML text.
    ///
    /// # Errors
    /// What the parser says when the text is no world.
    pub fn from_yaml(text: &str) -> Result<Self, String> {
        let world: Self = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        if world.version != WORLD_VERSION {
            return Err(format!("version {}, this simulator reads {WORLD_VERSION}", world.version));
        }
        Ok(Self::loaded(world))
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
            ("- a\n", "not a world"),
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
