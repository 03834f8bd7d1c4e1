//! A YAML mapping of a pipeline file that is read key by key: a key that nobody reads fails the
//! test, so that nothing in a file is ever skipped.

use std::collections::BTreeMap;

use serde_json::Value;

pub(crate) struct Table {
    /// Where it is, for the words of a failure.
    place: String,
    left: BTreeMap<String, Value>,
}

impl Table {
    pub(crate) fn new(place: &str, value: Value) -> Self {
        let Value::Object(map) = value else { panic!("{place} is no mapping: {value}") };
        Self { place: place.to_owned(), left: map.into_iter().collect() }
    }

    pub(crate) fn file(name: &str, text: &str) -> Self {
        let value = serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        Self::new(name, value)
    }

    pub(crate) fn take(&mut self, key: &str) -> Option<Value> {
        self.left.remove(key)
    }

    pub(crate) fn must(&mut self, key: &str) -> Value {
        self.take(key).unwrap_or_else(|| panic!("{} has no {key}", self.place))
    }

    pub(crate) fn text(&mut self, key: &str) -> Option<String> {
        self.take(key).map(|value| text(&self.place, key, &value))
    }

    /// A list of texts; a single one is a list too.
    pub(crate) fn texts(&mut self, key: &str) -> Vec<String> {
        match self.take(key) {
            None => Vec::new(),
            Some(Value::Array(list)) => {
                list.iter().map(|value| text(&self.place, key, value)).collect()
            }
            Some(value) => vec![text(&self.place, key, &value)],
        }
    }

    pub(crate) fn table(&mut self, key: &str) -> Option<Self> {
        self.take(key).map(|value| Self::new(&format!("{}, {key}", self.place), value))
    }

    pub(crate) fn tables(&mut self, key: &str) -> Vec<Self> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Value::Array(list) = value else { panic!("{}, {key} is no list", self.place) };
        let number = |(index, value)| Self::new(&format!("{}, {key}[{index}]", self.place), value);
        list.into_iter().enumerate().map(number).collect()
    }

    /// All that is left, by name.
    pub(crate) fn rest(&mut self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.left).into_iter().collect()
    }

    /// All that is left, as texts.
    pub(crate) fn rest_texts(&mut self) -> Vec<(String, String)> {
        let rest = self.rest();
        rest.into_iter()
            .map(|(key, value)| (key.clone(), text(&self.place, &key, &value)))
            .collect()
    }

    /// A key with one of these values, or none.
    pub(crate) fn one_of(&mut self, key: &str, known: &[&str]) -> Option<String> {
        let value = self.text(key)?;
        assert!(known.contains(&value.as_str()), "{}, {key}: {value} is not known", self.place);
        Some(value)
    }

    /// Nothing may be left.
    pub(crate) fn end(self) {
        assert!(self.left.is_empty(), "{}: not known here: {:?}", self.place, self.left);
    }
}

fn text(place: &str, key: &str, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        _ => panic!("{place}, {key} is no text: {value}"),
    }
}
