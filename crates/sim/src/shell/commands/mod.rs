//! The commands of a node that are not Proxmox VE's own.

mod awk;
mod builtins;
mod device;
mod fetch;
mod files;
mod find;
mod hash;
mod image;
mod printf;
mod remote;
mod repeat;
mod search;
mod space;
mod system;
mod test;
mod text;

pub(super) use test::double_bracket;

use super::Shell;
use super::io::Io;
use crate::world::files::Bytes;

/// Commands in the files that a node has, for `which`.
const PROGRAMS: &[&str] = &[
    "awk",
    "mawk",
    "base64",
    "basename",
    "bash",
    "cat",
    "chmod",
    "chown",
    "cp",
    "curl",
    "cut",
    "date",
    "dd",
    "df",
    "dirname",
    "du",
    "env",
    "find",
    "free",
    "grep",
    "egrep",
    "fgrep",
    "head",
    "hostname",
    "id",
    "ip",
    "ionice",
    "journalctl",
    "less",
    "ls",
    "lsblk",
    "more",
    "nice",
    "nl",
    "nohup",
    "paste",
    "ping",
    "rev",
    "ssh",
    "systemctl",
    "tac",
    "time",
    "timeout",
    "xargs",
    "md5sum",
    "mkdir",
    "mktemp",
    "mv",
    "nproc",
    "printenv",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sha1sum",
    "sha256sum",
    "sha512sum",
    "sleep",
    "sort",
    "stat",
    "sync",
    "tail",
    "tee",
    "touch",
    "tr",
    "truncate",
    "tty",
    "uname",
    "uniq",
    "uptime",
    "wc",
    "wget",
    "whoami",
    "qemu-img",
];

impl Shell {
    /// Runs a command; the answer is its exit status.
    pub(super) async fn command(&mut self, name: &str, arguments: &[String], io: &Io) -> i32 {
        if let Some(status) = self.builtin(name, arguments, io).await {
            return status;
        }
        let (asked, name) = (name, bare(name));
        if let Some(status) = Box::pin(self.cli(name, arguments, io)).await {
            return status;
        }
        match name {
            "cat" | "head" | "tail" | "wc" | "tee" | "sort" | "uniq" | "cut" | "tr" | "base64"
            | "seq" | "less" | "more" | "tac" | "rev" | "nl" | "paste" => {
                self.text_command(name, arguments, io).await
            }
            "grep" | "egrep" | "fgrep" | "sed" => self.search_command(name, arguments, io).await,
            "ls" | "stat" | "mkdir" | "rm" | "rmdir" | "mv" | "cp" | "touch" | "chmod"
            | "chown" | "basename" | "dirname" | "realpath" | "readlink" | "mktemp"
            | "truncate" => self.file_command(name, arguments, io),
            "df" => self.df(arguments, io),
            "du" => self.du(arguments, io),
            "md5sum" | "sha1sum" | "sha256sum" | "sha512sum" => {
                self.hash_command(name, arguments, io).await
            }
            "hostname" | "uname" | "date" | "id" | "whoami" | "sleep" | "env" | "printenv"
            | "nproc" | "uptime" | "sync" | "tty" => self.system_command(name, arguments, io).await,
            "wget" | "curl" => self.fetch_command(name, arguments, io).await,
            "qemu-img" => self.image_command(arguments, io),
            "awk" | "mawk" => self.awk_command(arguments, io).await,
            "find" => self.find_command(arguments, io).await,
            "xargs" | "timeout" | "time" | "nohup" | "nice" | "ionice" => {
                self.repeat_command(name, arguments, io).await
            }
            "ssh" => self.remote_command(arguments, io).await,
            "dd" | "free" | "ip" | "lsblk" | "systemctl" | "journalctl" | "ping" => {
                self.device_command(name, arguments, io).await
            }
            "bash" | "sh" => self.nested(name, arguments, io).await,
            path if path.contains('/') => {
                let full = self.path(path);
                let (text, status) = match self.fs(|fs| fs.meta(&full)) {
                    Ok(meta) if meta.folder => ("Is a directory", 126),
                    Ok(meta) if meta.mode & 0o111 == 0 => ("Permission denied", 126),
                    Ok(_) => return self.nested("bash", &with(path, arguments), io).await,
                    Err(errno) => (errno.text(), 127),
                };
                io.err.line(&format!("bash: line 1: {path}: {text}"));
                status
            }
            // A path that was taken for a program.
            _ if asked.contains('/') => {
                io.err.line(&format!("bash: line 1: {asked}: No such file or directory"));
                127
            }
            _ => {
                io.err.line(&format!("bash: line 1: {name}: command not found"));
                127
            }
        }
    }

    /// Whether a command is known, and where it lies.
    fn located(&self, name: &str) -> Option<String> {
        if name.starts_with('/') {
            // Only a name without a folder is looked for: any other path would be asked for again.
            let program = Some(bare(name)).filter(|program| !program.starts_with('/'));
            return program.and_then(|program| self.located(program));
        }
        if PROGRAMS.contains(&name) {
            return Some(format!("/usr/bin/{name}"));
        }
        super::cli::NAMES.contains(&name).then(|| format!("/usr/sbin/{name}"))
    }

