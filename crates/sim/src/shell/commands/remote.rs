//! `ssh` from one node to another: the nodes of a cluster trust each other.

use super::super::Shell;
use super::super::io::{Input, Io};

impl Shell {
    pub(super) async fn remote_command(&mut self, words: &[String], io: &Io) -> i32 {
        let mut rest = words;
        let mut silent = false;
        while let Some((first, after)) = rest.split_first() {
            let Some(flag) = first.strip_prefix('-') else { break };
            let valued =
                flag.chars().next().is_some_and(|letter| "oiplFbcDEeIJLmQRSWw".contains(letter));
            silent |= flag.contains('n') && !valued;
            rest = if valued && flag.chars().count() == 1 {
                after.get(1..).unwrap_or_default()
            } else {
                after
            };
        }
        let Some((target, command)) = rest.split_first() else {
            io.err
                .line("usage: ssh [-46AaCfGgKkMNnqsTtVvXxYy] destination [command [argument ...]]");
            return 255;
        };
        let host = target.strip_prefix("ssh://").unwrap_or(target);
        let (user, host) = host.rsplit_once('@').unwrap_or(("root", host));
        let Some((node, online)) = self.node_at(host) else {
            io.err.line(&format!(
                "ssh: Could not resolve hostname {host}: Name or service not known"
            ));
            return 255;
        };
        if !online {
            io.err.line(&format!("ssh: connect to host {host} port 22: No route to host"));
            return 255;
        }
        if user != "root" {
            io.err.line(&format!("{user}@{host}: Permission denied (publickey,password)."));
            return 255;
        }
        let mut shell = Self::new(self.shared.clone(), &node);
        shell.depth = self.depth + 1;
        if shell.depth > 40 {
            io.err.line("ssh: too many nested connections");
            return 255;
        }
        let streams = match silent {
            true => Io { stdin: Input::of(Vec::new()), ..io.clone() },
            false => io.clone(),
        };
        let script = match command {
            [] => String::from_utf8_lossy(&streams.read().await).into_owned(),
            words => words.join(" "),
        };
        Box::pin(shell.run(&script, &streams)).await & 0xff
    }

    /// The node that a host name or address means, and whether it is on.
    fn node_at(&self, host: &str) -> Option<(String, bool)> {
        if ["localhost", "127.0.0.1", "::1"].contains(&host) {
            return Some((self.node.clone(), true));
        }
        let world = self.shared.world();
        let domain = format!(".{}", world.domain);
        let name = host.strip_suffix(&domain).unwrap_or(host);
        let found = world.nodes.values().find(|node| node.name == name || node.ip == host)?;
        Some((found.name.clone(), found.online))
    }
}
