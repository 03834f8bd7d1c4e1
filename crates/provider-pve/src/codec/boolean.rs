//! Booleans as Proxmox VE reads and writes them.

/// Reads a boolean as `PVE::JSONSchema::parse_boolean` does: `1`, `on`, `yes`, `true` and their
/// opposites, in any case. `None` for anything else.
#[must_use]
pub fn parse_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => Some(true),
        "0" | "off" | "no" | "false" => Some(false),
        _ => None,
    }
}

/// `1` or `0`, as Proxmox stores booleans.
#[must_use]
pub fn format_boolean(value: bool) -> &'static str {
    if value { "1" } else { "0" }
}
