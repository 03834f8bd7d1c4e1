//! Plays recordings of a real Proxmox VE 9.2 cluster on the world `truth` and compares every
//! answer, after normalising what must differ. How many steps agree is a ratchet: it goes up.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pvx_sim::{Options, Sim, TimeScale, World};
use regex::Regex;
use serde_json::{Map, Value, json};
use support::{Answer, Client, Who, encode};

/// Values that measure a running machine: only their type is compared.
const MEASURED: &[&str] = &[
    "cpu",
    "mem",
    "memhost",
    "disk",
    "diskread",
    "diskwrite",
    "netin",
    "netout",
    "uptime",
    "pid",
    "freemem",
    "balloon_min",
    "used",
    "avail",
    "total",
    "used_fraction",
    "maxdisk",
    "wait",
    "loadavg",
    "pstart",
    "starttime",
    "endtime",
    "ctime",
    "snaptime",
    "ticket",
    "CSRFPreventionToken",
    "value",
    "release",
    "repoid",
    "version",
    "pveversion",
    "kversion",
    "idle",
    "ksm",
    "swap",
    "cpuinfo",
    "current-kernel",
    "boot-info",
    "rootfs",
    "memory_used",
    "exitcode",
    "upid",
    "running-qemu",
    "running-machine",
    "clustertime",
    "maxcpu_host",
    "level",
    "ssl_fingerprint",
    "nics",
    "blockstat",
    "pressurecpusome",
    "pressurecpufull",
    "pressureiosome",
    "pressureiofull",
    "pressurememorysome",
    "pressurememoryfull",
    "proxmox-support",
    "ballooninfo",
    "host-cpu",
    "expire",
    "size_bytes",
];

