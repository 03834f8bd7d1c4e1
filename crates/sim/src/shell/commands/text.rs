//! Filters of text.

use super::super::Shell;
use super::super::io::Io;
use super::{Flags, text};
use crate::world::files::{Body, Bytes};

impl Shell {
    pub(super) async fn text_command(&mut self, name: &str, words: &[String], io: &Io) -> i32 {
        match name {
            "tee" => return self.tee(words, io).await,
            "seq" => return seq(words, io),
            "tr" => return tr(words, &io.read().await, io),
            "head" | "tail" => return self.ends(name, words, io).await,
            "cat" | "less" | "more"
                if words.iter().all(|word| matches!(word.as_str(), "-" | "-u")) =>
            {
                return pass_on(io).await;
            }
            _ => {}
        }
        let valued = match name {
            "cut" => "dfcb",
            "sort" => "kt",
            "base64" => "w",
            "paste" => "d",
            "nl" => "bw",
            _ => "",
        };
        let flags = Flags::of(words, valued);
        let (files, status) = self.inputs(name, &flags.words, io).await;
        match name {
            "cat" | "less" | "more" => {
                let mut number = 0;
                for (_, bytes) in &files {
                    if !flags.has('n') {
                        io.out.write(&bytes.0);
                        continue;
                    }
                    for line in text(bytes).lines() {
                        number += 1;
                        io.out.line(&format!("{number:>6}\t{line}"));
                    }
                }
            }
            "wc" => count(&files, &flags, io),
            "tac" => {
                for (_, bytes) in &files {
                    text(bytes).lines().rev().for_each(|line| io.out.line(line));
                }
            }
            "rev" => {
                for (_, bytes) in &files {
                    let turned = |line: &str| line.chars().rev().collect::<String>();
                    text(bytes).lines().for_each(|line| io.out.line(&turned(line)));
                }
            }
            "nl" => {
                let all: String = files.iter().map(|(_, bytes)| text(bytes)).collect();
                let mut number = 0;
                for line in all.lines() {
                    number += i32::from(!line.is_empty());
                    match line {
                        "" => io.out.line("       "),
                        line => io.out.line(&format!("{number:>6}\t{line}")),
                    }
                }
            }
            "paste" => paste(&files, &flags, io),
            "base64" => return status | base64(&files, &flags, io),
            _ => {
                let whole: String = files.iter().map(|(_, bytes)| text(bytes)).collect();
                match name {
                    "sort" => sort(&whole, &flags, io),
                    "uniq" => uniq(&whole, &flags, io),
                    _ => cut(&whole, &flags, io),
                }
            }
        }
        status
    }

    async fn tee(&self, words: &[String], io: &Io) -> i32 {
        let flags = Flags::of(words, "");
        let bytes = io.read().await;
        io.out.write(&bytes);
        let mut status = 0;
        for file in &flags.words {
            let path = self.path(file);
            let written = self.fs(|fs| {
                let mut content = match flags.has('a') {
                    true => fs.read(&path).map(|old| old.0.to_vec()).unwrap_or_default(),
                    false => Vec::new(),
                };
                content.extend(&bytes);
                fs.write(&path, Body::Bytes(Bytes::from(content)))
            });
            if let Err(errno) = written {
                io.err.line(&format!("tee: {file}: {}", errno.text()));
                status = 1;
            }
        }
        status
    }

    async fn ends(&self, name: &str, words: &[String], io: &Io) -> i32 {
        // `head -3` is `head -n 3`.
        let words: Vec<String> = words
            .iter()
            .map(|word| match word.strip_prefix('-').filter(|rest| rest.parse::<u32>().is_ok()) {
                Some(count) => format!("-n{count}"),
                None => word.replace("--lines=", "-n").replace("--bytes=", "-c"),
            })
            .collect();
        let flags = Flags::of(&words, "nc");
        let (files, status) = self.inputs(name, &flags.words, io).await;
        for (at, (file, bytes)) in files.iter().enumerate() {
            if files.len() > 1 {
                io.out.line(&format!("{}==> {file} <==", if at > 0 { "\n" } else { "" }));
            }
            if let Some(count) = flags.value('c').and_then(|count| count.parse::<usize>().ok()) {
                let length = bytes.0.len();
                let part = match name {
                    "head" => bytes.0.get(..count.min(length)),
                    _ => bytes.0.get(length.saturating_sub(count)..),
                };
                io.out.write(part.unwrap_or_default());
                continue;
            }
            let wanted = flags.value('n').unwrap_or("10");
            let whole = text(bytes);
            let lines: Vec<&str> = whole.split_inclusive('\n').collect();
            let number: usize = wanted.trim_start_matches(['+', '-']).parse().unwrap_or(10);
            let part = match (name, wanted.chars().next()) {
                ("head", Some('-')) => lines.get(..lines.len().saturating_sub(number)),
                ("head", _) => lines.get(..number.min(lines.len())),
                (_, Some('+')) => lines.get(number.saturating_sub(1).min(lines.len())..),
                _ => lines.get(lines.len().saturating_sub(number)..),
            };
            io.out.text(&part.unwrap_or_default().concat());
        }
        status
    }
}

