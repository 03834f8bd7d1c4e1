//! What the plan needs, and what of it the token lacks. Which checks Proxmox makes is the
//! provider's knowledge ([`GuestKind::privileges`](crate::provider::GuestKind::privileges)).

use std::collections::{BTreeMap, BTreeSet};

use super::permissions::{Access, Applying, Permissions};
use super::pveum;
use crate::address::Address;
use crate::desired::{Guest, Origin, TemplateRef};
use crate::plan::{
    Action, ActionKind, Finding, Intent, Plan, Privilege, Use, aggregate_privileges,
};
use crate::planner::{Input, Ownership, is_target};
use crate::provider::{Reach, Reads};
use crate::snippet;

/// How many paths and uses are named before the rest is counted.
const NAMED: usize = 3;

/// VMIDs that the plan makes guests at.
pub(super) fn new_vmids(plan: &Plan) -> BTreeSet<u32> {
    let gone: BTreeSet<u32> = plan
        .actions
        .iter()
        .filter(|action| action.kind == ActionKind::Destroy)
        .map(|action| action.vmid)
        .collect();
    // One that is made anew has its VMID until then.
    made(plan).map(|(vmid, _)| vmid).filter(|vmid| !gone.contains(vmid)).collect()
}

/// Guests that the plan makes, by VMID.
fn made(plan: &Plan) -> impl Iterator<Item = (u32, &Address)> {
    let made = |action: &&Action| {
        matches!(action.kind, ActionKind::Create { .. } | ActionKind::Clone { .. })
    };
    plan.actions.iter().filter(made).map(|action| (action.vmid, &action.address))
}

/// Guests that pvx made before, by VMID, and that the list of guests does not have: they are gone,
/// or the token does not see them.
pub(super) fn unseen(input: &Input<'_>) -> BTreeMap<u32, Address> {
    let memory = input.memory;
    let known = |address: &&Address| is_target(input.options, address);
    let vmid = |address: &Address| Some((memory.vmid(address)?, address.clone()));
    let remembered = memory.addresses().filter(known).filter_map(vmid);
    remembered.filter(|(vmid, _)| !input.snapshot.inventory.guests.contains_key(vmid)).collect()
}

/// What the token must be allowed for the plan and for making it, by path.
pub fn needed(plan: &Plan, input: &Input<'_>, access: &Access) -> Vec<Privilege> {
    let ownership = Ownership::of(input);
    let reads = match plan.intent {
        Intent::Apply => reads(input, &ownership),
        Intent::Destroy | Intent::Undo => Reads::default(),
    };
    let owned = ownership.owned().map(|(address, vmid)| (vmid, address.clone()));
    let reach = Reach {
        plan,
        snapshot: input.snapshot,
        guests: owned.filter(|(_, address)| is_target(input.options, address)).collect(),
        reads,
        access,
    };
    aggregate_privileges(input.kind.privileges(&reach))
}

/// What is looked at for guests that are not there.
fn reads(input: &Input<'_>, ownership: &Ownership) -> Reads {
    let mut reads = Reads::default();
    for guest in input.desired.guests().filter(|guest| is_target(input.options, &guest.address)) {
        let address = &guest.address;
        if let Some(pool) = &guest.spec.pool {
            reads.pools.insert((pool.clone(), address.clone()));
        }
        if ownership.member(address).is_some() {
            continue;
        }
        if let Origin::Template { template: TemplateRef::Vmid(vmid), .. } = &guest.origin {
            reads.templates.insert((*vmid, address.clone()));
        }
        reads.storages.extend(storages(guest).map(|storage| (storage.to_owned(), address.clone())));
    }
    reads
}

/// Storages that documents name for a guest's disks.
fn storages(guest: &Guest) -> impl Iterator<Item = &str> {
    let disks = guest.spec.disks.values().filter_map(|disk| disk.storage.as_deref());
    let cloudinit = &guest.spec.cloudinit;
    let snippets = cloudinit.snippets.as_deref().unwrap_or(snippet::STORAGE);
    let written = !cloudinit.templates.is_empty();
    disks.chain(guest.spec.storage.as_deref()).chain(written.then_some(snippets))
}

