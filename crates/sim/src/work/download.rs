//! `download`: a file comes from a URL (`download_file_from_url` of `PVE::Tools`, which calls
//! `wget`).

use serde::{Deserialize, Serialize};

use super::upload::{compare, verify};
use super::{Next, Stage};
use crate::fetch::{self, Outcome, Source};
use crate::storage::alloc::fills_up;
use crate::storage::hash::Hash;
use crate::storage::probe::File;

/// A file to download.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Download {
    pub(crate) url: String,
    /// `local:iso/x.iso`.
    pub(crate) volid: String,
    pub(crate) content: String,
    /// Of an image to import, `ova` for an archive.
    pub(crate) format: Option<String>,
    /// Algorithm and sum.
    pub(crate) checksum: Option<(String, String)>,
    pub(crate) compression: Option<String>,
    /// Whether the certificate of an https server is checked.
    pub(crate) verify: bool,
    /// What came of fetching.
    pub(crate) outcome: Option<Outcome>,
    pub(crate) asked: bool,
}

/// The checksum of a file whose bytes nobody knows: that of an empty one of its size, as far as it
/// is small.
fn unknown_sum(algorithm: &str, size: u64) -> String {
    let Some(mut hash) = Hash::new(algorithm) else { return String::new() };
    let block = [0; 1 << 16];
    for _ in 0..(size >> 16).min(256) {
        hash.feed(&block);
    }
    let rest = usize::try_from(size % (1 << 16)).unwrap_or(0);
    hash.feed(block.get(..rest).unwrap_or_default());
    hash.finish()
}

impl Download {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let path = stage.world.path_of(&self.volid)?;
        if let Some(outcome) = self.outcome.take() {
            return self.store(stage, &path, outcome);
        }
        if self.asked {
            // A world that was saved meanwhile: ask again.
            return Ok(self.ask());
        }
        self.asked = true;
        if self.compression.is_some() && self.content != "iso" {
            return Err(format!("decompression not supported for {}", self.content));
        }
        stage.say(format!("downloading {} to {path}", self.url));
        if self.is_there(stage, &path)? {
            return Ok(Next::Done);
        }
        let part = self.part(stage, &path);
        let (source, lines) = fetch::plan(stage.world, &self.url, stage.moment.seconds(), &part);
        stage.log.extend(lines);
        match source {
            Source::Known { outcome, ms } => {
                self.outcome = Some(*outcome);
                Ok(Next::After(ms))
            }
            Source::Loopback => Ok(self.ask()),
        }
    }

    fn ask(&self) -> Next {
        let algorithm = self.checksum.as_ref().map(|(algorithm, _)| algorithm.clone());
        Next::Fetch { url: self.url.clone(), verify: self.verify, algorithm }
    }

    /// The temporary file beside the target.
    fn part(&self, stage: &Stage<'_>, path: &str) -> String {
        let pid = stage.world.tasks.get(stage.holder).map_or(0, |task| task.pid);
        format!("{path}.tmp_dwnl.{pid}")
    }

    /// Whether the file is there already and right; refuses when it is there and may be wrong.
    fn is_there(&self, stage: &mut Stage<'_>, path: &str) -> Result<bool, String> {
        let node = stage.node.clone();
        let Some(found) = stage.world.volume(&node, &self.volid) else { return Ok(false) };
        let Some((algorithm, wanted)) = &self.checksum else {
            return Err(format!("refusing to override existing file '{path}'"));
        };
        let got = match found.checksums.get(algorithm) {
            Some(known) => known.clone(),
            None => unknown_sum(algorithm, found.used),
        };
        let line = "calculating checksum of existing file...";
        if got.eq_ignore_ascii_case(wanted) {
            stage.say(format!("{line}OK, got correct file already, no need to download"));
            return Ok(true);
        }
        stage.say(line);
        Err(format!("checksum mismatch: got '{got}' != expect '{wanted}', aborting"))
    }

    fn store(&self, stage: &mut Stage<'_>, path: &str, outcome: Outcome) -> Result<Next, String> {
        stage.log.extend(outcome.log);
        let file = match (outcome.error, outcome.file) {
            (None, Some(file)) => file,
            (error, _) => return Err(format!("download failed: {}", error.unwrap_or_default())),
        };
        let node = stage.node.clone();
        let part = self.part(stage, path);
        if fills_up(stage.world, &node, &self.volid, file.size).is_some() {
            return Err(format!(
                "download failed: Cannot write to '{part}' (No space left on device)."
            ));
        }
        if let Some((algorithm, wanted)) = &self.checksum {
            let (line, result) = compare(&file, algorithm, wanted);
            stage.say(line);
            result?;
        }
        let file = self.unpacked(stage, path, file);
        if let Err((lines, error)) = verify(&file, &part, &self.content, self.format.as_deref()) {
            stage.log.extend(lines);
            return Err(format!("failed to verify file: {error}"));
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let mut volume = file.volume(&self.content, name, stage.moment.seconds());
        volume.bootable = file.bootable || stage.world.known_bootable(&volume);
        stage.world.add_volume(&node, &self.volid, volume);
        stage.say(format!("download of '{}' to '{path}' finished", self.url));
        Ok(Next::Done)
    }

    /// The file without its compression. What is in it is not looked at: its size is the virtual
    /// size that the world knows, or stays.
    fn unpacked(&self, stage: &mut Stage<'_>, path: &str, file: File) -> File {
        if self.compression.is_none() {
            return file;
        }
        let part = self.part(stage, path);
        let other = part.replace(".tmp_dwnl.", ".tmp_dcom.");
        stage.say(format!("decompressing {part} to {other}"));
        let size = stage.world.urls.get(&self.url).map_or(0, |url| url.virtual_size);
        let size = if size > 0 { size } else { file.size };
        File { size, checksums: std::collections::BTreeMap::new(), ..file }
    }
}
