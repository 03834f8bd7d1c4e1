//! The `sftp` subsystem on a node's files.

use std::collections::BTreeMap;

use tokio::sync::mpsc::UnboundedSender;

use super::sftp_packet::{Reader, Writer, failure, long_name, status};
use crate::shell::Shell;
use crate::shell::fs::spool::Spool;
use crate::shell::fs::{Errno, normal, split};
use crate::shell::io::{Chunk, Stdin};
use crate::world::files::Bytes;

const OK: u32 = 0;
const EOF: u32 = 1;
const BAD_MESSAGE: u32 = 5;
const UNSUPPORTED: u32 = 8;
/// The longest packet that is read; clients send at most 256 KiB of data at once.
const PACKET_LIMIT: usize = 1 << 20;

/// An open file or folder.
enum Handle {
    Read(Bytes),
    /// Written as a whole when it is closed.
    Write {
        path: String,
        spool: Spool,
        mode: Option<u32>,
    },
    Folder {
        path: String,
        told: bool,
    },
}

struct Session<'a> {
    shell: &'a Shell,
    handles: BTreeMap<String, Handle>,
    next: u32,
}

/// Serves packets until the client closes its end.
pub(super) async fn serve(shell: &Shell, stdin: &Stdin, out: &UnboundedSender<Chunk>) -> i32 {
    let mut session = Session { shell, handles: BTreeMap::new(), next: 0 };
    loop {
        let head = stdin.lock().await.exactly(4).await;
        let Some(length) = Reader(&head).int().and_then(|length| usize::try_from(length).ok())
        else {
            return 0;
        };
        if length > PACKET_LIMIT {
            return 255;
        }
        let packet = stdin.lock().await.exactly(length).await;
        if packet.len() < length {
            return 255;
        }
        let Some(answer) = session.packet(&packet) else { return 255 };
        if out.send(Chunk { error: false, bytes: answer }).is_err() {
            return 255;
        }
    }
}

