//! Guests that are missing.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use pvx_core::desired::{
    CloneMode, Disk, IpConfig, Network, Origin, Placement, Power, TemplateRef, VmidRequest,
};

use crate::lab::{GIB, LOCAL, Lab, NODES, SHARED, clone_of};

fn on(node: &str) -> Placement {
    Placement::Node(node.to_owned())
}

#[test]
fn clone_on_shared_storage_goes_straight_to_its_node() {
    let mut lab = Lab::new();
    let mut guest = lab.guest("k3s", "w01");
    guest.placement = on("pve2");
    guest.spec.boot_disk = Some(40 * GIB);
    let net = Network { bridge: Some("vmbr1".into()), ..Network::default() }.with("tag", "20");
    guest.spec.networks.insert("net0".into(), net);
    let ip = IpConfig {
        ip: Some("10.0.0.61/24".into()),
        gw: Some("10.0.0.1".into()),
        ..IpConfig::default()
    };
    guest.spec.cloudinit.ipconfig.insert(0, ip);
    lab.profile("k3s", vec![guest]);
    assert_snapshot!(lab.apply());
}

#[test]
fn clone_on_local_storage_is_made_at_the_template_and_moved() {
    let mut lab = Lab::new();
    let mut guest = lab.guest("k3s", "w01");
    guest.origin = clone_of(LOCAL, CloneMode::Full);
    guest.placement = on("pve3");
    guest.spec.boot_disk = Some(20 * GIB);
    lab.profile("k3s", vec![guest]);
    assert_snapshot!(lab.apply());
    assert_eq!(lab.snapshot.guests[&1000].node, "pve3");
}

#[test]
fn local_disks_of_a_shared_template_are_made_at_the_template_and_moved() {
    let mut lab = Lab::new();
    let mut guest = lab.guest("k3s", "w01");
    guest.spec.storage = Some("local-lvm".into());
    guest.placement = on("pve2");
    lab.profile("k3s", vec![guest]);
    assert_snapshot!(lab.apply());
}

#[test]
fn a_local_template_to_shared_storage_is_moved_afterwards() {
    let mut lab = Lab::new();
    let mut guest = lab.guest("k3s", "w01");
    guest.origin = clone_of(LOCAL, CloneMode::Full);
    guest.spec.storage = Some("shared".into());
    guest.placement = on("pve2");
    lab.profile("k3s", vec![guest]);
    assert_snapshot!(lab.apply());
}

#[test]
fn linked_clones_where_they_can_be() {
    let mut lab = Lab::new();
    let mut guests = Vec::new();
    for (name, template, node) in
        [("w01", SHARED, "pve2"), ("w02", LOCAL, "pve1"), ("w03", LOCAL, "pve2")]
    {
        let mut guest = lab.guest("k3s", name);
        guest.origin = clone_of(template, CloneMode::Linked);
        guest.placement = on(node);
        guest.spec.storage = (name == "w01").then(|| "local-lvm".to_owned());
        guests.push(guest);
    }
    lab.profile("k3s", guests);
    assert_snapshot!(lab.apply());
}

#[test]
fn from_nothing_with_ovmf_and_cloud_init() {
    let mut lab = Lab::new();
    let mut guest = lab.guest("vm", "gitea");
    guest.group = String::new();
    guest.origin = Origin::Empty;
    guest.placement = on("pve2");
    let spec = &mut guest.spec;
    spec.storage = Some("local-lvm".into());
    spec.set("bios", "ovmf");
    spec.set_property("machine", "type", "q35");
    spec.set("scsihw", "virtio-scsi-single");
    spec.efidisk_pre_enrolled_keys = Some(true);
    spec.set_property("agent", "enabled", "1");
    spec.set("description", "git\n");
    let options = BTreeMap::from([
        ("ssd".to_owned(), "1".to_owned()),
        ("discard".to_owned(), "on".to_owned()),
    ]);
    let disk = Disk { size: Some(40 * GIB), options, ..Disk::default() };
    spec.disks.insert("scsi0".into(), disk);
    let data = Disk {
        size: Some(GIB / 2),
        storage: Some("shared".into()),
        format: Some("qcow2".into()),
        ..Disk::default()
    };
    spec.disks.insert("virtio1".into(), data);
    let net = Network { bridge: Some("vmbr0".into()), ..Network::default() };
    let net = net.with("firewall", "1");
    spec.networks.insert("net0".into(), net);
    spec.cloudinit.drive = true;
    spec.cloudinit.user = Some("debian".into());
    spec.cloudinit.ssh_keys = Some("ssh-ed25519 AAAA+b me@example\n".into());
    spec.cloudinit.nameservers = vec!["10.0.0.1".into(), "10.0.0.2".into()];
    lab.standalone(guest);
    assert_snapshot!(lab.apply());
    assert_eq!(lab.get(1000, "scsi1"), "local-lvm:vm-1000-cloudinit,media=cdrom,size=4M");
}

