//! Drives: `scsi0`, `ide2`, `efidisk0`, `unused1`, …

use std::fmt;

use super::{PropertyError, PropertyString, Size};

/// The value of a drive key. The volume is the default key `file`, also spelled `volume`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drive {
    properties: PropertyString,
}

/// What a drive is backed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volume<'a> {
    /// `none`: an empty CD-ROM drive.
    Empty,
    /// `cdrom`: the node's own CD-ROM drive.
    HostCdrom,
    /// `storage:SIZE`: asks for a new volume; never stored.
    Allocate {
        /// The storage.
        storage: &'a str,
        /// Its size in GiB, a decimal number.
        gib: &'a str,
    },
    /// `storage:name`: a volume id, for instance `vmdata:4000/vm-4000-disk-0.raw`.
    Id {
        /// The storage.
        storage: &'a str,
        /// The volume's name on it.
        name: &'a str,
    },
    /// Anything else: an absolute path, for root@pam alone.
    Path(&'a str),
}

impl Drive {
    /// Reads a drive.
    ///
    /// # Errors
    /// [`PropertyError`] when it is no property string or has no volume.
    pub fn parse(text: &str) -> Result<Self, PropertyError> {
        let properties = PropertyString::parse(text, Some("file"))?;
        match (properties.get("file"), properties.get("volume")) {
            (None, None) => Err(PropertyError::Required("file")),
            (Some(_), Some(_)) => Err(PropertyError::Duplicate("file".to_owned())),
            _ => Ok(Self { properties }),
        }
    }

    /// A drive on an existing volume: a volume id, `none` or `cdrom`.
    ///
    /// # Errors
    /// [`PropertyError::Value`] when the text cannot stand in a property string.
    pub fn on(volume: &str) -> Result<Self, PropertyError> {
        let mut properties = PropertyString::new(Some("file"));
        properties.set("file", volume)?;
        Ok(Self { properties })
    }

    /// A drive on a new volume of this size.
    ///
    /// # Errors
    /// As [`Drive::on`].
    pub fn allocate(storage: &str, size: Size) -> Result<Self, PropertyError> {
        Self::on(&format!("{storage}:{}", size.gib_text()))
    }

    /// A drive on a new volume filled from another one (`storage:0,import-from=VOLUME`).
    ///
    /// # Errors
    /// As [`Drive::on`].
    pub fn import(storage: &str, source: &str) -> Result<Self, PropertyError> {
        let mut drive = Self::on(&format!("{storage}:0"))?;
        drive.set("import-from", source)?;
        Ok(drive)
    }

    /// The volume's text as it stands.
    #[must_use]
    pub fn file(&self) -> &str {
        let properties = &self.properties;
        properties.get("file").or_else(|| properties.get("volume")).unwrap_or_default()
    }

    /// What the drive is backed by.
    #[must_use]
    pub fn volume(&self) -> Volume<'_> {
        let file = self.file();
        match (file, file.split_once(':')) {
            ("none", _) => Volume::Empty,
            ("cdrom", _) => Volume::HostCdrom,
            (_, Some((storage, name))) if is_storage(storage) => {
                if is_number(name) {
                    Volume::Allocate { storage, gib: name }
                } else {
                    Volume::Id { storage, name }
                }
            }
            _ => Volume::Path(file),
        }
    }

    /// The storage, when the volume is on one.
    #[must_use]
    pub fn storage(&self) -> Option<&str> {
        match self.volume() {
            Volume::Allocate { storage, .. } | Volume::Id { storage, .. } => Some(storage),
            _ => None,
        }
    }

    /// Whether it is a CD-ROM drive (`media=cdrom`); a cloud-init drive is one.
    #[must_use]
    pub fn is_cdrom(&self) -> bool {
        self.get("media") == Some("cdrom")
    }

    /// Whether it is a cloud-init drive (`drive_is_cloudinit` in qemu-server): `storage:cloudinit`
    /// or `storage:4020/vm-4020-cloudinit.qcow2`.
    #[must_use]
    pub fn is_cloudinit(&self) -> bool {
        let Some((_, name)) = self.file().rsplit_once([':', '/']) else { return false };
        let name = match name.rsplit_once('.') {
            Some((stem, "raw" | "qcow" | "qcow2" | "qed" | "vmdk" | "cloop")) => stem,
            _ => name,
        };
        let vmid = name.strip_suffix("cloudinit").and_then(|n| n.strip_prefix("vm-"));
        let of_a_guest = vmid
            .and_then(|v| v.strip_suffix('-'))
            .is_some_and(|v| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit()));
        name == "cloudinit" || of_a_guest
    }

    /// The stored size. Informational: a cloud-init drive of a fresh guest has none.
    #[must_use]
    pub fn size(&self) -> Option<Size> {
        self.get("size").and_then(|s| s.parse().ok())
    }

    /// The value of another key (`ssd`, `iothread`, `cache`, …).
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.properties.get(key)
    }

    /// Sets another key.
    ///
    /// # Errors
    /// As [`PropertyString::set`].
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), PropertyError> {
        self.properties.set(key, value)
    }

    /// Removes another key. The volume stays.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        if matches!(key, "file" | "volume") { None } else { self.properties.remove(key) }
    }

    /// All keys and values, the volume under `file` or `volume`.
    #[must_use]
    pub fn properties(&self) -> &PropertyString {
        &self.properties
    }
}

