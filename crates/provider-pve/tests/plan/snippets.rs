//! Files of cloud-init: written before what needs them, where it needs them, and only when they
//! are not there.

use std::collections::BTreeSet;
use std::sync::Arc;

use insta::assert_snapshot;
use pvx_core::desired::{Guest, Placement, Power};
use pvx_core::live::Storage;
use pvx_core::plan::{ActionKind, Intent};
use pvx_core::planner;
use pvx_core::secret::{MARKER, Password, SecretSource};
use pvx_core::snippet::{Part, Template};

use crate::lab::{LOCAL, Lab, NODES, clone_of, made};

fn template(guest: &mut Guest, part: Part, text: &str) {
    let text = Arc::from(text);
    let template = Template { text, ..Template::named("t.j2".to_owned()) };
    guest.spec.cloudinit.templates.insert(part, template);
}

/// Storages that take snippets, and nothing on them.
fn files(lab: &mut Lab) {
    for node in NODES {
        for (name, shared) in [("local", false), ("files", true)] {
            let content = BTreeSet::from(["snippets".to_owned()]);
            let storage = Storage { shared, content, available: true, ..Storage::default() };
            let place = (node.to_owned(), name.to_owned());
            lab.snapshot.inventory.storages.insert(place.clone(), storage);
            if !shared || node == "pve1" {
                lab.snapshot.snippets.insert(place, BTreeSet::new());
            }
        }
    }
}

/// `k3s/w01` with user data, on pve2.
fn with_user_data(change: impl FnOnce(&mut Guest)) -> Lab {
    let mut lab = Lab::new();
    files(&mut lab);
    let mut guest = lab.guest("k3s", "w01");
    guest.placement = Placement::Node("pve2".to_owned());
    template(&mut guest, Part::User, "#cloud-config\nhostname: {{ name }}\n");
    change(&mut guest);
    lab.profile("k3s", vec![guest]);
    lab
}

#[test]
fn a_new_guest_finds_its_file() {
    assert_snapshot!(with_user_data(|_| {}).apply());
}

#[test]
fn after_the_move_to_its_node() {
    assert_snapshot!(
        with_user_data(|g| g.origin = clone_of(LOCAL, pvx_core::desired::CloneMode::Full)).apply()
    );
}

#[test]
fn before_a_guest_that_is_made_from_nothing() {
    assert_snapshot!(with_user_data(|g| g.origin = pvx_core::desired::Origin::Empty).apply());
}

#[test]
fn another_content_is_another_file() {
    let mut lab = with_user_data(|_| {});
    lab.settle(Intent::Apply);
    template(lab.first(), Part::User, "#cloud-config\nhostname: {{ name }}-2\n");
    assert_snapshot!(lab.apply());
    lab.first().spec.cloudinit.templates.clear();
    assert_snapshot!("a_template_that_is_taken_out", lab.apply());
}

#[test]
fn a_file_that_went_is_written_again() {
    let mut lab = with_user_data(|_| {});
    lab.settle(Intent::Apply);
    lab.snapshot.snippets.values_mut().for_each(BTreeSet::clear);
    assert_snapshot!(lab.apply());
}

#[test]
fn a_guest_takes_its_files_along() {
    let mut lab = with_user_data(|g| g.spec.cloudinit.snippets = Some("local".to_owned()));
    lab.settle(Intent::Apply);
    lab.first().placement = Placement::Node("pve3".to_owned());
    assert_snapshot!("a_guest_takes_its_files_along", lab.apply());
    template(lab.first(), Part::User, "on {{ node }}\n");
    lab.first().placement = Placement::Node("pve1".to_owned());
    assert_snapshot!("a_guest_takes_other_files_along", lab.apply());
}

#[test]
fn shared_storage_has_it_everywhere() {
    let mut lab = with_user_data(|g| g.spec.cloudinit.snippets = Some("files".to_owned()));
    lab.settle(Intent::Apply);
    lab.first().placement = Placement::Node("pve3".to_owned());
    assert_snapshot!(lab.apply());
}

