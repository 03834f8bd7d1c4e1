//! Layers, includes, variables, placeholders and counts: what guests become.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::lab::{CONFIG, Lab};
use crate::desired::{ApplyChanges, Guest, OnFailure, Placement, VmidRequest};
use crate::diagnostic::has_errors;
use crate::document::{Given, Loaded, load};

/// A profile with values from all layers.
pub(super) const LAYERED: &str = "\
name: web
type: generic
template: 101
tags: [web]
include: parts/server.yaml
variables:
  memory: {type: number, default: 4096}
  site: lab
defaults:
  description: \"{name} of {cluster} in {var.site}\"
network: {gateway: 10.0.0.1}
nodes:
  controlplane:
    count: 2
    start_vmid: 1000
    start_ip: 10.0.0.61/24
    cpu: host
  workers:
    for_each:
      blue:
      green: {cores: 8, disks: {scsi1: 20G}, networks: {net1: }, node: pve02}
    memory: \"{var.memory}\"
    start_vmid: 1010
    tags: [\"on-{each}\"]
";

pub(super) const SERVER: &str = "\
cores: 2
memory: 2048
disks: {scsi1: {size: 10G, ssd: true}}
networks: {net1: vmbr1}
tags: [server]
";

fn layered() -> Lab {
    let lab = Lab::new();
    lab.write("clusters/web.yaml", LAYERED).write("clusters/parts/server.yaml", SERVER);
    lab
}

fn good(loaded: &Loaded, lab: &Lab) {
    assert!(loaded.diagnostics.is_empty(), "{}", lab.render(loaded));
}

fn guest<'l>(loaded: &'l Loaded, address: &str) -> &'l Guest {
    loaded.desired.guests().find(|guest| guest.address.to_string() == address).unwrap()
}

pub(super) fn given(flags: &[(&str, &str)], files: &[&str], environment: &[(&str, &str)]) -> Given {
    let secret = |(name, value): &(&str, &str)| ((*name).to_owned(), SecretString::from(*value));
    Given {
        flags: flags.iter().map(secret).collect(),
        files: files.iter().map(Into::into).collect(),
        environment: environment.iter().map(secret).collect::<BTreeMap<_, _>>(),
    }
}

/// A table of paths, values and where they are from.
pub(super) fn explained(lab: &Lab, address: &str, variables: Given) -> String {
    let mut options = lab.options(&["."]);
    options.explain = Some(address.parse().unwrap());
    options.variables = variables;
    let loaded = load(&options);
    good(&loaded, lab);
    let explanation = loaded.explanation.unwrap();
    let mut text = String::new();
    for value in explanation.values {
        let at = value.at.map(|span| loaded.sources.position(span).to_string());
        text += &format!(
            "{} = {} | {} {}\n",
            value.path,
            value.value,
            value.layer,
            at.unwrap_or_default()
        );
        for through in value.through {
            let at = through.at.map(|span| loaded.sources.position(span).to_string());
            text += &format!(
                "    var.{} = {:?} | {} {}\n",
                through.name,
                through.value,
                through.from,
                at.unwrap_or_default()
            );
        }
    }
    text
}

#[test]
fn a_guest_of_five_layers_is_explained() {
    insta::assert_snapshot!(explained(&layered(), "web/worker-green", Given::default()));
}

#[test]
fn a_counted_guest_is_explained() {
    let lab = layered();
    // Wherever it lies, a file of variables is no document.
    lab.write("prod.yaml", "# production\nmemory: 8192\nsite: prod\n");
    let variables = given(&[("memory", "1024")], &["prod.yaml"], &[("PVX_VAR_SITE", "x")]);
    insta::assert_snapshot!(explained(&lab, "web/cp02", variables));
}

#[test]
fn layers_become_one_guest() {
    let lab = layered();
    let loaded = lab.load(&["clusters"]);
    good(&loaded, &lab);
    let green = guest(&loaded, "web/worker-green");
    assert_eq!(green.vmid, VmidRequest::Fixed(1011));
    assert_eq!(green.placement, Placement::Node("pve02".to_owned()));
    assert_eq!(green.spec.disks["scsi1"].size, Some(20 << 30));
    assert_eq!(green.spec.disks["scsi1"].options["ssd"], "1");
    assert_eq!(green.spec.networks.keys().collect::<Vec<_>>(), ["net0"], "net1 is taken away");
    let tags: Vec<_> = green.spec.tags.iter().map(String::as_str).collect();
    assert_eq!(tags, ["on-green", "pvx-web", "server", "web", "worker"]);
    let second = guest(&loaded, "web/cp02");
    assert_eq!(second.spec.cloudinit.ipconfig[&0].ip.as_deref(), Some("10.0.0.62/24"));
    assert_eq!(second.spec.cloudinit.ipconfig[&0].gw.as_deref(), Some("10.0.0.1"));
    assert_eq!(second.spec.networks["net1"].bridge.as_deref(), Some("vmbr1"));
}

