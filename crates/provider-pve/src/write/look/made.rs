//! Guests that come, move and go.

use pvx_core::live::Guest;
use pvx_core::plan::{Action, ActionKind};
use pvx_core::provider::{GuestKind, Seen};

use super::{Row, Task, TaskRow, identity_in, seen, stranger};
use crate::client::{ApiError, ApiPath, Request};
use crate::cluster::Cluster;
use crate::guest::Qemu;
use crate::read::guest_at;

impl Cluster {
    /// A clone or a guest from nothing: at most four requests.
    pub(super) async fn made(&self, action: &Action, since: i64) -> Result<Seen, ApiError> {
        let Some(row) = self.place(action.vmid).await? else {
            // Its file is there before the task begins: without it nothing was begun, or what was
            // begun has failed and is cleaned up.
            return Ok(seen(self.task_of(action, since).await?));
        };
        let Some(guest) = self.read_at(action.vmid, &row.node).await? else {
            let text = format!("guest {} on {} cannot be read", action.vmid, row.node);
            return Ok(Seen::Unclear(text));
        };
        let ours = is_it(action, &guest);
        let lock = guest.lock().filter(|lock| matches!(*lock, "clone" | "create"));
        match (ours, lock) {
            (true, None) => Ok(at_its_place(action, &row)),
            // Until its disks are copied it shows neither note nor identity.
            (false, Some(_)) if !shows_anything(&guest) => self.coming(action, &row, since).await,
            (true, Some(_)) => self.coming(action, &row, since).await,
            (false, _) => Ok(Seen::Other(taken(action, &row, &guest))),
        }
    }

    async fn coming(&self, action: &Action, row: &Row, since: i64) -> Result<Seen, ApiError> {
        if let Some(Task::Runs(upid)) = self.task_of(action, since).await? {
            return Ok(Seen::Running(upid));
        }
        let at = format!("guest {} on {}", action.vmid, row.node);
        if let ActionKind::Clone { source, .. } = &action.kind
            && self.is_cloned(*source, &action.node).await?
        {
            return Ok(Seen::Coming(format!("{at} is being made")));
        }
        // The lock outlives a task that was killed, with its node for instance.
        Ok(Seen::Unclear(format!(
            "{at} is locked as if it was being made, and no task that makes it runs; when it stays \
             so, `qm unlock {}` there, and destroy it",
            action.vmid
        )))
    }

    /// Does a clone of this guest run on the node? Which of its clones cannot be told.
    async fn is_cloned(&self, source: u32, node: &str) -> Result<bool, ApiError> {
        let request = Request::get(ApiPath::new("/nodes/{}/tasks", &[&node]))
            .parameter("source", "active")
            .parameter("typefilter", "qmclone")
            .parameter("vmid", source);
        let rows: Vec<TaskRow> = self.client.get(&request).await?;
        Ok(rows.iter().any(|row| row.status.as_deref().is_none_or(|s| s == "RUNNING")))
    }

    /// A guest that moves: at most three requests.
    pub(super) async fn arrived(
        &self,
        action: &Action,
        target: &str,
        since: i64,
    ) -> Result<Seen, ApiError> {
        let task = self.task_of(action, since).await?;
        if let Some(Task::Runs(upid)) = task {
            return Ok(Seen::Running(upid));
        }
        let Some(row) = self.place(action.vmid).await? else {
            return Ok(Seen::Other(format!("guest {} is gone", action.vmid)));
        };
        if row.lock.as_deref() == Some("migrate") {
            return Ok(Seen::Coming(format!("guest {} is on its way", action.vmid)));
        }
        if row.node != target && row.node != action.node {
            let text = format!("guest {} is on {}, not on {target}", action.vmid, row.node);
            return Ok(Seen::Other(text));
        }
        match self.read_at(action.vmid, &row.node).await? {
            Some(guest) => Ok(match stranger(action, &guest) {
                Some(other) => Seen::Other(other),
                None if row.node == target => Seen::Done,
                None => seen(task),
            }),
            None => Ok(Seen::Unclear(format!("guest {} cannot be read", action.vmid))),
        }
    }

