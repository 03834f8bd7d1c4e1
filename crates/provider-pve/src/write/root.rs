//! Keys that only root@pam may change (qemu-server `API2/Qemu.pm`): no API token is root@pam, so
//! they go through `qm set` on the guest's node, over SSH. They are no secrets: `ps` on the node
//! shows them for a moment.

use std::collections::BTreeMap;

use pvx_core::plan::Action;
use pvx_core::provider::{ErrorClass, ProviderError};

use crate::client::is_busy_text;
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
        ssh.run(&action.node, &what, &words, b"").await.map(|_| ()).map_err(held_up)
    }
}

/// `qm set` meets the same locks as a request: then it did nothing, and a little later it may.
fn held_up(mut error: ProviderError) -> ProviderError {
    if error.class == ErrorClass::Failed && error.log.iter().any(|line| is_busy_text(line)) {
        error.class = ErrorClass::Busy;
    }
    error
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
    fn a_lock_passes() {
        let class = |line: &str| {
            let mut error = ProviderError::new(ErrorClass::Failed, "qm set failed");
            error.log = vec!["update VM 100: -args x".to_owned(), line.to_owned()];
            held_up(error).class
        };
        let lock = "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout";
        assert_eq!(class(lock), ErrorClass::Busy);
        assert_eq!(class("VM is locked (backup)"), ErrorClass::Busy);
        assert_eq!(class("400 Parameter verification failed."), ErrorClass::Failed);
    }

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