/// Adds what the token lacks.
pub(super) fn check(plan: &mut Plan, input: &Input<'_>, access: &Access) {
    let hidden = hidden(plan, input, access);
    plan.findings.extend(hidden);
    let Some(permissions) = &access.permissions else { return };
    unmask(plan, permissions);
    if plan.intent == Intent::Apply {
        plan.findings.extend(hidden_pools(input, permissions));
    }
    let permissions = match &access.applying {
        None => permissions,
        Some(Applying::Known(applying)) => applying,
        Some(Applying::Hidden(token)) => return plan.findings.push(unknown(permissions, token)),
    };
    let missing: Vec<&Privilege> =
        plan.privileges.iter().filter(|check| !permissions.meets(check)).collect();
    let (impossible, missing): (Vec<&Privilege>, Vec<&Privilege>) =
        missing.into_iter().partition(|check| check.any_of.is_empty());
    let mut findings: Vec<Finding> = impossible.into_iter().map(root_only).collect();
    for (paths, checks) in by_paths(&missing) {
        findings.push(lacks(&permissions.token, &paths, &checks, &plan.privileges));
    }
    plan.findings.extend(findings);
}

/// Another token's privileges are not shown to everybody.
fn unknown(asking: &Permissions, token: &str) -> Finding {
    let who = &asking.token;
    let text = format!("what token {token} lacks is not known: {who} may not look at it");
    Finding::warning("privileges-unknown", text)
        .help(format!("give {who} Sys.Audit on /access, or plan with {token} itself"))
}

/// Absence in the list of guests proves nothing to a token that does not see all of them.
fn hidden(plan: &Plan, input: &Input<'_>, access: &Access) -> Vec<Finding> {
    let before = unseen(input);
    let new: BTreeMap<u32, &Address> = made(plan).collect();
    let finding = |vmid: &u32| {
        let (address, text) = match (before.get(vmid), new.get(vmid)) {
            (Some(address), _) => (
                address,
                format!(
                    "guest {vmid} is there, was {address} before, and this token cannot see it"
                ),
            ),
            (None, Some(address)) => (
                *address,
                format!("VMID {vmid} of {address} is held by a guest that this token cannot see"),
            ),
            (None, None) => return None,
        };
        Some(Finding::error("vmid-hidden", text).about(address).help(format!(
            "let the token see the guest (VM.Audit on /vms/{vmid}); when it is another one, give {address} another VMID"
        )))
    };
    access.taken.iter().filter_map(finding).collect()
}

/// Guests that documents take out of a pool, when the token does not see all pools.
fn hidden_pools(input: &Input<'_>, permissions: &Permissions) -> Vec<Finding> {
    let inventory = &input.snapshot.inventory;
    let ownership = Ownership::of(input);
    let dropped = input.desired.guests().filter(|guest| {
        guest.spec.pool.is_none() && input.memory.managed(&guest.address).contains("pool")
    });
    let finding = |guest: &Guest| {
        let address = &guest.address;
        let live = inventory.guests.get(&ownership.member(address)?)?;
        let seen = live.pool.is_some() || permissions.holds_below("/pool", "Pool.Audit");
        let text = format!(
            "{address} may still be in the pool that its documents named before: this token does not see all pools"
        );
        let help = "give it Pool.Audit on that pool, then plan again";
        (!seen).then(|| Finding::warning("pool-hidden", text).about(address).help(help))
    };
    dropped.filter_map(finding).collect()
}

/// What is not shown to the token may be there: then that is said, and not that it is missing.
fn unmask(plan: &mut Plan, permissions: &Permissions) {
    let missing = |path: &str| {
        plan.privileges.iter().any(|check| check.path == path && !permissions.meets(check))
    };
    let mut findings = std::mem::take(&mut plan.findings);
    // What is told below with its fix is not told twice.
    findings.retain(|finding| match &finding.shown_by {
        Some((path, privilege)) => permissions.holds(path, privilege) || !missing(path),
        None => true,
    });
    for finding in &mut findings {
        explain(finding, permissions);
    }
    plan.findings = findings;
}

fn explain(finding: &mut Finding, permissions: &Permissions) {
    let token = &permissions.token;
    if let Some((path, privilege)) = &finding.shown_by {
        if !permissions.holds(path, privilege) {
            finding.message =
                format!("token {token} does not see {path}: it lacks {privilege} there");
            finding.help = Some(format!("give it {privilege} on {path}, or name what it sees"));
        }
        return;
    }
    let template = finding.code == "template-missing";
    if template && !permissions.holds_below("/vms", "VM.Audit") {
        let shown = finding.help.take().unwrap_or_default();
        finding.help = Some(format!(
            "{shown}; token {token} does not see all guests: a template needs VM.Audit and VM.Clone on /vms/VMID"
        ));
    }
}

