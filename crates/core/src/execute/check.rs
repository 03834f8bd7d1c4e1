//! Does what was planned on still hold? Read again in the same breath as the write.

use super::Context;
use crate::live::{Guest, GuestRef};
use crate::plan::{Action, ActionKind, Precondition};
use crate::provider::{ErrorClass, ProviderError, Writer};

/// Reads the guest again when a precondition is about it, in the same breath as the write. The digest
/// of that reading goes with the request: Proxmox compares it under its lock, so nothing that came in
/// between is written over.
pub(super) async fn check<W: Writer>(
    context: &Context<'_, W>,
    action: &Action,
) -> Result<Option<String>, ProviderError> {
    let about_guest = |p: &Precondition| match p {
        Precondition::Owned { .. }
        | Precondition::Begun { .. }
        | Precondition::Unprotected
        | Precondition::Holds { .. }
        | Precondition::Digest { .. } => true,
        Precondition::VmidFree => false, // Proxmox refuses a taken one itself
    };
    if !action.preconditions.iter().any(about_guest) {
        return Ok(None);
    }
    let reference = GuestRef { vmid: action.vmid, node: action.node.clone() };
    let found = context.writer.guests(std::slice::from_ref(&reference), false).await?;
    let Some(guest) = found.into_iter().find(|g| g.vmid == action.vmid) else {
        let text = format!("guest {} is not on {} any more", action.vmid, action.node);
        let class = if waits(context, action) { ErrorClass::Missing } else { ErrorClass::Changed };
        return Err(ProviderError { class, ..changed(text) });
    };
    action.preconditions.iter().try_for_each(|p| holds(context, action, &guest, p))?;
    Ok(guest.digest.filter(|_| takes_digest(&action.kind)))
}

fn holds<W: Writer>(
    context: &Context<'_, W>,
    action: &Action,
    guest: &Guest,
    precondition: &Precondition,
) -> Result<(), ProviderError> {
    let vmid = guest.vmid;
    match precondition {
        Precondition::VmidFree => Ok(()),
        Precondition::Owned { mark, uuid } => {
            let tags = guest.config.get("tags").map_or("", String::as_str);
            let marked = tags.split([';', ',', ' ']).any(|tag| tag.eq_ignore_ascii_case(mark));
            if marked && context.kind.identity_of(guest) == Some(*uuid) {
                return Ok(());
            }
            if guest.lock() == Some("destroyed") {
                return Err(half_removed(guest));
            }
            Err(changed(format!(
                "guest {vmid} on {} is not {} any more: its mark or smbios uuid changed",
                guest.node, action.address
            )))
        }
        Precondition::Begun { note } => {
            let found = guest.config.get("description").map_or("", String::as_str);
            if found.trim_end() == note {
                return Ok(());
            }
            Err(changed(format!(
                "guest {vmid} on {} is not the one that was cloned for {}: its description changed",
                guest.node, action.address
            )))
        }
        Precondition::Unprotected if guest.is_protected() => {
            Err(changed(format!("guest {vmid} on {} was protected meanwhile", guest.node)))
        }
        Precondition::Unprotected if guest.is_template() => {
            Err(changed(format!("guest {vmid} on {} was made a template meanwhile", guest.node)))
        }
        Precondition::Unprotected => Ok(()),
        Precondition::Holds { disk, volume } => {
            let held = guest.config.get(disk).map_or("", String::as_str);
            let held = held.split(',').next().unwrap_or_default();
            if held == volume {
                return Ok(());
            }
            Err(changed(format!("{disk} of guest {vmid} on {} is not {volume}", guest.node)))
        }
        Precondition::Digest { digest } if guest.digest.as_ref() == Some(digest) => Ok(()),
        Precondition::Digest { .. } => {
            Err(changed(format!("guest {vmid} on {} changed since the plan", guest.node)))
        }
    }
}

/// Does its request take a digest?
fn takes_digest(kind: &ActionKind) -> bool {
    matches!(
        kind,
        ActionKind::Configure { .. }
            | ActionKind::Resize { .. }
            | ActionKind::MoveDisk { .. }
            | ActionKind::Reassign { .. }
            | ActionKind::Detach { .. }
            | ActionKind::Erase { .. }
    )
}

/// Is a guest made in the place of one that this plan removes before?
pub(super) fn replaces<W: Writer>(context: &Context<'_, W>, action: &Action) -> bool {
    let there = |other: &Action| other.vmid == action.vmid && other.kind == ActionKind::Destroy;
    context.plan.actions.iter().any(there)
}

/// A removal that stopped after the disks were gone leaves a file that holds this lock and nothing
/// else (qemu-server `API2/Qemu.pm`, destroy_vm).
fn half_removed(guest: &Guest) -> ProviderError {
    let (vmid, node) = (guest.vmid, &guest.node);
    let text = format!("guest {vmid} on {node} is half removed: its disks are gone");
    ProviderError::new(ErrorClass::Changed, text).help(format!(
        "`qm destroy {vmid} --skiplock --purge` on {node}, as root, removes the rest"
    ))
}

fn changed(text: String) -> ProviderError {
    ProviderError::new(ErrorClass::Changed, text)
        .help("nothing was done to it; plan again to see what it is now")
}

/// Does something of this plan come before the action?
pub(super) fn waits<W: Writer>(context: &Context<'_, W>, action: &Action) -> bool {
    !context.plan.actions.needs(action.id).is_empty()
}
