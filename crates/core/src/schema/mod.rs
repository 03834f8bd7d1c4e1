//! The configuration keys of a VM: one table that documents are decoded with, guests are compared
//! with, the reference is written from and tests are generated from.
//!
//! `keys` has the table, `formats` the property strings that some keys hold. Names, ranges and
//! defaults are Proxmox VE's own (qemu-server 9.2, `QemuServer.pm` `$confdesc` and
//! `QemuServer/*.pm`), privileges are those of `API2/Qemu.pm` (check_vm_modify_config_perm).

mod document;
mod documents;
mod formats;
mod json;
mod keys;
mod reference;
mod vm;

pub use document::{Effect, Field, Form, Kind, Mapping};
pub use formats::{DRIVE, NIC, NIC_MODELS};
pub use json::json_schema;
pub use keys::{KEYS, SCSI_CONTROLLERS};
pub use reference::{Effects, reference};

/// One key, or a row of numbered ones.
#[derive(Debug)]
pub struct Key {
    /// Proxmox's name, without its number: `cores`, `usb`.
    pub name: &'static str,
    /// How many there are: `usb0` to `usb13` are 14. 0: the key has no number.
    pub slots: u8,
    /// What a value looks like.
    pub shape: Shape,
    /// What Proxmox takes when the key is absent, in its own spelling.
    pub default: Option<&'static str>,
    /// Unit of a number.
    pub unit: Option<&'static str>,
    /// Privilege on `/vms/{vmid}` that a change needs, with what it needs beside it; [`ROOT`] for
    /// keys that only root@pam may change, which no API token is.
    pub privilege: &'static str,
    /// One sentence without a full stop.
    pub about: &'static str,
    /// Two different values, as a document says them.
    pub examples: [&'static str; 2],
}

/// The privilege of keys that only root@pam may change: they are written over SSH.
pub const ROOT: &str = "root@pam";

/// What a value looks like in documents and in Proxmox.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// `true`, `false`; Proxmox stores 1 and 0.
    Boolean,
    /// A whole number, both ends included.
    Integer(u64, u64),
    /// A number that may have a fraction, both ends included.
    Decimal(u64, u64),
    /// A size; bare numbers count in MiB, and so does Proxmox. Both ends included, in MiB.
    Mebibytes(u64, u64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// Printable ASCII without white space, quotes and commas.
    Token,
    /// One line, at most so many bytes.
    Line(usize),
    /// Any number of lines, at most so many bytes in all.
    Lines(usize),
    /// A list of tokens that Proxmox joins with this character.
    List(char),
    /// A list of words, or `false` for none of them and `true` for Proxmox's own choice.
    Features(&'static [&'static str]),
    /// A property string: a mapping, or the value of its default key alone.
    Properties(&'static Properties),
}

/// The format of a property string.
#[derive(Debug)]
pub struct Properties {
    /// The property that a bare value means.
    pub default_key: Option<&'static str>,
    /// Without these the key says nothing.
    pub required: &'static [&'static str],
    /// Its properties.
    pub properties: &'static [Property],
}

/// One property of a property string.
#[derive(Debug)]
pub struct Property {
    /// Proxmox's name.
    pub name: &'static str,
    /// What a value looks like.
    pub shape: Shape,
    /// What Proxmox takes when the property is absent.
    pub default: Option<&'static str>,
    /// Unit of a number.
    pub unit: Option<&'static str>,
    /// One sentence without a full stop.
    pub about: &'static str,
}

impl Key {
    /// Is `name` this key, with a number of it when it has numbers?
    pub fn matches(&self, name: &str) -> bool {
        if self.slots == 0 {
            return name == self.name;
        }
        let number = name.strip_prefix(self.name);
        number.is_some_and(|text| {
            text.parse::<u8>().is_ok_and(|n| n < self.slots && n.to_string() == text)
        })
    }

    /// How the key is written in documents: `cores`, `usb0` to `usb13`.
    pub fn title(&self) -> String {
        match self.slots {
            0 => self.name.to_owned(),
            1 => format!("{}0", self.name),
            slots => format!("{0}0-{0}{1}", self.name, slots - 1),
        }
    }

