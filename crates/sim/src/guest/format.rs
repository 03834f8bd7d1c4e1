//! Types of parameters and their checks, worded as `PVE::JSONSchema` words them.

use super::property::{self, Property};

/// The type of a parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// 0 or 1 (also yes, on, true and their opposites).
    Bool,
    /// A whole number with bounds.
    Int { min: Option<i64>, max: Option<i64> },
    /// A number with bounds.
    Num { min: Option<f64>, max: Option<f64> },
    /// Text up to a length in characters (0: any).
    Text { max: usize },
    /// Text of so many characters.
    Sized { min: usize, max: usize },
    /// One of these words.
    Enum(&'static [&'static str]),
    /// One of the words that a function makes.
    Words(fn() -> Vec<String>),
    /// Text with a named check.
    Format(Format),
    /// Text with a check of its own, whose error stands after the parameter's name.
    Check(fn(&str) -> Result<(), String>),
    /// Text with a format of its own; the error has no line end.
    Formatted(fn(&str) -> Result<(), String>),
    /// A property string.
    Properties(&'static [Property]),
    /// Text of a shape (the regular expressions of `$confdesc`), up to a length in characters
    /// (0: any).
    Pattern { fits: fn(&str) -> bool, max: usize },
    /// A property string up to a length (0: any) whose parsed values are checked further.
    Checked {
        properties: &'static [Property],
        max: usize,
        check: fn(&property::Values) -> Result<(), String>,
    },
}

impl Kind {
    pub(crate) const INT: Self = Self::Int { min: None, max: None };
    pub(crate) const NATURAL: Self = Self::Int { min: Some(0), max: None };
    pub(crate) const POSITIVE: Self = Self::Int { min: Some(1), max: None };
    /// `pve-snapshot-name`.
    pub(crate) const SNAPSHOT: Self = Self::Check(snapshot_name);
    pub(crate) const TEXT: Self = Self::Text { max: 0 };

    /// Text of a shape, of any length.
    pub(crate) const fn pattern(fits: fn(&str) -> bool) -> Self {
        Self::Pattern { fits, max: 0 }
    }

    /// A whole number between two bounds.
    pub(crate) const fn between(min: i64, max: i64) -> Self {
        Self::Int { min: Some(min), max: Some(max) }
    }
}

/// A named format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Vmid,
    Node,
    StorageId,
    ConfigId,
    ConfigIdList,
    DnsName,
    TagList,
    VolumeId,
    DiskVolume,
    DiskSize,
    Urlencoded,
    Mac,
    Bridge,
    Ipv4Cidr,
    Ipv4,
    Ipv6Cidr,
    Ipv6,
    AddressList,
    BootList,
    Hotplug,
    Startup,
    BootDisk,
    CpuSet,
    PhysBits,
    /// Several storages, or pairs of them (`a:b`).
    StorageMap,
    /// A volume id or an absolute path.
    VolumeOrPath,
}

impl Kind {
    /// The type in the schema.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Bool => "boolean",
            Self::Int { .. } | Self::Format(Format::Vmid) => "integer",
            Self::Num { .. } => "number",
            _ => "string",
        }
    }
}

impl Format {
    /// Whether the format's name ends in `-list`.
    pub(crate) fn is_list(self) -> bool {
        matches!(
            self,
            Self::ConfigIdList
                | Self::TagList
                | Self::AddressList
                | Self::BootList
                | Self::StorageMap
        )
    }
}

/// Checks a value; the error is what stands after the parameter's name.
pub(crate) fn check(kind: Kind, name: &str, value: &str) -> Result<(), String> {
    let invalid = |error: String| format!("invalid format - {error}");
    match kind {
        Kind::Bool => boolean(value),
        Kind::Int { min, max } => integer(value, min, max),
        Kind::Num { min, max } => number(value, min, max),
        Kind::Text { max } => length(value, max),
        Kind::Sized { min, max } => {
            length(value, max)?;
            if value.chars().count() < min {
                return Err(format!("value must be at least {min} characters long"));
            }
            Ok(())
        }
        Kind::Enum(words) => word(value, words),
        Kind::Words(words) => {
            let words = words();
            word(value, &words.iter().map(String::as_str).collect::<Vec<_>>())
        }
        Kind::Pattern { fits, max } => {
            if !fits(value) {
                return Err("value does not match the regex pattern".to_owned());
            }
            length(value, max)
        }
        // The standard option is a whole number with a format.
        Kind::Format(Format::Vmid) => {
            integer(value, None, None)?;
            check_format(Format::Vmid, value).map_err(|error| invalid(format!("{error}\n")))
        }
        Kind::Format(format) => {
            check_format(format, value).map_err(|error| invalid(format!("{error}\n")))
        }
        Kind::Properties(properties) => {
            property::check(properties, name, value).map(|_| ()).map_err(invalid)
        }
        Kind::Checked { properties, max, check } => {
            let values = property::check(properties, name, value).map_err(invalid)?;
            check(&values).map_err(|error| invalid(format!("{error}\n")))?;
            length(value, max)
        }
        Kind::Check(check) => check(value),
        Kind::Formatted(check) => check(value).map_err(|error| invalid(format!("{error}\n"))),
    }
}

