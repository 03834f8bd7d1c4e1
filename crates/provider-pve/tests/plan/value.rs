//! Property strings as the built cluster stores them. Written anew on purpose: with the
//! provider's codecs a fault of theirs would cancel itself out.

use std::collections::BTreeMap;

/// `first,key=value,…`
#[derive(Clone)]
pub(crate) struct Value {
    pub(crate) first: String,
    pub(crate) rest: BTreeMap<String, String>,
}

impl Value {
    pub(crate) fn parse(text: &str) -> Self {
        let (first, rest) = text.split_once(',').unwrap_or((text, ""));
        let pairs = rest.split(',').filter_map(|part| part.split_once('='));
        Self { first: first.into(), rest: pairs.map(|(k, v)| (k.into(), v.into())).collect() }
    }

    /// Keys sorted, as Proxmox prints them.
    pub(crate) fn print(&self) -> String {
        let rest = self.rest.iter().map(|(k, v)| format!(",{k}={v}"));
        std::iter::once(self.first.clone()).chain(rest).collect()
    }

    pub(crate) fn storage(&self) -> &str {
        self.first.split(':').next().unwrap()
    }

    /// Bytes that `size=` says.
    pub(crate) fn size(&self) -> u64 {
        let text = &self.rest["size"];
        let (number, unit) = text.split_at(text.len() - 1);
        number.parse::<u64>().unwrap()
            << match unit {
                "M" => 20,
                "G" => 30,
                other => panic!("unit {other}"),
            }
    }
}

/// `40G`, `1536M`.
pub(crate) fn size(bytes: u64) -> String {
    assert_eq!(bytes % (1 << 20), 0, "the lab stores whole MiB");
    match bytes % (1 << 30) {
        0 => format!("{}G", bytes >> 30),
        _ => format!("{}M", bytes >> 20),
    }
}

/// Is the key a drive?
pub(crate) fn is_drive(key: &str) -> bool {
    let name = key.trim_end_matches(|c: char| c.is_ascii_digit());
    name != key
        && matches!(name, "scsi" | "virtio" | "sata" | "ide" | "efidisk" | "tpmstate" | "unused")
}

/// Is the key a network device?
pub(crate) fn is_nic(key: &str) -> bool {
    key.strip_prefix("net").is_some_and(|n| n.parse::<u8>().is_ok())
}
