//! `imgcopy`: an uploaded file comes to its place (`upload` of `PVE::API2::Storage::Status`).

use serde::{Deserialize, Serialize};

use super::create::copy_ms;
use super::{Next, Stage};
use crate::storage::alloc::fills_up;
use crate::storage::probe::File;
use crate::world::World;

/// A file to take over.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Upload {
    /// `/var/tmp/pveupload-…`.
    pub(crate) source: String,
    pub(crate) file: File,
    /// The node that holds the storage.
    pub(crate) target: String,
    /// `local:iso/x.iso`.
    pub(crate) volid: String,
    pub(crate) content: String,
    /// Of an image to import, `ova` for an archive.
    pub(crate) format: Option<String>,
    /// Algorithm and sum.
    pub(crate) checksum: Option<(String, String)>,
    pub(crate) copying: bool,
}

/// The error of a file that is not what it should be, and the lines before it.
pub(crate) fn verify(
    file: &File,
    path: &str,
    content: &str,
    format: Option<&str>,
) -> Result<(), (Vec<String>, String)> {
    if content == "iso" {
        file.check(path, None)?;
    }
    match format {
        Some("ova") => file.check_archive(path),
        Some(format) => file.check(path, Some(format)),
        None => Ok(()),
    }
}

/// Compares a checksum; the line to log, and the error.
pub(crate) fn compare(file: &File, algorithm: &str, wanted: &str) -> (String, Result<(), String>) {
    let got = file.checksums.get(algorithm).cloned().unwrap_or_default();
    // Nothing is known of a declared file's bytes when its world names no checksum at all.
    if file.checksums.is_empty() || got.eq_ignore_ascii_case(wanted) {
        return ("calculating checksum...OK, checksum verified".to_owned(), Ok(()));
    }
    let error = format!("checksum mismatch: got '{got}' != expect '{wanted}'");
    ("calculating checksum...".to_owned(), Err(error))
}

impl Upload {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        if self.copying {
            return self.store(stage);
        }
        stage.say(format!("starting file import from: {}", self.source));
        if let Some((algorithm, wanted)) = &self.checksum {
            let (line, result) = compare(&self.file, algorithm, wanted);
            stage.say(line);
            result?;
        }
        let format = self.format.as_deref();
        if let Err((lines, error)) = verify(&self.file, &self.source, &self.content, format) {
            stage.log.extend(lines);
            return Err(error);
        }
        let path = self.path(stage.world);
        stage.say(format!("target node: {}", self.target));
        stage.say(format!("target file: {path}"));
        stage.say(format!("file size is: {}", self.file.size));
        let line = self.command(stage.world, &stage.node, &path);
        stage.say(format!("command: {line}"));
        self.copying = true;
        Ok(Next::After(100 + copy_ms(self.file.size)))
    }

    fn path(&self, world: &World) -> String {
        world.path_of(&self.volid).unwrap_or_default()
    }

    fn command(&self, world: &World, node: &str, path: &str) -> String {
        if *node == self.target {
            return format!("cp -- {} {path}", self.source);
        }
        let ip = world.nodes.get(&self.target).map(|node| node.ip.clone()).unwrap_or_default();
        let (name, source) = (&self.target, &self.source);
        format!(
            "/usr/bin/scp -o BatchMode=yes -o HostKeyAlias={name} -o UserKnownHostsFile=/etc/pve/nodes/{name}/ssh_known_hosts -o GlobalKnownHostsFile=none -p -- {source} [{ip}]:{path}"
        )
    }

    fn store(&self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let path = self.path(stage.world);
        if fills_up(stage.world, &self.target, &self.volid, self.file.size).is_some() {
            let line = self.command(stage.world, &stage.node, &path);
            stage.world.remove_volume(&self.target, &self.volid);
            let tool = line.split(' ').next().unwrap_or("cp").rsplit('/').next().unwrap_or("cp");
            return Err(format!(
                "import failed: {tool}: error writing '{path}': No space left on device"
            ));
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let mut volume = self.file.volume(&self.content, name, stage.moment.seconds());
        volume.bootable = stage.world.known_bootable(&volume);
        stage.world.add_volume(&self.target, &self.volid, volume);
        stage.say("finished file import successfully");
        Ok(Next::Done)
    }
}