impl Session<'_> {
    /// The answer to a packet; none when it cannot be read.
    fn packet(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let mut reader = Reader(packet);
        let kind = reader.byte()?;
        if kind == 1 {
            let extension = Writer::new(2).int(3).text("posix-rename@openssh.com").text("1");
            return Some(extension.done());
        }
        let id = reader.int()?;
        Some(
            self.request(kind, id, &mut reader)
                .unwrap_or_else(|| status(id, BAD_MESSAGE, "Bad message")),
        )
    }

    fn request(&mut self, kind: u8, id: u32, reader: &mut Reader<'_>) -> Option<Vec<u8>> {
        Some(match kind {
            3 => self.open(id, reader)?,
            4 => self.close(id, &reader.text()?),
            5 => self.read(id, reader)?,
            6 => self.write(id, reader)?,
            7 | 17 => self.stat(id, &reader.text()?),
            8 => self.stat_handle(id, &reader.text()?),
            9 => {
                let path = self.path(&reader.text()?);
                let mode = reader.mode();
                let done = self.shell.fs(|fs| match mode {
                    Some(mode) => fs.set_mode(&path, mode),
                    None => fs.meta(&path).map(|_| ()),
                });
                outcome(id, done)
            }
            10 => {
                let handle = reader.text()?;
                if let (Some(Handle::Write { mode, .. }), Some(new)) =
                    (self.handles.get_mut(&handle), reader.mode())
                {
                    *mode = Some(new);
                }
                status(id, OK, "Success")
            }
            11 => {
                let path = self.path(&reader.text()?);
                match self.shell.fs(|fs| fs.list(&path)) {
                    Ok(_) => self.handle(id, Handle::Folder { path, told: false }),
                    Err(errno) => failure(id, errno),
                }
            }
            12 => self.entries(id, &reader.text()?),
            13..=15 => self.change(id, &reader.text()?, kind),
            16 => {
                let path = self.path(&reader.text()?);
                Writer::reply(104, id).int(1).text(&path).text(&path).int(0).done()
            }
            18 => self.rename(id, reader, false)?,
            200 => match reader.text()?.as_str() {
                "posix-rename@openssh.com" => self.rename(id, reader, true)?,
                _ => status(id, UNSUPPORTED, "Operation unsupported"),
            },
            _ => status(id, UNSUPPORTED, "Operation unsupported"),
        })
    }

    fn path(&self, path: &str) -> String {
        normal("/root", path)
    }

    fn handle(&mut self, id: u32, handle: Handle) -> Vec<u8> {
        self.next += 1;
        let name = self.next.to_string();
        self.handles.insert(name.clone(), handle);
        Writer::reply(102, id).text(&name).done()
    }

    fn open(&mut self, id: u32, reader: &mut Reader<'_>) -> Option<Vec<u8>> {
        let path = self.path(&reader.text()?);
        let flags = reader.int()?;
        let mode = reader.mode();
        let (reads, writes) = (flags & 1 != 0, flags & 2 != 0);
        let (creates, truncates, excludes) = (flags & 8 != 0, flags & 16 != 0, flags & 32 != 0);
        if !writes {
            return Some(match self.shell.fs(|fs| fs.read(&path)) {
                Ok(bytes) if reads => self.handle(id, Handle::Read(bytes)),
                Ok(_) => failure(id, Errno::Denied),
                Err(errno) => failure(id, errno),
            });
        }
        let bytes = self.shell.fs(|fs| match fs.meta(&path) {
            Ok(meta) if meta.folder => Err(Errno::IsFolder),
            Ok(_) if excludes => Err(Errno::Exists),
            Ok(_) if truncates => Ok(Vec::new()),
            Ok(_) => fs.read(&path).map(|bytes| bytes.0.to_vec()),
            Err(Errno::NoEntry) if creates && fs.is_folder(split(&path).0) => Ok(Vec::new()),
            Err(errno) => Err(errno),
        });
        Some(match bytes {
            Ok(bytes) => self.handle(id, Handle::Write { path, spool: Spool::from(bytes), mode }),
            Err(errno) => failure(id, errno),
        })
    }

    fn close(&mut self, id: u32, handle: &str) -> Vec<u8> {
        match self.handles.remove(handle) {
            Some(Handle::Write { path, spool, mode }) => {
                let done = self.shell.fs(|fs| {
                    fs.write(&path, spool.finish())?;
                    mode.map_or(Ok(()), |mode| fs.set_mode(&path, mode))
                });
                self.shell.shared.persist();
                outcome(id, done)
            }
            Some(_) => status(id, OK, "Success"),
            None => status(id, 4, "Failure"),
        }
    }

    fn read(&self, id: u32, reader: &mut Reader<'_>) -> Option<Vec<u8>> {
        let handle = reader.text()?;
        let at = usize::try_from(reader.long()?).ok()?;
        let count = usize::try_from(reader.int()?).ok()?.min(256 << 10);
        let Some(Handle::Read(bytes)) = self.handles.get(&handle) else {
            return Some(status(id, 4, "Failure"));
        };
        let end = at.saturating_add(count).min(bytes.0.len());
        Some(match bytes.0.get(at..end).filter(|part| !part.is_empty()) {
            Some(part) => Writer::reply(103, id).data(part).done(),
            None => status(id, EOF, "End of file"),
        })
    }

    fn write(&mut self, id: u32, reader: &mut Reader<'_>) -> Option<Vec<u8>> {
        let handle = reader.text()?;
        let at = reader.long()?;
        let data = reader.data()?;
        let Some(Handle::Write { spool, .. }) = self.handles.get_mut(&handle) else {
            return Some(status(id, 4, "Failure"));
        };
        spool.write_at(at, data);
        Some(status(id, OK, "Success"))
    }

    fn stat(&self, id: u32, path: &str) -> Vec<u8> {
        match self.shell.fs(|fs| fs.meta(&normal("/root", path))) {
            Ok(meta) => Writer::reply(105, id).attributes(&meta).done(),
            Err(errno) => failure(id, errno),
        }
    }

    fn stat_handle(&self, id: u32, handle: &str) -> Vec<u8> {
        let size = match self.handles.get(handle) {
            Some(Handle::Read(bytes)) => bytes.0.len() as u64,
            Some(Handle::Write { spool, .. }) => spool.len(),
            Some(Handle::Folder { path, .. }) => return self.stat(id, path),
            None => return status(id, 4, "Failure"),
        };
        let meta = crate::shell::fs::Meta { folder: false, size, mode: 0o644, mtime: 0 };
        Writer::reply(105, id).attributes(&meta).done()
    }

    fn entries(&mut self, id: u32, handle: &str) -> Vec<u8> {
        let Some(Handle::Folder { path, told }) = self.handles.get_mut(handle) else {
            return status(id, 4, "Failure");
        };
        if std::mem::replace(told, true) {
            return status(id, EOF, "End of file");
        }
        let path = path.clone();
        let mut all = Vec::new();
        self.shell.fs(|fs| {
            for name in
                [".", ".."].map(str::to_owned).into_iter().chain(fs.list(&path).unwrap_or_default())
            {
                if let Ok(meta) = fs.meta(&normal(&path, &name)) {
                    all.push((name, meta));
                }
            }
        });
        let count = u32::try_from(all.len()).unwrap_or(0);
        let mut answer = Writer::reply(104, id).int(count);
        for (name, meta) in &all {
            answer = answer.text(name).text(&long_name(name, meta)).attributes(meta);
        }
        answer.done()
    }

    /// Removes a file (13), makes a folder (14) or removes one (15).
    fn change(&self, id: u32, path: &str, kind: u8) -> Vec<u8> {
        let path = self.path(path);
        let done = self.shell.fs(|fs| match kind {
            13 => fs.remove(&path),
            14 => fs.make_folder(&path),
            _ => fs.remove_folder(&path),
        });
        self.shell.shared.persist();
        outcome(id, done)
    }

    fn rename(&self, id: u32, reader: &mut Reader<'_>, replaces: bool) -> Option<Vec<u8>> {
        let (from, to) = (self.path(&reader.text()?), self.path(&reader.text()?));
        let done = self.shell.fs(|fs| {
            if !replaces && fs.exists(&to) {
                return Err(Errno::Exists);
            }
            fs.rename(&from, &to)
        });
        self.shell.shared.persist();
        Some(outcome(id, done))
    }
}

fn outcome(id: u32, done: Result<(), Errno>) -> Vec<u8> {
    match done {
        Ok(()) => status(id, OK, "Success"),
        Err(errno) => failure(id, errno),
    }
}
