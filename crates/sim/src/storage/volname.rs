//! Volume names taken apart (`parse_volname` of the plugins).

use super::filename::{
    backup_extension, import_extension, is_safe, iso_extension, template_format,
};
use crate::world::storage::StorageKind;

/// A volume's name taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VolName {
    /// `images`, `iso`, `vztmpl`, `backup`, `snippets`, `import`.
    pub(crate) content: &'static str,
    /// Without folder and base: `vm-100-disk-0.qcow2`.
    pub(crate) name: String,
    /// The owner.
    pub(crate) vmid: Option<u32>,
    /// Name and owner of the base that a linked clone names.
    pub(crate) base: Option<(String, u32)>,
    /// It is a base itself.
    pub(crate) is_base: bool,
    /// `raw`, `qcow2`, `vmdk`, `subvol`, `ova`, …
    pub(crate) format: String,
}

/// Takes a volume name apart; the error of the type's plugin.
pub(crate) fn parse(kind: StorageKind, volname: &str) -> Result<VolName, String> {
    match kind {
        StorageKind::Lvm => lvm(volname, &["vm-"], true),
        StorageKind::LvmThin => lvm(volname, &["vm-", "base-"], false),
        StorageKind::ZfsPool => based(volname, &["base-", "basevol-", "vm-", "subvol-"], "zfs"),
        StorageKind::Zfs => based(volname, &["base-", "vm-"], "zfs"),
        StorageKind::Rbd => based(volname, &["base-", "vm-"], "rbd"),
        StorageKind::Iscsi | StorageKind::IscsiDirect => {
            Err(format!("unable to parse iscsi volume name '{volname}'"))
        }
        StorageKind::Pbs => Err(format!("unable to parse PBS volume name '{volname}'")),
        StorageKind::Esxi => Err(format!("unable to parse volume name '{volname}'")),
        _ => directory(volname),
    }
}

/// The number after a prefix, when a `-` and more follow.
fn owner(name: &str, prefixes: &[&str]) -> Option<u32> {
    let rest = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix))?;
    let (digits, tail) = rest.split_once('-')?;
    let fits = !tail.is_empty() && !tail.contains(char::is_whitespace);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    digits.parse().ok().filter(|_| fits)
}