/// Names and identities do not change when items of `for_each` change places.
#[test]
fn items_may_change_places() {
    let lab = layered();
    let before = lab.load(&["clusters"]);
    let swapped = LAYERED.replace(
        "      blue:\n      green: {cores: 8, disks: {scsi1: 20G}, networks: {net1: }, node: pve02}\n",
        "      green: {cores: 8, disks: {scsi1: 20G}, networks: {net1: }, node: pve02}\n      blue:\n",
    );
    assert_ne!(swapped, LAYERED);
    lab.write("clusters/web.yaml", swapped);
    let after = lab.load(&["clusters"]);
    good(&after, &lab);
    for name in ["web/worker-blue", "web/worker-green"] {
        assert_eq!(guest(&before, name).spec, guest(&after, name).spec);
    }
}

#[test]
fn values_are_taken_in_order() {
    let lab = Lab::new();
    lab.write("vm.yaml", "name: a\ncores: \"{var.n}\"\nvariables: {n: 1}\n");
    lab.write("one.vars", "n: 2\n").write("two.vars", "n: 3\n");
    let cores = |variables: Given| {
        let mut options = lab.options(&["vm.yaml"]);
        options.variables = variables;
        let loaded = load(&options);
        good(&loaded, &lab);
        guest(&loaded, "vm/a").spec.text("cores").unwrap().to_owned()
    };
    let environment = [("PVX_VAR_N", "4")];
    assert_eq!(cores(given(&[], &[], &[])), "1");
    assert_eq!(cores(given(&[], &[], &environment)), "4");
    assert_eq!(cores(given(&[], &["one.vars"], &environment)), "2");
    assert_eq!(cores(given(&[], &["one.vars", "two.vars"], &environment)), "3");
    assert_eq!(cores(given(&[("n", "5")], &["one.vars"], &environment)), "5");
    assert_eq!(cores(given(&[("n", "5"), ("n", "6")], &[], &[])), "6");
}

#[test]
fn variables_keep_their_types_and_documents_have_their_own() {
    let lab = Lab::new();
    lab.write("cluster-config.yaml", format!("{CONFIG}variables: {{tags: [a, b], who: config}}\n"));
    lab.write(
        "vms/a.yaml",
        "name: a\ntags: \"{var.tags}\"\nonboot: \"{var.boot}\"\ndescription: \"{var.who} {{who}}\"\n\
         variables:\n  who: a\n  boot: {type: bool, default: true}\n  nothing: {required: false}\n\
         machine: \"{var.nothing}\"\n",
    );
    lab.write("vms/b.yaml", "name: b\ndescription: \"{var.who}\"\n");
    let loaded = lab.load(&["vms"]);
    good(&loaded, &lab);
    let tags: Vec<_> = guest(&loaded, "vm/a").spec.tags.iter().map(String::as_str).collect();
    assert_eq!(tags, ["a", "b", "pvx-vm.a"]);
    let spec = format!("{:?}", guest(&loaded, "vm/a").spec);
    assert!(spec.contains("a {who}"), "{spec}");
    assert!(format!("{:?}", guest(&loaded, "vm/b").spec).contains("config"));
}

#[test]
fn a_standalone_document_makes_several() {
    let lab = Lab::new();
    lab.write(
        "vms/web.yaml",
        "name: web{index:02}\ncount: 3\nstart_vmid: 2000\nstart_ip: 10.0.0.71/24\n\
         gateway: 10.0.0.1\ncores: 1\ndisk: 4\ndescription: \"{name} {vmid}\"\n\
         depends_on: [\"vm/db-{index}\"]\n",
    );
    lab.write(
        "vms/db.yaml",
        "name: db-{each}\nfor_each: {1: {memory: 4096, vmid: 2101}, 2: , 3: {node: pve02}}\n\
         memory: 2048\nnode: pve01\nplacement: pinned\napply_changes: reboot\ndisk: 4\n",
    );
    let loaded = lab.load(&["vms"]);
    good(&loaded, &lab);
    let addresses: Vec<_> = loaded.desired.guests().map(|g| g.address.to_string()).collect();
    assert_eq!(addresses, ["vm/db-1", "vm/db-2", "vm/db-3", "vm/web01", "vm/web02", "vm/web03"]);
    let web = guest(&loaded, "vm/web03");
    assert_eq!(web.vmid, VmidRequest::Fixed(2002));
    assert_eq!(web.spec.cloudinit.ipconfig[&0].ip.as_deref(), Some("10.0.0.73/24"));
    assert_eq!(web.after.iter().map(ToString::to_string).collect::<Vec<_>>(), ["vm/db-3"]);
    let marks: Vec<_> = loaded.desired.profiles.iter().map(|p| p.mark.as_str()).collect();
    assert_eq!(marks[5], "pvx-vm.web03");
    let db = guest(&loaded, "vm/db-3");
    assert_eq!(db.placement, Placement::Node("pve02".to_owned()));
    assert!(db.pinned);
    assert_eq!(db.apply_changes, Some(ApplyChanges::Reboot));
    assert_eq!(guest(&loaded, "vm/db-1").vmid, VmidRequest::Fixed(2101));
}

