//! The JSON schema of a line, for programs that read them.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::{Line, VERSION};

/// The JSON schema (draft 2020-12) of one line of `--events FILE`: what is always there is required,
/// and a later pvx of the same [`VERSION`] may add keys and events.
pub fn json_schema() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<Line>().to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("$id".to_owned(), format!("urn:pvx:schema:events:{VERSION}").into());
        root.insert("title".to_owned(), "pvx: a line of events".into());
    }
    if let Some(version) = schema.pointer_mut("/$defs/Header/properties/schema") {
        *version = json!({ "description": "The version of the lines.", "const": VERSION });
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words for people may change as they like.
    fn shape(schema: &mut Value) {
        match schema {
            Value::Object(map) => {
                map.retain(|key, value| !(key == "description" && value.is_string()));
                map.values_mut().for_each(shape);
            }
            Value::Array(list) => list.iter_mut().for_each(shape),
            _ => {}
        }
    }

    /// When this fails, programs that read events see another form than before: a key that went or
    /// means something else needs a new [`VERSION`]; one that came does not. Then the golden is
    /// accepted with `INSTA_UPDATE=always`.
    #[test]
    fn the_shape_of_this_version() {
        let mut schema = json_schema();
        shape(&mut schema);
        insta::assert_snapshot!(
            format!("events_version_{VERSION}"),
            serde_json::to_string_pretty(&schema).unwrap()
        );
    }

    #[test]
    fn the_version_is_in_it() {
        let schema = json_schema();
        assert_eq!(schema["$defs"]["Header"]["properties"]["schema"]["const"], VERSION, "{schema}");
    }
}
