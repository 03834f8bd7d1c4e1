//! Journals of version 1: one JSON value a line, no header, no checksums. Begin records of the first
//! ones name a guest and what was done to it, later ones hold the whole action.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Line, Record};
use crate::address::Address;
use crate::plan::{Action, ActionId, ActionKind, Effect, Reason};

/// One line.
#[derive(Deserialize)]
#[serde(untagged)]
enum Old {
    Record(Record),
    Begin(Begin),
}

/// A begin record that does not hold its action.
#[derive(Deserialize)]
struct Begin {
    record: BeginTag,
    action: u32,
    address: Address,
    vmid: u32,
    node: String,
    verb: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum BeginTag {
    Begin,
}

/// What a line of version 1 says, in the words of today.
pub(super) fn record(line: &[u8]) -> Result<Line, String> {
    let old: Old = serde_json::from_slice(line).map_err(|error| {
        // serde says of the choice only that none fits; what is no JSON at all says where.
        match serde_json::from_slice::<serde_json::Value>(line) {
            Err(place) => place.to_string(),
            Ok(_) => error.to_string(),
        }
    })?;
    Ok(Line::Record(match old {
        Old::Record(record) => record,
        Old::Begin(begin) => Record::Begin { action: Box::new(begin.action()), at: 0 },
    }))
}

impl Begin {
    fn action(self) -> Action {
        let BeginTag::Begin = self.record;
        let kind = kind(&self.verb, self.address.guest());
        Action {
            id: ActionId(self.action),
            vmid: self.vmid,
            node: self.node,
            kind,
            reason: Reason::new("old-journal", "a journal of an older pvx does not say"),
            effect: Effect::Live,
            preconditions: Vec::new(),
            storages: Vec::new(),
            address: self.address,
        }
    }
}

/// What was done, with nothing of what it was done with. Each reader of unfinished actions must do
/// with that: the fresh reading of the cluster decides.
fn kind(verb: &str, guest: &str) -> ActionKind {
    let nothing = String::new;
    match verb {
        "create" => ActionKind::Create { config: BTreeMap::new(), pool: None },
        "clone" => ActionKind::Clone {
            source: 0,
            full: false,
            storage: None,
            target: None,
            name: guest.to_owned(),
            note: nothing(),
            pool: None,
        },
        "resize" => ActionKind::Resize { disk: nothing(), size: 0 },
        "migrate" => {
            ActionKind::Migrate { target: nothing(), online: false, with_local_disks: false }
        }
        "start" => ActionKind::Start,
        "shutdown" => ActionKind::Shutdown { timeout: 0, force: false },
        "reboot" => ActionKind::Reboot { timeout: 0 },
        "move" => ActionKind::MoveDisk { disk: nothing(), storage: nothing(), format: None },
        "reassign" => ActionKind::Reassign { disk: nothing(), target: 0, target_disk: nothing() },
        "detach" => ActionKind::Detach { disk: nothing() },
        "erase" => ActionKind::Erase { disk: nothing() },
        "pool" => ActionKind::Pool { join: None, leave: None },
        "destroy" => ActionKind::Destroy,
        "configure as root" => {
            ActionKind::ConfigureAsRoot { set: BTreeMap::new(), delete: Vec::new() }
        }
        _ => ActionKind::Configure { set: BTreeMap::new(), delete: Vec::new(), background: false },
    }
}
