//! The formats of drives, one per bus (`PVE::QemuServer::Drive`), each with `import-from`.

use super::format::{Format, Kind, check};
use super::patterns;
use super::property::Property;

const IMAGE: &[&str] = &["raw", "qcow", "qed", "qcow2", "vmdk", "cloop"];

const fn flag(name: &'static str) -> Property {
    Property::new(name, Kind::Bool)
}
const fn int(name: &'static str) -> Property {
    Property::new(name, Kind::INT)
}
const fn number(name: &'static str) -> Property {
    Property::new(name, Kind::Num { min: None, max: None })
}
const fn seconds(name: &'static str) -> Property {
    Property::new(name, Kind::POSITIVE)
}
const fn word(name: &'static str, words: &'static [&'static str]) -> Property {
    Property::new(name, Kind::Enum(words))
}

/// Up to so many characters, each of which may be percent-encoded.
fn encoded(text: &str, characters: usize) -> Result<(), String> {
    check(Kind::Format(Format::Urlencoded), "", text)?;
    check(Kind::Text { max: characters * 3 }, "", text)
}

const FILE: Property =
    Property::new("file", Kind::Format(Format::DiskVolume)).default_key().required();
const VOLUME: Property = Property::alias("volume", "file");
const FORMAT: Property = word("format", IMAGE);
const SIZE: Property = Property::new("size", Kind::Format(Format::DiskSize));
const IMPORT: Property = Property::new("import-from", Kind::Format(Format::VolumeOrPath));
const IOTHREAD: Property = flag("iothread");
const MODEL: Property = Property::new("model", Kind::Check(|text| encoded(text, 40)));
const PRODUCT: Property = Property::new("product", Kind::pattern(patterns::product16));
const VENDOR: Property = Property::new("vendor", Kind::pattern(patterns::vendor8));
const QUEUES: Property = Property::new("queues", Kind::Int { min: Some(2), max: None });
const READ_ONLY: Property = flag("ro");
const SCSIBLOCK: Property = flag("scsiblock");
const SSD: Property = flag("ssd");
const WWN: Property = Property::new("wwn", Kind::pattern(patterns::wwn));

/// What all disks share, and the properties of one bus.
macro_rules! disk {
    ($($own:expr),* $(,)?) => {
        &[
            FILE,
            VOLUME,
            word("media", &["cdrom", "disk"]),
            flag("snapshot"),
            word("cache", &["none", "writethrough", "writeback", "unsafe", "directsync"]),
            FORMAT,
            SIZE,
            flag("backup"),
            flag("replicate"),
            word("rerror", &["ignore", "report", "stop"]),
            word("werror", &["enospc", "ignore", "report", "stop"]),
            word("aio", &["native", "threads", "io_uring"]),
            word("discard", &["ignore", "on"]),
            flag("detect_zeroes"),
            Property::new("serial", Kind::Check(|text| encoded(text, 20))),
            flag("shared"),
            int("bps"),
            int("bps_rd"),
            int("bps_wr"),
            number("mbps"),
            number("mbps_rd"),
            number("mbps_wr"),
            int("iops"),
            int("iops_rd"),
            int("iops_wr"),
            number("mbps_max"),
            number("mbps_rd_max"),
            number("mbps_wr_max"),
            int("iops_max"),
            int("iops_rd_max"),
            int("iops_wr_max"),
            seconds("bps_max_length"),
            seconds("bps_rd_max_length"),
            seconds("bps_wr_max_length"),
            seconds("iops_max_length"),
            seconds("iops_rd_max_length"),
            seconds("iops_wr_max_length"),
            Property::alias("bps_rd_length", "bps_rd_max_length"),
            Property::alias("bps_wr_length", "bps_wr_max_length"),
            Property::alias("iops_rd_length", "iops_rd_max_length"),
            Property::alias("iops_wr_length", "iops_wr_max_length"),
            IMPORT,
            $($own),*
        ]
    };
}

/// `ideN`.
pub(crate) const IDE: &[Property] = disk![MODEL, SSD, WWN];
/// `scsiN`.
pub(crate) const SCSI: &[Property] =
    disk![IOTHREAD, PRODUCT, QUEUES, READ_ONLY, SCSIBLOCK, SSD, VENDOR, WWN];
/// `sataN`.
pub(crate) const SATA: &[Property] = disk![SSD, WWN];
/// `virtioN`.
pub(crate) const VIRTIO: &[Property] = disk![IOTHREAD, READ_ONLY];
/// `efidisk0`.
pub(crate) const EFI: &[Property] = &[
    FILE,
    VOLUME,
    FORMAT,
    SIZE,
    word("efitype", &["2m", "4m"]),
    flag("pre-enrolled-keys"),
    word("ms-cert", &["2011", "2023", "2023w", "2023k"]),
    IMPORT,
];
/// `tpmstate0`.
pub(crate) const TPM: &[Property] = &[
    FILE,
    VOLUME,
    word("format", &["raw", "qcow2", "vmdk"]),
    SIZE,
    word("version", &["v1.2", "v2.0"]),
    IMPORT,
];
/// `unusedN`.
pub(crate) const UNUSED: &[Property] =
    &[Property::new("file", Kind::Format(Format::VolumeId)).default_key().required(), VOLUME];

/// The format of a drive's key.
pub(crate) fn of(key: &str) -> &'static [Property] {
    match super::keys::split_number(key).map_or(key, |(stem, _)| stem) {
        "scsi" => SCSI,
        "sata" => SATA,
        "virtio" => VIRTIO,
        "efidisk" => EFI,
        "tpmstate" => TPM,
        "unused" => UNUSED,
        _ => IDE,
    }
}
