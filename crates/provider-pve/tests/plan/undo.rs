//! What a run that failed takes back: for any plan that fails at any action, the guests are as
//! before, apart from what is said not to be.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use pvx_core::address::Address;
use pvx_core::desired::{Affinity, ApplyChanges, Disk, OnFailure, Placement, Power};
use pvx_core::execute::Report;
use pvx_core::live::{Guest, Snapshot};
use pvx_core::plan::{ActionId, Intent, Plan, lint};
use pvx_core::provider::{ErrorClass, ProviderError};
use pvx_core::undo::{self, Round, Scope};
use pvx_provider_pve::guest::Qemu;

use crate::lab::{Lab, made};
use crate::random::{Sketch, add_foreign, affinity, foreign, names, sketch};
use crate::text;
use crate::value::{Value, is_drive};

impl Lab {
    /// Carries a plan out; these actions fail without any effect, and what depends on them is
    /// not run.
    fn fail(&mut self, plan: &Plan, failing: &[ActionId]) -> Report {
        let mut report = Report::default();
        for id in plan.actions.sequence().unwrap() {
            let needs = plan.actions.needs(id);
            let cause = needs.iter().find_map(|need| {
                let failed = report.failed.contains_key(need).then_some(*need);
                failed.or_else(|| report.skipped.get(need).copied())
            });
            if let Some(cause) = cause {
                report.skipped.insert(id, cause);
            } else if failing.contains(&id) {
                report.failed.insert(id, ProviderError::new(ErrorClass::Failed, "disk on fire"));
            } else {
                self.act(plan.actions.get(id).unwrap());
                report.done.insert(id);
            }
        }
        report
    }

    /// What is taken back of it.
    fn undo(&self, before: &Snapshot, plan: &Plan, report: &Report, scope: Scope) -> Plan {
        let rounds = [Round { plan, report }];
        let guests = undo::guests(&rounds, &self.snapshot.inventory);
        let read = |vmid: u32| Some((vmid, self.snapshot.guests.get(&vmid)?.clone()));
        let now = Snapshot {
            inventory: self.snapshot.inventory.clone(),
            guests: guests.iter().filter_map(|guest| read(guest.vmid)).collect(),
            ha: self.snapshot.ha.clone(),
            ..Snapshot::default()
        };
        let undo = undo::undo(&undo::Input {
            rounds: &rounds,
            before,
            now: &now,
            memory: &self.memory,
            kind: &Qemu,
            scope,
            shutdown_timeout: 60,
        });
        assert_eq!(lint::check(&undo), []);
        undo
    }

    /// Fails at one action, takes everything back, and tells what was planned for that.
    fn back(&mut self, plan: &Plan, failing: &[ActionId]) -> Plan {
        let before = self.snapshot.clone();
        let report = self.fail(plan, failing);
        let undo = self.undo(&before, plan, &report, Scope::Everything);
        for id in undo.actions.sequence().unwrap() {
            self.act(undo.actions.get(id).unwrap());
        }
        let again = self.undo(&before, plan, &report, Scope::Everything);
        assert!(again.is_empty(), "{}\n{}", text::of(&undo), text::of(&again));
        undo
    }
}

/// A guest without what cannot come back: names of volumes that were moved, and sizes.
fn shape(guest: &Guest) -> (String, bool, BTreeMap<String, String>) {
    let value = |(key, value): (&String, &String)| {
        let mut shape = Value::parse(value);
        if is_drive(key) || key.starts_with("unused") {
            shape.first = shape.storage().to_owned();
            shape.rest.remove("size");
        }
        (key.clone(), shape.print())
    };
    (guest.node.clone(), guest.running, guest.config.iter().map(value).collect())
}

/// Guests that the undo says it does not take back as a whole.
fn given_up(undo: &Plan) -> BTreeSet<String> {
    let about = undo.findings.iter().filter(|f| f.code == "not-undone");
    let about = about.filter(|f| !f.message.contains("disks never shrink"));
    about.filter_map(|f| f.address.as_ref()).map(|a| a.guest().to_owned()).collect()
}

