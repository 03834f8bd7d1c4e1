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
    /// One of these words.
    Enum(&'static [&'static str]),
    /// Text with a named check.
    Format(Format),
    /// Text with a check of its own, whose error stands after the parameter's name.
    Check(fn(&str) -> Result<(), String>),
    /// A property string.
    Properties(&'static [Property]),
}

impl Kind {
    pub(crate) const INT: Self = Self::Int { min: None, max: None };
    pub(crate) const NATURAL: Self = Self::Int { min: Some(0), max: None };
    pub(crate) const POSITIVE: Self = Self::Int { min: Some(1), max: None };
    pub(crate) const TEXT: Self = Self::Text { max: 0 };

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
    Uuid,
    Digest,
    Serial,
}

/// Checks a value; the error is what stands after the parameter's name.
pub(crate) fn check(kind: Kind, name: &str, value: &str) -> Result<(), String> {
    match kind {
        Kind::Bool => boolean(value),
        Kind::Int { min, max } => integer(value, min, max),
        Kind::Num { min, max } => number(value, min, max),
        Kind::Text { max } => length(value, max),
        Kind::Enum(words) => word(value, words),
        Kind::Format(format) => {
            check_format(format, value).map_err(|error| format!("invalid format - {error}\n"))
        }
        Kind::Check(check) => check(value),
        Kind::Properties(properties) => property::check(properties, name, value)
            .map_err(|error| format!("invalid format - format error\n{error}")),
    }
}

fn boolean(value: &str) -> Result<(), String> {
    match parse_bool(value) {
        Some(_) => Ok(()),
        None => Err(format!("type check ('boolean') failed - got '{value}'")),
    }
}

/// A boolean as Proxmox reads it.
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
    let parsed = value.parse::<i64>().unwrap_or(i64::MAX);
    if let Some(min) = min.filter(|min| parsed < *min) {
        return Err(format!("value must have a minimum value of {min}"));
    }
    if let Some(max) = max.filter(|max| parsed > *max) {
        return Err(format!("value must have a maximum value of {max}"));
    }
    Ok(())
}

fn number(value: &str, min: Option<f64>, max: Option<f64>) -> Result<(), String> {
    let parsed = value.parse::<f64>().ok().filter(|parsed| parsed.is_finite());
    let Some(parsed) = parsed else {
        return Err(format!("type check ('number') failed - got '{value}'"));
    };
    if let Some(min) = min.filter(|min| parsed < *min) {
        return Err(format!("value must have a minimum value of {min}"));
    }
    if let Some(max) = max.filter(|max| parsed > *max) {
        return Err(format!("value must have a maximum value of {max}"));
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
    let looks = |ok: bool, what: &str| {
        if ok { Ok(()) } else { Err(format!("value does not look like a valid {what}")) }
    };
    match format {
        Format::Vmid => looks(is_vmid(value), "VM ID"),
        Format::Node => looks(is_label(value), "node name"),
        Format::StorageId => {
            if is_storage_id(value) {
                Ok(())
            } else {
                Err(format!("storage ID '{value}' contains illegal characters"))
            }
        }
        Format::ConfigId => config_id(value),
        Format::ConfigIdList => list(value).try_for_each(config_id),
        Format::DnsName => looks(is_dns_name(value), "DNS name"),
        Format::TagList => {
            if tags(value).all(is_tag) {
                Ok(())
            } else {
                Err("invalid characters in tag".to_owned())
            }
        }
        Format::VolumeId => volume_id(value),
        Format::DiskVolume => {
            if matches!(value, "none" | "cdrom") || value.starts_with('/') {
                Ok(())
            } else {
                volume_id(value)
            }
        }
        Format::DiskSize => {
            if super::size::parse(value).is_some() {
                Ok(())
            } else {
                Err(format!("value '{value}' does not look like a valid disk size"))
            }
        }
        Format::Urlencoded => urlencoded(value),
        Format::Mac => looks(is_unicast_mac(value), "unicast MAC address"),
        Format::Bridge => {
            if is_bridge(value) {
                Ok(())
            } else {
                Err("invalid bridge name".to_owned())
            }
        }
        Format::Ipv4Cidr => looks(value == "dhcp" || is_cidr4(value), "ipv4 network configuration"),
        Format::Ipv4 => looks(value.parse::<std::net::Ipv4Addr>().is_ok(), "IPv4 address"),
        Format::Ipv6Cidr => {
            looks(matches!(value, "dhcp" | "auto") || is_cidr6(value), "ipv6 network configuration")
        }
        Format::Ipv6 => looks(value.parse::<std::net::Ipv6Addr>().is_ok(), "IPv6 address"),
        Format::AddressList => {
            list(value).try_for_each(|part| looks(is_address(part), "IP address or a DNS name"))
        }
        Format::BootList => Ok(()),
        Format::Hotplug => hotplug(value),
        Format::Startup => startup(value),
        Format::Uuid => looks(is_uuid(value), "UUID"),
        Format::Digest => looks(value.len() <= 64, "digest"),
        Format::Serial => {
            if value == "socket" || value.starts_with("/dev/") {
                Ok(())
            } else {
                Err("value does not match the regex pattern".to_owned())
            }
        }
    }
}

/// Parts of a list: separated by comma, semicolon, space or NUL.
pub(crate) fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split([',', ';', ' ', '\0', '\t', '\n']).map(str::trim).filter(|part| !part.is_empty())
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
    !value.is_empty()
        && value.len() <= 63
        && inner
        && !value.starts_with('-')
        && !value.ends_with('-')
}

fn is_dns_name(value: &str) -> bool {
    !value.is_empty() && value.len() <= 253 && value.split('.').all(is_label)
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

fn urlencoded(value: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte);
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        let hex = |next: Option<u8>| next.is_some_and(|byte| byte.is_ascii_hexdigit());
        let ok = plain(byte) || (byte == b'%' && hex(bytes.next()) && hex(bytes.next()));
        if !ok {
            return Err(format!("invalid urlencoded string: {value}"));
        }
    }
    Ok(())
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
    let first = value.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    first && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

fn is_cidr4(value: &str) -> bool {
    value.split_once('/').is_some_and(|(address, bits)| {
        address.parse::<std::net::Ipv4Addr>().is_ok()
            && bits.parse::<u8>().is_ok_and(|bits| (1..=32).contains(&bits))
    })
}

fn is_cidr6(value: &str) -> bool {
    value.split_once('/').is_some_and(|(address, bits)| {
        address.parse::<std::net::Ipv6Addr>().is_ok()
            && bits.parse::<u8>().is_ok_and(|bits| (1..=128).contains(&bits))
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
        Some(word) => Err(format!("unknown hotplug feature '{word}'")),
        None => Ok(()),
    }
}

fn startup(value: &str) -> Result<(), String> {
    let ok = value.split(',').all(|part| {
        let digits = part
            .strip_prefix("order=")
            .or(part.strip_prefix("up="))
            .or(part.strip_prefix("down="))
            .unwrap_or(part);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    if ok { Ok(()) } else { Err("unable to parse startup options".to_owned()) }
}

fn is_uuid(value: &str) -> bool {
    uuid::Uuid::try_parse(value).is_ok_and(|_| value.len() == 36)
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
            (Format::Urlencoded, "a%2"),
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