fn snapshot_name(value: &str) -> Result<(), String> {
    check(Kind::Format(Format::ConfigId), "", value)?;
    length(value, 40)
}

/// The API takes 0 and 1 alone; `yes` and `on` are for property strings and the command line.
fn boolean(value: &str) -> Result<(), String> {
    if matches!(value, "0" | "1") {
        return Ok(());
    }
    Err(format!("type check ('boolean') failed - got '{value}'"))
}

/// A boolean as `parse_boolean` reads it.
pub(crate) fn parse_bool(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => Some(true),
        "0" | "off" | "no" | "false" => Some(false),
        _ => None,
    }
}

fn integer(value: &str, min: Option<i64>, max: Option<i64>) -> Result<(), String> {
    let digits = value.strip_prefix(['+', '-']).unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("type check ('integer') failed - got '{value}'"));
    }
    let far = if value.starts_with('-') { i64::MIN } else { i64::MAX };
    let parsed = value.parse::<i64>().unwrap_or(far);
    if let Some(max) = max.filter(|max| parsed > *max) {
        return Err(format!("value must have a maximum value of {max}"));
    }
    if let Some(min) = min.filter(|min| parsed < *min) {
        return Err(format!("value must have a minimum value of {min}"));
    }
    Ok(())
}

/// `5`, `.5`, `5.`, `1e3`; no words.
fn number(value: &str, min: Option<f64>, max: Option<f64>) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    let parsed = value.bytes().all(plain).then(|| value.parse::<f64>().ok()).flatten();
    let Some(parsed) = parsed else {
        return Err(format!("type check ('number') failed - got '{value}'"));
    };
    if let Some(max) = max.filter(|max| parsed > *max) {
        return Err(format!("value must have a maximum value of {max}"));
    }
    if let Some(min) = min.filter(|min| parsed < *min) {
        return Err(format!("value must have a minimum value of {min}"));
    }
    Ok(())
}

fn length(value: &str, max: usize) -> Result<(), String> {
    if max > 0 && value.chars().count() > max {
        return Err(format!("value may only be {max} characters long"));
    }
    Ok(())
}

fn word(value: &str, words: &[&str]) -> Result<(), String> {
    if words.contains(&value) {
        return Ok(());
    }
    let all = words.join(", ");
    Err(format!("value '{value}' does not have a value in the enumeration '{all}'"))
}

/// Checks a named format; the error has no line end.
pub(crate) fn check_format(format: Format, value: &str) -> Result<(), String> {
    let or = |ok: bool, text: &dyn Fn() -> String| if ok { Ok(()) } else { Err(text()) };
    let looks =
        |ok: bool, what: &str| or(ok, &|| format!("value does not look like a valid {what}"));
    match format {
        Format::Vmid => looks(is_vmid(value), "VM ID"),
        Format::Node => looks(is_label(value), "node name"),
        Format::StorageId => storage_id(value),
        Format::StorageMap => storage_map(value),
        Format::ConfigId => config_id(value),
        Format::ConfigIdList => list(value).try_for_each(config_id),
        Format::DnsName => looks(is_dns_name(value), "DNS name"),
        Format::TagList => or(tags(value).all(is_tag), &|| "invalid characters in tag".to_owned()),
        Format::VolumeId => volume_id(value),
        Format::VolumeOrPath if value.starts_with('/') => Ok(()),
        Format::VolumeOrPath => volume_id(value),
        Format::DiskVolume => {
            if matches!(value, "none" | "cdrom") || value.starts_with('/') {
                return Ok(());
            }
            volume_id(value)
        }
        Format::DiskSize => or(super::size::parse(value).is_some(), &|| {
            format!("value does not look like a valid disk size: {value}")
        }),
        Format::Urlencoded => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-%_.!~*'()".contains(&byte);
            or(value.bytes().all(plain), &|| format!("invalid urlencoded string: {value}"))
        }
        Format::Mac => looks(is_unicast_mac(value), "unicast MAC address"),
        Format::Bridge => or(is_bridge(value), &|| format!("invalid bridge ID '{value}'")),
        Format::Ipv4Cidr => looks(
            matches!(value, "dhcp" | "manual") || is_cidr4(value),
            "ipv4 network configuration",
        ),
        Format::Ipv4 => looks(value.parse::<std::net::Ipv4Addr>().is_ok(), "IPv4 address"),
        Format::Ipv6Cidr => looks(
            matches!(value, "dhcp" | "auto" | "manual") || is_cidr6(value),
            "ipv6 network configuration",
        ),
        Format::Ipv6 => looks(value.parse::<std::net::Ipv6Addr>().is_ok(), "IPv6 address"),
        Format::AddressList => list(value).try_for_each(|part| {
            or(is_address(part), &|| format!("value does not look like a valid address: {part}"))
        }),
        Format::BootList => list(value).try_for_each(boot_device),
        Format::BootDisk => {
            or(super::keys::is_drive(value), &|| format!("invalid boot disk '{value}'"))
        }
        Format::Hotplug => hotplug(value),
        Format::Startup => startup(value),
        Format::CpuSet => {
            or(super::patterns::cpu_set(value), &|| "unable to parse cpuset option".to_owned())
        }
        Format::PhysBits => {
            let number = value.parse::<u8>().is_ok_and(|bits| (8..=64).contains(&bits));
            or(value == "host" || (number && value.len() <= 2), &|| {
                "value must be an integer between 8 and 64 or 'host'".to_owned()
            })
        }
    }
}