#[test]
fn former_names() {
    let lab = layered();
    let text = LAYERED
        .replace("blue:\n", "blue: {moved: worker01}\n")
        .replace("nodes:\n", "moved: [{from: vm/old, to: cp01}]\nnodes:\n");
    lab.write("clusters/web.yaml", text);
    let loaded = lab.load(&["clusters"]);
    good(&loaded, &lab);
    let moved =
        |address: &str| guest(&loaded, address).moved_from.as_ref().map(ToString::to_string);
    assert_eq!(moved("web/worker-blue").as_deref(), Some("web/worker01"));
    assert_eq!(moved("web/cp01").as_deref(), Some("vm/old"));
    assert_eq!(moved("web/cp02"), None);
}

#[test]
fn the_node_is_filled_in_when_it_is_said_and_waits_when_not() {
    let lab = Lab::new();
    lab.write("a.yaml", "name: a\nnode: pve01\nstorage: local-{node}\ncores: 1\n");
    lab.write("b.yaml", "name: b\nstorage: local-{node}\ncores: 1\n");
    let loaded = lab.load(&["a.yaml", "b.yaml"]);
    good(&loaded, &lab);
    assert_eq!(guest(&loaded, "vm/a").spec.storage.as_deref(), Some("local-pve01"));
    let late = guest(&loaded, "vm/b");
    assert_eq!(late.spec.storage.as_deref(), Some("local-{node}"));
    assert_eq!(crate::late::bound_to(&late.spec, "pve03").storage.as_deref(), Some("local-pve03"));
}

/// Defaults of hardware are not for clones, wherever they are said in the configuration; what a
/// profile says is.
#[test]
fn hardware_of_clones_is_the_templates() {
    let lab = Lab::new();
    lab.write(
        "cluster-config.yaml",
        CONFIG.replace("defaults:\n", "defaults:\n  include: hw.yaml\n"),
    );
    lab.write("hw.yaml", "scsihw: pvscsi\nonboot: true\nsockets: 2\n");
    let profile = |defaults: &str| {
        format!(
            "name: k3s\ntype: generic\ntemplate: 101\ntags: [k3s]\n{defaults}\
             nodes: {{controlplane: {{count: 1}}}}\n"
        )
    };
    let spec = |defaults: &str| {
        lab.write("k3s.yaml", profile(defaults));
        let loaded = lab.load(&["k3s.yaml"]);
        good(&loaded, &lab);
        format!("{:?}", guest(&loaded, "k3s/cp01").spec)
    };
    let plain = spec("");
    for absent in ["pvscsi", "ovmf", "q35", "virtio-scsi-single"] {
        assert!(!plain.contains(absent), "{absent} in {plain}");
    }
    assert!(plain.contains("x86-64-v2-AES"), "{plain}");
    assert!(spec("defaults: {bios: ovmf}\n").contains("ovmf"));
}

/// What many guests share is decoded once, and its problem is said once.
#[test]
fn a_problem_of_many_guests_is_said_once() {
    let lab = Lab::new();
    lab.write(
        "k3s.yaml",
        "name: k3s\ntype: generic\ntemplate: 101\ntags: [k3s]\ndefaults: {cores: 0}\nnodes:\n  \
         controlplane: {count: 100, start_vmid: 1000, description: \"{name}\"}\n  \
         workers: {count: 100, start_vmid: 2000, memory: 1}\n",
    );
    let loaded = lab.load(&["k3s.yaml"]);
    let codes: Vec<_> = loaded.diagnostics.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["out-of-range", "out-of-range"], "{}", lab.render(&loaded));
}

