//! Scripts made up of what operators write, in no order: each ends, and none panics.

use std::sync::Arc;
use std::time::Duration;

use super::Shell;
use super::budget::Budget;
use super::io::{Input, Io, Sink, taken};
use crate::clock::TimeScale;
use crate::server::Shared;
use crate::world::World;
use crate::world::guest::Guest;

const NAMES: &[&str] = &[
    "qm",
    "qm",
    "qm",
    "qm",
    "pvesh",
    "pvesh",
    "pvesm",
    "pveum",
    "pvecm",
    "pvenode",
    "echo",
    "cat",
    "grep",
    "sed",
    "cut",
    "sort",
    "tr",
    "head",
    "tail",
    "wc",
    "seq",
    "printf",
    "test",
    "[",
    "set",
    "export",
    "read",
    "ls",
    "stat",
    "mkdir",
    "rm",
    "mv",
    "cp",
    "touch",
    "truncate",
    "mktemp",
    "basename",
    "dirname",
    "date",
    "sleep",
    "base64",
    "sha256sum",
    "qemu-img",
    "bash",
    "eval",
    "exit",
    "return",
    "break",
    "continue",
    "shift",
    "cd",
    "true",
    "false",
    "env",
    "f",
    "trap",
    "unset",
    "local",
    "tee",
    "uniq",
    "realpath",
    "df",
    "command",
    "type",
    "wget",
    "hostname",
];

const WORDS: &[&str] = &[
    "100",
    "101",
    "9999",
    "list",
    "config",
    "create",
    "set",
    "start",
    "stop",
    "destroy",
    "clone",
    "status",
    "template",
    "importdisk",
    "disk",
    "resize",
    "import",
    "move",
    "snapshot",
    "rollback",
    "listsnapshot",
    "delsnapshot",
    "migrate",
    "guest",
    "cmd",
    "exec",
    "agent",
    "cloudinit",
    "dump",
    "user",
    "role",
    "acl",
    "token",
    "add",
    "delete",
    "modify",
    "remove",
    "pool",
    "group",
    "get",
    "ls",
    "usage",
    "alloc",
    "free",
    "path",
    "scan",
    "/",
    "/nodes",
    "/nodes/pve1/qemu",
    "/cluster",
    "/cluster/resources",
    "/access/users",
    "/nodes/pve1/qemu/100/config",
    "pve1",
    "pve2",
    "local",
    "shared",
    "local:iso/truth.iso",
    "local:1",
    "scsi0",
    "+1G",
    "--scsi0",
    "--net0",
    "virtio,bridge=vmbr0",
    "--name",
    "web",
    "--memory",
    "512",
    "--output-format",
    "json",
    "json-pretty",
    "yaml",
    "text",
    "--noborder",
    "--purge",
    "--full",
    "--newid",
    "--delete",
    "-c",
    "-n",
    "-e",
    "-f",
    "-d",
    "-1",
    "0",
    "-r",
    "-a",
    "/etc/pve/user.cfg",
    "/etc/hosts",
    "/tmp/x",
    "/etc/pve/qemu-server/100.conf",
    "/tmp",
    "..",
    "s/a/b/g",
    "/x/d",
    "$x",
    "\"$x\"",
    "${x:-a}",
    "${x%%a*}",
    "${#x}",
    "$((x + 1))",
    "$((9223372036854775807 + 1))",
    "$((-9223372036854775807 - \
     2))",
    "$((1 / 0))",
    "$((1 % 0))",
    "$((-9223372036854775807 / -1))",
    "{1..3}",
    "{1..99999}",
    "*",
    "?x",
    "[a-",
    "'ä 日'",
    "\"a b\"",
    "$(echo a)",
    "$(f)",
    "`f`",
    "$?",
    "$@",
    "$#",
    "$1",
    "${x:1:2}",
    "${x:9:-9}",
    "${x/a/日}",
    "%s\\n",
    "%d",
    "%99999999999d",
    "%x",
    "-99999999999",
    "99999999999999999999",
    "18446744073709551615",
    "9223372036854775807",
    "1-",
    "-5",
    "3-1",
    "",
    "--",
    "-",
    "=",
    "1k",
    "100G",
    "8E",
    "+%s",
    "@1",
    "日本",
    "ß",
    "\\",
    "--expire",
    "1e400",
    "-m",
];

/// Writes scripts: the same for the same seed (SplitMix64).
struct Writer {
    state: u64,
    left: u32,
}

impl Writer {
    fn below(&mut self, limit: usize) -> usize {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }

