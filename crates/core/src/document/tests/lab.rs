//! A folder of documents for one test.

use std::fmt::Write as _;
use std::path::Path;

use crate::diagnostic::{Rendered, has_errors};
use crate::document::{LoadOptions, Loaded, load};

/// A configuration that most tests share.
pub(super) const CONFIG: &str = "\
cluster:
  name: lab
  nodes:
    - {name: pve01, host: pve01.lab.example}
    - {name: pve02, host: pve02.lab.example}
    - {name: pve03, host: 10.0.0.13}
defaults:
  storage: shared
  network_bridge: vmbr0
  bios: ovmf
  machine: q35
  cpu: x86-64-v2-AES
  scsi_controller: virtio-scsi-single
  efidisk_pre_enrolled_keys: false
  guest_agent: true
vmid_ranges:
  templates: 100-999
  vms: 1000-9999
credentials:
  pass_path: lab/proxmox/token
  ssh_user: root
tags:
  templates: [template]
  cloudinit: [cloudinit]
  talos: [talos]
cloudinit:
  default_user: ops
  ssh_keys_source: ~/keys.pub
  vendor_snippet_path: local:snippets/vendor.yaml
ansible:
  fleet_infra_path: ~/fleet-infra
  inventory: inventory/lab.yaml
";

/// A profile without anything special.
pub(super) const PROFILE: &str = "\
name: k3s
type: generic
template: 101
tags: [k3s]
nodes:
  controlplane: {count: 1, cores: 2, memory: 4096, disk: 40G, start_vmid: 1000}
  workers: {count: 2, cores: 2, memory: 4GiB, disk: 40G, start_vmid: 1010}
";

pub(super) struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    /// A folder with [`CONFIG`] and a file of SSH keys.
    pub(super) fn new() -> Self {
        let lab = Self::bare();
        lab.write("cluster-config.yaml", CONFIG);
        lab.write("home/keys.pub", "# work\nssh-ed25519 AAAAC3NzaC1lZDI1 ops@lab\n");
        lab
    }

    /// An empty folder.
    pub(super) fn bare() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
        self
    }

    pub(super) fn options(&self, paths: &[&str]) -> LoadOptions {
        LoadOptions {
            paths: paths.iter().map(Into::into).collect(),
            working_dir: self.path().to_owned(),
            home: Some(self.path().join("home")),
            ..LoadOptions::default()
        }
    }

    pub(super) fn load(&self, paths: &[&str]) -> Loaded {
        load(&self.options(paths))
    }

    /// All problems of `paths` as a person sees them.
    pub(super) fn problems(&self, paths: &[&str]) -> String {
        self.render(&self.load(paths))
    }

    pub(super) fn render(&self, loaded: &Loaded) -> String {
        let theme = miette::GraphicalTheme::unicode_nocolor();
        let handler = miette::GraphicalReportHandler::new_themed(theme)
            .with_width(80)
            .with_links(false)
            .with_cause_chain();
        let mut text = String::new();
        for problem in &loaded.diagnostics {
            let rendered = Rendered::new(problem, &loaded.sources);
            handler.render_report(&mut text, &rendered).unwrap();
            text.push('\n');
        }
        writeln!(text, "errors: {}", has_errors(&loaded.diagnostics)).unwrap();
        text.replace(&self.path().display().to_string(), "LAB")
    }
}
