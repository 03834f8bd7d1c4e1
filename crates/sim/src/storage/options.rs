//! The options of the storage types (`options` and `properties` of the plugins), and the checks of
//! their values (`PVE::Storage::Plugin`).

use crate::api::endpoint::{Param, optional, required};
use crate::guest::format::{Format, Kind, check_format, list};
use crate::guest::property::{self, Property};
use crate::world::storage::StorageKind;

/// An option of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// May be set, changed and deleted.
    Optional,
    /// Must be given and never changes.
    Fixed,
    /// May be given when the storage is made, and never changes.
    OptionalFixed,
    /// Must be given, may change.
    Required,
}

impl Rule {
    pub(crate) fn is_optional(self) -> bool {
        matches!(self, Self::Optional | Self::OptionalFixed)
    }

    pub(crate) fn is_fixed(self) -> bool {
        matches!(self, Self::Fixed | Self::OptionalFixed)
    }
}

/// Options of the storages whose images are files.
const BACKUPS: &str = "prune-backups max-protected-backups";
const FOLDERS: &str = "mkdir create-base-path create-subdirs";

/// The rule of an option of a type; none when the type has no such option.
pub(crate) fn rule(kind: StorageKind, name: &str) -> Option<Rule> {
    use StorageKind as K;
    let among = |words: &str| words.split(' ').any(|word| word == name);
    if among("nodes disable content") {
        return Some(Rule::Optional);
    }
    let (fixed, plain) = match kind {
        K::Dir => ("path", "content-dirs shared format is_mountpoint bwlimit preallocation"),
        K::Btrfs => ("path", "shared format is_mountpoint nocow preallocation"),
        K::Nfs => ("path server export", "content-dirs options format bwlimit preallocation"),
        K::Cifs => (
            "path server share",
            "content-dirs subdir format username password domain smbversion bwlimit preallocation options",
        ),
        K::CephFs => (
            "path",
            "content-dirs monhost subdir options username format fuse bwlimit keyring fs-name",
        ),
        K::Lvm => (
            "vgname",
            "shared saferemove saferemove-stepsize saferemove_throughput tagged_only bwlimit snapshot-as-volume-chain",
        ),
        K::LvmThin => ("thinpool vgname", "bwlimit"),
        K::ZfsPool => ("pool", "blocksize sparse bwlimit mountpoint"),
        K::Zfs => (
            "portal target pool blocksize iscsiprovider",
            "nowritecache sparse comstar_hg comstar_tg lio_tpg bwlimit zfs-base-path",
        ),
        K::Rbd => ("", "monhost pool data-pool namespace username krbd keyring bwlimit"),
        K::Iscsi | K::IscsiDirect => ("portal target", "bwlimit"),
        K::Pbs => (
            "server datastore",
            "namespace port username password encryption-key master-pubkey fingerprint",
        ),
        K::Esxi => ("", "shared password skip-cert-verification port"),
    };
    if among(fixed) {
        return Some(Rule::Fixed);
    }
    if kind == K::Esxi && among("server username") {
        return Some(Rule::Required);
    }
    let backups = kind.has_files() || kind == K::Pbs;
    if among(plain) || (backups && among(BACKUPS)) || (kind.has_files() && among(FOLDERS)) {
        return Some(Rule::Optional);
    }
    let chained = matches!(kind, K::Dir | K::Nfs | K::Cifs) && name == "snapshot-as-volume-chain";
    ((kind == K::Lvm && name == "base") || chained).then_some(Rule::OptionalFixed)
}

/// The options that must be given to make a storage, by name.
pub(crate) fn needed(kind: StorageKind) -> impl Iterator<Item = &'static str> {
    let all = PROPERTIES.iter().map(|param| param.name);
    all.filter(move |name| rule(kind, name).is_some_and(|rule| !rule.is_optional()))
}

/// Options that are kept in files of their own and not in `storage.cfg`.
pub(crate) fn is_sensitive(name: &str) -> bool {
    matches!(name, "encryption-key" | "keyring" | "master-pubkey" | "password")
}

