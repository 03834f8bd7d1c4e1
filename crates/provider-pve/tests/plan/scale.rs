//! What is asked of a plan once it is made grows with the number of guests, and not faster.

use pvx_core::desired::{IpConfig, Network, VmidRequest};
use pvx_core::live::{Guest, Summary};
use pvx_core::plan::Intent;
use pvx_core::preflight::place::{Known, Other};
use pvx_core::preflight::{self, Access, Answers, Permissions, TagRules};
use pvx_core::provider::Card;

use crate::lab::{Lab, summary};

/// Guests of other people for each one that is new.
const OTHERS: u32 = 4;

/// So many new guests with tags, MAC and IP addresses of their own.
fn lab(guests: u32) -> Lab {
    let mut lab = Lab::new();
    lab.desired.scope.vms.last = 1000 + guests;
    let new = |n: u32| {
        let mut guest = lab.guest("k3s", &format!("w{n:04}"));
        guest.vmid = VmidRequest::Fixed(1000 + n);
        let ip = Some(format!("10.1.{}.{}/16", n / 256, n % 256));
        guest.spec.cloudinit.ipconfig.insert(0, IpConfig { ip, ..IpConfig::default() });
        let bridge = Some("vmbr0".to_owned());
        let network = Network { mac: Some(mac(1, n)), bridge, ..Network::default() };
        guest.spec.networks.insert("net0".to_owned(), network);
        guest
    };
    let new = (0..guests).map(new).collect();
    lab.profile("k3s", new);
    for n in 0..guests * OTHERS {
        let vmid = 20_000 + n;
        let guest = Guest { vmid, node: "pve1".to_owned(), ..Guest::default() };
        let other = Summary { tags: [format!("tag-{n}")].into(), ..summary(&guest) };
        lab.snapshot.inventory.guests.insert(vmid, other);
    }
    lab
}

fn mac(kind: u8, n: u32) -> String {
    format!("BC:24:11:{kind:02X}:{:02X}:{:02X}", n / 256, n % 256)
}

/// A token that may do nothing, and guests of other people with addresses of their own.
fn answers(guests: u32) -> Answers {
    let other = |n: u32| {
        let addresses = vec![format!("10.2.{}.{}", n / 256, n % 256).parse().unwrap()];
        let (slot, bridge) = ("net0".to_owned(), Some("vmbr0".to_owned()));
        let card = Card { slot, mac: Some(mac(2, n)), bridge, tag: None, trunks: false, addresses };
        Other { vmid: 20_000 + n, cards: vec![card], ..Other::default() }
    };
    let others = (0..guests * OTHERS).map(other).collect();
    let tags = TagRules { mode: Some("existing".to_owned()), ..TagRules::default() };
    let permissions = Some(Permissions::default());
    Answers {
        places: Known { others, ..Known::default() },
        access: Access { permissions, tags, ..Access::default() },
    }
}

/// Allocations of the checks of a plan of so many guests.
fn cost(guests: u32) -> u64 {
    let lab = lab(guests);
    let mut plan = lab.plan(Intent::Apply);
    let (input, answers) = (lab.input(), answers(guests));
    let asked = preflight::questions(&plan, &input).places.others.len();
    assert_eq!(asked, usize::try_from(guests * OTHERS).unwrap());
    let counted = allocation_counter::measure(|| preflight::check(&mut plan, &input, &answers));
    assert!(plan.findings.iter().any(|finding| finding.code == "privilege-missing"));
    counted.count_total
}

#[test]
fn preflight_of_twice_the_guests_costs_twice_as_much() {
    let (few, many) = (cost(100), cost(200));
    assert!(many < few * 5 / 2, "{few} allocations for 100 guests, {many} for 200");
}
