//! Pools, HA, renamed and moved guests: each change is followed by an empty plan, and the cluster
//! is as the documents say.

use std::collections::BTreeMap;

use pvx_core::address::Address;
use pvx_core::desired::Desired;
use pvx_core::diagnostic::Sources;
use pvx_core::live::{self, Ha};
use pvx_core::plan::{ActionKind, Intent, Plan};
use pvx_core::provider::Reader;
use pvx_provider_pve::client::Request;
use pvx_sim::{AclKind, GuestStatus, World};

use crate::harness::Lab;

/// The lab, where the token may configure HA too.
fn world() -> World {
    let mut world = World::lab();
    world.access_mut().add_role("PvxHa", &["Sys.Console"]);
    world.access_mut().grant("/", AclKind::User, "pvx@pve", "PvxHa");
    world
}

/// A profile of `count` workers with these keys.
fn document(count: u32, keys: &str) -> String {
    format!(
        "name: k3s\ntype: generic\ntemplate: debian-13\nclone: linked\ntags: [k3s]\nnodes:\n  \
         controlplane: {{ count: 1, start_vmid: 2000, power: stopped }}\n  \
         workers:\n    count: {count}\n    start_vmid: 2100\n{keys}"
    )
}

impl Lab {
    fn workers(&self, count: u32, keys: &str) -> (Desired, Sources) {
        let keys: String = keys.lines().map(|line| format!("    {line}\n")).collect();
        self.documents(&[("k3s.yaml", document(count, &keys))])
    }

    async fn post(&self, request: Request) {
        self.cluster.client().send(&request).await.unwrap();
    }

    async fn pool_of(&self, vmid: u32) -> Option<String> {
        self.cluster.inventory().await.unwrap().guests[&vmid].pool.clone()
    }

    async fn high_availability(&self) -> Ha {
        self.cluster.ha().await.unwrap()
    }

    fn runs(&self, vmid: u32) -> bool {
        self.sim.world().guest(vmid).unwrap().status() == GuestStatus::Running
    }
}

