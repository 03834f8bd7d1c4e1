//! Mapped devices and directories.

use std::collections::BTreeMap;

use super::Builder;
use crate::guest::format::{Format, Kind as Type, check};
use crate::guest::property;
use crate::spec::format::{MappingSpec, MappingsSpec};
use crate::spec::problem::At;
use crate::spec::value::Many;
use crate::world::mapping::{Kind, Mapping};

impl Builder<'_> {
    pub(super) fn mappings(&mut self, file: &MappingsSpec) {
        let top = At::top("mappings");
        for kind in Kind::ALL {
            let all = match kind {
                Kind::Dir => &file.dir,
                Kind::Pci => &file.pci,
                Kind::Usb => &file.usb,
            };
            let at = top.key(kind.name());
            for (id, spec) in all {
                self.mapping(&at.key(id), kind, id, spec);
            }
        }
    }

    fn mapping(&mut self, at: &At<'_>, kind: Kind, id: &str, spec: &Many<String, MappingSpec>) {
        if let Err(error) = check(Type::Format(Format::ConfigId), "", id) {
            self.wrong(at, format!("'{id}' is no id of a mapping: {}", error.trim()), None);
        }
        let (list, spec) = match spec {
            Many::Count(_) => {
                let help = Some("as in [\"node=pve1,path=/srv/share\"]".to_owned());
                return self.wrong(at, "which devices? give them as a list", help);
            }
            Many::List(list) => (list, &MappingSpec::default()),
            Many::Map(spec) => (&spec.map, spec),
        };
        let below = at.key("map");
        let place = if list == &spec.map && !list.is_empty() { &below } else { at };
        for (index, entry) in list.iter().enumerate() {
            self.device(&place.item(index), kind, entry);
        }
        let flag = |value: bool| u8::from(value).to_string();
        let options = [
            ("description", spec.description.clone()),
            ("live-migration-capable", spec.live.map(flag)),
            ("mdev", spec.mdev.map(flag)),
        ];
        let mut given = BTreeMap::new();
        for (key, value) in options {
            let Some(value) = value else { continue };
            if !kind.options().contains(&key) {
                self.wrong(&at.key(key), format!("'{key}' is for PCI devices"), None);
            }
            given.insert(key.to_owned(), value);
        }
        let mapping = Mapping { map: list.clone(), options: given };
        self.world.mappings.entry(kind).or_default().insert(id.to_owned(), mapping);
    }

    /// One entry: its shape and its node. A directory is made.
    fn device(&mut self, at: &At<'_>, kind: Kind, entry: &str) {
        let values = match property::check(kind.format(), "map", entry) {
            Ok(values) => values,
            Err(error) => return self.wrong(at, error.trim().replace('\n', "; "), None),
        };
        let node = values.get("node").unwrap_or_default();
        if self.knows_node(at, node) && kind == Kind::Dir {
            let path = values.get("path").unwrap_or_default();
            crate::shell::fs::make_folders(&mut self.world, node, path);
        }
    }
}
