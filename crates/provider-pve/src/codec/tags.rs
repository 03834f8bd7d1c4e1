//! Tags of a guest.

use std::collections::BTreeSet;
use std::fmt;

/// The tags of a guest as a set. Proxmox stores them lower-case, sorted, without duplicates and
/// joined with `;` (`PVE::GuestHelpers::get_unique_tags`), unless `tag-style` in datacenter.cfg says
/// otherwise; case and order are no difference here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Tags(BTreeSet<String>);

/// A text cannot be a tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' cannot be a tag: letters, digits, '_', '-', '+' and '.' are allowed, and the first is a \
     letter, a digit or '_'"
)]
pub struct TagError(String);

impl Tags {
    /// Reads a list split by `;`, `,` or white space. Takes whatever is stored; see [`Tags::check`].
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let separator = |c: char| matches!(c, ';' | ',' | '\0') || c.is_whitespace();
        text.split(separator).filter(|t| !t.is_empty()).collect()
    }

    /// Whether Proxmox takes this as one tag (`$PVE_TAG_RE` in pve-common).
    ///
    /// # Errors
    /// [`TagError`] when it does not.
    pub fn check(tag: &str) -> Result<(), TagError> {
        let first = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let further = |c: char| first(c) || matches!(c, '-' | '+' | '.');
        if tag.starts_with(first) && tag.chars().all(further) {
            Ok(())
        } else {
            Err(TagError(tag.to_owned()))
        }
    }

    /// Whether a tag is there, in whatever case it is asked for.
    #[must_use]
    pub fn contains(&self, tag: &str) -> bool {
        self.0.contains(&tag.to_ascii_lowercase())
    }

    /// Adds a tag; false when it was there.
    pub fn insert(&mut self, tag: &str) -> bool {
        self.0.insert(tag.to_ascii_lowercase())
    }

    /// Removes a tag; false when it was not there.
    pub fn remove(&mut self, tag: &str) -> bool {
        self.0.remove(&tag.to_ascii_lowercase())
    }

    /// The tags in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> FromIterator<&'a str> for Tags {
    fn from_iter<I: IntoIterator<Item = &'a str>>(tags: I) -> Self {
        Self(tags.into_iter().map(str::to_ascii_lowercase).collect())
    }
}

impl fmt::Display for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags: Vec<&str> = self.iter().collect();
        f.write_str(&tags.join(";"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_recorded() {
        // vm-life: `Zeta;alpha;alpha` and `web, db prod` as sent, and what is stored then.
        assert_eq!(Tags::parse("Zeta;alpha;alpha").to_string(), "alpha;zeta");
        assert_eq!(Tags::parse("web, db prod").to_string(), "db;prod;web");
        assert_eq!(Tags::parse(" ;, ").to_string(), "");
        let mut tags = Tags::parse("a");
        assert!(tags.insert("B") && !tags.insert("b") && tags.contains("B"));
        assert!(tags.remove("A") && !tags.remove("a"));
        assert_eq!(tags.to_string(), "b");
    }

    #[test]
    fn checks_single_tags() {
        for tag in ["a", "A9", "_x", "9", "a-b+c.d"] {
            assert!(Tags::check(tag).is_ok(), "{tag}");
        }
        for tag in ["", "-a", ".a", "ü", "a b", "a;b", "a:b"] {
            assert!(Tags::check(tag).is_err(), "{tag}");
        }
    }
}
