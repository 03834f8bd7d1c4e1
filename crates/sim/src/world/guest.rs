//! Guests: raw configuration text, pending changes, power.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

use crate::guest::inside::Inside;

/// Whether a guest runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestStatus {
    /// A QEMU process runs (it may be paused).
    Running,
    /// No process.
    Stopped,
}

/// A running QEMU process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Running {
    /// Sim time of the start, ms.
    pub since_ms: i64,
    /// Sim time from which the system inside obeys the power button and its agent answers; none
    /// when nothing inside boots.
    pub booted_ms: Option<i64>,
    /// Process id.
    pub pid: u32,
    /// Stopped by `suspend`.
    pub paused: bool,
}

/// Keys and values of a part of a configuration file.
pub(crate) type Section = BTreeMap<String, String>;

/// A virtual machine.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Guest {
    /// Id, unique in the cluster.
    pub vmid: u32,
    /// The node whose folder holds the configuration.
    pub node: String,
    /// Key to value as stored (and in effect for a running guest).
    pub config: BTreeMap<String, String>,
    /// Values that wait for the next cold boot.
    #[serde(default)]
    pub pending: BTreeMap<String, String>,
    /// Keys to remove at the next cold boot; true when forced.
    #[serde(default)]
    pub pending_delete: BTreeMap<String, bool>,
    /// Cloud-init values that the drive still has while `config` has newer ones (the section
    /// `special:cloudinit`); an empty text means that the key was added.
    #[serde(default)]
    pub cloudinit: BTreeMap<String, String>,
    /// What the system inside remembers until it is switched off.
    #[serde(default)]
    pub(crate) inside: Inside,
    /// Files that were written through the guest agent.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    /// The process, when it runs.
    #[serde(default)]
    pub running: Option<Running>,
    /// Snapshots: the sections of the configuration file, key to value, by name.
    #[serde(default)]
    pub snapshots: BTreeMap<String, BTreeMap<String, String>>,
}

impl Guest {
    /// A stopped guest.
    #[must_use]
    pub fn new(vmid: u32, node: &str, config: &[(&str, &str)]) -> Self {
        let config = config.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
        Self { vmid, node: node.to_owned(), config: config.collect(), ..Self::default() }
    }

    /// The value of a key as stored, without pending changes.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.config.get(key).map(String::as_str)
    }

    /// The name; `VM 100` when none is set, as lists show it.
    #[must_use]
    pub fn name(&self) -> String {
        self.get("name").map_or_else(|| format!("VM {}", self.vmid), str::to_owned)
    }

    /// Running or stopped.
    #[must_use]
    pub fn status(&self) -> GuestStatus {
        if self.running.is_some() { GuestStatus::Running } else { GuestStatus::Stopped }
    }

    /// Whether it is a template.
    #[must_use]
    pub fn template(&self) -> bool {
        self.get("template") == Some("1")
    }

    /// The tags, as stored.
    #[must_use]
    pub fn tags(&self) -> Vec<&str> {
        crate::guest::format::tags(self.get("tags").unwrap_or_default()).collect()
    }

    /// A boolean key.
    pub(crate) fn flag(&self, key: &str) -> bool {
        self.get(key) == Some("1")
    }

    /// The value with pending changes merged in.
    pub(crate) fn merged(&self, key: &str) -> Option<&str> {
        let value = self.pending.get(key).or_else(|| self.config.get(key)).map(String::as_str);
        // What is false in Perl is not taken out (`load_current_config`).
        value.filter(|value| *value == "0" || !self.pending_delete.contains_key(key))
    }

    /// The guest as a snapshot has it: its section as the configuration, without anything pending.
    pub(crate) fn at_snapshot(&self, name: &str) -> Option<Self> {
        let config = self.snapshots.get(name)?.clone();
        Some(Self { vmid: self.vmid, node: self.node.clone(), config, ..Self::default() })
    }

    /// The text of the configuration file, as `PVE::QemuServer::write_vm_config` lays it out.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        section(&mut out, &self.config);
        if !self.pending.is_empty() || !self.pending_delete.is_empty() {
            out.push_str("\n[PENDING]\n");
            if !self.pending_delete.is_empty() {
                let keys = self.pending_delete.iter();
                let keys =
                    keys.map(|(key, force)| if *force { format!("!{key}") } else { key.clone() });
                out.push_str(&format!("delete: {}\n", keys.collect::<Vec<_>>().join(",")));
            }
            section(&mut out, &self.pending);
        }
        if !self.cloudinit.is_empty() {
            out.push_str("\n[special:cloudinit]\n");
            section(&mut out, &self.cloudinit);
        }
        for (name, values) in &self.snapshots {
            out.push_str(&format!("\n[{name}]\n"));
            section(&mut out, values);
        }
        out
    }

    /// SHA-1 of [`Guest::text`], hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        hex(&Sha1::digest(self.text().as_bytes()))
    }
}

fn section(out: &mut String, values: &BTreeMap<String, String>) {
    if let Some(text) = values.get("description") {
        for line in text.lines() {
            out.push_str(&format!("#{}\n", line.replace('%', "%25").replace(':', "%3A")));
        }
    }
    for (key, value) in values.iter().filter(|(key, _)| *key != "description") {
        out.push_str(&format!("{key}: {value}\n"));
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_laid_out_as_a_configuration_file() {
        let mut guest =
            Guest::new(1, "pve1", &[("name", "a"), ("cores", "1"), ("description", "x\ny")]);
        guest.pending.insert("cores".into(), "2".into());
        guest.pending_delete.insert("net0".into(), false);
        assert_eq!(
            guest.text(),
            "#x\n#y\ncores: 1\nname: a\n\n[PENDING]\ndelete: net0\ncores: 2\n"
        );
        let snapshot = [("description", "as it was"), ("cores", "1"), ("snaptime", "5")];
        let snapshot = snapshot.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        guest.snapshots.insert("before".into(), snapshot);
        assert!(guest.text().ends_with("\n[before]\n#as it was\ncores: 1\nsnaptime: 5\n"));
        assert_eq!(guest.at_snapshot("before").unwrap().get("cores"), Some("1"));
        assert_eq!(guest.digest().len(), 40);
        assert_eq!(guest.merged("cores"), Some("2"));
        guest.config.extend([("net0", "x"), ("balloon", "0")].map(|(k, v)| (k.into(), v.into())));
        guest.pending_delete.insert("balloon".into(), false);
        assert_eq!((guest.merged("net0"), guest.merged("balloon")), (None, Some("0")));
    }
}
