//! Disk images from the outside: what their first bytes say.

use crate::world::files::Image;

/// `QFI\xfb`.
const QCOW2: &[u8] = b"QFI\xfb";
/// The largest image whose bytes are made up when somebody reads it.
const READABLE: u64 = 64 << 20;

fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let part = bytes.get(at..at.checked_add(width)?)?;
    Some(part.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
}

/// What `qemu-img info` would tell of these bytes.
pub(crate) fn probe(bytes: &[u8]) -> Image {
    let used = bytes.len() as u64;
    if bytes.starts_with(QCOW2) {
        let size = number(bytes, 24, 8).unwrap_or(0);
        let first = first_cluster(bytes).unwrap_or_default();
        return Image {
            format: "qcow2".to_owned(),
            size,
            used,
            bootable: has_boot_sector(first),
            ..Image::default()
        };
    }
    if bytes.starts_with(b"KDMV") {
        // Capacity in sectors, little-endian, in the header of a sparse extent.
        let capacity = bytes.get(12..20).and_then(|part| part.try_into().ok());
        let size = capacity.map_or(0, u64::from_le_bytes).saturating_mul(512);
        return Image { format: "vmdk".to_owned(), size, used, bootable: true, ..Image::default() };
    }
    let size = used.div_ceil(512) * 512;
    Image {
        format: "raw".to_owned(),
        size,
        used,
        bootable: has_boot_sector(bytes),
        ..Image::default()
    }
}

/// The first cluster of the guest's disk in a qcow2 file, through both tables.
fn first_cluster(bytes: &[u8]) -> Option<&[u8]> {
    let l1 = usize::try_from(number(bytes, 40, 8)?).ok()?;
    let l2 = usize::try_from(number(bytes, l1, 8)? & 0x00ff_ffff_ffff_fe00).ok()?;
    if l2 == 0 {
        return None;
    }
    let entry = number(bytes, l2, 8)?;
    // A compressed cluster cannot be looked into here, but holds something.
    if entry >> 62 & 1 == 1 {
        return Some(b"compressed");
    }
    let data = usize::try_from(entry & 0x00ff_ffff_ffff_fe00).ok()?;
    if data == 0 { None } else { bytes.get(data..) }
}

fn has_boot_sector(bytes: &[u8]) -> bool {
    bytes == b"compressed" || bytes.get(510..512) == Some(&[0x55, 0xaa])
}

/// Bytes for an image of which only the outside is known, when it is small enough.
pub(crate) fn synthesise(image: &Image) -> Option<Vec<u8>> {
    if image.used > READABLE {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(image.used).ok()?];
    if image.format == "qcow2" {
        let header = empty_qcow2(image.size);
        let keep = header.len().min(bytes.len());
        for (target, source) in bytes.iter_mut().zip(header.into_iter().take(keep)) {
            *target = source;
        }
    } else if image.bootable {
        for (target, source) in bytes.iter_mut().skip(510).zip([0x55, 0xaa]) {
            *target = source;
        }
    }
    Some(bytes)
}

/// The header of a qcow2 file (version 3, clusters of 64 KiB) without data.
pub(crate) fn empty_qcow2(size: u64) -> Vec<u8> {
    let mut out = QCOW2.to_vec();
    out.extend(3u32.to_be_bytes());
    out.extend([0; 12]);
    out.extend(16u32.to_be_bytes());
    out.extend(size.to_be_bytes());
    out.extend(0u32.to_be_bytes());
    let tables = u32::try_from(size.div_ceil(512 << 20)).unwrap_or(u32::MAX).max(1);
    out.extend(tables.to_be_bytes());
    out.extend(0x3_0000u64.to_be_bytes());
    out.extend(0x1_0000u64.to_be_bytes());
    out.extend(1u32.to_be_bytes());
    out.extend([0; 12]);
    out.extend([0; 24]);
    out.extend(4u32.to_be_bytes());
    out.extend(104u32.to_be_bytes());
    out
}
