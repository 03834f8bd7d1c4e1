//! What a request costs, counted and not timed: allocations and bytes do not depend on the machine.

use pvx_sim::direct::{Ask, Direct};
use pvx_sim::{Guest, World};

/// The world `lab` with so many guests more, all on pve2.
fn with_guests(count: u32) -> Direct {
    let mut world = World::lab();
    for vmid in 10_000..10_000 + count {
        let scsi0 = format!("local-lvm:vm-{vmid}-disk-0,size=8G");
        let config = [
            ("name", "same"),
            ("memory", "1024"),
            ("scsi0", &scsi0),
            ("tags", "a;b"),
            ("boot", "order=scsi0"),
        ];
        world.add_guest(Guest::new(vmid, "pve2", &config));
    }
    Direct::new(world, 1_790_000_000_000)
}

/// Allocations and bytes of the answer.
fn cost(direct: &mut Direct, target: &str) -> (u64, usize) {
    let (id, secret) = direct.world().token();
    let ask = Ask {
        method: "GET".to_owned(),
        target: target.to_owned(),
        authorization: Some(format!("PVEAPIToken={id}={secret}")),
        ..Ask::default()
    };
    // What is made once for all is made now.
    assert_eq!(direct.ask(&ask).status, 200, "{target}");
    let mut size = 0;
    let counted = allocation_counter::measure(|| size = direct.ask(&ask).body.len());
    (counted.count_total, size)
}

#[test]
fn one_guest_costs_the_same_among_thousands() {
    let (mut few, mut many) = (with_guests(10), with_guests(4000));
    for path in ["config", "status/current", "pending", "snapshot", "agent"] {
        let target = format!("/nodes/pve1/qemu/100/{path}");
        let (alone, crowded) = (cost(&mut few, &target), cost(&mut many, &target));
        assert_eq!(alone, crowded, "{target}");
        assert!(alone.0 < 500, "{target}: {} allocations", alone.0);
    }
    // Lists of what guests are not in do not look at them either.
    for target in ["/nodes/pve1/qemu", "/nodes/pve1/tasks", "/cluster/status", "/pools"] {
        assert_eq!(cost(&mut few, target), cost(&mut many, target), "{target}");
    }
}

#[test]
fn lists_grow_with_guests_and_no_faster() {
    for (target, most, bytes) in
        [("/cluster/resources?type=vm", 12, 500), ("/nodes/pve2/qemu", 80, 500)]
    {
        let [one, two, three] =
            [1000, 2000, 3000].map(|count| cost(&mut with_guests(count), target));
        let per_guest = (three.0 - one.0) / 2000;
        assert!(per_guest <= most, "{target}: {per_guest} allocations a guest");
        // Each guest costs the same number of bytes, to the byte.
        assert_eq!(two.1 - one.1, three.1 - two.1, "{target}");
        let size = (two.1 - one.1) / 1000;
        assert!((100..bytes).contains(&size), "{target}: {size} bytes a guest");
    }
}