    /// A guest that is removed: at most three requests.
    pub(super) async fn gone(&self, action: &Action, since: i64) -> Result<Seen, ApiError> {
        let task = self.task_of(action, since).await?;
        if let Some(Task::Runs(upid)) = task {
            return Ok(Seen::Running(upid));
        }
        let Some(row) = self.place(action.vmid).await? else { return Ok(Seen::Done) };
        match self.read_at(action.vmid, &row.node).await? {
            Some(guest) if guest.lock() == Some(REMOVED) => Ok(left_over(&guest, task)),
            // The guest that was to go is gone, and somebody else has its VMID.
            Some(guest) if stranger(action, &guest).is_some() => Ok(Seen::Done),
            Some(_) => Ok(seen(task)),
            None => Ok(Seen::Unclear(format!("guest {} cannot be read", action.vmid))),
        }
    }

    async fn read_at(&self, vmid: u32, node: &str) -> Result<Option<Guest>, ApiError> {
        let path = ApiPath::new("/nodes/{}/qemu/{}/pending", &[&node, &vmid]);
        match self.client.get(&Request::get(path)).await {
            Ok(rows) => Ok(Some(guest_at(vmid, node, rows))),
            Err(error) if error.is_missing_guest() => Ok(None),
            Err(ApiError::Forbidden { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The lock of the file that stands for a guest whose disks are removed already, while it is taken
/// out of pools, jobs and the HA manager's configuration; then the file goes. It holds nothing else,
/// so it shows nobody's identity, and stays when one of these steps fails (qemu-server
/// `API2/Qemu.pm`, destroy_vm).
const REMOVED: &str = "destroyed";

pub(super) fn left_over(guest: &Guest, task: Option<Task>) -> Seen {
    match task {
        Some(task) => seen(Some(task)),
        None => Seen::Unclear(format!(
            "guest {vmid} on {} is half removed: its disks are gone, its file is left with the \
             lock '{REMOVED}'; `qm destroy {vmid} --skiplock --purge` there, as root, removes it",
            guest.node,
            vmid = guest.vmid
        )),
    }
}

/// Is this the guest that the action makes?
fn is_it(action: &Action, guest: &Guest) -> bool {
    match &action.kind {
        ActionKind::Clone { note, .. } => {
            guest.config.get("description").is_some_and(|d| d.trim_end() == note)
        }
        ActionKind::Create { config, .. } => {
            let identity = identity_in(config);
            identity.is_some() && identity == Qemu.identity_of(guest)
        }
        _ => false,
    }
}

/// What stands in the file of a guest that is being cloned, after its `#` and a blank.
const TEMPORARY: &str = "qmclone temporary file";

/// Does it show whose it is? The file that stands for a guest that is being made has its lock, and a
/// comment that Proxmox reads as a description (qemu-server, clone_vm).
fn shows_anything(guest: &Guest) -> bool {
    let said = |key: &str| match key {
        "lock" => false,
        "description" => guest.config.get(key).is_some_and(|text| text.trim() != TEMPORARY),
        _ => true,
    };
    guest.config.keys().any(|key| matches!(key.as_str(), "description" | "name") && said(key))
}

fn at_its_place(action: &Action, row: &Row) -> Seen {
    let ActionKind::Clone { target: Some(target), .. } = &action.kind else { return Seen::Done };
    if row.node == *target {
        return Seen::Done;
    }
    Seen::Unclear(format!("guest {} is made, and is on {}", action.vmid, row.node))
}

fn taken(action: &Action, row: &Row, guest: &Guest) -> String {
    let name = guest.config.get("name").or(row.name.as_ref());
    let name = name.map_or_else(|| "a guest without a name".to_owned(), |name| format!("'{name}'"));
    format!("VMID {} was taken by {name} on {} meanwhile", action.vmid, row.node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_is_being_made_shows_nothing() {
        let table: [(&[(&str, &str)], bool); 5] = [
            (&[("lock", "clone"), ("description", " qmclone temporary file\n")], false),
            (&[("lock", "clone"), ("description", "qmclone temporary file")], false),
            (&[("lock", "create")], false),
            (&[("lock", "clone"), ("description", "pvx is making k3s/w1 (x)")], true),
            (&[("lock", "clone"), ("name", "theirs")], true),
        ];
        for (config, shows) in table {
            let config = config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let guest = Guest { config, ..Guest::default() };
            assert_eq!(shows_anything(&guest), shows, "{guest:?}");
        }
    }
}
