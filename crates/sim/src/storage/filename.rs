//! Names of files that are uploaded and downloaded (`$ISO_EXT_RE_0` and its like in
//! `PVE::Storage`).

use super::path;
use crate::world::storage::Storage;

/// `normalize_content_filename`: without folders, anything unusual replaced by `_`.
pub(crate) fn normalise(name: &str) -> String {
    let name = name.strip_suffix('\n').unwrap_or(name);
    let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
    // The pattern is one of bytes: a character of two bytes gives two underscores.
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    last.bytes().map(|byte| if keep(byte) { char::from(byte) } else { '_' }).collect()
}

/// A character of the names of imported images.
pub(crate) fn is_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.+=_".contains(&byte)
}

/// `.iso` or `.img` after at least one character, in any case.
pub(crate) fn iso_extension(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    name.len() > 4 && (lower.ends_with(".iso") || lower.ends_with(".img"))
}

/// How lists name the format of a container template: `tgz`, `tzst`, `tar`.
pub(crate) fn template_format(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    for packed in ["gz", "xz", "zst", "bz2"] {
        if lower.strip_suffix(&format!(".tar.{packed}")).is_some_and(|stem| !stem.is_empty()) {
            return Some(format!("t{packed}"));
        }
    }
    lower.strip_suffix(".tar").filter(|stem| !stem.is_empty()).map(|_| "tar".to_owned())
}

/// The extension of a backup: `vma.zst`, `tar.gz`, `tgz`.
pub(crate) fn backup_extension(name: &str) -> Option<String> {
    let mut known = vec!["tgz".to_owned()];
    for archive in ["tar", "vma"] {
        known.push(archive.to_owned());
        known.extend(["gz", "lzo", "zst", "bz2"].map(|packed| format!("{archive}.{packed}")));
    }
    let fits = |extension: &String| {
        name.strip_suffix(extension.as_str())
            .and_then(|stem| stem.strip_suffix('.'))
            .is_some_and(|stem| !stem.is_empty())
    };
    known.into_iter().filter(fits).max_by_key(String::len)
}

/// `ova`, `ovf`, `qcow2`, `raw` or `vmdk`.
pub(crate) fn import_extension(name: &str) -> Option<&str> {
    let (stem, extension) = name.rsplit_once('.')?;
    let known = ["ova", "ovf", "qcow2", "raw", "vmdk"].contains(&extension);
    (known && !stem.is_empty()).then_some(extension)
}

/// What an uploaded or downloaded file is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// After [`normalise`].
    pub(crate) filename: String,
    /// `/var/lib/vz/template/iso`.
    pub(crate) folder: String,
    /// Of an image to import; `ova` for an archive.
    pub(crate) format: Option<String>,
}

/// Checks the name of a file of a content type; the error names the parameter.
pub(crate) fn target(
    storage: &Storage,
    content: &str,
    filename: &str,
) -> Result<Target, (&'static str, String)> {
    let filename = normalise(filename);
    let wrong = |text: &str| Err(("filename", text.to_owned()));
    let mut format = None;
    match content {
        "iso" if !iso_extension(&filename) => return wrong("wrong file extension"),
        "vztmpl" if template_format(&filename).is_none() => return wrong("wrong file extension"),
        "import" => match import_extension(&filename).filter(|extension| *extension != "ovf") {
            Some(extension) => format = Some(extension.to_owned()),
            None => return wrong("invalid filename or wrong extension"),
        },
        _ => {}
    }
    let folder = path::folder(storage, content).unwrap_or_default();
    Ok(Target { filename, folder, format })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised() {
        for (given, expected) in [
            ("../../etc/a b.iso", "a_b.iso"),
            ("C:\\x\\debian.img", "debian.img"),
            ("é+.iso", "___.iso"),
            ("a.iso\n", "a.iso"),
        ] {
            assert_eq!(normalise(given), expected);
        }
    }

    #[test]
    fn extensions() {
        assert!(iso_extension("a.iso") && iso_extension("a.IMG") && !iso_extension(".iso"));
        assert_eq!(template_format("a.tar.zst").as_deref(), Some("tzst"));
        assert_eq!(template_format("a.tar").as_deref(), Some("tar"));
        assert_eq!(template_format("a.zip"), None);
        assert_eq!(backup_extension("x.vma.zst").as_deref(), Some("vma.zst"));
        assert_eq!(backup_extension("x.tgz").as_deref(), Some("tgz"));
        assert_eq!(backup_extension("x.zst"), None);
        assert_eq!(import_extension("x.qcow2"), Some("qcow2"));
        assert_eq!(import_extension("x.img"), None);
    }
}
