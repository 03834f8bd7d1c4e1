//! Does a guest that is there go to the node its document names? Only when its user says so: one
//! that was moved by hand or by the HA manager is left where it is, unless it is pinned.

use super::Input;
use crate::address::Address;
use crate::desired::{Guest, Placement};
use crate::live;
use crate::plan::Finding;
use crate::state::AskedNode;

/// What is done about a guest's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is where it belongs, or may be anywhere.
    Stay,
    /// It moves: its user changed the node in the document, or wants it kept there.
    Move,
    /// Somebody moved it, and the document says what it said before.
    LeaveAlone,
}

/// The decision table. `wanted`: the node of the documents, if they name one. `before`: what they
/// asked for when the guest was last applied.
///
/// | wanted | live is it | pinned | before | decision |
/// |---|---|---|---|---|
/// | none | | | | stay |
/// | a node | yes | | | stay |
/// | a node | no | yes | | move |
/// | a node | no | no | another node, or any | move |
/// | a node | no | no | the same, or unknown | leave alone |
pub(super) fn decide(
    wanted: Option<&str>,
    live: &str,
    pinned: bool,
    before: &AskedNode,
) -> Decision {
    match (wanted, before) {
        (None, _) => Decision::Stay,
        (Some(wanted), _) if wanted == live => Decision::Stay,
        (Some(_), _) if pinned => Decision::Move,
        (Some(_), AskedNode::Any) => Decision::Move,
        (Some(wanted), AskedNode::Named(before)) if wanted != before => Decision::Move,
        (Some(_), AskedNode::Named(_) | AskedNode::Unknown) => Decision::LeaveAlone,
    }
}

/// The node that a live guest moves to, or what to say of one that is left where it is.
/// `remembered` is the address under which state knows it.
pub(super) fn target<'g>(
    input: &Input<'_>,
    guest: &'g Guest,
    live: &live::Guest,
    remembered: &Address,
) -> Result<Option<&'g str>, Finding> {
    let Placement::Node(node) = &guest.placement else { return Ok(None) };
    let before = input.memory.node(remembered);
    match decide(Some(node), &live.node, guest.pinned, before) {
        Decision::Stay => Ok(None),
        Decision::Move => Ok(Some(node)),
        Decision::LeaveAlone => Err(moved_away(guest, live, node, before)),
    }
}

fn moved_away(guest: &Guest, live: &live::Guest, node: &str, before: &AskedNode) -> Finding {
    let made = match before {
        AskedNode::Unknown => "put it",
        AskedNode::Any | AskedNode::Named(_) => "made it",
    };
    let text = format!(
        "{} runs on {}, the documents {made} on {node}: left there; `placement: pinned` brings it back",
        guest.address, live.node
    );
    Finding::note("moved-away", text).about(&guest.address).at(guest.place("node"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decision_table() {
        use Decision::{LeaveAlone, Move, Stay};
        let named = |node: &str| AskedNode::Named(node.to_owned());
        // The guest runs on pve2.
        let table = [
            (None, false, AskedNode::Any, Stay),
            (None, false, AskedNode::Unknown, Stay),
            (None, false, named("pve1"), Stay),
            (None, true, AskedNode::Any, Stay),
            (None, true, named("pve1"), Stay),
            (Some("pve2"), false, AskedNode::Unknown, Stay),
            (Some("pve2"), false, AskedNode::Any, Stay),
            (Some("pve2"), false, named("pve1"), Stay),
            (Some("pve2"), false, named("pve2"), Stay),
            (Some("pve2"), true, named("pve1"), Stay),
            (Some("pve1"), false, AskedNode::Unknown, LeaveAlone),
            (Some("pve1"), false, named("pve1"), LeaveAlone),
            (Some("pve1"), false, AskedNode::Any, Move),
            (Some("pve1"), false, named("pve2"), Move),
            (Some("pve1"), false, named("pve3"), Move),
            (Some("pve1"), true, AskedNode::Unknown, Move),
            (Some("pve1"), true, named("pve1"), Move),
            (Some("pve1"), true, AskedNode::Any, Move),
            (Some("pve1"), true, named("pve3"), Move),
        ];
        for (wanted, pinned, before, decision) in table {
            let found = decide(wanted, "pve2", pinned, &before);
            assert_eq!(found, decision, "{wanted:?} pinned {pinned} {before:?}");
        }
    }
}
