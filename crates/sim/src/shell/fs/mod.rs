//! The files that a node's shell, scp and sftp see: storages are folders of volumes, `/etc/pve` is
//! made of the world, everything else is kept as files in it.

pub(crate) mod image;
mod plain;
mod pve;
mod pve_conf;
pub(crate) mod spool;
mod volumes;

pub(crate) use plain::{folder_there, make_folders};

use crate::world::World;
use crate::world::files::{Body, Bytes, FILE_LIMIT, File, Image, TEXT_LIMIT};

/// Why a file operation fails, as a system call would say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errno {
    NoEntry,
    Exists,
    IsFolder,
    NotFolder,
    NotEmpty,
    Denied,
    TooLarge,
    NoSpace,
    Invalid,
    /// The content of a large file is not kept.
    Io,
}

impl Errno {
    /// The text of `strerror`.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::NoEntry => "No such file or directory",
            Self::Exists => "File exists",
            Self::IsFolder => "Is a directory",
            Self::NotFolder => "Not a directory",
            Self::NotEmpty => "Directory not empty",
            Self::Denied => "Permission denied",
            Self::TooLarge => "File too large",
            Self::NoSpace => "No space left on device",
            Self::Invalid => "Invalid argument",
            Self::Io => "Input/output error",
        }
    }
}

/// What `stat` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) folder: bool,
    pub(crate) size: u64,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Unix seconds.
    pub(crate) mtime: i64,
}

impl Meta {
    fn folder(mtime: i64) -> Self {
        Self { folder: true, size: 4096, mode: 0o755, mtime }
    }

    fn file(size: u64, mtime: i64) -> Self {
        Self { folder: false, size, mode: 0o644, mtime }
    }
}

/// The files of a node.
pub(crate) struct Fs<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) node: &'a str,
    /// Unix seconds.
    pub(crate) now: i64,
    /// The permission bits that new files do not get.
    pub(crate) umask: u32,
}

/// The usual one.
pub(crate) const UMASK: u32 = 0o022;

/// Joins a path to a folder and takes `.`, `..` and double slashes out.
pub(crate) fn normal(folder: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The folder and the last name of a normal path.
pub(crate) fn split(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((folder, name)) => (folder, name),
        None => ("/", path),
    }
}

