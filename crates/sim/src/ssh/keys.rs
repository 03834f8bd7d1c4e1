//! Host keys: ed25519, made of the world's seed and the node's name, so that they stay.

use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use sha2::{Digest, Sha256};

/// The host key of a node.
pub(crate) fn host_key(seed: &str, node: &str) -> PrivateKey {
    let digest = Sha256::digest(format!("pvx host key|{seed}|{node}").as_bytes());
    let mut bytes = [0u8; 32];
    for (target, source) in bytes.iter_mut().zip(digest) {
        *target = source;
    }
    let pair = Ed25519Keypair::from_seed(&bytes);
    PrivateKey::try_from(KeypairData::Ed25519(pair.clone()))
        .unwrap_or_else(|_| PrivateKey::from(pair))
}

/// The public half, `ssh-ed25519 AAAA…`.
pub(crate) fn public_line(key: &PrivateKey) -> String {
    key.public_key().to_openssh().unwrap_or_default()
}

/// Whether a key is in a list of lines as in `authorized_keys`.
pub(super) fn is_listed(lines: &[String], key: &russh::keys::PublicKey) -> bool {
    let Ok(wanted) = key.to_openssh() else { return false };
    let mut words = wanted.split(' ');
    let (Some(kind), Some(body)) = (words.next(), words.next()) else { return false };
    lines.iter().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.windows(2).any(|pair| pair == [kind, body])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_per_world_and_node() {
        let line = |seed, node| public_line(&host_key(seed, node));
        assert_eq!(line("a", "pve1"), line("a", "pve1"));
        assert_ne!(line("a", "pve1"), line("a", "pve2"));
        assert_ne!(line("a", "pve1"), line("b", "pve1"));
        assert!(line("a", "pve1").starts_with("ssh-ed25519 AAAA"));
    }

    #[test]
    fn authorized_keys_are_found_behind_options() {
        let key = host_key("a", "pve1");
        let lines = [format!("no-pty,command=\"x\" {} me@here", public_line(&key))];
        assert!(is_listed(&lines, key.public_key()));
        assert!(!is_listed(&lines, host_key("b", "pve1").public_key()));
        assert!(!is_listed(&["# nothing".to_owned()], key.public_key()));
    }
}
