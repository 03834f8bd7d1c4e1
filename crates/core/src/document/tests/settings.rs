//! The keys of the schema's table: every example is taken, and every slip is told.

use std::collections::BTreeMap;

use super::lab::Lab;
use crate::desired::Setting;
use crate::diagnostic::has_errors;
use crate::schema::KEYS;

fn load(keys: &str) -> (Lab, crate::document::Loaded) {
    let lab = Lab::bare();
    lab.write("vm.yaml", format!("kind: vm\nname: db\n{keys}"));
    let loaded = lab.load(&["vm.yaml"]);
    (lab, loaded)
}

fn settings(keys: &str) -> BTreeMap<String, Setting> {
    let (lab, loaded) = load(keys);
    assert!(!has_errors(&loaded.diagnostics), "{keys}{}", lab.render(&loaded));
    loaded.desired.guests().next().unwrap().spec.settings.clone()
}

#[test]
fn every_example_is_taken() {
    for key in KEYS {
        let name = if key.slots == 0 { key.name.to_owned() } else { format!("{}0", key.name) };
        let [first, second] = key.examples.map(|e| settings(&format!("{name}: {e}\n")));
        assert!(first.contains_key(&name) && second.contains_key(&name), "{name}");
        assert_ne!(first, second, "{name}");
    }
}

/// What a document says, as Proxmox spells it.
#[test]
fn in_the_spelling_of_proxmox() {
    let table = [
        ("cores: 4", "4"),
        ("memory: 4G", "4096"),
        ("balloon: 0", "0"),
        ("onboot: yes", "1"),
        ("cpulimit: 1.5", "1.5"),
        ("cpu: host", "cputype=host"),
        ("cpu: 'host,flags=+aes;-pcid,hidden=1'", "cputype=host flags=+aes;-pcid hidden=1"),
        ("cpu: {cputype: host, flags: [+aes, -pcid]}", "cputype=host flags=+aes;-pcid"),
        ("agent: on", "enabled=1"),
        ("agent: '1,fstrim_cloned_disks=1'", "enabled=1 fstrim_cloned_disks=1"),
        ("boot: [scsi0, net0]", "order=scsi0;net0"),
        ("boot: 'order=scsi0;net0'", "order=scsi0;net0"),
        ("startup: 2", "order=2"),
        ("startup: {order: 2, up: 30}", "order=2 up=30"),
        ("hotplug: true", "1"),
        ("hotplug: []", "0"),
        ("hotplug: [network, disk]", "network,disk"),
        ("hotplug: 'network,disk'", "network,disk"),
        ("affinity: 0-3", "0-3"),
        ("affinity: [0, 2]", "0,2"),
        (
            "numa0: {cpus: 0-1, memory: 1024, hostnodes: 0, policy: bind}",
            "cpus=0-1 hostnodes=0 memory=1024 policy=bind",
        ),
        ("hugepages: 2", "2"),
        ("vga: serial0", "type=serial0"),
        ("rng0: /dev/urandom", "source=/dev/urandom"),
        ("usb3: {mapping: stick, usb3: yes}", "mapping=stick usb3=1"),
        ("description: \"a\\nb \\n\"", "a\nb"),
    ];
    for (said, expected) in table {
        let found: Vec<String> = settings(&format!("{said}\n"))
            .into_values()
            .map(|setting| match setting {
                Setting::Value(value) => value,
                Setting::Properties(all) => {
                    all.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")
                }
            })
            .collect();
        assert_eq!(found, [expected], "{said}");
    }
}

#[test]
fn slips() {
    let (lab, loaded) = load(
        "cores: 0
memory: 8M
cpulimit: 200
onboot: maybe
ostype: l27
hotplug: [network, discs]
cpu: {cputype: host, flag: [+aes]}
agent: 'enabled=1,fstrim=1'
vga: {memory: 64, type: serial9}
audio0: {driver: spice}
audio1: {device: AC97}
usb14: spice
rng0: {max_bytes: 1024}
startup: 'order=1,order=2'
ivshmem: 32
args: \"a\\nb\"
numa0: {cpus: 'a b'}
",
    );
    insta::assert_snapshot!(lab.render(&loaded));
}

#[test]
fn slips_in_raw() {
    let (lab, loaded) = load(
        "raw:
  cores: 4
  net0.future: 'a,b'
  cipassword: secret
  smbios1.uuid: 1
  smbios1.serial: MTIz
  'a b': 1
  intel-tdx: \"\"
",
    );
    insta::assert_snapshot!(lab.render(&loaded));
}

#[test]
fn slips_of_drive_options() {
    let (lab, loaded) = load(
        "disks:
  scsi0: {size: 1G, storage: a, ssd: maybe, queues: 999, cache: true, mbps: fast, iops: -1}
  scsi1: {size: 1G, storage: a, ssd: 'on', queues: 4, discard: true, mbps: 10.5, backup: 0}
",
    );
    insta::assert_snapshot!(lab.render(&loaded));
}
