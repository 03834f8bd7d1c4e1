//! The JSON schema of a serialised plan, for programs that read one.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::{Plan, VERSION};

/// The JSON schema (draft 2020-12) of what `pvx plan --format json` prints: what is always there is
/// required, and a later pvx of the same [`VERSION`] may add keys.
pub fn json_schema() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<Plan>().to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("$id".to_owned(), format!("urn:pvx:schema:plan:{VERSION}").into());
        root.insert("title".to_owned(), "pvx: plan".into());
    }
    if let Some(version) = schema.pointer_mut("/properties/version") {
        *version = json!({ "description": "The version of this form.", "const": VERSION });
    }
    schema
}