const TYPES: &[&str] = &[
    "btrfs",
    "cephfs",
    "cifs",
    "dir",
    "esxi",
    "iscsi",
    "iscsidirect",
    "lvm",
    "lvmthin",
    "nfs",
    "pbs",
    "rbd",
    "zfs",
    "zfspool",
];

/// The types as the API lists them.
pub(crate) const TYPE: Kind = Kind::Enum(TYPES);
/// `pve-storage-content`.
pub(crate) const CONTENT: Kind = Kind::Check(content);
/// `pve-storage-content`, of files that are uploaded or fetched.
pub(crate) const FILE_CONTENT: Kind = Kind::Check(file_content);
/// `pve-storage-content-list`.
pub(crate) const CONTENT_LIST: Kind = Kind::Check(content_list);
/// `pve-storage-image-format`.
pub(crate) const IMAGE_FORMAT: Kind = Kind::Enum(&["raw", "qcow2", "subvol", "vmdk"]);
/// `prune-backups`.
pub(crate) const PRUNE: Kind = Kind::Check(prune);
const PATH: Kind = Kind::Check(path);
/// `pve-storage-vgname`.
const GROUP: Kind = Kind::Check(group);
/// `fingerprint-sha256`.
pub(crate) const FINGERPRINT: Kind = Kind::Check(fingerprint);
/// `pve-storage-server`.
pub(crate) const SERVER: Kind = Kind::Check(server);
/// `pve-storage-portal-dns`.
pub(crate) const PORTAL: Kind = Kind::Check(portal);

/// All options of all types.
pub(crate) const PROPERTIES: &[Param] = &[
    required("type", TYPE),
    required("storage", Kind::Format(Format::StorageId)),
    optional("authsupported", Kind::TEXT),
    optional("base", Kind::Format(Format::VolumeId)),
    optional("blocksize", Kind::Check(block_size)),
    optional("bwlimit", Kind::Check(bandwidth)),
    optional("comstar_hg", Kind::TEXT),
    optional("comstar_tg", Kind::TEXT),
    optional("content", CONTENT_LIST).list(),
    optional("content-dirs", Kind::Check(overrides)).list(),
    optional("create-base-path", Kind::Bool),
    optional("create-subdirs", Kind::Bool),
    optional("data-pool", Kind::TEXT),
    optional("datastore", Kind::TEXT),
    optional("disable", Kind::Bool),
    optional("domain", Kind::Text { max: 256 }),
    optional("encryption-key", Kind::TEXT),
    optional("export", PATH),
    optional("fingerprint", FINGERPRINT),
    optional("format", IMAGE_FORMAT),
    optional("fs-name", Kind::Format(Format::ConfigId)),
    optional("fuse", Kind::Bool),
    optional("is_mountpoint", Kind::TEXT),
    optional("iscsiprovider", Kind::TEXT),
    optional("keyring", Kind::TEXT),
    optional("krbd", Kind::Bool),
    optional("lio_tpg", Kind::TEXT),
    optional("master-pubkey", Kind::TEXT),
    optional("max-protected-backups", Kind::Int { min: Some(-1), max: None }),
    optional("mkdir", Kind::Bool),
    optional("monhost", Kind::Check(portals)).list(),
    optional("mountpoint", PATH),
    optional("namespace", Kind::TEXT),
    optional("nocow", Kind::Bool),
    optional("nodes", Kind::Check(nodes)).list(),
    optional("nowritecache", Kind::Bool),
    optional("options", Kind::Check(mount_options)),
    optional("password", Kind::Text { max: 256 }),
    optional("path", PATH),
    optional("pool", Kind::TEXT),
    optional("port", Kind::between(1, 65535)),
    optional("portal", PORTAL),
    optional("preallocation", Kind::Enum(&["off", "metadata", "falloc", "full"])),
    optional("prune-backups", PRUNE),
    optional("saferemove", Kind::Bool),
    optional("saferemove-stepsize", Kind::Enum(&["1", "2", "4", "8", "16", "32"])),
    optional("saferemove_throughput", Kind::TEXT),
    optional("server", SERVER),
    optional("share", Kind::TEXT),
    optional("shared", Kind::Bool),
    optional("skip-cert-verification", Kind::Bool),
    optional("smbversion", Kind::Enum(&["default", "2.0", "2.1", "3", "3.0", "3.11"])),
    optional("snapshot-as-volume-chain", Kind::Bool),
    optional("sparse", Kind::Bool),
    optional("subdir", PATH),
    optional("tagged_only", Kind::Bool),
    optional("target", Kind::TEXT),
    optional("thinpool", GROUP),
    optional("username", Kind::TEXT),
    optional("vgname", GROUP),
    optional("zfs-base-path", PATH),
];

