//! SSH to the nodes, through the `ssh` of this machine: its keys, its agent and its
//! configuration hold. One connection a node, shared by all commands; host keys are checked.
//!
//! Arguments are quoted for the node's shell. What may be a secret goes through standard input:
//! arguments are seen by every process of both machines.

mod error;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openssh::{ControlPersist, KnownHosts, Session, SessionBuilder, Stdio};
use pvx_core::provider::ProviderError;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::Mutex;

pub use error::SshMissing;

/// How one node is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshHost {
    /// DNS name or address, or an alias of the user's `ssh_config`.
    pub host: String,
    /// Port, when it is not what `ssh` would take.
    pub port: Option<u16>,
}

/// How nodes are reached.
#[derive(Debug, Clone)]
pub struct SshOptions {
    /// Login; commands of another one than root go through `sudo -n`.
    pub user: String,
    /// Nodes by name.
    pub hosts: BTreeMap<String, SshHost>,
    /// Private key; without one, what `ssh` would take.
    pub key: Option<PathBuf>,
    /// File of host keys instead of the user's own.
    pub known_hosts: Option<PathBuf>,
    /// Configuration file instead of the user's own.
    pub config_file: Option<PathBuf>,
    /// Folder in which a private one is made for the sockets of connections.
    pub sockets: PathBuf,
    /// How long connecting may take, login included (10 s).
    pub connect_timeout: Duration,
    /// How long one command may take (60 s).
    pub command_timeout: Duration,
}

impl SshOptions {
    /// Root on these nodes, with sockets below the folder `sockets`.
    #[must_use]
    pub fn new(hosts: BTreeMap<String, SshHost>, sockets: PathBuf) -> Self {
        Self {
            user: "root".to_owned(),
            hosts,
            key: None,
            known_hosts: None,
            config_file: None,
            sockets,
            connect_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(60),
        }
    }
}

/// The connection to one node, once there is one.
type Connection = Mutex<Option<Arc<Session>>>;

/// How long a connection that nobody uses stays: one of a pvx that was killed ends by itself.
const IDLE: NonZeroUsize = match NonZeroUsize::new(120) {
    Some(seconds) => seconds,
    None => NonZeroUsize::MIN,
};

/// The nodes over SSH. Nothing is connected before the first command.
#[derive(Debug)]
pub struct Ssh {
    options: SshOptions,
    sessions: Mutex<BTreeMap<String, Arc<Connection>>>,
}

/// Is there an `ssh` on this machine?
///
/// # Errors
/// When it cannot be run.
pub async fn check() -> Result<(), SshMissing> {
    let mut command = Command::new("ssh");
    command.arg("-V").stdin(std::process::Stdio::null()).kill_on_drop(true);
    match command.output().await {
        Ok(_) => Ok(()),
        Err(source) => Err(SshMissing { source }),
    }
}

impl Ssh {
    /// Nodes that are reached as `options` say.
    #[must_use]
    pub fn new(options: SshOptions) -> Self {
        Self { options, sessions: Mutex::default() }
    }

    /// Runs a command on a node with `input` as its standard input; its standard output. `what`
    /// it is for, in words.
    ///
    /// # Errors
    /// The node cannot be reached, the command failed, or it took too long.
    pub async fn run(
        &self,
        node: &str,
        what: &str,
        command: &[&str],
        input: &[u8],
    ) -> Result<String, ProviderError> {
        let session = self.session(node).await?;
        let words: Vec<&str> =
            self.before().iter().copied().chain(command.iter().copied()).collect();
        tracing::debug!(node, what, bytes = input.len(), "ssh");
        let ended =
            tokio::time::timeout(self.options.command_timeout, execute(&session, &words, input))
                .await;
        match ended {
            Err(_) => Err(error::late(node, what, self.options.command_timeout)),
            Ok(Err(error)) => Err(error::broken(node, what, &error)),
            Ok(Ok(output)) if output.status.success() => {
                Ok(String::from_utf8_lossy(&output.stdout).into_owned())
            }
            Ok(Ok(output)) => Err(error::failed(node, what, &output)),
        }
    }

    /// Connects to a node, so that what is wrong shows before anything is done.
    ///
    /// # Errors
    /// The node cannot be reached.
    pub async fn reach(&self, node: &str) -> Result<(), ProviderError> {
        self.session(node).await.map(|_| ())
    }

    /// Ends all connections.
    pub async fn close(&self) {
        let sessions = std::mem::take(&mut *self.sessions.lock().await);
        for connection in sessions.into_values() {
            let session = connection.lock().await.take();
            // One that is still in use ends with its last user.
            if let Some(session) = session.and_then(|session| Arc::try_unwrap(session).ok())
                && let Err(error) = session.close().await
            {
                tracing::debug!(%error, "an SSH connection did not end in good order");
            }
        }
    }

    fn before(&self) -> &'static [&'static str] {
        if self.options.user == "root" { &[] } else { &["sudo", "-n"] }
    }

    /// The connection to a node: the one there is while it lives, else a new one.
    async fn session(&self, node: &str) -> Result<Arc<Session>, ProviderError> {
        let connection = {
            let mut sessions = self.sessions.lock().await;
            Arc::clone(sessions.entry(node.to_owned()).or_default())
        };
        let mut held = connection.lock().await;
        if let Some(session) = held.as_ref()
            && session.check().await.is_ok()
        {
            return Ok(Arc::clone(session));
        }
        let session = Arc::new(self.connect(node).await?);
        *held = Some(Arc::clone(&session));
        Ok(session)
    }

    async fn connect(&self, node: &str) -> Result<Session, ProviderError> {
        let options = &self.options;
        let Some(host) = options.hosts.get(node) else { return Err(error::unknown(node)) };
        let mut builder = SessionBuilder::default();
        builder
            .user(options.user.clone())
            .known_hosts_check(KnownHosts::Strict)
            .control_directory(&options.sockets)
            .control_persist(ControlPersist::IdleFor(IDLE))
            .connect_timeout(options.connect_timeout)
            .server_alive_interval(Duration::from_secs(15));
        if let Some(port) = host.port {
            builder.port(port);
        }
        if let Some(key) = &options.key {
            builder.keyfile(key);
        }
        if let Some(file) = &options.known_hosts {
            builder.user_known_hosts_file(file);
        }
        if let Some(file) = &options.config_file {
            builder.config_file(file);
        }
        tracing::debug!(node, host = host.host, user = options.user, "ssh connects");
        let connecting =
            tokio::time::timeout(options.connect_timeout * 2, builder.connect(&host.host));
        match connecting.await {
            Ok(Ok(session)) => Ok(session),
            Ok(Err(error)) => Err(error::unreached(node, host, &options.user, &error)),
            Err(_) => Err(error::silent(node, host)),
        }
    }
}

/// Runs its arguments, and never ends with 255. `ssh` itself ends with that when a connection breaks,
/// and `qm` and `pvesm` when they refuse something.
const GUARD: &str = r#""$@" || { s=$?; [ "$s" -ne 255 ] || s=254; exit "$s"; }"#;

async fn execute(
    session: &Session,
    words: &[&str],
    input: &[u8],
) -> Result<std::process::Output, openssh::Error> {
    let mut command = session.command("sh");
    command.args(["-c", GUARD, "sh"]).args(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().await?;
    let stdin = child.stdin().take();
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A command that ends early does not read all: its status says why.
            let _ = stdin.write_all(input).await;
            let _ = stdin.shutdown().await;
        }
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), feed);
    output
}
