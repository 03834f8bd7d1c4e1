//! Recordings of a real cluster with nodes switched off: one of three, and two of three.
//!
//! A strict step has the same status, reason and body (uuids, digests and times apart) and the
//! same exit status of its task; a loose one the same status and, per type, the same keys. What
//! takes the real one a second or more takes the simulator as long, within a half.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Instant;

use pvx_sim::{Guest, Options, Sim, TimeScale, Volume, World};
use regex::Regex;
use serde_json::Value;
use support::{Answer, Client, Who, wait_task};

const SCALE: f64 = 20.0;

fn file(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The world before the recordings: a guest on pve1 with a shared disk, one on pve3 without disks.
fn world() -> World {
    let mut world = World::truth();
    let size = 1 << 30;
    let (content, format) = ("images".to_owned(), "qcow2".to_owned());
    let disk = Volume { content, format, size, vmid: Some(4710), ..Volume::default() };
    world.add_volume("pve1", "shared:4710/vm-4710-disk-0.qcow2", disk);
    let own = [
        ("memory", "64"),
        ("scsi0", "shared:4710/vm-4710-disk-0.qcow2,size=1G"),
        ("boot", "order=scsi0"),
        ("smbios1", "uuid=a4c7cb40-9064-4a4e-8f68-0eb59f23bd5c"),
        ("vmgenid", "aa5614f4-178d-4e12-8b6a-44e7c7308169"),
        ("meta", "creation-qemu=10.2.2,ctime=1795381774"),
    ];
    world.add_guest(Guest::new(4710, "pve1", &own));
    world.add_guest(Guest::new(4711, "pve3", &[("memory", "64")]));
    world
}

fn normal(text: &str) -> String {
    let rules = [
        (r"UPID:[^\s]*", "<upid>"),
        (r"\b[0-9a-f]{40}\b", "<digest>"),
        (r"\.conf\.tmp\.(?:\d+|<pid>)", ".conf.tmp.<pid>"),
    ];
    let put = |text: String, (rule, with): (&str, &str)| {
        Regex::new(rule).unwrap().replace_all(&text, with).into_owned()
    };
    rules.into_iter().fold(text.trim_end().to_owned(), put)
}

/// The keys that all items of a type have.
fn shape(body: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let items: Vec<&Value> = match &body["data"] {
        Value::Array(items) => items.iter().collect(),
        other => vec![other],
    };
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for item in items {
        let keys: BTreeSet<String> =
            item.as_object().into_iter().flat_map(|item| item.keys().cloned()).collect();
        let kind = format!("{} {}", item["type"], item["status"]);
        let entry = found.entry(kind).or_insert_with(|| keys.clone());
        *entry = entry.intersection(&keys).cloned().collect();
    }
    found
}

async fn step(client: &Client, auth: &Value, step: &Value) -> (Answer, Option<Value>, f64) {
    let header = auth[step["as"].as_str().unwrap_or("root")]["header"].as_str().unwrap_or("");
    let own = ("Authorization".to_owned(), header.to_owned());
    let who = Who { headers: if header.is_empty() { Vec::new() } else { vec![own] } };
    let params: Vec<(String, String)> = step["params"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| {
            (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        })
        .collect();
    let params: Vec<(&str, &str)> =
        params.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let (method, path) = (step["method"].as_str().unwrap(), step["path"].as_str().unwrap());
    let began = Instant::now();
    let answer = client.call(&who, method, path, &params).await;
    let upid = answer.body["data"].as_str().filter(|text| text.starts_with("UPID:"));
    let task = match upid {
        Some(upid) => Some(wait_task(client, &who, upid).await),
        None => None,
    };
    (answer, task, began.elapsed().as_secs_f64() * SCALE)
}

async fn play(name: &str, off: &[&str]) {
    let recording = file(&format!("conditions/{name}.json"));
    let auth = file("auth.json");
    let options = Options { time_scale: TimeScale::times(SCALE), ..Options::default() };
    let sim = Sim::start(world(), options).await.unwrap();
    for node in off {
        assert!(sim.edit(|world| world.set_node_online(node, false)));
    }
    // What comes to a node that is off is not reported.
    sim.edit(|world| world.add_guest(Guest::new(4712, "pve3", &[])));
    if name == "node-offline" {
        sim.edit(|world| world.remove_guest(4712));
    }
    let client = Client::new(sim.addr());
    for recorded in recording["steps"].as_array().unwrap() {
        let id = format!("{name}/{}", recorded["id"].as_str().unwrap());
        let want = &recorded["answer"];
        let (answer, task, seconds) = step(&client, &auth, recorded).await;
        assert_eq!(want["status"], answer.status, "{id}: {answer:?}");
        if recorded["loose"] == true {
            let ours = shape(&answer.body);
            for (kind, keys) in shape(&want["body"]) {
                let found = ours.get(&kind).unwrap_or_else(|| panic!("{id}: no {kind}: {ours:?}"));
                let missing: Vec<&String> = keys.difference(found).collect();
                assert!(missing.is_empty(), "{id}: {kind} lacks {missing:?}");
            }
            continue;
        }
        if answer.status != 200 {
            assert_eq!(normal(want["reason"].as_str().unwrap()), normal(&answer.reason), "{id}");
        }
        let (real, ours) = (normal(&want["body"].to_string()), normal(&answer.body.to_string()));
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
        if task.is_none() {
            assert_eq!(value(&real), value(&ours), "{id}");
        }
        if let (Some(task), Some(real)) = (&task, want.get("task")) {
            for key in ["exitstatus", "type", "id"] {
                assert_eq!(
                    normal(real[key].as_str().unwrap()),
                    normal(task[key].as_str().unwrap()),
                    "{id}: {key}"
                );
            }
        }
        let ms = want["ms"].as_f64().unwrap_or(0.0) + want["task"]["ms"].as_f64().unwrap_or(0.0);
        if ms > 2_500.0 {
            assert!(seconds > ms / 1000.0 * 0.5, "{id}: {seconds} s, real: {ms} ms");
        }
    }
    sim.shutdown().await;
}

#[tokio::test]
async fn one_node_is_off() {
    play("node-offline", &["pve3"]).await;
}

#[tokio::test]
async fn two_nodes_are_off() {
    play("no-quorum", &["pve2", "pve3"]).await;
}
