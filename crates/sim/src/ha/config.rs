//! `resources.cfg`, the manager's status, and commands to it (`PVE::HA::Config`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::rules::Rule;
use crate::world::World;
use crate::world::guest::hex;

/// An entry of `resources.cfg`; what is not set has its default.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Resource {
    /// `started`, `stopped`, `enabled`, `disabled`, `ignored`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failback: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_restart: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_relocate: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) comment: Option<String>,
}

impl Resource {
    /// The requested state, `enabled` being an old word for `started`.
    pub(crate) fn request(&self) -> &str {
        match self.state.as_deref() {
            None | Some("enabled") => "started",
            Some(state) => state,
        }
    }

    /// What is set, as the API shows it.
    pub(crate) fn members(&self) -> Vec<(&'static str, Value)> {
        let mut out = Vec::new();
        let mut put = |key, value: Option<Value>| out.extend(value.map(|value| (key, value)));
        put("comment", self.comment.as_ref().map(|text| json!(text)));
        put("failback", self.failback.map(|flag| json!(u8::from(flag))));
        put("max_relocate", self.max_relocate.map(|number| json!(number)));
        put("max_restart", self.max_restart.map(|number| json!(number)));
        put("state", self.state.as_ref().map(|text| json!(text)));
        out
    }
}

/// What the manager makes of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Stopped,
    RequestStop,
    RequestStart,
    Started,
    Fence,
    Recovery,
    Migrate,
    Relocate,
    Freeze,
    Error,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::RequestStop => "request_stop",
            Self::RequestStart => "request_start",
            Self::Started => "started",
            Self::Fence => "fence",
            Self::Recovery => "recovery",
            Self::Migrate => "migrate",
            Self::Relocate => "relocate",
            Self::Freeze => "freeze",
            Self::Error => "error",
        }
    }
}

/// What the agent does for a service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Agent {
    /// The task that runs.
    pub(crate) upid: String,
    /// A relocation shuts the guest down before it moves.
    pub(crate) shutting_down: bool,
    /// The manager wants something else by now: how it ends does not matter.
    pub(crate) stale: bool,
}

/// A service as the manager knows it (`service_status`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) state: State,
    pub(crate) node: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<String>,
    /// Seconds for a stop; 0 stops at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<i64>,
    /// It was seen running since it is in state `started`.
    #[serde(default)]
    pub(crate) running: bool,
    #[serde(default)]
    pub(crate) failed_nodes: Vec<String>,
    /// How often the agent tried again to start it.
    #[serde(default)]
    pub(crate) tries: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<Agent>,
    /// Whether what the agent did for this state went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<bool>,
    /// What it shall do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cmd: Option<Command>,
}

impl Service {
    pub(crate) fn new(state: State, node: &str) -> Self {
        Self {
            state,
            node: node.to_owned(),
            target: None,
            timeout: None,
            running: false,
            failed_nodes: Vec::new(),
            tries: 0,
            agent: None,
            result: None,
            cmd: None,
        }
    }

    /// Goes to another state; all but node and failed nodes is forgotten. What the agent does is
    /// still done, but nobody asks how it ended.
    pub(crate) fn change(&mut self, state: State) {
        let failed_nodes = std::mem::take(&mut self.failed_nodes);
        let agent = self.agent.take().map(|agent| Agent { stale: true, ..agent });
        *self = Self { failed_nodes, agent, ..Self::new(state, &self.node) };
    }
}

/// A command to the manager (`crm_commands`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Command {
    Migrate {
        sid: String,
        node: String,
    },
    Relocate {
        sid: String,
        node: String,
    },
    /// With a time limit in seconds; 0 stops at once.
    Stop {
        sid: String,
        timeout: i64,
    },
    /// `freeze` or `ignore`.
    Disarm {
        mode: String,
    },
    Arm,
}

/// How far the cluster is disarmed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Disarm {
    /// `freeze` or `ignore`.
    pub(crate) mode: String,
    /// `disarming`, then `disarmed`.
    pub(crate) state: String,
}

/// A node that the manager does not see.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Lost {
    /// Sim ms from which its agent renews its lock no more.
    pub(crate) since_ms: i64,
    /// Sim ms since when the manager of today misses it.
    pub(crate) missed_ms: i64,
}

