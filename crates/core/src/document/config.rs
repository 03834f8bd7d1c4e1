//! `cluster-config.yaml`, typed: everything a command may want of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::layer::Layer;
use super::variable::Scope as Variables;
use crate::desired::{Overcommit, Scope, VmidRange};
use crate::diagnostic::Spanned;
use crate::execute::Limits;
use crate::policy::Policy;

/// The configuration of one cluster. Absent keys are `None` or empty; paths are absolute, or
/// relative to the folder that was searched when that one was relative.
#[derive(Debug, Clone, Default)]
pub struct ClusterConfig {
    /// The file.
    pub path: PathBuf,
    /// `cluster`.
    pub cluster: Cluster,
    /// `defaults` for guests: what it includes, the lowest first, then itself.
    pub(crate) defaults: Vec<Layer>,
    /// `variables`, with their values.
    pub(crate) variables: Arc<Variables>,
    /// `vmid_ranges`.
    pub vmid_ranges: VmidRanges,
    /// `credentials`: where they are, never themselves.
    pub credentials: Credentials,
    /// `tags`: named lists of tags, in lower case.
    pub tags: BTreeMap<String, Vec<String>>,
    /// `cloudinit`.
    pub cloudinit: CloudinitConfig,
    /// `ansible`.
    pub ansible: Ansible,
    /// `talos`.
    pub talos: TalosConfig,
    /// `tls`: what the nodes' certificates are checked against.
    pub tls: Tls,
    /// `policy`, with the rules of its files.
    pub policy: Policy,
    /// Files of rules: as `policy.files` names them, and once they are read, their real paths.
    pub(crate) policy_files: Vec<Spanned<PathBuf>>,
    /// `preflight.overcommit`
    pub overcommit: Overcommit,
    /// `apply`: how much is done at once.
    pub apply: Apply,
}

impl ClusterConfig {
    /// The folder of the file, from which relative paths begin.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// What `defaults` says for `key` in a single word; none when it says nothing, or waits for a
    /// guest.
    pub fn default_text(&self, key: &str) -> Option<String> {
        let said = self.defaults.iter().rev().find_map(|layer| layer.node.get(key))?;
        said.scalar().filter(|_| !said.has_templates())
    }

    /// The part that planning needs.
    pub fn scope(&self) -> Scope {
        Scope {
            cluster: self.cluster.name.as_ref().map(|name| name.value.clone()),
            nodes: self.cluster.nodes.iter().map(|node| node.name.clone()).collect(),
            vms: self.vmid_ranges.vms.unwrap_or_default(),
            templates: self.vmid_ranges.templates,
            overcommit: self.overcommit,
        }
    }
}

/// `apply`: bounds that differ from those that hold by themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Apply {
    /// In all.
    pub parallel: Option<usize>,
    /// Asked at one node.
    pub per_node: Option<usize>,
    /// Working on one storage that `storages` does not name.
    pub per_storage: Option<usize>,
    /// Working on these storages.
    pub storages: BTreeMap<String, usize>,
    /// Cloned from one template.
    pub per_template: Option<usize>,
    /// How much work may wait at the lock of a storage.
    pub lock_wait: Option<Duration>,
}

impl Apply {
    /// The bounds of a run.
    pub fn limits(&self) -> Limits {
        let usual = Limits::default();
        Limits {
            total: self.parallel.unwrap_or(usual.total),
            per_node: self.per_node.unwrap_or(usual.per_node),
            per_storage: self.per_storage,
            storages: self.storages.clone(),
            per_template: self.per_template.unwrap_or(usual.per_template),
            lock_wait: self.lock_wait.unwrap_or(usual.lock_wait),
        }
    }
}

/// `cluster`.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    /// Name of the cluster, for people.
    pub name: Option<Spanned<String>>,
    /// Its nodes; each is an endpoint of the API.
    pub nodes: Vec<ClusterNode>,
}

/// One of `cluster.nodes`.
#[derive(Debug, Clone)]
pub struct ClusterNode {
    /// The node's name in Proxmox VE.
    pub name: Spanned<String>,
    /// DNS name or address, without port and brackets.
    pub host: Spanned<String>,
    /// Port of the API; 8006 unless given.
    pub port: u16,
    /// SHA-256 of the node's certificate, upper case with colons.
    pub fingerprint: Option<String>,
    /// Port of SSH, when it is not what `ssh` takes by itself.
    pub ssh_port: Option<u16>,
}

/// `vmid_ranges`.
#[derive(Debug, Clone, Copy, Default)]
pub struct VmidRanges {
    /// Where templates are.
    pub templates: Option<VmidRange>,
    /// Where guests get their VMIDs from.
    pub vms: Option<VmidRange>,
}

/// `credentials`: where the API token is.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// Entry of `pass`: line 1 is the token's id, line 2 its secret.
    pub pass_path: Option<Spanned<String>>,
    /// User for SSH to the nodes.
    pub ssh_user: Option<Spanned<String>>,
    /// A file with the same two lines.
    pub token_file: Option<Spanned<PathBuf>>,
}

/// `cloudinit`.
#[derive(Debug, Clone, Default)]
pub struct CloudinitConfig {
    /// Login name of guests that say none.
    pub default_user: Option<Spanned<String>>,
    /// File with OpenSSH public keys for guests that say none.
    pub ssh_keys_source: Option<Spanned<PathBuf>>,
    /// Vendor snippet, as Proxmox VE names it (`local:snippets/vendor.yaml`).
    pub vendor_snippet_path: Option<Spanned<String>>,
}

/// `ansible`.
#[derive(Debug, Clone, Default)]
pub struct Ansible {
    /// Folder of the playbooks.
    pub fleet_infra_path: Option<Spanned<PathBuf>>,
    /// Inventory, relative to it.
    pub inventory: Option<Spanned<String>>,
}

/// `talos`.
#[derive(Debug, Clone, Default)]
pub struct TalosConfig {
    /// System extensions of the image.
    pub default_extensions: Vec<String>,
    /// Image factory.
    pub factory_base_url: Option<Spanned<String>>,
    /// Kubernetes version of profiles that say none.
    pub default_kubernetes_version: Option<Spanned<String>>,
    /// Network interface inside the guests.
    pub interface_name: Option<Spanned<String>>,
}

/// `tls`.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// PEM file of the authority that signed the nodes' certificates.
    pub ca_file: Option<Spanned<PathBuf>>,
    /// SHA-256 of certificates that are trusted, upper case with colons.
    pub fingerprints: Vec<String>,
}
