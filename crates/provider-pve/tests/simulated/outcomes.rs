//! Law 3 against the simulator: for each kind of action the answer to its request is lost, before and
//! after its effect. The run goes on, everything is done exactly once, and no foreign guest is
//! touched.

use std::collections::{BTreeMap, BTreeSet};

use pvx_core::desired::ApplyChanges;
use pvx_core::plan::{Action, ActionGraph, ActionId, ActionKind, Intent, Plan, Verb};
use pvx_core::planner::Options;
use pvx_core::provider::{ErrorClass, Seen, Writer};
use pvx_provider_pve::client::Request;
use pvx_sim::{AclKind, Fault, Guest, When, World};

use crate::harness::Lab;

/// The document.
const FILE: &str = "it.yaml";

/// Somebody else's guest.
const FOREIGN: u32 = 1001;

/// What is there, what is wanted then, and how.
struct Scenario {
    name: &'static str,
    before: Option<&'static str>,
    after: &'static str,
    options: fn() -> Options,
    intent: Intent,
}

const VM: &str = "kind: vm\nname: it\nvmid: 2000\nnode: pve1\nstorage: local-lvm\npower: running\n";

fn plain() -> Options {
    Options::default()
}

fn reboot() -> Options {
    Options { apply_changes: ApplyChanges::Reboot, ..plain() }
}

fn replace() -> Options {
    Options { replace: vec!["vm/it".to_owned()], ..plain() }
}

fn scenarios() -> Vec<Scenario> {
    let one = |name, before, after| Scenario {
        name,
        before,
        after,
        options: plain,
        intent: Intent::Apply,
    };
    vec![
        one(
            "clone, migrate, configure, resize, start",
            None,
            "name: it\ntype: generic\ntags: [it]\ntemplate: debian-13-local\nstorage: local-lvm\nnodes:\n  \
             controlplane: { count: 2, memory: 512, disk: 6G, start_vmid: auto, placement: spread }\n",
        ),
        one(
            "linked clone",
            None,
            "name: it\ntype: generic\ntags: [it]\ntemplate: 100\nclone: linked\nnodes:\n  \
             controlplane: { count: 1, memory: 512, disk: 6G, start_vmid: auto }\n",
        ),
        one(
            "under HA, with a rule",
            Some("disks: { scsi0: { size: 1G, storage: shared } }\n"),
            "disks: { scsi0: { size: 1G, storage: shared } }\n\
             ha: { state: started, nodes: [pve1, pve2] }\n",
        ),
        one(
            "not under HA any more",
            Some(
                "disks: { scsi0: { size: 1G, storage: shared } }\n\
                 ha: { state: started, nodes: [pve1, pve2] }\n",
            ),
            "disks: { scsi0: { size: 1G, storage: shared } }\n",
        ),
        one("into a pool", Some("disks: { scsi0: 1G }\n"), "disks: { scsi0: 1G }\npool: blue\n"),
        one("from nothing", None, "disks: { scsi0: 1G }\n"),
        one(
            "configure, allocate and grow",
            Some("disks: { scsi0: 1G }\ncores: 1\n"),
            "disks: { scsi0: 2G, scsi1: 1G }\ncores: 2\ntags: [blue]\ndescription: Böse & gut\n",
        ),
        one(
            "move a disk",
            Some("disks: { scsi0: 1G }\n"),
            "disks: { scsi0: { size: 1G, storage: shared } }\n",
        ),
        one("migrate", Some("disks: { scsi0: 1G }\n"), "disks: { scsi0: 1G }\nnode: pve2\n"),
        one("shut down", Some("disks: { scsi0: 1G }\n"), "disks: { scsi0: 1G }\npower: stopped\n"),
        // An operating system that shuts down when it is asked to.
        Scenario {
            options: reboot,
            ..one(
                "shut down, configure, start",
                Some("template: debian-13\nstorage: shared\nbios: seabios\n"),
                "template: debian-13\nstorage: shared\nbios: ovmf\n",
            )
        },
        Scenario {
            options: reboot,
            ..one(
                "reboot",
                Some("template: debian-13\nstorage: shared\ncores: 1\n"),
                "template: debian-13\nstorage: shared\ncores: 2\n",
            )
        },
        one("detach", Some("disks: { scsi0: 1G, scsi1: 1G }\n"), "disks: { scsi0: 1G }\n"),
        Scenario {
            options: replace,
            ..one(
                "replace, with a disk that is kept",
                Some("disks: { scsi0: 1G, scsi1: { size: 1G, keep: true } }\n"),
                "disks: { scsi0: 1G, scsi1: { size: 1G, keep: true } }\n",
            )
        },
        Scenario {
            intent: Intent::Destroy,
            ..one("destroy", Some("disks: { scsi0: 1G }\n"), "disks: { scsi0: 1G }\n")
        },
    ]
}

