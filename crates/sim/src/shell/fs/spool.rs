//! Contents on their way into a file: small ones are kept, of large ones the outside.

use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::image;
use crate::world::files::{Body, Bytes, FILE_LIMIT, Image, Sums, TEXT_LIMIT};
use crate::world::guest::hex;

/// Checksums in the making.
struct Running {
    md5: md5::Context,
    sha1: Sha1,
    sha256: Sha256,
    sha512: Sha512,
}

impl Running {
    fn new() -> Self {
        Self {
            md5: md5::Context::new(),
            sha1: Sha1::new(),
            sha256: Sha256::new(),
            sha512: Sha512::new(),
        }
    }

    fn consume(&mut self, bytes: &[u8]) {
        self.md5.consume(bytes);
        self.sha1.update(bytes);
        self.sha256.update(bytes);
        self.sha512.update(bytes);
    }

    fn done(self) -> Sums {
        Sums {
            md5: format!("{:x}", self.md5.finalize()),
            sha1: hex(&self.sha1.finalize()),
            sha256: hex(&self.sha256.finalize()),
            sha512: hex(&self.sha512.finalize()),
        }
    }
}

/// A file that is being written. At most [`FILE_LIMIT`] bytes of it are held in memory.
#[derive(Default)]
pub(crate) struct Spool {
    kept: Vec<u8>,
    length: u64,
    /// Once it is longer than what is kept.
    running: Option<Box<Running>>,
    /// Bytes beyond what is kept were written out of order: there are no checksums.
    torn: bool,
}

impl From<Vec<u8>> for Spool {
    fn from(kept: Vec<u8>) -> Self {
        let length = kept.len() as u64;
        Self { kept, length, ..Self::default() }
    }
}

impl Spool {
    /// Bytes so far.
    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    /// All bytes, when they are all here.
    pub(crate) fn whole(self) -> Option<Vec<u8>> {
        (self.length == self.kept.len() as u64).then_some(self.kept)
    }

    /// Appends.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = FILE_LIMIT.saturating_sub(self.kept.len());
        if self.running.is_none() && bytes.len() <= room {
            self.kept.extend_from_slice(bytes);
        } else {
            let running = self.running.get_or_insert_with(|| {
                let mut running = Box::new(Running::new());
                running.consume(&self.kept);
                running
            });
            running.consume(bytes);
        }
        self.length = self.length.saturating_add(bytes.len() as u64);
    }

    /// Writes somewhere, as sftp does; a gap is filled with zeros.
    pub(crate) fn write_at(&mut self, at: u64, bytes: &[u8]) {
        if at == self.length {
            return self.push(bytes);
        }
        let end = at.saturating_add(bytes.len() as u64);
        match usize::try_from(end) {
            Ok(end) if end <= FILE_LIMIT && self.running.is_none() => {
                if self.kept.len() < end {
                    self.kept.resize(end, 0);
                }
                let start = end.saturating_sub(bytes.len());
                if let Some(place) = self.kept.get_mut(start..end) {
                    place.copy_from_slice(bytes);
                }
                self.length = self.kept.len() as u64;
            }
            _ => {
                self.torn = true;
                self.running.get_or_insert_with(|| Box::new(Running::new()));
                self.length = self.length.max(end);
            }
        }
    }

    /// What the file holds.
    pub(crate) fn finish(self) -> Body {
        let Some(running) = self.running else { return body(self.kept) };
        let probed = image::probe(&self.kept);
        let raw = probed.format == "raw";
        Body::Image(Image {
            size: if raw { self.length.div_ceil(512).saturating_mul(512) } else { probed.size },
            used: self.length,
            sums: if self.torn { Sums::default() } else { running.done() },
            lost: true,
            ..probed
        })
    }
}

/// A file's content: a long one is kept in memory, but not in the world's file.
pub(super) fn body(bytes: Vec<u8>) -> Body {
    if bytes.len() <= TEXT_LIMIT {
        return Body::Bytes(Bytes::from(bytes));
    }
    let mut running = Running::new();
    running.consume(&bytes);
    let probed = image::probe(&bytes);
    let content = Some(Bytes::from(bytes));
    Body::Image(Image { sums: running.done(), content, lost: true, ..probed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_contents_stay_and_large_ones_leave_their_outside() {
        let mut spool = Spool::default();
        spool.push(b"he");
        spool.write_at(4, b"o");
        spool.write_at(2, b"ll");
        assert_eq!((spool.len(), spool.whole()), (5, Some(b"hello".to_vec())));
        let piece = vec![7u8; 1 << 20];
        let mut spool = Spool::default();
        let count = (FILE_LIMIT >> 20) + 1;
        for _ in 0..count {
            spool.push(&piece);
        }
        let Body::Image(image) = spool.finish() else { panic!("kept") };
        assert_eq!((image.used, image.content), ((count as u64) << 20, None));
        let whole = vec![7u8; count << 20];
        assert_eq!(image.sums.md5, format!("{:x}", md5::compute(whole)));
    }

    #[test]
    fn writes_far_out_take_no_memory() {
        let mut spool = Spool::default();
        spool.write_at(u64::MAX - 1, b"xyz");
        assert_eq!(spool.len(), u64::MAX);
        assert!(matches!(spool.finish(), Body::Image(image) if image.sums.md5.is_empty()));
    }
}
