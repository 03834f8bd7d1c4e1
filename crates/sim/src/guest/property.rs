//! Property strings: `value,key=value,…` after `PVE::JSONSchema::parse_property_string`.

use super::format::{Kind, check as check_kind};

/// One property of a format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Property {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) optional: bool,
    /// Its key may be left out, or is another property's.
    pub(crate) default_key: bool,
    /// `virtio=MAC` sets `model` to the key and `macaddr` to the value; empty when not such a key.
    pub(crate) model_of: &'static str,
}

impl Property {
    /// An optional property.
    pub(crate) const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, optional: true, default_key: false, model_of: "" }
    }

    /// The property whose key may be left out.
    pub(crate) const fn default_key(mut self) -> Self {
        self.default_key = true;
        self
    }

    /// A property that must be there.
    pub(crate) const fn required(mut self) -> Self {
        self.optional = false;
        self
    }

    /// A model key of a network card.
    pub(crate) const fn model(name: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Format(super::format::Format::Mac),
            optional: true,
            default_key: false,
            model_of: "model",
        }
    }
}

/// The parts of a property string in their order: key (none for the default key) and value.
pub(crate) fn split(value: &str) -> Vec<(Option<&str>, &str)> {
    let parts = value.split(',').filter(|part| !part.trim().is_empty());
    parts
        .map(|part| match part.split_once('=') {
            Some((key, value)) if is_key(key) => (Some(key.trim()), value.trim()),
            _ => (None, part.trim()),
        })
        .collect()
}

fn is_key(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// A property string as a map in which the default key has its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Values(pub(crate) std::collections::BTreeMap<String, String>);

impl Values {
    /// Reads without checking; `default` names the key that may be left out.
    pub(crate) fn parse(value: &str, default: &str) -> Self {
        let pairs = split(value).into_iter();
        Self(
            pairs
                .map(|(key, value)| (key.unwrap_or(default).to_owned(), value.to_owned()))
                .collect(),
        )
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        self.get(key).and_then(super::format::parse_bool).unwrap_or(false)
    }

    /// The default key first and without its name, then the others by name.
    pub(crate) fn print(&self, default: &str) -> String {
        let first = self.get(default).map(str::to_owned);
        let rest = self.0.iter().filter(|(key, _)| *key != default);
        let rest = rest.map(|(key, value)| format!("{key}={value}"));
        first.into_iter().chain(rest).collect::<Vec<_>>().join(",")
    }
}

/// Checks a property string; the error has a line for every wrong property, named below `name`.
pub(crate) fn check(properties: &[Property], name: &str, value: &str) -> Result<(), String> {
    let default = properties.iter().find(|property| property.default_key);
    let mut errors = std::collections::BTreeMap::new();
    let mut seen: Vec<&str> = Vec::new();
    for (key, value) in split(value) {
        let Some(key) = key.or(default.map(|property| property.name)) else {
            return Err("value without key, but schema does not define a default key\n".to_owned());
        };
        let Some(property) = properties.iter().find(|property| property.name == key) else {
            let text = "property is not defined in schema and the schema does not allow additional properties";
            errors.insert(key.to_owned(), text.to_owned());
            continue;
        };
        let target = if property.model_of.is_empty() { property.name } else { property.model_of };
        if seen.contains(&target) {
            return Err(format!("duplicate key in comma-separated list property: {target}\n"));
        }
        seen.push(target);
        if let Err(error) = check_kind(property.kind, key, value) {
            errors.insert(key.to_owned(), error);
        }
    }
    for property in properties.iter().filter(|property| !property.optional) {
        if !seen.contains(&property.name) {
            let text = "property is missing and it is not optional";
            errors.insert(property.name.to_owned(), text.to_owned());
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(errors.into_iter().map(|(key, text)| format!("{name}.{key}: {text}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::super::formats;
    use super::*;

    #[test]
    fn wrong_properties_are_named() {
        let error = check(formats::NET, "net0", "virtio,bridge=vmbr0,speed=10").unwrap_err();
        assert_eq!(
            error,
            "net0.speed: property is not defined in schema and the schema does not allow additional properties\n"
        );
        let error = check(formats::MEMORY, "memory", "8").unwrap_err();
        assert_eq!(error, "memory.current: value must have a minimum value of 16\n");
        assert_eq!(check(formats::NET, "net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0"), Ok(()));
        assert!(check(formats::NET, "net0", "bridge=vmbr0").unwrap_err().contains("net0.model"));
        assert!(
            check(formats::NET, "net0", "virtio,e1000=BC:24:11:00:00:01")
                .unwrap_err()
                .contains("duplicate")
        );
    }

    #[test]
    fn values_print_the_default_key_first() {
        let values = Values::parse("local:1,ssd=1,discard=on", "file");
        assert_eq!(values.print("file"), "local:1,discard=on,ssd=1");
        assert_eq!(values.get("ssd"), Some("1"));
    }

    proptest::proptest! {
        #[test]
        fn printing_and_parsing_agree(
            pairs in proptest::collection::btree_map("[a-z]{1,8}", "[A-Za-z0-9:/._-]{1,12}", 1..6),
        ) {
            let mut pairs = pairs;
            pairs.insert("file".to_owned(), "local:100/vm-100-disk-0.raw".to_owned());
            let values = Values(pairs);
            proptest::prop_assert_eq!(Values::parse(&values.print("file"), "file"), values);
        }

        #[test]
        fn checking_never_panics(value in ".{0,60}") {
            for format in [formats::NET, formats::DRIVE, formats::AGENT, formats::IPCONFIG] {
                let _ = check(format, "x", &value);
            }
            let drive = crate::guest::drive::Drive::parse(&value);
            let _ = (drive.wish(), drive.is_cloudinit(), drive.size());
            let _ = crate::guest::network::normalise(&value, "BC:24:11", false);
            let _ = crate::world::volumes::own_name(&value);
            let _ = crate::world::volumes::base_name(&value);
        }
    }
}
