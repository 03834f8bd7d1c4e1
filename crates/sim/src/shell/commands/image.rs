//! `qemu-img info`, `create`, `resize`, `convert` on the files of the world.

use super::super::Shell;
use super::super::fs::{Errno, image::empty_qcow2};
use super::super::io::Io;
use super::Flags;
use crate::guest::size;
use crate::world::files::{Body, Bytes, Image};

/// Size of a new qcow2 file without data.
const EMPTY: u64 = 196_616;

impl Shell {
    pub(super) fn image_command(&mut self, words: &[String], io: &Io) -> i32 {
        let Some((command, rest)) = words.split_first() else {
            io.err
                .line("qemu-img: Not enough arguments\nTry 'qemu-img --help' for more information");
            return 1;
        };
        let valued = if command == "convert" { "fOo" } else { "fob" };
        let flags = Flags::of(rest, valued);
        let file = |at: usize| flags.words.get(at).map(|word| self.path(word)).unwrap_or_default();
        let done = match command.as_str() {
            "info" => self.image_info(&file(0), &flags, io),
            "create" => {
                let format = flags.value('f').unwrap_or("raw");
                self.image_create(&file(0), format, flags.words.get(1), io)
            }
            "resize" => self.image_resize(&file(0), flags.words.get(1), &flags, io),
            "convert" => {
                let format = flags.value('O').unwrap_or("raw");
                self.image_convert(&file(0), &file(1), format)
            }
            "check" => self.fs(|fs| fs.image(&file(0))).map(|_| {
                io.out.line("No errors were found on the image.");
            }),
            other => {
                io.err.line(&format!("qemu-img: Command not found: {other}"));
                return 1;
            }
        };
        match done {
            Ok(()) => 0,
            Err(errno) => {
                let name = flags.words.first().map(String::as_str).unwrap_or_default();
                io.err.line(&format!(
                    "qemu-img: Could not open '{name}': Could not open '{name}': {}",
                    errno.text()
                ));
                1
            }
        }
    }

    fn image_info(&self, path: &str, flags: &Flags, io: &Io) -> Result<(), Errno> {
        let image = self.fs(|fs| fs.image(path))?;
        let name = flags.words.first().map(String::as_str).unwrap_or_default();
        let json = flags.named("output") == Some("json");
        if json {
            let value = serde_json::json!({
                "virtual-size": image.size, "filename": name, "format": image.format,
                "actual-size": image.used, "dirty-flag": false,
            });
            io.out.line(&super::super::cli::json::pretty(&value, 4));
            return Ok(());
        }
        io.out.text(&format!(
            "image: {name}\nfile format: {}\nvirtual size: {} ({} bytes)\ndisk size: {}\n",
            image.format,
            human(image.size),
            image.size,
            human(image.used)
        ));
        if image.format == "qcow2" {
            io.out.text("cluster_size: 65536\nFormat specific information:\n    compat: 1.1\n    compression type: zlib\n    lazy refcounts: false\n    refcount bits: 16\n    corrupt: false\n    extended l2: false\n");
        }
        Ok(())
    }

    fn image_create(
        &self,
        path: &str,
        format: &str,
        wanted: Option<&String>,
        io: &Io,
    ) -> Result<(), Errno> {
        let bytes = wanted.and_then(|wanted| size::parse(wanted)).ok_or(Errno::Invalid)?;
        let (used, details) = match format {
            "qcow2" => (
                EMPTY,
                format!(
                    " cluster_size=65536 extended_l2=off compression_type=zlib size={bytes} lazy_refcounts=off refcount_bits=16"
                ),
            ),
            "raw" => (bytes, format!(" size={bytes}")),
            _ => return Err(Errno::Invalid),
        };
        io.out.line(&format!("Formatting '{path}', fmt={format}{details}"));
        let image = Image { format: format.to_owned(), size: bytes, used, ..Image::default() };
        let body = match format {
            "qcow2" => {
                let mut content = empty_qcow2(bytes);
                content.resize(usize::try_from(used).unwrap_or(0), 0);
                Body::Bytes(Bytes::from(content))
            }
            _ => Body::Image(image),
        };
        self.fs(|fs| fs.write(path, body))
    }

    fn image_resize(
        &self,
        path: &str,
        wanted: Option<&String>,
        flags: &Flags,
        io: &Io,
    ) -> Result<(), Errno> {
        let mut image = self.fs(|fs| fs.image(path))?;
        let wanted = wanted.map(String::as_str).unwrap_or_default();
        let number = size::parse(wanted.trim_start_matches(['+', '-'])).ok_or(Errno::Invalid)?;
        let new = match wanted.chars().next() {
            Some('+') => image.size.saturating_add(number),
            Some('-') => image.size.saturating_sub(number),
            _ => number,
        };
        if new < image.size && !flags.long("shrink") {
            io.err.line("qemu-img: Use the --shrink option to perform a shrink operation.\nqemu-img: warning: Shrinking an image will delete all data beyond the shrunken image's end. Before performing such an operation, make sure there is no important data there.");
            return Err(Errno::Invalid);
        }
        image.size = new;
        changed(&mut image);
        if image.format == "raw" {
            image.used = new;
        }
        // The content of a qcow2 file says how large its disk is.
        let body = match self.fs(|fs| fs.body(path))? {
            Body::Bytes(bytes) if image.format == "qcow2" => {
                let mut content = bytes.0.to_vec();
                for (target, source) in content.iter_mut().skip(24).zip(new.to_be_bytes()) {
                    *target = source;
                }
                Body::Bytes(Bytes::from(content))
            }
            _ => Body::Image(image),
        };
        self.fs(|fs| fs.write(path, body))?;
        io.out.line("Image resized.");
        Ok(())
    }

    fn image_convert(&self, from: &str, to: &str, format: &str) -> Result<(), Errno> {
        let mut image = self.fs(|fs| fs.image(from))?;
        changed(&mut image);
        if image.format != format {
            image.used = if format == "raw" { image.size } else { image.used.min(image.size) };
            format.clone_into(&mut image.format);
        }
        self.fs(|fs| fs.write(to, Body::Image(image)))
    }
}

/// The bytes of an image are others now, unknown ones.
fn changed(image: &mut Image) {
    *image = Image {
        format: std::mem::take(&mut image.format),
        size: image.size,
        used: image.used,
        bootable: image.bootable,
        ..Image::default()
    };
}

fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1000.0 {
            let text = format!("{value:.3}");
            let text = significant(&text);
            return format!("{text} {unit}");
        }
        value /= 1024.0;
    }
    format!("{} TiB", significant(&format!("{value:.3}")))
}

/// Three digits that count, as `%.3g` writes them.
fn significant(text: &str) -> String {
    let value: f64 = text.parse().unwrap_or(0.0);
    let decimals = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}