/// A VM that says little itself is not taken for a profile.
#[test]
fn a_vm_of_includes() {
    let lab = Lab::new();
    lab.write("includes/server.yaml", SERVER);
    lab.write("vm.yaml", "name: a\ntemplate: 101\ntags: [x]\ninclude: includes/server.yaml\n");
    let loaded = lab.load(&["vm.yaml"]);
    good(&loaded, &lab);
    let tags = guest(&loaded, "vm/a");
    assert_eq!(tags.spec.tags.iter().collect::<Vec<_>>(), ["pvx-vm.a", "server", "x"]);
    // Of all places the most specific one.
    assert_eq!(loaded.sources.position(tags.place("tags")).file, "vm.yaml");
}

/// What a single guest includes lies over its group, and beneath itself.
#[test]
fn single_guests_include_too() {
    let lab = layered();
    lab.write("includes/large.yaml", "cores: 16\nmemory: 65536\n");
    let include = "include: ../includes/large.yaml";
    lab.write(
        "clusters/web.yaml",
        LAYERED.replace("green: {cores: 8,", &format!("green: {{cores: 8, {include},")),
    );
    lab.write(
        "vms/db.yaml",
        format!("name: db-{{each}}\nmemory: 1024\ndisk: 4\nfor_each: {{a: , b: {{{include}, cores: 2}}}}\n"),
    );
    let loaded = lab.load(&["clusters", "vms"]);
    good(&loaded, &lab);
    let spec = |address: &str| format!("{:?}", guest(&loaded, address).spec);
    for (address, cores, memory) in [("web/worker-green", 8, 65536), ("vm/db-b", 2, 65536)] {
        let spec = spec(address);
        assert!(
            spec.contains(&format!("{cores}")) && spec.contains(&format!("{memory}")),
            "{spec}"
        );
    }
    assert!(spec("vm/db-a").contains("1024"));
}

#[test]
fn fragments_are_no_documents() {
    let lab = layered();
    lab.write("includes/other.yaml", "cores: 4\n")
        .write("clusters/base.yaml", "include: more.yml\n");
    lab.write("clusters/more.yml", "onboot: true\n");
    lab.write(
        "clusters/web.yaml",
        LAYERED.replace("parts/server.yaml", "[base.yaml, parts/server.yaml]"),
    );
    let loaded = lab.load(&["."]);
    good(&loaded, &lab);
    assert_eq!(loaded.desired.profiles.len(), 1);
    assert!(format!("{:?}", guest(&loaded, "web/cp01").spec).contains("onboot"));
    assert!(!has_errors(&lab.load(&["clusters/web.yaml"]).diagnostics));
}

/// 5,000 guests in 50 documents, each with an address and a description of its own.
#[test]
fn many_guests_take_little_time() {
    let lab = Lab::new();
    lab.write("cluster-config.yaml", CONFIG.replace("1000-9999", "1000-99999"));
    lab.write("parts/server.yaml", SERVER);
    for document in 0..50 {
        let text = LAYERED
            .replace("name: web", &format!("name: web{document:02}"))
            .replace("[web]", &format!("[web{document:02}]"))
            .replace("count: 2", "count: 98")
            .replace("start_ip: 10.0.0.61/24", &format!("start_ip: 10.1.{document}.2/16"))
            .replace("start_vmid: 1000", &format!("start_vmid: {}", 1000 + document * 200))
            .replace("start_vmid: 1010", &format!("start_vmid: {}", 1150 + document * 200));
        let text = text.replace("parts/", "../parts/");
        lab.write(&format!("clusters/web{document:02}.yaml"), text);
    }
    let begin = std::time::Instant::now();
    let loaded = lab.load(&["clusters"]);
    let took = begin.elapsed();
    good(&loaded, &lab);
    assert_eq!(loaded.desired.guests().count(), 5000);
    // Twenty times what a release build needs: this is no benchmark and only catches a decode of
    // everything for everyone.
    assert!(took.as_secs() < 20, "{took:?}");
}

/// Said in any layer, the nearest one wins; without it a guest stays.
#[test]
fn what_becomes_of_a_guest_whose_making_failed() {
    let lab = layered();
    lab.write(
        "vms/a.yaml",
        "name: a-{each}\nfor_each: {1: {on_failure: keep}, 2: }\nnode: pve01\ndisk: 4\n\
         on_failure: destroy\n",
    );
    lab.write("vms/b.yaml", "name: b\nnode: pve01\ndisk: 4\n");
    let loaded = lab.load(&["vms"]);
    good(&loaded, &lab);
    let said = |address: &str| guest(&loaded, address).on_failure;
    let all = ["vm/a-1", "vm/a-2", "vm/b"].map(said);
    assert_eq!(all, [OnFailure::Keep, OnFailure::Destroy, OnFailure::Keep]);
    lab.write("vms/b.yaml", "name: b\nnode: pve01\ndisk: 4\non_failure: maybe\n");
    assert!(has_errors(&lab.load(&["vms"]).diagnostics));
}
