//! What a file is, from its bytes as they come: size, virtual size, format, members of an archive.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::filename;
use super::hash::Hash;
use crate::world::storage::Volume;

/// Bytes of a file that are kept.
const HEAD: usize = 1024;

/// Looks at the bytes of a file one piece after the other; keeps none but the first.
#[derive(Default)]
pub(crate) struct Probe {
    size: u64,
    head: Vec<u8>,
    hashes: Vec<(String, Hash)>,
    tar: TarScan,
}

impl Probe {
    /// Also calculates these checksums.
    pub(crate) fn with(algorithms: &[&str]) -> Self {
        let hashes =
            algorithms.iter().filter_map(|name| Some(((*name).to_owned(), Hash::new(name)?)));
        Self { hashes: hashes.collect(), ..Self::default() }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let room = HEAD.saturating_sub(self.head.len());
        self.head.extend(bytes.iter().take(room));
        self.size += bytes.len() as u64;
        for (_, hash) in &mut self.hashes {
            hash.feed(bytes);
        }
        self.tar.feed(bytes);
    }

    /// What was found.
    pub(crate) fn finish(self) -> File {
        let checksums = self.hashes.into_iter().map(|(name, hash)| (name, hash.finish()));
        File {
            size: self.size,
            image: Image::of(&self.head, self.size),
            archive: self.tar.found(),
            has_ovf: self.tar.ovf,
            checksums: checksums.collect(),
            bootable: false,
        }
    }

    /// The volume that the file is.
    pub(crate) fn volume(self, content: &str, name: &str, ctime: i64) -> Volume {
        self.finish().volume(content, name, ctime)
    }
}

/// A file as far as the simulator keeps it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct File {
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) image: Image,
    /// It is a tar archive.
    pub(crate) archive: bool,
    /// With an `.ovf` in it.
    pub(crate) has_ovf: bool,
    /// By algorithm.
    pub(crate) checksums: BTreeMap<String, String>,
    /// Known to hold something that boots.
    #[serde(default)]
    pub(crate) bootable: bool,
}

/// The disk in a file, as its header says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Image {
    /// `qcow2`, `vmdk` or `raw`.
    pub(crate) format: String,
    /// Virtual size in bytes.
    pub(crate) size: u64,
    /// It needs another file below it.
    pub(crate) backing: Option<String>,
    /// Its data is in another file.
    pub(crate) data_file: bool,
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let part = bytes.get(at..at + length)?;
    Some(part.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
}

impl Image {
    fn of(head: &[u8], bytes: u64) -> Self {
        Self::qcow2(head).or_else(|| Self::vmdk(head)).unwrap_or_else(|| Self {
            format: "raw".to_owned(),
            size: bytes.div_ceil(512) * 512,
            ..Self::default()
        })
    }

    /// The header of `docs/interop/qcow2.rst` of QEMU.
    fn qcow2(head: &[u8]) -> Option<Self> {
        if !head.starts_with(b"QFI\xfb") {
            return None;
        }
        let version = number(head, 4, 4)?;
        if !(2..=3).contains(&version) {
            return None;
        }
        let size = number(head, 24, 8)?;
        let start = usize::try_from(number(head, 8, 8)?).ok()?;
        let length = usize::try_from(number(head, 16, 4)?).ok()?;
        let name = start.checked_add(length).and_then(|end| head.get(start..end));
        let backing =
            (start != 0).then(|| String::from_utf8_lossy(name.unwrap_or_default()).into_owned());
        let features = if version == 3 { number(head, 72, 8).unwrap_or(0) } else { 0 };
        Some(Self { format: "qcow2".to_owned(), size, backing, data_file: features & 4 != 0 })
    }

    /// A sparse extent: `KDMV`, the capacity in sectors at byte 12, little-endian.
    fn vmdk(head: &[u8]) -> Option<Self> {
        if !head.starts_with(b"KDMV") {
            return None;
        }
        let sectors =
            head.get(12..20)?.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
        let size = sectors.saturating_mul(512);
        Some(Self { format: "vmdk".to_owned(), size, ..Self::default() })
    }
}

impl File {
    /// `file_size_info` of an untrusted file: the error when it is not what its name says, and the
    /// lines before it. `format` is none where the format is found out.
    pub(crate) fn check(
        &self,
        path: &str,
        format: Option<&str>,
    ) -> Result<(), (Vec<String>, String)> {
        let image = &self.image;
        let read = match format {
            // Anything is a raw image.
            Some("raw") => return Ok(()),
            Some(wanted) if wanted != image.format => {
                let line = format!(
                    "command '/usr/bin/qemu-img info '--output=json' -f {wanted} {path}' failed: exit code 1"
                );
                let what = if wanted == "vmdk" { "VMDK" } else { wanted };
                let error =
                    format!("qemu-img: Could not open '{path}': Image is not in {what} format");
                return Err((vec![line], error));
            }
            _ => image,
        };
        let fail = |text: String| Err((Vec::new(), text));
        if read.data_file {
            return fail(format!("{path}: 'data-file' references are not allowed!"));
        }
        if read.backing.is_some() {
            return fail(format!("backing file not allowed for untrusted image '{path}'!"));
        }
        Ok(())
    }

    /// `assert_ova_contents`.
    pub(crate) fn check_archive(&self, path: &str) -> Result<(), (Vec<String>, String)> {
        if !self.archive {
            let lines = [
                "tar: This does not look like a tar archive",
                "tar: Exiting with failure status due to previous errors",
            ];
            let error = format!("command 'tar -t -f {path}' failed: exit code 2");
            return Err((lines.map(str::to_owned).to_vec(), error));
        }
        if !self.has_ovf {
            return Err((Vec::new(), "ova archive has no .ovf file inside".to_owned()));
        }
        Ok(())
    }