#[test]
fn a_clone_without_a_cloud_init_drive_gets_one() {
    let mut lab = Lab::new();
    let mut guest = lab.guest("k3s", "w01");
    guest.spec.cloudinit.drive = true;
    lab.profile("k3s", vec![guest]);
    assert_snapshot!(lab.apply());
}

#[test]
fn spread_pack_and_power() {
    let mut lab = Lab::new();
    let mut guests: Vec<_> = (1..=7).map(|n| lab.guest("k3s", &format!("w{n:02}"))).collect();
    for guest in &mut guests[4..] {
        guest.group = "packed".into();
        guest.placement = Placement::Pack;
        guest.spec.set("memory", "7168");
    }
    guests[1].power = Power::Stopped;
    guests[2].power = Power::Unmanaged;
    lab.profile("k3s", guests);
    lab.apply();
    let nodes: Vec<_> =
        (1000..1007).map(|v| &lab.snapshot.guests[&v]).map(|g| (&*g.node, g.running)).collect();
    let [a, b, c] = NODES;
    // 16 GiB a node; 4 are promised on pve1 and 2 on pve2, so that one of 7 fits there, and two here.
    assert_eq!(
        nodes,
        [(a, true), (b, false), (c, false), (a, true), (a, true), (b, true), (b, true)]
    );
}

#[test]
fn pack_with_unknown_memory_keeps_together() {
    let mut lab = Lab::new();
    for node in lab.snapshot.inventory.nodes.values_mut() {
        node.memory = 0;
    }
    let mut guests: Vec<_> = (1..=2).map(|n| lab.guest("k3s", &format!("w{n:02}"))).collect();
    guests.iter_mut().for_each(|g| g.placement = Placement::Pack);
    lab.profile("k3s", guests);
    lab.apply();
    assert_eq!(
        (&*lab.snapshot.guests[&1000].node, &*lab.snapshot.guests[&1001].node),
        ("pve1", "pve1")
    );
}

#[test]
fn spread_goes_around_an_offline_node() {
    let mut lab = Lab::new();
    lab.snapshot.inventory.nodes.get_mut("pve2").unwrap().online = false;
    let guests = (1..=3).map(|n| lab.guest("k3s", &format!("w{n:02}"))).collect();
    lab.profile("k3s", guests);
    assert_snapshot!(lab.apply());
}

#[test]
fn a_fixed_vmid_that_is_taken() {
    let mut lab = Lab::new();
    lab.live(1005, "pve3", true, &[("name", "precious")]);
    let mut guest = lab.guest("k3s", "w01");
    guest.vmid = VmidRequest::Fixed(1005);
    lab.profile("k3s", vec![guest]);
    assert_snapshot!(lab.apply());
}

#[test]
fn free_vmids_skip_the_taken_and_the_claimed() {
    let mut lab = Lab::new();
    lab.live(1000, "pve3", true, &[("name", "precious")]);
    let mut guests: Vec<_> = (1..=3).map(|n| lab.guest("k3s", &format!("w{n:02}"))).collect();
    guests[2].vmid = VmidRequest::Fixed(1002);
    lab.profile("k3s", guests);
    let mut other = lab.guest("vm", "gitea");
    other.vmid = VmidRequest::Fixed(1001);
    lab.standalone(other);
    lab.apply();
    let names: Vec<_> = (1000..=1004).map(|v| lab.get(v, "name")).collect();
    assert_eq!(names, ["precious", "gitea", "w03", "w01", "w02"]);
}

#[test]
fn a_range_that_is_full() {
    let mut lab = Lab::new();
    for vmid in 1000..=1008 {
        lab.live(vmid, "pve3", true, &[("name", "precious")]);
    }
    let guests = (1..=2).map(|n| lab.guest("k3s", &format!("w{n:02}"))).collect();
    lab.profile("k3s", guests);
    assert_snapshot!(lab.apply());
}

#[test]
fn nodes_that_cannot_be_used() {
    let mut lab = Lab::new();
    lab.snapshot.inventory.nodes.get_mut("pve2").unwrap().online = false;
    let mut guests: Vec<_> = (1..=2).map(|n| lab.guest("k3s", &format!("w{n:02}"))).collect();
    guests[0].placement = on("pve2");
    guests[1].placement = on("pve9");
    lab.profile("k3s", guests);
    assert_snapshot!(lab.apply());
}

#[test]
fn templates_that_cannot_be_used() {
    let mut lab = Lab::new();
    lab.live(300, "pve1", false, &[("name", "twice"), ("template", "1")]);
    lab.live(301, "pve2", false, &[("name", "twice"), ("template", "1")]);
    lab.live(302, "pve2", false, &[("name", "plain")]);
    let names = ["twice", "plain", "nothing"].map(|n| TemplateRef::Name(n.into()));
    let references = names.into_iter().chain([TemplateRef::Vmid(999)]);
    let guests = references.enumerate().map(|(n, template)| {
        let mut guest = lab.guest("k3s", &format!("w{n:02}"));
        guest.origin = Origin::Template { template, clone: CloneMode::Full };
        guest
    });
    let guests = guests.collect();
    lab.profile("k3s", guests);
    assert_snapshot!(lab.apply());
}

