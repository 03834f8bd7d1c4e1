//! Values that may be written in more than one way.

use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A number of bytes, or text with a unit: `64GiB`, `700M`, `1.5T`. `K`, `M`, `G`, `T`, `KiB` and
/// so on are powers of 1024.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl Size {
    fn parse(text: &str) -> Option<u64> {
        let text = text.trim();
        let short = ["iB", "B"].iter().find_map(|end| text.strip_suffix(end)).unwrap_or(text);
        let split = short.find(|character: char| character.is_ascii_alphabetic());
        let (number, unit) = short.split_at(split.unwrap_or(short.len()));
        crate::guest::size::parse(&format!("{}{}", number.trim(), unit.to_ascii_uppercase()))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sizes;
        impl Visitor<'_> for Sizes {
            type Value = Size;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as 64GiB, 700M or a number of bytes")
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Size, E> {
                Ok(Size(value))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Size, E> {
                u64::try_from(value).map(Size).map_err(|_| E::custom("a size is not negative"))
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Size, E> {
                let wrong =
                    || E::custom(format!("'{value}' is no size; write 64GiB, 700M or bytes"));
                Size::parse(value).map(Size).ok_or_else(wrong)
            }
        }
        deserializer.deserialize_any(Sizes)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Bytes, or text with a unit of 1024: 64GiB, 700M, 1.5T.",
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^ *[0-9.]+ *([kKmMgGtT](iB|B)?|B)? *$" },
            ],
        })
    }
}

/// Text, a number or a truth value, kept as text: a value of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl Visitor<'_> for Texts {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a number, true or false")
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
                Ok(Text(value.to_string()))
            }
            fn visit_str<E>(self, value: &str) -> Result<Text, E> {
                Ok(Text(value.to_owned()))
            }
        }
        deserializer.deserialize_any(Texts)
    }
}

impl JsonSchema for Text {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Text, a number, true or false.",
            "type": ["string", "number", "boolean"],
        })
    }
}

/// A short form in one word, or everything.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum WordOr<T> {
    /// The short form.
    Word(String),
    /// Everything.
    Full(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for WordOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Words<T> {
            type Value = WordOr<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word or a mapping")
            }
            fn visit_str<E>(self, value: &str) -> Result<WordOr<T>, E> {
                Ok(WordOr::Word(value.to_owned()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<WordOr<T>, E> {
                Ok(WordOr::Word(value.to_string()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WordOr<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(WordOr::Full)
            }
        }
        deserializer.deserialize_any(Words(PhantomData))
    }
}

/// A number of things, a list of them, or a mapping.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Many<L, M> {
    /// So many.
    Count(u32),
    /// These.
    List(Vec<L>),
    /// These, by name.
    Map(M),
}

impl<'de, L: Deserialize<'de>, M: Deserialize<'de>> Deserialize<'de> for Many<L, M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Manies<L, M>(PhantomData<(L, M)>);
        impl<'de, L: Deserialize<'de>, M: Deserialize<'de>> Visitor<'de> for Manies<L, M> {
            type Value = Many<L, M>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list or a mapping")
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Many<L, M>, E> {
                u32::try_from(value).map(Many::Count).map_err(|_| E::custom("so many are too many"))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Many<L, M>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Many::List)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Many<L, M>, A::Error> {
                M::deserialize(MapAccessDeserializer::new(map)).map(Many::Map)
            }
        }
        deserializer.deserialize_any(Manies(PhantomData))
    }
}
