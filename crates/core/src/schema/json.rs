//! JSON schemas of documents, for editors that check and complete YAML.

use serde_json::{Map, Value, json};

use super::document::{Field, Form, Kind, Mapping};
use super::{KEYS, Key, Properties, Shape, vm};

/// The JSON schema (draft 2020-12) of one kind of document.
pub fn json_schema(kind: Kind) -> Value {
    let mapping = kind.mapping();
    let mut schema = mapping_schema(mapping);
    let has_vm = refers_to_vm(&schema);
    if let Value::Object(root) = &mut schema {
        let dialect = "https://json-schema.org/draft/2020-12/schema";
        root.insert("$schema".to_owned(), dialect.into());
        root.insert("$id".to_owned(), format!("urn:pvx:schema:{}", kind.word()).into());
        root.insert("title".to_owned(), format!("pvx: {}", mapping.title).into());
        if has_vm {
            root.insert("$defs".to_owned(), json!({ "vm": vm_properties() }));
        }
    }
    schema
}

/// The keys of a VM, in `$defs`.
const VM: &str = "#/$defs/vm";

fn refers_to_vm(schema: &Value) -> bool {
    match schema {
        Value::Object(keys) => {
            keys.get("$ref").is_some_and(|to| to == VM) || keys.values().any(refers_to_vm)
        }
        Value::Array(items) => items.iter().any(refers_to_vm),
        _ => false,
    }
}

/// A key with nothing after it counts as absent.
fn nullable(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

fn mapping_schema(mapping: &Mapping) -> Value {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), "object".into());
    let mut properties = fields(mapping.fields);
    if let Some(further) = vm::further(mapping) {
        properties.extend(properties_of(further));
    }
    schema.insert("properties".to_owned(), properties.into());
    let required: Vec<&str> =
        mapping.fields.iter().filter(|f| f.required).map(|f| f.name).collect();
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    if mapping.vm {
        // `unevaluated` sees through the reference, `additional` does not.
        schema.insert("$ref".to_owned(), VM.into());
        schema.insert("unevaluatedProperties".to_owned(), false.into());
    } else {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
    Value::Object(schema)
}

fn fields(fields: &[Field]) -> Map<String, Value> {
    let one = |field: &Field| {
        let mut schema = nullable(form(&field.form));
        describe(&mut schema, field.about, Some(field.default).filter(|d| !d.is_empty()));
        (field.name.to_owned(), schema)
    };
    fields.iter().map(one).collect()
}

fn describe(schema: &mut Value, about: &str, default: Option<&str>) {
    let text = match default {
        Some(default) => format!("{about}. Without it: {default}"),
        None => about.to_owned(),
    };
    if let Value::Object(map) = schema {
        map.insert("description".to_owned(), text.into());
    }
}

fn form(form: &Form) -> Value {
    match form {
        Form::Text(_) => json!({ "type": ["string", "number", "boolean"] }),
        Form::Size(_) => size(),
        Form::Shape(shape) => shape_schema(*shape),
        Form::List(item) => {
            let item = self::form(item);
            json!({ "anyOf": [{ "type": "array", "items": item.clone() }, item] })
        }
        Form::Mapping(mapping) => mapping_schema(mapping),
        Form::Named(_, pattern, value) => json!({
            "type": "object",
            "patternProperties": { format!("^{pattern}$"): nullable(self::form(value)) },
            "additionalProperties": false,
        }),
        Form::Either(forms) => {
            let forms: Vec<Value> = forms.iter().map(self::form).collect();
            json!({ "anyOf": forms })
        }
    }
}

/// Texts with placeholders (`{var.cores}`) may stand wherever a number or a switch may.
fn or_placeholder(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "string", "pattern": "\\{" }] })
}

fn shape_schema(shape: Shape) -> Value {
    match shape {
        Shape::Boolean => or_placeholder(json!({
            "enum": [true, false, "yes", "no", "on", "off", 0, 1]
        })),
        Shape::Integer(least, most) => or_placeholder(json!({
            "type": "integer", "minimum": least, "maximum": most
        })),
        Shape::Decimal(least, most) => or_placeholder(json!({
            "type": "number", "minimum": least, "maximum": most
        })),
        Shape::Word(words) => or_placeholder(json!({ "enum": word_values(words) })),
        Shape::Mebibytes(..) => size(),
        Shape::Token | Shape::Line(_) | Shape::Lines(_) => {
            json!({ "type": ["string", "number"] })
        }
        Shape::List(_) => json!({
            "anyOf": [
                { "type": "array", "items": { "type": ["string", "number"] } },
                { "type": ["string", "number"] },
            ]
        }),
        Shape::Features(words) => json!({
            "anyOf": [
                { "type": "array", "items": { "enum": words } },
                { "type": ["string", "boolean"] },
                { "enum": [0, 1] },
            ]
        }),
        Shape::Properties(format) => property_string(format),
    }
}