fn check(mut lab: Lab, plan: &Plan, failing: ActionId) -> Result<(), TestCaseError> {
    let before = lab.snapshot.clone();
    let undo = lab.back(plan, &[failing]);
    let told = || format!("fails {failing}\n{}\n--- undo\n{}", text::of(plan), text::of(&undo));
    let mistaken = undo.findings.iter().find(|f| f.message.contains("someone else"));
    prop_assert_eq!(mistaken, None, "{}", told());
    let given_up = given_up(&undo);
    let names = |guests: &BTreeMap<u32, Guest>| -> BTreeMap<u32, _> {
        let kept = guests.iter().filter(|(_, guest)| {
            let name = guest.name().trim_end_matches("-kept").to_owned();
            !given_up.contains(&name)
        });
        kept.map(|(vmid, guest)| (*vmid, shape(guest))).collect()
    };
    let gone = |guests: &BTreeMap<u32, Guest>| {
        let mut guests = names(guests);
        // A guest of the other name is the same one, and was given up.
        guests.retain(|vmid, _| {
            let other = before.guests.get(vmid).or(lab.snapshot.guests.get(vmid));
            other.is_none_or(|guest| !given_up.contains(guest.name()))
        });
        guests
    };
    prop_assert_eq!(gone(&lab.snapshot.guests), gone(&before.guests), "{}", told());
    if given_up.is_empty() {
        let pools = |of: &Snapshot| -> BTreeMap<u32, Option<String>> {
            of.inventory.guests.iter().map(|(vmid, s)| (*vmid, s.pool.clone())).collect()
        };
        prop_assert_eq!(pools(&lab.snapshot), pools(&before), "{}", told());
        prop_assert_eq!(&lab.snapshot.ha, &before.ha, "{}", told());
    }
    Ok(())
}

fn documents(
    before: &[Sketch],
    after: &[Sketch],
    affinities: (Option<Affinity>, Option<Affinity>),
    mode: ApplyChanges,
    foreign: &BTreeMap<u32, (bool, u8)>,
    rename: bool,
) -> Option<(Lab, Plan)> {
    let mut lab = Lab::new();
    lab.options.apply_changes = mode;
    lab.desired.scope.vms.last = 1029;
    add_foreign(&mut lab, foreign);
    let guests = names(&mut lab, before, affinities.0);
    lab.profile("k3s", guests);
    let first = lab.plan(Intent::Apply);
    if first.is_blocked() {
        return None;
    }
    lab.carry_out(&first);
    lab.desired.profiles[0].guests = names(&mut lab, after, affinities.1);
    if rename {
        lab.first().address = Address::new("k3s", "renamed");
        lab.first().moved_from = Some(Address::new("k3s", "w01"));
    }
    let plan = lab.plan(Intent::Apply);
    (!plan.is_blocked() && !plan.is_empty()).then_some((lab, plan))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_run_that_fails_anywhere_leads_back(
        before in prop::collection::vec(sketch(), 0..4),
        after in prop::collection::vec(sketch(), 1..4),
        foreign in foreign(),
        mode in prop::sample::select(vec![ApplyChanges::Live, ApplyChanges::Reboot]),
        affinities in (affinity(), affinity()),
        rename in any::<bool>(),
        at in any::<prop::sample::Index>(),
    ) {
        let Some((lab, plan)) = documents(&before, &after, affinities, mode, &foreign, rename) else {
            return Ok(());
        };
        let failing = ActionId(u32::try_from(at.index(plan.actions.len())).unwrap());
        check(lab, &plan, failing)?;
    }
}

#[test]
fn a_create_that_failed_goes_where_documents_say_so() {
    for on_failure in [OnFailure::Keep, OnFailure::Destroy] {
        let mut lab = Lab::new();
        let mut guest = lab.guest("k3s", "w01");
        guest.on_failure = on_failure;
        lab.profile("k3s", vec![guest]);
        let plan = lab.plan(Intent::Apply);
        let before = lab.snapshot.clone();
        let last = ActionId(u32::try_from(plan.actions.len() - 1).unwrap());
        let report = lab.fail(&plan, &[last]);
        let undo = lab.undo(&before, &plan, &report, Scope::FailedCreates);
        lab.carry_out(&undo);
        assert_eq!(undo.is_empty(), on_failure == OnFailure::Keep);
        assert_eq!(lab.snapshot.guests == before.guests, on_failure == OnFailure::Destroy);
    }
}