/// `verify_bootdev`: a drive but no firmware, a card, a USB or PCI device.
fn boot_device(value: &str) -> Result<(), String> {
    use super::keys;
    let drive =
        keys::is_drive(value) && !value.starts_with("efidisk") && !value.starts_with("tpmstate");
    let device = ["net", "usb", "hostpci"].iter().any(|stem| keys::is_numbered(value, stem))
        && keys::find(value).is_some();
    if drive || device { Ok(()) } else { Err(format!("invalid boot device '{value}'")) }
}

fn storage_id(value: &str) -> Result<(), String> {
    if value.chars().count() < 2 {
        return Err(format!("storage ID '{value}' cannot be shorter than 2 characters"));
    }
    if is_storage_id(value) {
        return Ok(());
    }
    Err(format!("storage ID '{value}' contains illegal characters"))
}

/// `parse_idmap` of `pve-targetstorage`.
fn storage_map(value: &str) -> Result<(), String> {
    let (mut identity, mut default) = (false, false);
    let mut sources: Vec<&str> = Vec::new();
    let bad =
        |entry: &str, error: String| format!("entry '{entry}' contains invalid ID - {error}\n");
    for entry in list(value) {
        if entry == "1" {
            identity = true;
        } else if let Some((from, to)) = entry.split_once(':') {
            storage_id(from).and_then(|()| storage_id(to)).map_err(|error| bad(entry, error))?;
            if sources.contains(&from) {
                return Err(format!("duplicate mapping for source '{from}'\n"));
            }
            sources.push(from);
        } else {
            storage_id(entry).map_err(|error| bad(entry, error))?;
            if default {
                return Err("default target ID can only be provided once\n".to_owned());
            }
            default = true;
        }
    }
    if identity && (default || !sources.is_empty()) {
        return Err("identity mapping cannot be combined with other mappings\n".to_owned());
    }
    Ok(())
}

/// Parts of a list (`split_list`): at every NUL when there is one, else at commas, semicolons and
/// white space.
pub(crate) fn list(value: &str) -> impl Iterator<Item = &str> {
    let zeros = value.contains('\0');
    let separates = move |character: char| match character {
        '\0' => zeros,
        ',' | ';' => !zeros,
        other => !zeros && other.is_whitespace(),
    };
    value.split(separates).filter(|part| !part.is_empty())
}

/// Parts of a tag list.
pub(crate) fn tags(value: &str) -> impl Iterator<Item = &str> {
    list(value)
}

fn is_tag(tag: &str) -> bool {
    let first = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+.".contains(&byte);
    tag.as_bytes().first().is_some_and(first) && tag.bytes().all(rest)
}

fn is_vmid(value: &str) -> bool {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    digits && !value.starts_with('0') && (3..=9).contains(&value.len())
}

fn is_label(value: &str) -> bool {
    let inner = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    !value.is_empty() && inner && !value.starts_with('-') && !value.ends_with('-')
}

fn is_dns_name(value: &str) -> bool {
    value.split('.').all(is_label)
}

fn is_storage_id(value: &str) -> bool {
    let first = value.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let last = value.bytes().last().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let inner = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    value.len() >= 2 && first && last && inner
}

fn config_id(value: &str) -> Result<(), String> {
    let first = value.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let inner = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if first && inner && value.len() >= 2 {
        Ok(())
    } else {
        Err(format!("invalid configuration ID '{value}'"))
    }
}

fn volume_id(value: &str) -> Result<(), String> {
    let ok = value
        .split_once(':')
        .is_some_and(|(storage, rest)| is_storage_id(storage) && !rest.is_empty());
    if ok { Ok(()) } else { Err(format!("unable to parse volume ID '{value}'")) }
}

