//! Property strings: `vmdata:4000/vm-4000-disk-0.raw,size=1G,ssd=1`.

use std::collections::BTreeMap;
use std::fmt;

/// A parsed property string (`PVE::JSONSchema::parse_property_string`): entries `key=value` joined
/// with commas, in their order. The value of one key, the default key of the format, may stand
/// without its key (the volume of a drive).
///
/// Writing gives back what was read; only empty parts (`a=1,,b=2`) are left out, as Proxmox itself
/// ignores them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyString {
    default_key: Option<&'static str>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    key: String,
    value: String,
    /// Written without its key.
    bare: bool,
}

/// Why a text is no property string, or a value cannot stand in one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    /// A part has no `=`, and the format has no key that may be left out.
    #[error("'{0}' has no key (write key=value)")]
    MissingKey(String),
    /// A part has an `=` with nothing before or after it.
    #[error("'{0}' is no key=value: neither may be empty")]
    Malformed(String),
    /// A key is there twice.
    #[error("'{0}' is given twice")]
    Duplicate(String),
    /// A required key is not there.
    #[error("'{0}' is missing")]
    Required(&'static str),
    /// A value cannot be written: it is empty or holds a comma.
    #[error("the value of '{0}' is empty or holds a comma, which a property string cannot carry")]
    Value(String),
}

impl PropertyString {
    /// An empty one.
    #[must_use]
    pub fn new(default_key: Option<&'static str>) -> Self {
        Self { default_key, entries: Vec::new() }
    }

