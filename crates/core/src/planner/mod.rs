//! The planner: pure and synchronous. Desired graph and live snapshot in, plan out.
//!
//! One file for each question: whose is it (`ownership`), which number (`vmid`), where
//! (`placement`; of one that is there: `relocate`), from what (`template`), and what to do with a
//! guest that is missing (`create`), there (`update`), no longer wanted (`remove`) or to be made anew
//! (`replace`). `keep` has the disks that outlive their guests. `allow` says what may happen to a
//! running guest now. `moved`: who was renamed in the documents. `membership` and `affinity`: pools
//! and HA. `steps` makes actions of a difference, `order` joins guests.

mod affinity;
mod allow;
mod build;
mod create;
mod keep;
mod known;
mod membership;
mod moved;
mod order;
mod ownership;
mod placement;
mod relocate;
mod remove;
mod replace;
mod resume;
mod snippet;
mod steps;
mod template;
mod update;
mod vmid;

pub(crate) use build::{is_target, matches_target};
pub use keep::locked_keepers;
pub(crate) use membership::concerns_ha;
pub(crate) use moved::mark as mark_of;
pub(crate) use ownership::tags_of;
pub use ownership::{Claim, Ownership, half_made_note};
pub use snippet::contents;
pub(crate) use snippet::storages as snippet_storages;
pub(crate) use template::candidates as template_candidates;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::desired::{ApplyChanges, Desired};
use crate::diagnostic::Sources;
use crate::live::Snapshot;
use crate::plan::{Finding, Intent, Plan, ProfileSummary, lint};
use crate::provider::GuestKind;
use crate::state::Memory;

use build::Builder;

/// What a user may say beside the documents. A saved plan has all of it; one of an older pvx does
/// not say what it did not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Only these addresses, or whole profiles (`k3s`); empty: everything.
    pub targets: Vec<String>,
    /// Seconds that a guest has to shut down.
    pub shutdown_timeout: u32,
    /// Stop a guest that does not shut down in time.
    pub force_stop: bool,
    /// What may happen to guests whose documents do not say (`--apply-changes`).
    pub apply_changes: ApplyChanges,
    /// Guests that may be removed and made anew (`--replace`), by address.
    pub replace: Vec<String>,
    /// A destroy removes kept disks too (`--erase-kept`).
    pub erase_kept: bool,
    /// Members that were made templates may be removed, and made anew when asked for
    /// (`--include-templates`).
    pub include_templates: bool,
    /// How many guests the plan may destroy or replace (`--max-destroy`); the policy may allow
    /// fewer.
    pub max_destroy: Option<u32>,
    /// Changes are made outside the policy's windows, for this reason (`--ignore-window`).
    pub ignore_window: Option<String>,
    /// The plan is made to be carried out at once, not to be looked at.
    pub applying: bool,
    /// VMIDs and nodes of new guests in a plan that is made again: where documents leave them open
    /// these are taken, as long as they are free and have room.
    #[serde(skip)]
    pub seats: BTreeMap<Address, Seat>,
    /// VMIDs that Proxmox has refused because something has them, in a plan that is made again: the
    /// token may not see what.
    #[serde(skip)]
    pub taken: BTreeSet<u32>,
    /// VMIDs that others are likely to take before this plan is carried out: new guests get them
    /// only when no other one is left.
    #[serde(skip)]
    pub avoided: BTreeSet<u32>,
}

/// Where a plan puts a new guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// Its VMID.
    pub vmid: u32,
    /// Its node.
    pub node: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            shutdown_timeout: 120,
            force_stop: true,
            apply_changes: ApplyChanges::default(),
            replace: Vec::new(),
            erase_kept: false,
            include_templates: false,
            max_destroy: None,
            ignore_window: None,
            applying: false,
            seats: BTreeMap::new(),
            taken: BTreeSet::new(),
            avoided: BTreeSet::new(),
        }
    }
}

/// Everything a plan is made from.
pub struct Input<'a> {
    /// What documents ask for.
    pub desired: &'a Desired,
    /// What is there.
    pub snapshot: &'a Snapshot,
    /// What was applied before.
    pub memory: &'a Memory,
    /// How Proxmox spells a guest.
    pub kind: &'a dyn GuestKind,
    /// What the user said.
    pub options: &'a Options,
    /// For positions in files.
    pub sources: &'a Sources,
}

/// Makes the cluster as the documents say.
pub fn apply(input: &Input<'_>) -> Plan {
    make(input, Intent::Apply)
}

/// Removes every guest that the documents' profiles own, and nothing else.
pub fn destroy(input: &Input<'_>) -> Plan {
    make(input, Intent::Destroy)
}

fn make(input: &Input<'_>, intent: Intent) -> Plan {
    let mut ownership = Ownership::of(input);
    if input.options.include_templates {
        ownership.include_templates(input, intent);
    }
    let mut builder = Builder::new(input);
    builder.check_cluster();
    builder.check_targets(&ownership);
    builder.check_replace();
    let strangers = ownership.findings(&builder, intent);
    builder.findings.extend(strangers);
    match intent {
        Intent::Apply => {
            remove::orphans(&mut builder, &ownership);
            let mut starts = create::missing(&mut builder, &ownership);
            starts.extend(update::existing(&mut builder, &ownership));
            affinity::rules(&mut builder, &ownership);
            order::by_dependency(&mut builder, &starts);
        }
        Intent::Destroy => {
            remove::all(&mut builder, &ownership);
            if input.options.erase_kept {
                keep::erase_all(&mut builder);
            }
        }
        // Documents do not ask for it: `crate::undo` makes those plans.
        Intent::Undo => {}
    }
    keep::report(&mut builder, intent);
    let mut plan = builder.finish(intent, summaries(input, &ownership));
    plan.findings.extend(lint::check(&plan));
    settle(&mut plan.findings, input.sources);
    plan
}

fn summaries(input: &Input<'_>, ownership: &Ownership) -> Vec<ProfileSummary> {
    let profile = |p: &crate::desired::Profile| ProfileSummary {
        key: p.key().to_owned(),
        wanted: p.guests.len(),
        existing: p.guests.iter().filter(|g| ownership.member(&g.address).is_some()).count(),
    };
    input.desired.profiles.iter().map(profile).collect()
}

/// Findings in order, each once, with their positions.
pub(crate) fn settle(findings: &mut Vec<Finding>, sources: &Sources) {
    for finding in findings.iter_mut() {
        finding.position = finding.span.map(|span| sources.position(span));
    }
    findings.sort_by(|a, b| {
        (a.weight, &a.position, &a.address, &a.message).cmp(&(
            b.weight,
            &b.position,
            &b.address,
            &b.message,
        ))
    });
    findings.dedup();
}
