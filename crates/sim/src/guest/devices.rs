//! Devices of a node that a guest asks for, as they are looked for when it starts
//! (`config_to_command` of `PVE::QemuServer`, and the modules that it calls). Nodes have serial
//! ports and the devices that mappings name; they have no other PCI devices to give away, and no
//! parallel ports.

use super::property::{Values, parse};
use super::{formats, keys};
use crate::api::mapping::directory;
use crate::world::World;
use crate::world::guest::Guest;
use crate::world::mapping::Kind;

/// USB ports from this on need a system that knows the newer controller.
const OLD_USB_PORTS: u32 = 5;

/// Values of numbered keys, by number.
fn numbered<'a>(guest: &'a Guest, stem: &'static str) -> Vec<(u32, &'a str)> {
    let mut found: Vec<(u32, &str)> = guest
        .config
        .iter()
        .filter_map(|(key, value)| match keys::split_number(key) {
            Some((known, number)) if known == stem => Some((number, value.as_str())),
            _ => None,
        })
        .collect();
    found.sort_unstable();
    found
}

/// A Linux, or a Windows after 7: they know the xHCI controller.
pub(crate) fn knows_xhci(guest: &Guest) -> bool {
    matches!(guest.get("ostype"), Some("l26" | "win8" | "win10" | "win11"))
}

/// `parse_usb_device`: a mapping has to be there, with one device for the node.
pub(crate) fn usb(world: &World, node: &str, value: &str) -> Result<(), String> {
    let device = parse(formats::USB, value).unwrap_or_default();
    match (device.get("host"), device.get("mapping")) {
        (None, Some(mapping)) => {
            match world.mapped_on(Kind::Usb, mapping, node).unwrap_or_default().len() {
                0 => Err(format!("USB device mapping not found for '{mapping}'")),
                1 => Ok(()),
                _ => Err("More than one USB mapping per host not supported".to_owned()),
            }
        }
        (None, None) | (Some(_), Some(_)) => Err("no usb id or path given".to_owned()),
        (Some(_), None) => Ok(()),
    }
}

/// `parse_hostpci`.
fn pci(world: &World, guest: &Guest, value: &str) -> Result<(), String> {
    let device = parse(formats::HOSTPCI, value).unwrap_or_default();
    match (device.get("host"), device.get("mapping")) {
        (Some(_), Some(_)) => Err("Cannot set both 'host' and 'mapping'.".to_owned()),
        (None, Some(mapping)) => {
            match world.mapped_on(Kind::Pci, mapping, &guest.node) {
                Some(found) if !found.is_empty() => mapped_pci(&device, &found)?,
                _ => return Err(format!("PCI device mapping not found for '{mapping}'")),
            }
            let q35 = guest.get("machine").is_some_and(|machine| machine.contains("q35"));
            if device.flag("pcie") && !q35 {
                return Err("q35 machine model is not enabled at /usr/share/perl5/PVE/QemuServer/PCI.pm line 510.".to_owned());
            }
            Ok(())
        }
        (Some(host), None) => {
            let first = host.split(';').next().unwrap_or_default();
            Err(format!("no PCI device found for '{first}'"))
        }
        (None, None) => Err("Either 'host' or 'mapping' must be set.".to_owned()),
    }
}

/// A device of several functions cannot be mediated.
fn mapped_pci(device: &Values, found: &[Values]) -> Result<(), String> {
    let many = |entry: &Values| entry.get("path").is_some_and(|path| path.contains(';'));
    if device.get("mdev").is_some() && found.iter().any(many) {
        return Err("cannot use mediated device with multifunction device".to_owned());
    }
    Ok(())
}