fn actions(plan: &Plan) -> Vec<&'static str> {
    plan.actions.iter().map(|action| action.kind.verb()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pools() {
    let lab = Lab::remembering(world()).await;
    for pool in ["blue", "green"] {
        lab.post(Request::post("/pools").parameter("poolid", pool)).await;
    }
    // Made in it, by clone and from nothing.
    lab.apply(&lab.workers(1, "pool: blue")).await;
    assert_eq!(lab.pool_of(2100).await.as_deref(), Some("blue"));
    let vm = "name: db\nvmid: 3000\npool: blue\npower: stopped\ndisks: {scsi0: {size: 1G, storage: local-lvm}}\n";
    lab.apply(&lab.documents(&[("db.yaml", vm.to_owned())])).await;
    assert_eq!(lab.pool_of(3000).await.as_deref(), Some("blue"));

    let plan = lab.apply(&lab.workers(1, "pool: green")).await;
    assert_eq!((actions(&plan), plan.changes.len()), (vec!["pool"], 1));
    assert_eq!(lab.pool_of(2100).await.as_deref(), Some("green"));
    assert_eq!(actions(&lab.apply(&lab.workers(1, "")).await), ["pool"]);
    assert_eq!(lab.pool_of(2100).await, None);
    assert_eq!(actions(&lab.apply(&lab.workers(1, "pool: blue")).await), ["pool"]);

    let missing = lab.plan(&lab.workers(1, "pool: red"), Intent::Apply).await;
    assert!(missing.is_blocked(), "{:?}", missing.findings);
}

/// A token that may make guests in one pool alone makes them there.
#[tokio::test(flavor = "multi_thread")]
async fn a_pool_is_named_with_the_request_that_makes_the_guest() {
    let lab = Lab::start(World::lab()).await;
    lab.post(Request::post("/pools").parameter("poolid", "blue")).await;
    let documents = lab.workers(1, "pool: blue");
    let plan = lab.plan(&documents, Intent::Apply).await;
    let clone = plan.actions.iter().find(|a| a.vmid == 2100).unwrap();
    assert!(
        matches!(&clone.kind, ActionKind::Clone { pool: Some(pool), .. } if pool == "blue"),
        "{clone:?}"
    );
    assert!(!actions(&plan).contains(&"pool"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ha_of_one_guest() {
    let lab = Lab::remembering(world()).await;
    lab.apply(&lab.workers(1, "ha: started")).await;
    assert!(lab.runs(2100));
    assert_eq!(lab.high_availability().await.resources[&2100]["state"], "started");

    let much = "ha:\n  max_restart: 3\n  max_relocate: 2\n  failback: false\n  comment: the database\n  nodes: {pve1: 2, pve2: 1}\n  strict: true";
    assert_eq!(actions(&lab.apply(&lab.workers(1, much)).await), ["ha", "ha"]);
    let ha = lab.high_availability().await;
    let rule = &ha.rules["pvx-k3s_worker01"];
    assert_eq!((rule["nodes"].as_str(), rule["strict"].as_str()), ("pve1:2,pve2:1", "1"));
    assert_eq!(ha.resources[&2100]["comment"], "the database");

    lab.apply(&lab.workers(1, "ha: {state: started, nodes: [pve2, pve3]}")).await;
    let ha = lab.high_availability().await;
    assert_eq!(ha.rules["pvx-k3s_worker01"]["nodes"], "pve2,pve3");
    let left = [("failback", ""), ("comment", ""), ("max_restart", "")];
    assert!(left.iter().all(|(key, _)| !ha.resources[&2100].contains_key(*key)), "{ha:?}");

    // Stopped and started through the HA manager.
    lab.apply(&lab.workers(1, "ha: stopped")).await;
    assert!(!lab.runs(2100) && lab.high_availability().await.rules.is_empty());
    lab.apply(&lab.workers(1, "ha: started")).await;
    assert!(lab.runs(2100));

    lab.apply(&lab.workers(1, "")).await;
    assert_eq!(lab.high_availability().await, Ha::default());
    assert!(lab.runs(2100), "it goes on without the manager");

    lab.apply(&lab.workers(1, much)).await;
    lab.destroy(&lab.workers(1, much)).await;
    assert_eq!(lab.high_availability().await, Ha::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn ha_of_a_group() {
    let lab = Lab::remembering(world()).await;
    lab.apply(&lab.workers(3, "ha: {affinity: apart}")).await;
    let rule = |ha: &Ha| ha.rules.get("pvx-k3s_group_workers").cloned();
    let at = |ha: &Ha, key: &str| rule(ha).unwrap()[key].clone();
    let ha = lab.high_availability().await;
    assert_eq!(
        (at(&ha, "affinity"), at(&ha, "resources")),
        ("negative".into(), "vm:2100,vm:2101,vm:2102".into())
    );

    lab.apply(&lab.workers(2, "ha: {affinity: together}")).await;
    let ha = lab.high_availability().await;
    assert_eq!(
        (at(&ha, "affinity"), at(&ha, "resources")),
        ("positive".into(), "vm:2100,vm:2101".into())
    );

    // Priorities and affinity exclude each other: the old rule goes before the new ones come.
    lab.apply(&lab.workers(2, "ha: {nodes: {pve1: 2, pve2: 1}}")).await;
    let names: Vec<_> = lab.high_availability().await.rules.into_keys().collect();
    assert_eq!(names, ["pvx-k3s_worker01", "pvx-k3s_worker02"]);
    lab.apply(&lab.workers(3, "ha: {affinity: together}")).await;
    lab.apply(&lab.workers(1, "ha: {affinity: together}")).await;
    assert_eq!(lab.high_availability().await.rules, BTreeMap::new());
    lab.apply(&lab.workers(1, "")).await;
    assert_eq!(lab.high_availability().await, Ha::default());
}

/// Nothing of HA is read when nobody manages it.
#[tokio::test(flavor = "multi_thread")]
async fn requests_for_ha() {
    let lab = Lab::remembering(world()).await;
    let asked = |lab: &Lab| lab.sim.requests().iter().filter(|r| r.path.contains("/ha/")).count();
    lab.apply(&lab.workers(1, "")).await;
    assert_eq!(asked(&lab), 0);
    lab.apply(&lab.workers(1, "ha: started")).await;
    lab.sim.clear_requests();
    lab.plan(&lab.workers(1, ""), Intent::Apply).await;
    assert_eq!(asked(&lab), 2, "memory manages it");
}

fn vm(name: &str, keys: &str) -> String {
    format!("name: {name}\nvmid: 3000\ntemplate: debian-13\nclone: linked\n{keys}")
}

#[tokio::test(flavor = "multi_thread")]
async fn places() {
    let lab = Lab::remembering(world()).await;
    let on = |node: &str, pinned: bool| {
        let mut documents = lab.documents(&[("db.yaml", vm("db", &format!("node: {node}\n")))]);
        documents.0.profiles[0].guests[0].pinned = pinned;
        documents
    };
    lab.apply(&on("pve1", false)).await;
    let node = || lab.sim.world().guest(3000).unwrap().node.clone();

    // By hand.
    let request = Request::post("/nodes/pve1/qemu/3000/migrate");
    lab.post(request.parameter("target", "pve2").flag("online", true)).await;
    assert_eq!(node(), "pve2");
    let plan = lab.apply(&on("pve1", false)).await;
    assert!(plan.is_empty() && plan.findings.iter().any(|f| f.code == "moved-away"));

    // Back, because it is pinned.
    assert_eq!(actions(&lab.apply(&on("pve1", true)).await), ["migrate"]);
    assert_eq!(node(), "pve1");

    // Elsewhere, because the document changed.
    assert_eq!(actions(&lab.apply(&on("pve3", false)).await), ["migrate"]);
    assert_eq!(node(), "pve3");
}

/// A running guest under another name: nothing is made, stopped or removed, and its uuid waits.
#[tokio::test(flavor = "multi_thread")]
async fn renamed() {
    let lab = Lab::remembering(world()).await;
    lab.apply(&lab.documents(&[("db.yaml", vm("db", "ha: {nodes: [pve1]}\nonboot: true\n"))]))
        .await;
    let since = lab.sim.world().guest(3000).unwrap().clone();
    let renamed = |from: Option<&str>| {
        let mut documents = lab.documents(&[("pg.yaml", vm("pg", "ha: {nodes: [pve1]}\n"))]);
        let guest = &mut documents.0.profiles[0].guests[0];
        guest.moved_from = from.map(|name| Address::new("vm", name));
        documents
    };
    let plan = lab.apply(&renamed(Some("db"))).await;
    assert_eq!(actions(&plan), ["configure", "ha", "ha"]);
    let guest = lab.sim.world().guest(3000).unwrap().clone();
    assert_eq!((guest.name(), guest.tags()), ("pg".to_owned(), vec!["pvx-vm.pg"]));
    assert!(!guest.config.contains_key("onboot"), "what db managed is reset");
    let uuid = live::identity("lab", "vm.pg", "pg").to_string();
    assert!(guest.pending["smbios1"].contains(&uuid), "{:?}", guest.pending);
    assert_eq!(guest.config["smbios1"], since.config["smbios1"], "what runs keeps its uuid");
    let rules: Vec<_> = lab.high_availability().await.rules.into_keys().collect();
    assert_eq!(rules, ["pvx-vm_pg"]);
    // The document's `moved` has done its work.
    assert!(lab.plan(&renamed(None), Intent::Apply).await.is_empty());
    lab.destroy(&renamed(None)).await;
    assert_eq!(lab.sim.world().guest(3000).map(|g| g.vmid), None);
}
