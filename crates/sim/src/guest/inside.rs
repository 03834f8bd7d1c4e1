//! What runs inside a simulated guest that has booted: a small Linux with the guest agent. It
//! knows a handful of commands and files, and says so of all others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::drive::{boot_order, drives};
use super::{agent, status};
use crate::clock::Moment;
use crate::world::World;
use crate::world::guest::Guest;

/// What the system inside remembers until it is switched off.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Inside {
    /// Processes that ended and were not asked for, by process id.
    #[serde(default)]
    pub(crate) processes: BTreeMap<i64, Ended>,
    /// The number of the last process.
    #[serde(default)]
    pub(crate) last_pid: i64,
    /// File systems are frozen.
    #[serde(default)]
    pub(crate) frozen: bool,
}

/// A process that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) code: i64,
    pub(crate) out: String,
    pub(crate) err: String,
}

const VERSION: &str = "10.0.2";
const PRETTY: &str = "Debian GNU/Linux 13 (trixie)";

/// The answer to a command of the agent without parameters.
pub(crate) fn command(world: &mut World, vmid: u32, command: &str, moment: Moment) -> Value {
    match command {
        "fsfreeze-freeze" | "fsfreeze-thaw" => return freeze(world, vmid, command),
        "shutdown" | "suspend-disk" => {
            crate::work::power::gone(world, vmid);
            return json!({});
        }
        _ => {}
    }
    let Some(guest) = world.guests.get(&vmid) else { return Value::Null };
    match command {
        "fsfreeze-status" => {
            json!(if guest.inside.frozen { "frozen" } else { "thawed" })
        }
        "fstrim" => json!({ "paths": [{ "path": "/", "minimum": 0, "trimmed": 0 }] }),
        "get-fsinfo" => file_systems(guest),
        "get-host-name" => json!({ "host-name": host_name(guest) }),
        "get-memory-block-info" => json!({ "size": 134_217_728 }),
        "get-memory-blocks" => memory_blocks(guest),
        "get-osinfo" => os_info(),
        "get-time" => json!(moment.now.saturating_mul(1_000_000)),
        "get-timezone" => json!({ "zone": "UTC", "offset": 0 }),
        "get-users" => json!([]),
        "get-vcpus" => processors(guest),
        "info" => info(),
        "network-get-interfaces" => agent::interfaces(guest),
        _ => json!({}),
    }
}

fn freeze(world: &mut World, vmid: u32, command: &str) -> Value {
    let Some(guest) = world.guests.get_mut(&vmid) else { return Value::Null };
    let freeze = command == "fsfreeze-freeze";
    if freeze && guest.inside.frozen {
        return json!({ "error": {
            "class": "CommandNotFound",
            "desc": "Command guest-fsfreeze-freeze has been disabled: the command is not allowed",
        } });
    }
    let changed = guest.inside.frozen != freeze;
    guest.inside.frozen = freeze;
    json!(u8::from(changed))
}

/// The host name that cloud-init set.
fn host_name(guest: &Guest) -> String {
    let name = guest.get("name").map_or_else(|| format!("VM{}", guest.vmid), str::to_owned);
    name.split('.').next().unwrap_or_default().to_owned()
}

fn file_systems(guest: &Guest) -> Value {
    let order = boot_order(guest.get("boot").unwrap_or_default());
    let all = drives(guest);
    let disk = order.iter().find_map(|key| all.iter().find(|(name, _)| name == key));
    let size = disk.or(all.first()).and_then(|(_, drive)| drive.size()).unwrap_or(1 << 30);
    let disk = json!({
        "dev": "/dev/sda1", "bus-type": "scsi", "bus": 0, "unit": 0, "target": 0,
        "pci-controller": { "domain": 0, "bus": 9, "slot": 1, "function": 0 },
    });
    json!([{
        "name": "sda1", "mountpoint": "/", "type": "ext4", "total-bytes": size / 100 * 95,
        "total-bytes-privileged": size, "used-bytes": size / 8, "disk": [disk],
    }])
}

fn memory_blocks(guest: &Guest) -> Value {
    let blocks = (status::measure(guest).memory >> 27).max(1);
    let block =
        |index: u64| json!({ "phys-index": index, "online": true, "can-offline": index > 0 });
    Value::Array((0..blocks.min(4096)).map(block).collect())
}

fn processors(guest: &Guest) -> Value {
    let count = status::measure(guest).cpus.min(1024);
    let cpu = |id: u64| json!({ "logical-id": id, "online": true, "can-offline": id > 0 });
    Value::Array((0..count).map(cpu).collect())
}