    /// The volume that the file is.
    pub(crate) fn volume(&self, content: &str, name: &str, ctime: i64) -> Volume {
        let (format, size) = match content {
            "iso" => ("iso".to_owned(), self.size),
            "vztmpl" => (filename::template_format(name).unwrap_or_default(), self.size),
            "snippets" => ("snippet".to_owned(), self.size),
            "backup" => (filename::backup_extension(name).unwrap_or_default(), self.size),
            _ => {
                let named = filename::import_extension(name).unwrap_or("raw");
                let whole = named == "raw" || named == self.image.format;
                let size =
                    if named == "raw" { self.size.div_ceil(512) * 512 } else { self.image.size };
                (named.to_owned(), if whole { size } else { self.size })
            }
        };
        Volume {
            content: content.to_owned(),
            format,
            size,
            used: self.size,
            ctime,
            bootable: self.bootable,
            checksums: self.checksums.clone(),
            ..Volume::default()
        }
    }
}

/// Reads the headers of a tar archive as its bytes pass by.
#[derive(Default)]
struct TarScan {
    header: Vec<u8>,
    /// Bytes until the next header.
    skip: u64,
    members: u64,
    broken: bool,
    ovf: bool,
}

impl TarScan {
    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.broken {
            if self.skip > 0 {
                let step = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
                self.skip -= step as u64;
                bytes = bytes.get(step..).unwrap_or_default();
                continue;
            }
            let step = (512 - self.header.len()).min(bytes.len());
            let (now, later) = bytes.split_at(step);
            self.header.extend_from_slice(now);
            bytes = later;
            if self.header.len() == 512 {
                self.read();
                self.header.clear();
            }
        }
    }

    fn read(&mut self) {
        let text = |at: usize, length: usize| {
            let part = self.header.get(at..at + length).unwrap_or_default();
            let end = part.iter().position(|byte| *byte == 0).unwrap_or(part.len());
            String::from_utf8_lossy(part.get(..end).unwrap_or_default()).into_owned()
        };
        if self.header.iter().all(|byte| *byte == 0) {
            self.broken = self.members == 0;
            return;
        }
        let size = u64::from_str_radix(text(124, 12).trim(), 8);
        let (true, Ok(size)) = (text(257, 5) == "ustar", size) else {
            self.broken = true;
            return;
        };
        self.ovf |= text(0, 100).ends_with(".ovf");
        self.members += 1;
        self.skip = size.div_ceil(512).saturating_mul(512);
    }

    fn found(&self) -> bool {
        self.members > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qcow2(size: u64, backing: u64, features: u64) -> Vec<u8> {
        let mut head = vec![0; 512];
        head[..4].copy_from_slice(b"QFI\xfb");
        head[7] = 3;
        head[8..16].copy_from_slice(&backing.to_be_bytes());
        head[19] = 4;
        head[24..32].copy_from_slice(&size.to_be_bytes());
        head[72..80].copy_from_slice(&features.to_be_bytes());
        head
    }

    fn probe(bytes: &[u8]) -> File {
        let mut probe = Probe::default();
        for piece in bytes.chunks(100) {
            probe.feed(piece);
        }
        probe.finish()
    }

    #[test]
    fn images() {
        let good = probe(&qcow2(1 << 30, 0, 0));
        assert_eq!((good.image.size, good.check("/f", Some("qcow2")).is_ok()), (1 << 30, true));
        let volume = good.volume("import", "x.qcow2", 7);
        assert_eq!((volume.size, volume.used, volume.format.as_str()), (1 << 30, 512, "qcow2"));
        let error = |bytes: &[u8], format| probe(bytes).check("/f", format).unwrap_err().1;
        assert_eq!(
            error(&qcow2(1, 100, 0), None),
            "backing file not allowed for untrusted image '/f'!"
        );
        assert_eq!(
            error(&qcow2(1, 0, 4), Some("qcow2")),
            "/f: 'data-file' references are not allowed!"
        );
        assert_eq!(
            error(b"hello", Some("qcow2")),
            "qemu-img: Could not open '/f': Image is not in qcow2 format"
        );
        assert!(probe(b"hello").check("/f", Some("raw")).is_ok());
        assert_eq!(probe(b"hello").volume("import", "x.raw", 0).size, 512);
    }

    #[test]
    fn archives() {
        let member = |name: &str, content: &[u8]| {
            let mut bytes = vec![0; 512];
            bytes[..name.len()].copy_from_slice(name.as_bytes());
            bytes[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
            bytes[257..262].copy_from_slice(b"ustar");
            bytes.extend_from_slice(content);
            bytes.resize(bytes.len().div_ceil(512) * 512, 0);
            bytes
        };
        let mut good = member("a.vmdk", &[1; 700]);
        good.extend(member("a.ovf", b"<xml/>"));
        good.extend([0; 1024]);
        assert_eq!(probe(&good).check_archive("/f"), Ok(()));
        let error = |bytes: &[u8]| probe(bytes).check_archive("/f").unwrap_err().1;
        assert_eq!(error(&member("a.vmdk", b"x")), "ova archive has no .ovf file inside");
        assert_eq!(error(b"nothing"), "command 'tar -t -f /f' failed: exit code 2");
    }
}
