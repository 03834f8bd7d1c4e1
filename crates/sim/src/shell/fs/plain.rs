//! Files that are neither volumes nor part of `/etc/pve`.

use super::{Errno, Fs, Meta, split, volumes};
use crate::world::World;
use crate::world::files::{Body, Bytes, File};

/// Folders that every node has.
const FOLDERS: &[&str] = &[
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/etc/apt",
    "/etc/apt/sources.list.d",
    "/etc/network",
    "/etc/ssh",
    "/home",
    "/lib",
    "/media",
    "/mnt",
    "/mnt/pve",
    "/opt",
    "/proc",
    "/root",
    "/root/.ssh",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/local",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/share",
    "/var",
    "/var/lib",
    "/var/lib/vz",
    "/var/log",
    "/var/tmp",
];
const OS_RELEASE: &str = "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"13\"\nVERSION=\"13 (trixie)\"\nVERSION_CODENAME=trixie\nID=debian\nHOME_URL=\"https://www.debian.org/\"\nSUPPORT_URL=\"https://www.debian.org/support\"\nBUG_REPORT_URL=\"https://bugs.debian.org/\"\n";

/// Whether a path of a node is a folder; none when nothing is there. Only folders that a node
/// always has, those of storages, and what was made since count.
pub(crate) fn folder_there(world: &World, node: &str, path: &str) -> Option<bool> {
    let path = if path == "/" { path } else { path.trim_end_matches('/') };
    let place = match volumes::storage_at(world, node, path) {
        Some((storage, _)) => World::place(storage, node),
        None => node.to_owned(),
    };
    if let Some(file) = world.files.get(&place).and_then(|all| all.get(path)) {
        return Some(matches!(file.body, Body::Folder));
    }
    let storages = || volumes::storage_folders(world, node).iter().any(|folder| folder == path);
    (FOLDERS.contains(&path) || storages()).then_some(true)
}

/// Makes a folder on a node, and those above it.
pub(crate) fn make_folders(world: &mut World, node: &str, path: &str) {
    let mut above = path.trim_end_matches('/');
    while !above.is_empty() && above != "/" && folder_there(world, node, above).is_none() {
        let place = match volumes::storage_at(world, node, above) {
            Some((storage, _)) => World::place(storage, node),
            None => node.to_owned(),
        };
        let folder = File { mode: 0o755, mtime: 0, body: Body::Folder };
        world.files.entry(place).or_default().insert(above.to_owned(), folder);
        above = split(above).0;
    }
}

