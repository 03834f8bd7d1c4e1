//! Storages.

use super::Builder;
use crate::spec::format::{StorageSpec, WorldFile};
use crate::spec::problem::{At, suggest};
use crate::spec::value::{Many, WordOr};
use crate::storage::options::{needed, rule};
use crate::world::World;
use crate::world::lab::GIB;
use crate::world::storage::{Storage, StorageKind};

/// Options that a type demands and a file does not give.
fn made_up(option: &str, id: &str) -> Option<String> {
    Some(match option {
        "vgname" => "pve".to_owned(),
        "thinpool" => "data".to_owned(),
        "pool" => format!("rpool/{id}"),
        "server" | "portal" => "192.0.2.5".to_owned(),
        "export" => format!("/srv/{id}"),
        "share" | "datastore" => id.to_owned(),
        "target" => format!("iqn.2003-01.org.linux-iscsi.{id}"),
        "username" => "root@pam".to_owned(),
        "blocksize" => "4k".to_owned(),
        "iscsiprovider" => "LIO".to_owned(),
        _ => return None,
    })
}

/// The storages of the world `lab`.
fn of_lab(id: &str) -> Option<Storage> {
    World::lab().storages.remove(id)
}

impl Builder<'_> {
    pub(super) fn storages(&mut self, file: &WorldFile) {
        let top = At::top("storages");
        match &file.storages {
            None if self.fresh => self.world.storages = World::lab().storages,
            None => {}
            Some(many @ Many::Count(_)) => {
                let count = super::count(many).unwrap_or_default();
                let help = Some("as in 'storages: {tank: zfspool}'".to_owned());
                self.wrong(&top, format!("which {count} storages? give their ids"), help);
            }
            Some(Many::List(list)) => {
                for (index, text) in list.iter().enumerate() {
                    let (id, kind) = text.split_once(':').unwrap_or((text, ""));
                    let kind = Some(kind.trim().to_owned()).filter(|kind| !kind.is_empty());
                    let spec = StorageSpec { kind, ..StorageSpec::default() };
                    self.storage(&top.item(index), id, &spec);
                }
            }
            Some(Many::Map(map)) => {
                for (id, spec) in map {
                    let at = top.key(id);
                    match spec {
                        WordOr::Full(spec) => self.storage(&at, id, spec),
                        WordOr::Word(kind) => {
                            let kind = Some(kind.clone());
                            let spec = StorageSpec { kind, ..StorageSpec::default() };
                            self.storage(&at, id, &spec);
                        }
                    }
                }
            }
        }
    }

    fn storage(&mut self, at: &At<'_>, id: &str, spec: &StorageSpec) {
        use crate::guest::format::{Format, check_format};
        if check_format(Format::StorageId, id).is_err() {
            let help = Some("a letter, then letters, digits, '.', '_' and '-'".to_owned());
            self.wrong(at, format!("'{id}' is no storage id"), help);
            return;
        }
        let Some(mut storage) = self.storage_to_change(at, id, spec) else { return };
        if let Some(content) = &spec.content {
            self.content(&at.key("content"), &storage, content);
            storage.content.clone_from(content);
        }
        storage.shared = storage.kind.always_shared() || spec.shared.unwrap_or(storage.shared);
        if let Some(nodes) = &spec.nodes {
            let at = at.key("nodes");
            for (index, node) in nodes.iter().enumerate() {
                self.knows_node(&at.item(index), node);
            }
            storage.nodes = Some(nodes.clone());
        }
        let usual = if storage.shared { 1024 * GIB } else { 100 * GIB };
        storage.capacity = match spec.capacity {
            Some(size) => size.0,
            None if storage.capacity == 0 => usual,
            None => storage.capacity,
        };
        storage.reserved = spec.reserved.map_or(storage.reserved, |size| size.0);
        if let Some(path) = &spec.path {
            storage.path = Some(path.clone());
        }
        self.options(at, &mut storage, spec);
        for node in spec.unreachable.iter().flatten().filter(|node| *node != "*") {
            self.knows_node(&at.key("unreachable"), node);
        }
        self.world.add_storage(storage);
    }

    /// A storage of the world so far or of `lab`, or a new one of the type that is given.
    fn storage_to_change(&mut self, at: &At<'_>, id: &str, spec: &StorageSpec) -> Option<Storage> {
        let known = self.world.storages.get(id).cloned().or_else(|| of_lab(id));
        let names = || StorageKind::ALL.iter().map(|kind| kind.name());
        let Some(word) = &spec.kind else {
            if known.is_none() {
                let types = names().collect::<Vec<_>>().join(", ");
                let message = format!("storage '{id}' needs a type");
                self.wrong(at, message, Some(format!("one of {types}")));
            }
            return known;
        };
        let Some(kind) = StorageKind::parse(word) else {
            let message = format!("there is no storage type '{word}'");
            self.wrong(&at.key("type"), message, suggest(word, names()));
            return None;
        };
        if let Some(same) = known.filter(|known| known.kind == kind) {
            return Some(same);
        }
        let all: Vec<&str> =
            kind.content().iter().copied().filter(|word| *word != "none").collect();
        let mut storage = Storage::new(id, kind, kind.always_shared(), &all, 0);
        if id == "local" && kind == StorageKind::Dir {
            storage.path = Some("/var/lib/vz".to_owned());
        }
        Some(storage)
    }

    fn content(&mut self, at: &At<'_>, storage: &Storage, content: &[String]) {
        let can = storage.kind.content();
        for (index, word) in content.iter().enumerate() {
            if !can.contains(&word.as_str()) {
                let message =
                    format!("a storage of type {} cannot hold '{word}'", storage.kind.name());
                self.wrong(&at.item(index), message, suggest(word, can.iter().copied()));
            }
        }
    }

    fn options(&mut self, at: &At<'_>, storage: &mut Storage, spec: &StorageSpec) {
        let kind = storage.kind;
        let own = |name: &str| matches!(name, "content" | "nodes" | "shared" | "path" | "type");
        for (key, value) in &spec.options {
            let at = at.key("options");
            if own(key) {
                let help = Some(format!("write '{key}' beside 'options'"));
                self.wrong(&at.key(key), format!("'{key}' is no further option"), help);
            } else if rule(kind, key).is_none() {
                let known = crate::storage::options::PROPERTIES.iter().map(|param| param.name);
                let known: Vec<&str> =
                    known.filter(|name| !own(name) && rule(kind, name).is_some()).collect();
                let message = format!("a storage of type {} has no option '{key}'", kind.name());
                self.wrong(&at.key(key), message, suggest(key, known));
            } else {
                storage.options.insert(key.clone(), value.0.clone());
            }
        }
        let missing =
            needed(kind).filter(|name| !own(name) && !storage.options.contains_key(*name));
        let values: Vec<_> = missing
            .filter_map(|name| Some((name.to_owned(), made_up(name, &storage.id)?)))
            .collect();
        storage.options.extend(values);
        if kind == StorageKind::Rbd {
            storage.options.entry("pool".to_owned()).or_insert_with(|| storage.id.clone());
        }
    }

    /// Storages that cannot be reached are so once everything is made.
    pub(super) fn unreachable(&mut self, file: &WorldFile) {
        let Some(Many::Map(map)) = &file.storages else { return };
        for (id, spec) in map {
            let WordOr::Full(StorageSpec { unreachable: Some(nodes), .. }) = spec else { continue };
            if let Some(storage) = self.world.storages.get_mut(id) {
                storage.unreachable.clone_from(nodes);
            }
        }
    }
}