    /// Reads a property string whose `default_key` may be left out.
    ///
    /// # Errors
    /// [`PropertyError`] for what Proxmox refuses as well, whatever the keys mean.
    pub fn parse(text: &str, default_key: Option<&'static str>) -> Result<Self, PropertyError> {
        let mut parsed = Self::new(default_key);
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let entry = match (part.split_once('='), default_key) {
                (Some((key, value)), _) if !key.is_empty() && !value.is_empty() => {
                    Entry { key: key.to_owned(), value: value.to_owned(), bare: false }
                }
                (Some(_), _) => return Err(PropertyError::Malformed(part.to_owned())),
                (None, Some(key)) => {
                    Entry { key: key.to_owned(), value: part.to_owned(), bare: true }
                }
                (None, None) => return Err(PropertyError::MissingKey(part.to_owned())),
            };
            if parsed.get(&entry.key).is_some() {
                return Err(PropertyError::Duplicate(entry.key));
            }
            parsed.entries.push(entry);
        }
        Ok(parsed)
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.iter().find(|e| e.key == key).map(|e| e.value.as_str())
    }

    /// Sets a key where it stands. A new one is appended; the default key comes first and without
    /// its name.
    ///
    /// # Errors
    /// [`PropertyError::Value`] when the value is empty or holds a comma, and
    /// [`PropertyError::Malformed`] when the key cannot be one.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), PropertyError> {
        if value.is_empty() || value.contains(',') {
            return Err(PropertyError::Value(key.to_owned()));
        }
        if key.is_empty() || key.contains([',', '=']) {
            return Err(PropertyError::Malformed(format!("{key}={value}")));
        }
        // Without its key a blank value would vanish, and one with `=` would be read as another.
        let can_be_bare = !value.contains('=') && !value.trim().is_empty();
        let value = value.to_owned();
        if let Some(entry) = self.entries.iter_mut().find(|e| e.key == key) {
            entry.value = value;
            entry.bare &= can_be_bare;
        } else if self.default_key == Some(key) {
            self.entries.insert(0, Entry { key: key.to_owned(), value, bare: can_be_bare });
        } else {
            self.entries.push(Entry { key: key.to_owned(), value, bare: false });
        }
        Ok(())
    }

    /// Removes a key and gives its value.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        let at = self.entries.iter().position(|e| e.key == key)?;
        Some(self.entries.remove(at).value)
    }

    /// Gives an entry another key and value, where it stands.
    pub(super) fn replace(&mut self, key: &str, new_key: &str, new_value: &str) {
        if let Some(entry) = self.entries.iter_mut().find(|e| e.key == key) {
            *entry = Entry { key: new_key.to_owned(), value: new_value.to_owned(), bare: false };
        }
    }

    /// Keys and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|e| (e.key.as_str(), e.value.as_str()))
    }

    /// Whether there is no entry at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether both have the same keys with the same texts, in whatever order. What the texts mean
    /// is the business of [`super::equal()`].
    #[must_use]
    pub fn same_entries(&self, other: &Self) -> bool {
        let map = |p: &Self| -> BTreeMap<String, String> {
            p.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
        };
        map(self) == map(other)
    }

    /// The text that Proxmox takes and stores.
    #[must_use]
    pub fn encode(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for PropertyString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, entry) in self.entries.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            if !entry.bare {
                write!(f, "{}=", entry.key)?;
            }
            f.write_str(&entry.value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_back_what_it_read() {
        for text in [
            "vmdata:4000/vm-4000-disk-0.raw,size=1G,ssd=1",
            "file=vmdata:4000/vm-4000-disk-0.raw,size=1G",
            "size=1G,vmdata:4000/vm-4000-disk-0.raw",
            "none,media=cdrom,future-key=x=y=z",
            "",
        ] {
            let parsed = PropertyString::parse(text, Some("file")).unwrap();
            assert_eq!(parsed.encode(), text);
        }
        let gaps = PropertyString::parse(",none,, ,media=cdrom,", Some("file")).unwrap();
        assert_eq!(gaps.encode(), "none,media=cdrom");
    }

    #[test]
    fn refuses_what_proxmox_refuses() {
        let error = |text, default| PropertyString::parse(text, default).unwrap_err();
        assert_eq!(error("x", None), PropertyError::MissingKey("x".to_owned()));
        assert_eq!(error("a=1,=2", None), PropertyError::Malformed("=2".to_owned()));
        assert_eq!(error("a=", None), PropertyError::Malformed("a=".to_owned()));
        assert_eq!(error("a=1,a=2", None), PropertyError::Duplicate("a".to_owned()));
        assert_eq!(error("x,y", Some("file")), PropertyError::Duplicate("file".to_owned()));
        assert_eq!(error("x,file=y", Some("file")), PropertyError::Duplicate("file".to_owned()));
    }

    #[test]
    fn sets_and_removes_in_place() {
        let mut p = PropertyString::parse("none,media=cdrom,ssd=1", Some("file")).unwrap();
        p.set("file", "local:iso/a.iso").unwrap();
        p.set("size", "4M").unwrap();
        p.set("media", "disk").unwrap();
        assert_eq!(p.encode(), "local:iso/a.iso,media=disk,ssd=1,size=4M");
        assert_eq!(p.remove("ssd").as_deref(), Some("1"));
        assert_eq!(p.remove("ssd"), None);
        p.remove("file");
        p.set("file", "none").unwrap();
        assert_eq!(p.encode(), "none,media=disk,size=4M");
        p.set("file", "a=b").unwrap();
        assert_eq!(p.encode(), "file=a=b,media=disk,size=4M");
        assert!(matches!(p.set("x", "a,b"), Err(PropertyError::Value(_))));
        assert!(matches!(p.set("x", ""), Err(PropertyError::Value(_))));
        assert!(matches!(p.set("x=", "1"), Err(PropertyError::Malformed(_))));
    }

    #[test]
    fn order_and_bareness_do_not_matter_for_entries() {
        let parse = |text| PropertyString::parse(text, Some("file")).unwrap();
        assert!(parse("none,media=cdrom").same_entries(&parse("media=cdrom,file=none")));
        assert!(!parse("none,media=cdrom").same_entries(&parse("none")));
        assert!(!parse("none").same_entries(&parse("none,media=cdrom")));
    }
}
