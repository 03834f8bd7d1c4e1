//! What a node tells of itself.

use std::time::Duration;

use super::super::Shell;
use super::super::io::Io;
use super::Flags;

impl Shell {
    pub(super) async fn system_command(&mut self, name: &str, words: &[String], io: &Io) -> i32 {
        let flags = Flags::of(words, "d");
        match name {
            "hostname" => io.out.line(&self.host_name(&flags)),
            "uname" => io.out.line(&self.kernel(&flags)),
            "whoami" => io.out.line("root"),
            "id" if flags.has('u') || flags.has('g') => {
                io.out.line(if flags.has('n') { "root" } else { "0" });
            }
            "id" => io.out.line("uid=0(root) gid=0(root) groups=0(root)"),
            "nproc" => {
                let cpus = self.shared.world().nodes.get(&self.node).map_or(1, |node| node.cpus);
                io.out.line(&cpus.to_string());
            }
            "sleep" => {
                let unit = |word: &String| {
                    let (number, factor) = match word.chars().last() {
                        Some('m') => (word.trim_end_matches('m'), 60.0),
                        Some('h') => (word.trim_end_matches('h'), 3600.0),
                        _ => (word.trim_end_matches('s'), 1.0),
                    };
                    number.parse::<f64>().ok().filter(|number| *number >= 0.0).map(|n| n * factor)
                };
                let Some(seconds) = flags.words.iter().map(unit).sum::<Option<f64>>() else {
                    io.err.line(&format!("sleep: invalid time interval ‘{}’", words.join(" ")));
                    return 1;
                };
                self.pause((seconds * 1000.0) as i64).await;
            }
            "date" => io.out.line(&self.date(&flags)),
            "tty" => {
                io.out.line("not a tty");
                return 1;
            }
            "uptime" => {
                let moment = self.shared.clock.moment();
                let world = self.shared.world();
                let seconds = world.nodes.get(&self.node).map_or(0, |node| node.uptime(moment.now));
                let (days, hours, minutes) =
                    (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
                let days = match days {
                    0 => String::new(),
                    1 => "1 day, ".to_owned(),
                    days => format!("{days} days, "),
                };
                let time = match hours {
                    0 => format!("{minutes} min"),
                    hours => format!("{hours:>2}:{minutes:02}"),
                };
                let now = jiff::Timestamp::from_second(moment.seconds()).unwrap_or_default();
                io.out.line(&format!(
                    " {} up {days}{time},  0 users,  load average: 0.10, 0.12, 0.09",
                    now.strftime("%H:%M:%S")
                ));
            }
            "env" if words.iter().any(|word| !word.contains('=')) => {
                let mut shell = self.clone();
                let mut rest = words;
                while let Some((name, value)) = rest.first().and_then(|word| word.split_once('=')) {
                    shell.variables.insert(name.to_owned(), value.to_owned());
                    rest = rest.get(1..).unwrap_or_default();
                }
                let Some((name, rest)) = rest.split_first() else { return 0 };
                return Box::pin(shell.command(name, rest, io)).await;
            }
            "env" | "printenv" => {
                if let Some(name) = flags.words.first().filter(|_| name == "printenv") {
                    let Some(value) = self.variable(name) else { return 1 };
                    io.out.line(&value);
                    return 0;
                }
                for (name, value) in &self.variables {
                    io.out.line(&format!("{name}={value}"));
                }
            }
            _ => {}
        }
        0
    }

    fn host_name(&self, flags: &Flags) -> String {
        let world = self.shared.world();
        let domain = &world.domain;
        if flags.has('I') || flags.has('i') {
            return world.nodes.get(&self.node).map(|node| node.ip.clone()).unwrap_or_default();
        }
        match (flags.has('f') || flags.long("fqdn"), flags.has('d')) {
            (true, _) => format!("{}.{domain}", self.node),
            (_, true) => domain.clone(),
            _ => self.node.clone(),
        }
    }

    fn kernel(&self, flags: &Flags) -> String {
        let all = [
            ('s', "Linux"),
            ('n', self.node.as_str()),
            ('r', "6.18.44"),
            ('v', "#1 SMP PREEMPT_DYNAMIC PMX"),
            ('m', "x86_64"),
            ('o', "GNU/Linux"),
        ];
        let wanted = |letter: char| flags.has('a') || flags.has(letter);
        let parts: Vec<&str> =
            all.iter().filter(|(letter, _)| wanted(*letter)).map(|(_, text)| *text).collect();
        if parts.is_empty() { "Linux".to_owned() } else { parts.join(" ") }
    }

    fn date(&self, flags: &Flags) -> String {
        let moment = self.shared.clock.moment();
        let given = flags.value('d').and_then(|text| text.strip_prefix('@')?.parse().ok());
        let time = jiff::Timestamp::from_second(given.unwrap_or(moment.seconds()));
        let time = time.unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC);
        let format = flags.words.first().and_then(|word| word.strip_prefix('+'));
        let format = match format {
            Some(format) => format,
            None if flags.has('I') => "%Y-%m-%d",
            None => "%a %b %e %H:%M:%S %Z %Y",
        };
        jiff::fmt::strtime::format(format.replace("%N", "000000000"), &time).unwrap_or_default()
    }

    /// Waits so many milliseconds of sim time.
    pub(in crate::shell) async fn pause(&self, ms: i64) {
        let clock = &self.shared.clock;
        let until = clock.moment().now.saturating_add(ms);
        if clock.moment().instant {
            return;
        }
        while clock.moment().now < until {
            let left =
                clock.real_until(until).clamp(Duration::from_millis(1), Duration::from_secs(60));
            tokio::time::sleep(left).await;
        }
    }
}
