//! Pools, high availability, options, URLs, faults.

use std::collections::BTreeMap;

use super::Builder;
use crate::api::endpoint::{Method, Param};
use crate::api::router::TABLES;
use crate::guest::format::{Kind, check, parse_bool};
use crate::ha::rules::{Affinity, Rule};
use crate::ha::{Resource, sid_of};
use crate::spec::format::{HaResourceSpec, HaRuleSpec, TaskSpec, WorldFile};
use crate::spec::problem::{At, suggest};
use crate::spec::value::Many;
use crate::world::past::Past;
use crate::world::urls::UrlAnswer;

const STATES: &[&str] = &["started", "stopped", "enabled", "disabled", "ignored"];

impl Builder<'_> {
    pub(super) fn rest(&mut self, file: &WorldFile) {
        self.pools(file);
        self.ha(file);
        self.options_of_datacenter(file);
        for (url, spec) in &file.urls {
            let answer = UrlAnswer {
                size: spec.size.map_or(1 << 20, |size| size.0),
                virtual_size: spec.virtual_size.map_or(0, |size| size.0),
                format: spec.format.clone(),
                checksums: spec.checksums.clone(),
                bootable: spec.bootable,
                mimetype: spec.mimetype.clone(),
                status: spec.status,
            };
            self.world.set_url(url, answer);
        }
        let resources = file.resources.iter().map(|(name, size)| (name.clone(), size.0));
        self.world.resources.extend(resources);
        if file.ssh.is_some() {
            self.world.ssh.clone_from(&file.ssh);
        }
        self.world.lag = file.lag.unwrap_or(self.world.lag);
        self.unreachable(file);
        self.tasks(file);
        self.replication(file);
        let top = At::top("faults");
        for (index, fault) in file.faults.iter().enumerate() {
            if let Err(text) = fault.check().and_then(|()| self.world.check_names(fault)) {
                self.wrong(&top.item(index), text, None);
            }
            // Added at 0, which becomes the start of the simulator.
            self.world.faults.add(fault.clone(), 0);
        }
    }

    fn replication(&mut self, file: &WorldFile) {
        let top = At::top("replication");
        for (index, spec) in file.replication.iter().enumerate() {
            let at = top.item(index);
            if !self.knows_guest(&at, spec.guest) || !self.knows_node(&at, &spec.target) {
                continue;
            }
            let number = self.world.replication_of(spec.guest).count();
            let job = [("target".to_owned(), spec.target.clone())];
            let job = job.into_iter().chain([("schedule".to_owned(), "*/15".to_owned())]);
            self.world.replication.insert(format!("{}-{number}", spec.guest), job.collect());
        }
    }

    fn tasks(&mut self, file: &WorldFile) {
        let top = At::top("tasks");
        let first = self.world.nodes.keys().next().cloned().unwrap_or_default();
        let mut past: Vec<(usize, &TaskSpec)> = file.tasks.iter().enumerate().collect();
        let ago = |spec: &TaskSpec| spec.minutes_ago.unwrap_or(60);
        past.sort_by_key(|(_, spec)| std::cmp::Reverse(ago(spec)));
        for (index, spec) in past {
            let at = top.item(index);
            let id = spec.id.as_ref().map_or("", |id| id.0.as_str());
            let user = spec.user.as_deref().unwrap_or("root@pam");
            let node = spec.node.as_ref().unwrap_or(&first);
            for (key, text) in [("type", spec.kind.as_str()), ("id", id), ("user", user)] {
                if text.contains([':', ' ', '\n']) || (text.is_empty() && key != "id") {
                    let message = format!("'{text}' cannot stand in the UPID of a task");
                    self.wrong(&at.key(key), message, None);
                }
            }
            if self.knows_node(&at.key("node"), node) {
                self.world.add_past(&Past {
                    node,
                    kind: &spec.kind,
                    id,
                    user,
                    minutes_ago: ago(spec),
                    status: spec.status.as_deref().unwrap_or("OK"),
                });
            }
        }
    }

    fn pools(&mut self, file: &WorldFile) {
        let top = At::top("pools");
        for (name, spec) in &file.pools {
            let at = top.key(name);
            let (guests, storages) = (at.key("guests"), at.key("storages"));
            for (index, vmid) in spec.guests.iter().enumerate() {
                self.knows_guest(&guests.item(index), *vmid);
                if let Some(other) = self.world.pool_of(*vmid).filter(|other| other != name) {
                    let message = format!("guest {vmid} is in pool '{other}' already");
                    self.wrong(&guests.item(index), message, None);
                }
            }
            for (index, id) in spec.storages.iter().enumerate() {
                self.knows_storage(&storages.item(index), id);
            }
            let pool = self.world.pools.entry(name.clone()).or_default();
            pool.comment.clone_from(&spec.comment);
            pool.guests.extend(&spec.guests);
            pool.storages.extend(spec.storages.iter().cloned());
        }
    }

    fn ha(&mut self, file: &WorldFile) {
        let ha = At::top("ha");
        let top = ha.key("resources");
        match &file.ha.resources {
            None => {}
            Some(Many::Count(_)) => {
                self.wrong(
                    &top,
                    "which guests? give their ids",
                    Some("as in [100, 101]".to_owned()),
                );
            }
            Some(Many::List(list)) => {
                for (index, vmid) in list.iter().enumerate() {
                    let spec = HaResourceSpec::default();
                    self.ha_resource(&top.item(index), &sid_of(*vmid), &spec);
                }
            }
            Some(Many::Map(map)) => {
                for (sid, spec) in map {
                    self.ha_resource(&top.key(sid), sid, spec);
                }
            }
        }
        let top = ha.key("rules");
        for (name, spec) in &file.ha.rules {
            self.ha_rule(&top.key(name), name, spec);
        }
    }

    fn knows_sid(&mut self, at: &At<'_>, sid: &str) {
        match sid.strip_prefix("vm:").and_then(|id| id.parse().ok()) {
            Some(vmid) => {
                self.knows_guest(at, vmid);
            }
            None => {
                let help = Some("as in vm:100".to_owned());
                self.wrong(at, format!("'{sid}' is no HA resource"), help);
            }
        }
    }

    fn ha_resource(&mut self, at: &At<'_>, sid: &str, spec: &HaResourceSpec) {
        self.knows_sid(at, sid);
        if let Some(state) = spec.state.as_deref().filter(|state| !STATES.contains(state)) {
            let help = suggest(state, STATES.iter().copied());
            self.wrong(&at.key("state"), format!("there is no state '{state}'"), help);
        }
        let resource = Resource {
            state: spec.state.clone(),
            failback: spec.failback,
            max_restart: spec.max_restart,
            max_relocate: spec.max_relocate,
            comment: spec.comment.clone(),
        };
        self.world.ha.resources.insert(sid.to_owned(), resource);
    }

    fn ha_rule(&mut self, at: &At<'_>, name: &str, spec: &HaRuleSpec) {
        let resources = at.key("resources");
        for (index, sid) in spec.resources.iter().enumerate() {
            self.knows_sid(&resources.item(index), sid);
        }
        let affinity = match (&spec.nodes, spec.affinity.as_deref()) {
            (Some(nodes), None) => Affinity::Nodes {
                nodes: self.priorities(&at.key("nodes"), nodes),
                strict: spec.strict,
            },
            (None, Some(word @ ("positive" | "negative"))) => {
                Affinity::Together(word == "positive")
            }
            (None, Some(word)) => {
                let help = Some("positive or negative".to_owned());
                return self.wrong(&at.key("affinity"), format!("what is '{word}'?"), help);
            }
            _ => {
                let help = Some("give 'nodes', or 'affinity: positive' or 'negative'".to_owned());
                return self.wrong(at, "is this a rule of nodes or of resources?", help);
            }
        };
        let rule = Rule {
            id: name.to_owned(),
            resources: spec.resources.iter().cloned().collect(),
            affinity,
            disable: spec.disable,
            comment: spec.comment.clone(),
        };
        self.world.ha.rules.retain(|rule| rule.id != name);
        self.world.ha.rules.push(rule);
        let errors = crate::ha::rules::check(&self.world.ha.rules, self.world.nodes.len());
        let text = errors.get(name).and_then(|fields| fields.values().flatten().next());
        if let Some(text) = text {
            self.wrong(at, text.clone(), None);
        }
    }

    fn priorities(&mut self, at: &At<'_>, nodes: &[String]) -> BTreeMap<String, i64> {
        let mut out = BTreeMap::new();
        for (index, text) in nodes.iter().enumerate() {
            let (node, priority) = text.split_once(':').unwrap_or((text, "0"));
            self.knows_node(&at.item(index), node);
            match priority.parse() {
                Ok(priority) => {
                    out.insert(node.to_owned(), priority);
                }
                Err(_) => {
                    let help = Some("as in pve1:2".to_owned());
                    self.wrong(&at.item(index), format!("'{priority}' is no priority"), help);
                }
            }
        }
        out
    }

    fn options_of_datacenter(&mut self, file: &WorldFile) {
        let top = At::top("options");
        let params = datacenter_params();
        for (key, value) in &file.options {
            let at = top.key(key);
            let Some(param) = params.iter().find(|param| param.name == key && key != "delete")
            else {
                let help = suggest(key, params.iter().map(|param| param.name));
                self.wrong(&at, format!("datacenter.cfg has no option '{key}'"), help);
                continue;
            };
            let text = match (param.kind, parse_bool(&value.0)) {
                (Kind::Bool, Some(flag)) => u8::from(flag).to_string(),
                _ => value.0.clone(),
            };
            match check(param.kind, key, &text) {
                Ok(()) => {
                    self.world.options.insert(key.clone(), text);
                }
                Err(error) => self.wrong(&at, format!("{key}: {}", error.trim()), None),
            }
        }
    }
}

/// The parameters of `PUT /cluster/options`.
fn datacenter_params() -> &'static [Param] {
    let all = TABLES.iter().copied().flatten();
    let mut own = all.filter(|endpoint| endpoint.path == "/cluster/options");
    own.find(|endpoint| endpoint.method == Method::Put).map_or(&[], |endpoint| endpoint.params)
}