/// Standard input as it comes, so that large files need no memory.
async fn pass_on(io: &Io) -> i32 {
    loop {
        let piece = io.stdin.lock().await.some(1 << 20).await;
        if piece.is_empty() {
            return 0;
        }
        io.out.write(&piece);
    }
}

/// Lines side by side, or with `-s` those of a file in one line.
fn paste(files: &[(String, Bytes)], flags: &Flags, io: &Io) {
    let mark = flags.value('d').map_or_else(|| "\t".to_owned(), super::printf::unescape);
    let texts: Vec<String> = files.iter().map(|(_, bytes)| text(bytes)).collect();
    if flags.has('s') {
        for whole in &texts {
            io.out.line(&whole.lines().collect::<Vec<_>>().join(&mark));
        }
        return;
    }
    let most = texts.iter().map(|whole| whole.lines().count()).max().unwrap_or(0);
    let mut columns: Vec<_> = texts.iter().map(|whole| whole.lines()).collect();
    for _ in 0..most {
        let row: Vec<&str> =
            columns.iter_mut().map(|lines| lines.next().unwrap_or_default()).collect();
        io.out.line(&row.join(&mark));
    }
}

fn count(files: &[(String, Bytes)], flags: &Flags, io: &Io) {
    let all = !"lwcm".chars().any(|letter| flags.has(letter));
    let mut sums = [0usize; 3];
    let show = |counts: &[usize; 3], name: &str| {
        let wanted = [('l', 0), ('w', 1), ('c', 2)];
        let chosen = |letter: char| all || flags.has(letter) || (letter == 'c' && flags.has('m'));
        let numbers: Vec<String> = wanted
            .iter()
            .filter(|(letter, _)| chosen(*letter))
            .filter_map(|(_, at)| counts.get(*at))
            .map(|number| if all { format!("{number:>7}") } else { number.to_string() })
            .collect();
        let name = if name == "-" { String::new() } else { format!(" {name}") };
        io.out.line(&format!("{}{name}", numbers.join(" ")));
    };
    for (name, bytes) in files {
        let whole = text(bytes);
        let counts = [whole.matches('\n').count(), whole.split_whitespace().count(), bytes.0.len()];
        for (sum, number) in sums.iter_mut().zip(counts) {
            *sum += number;
        }
        show(&counts, name);
    }
    if files.len() > 1 {
        show(&sums, "total");
    }
}

fn base64(files: &[(String, Bytes)], flags: &Flags, io: &Io) -> i32 {
    for (_, bytes) in files {
        if flags.has('d') || flags.long("decode") {
            let mut clean = bytes.0.to_vec();
            clean.retain(|byte| !byte.is_ascii_whitespace());
            match data_encoding::BASE64.decode(&clean) {
                Ok(plain) => io.out.write(&plain),
                Err(_) => {
                    io.err.line("base64: invalid input");
                    return 1;
                }
            }
            continue;
        }
        let encoded = data_encoding::BASE64.encode(&bytes.0);
        let width = flags.value('w').or(flags.named("wrap")).and_then(|width| width.parse().ok());
        match width.unwrap_or(76usize) {
            0 => io.out.text(&encoded),
            width => {
                for line in encoded.as_bytes().chunks(width) {
                    io.out.line(&String::from_utf8_lossy(line));
                }
            }
        }
    }
    0
}

fn sort(whole: &str, flags: &Flags, io: &Io) {
    let mut lines: Vec<&str> = whole.lines().collect();
    let column = flags
        .value('k')
        .and_then(|key| key.split(',').next()?.trim_end_matches(char::is_alphabetic).parse().ok());
    let numeric = flags.has('n') || flags.value('k').is_some_and(|key| key.contains('n'));
    let key = |line: &str| -> String {
        match column {
            Some(number) => {
                let at = usize::saturating_sub(number, 1);
                match flags.value('t') {
                    Some(mark) => line.split(mark).nth(at).unwrap_or_default().to_owned(),
                    None => line.split_whitespace().nth(at).unwrap_or_default().to_owned(),
                }
            }
            None => line.to_owned(),
        }
    };
    let number = |line: &str| {
        let text = key(line);
        let text = text.trim();
        let end =
            text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(text.len());
        text.get(..end).and_then(|digits| digits.parse::<f64>().ok()).unwrap_or(0.0)
    };
    if numeric {
        lines.sort_by(|a, b| number(a).total_cmp(&number(b)));
    } else {
        lines.sort_by_key(|line| key(line));
    }
    if flags.has('r') {
        lines.reverse();
    }
    if flags.has('u') {
        lines.dedup();
    }
    for line in lines {
        io.out.line(line);
    }
}