/// `40G`, `512 MiB`, or a bare number.
fn size() -> Value {
    let text =
        json!({ "type": "string", "pattern": "^\\s*[0-9]+\\s*([KkMmGgTt]([Ii]?[Bb])?)?\\s*$" });
    or_placeholder(json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, text] }))
}

/// A word of digits is a number for YAML, and a switch is a word where `on` is one.
fn word_values(words: &[&str]) -> Vec<Value> {
    let number = |word: &&str| word.parse::<u64>().ok().map(Value::from);
    let texts = words.iter().map(|word| Value::from(*word));
    let switches = if words.contains(&"on") { vec![true, false] } else { Vec::new() };
    let switches = switches.into_iter().map(Value::from);
    texts.chain(words.iter().filter_map(number)).chain(switches).collect()
}

/// A mapping, the value of the default key, or the text that Proxmox shows.
fn property_string(format: &Properties) -> Value {
    let mut forms = vec![json!({
        "type": "object",
        "properties": properties_of(format),
        "additionalProperties": false,
    })];
    let default = format.default_key.and_then(|name| format.get(name));
    forms.extend(default.map(|property| shape_schema(property.shape)));
    forms.push(json!({ "type": "string", "pattern": "[=,]" }));
    json!({ "anyOf": forms })
}

fn properties_of(format: &Properties) -> Map<String, Value> {
    let one = |property: &super::Property| {
        let mut schema = nullable(shape_schema(property.shape));
        let about = with_unit(property.about, property.unit);
        describe(&mut schema, &about, property.default);
        (property.name.to_owned(), schema)
    };
    format.properties.iter().map(one).collect()
}

fn with_unit(about: &str, unit: Option<&str>) -> String {
    unit.map_or_else(|| about.to_owned(), |unit| format!("{about} ({unit})"))
}

/// The keys of a VM: those with numbers by pattern.
fn vm_properties() -> Value {
    let one = |key: &Key| {
        let mut schema = nullable(shape_schema(key.shape));
        describe(&mut schema, &with_unit(key.about, key.unit), key.default);
        schema
    };
    let mut properties = fields(vm::VM.fields);
    let mut patterns = Map::new();
    for key in KEYS {
        if key.slots == 0 {
            properties.insert(key.name.to_owned(), one(key));
        } else {
            patterns.insert(format!("^{}{}$", key.name, numbers(key.slots)), one(key));
        }
    }
    json!({ "properties": properties, "patternProperties": patterns })
}

/// A pattern of 0 to `slots - 1`, for as many as Proxmox has of anything.
fn numbers(slots: u8) -> String {
    let last = slots.saturating_sub(1);
    if last < 10 { format!("[0-{last}]") } else { format!("([0-9]|1[0-{}])", last - 10) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_numbers() {
        assert_eq!(numbers(1), "[0-0]");
        assert_eq!(numbers(10), "[0-9]");
        assert_eq!(numbers(14), "([0-9]|1[0-3])");
        assert!(KEYS.iter().all(|key| key.slots <= 20));
    }

    #[test]
    fn values_of_words() {
        assert_eq!(word_values(&["2", "any"]), [json!("2"), json!("any"), json!(2)]);
        // `discard: true` is decoded as `on`.
        assert_eq!(word_values(&["ignore", "on"]).last(), Some(&json!(false)));
    }

    #[test]
    fn every_kind_has_a_schema_of_objects() {
        for kind in Kind::ALL {
            let schema = json_schema(kind);
            assert_eq!(schema["type"], "object", "{}", kind.word());
            let least = if kind == Kind::Policy { 1 } else { 9 };
            assert!(schema["properties"].as_object().unwrap().len() >= least);
            // A policy knows no VM: what nothing refers to is left out.
            let cores = schema["$defs"]["vm"]["properties"]["cores"].is_object();
            assert_eq!(cores, kind != Kind::Policy, "{}", kind.word());
        }
    }
}