/// One change that is carried out, a start of another guest that fails, and the way back.
fn way_back(change: impl FnOnce(&mut Lab)) -> String {
    let mut lab = made(|guest| {
        guest.spec.set("cores", "2");
        let disk = |gib: u64| Disk { size: Some(gib << 30), ..Disk::default() };
        guest.spec.disks.insert("scsi1".into(), Disk { storage: Some("shared".into()), ..disk(2) });
        guest.placement = Placement::Node("pve1".into());
    });
    change(&mut lab);
    let other = lab.guest("k3s", "w02");
    lab.desired.profiles[0].guests.push(other);
    let plan = lab.plan(Intent::Apply);
    assert!(!plan.is_blocked(), "{}", text::of(&plan));
    let create = plan.changes.iter().find(|c| c.address.guest() == "w02").unwrap();
    let last = *create.actions.last().unwrap();
    let undo = lab.back(&plan, &[last]);
    text::of(&undo).lines().filter(|line| !line.contains("1001")).collect::<Vec<_>>().join("\n")
}

/// A change by its name.
type Case<'a> = (&'a str, &'a dyn Fn(&mut Lab));

#[test]
fn every_kind_of_action_has_its_way_back() {
    let spec = |lab: &mut Lab, change: fn(&mut pvx_core::desired::GuestSpec)| {
        change(&mut lab.first().spec);
    };
    let table: [Case<'_>; 8] = [
        ("configure", &|lab| spec(lab, |s| s.set("cores", "4"))),
        ("a new disk", &|lab| {
            spec(lab, |s| {
                let storage = Some("shared".to_owned());
                let disk = Disk { size: Some(1 << 30), storage, ..Disk::default() };
                s.disks.insert("scsi2".into(), disk);
            });
        }),
        ("resize", &|lab| {
            spec(lab, |s| s.disks.get_mut("scsi1").unwrap().size = Some(3 << 30));
        }),
        ("move", &|lab| {
            let local = Some("local-lvm".to_owned());
            lab.first().spec.disks.get_mut("scsi1").unwrap().storage = local;
        }),
        ("detach", &|lab| drop(lab.first().spec.disks.remove("scsi1"))),
        ("migrate", &|lab| lab.first().placement = Placement::Node("pve2".into())),
        ("shutdown", &|lab| lab.first().power = Power::Stopped),
        ("pool", &|lab| lab.first().spec.pool = Some("blue".into())),
    ];
    let text: String =
        table.iter().map(|(name, change)| format!("## {name}\n{}\n", way_back(change))).collect();
    insta::assert_snapshot!(text);
}

#[test]
fn what_someone_else_changed_meanwhile_is_left_alone() {
    for (key, value) in
        [("cores", "8"), ("memory", "4096"), ("parent", "snap1"), ("lock", "backup")]
    {
        let mut lab = made(|guest| guest.spec.set("cores", "2"));
        lab.first().spec.set("cores", "4");
        let other = lab.guest("k3s", "w02");
        lab.desired.profiles[0].guests.push(other);
        let plan = lab.plan(Intent::Apply);
        let before = lab.snapshot.clone();
        let last = ActionId(u32::try_from(plan.actions.len() - 1).unwrap());
        let report = lab.fail(&plan, &[last]);
        lab.config(1000, key, value);
        let undo = lab.undo(&before, &plan, &report, Scope::Everything);
        assert!(undo.actions.iter().all(|action| action.vmid != 1000), "{}", text::of(&undo));
        let said = undo.findings.iter().any(|f| f.message.contains("is left as it is"));
        assert!(said, "{key}: {:#?}", undo.findings);
    }
}
