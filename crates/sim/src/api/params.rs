//! Parameters of a request: form, JSON and query, all text.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::refusal::Refusal;

/// Parameters by name. Values of a name given more than once are joined with NUL, as
/// `PVE::APIServer` joins them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(pub(crate) BTreeMap<String, String>);

impl Params {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).and_then(crate::guest::format::parse_bool)
    }

    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(|value| value.parse().ok())
    }

    pub(crate) fn add(&mut self, name: String, value: String) {
        match self.0.entry(name) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(value);
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                let old = entry.get_mut();
                old.push('\0');
                old.push_str(&value);
            }
        }
    }

    /// Adds the pairs of a form or a query. Pairs are split at `&` and `;`, and a pair at every
    /// `=`: what follows a second one is lost.
    pub(crate) fn add_form(&mut self, text: &str) {
        for pair in text.split(['&', ';']).filter(|pair| !pair.is_empty()) {
            let mut parts = pair.split('=');
            let name = decode(parts.next().unwrap_or_default());
            let value = decode(parts.next().unwrap_or_default());
            self.add(name, value);
        }
    }

    /// Adds to the parameters of a path what else was given.
    pub(crate) fn join(&mut self, given: Self) -> Result<(), Refusal> {
        for (name, value) in given.0 {
            if self.get(&name).is_some_and(|own| own != value) {
                let text = "duplicate parameter (already defined in URI) with conflicting values!";
                return Err(Refusal::param(&name, text));
            }
            self.0.insert(name, value);
        }
        Ok(())
    }

    /// Adds the members of a JSON object. The errors are those of Perl's `decode_json`, and of
    /// what is done with its result.
    pub(crate) fn add_json(&mut self, bytes: &[u8]) -> Result<(), String> {
        let place = "at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line";
        let parsed: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| {
            let (offset, rest) = left_over(bytes, &error);
            format!(
                "malformed JSON string, neither tag, array, object, number, string or atom, \
                 at character offset {offset} (before \"{rest}\") {place} 934.\n"
            )
        })?;
        let serde_json::Value::Object(members) = parsed else {
            return Err(format!("Not a HASH reference {place} 978.\n"));
        };
        for (name, value) in members {
            match value {
                serde_json::Value::Null => {}
                serde_json::Value::Array(items) => {
                    for item in &items {
                        self.add(name.clone(), plain(item));
                    }
                }
                other => self.add(name, plain(&other)),
            }
        }
        Ok(())
    }
}

/// Where a JSON text went wrong, and what stands there.
fn left_over(bytes: &[u8], error: &serde_json::Error) -> (usize, String) {
    let text = String::from_utf8_lossy(bytes);
    if error.is_eof() {
        return (text.chars().count(), "(end of string)".to_owned());
    }
    let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    let before: usize = lines.map(str::len).sum::<usize>() + error.column().saturating_sub(1);
    let rest: String = text.chars().skip(before).collect();
    let shown: String = rest.chars().take(20).collect();
    let dots = if rest.chars().count() > 20 { "..." } else { "" };
    (before, format!("{shown}{dots}"))
}

fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Bool(flag) => u8::from(*flag).to_string(),
        other => other.to_string(),
    }
}

/// Percent-decodes a form value, `+` included.
fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_split_as_proxmox_splits_them() {
        let mut params = Params::default();
        params.add_form("a=1&b=x%20y+z;c=p=q&d&a=2");
        assert_eq!(params.get("a"), Some("1\u{0}2"));
        assert_eq!(params.get("b"), Some("x y z"));
        assert_eq!(params.get("c"), Some("p"));
        assert_eq!(params.get("d"), Some(""));
    }

    #[test]
    fn json_bodies_become_text() {
        let mut params = Params::default();
        params.add_json(br#"{"n":1,"t":true,"s":"x","l":["a","b"],"z":null}"#).unwrap();
        assert_eq!(params.int("n"), Some(1));
        assert_eq!(params.flag("t"), Some(true));
        assert_eq!(params.get("l"), Some("a\u{0}b"));
        assert_eq!(params.get("z"), None);
        assert!(params.add_json(b"[]").is_err() && params.add_json(b"{").is_err());
    }
}
