//! What became of an action whose answer was lost (law 3). Asked only then, so a few requests more do
//! not matter; there is a bound for each.
//!
//! | action | its effect shows in | its task (type, id) |
//! |---|---|---|
//! | clone | a guest at the VMID with the note; lock `clone`: being made | `qmclone`, the *source's* VMID: not told from other clones |
//! | create | a guest at the VMID with the smbios uuid; lock `create`: being made | `qmcreate` |
//! | configure | values, stored or pending, when the digest is another one | `qmconfig` |
//! | resize | the disk's size | `resize` |
//! | move | the disk's storage, when the digest is another one | `qmmove` |
//! | reassign | the slot here and there | `qmmove`, `VMID-slot>VMID-slot` |
//! | detach, erase | the slot | `qmconfig` |
//! | migrate | the guest's node; lock `migrate`: on its way | `qmigrate`, `hamigrate` |
//! | start, shutdown | whether it runs | `qmstart`, `hastart`; `qmshutdown`, `hastop` |
//! | reboot | nothing waits for a cold boot any more | `qmreboot` |
//! | destroy | the guest is gone, or another one has its VMID | `qmdestroy` |
//! | pool, ha | membership, properties | none |
//! | snippet | not looked at: it is written as a whole, and the same again | none |
//!
//! Sources: `fork_worker` in qemu-server `API2/Qemu.pm` (clone_vm, create_vm, update_vm_async,
//! move_vm_disk, resize_vm, vm_start, destroy_vm), task lists in pve-manager `API2/Tasks.pm`. That a
//! guest is there is never enough: it must show whose it is.

use pvx_core::live::{Guest, GuestRef};
use pvx_core::plan::{Action, ActionKind, Precondition};
use pvx_core::provider::{GuestKind, ProviderError, Reader, Seen};
use serde::Deserialize;
use serde_json::Value;

use crate::client::{ApiError, ApiPath, Request, TaskOutcome, Upid};
use crate::cluster::{Cluster, provider_error};
use crate::guest::Qemu;
use crate::read::number;

mod changed;
mod made;
#[cfg(test)]
mod tests;

/// Clocks of nodes and of this machine may differ by so many seconds.
const SLACK: i64 = 2;

/// A guest in the cluster's list: node, lock and pool are live there.
#[derive(Debug, Clone, Deserialize)]
struct Row {
    node: String,
    #[serde(default)]
    vmid: Option<Value>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    lock: Option<String>,
    #[serde(default)]
    pool: Option<String>,
}

/// A row of `GET /nodes/N/tasks`.
#[derive(Debug, Clone, Deserialize)]
struct TaskRow {
    upid: String,
    /// The exit text; absent or `RUNNING` while it runs.
    #[serde(default)]
    status: Option<String>,
}

/// A task of the action's kind.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Task {
    Runs(String),
    /// Ended badly, or only handed over to someone else's work.
    Ended(String),
}

impl Cluster {
    /// Looks at what the action was to do.
    pub(super) async fn look_at(&self, action: &Action, since: i64) -> Result<Seen, ProviderError> {
        let seen = match &action.kind {
            ActionKind::Snippet { .. } => return Ok(Seen::Nothing),
            ActionKind::Clone { .. } | ActionKind::Create { .. } => self.made(action, since).await,
            ActionKind::Migrate { target, .. } => self.arrived(action, target, since).await,
            ActionKind::Destroy => self.gone(action, since).await,
            ActionKind::Pool { join, leave } => {
                let row = self.place(action.vmid).await.map_err(|e| provider_error(&e))?;
                let pool = row.and_then(|row| row.pool);
                let done = match join {
                    Some(join) => pool.as_ref() == Some(join),
                    None => pool != *leave,
                };
                return Ok(if done { Seen::Done } else { Seen::Nothing });
            }
            ActionKind::Ha { change } => {
                let ha = self.read_ha().await?;
                return Ok(changed::ha(action.vmid, change, &ha));
            }
            _ => return self.changed(action, since).await,
        };
        seen.map_err(|error| provider_error(&error))
    }

    /// The guest's row in the cluster's list.
    async fn place(&self, vmid: u32) -> Result<Option<Row>, ApiError> {
        let request = Request::get("/cluster/resources").parameter("type", "vm");
        let rows: Vec<Row> = self.client.get(&request).await?;
        Ok(rows.into_iter().find(|row| number(row.vmid.as_ref()) == u64::from(vmid)))
    }

    /// The guest as it is on a node; `None` when it is not there, or may not be read.
    async fn guest_on(&self, action: &Action, node: &str) -> Result<Option<Guest>, ProviderError> {
        let reference = GuestRef { vmid: action.vmid, node: node.to_owned() };
        let found = self.guests(std::slice::from_ref(&reference), about_power(action)).await?;
        Ok(found.into_iter().next())
    }