impl fmt::Display for Drive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.properties.fmt(f)
    }
}

fn is_storage(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c == '/' || c.is_whitespace())
}

/// `\d+(\.\d+)?`, as in `$NEW_DISK_RE`.
fn is_number(text: &str) -> bool {
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    match text.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_recorded_drives() {
        let drive =
            Drive::parse("vmdata:4030/vm-4030-disk-1.raw,discard=on,size=1G,ssd=1").unwrap();
        let id = Volume::Id { storage: "vmdata", name: "4030/vm-4030-disk-1.raw" };
        assert_eq!(drive.volume(), id);
        assert_eq!((drive.size(), drive.get("ssd")), (Some(Size::from_gib(1)), Some("1")));
        assert!(!drive.is_cdrom() && !drive.is_cloudinit());

        for text in [
            "vmdata:4020/vm-4020-cloudinit.qcow2,media=cdrom",
            "shared:cloudinit,media=cdrom",
            "local-lvm:vm-4020-cloudinit,media=cdrom,size=4M",
        ] {
            let drive = Drive::parse(text).unwrap();
            assert!(drive.is_cdrom() && drive.is_cloudinit(), "{text}");
        }
        for text in ["a:vm-x-cloudinit", "a:iso/cloudinit.iso", "cloudinit", "a:vm-1-cloudinit2"] {
            assert!(!Drive::parse(text).unwrap().is_cloudinit(), "{text}");
        }
        let clone = "vmdata:4020/base-4020-disk-0.raw/4021/vm-4021-disk-0.qcow2,size=1G";
        assert_eq!(Drive::parse(clone).unwrap().storage(), Some("vmdata"));
    }

    #[test]
    fn tells_volumes_apart() {
        let volume = |text: &'static str| Drive::parse(text).unwrap();
        assert_eq!(volume("none,media=cdrom").volume(), Volume::Empty);
        assert_eq!(volume("cdrom,media=cdrom").volume(), Volume::HostCdrom);
        let allocate = Volume::Allocate { storage: "vmdata", gib: "0.5" };
        assert_eq!(volume("volume=vmdata:0.5").volume(), allocate);
        assert_eq!(volume("/dev/sda").volume(), Volume::Path("/dev/sda"));
        assert_eq!(Drive::parse("size=1G"), Err(PropertyError::Required("file")));
        assert!(Drive::parse("a:1,volume=a:2").is_err());
    }

    #[test]
    fn makes_new_ones() {
        let drive = Drive::allocate("vmdata", Size::from_gib(40)).unwrap();
        assert_eq!(drive.to_string(), "vmdata:40");
        let mut drive = Drive::import("vmdata", "local:import/truth.qcow2").unwrap();
        drive.set("ssd", "1").unwrap();
        assert_eq!(drive.to_string(), "vmdata:0,import-from=local:import/truth.qcow2,ssd=1");
        assert_eq!((drive.remove("file"), drive.remove("ssd")), (None, Some("1".to_owned())));
        assert!(Drive::on("a,b").is_err());
    }
}
