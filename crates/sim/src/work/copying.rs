//! A copy under way, and what is said when it is interrupted.

use crate::guest::allocate::path_of;
use crate::world::World;

/// What the handlers say that clones and moves have while they copy.
pub(crate) const SIGNAL: &str = "interrupted by signal";

/// A volume that is copied into another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copying<'a> {
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    /// Of which snapshot.
    pub(crate) snapshot: Option<&'a str>,
    /// KiB/s.
    pub(crate) limit: Option<u64>,
    /// QEMU copies, not a command of its own.
    pub(crate) mirror: bool,
}

impl Copying<'_> {
    /// The error of the copy when a signal ends it.
    pub(crate) fn interrupted(&self, world: &World, node: &str) -> String {
        if self.mirror {
            return format!("block job (mirror) error: {SIGNAL}");
        }
        format!("copy failed: command '{}' failed: {SIGNAL}", self.command(world, node))
    }

    /// `PVE::QemuServer::QemuImage::convert`.
    fn command(&self, world: &World, node: &str) -> String {
        let format = |volid: &str| {
            let volume = world.volume(node, volid);
            volume.map_or_else(|| "raw".to_owned(), |volume| volume.format.clone())
        };
        let source = format(self.from);
        let mut parts = vec!["/usr/bin/qemu-img convert -p -n".to_owned()];
        if let Some(name) = self.snapshot.filter(|_| source == "qcow2") {
            parts.push(format!("-l 'snapshot.name={name}'"));
        }
        if let Some(limit) = self.limit.filter(|limit| *limit > 0) {
            parts.push(format!("-r {limit}K"));
        }
        parts.push(format!("-f {source} -O {}", format(self.to)));
        parts.push(format!("{} zeroinit:{}", path_of(world, self.from), path_of(world, self.to)));
        parts.join(" ")
    }
}
