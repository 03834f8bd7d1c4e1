//! A value of a configuration as text. Proxmox gives numbers as numbers or as text, by key
//! (pve-behaviour, Transport).

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Read straight from the answer: a tree of values would be made only to be taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, value: &str) -> Result<Text, E> {
        Ok(Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Text, E> {
        Ok(Text(value))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Text, E> {
        Ok(Text(u8::from(value).to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Text, E> {
        Ok(Text(Value::from(value).to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Text, A::Error> {
        let value = Value::deserialize(SeqAccessDeserializer::new(seq))?;
        Ok(Text(value.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Text, A::Error> {
        let value = Value::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Text(value.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value() {
        let read = |json: &str| serde_json::from_str::<Option<Text>>(json).unwrap().map(|t| t.0);
        for (json, text) in [
            (r#""a\u00e9""#, Some("a\u{e9}")),
            ("128", Some("128")),
            ("-1", Some("-1")),
            ("1.0", Some("1.0")),
            ("0.5", Some("0.5")),
            ("true", Some("1")),
            ("null", None),
            (r#"[1,"b"]"#, Some(r#"[1,"b"]"#)),
            (r#"{"a":1}"#, Some(r#"{"a":1}"#)),
        ] {
            assert_eq!(read(json).as_deref(), text, "{json}");
        }
    }
}