/// Puts placeholders where two servers must differ.
struct Normal(Vec<(Regex, &'static str)>);

impl Normal {
    fn new() -> Self {
        let upid = r"UPID:([^:\s]+):[0-9A-Fa-f]{8}:[0-9A-Fa-f]{8,9}:[0-9A-Fa-f]{8}:([^:\s]+):([^:\s]*):([^:\s]+):";
        let rules = [
            (upid, "<UPID:$1:$2:$3:$4>"),
            (r"creation-qemu=[^,]+,ctime=\d+", "<meta>"),
            (r"(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<uuid>"),
            (r"\b[0-9a-f]{40}\b|\b[0-9a-f]{64}\b", "<digest>"),
            (r"\.conf\.tmp\.(?:\d+|<pid>)", ".conf.tmp.<pid>"),
            (r"(?i)\b(?:[0-9A-F]{2}:){5}[0-9A-F]{2}\b", "<mac>"),
            (r"\b1[6-9]\d{8}\b", "<time>"),
        ];
        Self(rules.into_iter().map(|(rule, with)| (Regex::new(rule).unwrap(), with)).collect())
    }

    fn text(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, (rule, with)| rule.replace_all(&text, *with).into_owned())
    }

    fn value(&self, value: &Value, key: &str) -> Value {
        let plain = !value.is_object() && !value.is_array() && !value.is_null();
        if plain && MEASURED.contains(&key) {
            return json!(if value.is_number() || value.is_boolean() {
                "<number>"
            } else {
                "<text>"
            });
        }
        match value {
            Value::Object(members) => {
                let members =
                    members.iter().map(|(key, value)| (key.clone(), self.value(value, key)));
                Value::Object(members.collect())
            }
            Value::Array(items) => {
                let mut items: Vec<Value> = items.iter().map(|item| self.value(item, "")).collect();
                if items.iter().all(Value::is_object) {
                    items.sort_by_key(sort_key);
                }
                Value::Array(items)
            }
            Value::String(text) => json!(self.text(text)),
            other => other.clone(),
        }
    }
}

fn sort_key(item: &Value) -> String {
    let names = ["id", "vmid", "volid", "name", "storage", "key"];
    let found = names.iter().find_map(|name| item.get(*name).filter(|value| !value.is_null()));
    found.unwrap_or(item).to_string()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "integer",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// What differs, a line each. `loose` compares keys and types, not values.
fn differences(
    want: &Value,
    got: &Value,
    at: &str,
    ignore: &[String],
    loose: bool,
    out: &mut Vec<String>,
) {
    match (want, got) {
        (Value::Object(want), Value::Object(got)) => {
            for key in want.keys().chain(got.keys().filter(|key| !want.contains_key(*key))) {
                if ignore.contains(key) {
                    continue;
                }
                let here = format!("{at}.{key}");
                match (want.get(key), got.get(key)) {
                    (Some(want), Some(got)) => differences(want, got, &here, ignore, loose, out),
                    (Some(_), None) => out.push(format!("{here}: missing")),
                    (None, Some(got)) if !loose => {
                        out.push(format!("{here}: not in the real answer ({got})"));
                    }
                    _ => {}
                }
            }
        }
        (Value::Array(want), Value::Array(got)) if loose => shapes(want, got, at, ignore, out),
        (Value::Array(want), Value::Array(got)) => {
            if want.len() != got.len() {
                out.push(format!("{at}: {} items, real: {}", got.len(), want.len()));
            }
            for (index, (want, got)) in want.iter().zip(got).enumerate() {
                differences(want, got, &format!("{at}[{index}]"), ignore, loose, out);
            }
        }
        _ if kind(want) != kind(got) => out.push(format!("{at}: {got}, real: {want}")),
        _ if want != got && !loose => out.push(format!("{at}: {got}, real: {want}")),
        _ => {}
    }
}

/// Every key that all real items of a type have is there, with a type that the real ones have.
fn shapes(want: &[Value], got: &[Value], at: &str, ignore: &[String], out: &mut Vec<String>) {
    let group = |items: &[Value]| {
        let mut found: BTreeMap<String, Vec<Map<String, Value>>> = BTreeMap::new();
        for item in items.iter().filter_map(Value::as_object) {
            let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
            found.entry(kind.to_owned()).or_default().push(item.clone());
        }
        found
    };
    let ours = group(got);
    for (kind_name, items) in group(want) {
        let Some(ours) = ours.get(&kind_name) else {
            out.push(format!("{at}[{kind_name}]: no item"));
            continue;
        };
        for key in items[0].keys().filter(|key| !ignore.contains(key)) {
            let kinds: Vec<&str> =
                items.iter().filter_map(|item| item.get(key)).map(kind).collect();
            if kinds.len() < items.len() {
                continue;
            }
            let wrong = ours
                .iter()
                .find(|item| item.get(key).is_none_or(|value| !kinds.contains(&kind(value))));
            if let Some(item) = wrong {
                out.push(format!("{at}[{kind_name}].{key}: {:?}, real: {kinds:?}", item.get(key)));
            }
        }
    }
}

/// Plays one recording.
struct Player<'a> {
    client: &'a Client,
    auth: &'a Value,
    known: Map<String, Value>,
    variable: Regex,
    normal: Normal,
}

impl Player<'_> {
    fn fill(&self, text: &str) -> String {
        let value = |found: &regex::Captures<'_>| match self.known.get(&found[1]) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => found[0].to_owned(),
        };
        self.variable.replace_all(text, value).into_owned()
    }

    async fn who(&self, name: &str, method: &str) -> Who {
        let entry = &self.auth[name];
        if let Some(header) = entry["header"].as_str() {
            let pair = ("Authorization".to_owned(), header.to_owned());
            return Who { headers: if header.is_empty() { Vec::new() } else { vec![pair] } };
        }
        let params = [
            ("username", entry["username"].as_str().unwrap()),
            ("password", entry["password"].as_str().unwrap()),
        ];
        let login = self.client.call(&Who::default(), "POST", "/access/ticket", &params).await;
        let data = &login.body["data"];
        let cookie = format!("PVEAuthCookie={}", encode(data["ticket"].as_str().unwrap()));
        let mut headers = vec![("Cookie".to_owned(), cookie)];
        if method != "GET" {
            headers.push((
                "CSRFPreventionToken".to_owned(),
                data["CSRFPreventionToken"].as_str().unwrap().to_owned(),
            ));
        }
        Who { headers }
    }

    async fn call(&self, step: &Value) -> Answer {
        let method = step["method"].as_str().unwrap();
        let who = self.who(step["as"].as_str().unwrap_or("root"), method).await;
        let path =
            self.fill(step["path"].as_str().unwrap()).replace('!', "%21").replace(' ', "%20");
        let mut params = Vec::new();
        for (key, value) in step["params"].as_object().into_iter().flatten() {
            let items = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            for item in items {
                let text = item.as_str().map_or_else(|| item.to_string(), str::to_owned);
                params.push((key.clone(), self.fill(&text)));
            }
        }
        let params: Vec<(&str, &str)> =
            params.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        self.client.call(&who, method, &path, &params).await
    }

    /// Repeats a read until it holds what the step waits for.
    async fn settle(&self, step: &Value) -> Answer {
        let mut answer = self.call(step).await;
        let until = &step["until"];
        for _ in 0..300 {
            let holds = match (until["status"].as_u64(), until["path"].as_str()) {
                (Some(status), _) => u64::from(answer.status) == status,
                (None, Some(path)) => {
                    answer.body.pointer(&format!("/{}", path.replace('.', "/")))
                        == Some(&until["equals"])
                }
                _ => true,
            };
            if holds {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            answer = self.call(step).await;
        }
        answer
    }

    async fn step(&mut self, step: &Value) -> Vec<String> {
        let answer = self.settle(step).await;
        let want = &step["answer"];
        let loose = step["loose"].as_bool().unwrap_or(false);
        let ignore: Vec<String> = step["ignore"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|key| Some(key.as_str()?.to_owned()))
            .collect();
        let mut out = Vec::new();
        if want["status"] != answer.status {
            out.push(format!(
                "status: {} {}, real: {}",
                answer.status, answer.reason, want["status"]
            ));
        }
        let reason = want["reason"].as_str().unwrap_or_default();
        if want["status"] != 200
            && !loose
            && self.normal.text(reason).trim() != self.normal.text(&answer.reason).trim()
        {
            out.push(format!("reason: {:?}, real: {reason:?}", answer.reason));
        }
        let body = (self.normal.value(&want["body"], ""), self.normal.value(&answer.body, ""));
        differences(&body.0, &body.1, "body", &ignore, loose, &mut out);
        if let Some(task) = want.get("task") {
            self.compare_task(task, &answer, &ignore, &mut out).await;
        }
        for (name, path) in step["capture"].as_object().into_iter().flatten() {
            let pointer = format!("/{}", path.as_str().unwrap().replace('.', "/"));
            if let Some(value) = answer.body.pointer(&pointer) {
                self.known.insert(name.clone(), value.clone());
            }
        }
        out
    }

    async fn compare_task(
        &self,
        want: &Value,
        answer: &Answer,
        ignore: &[String],
        out: &mut Vec<String>,
    ) {
        let Some(upid) = answer.body["data"].as_str() else { return };
        let root = self.who("root", "GET").await;
        let status = support::wait_task(self.client, &root, upid).await;
        for key in ["exitstatus", "type", "id"] {
            let pair = (self.normal.value(&want[key], key), self.normal.value(&status[key], key));
            differences(&pair.0, &pair.1, &format!("task.{key}"), ignore, false, out);
        }
    }
}

