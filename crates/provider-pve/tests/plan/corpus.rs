//! Configurations as Proxmox returns them: those of the recordings, and every other spelling of
//! their values that Proxmox takes for the same. Against the document that says the same in
//! pvx's words there is nothing to do, and nothing to say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use pvx_core::document::{LoadOptions, load};
use pvx_core::live::{self, Guest};
use pvx_core::provider::{GuestKind, Wanted};
use pvx_core::schema::{self, KEYS, Shape};
use pvx_provider_pve::codec::{Drive, Nic, decode_ssh_keys};
use pvx_provider_pve::guest::Qemu;
use serde_json::Value;

type Config = BTreeMap<String, String>;

/// All guest configurations in the answers of the recordings, each once.
fn recorded() -> BTreeSet<Config> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim/tests/recordings");
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        collect(&serde_json::from_str(&text).unwrap(), &mut found);
    }
    found
}

fn collect(value: &Value, found: &mut BTreeSet<Config>) {
    match value {
        Value::Object(map) => {
            let stored = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
            if map.contains_key("digest") && map.contains_key("smbios1") {
                found.insert(map.iter().map(|(k, v)| (k.clone(), stored(v))).collect());
            }
            map.values().for_each(|v| collect(v, found));
        }
        Value::Array(items) => items.iter().for_each(|v| collect(v, found)),
        _ => {}
    }
}

/// Configurations with every key of the table, in the spelling that a document's example has.
fn from_the_table() -> Vec<Config> {
    let mut all = Vec::new();
    for example in 0..2 {
        for key in KEYS {
            let name = if key.slots == 0 { key.name.to_owned() } else { format!("{}0", key.name) };
            let text =
                format!("kind: vm\nname: vm\nvmid: 1000\n{name}: {}\n", key.examples[example]);
            let said = wanted_set(&text);
            all.push(said);
        }
    }
    all
}

/// Keys of the table that the recordings do not have, as the sources print them.
fn written_out() -> Vec<Config> {
    let all: [&[(&str, &str)]; 4] = [
        &[
            ("bios", "ovmf"),
            ("efidisk0", "vmdata:1000/vm-1000-disk-0.raw,efitype=4m,pre-enrolled-keys=1,size=528K"),
            ("tpmstate0", "vmdata:1000/vm-1000-disk-1.raw,size=4M,version=v2.0"),
            ("machine", "pc-q35-9.2+pve1,viommu=intel"),
        ],
        &[
            ("sata0", "vmdata:1000/vm-1000-disk-0.raw,backup=0,cache=writeback,size=40M"),
            ("ide0", "none,media=cdrom"),
            ("virtio3", "vmdata:1000/vm-1000-disk-2.raw,iops_rd=100,mbps=10.5,replicate=0,size=1G"),
        ],
        &[
            ("net0", "e1000=BC:24:11:00:00:01,bridge=vmbr0,link_down=1,rate=12.5,trunks=10;20-30"),
            ("net7", "virtio=BC:24:11:00:00:02,bridge=vnet1,firewall=1,mtu=1,queues=4,tag=20"),
            ("ciupgrade", "0"),
            ("citype", "nocloud"),
            ("ide2", "vmdata:1000/vm-1000-cloudinit.qcow2,media=cdrom"),
        ],
        &[
            ("hotplug", "network,disk,cpu"),
            ("startup", "order=2,up=30,down=60"),
            ("boot", "order=scsi0;net0"),
        ],
    ];
    let config = |keys: &[(&str, &str)]| {
        keys.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    all.into_iter().map(config).collect()
}

/// What is written for a guest of this document that has nothing.
fn wanted_set(text: &str) -> Config {
    let (spec, identity) = spec_of(text);
    let nothing = BTreeSet::new();
    let wanted = Wanted { name: "vm", identity, spec: &spec, managed_before: &nothing };
    let comparison = Qemu.compare(&wanted, &Guest::default());
    comparison.set.into_iter().chain(comparison.set_as_root).collect()
}

fn spec_of(text: &str) -> (pvx_core::desired::GuestSpec, uuid::Uuid) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vm.yaml");
    std::fs::write(&path, text).unwrap();
    let options = LoadOptions {
        paths: vec![path],
        working_dir: folder.path().to_owned(),
        ..LoadOptions::default()
    };
    let loaded = load(&options);
    assert!(loaded.diagnostics.is_empty(), "{text}\n{:#?}", loaded.diagnostics);
    let guest = loaded.desired.guests().next().unwrap();
    let key = loaded.desired.profiles[0].key().to_owned();
    (guest.spec.clone(), live::identity("lab", &key, guest.address.guest()))
}

