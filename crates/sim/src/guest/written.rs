//! What a value is once it was written into the configuration file and read again.

use super::{format, keys};

/// `write_vm_config` writes `KEY: VALUE`; `parse_vm_config` takes white space off both ends but
/// wants one character at least, so that nothing comes back as a blank. What is then not of its
/// key's type is left out.
pub(crate) fn read_back(key: &str, value: &str) -> Option<String> {
    // It stands in comments, not in a line of its own.
    if key == "description" {
        return (!value.is_empty()).then(|| value.to_owned());
    }
    let text = value.trim_matches(|letter: char| letter.is_ascii_whitespace());
    if !text.is_empty() {
        return Some(text.to_owned());
    }
    let fits = keys::find(key).is_none_or(|found| format::check(found.kind, key, " ").is_ok());
    fits.then(|| " ".to_owned())
}

/// The value of `boot` for some devices (`print_bootorder`), as it is read back.
pub(crate) fn boot_order(devices: &[impl AsRef<str>]) -> String {
    if devices.is_empty() {
        return " ".to_owned();
    }
    let names: Vec<&str> = devices.iter().map(AsRef::as_ref).collect();
    format!("order={}", names.join(";"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_comes_back_as_a_blank() {
        let cases = [
            ("boot", "", Some(" ")),
            ("tags", "", Some(" ")),
            ("ciuser", "  ", Some(" ")),
            ("ciuser", " debian\t", Some("debian")),
            ("nameserver", "", Some(" ")),
            ("ipconfig0", "", Some(" ")),
            ("hotplug", "", Some(" ")),
            ("description", "", None),
            ("description", " a ", Some(" a ")),
            // A blank is no URL-encoded text: it is left out.
            ("sshkeys", "", None),
            ("sshkeys", "ssh-ed25519%20AAAA", Some("ssh-ed25519%20AAAA")),
        ];
        for (key, value, read) in cases {
            assert_eq!(read_back(key, value).as_deref(), read, "{key} {value:?}");
        }
        assert_eq!(boot_order(&["scsi0", "net0"]), "order=scsi0;net0");
        assert_eq!(boot_order(&[""; 0]), " ");
    }
}