/// Those that are looked for first.
pub(crate) fn check(world: &World, guest: &Guest) -> Result<(), String> {
    let ports = numbered(guest, "usb");
    if let Some((number, _)) = ports.iter().find(|(number, _)| *number >= OLD_USB_PORTS)
        && !knows_xhci(guest)
    {
        return Err(format!(
            "using usb{number} is only possible with machine type >= 7.1 and ostype l26 or windows > 7"
        ));
    }
    numbered(guest, "hostpci").iter().try_for_each(|(_, value)| pci(world, guest, value))?;
    ports.iter().try_for_each(|(_, value)| usb(world, &guest.node, value))?;
    let port = |value: &str| value == "socket" || value.starts_with("/dev/ttyS");
    if numbered(guest, "serial").iter().any(|(_, value)| !port(value)) {
        return Err("no such serial device".to_owned());
    }
    if !numbered(guest, "parallel").is_empty() {
        return Err("no such parallel device".to_owned());
    }
    Ok(())
}

/// Nodes have no libraries to render on.
pub(crate) fn check_display(guest: &Guest) -> Result<(), String> {
    let display = parse(formats::VGA, guest.get("vga").unwrap_or_default()).unwrap_or_default();
    match display.get("type") {
        Some("virtio-gl") => {
            Err("missing libraries for 'virtio-gl' detected! Please install 'libgl1' and 'libegl1'"
                .to_owned())
        }
        _ => Ok(()),
    }
}

/// Shared directories, which come last (`assert_virtiofs_config`).
pub(crate) fn check_directories(world: &World, guest: &Guest) -> Result<(), String> {
    for (_, value) in numbered(guest, "virtiofs") {
        let shared = parse(formats::VIRTIOFS, value).unwrap_or_default();
        let (id, node) = (shared.get("dirid").unwrap_or_default(), &guest.node);
        let found = world.mapped_on(Kind::Dir, id, node);
        let found = found.ok_or_else(|| format!("Directory ID {id} does not exist."))?;
        let entry = match found.as_slice() {
            [] => return Err(format!("No directory mapping for node {node}.")),
            [entry] => entry,
            _ => return Err(format!("More than than one directory mapping for node {node}.")),
        };
        if shared.flag("expose-acl") && guest.get("ostype").is_some_and(|os| os.starts_with('w')) {
            return Err("Please disable ACLs for virtiofs on Windows VMs, otherwise the virtiofs shared directory cannot be mounted.".to_owned());
        }
        directory(world, node, entry.get("path").unwrap_or_default())
            .map_err(|error| format!("directory mapping invalid: {error}\n"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_does_not_have() {
        let port =
            "using usb5 is only possible with machine type >= 7.1 and ostype l26 or windows > 7";
        let world = World::truth();
        for (config, error) in [
            (&[("usb0", "spice"), ("usb1", "host=1234:5678")][..], None),
            (&[("usb0", "mapping=stick")], Some("USB device mapping not found for 'stick'")),
            (&[("usb5", "spice")], Some(port)),
            (&[("usb5", "spice"), ("ostype", "l26")], None),
            (&[("hostpci0", "mapping=card")], Some("PCI device mapping not found for 'card'")),
            (&[("hostpci0", "01:00.0;01:00.1")], Some("no PCI device found for '01:00.0'")),
            (&[("serial0", "socket"), ("serial1", "/dev/ttyS0")], None),
            (&[("serial0", "/dev/ttyUSB0")], Some("no such serial device")),
            (&[("parallel0", "/dev/parport0")], Some("no such parallel device")),
            (&[("vga", "virtio,memory=64")], None),
            (
                &[("vga", "virtio-gl,memory=64")],
                Some(
                    "missing libraries for 'virtio-gl' detected! Please install 'libgl1' and 'libegl1'",
                ),
            ),
            (&[("virtiofs0", "share,cache=auto")], Some("Directory ID share does not exist.")),
        ] {
            let guest = Guest::new(100, "pve1", config);
            let found = check(&world, &guest)
                .and_then(|()| check_display(&guest))
                .and_then(|()| check_directories(&world, &guest))
                .err();
            assert_eq!(found.as_deref(), error, "{config:?}");
        }
    }
}