    /// The newest task of the action's kind at its guest. One that ended counts when it began since;
    /// one that runs counts whatever the clocks say.
    async fn task_of(&self, action: &Action, since: i64) -> Result<Option<Task>, ApiError> {
        let kinds = task_kinds(&action.kind);
        if kinds.is_empty() {
            return Ok(None);
        }
        let request = Request::get(ApiPath::new("/nodes/{}/tasks", &[&action.node]))
            .parameter("source", "all");
        // The id of a disk's change of hands names both guests and both slots.
        let request = match &action.kind {
            ActionKind::Reassign { .. } => request.parameter("typefilter", "qmmove"),
            _ => request.parameter("vmid", action.vmid),
        };
        let rows: Vec<TaskRow> = self.client.get(&request).await?;
        Ok(newest(&rows, kinds, &task_id(action), since))
    }
}

/// What a task that was found means, as long as the effect does not show.
fn seen(task: Option<Task>) -> Seen {
    match task {
        Some(Task::Runs(upid) | Task::Ended(upid)) => Seen::Running(upid),
        None => Seen::Nothing,
    }
}

fn about_power(action: &Action) -> bool {
    matches!(
        action.kind,
        ActionKind::Start | ActionKind::Shutdown { .. } | ActionKind::Reboot { .. }
    )
}

/// Types of the tasks that an action becomes.
fn task_kinds(kind: &ActionKind) -> &'static [&'static str] {
    match kind {
        ActionKind::Create { .. } => &["qmcreate"],
        ActionKind::Configure { .. } | ActionKind::Detach { .. } | ActionKind::Erase { .. } => {
            &["qmconfig"]
        }
        ActionKind::Resize { .. } => &["resize"],
        ActionKind::MoveDisk { .. } | ActionKind::Reassign { .. } => &["qmmove"],
        ActionKind::Migrate { .. } => &["qmigrate", "hamigrate"],
        ActionKind::Start => &["qmstart", "hastart"],
        ActionKind::Shutdown { .. } => &["qmshutdown", "hastop"],
        ActionKind::Reboot { .. } => &["qmreboot"],
        ActionKind::Destroy => &["qmdestroy"],
        // Tasks of clones carry the VMID of their source: those of other clones look the same.
        ActionKind::Clone { .. }
        | ActionKind::ConfigureAsRoot { .. }
        | ActionKind::Pool { .. }
        | ActionKind::Ha { .. }
        | ActionKind::Snippet { .. } => &[],
    }
}

fn task_id(action: &Action) -> String {
    match &action.kind {
        ActionKind::Reassign { disk, target, target_disk } => {
            format!("{}-{disk}>{target}-{target_disk}", action.vmid)
        }
        _ => action.vmid.to_string(),
    }
}

fn newest(rows: &[TaskRow], kinds: &[&str], id: &str, since: i64) -> Option<Task> {
    let parsed = rows.iter().filter_map(|row| Some((row, row.upid.parse::<Upid>().ok()?)));
    let ours = parsed.filter(|(_, upid)| kinds.contains(&upid.kind.as_str()) && upid.id == id);
    let (row, upid) = ours.max_by_key(|(_, upid)| upid.starttime)?;
    let exit = row.status.as_deref().filter(|status| *status != "RUNNING");
    let Some(exit) = exit else { return Some(Task::Runs(row.upid.clone())) };
    if i64::from(upid.starttime) < since.saturating_sub(SLACK) {
        return None;
    }
    // A reboot ends when the guest is down, what is handed to the HA manager when it was taken.
    let goes_on = upid.kind == "qmreboot" || upid.kind.starts_with("ha");
    match TaskOutcome::of(exit) {
        TaskOutcome::Failed(_) => Some(Task::Ended(row.upid.clone())),
        TaskOutcome::Ok | TaskOutcome::Warnings(_) if goes_on => {
            Some(Task::Ended(row.upid.clone()))
        }
        // It says that it is done, or nobody knows: the effect must show.
        TaskOutcome::Ok | TaskOutcome::Warnings(_) | TaskOutcome::Unknown => None,
    }
}

/// Who is at the VMID, when it is not the guest that the action is about.
fn stranger(action: &Action, guest: &Guest) -> Option<String> {
    let uuid = Qemu.identity_of(guest);
    let text = |key: &str| guest.config.get(key).map_or("", String::as_str);
    let proves = |p: &Precondition| match p {
        Precondition::Owned { mark, uuid: owned } => {
            let marked = text("tags").split([';', ',', ' ']).any(|t| t.eq_ignore_ascii_case(mark));
            Some(marked && uuid == Some(*owned))
        }
        Precondition::Begun { note } => Some(text("description").trim_end() == note),
        _ => None,
    };
    let proofs: Vec<bool> = action.preconditions.iter().filter_map(proves).collect();
    // The write itself may have given it another identity and taken the note away.
    let gets = match &action.kind {
        ActionKind::Configure { set, .. } => identity_in(set),
        _ => None,
    };
    let ours = proofs.iter().all(|holds| *holds) || (gets.is_some() && gets == uuid);
    (!ours).then(|| {
        format!(
            "guest {} on {} is '{}' now, and is not {}",
            guest.vmid,
            guest.node,
            guest.name(),
            action.address
        )
    })
}

/// The identity that a configuration gives.
fn identity_in(config: &std::collections::BTreeMap<String, String>) -> Option<uuid::Uuid> {
    Qemu.identity_of(&Guest { config: config.clone(), ..Guest::default() })
}
