//! What expressions see of a plan. All fields of [`names`](super::names) are always there: a text
//! that documents do not say is empty. Sizes are in MiB.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use crate::address::Address;
use crate::desired::{self, Origin, Placement, Power, Setting, VmidRequest};
use crate::live;
use crate::plan::{self, Effect, Intent, Verb};
use crate::planner::{Input, tags_of, template_candidates};
use crate::policy::window::{Zone, weekday};

const MIB: u64 = 1 << 20;

#[derive(Debug, Clone, Serialize)]
pub(super) struct Disk {
    pub(super) slot: String,
    /// Nothing when only the template knows.
    pub(super) size: Option<i64>,
    pub(super) storage: String,
    pub(super) keep: bool,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Network {
    pub(super) slot: String,
    pub(super) bridge: String,
    pub(super) model: String,
    pub(super) tag: i64,
    pub(super) firewall: bool,
    pub(super) mac: String,
}

#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Guest {
    pub(super) address: String,
    pub(super) name: String,
    pub(super) profile: String,
    pub(super) group: String,
    pub(super) vmid: i64,
    pub(super) node: String,
    pub(super) exists: bool,
    pub(super) template: String,
    /// Nothing when only a template that cannot be read knows; so is `memory`.
    pub(super) cores: Option<i64>,
    pub(super) memory: Option<i64>,
    pub(super) disk: i64,
    pub(super) tags: Vec<String>,
    pub(super) pool: String,
    pub(super) power: &'static str,
    pub(super) ha: bool,
    pub(super) onboot: bool,
    pub(super) protection: bool,
    pub(super) prevent_destroy: bool,
    pub(super) disks: Vec<Disk>,
    pub(super) networks: Vec<Network>,
    pub(super) config: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Attribute {
    pub(super) path: String,
    pub(super) before: String,
    pub(super) after: String,
    pub(super) effect: Effect,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Change {
    pub(super) address: String,
    pub(super) name: String,
    pub(super) profile: String,
    pub(super) verb: Verb,
    pub(super) effect: Effect,
    pub(super) vmid: i64,
    pub(super) node: String,
    pub(super) target: String,
    pub(super) running: bool,
    pub(super) lost: i64,
    pub(super) tags: Vec<String>,
    pub(super) attributes: Vec<Attribute>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Pool {
    pub(super) guests: i64,
    pub(super) cores: i64,
    pub(super) memory: i64,
    pub(super) disk: i64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Plan {
    pub(super) cluster: String,
    pub(super) intent: Intent,
    pub(super) create: i64,
    pub(super) change: i64,
    pub(super) migrate: i64,
    pub(super) power: i64,
    pub(super) reboot: i64,
    pub(super) replace: i64,
    pub(super) destroy: i64,
    pub(super) guests: Vec<Guest>,
    pub(super) changes: Vec<Change>,
    pub(super) pools: BTreeMap<String, Pool>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Now {
    pub(super) weekday: &'static str,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) date: String,
    pub(super) time: String,
    pub(super) time_zone: String,
}

impl Now {
    pub(super) fn at(now: jiff::Timestamp, zone: &Zone) -> Self {
        let at = zone.at(now);
        Self {
            weekday: weekday(at.weekday()),
            hour: at.hour().into(),
            minute: at.minute().into(),
            year: at.year().into(),
            month: at.month().into(),
            day: at.day().into(),
            date: at.date().to_string(),
            time: format!("{:02}:{:02}", at.hour(), at.minute()),
            time_zone: zone.name.clone(),
        }
    }
}

impl Plan {
    pub(super) fn of(plan: &plan::Plan, input: &Input<'_>) -> Self {
        let counts = plan.counts();
        let finder = Finder::new(plan, input);
        let guests: Vec<Guest> = input.desired.guests().map(|g| finder.guest(g)).collect();
        Self {
            cluster: plan.cluster.clone(),
            intent: plan.intent,
            create: number(counts.create),
            change: number(counts.change),
            migrate: number(counts.migrate),
            power: number(counts.power),
            reboot: number(counts.reboot),
            replace: number(counts.replace),
            destroy: number(counts.destroy),
            pools: pools(&guests),
            changes: plan.changes.iter().map(|c| finder.change(c)).collect(),
            guests,
        }
    }
}

/// What guests of each pool are promised. Of one whose size nobody knows nothing is added.
fn pools(guests: &[Guest]) -> BTreeMap<String, Pool> {
    let mut pools: BTreeMap<String, Pool> = BTreeMap::new();
    for guest in guests.iter().filter(|guest| !guest.pool.is_empty()) {
        let pool = pools.entry(guest.pool.clone()).or_default();
        pool.guests += 1;
        pool.cores = pool.cores.saturating_add(guest.cores.unwrap_or(0));
        pool.memory = pool.memory.saturating_add(guest.memory.unwrap_or(0));
        pool.disk = pool.disk.saturating_add(guest.disk);
    }
    pools
}

/// Finds what belongs to a guest.
struct Finder<'a> {
    plan: &'a plan::Plan,
    input: &'a Input<'a>,
    changes: HashMap<&'a Address, &'a plan::Change>,
    desired: HashMap<&'a Address, &'a desired::Guest>,
}

impl<'a> Finder<'a> {
    fn new(plan: &'a plan::Plan, input: &'a Input<'a>) -> Self {
        Self {
            plan,
            input,
            changes: plan.changes.iter().map(|change| (&change.address, change)).collect(),
            desired: input.desired.guests().map(|guest| (&guest.address, guest)).collect(),
        }
    }

    fn guest(&self, guest: &desired::Guest) -> Guest {
        let spec = &guest.spec;
        let change = self.changes.get(&guest.address).copied();
        let live = self.live(guest, change);
        let base = live.or_else(|| self.template(guest));
        let known = base.map(|base| &base.config);
        let unknown = known.is_none() && guest.origin != Origin::Empty;
        let stored = |key: &str, default: u64| match known.and_then(|config| config.get(key)) {
            Some(text) => text.parse().ok(),
            None if unknown => None,
            None => Some(default),
        };
        let count = |key: &str, default: u64| spec.number(key).or_else(|| stored(key, default));
        let cores = count("cores", 1).zip(count("sockets", 1)).map(|(a, b)| a.saturating_mul(b));
        let flag = |key: &str| {
            let said = spec.text(key).or_else(|| live?.config.get(key).map(String::as_str));
            said == Some("1")
        };
        let disks = disks(guest);
        let moved = change.map(|change| change.target.as_ref().unwrap_or(&change.node));
        let asked = match &guest.placement {
            Placement::Node(node) => node.clone(),
            Placement::Spread | Placement::Pack => String::new(),
        };
        Guest {
            address: guest.address.to_string(),
            name: guest.address.guest().to_owned(),
            profile: guest.address.profile().to_owned(),
            group: guest.group.clone(),
            vmid: self.vmid(guest).into(),
            node: moved.or(live.map(|live| &live.node)).cloned().unwrap_or(asked),
            exists: live.is_some(),
            template: match &guest.origin {
                Origin::Template { template, .. } => template.to_string(),
                Origin::Empty => String::new(),
            },
            cores: cores.map(whole),
            memory: count("memory", 512).map(whole),
            disk: disks.iter().filter_map(|disk| disk.size).fold(0, i64::saturating_add),
            tags: spec.tags.iter().cloned().collect(),
            pool: spec.pool.clone().unwrap_or_default(),
            power: match guest.power {
                Power::Running => "running",
                Power::Stopped => "stopped",
                Power::Unmanaged => "unmanaged",
            },
            ha: spec.ha.is_some(),
            onboot: flag("onboot"),
            protection: flag("protection"),
            prevent_destroy: guest.prevent_destroy,
            disks,
            networks: networks(guest),
            config: config(guest),
        }
    }

    /// The VMID it has, gets, or asks for.
    fn vmid(&self, guest: &desired::Guest) -> u32 {
        let outcome = self.plan.outcomes.get(&guest.address).map(|outcome| outcome.vmid);
        let change = self.changes.get(&guest.address).map(|change| change.vmid);
        outcome.or(change).unwrap_or(match guest.vmid {
            VmidRequest::Fixed(vmid) => vmid,
            VmidRequest::Auto => 0,
        })
    }

    /// The guest as it is now. One that is made is not there yet.
    fn live(
        &self,
        guest: &desired::Guest,
        change: Option<&plan::Change>,
    ) -> Option<&'a live::Guest> {
        if change.is_some_and(|change| change.verb == Verb::Create) {
            return None;
        }
        self.input.snapshot.guests.get(&self.vmid(guest))
    }

    fn template(&self, guest: &desired::Guest) -> Option<&'a live::Guest> {
        let Origin::Template { template, .. } = &guest.origin else { return None };
        let snapshot = self.input.snapshot;
        let mut vmids = template_candidates(template, &snapshot.inventory).into_iter();
        vmids.find_map(|vmid| snapshot.guests.get(&vmid))
    }

    fn change(&self, change: &plan::Change) -> Change {
        let live = self.input.snapshot.guests.get(&change.vmid);
        let live = live.filter(|_| change.verb != Verb::Create);
        let mut tags: BTreeSet<String> = live.map(tags_of).unwrap_or_default();
        let wanted = self.desired.get(&change.address).map(|guest| &guest.spec.tags);
        tags.extend(wanted.into_iter().flatten().cloned());
        let goes = matches!(change.verb, Verb::Destroy | Verb::Replace);
        let lost: u64 = change.facts.disks.iter().filter(|_| goes).map(|(_, size)| size).sum();
        let attribute = |attribute: &plan::AttributeChange| Attribute {
            path: attribute.path.clone(),
            before: attribute.before.clone().unwrap_or_default(),
            after: attribute.after.clone().unwrap_or_default(),
            effect: attribute.effect,
        };
        Change {
            address: change.address.to_string(),
            name: change.address.guest().to_owned(),
            profile: change.address.profile().to_owned(),
            verb: change.verb,
            effect: change.effect,
            vmid: change.vmid.into(),
            node: change.node.clone(),
            target: change.target.clone().unwrap_or_default(),
            running: change.running,
            lost: mebibytes(lost),
            tags: tags.into_iter().collect(),
            attributes: change.attributes.iter().map(attribute).collect(),
        }
    }
}

fn disks(guest: &desired::Guest) -> Vec<Disk> {
    let spec = &guest.spec;
    let own = || spec.storage.clone().unwrap_or_default();
    let boot = spec.boot_disk.map(|size| Disk {
        slot: "disk".to_owned(),
        size: Some(mebibytes(size)),
        storage: own(),
        keep: false,
    });
    let others = spec.disks.iter().map(|(slot, disk)| Disk {
        slot: slot.clone(),
        size: disk.size.map(mebibytes),
        storage: disk.storage.clone().unwrap_or_else(own),
        keep: disk.keep,
    });
    boot.into_iter().chain(others).collect()
}

fn networks(guest: &desired::Guest) -> Vec<Network> {
    let network = |(slot, network): (&String, &desired::Network)| {
        let option = |name: &str| network.options.get(name).map_or("", String::as_str);
        Network {
            slot: slot.clone(),
            bridge: network.bridge.clone().unwrap_or_default(),
            model: network.model.clone().unwrap_or_default(),
            tag: option("tag").parse().unwrap_or(0),
            firewall: option("firewall") == "1",
            mac: network.mac.clone().unwrap_or_default(),
        }
    };
    guest.spec.networks.iter().map(network).collect()
}

/// Keys of the configuration that documents say, in Proxmox's spelling.
fn config(guest: &desired::Guest) -> BTreeMap<String, String> {
    let text = |setting: &Setting| match setting {
        Setting::Value(value) => value.clone(),
        Setting::Properties(properties) => {
            let pairs = properties.iter().map(|(name, value)| format!("{name}={value}"));
            pairs.collect::<Vec<_>>().join(",")
        }
    };
    guest.spec.settings.iter().map(|(key, setting)| (key.clone(), text(setting))).collect()
}

fn mebibytes(bytes: u64) -> i64 {
    whole(bytes.div_ceil(MIB))
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
