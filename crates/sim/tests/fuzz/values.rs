//! Valid values of parameters: names of what exists, and what the type allows.

use pvx_sim::World;
use pvx_sim::direct::{Described, Parameter, Shape};

use super::make::Maker;
use super::words::GOOD;

impl Maker {
    /// A part of a path: of what exists, most often.
    pub(crate) fn in_path(
        &mut self,
        name: &str,
        endpoint: &Described,
        world: &World,
        vmid: u32,
        node: &str,
    ) -> String {
        let makes = endpoint.method == "POST";
        match name {
            "node" => return node.to_owned(),
            "vmid" if !self.one_in(30) => return vmid.to_string(),
            "upid" => {
                let upids = std::mem::take(&mut self.upids);
                let upid = self.pick_own(&upids).unwrap();
                self.upids = upids;
                return upid;
            }
            "volume" => return self.volume(world, node),
            "snapname" if self.one_in(20) => return "current".to_owned(),
            _ => {}
        }
        let found = self.existing(name, world, vmid).filter(|_| !makes || !self.one_in(3));
        found.unwrap_or_else(|| self.usual(name))
    }

    fn usual(&mut self, name: &str) -> String {
        let stem = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
        match GOOD.iter().find(|(good, _)| *good == stem || *good == name) {
            Some((_, values)) => self.pick(values).to_owned(),
            None => self.pick(&["a", "abc", "local", "pve1", "scsi0", "100", "1"]).to_owned(),
        }
    }

    /// The name of something that is there.
    fn existing(&mut self, name: &str, world: &World, vmid: u32) -> Option<String> {
        let names: Vec<String> = match name {
            "snapname" | "snapshot" => world.guest(vmid)?.snapshots.keys().cloned().collect(),
            "disk" | "delete" | "revert" => world.guest(vmid)?.config.keys().cloned().collect(),
            "storage" | "statestorage" => {
                world.storages().map(|storage| storage.id.clone()).collect()
            }
            "vmid" | "vms" | "guest" => {
                world.guests().map(|guest| guest.vmid.to_string()).collect()
            }
            "poolid" | "pool" => world.existing("pool"),
            "sid" | "resource" | "resources" => world.existing("resource"),
            "rule" => world.existing("rule"),
            "groupid" | "group" | "groups" => world.existing("group"),
            "userid" | "users" => world.existing("user"),
            "roleid" | "roles" => world.existing("role"),
            "tokens" => world.existing("token"),
            "tokenid" => {
                let all = world.existing("token");
                all.iter().filter_map(|id| Some(id.split_once('!')?.1.to_owned())).collect()
            }
            _ => return None,
        };
        self.pick_own(&names)
    }

    /// A volume that is there, as its id.
    fn volume(&mut self, world: &World, node: &str) -> String {
        let storages: Vec<String> = world.storages().map(|storage| storage.id.clone()).collect();
        let storage = self.pick_own(&storages).unwrap_or_default();
        let names: Vec<String> =
            world.volumes_on(&storage, node).map(|(name, _)| name.to_owned()).collect();
        let name = self.pick_own(&names).unwrap_or_else(|| "iso/truth.iso".to_owned());
        if self.one_in(4) { name } else { format!("{storage}:{name}") }
    }

    /// A value of a parameter that its type lets through, if one is found in a few tries.
    pub(crate) fn value(
        &mut self,
        param: &Parameter,
        world: &World,
        vmid: u32,
        node: &str,
    ) -> String {
        if matches!(param.name.as_str(), "disk" | "delete" | "revert")
            && !self.one_in(8)
            && let Some(found) = self.own_key(param, world, vmid)
        {
            return found;
        }
        let mut value = String::new();
        for _ in 0..6 {
            value = self.candidate(param, world, vmid, node);
            if param.accepts(&value) {
                break;
            }
        }
        value
    }

    fn candidate(&mut self, param: &Parameter, world: &World, vmid: u32, node: &str) -> String {
        let name = param.name.as_str();
        match name {
            "newid" => return (100 + self.below(40)).to_string(),
            "vmid" if param.required && self.one_in(2) => {
                return (100 + self.below(40)).to_string();
            }
            "volid" | "volume" | "archive" => return self.volume(world, node),
            // A new snapshot, most often.
            "snapname" if param.required && !self.one_in(8) => {
                return format!("s{}", self.below(30));
            }
            "digest" => return self.digest(world, vmid),
            _ => {}
        }
        if !self.one_in(4)
            && let Some(found) = self.existing(name, world, vmid)
        {
            return found;
        }
        let stem = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let known = GOOD.iter().any(|(good, _)| *good == stem || *good == name);
        if known && !self.one_in(4) {
            return self.usual(name);
        }
        self.of_shape(&param.shape(), name)
    }

    /// A key that the guest has, of those that the parameter takes.
    fn own_key(&mut self, param: &Parameter, world: &World, vmid: u32) -> Option<String> {
        let keys = world.guest(vmid)?.config.keys();
        let keys: Vec<String> = keys.filter(|key| param.accepts(key)).cloned().collect();
        self.pick_own(&keys)
    }

    fn digest(&mut self, world: &World, vmid: u32) -> String {
        world.guest(vmid).map_or_else(String::new, pvx_sim::Guest::digest)
    }

    fn of_shape(&mut self, shape: &Shape, name: &str) -> String {
        match shape {
            Shape::Bool => self.pick(&["0", "1", "yes", "off"]).to_owned(),
            Shape::Int(min, max) => self.number(*min, *max),
            Shape::Words(words) => self.pick_own(words).unwrap_or_default(),
            Shape::Properties(properties) => {
                let mut parts = Vec::new();
                for (name, shape, required, bare) in properties {
                    if !required && !self.one_in(properties.len().min(4)) {
                        continue;
                    }
                    let value = self.of_shape(shape, name);
                    let whole = *bare && self.one_in(2);
                    parts.push(if whole { value } else { format!("{name}={value}") });
                }
                parts.join(",")
            }
            Shape::Text => self.usual(name),
        }
    }

    fn number(&mut self, min: Option<i64>, max: Option<i64>) -> String {
        let (low, high) = (min.unwrap_or(0), max.unwrap_or(i64::MAX));
        let number = match self.below(8) {
            0 => low,
            1 => high,
            2 => low.saturating_add(1),
            3 => high.min(1000),
            _ => low.saturating_add(i64::try_from(self.below(60)).unwrap()),
        };
        number.clamp(low, high.max(low)).to_string()
    }
}
