//! Numbers for people, in Proxmox's binary units.

pub(super) use pvx_core::document::size::rounded as bytes;

/// MiB as Proxmox counts memory.
pub(super) fn mebibytes(mib: u64) -> String {
    bytes(mib.saturating_mul(1 << 20))
}

/// A size as Proxmox stores it (`40G`, `528K`); what is none stays as it is.
pub(super) fn stored_size(text: &str) -> String {
    match text.parse::<pvx_provider_pve::codec::Size>() {
        Ok(size) => bytes(size.bytes()),
        Err(_) => text.to_owned(),
    }
}

/// `0.4s`, `12s`, `1m40s`.
pub(super) fn seconds(duration: std::time::Duration) -> String {
    let whole = duration.as_secs();
    match whole {
        0..10 => format!("{:.1}s", duration.as_secs_f64()),
        10..60 => format!("{whole}s"),
        _ => format!("{}m{:02}s", whole / 60, whole % 60),
    }
}

/// `12s`, `1m40s`, `2h05m`: for clocks, which move once a second.
pub(super) fn clock(duration: std::time::Duration) -> String {
    let whole = duration.as_secs();
    match whole {
        0..60 => format!("{whole}s"),
        60..3600 => format!("{}m{:02}s", whole / 60, whole % 60),
        _ => format!("{}h{:02}m", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (number, text) in [
            (17, "17 B"),
            (528 << 10, "528 KiB"),
            (40 << 30, "40 GiB"),
            ((3 << 30) / 2, "1.5 GiB"),
            (2 << 40, "2 TiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
        assert_eq!(stored_size("40G"), "40 GiB");
        assert_eq!(stored_size("big"), "big");
        assert_eq!(seconds(std::time::Duration::from_millis(420)), "0.4s");
        assert_eq!(seconds(std::time::Duration::from_secs(100)), "1m40s");
    }
}