async fn play(client: &Client, auth: &Value, file: &Path) -> String {
    let recording: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let known = recording["vars"].as_object().cloned().unwrap_or_default();
    let variable = Regex::new(r"\{([a-z_][a-z0-9_]*)\}").unwrap();
    let mut player = Player { client, auth, known, variable, normal: Normal::new() };
    let steps = recording["steps"].as_array().unwrap();
    let mut good = 0;
    let mut lines = String::new();
    for step in steps {
        let found = player.step(step).await;
        good += usize::from(found.is_empty());
        if let Some(first) = found.first() {
            lines.push_str(&format!(
                "    {}: {}\n",
                step["id"].as_str().unwrap(),
                player.normal.text(first)
            ));
        }
    }
    eprint!("{lines}");
    format!("{} {good} of {}\n", recording["name"].as_str().unwrap(), steps.len())
}

#[tokio::test]
async fn answers_are_those_of_the_real_cluster() {
    let options = Options { time_scale: TimeScale::times(30.0), ..Options::default() };
    let sim = Sim::start(World::truth(), options).await.unwrap();
    let client = Client::new(sim.addr());
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests");
    let auth =
        serde_json::from_str(&std::fs::read_to_string(folder.join("auth.json")).unwrap()).unwrap();
    let mut table = String::new();
    for name in PLAYED {
        table
            .push_str(&play(&client, &auth, &folder.join(format!("recordings/{name}.json"))).await);
    }
    insta::assert_snapshot!(table);
}

/// In this order; each cleans up after itself.
const PLAYED: &[&str] = &[
    "access",
    "bulk-ha",
    "cloudinit",
    "cluster-read",
    "disks",
    "guest",
    "migrate",
    "pools-ha",
    "power",
    "snapshots",
    "storage",
    "tasks",
    "template-clone",
    "users-tokens",
    "vm-life",
];
