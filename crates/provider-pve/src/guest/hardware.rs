//! What a configuration needs of nodes and storages.

use std::collections::BTreeMap;
use std::net::IpAddr;

use pvx_core::provider::{Card, Drive, Hardware, Medium};

use super::disk::is_slot;
use crate::codec::{self, IpConfig, Nic, Size, Volume};

const MIB: u64 = 1 << 20;
/// What Proxmox makes of `efidisk0` and `tpmstate0`, whatever size is asked for: at most this.
const SMALL: u64 = 4 * MIB;

type Config = BTreeMap<String, String>;

/// The virtual hardware of a configuration.
pub(super) fn of(config: &Config) -> Hardware {
    let memory = memory(config);
    let drives = config.iter().filter(|(key, _)| is_slot(key) || key.starts_with("unused"));
    Hardware {
        memory,
        piece: piece(config, memory),
        hugepages: config.contains_key("hugepages"),
        cpus: number(config, "sockets", 1).saturating_mul(number(config, "cores", 1)),
        plugs_cards: has_hotplug(config, "network"),
        cards: cards(config),
        drives: drives.filter_map(|(slot, value)| drive(slot, value)).collect(),
    }
}

fn number(config: &Config, key: &str, default: u32) -> u32 {
    config.get(key).and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Bytes; 512 MiB where nothing is said (qemu-server, `QemuServer/Memory.pm`).
fn memory(config: &Config) -> u64 {
    let text = config.get("memory").map(String::as_str).unwrap_or_default();
    let first = text.split(',').next().unwrap_or_default();
    let mib = first.strip_prefix("current=").unwrap_or(first).parse().unwrap_or(512_u64);
    mib.saturating_mul(MIB)
}

/// With NUMA each node's memory is a piece of its own, with memory hot-plug each module.
fn piece(config: &Config, memory: u64) -> u64 {
    let numa = config.get("numa").is_some_and(|value| value == "1");
    if has_hotplug(config, "memory")
        || config.keys().any(|key| key.starts_with("numa") && key != "numa")
    {
        return 0;
    }
    if numa { memory / u64::from(number(config, "sockets", 1).max(1)) } else { memory }
}

/// `hotplug`: a list of features, 1 for the default ones, 0 for none.
fn has_hotplug(config: &Config, feature: &str) -> bool {
    let list = match config.get("hotplug").map(String::as_str) {
        None | Some("1") => "network,disk,usb",
        Some("0") => "",
        Some(list) => list,
    };
    list.split([',', ';', ' ']).any(|word| word == feature)
}

fn cards(config: &Config) -> Vec<Card> {
    let card = |(key, value): (&String, &String)| {
        let index = key.strip_prefix("net")?.parse::<u8>().ok()?;
        let nic = Nic::parse(value).ok()?;
        Some(Card {
            slot: key.clone(),
            mac: nic.macaddr(),
            bridge: nic.bridge().map(str::to_owned),
            tag: nic.tag(),
            trunks: nic.get("trunks").is_some_and(|trunks| !trunks.is_empty()),
            addresses: addresses(config.get(&format!("ipconfig{index}"))),
        })
    };
    config.iter().filter_map(card).collect()
}

/// Static addresses, without their prefix.
fn addresses(value: Option<&String>) -> Vec<IpAddr> {
    let Some(Ok(config)) = value.map(|text| IpConfig::parse(text)) else { return Vec::new() };
    let address = |text: &str| text.split('/').next().unwrap_or_default().parse().ok();
    [config.ip(), config.ip6()].into_iter().flatten().filter_map(address).collect()
}

fn drive(slot: &str, value: &str) -> Option<Drive> {
    let drive = codec::Drive::parse(value).ok()?;
    let small = slot == "efidisk0" || slot == "tpmstate0";
    let medium = match drive.volume() {
        _ if drive.is_cloudinit() => Medium::Cloudinit,
        Volume::Id { storage, .. } if drive.is_cdrom() => {
            Medium::Iso { storage: storage.to_owned(), volid: drive.file().to_owned() }
        }
        Volume::Id { storage, .. } => Medium::Volume {
            storage: storage.to_owned(),
            volid: drive.file().to_owned(),
            size: drive.size().map(Size::bytes),
        },
        Volume::Allocate { storage, gib } => {
            let from = drive.get("import-from").map(str::to_owned);
            let size = if small { Some(SMALL) } else { bytes(gib) };
            let size = size.filter(|_| from.is_none());
            Medium::New { storage: storage.to_owned(), size, from }
        }
        Volume::Empty | Volume::HostCdrom | Volume::Path(_) => Medium::Other,
    };
    Some(Drive { slot: slot.to_owned(), medium })
}

/// GiB, with a fraction or not, as bytes.
fn bytes(gib: &str) -> Option<u64> {
    let (whole, fraction) = gib.split_once('.').unwrap_or((gib, ""));
    let whole = whole.parse::<u64>().ok()?.checked_mul(1 << 30)?;
    let digits: String = fraction.chars().take(9).collect();
    let scale = 10_u64.checked_pow(u32::try_from(digits.len()).ok()?)?;
    let part = digits.parse::<u64>().unwrap_or(0).checked_mul(1 << 30)? / scale;
    whole.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Config {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn memory_comes_in_pieces() {
        for (pairs, expected) in [
            (&[][..], (512, 512)),
            (&[("memory", "2048")], (2048, 2048)),
            (&[("memory", "current=4096"), ("numa", "1"), ("sockets", "2")], (4096, 2048)),
            (&[("memory", "4096"), ("numa", "1"), ("hotplug", "disk,memory")], (4096, 0)),
            (&[("memory", "4096"), ("numa0", "cpus=0,memory=4096")], (4096, 0)),
        ] {
            let found = of(&config(pairs));
            assert_eq!((found.memory / MIB, found.piece / MIB), expected, "{pairs:?}");
        }
    }

    #[test]
    fn drives_and_cards() {
        let found = of(&config(&[
            ("scsi0", "local-lvm:32.5,iothread=1"),
            ("scsi1", "shared:0,import-from=local:import/x.qcow2"),
            ("scsi2", "shared:100/vm-100-disk-0.qcow2,size=4G"),
            ("ide2", "local:iso/x.iso,media=cdrom"),
            ("ide3", "none,media=cdrom"),
            ("scsi3", "shared:cloudinit"),
            ("net0", "virtio=bc:24:11:00:00:01,bridge=vmbr0,tag=5"),
            ("ipconfig0", "ip=10.0.0.7/24,gw=10.0.0.1,ip6=auto"),
        ]));
        insta::assert_debug_snapshot!((found.drives, found.cards));
    }
}
