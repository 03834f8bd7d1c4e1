//! Guests that are written to where they are.

use std::collections::BTreeMap;

use pvx_core::live::{Guest, Ha};
use pvx_core::plan::{Action, ActionKind, HaChange, Precondition};
use pvx_core::provider::{GuestKind, ProviderError, Reader, Seen};
use pvx_core::secret::MARKER;

use super::{Task, seen, stranger};
use crate::cluster::{Cluster, provider_error};
use crate::codec;
use crate::guest::Qemu;

impl Cluster {
    /// At most four requests.
    pub(super) async fn changed(&self, action: &Action, since: i64) -> Result<Seen, ProviderError> {
        let task = self.task_of(action, since).await.map_err(|e| provider_error(&e))?;
        if let Some(Task::Runs(upid)) = task {
            return Ok(Seen::Running(upid));
        }
        let Some(guest) = self.guest_on(action, &action.node).await? else {
            let row = self.place(action.vmid).await.map_err(|e| provider_error(&e))?;
            return Ok(match row {
                None => Seen::Other(format!("guest {} is gone", action.vmid)),
                Some(row) if row.node == action.node => {
                    Seen::Unclear(format!("guest {} cannot be read", action.vmid))
                }
                Some(row) => Seen::Other(format!(
                    "guest {} is on {} now, not on {}",
                    action.vmid, row.node, action.node
                )),
            });
        };
        if let Some(other) = stranger(action, &guest) {
            return Ok(Seen::Other(other));
        }
        if let ActionKind::Reassign { disk, target, target_disk } = &action.kind {
            let here = guest.config.contains_key(disk);
            return self.handed_over(action, here, (*target, target_disk), task).await;
        }
        Ok(if is_done(action, &guest) { Seen::Done } else { seen(task) })
    }

    /// A disk that changes hands is in one slot or in the other.
    async fn handed_over(
        &self,
        action: &Action,
        here: bool,
        (target, slot): (u32, &str),
        task: Option<Task>,
    ) -> Result<Seen, ProviderError> {
        if here {
            return Ok(seen(task));
        }
        let reference = pvx_core::live::GuestRef { vmid: target, node: action.node.clone() };
        let found = self.guests(std::slice::from_ref(&reference), false).await?;
        let there = found.first().is_some_and(|guest| guest.config.contains_key(slot));
        Ok(if there {
            Seen::Done
        } else {
            Seen::Unclear(format!(
                "guest {} has lost the disk, guest {target} has none",
                action.vmid
            ))
        })
    }
}

/// Does the guest show what the action was to do?
pub(super) fn is_done(action: &Action, guest: &Guest) -> bool {
    // A file that did not change since it was read for the request shows no effect of it.
    let sent = action.preconditions.iter().find_map(|p| match p {
        Precondition::Digest { digest } => Some(digest),
        _ => None,
    });
    let untouched = sent.is_some() && sent == guest.digest.as_ref();
    let value = |slot: &str| guest.config.get(slot).map(String::as_str);
    match &action.kind {
        ActionKind::Configure { set, delete, .. } | ActionKind::ConfigureAsRoot { set, delete } => {
            let holds = |(key, sent): (&String, &String)| {
                value(key).is_some_and(|stored| is_as_sent(key, sent, stored))
            };
            !untouched && set.iter().all(holds) && delete.iter().all(|key| value(key).is_none())
        }
        ActionKind::Resize { disk, size } => {
            let volumes = Qemu.volumes(guest);
            volumes.iter().any(|volume| volume.slot == *disk && volume.size == Some(*size))
        }
        ActionKind::MoveDisk { disk, storage, format } => {
            let volumes = Qemu.volumes(guest);
            let volume = volumes.iter().find(|volume| volume.slot == *disk);
            // Only files have a format in their name.
            let fits = |name: &str| match format {
                Some(format) => !name.contains('.') || name.ends_with(&format!(".{format}")),
                None => true,
            };
            !untouched && volume.is_some_and(|v| v.storage == *storage && fits(&v.name))
        }
        ActionKind::Detach { disk } => value(disk).is_none(),
        ActionKind::Erase { disk } => {
            let held = action.preconditions.iter().find_map(|p| match p {
                Precondition::Holds { disk: slot, volume } if slot == disk => Some(volume.as_str()),
                _ => None,
            });
            let now = value(disk).and_then(|value| value.split(',').next());
            now.is_none() || (held.is_some() && now != held)
        }
        ActionKind::Start => guest.running,
        ActionKind::Shutdown { .. } => !guest.running,
        ActionKind::Reboot { .. } => guest.running && guest.pending.is_empty(),
        _ => false,
    }
}

