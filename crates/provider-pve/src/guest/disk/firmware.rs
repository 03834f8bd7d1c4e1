//! `efidisk0` and `tpmstate0`: made where they are said and missing. What they are cannot be
//! changed later, only where: the options say what was put on the disk when it was made
//! (qemu-server, Drive.pm and OVMF.pm).

use pvx_core::plan::{Effect, Finding};

use super::super::differ::Differ;
use super::existing::relocate;
use crate::codec::{Drive, format_boolean, parse_boolean};

/// An option, as documents say it and its default in Proxmox.
type Fixed = (&'static str, Option<String>, &'static str);

pub(super) fn compare(differ: &mut Differ<'_>) {
    let spec = differ.wanted.spec;
    if let Some(efi) = &spec.efidisk {
        // A default says what a new disk gets, and is no difference from one that is there.
        let there = differ.live.config.contains_key("efidisk0");
        let general = spec.efidisk_pre_enrolled_keys.filter(|_| !there);
        let keys = efi.pre_enrolled_keys.or(general).map(|keys| format_boolean(keys).to_owned());
        let options = [
            ("efitype", efi.efitype.clone(), "2m"),
            ("pre-enrolled-keys", keys, "0"),
            ("ms-cert", efi.ms_cert.clone(), "2011"),
        ];
        // Proxmox's own default for new guests; 2m is for old ones.
        one(differ, "efidisk0", efi.storage.as_deref(), &options, ("efitype", "4m"));
    }
    if let Some(tpm) = &spec.tpmstate {
        let options = [("version", tpm.version.clone(), "v1.2")];
        one(differ, "tpmstate0", tpm.storage.as_deref(), &options, ("version", "v2.0"));
    }
    ["efidisk0", "tpmstate0"].into_iter().for_each(|slot| stays(differ, slot));
}

/// What the firmware and the TPM know cannot be had again (keys of an encrypted disk): it is never
/// taken away because a line is.
fn stays(differ: &mut Differ<'_>, slot: &str) {
    if !differ.is_dropped(slot) || differ.stored(slot).is_none() {
        return;
    }
    differ.manage(slot);
    let text = format!("{slot} is no longer in the documents and stays: its guest may need it");
    let help =
        format!("name it again, or take it away: qm set {} --delete {slot}", differ.live.vmid);
    differ.finding(Finding::note("firmware-disk-stays", text).help(help));
}

fn one(
    differ: &mut Differ<'_>,
    slot: &str,
    storage: Option<&str>,
    options: &[Fixed],
    usual: (&str, &str),
) {
    differ.manage(slot);
    match differ.stored(slot).map(Drive::parse) {
        Some(Ok(drive)) => existing(differ, slot, storage, options, &drive),
        Some(Err(_)) => {}
        None => make(differ, slot, storage, options, usual),
    }
}

fn existing(
    differ: &mut Differ<'_>,
    slot: &str,
    storage: Option<&str>,
    options: &[Fixed],
    drive: &Drive,
) {
    relocate(differ, slot, storage, None, drive);
    for (name, wanted, default) in options {
        let (Some(wanted), live) = (wanted, drive.get(name).unwrap_or(default)) else { continue };
        let same = wanted == live
            || (parse_boolean(wanted).is_some() && parse_boolean(wanted) == parse_boolean(live));
        if same {
            continue;
        }
        let text = format!(
            "{slot} has {name} {live}, the document says {wanted}: it stays as it was made"
        );
        let finding = Finding::warning("firmware-disk-fixed", text);
        differ.finding(finding.help(format!(
            "write {live} into the document, or have the guest made anew with --replace"
        )));
        differ.only_anew(&format!("{slot}.{name}"), Some(live), Some(wanted));
    }
}

fn make(
    differ: &mut Differ<'_>,
    slot: &str,
    storage: Option<&str>,
    options: &[Fixed],
    usual: (&str, &str),
) {
    let storage = storage.or(differ.wanted.spec.storage.as_deref()).map(str::to_owned);
    let Some(storage) = storage else {
        differ.finding(no_storage(slot));
        return;
    };
    let mut value = format!("{storage}:1");
    for (name, wanted, _) in options {
        let wanted = wanted.as_deref().or((*name == usual.0).then_some(usual.1));
        if let Some(wanted) = wanted {
            value.push_str(&format!(",{name}={wanted}"));
        }
    }
    differ.attribute(slot, None, Some(&format!("on {storage}")), Effect::Live);
    differ.make(slot, &value);
    differ.allocates_on(&storage);
}

fn no_storage(slot: &str) -> Finding {
    Finding::error("efidisk-storage", format!("the guest needs a storage for its {slot}"))
        .help("give `storage`, or defaults.storage in cluster-config.yaml")
}

/// OVMF keeps its variables on a disk of its own: a guest that is made from nothing has one, said
/// or not.
pub(crate) fn default_efidisk(differ: &mut Differ<'_>) {
    let spec = differ.wanted.spec;
    if spec.text("bios") != Some("ovmf") || spec.efidisk.is_some() {
        return;
    }
    let keys = format_boolean(spec.efidisk_pre_enrolled_keys.unwrap_or(false)).to_owned();
    let options = [("efitype", None, "2m"), ("pre-enrolled-keys", Some(keys), "0")];
    make(differ, "efidisk0", None, &options, ("efitype", "4m"));
}
