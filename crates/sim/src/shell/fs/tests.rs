use super::*;

const NOW: i64 = 1_795_000_000;

fn bytes(text: &str) -> Body {
    Body::Bytes(Bytes::from(text.as_bytes().to_vec()))
}

fn text(fs: &Fs<'_>, path: &str) -> String {
    String::from_utf8(fs.read(path).unwrap().0.to_vec()).unwrap()
}

#[test]
fn paths_are_made_normal() {
    for (path, wanted) in [("a", "/root/a"), ("/a//b/../c/.", "/a/c"), ("../..", "/"), ("/", "/")] {
        assert_eq!(normal("/root", path), wanted, "{path}");
    }
}

#[test]
fn a_file_in_a_storage_is_a_volume() {
    let mut world = World::truth();
    let mut fs = Fs { world: &mut world, node: "pve1", now: NOW, umask: UMASK };
    fs.write("/var/lib/vz/snippets/user.yaml", bytes("#cloud-config\n")).unwrap();
    fs.write("/var/lib/vz/snippets/sub", bytes("x")).unwrap();
    assert_eq!(fs.list("/var/lib/vz/snippets").unwrap(), ["sub", "user.yaml"]);
    assert_eq!(text(&fs, "/var/lib/vz/snippets/user.yaml"), "#cloud-config\n");
    assert_eq!(
        fs.world.volume("pve1", "local:snippets/user.yaml").unwrap().text.as_deref(),
        Some("#cloud-config\n")
    );
    // A name that is none of the kind is a file and no volume.
    fs.write("/var/lib/vz/import/disk.txt", bytes("x")).unwrap();
    assert!(fs.world.volumes_on("local", "pve1").all(|(name, _)| !name.contains("disk.txt")));
    assert!(fs.list("/var/lib/vz/import").unwrap().contains(&"disk.txt".to_owned()));
    fs.remove("/var/lib/vz/snippets/user.yaml").unwrap();
    assert!(fs.world.volume("pve1", "local:snippets/user.yaml").is_none());
}

#[test]
fn images_are_told_by_their_header() {
    let mut world = World::truth();
    let mut fs = Fs { world: &mut world, node: "pve1", now: NOW, umask: UMASK };
    let header = Body::Bytes(Bytes::from(image::empty_qcow2(5 << 30)));
    fs.write("/tmp/cloud.img", header).unwrap();
    let found = fs.image("/tmp/cloud.img").unwrap();
    assert_eq!((found.format.as_str(), found.size, found.bootable), ("qcow2", 5 << 30, false));
    fs.copy("/tmp/cloud.img", "/var/lib/vz/import/cloud.qcow2").unwrap();
    assert_eq!(fs.world.volume("pve1", "local:import/cloud.qcow2").unwrap().size, 5 << 30);
    // Of an image that is in the world from the start, only the outside is known.
    assert_eq!(fs.image("/var/lib/vz/import/truth.qcow2").unwrap().size, 1 << 30);
    fs.copy("/var/lib/vz/import/truth-guest.qcow2", "/tmp/guest.img").unwrap();
    assert!(fs.image("/tmp/guest.img").unwrap().bootable);
}

#[test]
fn shared_storage_is_seen_by_all_nodes() {
    let mut world = World::truth();
    for node in ["pve1", "pve2"] {
        let mut fs = Fs { world: &mut world, node, now: NOW, umask: UMASK };
        let path = format!("/mnt/shared/snippets/{node}");
        fs.write(&path, bytes("x")).unwrap();
        fs.write(&format!("/mnt/shared/{node}.txt"), bytes("x")).unwrap();
        fs.write(&format!("/tmp/{node}"), bytes("x")).unwrap();
    }
    let fs = Fs { world: &mut world, node: "pve1", now: NOW, umask: UMASK };
    assert_eq!(fs.list("/mnt/shared/snippets").unwrap(), ["pve1", "pve2"]);
    assert!(fs.exists("/mnt/shared/pve2.txt") && !fs.exists("/tmp/pve2"));
}

#[test]
fn the_configuration_of_a_guest_can_be_moved_and_written() {
    let mut world = World::truth();
    let mut fs = Fs { world: &mut world, node: "pve1", now: NOW, umask: UMASK };
    fs.write("/etc/pve/qemu-server/100.conf", bytes("cores: 2\nname: a\n#note\n")).unwrap();
    assert_eq!(text(&fs, "/etc/pve/local/qemu-server/100.conf"), "#note\ncores: 2\nname: a\n");
    assert_eq!(
        fs.write("/etc/pve/qemu-server/100.conf", bytes("cores: 2\n[snap]\nx\n")),
        Err(Errno::Invalid)
    );
    let to = "/etc/pve/nodes/pve2/qemu-server/100.conf";
    fs.rename("/etc/pve/qemu-server/100.conf", to).unwrap();
    assert_eq!(fs.world.guest(100).unwrap().node, "pve2");
    assert_eq!(fs.write("/etc/pve/storage.cfg", bytes("x")), Err(Errno::Denied));
    fs.remove(to).unwrap();
    assert!(fs.world.guest(100).is_none());
}

#[test]
fn refusals_are_those_of_system_calls() {
    let mut world = World::truth();
    let mut fs = Fs { world: &mut world, node: "pve1", now: NOW, umask: UMASK };
    assert_eq!(fs.read("/tmp"), Err(Errno::IsFolder));
    assert_eq!(fs.read("/none"), Err(Errno::NoEntry));
    assert_eq!(fs.write("/none/x", bytes("")), Err(Errno::NoEntry));
    assert_eq!(fs.write("/etc/hostname/x", bytes("")), Err(Errno::NotFolder));
    assert_eq!(fs.make_folder("/tmp"), Err(Errno::Exists));
    fs.make_folder("/tmp/a").unwrap();
    fs.write("/tmp/a/b", bytes("1")).unwrap();
    assert_eq!(fs.remove_folder("/tmp/a"), Err(Errno::NotEmpty));
    fs.rename("/tmp/a", "/tmp/c").unwrap();
    assert_eq!(text(&fs, "/tmp/c/b"), "1");
    assert!(!fs.exists("/tmp/a"));
}