fn text(said: &str) -> String {
    if said.starts_with("name:") {
        return said.to_owned();
    }
    // What the scenario says itself is not said twice.
    let keys: Vec<&str> = said.lines().filter_map(|line| line.split(':').next()).collect();
    let base = VM.lines().filter(|line| !keys.contains(&line.split(':').next().unwrap()));
    base.map(|line| format!("{line}\n")).collect::<String>() + said
}

fn world() -> World {
    let mut world = World::lab();
    world.access_mut().add_role("PvxHa", &["Sys.Console"]);
    world.access_mut().grant("/", AclKind::User, "pvx@pve", "PvxHa");
    let config = [("name", "theirs"), ("memory", "256"), ("tags", "theirs")];
    world.add_guest(Guest::new(FOREIGN, "pve2", &config));
    world
}

fn foreign(lab: &Lab) -> BTreeMap<String, String> {
    lab.sim.world().guest(FOREIGN).unwrap().config.clone()
}

/// A lab that has come to where the scenario begins, and its plan.
async fn begin(scenario: &Scenario) -> (Lab, Plan) {
    let lab = Lab::remembering(world()).await;
    let pool = Request::post("/pools").parameter("poolid", "blue");
    lab.cluster().client().send(&pool).await.unwrap();
    if let Some(before) = scenario.before {
        lab.apply(&lab.documents(&[(FILE, text(before))])).await;
    }
    let documents = lab.documents(&[(FILE, text(scenario.after))]);
    let options = (scenario.options)();
    let plan = lab.plan_with(&documents, scenario.intent, &options, &lab.memory()).await;
    assert!(!plan.is_blocked() && !plan.is_empty(), "{}: {:#?}", scenario.name, plan.findings);
    lab.sim.clear_requests();
    (lab, plan)
}

/// The writes of an undisturbed run: method and path, and how often each came before.
async fn writes(scenario: &Scenario) -> Vec<(String, String, u64)> {
    let (lab, plan) = begin(scenario).await;
    lab.carry_out(&plan).await;
    let mut seen: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut all = Vec::new();
    for request in lab.sim.requests().iter().filter(|request| request.write) {
        let count = seen.entry((request.method.clone(), request.path.clone())).or_default();
        all.push((request.method.clone(), request.path.clone(), *count));
        *count += 1;
    }
    lab.sim.shutdown().await;
    all
}

fn faults(method: &str, path: &str, skip: u64) -> Vec<(&'static str, Fault)> {
    let on = || Fault::on(method, path).skip(skip).times(1);
    let mut all = vec![
        ("dropped before", on().drops(When::Before)),
        ("dropped after", on().drops(When::After)),
        ("596 before", on().answers(596, When::Before)),
        ("596 after", on().answers(596, When::After)),
    ];
    // Only tasks have a worker that may not come.
    if method == "POST" {
        all.push(("no worker before", on().no_upid(When::Before)));
        all.push(("no worker after", on().no_upid(When::After)));
    }
    all
}

