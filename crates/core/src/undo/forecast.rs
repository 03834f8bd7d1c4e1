//! What could not be taken back, said before anything is done.

use std::collections::BTreeSet;

use crate::plan::{Action, ActionKind, Change, Finding, Plan, Verb, lint};
use crate::secret::SECRET_KEYS;

/// One note for each guest to which the plan does something that has no inverse: whoever asks for
/// `--rollback-on-failure` knows it before he confirms.
pub fn forecast(plan: &Plan) -> Vec<Finding> {
    plan.changes.iter().filter_map(|change| note(plan, change)).collect()
}

fn note(plan: &Plan, change: &Change) -> Option<Finding> {
    // A guest that is made is removed again, whatever was done to it.
    if change.verb == Verb::Create {
        return None;
    }
    let actions = change.actions.iter().filter_map(|id| plan.actions.get(*id));
    let whys: BTreeSet<String> =
        actions.filter_map(|action| without_inverse(change, action)).collect();
    if whys.is_empty() {
        return None;
    }
    let whys: Vec<String> = whys.into_iter().collect();
    let text = format!(
        "--rollback-on-failure cannot take all of {} back: {}",
        change.address,
        whys.join("; ")
    );
    Some(Finding::note("no-inverse", text).about(&change.address))
}

/// Why an action cannot be taken back; none when it can.
fn without_inverse(change: &Change, action: &Action) -> Option<String> {
    match &action.kind {
        ActionKind::Destroy if lint::is_keeper(action) => None,
        ActionKind::Destroy => Some("a guest that is destroyed does not come back".to_owned()),
        // What is made in the place of a guest that is gone stays.
        _ if change.verb == Verb::Replace => None,
        ActionKind::Erase { .. } => Some("erased bytes do not come back".to_owned()),
        ActionKind::Resize { disk, .. } => {
            let old = change.attributes.iter().any(|a| a.path == format!("{disk}.size"));
            old.then(|| format!("{disk} grows, and disks never shrink"))
        }
        ActionKind::Configure { set, .. } => {
            let secret = SECRET_KEYS.iter().find(|key| set.contains_key(**key))?;
            Some(format!("nobody knows what {secret} was before"))
        }
        _ => None,
    }
}
