//! Files of the nodes that are no volumes, and the contents of uploaded volumes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most bytes of one file that are held in memory; of larger ones only the outside is known.
pub(crate) const FILE_LIMIT: usize = 64 << 20;
/// The most bytes of one file that are part of a world's file.
pub(crate) const TEXT_LIMIT: usize = 1 << 20;

/// Files by place (a node's name, `STORAGE` or `STORAGE@NODE`, or `/etc/pve`), then by path.
pub(crate) type Files = BTreeMap<String, BTreeMap<String, File>>;

/// Who may log in by SSH. Without this section root may, by any key, by the password of root@pam,
/// and without either.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SshAccess {
    /// Lines as in `authorized_keys`.
    #[serde(default)]
    pub(crate) authorized_keys: Vec<String>,
    /// Whether the password of root@pam is accepted.
    #[serde(default)]
    pub(crate) password: bool,
}

/// A file or folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct File {
    /// Permission bits.
    pub(crate) mode: u32,
    /// Unix seconds.
    pub(crate) mtime: i64,
    pub(crate) body: Body,
}

/// What a file holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Body {
    Folder,
    Bytes(Bytes),
    /// A disk image of which only the outside is known.
    Image(Image),
}

/// The outside of a disk image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Image {
    /// `raw`, `qcow2`, `vmdk`.
    pub(crate) format: String,
    /// Virtual size, bytes.
    pub(crate) size: u64,
    /// Size of the file, bytes.
    pub(crate) used: u64,
    pub(crate) bootable: bool,
    /// Of the whole file, where it was seen.
    #[serde(default, skip_serializing_if = "Sums::is_empty")]
    pub(crate) sums: Sums,
    /// The file had a content, which is not part of the world's file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) lost: bool,
    /// The content, for as long as the process lives.
    #[serde(skip)]
    pub(crate) content: Option<Bytes>,
}

/// Checksums in hexadecimal; empty where unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sums {
    pub(crate) md5: String,
    pub(crate) sha1: String,
    pub(crate) sha256: String,
    pub(crate) sha512: String,
}

impl Sums {
    fn is_empty(&self) -> bool {
        self.sha256.is_empty()
    }
}

/// Bytes that are cheap to copy; Base64 in a world file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Arc<Vec<u8>>);

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(bytes))
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&data_encoding::BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = data_encoding::BASE64.decode(text.as_bytes());
        bytes.map(Self::from).map_err(serde::de::Error::custom)
    }
}