/// The document that says what a configuration says.
fn document(config: &Config) -> String {
    let mut text = "kind: vm\nname: vm\n".to_owned();
    let mut sections: BTreeMap<&str, String> = BTreeMap::new();
    for (key, value) in config {
        if let Some(known) = schema::key(key) {
            let quoted = serde_json::to_string(value).unwrap();
            let plain = matches!(
                known.shape,
                Shape::Boolean | Shape::Integer(..) | Shape::Decimal(..) | Shape::Mebibytes(..)
            );
            // `agent: 1` is a number for YAML.
            let plain = plain || value.parse::<u64>().is_ok();
            let value = if plain { value } else { &quoted };
            writeln!(text, "{key}: {value}").unwrap();
        } else if key.starts_with("net") && Nic::parse(value).is_ok() {
            sections.entry("networks").or_default().push_str(&network(key, value));
        } else if let Some(line) = disk(key, value) {
            sections.entry("disks").or_default().push_str(&line);
        } else if let Some(line) = cdrom(key, value) {
            sections.entry("cdroms").or_default().push_str(&line);
        } else if matches!(key.as_str(), "efidisk0" | "tpmstate0") {
            sections.entry(key).or_default().push_str(&firmware(value));
        } else if let Some(line) = cloudinit(key, value) {
            sections.entry("cloudinit").or_default().push_str(&line);
        } else if key == "tags" {
            let tags = value.split([';', ',']).filter(|tag| !tag.starts_with("pvx-"));
            writeln!(text, "tags: [{}]", tags.collect::<Vec<_>>().join(", ")).unwrap();
        }
    }
    for (section, lines) in sections {
        writeln!(text, "{section}:\n{lines}").unwrap();
    }
    text
}

fn network(key: &str, value: &str) -> String {
    let nic = Nic::parse(value).unwrap();
    let mut line = format!("  {key}:\n");
    for (name, value) in nic.properties().iter().filter(|(name, _)| *name != nic.model()) {
        if name != "model" && name != "macaddr" {
            writeln!(line, "    {name}: {value}").unwrap();
        }
    }
    if let Some(mac) = nic.macaddr() {
        writeln!(line, "    mac: {mac}").unwrap();
    }
    // A document need not name the model.
    line
}

fn disk(key: &str, value: &str) -> Option<String> {
    let bus = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let drive = Drive::parse(value).ok().filter(|drive| !drive.is_cdrom())?;
    if !matches!(bus, "scsi" | "virtio" | "sata" | "ide") {
        return None;
    }
    let mut line = format!("  {key}:\n    storage: {}\n", drive.storage()?);
    for (name, value) in drive.properties().iter().filter(|(n, _)| *n != "file" && *n != "volume") {
        writeln!(line, "    {name}: {value}").unwrap();
    }
    Some(line)
}

/// A CD-ROM drive; one of cloud-init is a matter of `cloudinit`.
fn cdrom(key: &str, value: &str) -> Option<String> {
    let drive = Drive::parse(value).ok().filter(|d| d.is_cdrom() && !d.is_cloudinit())?;
    Some(format!("  {key}: {}\n", drive.file()))
}

fn firmware(value: &str) -> String {
    let drive = Drive::parse(value).unwrap();
    let properties = drive.properties().iter();
    let properties = properties.filter(|(name, _)| !matches!(*name, "file" | "volume" | "size"));
    let lines = properties.map(|(name, value)| format!("  {name}: {value}\n"));
    lines.chain([format!("  storage: {}\n", drive.storage().unwrap())]).collect()
}

fn cloudinit(key: &str, value: &str) -> Option<String> {
    Some(match key {
        "ciuser" => format!("  user: {value}\n"),
        "nameserver" => format!("  nameservers: [{}]\n", value.replace(' ', ", ")),
        "searchdomain" => format!("  searchdomain: {value}\n"),
        "sshkeys" => format!("  ssh_keys: {:?}\n", decode_ssh_keys(value)),
        "cicustom" => format!("  cicustom: {{ {} }}\n", value.replace('=', ": ")),
        "citype" => format!("  type: {value}\n"),
        "ciupgrade" => format!("  upgrade: {value}\n"),
        "ipconfig0" => format!("  ipconfig: {{ 0: {{ {} }} }}\n", value.replace('=', ": ")),
        _ => return None,
    })
}

