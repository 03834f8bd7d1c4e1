//! Packets of SFTP version 3 (draft-ietf-secsh-filexfer-02).

use crate::shell::fs::{Errno, Meta};

/// Reads the fields of a packet.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (found, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(found)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.bytes(1)?.first().copied()
    }

    pub(super) fn int(&mut self) -> Option<u32> {
        self.bytes(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    pub(super) fn long(&mut self) -> Option<u64> {
        self.bytes(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    pub(super) fn data(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.int()?).ok()?;
        self.bytes(length)
    }

    pub(super) fn text(&mut self) -> Option<String> {
        self.data().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// The permission bits of an attribute block, when it has them.
    pub(super) fn mode(&mut self) -> Option<u32> {
        let flags = self.int()?;
        if flags & 1 != 0 {
            self.long()?;
        }
        if flags & 2 != 0 {
            self.long()?;
        }
        if flags & 4 != 0 { self.int() } else { None }
    }
}

/// Writes a packet.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new(kind: u8) -> Self {
        Self(vec![0, 0, 0, 0, kind])
    }

    pub(super) fn reply(kind: u8, id: u32) -> Self {
        Self::new(kind).int(id)
    }

    pub(super) fn int(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(super) fn long(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(super) fn data(self, bytes: &[u8]) -> Self {
        let mut out = self.int(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        out.0.extend_from_slice(bytes);
        out
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.data(text.as_bytes())
    }

    pub(super) fn attributes(self, meta: &Meta) -> Self {
        let kind = if meta.folder { 0o040_000 } else { 0o100_000 };
        let time = u32::try_from(meta.mtime).unwrap_or(0);
        self.int(0xf).long(meta.size).int(0).int(0).int(kind | meta.mode).int(time).int(time)
    }

    /// The packet with its length in front.
    pub(super) fn done(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len().saturating_sub(4)).unwrap_or(0);
        for (target, source) in self.0.iter_mut().zip(length.to_be_bytes()) {
            *target = source;
        }
        self.0
    }
}

/// `SSH_FXP_STATUS`.
pub(super) fn status(id: u32, code: u32, message: &str) -> Vec<u8> {
    Writer::reply(101, id).int(code).text(message).text("").done()
}

pub(super) fn failure(id: u32, errno: Errno) -> Vec<u8> {
    let code = match errno {
        Errno::NoEntry => 2,
        Errno::Denied => 3,
        _ => 4,
    };
    let message = match errno {
        Errno::NoEntry => "No such file",
        Errno::Denied => "Permission denied",
        _ => "Failure",
    };
    status(id, code, message)
}

/// How `ls -l` shows a file.
pub(super) fn long_name(name: &str, meta: &Meta) -> String {
    let mut bits = if meta.folder { "d".to_owned() } else { "-".to_owned() };
    for shift in [6, 3, 0] {
        let triple = meta.mode >> shift;
        for (bit, letter) in [(4, 'r'), (2, 'w'), (1, 'x')] {
            bits.push(if triple & bit != 0 { letter } else { '-' });
        }
    }
    let time = jiff::Timestamp::from_second(meta.mtime).unwrap_or_default();
    let date = time.strftime("%b %e %H:%M").to_string();
    format!("{bits}    1 root     root     {:8} {date} {name}", meta.size)
}
