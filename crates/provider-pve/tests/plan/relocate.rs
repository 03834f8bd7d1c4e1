//! Guests that are not on the node their document names.

use insta::assert_snapshot;
use pvx_core::desired::Placement;
use pvx_core::state::{AskedNode, Memory};

use crate::lab::{Lab, made};

const LEFT: &str = "i moved-away: k3s/w01 runs on pve2, the documents made it on pve1: left there; `placement: pinned` brings it back";

fn on(node: &str) -> Lab {
    made(|guest| guest.placement = Placement::Node(node.into()))
}

/// Somebody, or the HA manager, moves the guest.
fn moved_by_hand(lab: &mut Lab, node: &str) {
    lab.snapshot.guests.get_mut(&1000).unwrap().node = node.into();
    lab.snapshot.inventory.guests.get_mut(&1000).unwrap().node = node.into();
}

#[test]
fn one_that_was_moved_is_left_there() {
    let mut lab = on("pve1");
    moved_by_hand(&mut lab, "pve2");
    assert_eq!(lab.apply(), LEFT);
    assert_eq!(lab.apply(), LEFT, "and the next plan says the same");
    // What else differs is changed where it is.
    lab.first().spec.set("cores", "4");
    let text = lab.apply();
    assert!(text.contains("configure 1000 cores=4 @pve2") && !text.contains("migrate"), "{text}");
}

#[test]
fn a_pinned_one_is_brought_back() {
    let mut lab = on("pve1");
    moved_by_hand(&mut lab, "pve2");
    lab.first().pinned = true;
    assert_snapshot!(lab.apply(), @r"
    #0 migrate 1000 →pve1 online @pve2 if owned(pvx-k3s)
    Migrate k3s/w01 1000 on pve2 → pve1: differs from the documents (Migrate)
    ");
}

#[test]
fn another_node_in_the_document_moves_it_from_wherever_it_is() {
    let mut lab = on("pve1");
    moved_by_hand(&mut lab, "pve2");
    lab.first().placement = Placement::Node("pve3".into());
    assert!(lab.apply().contains("migrate 1000 →pve3 online @pve2"));
    // What it was moved to may as well become what the document says.
    moved_by_hand(&mut lab, "pve1");
    lab.first().placement = Placement::Node("pve1".into());
    assert_eq!(lab.apply(), "nothing to do");
}

#[test]
fn without_memory_it_is_left_there() {
    let mut lab = on("pve1");
    lab.memory = Memory::default();
    moved_by_hand(&mut lab, "pve2");
    let text = lab.apply();
    assert!(
        text.contains("i moved-away") && text.contains("the documents put it on pve1"),
        "{text}"
    );
    let address = lab.first().address.clone();
    assert_eq!(*lab.memory.node(&address), AskedNode::Named("pve1".into()));
}

#[test]
fn spread_and_pack_say_nothing_of_one_that_is_there() {
    for (placement, pinned) in [(Placement::Spread, false), (Placement::Pack, true)] {
        let mut lab = on("pve1");
        lab.first().placement = placement;
        lab.first().pinned = pinned;
        moved_by_hand(&mut lab, "pve2");
        assert_eq!(lab.apply(), "nothing to do");
    }
}
