//! `pvx schema`: the JSON schemas of documents, and their reference.

use pvx_core::schema::{Effects, Kind, json_schema, reference};
use pvx_provider_pve::guest;

use crate::args::{SchemaKind, SchemaOptions};
use crate::exit::{CliError, Code};
use crate::output;

/// The hand-written parts of the reference.
const HEAD: &str = include_str!("schema/head.md");
const FOOT: &str = include_str!("schema/foot.md");

pub(crate) fn run(options: &SchemaOptions) -> Result<Code, CliError> {
    let kind = match options.kind {
        SchemaKind::Config => Kind::Config,
        SchemaKind::Cluster => Kind::Cluster,
        SchemaKind::Vm => Kind::Vm,
        SchemaKind::Policy => Kind::Policy,
        SchemaKind::Reference => {
            output::text(&reference(HEAD, FOOT, &Rules));
            return Ok(Code::Success);
        }
    };
    output::json(&json_schema(kind));
    Ok(Code::Success)
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