fn root_only(check: &Privilege) -> Finding {
    let uses = uses(&check.uses.iter().collect::<Vec<_>>());
    let text = format!("only root@pam may {uses}: no token passes");
    Finding::error("root-only", text).help(
        "take the device out of the template, or use a resource mapping for it (Datacenter → Resource Mappings)",
    )
}

/// What is missing on the same guests is told together.
fn by_paths<'a>(missing: &[&'a Privilege]) -> BTreeMap<Vec<&'a str>, Vec<&'a Privilege>> {
    let mut places: BTreeMap<(&str, Vec<&String>), Vec<&Privilege>> = BTreeMap::new();
    for check in missing {
        let family = if check.path.starts_with("/vms/") { "/vms" } else { check.path.as_str() };
        places.entry((family, check.any_of.iter().collect())).or_default().push(check);
    }
    let mut found: BTreeMap<Vec<&str>, Vec<&Privilege>> = BTreeMap::new();
    for checks in places.into_values() {
        let mut paths: Vec<&str> = checks.iter().map(|check| check.path.as_str()).collect();
        paths.sort_by_key(|path| (path.len(), *path));
        paths.dedup();
        found.entry(paths).or_default().extend(checks);
    }
    found
}

/// One finding for all that is missing on the same paths.
fn lacks(token: &str, paths: &[&str], checks: &[&Privilege], all: &[Privilege]) -> Finding {
    let mut kinds: BTreeMap<String, Vec<&Privilege>> = BTreeMap::new();
    for check in checks {
        kinds.entry(check.words()).or_default().push(check);
    }
    let whom: BTreeSet<&Address> =
        checks.iter().flat_map(|c| &c.uses).filter_map(|one| one.address.as_ref()).collect();
    let place = listed(paths);
    let text = match kinds.iter().next() {
        Some((privilege, checks)) if kinds.len() == 1 => {
            let all: Vec<&Use> = checks.iter().flat_map(|c| &c.uses).collect();
            format!("token {token} lacks {privilege} on {place}, to {}", uses(&all))
        }
        _ => {
            let one = |(privilege, checks): (&String, &Vec<&Privilege>)| {
                let deeds: BTreeSet<String> =
                    checks.iter().flat_map(|c| &c.uses).map(deed).collect();
                format!("{privilege} (to {})", deeds.into_iter().collect::<Vec<_>>().join("; "))
            };
            let list: Vec<String> = kinds.iter().map(one).collect();
            let list = list.join(", ");
            format!("token {token} lacks on {place}{}: {list}", for_whom(&whom))
        }
    };
    let commands = pveum::commands_for(all, token, |path| paths.contains(&path));
    let finding = Finding::error("privilege-missing", text)
        .help(format!("as root on a node:\n{}", commands.join("\n")));
    match (whom.len(), whom.first()) {
        (1, Some(address)) => finding.about(address),
        _ => finding,
    }
}

/// `configure cores, net0`, without the guest.
fn deed(one: &Use) -> String {
    let keys: Vec<&str> = one.keys.iter().map(String::as_str).collect();
    format!("{} {}", one.verb, keys.join(", ")).trim_end().to_owned()
}

fn for_whom(guests: &BTreeSet<&Address>) -> String {
    match guests.first() {
        None => String::new(),
        Some(one) => format!(", for {one}{}", more(guests.len() - 1)),
    }
}

fn more(number: usize) -> String {
    match number {
        0 => String::new(),
        1 => " (and 1 more guest)".to_owned(),
        _ => format!(" (and {number} more guests)"),
    }
}

fn listed(paths: &[&str]) -> String {
    let named = paths.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match paths.len().saturating_sub(NAMED) {
        0 => named,
        rest => format!("{named} and {rest} more"),
    }
}

/// The first use, and how many guests more there are.
fn uses(all: &[&Use]) -> String {
    let guests: BTreeSet<&Address> = all.iter().filter_map(|one| one.address.as_ref()).collect();
    match all.first() {
        None => "work".to_owned(),
        Some(first) => format!("{}{}", first.words(), more(guests.len().saturating_sub(1))),
    }
}
