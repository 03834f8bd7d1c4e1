//! Plans of many guests on five nodes.

use std::collections::BTreeMap;

use super::super::fake::{Step, configure, plan};
use super::cluster::Cluster;
use crate::execute::budget::{Resource, needs};
use crate::plan::{ActionId, ActionKind, Plan, Store};

const NODES: [&str; 5] = ["pve1", "pve2", "pve3", "pve4", "pve5"];
const GIB: u64 = 1 << 30;

#[derive(Default)]
pub(super) struct Plans(Vec<Vec<Step>>);

fn clone(full: bool) -> ActionKind {
    ActionKind::Clone {
        source: 100,
        full,
        storage: None,
        target: None,
        name: "x".to_owned(),
        note: "x".to_owned(),
        pool: None,
    }
}

impl Plans {
    fn many(mut self, count: usize, guest: impl Fn(&'static str) -> Vec<Step>) -> Self {
        self.0.extend((0..count).map(|n| guest(NODES[n % NODES.len()])));
        self
    }

    pub(super) fn linked(self, count: usize) -> Self {
        self.many(count, |node| {
            vec![
                ("pve1", clone(false), &["shared", "shared"]),
                (node, configure(), &[]),
                (node, ActionKind::Start, &[]),
            ]
        })
    }

    pub(super) fn full(self, count: usize) -> Self {
        self.many(count, |node| {
            vec![("pve1", clone(true), &["shared", "shared"]), (node, configure(), &[])]
        })
    }

    pub(super) fn change(self, count: usize) -> Self {
        self.many(count, |node| {
            let shutdown = ActionKind::Shutdown { timeout: 60, force: false };
            vec![(node, shutdown, &[]), (node, configure(), &[]), (node, ActionKind::Start, &[])]
        })
    }

    pub(super) fn moves(self, count: usize) -> Self {
        self.many(count, |node| {
            let (disk, storage) = ("scsi0".to_owned(), "local-lvm".to_owned());
            let kind = ActionKind::MoveDisk { disk, storage, format: None };
            vec![(node, kind, &["local-lvm", "shared"])]
        })
    }

    pub(super) fn destroy(self, count: usize) -> Self {
        self.many(count, |node| {
            let shutdown = ActionKind::Shutdown { timeout: 60, force: false };
            vec![(node, shutdown, &[]), (node, ActionKind::Destroy, &["shared"])]
        })
    }

    pub(super) fn plan(self) -> Plan {
        let mut plan = plan(self.0);
        for change in &mut plan.changes {
            change.facts.disks = vec![("scsi0".to_owned(), 8 * GIB)];
        }
        let store = |shared, plugin: &str| Store { shared, plugin: plugin.to_owned() };
        plan.storages = BTreeMap::from([
            ("shared".to_owned(), store(true, "nfs")),
            ("local-lvm".to_owned(), store(false, "lvmthin")),
        ]);
        plan
    }
}

/// No schedule is faster: the longest chain, and for each lock its work with the shortest way to
/// it and the shortest way on from it.
pub(super) fn bound(cluster: &Cluster, plan: &Plan) -> f64 {
    let answers = cluster.answer() * 1.2;
    let mut before: BTreeMap<ActionId, f64> = BTreeMap::new();
    let mut ways: BTreeMap<Resource, (f64, f64)> = BTreeMap::new();
    let mut longest = 0.0_f64;
    for id in plan.actions.sequence().unwrap() {
        let action = plan.actions.get(id).unwrap();
        let (hold, own) = cluster.costs(action);
        let first = plan.actions.needs(id).iter().map(|id| before[id]).fold(0.0, f64::max);
        let all = first
            + hold * needs(plan, action).iter().filter(|n| n.is_lock()).count() as f64
            + own
            + answers;
        before.insert(id, all);
        longest = longest.max(all);
        for lock in needs(plan, action).into_iter().filter(Resource::is_lock) {
            let way = ways.entry(lock).or_insert((f64::MAX, f64::MAX));
            way.0 = way.0.min(first + cluster.answer() / 5.0);
            way.1 = way.1.min(own + cluster.answer());
        }
    }
    for (lock, work) in cluster.worked.lock().unwrap().iter() {
        let (head, tail) = ways[lock];
        longest = longest.max(head + work + tail);
    }
    longest
}
