//! `pvx schema`: the JSON schemas of documents, of plans, of
//! events and of worlds, and the reference of keys.

use std::path::Path;

use pvx_core::execute::stream;
use pvx_core::plan;
use pvx_core::schema::{Effects, Kind, json_schema, reference};
use pvx_provider_pve::guest;
use serde_json::{Value, json};

use crate::args::{Format, Global, SchemaKind, SchemaOptions};
use crate::exit::{CliError, Code};
use crate::output;

/// The hand-written parts of the reference.
const HEAD: &str = include_str!("schema/head.md");
const FOOT: &str = include_str!("schema/foot.md");

/// Every schema: its name on the command line, the file that `--out` writes, what it is of.
const ALL: [(SchemaKind, &str, &str, &str); 7] = [
    (SchemaKind::Config, "config", "cluster-config.schema.json", "cluster-config.yaml"),
    (SchemaKind::Cluster, "cluster", "cluster.schema.json", "a cluster profile"),
    (SchemaKind::Vm, "vm", "vm.schema.json", "a standalone VM"),
    (SchemaKind::Policy, "policy", "policy.schema.json", "a file of rules"),
    (SchemaKind::Plan, "plan", "plan.schema.json", "what `plan --format json` prints"),
    (SchemaKind::Events, "events", "events.schema.json", "a line of events of apply and destroy"),
    (SchemaKind::World, "world", "world.schema.json", "a world file of the simulator"),
];

pub(crate) fn run(global: &Global, options: &SchemaOptions) -> Result<Code, CliError> {
    match (options.kind, &options.out) {
        (Some(SchemaKind::Reference), _) => output::text(&reference(HEAD, FOOT, &Rules)),
        (Some(kind), _) => output::json(&schema(kind)),
        (None, Some(folder)) => write_all(global, folder)?,
        (None, None) => list(global),
    }
    Ok(Code::Success)
}

fn schema(kind: SchemaKind) -> Value {
    match kind {
        SchemaKind::Config => json_schema(Kind::Config),
        SchemaKind::Cluster => json_schema(Kind::Cluster),
        SchemaKind::Vm => json_schema(Kind::Vm),
        SchemaKind::Policy => json_schema(Kind::Policy),
        SchemaKind::Plan => plan::json_schema(),
        SchemaKind::Events => stream::json_schema(),
        SchemaKind::World => pvx_sim::world_schema(),
        // It is no schema, and printed as it is.
        SchemaKind::Reference => Value::Null,
    }
}

fn list(global: &Global) {
    if global.format == Format::Json {
        let row = |(_, name, file, about): &(SchemaKind, &str, &str, &str)| json!({ "name": name, "file": file, "about": about });
        return output::json(&ALL.iter().map(row).collect::<Vec<_>>());
    }
    let mut text = "NAME     JSON SCHEMA OF\n".to_owned();
    for (_, name, _, about) in ALL {
        text += &format!("{name:<7}  {about}\n");
    }
    text += "\n`pvx schema NAME` prints one, `pvx schema --out DIR` writes all of them for editors,\n\
             `pvx schema reference` prints all keys of documents as Markdown.\n";
    output::text(&text);
}

/// Files of an older pvx are written over: they are generated.
fn write_all(global: &Global, folder: &Path) -> Result<(), CliError> {
    let failed = |error| CliError::message(format!("{}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut written = Vec::new();
    for (kind, _, file, _) in ALL {
        let path = folder.join(file);
        let text = serde_json::to_string_pretty(&schema(kind))
            .map_err(|error| CliError::message(format!("{file}: {error}")))?;
        std::fs::write(&path, text + "\n")
            .map_err(|error| CliError::message(format!("{}: {error}", path.display())))?;
        written.push(path.display().to_string());
    }
    match global.format {
        Format::Json => output::json(&json!({ "written": written })),
        _ => {
            let list: String = written.iter().map(|name| format!("  {name}\n")).collect();
            output::text(&format!("wrote\n{list}"));
        }
    }
    Ok(())
}

/// The provider's written rules.
struct Rules;

impl Effects for Rules {
    fn of_key(&self, key: &str) -> String {
        guest::rule(key).to_string()
    }

    fn of_property(&self, key: &str, property: &str) -> String {
        guest::property(key, property).to_string()
    }
}
