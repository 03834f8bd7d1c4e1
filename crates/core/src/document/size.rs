//! Sizes as documents write them: `40G`, `4GiB`, `512M`, or a bare number.
//!
//! All units are powers of 1024, as in Proxmox VE's own `size=` (PVE::JSONSchema `parse_size`);
//! so `40GB`, `40G` and `40GiB` are the same size.

/// Bytes in one KiB.
pub const KIB: u64 = 1 << 10;
/// Bytes in one MiB.
pub const MIB: u64 = 1 << 20;
/// Bytes in one GiB.
pub const GIB: u64 = 1 << 30;
/// Bytes in one TiB.
pub const TIB: u64 = 1 << 40;

/// Why a text is not a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Not `NUMBER` or `NUMBER UNIT`.
    #[error("a size is a whole number and a unit: 512M, 40G, 4GiB or 1T")]
    Shape,
    /// More than 2^63 bytes.
    #[error("this is more than any disk or memory holds")]
    TooLarge,
}

/// Bytes of `text`; a number without a unit counts in `bare` bytes ([`GIB`] for disks, [`MIB`]
/// for memory).
///
/// # Errors
/// When the text is not a whole number with one of the units `K`, `M`, `G`, `T` (each also as
/// `KB` or `KiB`, in any case), or when the size overflows.
pub fn parse(text: &str, bare: u64) -> Result<u64, SizeError> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or(SizeError::Shape)?;
    if number.is_empty() || (number.len() > 1 && number.starts_with('0')) {
        return Err(SizeError::Shape);
    }
    let unit = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" => bare,
        "k" | "kb" | "kib" => KIB,
        "m" | "mb" | "mib" => MIB,
        "g" | "gb" | "gib" => GIB,
        "t" | "tb" | "tib" => TIB,
        _ => return Err(SizeError::Shape),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .filter(|bytes| i64::try_from(*bytes).is_ok())
        .ok_or(SizeError::TooLarge)
}

/// Units for people, the largest first.
const UNITS: [(u64, &str); 4] = [(TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")];

/// `bytes` in the largest unit that divides them: `40 GiB`, `1536 MiB`, `513 B`.
pub fn format(bytes: u64) -> String {
    for (unit, name) in UNITS {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{} {name}", bytes / unit);
        }
    }
    format!("{bytes} B")
}

/// `bytes` in the largest unit that they reach, to a tenth: `40 GiB`, `1.5 TiB`, `17 B`.
pub fn rounded(bytes: u64) -> String {
    let Some((unit, name)) = UNITS.iter().find(|(unit, _)| bytes >= *unit) else {
        return format!("{bytes} B");
    };
    let tenths = (u128::from(bytes) * 10 + u128::from(*unit) / 2) / u128::from(*unit);
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {name}"),
        (whole, tenth) => format!("{whole}.{tenth} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (GIB, "1 GiB"),
            (33_500_000_000, "31.2 GiB"),
            (TIB, "1 TiB"),
            (512 * MIB, "512 MiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(rounded(bytes), text);
        }
    }

    #[test]
    fn sizes_as_people_write_them() {
        for (text, expected) in [
            ("40G", Ok(40 * GIB)),
            ("40GB", Ok(40 * GIB)),
            ("40 GiB", Ok(40 * GIB)),
            ("40g", Ok(40 * GIB)),
            ("512M", Ok(512 * MIB)),
            ("1T", Ok(TIB)),
            ("4K", Ok(4 * KIB)),
            ("7", Ok(7 * GIB)),
            ("0", Ok(0)),
            ("", Err(SizeError::Shape)),
            ("G", Err(SizeError::Shape)),
            ("1.5G", Err(SizeError::Shape)),
            ("-1G", Err(SizeError::Shape)),
            ("040G", Err(SizeError::Shape)),
            ("40 elephants", Err(SizeError::Shape)),
            ("40É", Err(SizeError::Shape)),
            ("9999999T", Err(SizeError::TooLarge)),
            ("99999999999999999999G", Err(SizeError::TooLarge)),
        ] {
            assert_eq!(parse(text, GIB), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_formatted_is_parsed_again(bytes in 0..(1_u64 << 50)) {
            let bytes = bytes / KIB * KIB;
            prop_assert_eq!(parse(format(bytes).trim_end_matches(" B"), 1), Ok(bytes));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = parse(&text, MIB);
        }
    }
}
