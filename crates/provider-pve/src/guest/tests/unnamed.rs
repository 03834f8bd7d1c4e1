//! Options on the disks of a clone that is not made yet.

use std::collections::BTreeMap;

use pvx_core::desired::Disk;
use pvx_core::provider::{ErrorClass, GuestKind};

use super::{Qemu, compare, live, spec};
use crate::guest::unnamed;

fn planned() -> BTreeMap<String, String> {
    let template =
        live(&[("template", "1"), ("scsi0", "shared:base-100-disk-0,discard=on,size=3G")]);
    let clone = Qemu.clone_of(&template, "w01", "note", None);
    let options = BTreeMap::from([("ssd".to_owned(), "1".to_owned())]);
    let disk = Disk { options, storage: Some("fast".into()), ..Disk::default() };
    let comparison = compare(&spec(|s| drop(s.disks.insert("scsi0".into(), disk))), &[], &clone);
    assert_eq!(comparison.findings, [], "which storage it comes to is the clone's affair");
    comparison.set
}

#[test]
fn the_template_s_volume_is_never_written_into_its_clone() {
    let set = planned();
    assert_eq!(set["scsi0"], "shared:<volume of the clone>,discard=on,size=3G,ssd=1");
    assert!(unnamed::any(&set));
    assert!(!unnamed::any(&BTreeMap::from([("scsi0".to_owned(), "shared:1".to_owned())])));
}

#[test]
fn the_name_is_put_in_and_all_else_stays() {
    let guest = live(&[("scsi0", "fast:vm-1000-disk-0,size=20G,backup=0")]);
    let set = unnamed::named(&planned(), &guest).unwrap();
    assert_eq!(set["scsi0"], "fast:vm-1000-disk-0,size=20G,backup=0,discard=on,ssd=1");
    assert_eq!(set["smbios1"], planned()["smbios1"]);
    assert!(!unnamed::any(&set));
}

#[test]
fn a_guest_without_that_disk_is_not_the_clone() {
    for config in [&[][..], &[("scsi0", "none,media=cdrom")], &[("virtio0", "a:b")]] {
        let error = unnamed::named(&planned(), &live(config)).unwrap_err();
        assert_eq!(error.class, ErrorClass::Changed);
    }
}
