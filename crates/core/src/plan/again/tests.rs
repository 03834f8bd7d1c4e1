//! What may be carried out without asking again.

use super::*;
use crate::desired::OnFailure;
use crate::plan::{ActionKind, Facts, Finding, Intent, Reason};
use crate::state::Remembered;

fn attribute(path: &str, before: &str, after: &str, effect: Effect) -> AttributeChange {
    AttributeChange {
        path: path.to_owned(),
        before: Some(before.to_owned()),
        after: Some(after.to_owned()),
        effect,
        reason: String::new(),
    }
}

fn change(verb: Verb) -> Change {
    Change {
        address: Address::new("k3s", "w1"),
        verb,
        vmid: 1003,
        node: "pve1".to_owned(),
        target: (verb == Verb::Migrate).then(|| "pve2".to_owned()),
        running: false,
        facts: Facts { disks: vec![("scsi0".to_owned(), 1)], ..Facts::default() },
        attributes: Vec::new(),
        effect: Effect::Live,
        reason: String::new(),
        position: None,
        on_failure: OnFailure::Keep,
        actions: Vec::new(),
    }
}

fn with(verb: Verb, attributes: &[AttributeChange]) -> Change {
    let effect = attributes.iter().map(|a| a.effect).max().unwrap_or(Effect::Live);
    Change { attributes: attributes.to_vec(), effect, ..change(verb) }
}

#[test]
fn verbs() {
    use Verb::{Change as Changes, Create, Destroy, Migrate, Power, Replace};
    let all = [Create, Changes, Migrate, Power, Replace, Destroy];
    let goes_on = |first, next| means_the_same(&change(first), &change(next), false).is_ok();
    let table = [
        (Create, vec![Create, Changes, Migrate, Power]),
        (Changes, vec![Changes, Power]),
        (Migrate, vec![Changes, Migrate, Power]),
        (Power, vec![Power]),
        (Replace, vec![Create, Changes, Migrate, Power, Replace]),
        (Destroy, vec![Destroy]),
    ];
    for (first, expected) in table {
        let found: Vec<Verb> = all.into_iter().filter(|next| goes_on(first, *next)).collect();
        assert_eq!(found, expected, "{first:?}");
    }
}

#[test]
fn attributes() {
    let cores = attribute("cores", "2", "4", Effect::Reboot);
    let memory = attribute("memory", "1024", "2048", Effect::Live);
    let first = with(Verb::Change, &[cores.clone(), memory.clone()]);
    let table = [
        (vec![cores.clone(), memory.clone()], None),
        (vec![memory.clone()], None),
        (vec![], None),
        (vec![attribute("cores", "3", "4", Effect::Reboot)], None),
        (vec![attribute("cores", "2", "4", Effect::Live)], None),
        (
            vec![attribute("cores", "2", "8", Effect::Reboot)],
            Some("cores would become something else now (2 → 8)"),
        ),
        (
            vec![attribute("memory", "1024", "2048", Effect::Reboot)],
            Some("memory costs more now (1024 → 2048)"),
        ),
        (vec![attribute("name", "x", "w1", Effect::Live)], Some("name differs now too (x → w1)")),
    ];
    for (now, why) in table {
        let next = with(Verb::Change, &now);
        assert_eq!(means_the_same(&first, &next, false).err().as_deref(), why, "{now:?}");
    }
    // What is left of making a guest was all agreed on, as long as it does no harm.
    let made = change(Verb::Create);
    let rest = |effect| with(Verb::Change, &[attribute("scsi0.size", "3", "6", effect)]);
    assert_eq!(means_the_same(&made, &rest(Effect::Live), false), Ok(()));
    for effect in [Effect::Reboot, Effect::Offline, Effect::Stop, Effect::DataLoss] {
        assert!(means_the_same(&made, &rest(effect), false).is_err(), "{effect:?}");
    }
}

#[test]
fn places_and_numbers() {
    let other = |verb| Change { vmid: 1004, ..change(verb) };
    let create = change(Verb::Create);
    assert_eq!(means_the_same(&create, &other(Verb::Create), true), Ok(()));
    let fixed = means_the_same(&create, &other(Verb::Create), false).unwrap_err();
    assert_eq!(fixed, "it would be guest 1004 now, not 1003");
    for verb in [Verb::Change, Verb::Destroy, Verb::Power, Verb::Migrate, Verb::Replace] {
        assert!(means_the_same(&change(verb), &other(verb), true).is_err(), "{verb:?}");
    }
    let elsewhere = Change { node: "pve2".to_owned(), ..change(Verb::Create) };
    assert!(means_the_same(&create, &elsewhere, true).is_err());
    // Where a guest is that is only changed, is no part of what the change means.
    let moved = Change { node: "pve2".to_owned(), ..change(Verb::Change) };
    assert_eq!(means_the_same(&change(Verb::Change), &moved, false), Ok(()));
    let target = Change { target: Some("pve3".to_owned()), ..change(Verb::Migrate) };
    assert!(means_the_same(&change(Verb::Migrate), &target, false).is_err());
}

#[test]
fn no_more_is_lost() {
    for verb in [Verb::Destroy, Verb::Replace] {
        let facts = |disks: &[(&str, u64)]| Facts {
            disks: disks.iter().map(|(slot, size)| ((*slot).to_owned(), *size)).collect(),
            ..Facts::default()
        };
        let next = |disks: &[(&str, u64)]| Change { facts: facts(disks), ..change(verb) };
        assert_eq!(means_the_same(&change(verb), &next(&[]), false), Ok(()));
        for more in [&[("scsi0", 1), ("scsi1", 1)][..], &[("scsi0", 2)]] {
            assert!(means_the_same(&change(verb), &next(more), false).is_err());
        }
        let dearer = Change { effect: Effect::DataLoss, ..change(verb) };
        assert!(means_the_same(&change(verb), &dearer, false).is_err());
    }
}

