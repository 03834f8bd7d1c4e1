//! JSON as Perl's JSON module writes it, and YAML as YAML::XS does.

use serde_json::Value;

/// One line, keys sorted.
pub(super) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|a, b| a.0.cmp(b.0));
            let all = sorted.into_iter();
            let all = all.map(|(key, value)| format!("{}:{}", text(key), canonical(value)));
            format!("{{{}}}", all.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

fn text(key: &str) -> String {
    Value::String(key.to_owned()).to_string()
}

/// Over many lines, keys sorted; without a line end.
pub(in crate::shell) fn pretty(value: &Value, indent: usize) -> String {
    nested(value, indent, 0)
}

fn nested(value: &Value, indent: usize, depth: usize) -> String {
    let inner = " ".repeat(indent * (depth + 1));
    let outer = " ".repeat(indent * depth);
    match value {
        Value::Object(members) if !members.is_empty() => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|a, b| a.0.cmp(b.0));
            let lines = sorted.into_iter().map(|(key, value)| {
                format!("{inner}{} : {}", text(key), nested(value, indent, depth + 1))
            });
            format!("{{\n{}\n{outer}}}", lines.collect::<Vec<_>>().join(",\n"))
        }
        Value::Array(items) if !items.is_empty() => {
            let lines =
                items.iter().map(|item| format!("{inner}{}", nested(item, indent, depth + 1)));
            format!("[\n{}\n{outer}]", lines.collect::<Vec<_>>().join(",\n"))
        }
        other => other.to_string(),
    }
}

/// A YAML document with its marker.
pub(super) fn yaml(value: &Value) -> String {
    match value {
        Value::Object(members) if !members.is_empty() => format!("---\n{}", block(value, 0)),
        Value::Array(items) if !items.is_empty() => format!("---\n{}", block(value, 0)),
        other => format!("--- {}\n", scalar(other)),
    }
}

fn block(value: &Value, depth: usize) -> String {
    let pad = " ".repeat(depth);
    let mut out = String::new();
    let child = |value: &Value, depth: usize| match value {
        Value::Object(members) if !members.is_empty() => format!("\n{}", block(value, depth)),
        Value::Array(items) if !items.is_empty() => format!("\n{}", block(value, depth)),
        other => format!(" {}\n", scalar(other)),
    };
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let deeper = if value.is_array() { depth } else { depth + 2 };
                out.push_str(&format!("{pad}{key}:{}", child(value, deeper)));
            }
        }
        Value::Array(items) => {
            for item in items {
                let inner = match item {
                    Value::Object(members) if !members.is_empty() => {
                        let text = block(item, depth + 2);
                        format!(" {}", text.trim_start())
                    }
                    other => child(other, depth + 2),
                };
                out.push_str(&format!("{pad}-{inner}"));
            }
        }
        other => out.push_str(&scalar(other)),
    }
    out
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Null => "~".to_owned(),
        Value::String(text) => {
            let special = text.is_empty()
                || text.parse::<f64>().is_ok()
                || ["true", "false", "null", "~", "yes", "no"].contains(&text.as_str())
                || text.starts_with(|first: char| "!&*-?|>@%`'\"#{[,: ".contains(first))
                || text.contains(": ")
                || text.contains(" #")
                || text.ends_with(':');
            if text.contains('\n') {
                return Value::String(text.clone()).to_string();
            }
            if special { format!("'{}'", text.replace('\'', "''")) } else { text.clone() }
        }
        Value::Object(_) => "{}".to_owned(),
        Value::Array(_) => "[]".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_perl_writes_them() {
        let value = serde_json::json!({ "b": [1, "x"], "a": {}, "c": "1" });
        assert_eq!(canonical(&value), r#"{"a":{},"b":[1,"x"],"c":"1"}"#);
        assert_eq!(
            pretty(&value, 3),
            "{\n   \"a\" : {},\n   \"b\" : [\n      1,\n      \"x\"\n   ],\n   \"c\" : \"1\"\n}"
        );
        assert_eq!(yaml(&value), "---\na: {}\nb:\n- 1\n- x\nc: '1'\n");
        let list = serde_json::json!([{ "id": "x", "n": 1 }]);
        assert_eq!(yaml(&list), "---\n- id: x\n  n: 1\n");
        assert_eq!(yaml(&serde_json::json!("100")), "--- '100'\n");
    }
}