fn os_info() -> Value {
    json!({
        "id": "debian", "name": "Debian GNU/Linux", "pretty-name": PRETTY,
        "version": "13 (trixie)", "version-id": "13", "machine": "x86_64",
        "kernel-release": "6.12.0-amd64", "kernel-version": "#1 SMP PREEMPT_DYNAMIC Debian",
    })
}

fn info() -> Value {
    let names = [
        "exec",
        "exec-status",
        "file-close",
        "file-flush",
        "file-open",
        "file-read",
        "file-seek",
        "file-write",
        "fsfreeze-freeze",
        "fsfreeze-status",
        "fsfreeze-thaw",
        "fstrim",
        "get-fsinfo",
        "get-host-name",
        "get-memory-block-info",
        "get-memory-blocks",
        "get-osinfo",
        "get-time",
        "get-timezone",
        "get-users",
        "get-vcpus",
        "info",
        "network-get-interfaces",
        "ping",
        "set-user-password",
        "shutdown",
        "suspend-disk",
        "suspend-hybrid",
        "suspend-ram",
        "sync",
        "sync-delimited",
    ];
    let commands = names.iter().map(|name| {
        json!({
            "name": format!("guest-{name}"), "enabled": true,
            "success-response": !matches!(*name, "shutdown" | "suspend-disk" | "suspend-hybrid" | "suspend-ram"),
        })
    });
    json!({ "version": VERSION, "supported_commands": commands.collect::<Vec<_>>() })
}

/// The users that can log in.
pub(crate) fn users(guest: &Guest) -> Vec<String> {
    let own = guest.get("ciuser").map(str::to_owned);
    ["root".to_owned()].into_iter().chain(own).collect()
}

/// A file of the system, or one that was written.
pub(crate) fn file(guest: &Guest, path: &str) -> Option<String> {
    if let Some(text) = guest.files.get(path) {
        return Some(text.clone());
    }
    Some(match path {
        "/etc/hostname" => format!("{}\n", host_name(guest)),
        "/etc/os-release" | "/usr/lib/os-release" => format!(
            "PRETTY_NAME=\"{PRETTY}\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"13\"\nVERSION=\"13 (trixie)\"\nVERSION_CODENAME=trixie\nID=debian\n"
        ),
        "/etc/debian_version" => "13.1\n".to_owned(),
        "/etc/machine-id" => format!("{:032x}\n", guest.vmid),
        "/proc/uptime" => "60.00 110.00\n".to_owned(),
        _ => return None,
    })
}

/// Starts a process, which ends at once; its number.
pub(crate) fn exec(
    world: &mut World,
    vmid: u32,
    words: &[String],
    input: Option<&str>,
    now: i64,
) -> Result<i64, String> {
    let Some(guest) = world.guests.get(&vmid) else { return Ok(0) };
    let program = words.first().map_or("", String::as_str);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Some(ended) = execute(guest, &words, input.unwrap_or_default(), now) else {
        return Err(format!(
            "Guest agent command failed, error was 'Failed to execute child process \u{201c}{program}\u{201d} (No such file or directory)'"
        ));
    };
    let Some(guest) = world.guests.get_mut(&vmid) else { return Ok(0) };
    let inside = &mut guest.inside;
    inside.last_pid = if inside.last_pid < 200 { 200 } else { inside.last_pid + 1 };
    inside.processes.insert(inside.last_pid, ended);
    Ok(inside.last_pid)
}

fn done(out: impl Into<String>) -> Ended {
    Ended { code: 0, out: out.into(), err: String::new() }
}

/// What a program prints; none when the system does not have it.
fn execute(guest: &Guest, words: &[&str], input: &str, now: i64) -> Option<Ended> {
    let (program, rest) = words.split_first()?;
    let name = program.rsplit('/').next().unwrap_or(program);
    Some(match (name, rest) {
        ("true", _) => done(""),
        ("false", _) => Ended { code: 1, ..Ended::default() },
        ("echo", ["-n", rest @ ..]) => done(rest.join(" ")),
        ("echo", rest) => done(format!("{}\n", rest.join(" "))),
        ("hostname", _) => done(format!("{}\n", host_name(guest))),
        ("whoami", _) => done("root\n"),
        ("id", _) => done("uid=0(root) gid=0(root) groups=0(root)\n"),
        ("uname", ["-r"]) => done("6.12.0-amd64\n"),
        ("uname", ["-n"]) => done(format!("{}\n", host_name(guest))),
        ("uname", ["-m"]) => done("x86_64\n"),
        ("uname", _) => done("Linux\n"),
        ("date", ["+%s"]) => done(format!("{}\n", now / 1000)),
        ("nproc", _) => done(format!("{}\n", status::measure(guest).cpus)),
        ("sleep" | "sync" | "touch", _) => done(""),
        ("cat", []) => done(input),
        ("cat", paths) => cat(guest, paths),
        ("sh" | "bash" | "dash", ["-c", line, ..]) => shell(guest, line, input, now),
        ("sh" | "bash" | "dash", []) => shell(guest, input, "", now),
        _ => return None,
    })
}

