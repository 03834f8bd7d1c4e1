//! JSON schemas of what pvx writes for programs.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// The JSON schema (draft 2020-12) of `T` as it is written. It is named `urn:pvx:schema:NAME:VERSION`,
/// and `at` is the place in it where the version stands.
pub(crate) fn of<T: JsonSchema>(name: &str, title: &str, version: u32, at: (&str, &str)) -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("$id".to_owned(), format!("urn:pvx:schema:{name}:{version}").into());
        root.insert("title".to_owned(), title.into());
    }
    let (place, description) = at;
    if let Some(said) = schema.pointer_mut(place) {
        *said = json!({ "description": description, "const": version });
    }
    schema
}

/// A schema without its words, which may change as they like.
#[cfg(test)]
pub(crate) fn shape(mut schema: Value) -> Value {
    strip(&mut schema);
    schema
}

#[cfg(test)]
fn strip(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.retain(|key, value| !(key == "description" && value.is_string()));
            map.values_mut().for_each(strip);
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        _ => {}
    }
}
