//! Disk sizes: `4M`, `32G`, `528K`, plain bytes.

use std::fmt;
use std::str::FromStr;

const KIB: u64 = 1024;

/// A disk size in bytes. Written as `PVE::JSONSchema::format_size` does: in the largest unit that
/// divides it, `32G` and not `32768M`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

/// A text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no size: a number with K, M, G or T (powers of 1024), or bytes, is needed")]
pub struct SizeError(String);

impl Size {
    /// A size in bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// A size in MiB; what cannot be held becomes the largest size.
    #[must_use]
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib.saturating_mul(KIB * KIB))
    }

    /// A size in GiB; what cannot be held becomes the largest size.
    #[must_use]
    pub const fn from_gib(gib: u64) -> Self {
        Self(gib.saturating_mul(KIB * KIB * KIB))
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The size in GiB as the decimal number that `storage:SIZE` allocates: `40`, `0.5`. Exact.
    #[must_use]
    pub fn gib_text(self) -> String {
        const GIB: u64 = KIB * KIB * KIB;
        let whole = self.0 / GIB;
        let mut rest = self.0 % GIB;
        let mut text = whole.to_string();
        if rest > 0 {
            text.push('.');
        }
        // Each digit takes a factor of two out of the denominator: 30 digits at most.
        while rest > 0 {
            rest *= 10;
            text.push_str(&(rest / GIB).to_string());
            rest %= GIB;
        }
        text
    }
}

impl FromStr for Size {
    type Err = SizeError;

    /// Reads as `PVE::JSONSchema::parse_size`: `12`, `1.5G`, `4GiB`; fractions of bytes are cut.
    fn from_str(text: &str) -> Result<Self, SizeError> {
        parse(text).map(Self).ok_or_else(|| SizeError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let power = match unit {
        "" => 0,
        "K" | "KiB" => 1,
        "M" | "MiB" => 2,
        "G" | "GiB" => 3,
        "T" | "TiB" => 4,
        _ => return None,
    };
    let factor = u128::from(KIB).pow(power);
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (number, ""),
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !(fraction.is_empty() || digits(fraction)) {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?;
    // Twenty decimals are more than a byte of a TiB needs, and fit the arithmetic.
    let kept: String = fraction.chars().take(20).collect();
    let numerator = if kept.is_empty() { 0 } else { kept.parse::<u128>().ok()? };
    let denominator = 10u128.pow(u32::try_from(kept.len()).ok()?);
    let part = numerator.checked_mul(factor)? / denominator;
    u64::try_from(u128::from(whole).checked_mul(factor)?.checked_add(part)?).ok()
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0;
        let mut unit = "";
        for next in ["K", "M", "G", "T"] {
            if value == 0 || !value.is_multiple_of(KIB) {
                break;
            }
            value /= KIB;
            unit = next;
        }
        write!(f, "{value}{unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        let cases = [
            ("0", 0, "0"),
            ("1023", 1023, "1023"),
            ("528K", 528 << 10, "528K"),
            ("4M", 4 << 20, "4M"),
            ("32G", 32 << 30, "32G"),
            ("32768M", 32 << 30, "32G"),
            ("1024G", 1 << 40, "1T"),
            ("1.5G", 3 << 29, "1536M"),
            ("4GiB", 4 << 30, "4G"),
            ("0.1K", 102, "102"),
            ("5000T", 5000 << 40, "5000T"),
        ];
        for (text, bytes, written) in cases {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, written), "{text}");
        }
    }

    #[test]
    fn refuses_what_proxmox_refuses() {
        for text in ["", "G", "1.", ".5G", "-1G", "1 G", "1g", "1GB", "1.2.3", "1P", "+1G"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        assert!("99999999999999999999".parse::<Size>().is_err());
        assert!("18446744073709551615T".parse::<Size>().is_err());
        assert!(format!("0.{}T", "9".repeat(500)).parse::<Size>().is_ok());
    }

    #[test]
    fn gib_as_a_decimal_number_is_exact() {
        assert_eq!(Size::from_gib(40).gib_text(), "40");
        assert_eq!(Size::from_mib(512).gib_text(), "0.5");
        assert_eq!(Size::from_mib(3 * 1024 + 256).gib_text(), "3.25");
        assert_eq!(Size::from_mib(1).gib_text(), "0.0009765625");
    }
}
