//! A connection: who may log in, and which channels there are.

use std::sync::Arc;

use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, MethodKind, Pty};

use super::keys;
use crate::server::Shared;
use crate::server::auth::check_password;

/// A connection to a node.
pub(super) struct Connection {
    shared: Arc<Shared>,
    node: String,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, node: &str) -> Self {
        Self { shared, node: node.to_owned() }
    }

    /// Without an `ssh` section in the world everything opens the door to root.
    fn open(&self, user: &str) -> bool {
        user == "root" && self.shared.world().ssh.is_none()
    }

    fn key_opens(&self, user: &str, key: &russh::keys::PublicKey) -> bool {
        if user != "root" {
            return false;
        }
        let world = self.shared.world();
        let Some(ssh) = &world.ssh else { return true };
        // A key that was written to the file counts as on a node.
        let path = "/root/.ssh/authorized_keys";
        let file = world.files.get(&self.node).and_then(|files| files.get(path));
        let added = match file.map(|file| &file.body) {
            Some(crate::world::files::Body::Bytes(bytes)) => {
                String::from_utf8_lossy(&bytes.0).lines().map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        keys::is_listed(&ssh.authorized_keys, key) || keys::is_listed(&added, key)
    }

    fn password_opens(&self, user: &str, password: &str) -> bool {
        let world = self.shared.world();
        let allowed = world.ssh.as_ref().is_none_or(|ssh| ssh.password);
        user == "root" && allowed && check_password(&world, "root@pam", password)
    }
}

/// Whoever is refused may try again, in every way.
fn verdict(opens: bool) -> Auth {
    if opens {
        return Auth::Accept;
    }
    let methods = [MethodKind::PublicKey, MethodKind::Password];
    Auth::Reject { proceed_with_methods: Some((&methods[..]).into()), partial_success: false }
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Self::Error> {
        Ok(verdict(self.open(user)))
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        Ok(verdict(self.password_opens(user, password)))
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(verdict(self.key_opens(user, key.public_key)))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        let (shared, node) = (Arc::clone(&self.shared), self.node.clone());
        tokio::spawn(super::session::serve(shared, node, channel));
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if name == "sftp" {
            session.channel_success(channel)
        } else {
            session.channel_failure(channel)
        }
    }
}
