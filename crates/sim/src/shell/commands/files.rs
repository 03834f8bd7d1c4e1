//! Commands on files and folders.

use super::super::Shell;
use super::super::fs::{Errno, Meta, split};
use super::super::io::Io;
use super::Flags;
use crate::world::files::{Body, Bytes};

impl Shell {
    pub(super) fn file_command(&mut self, name: &str, words: &[String], io: &Io) -> i32 {
        let valued = match name {
            "stat" => "cf",
            "truncate" => "s",
            "mkdir" => "m",
            "cp" | "mv" => "t",
            "mktemp" => "p",
            _ => "",
        };
        let flags = Flags::of(words, valued);
        match name {
            "ls" => self.ls(&flags, io),
            "stat" => self.stat(&flags, io),
            "mkdir" => self.mkdir(&flags, io),
            "rm" | "rmdir" => self.rm(name, &flags, io),
            "mv" | "cp" => self.transfer(name, &flags, io),
            "mktemp" => self.mktemp(&flags, io),
            "touch" => self.each(name, &flags.words, io, |shell, path| {
                shell.fs(|fs| {
                    if fs.exists(path) {
                        Ok(())
                    } else {
                        fs.write(path, Body::Bytes(Bytes::default()))
                    }
                })
            }),
            "truncate" => {
                let size = flags.value('s').and_then(crate::guest::size::parse);
                self.each(name, &flags.words, io, |shell, path| {
                    let length = size.and_then(|size| usize::try_from(size).ok());
                    let length = length.ok_or(Errno::Invalid)?;
                    shell.fs(|fs| {
                        let mut bytes = fs.read(path).map(|old| old.0.to_vec()).unwrap_or_default();
                        if length > crate::world::files::FILE_LIMIT {
                            let (format, size) = ("raw".to_owned(), length as u64);
                            let image = crate::world::files::Image {
                                format,
                                size,
                                used: size,
                                ..crate::world::files::Image::default()
                            };
                            return fs.write(path, Body::Image(image));
                        }
                        bytes.resize(length, 0);
                        fs.write(path, Body::Bytes(Bytes::from(bytes)))
                    })
                })
            }
            "chmod" | "chown" => {
                let Some((first, files)) = flags.words.split_first() else {
                    io.err.line(&format!("{name}: missing operand"));
                    return 1;
                };
                let mode = u32::from_str_radix(first, 8).ok();
                self.each(name, files, io, |shell, path| {
                    shell.fs(|fs| {
                        let meta = fs.meta(path)?;
                        let executable = first.ends_with("+x").then_some(meta.mode | 0o111);
                        match mode.or(executable).filter(|_| name == "chmod") {
                            Some(mode) => fs.set_mode(path, mode),
                            None => Ok(()),
                        }
                    })
                })
            }
            "basename" => {
                let path = flags.words.first().map(String::as_str).unwrap_or_default();
                let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or(path);
                let suffix = flags.words.get(1).map(String::as_str).unwrap_or_default();
                let last =
                    last.strip_suffix(suffix).filter(|rest| !rest.is_empty()).unwrap_or(last);
                io.out.line(last);
                0
            }
            "dirname" => {
                for path in &flags.words {
                    let folder = match path.trim_end_matches('/').rsplit_once('/') {
                        Some(("", _)) => "/",
                        Some((folder, _)) => folder,
                        None => ".",
                    };
                    io.out.line(folder);
                }
                0
            }
            _ => {
                for path in &flags.words {
                    io.out.line(&self.path(path));
                }
                0
            }
        }
    }

    fn each(
        &self,
        name: &str,
        files: &[String],
        io: &Io,
        work: impl Fn(&Self, &str) -> Result<(), Errno>,
    ) -> i32 {
        let mut status = 0;
        for file in files {
            if let Err(errno) = work(self, &self.path(file)) {
                let verb = if name == "touch" { "touch" } else { "access" };
                io.err.line(&format!("{name}: cannot {verb} '{file}': {}", errno.text()));
                status = 1;
            }
        }
        status
    }