#[test]
fn where_nobody_may_look_only_what_is_new_is_written() {
    let mut lab = with_user_data(|_| {});
    lab.snapshot.snippets.clear();
    let plan = lab.plan(Intent::Apply);
    assert!(plan.actions.iter().any(|a| matches!(a.kind, ActionKind::Snippet { .. })));
    lab.carry_out(&plan);
    lab.snapshot.snippets.clear();
    assert!(lab.plan(Intent::Apply).is_empty());
}

#[test]
fn storages_that_cannot_take_it() {
    let mut lab = with_user_data(|g| g.spec.cloudinit.snippets = Some("shared".to_owned()));
    assert_snapshot!("a_storage_without_snippets", lab.apply());
    lab.first().spec.cloudinit.snippets = Some("nowhere".to_owned());
    assert_snapshot!("a_storage_that_is_not_there", lab.apply());
}

#[test]
fn a_snippet_that_is_known_to_be_missing_is_said() {
    let mut lab = with_user_data(|g| {
        g.spec.cloudinit.custom.insert(Part::Vendor, "local:snippets/vendor.yaml".to_owned());
    });
    assert_snapshot!(lab.apply());
}

#[test]
fn contents_are_rendered_again_and_never_in_the_plan() {
    let lab = with_user_data(|g| template(g, Part::Network, "# on {{ node }} canary\n"));
    let plan = lab.plan(Intent::Apply);
    assert!(!serde_json::to_string(&plan).unwrap().contains("canary"));
    let contents = planner::contents(&plan, &lab.desired);
    let written: BTreeSet<&String> = plan
        .actions
        .iter()
        .filter_map(|action| match &action.kind {
            ActionKind::Snippet { sha256, .. } => Some(sha256),
            _ => None,
        })
        .collect();
    assert_eq!(written, contents.keys().collect());
    assert_eq!(written.len(), 2);
}

#[test]
fn a_template_that_fails_on_the_real_node_blocks_the_plan() {
    let text = "{% if node == 'pve2' %}{{ nothing }}{% endif %}";
    let mut lab = with_user_data(|g| template(g, Part::User, text));
    assert!(lab.plan(Intent::Apply).is_blocked());
    lab.first().placement = Placement::Node("pve1".to_owned());
    assert!(!lab.plan(Intent::Apply).is_blocked());
}

#[test]
fn a_password_is_a_marker() {
    let password = |version| {
        let source = SecretSource::Env("WEB_PASSWORD".to_owned());
        Some(Password { source, version })
    };
    let mut lab = made(|g| {
        g.power = Power::Unmanaged;
        g.spec.cloudinit.password = password(None);
    });
    assert_eq!(lab.get(1000, "cipassword"), MARKER);
    lab.config(1000, "cipassword", "**********");
    assert_snapshot!(lab.apply(), @"nothing to do");
    lab.first().spec.cloudinit.password = password(Some(2));
    assert_snapshot!("another_version_of_a_password", lab.apply());
    lab.config(1000, "cipassword", "**********");
    lab.memory = pvx_core::state::Memory::default();
    assert_snapshot!(lab.apply(), @"nothing to do");
    lab.first().spec.cloudinit.password = None;
    assert_snapshot!("a_password_that_is_taken_out", lab.apply());
}

#[test]
fn a_guest_that_cannot_move_needs_nothing_elsewhere() {
    let mut lab = with_user_data(|g| g.spec.cloudinit.snippets = Some("local".to_owned()));
    lab.settle(Intent::Apply);
    lab.snapshot.inventory.nodes.get_mut("pve3").unwrap().online = false;
    lab.first().placement = Placement::Node("pve3".to_owned());
    let plan = lab.plan(Intent::Apply);
    assert!(plan.is_blocked() && plan.actions.is_empty(), "{}", crate::text::of(&plan));
}