impl Fs<'_> {
    /// Follows the links that a node has: `/etc/pve/local` and its like.
    fn resolve(&self, path: &str) -> String {
        let node = self.node;
        for (link, target) in [
            ("/etc/pve/local", format!("/etc/pve/nodes/{node}")),
            ("/etc/pve/qemu-server", format!("/etc/pve/nodes/{node}/qemu-server")),
            ("/etc/pve/lxc", format!("/etc/pve/nodes/{node}/lxc")),
            ("/root/.ssh/authorized_keys2", "/etc/pve/priv/authorized_keys".to_owned()),
        ] {
            if let Some(rest) = path.strip_prefix(link)
                && (rest.is_empty() || rest.starts_with('/'))
            {
                return format!("{target}{rest}");
            }
        }
        path.to_owned()
    }

    /// What `stat` tells of a normal path.
    pub(crate) fn meta(&self, path: &str) -> Result<Meta, Errno> {
        let path = &self.resolve(path);
        if let Some(rest) = pve::below(path) {
            return pve::meta(self, rest);
        }
        if let Some(meta) = self.volume_meta(path) {
            return Ok(meta);
        }
        self.plain_meta(path)
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.meta(path).is_ok()
    }

    pub(crate) fn is_folder(&self, path: &str) -> bool {
        self.meta(path).is_ok_and(|meta| meta.folder)
    }

    /// The content of a file.
    pub(crate) fn read(&self, path: &str) -> Result<Bytes, Errno> {
        if self.meta(path)?.folder {
            return Err(Errno::IsFolder);
        }
        let path = &self.resolve(path);
        if let Some(rest) = pve::below(path) {
            return pve::read(self, rest);
        }
        match self.body(path)? {
            Body::Bytes(bytes) => Ok(bytes),
            Body::Image(Image { content: Some(content), .. }) => Ok(content),
            Body::Image(image) if image.lost => Err(Errno::Io),
            Body::Image(image) => image::synthesise(&image).map(Bytes::from).ok_or(Errno::TooLarge),
            Body::Folder => Err(Errno::IsFolder),
        }
    }

    /// The content of a file, or the outside of an image whose content is not kept.
    pub(crate) fn body(&self, path: &str) -> Result<Body, Errno> {
        let path = &self.resolve(path);
        if let Some(rest) = pve::below(path) {
            return pve::read(self, rest).map(Body::Bytes);
        }
        if let Some(body) = self.volume_body(path) {
            return Ok(body);
        }
        self.plain_body(path)
    }

    /// The disk image in a file: format, sizes, whether it boots.
    pub(crate) fn image(&self, path: &str) -> Result<Image, Errno> {
        match self.body(path)? {
            Body::Image(image) => Ok(image),
            Body::Bytes(bytes) => Ok(image::probe(&bytes.0)),
            Body::Folder => Err(Errno::IsFolder),
        }
    }

    /// Creates or replaces a file.
    pub(crate) fn write(&mut self, path: &str, body: Body) -> Result<(), Errno> {
        let path = &self.resolve(path);
        if matches!(path.as_str(), "/dev/null" | "/dev/stdout" | "/dev/stderr") {
            return Ok(());
        }
        let body = match body {
            Body::Bytes(bytes) if bytes.0.len() > FILE_LIMIT => return Err(Errno::TooLarge),
            Body::Bytes(bytes) if bytes.0.len() > TEXT_LIMIT => spool::body(bytes.0.to_vec()),
            other => other,
        };
        self.check_parent(path)?;
        if self.is_folder(path) {
            return Err(Errno::IsFolder);
        }
        self.world.revision += 1;
        if let Some(rest) = pve::below(path) {
            return match body {
                Body::Bytes(bytes) => pve::write(self, rest, bytes),
                _ => Err(Errno::Invalid),
            };
        }
        if let Some(id) = self.volume_at(path) {
            return self.write_volume(path, &id, body);
        }
        self.write_plain(path, body)
    }

    fn check_parent(&self, path: &str) -> Result<(), Errno> {
        let (folder, name) = split(path);
        if name.is_empty() {
            return Err(Errno::IsFolder);
        }
        if self.meta(folder)?.folder { Ok(()) } else { Err(Errno::NotFolder) }
    }

    /// The names in a folder, sorted.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<String>, Errno> {
        if !self.meta(path)?.folder {
            return Err(Errno::NotFolder);
        }
        let path = &self.resolve(path);
        let mut names = match pve::below(path) {
            Some(rest) => pve::list(self, rest),
            None => self.plain_list(path).into_iter().chain(self.volume_list(path)).collect(),
        };
        names.sort();
        names.dedup();
        Ok(names)
    }

    pub(crate) fn make_folder(&mut self, path: &str) -> Result<(), Errno> {
        let path = &self.resolve(path);
        if self.exists(path) {
            return Err(Errno::Exists);
        }
        self.check_parent(path)?;
        self.world.revision += 1;
        if pve::below(path).is_some_and(|rest| rest.starts_with("nodes/")) {
            return Err(Errno::Denied);
        }
        self.write_plain(path, Body::Folder)
    }

    /// Removes a file.
    pub(crate) fn remove(&mut self, path: &str) -> Result<(), Errno> {
        if self.meta(path)?.folder {
            return Err(Errno::IsFolder);
        }
        let path = &self.resolve(path);
        self.world.revision += 1;
        if let Some(rest) = pve::below(path) {
            return pve::remove(self, rest);
        }
        if self.remove_volume_at(path) || self.remove_plain(path) {
            return Ok(());
        }
        Err(Errno::Denied)
    }

    /// Removes an empty folder.
    pub(crate) fn remove_folder(&mut self, path: &str) -> Result<(), Errno> {
        if !self.list(path)?.is_empty() {
            return Err(Errno::NotEmpty);
        }
        let path = &self.resolve(path);
        self.world.revision += 1;
        if self.remove_plain(path) { Ok(()) } else { Err(Errno::Denied) }
    }

    /// Copies a file.
    pub(crate) fn copy(&mut self, from: &str, to: &str) -> Result<(), Errno> {
        let body = self.body(from)?;
        if matches!(body, Body::Folder) {
            return Err(Errno::IsFolder);
        }
        self.write(to, body)
    }

    /// Moves a file; a guest's configuration moves the guest.
    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Result<(), Errno> {
        let (from, to) = (self.resolve(from), self.resolve(to));
        if self.meta(&from)?.folder {
            return self.rename_folder(&from, &to);
        }
        if let (Some(old), Some(new)) = (pve::below(&from), pve::below(&to))
            && let Some(done) = pve::rename(self, old, new)
        {
            return done;
        }
        if from == to {
            return Ok(());
        }
        let mode = self.meta(&from)?.mode;
        self.copy(&from, &to)?;
        self.set_mode(&to, mode)?;
        self.remove(&from)
    }

    fn rename_folder(&mut self, from: &str, to: &str) -> Result<(), Errno> {
        if self.exists(to) {
            return Err(Errno::Exists);
        }
        if to.starts_with(&format!("{from}/")) {
            return Err(Errno::Invalid);
        }
        self.make_folder(to)?;
        for name in self.list(from)? {
            self.rename(&format!("{from}/{name}"), &format!("{to}/{name}"))?;
        }
        self.remove_folder(from)
    }

    /// Sets the permission bits of a plain file or of a volume's; below `/etc/pve` they are fixed.
    pub(crate) fn set_mode(&mut self, path: &str, mode: u32) -> Result<(), Errno> {
        self.meta(path)?;
        let path = self.resolve(path);
        if let Some(volid) = self.volume_at(&path)
            && let Some(volume) = self.world.volume_mut(self.node, &volid)
        {
            volume.mode = Some(mode & 0o7777);
            self.world.revision += 1;
            return Ok(());
        }
        let place = self.place(&path);
        if let Some(file) = self.world.files.get_mut(&place).and_then(|all| all.get_mut(&path)) {
            file.mode = mode & 0o7777;
            self.world.revision += 1;
        }
        Ok(())
    }

    fn stored(&self, path: &str) -> Option<&File> {
        self.world.files.get(&self.place(path))?.get(path)
    }
}

#[cfg(test)]
mod tests;
