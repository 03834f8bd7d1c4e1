//! Parameters of a request: form, JSON and query, all text.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::refusal::Refusal;

/// A value that is no plain text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Odd {
    /// Named without a value: `name` (not `name=`) of a form, `null` of JSON. Perl's `undef`: as
    /// good as not given, but the name is checked.
    Undefined,
    /// A name given more than once, or an array of JSON. Its values are joined with NUL.
    Many,
    /// A boolean of JSON, whose value is 0 or 1.
    Flag,
    /// An object of JSON.
    Object,
}

/// Parameters by name; those that are no plain text are told apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(pub(crate) BTreeMap<String, String>, BTreeMap<String, Odd>);

impl From<BTreeMap<String, String>> for Params {
    fn from(values: BTreeMap<String, String>) -> Self {
        Self(values, BTreeMap::new())
    }
}

impl Params {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.1.remove(name);
        self.0.remove(name)
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).and_then(crate::guest::format::parse_bool)
    }

    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(|value| value.parse().ok())
    }

    /// What is special about a value.
    pub(crate) fn odd(&self, name: &str) -> Option<Odd> {
        self.1.get(name).copied()
    }

    /// The names without a text: undefined ones and objects.
    pub(crate) fn without_text(&self) -> impl Iterator<Item = (&str, Odd)> {
        let names = self.1.iter().filter(|(_, odd)| matches!(odd, Odd::Undefined | Odd::Object));
        names.map(|(name, odd)| (name.as_str(), *odd))
    }

    /// The names that were given without a value.
    pub(crate) fn undefined(&self) -> impl Iterator<Item = &str> {
        self.without_text().filter(|(_, odd)| *odd == Odd::Undefined).map(|(name, _)| name)
    }

    /// What `PVE::SectionConfig::check_config` says of the first name without a value.
    pub(crate) fn check_defined(&self, others: &[&str]) -> Result<(), String> {
        match self.undefined().find(|name| !others.contains(name)) {
            Some(name) => Err(format!("got undefined value for option '{name}'")),
            None => Ok(()),
        }
    }

    /// Puts several values of a name into one text, as `$normalize_legacy_param_formats` does for
    /// formats that are lists.
    pub(crate) fn join_values(&mut self, name: &str) {
        self.1.remove(name);
        if let Some(value) = self.0.get_mut(name) {
            *value = value.replace('\0', ",");
        }
    }

    fn set(&mut self, name: String, value: String) {
        self.1.remove(&name);
        self.0.insert(name, value);
    }

    fn set_odd(&mut self, name: String, odd: Odd) {
        self.0.remove(&name);
        self.1.insert(name, odd);
    }

    /// One more value of a name.
    pub(crate) fn add(&mut self, name: String, value: String) {
        match self.0.get_mut(&name) {
            Some(old) => {
                old.push('\0');
                old.push_str(&value);
                self.1.insert(name, Odd::Many);
            }
            None => self.set(name, value),
        }
    }

    /// Adds the pairs of a form or a query (`PVE::APIServer::AnyEvent::decode_urlencoded`). Pairs
    /// are split at `&` and `;`, and a pair at every `=`: what follows a second one is lost. A name
    /// without `=` has no value, which is not the empty one.
    pub(crate) fn add_form(&mut self, text: &str) {
        for pair in text.split(['&', ';']).filter(|pair| !pair.is_empty()) {
            let mut parts = pair.split('=');
            let name = decode(parts.next().unwrap_or_default());
            match parts.next() {
                Some(value) => self.add(name, decode(value)),
                None => self.set_odd(name, Odd::Undefined),
            }
        }
    }

    /// Takes over what was given elsewhere too, in the place of what is here.
    pub(crate) fn override_with(&mut self, other: Self) {
        for name in other.0.keys().chain(other.1.keys()) {
            self.0.remove(name);
            self.1.remove(name);
        }
        self.0.extend(other.0);
        self.1.extend(other.1);
    }

    /// Adds to the parameters of a path what else was given.
    pub(crate) fn join(&mut self, given: Self) -> Result<(), Refusal> {
        let clash = |name: &&String| {
            let own = self.get(name);
            own.is_some() && own != given.get(name)
        };
        if let Some(name) = given.0.keys().chain(given.1.keys()).filter(clash).min() {
            let text = "duplicate parameter (already defined in URI) with conflicting values!";
            return Err(Refusal::param(name, text));
        }
        self.override_with(given);
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
        let members = match parsed {
            serde_json::Value::Object(members) => members,
            // No parameters.
            serde_json::Value::Null => return Ok(()),
            serde_json::Value::Array(_) => {
                return Err(format!("Not a HASH reference {place} 978.\n"));
            }
            other => {
                let shown: String = plain(&other).chars().take(32).collect();
                return Err(format!(
                    "Can't use string (\"{shown}\") as a HASH ref while \"strict refs\" in use \
                     {place} 978.\n"
                ));
            }
        };
        for (name, value) in members {
            match value {
                serde_json::Value::Null => self.set_odd(name, Odd::Undefined),
                serde_json::Value::Array(items) => {
                    let items: Vec<String> = items.iter().map(plain).collect();
                    self.set(name.clone(), items.join("\0"));
                    self.1.insert(name, Odd::Many);
                }
                serde_json::Value::Bool(flag) => {
                    self.set(name.clone(), u8::from(flag).to_string());
                    self.1.insert(name, Odd::Flag);
                }
                serde_json::Value::Object(_) => self.set_odd(name, Odd::Object),
                other => self.set(name, plain(&other)),
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
        // Perl writes a number without the zeros that it was sent with.
        serde_json::Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string())
        }
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
        params.add_form("a=1&b=x%20y+z;c=p=q&d&a=2&e=&f=1&f&g&g=1&&h==i&k=&k=1");
        for (name, value, odd) in [
            ("a", Some("1\u{0}2"), Some(Odd::Many)),
            ("b", Some("x y z"), None),
            ("c", Some("p"), None),
            ("d", None, Some(Odd::Undefined)),
            ("e", Some(""), None),
            ("f", None, Some(Odd::Undefined)),
            ("g", Some("1"), None),
            ("h", Some(""), None),
            ("k", Some("\u{0}1"), Some(Odd::Many)),
        ] {
            assert_eq!((params.get(name), params.odd(name)), (value, odd), "{name}");
        }
        params.join_values("a");
        assert_eq!((params.get("a"), params.odd("a")), (Some("1,2"), None));
    }

    #[test]
    fn json_bodies_become_text_that_remembers_what_it_was() {
        let mut params = Params::default();
        params
            .add_json(br#"{"n":1,"f":2.0,"t":true,"s":"","l":["a","b"],"o":["a"],"z":null,"h":{}}"#)
            .unwrap();
        for (name, value, odd) in [
            ("n", Some("1"), None),
            ("f", Some("2"), None),
            ("t", Some("1"), Some(Odd::Flag)),
            ("s", Some(""), None),
            ("l", Some("a\u{0}b"), Some(Odd::Many)),
            ("o", Some("a"), Some(Odd::Many)),
            ("z", None, Some(Odd::Undefined)),
            ("h", None, Some(Odd::Object)),
        ] {
            assert_eq!((params.get(name), params.odd(name)), (value, odd), "{name}");
        }
        assert!(params.add_json(b"[]").is_err() && params.add_json(b"{").is_err());
        assert!(params.add_json(b"null").is_ok());
        assert!(params.add_json(b"\"x\"").unwrap_err().starts_with("Can't use string (\"x\") as"));
    }

    #[test]
    fn what_the_path_says_is_not_said_otherwise() {
        let mut path = Params::from(BTreeMap::from([("node".to_owned(), "a".to_owned())]));
        for (given, ok) in [("node=a&x=1", true), ("node=b", false), ("node=", false)] {
            let mut params = Params::default();
            params.add_form(given);
            assert_eq!(path.join(params).is_ok(), ok, "{given}");
        }
        assert_eq!(path.get("x"), Some("1"));
    }
}
