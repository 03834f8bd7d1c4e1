//! Sizes for people.

const UNITS: &[(u64, &str)] =
    &[(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];

/// `31 GiB`, `1.5 TiB`
pub(super) fn size(bytes: u64) -> String {
    let Some((unit, name)) = UNITS.iter().find(|(unit, _)| bytes >= *unit) else {
        return format!("{bytes} B");
    };
    let tenths = (u128::from(bytes) * 10 / u128::from(*unit)) as u64;
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {name}"),
        (whole, _) if whole >= 100 => format!("{whole} {name}"),
        (whole, tenth) => format!("{whole}.{tenth} {name}"),
    }
}

/// `local-lvm on pve1`, and a shared storage by its name alone
pub(super) fn storage(node: &str, storage: &str, shared: bool) -> String {
    if shared { storage.to_owned() } else { format!("{storage} on {node}") }
}

/// `did you mean vmbr0? node pve1 has vmbr0, vmbr1`
pub(super) fn choice(wanted: &str, owner: &str, known: &[&str]) -> String {
    let list = format!("{owner} has {}", known.join(", "));
    match crate::document::nearest(wanted, known.iter().copied()) {
        Some(near) => format!("did you mean {near}? {list}"),
        None => list,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0 B"),
            (1 << 30, "1 GiB"),
            (33_500_000_000, "31.1 GiB"),
            (1 << 40, "1 TiB"),
            (536_870_912, "512 MiB"),
        ] {
            assert_eq!(super::size(bytes), text);
        }
    }
}