/// Every third fault of each write, others at the next write: `PVX_OUTCOMES=all` tries all of them.
fn is_tried(write: usize, fault: usize) -> bool {
    (write + fault).is_multiple_of(3) || std::env::var("PVX_OUTCOMES").is_ok_and(|v| v == "all")
}

/// What goes wrong, a line each.
async fn check(scenario: &Scenario) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, (method, path, skip)) in writes(scenario).await.into_iter().enumerate() {
        let all = faults(&method, &path, skip).into_iter().enumerate();
        for (_, (what, fault)) in all.filter(|(index, _)| is_tried(number, *index)) {
            let name = format!("{}: {what} {method} {path} #{skip}", scenario.name);
            let (lab, plan) = begin(scenario).await;
            let theirs = foreign(&lab);
            lab.sim.add_fault(fault).unwrap();
            let failures = lab.attempt(&plan).await;
            if !failures.is_empty() {
                wrong.push(format!("{name}: {failures:#?}"));
            }
            lab.remember(&plan);
            let documents = lab.documents(&[(FILE, text(scenario.after))]);
            let left = lab.plan(&documents, scenario.intent).await;
            if !left.is_empty() {
                wrong.push(format!("{name}: {:#?}", left.changes));
            }
            if foreign(&lab) != theirs {
                wrong.push(format!("{name}: a foreign guest was touched"));
            }
            wrong.extend(orphans(&lab).into_iter().map(|volid| format!("{name}: {volid} is left")));
            lab.sim.shutdown().await;
        }
    }
    wrong
}

