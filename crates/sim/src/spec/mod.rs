//! World files that people write: parsing and the JSON schema here, making a world of them in
//! `build`.
//!
//! The least one is empty. `docs/simulator.md` describes the format for users, and
//! `docs/reference/world.schema.json` is its schema ([`schema`]).

mod build;
mod format;
mod people;
mod problem;
mod tree;
mod value;

use serde_saphyr::{Error, Options};

use crate::world::World;
use format::WorldFile;
pub use problem::{Problem, Problems};

/// Mappings, lists and scalars in one file, at most: twenty thousand guests written out.
const MAX_NODES: usize = 2_000_000;
/// Bytes of all scalars.
const MAX_BYTES: usize = 256 << 20;

fn yaml_options() -> Options {
    serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_total_scalar_bytes: MAX_BYTES,
        },
    }
}

/// The JSON schema of world files.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut value = schemars::schema_for!(WorldFile).to_value();
    if let Some(members) = value.as_object_mut() {
        members.insert("$id".to_owned(), "urn:pvx:schema:world".into());
        members.insert("title".to_owned(), "World of the pvx simulator".into());
    }
    value
}

/// Makes a world of the text of a file; `file` is its name for errors.
///
/// # Errors
/// What is wrong with it, with places.
pub(crate) fn read(file: &str, text: &str) -> Result<World, Problems> {
    let wrong = |problems| Problems { file: file.to_owned(), text: text.to_owned(), problems };
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return build::build(WorldFile::default(), text).map_err(wrong);
    }
    let parsed: WorldFile = serde_saphyr::from_str_with_options(text, yaml_options())
        .map_err(|error| wrong(vec![problem(&error)]))?;
    build::build(parsed, text).map_err(wrong)
}

/// What the parser says, for people.
fn problem(error: &Error) -> Problem {
    let place = error.location().and_then(tree::bytes);
    let inner = error.without_snippet();
    if let Error::SerdeUnknownField { field, expected, .. } = inner {
        let message = format!("there is no key '{field}' here");
        return Problem { message, place, help: problem::suggest(field, expected.iter().copied()) };
    }
    let text = inner.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    let message = text.lines().next().unwrap_or_default().trim().to_owned();
    Problem { message, place, help: None }
}