    fn pick(&mut self, from: &'static [&'static str]) -> &'static str {
        from[self.below(from.len())]
    }

    fn simple(&mut self) -> String {
        let mut out = self.pick(NAMES).to_owned();
        for _ in 0..self.below(7) {
            out.push(' ');
            out.push_str(self.pick(WORDS));
        }
        out
    }

    fn script(&mut self) -> String {
        self.left = self.left.saturating_sub(1);
        let kind = if self.left == 0 { 12 } else { self.below(18) };
        match kind {
            0 => format!("while true; do {}; done", self.script()),
            1 => format!("until {}; do {}; done", self.script(), self.script()),
            2 => format!("for x in {} a; do {}; done", self.pick(WORDS), self.script()),
            3 => {
                format!("if {}; then {}; else {}; fi", self.script(), self.script(), self.simple())
            }
            4 => format!("f() {{ {}; }}; f {}", self.script(), self.pick(WORDS)),
            5 => format!("({})", self.script()),
            6 => format!("{} | {}", self.script(), self.simple()),
            7 => format!("x={}; {}", self.pick(WORDS), self.script()),
            8 => format!("x=$x$x{}; {}", self.pick(WORDS), self.script()),
            9 => format!("{} && {} || {}", self.simple(), self.simple(), self.script()),
            10 => format!("{} > /tmp/x 2>&1; {}", self.simple(), self.script()),
            11 => format!(
                "case {} in {}) {};; *) {};; esac",
                self.pick(WORDS),
                "a*",
                self.script(),
                self.simple()
            ),
            12..14 => self.simple(),
            14 => {
                format!("{} <<EOF\n{}\n{}\nEOF\n", self.simple(), self.pick(WORDS), self.script())
            }
            15 => {
                format!("set -{}; {}", self.pick(&["e", "u", "x", "euo pipefail"]), self.script())
            }
            _ => format!("{}\n{}", self.simple(), self.script()),
        }
    }
}

fn world() -> World {
    let mut world = World::truth();
    for vmid in [100, 101] {
        let config = [("name", "a"), ("memory", "512"), ("scsi0", "none,media=cdrom")];
        world.add_guest(Guest::new(vmid, "pve1", &config));
    }
    world
}

/// What a script prints, and its status. None when it does not end.
fn run(shared: &Arc<Shared>, script: &str, commands: u64) -> Option<(Vec<u8>, i32)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (out, buffer) = Sink::buffer();
        let io = Io { stdin: Input::of(b"a b\n1\n".to_vec()), out: out.clone(), err: out };
        let mut shell = Shell::new(Arc::clone(shared), "pve1");
        shell.budget = Budget::of(commands);
        let ended = tokio::time::timeout(Duration::from_secs(60), shell.run(script, &io)).await;
        ended.ok().map(|status| (taken(&buffer), status))
    })
}

#[test]
fn what_never_ends_is_killed() {
    for script in [
        "while true; do :; done",
        "until false; do x=1; done",
        "f() { f; f; f; }; f",
        "for x in {1..9999}; do for y in {1..9999}; do :; done; done",
        "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done",
        "while true; do bash -c 'while true; do :; done'; done",
    ] {
        let shared = Shared::alone(world(), TimeScale::INSTANT);
        let (out, status) = run(&shared, script, 20_000).unwrap();
        assert_eq!(status, 137, "{script}: {}", String::from_utf8_lossy(&out));
    }
}

#[test]
fn paths_that_are_no_programs_are_not_looked_for_without_end() {
    for script in ["command -v /", "command -v /etc/hosts", "type /x/y", "which /"] {
        let shared = Shared::alone(world(), TimeScale::INSTANT);
        let (_, status) = run(&shared, script, 100).unwrap();
        assert_ne!(status, 0, "{script}");
    }
    let shared = Shared::alone(world(), TimeScale::INSTANT);
    assert_eq!(run(&shared, "command -v /usr/sbin/qm", 100).unwrap().1, 0);
}

#[test]
fn what_nests_without_end_stops() {
    for script in [
        "echo '. /tmp/x' > /tmp/x; . /tmp/x",
        "f() { if true; then case a in a) (f) ;; esac; fi; }; f",
        "f() { echo $(f | f); }; f",
        "f() { eval 'eval f'; }; f",
        "echo 'bash /tmp/x' > /tmp/x; bash /tmp/x",
    ] {
        let shared = Shared::alone(world(), TimeScale::INSTANT);
        assert!(run(&shared, script, 20_000).is_some(), "{script}");
    }
}

/// `PVX_FUZZ_SCRIPTS` says how many, `PVX_FUZZ_SEED` where to begin.
#[test]
fn scripts_end_and_do_not_panic() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (many, first) = (number("PVX_FUZZ_SCRIPTS", 500), number("PVX_FUZZ_SEED", 1));
    let mut shared = Shared::alone(world(), TimeScale::INSTANT);
    for seed in first..first + many {
        let script = Writer { state: seed.wrapping_mul(0xD134_2543_DE82_EF95), left: 12 }.script();
        if seed % 100 == 0 {
            shared = Shared::alone(world(), TimeScale::INSTANT);
        }
        let run = std::panic::AssertUnwindSafe(|| run(&shared, &script, 300));
        let ended = std::panic::catch_unwind(run);
        assert!(ended.is_ok(), "seed {seed} panics: {script}");
        assert!(ended.is_ok_and(|ended| ended.is_some()), "seed {seed} does not end: {script}");
        if seed % 20 == 0 {
            let checked = shared.world().check();
            assert_eq!(checked, Ok(()), "seed {seed}, after {script}");
        }
    }
}
