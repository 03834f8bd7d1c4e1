//! Devices and directories of the nodes under one name in the cluster (`PVE::Mapping`): what
//! `hostpciN: mapping=…`, `usbN: mapping=…` and `virtiofsN` stand for on each node. The devices
//! themselves are there when a mapping says so.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

use super::World;
use super::guest::hex;
use crate::guest::format::{Format, Kind as Type};
use crate::guest::property::{Property, Values, parse};

/// What is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Dir,
    Pci,
    Usb,
}

/// Mappings by kind and id.
pub(crate) type Mappings = BTreeMap<Kind, BTreeMap<String, Mapping>>;

/// One id: an entry a device, and what holds on all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mapping {
    /// Property strings with `node`.
    pub(crate) map: Vec<String>,
    /// `description`, `mdev`, `live-migration-capable`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) options: BTreeMap<String, String>,
}

const fn text(name: &'static str, fits: fn(&str) -> bool) -> Property {
    Property::new(name, Type::pattern(fits))
}

const NODE: Property = Property::new("node", Type::Format(Format::Node)).required();
const DESCRIPTION: Property = Property::new("description", Type::Text { max: 4096 });
const DIR: &[Property] = &[NODE, Property::new("path", Type::Formatted(directory)).required()];
const PCI: &[Property] = &[
    NODE,
    text("id", vendor_and_device).required(),
    text("subsystem-id", vendor_and_device),
    text("path", pci_paths).required(),
    Property::new("iommugroup", Type::INT),
    DESCRIPTION,
];
const USB: &[Property] =
    &[NODE, text("id", vendor_and_device).required(), text("path", usb_path), DESCRIPTION];

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Dir, Self::Pci, Self::Usb];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dir => "dir",
            Self::Pci => "pci",
            Self::Usb => "usb",
        }
    }

    /// The file below `/etc/pve`.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Dir => "mapping/directory.cfg",
            Self::Pci => "mapping/pci.cfg",
            Self::Usb => "mapping/usb.cfg",
        }
    }

    /// What an entry consists of.
    pub(crate) fn format(self) -> &'static [Property] {
        match self {
            Self::Dir => DIR,
            Self::Pci => PCI,
            Self::Usb => USB,
        }
    }

    /// The options beside `map`.
    pub(crate) fn options(self) -> &'static [&'static str] {
        match self {
            Self::Pci => &["description", "live-migration-capable", "mdev"],
            Self::Dir | Self::Usb => &["description"],
        }
    }

    /// The kind that a key of a guest's configuration refers to, by the key's stem.
    pub(crate) fn of_key(key: &str) -> Option<Self> {
        match crate::guest::keys::split_number(key)?.0 {
            "hostpci" => Some(Self::Pci),
            "usb" => Some(Self::Usb),
            "virtiofs" => Some(Self::Dir),
            _ => None,
        }
    }
}

fn hex_digits(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `8086:1521`.
fn vendor_and_device(text: &str) -> bool {
    let is = |part: &str| hex_digits(part, 4, 4);
    text.split_once(':').is_some_and(|(vendor, device)| is(vendor) && is(device))
}

/// `0000:01:00.0`, several joined with semicolons; lower case, with the domain.
fn pci_paths(text: &str) -> bool {
    let path = |path: &str| {
        let (address, function) = path.split_once('.').unwrap_or((path, "0"));
        let parts: Vec<&str> = address.split(':').collect();
        let [domain, bus, device] = parts.as_slice() else { return false };
        hex_digits(domain, 4, 8)
            && [bus, device].iter().all(|part| hex_digits(part, 2, 2))
            && hex_digits(function, 1, 1)
    };
    !text.bytes().any(|byte| byte.is_ascii_uppercase()) && text.split(';').all(path)
}

/// `1-2.3`: bus and ports.
fn usb_path(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = text.split_once('-');
    parts.is_some_and(|(bus, ports)| digits(bus) && ports.split('.').all(digits))
}

/// `pve-storage-path-in-property-string`.
fn directory(text: &str) -> Result<(), String> {
    let begins = text.strip_prefix('/').and_then(|rest| rest.chars().next());
    if begins.is_some_and(|first| !";,=()".contains(first)) {
        return Ok(());
    }
    Err("Value does not look like a valid absolute path. These symbols are currently not allowed in path: ;,=()".to_owned())
}

impl Mapping {
    /// The entries of a node (`get_node_mapping`).
    pub(crate) fn on(&self, kind: Kind, node: &str) -> Vec<Values> {
        let entries = self.map.iter().filter_map(|entry| parse(kind.format(), entry).ok());
        entries.filter(|entry| entry.get("node") == Some(node)).collect()
    }

    pub(crate) fn flag(&self, option: &str) -> bool {
        self.options.get(option).is_some_and(|value| value == "1")
    }
}

impl World {
    /// A mapping by kind and id.
    pub(crate) fn mapping(&self, kind: Kind, id: &str) -> Option<&Mapping> {
        self.mappings.get(&kind)?.get(id)
    }

    /// What a mapping stands for on a node; none when there is no such mapping.
    pub(crate) fn mapped_on(&self, kind: Kind, id: &str, node: &str) -> Option<Vec<Values>> {
        self.mapping(kind, id).map(|mapping| mapping.on(kind, node))
    }

    /// The file of a kind, as `PVE::SectionConfig::write_config` writes it; empty without mappings.
    pub(crate) fn mapping_cfg(&self, kind: Kind) -> String {
        let mut out = String::new();
        for (id, mapping) in self.mappings.get(&kind).into_iter().flatten() {
            out.push_str(&format!("{id}\n"));
            for entry in &mapping.map {
                out.push_str(&format!("\tmap {entry}\n"));
            }
            for (key, value) in mapping.options.iter().filter(|(_, value)| !value.is_empty()) {
                out.push_str(&format!("\t{key} {value}\n"));
            }
            out.push('\n');
        }
        out
    }

    /// The digest of that file.
    pub(crate) fn mapping_digest(&self, kind: Kind) -> String {
        hex(&Sha1::digest(self.mapping_cfg(kind).as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::property::check;

    #[test]
    fn entries_have_a_shape() {
        for (kind, entry, fits) in [
            (Kind::Dir, "node=pve1,path=/srv/share", true),
            (Kind::Dir, "node=pve1,path=srv", false),
            (Kind::Dir, "path=/srv", false),
            (Kind::Pci, "node=pve1,path=0000:01:00.0,id=8086:1521,iommugroup=5", true),
            (Kind::Pci, "node=pve1,path=0000:01:00;0000:02:00.1,id=8086:1521", true),
            (Kind::Pci, "node=pve1,path=01:00.0,id=8086:1521", false),
            (Kind::Pci, "node=pve1,path=0000:01:00.0", false),
            (Kind::Usb, "node=pve1,id=1234:abcd", true),
            (Kind::Usb, "node=pve1,id=1234:abcd,path=1-2.3", true),
            (Kind::Usb, "node=pve1,id=1234:abcd,path=1-", false),
            (Kind::Usb, "node=pve1,id=12:34", false),
        ] {
            assert_eq!(check(kind.format(), "map", entry).is_ok(), fits, "{entry}");
        }
    }
}