impl Fs<'_> {
    /// The key of `World::files` for a path: below a shared storage all nodes see one file.
    pub(super) fn place(&self, path: &str) -> String {
        if path.starts_with("/etc/pve/") {
            return "/etc/pve".to_owned();
        }
        match self.storage_at(path) {
            Some((storage, _)) => World::place(storage, self.node),
            None => self.node.to_owned(),
        }
    }

    /// Files that are there before anybody writes one.
    fn given(&self, path: &str) -> Option<String> {
        let node = self.world.nodes.get(self.node)?;
        let domain = &self.world.domain;
        Some(match path {
            "/etc/hostname" => format!("{}\n", node.name),
            "/etc/hosts" => format!(
                "127.0.0.1 localhost.localdomain localhost\n{} {}.{domain} {}\n",
                node.ip, node.name, node.name
            ),
            "/etc/os-release" | "/usr/lib/os-release" => OS_RELEASE.to_owned(),
            "/etc/debian_version" => "13.1\n".to_owned(),
            "/etc/timezone" => "Etc/UTC\n".to_owned(),
            "/etc/resolv.conf" => format!("search {domain}\nnameserver 192.0.2.1\n"),
            "/etc/network/interfaces" => interfaces(&node.ip, &node.bridges),
            "/root/.ssh/authorized_keys" => {
                let keys = self.world.ssh.as_ref().map(|ssh| ssh.authorized_keys.join("\n"));
                keys.filter(|keys| !keys.is_empty()).map(|keys| keys + "\n").unwrap_or_default()
            }
            "/proc/uptime" => format!("{}.00 0.00\n", node.uptime(self.now * 1000)),
            "/dev/null" => String::new(),
            _ => return None,
        })
    }

    const GIVEN: &'static [&'static str] = &[
        "/etc/hostname",
        "/etc/hosts",
        "/etc/os-release",
        "/etc/debian_version",
        "/etc/timezone",
        "/etc/resolv.conf",
        "/etc/network/interfaces",
        "/root/.ssh/authorized_keys",
        "/proc/uptime",
        "/dev/null",
    ];

    pub(super) fn plain_meta(&self, path: &str) -> Result<Meta, Errno> {
        if let Some(file) = self.stored(path) {
            let size = match &file.body {
                Body::Folder => return Ok(Meta { mode: file.mode, ..Meta::folder(file.mtime) }),
                Body::Bytes(bytes) => bytes.0.len() as u64,
                Body::Image(image) => image.used,
            };
            return Ok(Meta { folder: false, size, mode: file.mode, mtime: file.mtime });
        }
        if FOLDERS.contains(&path) || self.is_storage_folder(path) {
            return Ok(Meta::folder(0));
        }
        let text = self.given(path).ok_or(Errno::NoEntry)?;
        Ok(Meta::file(text.len() as u64, 0))
    }

    pub(super) fn plain_body(&self, path: &str) -> Result<Body, Errno> {
        match self.stored(path) {
            Some(file) => Ok(file.body.clone()),
            None => match self.given(path) {
                Some(text) => Ok(Body::Bytes(Bytes::from(text.into_bytes()))),
                None => {
                    self.plain_meta(path)?;
                    Ok(Body::Folder)
                }
            },
        }
    }

    pub(super) fn write_plain(&mut self, path: &str, body: Body) -> Result<(), Errno> {
        let place = self.place(path);
        let old = self.stored(path).map(|file| file.mode);
        let all = if matches!(body, Body::Folder) { 0o777 } else { 0o666 };
        let mode = old.unwrap_or(all & !self.umask);
        let file = File { mode, mtime: self.now, body };
        self.world.files.entry(place).or_default().insert(path.to_owned(), file);
        Ok(())
    }

    /// Removes a stored file. False when it is one of those that are always there.
    pub(super) fn remove_plain(&mut self, path: &str) -> bool {
        let place = self.place(path);
        let all = self.world.files.get_mut(&place);
        all.is_some_and(|all| all.remove(path).is_some())
    }

    pub(super) fn plain_list(&self, path: &str) -> Vec<String> {
        let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        let child = |full: &str| {
            let rest = full.strip_prefix(&prefix)?;
            (!rest.is_empty() && !rest.contains('/')).then(|| rest.to_owned())
        };
        let stored = self.world.files.get(&self.place(&prefix)).into_iter().flatten();
        let stored = stored.map(|(full, _)| full.as_str()).filter_map(child);
        let given = Self::GIVEN.iter().filter(|given| self.given(given).is_some());
        let fixed = FOLDERS.iter().chain(given).filter_map(|full| child(full));
        let mut names: Vec<String> = stored.chain(fixed).collect();
        names.extend(self.storage_folders().iter().filter_map(|full| child(full)));
        if path == "/etc" {
            names.push("pve".to_owned());
        }
        names
    }
}

fn interfaces(ip: &str, bridges: &[String]) -> String {
    let mut out = "auto lo\niface lo inet loopback\n\niface eno1 inet manual\n".to_owned();
    for (number, bridge) in bridges.iter().enumerate() {
        let how = if number == 0 {
            format!("inet static\n\taddress {ip}/24\n\tbridge-ports eno1")
        } else {
            "inet manual\n\tbridge-ports none".to_owned()
        };
        out.push_str(&format!(
            "\nauto {bridge}\niface {bridge} {how}\n\tbridge-stp off\n\tbridge-fd 0\n"
        ));
    }
    out
}