#[test]
fn a_template_by_name() {
    let mut lab = Lab::new();
    lab.live(302, "pve2", false, &[("name", "debian-13")]);
    let mut guest = lab.guest("k3s", "w01");
    let template = TemplateRef::Name("debian-13".into());
    guest.origin = Origin::Template { template, clone: CloneMode::Full };
    lab.profile("k3s", vec![guest]);
    assert!(lab.apply().contains("clone 100→1000"));
}

#[test]
fn a_template_on_an_offline_node() {
    let mut lab = Lab::new();
    lab.snapshot.inventory.nodes.get_mut("pve1").unwrap().online = false;
    let guest = lab.guest("k3s", "w01");
    lab.profile("k3s", vec![guest]);
    assert_snapshot!(lab.apply());
}

#[test]
fn storages_that_cannot_be_used() {
    let mut lab = Lab::new();
    lab.snapshot.inventory.storages.remove(&("pve3".to_owned(), "local-lvm".to_owned()));
    lab.snapshot
        .inventory
        .storages
        .get_mut(&("pve2".to_owned(), "shared".to_owned()))
        .unwrap()
        .content
        .clear();
    let mut guests: Vec<_> = (1..=5).map(|n| lab.guest("k3s", &format!("w{n:02}"))).collect();
    for guest in &mut guests {
        guest.placement = on("pve1");
    }
    guests[0].spec.storage = Some("nowhere".into());
    guests[1].spec.storage = Some("shared".into());
    guests[1].placement = on("pve2");
    // The template's own storage, on a node that does not have it.
    guests[2].origin = clone_of(LOCAL, CloneMode::Full);
    guests[2].placement = on("pve3");
    // Only a further disk is there.
    let disk = Disk { size: Some(GIB), storage: Some("nowhere".into()), ..Disk::default() };
    guests[3].spec.disks.insert("scsi1".into(), disk.clone());
    guests[4].origin = Origin::Empty;
    guests[4].spec.disks.insert("scsi0".into(), disk);
    lab.profile("k3s", guests);
    assert_snapshot!(lab.apply());
}

#[test]
fn a_disk_smaller_than_the_template() {
    let mut lab = Lab::new();
    let mut guest = lab.guest("k3s", "w01");
    guest.spec.boot_disk = Some(GIB);
    lab.profile("k3s", vec![guest]);
    assert_snapshot!(lab.apply());
}

#[test]
fn no_quorum_no_write() {
    let mut lab = Lab::new();
    lab.snapshot.inventory.quorate = false;
    let guest = lab.guest("k3s", "w01");
    lab.profile("k3s", vec![guest]);
    assert!(lab.apply().contains("× no-quorum: cluster lab has no quorum"));
}

#[test]
fn an_iso_on_local_storage_holds_its_template_back() {
    let mut lab = Lab::new();
    lab.config(SHARED, "ide2", "local:iso/tools.iso,media=cdrom,size=1M");
    let mut here = lab.guest("k3s", "w01");
    here.placement = on("pve1");
    let mut away = lab.guest("k3s", "w02");
    away.placement = on("pve2");
    lab.profile("k3s", vec![here, away]);
    let text = lab.apply();
    assert!(text.contains("clone 100→1000"), "{text}");
    assert!(text.contains("× local-iso: template 100 has an ISO"), "{text}");
    assert!(!text.contains("1001"), "{text}");
}

#[test]
fn a_disk_that_is_no_base_volume_cannot_be_linked() {
    let mut lab = Lab::new();
    lab.config(SHARED, "scsi0", "shared:vm-100-disk-0,size=3G");
    let mut guest = lab.guest("k3s", "w01");
    guest.origin = clone_of(SHARED, CloneMode::Linked);
    lab.profile("k3s", vec![guest]);
    let text = lab.apply();
    assert!(text.contains("full-clone: k3s/w01 is cloned in full: not every disk"), "{text}");
    assert!(text.contains("full"), "{text}");
}

/// The cloud-init drive is copied in any case: it holds a linked clone only off `target`.
#[test]
fn a_local_cloudinit_drive_does_not_forbid_a_linked_clone() {
    let mut lab = Lab::new();
    lab.config(SHARED, "scsi1", "local-lvm:vm-100-cloudinit,media=cdrom");
    let mut guest = lab.guest("k3s", "w01");
    guest.origin = clone_of(SHARED, CloneMode::Linked);
    guest.placement = on("pve2");
    lab.profile("k3s", vec![guest]);
    let text = lab.apply();
    assert!(!text.contains("full"), "{text}");
    assert!(text.contains("migrate"), "{text}");
}

#[test]
fn more_vcpus_than_the_node_has() {
    let mut lab = Lab::new();
    for node in lab.snapshot.inventory.nodes.values_mut() {
        node.cpus = 2;
    }
    let mut guest = lab.guest("k3s", "w01");
    guest.spec.set("cores", "4");
    lab.profile("k3s", vec![guest]);
    let text = lab.apply();
    assert!(text.contains("× too-many-cpus: k3s/w01 wants 4 vCPUs, node pve1 has 2"), "{text}");
}
