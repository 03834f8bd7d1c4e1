//! Small disks of the firmware: `efidisk0` and `tpmstate0`. Proxmox gives them their size.

use super::fields::Fields;
use super::names;
use super::vm::PlacesByPath;
use crate::desired::{EfiDisk, TpmState};

/// Takes `efidisk0`.
pub(crate) fn efidisk(fields: &mut Fields<'_, '_>, places: &mut PlacesByPath) -> Option<EfiDisk> {
    let mut fields = fields.mapping("efidisk0", "an EFI disk")?;
    places.insert("efidisk0".to_owned(), fields.span());
    let storage = fields.parsed("storage", names::identifier);
    let efitype = fields.word("efitype", &["2m", "4m"]);
    let keys = fields.boolean("pre-enrolled-keys");
    let certificates = fields.word("ms-cert", &["2011", "2023", "2023w", "2023k"]);
    fields.finish();
    let mut place = |name: &str, span: Option<crate::diagnostic::Span>| {
        if let Some(span) = span {
            places.insert(format!("efidisk0.{name}"), span);
        }
    };
    place("storage", storage.as_ref().map(|v| v.span));
    place("efitype", efitype.as_ref().map(|v| v.span));
    place("pre-enrolled-keys", keys.as_ref().map(|v| v.span));
    place("ms-cert", certificates.as_ref().map(|v| v.span));
    Some(EfiDisk {
        storage: storage.map(|v| v.value),
        efitype: efitype.map(|v| v.value),
        pre_enrolled_keys: keys.map(|v| v.value),
        ms_cert: certificates.map(|v| v.value),
    })
}

/// Takes `tpmstate0`.
pub(crate) fn tpmstate(fields: &mut Fields<'_, '_>, places: &mut PlacesByPath) -> Option<TpmState> {
    let mut fields = fields.mapping("tpmstate0", "a TPM state")?;
    places.insert("tpmstate0".to_owned(), fields.span());
    let storage = fields.parsed("storage", names::identifier);
    let version = fields.word("version", &["v1.2", "v2.0"]);
    fields.finish();
    for (name, value) in [("storage", &storage), ("version", &version)] {
        if let Some(value) = value {
            places.insert(format!("tpmstate0.{name}"), value.span);
        }
    }
    Some(TpmState { storage: storage.map(|v| v.value), version: version.map(|v| v.value) })
}