    /// `bash -c SCRIPT`, `bash FILE`, `bash -s`.
    async fn nested(&mut self, name: &str, arguments: &[String], io: &Io) -> i32 {
        let mut shell = self.inner();
        shell.depth += 1;
        if shell.depth > 40 {
            io.err.line("bash: too many nested shells");
            return 2;
        }
        shell.functions.clear();
        shell.arguments.clear();
        let (mut script, mut rest) = (None, arguments);
        while let Some((first, after)) = rest.split_first() {
            match first.as_str() {
                "-s" => {
                    rest = after;
                    break;
                }
                "-" | "--" => rest = after,
                flags if flags.starts_with('-') && flags.ends_with('c') => {
                    script = after.first().cloned();
                    rest = after.get(1..).unwrap_or_default();
                    // The next word is `$0`.
                    rest = rest.get(1..).unwrap_or_default();
                    self.flags(&mut shell, flags);
                    break;
                }
                "-o" => {
                    shell.options.pipefail |= after.first().is_some_and(|name| name == "pipefail");
                    rest = after.get(1..).unwrap_or_default();
                }
                flags if flags.starts_with('-') => {
                    self.flags(&mut shell, flags);
                    rest = after;
                }
                file => {
                    let path = self.path(file);
                    match self.fs(|fs| fs.read(&path)) {
                        Ok(bytes) => script = Some(text(&bytes)),
                        Err(errno) => {
                            io.err.line(&format!("{name}: {file}: {}", errno.text()));
                            return 127;
                        }
                    }
                    rest = after;
                    break;
                }
            }
        }
        shell.arguments = rest.to_vec();
        let script = match script {
            Some(script) => script,
            None => String::from_utf8_lossy(&io.read().await).into_owned(),
        };
        Box::pin(shell.whole(&script, io)).await
    }

    fn flags(&self, shell: &mut Self, flags: &str) {
        shell.options.errexit |= flags.contains('e');
        shell.options.nounset |= flags.contains('u');
        shell.options.xtrace |= flags.contains('x');
    }

    /// The content of files, or of standard input without any or for `-`. None after a complaint.
    async fn inputs(&self, name: &str, files: &[String], io: &Io) -> (Vec<(String, Bytes)>, i32) {
        let (mut found, mut status) = (Vec::new(), 0);
        if files.is_empty() {
            found.push(("-".to_owned(), Bytes::from(io.read().await)));
        }
        for file in files {
            if file == "-" || file == "/dev/stdin" {
                found.push((file.clone(), Bytes::from(io.read().await)));
                continue;
            }
            let path = self.path(file);
            match self.fs(|fs| fs.read(&path)) {
                Ok(bytes) => found.push((file.clone(), bytes)),
                Err(errno) => {
                    let text = errno.text();
                    let (line, code) = match name {
                        "head" | "tail" => {
                            (format!("{name}: cannot open '{file}' for reading: {text}"), 1)
                        }
                        "sed" => (format!("sed: can't read {file}: {text}"), 2),
                        "sort" => (format!("sort: cannot read: {file}: {text}"), 2),
                        _ => (format!("{name}: {file}: {text}"), 1),
                    };
                    io.err.line(&line);
                    status = code;
                }
            }
        }
        (found, status)
    }
}

/// The arguments of a shell that runs a file.
fn with(file: &str, arguments: &[String]) -> Vec<String> {
    std::iter::once(file.to_owned()).chain(arguments.iter().cloned()).collect()
}

/// `/usr/sbin/qm` is `qm`.
fn bare(name: &str) -> &str {
    match name.rsplit_once('/') {
        Some((folder, name)) if ["/bin", "/sbin", "/usr/bin", "/usr/sbin"].contains(&folder) => {
            name
        }
        _ => name,
    }
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(&bytes.0).into_owned()
}

/// Flags of one letter and words, taken apart. Letters in `valued` take a value.
struct Flags {
    letters: String,
    values: Vec<(char, String)>,
    long: Vec<String>,
    words: Vec<String>,
}

impl Flags {
    fn of(arguments: &[String], valued: &str) -> Self {
        let mut flags = Self {
            letters: String::new(),
            values: Vec::new(),
            long: Vec::new(),
            words: Vec::new(),
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == "--" {
                flags.words.extend(rest.cloned());
                break;
            }
            if let Some(long) = argument.strip_prefix("--") {
                flags.long.push(long.to_owned());
                continue;
            }
            let Some(letters) = argument.strip_prefix('-').filter(|letters| !letters.is_empty())
            else {
                flags.words.push(argument.clone());
                continue;
            };
            for (at, letter) in letters.char_indices() {
                if !valued.contains(letter) {
                    flags.letters.push(letter);
                    continue;
                }
                let attached = letters.get(at + letter.len_utf8()..).unwrap_or_default();
                let value = match attached {
                    "" => rest.next().cloned().unwrap_or_default(),
                    attached => attached.to_owned(),
                };
                flags.values.push((letter, value));
                break;
            }
        }
        flags
    }

    fn has(&self, letter: char) -> bool {
        self.letters.contains(letter)
    }

    fn value(&self, letter: char) -> Option<&str> {
        let found = self.values.iter().rev().find(|(found, _)| *found == letter);
        found.map(|(_, value)| value.as_str())
    }

    /// The value of `--name=value`.
    fn named(&self, name: &str) -> Option<&str> {
        self.long.iter().find_map(|long| long.strip_prefix(name)?.strip_prefix('='))
    }

    fn long(&self, name: &str) -> bool {
        self.long.iter().any(|long| long == name)
    }
}
