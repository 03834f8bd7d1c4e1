//! The JSON schema of a serialised plan, for programs that read one.

use serde_json::Value;

use super::{Plan, VERSION};
use crate::json_schema;

/// The JSON schema (draft 2020-12) of what `pvx plan --format json` prints: what is always there is
/// required, and a later pvx of the same [`VERSION`] may add keys.
pub fn json_schema() -> Value {
    let version = ("/properties/version", "The version of this form.");
    json_schema::of::<Plan>("plan", "pvx: plan", VERSION, version)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When this fails, programs that read plans see another form than before: a key that went or
    /// means something else needs a new [`VERSION`]; one that came does not. Then the golden is
    /// accepted with `INSTA_UPDATE=always`.
    #[test]
    fn the_shape_of_this_version() {
        let schema = json_schema::shape(json_schema());
        insta::assert_snapshot!(
            format!("plan_version_{VERSION}"),
            serde_json::to_string_pretty(&schema).unwrap()
        );
    }

    #[test]
    fn everything_is_described() {
        let schema = json_schema();
        let properties = schema["properties"].as_object().unwrap();
        assert!(properties.values().all(|p| p["description"].is_string()), "{properties:#?}");
        assert_eq!(schema["properties"]["version"]["const"], VERSION);
    }
}
