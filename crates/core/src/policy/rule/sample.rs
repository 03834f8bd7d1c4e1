//! Made-up values: a rule is evaluated once before a cluster is asked, so that what no plan could
//! ever satisfy is told with the documents.

use std::collections::BTreeMap;

use cel::{Context, ExecutionError, Value};

use super::compile::{self, CompiledRule};
use super::engine::Engine;
use super::values::{Attribute, Change, Disk, Guest, Network, Now, Plan, Pool};
use super::{Each, Rule};
use crate::diagnostic::{Diagnostic, Sources};
use crate::plan::{Effect, Intent, Verb};

/// Everything that is wrong with a rule.
pub(super) fn examine(engine: &Engine, rule: &Rule, sources: &Sources) -> Vec<Diagnostic> {
    let compiled = match compile::rule(engine, rule, sources) {
        Ok(compiled) => compiled,
        Err(problems) => return problems,
    };
    let Ok(context) = context(engine, rule.each) else { return Vec::new() };
    let CompiledRule { when, check, .. } = &compiled;
    let when = when.as_ref().zip(rule.when.as_ref());
    let both = when.into_iter().chain([(check, &rule.check)]);
    let wrong = |result: Result<Value, ExecutionError>| match result {
        Ok(Value::Bool(_)) => None,
        Ok(_) => Some("this gives neither true nor false".to_owned()),
        Err(
            error @ (ExecutionError::NoSuchOverload(_)
            | ExecutionError::UndeclaredReference(_)
            | ExecutionError::UnexpectedType { .. }
            | ExecutionError::UnsupportedBinaryOperator(..)
            | ExecutionError::ValuesNotComparable(..)
            | ExecutionError::FunctionError { .. }),
        ) => Some(said(&error)),
        // Another guest may have the key, or the item.
        Err(_) => None,
    };
    both.filter_map(|(compiled, text)| {
        let why = wrong(compiled.program.execute(&context))?;
        let message = format!("rule '{}' cannot be used", rule.name.value);
        Some(Diagnostic::error("bad-rule", message).at(text.span, why))
    })
    .collect()
}