    /// Its properties, for a key that holds a property string.
    pub fn properties(&self) -> &'static [Property] {
        match self.shape {
            Shape::Properties(format) => format.properties,
            _ => &[],
        }
    }

    /// Does only root@pam change it?
    pub fn is_root_only(&self) -> bool {
        self.privilege == ROOT
    }
}

impl Properties {
    /// The property of this name.
    pub fn get(&self, name: &str) -> Option<&'static Property> {
        self.properties.iter().find(|property| property.name == name)
    }
}

/// Does only root@pam write this value of the key (qemu-server `API2/Qemu.pm`,
/// check_vm_modify_config_perm and its neighbours)? `stored` is a value in Proxmox's spelling.
pub fn needs_root(name: &str, stored: &str) -> bool {
    let Some(key) = key(name) else { return false };
    match key.name {
        _ if key.is_root_only() => true,
        "serial" => stored.starts_with('/'),
        "usb" => !stored.contains("mapping=") && !stored.to_ascii_lowercase().contains("spice"),
        "hostpci" => !stored.contains("mapping=") || stored.contains("romfile="),
        _ => false,
    }
}

/// The key that a name means.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.matches(name))
}

/// Every key of every mapping of documents, by the mapping's title.
#[cfg(test)]
pub(crate) fn titled()
-> std::collections::BTreeMap<&'static str, std::collections::BTreeSet<String>> {
    let mut found = std::collections::BTreeMap::new();
    let mut open: Vec<&'static Mapping> = Kind::ALL.map(Kind::mapping).into();
    open.extend([&vm::VM, &documents::INCLUDED]);
    while let Some(mapping) = open.pop() {
        let names: &mut std::collections::BTreeSet<String> =
            found.entry(mapping.title).or_default();
        let further = vm::further(mapping).map_or(&[] as &[Property], |f| f.properties);
        names.extend(mapping.fields.iter().map(|field| field.name.to_owned()));
        names.extend(further.iter().map(|property| property.name.to_owned()));
        if mapping.vm {
            names.extend(vm::VM.fields.iter().map(|field| field.name.to_owned()));
            names.extend(KEYS.iter().map(Key::title));
        }
        open.extend(reference::mappings(mapping.fields).into_iter().map(|(_, inner)| inner));
    }
    found.remove(vm::VM.title);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (name, expected) in [
            ("cores", Some("cores")),
            ("usb0", Some("usb0-usb13")),
            ("usb13", Some("usb0-usb13")),
            ("usb14", None),
            ("usb", None),
            ("usb01", None),
            ("audio0", Some("audio0")),
            ("audio1", None),
            ("nosuch", None),
        ] {
            assert_eq!(key(name).map(Key::title).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn what_only_root_writes() {
        for (name, stored, expected) in [
            ("args", "-no-hpet", true),
            ("affinity", "0-1", true),
            ("cores", "2", false),
            ("serial0", "socket", false),
            ("serial0", "/dev/ttyS0", true),
            ("usb1", "spice", false),
            ("usb1", "host=Spice,usb3=1", false),
            ("usb1", "1234:abcd", true),
            ("usb1", "mapping=stick", false),
            ("hostpci0", "mapping=gpu,pcie=1", false),
            ("hostpci0", "01:00.0", true),
            ("hostpci0", "mapping=gpu,romfile=a.rom", true),
        ] {
            assert_eq!(needs_root(name, stored), expected, "{name} {stored}");
        }
    }

    #[test]
    fn every_name_is_there_once_and_defaults_fit_their_shape() {
        let mut names: Vec<_> = KEYS.iter().map(|key| key.name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        // `numa` is a key, and so is `numa0`.
        assert_eq!(names.len(), all - 1);
        for key in KEYS {
            assert_ne!(key.examples[0], key.examples[1], "{}", key.name);
            let (Shape::Word(words), Some(default)) = (key.shape, key.default) else { continue };
            assert!(words.contains(&default), "{}", key.name);
        }
    }
}
