//! What templates of cloud-init files may use beside the guest itself, and where a password may
//! be: the variables that the guest's documents see, its number and its key.

use serde_json::{Map, Value as Json, json};

use super::super::layer::Layer;
use super::super::variable::{Scope, Value};
use super::super::yaml::{Kind, Node};
use crate::desired::Guest;
use crate::secret::SecretSource;

/// Hands them to a guest that has any use for them.
pub(super) fn hand_over<'l>(
    guest: &mut Guest,
    layers: impl Iterator<Item = &'l Layer>,
    index: Option<u32>,
    each: Option<&str>,
) {
    let cloudinit = &mut guest.spec.cloudinit;
    let password = cloudinit.password.as_ref().map(|password| &password.source);
    let uses_variable = matches!(password, Some(SecretSource::Variable(_)));
    if cloudinit.templates.is_empty() && !uses_variable {
        return;
    }
    let extra = &mut cloudinit.extra.0;
    // An inner layer sees what the outer ones declare, and more.
    if let Some(layer) = layers.last() {
        extra.insert("var".to_owned(), variables(&layer.scope));
    }
    extra.extend(index.map(|index| ("index".to_owned(), json!(index))));
    extra.extend(each.map(|each| ("each".to_owned(), json!(each))));
}

fn variables(scope: &Scope) -> Json {
    let value = |value: &Value| match value {
        Value::Plain(kind) => plain(kind),
        Value::Secret(secret) => json!(secret.expose()),
    };
    let known = scope.variables.iter();
    let known = known.filter_map(|(name, v)| Some((name.clone(), value(v.value.as_ref()?))));
    Json::Object(known.collect::<Map<_, _>>())
}

/// A number stays what was written where JSON would make another of it (`1.30`).
fn plain(kind: &Kind) -> Json {
    match kind {
        Kind::Bool(on) => json!(on),
        Kind::Number(text) => match text.parse::<u64>() {
            Ok(number) if number.to_string() == *text => json!(number),
            _ => json!(text),
        },
        Kind::Text(text) => json!(text),
        Kind::Seq(items) => {
            Json::Array(items.iter().map(|Node { kind, .. }| plain(kind)).collect())
        }
        _ => Json::Null,
    }
}
