//! What a value becomes when it is stored, and when it is written to the configuration file and read again
//! (`write_vm_config`, `parse_vm_config` and `check_type` of `PVE::QemuServer`).

use std::collections::BTreeSet;

use super::format::{Kind, check, parse_bool, tags};
use super::keys;
use crate::world::World;
use crate::world::guest::{Section, hex};

/// The value as the file gives it back; none when what is written cannot be read, which drops the
/// key.
pub(crate) fn written(key: &str, value: &str) -> Result<Option<String>, String> {
    if key == "description" {
        return Ok(Some(value.trim_end().to_owned()));
    }
    let Some(kind) = keys::find(key).map(|found| found.kind) else {
        return Ok(Some(value.to_owned()));
    };
    let value = typed(kind, value)
        .map_err(|error| format!("unable to parse value of '{key}' - {error}"))?;
    // A line is `key: value`, of which a blank is left when there is no value.
    let read = match value.trim() {
        "" => " ",
        rest => rest,
    };
    let read = typed(kind, read).unwrap_or_default();
    let formatted = matches!(kind, Kind::Format(_) | Kind::Properties(_) | Kind::Checked { .. });
    let unreadable = formatted && read != value && check(kind, key, &read).is_err();
    Ok((!unreadable).then_some(read))
}

/// `check_type`: the file knows neither signs nor exponents nor line ends.
fn typed(kind: Kind, value: &str) -> Result<String, String> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if value.contains(['\n', '\r']) {
        return Err("property contains a line feed".to_owned());
    }
    match kind {
        Kind::Int { .. } if !digits(value) => {
            Err(format!("type check ('integer') failed - got '{value}'"))
        }
        Kind::Int { .. } => match value.trim_start_matches('0') {
            "" => Ok("0".to_owned()),
            rest => Ok(rest.to_owned()),
        },
        Kind::Num { .. } => {
            let (whole, part) = value.split_once('.').unwrap_or((value, "0"));
            if digits(whole) && digits(part) {
                return Ok(value.to_owned());
            }
            Err(format!("type check ('number') failed - got '{value}'"))
        }
        Kind::Text { .. } => {
            let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            Ok(inner.unwrap_or(value).to_owned())
        }
        _ => Ok(value.to_owned()),
    }
}

/// `smp` is an old name of `sockets`, which goes with the cores.
pub(crate) fn retire_smp(config: &mut Section) {
    if let Some(sockets) = config.remove("smp")
        && !config.contains_key("sockets")
    {
        config.insert("sockets".to_owned(), sockets);
        config.remove("cores");
    }
}

/// A value as it is stored: booleans as 0 or 1, tags in order, descriptions without white space at
/// their end.
pub(crate) fn normalise(world: &World, key: &str, value: &str) -> String {
    match (key, keys::find(key).map(|key| key.kind)) {
        ("tags", _) => {
            unique_tags(value, world.options.get("tag-style").map_or("", String::as_str))
        }
        ("description", _) => value.trim_end().to_owned(),
        (_, Some(Kind::Bool)) => u8::from(parse_bool(value).unwrap_or(false)).to_string(),
        _ => value.to_owned(),
    }
}

/// `get_unique_tags`: without duplicates, in lower case and in order unless the style says
/// otherwise, joined with `;`.
fn unique_tags(value: &str, style: &str) -> String {
    let style = super::property::Values::parse(style, "");
    let cased = style.flag("case-sensitive");
    let mut tags: Vec<String> =
        tags(value).map(|tag| if cased { tag.to_owned() } else { tag.to_lowercase() }).collect();
    if style.get("ordering") != Some("config") {
        tags.sort();
    }
    let mut seen = BTreeSet::new();
    tags.retain(|tag| seen.insert(tag.clone()));
    tags.join(";")
}

/// Something in the shape of SHA-256 crypt, from which the password cannot be read.
pub(crate) fn hash_password(value: &str) -> String {
    use sha2::{Digest, Sha256};
    if value.starts_with("$5$")
        || value.starts_with("$6$")
        || value.starts_with("$1$")
        || value.starts_with("$2")
    {
        return value.to_owned();
    }
    let salt: String = uuid::Uuid::new_v4().simple().to_string().chars().take(8).collect();
    let digest = hex(&Sha256::digest(format!("{salt}{value}").as_bytes()));
    let short: String = digest.chars().take(43).collect();
    format!("$5${salt}${short}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_the_file_gives_them_back() {
        for (key, value, read) in [
            ("ciuser", "", Ok(Some(" "))),
            ("ciuser", " \"a\" ", Ok(Some("a"))),
            ("ciuser", "\"a\"", Ok(Some("a"))),
            ("tags", "", Ok(Some(" "))),
            ("boot", "", Ok(Some(" "))),
            ("boot", "order=scsi0", Ok(Some("order=scsi0"))),
            ("sshkeys", "", Ok(None)),
            ("description", "a\nb \n", Ok(Some("a\nb"))),
            ("cores", "02", Ok(Some("2"))),
            ("balloon", "00", Ok(Some("0"))),
            ("cpulimit", "1.50", Ok(Some("1.50"))),
            ("cores", "+2", Err("type check ('integer') failed - got '+2'")),
            ("cpulimit", "1e1", Err("type check ('number') failed - got '1e1'")),
            ("cpulimit", ".5", Err("type check ('number') failed - got '.5'")),
            ("searchdomain", "a\nb", Err("property contains a line feed")),
        ] {
            let read = read
                .map(|text| text.map(str::to_owned))
                .map_err(|text| format!("unable to parse value of '{key}' - {text}"));
            assert_eq!(written(key, value), read, "{key} {value:?}");
        }
    }

    #[test]
    fn smp_becomes_sockets() {
        for (config, sockets, cores) in [
            (&[("smp", "4"), ("cores", "2")][..], Some("4"), None),
            (&[("smp", "4"), ("sockets", "1"), ("cores", "2")], Some("1"), Some("2")),
            (&[("cores", "2")], None, Some("2")),
        ] {
            let mut config: Section = config
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect();
            retire_smp(&mut config);
            let get = |key: &str| config.get(key).map(String::as_str);
            assert_eq!((get("sockets"), get("cores"), get("smp")), (sockets, cores, None));
        }
    }

    #[test]
    fn values_as_stored() {
        let world = World::truth();
        let cases = [
            ("tags", "Zeta;alpha;alpha", "alpha;zeta"),
            ("tags", "web, db prod", "db;prod;web"),
            ("description", "a\nb\n \n", "a\nb"),
            ("onboot", "yes", "1"),
            ("cores", "2", "2"),
        ];
        for (key, value, stored) in cases {
            assert_eq!(normalise(&world, key, value), stored, "{key} {value}");
        }
        assert!(hash_password("x").starts_with("$5$"));
        assert_eq!(hash_password("$6$a$b"), "$6$a$b");
        for (style, tags) in [
            ("", "a;b"),
            ("case-sensitive=1", "B;a;b"),
            ("ordering=config", "b;a"),
            ("ordering=config,case-sensitive=1", "b;B;a"),
            ("ordering=alphabetical,shape=full", "a;b"),
        ] {
            assert_eq!(unique_tags("b;B;a", style), tags, "{style}");
        }
    }
}