fn cat(guest: &Guest, paths: &[&str]) -> Ended {
    let mut ended = Ended::default();
    for path in paths {
        match file(guest, path) {
            Some(text) => ended.out.push_str(&text),
            None => {
                ended.code = 1;
                ended.err.push_str(&format!("cat: {path}: No such file or directory\n"));
            }
        }
    }
    ended
}

/// Commands one after the other; no variables, pipes or redirections.
fn shell(guest: &Guest, line: &str, input: &str, now: i64) -> Ended {
    let mut all = Ended::default();
    for part in line.split([';', '\n']).map(str::trim).filter(|part| !part.is_empty()) {
        for step in part.split("&&").map(str::trim) {
            let words: Vec<String> = step
                .split_whitespace()
                .map(|word| word.trim_matches(['"', '\'']).to_owned())
                .collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            match words.as_slice() {
                ["exit"] => return all,
                ["exit", code] => {
                    all.code = code.parse().unwrap_or(2);
                    return all;
                }
                _ => {}
            }
            let name = words.first().copied().unwrap_or_default();
            let ended = execute(guest, &words, input, now).unwrap_or_else(|| Ended {
                code: 127,
                out: String::new(),
                err: format!("sh: 1: {name}: not found\n"),
            });
            all.out.push_str(&ended.out);
            all.err.push_str(&ended.err);
            all.code = ended.code;
            if all.code != 0 {
                break;
            }
        }
    }
    all
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64, padded.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let number = chunk.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4usize {
            let index = (number >> (18 - 6 * place)) & 63;
            let letter = LETTERS.get(index as usize).copied().unwrap_or(b'A');
            out.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

/// Text in base64; none when it is not.
pub(crate) fn from_base64(text: &str) -> Option<String> {
    let (mut number, mut bits, mut out) = (0u32, 0u32, Vec::new());
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=') {
        let value = LETTERS.iter().position(|letter| *letter == byte)?;
        number = (number << 6) | u32::try_from(value).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from((number >> bits) & 255).ok()?);
            number &= (1 << bits) - 1;
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs() {
        let guest = Guest::new(7, "pve1", &[("name", "web.lab"), ("cores", "2")]);
        for (words, code, out, err) in [
            (&["/bin/echo", "a", "b"][..], 0, "a b\n", ""),
            (&["true"], 0, "", ""),
            (&["false"], 1, "", ""),
            (&["hostname"], 0, "web\n", ""),
            (&["nproc"], 0, "2\n", ""),
            (&["cat", "/etc/hostname"], 0, "web\n", ""),
            (&["cat", "/no"], 1, "", "cat: /no: No such file or directory\n"),
            (&["sh", "-c", "echo hi; warp"], 127, "hi\n", "sh: 1: warp: not found\n"),
            (&["sh", "-c", "echo 'x' && exit 3"], 3, "x\n", ""),
        ] {
            let ended = execute(&guest, words, "", 0).unwrap();
            let expected = Ended { code, out: out.to_owned(), err: err.to_owned() };
            assert_eq!(ended, expected, "{words:?}");
        }
        assert_eq!(execute(&guest, &["warp"], "", 0), None);
        assert_eq!(execute(&guest, &["cat"], "in", 0), Some(done("in")));
    }

    proptest::proptest! {
        #[test]
        fn base64_there_and_back(text in ".{0,40}") {
            proptest::prop_assert_eq!(from_base64(&base64(text.as_bytes())), Some(text));
        }

        #[test]
        fn nothing_panics(text in ".{0,40}") {
            let guest = Guest::new(7, "pve1", &[]);
            let _ = (from_base64(&text), execute(&guest, &["sh", "-c", &text], &text, 0));
        }
    }
}
