//! Paths with `*` and `**`.

/// Whether a pattern matches a path: `*` is anything within a part, a last part `**` any rest.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut parts) =
        (pattern.trim_matches('/').split('/'), path.trim_matches('/').split('/'));
    loop {
        match (patterns.next(), parts.next()) {
            (Some("**"), _) => return true,
            (Some(pattern), Some(part)) if part_matches(pattern, part) => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

fn part_matches(pattern: &str, part: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == part };
    let Some(mut rest) = part.strip_prefix(head) else { return false };
    let pieces: Vec<&str> = tail.split('*').collect();
    let Some((last, middle)) = pieces.split_last() else { return true };
    for piece in middle {
        match rest.find(piece) {
            Some(at) => rest = rest.get(at + piece.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars() {
        for (pattern, path, expected) in [
            ("/nodes/*/qemu/*/clone", "/nodes/pve1/qemu/100/clone", true),
            ("/nodes/*/qemu/*/clone", "/nodes/pve1/qemu/100/config", false),
            ("/nodes/*/qemu", "/nodes/pve1/qemu/100", false),
            ("/nodes/**", "/nodes/pve1/qemu/100", true),
            ("/nodes/**", "/nodes", true),
            ("/**", "/", true),
            ("/nodes/pve*/qemu", "/nodes/pve12/qemu", true),
            ("/nodes/*1*2/x", "/nodes/a1b2/x", true),
            ("/nodes/*1*2/x", "/nodes/a2b1/x", false),
            ("/nodes/{node}", "/nodes/{node}", true),
            ("/a", "/b", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }
}