/// What `/etc/pve/ha` holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ha {
    /// By service id, `vm:100`.
    #[serde(default)]
    pub(crate) resources: BTreeMap<String, Resource>,
    /// In the order of the file.
    #[serde(default)]
    pub(crate) rules: Vec<Rule>,
    #[serde(default)]
    pub(crate) services: BTreeMap<String, Service>,
    #[serde(default)]
    pub(crate) commands: Vec<Command>,
    #[serde(default)]
    pub(crate) disarm: Option<Disarm>,
    /// Nodes that the manager does not see.
    #[serde(default)]
    pub(crate) lost: BTreeMap<String, Lost>,
    /// Nodes that are being fenced.
    #[serde(default)]
    pub(crate) fenced: Vec<String>,
    /// Who decides.
    #[serde(default)]
    pub(crate) master: Option<String>,
    /// The last beat.
    #[serde(skip)]
    pub(crate) beat: i64,
    /// The state of the world that needed nothing more when nothing takes time.
    #[serde(skip)]
    pub(crate) settled: u64,
}

impl Ha {
    /// Whether manager and agents have anything to do.
    pub(crate) fn busy(&self) -> bool {
        !self.resources.is_empty() || !self.services.is_empty() || !self.commands.is_empty()
    }

    /// SHA-1 of `resources.cfg`.
    pub(crate) fn digest(&self) -> String {
        let mut text = String::new();
        for (sid, resource) in &self.resources {
            text.push_str(&sid.replacen(':', ": ", 1));
            text.push('\n');
            for (key, value) in resource.members() {
                text.push_str(&format!("\t{key} {value}\n"));
            }
            text.push('\n');
        }
        hex(&Sha1::digest(text.as_bytes()))
    }

    /// `vm_is_ha_managed`: what is ignored, or while all is, counts as not managed.
    pub(crate) fn manages(&self, sid: &str) -> bool {
        let ignoring = self.disarm.as_ref().is_some_and(|disarm| disarm.mode == "ignore");
        let known = self.resources.get(sid);
        known.is_some_and(|resource| resource.request() != "ignored") && !ignoring
    }

    /// `get_service_status`.
    pub(crate) fn service_status(&self, vmid: u32) -> Value {
        let sid = sid_of(vmid);
        if !self.manages(&sid) {
            return json!({ "managed": 0 });
        }
        let state = self.services.get(&sid).map(|service| service.state.name());
        json!({ "managed": 1, "state": state })
    }

    /// `check_service_state`: a service in error has to be disabled first.
    pub(crate) fn check_state(&self, sid: &str, wanted: Option<&str>) -> Result<(), String> {
        let failed = self.services.get(sid).is_some_and(|service| service.state == State::Error);
        if failed && self.manages(sid) && wanted != Some("disabled") {
            return Err(format!(
                "service '{sid}' in error state, must be disabled and fixed first"
            ));
        }
        Ok(())
    }

    /// Sets the requested state, as `ha-manager set` does.
    pub(crate) fn request(&mut self, sid: &str, state: &str) -> Result<(), String> {
        self.check_state(sid, Some(state))?;
        let Some(resource) = self.resources.get_mut(sid) else {
            return Err(format!("update resources config failed: no such resource '{sid}'"));
        };
        resource.state = Some(state.to_owned());
        Ok(())
    }

    /// `delete_service_from_config`: rules forget it too, and end without resources.
    pub(crate) fn remove(&mut self, sid: &str, purge: bool) {
        self.resources.remove(sid);
        if purge {
            for rule in &mut self.rules {
                rule.resources.remove(sid);
            }
            self.rules.retain(|rule| !rule.resources.is_empty());
        }
    }
}

/// The service id of a guest.
pub(crate) fn sid_of(vmid: u32) -> String {
    format!("vm:{vmid}")
}

/// The guest of a service id.
pub(crate) fn vmid_of(sid: &str) -> Option<u32> {
    sid.strip_prefix("vm:")?.parse().ok()
}

/// `parse_sid`: a service id, or the id of a guest that exists.
pub(crate) fn parse_sid(world: &World, text: &str) -> Result<(String, String, String), String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let known = text.parse().ok().and_then(|vmid| world.guest(vmid)).is_some();
        if !known {
            return Err(format!("unable to detect SID from VMID - VM/CT {text} does not exist"));
        }
        return Ok((format!("vm:{text}"), "vm".to_owned(), text.to_owned()));
    }
    match text.rsplit_once(':') {
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() => {
            Ok((text.to_owned(), kind.to_owned(), name.to_owned()))
        }
        _ => Err(format!("unable to parse service id '{text}'")),
    }
}

impl World {
    /// Whether a guest's power and place are the manager's business.
    pub(crate) fn ha_managed(&self, vmid: u32) -> bool {
        self.ha.manages(&sid_of(vmid))
    }
}