/// Guests by name, each started after the ones before it.
fn chain(names: &[&str]) -> Plan {
    let mut plan = Plan::new(Intent::Apply, "lab");
    let mut last = None;
    for (vmid, name) in (1003..).zip(names) {
        let address = Address::new("k3s", *name);
        let id = plan.actions.add(Action {
            id: ActionId(0),
            address: address.clone(),
            vmid,
            node: "pve1".to_owned(),
            kind: ActionKind::Start,
            reason: Reason::new("test", "test"),
            effect: Effect::Start,
            preconditions: Vec::new(),
            storages: Vec::new(),
        });
        if let Some(last) = last {
            plan.actions.order(last, id);
        }
        last = Some(id);
        plan.changes.push(Change {
            address: address.clone(),
            vmid,
            actions: vec![id],
            ..change(Verb::Power)
        });
        plan.outcomes.insert(address, Remembered::default());
    }
    plan
}

fn scope(names: &[&str]) -> Scope {
    let meant = names.iter().map(|name| Address::new("k3s", *name)).collect();
    Scope { meant, ..Scope::default() }
}

fn names<'a>(all: impl Iterator<Item = &'a Address>) -> Vec<&'a str> {
    all.map(Address::guest).collect()
}

#[test]
fn the_plan_is_narrowed() {
    let next = chain(&["a", "b", "c"]);
    let all = again(&next, &next, &scope(&["a", "b", "c"]));
    assert_eq!((all.plan.actions.len(), all.left.len()), (3, 0));
    assert_eq!(all.plan.actions.needs(ActionId(2)), [ActionId(1)]);

    // A guest that is done, or failed for good, is not planned for; what waits for it waits on.
    let rest = again(&next, &next, &scope(&["b", "c"]));
    assert_eq!(names(rest.plan.changes.iter().map(|c| &c.address)), [] as [&str; 0]);
    assert_eq!(rest.left[&Address::new("k3s", "b")], "it waits for k3s/a");
    assert_eq!(rest.left[&Address::new("k3s", "c")], "it waits for k3s/b");
    assert!(rest.plan.outcomes.is_empty(), "nothing is remembered of what is not done");

    let first = again(&next, &next, &scope(&["a"]));
    assert_eq!(names(first.plan.changes.iter().map(|c| &c.address)), ["a"]);
    assert_eq!(names(first.plan.outcomes.keys()), ["a"]);
    assert!(first.left.is_empty());
}

#[test]
fn what_is_wrong_with_one_guest_stops_that_one() {
    let agreed = chain(&["a"]);
    let mut next = agreed.clone();
    let finding = Finding::error("vmid-taken", "VMID 1003 is taken by 'x'");
    next.findings.push(finding.about(&Address::new("k3s", "a")));
    let found = again(&agreed, &next, &scope(&["a"]));
    assert_eq!(found.left[&Address::new("k3s", "a")], "VMID 1003 is taken by 'x'");
    assert!(found.plan.is_empty() && !found.plan.is_blocked());
    // What is wrong with everything stops everything.
    next.findings = vec![Finding::error("no-quorum", "no quorum")];
    assert!(again(&agreed, &next, &scope(&["a"])).plan.is_blocked());
}

#[test]
fn another_vmid_is_told() {
    let mut agreed = chain(&["a"]);
    agreed.changes[0].verb = Verb::Create;
    let mut next = agreed.clone();
    next.changes[0].vmid = 1004;
    let mut scope = scope(&["a"]);
    let fixed = again(&agreed, &next, &scope);
    assert!(fixed.plan.is_empty() && fixed.renumbered.is_empty());
    scope.open_vmids = scope.meant.clone();
    let found = again(&agreed, &next, &scope);
    assert_eq!(found.renumbered[&Address::new("k3s", "a")], (1003, 1004));
    assert_eq!(found.plan.changes.len(), 1);
    // One that does not mean the same is another plan.
    agreed.changes.clear();
    assert_eq!(
        again(&agreed, &next, &scope).left[&Address::new("k3s", "a")],
        "it was not in the plan"
    );
}

#[test]
fn nothing_is_left_of_what_is_as_agreed() {
    let agreed = chain(&["a"]);
    let mut next = Plan::new(Intent::Apply, "lab");
    let a = || BTreeSet::from([Address::new("k3s", "a")]);
    // Not looked at: it may be on a node that does not answer.
    assert_eq!(again(&agreed, &next, &scope(&["a"])).done, BTreeSet::new());
    next.outcomes.insert(Address::new("k3s", "a"), Remembered::default());
    assert_eq!(again(&agreed, &next, &scope(&["a"])).done, a());
    assert_eq!(again(&agreed, &agreed, &scope(&["a"])).done, BTreeSet::new());

    let mut destroy = agreed;
    destroy.changes[0].verb = Verb::Destroy;
    next.outcomes.clear();
    assert_eq!(again(&destroy, &next, &scope(&["a"])).done, a());
    let there = Scope { there: BTreeSet::from([1003]), ..scope(&["a"]) };
    assert_eq!(again(&destroy, &next, &there).done, BTreeSet::new());
}
