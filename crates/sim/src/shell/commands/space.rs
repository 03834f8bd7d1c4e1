//! `df` and `du`.

use super::super::Shell;
use super::super::fs::Errno;
use super::super::io::Io;
use super::Flags;

/// How sizes are told.
#[derive(Clone, Copy)]
enum Unit {
    /// In blocks of so many bytes, rounded up.
    Blocks(u64),
    /// `-h`: with a letter.
    Human,
}

impl Unit {
    fn of(flags: &Flags) -> Self {
        let block = flags.value('B').or_else(|| flags.named("block-size"));
        match block {
            Some(block) => {
                let bytes = crate::guest::size::parse(&block.trim_end_matches("iB").to_uppercase());
                let letter = crate::guest::size::parse(&format!("1{}", block.to_uppercase()));
                Self::Blocks(bytes.or(letter).unwrap_or(1024).max(1))
            }
            None if flags.has('h') || flags.long("human-readable") => Self::Human,
            None if flags.has('m') => Self::Blocks(1 << 20),
            None if flags.has('b') || flags.long("bytes") => Self::Blocks(1),
            None => Self::Blocks(1024),
        }
    }

    fn show(self, bytes: u64) -> String {
        let Self::Blocks(block) = self else { return human(bytes) };
        bytes.div_ceil(block).to_string()
    }

    fn title(self) -> String {
        match self {
            Self::Human => "Size".to_owned(),
            Self::Blocks(block) if block >= 1 << 30 => format!("{}G-blocks", block >> 30),
            Self::Blocks(block) if block >= 1 << 20 => format!("{}M-blocks", block >> 20),
            Self::Blocks(block) if block >= 1 << 10 => format!("{}K-blocks", block >> 10),
            Self::Blocks(block) => format!("{block}B-blocks"),
        }
    }
}

/// Three digits at most and a letter, rounded up as coreutils does.
fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["", "K", "M", "G", "T"] {
        if value < 1024.0 || unit == "T" {
            let tenths = (value * 10.0).ceil() / 10.0;
            return match unit {
                "" => format!("{value}"),
                _ if tenths < 10.0 => format!("{tenths:.1}{unit}"),
                _ => format!("{:.0}{unit}", value.ceil()),
            };
        }
        value /= 1024.0;
    }
    String::new()
}

/// A mounted file system.
struct Mount {
    source: String,
    total: u64,
    used: u64,
    target: String,
}

impl Mount {
    fn cell(&self, column: &str, unit: Unit) -> String {
        match column {
            "source" => self.source.clone(),
            "fstype" => "ext4".to_owned(),
            "size" => unit.show(self.total),
            "used" => unit.show(self.used),
            "avail" => unit.show(self.total.saturating_sub(self.used)),
            "pcent" => {
                let percent = self.used.saturating_mul(100).checked_div(self.total);
                format!("{}%", percent.unwrap_or(0))
            }
            _ => self.target.clone(),
        }
    }
}

fn title(column: &str, unit: Unit) -> String {
    match column {
        "source" => "Filesystem".to_owned(),
        "fstype" => "Type".to_owned(),
        "size" => unit.title(),
        "used" => "Used".to_owned(),
        "avail" => if matches!(unit, Unit::Human) { "Avail" } else { "Available" }.to_owned(),
        "pcent" => "Use%".to_owned(),
        _ => "Mounted on".to_owned(),
    }
}

impl Shell {
    fn mounts(&self) -> Vec<Mount> {
        let world = self.shared.world();
        let rootfs = world.nodes.get(&self.node).map_or(0, |node| node.rootfs);
        let mut mounts = vec![Mount {
            source: "/dev/mapper/pve-root".to_owned(),
            total: rootfs,
            used: rootfs / 10,
            target: "/".to_owned(),
        }];
        for storage in world.storages.values().filter(|storage| storage.on_node(&self.node)) {
            if let Some(path) = &storage.path {
                let used = world.used(&storage.id, &self.node);
                mounts.push(Mount {
                    source: storage.id.clone(),
                    total: storage.capacity,
                    used,
                    target: path.clone(),
                });
            }
        }
        mounts
    }

