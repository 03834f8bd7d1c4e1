//! What a value becomes when it is written to the configuration file and read again
//! (`write_vm_config`, `parse_vm_config` and `check_type` of `PVE::QemuServer`).

use super::format::{Kind, check};
use super::keys;
use crate::world::guest::Section;

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
}