    fn ls(&self, flags: &Flags, io: &Io) -> i32 {
        let here = [".".to_owned()];
        let words = if flags.words.is_empty() { &here[..] } else { &flags.words };
        let mut status = 0;
        let several = words.len() > 1;
        let mut folders = Vec::new();
        for word in words {
            let path = self.path(word);
            match self.fs(|fs| fs.meta(&path)) {
                Ok(meta) if meta.folder && !flags.has('d') => folders.push((word, path)),
                Ok(meta) => self.entry(word, &meta, flags, io),
                Err(errno) => {
                    io.err.line(&format!("ls: cannot access '{word}': {}", errno.text()));
                    status = 2;
                }
            }
        }
        for (at, (word, path)) in folders.iter().enumerate() {
            if several {
                io.out.line(&format!("{}{word}:", if at > 0 { "\n" } else { "" }));
            }
            if flags.has('l') {
                io.out.line("total 0");
            }
            let mut names = self.fs(|fs| fs.list(path)).unwrap_or_default();
            names.retain(|name| flags.has('a') || flags.has('A') || !name.starts_with('.'));
            if flags.has('t') {
                let time = |name: &String| {
                    self.fs(|fs| fs.meta(&format!("{path}/{name}"))).map_or(0, |meta| -meta.mtime)
                };
                names.sort_by_key(time);
            }
            if flags.has('r') {
                names.reverse();
            }
            for name in &names {
                if let Ok(meta) = self.fs(|fs| fs.meta(&super::super::fs::normal(path, name))) {
                    self.entry(name, &meta, flags, io);
                }
            }
        }
        status
    }

    fn entry(&self, name: &str, meta: &Meta, flags: &Flags, io: &Io) {
        if !flags.has('l') {
            io.out.line(name);
            return;
        }
        let time = jiff::Timestamp::from_second(meta.mtime).unwrap_or_default();
        let size = if flags.has('h') { human(meta.size) } else { meta.size.to_string() };
        io.out.line(&format!(
            "{} 1 root root {size:>8} {} {name}",
            mode_text(meta),
            time.strftime("%b %e %H:%M")
        ));
    }

    fn stat(&self, flags: &Flags, io: &Io) -> i32 {
        let format = flags.value('c').or(flags.named("format")).or(flags.named("printf"));
        let mut status = 0;
        for word in &flags.words {
            let path = self.path(word);
            let meta = match self.fs(|fs| fs.meta(&path)) {
                Ok(meta) => meta,
                Err(errno) => {
                    io.err.line(&format!("stat: cannot statx '{word}': {}", errno.text()));
                    status = 1;
                    continue;
                }
            };
            let kind = if meta.folder { "directory" } else { "regular file" };
            let Some(format) = format else {
                io.out.line(&format!(
                    "  File: {word}\n  Size: {}\t{kind}\nAccess: ({:04o}/{})",
                    meta.size,
                    meta.mode,
                    mode_text(&meta)
                ));
                continue;
            };
            let text = format
                .replace("%s", &meta.size.to_string())
                .replace("%n", word)
                .replace("%a", &format!("{:o}", meta.mode))
                .replace("%A", &mode_text(&meta))
                .replace("%F", kind)
                .replace("%Y", &meta.mtime.to_string())
                .replace("%U", "root")
                .replace("%G", "root")
                .replace("%u", "0")
                .replace("%g", "0");
            if flags.named("printf").is_some() {
                io.out.text(&super::printf::unescape(&text));
            } else {
                io.out.line(&text);
            }
        }
        status
    }

    fn mkdir(&self, flags: &Flags, io: &Io) -> i32 {
        let mut status = 0;
        for word in &flags.words {
            let path = self.path(word);
            let parents = flags.has('p') || flags.long("parents");
            let made = self.fs(|fs| {
                if !parents {
                    return fs.make_folder(&path);
                }
                let mut above = String::new();
                for part in path.split('/').filter(|part| !part.is_empty()) {
                    above = format!("{above}/{part}");
                    match fs.meta(&above) {
                        Ok(meta) if meta.folder => {}
                        Ok(_) => return Err(Errno::NotFolder),
                        Err(_) => fs.make_folder(&above)?,
                    }
                }
                Ok(())
            });
            if let Err(errno) = made {
                io.err.line(&format!("mkdir: cannot create directory ‘{word}’: {}", errno.text()));
                status = 1;
            }
        }
        status
    }

    fn rm(&self, name: &str, flags: &Flags, io: &Io) -> i32 {
        let recursive = flags.has('r') || flags.has('R') || flags.long("recursive");
        let force = flags.has('f') || flags.long("force");
        let mut status = 0;
        for word in &flags.words {
            let path = self.path(word);
            let done = self.fs(|fs| match name {
                "rmdir" => fs.remove_folder(&path),
                _ if recursive => remove_tree(fs, &path),
                _ => fs.remove(&path),
            });
            match done {
                Ok(()) => {}
                Err(Errno::NoEntry) if force => {}
                Err(errno) => {
                    let what = if name == "rmdir" { "failed to remove" } else { "cannot remove" };
                    io.err.line(&format!("{name}: {what} '{word}': {}", errno.text()));
                    status = 1;
                }
            }
        }
        if flags.words.is_empty() && !force {
            io.err.line(&format!("{name}: missing operand"));
            return 1;
        }
        status
    }

