//! Machine types (`PVE::QemuServer::Machine`).

use super::formats;
use super::property::{Values, parse};

/// The newest version that the simulated QEMU has.
pub(crate) const LATEST: &str = "10.2+pve0";

/// The version of QEMU, as in `meta`.
pub(crate) const QEMU: &str = "10.2.2";

/// A machine that is newer than QEMU does not run.
pub(crate) fn runs(value: &str, node: &str) -> Result<(), String> {
    let values = parse(formats::MACHINE, value).unwrap_or_default();
    let kind = values.get("type").unwrap_or_default();
    let Some((_, version)) = kind.rsplit_once('-') else { return Ok(()) };
    let (number, revision) = version.split_once("+pve").unwrap_or((version, "0"));
    let pair = |text: &str| {
        let mut parts = text.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    };
    let (major, minor) = pair(number);
    if (major, minor) > pair(QEMU) {
        let revised = if kind.contains("+pve") { "" } else { "+pve0" };
        return Err(format!(
            "Installed QEMU version '{QEMU}' is too old to run machine type '{kind}{revised}', please upgrade node '{node}'"
        ));
    }
    // `$PVE_MACHINE_VERSION`.
    let most = match (major, minor) {
        (4, 1) => 2,
        (9, 2) | (10, 0) => 1,
        _ => 0,
    };
    if revision.parse().unwrap_or(0) > most {
        return Err(format!(
            "Installed qemu-server (max feature level for {major}.{minor} is pve{most}) is too old to run machine type '{kind}', please upgrade node '{node}'"
        ));
    }
    Ok(())
}

/// `assert_valid_machine_property`.
pub(crate) fn check(value: &str) -> Result<(), String> {
    valid(&parse(formats::MACHINE, value).unwrap_or_default())
}

fn valid(values: &Values) -> Result<(), String> {
    let bits = values.get("aw-bits");
    if values.get("viommu") == Some("intel") {
        if !values.get("type").is_some_and(|kind| kind.contains("q35")) {
            return Err("to use Intel vIOMMU please set the machine type to q35".to_owned());
        }
        if bits.is_some_and(|bits| !matches!(bits, "39" | "48")) {
            return Err("Intel vIOMMU supports only 39 or 48 bits as address width".to_owned());
        }
    }
    if bits.is_some() && values.get("viommu").is_none() {
        return Err("cannot set aw-bits if no vIOMMU is configured".to_owned());
    }
    Ok(())
}

/// The value to store for a guest with this machine and system (none: nothing to store), and the
/// line that the worker prints: Windows is pinned to a version (`check_and_pin_machine_string`).
pub(crate) fn pin(
    value: Option<&str>,
    ostype: &str,
) -> Result<(Option<String>, Option<String>), String> {
    let mut values = value.map(|value| parse(formats::MACHINE, value).unwrap_or_default());
    let mut line = None;
    let kind = values.as_ref().and_then(|values| values.get("type")).unwrap_or("");
    if matches!(kind, "" | "pc" | "q35" | "virt") && ostype.starts_with('w') {
        let base = match kind {
            "q35" => "pc-q35",
            "virt" => "virt",
            _ => "pc-i440fx",
        };
        let version = LATEST.strip_suffix("+pve0").unwrap_or(LATEST);
        let pinned = format!("{base}-{version}");
        line = Some(format!("pinning machine type to '{pinned}' for Windows guest OS"));
        values.get_or_insert_default().0.insert("type".to_owned(), pinned);
    }
    let Some(values) = values else { return Ok((None, line)) };
    valid(&values)?;
    let text = values.print("type");
    Ok(((!text.is_empty()).then_some(text), line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_machines_do_not_run() {
        let old = "Installed QEMU version '10.2.2' is too old to run machine type 'pc-q35-11.0+pve0', please upgrade node 'pve1'";
        let level = "Installed qemu-server (max feature level for 10.2 is pve0) is too old to run machine type 'pc-q35-10.2+pve1', please upgrade node 'pve1'";
        for (value, error) in [
            ("", None),
            ("q35,viommu=virtio", None),
            ("pc-i440fx-10.2", None),
            ("pc-q35-9.2+pve1", None),
            ("pc-i440fx-4.1+pve2", None),
            ("pc-q35-11.0", Some(old)),
            ("type=pc-q35-10.2+pve1", Some(level)),
        ] {
            assert_eq!(runs(value, "pve1").err().as_deref(), error, "{value}");
        }
    }

    #[test]
    fn windows_is_pinned() {
        for (value, ostype, stored) in [
            (None, "l26", None),
            (Some("q35"), "l26", Some("q35")),
            (Some("q35"), "win11", Some("pc-q35-10.2")),
            (None, "win10", Some("pc-i440fx-10.2")),
            (Some("pc-q35-9.2+pve1"), "win11", Some("pc-q35-9.2+pve1")),
            (Some("viommu=intel,type=q35"), "l26", Some("q35,viommu=intel")),
        ] {
            let (found, line) = pin(value, ostype).unwrap();
            assert_eq!(found.as_deref(), stored, "{value:?} {ostype}");
            assert_eq!(line.is_some(), stored.is_some_and(|text| text.ends_with("10.2")));
        }
        assert!(pin(Some("pc,viommu=intel"), "l26").is_err());
        assert!(check("q35,aw-bits=48").is_err());
        assert!(check("q35,viommu=intel,aw-bits=40").is_err());
    }
}
