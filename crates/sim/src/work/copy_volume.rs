//! `imgcopy` of a volume to another node (`storage_migrate`).

use serde::{Deserialize, Serialize};

use super::create::copy_ms;
use super::{Next, Stage};
use crate::storage::alloc::{fills_up, rounded};
use crate::storage::{activate, volname};
use crate::world::storage::Volume;
use crate::world::volumes::split_volid;

/// A volume to copy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CopyVolume {
    pub(crate) source: String,
    pub(crate) target: String,
    /// The node that gets it.
    pub(crate) to: String,
    pub(crate) started: bool,
}

impl CopyVolume {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let node = stage.node.clone();
        let found = stage.world.volume(&node, &self.source).cloned();
        let Some(found) = found else {
            return Err(format!("volume '{}' does not exist", self.source));
        };
        if !self.started {
            self.started = true;
            stage.say(format!("DEBUG: starting worker {}", stage.upid()));
            return Ok(Next::After(copy_ms(found.used)));
        }
        let (id, name) = split_volid(&self.target).unwrap_or_default();
        let storage = activate::active(stage.world, id, &self.to)?;
        let parsed = volname::parse(storage.kind, name)?;
        if stage.world.volume(&self.to, &self.target).is_some() {
            return Err(format!("volume '{}' already exists", self.target));
        }
        if fills_up(stage.world, &self.to, &self.target, found.used).is_some() {
            return Err("storage_migrate failed: No space left on device".to_owned());
        }
        let size = rounded(storage, found.size);
        let copy = Volume { size, vmid: parsed.vmid, parent: None, ..found };
        stage.world.add_volume(&self.to, &self.target, copy);
        stage.say(format!("DEBUG: end worker {}", stage.upid()));
        Ok(Next::Done)
    }
}