/// The engine's words, on one line of bearable length.
pub(super) fn said(error: &ExecutionError) -> String {
    let text = match error {
        ExecutionError::NoSuchOverload(overload) => {
            format!(
                "'{}' takes no {}",
                overload.function(),
                overload.argument_types().join(" and ")
            )
        }
        ExecutionError::UndeclaredReference(name) => format!("there is no '{name}'"),
        ExecutionError::NoSuchKey(key) => format!("there is no '{key}' in it"),
        other => other.to_string(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect()
}

fn context(
    engine: &Engine,
    each: Each,
) -> Result<Context<'static, 'static>, cel::SerializationError> {
    let mut context = engine.context();
    context.add_variable("plan", plan())?;
    context.add_variable("now", Now::at(jiff::Timestamp::UNIX_EPOCH, &Default::default()))?;
    match each {
        Each::Guest => context.add_variable("guest", guest())?,
        Each::Change => context.add_variable("change", change())?,
        Each::Plan => {}
    }
    Ok(context)
}

pub(super) fn guest() -> Guest {
    Guest {
        address: "k3s/worker01".to_owned(),
        name: "worker01".to_owned(),
        profile: "k3s".to_owned(),
        group: "workers".to_owned(),
        vmid: 1010,
        node: "pve1".to_owned(),
        template: "debian-13".to_owned(),
        cores: Some(2),
        memory: Some(4096),
        disk: 40 << 10,
        tags: vec!["k3s".to_owned(), "worker".to_owned()],
        pool: "lab".to_owned(),
        power: "running",
        disks: vec![Disk {
            slot: "scsi0".to_owned(),
            size: Some(40 << 10),
            storage: "local-lvm".to_owned(),
            keep: false,
        }],
        networks: vec![Network {
            slot: "net0".to_owned(),
            bridge: "vmbr0".to_owned(),
            model: "virtio".to_owned(),
            tag: 20,
            firewall: false,
            mac: String::new(),
        }],
        config: BTreeMap::from([("cores".to_owned(), "2".to_owned())]),
        ..Guest::default()
    }
}

pub(super) fn change() -> Change {
    Change {
        address: "k3s/worker01".to_owned(),
        name: "worker01".to_owned(),
        profile: "k3s".to_owned(),
        verb: Verb::Change,
        effect: Effect::Live,
        vmid: 1010,
        node: "pve1".to_owned(),
        target: String::new(),
        running: true,
        lost: 0,
        tags: vec!["k3s".to_owned()],
        attributes: vec![Attribute {
            path: "cores".to_owned(),
            before: "1".to_owned(),
            after: "2".to_owned(),
            effect: Effect::Live,
        }],
    }
}

pub(super) fn plan() -> Plan {
    let pool = Pool { guests: 1, cores: 2, memory: 4096, disk: 40 << 10 };
    Plan {
        cluster: "lab".to_owned(),
        intent: Intent::Apply,
        create: 0,
        change: 1,
        migrate: 0,
        power: 0,
        reboot: 0,
        replace: 0,
        destroy: 0,
        guests: vec![guest()],
        changes: vec![change()],
        pools: BTreeMap::from([("lab".to_owned(), pool)]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::super::names::{self, Form, Record};
    use super::*;

    fn compare(record: &Record, value: &Json, wrong: &mut Vec<String>) {
        let object = value.as_object().unwrap();
        for name in object.keys().filter(|name| record.get(name).is_none()) {
            wrong.push(format!("{} has {name}, which has no name", record.title));
        }
        for (name, form) in record.fields {
            let Some(value) = object.get(*name) else {
                wrong.push(format!("{} has no {name}", record.title));
                continue;
            };
            let fits = match form {
                Form::Bool => value.is_boolean(),
                Form::Int => value.is_i64(),
                Form::Text => value.is_string(),
                Form::Word(words) => words.contains(&value.as_str().unwrap()),
                Form::Texts => value.as_array().unwrap().iter().all(Json::is_string),
                Form::TextByName => value.as_object().unwrap().values().all(Json::is_string),
                Form::Record(inner) => {
                    compare(inner, value, wrong);
                    true
                }
                Form::Records(inner) => {
                    value.as_array().unwrap().iter().for_each(|v| compare(inner, v, wrong));
                    !value.as_array().unwrap().is_empty()
                }
                Form::RecordByName(inner) => {
                    value.as_object().unwrap().values().for_each(|v| compare(inner, v, wrong));
                    !value.as_object().unwrap().is_empty()
                }
            };
            if !fits {
                wrong.push(format!("{}.{name} is {value}", record.title));
            }
        }
    }

    /// Words that rules may compare with are those of plans.
    #[test]
    fn words_of_plans() {
        use crate::plan::{Effect, Intent, Verb};
        let schema = crate::plan::json_schema().to_string();
        let words = |record: &Record, field: &str| match record.get(field) {
            Some(names::Type::Word(words)) => words,
            other => panic!("{field} is {other:?}"),
        };
        let said = |value: Json| value.as_str().unwrap().to_owned();
        assert!(words(&names::CHANGE, "verb").contains(&&*said(json!(Verb::Replace))));
        assert!(words(&names::CHANGE, "effect").contains(&&*said(json!(Effect::DataLoss))));
        assert!(words(&names::PLAN, "intent").contains(&&*said(json!(Intent::Destroy))));
        // Each of them, and no other: the schema has one entry for every word.
        for (of, field) in [("Verb", "verb"), ("Effect", "effect")] {
            let schema: Json = serde_json::from_str(&schema).unwrap();
            let known = schema["$defs"][of]["oneOf"].as_array().unwrap();
            let known: Vec<_> = known.iter().filter_map(|one| one["const"].as_str()).collect();
            assert_eq!(known, words(&names::CHANGE, field), "{of}");
        }
    }

    /// The how-to names all variables, fields and functions.
    #[test]
    fn the_how_to_lists_every_name() {
        let text = include_str!("../../../../../docs/how-to/policy.md");
        let records = [
            &names::GUEST,
            &names::CHANGE,
            &names::PLAN,
            &names::NOW,
            &names::POOL,
            &names::DISK,
            &names::NETWORK,
            &names::ATTRIBUTE,
        ];
        let fields = records.iter().flat_map(|record| record.fields).map(|(name, _)| *name);
        let functions =
            names::FUNCTIONS.iter().map(|(name, _)| *name).filter(|name| *name != "dyn");
        let said =
            |name: &str| text.contains(&format!("`{name}`")) || text.contains(&format!(".{name}`"));
        let missing: Vec<&str> = fields.chain(functions).filter(|name| !said(name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    /// What is checked before a cluster is asked is what there is then.
    #[test]
    fn values_have_the_names_of_the_table() {
        let mut wrong = Vec::new();
        let now = Now::at(jiff::Timestamp::UNIX_EPOCH, &Default::default());
        compare(&names::PLAN, &serde_json::to_value(plan()).unwrap(), &mut wrong);
        compare(&names::NOW, &serde_json::to_value(now).unwrap(), &mut wrong);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
