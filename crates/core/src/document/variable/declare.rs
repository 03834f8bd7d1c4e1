//! `variables:` of a document, and the values they get.

use secrecy::{ExposeSecret, SecretString};

use super::super::decode::fields::{Fields, named};
use super::super::decode::value;
use super::super::yaml::{Entry, Kind, Node};
use super::given::{Values, shown, ways};
use super::kind::{TYPES, Type};
use super::{Origin, Scope, Secret, Value, Variable};
use crate::diagnostic::{Diagnostic, Span};

/// One declaration.
struct Declared {
    name: String,
    span: Span,
    kind: Type,
    default: Option<Node>,
    allowed: Vec<Node>,
    required: bool,
    sensitive: bool,
}

/// Adds the variables that `node` declares to `scope`, and gives them their values. A name that is
/// there already is declared anew.
pub(crate) fn declare(
    node: &Node,
    scope: &mut Scope,
    values: &mut Values,
    problems: &mut Vec<Diagnostic>,
) {
    if node.kind == Kind::Null {
        return;
    }
    for entry in named(node, "variables", problems) {
        let Some(declared) = declared(entry, problems) else { continue };
        values.declares(&declared.name);
        let (value, origin) = find(&declared, values, problems);
        let variable = Variable { declared: declared.span, value, origin };
        scope.variables.insert(declared.name, variable);
    }
}

fn declared(entry: &Entry, problems: &mut Vec<Diagnostic>) -> Option<Declared> {
    let name = &entry.key.value;
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase())
        || !name.chars().all(valid)
        || name.len() > 64
    {
        let why = "a variable's name is lower-case letters, digits and '_'";
        problems.push(value::bad_value(entry.key.span, "variables", why));
        return None;
    }
    if !matches!(entry.value.kind, Kind::Map(_)) {
        let default = Some(entry.value.clone()).filter(|node| node.kind != Kind::Null);
        return Some(Declared {
            name: name.clone(),
            span: entry.key.span,
            kind: default.as_ref().map_or(Type::Text, Type::of),
            default,
            allowed: Vec::new(),
            required: true,
            sensitive: false,
        });
    }
    long(entry, problems)
}

fn long(entry: &Entry, problems: &mut Vec<Diagnostic>) -> Option<Declared> {
    let mut fields = Fields::open(&entry.value, &entry.key.value, "a variable", problems)?;
    let kind = fields.word("type", &TYPES).map(|word| Type::of_word(&word.value));
    let default = fields.take("default").cloned();
    fields.take("description");
    let required = fields.boolean("required");
    let sensitive = fields.boolean("sensitive").is_some_and(|said| said.value);
    let allowed = fields.take("allowed").cloned();
    fields.finish();
    let allowed = match allowed {
        Some(Node { kind: Kind::Seq(items), .. }) => items,
        Some(node) => {
            problems.push(value::wrong_type(&node, "allowed", "a list"));
            Vec::new()
        }
        None => Vec::new(),
    };
    let mut declared = Declared {
        name: entry.key.value.clone(),
        span: entry.key.span,
        kind: kind.or_else(|| default.as_ref().map(Type::of)).unwrap_or(Type::Text),
        default,
        allowed,
        required: required.as_ref().is_none_or(|said| said.value),
        sensitive,
    };
    agree(&mut declared, required.filter(|said| said.value).map(|said| said.span), problems);
    Some(declared)
}

/// What excludes each other in a declaration.
fn agree(declared: &mut Declared, required: Option<Span>, problems: &mut Vec<Diagnostic>) {
    if let (Some(span), Some(default)) = (required, &declared.default) {
        problems.push(
            Diagnostic::error("conflict", "'required' and 'default' exclude each other")
                .at(span, "a value must be given")
                .at(default.span, "none needs to be given")
                .help("keep one of the two"),
        );
    }
    if declared.sensitive
        && let Some(default) = declared.default.take()
    {
        problems.push(value::secret(
            default.span,
            format!("the default of the sensitive variable '{}' is a secret", declared.name),
            "take the default out, and give the value when pvx is run",
        ));
        declared.required = false;
    }
    if declared.sensitive && !matches!(declared.kind, Type::Text | Type::Number) {
        problems.push(
            Diagnostic::error("wrong-type", "a sensitive variable is a text")
                .at(declared.span, "declared here")
                .help("write 'type: text'"),
        );
    }
}