    fn transfer(&self, name: &str, flags: &Flags, io: &Io) -> i32 {
        let mut words = flags.words.clone();
        let target = match flags.value('t') {
            Some(target) => target.to_owned(),
            None if words.len() < 2 => {
                io.err.line(&format!("{name}: missing destination file operand"));
                return 1;
            }
            None => words.pop().unwrap_or_default(),
        };
        let to = self.path(&target);
        let folder = self.fs(|fs| fs.is_folder(&to));
        if !folder && (words.len() > 1 || target.ends_with('/')) {
            io.err.line(&format!("{name}: target '{target}': No such file or directory"));
            return 1;
        }
        let recursive = flags.has('r') || flags.has('R') || flags.has('a');
        let mut status = 0;
        for word in &words {
            let from = self.path(word);
            let to = if folder { format!("{to}/{}", split(&from).1) } else { to.clone() };
            if flags.has('n') && self.fs(|fs| fs.exists(&to)) {
                continue;
            }
            let done = self.fs(|fs| match name {
                "mv" => fs.rename(&from, &to),
                _ if fs.is_folder(&from) && recursive => copy_tree(fs, &from, &to, 0),
                _ => fs.copy(&from, &to),
            });
            if let Err(errno) = done {
                let text = match (name, errno) {
                    ("cp", Errno::IsFolder) => {
                        format!("cp: -r not specified; omitting directory '{word}'")
                    }
                    (_, Errno::NoEntry) if !self.fs(|fs| fs.exists(&from)) => {
                        format!("{name}: cannot stat '{word}': {}", errno.text())
                    }
                    ("cp", _) => {
                        format!("cp: cannot create regular file '{target}': {}", errno.text())
                    }
                    _ => format!("mv: cannot move '{word}' to '{target}': {}", errno.text()),
                };
                io.err.line(&text);
                status = 1;
            }
        }
        status
    }

    fn mktemp(&self, flags: &Flags, io: &Io) -> i32 {
        let template = flags.words.first().map_or("tmp.XXXXXXXXXX", String::as_str);
        let random = uuid::Uuid::new_v4().simple().to_string();
        let count = template.len() - template.trim_end_matches('X').len();
        let stem = template.trim_end_matches('X');
        let name = format!("{stem}{}", random.get(..count.min(random.len())).unwrap_or_default());
        let path = if name.starts_with('/') {
            name
        } else {
            format!("{}/{name}", flags.value('p').unwrap_or("/tmp"))
        };
        let made = self.fs(|fs| {
            let folder = flags.has('d');
            match folder {
                true => fs.make_folder(&path),
                false => fs.write(&path, Body::Bytes(Bytes::default())),
            }?;
            fs.set_mode(&path, if folder { 0o700 } else { 0o600 })
        });
        match made {
            Ok(()) => {
                io.out.line(&path);
                0
            }
            Err(errno) => {
                io.err.line(&format!(
                    "mktemp: failed to create file via template ‘{template}’: {}",
                    errno.text()
                ));
                1
            }
        }
    }
}

fn remove_tree(fs: &mut super::super::fs::Fs<'_>, path: &str) -> Result<(), Errno> {
    if !fs.meta(path)?.folder {
        return fs.remove(path);
    }
    if path == "/" {
        return Err(Errno::Denied);
    }
    for name in fs.list(path)? {
        remove_tree(fs, &super::super::fs::normal(path, &name))?;
    }
    match fs.remove_folder(path) {
        // The folder of a guest's images goes with what was in it.
        Err(_) if !fs.exists(path) => Ok(()),
        other => other,
    }
}

fn copy_tree(
    fs: &mut super::super::fs::Fs<'_>,
    from: &str,
    to: &str,
    depth: u32,
) -> Result<(), Errno> {
    if depth > 50 || to.starts_with(&format!("{from}/")) {
        return Err(Errno::Invalid);
    }
    if !fs.meta(from)?.folder {
        return fs.copy(from, to);
    }
    if !fs.is_folder(to) {
        fs.make_folder(to)?;
    }
    for name in fs.list(from)? {
        copy_tree(fs, &format!("{from}/{name}"), &format!("{to}/{name}"), depth + 1)?;
    }
    Ok(())
}

fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["", "K", "M", "G"] {
        if value < 1024.0 {
            let decimals = usize::from(value < 10.0 && !unit.is_empty());
            return format!("{value:.decimals$}{unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1}T")
}

fn mode_text(meta: &Meta) -> String {
    let mut bits = if meta.folder { "d".to_owned() } else { "-".to_owned() };
    for shift in [6, 3, 0] {
        let triple = meta.mode >> shift;
        for (bit, letter) in [(4, 'r'), (2, 'w'), (1, 'x')] {
            bits.push(if triple & bit != 0 { letter } else { '-' });
        }
    }
    bits
}
