//! `dd`, and what a node tells of its memory, disks, addresses and services.

use super::super::Shell;
use super::super::fs::spool::Spool;
use super::super::io::Io;
use super::Flags;

/// Services that run on every node of a cluster.
const SERVICES: &[&str] = &[
    "chrony",
    "corosync",
    "cron",
    "ksmtuned",
    "pve-cluster",
    "pve-firewall",
    "pve-guests",
    "pve-ha-crm",
    "pve-ha-lrm",
    "pvedaemon",
    "pvefw-logger",
    "pveproxy",
    "pvescheduler",
    "pvestatd",
    "qmeventd",
    "rrdcached",
    "spiceproxy",
    "ssh",
    "sshd",
];

impl Shell {
    pub(super) async fn device_command(&mut self, name: &str, words: &[String], io: &Io) -> i32 {
        match name {
            "dd" => self.dd(words, io).await,
            "free" => self.free(words, io),
            "ip" => self.addresses(words, io),
            "systemctl" => systemctl(words, io),
            "ping" => self.ping(words, io),
            "journalctl" => {
                io.out.line("-- No entries --");
                0
            }
            _ => {
                io.err.line(&format!("{name}: not simulated"));
                1
            }
        }
    }

    async fn dd(&self, words: &[String], io: &Io) -> i32 {
        let value = |key: &str| words.iter().find_map(|word| word.strip_prefix(key));
        if let Some(wrong) = words.iter().find(|word| !word.contains('=')) {
            io.err.line(&format!(
                "dd: unrecognized operand ‘{wrong}’\nTry 'dd --help' for more information."
            ));
            return 1;
        }
        let size =
            |key: &str| value(key).map(|text| crate::guest::size::parse(&text.to_uppercase()));
        let block = size("bs=").flatten().unwrap_or(512).max(1);
        let most = size("count=").flatten().map(|count| count.saturating_mul(block));
        let mut spool = Spool::default();
        let left = |spool: &Spool| most.map_or(1 << 20, |most| most.saturating_sub(spool.len()));
        match value("if=") {
            Some("/dev/zero" | "/dev/urandom" | "/dev/random") => {
                let zeros = vec![0; 1 << 20];
                let Some(most) = most.filter(|most| *most <= 4 << 30) else {
                    io.err.line("dd: the simulator wants a count= of at most 4 GiB");
                    return 1;
                };
                while spool.len() < most {
                    let part = usize::try_from(left(&spool)).unwrap_or(0).min(zeros.len());
                    spool.push(zeros.get(..part).unwrap_or_default());
                    tokio::task::yield_now().await;
                }
            }
            Some(file) => match self.fs(|fs| fs.read(&self.path(file))) {
                Ok(bytes) => {
                    let end = usize::try_from(most.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
                    spool.push(bytes.0.get(..end.min(bytes.0.len())).unwrap_or_default());
                }
                Err(errno) => {
                    io.err.line(&format!("dd: failed to open '{file}': {}", errno.text()));
                    return 1;
                }
            },
            None => loop {
                let part = usize::try_from(left(&spool)).unwrap_or(usize::MAX);
                let piece = io.stdin.lock().await.some(part).await;
                if piece.is_empty() {
                    break;
                }
                spool.push(&piece);
            },
        }
        let length = spool.len();
        match value("of=") {
            Some(file) => {
                let path = self.path(file);
                if let Err(errno) = self.fs(|fs| fs.write(&path, spool.finish())) {
                    io.err.line(&format!("dd: failed to open '{file}': {}", errno.text()));
                    return 1;
                }
            }
            None => io.out.write(&spool.whole().unwrap_or_default()),
        }
        if value("status=") != Some("none") {
            let (whole, part) = (length / block, u8::from(length % block > 0));
            io.err.line(&format!("{whole}+{part} records in\n{whole}+{part} records out"));
            if value("status=") != Some("noxfer") {
                io.err.line(&format!("{length} bytes copied, 0.001 s"));
            }
        }
        0
    }

    fn free(&self, words: &[String], io: &Io) -> i32 {
        let flags = Flags::of(words, "");
        let world = self.shared.world();
        let total = world.nodes.get(&self.node).map_or(0, |node| node.memory);
        drop(world);
        let used = total / 10;
        let show =
            |bytes: u64| match (flags.has('g'), flags.has('m'), flags.has('b'), flags.has('h')) {
                (true, ..) => (bytes >> 30).to_string(),
                (_, true, ..) => (bytes >> 20).to_string(),
                (_, _, true, _) => bytes.to_string(),
                (.., true) => match bytes as f64 / 1_073_741_824.0 {
                    0.0 => "0B".to_owned(),
                    gib if gib < 10.0 => format!("{gib:.1}Gi"),
                    gib => format!("{gib:.0}Gi"),
                },
                _ => (bytes >> 10).to_string(),
            };
        io.out.line(
            "               total        used        free      shared  buff/cache   available",
        );
        let rest = total.saturating_sub(used);
        let row = |title: &str, numbers: &[u64]| {
            let cells: Vec<String> =
                numbers.iter().map(|bytes| format!("{:>11}", show(*bytes))).collect();
            io.out.line(&format!("{title:<8} {}", cells.join(" ")));
        };
        row("Mem:", &[total, used, rest, 0, 0, rest]);
        row("Swap:", &[0, 0, 0]);
        0
    }

    fn addresses(&self, words: &[String], io: &Io) -> i32 {
        let brief = words.iter().any(|word| ["-br", "-brief", "--brief"].contains(&word.as_str()));
        let object = words.iter().find(|word| !word.starts_with('-')).map(String::as_str);
        let world = self.shared.world();
        let Some(node) = world.nodes.get(&self.node) else { return 1 };
        let is = |full: &str| object.is_some_and(|object| full.starts_with(object));
        let mut rows = vec![("lo", "127.0.0.1/8".to_owned()), ("eno1", String::new())];
        for (at, bridge) in node.bridges.iter().enumerate() {
            rows.push((bridge, if at == 0 { format!("{}/24", node.ip) } else { String::new() }));
        }
        if is("route") {
            let bridge = node.bridges.first().map_or("vmbr0", String::as_str);
            let (network, _) = node.ip.rsplit_once('.').unwrap_or((&node.ip, ""));
            io.out.line(&format!("default via {network}.1 dev {bridge} proto kernel onlink "));
            io.out.line(&format!(
                "{network}.0/24 dev {bridge} proto kernel scope link src {} ",
                node.ip
            ));
            return 0;
        }
        if !(is("address") || is("link")) {
            io.err
                .line(&format!("Object \"{}\" is unknown, try \"ip help\".", object.unwrap_or("")));
            return if object.is_some() { 1 } else { 255 };
        }
        // `show [dev] NAME`, and `-4` shows only what has an address.
        let mut named = words.iter().filter(|word| !word.starts_with('-')).skip(1);
        let device = named.find(|word| !["show", "list", "ls", "dev"].contains(&word.as_str()));
        let only = |name: &str| device.is_none_or(|device| device == name);
        if let Some(device) = device.filter(|device| !rows.iter().any(|(name, _)| name == device)) {
            io.err.line(&format!("Device \"{device}\" does not exist."));
            return 1;
        }
        let v4 = words.iter().any(|word| word == "-4") && is("address");
        for (number, (name, address)) in (1..).zip(rows) {
            if !only(name) || (v4 && address.is_empty()) {
                continue;
            }
            let state = if name == "lo" { "UNKNOWN" } else { "UP" };
            if brief {
                let address = if is("address") { address.as_str() } else { "" };
                io.out.line(&format!("{name:<16} {state:<14} {address} "));
                continue;
            }
            io.out.line(&format!("{number}: {name}: <UP,LOWER_UP> mtu 1500 state {state}"));
            if is("address") && !address.is_empty() {
                let scope = if name == "lo" { "host" } else { "global" };
                io.out.line(&format!("    inet {address} scope {scope} {name}"));
            }
        }
        0
    }

    fn ping(&self, words: &[String], io: &Io) -> i32 {
        let flags = Flags::of(words, "cwWi");
        let Some(host) = flags.words.first() else {
            io.err.line("ping: usage error: Destination address required");
            return 1;
        };
        let world = self.shared.world();
        let found = world.nodes.values().find(|node| node.name == *host || node.ip == *host);
        let (ip, online) = match found {
            Some(node) => (node.ip.clone(), node.online),
            None if host.parse::<std::net::IpAddr>().is_ok() => (host.clone(), false),
            None => {
                io.err.line(&format!("ping: {host}: Name or service not known"));
                return 2;
            }
        };
        let count: u32 = flags.value('c').and_then(|text| text.parse().ok()).unwrap_or(4).min(100);
        io.out.line(&format!("PING {host} ({ip}) 56(84) bytes of data."));
        if online && !flags.has('q') {
            for number in 1..=count {
                io.out.line(&format!(
                    "64 bytes from {host} ({ip}): icmp_seq={number} ttl=64 time=0.200 ms"
                ));
            }
        }
        let (came, lost) = if online { (count, 0) } else { (0, 100) };
        io.out.line(&format!("\n--- {host} ping statistics ---\n{count} packets transmitted, {came} received, {lost}% packet loss, time 0ms"));
        i32::from(!online)
    }
}

/// `systemctl is-active` and its like; nothing can be changed.
fn systemctl(words: &[String], io: &Io) -> i32 {
    let flags = Flags::of(words, "");
    let Some((command, units)) = flags.words.split_first() else {
        io.err.line("systemctl: not simulated");
        return 1;
    };
    let known = |unit: &String| SERVICES.contains(&unit.trim_end_matches(".service"));
    let quiet = flags.has('q') || flags.long("quiet");
    let say = |text: &str| {
        if !quiet {
            io.out.line(text);
        }
    };
    match command.as_str() {
        "is-active" => {
            let states: Vec<bool> = units.iter().map(known).collect();
            states.iter().for_each(|up| say(if *up { "active" } else { "inactive" }));
            if states.contains(&true) { 0 } else { 4 }
        }
        "is-enabled" => {
            let states: Vec<bool> = units.iter().map(known).collect();
            states.iter().for_each(|up| say(if *up { "enabled" } else { "not-found" }));
            if states.contains(&true) { 0 } else { 4 }
        }
        "is-failed" => {
            units.iter().for_each(|unit| say(if known(unit) { "active" } else { "inactive" }));
            1
        }
        "is-system-running" => {
            say("running");
            0
        }
        "restart" | "reload" | "try-restart" | "reload-or-restart" | "daemon-reload" | "start"
        | "enable" | "reset-failed" => match units.iter().find(|unit| !known(unit)) {
            Some(unit) if command == "enable" => {
                let unit = unit.trim_end_matches(".service");
                io.err.line(&format!("Failed to enable unit: Unit {unit}.service does not exist"));
                1
            }
            Some(unit) => {
                let verb = match command.as_str() {
                    verb @ ("reload" | "start") => verb,
                    _ => "restart",
                };
                let unit = unit.trim_end_matches(".service");
                io.err.line(&format!(
                    "Failed to {verb} {unit}.service: Unit {unit}.service not found."
                ));
                5
            }
            None => 0,
        },
        "status" => match units.first() {
            Some(unit) if known(unit) => {
                let unit = unit.trim_end_matches(".service");
                io.out.line(&format!("● {unit}.service\n     Loaded: loaded (/usr/lib/systemd/system/{unit}.service; enabled; preset: enabled)\n     Active: active (running)"));
                0
            }
            Some(unit) => {
                let unit = unit.trim_end_matches(".service");
                io.err.line(&format!("Unit {unit}.service could not be found."));
                4
            }
            None => {
                io.err.line("systemctl status: not simulated without a unit");
                1
            }
        },
        other => {
            io.err.line(&format!("systemctl {other}: not simulated"));
            1
        }
    }
}
