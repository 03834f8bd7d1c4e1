//! A world made of a world file.

mod generate;
mod guests;
mod mappings;
mod nodes;
mod people;
mod rest;
mod storages;
mod volumes;

use super::format::WorldFile;
use super::problem::{At, Problem, suggest};
use super::value::Many;
use crate::world::World;
use crate::world::lab::LabOptions;

/// Problems that are told of one file; more would hide the first.
const MOST_PROBLEMS: usize = 20;

/// The world so far, and what is wrong.
pub(super) struct Builder<'t> {
    world: World,
    /// The text of the file, to find places in.
    text: &'t str,
    problems: Vec<Problem>,
    /// Made from nothing: no built-in world to start from.
    fresh: bool,
}

impl Builder<'_> {
    /// Notes something that is wrong.
    fn wrong(&mut self, at: &At<'_>, message: impl Into<String>, help: Option<String>) {
        if self.problems.len() < MOST_PROBLEMS {
            let place = at.find(self.text);
            self.problems.push(Problem { message: message.into(), place, help });
        }
    }

    /// Whether a node is there; notes that it is not.
    fn knows_node(&mut self, at: &At<'_>, name: &str) -> bool {
        if self.world.nodes.contains_key(name) {
            return true;
        }
        let help = suggest(name, self.world.nodes.keys().map(String::as_str));
        self.wrong(at, format!("there is no node '{name}'"), help);
        false
    }

    /// Whether a storage is there; notes that it is not.
    fn knows_storage(&mut self, at: &At<'_>, id: &str) -> bool {
        if self.world.storages.contains_key(id) {
            return true;
        }
        let help = suggest(id, self.world.storages.keys().map(String::as_str));
        self.wrong(at, format!("there is no storage '{id}'"), help);
        false
    }

    /// Whether a guest is there; notes that it is not.
    fn knows_guest(&mut self, at: &At<'_>, vmid: u32) -> bool {
        let there = self.world.guests.contains_key(&vmid);
        if !there {
            let help = "guests are listed under 'guests', with a 'vmid'".to_owned();
            self.wrong(at, format!("there is no guest {vmid}"), Some(help));
        }
        there
    }
}

/// Makes the world.
pub(super) fn build(file: WorldFile, text: &str) -> Result<World, Vec<Problem>> {
    let mut builder =
        Builder { world: World::empty("lab"), text, problems: Vec::new(), fresh: true };
    builder.start(&file);
    builder.nodes(&file);
    builder.storages(&file);
    // A guest on a node or storage that is not there would only repeat what is wrong.
    if builder.problems.is_empty() {
        builder.volumes(&file);
        builder.guests(&file);
        if let Some(generate) = &file.generate {
            builder.generate(generate);
        }
        builder.people(&file);
        builder.rest(&file);
        builder.mappings(&file.mappings);
    }
    match builder.problems.is_empty() {
        true => Ok(builder.world),
        false => Err(builder.problems),
    }
}

impl Builder<'_> {
    /// The world to start from.
    fn start(&mut self, file: &WorldFile) {
        self.fresh = file.from.is_none();
        match file.from.as_deref() {
            None => {}
            Some("lab") => {
                let mut options = LabOptions::default();
                let names = nodes::names(file);
                if !names.is_empty() {
                    options.nodes = names;
                }
                self.world = World::lab_with(options);
            }
            Some(name) => match World::builtin(name) {
                Some(world) => self.world = world,
                None => {
                    let help = suggest(name, World::BUILTIN.iter().copied());
                    let message = format!("there is no built-in world '{name}'");
                    self.wrong(&At::top("from"), message, help);
                }
            },
        }
        if self.fresh {
            self.world.usual_urls();
        }
        if let Some(name) = &file.cluster {
            self.world.cluster.clone_from(name);
        }
        if let Some(domain) = &file.domain {
            self.world.domain.clone_from(domain);
        }
    }
}

/// How many things a `Many` says.
fn count<L, M>(many: &Many<L, M>) -> Option<u32> {
    match many {
        Many::Count(count) => Some(*count),
        Many::List(_) | Many::Map(_) => None,
    }
}