fn uniq(whole: &str, flags: &Flags, io: &Io) {
    let mut groups: Vec<(&str, usize)> = Vec::new();
    for line in whole.lines() {
        match groups.last_mut() {
            Some((last, count)) if *last == line => *count += 1,
            _ => groups.push((line, 1)),
        }
    }
    for (line, count) in groups {
        match (flags.has('c'), flags.has('d') && count < 2, flags.has('u') && count > 1) {
            (_, true, _) | (_, _, true) => {}
            (true, ..) => io.out.line(&format!("{count:>7} {line}")),
            _ => io.out.line(line),
        }
    }
}

/// Numbers chosen by `1,3-5,7-`.
fn chosen(list: &str, number: usize) -> bool {
    list.split(',').any(|part| match part.split_once('-') {
        Some((low, high)) => {
            number >= low.parse().unwrap_or(1) && number <= high.parse().unwrap_or(usize::MAX)
        }
        None => part.parse() == Ok(number),
    })
}

fn cut(whole: &str, flags: &Flags, io: &Io) {
    let mark = flags.value('d').and_then(|mark| mark.chars().next()).unwrap_or('\t');
    for line in whole.lines() {
        if let Some(list) = flags.value('f') {
            if !line.contains(mark) {
                if !flags.has('s') {
                    io.out.line(line);
                }
                continue;
            }
            let fields = line.split(mark).zip(1..).filter(|(_, number)| chosen(list, *number));
            let fields: Vec<&str> = fields.map(|(field, _)| field).collect();
            io.out.line(&fields.join(&mark.to_string()));
        } else {
            let list = flags.value('c').or(flags.value('b')).unwrap_or("1-");
            let kept = line.chars().zip(1..).filter(|(_, number)| chosen(list, *number));
            io.out.line(&kept.map(|(found, _)| found).collect::<String>());
        }
    }
}

fn seq(words: &[String], io: &Io) -> i32 {
    let numbers: Option<Vec<i64>> = words.iter().map(|word| word.parse().ok()).collect();
    let (first, step, last) = match numbers.as_deref() {
        Some([last]) => (1, 1, *last),
        Some([first, last]) => (*first, 1, *last),
        Some([first, step, last]) if *step != 0 => (*first, *step, *last),
        _ => {
            io.err.line("seq: invalid argument");
            return 1;
        }
    };
    let mut number = first;
    for _ in 0..100_000 {
        if (step > 0 && number > last) || (step < 0 && number < last) {
            break;
        }
        io.out.line(&number.to_string());
        number = number.saturating_add(step);
    }
    0
}

/// The characters of a `tr` set.
fn set(text: &str) -> Vec<char> {
    let text = match text {
        "[:upper:]" => "A-Z",
        "[:lower:]" => "a-z",
        "[:digit:]" => "0-9",
        "[:space:]" => " \t\n\r",
        other => other,
    };
    let all: Vec<char> = super::printf::unescape(text).chars().collect();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(low) = all.get(at) {
        match (all.get(at + 1), all.get(at + 2)) {
            (Some('-'), Some(high)) if low <= high => {
                out.extend(*low..=*high);
                at += 3;
            }
            _ => {
                out.push(*low);
                at += 1;
            }
        }
    }
    out
}

fn tr(words: &[String], input: &[u8], io: &Io) -> i32 {
    let flags = Flags::of(words, "");
    let first = set(flags.words.first().map(String::as_str).unwrap_or_default());
    let second = set(flags.words.get(1).map(String::as_str).unwrap_or_default());
    let inside = |found: char| first.contains(&found) != flags.has('c');
    let mut out = String::new();
    for found in String::from_utf8_lossy(input).chars() {
        if !inside(found) {
            out.push(found);
            continue;
        }
        if flags.has('d') {
            continue;
        }
        let at = first.iter().position(|known| *known == found);
        let new = match at {
            Some(at) if !second.is_empty() => second.get(at).or(second.last()).copied(),
            None if !second.is_empty() => second.last().copied(),
            _ => Some(found),
        };
        let new = new.unwrap_or(found);
        if !(flags.has('s') && out.ends_with(new)) {
            out.push(new);
        }
    }
    io.out.text(&out);
    0
}