/// Other spellings of a value that Proxmox takes for the same.
fn spellings(key: &str, value: &str) -> Vec<String> {
    let mut found = Vec::new();
    let parts: Vec<&str> = value.split(',').collect();
    let properties = value.contains('=') && !matches!(key, "description" | "smbios1" | "args");
    if properties && parts.len() > 1 {
        found.push(parts.iter().rev().copied().collect::<Vec<_>>().join(","));
    }
    if properties {
        for word in ["on", "yes", "true"] {
            found.push(spelled(key, &parts, word));
        }
        found.push(value.replace("size=1G", "size=1024M"));
        found.push(value.replace("size=40M", "size=40960K"));
    }
    match schema::key(key).map(|k| k.shape) {
        Some(Shape::Boolean) if value == "1" => {
            found.extend(["on", "yes", "true"].map(str::to_owned));
        }
        Some(Shape::Boolean) if value == "0" => found.extend(["off", "no"].map(str::to_owned)),
        Some(Shape::Integer(..)) => found.push(format!("0{value}")),
        Some(Shape::Mebibytes(..)) if key == "memory" => found.push(format!("current={value}")),
        _ => {}
    }
    if key.starts_with("net") && key != "nameserver" {
        found.push(value.to_ascii_lowercase());
        if let Some((model, rest)) = value.split_once('=') {
            found.push(format!("model={model},macaddr={rest}"));
        }
    }
    match key {
        "tags" => {
            let tags: Vec<&str> = value.split(';').rev().collect();
            found.extend([tags.join(";"), tags.join(","), value.to_ascii_uppercase()]);
        }
        "description" => found.push(format!("{value}\n")),
        "agent" if value == "1" => {
            found.extend(["enabled=1", "enabled=on", "1,type=virtio"].map(str::to_owned));
        }
        "sshkeys" => found.push(format!("{value}%0A")),
        _ => {}
    }
    found.retain(|spelling| spelling != value);
    found.sort();
    found.dedup();
    found
}

/// The same with another word for 1 wherever 1 is a switch.
fn spelled(key: &str, parts: &[&str], word: &str) -> String {
    let own = schema::key(key).map(schema::Key::properties).unwrap_or_default();
    let all = own.iter().chain(schema::DRIVE.properties).chain(schema::NIC.properties);
    let switches: Vec<&str> =
        all.filter(|p| matches!(p.shape, Shape::Boolean)).map(|p| p.name).collect();
    let part = |part: &&str| match part.split_once('=') {
        Some((name, "1")) if switches.contains(&name) => format!("{name}={word}"),
        _ => (*part).to_owned(),
    };
    parts.iter().map(part).collect::<Vec<_>>().join(",")
}

/// The live guest with this configuration and pvx's own marks.
fn guest(config: &Config, identity: uuid::Uuid) -> Guest {
    let mut config = config.clone();
    config.insert("name".to_owned(), "vm".to_owned());
    config.insert("smbios1".to_owned(), format!("uuid={identity}"));
    let tags = config.get("tags").cloned().unwrap_or_default();
    config.insert("tags".to_owned(), format!("{tags};pvx-vm.vm"));
    config.remove("template");
    Guest { vmid: 1000, node: "pve1".to_owned(), config, ..Guest::default() }
}

fn differences(text: &str, config: &Config) -> Vec<String> {
    let (spec, identity) = spec_of(text);
    let nothing = BTreeSet::new();
    let wanted = Wanted { name: "vm", identity, spec: &spec, managed_before: &nothing };
    let comparison = Qemu.compare(&wanted, &guest(config, identity));
    let attributes = comparison.attributes.iter();
    let attributes = attributes.map(|a| format!("{} {:?} → {:?}", a.path, a.before, a.after));
    let findings = comparison.findings.iter().map(|finding| finding.message.clone());
    attributes.chain(findings).collect()
}

#[test]
fn what_proxmox_returns_is_no_difference() {
    let recorded = recorded();
    assert!(recorded.len() > 20, "{} recorded configurations", recorded.len());
    let mut wrong = Vec::new();
    let mut spelled = 0;
    for config in recorded.into_iter().chain(from_the_table()).chain(written_out()) {
        let text = document(&config);
        let same = differences(&text, &config);
        wrong.extend(same.into_iter().map(|line| format!("as stored: {line}\n{text}")));
        for (key, value) in &config {
            for spelling in spellings(key, value) {
                spelled += 1;
                let mut other = config.clone();
                other.insert(key.clone(), spelling.clone());
                let found = differences(&text, &other);
                wrong.extend(found.into_iter().map(|line| format!("{key}: {spelling}: {line}")));
            }
        }
    }
    assert!(spelled > 200, "{spelled} spellings");
    assert!(wrong.is_empty(), "{} differences\n{}", wrong.len(), wrong.join("\n"));
}