/// Is the stored value what came of the one that was sent? Where it cannot be told it is not: then
/// the write is repeated, which its digest makes harmless.
pub(super) fn is_as_sent(key: &str, sent: &str, stored: &str) -> bool {
    // A secret is not shown; what was written along with it tells.
    if sent == MARKER || codec::equal(key, sent, stored) {
        return true;
    }
    if key == "sshkeys" {
        return codec::same_ssh_keys(sent, stored);
    }
    let parts: Vec<&str> = stored.split(',').collect();
    let has = |part: &str| parts.iter().any(|p| p.eq_ignore_ascii_case(part));
    if key.starts_with("net") {
        // A card without an address gets one: `virtio` becomes `virtio=BC:24:…`.
        let begins = |part: &str| parts.iter().any(|p| p.starts_with(&format!("{part}=")));
        return sent.split(',').all(|part| has(part) || begins(part));
    }
    let storage = |value: &str| value.split_once(':').map(|(storage, _)| storage.to_owned());
    let (Some(wanted), Some(found)) = (storage(sent), storage(stored)) else { return false };
    // The volume's name is Proxmox's choice, and what it was made from is not kept.
    let choice = |part: &str| {
        ["import-from=", "format=", "size=", "file="].iter().any(|p| part.starts_with(p))
    };
    wanted == found && sent.split(',').skip(1).all(|part| choice(part) || has(part))
}

/// What the HA manager's configuration shows.
pub(super) fn ha(vmid: u32, change: &HaChange, ha: &Ha) -> Seen {
    let resource = ha.resources.get(&vmid);
    let set_in = |found: Option<&BTreeMap<String, String>>, set: &BTreeMap<String, String>| {
        found.is_some_and(|found| set.iter().all(|(key, value)| same(found.get(key), value)))
    };
    let none_of = |found: Option<&BTreeMap<String, String>>, delete: &[String]| {
        found.is_some_and(|found| delete.iter().all(|key| !found.contains_key(key)))
    };
    let added = |found: Option<&BTreeMap<String, String>>, set: &BTreeMap<String, String>| {
        let what = "the HA manager has another one of this name".to_owned();
        match found {
            None => Seen::Nothing,
            Some(_) if set_in(found, set) => Seen::Done,
            Some(_) => Seen::Other(what),
        }
    };
    let done = match change {
        HaChange::Add { set } => return added(resource, set),
        HaChange::AddRule { rule, set } => return added(ha.rules.get(rule), set),
        HaChange::Update { set, delete } => set_in(resource, set) && none_of(resource, delete),
        HaChange::UpdateRule { rule, set, delete } => {
            let found = ha.rules.get(rule);
            set_in(found, set) && none_of(found, delete)
        }
        HaChange::Remove => resource.is_none(),
        HaChange::RemoveRule { rule } => !ha.rules.contains_key(rule),
    };
    if done { Seen::Done } else { Seen::Nothing }
}

/// Lists come back in another order.
fn same(found: Option<&String>, sent: &str) -> bool {
    let items = |text: &str| {
        let mut items: Vec<String> = text.split(',').map(|item| item.trim().to_owned()).collect();
        items.sort_unstable();
        items
    };
    found.is_some_and(|found| items(found) == items(sent))
}
