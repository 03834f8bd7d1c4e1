//! The config key `sshkeys`: public keys, one a line, percent-encoded.

use std::collections::BTreeSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Proxmox takes `%`, letters, digits and ``-_.!~*'()`` alone here (`pve_verify_urlencoded`).
const KEYS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Encodes keys for the config key `sshkeys`: a space is `%20`, never `+`. The form body encodes
/// the result once more.
#[must_use]
pub fn encode_ssh_keys(keys: &str) -> String {
    utf8_percent_encode(keys, KEYS).to_string()
}

/// Decodes the stored value. What is not percent-encoded stays as it is; a `+` is a plus.
#[must_use]
pub fn decode_ssh_keys(stored: &str) -> String {
    percent_decode_str(stored).decode_utf8_lossy().into_owned()
}

/// Whether two stored (encoded) values hold the same key lines, in whatever order.
#[must_use]
pub fn same_ssh_keys(a: &str, b: &str) -> bool {
    lines(a) == lines(b)
}

/// The key lines of a stored value, in one order.
pub(super) fn lines(stored: &str) -> BTreeSet<String> {
    let keys = decode_ssh_keys(stored);
    keys.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // template-clone: as sent, and as it comes back.
    const STORED: &str = "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIMyH4D0lG7I1yjCgCh3O9MxsUaP8evJX\
                          XDdu9Y%2BPefhz%20me%40example";

    #[test]
    fn encodes_as_recorded_and_decodes_again() {
        let keys = decode_ssh_keys(STORED);
        assert!(keys.starts_with("ssh-ed25519 AAAA") && keys.ends_with("Y+Pefhz me@example"));
        assert_eq!(encode_ssh_keys(&keys), STORED);
        assert_eq!(encode_ssh_keys("a b\n+"), "a%20b%0A%2B");
        assert_eq!(decode_ssh_keys("a+b"), "a+b");
        assert_eq!(decode_ssh_keys("%zz%"), "%zz%");
    }

    #[test]
    fn compares_lines() {
        assert!(same_ssh_keys("a%20b%0Ac%0A", "%0Ac%0D%0Aa%20b"));
        assert!(!same_ssh_keys("a%20b", "a%20b%0Ac"));
    }
}
