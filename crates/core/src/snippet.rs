//! Cloud-init files of a guest: rendered from a template, and kept as snippets on a storage.
//!
//! A file's name holds the beginning of its content's SHA-256. So a changed content is another
//! file, a plan sees it by the changed `cicustom` alone, and nothing is ever overwritten that a
//! guest may still read.

mod engine;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::desired::Guest;
use crate::diagnostic::SourceId;

pub use engine::RenderError;

/// The storage of rendered files when a document names none.
pub const STORAGE: &str = "local";

/// Which of the four files that cloud-init reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// `meta-data`
    Meta,
    /// `network-config`
    Network,
    /// `user-data`
    User,
    /// `vendor-data`
    Vendor,
}

impl Part {
    /// All four, in the order of their names.
    pub const ALL: [Self; 4] = [Self::Meta, Self::Network, Self::User, Self::Vendor];

    /// Its name in Proxmox's `cicustom`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Network => "network",
            Self::User => "user",
            Self::Vendor => "vendor",
        }
    }

    /// The key of documents that names its template.
    pub fn key(self) -> &'static str {
        match self {
            Self::Meta => "meta_data",
            Self::Network => "network_data",
            Self::User => "user_data",
            Self::Vendor => "vendor_data",
        }
    }
}

/// A template file that a document names.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    /// The path as the document says it.
    pub path: String,
    /// The file among the sources, once it is read.
    pub source: Option<SourceId>,
    /// Its text; empty until it is read.
    pub text: Arc<str>,
}

impl Template {
    /// A template that is not read yet.
    pub fn named(path: String) -> Self {
        Self { path, source: None, text: Arc::from("") }
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What a template may use beside what the guest itself says: `var`, `each`, `index`. Values may
/// be secrets, so `Debug` shows the names alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Extra(pub BTreeMap<String, Value>);

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A rendered file without its content: what a plan says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Which file of cloud-init.
    pub part: Part,
    /// Storage.
    pub storage: String,
    /// File name.
    pub name: String,
    /// SHA-256 of the content, lower-case hex.
    pub sha256: String,
}

impl File {
    /// The file as Proxmox VE names it (`local:snippets/NAME`).
    pub fn volid(&self) -> String {
        format!("{}:snippets/{}", self.storage, self.name)
    }
}

/// Contents of files by SHA-256. They may hold secrets.
pub type Contents = BTreeMap<String, SecretString>;

/// The files of a guest as they are on `node`, without their contents.
///
/// # Errors
/// The first template that cannot be rendered.
pub fn files(guest: &Guest, node: &str) -> Result<Vec<File>, RenderError> {
    Ok(render(guest, node)?.into_iter().map(|(file, _)| file).collect())
}

/// The files of a guest as they are on `node`, with their contents. Pure: the same guest on the
/// same node has the same files.
///
/// # Errors
/// The first template that cannot be rendered.
pub fn render(guest: &Guest, node: &str) -> Result<Vec<(File, SecretString)>, RenderError> {
    let cloudinit = &guest.spec.cloudinit;
    let storage = cloudinit.snippets.as_deref().unwrap_or(STORAGE);
    let mut rendered = Vec::new();
    for (part, template) in &cloudinit.templates {
        let text = engine::render(*part, template, guest, node)?;
        let sha256 = hex(&Sha256::digest(text.as_bytes()));
        let name = file_name(guest, *part, &sha256);
        let file = File { part: *part, storage: storage.to_owned(), name, sha256 };
        rendered.push((file, SecretString::from(text)));
    }
    Ok(rendered)
}

/// `pvx-k3s-worker02-user-0f3a5c91b2de.yaml`
fn file_name(guest: &Guest, part: Part, sha256: &str) -> String {
    const SHOWN: usize = 12;
    let (profile, name) = (guest.address.profile(), guest.address.guest());
    let hash = sha256.get(..SHOWN).unwrap_or(sha256);
    format!("pvx-{profile}-{name}-{}-{hash}.yaml", part.name())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
