//! Snippets: files on a storage. The API lists them and has no way to write one, so they are
//! written over SSH.

use pvx_core::provider::{ErrorClass, ProviderError};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use crate::cluster::Cluster;

/// Makes `$1` the folder and `$2` the file beside it that the content goes to first; `$3` is the
/// content's SHA-256 and `$4` the file. A guest never sees a part of a file, and a second run does
/// the same again. Only root reads what may hold a secret.
const SCRIPT: &str = "set -e; umask 077; mkdir -p \"$1\"; cat > \"$2\"; \
    sum=$(sha256sum \"$2\" | cut -d ' ' -f 1); \
    if [ \"$sum\" != \"$3\" ]; then rm -f \"$2\"; echo 'the content arrived damaged' >&2; exit 65; fi; \
    mv -f \"$2\" \"$4\"";

impl Cluster {
    /// Writes the content that has this SHA-256 as snippet `name` of a storage, seen from a node.
    pub(super) async fn write_snippet(
        &self,
        node: &str,
        storage: &str,
        name: &str,
        sha256: &str,
    ) -> Result<(), ProviderError> {
        let refused = |text: String| ProviderError::new(ErrorClass::Refused, text);
        let content = self.secrets.contents.get(sha256).map(ExposeSecret::expose_secret);
        let content = content.filter(|text| hex(&Sha256::digest(text.as_bytes())) == sha256);
        let Some(content) = content else {
            let text = format!("the content of snippet {name} is not the one that was planned");
            return Err(refused(text).help("a template changed since: plan again"));
        };
        let Some(ssh) = &self.ssh else {
            let text = format!("snippet {name} cannot be written: SSH to {node} is not set up");
            return Err(refused(text).help("list the node with its host in cluster.nodes"));
        };
        let volid = format!("{storage}:snippets/{name}");
        let path = ssh
            .run(node, "asking for the storage's folder", &["pvesm", "path", &volid], b"")
            .await?;
        let path = path.trim();
        let Some((folder, _)) = path.rsplit_once('/').filter(|_| path.starts_with('/')) else {
            let text = format!(
                "storage {storage} on {node} keeps no files: `pvesm path {volid}` gives no path"
            );
            return Err(refused(text).help("give cloudinit.snippets a storage of files"));
        };
        let partial = format!("{path}.tmp");
        let command = ["sh", "-c", SCRIPT, "sh", folder, &partial, sha256, path];
        ssh.run(node, &format!("writing {volid}"), &command, content.as_bytes()).await?;
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
