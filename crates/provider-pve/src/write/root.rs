//! Keys that only root@pam may change (qemu-server `API2/Qemu.pm`): no API token is root@pam, so
//! they go through `qm set` on the guest's node, over SSH. They are no secrets: `ps` on the node
//! shows them for a moment.

use std::collections::BTreeMap;

use pvx_core::plan::Action;
use pvx_core::provider::{ErrorClass, ProviderError};

use crate::cluster::Cluster;

impl Cluster {
    /// Sets and deletes keys of the action's guest as root.
    pub(super) async fn configure_as_root(
        &self,
        action: &Action,
        set: &BTreeMap<String, String>,
        delete: &[String],
    ) -> Result<(), ProviderError> {
        let Some(ssh) = &self.ssh else {
            let keys: Vec<&str> = set.keys().chain(delete).map(String::as_str).collect();
            let text = format!(
                "{} of {} cannot be written: only root@pam may, and SSH to {} is not set up",
                keys.join(", "),
                action.vmid,
                action.node
            );
            let help = "list the node with its host in cluster.nodes, and see --ssh-user";
            return Err(ProviderError::new(ErrorClass::Refused, text).help(help));
        };
        let words = command(action.vmid, set, delete);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let what = format!("configuring guest {} as root", action.vmid);
        ssh.run(&action.node, &what, &words, b"").await.map(|_| ())
    }
}

/// `qm set 100 --args=-no-hpet --delete hookscript`. A value may begin with a dash, so it stands
/// behind an equals sign.
fn command(vmid: u32, set: &BTreeMap<String, String>, delete: &[String]) -> Vec<String> {
    let mut words = vec!["qm".to_owned(), "set".to_owned(), vmid.to_string()];
    words.extend(set.iter().map(|(key, value)| format!("--{key}={value}")));
    if !delete.is_empty() {
        words.extend(["--delete".to_owned(), delete.join(",")]);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_command() {
        let set = BTreeMap::from([("args".to_owned(), "-no-hpet -S".to_owned())]);
        let words = command(100, &set, &["hookscript".to_owned(), "affinity".to_owned()]);
        assert_eq!(
            words,
            ["qm", "set", "100", "--args=-no-hpet -S", "--delete", "hookscript,affinity"]
        );
    }
}
