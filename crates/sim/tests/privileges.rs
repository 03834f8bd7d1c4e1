//! Replays `privileges.json` as it was measured on a real Proxmox VE 9.2 cluster: a token starts
//! with a role without privileges on `/`, is refused, is given what the refusal names, and tries
//! again until the operation passes. The refusals must be the measured ones, in their order.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

mod support;

use std::collections::BTreeSet;

use pvx_sim::{AclKind, Guest, Options, Sim, TimeScale, Volume, World};
use serde_json::Value;
use support::{Answer, Client, Who, wait_task};

const VMID: &str = "4400";
const TEMPLATE: &str = "4401";

/// Operations whose endpoints may not be there yet. May only shrink.
const MISSING: &[&str] = &[];

/// One measured operation.
struct Operation {
    name: String,
    method: String,
    path: String,
    params: Vec<(String, String)>,
    checks: Vec<(String, String)>,
    then: String,
}

fn operations() -> Vec<Operation> {
    let all: Value = serde_json::from_str(include_str!("privileges.json")).unwrap();
    let parse = |(name, found): (&String, &Value)| Operation {
        name: name.clone(),
        method: text(&found["call"][0]),
        path: text(&found["call"][1]).replace("{vmid}", VMID).replace("{template}", TEMPLATE),
        params: found["params"].as_object().into_iter().flatten().flat_map(pairs).collect(),
        checks: found["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|check| (text(&check["path"]), text(&check["privilege"])))
            .collect(),
        then: text(&found["then"]),
    };
    all["operations"].as_object().unwrap().iter().map(parse).collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn pairs((name, value): (&String, &Value)) -> Vec<(String, String)> {
    match value {
        Value::Array(items) => items.iter().map(|item| (name.clone(), text(item))).collect(),
        other => vec![(name.clone(), text(other))],
    }
}

/// The world of an operation: what it works on is there.
fn world(name: &str) -> World {
    let mut world = World::truth();
    world.access_mut().add_token("p@pve", "probe", "secret", false);
    world.access_mut().grant("/", AclKind::User, "p@pve", "Probe");
    grant(&mut world, &BTreeSet::new());
    let smbios = ("smbios1", "uuid=11111111-2222-4333-8444-555555555555");
    let net = ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0");
    let disk = ("scsi0", "shared:4401/base-4401-disk-0.qcow2,size=1G");
    world.add_volume("pve1", "shared:4401/base-4401-disk-0.qcow2", image(4401));
    world.add_guest(Guest::new(4401, "pve1", &[("template", "1"), disk, net, smbios]));
    if !name.starts_with("create") && !name.starts_with("clone") {
        world.add_volume("pve1", "shared:4400/vm-4400-disk-0.qcow2", image(4400));
        let disk = ("scsi0", "shared:4400/vm-4400-disk-0.qcow2,size=1G");
        let mut config = vec![disk, smbios, ("memory", "64"), ("name", "probe")];
        if name == "regenerate cloud-init" {
            world.add_volume("pve1", "shared:4400/vm-4400-cloudinit.qcow2", image(4400));
            config.push(("ide2", "shared:4400/vm-4400-cloudinit.qcow2,media=cdrom"));
        }
        world.add_guest(Guest::new(4400, "pve1", &config));
    }
    world.add_volume("pve1", "shared:4499/vm-4499-disk-0.raw", image(4499));
    world
}

fn image(vmid: u32) -> Volume {
    Volume {
        content: "images".to_owned(),
        format: "qcow2".to_owned(),
        size: 1 << 30,
        used: 1 << 20,
        vmid: Some(vmid),
        ..Volume::default()
    }
}

fn grant(world: &mut World, privileges: &BTreeSet<String>) {
    world.access_mut().roles.insert("Probe".to_owned(), privileges.clone());
}

struct Probe {
    sim: Sim,
    client: Client,
    root: Who,
    who: Who,
}

impl Probe {
    async fn start() -> Self {
        let options = Options { time_scale: TimeScale::INSTANT, ..Options::default() };
        let sim = Sim::start(World::truth(), options).await.unwrap();
        let root = Who::token("root@pam!lab", "11111111-2222-4333-8444-000000000001");
        let who = Who::token("p@pve!probe", "secret");
        Self { client: Client::new(sim.addr()), sim, root, who }
    }

    async fn prepare(&self, operation: &Operation) {
        self.sim.edit(|old| *old = world(&operation.name));
        if operation.name.contains("in pool") || operation.name == "pool add vm" {
            self.as_root("POST", "/pools", &[("poolid", "probe")]).await;
        }
        if ["rollback", "delete snapshot"].contains(&operation.name.as_str()) {
            let path = format!("/nodes/pve1/qemu/{VMID}/snapshot");
            self.as_root("POST", &path, &[("snapname", "snap")]).await;
        }
    }

    async fn as_root(&self, method: &str, path: &str, params: &[(&str, &str)]) {
        let answer = self.client.call(&self.root, method, path, params).await;
        if let Some(upid) = answer.body["data"].as_str().filter(|data| data.starts_with("UPID:")) {
            wait_task(&self.client, &self.root, upid).await;
        }
    }

    async fn try_it(&self, operation: &Operation) -> Answer {
        let params: Vec<(&str, &str)> =
            operation.params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.client.call(&self.who, &operation.method, &operation.path, &params).await
    }

    /// The checks met, and what came then. Of a choice of privileges the one with this number is
    /// given.
    async fn measure(
        &self,
        operation: &Operation,
        choice: usize,
    ) -> (Vec<(String, String)>, String) {
        self.prepare(operation).await;
        let (mut given, mut met) = (BTreeSet::new(), Vec::new());
        loop {
            let answer = self.try_it(operation).await;
            let then = self.outcome(&answer).await;
            // A worker can be refused too.
            let Some((path, privilege)) = refused(&then) else { return (met, then) };
            // Where the refusal names nothing, the measured privilege is given.
            let measured = operation.checks.get(met.len());
            let privilege = match (privilege.is_empty(), measured) {
                (true, Some((_, measured))) => measured.clone(),
                _ => privilege,
            };
            let alternatives: Vec<&str> = privilege.split('|').collect();
            let one = alternatives[choice.min(alternatives.len() - 1)].to_owned();
            met.push((path, privilege));
            if met.len() > 12 || !given.insert(one) {
                return (met, format!("refused again: {}", answer.reason));
            }
            self.sim.edit(|world| grant(world, &given));
        }
    }

    async fn outcome(&self, answer: &Answer) -> String {
        let mut brief = format!("{} {}", answer.status, answer.reason);
        // A change that is made in part names what is not in its errors.
        let errors = answer.body["errors"].as_object().into_iter().flatten();
        let denied = |text: &str| text.contains("Permission check failed").then(|| text.to_owned());
        brief.extend(errors.filter_map(|(_, text)| denied(text.as_str()?)));
        let Some(upid) = answer.body["data"].as_str().filter(|data| data.starts_with("UPID:"))
        else {
            return brief;
        };
        let status = wait_task(&self.client, &self.root, upid).await;
        format!("{brief}; task {}", text(&status["exitstatus"]))
    }
}

/// Path and privilege that a refusal names; `?` and nothing when it names none.
fn refused(then: &str) -> Option<(String, String)> {
    let (_, detail) = then.split_once("Permission check failed")?;
    let detail = detail.trim().trim_start_matches('(').trim_end_matches(')');
    let Some((path, privilege)) = detail.split_once(", ") else {
        return Some(("?".to_owned(), String::new()));
    };
    let own = |id: &str, name: &str| path.replace(&format!("/vms/{id}"), &format!("/vms/{name}"));
    let path =
        if path.ends_with(TEMPLATE) { own(TEMPLATE, "{template}") } else { own(VMID, "{vmid}") };
    Some((path, privilege.to_owned()))
}

/// Keys of one request are looked at in no order (Perl's hashes), so checks of keys that stand
/// together are sorted.
fn sorted(checks: &[(String, String)]) -> Vec<(String, String)> {
    let key =
        |check: &(String, String)| check.1.starts_with("VM.Config.") && check.0.contains("vmid");
    let mut all = checks.to_vec();
    for run in all.chunk_by_mut(|a, b| key(a) && key(b)) {
        run.sort();
    }
    all
}

#[tokio::test]
async fn refusals_are_the_measured_ones() {
    let probe = Probe::start().await;
    let mut wrong = Vec::new();
    for operation in operations() {
        let mut seen = Vec::new();
        // Which of several privileges was given is not recorded.
        for choice in 0..8 {
            let (met, then) = probe.measure(&operation, choice).await;
            let same = operation.then == "(not compared)" || then == operation.then;
            if same && sorted(&met) == sorted(&operation.checks) {
                seen.clear();
                break;
            }
            let line = format!("{met:?} then {then}");
            if seen.last() != Some(&line) {
                seen.push(line);
            }
        }
        let missing = seen.iter().any(|line| line.contains("then 501 "))
            && MISSING.contains(&operation.name.as_str());
        if !seen.is_empty() && !missing {
            let expected = format!("{:?} then {}", operation.checks, operation.then);
            wrong.push(format!(
                "{}:\n  real {expected}\n  sim  {}",
                operation.name,
                seen.join("\n       ")
            ));
        }
    }
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n"));
}
