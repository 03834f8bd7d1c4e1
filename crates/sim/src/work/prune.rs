//! `prunebackups`: old backups go.

use serde::{Deserialize, Serialize};

use super::{Next, Stage};
use crate::storage::prune::plan;

/// Backups to prune.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Prune {
    pub(crate) storage: String,
    /// Instead of the configured retention.
    pub(crate) keep: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) vmid: Option<u32>,
}

impl Prune {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let (node, id) = (stage.node.clone(), self.storage.clone());
        let asked = self.keep.as_deref();
        let keep = crate::api::storage_prune::keep(stage.world, &node, &id, asked)?;
        for entry in plan(stage.world, &node, &id, &keep, self.vmid, self.kind.as_deref()) {
            if entry.mark == "remove" {
                stage.say(format!("removing backup '{}'", entry.volid));
                stage.world.remove_volume(&node, &entry.volid);
            }
        }
        Ok(Next::Done)
    }
}