/// `parse_lvm_name`: letters, digits, `-`, `_` and `.`, beginning and ending with one of the first.
pub(crate) fn is_lvm_name(name: &str) -> bool {
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    name.len() >= 2
        && ends(name.bytes().next())
        && ends(name.bytes().last())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn lvm(volname: &str, prefixes: &[&str], chains: bool) -> Result<VolName, String> {
    if !is_lvm_name(volname) {
        return Err(format!("lvm name '{volname}' contains illegal characters"));
    }
    let Some(vmid) = owner(volname, prefixes) else {
        return Err(format!("unable to parse lvm volume name '{volname}'"));
    };
    let format = if chains && volname.ends_with(".qcow2") { "qcow2" } else { "raw" };
    Ok(VolName {
        content: "images",
        name: volname.to_owned(),
        vmid: Some(vmid),
        base: None,
        is_base: volname.starts_with("base-"),
        format: format.to_owned(),
    })
}

/// `base-100-disk-0/vm-101-disk-0`.
fn based(volname: &str, prefixes: &[&str], kind: &str) -> Result<VolName, String> {
    let failed = || format!("unable to parse {kind} volume name '{volname}'");
    let (base, name) = match volname.split_once('/') {
        Some((base, name)) => {
            let vmid = owner(base, &["base-", "basevol-"]).ok_or_else(failed)?;
            (Some((base.to_owned(), vmid)), name)
        }
        None => (None, volname),
    };
    let vmid = owner(name, prefixes).ok_or_else(failed)?;
    let filesystem = name.starts_with("subvol-") || name.starts_with("basevol-");
    Ok(VolName {
        content: "images",
        name: name.to_owned(),
        vmid: Some(vmid),
        base,
        is_base: name.starts_with("base"),
        format: if filesystem { "subvol" } else { "raw" }.to_owned(),
    })
}

/// The format in the name of an image file, and whether it is a base (`parse_name_dir`).
pub(crate) fn image_file(name: &str) -> Result<(String, bool), String> {
    let failed = || format!("unable to parse volume filename '{name}'");
    if name.contains('/') || name.contains(char::is_whitespace) {
        return Err(failed());
    }
    let (stem, format) = name.rsplit_once('.').ok_or_else(failed)?;
    if stem.is_empty() || !["raw", "qcow2", "vmdk", "subvol"].contains(&format) {
        return Err(failed());
    }
    let named = owner(stem, &["vm-", "base-", "subvol-"]).is_some();
    if !named && name.starts_with("snap-") && format == "qcow2" {
        return Err(format!("'{name}' is a snapshot filename, not a volume!"));
    }
    Ok((format.to_owned(), stem.starts_with("base-")))
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    text.parse().ok()
}

fn directory(volname: &str) -> Result<VolName, String> {
    let failed = || format!("unable to parse directory volume name '{volname}'");
    let (folder, rest) = volname.split_once('/').ok_or_else(failed)?;
    if let Some(vmid) = number(folder) {
        return image(vmid, rest);
    }
    let plain = || !rest.is_empty() && !rest.contains('/');
    let found = |content, format: &str| VolName {
        content,
        name: rest.to_owned(),
        format: format.to_owned(),
        ..VolName::default()
    };
    match folder {
        "iso" if plain() && iso_extension(rest) => Ok(found("iso", "raw")),
        "vztmpl" if plain() && template_format(rest).is_some() => Ok(found("vztmpl", "raw")),
        "backup" if plain() && backup_extension(rest).is_some() => {
            Ok(VolName { vmid: backup_owner(rest), ..found("backup", "raw") })
        }
        "snippets" if plain() => Ok(found("snippets", "raw")),
        "import" => {
            let format = import(rest).ok_or_else(failed)?;
            Ok(found("import", &format))
        }
        _ => Err(failed()),
    }
}

fn image(vmid: u32, rest: &str) -> Result<VolName, String> {
    let parts: Vec<&str> = rest.split('/').collect();
    let (base, vmid, name) = match parts.as_slice() {
        [base, folder, name] if number(folder).is_some() => {
            image_file(base)?;
            (Some(((*base).to_owned(), vmid)), number(folder).unwrap_or(0), *name)
        }
        _ => (None, vmid, rest),
    };
    let (format, is_base) = image_file(name)?;
    let name = name.to_owned();
    Ok(VolName { content: "images", name, vmid: Some(vmid), base, is_base, format })
}

/// The guest in `vzdump-qemu-100-…`.
fn backup_owner(name: &str) -> Option<u32> {
    let rest = name.strip_prefix("vzdump-")?;
    let (kind, rest) = rest.split_once('-')?;
    if !["openvz", "lxc", "qemu"].contains(&kind) {
        return None;
    }
    let (vmid, rest) = rest.split_once('-')?;
    number(vmid).filter(|_| !rest.is_empty())
}

/// The format of an import volume: `x.qcow2`, or `x.ova/disk.vmdk`, which is `ova+vmdk`.
fn import(rest: &str) -> Option<String> {
    let spaced = |byte: u8| byte == b' ' || is_safe(byte);
    if let Some((archive, inside)) = rest.split_once('/') {
        let format = inside.rsplit_once('.').map(|(_, format)| format)?;
        let fits = archive.ends_with(".ova")
            && archive.bytes().chain(inside.bytes()).all(spaced)
            && ["qcow2", "raw", "vmdk"].contains(&format);
        return fits.then(|| format!("ova+{format}"));
    }
    let format = import_extension(rest)?;
    rest.bytes().all(spaced).then(|| format.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_type() {
        let cases = [
            (
                StorageKind::Dir,
                "100/vm-100-disk-0.qcow2",
                "images vm-100-disk-0.qcow2 Some(100) None false qcow2",
            ),
            (
                StorageKind::Nfs,
                "9/base-9-disk-0.raw/100/vm-100-disk-0.qcow2",
                "images vm-100-disk-0.qcow2 Some(100) Some((\"base-9-disk-0.raw\", 9)) false qcow2",
            ),
            (StorageKind::Dir, "iso/a.ISO", "iso a.ISO None None false raw"),
            (
                StorageKind::Dir,
                "import/a.ova/b c.vmdk",
                "import a.ova/b c.vmdk None None false ova+vmdk",
            ),
            (
                StorageKind::Dir,
                "backup/vzdump-qemu-100-2026_11_23-01_02_03.vma.zst",
                "backup vzdump-qemu-100-2026_11_23-01_02_03.vma.zst Some(100) None false raw",
            ),
            (StorageKind::Dir, "snippets/user.yaml", "snippets user.yaml None None false raw"),
            (StorageKind::LvmThin, "base-9-disk-0", "images base-9-disk-0 Some(9) None true raw"),
            (
                StorageKind::ZfsPool,
                "base-9-disk-0/vm-100-disk-0",
                "images vm-100-disk-0 Some(100) Some((\"base-9-disk-0\", 9)) false raw",
            ),
            (
                StorageKind::Rbd,
                "vm-100-cloudinit",
                "images vm-100-cloudinit Some(100) None false raw",
            ),
        ];
        for (kind, name, expected) in cases {
            let found = parse(kind, name).unwrap();
            let brief = format!(
                "{} {} {:?} {:?} {} {}",
                found.content, found.name, found.vmid, found.base, found.is_base, found.format
            );
            assert_eq!(brief, expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_name() {
        let cases = [
            (
                StorageKind::Dir,
                "vm-100-disk-0",
                "unable to parse directory volume name 'vm-100-disk-0'",
            ),
            (StorageKind::Dir, "iso/a.txt", "unable to parse directory volume name 'iso/a.txt'"),
            (StorageKind::Dir, "100/x", "unable to parse volume filename 'x'"),
            (
                StorageKind::Dir,
                "100/snap-a-vm.qcow2",
                "'snap-a-vm.qcow2' is a snapshot filename, not a volume!",
            ),
            (StorageKind::Lvm, "base-9-disk-0", "unable to parse lvm volume name 'base-9-disk-0'"),
            (StorageKind::LvmThin, "100/x", "lvm name '100/x' contains illegal characters"),
            (StorageKind::ZfsPool, "x", "unable to parse zfs volume name 'x'"),
            (StorageKind::Rbd, "x", "unable to parse rbd volume name 'x'"),
        ];
        for (kind, name, expected) in cases {
            assert_eq!(parse(kind, name).unwrap_err(), expected);
        }
    }
}
