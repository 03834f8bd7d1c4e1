//! Name, identity, tags, and what a clone takes over from its template.

use pvx_core::live::Guest;
use pvx_core::plan::{Effect, KEEPS};
use uuid::Uuid;

use super::differ::Differ;
use super::unnamed;
use crate::codec::{Drive, Nic, Smbios, Tags};

/// The smbios uuid of a guest.
pub(super) fn of(guest: &Guest) -> Option<Uuid> {
    Smbios::parse(guest.config.get("smbios1")?).ok()?.uuid()
}

/// Is it a clone that is not configured yet?
pub(super) fn is_provisional(guest: &Guest) -> bool {
    guest.config.get("description").is_some_and(|d| d.starts_with("pvx is making "))
}

pub(super) fn compare(differ: &mut Differ<'_>) {
    let wanted = differ.wanted;
    differ.value("name", "name", wanted.name, None);
    if of(differ.live) != Some(wanted.identity) {
        let stored = differ.stored("smbios1").and_then(|text| Smbios::parse(text).ok());
        // Manufacturer, serial and the like stay as they are.
        let kept = stored
            .and_then(|mut smbios| smbios.set_uuid(wanted.identity).is_ok().then_some(smbios));
        if let Some(smbios) = kept.or_else(|| Smbios::from_uuid(wanted.identity).ok()) {
            let uuid = wanted.identity.to_string();
            let before = of(differ.live).map(|uuid| uuid.to_string());
            differ.attribute("smbios1.uuid", before.as_deref(), Some(&uuid), Effect::Live);
            differ.set("smbios1", &smbios.to_string());
        }
    }
    let kept = wanted.spec.disks.iter().filter(|(_, disk)| disk.keep);
    let keeps: Vec<String> = kept.map(|(slot, _)| format!("{KEEPS}{slot}")).collect();
    let tags: Tags = wanted.spec.tags.iter().chain(&keeps).map(String::as_str).collect();
    differ.value("tags", "tags", &tags.to_string(), None);
    // A clone that is not configured yet carries a provisional description: it goes, unless the
    // document has one of its own to put in its place.
    let proof = format!("({})", wanted.identity);
    let named = |d: &str| d.trim_end().ends_with(&proof);
    let provisional = is_provisional(differ.live);
    if provisional
        && differ.stored("description").is_some_and(named)
        && !wanted.spec.settings.contains_key("description")
    {
        differ.reset("description", "description");
    }
}

/// What a clone of `template` looks like (qemu-server `API2/Qemu.pm`, clone_vm): a fresh smbios
/// uuid, fresh MACs and volumes, no template flag, no snapshot or lock; everything else is taken over.
///
/// `storage`: what a full clone is asked to put its disks on.
pub(super) fn clone_of(template: &Guest, name: &str, note: &str, storage: Option<&str>) -> Guest {
    const LEFT_BEHIND: &[&str] =
        &["template", "vmgenid", "lock", "parent", "snaptime", "snapstate", "digest"];
    let kept = template.config.iter().filter(|(key, _)| !LEFT_BEHIND.contains(&key.as_str()));
    let mut config: std::collections::BTreeMap<String, String> = kept
        .filter(|(key, _)| !key.starts_with("unused"))
        .map(|(key, value)| (key.clone(), fresh(key, value, storage)))
        .collect();
    config.insert("name".to_owned(), name.to_owned());
    config.insert("description".to_owned(), note.to_owned());
    Guest { config, running: false, ..Guest::default() }
}

fn fresh(key: &str, value: &str, storage: Option<&str>) -> String {
    let cloned = |drive: Drive| match storage {
        Some(storage) => unnamed::on_storage(&drive, storage),
        None => unnamed::of_clone(&drive),
    };
    if let Some(drive) = disk_in(key, value).and_then(cloned) {
        return drive.to_string();
    }
    if key == "smbios1"
        && let Ok(mut smbios) = Smbios::parse(value)
        && smbios.set_uuid(Uuid::nil()).is_ok()
    {
        return smbios.to_string();
    }
    if key.strip_prefix("net").is_some_and(|n| n.parse::<u8>().is_ok())
        && let Ok(nic) = Nic::parse(value)
    {
        return without_mac(&nic);
    }
    value.to_owned()
}

/// The same device with a MAC that Proxmox will choose.
pub(super) fn without_mac(nic: &Nic) -> String {
    let Ok(mut fresh) = Nic::new(nic.model()) else { return nic.to_string() };
    for (key, value) in nic.properties().iter() {
        if key != nic.model() && key != "model" && key != "macaddr" {
            // Came out of a valid device, so it goes into one.
            let _ = fresh.set(key, value);
        }
    }
    fresh.to_string()
}

/// Is this key a disk slot, and does it hold a disk (no CD-ROM)?
pub(super) fn disk_in(key: &str, value: &str) -> Option<Drive> {
    super::disk::is_slot(key).then(|| Drive::parse(value).ok()).flatten().filter(|d| !d.is_cdrom())
}
