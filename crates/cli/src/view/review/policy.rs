//! Rules of a policy, where a plan says how they ended.

use pvx_core::plan::Plan;
use serde::Serialize;
use serde_json::Value;

/// One rule, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PolicyRow {
    pub(crate) name: String,
    /// `passed`, `violated`, …
    pub(crate) result: String,
    /// One of the five colours.
    pub(crate) class: &'static str,
    pub(crate) reason: Option<String>,
    pub(crate) position: Option<String>,
}

/// Read from the serialised plan, so that a plan without a policy has none.
pub(super) fn of(plan: &Plan) -> Vec<PolicyRow> {
    let value = serde_json::to_value(plan).unwrap_or_default();
    let Some(Value::Array(list)) = value.get("policy") else { return Vec::new() };
    list.iter().filter_map(row).collect()
}

fn row(entry: &Value) -> Option<PolicyRow> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    let result = text("result")?;
    let place = entry.get("position");
    let part = |key: &str| place.and_then(|place| place.get(key));
    let file = part("file").and_then(Value::as_str);
    let line = part("line").and_then(Value::as_u64);
    Some(PolicyRow {
        name: text("name")?,
        class: match result.as_str() {
            "passed" => "good",
            "violated" | "failed" => "bad",
            "warned" => "warn",
            _ => "wait",
        },
        result,
        reason: text("reason"),
        position: file.zip(line).map(|(file, line)| format!("{file}:{line}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_with_its_place() {
        let position = serde_json::json!({ "file": "policy.yaml", "line": 3, "column": 1 });
        let entry =
            serde_json::json!({ "name": "naming", "result": "violated", "position": position });
        let row = row(&entry).unwrap();
        assert_eq!((row.class, row.position.as_deref()), ("bad", Some("policy.yaml:3")));
    }
}
