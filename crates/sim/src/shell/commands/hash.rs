//! Checksums.

use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::super::Shell;
use super::super::io::Io;
use super::{Flags, text};
use crate::shell::fs::Errno;
use crate::world::files::Body;
use crate::world::guest::hex;

fn digest(name: &str, bytes: &[u8]) -> String {
    match name {
        "md5sum" => format!("{:x}", md5::compute(bytes)),
        "sha1sum" => hex(&Sha1::digest(bytes)),
        "sha512sum" => hex(&Sha512::digest(bytes)),
        _ => hex(&Sha256::digest(bytes)),
    }
}

impl Shell {
    /// The checksum of a file; of a large one as it was when it was written.
    fn sum(&self, name: &str, path: &str) -> Result<String, Errno> {
        if let Body::Image(image) = self.fs(|fs| fs.body(path))? {
            let known = match name {
                "md5sum" => image.sums.md5,
                "sha1sum" => image.sums.sha1,
                "sha512sum" => image.sums.sha512,
                _ => image.sums.sha256,
            };
            if !known.is_empty() {
                return Ok(known);
            }
        }
        self.fs(|fs| fs.read(path)).map(|bytes| digest(name, &bytes.0))
    }

    async fn sums_of(&self, name: &str, files: &[String], io: &Io) -> i32 {
        let mut status = 0;
        for file in files {
            let sum = match file.as_str() {
                "-" => Ok(digest(name, &io.read().await)),
                file => self.sum(name, &self.path(file)),
            };
            match sum {
                Ok(sum) => io.out.line(&format!("{sum}  {file}")),
                Err(errno) => {
                    io.err.line(&format!("{name}: {file}: {}", errno.text()));
                    status = 1;
                }
            }
        }
        status
    }

    pub(super) async fn hash_command(&mut self, name: &str, words: &[String], io: &Io) -> i32 {
        let flags = Flags::of(words, "");
        if !flags.words.is_empty() && !flags.has('c') && !flags.long("check") {
            return self.sums_of(name, &flags.words, io).await;
        }
        let (files, mut status) = self.inputs(name, &flags.words, io).await;
        if !flags.has('c') && !flags.long("check") {
            for (file, bytes) in files {
                io.out.line(&format!("{}  {file}", digest(name, &bytes.0)));
            }
            return status;
        }
        let quiet = flags.long("quiet") || flags.long("status");
        let (mut wrong, mut lines) = (0, 0);
        for line in files
            .iter()
            .flat_map(|(_, bytes)| text(bytes).lines().map(str::to_owned).collect::<Vec<_>>())
        {
            let Some((wanted, file)) = line.split_once(char::is_whitespace) else { continue };
            let is_sum = wanted.len() >= 32 && wanted.chars().all(|c| c.is_ascii_hexdigit());
            if !is_sum {
                continue;
            }
            lines += 1;
            let file = file.trim_start().trim_start_matches('*');
            let path = self.path(file);
            let found = self.sum(name, &path);
            let good = found.as_ref().is_ok_and(|found| *found == wanted.to_lowercase());
            match found {
                Ok(_) if good && !quiet => io.out.line(&format!("{file}: OK")),
                Ok(_) if good => {}
                Ok(_) => io.out.line(&format!("{file}: FAILED")),
                Err(errno) => {
                    io.err.line(&format!("{name}: {file}: {}", errno.text()));
                    io.out.line(&format!("{file}: FAILED open or read"));
                }
            }
            wrong += i32::from(!good);
        }
        if lines == 0 {
            let file = match files.first() {
                Some((file, _)) if file == "-" => "'standard input'",
                Some((file, _)) => file,
                None => return status,
            };
            io.err.line(&format!("{name}: {file}: no properly formatted checksum lines found"));
            return 1;
        }
        if wrong > 0 {
            let noun = if wrong == 1 { "checksum" } else { "checksums" };
            if !flags.long("status") {
                io.err.line(&format!("{name}: WARNING: {wrong} computed {noun} did NOT match"));
            }
            status = 1;
        }
        status
    }
}