fn is_unicast_mac(value: &str) -> bool {
    let parts: Vec<&str> = value.split(':').collect();
    let hex = parts
        .iter()
        .all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let unicast = parts
        .first()
        .and_then(|part| u8::from_str_radix(part, 16).ok())
        .is_some_and(|byte| byte & 1 == 0);
    parts.len() == 6 && hex && unicast
}

fn is_bridge(value: &str) -> bool {
    let word = |character: char| character.is_alphanumeric() || "-_.".contains(character);
    !value.is_empty() && value.chars().all(word)
}

fn is_cidr4(value: &str) -> bool {
    value.split_once('/').is_some_and(|(address, bits)| {
        address.parse::<std::net::Ipv4Addr>().is_ok()
            && bits.parse::<u8>().is_ok_and(|bits| (8..=32).contains(&bits))
    })
}

fn is_cidr6(value: &str) -> bool {
    value.split_once('/').is_some_and(|(address, bits)| {
        address.parse::<std::net::Ipv6Addr>().is_ok()
            && bits.parse::<u8>().is_ok_and(|bits| (8..=128).contains(&bits))
    })
}

fn is_address(value: &str) -> bool {
    value.parse::<std::net::IpAddr>().is_ok() || is_dns_name(value)
}

fn hotplug(value: &str) -> Result<(), String> {
    if matches!(value, "0" | "1") {
        return Ok(());
    }
    let known =
        |word: &str| matches!(word, "network" | "disk" | "cpu" | "memory" | "usb" | "cloudinit");
    match list(value).find(|word| !known(word)) {
        Some(word) => Err(format!("invalid hotplug feature '{word}'")),
        None => Ok(()),
    }
}

/// `pve_parse_startup_order`.
fn startup(value: &str) -> Result<(), String> {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let ok = value.split(',').filter(|part| !part.trim().is_empty()).all(|part| {
        let names = ["order=", "up=", "down="];
        number(names.iter().find_map(|name| part.strip_prefix(name)).unwrap_or(part))
    });
    if ok && !matches!(value, "" | "0") {
        return Ok(());
    }
    Err("unable to parse startup options".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_bounds() {
        let cases = [
            (Kind::POSITIVE, "two", "type check ('integer') failed - got 'two'"),
            (Kind::POSITIVE, "0", "value must have a minimum value of 1"),
            (Kind::between(1, 3), "4", "value must have a maximum value of 3"),
            (Kind::Bool, "yes", "type check ('boolean') failed - got 'yes'"),
            (Kind::Num { min: None, max: None }, "inf", "type check ('number') failed - got 'inf'"),
            (Kind::Format(Format::Vmid), "web", "type check ('integer') failed - got 'web'"),
            (Kind::Bool, "maybe", "type check ('boolean') failed - got 'maybe'"),
            (Kind::Num { min: None, max: None }, "x", "type check ('number') failed - got 'x'"),
            (Kind::Text { max: 2 }, "abc", "value may only be 2 characters long"),
            (
                Kind::Enum(&["a", "b"]),
                "c",
                "value 'c' does not have a value in the enumeration 'a, b'",
            ),
            (
                Kind::Format(Format::Vmid),
                "50",
                "invalid format - value does not look like a valid VM ID\n",
            ),
            (
                Kind::Format(Format::DnsName),
                "bad_name!",
                "invalid format - value does not look like a valid DNS name\n",
            ),
        ];
        for (kind, value, expected) in cases {
            assert_eq!(check(kind, "x", value), Err(expected.to_owned()), "{value}");
        }
        assert_eq!(check(Kind::POSITIVE, "x", "12"), Ok(()));
    }

    #[test]
    fn formats() {
        let good = [
            (Format::TagList, "web, db prod"),
            (Format::Urlencoded, "ssh-ed25519%20AAAA"),
            (Format::Mac, "BC:24:11:00:00:01"),
            (Format::Ipv4Cidr, "10.0.0.5/24"),
            (Format::Ipv4Cidr, "dhcp"),
            (Format::Startup, "order=1,up=30"),
            (Format::Vmid, "100"),
            (Format::DiskVolume, "none"),
            (Format::VolumeId, "local:iso/x.iso"),
        ];
        for (format, value) in good {
            assert_eq!(check_format(format, value), Ok(()), "{value}");
        }
        let bad = [
            (Format::TagList, "sp ace;ü"),
            (Format::Urlencoded, "ssh AAAA"),
            (Format::Mac, "01:24:11:00:00:01"),
            (Format::Ipv4Cidr, "10.0.0.500/24"),
            (Format::Vmid, "099"),
            (Format::Hotplug, "network,warp"),
            (Format::VolumeId, "nothing"),
        ];
        for (format, value) in bad {
            assert!(check_format(format, value).is_err(), "{value}");
        }
    }
}