/// The type of an option that some type lets change: `updateSchema`.
pub(crate) fn may_change(name: &str) -> bool {
    let changes = |kind: &StorageKind| rule(*kind, name).is_some_and(|rule| !rule.is_fixed());
    name == "storage" || StorageKind::ALL.iter().any(changes)
}

/// Wraps the text of a format's check as `check_prop` does.
fn wrong<T>(text: impl std::fmt::Display) -> Result<T, String> {
    Err(format!("invalid format - {text}\n"))
}

fn content(value: &str) -> Result<(), String> {
    // Whatever a directory may hold.
    if StorageKind::Dir.content().contains(&value) {
        return Ok(());
    }
    wrong(format!("invalid content type '{value}'"))
}

fn file_content(value: &str) -> Result<(), String> {
    content(value)?;
    crate::guest::format::check(Kind::Enum(&["iso", "vztmpl", "import"]), "content", value)
}

fn content_list(value: &str) -> Result<(), String> {
    list(value).try_for_each(content)
}

fn path(value: &str) -> Result<(), String> {
    let next = value.strip_prefix('/').and_then(|rest| rest.chars().next());
    if next.is_some_and(|first| !";()".contains(first)) {
        return Ok(());
    }
    wrong("value does not look like a valid absolute path")
}

fn server(value: &str) -> Result<(), String> {
    if value.parse::<std::net::IpAddr>().is_ok() || check_format(Format::DnsName, value).is_ok() {
        return Ok(());
    }
    wrong("value does not look like a valid server name or IP address")
}

