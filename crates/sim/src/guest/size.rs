//! Disk sizes: `4G`, `+1.5G`, bytes to text and back (`PVE::JSONSchema::parse_size`).

const UNITS: &[(char, u64)] = &[('T', 1 << 40), ('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];

/// Bytes of a size such as `32G`, `512M`, `1.5T` or a bare number of bytes.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let (digits, factor) =
        match text.chars().last().and_then(|last| UNITS.iter().find(|(unit, _)| *unit == last)) {
            Some((unit, factor)) => (text.strip_suffix(*unit)?, *factor),
            None => (text, 1),
        };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    if let Ok(whole) = digits.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let bytes = digits.parse::<f64>().ok()? * factor as f64;
    (bytes.is_finite() && bytes < 1e18).then_some(bytes as u64)
}

/// The largest unit that gives a whole number.
pub(crate) fn print(bytes: u64) -> String {
    for (unit, factor) in UNITS {
        if bytes >= *factor && bytes.is_multiple_of(*factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    if bytes == 0 { "0T".to_owned() } else { bytes.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_there_and_back() {
        for (text, bytes) in [
            ("1G", 1 << 30),
            ("528K", 540_672),
            ("4M", 4 << 20),
            ("1025", 1025),
            ("2T", 2 << 40),
            ("0T", 0),
        ] {
            assert_eq!(parse(text), Some(bytes));
            assert_eq!(print(bytes), text);
        }
        assert_eq!(parse("1.5G"), Some(3 << 29));
        for bad in ["", "G", "x", "1Q", "-1G", "99999999999999999999T"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn printing_and_parsing_agree(bytes in 0u64..1 << 50) {
            proptest::prop_assert_eq!(parse(&print(bytes)), Some(bytes));
        }
    }
}
