//! A standalone VM spec: one guest, one document.

use super::super::yaml::Node;
use super::fields::Fields;
use super::group;
use super::names::{self, HostAddress};
use super::profile::{self, Addressing};
use super::vm::{self, VmKeys};
use crate::address::Address;
use crate::desired::{Placement, TemplateRef, VmidRequest};
use crate::diagnostic::{Diagnostic, Spanned};

/// One standalone VM.
#[derive(Debug, Clone)]
pub(crate) struct Standalone {
    pub(crate) name: Spanned<String>,
    pub(crate) vmid: Option<Spanned<VmidRequest>>,
    pub(crate) node: Option<Spanned<String>>,
    pub(crate) placement: Option<Spanned<Placement>>,
    pub(crate) template: Option<Spanned<TemplateRef>>,
    pub(crate) ip: Option<Spanned<HostAddress>>,
    pub(crate) mac: Option<Spanned<String>>,
    pub(crate) addressing: Addressing,
    pub(crate) depends_on: Vec<Spanned<Address>>,
    pub(crate) vm: VmKeys,
}

/// Reads a standalone VM spec; none when it has no usable name.
pub(crate) fn read(node: &Node, problems: &mut Vec<Diagnostic>) -> Option<Standalone> {
    let mut fields = Fields::open(node, "document", "a standalone VM spec", problems)?;
    fields.take("kind");
    let name = fields.parsed("name", names::lower_label);
    fields.require("name", "name is the VM's name in Proxmox VE");
    let spec = Standalone {
        name: name.clone().unwrap_or_else(|| Spanned::new(String::new(), node.span)),
        vmid: group::vmid_or_auto(&mut fields, "vmid"),
        node: fields.parsed("node", names::identifier),
        placement: group::placement(&mut fields),
        template: profile::template(&mut fields),
        ip: fields.parsed("ip", HostAddress::read),
        mac: fields.parsed("mac", names::mac),
        addressing: profile::addressing(&mut fields),
        depends_on: fields
            .parsed_list("depends_on", |text| text.parse().map_err(|e| format!("{e}"))),
        vm: vm::take(&mut fields),
    };
    if let (Some(node), Some(placement)) = (&spec.node, &spec.placement) {
        fields.problems.push(
            Diagnostic::error("conflict", "'node' and 'placement' exclude each other")
                .at(placement.span, "chooses a node")
                .at(node.span, "names the node")
                .help("keep one of the two"),
        );
    }
    said_once(&spec, fields.problems);
    fields.finish();
    name.map(|_| spec)
}

/// `mac` and `ip` are short for keys further in; both together would be a riddle.
fn said_once(spec: &Standalone, problems: &mut Vec<Diagnostic>) {
    let mac = spec.mac.as_ref().map(|mac| mac.span);
    let ip = spec.ip.as_ref().map(|ip| ip.span);
    let short = [("mac", mac, "networks.net0.mac"), ("ip", ip, "cloudinit.ipconfig.0")];
    for (key, here, path) in short {
        if let (Some(here), Some(there)) = (here, spec.vm.places.get(path)) {
            problems.push(
                Diagnostic::error("conflict", format!("'{key}' and '{path}' are the same"))
                    .at(here, "given here")
                    .at(*there, "and here")
                    .help("keep one of the two"),
            );
        }
    }
    if let (None, Some(clone)) = (&spec.template, spec.vm.places.get("clone")) {
        problems.push(
            Diagnostic::error("conflict", "'clone' needs a template")
                .at(*clone, "there is nothing to clone")
                .help("name a template, or take 'clone' out"),
        );
    }
}
