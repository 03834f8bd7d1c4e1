//! The nodes' SSH servers as OpenSSH's clients reach them.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests, each file uses a part"
)]

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Output, Stdio};

use pvx_sim::{Options, Sim, TimeScale, World};

/// A served world and how to reach its nodes.
pub struct Nodes {
    pub sim: Sim,
    pub folder: tempfile::TempDir,
}

/// Whether the clients are there. Where the environment says that they must be (`.ci/run` does),
/// their absence fails the tests.
fn has_clients() -> bool {
    let found = ["ssh", "scp", "sftp"].iter().all(|name| {
        let probe = Command::new(name).arg("-V").stdin(Stdio::null()).output();
        probe.is_ok()
    });
    if !found {
        let must = std::env::var_os("PVX_TEST_SSH").is_some();
        assert!(!must, "OpenSSH's clients (ssh, scp, sftp) are not installed");
        eprintln!("skipped: OpenSSH's clients (ssh, scp, sftp) are not installed");
    }
    found
}

impl Nodes {
    pub async fn start(world: World, time_scale: TimeScale) -> Option<Self> {
        if !has_clients() {
            return None;
        }
        let ssh_listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let options = Options { time_scale, ssh_listen, ..Options::default() };
        let sim = Sim::start(world, options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let lines = sim
            .ssh_addrs()
            .iter()
            .map(|ssh| format!("[127.0.0.1]:{} {}\n", ssh.address.port(), ssh.host_key));
        std::fs::write(folder.path().join("known_hosts"), lines.collect::<String>()).unwrap();
        Some(Self { sim, folder })
    }

    pub async fn truth() -> Option<Self> {
        Self::start(World::truth(), TimeScale::INSTANT).await
    }

    /// Options that keep the machine's own configuration out, and check the host key.
    pub fn options(&self, node: &str, port: &str) -> Vec<String> {
        let ssh = self.sim.ssh_addrs().iter().find(|ssh| ssh.node == node).unwrap();
        let known = self.folder.path().join("known_hosts");
        let mut options: Vec<String> = ["-F", "/dev/null", port].map(str::to_owned).into();
        options.push(ssh.address.port().to_string());
        for option in [
            "BatchMode=yes".to_owned(),
            "StrictHostKeyChecking=yes".to_owned(),
            "IdentityFile=/dev/null".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "LogLevel=ERROR".to_owned(),
            format!("UserKnownHostsFile={}", known.display()),
        ] {
            options.extend(["-o".to_owned(), option]);
        }
        options
    }

    pub async fn client(&self, program: &str, arguments: Vec<String>, input: &[u8]) -> Output {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let input = input.to_vec();
        tokio::task::spawn_blocking(move || {
            let mut child = command.spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            let writer = std::thread::spawn(move || {
                let _ = stdin.write_all(&input);
            });
            let output = child.wait_with_output().unwrap();
            writer.join().unwrap();
            output
        })
        .await
        .unwrap()
    }

    /// Runs a client that may leave a child in the background, with nothing to read or write.
    pub async fn quiet(&self, program: &str, arguments: Vec<String>) -> bool {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let ended = tokio::task::spawn_blocking(move || command.status());
        ended.await.unwrap().unwrap().success()
    }

    pub async fn on(&self, node: &str, command: &str, input: &str) -> Said {
        let mut arguments = self.options(node, "-p");
        arguments.extend(["root@127.0.0.1".to_owned(), command.to_owned()]);
        Said::from(self.client("ssh", arguments, input.as_bytes()).await)
    }

    pub async fn run(&self, command: &str) -> Said {
        self.on("pve1", command, "").await
    }

    pub async fn copy(&self, program: &str, flags: &[&str], from: &str, to: &str) -> Said {
        let mut arguments = self.options("pve1", "-P");
        arguments.extend(flags.iter().map(|&flag| flag.to_owned()));
        let place = |path: &str| match path.strip_prefix(':') {
            Some(rest) => format!("root@127.0.0.1:{rest}"),
            None => path.to_owned(),
        };
        arguments.extend([place(from), place(to)]);
        Said::from(self.client(program, arguments, b"").await)
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

/// What a command answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
}

/// Command, exit status, standard output and standard error, one after the other.
pub async fn play(nodes: &Nodes, steps: &[(&str, i32, &str, &str)]) {
    for (command, code, out, err) in steps {
        let said = nodes.run(command).await;
        let text = |text: &str| text.to_owned();
        let want = Said { code: *code, out: text(out), err: text(err) };
        assert_eq!(said, want, "{command}");
    }
}
