//! The JSON schema of a line, for programs that read them.

use serde_json::Value;

use super::{Line, VERSION};
use crate::json_schema;

/// The JSON schema (draft 2020-12) of one line of `--events FILE`: what is always there is required,
/// and a later pvx of the same [`VERSION`] may add keys and events.
pub fn json_schema() -> Value {
    let version = ("/$defs/Header/properties/schema", "The version of the lines.");
    json_schema::of::<Line>("events", "pvx: a line of events", VERSION, version)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When this fails, programs that read events see another form than before: a key that went or
    /// means something else needs a new [`VERSION`]; one that came does not. Then the golden is
    /// accepted with `INSTA_UPDATE=always`.
    #[test]
    fn the_shape_of_this_version() {
        let schema = json_schema::shape(json_schema());
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