/// The value from the first place that has one.
fn find(
    declared: &Declared,
    values: &Values,
    problems: &mut Vec<Diagnostic>,
) -> (Option<Value>, Origin) {
    let name = declared.name.as_str();
    if let Some(text) = values.flags.get(name) {
        let value = outside(declared, text, &format!("--var {name}"), problems);
        return (value, Origin::Flag);
    }
    if let Some((place, node)) = values.files.get(name) {
        return (from_file(declared, node, place.span, problems), Origin::File(place.span));
    }
    let variable = Values::in_environment(name);
    if let Some(text) = values.environment.get(&variable) {
        let value = outside(declared, text, &variable, problems);
        return (value, Origin::Environment(variable));
    }
    if let Some(default) = &declared.default {
        let value = declared.kind.take(default).map(Value::Plain);
        if value.is_none() {
            let message =
                format!("the default of variable '{name}' must be {}", declared.kind.name());
            problems.push(
                Diagnostic::error("wrong-type", message)
                    .at(default.span, format!("this is {}", default.describe())),
            );
        }
        let value = value.filter(|value| allowed(declared, value, Some(default.span), problems));
        return (value, Origin::Default(default.span));
    }
    if declared.required {
        problems.push(
            Diagnostic::error("variable-without-value", format!("variable '{name}' has no value"))
                .at(declared.span, "declared here, without a default")
                .help(ways(name)),
        );
    }
    (None, Origin::Nowhere)
}

/// A value of the command line or the environment.
fn outside(
    declared: &Declared,
    text: &SecretString,
    how: &str,
    problems: &mut Vec<Diagnostic>,
) -> Option<Value> {
    let name = &declared.name;
    let Some(kind) = declared.kind.read(text.expose_secret()) else {
        let shown = shown(text.expose_secret(), declared.sensitive);
        let message = format!("variable '{name}' must be {}", declared.kind.name());
        problems.push(
            Diagnostic::error("wrong-type", message)
                .at(declared.span, "declared here")
                .help(format!("{how} gives {shown}")),
        );
        return None;
    };
    let value = if declared.sensitive {
        Value::Secret(Secret::new(name, text.clone()))
    } else {
        Value::Plain(kind)
    };
    Some(value).filter(|value| allowed(declared, value, None, problems))
}

fn from_file(
    declared: &Declared,
    node: &Node,
    place: Span,
    problems: &mut Vec<Diagnostic>,
) -> Option<Value> {
    let name = &declared.name;
    let Some(kind) = declared.kind.take(node) else {
        let message = format!("variable '{name}' must be {}", declared.kind.name());
        problems.push(
            Diagnostic::error("wrong-type", message)
                .at(place, format!("this is {}", node.describe()))
                .at(declared.span, "declared here"),
        );
        return None;
    };
    let value = if declared.sensitive {
        Value::Secret(Secret::new(name, SecretString::from(node.scalar()?)))
    } else {
        Value::Plain(kind)
    };
    Some(value).filter(|value| allowed(declared, value, Some(place), problems))
}

/// Is the value one of those that the declaration lists?
fn allowed(
    declared: &Declared,
    value: &Value,
    place: Option<Span>,
    problems: &mut Vec<Diagnostic>,
) -> bool {
    if declared.allowed.is_empty() {
        return true;
    }
    let text_of = |kind: &Kind| Node { span: declared.span, kind: kind.clone() }.scalar();
    let text = match value {
        Value::Plain(kind) => text_of(kind),
        Value::Secret(secret) => Some(secret.expose().to_owned()),
    };
    let known: Vec<String> = declared.allowed.iter().filter_map(Node::scalar).collect();
    if text.as_ref().is_some_and(|text| known.contains(text)) {
        return true;
    }
    let name = &declared.name;
    let text = shown(&text.unwrap_or_default(), declared.sensitive);
    let message = format!("{text} is not allowed for variable '{name}'");
    let problem = Diagnostic::error("variable-not-allowed", message).at_opt(place, "given here");
    let problem = problem.at(declared.span, "declared here");
    // What is allowed of a secret is one too.
    problems.push(if declared.sensitive {
        problem
    } else {
        problem.help(format!("allowed: {}", known.join(", ")))
    });
    false
}
