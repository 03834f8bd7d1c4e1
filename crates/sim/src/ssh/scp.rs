//! The scp protocol of old: `scp -t` takes files, `scp -f` gives them.

use crate::shell::Shell;
use crate::shell::fs::spool::Spool;
use crate::shell::fs::{Errno, split};
use crate::shell::io::Io;

/// `scp -t PATH` or `scp -f PATH…` as the client asks for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    takes: bool,
    recursive: bool,
    folder: bool,
    times: bool,
    paths: Vec<String>,
}

impl Request {
    pub(super) fn parse(command: &str) -> Option<Self> {
        let mut words = command.split_whitespace();
        if words.next() != Some("scp") {
            return None;
        }
        let mut request =
            Self { takes: false, recursive: false, folder: false, times: false, paths: Vec::new() };
        let mut gives = false;
        for word in words {
            match word.strip_prefix('-').filter(|_| request.paths.is_empty()) {
                Some("-") => {}
                Some(flags) => {
                    request.takes |= flags.contains('t');
                    gives |= flags.contains('f');
                    request.recursive |= flags.contains('r');
                    request.folder |= flags.contains('d');
                    request.times |= flags.contains('p');
                }
                None => request.paths.push(word.trim_matches(['\'', '"']).to_owned()),
            }
        }
        ((request.takes || gives) && !request.paths.is_empty()).then_some(request)
    }
}

/// Serves a request; the exit status.
pub(super) async fn serve(shell: &Shell, request: &Request, io: &Io) -> i32 {
    if request.takes {
        return take(shell, request, io).await;
    }
    let mut status = i32::from(!acknowledged(io).await);
    for path in &request.paths {
        let path = shell.path(&tilde(path));
        status |= Box::pin(give(shell, request, &path, io)).await;
    }
    status
}

fn tilde(path: &str) -> String {
    match path.strip_prefix('~') {
        Some("") => "/root".to_owned(),
        Some(rest) if rest.starts_with('/') => format!("/root{rest}"),
        _ => path.to_owned(),
    }
}

async fn acknowledged(io: &Io) -> bool {
    io.stdin.lock().await.exactly(1).await == [0]
}

fn complain(io: &Io, path: &str, errno: Errno) {
    io.out.text(&format!("\u{1}scp: {path}: {}\n", errno.text()));
}

async fn give(shell: &Shell, request: &Request, path: &str, io: &Io) -> i32 {
    let name = split(path).1.to_owned();
    let meta = match shell.fs(|fs| fs.meta(path)) {
        Ok(meta) if !meta.folder || request.recursive => meta,
        Ok(_) => {
            io.out.text(&format!("\u{1}scp: {path}: not a regular file\n"));
            return 1;
        }
        Err(errno) => {
            complain(io, path, errno);
            return 1;
        }
    };
    if request.times {
        io.out.text(&format!("T{} 0 {} 0\n", meta.mtime, meta.mtime));
        if !acknowledged(io).await {
            return 1;
        }
    }
    if meta.folder {
        io.out.text(&format!("D{:04o} 0 {name}\n", meta.mode));
        let mut status = i32::from(!acknowledged(io).await);
        for child in shell.fs(|fs| fs.list(path)).unwrap_or_default() {
            status |= Box::pin(give(shell, request, &format!("{path}/{child}"), io)).await;
        }
        io.out.text("E\n");
        return status | i32::from(!acknowledged(io).await);
    }
    let bytes = match shell.fs(|fs| fs.read(path)) {
        Ok(bytes) => bytes,
        Err(errno) => {
            complain(io, path, errno);
            return 1;
        }
    };
    io.out.text(&format!("C{:04o} {} {name}\n", meta.mode, bytes.0.len()));
    if !acknowledged(io).await {
        return 1;
    }
    io.out.write(&bytes.0);
    io.out.write(&[0]);
    i32::from(!acknowledged(io).await)
}

async fn take(shell: &Shell, request: &Request, io: &Io) -> i32 {
    let root = shell.path(&tilde(request.paths.first().map(String::as_str).unwrap_or_default()));
    if request.folder && !shell.fs(|fs| fs.is_folder(&root)) {
        complain(io, &root, Errno::NotFolder);
        return 1;
    }
    let mut folders: Vec<String> = Vec::new();
    let mut status = 0;
    io.out.write(&[0]);
    loop {
        let Some(line) = io.stdin.lock().await.line().await else { return status };
        let line = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
        let (kind, rest) = line.split_at(line.chars().next().map_or(0, char::len_utf8));
        let mut parts = rest.splitn(3, ' ');
        let (mode, size, name) = (parts.next(), parts.next(), parts.next());
        let mode = mode.and_then(|mode| u32::from_str_radix(mode, 8).ok()).unwrap_or(0o644);
        let base = folders.last().cloned();
        let target = |name: &str| match &base {
            Some(folder) => format!("{folder}/{name}"),
            None if shell.fs(|fs| fs.is_folder(&root)) => format!("{root}/{name}"),
            None => root.clone(),
        };
        match (kind, name) {
            ("C", Some(name)) if is_name(name) => {
                let size = size.and_then(|size| size.parse().ok()).unwrap_or(0u64);
                let target = shell.path(&target(name));
                status |= receive(shell, &target, size, mode, io).await;
            }
            ("D", Some(name)) if is_name(name) && request.recursive => {
                let folder = shell.path(&target(name));
                match shell.fs(|fs| fs.make_folder(&folder)) {
                    Ok(()) | Err(Errno::Exists) => io.out.write(&[0]),
                    Err(errno) => {
                        complain(io, &folder, errno);
                        status = 1;
                    }
                }
                folders.push(folder);
            }
            ("E", _) => {
                folders.pop();
                io.out.write(&[0]);
            }
            ("T", _) => io.out.write(&[0]),
            ("\u{1}", _) => status = 1,
            _ => {
                io.out.text("\u{2}scp: protocol error\n");
                return 1;
            }
        }
    }
}

/// A name that stays in its folder.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && name != "." && name != ".."
}

async fn receive(shell: &Shell, path: &str, size: u64, mode: u32, io: &Io) -> i32 {
    io.out.write(&[0]);
    let mut spool = Spool::default();
    while spool.len() < size {
        let left = usize::try_from(size - spool.len()).unwrap_or(usize::MAX);
        let piece = io.stdin.lock().await.some(left).await;
        if piece.is_empty() {
            return 1;
        }
        spool.push(&piece);
    }
    if !acknowledged(io).await {
        return 1;
    }
    let written = shell.fs(|fs| {
        fs.write(path, spool.finish())?;
        fs.set_mode(path, mode)
    });
    shell.shared.persist();
    match written {
        Ok(()) => {
            io.out.write(&[0]);
            0
        }
        Err(errno) => {
            complain(io, path, errno);
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Request;

    #[test]
    fn requests() {
        let request = Request::parse("scp -r -p -t -- /tmp/x").unwrap();
        assert!(request.takes && request.recursive && request.times && !request.folder);
        assert_eq!(request.paths, ["/tmp/x"]);
        assert!(!Request::parse("scp -f '/tmp/a'").unwrap().takes);
        assert_eq!(Request::parse("scp a b"), None);
        assert_eq!(Request::parse("echo scp -t x"), None);
    }
}
