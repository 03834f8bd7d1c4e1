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
    /// The property that this is another name of; empty when it is not.
    pub(crate) alias: &'static str,
    /// A property without which this one is refused; empty when there is none.
    pub(crate) requires: &'static str,
}

impl Property {
    /// An optional property.
    pub(crate) const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            optional: true,
            default_key: false,
            model_of: "",
            alias: "",
            requires: "",
        }
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

    /// A property that is refused without another one.
    pub(crate) const fn requires(mut self, other: &'static str) -> Self {
        self.requires = other;
        self
    }

    /// Another name of a property.
    pub(crate) const fn alias(name: &'static str, of: &'static str) -> Self {
        let mut alias = Self::new(name, Kind::TEXT);
        alias.alias = of;
        alias
    }

    /// A model key of a network card.
    pub(crate) const fn model(name: &'static str) -> Self {
        let mut model = Self::alias(name, "macaddr");
        model.model_of = "model";
        model
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

const UNKNOWN: &str =
    "property is not defined in schema and the schema does not allow additional properties";

fn find(properties: &'static [Property], name: &str) -> Option<&'static Property> {
    properties.iter().find(|property| property.name == name)
}

/// A value as `parse_boolean` leaves it: 0 or 1 when it can be read as a boolean.
fn stored(kind: Option<Kind>, value: &str) -> String {
    match (kind, super::format::parse_bool(value)) {
        (Some(Kind::Bool), Some(flag)) => u8::from(flag).to_string(),
        _ => value.to_owned(),
    }
}

/// Takes a property string apart as `parse_property_string` does: aliases resolved, booleans as 0
/// or 1, keys that the format does not have kept. The error is that of its `die`s.
pub(crate) fn parse(properties: &'static [Property], text: &str) -> Result<Values, String> {
    let mut values = Values::default();
    let mut unnamed: Option<&'static str> = None;
    let twice = |key: &str| format!("duplicate key in comma-separated list property: {key}\n");
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        match part.split_once('=') {
            Some((key, value)) if !key.is_empty() && !value.is_empty() => {
                add(properties, &mut values, key, value)?;
            }
            Some(_) => return Err("missing key in comma-separated list property\n".to_owned()),
            None => {
                let default = properties.iter().find(|property| property.default_key);
                let Some(default) = default else {
                    let text = "value without key, but schema does not define a default key\n";
                    return Err(text.to_owned());
                };
                // Perl's truth: a default of 0 is overwritten.
                let set = values.get(default.name).is_some_and(|value| value != "0");
                if unnamed.is_some() || set {
                    return Err(twice(default.name));
                }
                unnamed = Some(default.name);
                values.0.insert(default.name.to_owned(), stored(Some(default.kind), part));
            }
        }
    }
    Ok(values)
}

fn add(
    properties: &'static [Property],
    values: &mut Values,
    key: &str,
    value: &str,
) -> Result<(), String> {
    if values.get(key).is_some() {
        return Err(format!("duplicate key in comma-separated list property: {key}\n"));
    }
    let mut found = find(properties, key);
    let mut name = key;
    if let Some(alias) = found.filter(|property| !property.alias.is_empty()) {
        if !alias.model_of.is_empty() {
            if values.get(alias.model_of).is_some() {
                return Err(format!("key alias '{}' is already defined\n", alias.model_of));
            }
            values.0.insert(alias.model_of.to_owned(), key.to_owned());
        }
        name = alias.alias;
        found = find(properties, name);
        if values.get(name).is_some() {
            return Err(format!("key '{name}' is already defined (via alias)\n"));
        }
    }
    values.0.insert(name.to_owned(), stored(found.map(|property| property.kind), value));
    Ok(())
}

/// Checks a property string. The error is what follows `invalid format - `: the text of a string
/// that cannot be taken apart, or `format error` and a line for every wrong property, named below
/// `name`.
pub(crate) fn check(
    properties: &'static [Property],
    name: &str,
    value: &str,
) -> Result<Values, String> {
    let values = parse(properties, value)?;
    let mut errors: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    let mut wrong = |key: &str, text: &str| {
        let line = errors.entry(format!("{name}.{key}")).or_default();
        // Two errors of one property are joined with a backslash and an n (`add_error`).
        let gap = if line.is_empty() { "" } else { "\\n" };
        line.push_str(&format!("{gap}{text}"));
    };
    for (key, value) in &values.0 {
        let Some(property) = find(properties, key) else {
            wrong(key, UNKNOWN);
            continue;
        };
        if let Err(error) = check_kind(property.kind, &format!("{name}.{key}"), value) {
            wrong(key, &error);
        }
        if !property.requires.is_empty() && values.get(property.requires).is_none() {
            wrong(property.requires, &format!("missing property required by '{name}.{key}'"));
        }
    }
    for property in properties.iter().filter(|property| !property.optional) {
        if values.get(property.name).is_none() {
            wrong(property.name, "property is missing and it is not optional");
        }
    }
    if errors.is_empty() {
        return Ok(values);
    }
    let lines = errors.into_iter().map(|(key, text)| format!("{key}: {text}\n"));
    Err(format!("format error\n{}", lines.collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::super::{drive_formats, formats};
    use super::*;

    #[test]
    fn wrong_properties_are_named() {
        type Case = (&'static [Property], &'static str, &'static str, &'static str);
        let unknown = "format error\nnet0.speed: property is not defined in schema and the schema does not allow additional properties\n";
        let table: &[Case] = &[
            (formats::NET, "net0", "virtio,bridge=vmbr0,speed=10", unknown),
            (
                formats::MEMORY,
                "memory",
                "8",
                "format error\nmemory.current: value must have a minimum value of 16\n",
            ),
            (
                formats::NET,
                "net0",
                "bridge=vmbr0",
                "format error\nnet0.model: property is missing and it is not optional\n",
            ),
            (
                formats::NET,
                "net0",
                "virtio,e1000=BC:24:11:00:00:01",
                "key alias 'model' is already defined\n",
            ),
            (
                formats::NET,
                "net0",
                "virtio,tag=1,tag=2",
                "duplicate key in comma-separated list property: tag\n",
            ),
            (
                formats::NET,
                "net0",
                "virtio,e1000",
                "duplicate key in comma-separated list property: model\n",
            ),
            (
                formats::NET,
                "net0",
                "virtio,bridge=",
                "missing key in comma-separated list property\n",
            ),
            (
                formats::IPCONFIG,
                "ipconfig0",
                "10.0.0.1/24",
                "value without key, but schema does not define a default key\n",
            ),
            (
                formats::IPCONFIG,
                "ipconfig0",
                "gw=10.0.0.1",
                "format error\nipconfig0.ip: missing property required by 'ipconfig0.gw'\n",
            ),
            (
                drive_formats::SCSI,
                "scsi0",
                "file=a1:1,volume=a1:2",
                "key 'file' is already defined (via alias)\n",
            ),
            (
                drive_formats::IDE,
                "ide0",
                "a1:1,serial=1234567890123456789012345678901234567890123456789012345678901",
                "format error\nide0.serial: value may only be 60 characters long\n",
            ),
            (
                drive_formats::IDE,
                "ide0",
                "a1:1,iothread=1",
                "format error\nide0.iothread: property is not defined in schema and the schema does not allow additional properties\n",
            ),
            (
                drive_formats::SCSI,
                "scsi0",
                "a1:1,ssd=maybe",
                "format error\nscsi0.ssd: type check ('boolean') failed - got 'maybe'\n",
            ),
        ];
        for (format, name, value, error) in table {
            assert_eq!(check(format, name, value).err().as_deref(), Some(*error), "{value}");
        }
        let values = check(formats::AGENT, "agent", "1,freeze-fs-on-backup=no").unwrap();
        assert_eq!((values.get("freeze-fs"), values.flag("enabled")), (Some("0"), true));
        assert!(check(formats::NET, "net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0").is_ok());
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
            for format in [formats::NET, drive_formats::SCSI, formats::AGENT, formats::IPCONFIG] {
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
