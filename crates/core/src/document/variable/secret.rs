//! The value of a sensitive variable.

use secrecy::{ExposeSecret, SecretString};

/// A text that is never shown: no Debug of it, no Serialize, and no place in a plan or a state.
#[derive(Clone)]
pub struct Secret {
    name: String,
    text: SecretString,
}

impl Secret {
    pub(crate) fn new(name: &str, text: SecretString) -> Self {
        Self { name: name.to_owned(), text }
    }

    /// The variable's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text, for whoever sends it to the cluster.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({})", self.name)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.expose() == other.expose()
    }
}

impl Eq for Secret {}