/// Volumes of guests that are not there, and those that no guest names.
fn orphans(lab: &Lab) -> BTreeSet<String> {
    let world = lab.sim.world();
    let named: String = world
        .guests()
        .flat_map(|guest| guest.config.values().cloned().collect::<Vec<_>>())
        .collect::<Vec<_>>()
        .join("\n");
    let nodes = ["pve1", "pve2", "pve3"];
    let volumes = nodes.iter().flat_map(|node| {
        let on = |storage| world.volumes_on(storage, node).map(|(name, _)| name.to_owned());
        ["shared", "local-lvm"].into_iter().flat_map(on).collect::<Vec<_>>()
    });
    let made = volumes.filter(|name| name.contains("vm-"));
    made.filter(|name| !named.contains(name.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_may_be_lost() {
    let mut wrong = Vec::new();
    for scenario in &scenarios() {
        wrong.extend(check(scenario).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Somebody removes the guest and takes its VMID, right before one of the run's requests.
fn steal(lab: &Lab, vmid: u32) {
    lab.sim.edit(|world| {
        let node = world.guest(vmid).map_or("pve1".to_owned(), |guest| guest.node.clone());
        world.remove_guest(vmid);
        let config =
            [("name", "stolen"), ("memory", "256"), ("scsi0", "local-lvm:vm-9-disk-0,size=1G")];
        world.add_guest(Guest::new(vmid, &node, &config));
    });
}

/// What is checked in the same breath as a write does not hit somebody else's guest. Growing a guest
/// that is being made is the one write that asks nothing again: it follows the one that proved it.
#[tokio::test(flavor = "multi_thread")]
async fn a_vmid_that_somebody_else_has_is_left_alone() {
    let mut wrong = Vec::new();
    // What is asked of the HA manager and of pools changes no guest; a replacement has two.
    let others = ["replace", "under HA", "not under HA", "into a pool"];
    let apart = |s: &&Scenario| !others.iter().any(|name| s.name.starts_with(name));
    for scenario in scenarios().iter().filter(apart) {
        let (lab, plan) = begin(scenario).await;
        lab.sim.shutdown().await;
        for action in plan.actions.iter() {
            let (lab, plan) = begin(scenario).await;
            let part = before(&plan, action.id);
            let failures = lab.attempt(&part).await;
            assert_eq!(failures, []);
            steal(&lab, action.vmid);
            let theirs = lab.sim.world().guest(action.vmid).unwrap().config.clone();
            lab.sim.clear_requests();
            let rest = after(&plan, action.id);
            let failures = lab.attempt(&rest).await;
            let name = format!("{} before {}", scenario.name, action.kind.verb());
            let grows = matches!(action.kind, ActionKind::Resize { .. });
            let made = plan.changes.iter().any(|c| c.verb == Verb::Create);
            let now = lab.sim.world().guest(action.vmid).unwrap().config.clone();
            if !(grows && made) {
                if now != theirs {
                    wrong.push(format!("{name}: {now:?}"));
                }
                let classes: Vec<ErrorClass> = failures.iter().map(|e| e.class).collect();
                let known = [ErrorClass::Changed, ErrorClass::Exists];
                if !classes.iter().any(|class| known.contains(class)) {
                    wrong.push(format!("{name}: {failures:?}"));
                }
            }
            lab.sim.shutdown().await;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The part of a plan that a test wants, in its order.
fn part(plan: &Plan, wanted: impl Fn(ActionId) -> bool) -> Plan {
    let mut part = plan.clone();
    let mut ids = BTreeMap::new();
    part.actions = ActionGraph::default();
    for action in plan.actions.iter().filter(|action| wanted(action.id)) {
        ids.insert(action.id, part.actions.add(action.clone()));
    }
    for (old, new) in &ids {
        for needs in plan.actions.needs(*old).iter().filter_map(|id| ids.get(id)) {
            part.actions.order(*needs, *new);
        }
    }
    for change in &mut part.changes {
        change.actions = change.actions.iter().filter_map(|id| ids.get(id).copied()).collect();
    }
    part
}

fn before(plan: &Plan, id: ActionId) -> Plan {
    part(plan, |other| other < id)
}

fn after(plan: &Plan, id: ActionId) -> Plan {
    part(plan, |other| other >= id)
}

/// Each write carries the digest of what was read: a change of somebody else's is not written over.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_changed_since_the_plan_is_not_written_to() {
    for scenario in scenarios().iter().filter(|s| s.name.starts_with("configure")) {
        let (lab, plan) = begin(scenario).await;
        lab.sim.edit(|world| {
            let guest = world.guest_mut(2000).unwrap();
            guest.config.insert("memory".to_owned(), "777".to_owned());
        });
        lab.sim.clear_requests();
        let failures = lab.attempt(&plan).await;
        assert_eq!(failures[0].class, ErrorClass::Changed);
        assert!(lab.sim.requests().iter().all(|request| !request.write));
        lab.sim.shutdown().await;
    }
}

/// A node that was lost in the middle of a clone leaves a locked file behind. Nobody makes that guest
/// any more, and it is not waited for as if somebody did.
#[tokio::test(flavor = "multi_thread")]
async fn a_clone_that_nobody_makes_is_not_waited_for() {
    let scenarios = scenarios();
    let scenario = scenarios.iter().find(|s| s.name.starts_with("clone")).unwrap();
    let (lab, plan) = begin(scenario).await;
    let clones = |action: &&Action| matches!(action.kind, ActionKind::Clone { .. });
    let clone = plan.actions.iter().find(clones).unwrap();
    let ActionKind::Clone { note, .. } = &clone.kind else { return };
    // Before its first disk is copied, and after.
    for description in ["qmclone temporary file", note.as_str()] {
        lab.sim.edit(|world| {
            world.remove_guest(clone.vmid);
            let config = [("lock", "clone"), ("description", description)];
            world.add_guest(Guest::new(clone.vmid, &clone.node, &config));
        });
        let seen = lab.cluster().look(clone, 0).await.unwrap();
        assert!(
            matches!(&seen, Seen::Unclear(text) if text.contains("no task that makes it runs")),
            "{description}: {seen:?}"
        );
    }
    lab.sim.shutdown().await;
}
