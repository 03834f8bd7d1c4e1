//! What reading costs, counted by the simulator: at most 3 + nodes + owned guests, and for a plan
//! with actions what its preflight asks.

use pvx_core::plan::Intent;
use pvx_sim::{Guest, LabOptions, World};

use crate::harness::Lab;

const NODES: usize = 5;

/// What the preflight of these plans asks: storages of the template's node, volumes of its storage,
/// bridges of every node where a guest starts.
const PREFLIGHT: usize = 2 + NODES;

/// What a guest is read with.
const PENDING: &str = "/nodes/{node}/qemu/{vmid}/pending";

fn document(workers: usize) -> String {
    format!(
        "name: big\ntype: generic\ntemplate: debian-13\nclone: linked\ntags: [big]\nnodes:\n  \
         controlplane: {{ count: 1, start_vmid: auto }}\n  \
         workers: {{ count: {workers}, start_vmid: auto, placement: spread }}\n"
    )
}

fn world() -> World {
    let mut world = World::lab_with(LabOptions {
        cluster: "big".to_owned(),
        nodes: (1..=NODES).map(|n| format!("pve{n}")).collect(),
        storages: Vec::new(),
        bridges: Vec::new(),
    });
    // Guests that pvx does not own cost nothing to read.
    for vmid in 5000..5200 {
        let config = [("name", "theirs"), ("tags", "theirs")];
        world.add_guest(Guest::new(vmid, "pve1", &config));
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_for_100_guests_on_5_nodes() {
    let lab = Lab::start(world()).await;
    let documents = lab.documents(&[("big.yaml", document(99))]);

    lab.sim.clear_requests();
    let plan = lab.plan(&documents, Intent::Apply).await;
    assert_eq!(plan.counts().create, 100);
    let to_create = lab.sim.requests();
    assert!(to_create.len() <= 3 + NODES + PREFLIGHT, "{to_create:#?}");
    lab.carry_out(&plan).await;

    lab.sim.clear_requests();
    assert!(lab.plan(&documents, Intent::Apply).await.is_empty());
    let unchanged = lab.sim.requests();
    assert!(unchanged.len() <= 3 + NODES + 100, "{}", unchanged.len());
    assert!(unchanged.iter().all(|request| !request.write));
}

/// Everything that planning and carrying out ask, waiting included: at most 8 for each guest that is
/// made and started, grown or not. Tasks take as long as recorded.
#[tokio::test(flavor = "multi_thread")]
async fn a_created_guest_costs_8_requests() {
    const GUESTS: usize = 40;
    for grown in [false, true] {
        let lab = Lab::start_faster(world(), 10).await;
        let mut text = document(GUESTS - 1);
        if grown {
            text.push_str("defaults: { disk: 6G }\n");
        }
        let documents = lab.documents(&[("big.yaml", text)]);
        lab.sim.clear_requests();
        let plan = lab.plan(&documents, Intent::Apply).await;
        assert_eq!(plan.counts().create, GUESTS);
        let steps = if grown { 4 } else { 3 };
        assert_eq!(plan.actions.len(), steps * GUESTS, "cloned, configured, grown, started");
        lab.carry_out(&plan).await;
        let asked = lab.sim.requests();
        assert!(lab.plan(&documents, Intent::Apply).await.is_empty());
        let mut each = std::collections::BTreeMap::new();
        for request in &asked {
            *each.entry((request.method.clone(), request.template.clone())).or_insert(0) += 1;
        }
        assert!(asked.len() <= 8 * GUESTS, "{} requests: {each:#?}", asked.len());
        let read = each.get(&("GET".to_owned(), PENDING.to_owned())).copied().unwrap_or(0);
        assert!(read <= GUESTS + 5, "one before it is configured: {read}");
        let in_vain: u64 = lab.sim.lock_totals().iter().map(|lock| lock.timeouts).sum();
        assert_eq!(in_vain, 0);
    }
}

/// Per created guest: clone, configure, resize and start, each with the looks at its task.
#[tokio::test(flavor = "multi_thread")]
async fn writes_per_created_guest() {
    let lab = Lab::start(world()).await;
    let documents = lab.documents(&[("big.yaml", document(9))]);
    let plan = lab.plan(&documents, Intent::Apply).await;
    lab.sim.clear_requests();
    lab.carry_out(&plan).await;
    let writes = lab.sim.requests().iter().filter(|request| request.write).count();
    assert_eq!(writes, plan.actions.len());
    assert!(writes <= 10 * 4, "{writes}");
}

/// Guests of other people are read only when something is brought in that they may have, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_static_address_costs_a_look_at_everybody() {
    let lab = Lab::start(world()).await;
    let vm = "name: db\nnode: pve1\ntemplate: debian-13\nclone: linked\nip: 10.0.0.5/24\n";
    let documents = lab.documents(&[("db.yaml", vm.to_owned())]);
    lab.sim.clear_requests();
    let plan = lab.plan(&documents, Intent::Apply).await;
    let asked = lab.sim.requests();
    let others = asked.iter().filter(|request| request.template.ends_with("/pending")).count();
    // The template, and 200 guests of other people.
    assert_eq!(others, 201);
    assert!(asked.len() <= 3 + others + NODES + PREFLIGHT, "{}", asked.len());
    lab.carry_out(&plan).await;

    lab.sim.clear_requests();
    assert!(lab.plan(&documents, Intent::Apply).await.is_empty());
    let unchanged: Vec<_> = lab.sim.requests().into_iter().map(|r| r.template).collect();
    assert_eq!(unchanged.len(), 4, "{unchanged:#?}");
}
