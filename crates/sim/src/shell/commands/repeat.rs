//! Commands that run another command: `xargs`, `timeout`, `time`, `nohup`, `nice`.

use super::super::Shell;
use super::super::io::{Input, Io};

impl Shell {
    pub(super) async fn repeat_command(&mut self, name: &str, words: &[String], io: &Io) -> i32 {
        if name == "xargs" {
            return self.xargs(words, io).await;
        }
        let mut rest = words;
        while let Some((first, after)) = rest.split_first() {
            if !first.starts_with('-') {
                break;
            }
            let valued = matches!(first.as_str(), "-n" | "-c" | "-k" | "-s");
            rest = if valued { after.get(1..).unwrap_or_default() } else { after };
        }
        let mut limit = None;
        if name == "timeout" {
            let Some((first, after)) = rest.split_first() else {
                io.err.line("timeout: missing operand\nTry 'timeout --help' for more information.");
                return 125;
            };
            let factor = match first.chars().last() {
                Some('m') => 60.0,
                Some('h') => 3600.0,
                _ => 1.0,
            };
            let Ok(number) = first.trim_end_matches(['s', 'm', 'h']).parse::<f64>() else {
                io.err.line(&format!("timeout: invalid time interval ‘{first}’"));
                return 125;
            };
            limit = Some((number * factor * 1000.0) as i64);
            rest = after;
        }
        let Some((command, rest)) = rest.split_first() else {
            return if name == "timeout" { 125 } else { 0 };
        };
        let mut shell = self.clone();
        let runs = Box::pin(shell.command(command, rest, io));
        match limit {
            // In simulated time; 124 says that it was over.
            Some(limit) if limit > 0 => tokio::select! {
                status = runs => status,
                () = self.until(limit) => 124,
            },
            _ => runs.await,
        }
    }

    async fn until(&self, ms: i64) {
        if self.shared.clock.moment().instant {
            return std::future::pending().await;
        }
        self.pause(ms).await;
    }

    async fn xargs(&mut self, words: &[String], io: &Io) -> i32 {
        let (mut most, mut place, mut zero, mut skip_empty) = (None, None, false, false);
        let mut rest = words;
        while let Some((first, after)) = rest.split_first() {
            let Some(flag) = first.strip_prefix('-') else { break };
            rest = after;
            let (letter, attached) = flag.split_at(flag.len().min(1));
            let mut value = || match attached {
                "" => {
                    let value = rest.first().cloned().unwrap_or_default();
                    rest = rest.get(1..).unwrap_or_default();
                    value
                }
                attached => attached.to_owned(),
            };
            match letter {
                "n" | "L" => most = value().parse::<usize>().ok(),
                "I" => place = Some(value()),
                "P" | "d" => {
                    value();
                }
                "0" => zero = true,
                "r" => skip_empty = true,
                _ if flag == "-null" => zero = true,
                _ if flag == "-no-run-if-empty" => skip_empty = true,
                _ => {}
            }
        }
        let input = String::from_utf8_lossy(&io.read().await).into_owned();
        let items: Vec<String> = if zero {
            input.split('\0').filter(|item| !item.is_empty()).map(str::to_owned).collect()
        } else if place.is_some() {
            let lines = input.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.map(str::to_owned).collect()
        } else {
            let marks = ['"', '\''];
            input.split_whitespace().map(|item| item.trim_matches(marks).to_owned()).collect()
        };
        if items.is_empty() && (skip_empty || place.is_some()) {
            return 0;
        }
        let echo = ["echo".to_owned()];
        let command = if rest.is_empty() { &echo[..] } else { rest };
        let chunk = if place.is_some() { 1 } else { most.unwrap_or(usize::MAX).max(1) };
        let mut groups: Vec<&[String]> = items.chunks(chunk).collect();
        if groups.is_empty() {
            groups.push(&[]);
        }
        let mut status = 0;
        for group in groups {
            let mut line: Vec<String> = match (&place, group.first()) {
                (Some(place), Some(item)) => {
                    command.iter().map(|word| word.replace(place.as_str(), item)).collect()
                }
                _ => command.to_vec(),
            };
            if place.is_none() {
                line.extend(group.iter().cloned());
            }
            let Some((name, arguments)) = line.split_first() else { continue };
            let streams = Io { stdin: Input::of(Vec::new()), ..io.clone() };
            // A program of its own: what it does to a shell stays with it.
            let mut shell = self.clone();
            match Box::pin(shell.command(name, arguments, &streams)).await {
                0 => {}
                127 => return 127,
                255 => {
                    io.err.line(&format!("xargs: {name}: exited with status 255; aborting"));
                    return 124;
                }
                _ => status = 123,
            }
        }
        status
    }
}
