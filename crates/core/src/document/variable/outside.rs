//! Which variables have their values from outside the documents.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Origin, Scope, Value};
use crate::diagnostic::SourceId;
use crate::plan::saved::{Variable, sha256};

/// Variables with values of the command line, of files or of the environment, by name. A name
/// that any document declares sensitive has no hash.
pub(crate) fn outside(scopes: &[(SourceId, Arc<Scope>)]) -> BTreeMap<String, Variable> {
    let mut found: BTreeMap<String, Variable> = BTreeMap::new();
    for (name, variable) in scopes.iter().flat_map(|(_, scope)| &scope.variables) {
        if matches!(variable.origin, Origin::Default(_) | Origin::Nowhere) {
            continue;
        }
        let hash = match &variable.value {
            Some(Value::Plain(_)) => variable.shown().map(|text| sha256(text.as_bytes())),
            Some(Value::Secret(_)) | None => None,
        };
        let entry = Variable { from: variable.from().0, sha256: hash.clone() };
        let known = found.entry(name.clone()).or_insert(entry);
        if hash.is_none() {
            known.sha256 = None;
        }
    }
    found
}