fn portal(value: &str) -> Result<(), String> {
    let (host, port) = match value.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (value, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if server(host).is_ok() && port.is_none_or(|port| port.parse::<u16>().is_ok()) {
        return Ok(());
    }
    wrong("value does not look like a valid portal address")
}

fn portals(value: &str) -> Result<(), String> {
    list(value).try_for_each(portal)
}

fn group(value: &str) -> Result<(), String> {
    if super::volname::is_lvm_name(value) {
        return Ok(());
    }
    wrong(format!("lvm name '{value}' contains illegal characters"))
}

fn nodes(value: &str) -> Result<(), String> {
    let one = |name| check_format(Format::Node, name).or_else(wrong);
    list(value).try_for_each(one)
}

fn mount_options(value: &str) -> Result<(), String> {
    if !value.is_empty() && !value.contains(char::is_whitespace) {
        return Ok(());
    }
    wrong(format!("invalid options '{value}'"))
}

fn overrides(value: &str) -> Result<(), String> {
    list(value).try_for_each(|part| {
        let fits = part.split_once('=').is_some_and(|(kind, folder)| {
            let known = StorageKind::Dir.content().contains(&kind);
            let names = folder.split('/').all(|name| name.len() < 255);
            known && !folder.is_empty() && folder.len() < 1023 && names && !folder.contains("..")
        });
        if fits { Ok(()) } else { wrong(format!("invalid override '{part}'")) }
    })
}

fn fingerprint(value: &str) -> Result<(), String> {
    let parts: Vec<&str> = value.split(':').collect();
    let hex = |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if parts.len() == 32 && parts.iter().all(hex) {
        return Ok(());
    }
    Err("value does not match the regex pattern".to_owned())
}

fn block_size(value: &str) -> Result<(), String> {
    let lower = value.to_ascii_lowercase();
    let (digits, factor) = match (lower.strip_suffix('k'), lower.strip_suffix('m')) {
        (Some(digits), _) => (digits, 1024_u64),
        (_, Some(digits)) => (digits, 1024 * 1024),
        _ => (lower.as_str(), 1),
    };
    let whole = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    let Some(number) = digits.parse::<u64>().ok().filter(|_| whole) else {
        return wrong(format!(
            "invalid ZFS blocksize format '{value}'. Use a positive number (no leading zeros) with an optional 'k' or 'm' suffix."
        ));
    };
    let bytes = number.saturating_mul(factor);
    if (512..=16 << 20).contains(&bytes) && bytes.is_power_of_two() {
        return Ok(());
    }
    wrong(format!(
        "value '{value}' is not a valid ZFS blocksize. Must be a power of 2 between 512B and 16MiB (e.g., 4k, 8k, 16k, 64k, 1m)."
    ))
}

const LIMIT: Kind = Kind::Num { min: Some(0.0), max: None };
const BANDWIDTH: &[Property] = &[
    Property::new("clone", LIMIT),
    Property::new("default", LIMIT),
    Property::new("migration", LIMIT),
    Property::new("move", LIMIT),
    Property::new("restore", LIMIT),
];
const KEEP: &[Property] = &[
    Property::new("keep-all", Kind::Bool),
    Property::new("keep-daily", Kind::NATURAL),
    Property::new("keep-hourly", Kind::NATURAL),
    Property::new("keep-last", Kind::NATURAL),
    Property::new("keep-monthly", Kind::NATURAL),
    Property::new("keep-weekly", Kind::NATURAL),
    Property::new("keep-yearly", Kind::NATURAL),
];

fn bandwidth(value: &str) -> Result<(), String> {
    property::check(BANDWIDTH, "bwlimit", value)
        .map_err(|text| format!("invalid format - {text}"))?;
    Ok(())
}

fn prune(value: &str) -> Result<(), String> {
    property::check(KEEP, "prune-backups", value)
        .map_err(|text| format!("invalid format - {text}"))?;
    let keep = super::prune::Keep::parse(value);
    if keep.all && keep.limits() {
        return wrong("keep-all cannot be set together with other options.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::format::check;

    #[test]
    fn values() {
        let cases = [
            ("content", "images,films", "invalid format - invalid content type 'films'\n"),
            ("path", "srv", "invalid format - value does not look like a valid absolute path\n"),
            ("vgname", "-a", "invalid format - lvm name '-a' contains illegal characters\n"),
            (
                "prune-backups",
                "keep-all=1,keep-last=3",
                "invalid format - keep-all cannot be set together with other options.\n",
            ),
            (
                "server",
                "a b",
                "invalid format - value does not look like a valid server name or IP address\n",
            ),
            (
                "type",
                "floppy",
                "value 'floppy' does not have a value in the enumeration 'btrfs, cephfs, cifs, dir, esxi, iscsi, iscsidirect, lvm, lvmthin, nfs, pbs, rbd, zfs, zfspool'",
            ),
        ];
        for (name, value, expected) in cases {
            let kind = PROPERTIES.iter().find(|param| param.name == name).unwrap().kind;
            assert_eq!(check(kind, name, value), Err(expected.to_owned()));
        }
        for (name, value) in [
            ("content", "images iso"),
            ("prune-backups", "keep-last=3,keep-daily=7"),
            ("blocksize", "16k"),
            ("portal", "10.0.0.1:3260"),
            ("bwlimit", "migration=100"),
            ("monhost", "10.0.0.1 10.0.0.2:6789"),
            ("nodes", "pve1,pve2"),
        ] {
            let kind = PROPERTIES.iter().find(|param| param.name == name).unwrap().kind;
            assert_eq!(check(kind, name, value), Ok(()), "{name}");
        }
    }

    #[test]
    fn rules() {
        assert_eq!(rule(StorageKind::Dir, "path"), Some(Rule::Fixed));
        assert_eq!(rule(StorageKind::Dir, "vgname"), None);
        assert_eq!(needed(StorageKind::LvmThin).collect::<Vec<_>>(), ["thinpool", "vgname"]);
        assert_eq!(needed(StorageKind::Nfs).collect::<Vec<_>>(), ["export", "path", "server"]);
        assert!(may_change("pool") && !may_change("vgname") && !may_change("path"));
    }
}