    pub(super) fn df(&self, words: &[String], io: &Io) -> i32 {
        let flags = Flags::of(words, "B");
        let unit = Unit::of(&flags);
        let all = self.mounts();
        let (mut shown, mut status): (Vec<&Mount>, i32) = (Vec::new(), 0);
        for word in &flags.words {
            let path = self.path(word);
            if !self.fs(|fs| fs.exists(&path)) {
                io.err.line(&format!("df: {word}: {}", Errno::NoEntry.text()));
                status = 1;
                continue;
            }
            let inside = |mount: &&Mount| {
                let rest = path.strip_prefix(&mount.target);
                mount.target == "/" || rest.is_some_and(|r| r.is_empty() || r.starts_with('/'))
            };
            shown.extend(all.iter().filter(inside).max_by_key(|mount| mount.target.len()));
        }
        if flags.words.is_empty() {
            shown = all.iter().collect();
        }
        if shown.is_empty() {
            return status;
        }
        let typed = if flags.has('T') { &["fstype"][..] } else { &[] };
        let usual: Vec<&str> = ["source"]
            .iter()
            .chain(typed)
            .chain(&["size", "used", "avail", "pcent", "target"])
            .copied()
            .collect();
        let columns: Vec<&str> = match flags.named("output") {
            Some(list) => list.split(',').collect(),
            None => usual,
        };
        let titles = columns.iter().map(|column| title(column, unit));
        let mut rows: Vec<Vec<String>> = vec![titles.collect()];
        for mount in shown {
            rows.push(columns.iter().map(|column| mount.cell(column, unit)).collect());
        }
        for row in &rows {
            let cells = row.iter().enumerate().map(|(at, cell)| {
                // The least widths of coreutils.
                let least = match columns.get(at) {
                    Some(&"source") => 14,
                    Some(&("fstype" | "pcent")) => 4,
                    Some(&"target") => 0,
                    _ => 5,
                };
                let width = rows.iter().filter_map(|row| row.get(at)).map(String::len).max();
                let width = width.unwrap_or(0).max(least);
                let last = at + 1 == row.len();
                match columns.get(at) {
                    Some(&("source" | "fstype" | "target")) if last => cell.clone(),
                    Some(&("source" | "fstype" | "target")) => format!("{cell:<width$}"),
                    _ => format!("{cell:>width$}"),
                }
            });
            io.out.line(&cells.collect::<Vec<_>>().join(" "));
        }
        status
    }

    /// `du`: the size of files, of folders with all that is in them.
    pub(super) fn du(&self, words: &[String], io: &Io) -> i32 {
        let flags = Flags::of(words, "Bd");
        let unit = Unit::of(&flags);
        let here = [".".to_owned()];
        let names = if flags.words.is_empty() { &here[..] } else { &flags.words };
        let mut status = 0;
        for name in names {
            match self.size_below(&self.path(name), 0) {
                Ok(size) => io.out.line(&format!("{}\t{name}", unit.show(size))),
                Err(errno) => {
                    io.err.line(&format!("du: cannot access '{name}': {}", errno.text()));
                    status = 1;
                }
            }
        }
        status
    }

    fn size_below(&self, path: &str, depth: usize) -> Result<u64, Errno> {
        let meta = self.fs(|fs| fs.meta(path))?;
        if !meta.folder || depth > 20 {
            return Ok(meta.size);
        }
        let mut sum = 4096_u64;
        for name in self.fs(|fs| fs.list(path))? {
            let inner = super::super::fs::normal(path, &name);
            sum = sum.saturating_add(self.size_below(&inner, depth + 1)?);
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn sizes_for_people() {
        for (bytes, wanted) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1.0K"),
            (1 << 20, "1.0M"),
            (5_242_881, "5.1M"),
            (270_553_174_016, "252G"),
        ] {
            assert_eq!(human(bytes), wanted, "{bytes}");
        }
    }
}
