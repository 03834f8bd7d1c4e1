//! For any small profile among any foreign guests, with a list that lags behind or not: apply, and
//! the next plan is empty; no foreign
//! guest ever receives a write; destroy removes exactly what is owned.

use std::collections::BTreeMap;

use proptest::prelude::*;
use pvx_sim::{Guest, World};

use crate::harness::Lab;

/// A profile as a user might write it.
#[derive(Debug, Clone)]
struct Wish {
    template: u32,
    clone: &'static str,
    storage: Option<&'static str>,
    placement: &'static str,
    controlplanes: u32,
    workers: u32,
    cores: u32,
    memory: u32,
    disk: u32,
    fixed: bool,
    bridge: bool,
    tags: Vec<String>,
}

impl Wish {
    fn document(&self) -> String {
        let storage = self.storage.map(|s| format!("    storage: {s}\n")).unwrap_or_default();
        let network = if self.bridge { "    networks: { net0: { tag: 7 } }\n" } else { "" };
        let group = |name: &str, count: u32, start: u32| {
            let vmid = if self.fixed { start.to_string() } else { "auto".to_owned() };
            format!(
                "  {name}:\n    count: {count}\n    cores: {}\n    memory: {}\n    disk: {}G\n    start_vmid: {vmid}\n    placement: {}\n{storage}{network}",
                self.cores, self.memory, self.disk, self.placement
            )
        };
        format!(
            "name: any\ntype: generic\ntemplate: {}\nclone: {}\ntags: [{}]\nnodes:\n{}{}",
            self.template,
            self.clone,
            self.tags.join(", "),
            group("controlplane", self.controlplanes, 2000),
            group("workers", self.workers, 2100),
        )
    }

    fn guests(&self) -> usize {
        (self.controlplanes + self.workers) as usize
    }
}

fn wish() -> impl Strategy<Value = Wish> {
    let made = (
        prop::sample::select(vec![100, 102]),
        prop::sample::select(vec!["full", "linked"]),
        prop::sample::select(vec![None, Some("shared"), Some("local-lvm")]),
        prop::sample::select(vec!["spread", "pack"]),
        any::<bool>(),
        any::<bool>(),
    );
    let sizes = (1..3_u32, 0..3_u32, 1..5_u32, 64..2048_u32, 4..9_u32);
    let tags = prop::collection::btree_set("[a-z][a-z0-9]{0,5}", 1..3);
    (made, sizes, tags).prop_map(|(made, sizes, tags)| Wish {
        template: made.0,
        clone: made.1,
        storage: made.2,
        placement: made.3,
        fixed: made.4,
        bridge: made.5,
        controlplanes: sizes.0,
        workers: sizes.1,
        cores: sizes.2,
        memory: sizes.3,
        disk: sizes.4,
        tags: tags.into_iter().collect(),
    })
}

/// Guests of other people; some carry the profile's tags, as a clone made by hand would.
fn foreign() -> impl Strategy<Value = BTreeMap<u32, (String, bool)>> {
    let vmid = prop_oneof![1000..1012_u32, 2200..2210_u32, 5000..5005_u32];
    prop::collection::btree_map(vmid, ("[a-z]{1,6}", any::<bool>()), 0..6)
}

fn configs(world: &World, vmids: &[u32]) -> BTreeMap<u32, BTreeMap<String, String>> {
    world
        .guests()
        .filter(|guest| vmids.contains(&guest.vmid))
        .map(|guest| (guest.vmid, guest.config.clone()))
        .collect()
}

fn world(foreign: &BTreeMap<u32, (String, bool)>) -> World {
    let mut world = World::lab();
    let nodes: Vec<String> = world.nodes().map(|node| node.name.clone()).collect();
    for (index, (vmid, (name, marked))) in foreign.iter().enumerate() {
        let tags = if *marked { "pvx-any;any" } else { "theirs" };
        let config = [("name", name.as_str()), ("tags", tags), ("memory", "256")];
        world.add_guest(Guest::new(*vmid, &nodes[index % nodes.len()], &config));
    }
    world
}

async fn check(first: Wish, second: Wish, foreign: BTreeMap<u32, (String, bool)>, lag: bool) {
    let mut world = world(&foreign);
    world.set_lag(lag);
    let lab = Lab::start(world).await;
    let mut others: Vec<u32> = foreign.keys().copied().collect();
    others.extend([100, 101, 102]);
    let before = configs(&lab.sim.world(), &others);
    lab.sim.clear_requests();
    for wish in [&first, &second] {
        let documents = lab.documents(&[("any.yaml", wish.document())]);
        lab.apply(&documents).await;
        assert_eq!(lab.sim.world().guests().count(), others.len() + wish.guests());
    }
    lab.destroy(&lab.documents(&[("any.yaml", second.document())])).await;
    assert_eq!(configs(&lab.sim.world(), &others), before);
    assert_eq!(lab.sim.world().guests().count(), others.len());
    for request in lab.sim.requests().iter().filter(|r| r.write) {
        let of_guest = |vmid: &u32| request.path.contains(&format!("/qemu/{vmid}/"));
        let clone = request.template.ends_with("/clone");
        assert!(clone || !others.iter().any(of_guest), "{} {}", request.method, request.path);
    }
    lab.sim.shutdown().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_profile_converges_among_any_guests(
        first in wish(), second in wish(), foreign in foreign(), lag in any::<bool>()
    ) {
        // Disks cannot shrink: the second wish only grows them. What a guest is made from stays.
        let second = Wish {
            disk: first.disk.max(second.disk),
            template: first.template,
            clone: first.clone,
            storage: first.storage,
            fixed: first.fixed,
            ..second
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(check(first, second, foreign, lag));
    }
}
