//! Commands that are more than one call of the API.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::Shell;
use super::super::io::Io;
use super::options::Parsed;
use super::table::cell;
use super::{Own, qm};
use crate::api::call::load_config;
use crate::api::endpoint::Method;
use crate::api::refusal::Refusal;

impl Shell {
    pub(super) async fn own(&mut self, own: Own, parsed: Parsed, io: &Io) -> Result<i32, Refusal> {
        match own {
            Own::Nothing => {}
            Own::Status => self.status(&parsed, io).await?,
            Own::Unlock => {
                let vmid = vmid(&parsed)?;
                let mut world = self.shared.world();
                load_config(&world, &self.node, vmid)?;
                if let Some(guest) = world.guests.get_mut(&vmid) {
                    guest.config.remove("lock");
                    guest.pending.remove("lock");
                }
                world.revision += 1;
            }
            Own::Wait => self.wait(&parsed, io).await?,
            Own::Rescan => self.rescan(&parsed, io)?,
            Own::ImportDisk => self.import_disk(&parsed, io).await?,
            Own::Exec => return self.guest_exec(parsed, io).await,
            Own::Path => {
                let volid = parsed.get("volume").unwrap_or_default();
                let Some((storage, _)) = volid.split_once(':') else {
                    return Err(Refusal::param(
                        "volume",
                        format!("invalid format - unable to parse volume ID '{volid}'\n"),
                    ));
                };
                let world = self.shared.world();
                crate::guest::allocate::storage_of(&world, storage).map_err(Refusal::die)?;
                drop(world);
                io.out.line(&self.fs(|fs| fs.path_of(volid)));
            }
            Own::Prune => self.prune(parsed, io).await?,
            // `APIVER` and `APIAGE` of PVE::Storage.
            Own::ApiInfo => io.out.text("APIVER 15\nAPIAGE 6\n"),
            Own::ClusterStatus => {
                io.out.text(&self.cluster_status());
                return Ok(if self.shared.world().quorate() { 0 } else { 2 });
            }
            Own::ClusterNodes => io.out.text(&self.cluster_nodes()),
            Own::HaStatus => self.ha_status(&parsed, io).await?,
            Own::HaMigrate => self.ha_move("migrate", parsed, io).await?,
            Own::HaRelocate => self.ha_move("relocate", parsed, io).await?,
            Own::HaStop => {
                let mut values = BTreeMap::from([("sid".to_owned(), sid(&parsed))]);
                values.insert("state".to_owned(), "stopped".to_owned());
                self.call(Method::Put, "/cluster/ha/resources/{sid}", values, io).await?;
            }
        }
        Ok(0)
    }

    /// `pvesm prune-backups`.
    async fn prune(&self, mut parsed: Parsed, io: &Io) -> Result<(), Refusal> {
        let dry = parsed.values.remove("dry-run").is_some_and(|value| value == "1");
        let (keeps, rest): (BTreeMap<String, String>, BTreeMap<String, String>) =
            parsed.values.into_iter().partition(|(key, _)| key.starts_with("keep-"));
        parsed.values = rest;
        let keeps: Vec<String> =
            keeps.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        if !keeps.is_empty() {
            parsed.values.insert("prune-backups".to_owned(), keeps.join(","));
        }
        let path = "/nodes/{node}/storage/{storage}/prunebackups";
        let method = if dry { Method::Get } else { Method::Delete };
        let value = self.call(method, path, parsed.values, io).await?;
        if dry {
            io.out.text(&super::pvesm::pruned(&value));
        } else if let Some(upid) = value.as_str() {
            self.follow(upid, io).await;
        }
        Ok(())
    }

    /// `crm-command migrate` and `relocate`: what goes along is told, what is in the way fails.
    async fn ha_move(&self, verb: &str, parsed: Parsed, io: &Io) -> Result<(), Refusal> {
        let path = match verb {
            "migrate" => "/cluster/ha/resources/{sid}/migrate",
            _ => "/cluster/ha/resources/{sid}/relocate",
        };
        let value = self.call(Method::Post, path, parsed.values, io).await?;
        let text = |item: &Value, key: &str| item.get(key).map(cell).unwrap_or_default();
        let list =
            |key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let (sid, node) = (text(&value, "sid"), text(&value, "requested-node"));
        let blocking = list("blocking-resources");
        if !blocking.is_empty() {
            let mut lines = format!("cannot {verb} resource '{sid}' to node '{node}':\n\n");
            for other in blocking {
                let why = match text(&other, "cause").as_str() {
                    "resource-affinity" => format!(" in negative affinity with resource '{sid}'"),
                    _ => String::new(),
                };
                let other = text(&other, "sid");
                lines.push_str(&format!("- resource '{other}' on target node '{node}'{why}\n"));
            }
            return Err(Refusal::die(lines));
        }
        for other in list("comigrated-resources") {
            io.out.line(&format!(
                "also {verb} resource '{}' in positive affinity with resource '{sid}' to target node '{node}'",
                cell(&other)
            ));
        }
        Ok(())
    }

    async fn ha_status(&self, parsed: &Parsed, io: &Io) -> Result<(), Refusal> {
        let result = self.call_path(Method::Get, "/cluster/ha/status/current", BTreeMap::new(), io);
        let value = match result.await {
            Some(result) => result?,
            None => return Err(Refusal::die("HA is not simulated")),
        };
        for item in value.as_array().into_iter().flatten() {
            let text = |key: &str| item.get(key).map(cell).unwrap_or_default();
            io.out.line(&format!("{} {}", text("type"), text("status")));
        }
        if parsed.flag("verbose") {
            io.out.line("full cluster state:");
            let path = "/cluster/ha/status/manager_status";
            if let Some(Ok(value)) = self.call_path(Method::Get, path, BTreeMap::new(), io).await {
                io.out.line(&super::json::pretty(&value, 3));
            }
        }
        Ok(())
    }

    async fn status(&self, parsed: &Parsed, io: &Io) -> Result<(), Refusal> {
        let vmid = vmid(parsed)?;
        load_config(&self.shared.world(), &self.node, vmid)?;
        let values = BTreeMap::from([("vmid".to_owned(), vmid.to_string())]);
        let path = "/nodes/{node}/qemu/{vmid}/status/current";
        let value = self.call(Method::Get, path, values, io).await?;
        if !parsed.flag("verbose") {
            let text = |key: &str| value.get(key).map(cell);
            let status = text("qmpstatus").or_else(|| text("status")).unwrap_or_default();
            io.out.line(&format!("status: {status}"));
            return Ok(());
        }
        for (key, value) in value.as_object().into_iter().flatten() {
            if !["cpu", "relcpu", "ha"].contains(&key.as_str()) {
                nested(io, "", value, Some(key));
            }
        }
        Ok(())
    }

    async fn wait(&self, parsed: &Parsed, io: &Io) -> Result<(), Refusal> {
        let vmid = vmid(parsed)?;
        let pid = || {
            self.shared.run_tasks();
            let world = self.shared.world();
            world.guest(vmid).and_then(|guest| guest.running.as_ref().map(|running| running.pid))
        };
        let Some(first) = pid() else { return Ok(()) };
        io.out.line(&format!("waiting until VM {vmid} stops (PID {first})"));
        let timeout: Option<i64> = parsed.get("timeout").and_then(|text| text.parse().ok());
        let mut count = 0;
        while pid().is_some() {
            if timeout.is_some_and(|timeout| count >= timeout) {
                return Err(Refusal::die("wait failed - got timeout"));
            }
            count += 1;
            self.pause(1000).await;
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// `qm guest exec`: starts a command and waits for it.
    async fn guest_exec(&self, parsed: Parsed, io: &Io) -> Result<i32, Refusal> {
        let vmid = vmid(&parsed)?.to_string();
        let timeout: i64 = parsed.get("timeout").and_then(|text| text.parse().ok()).unwrap_or(30);
        let synchronous = parsed.get("synchronous").is_none() || parsed.flag("synchronous");
        let mut values = BTreeMap::from([("vmid".to_owned(), vmid.clone())]);
        values.insert("command".to_owned(), parsed.extra.join("\0"));
        if parsed.flag("pass-stdin") {
            let input = String::from_utf8_lossy(&io.read().await).into_owned();
            values.insert("input-data".to_owned(), input);
        }
        let base = format!("/nodes/{}/qemu/{vmid}/agent", self.node);
        values.remove("vmid");
        let started = self.call_path(Method::Post, &format!("{base}/exec"), values, io).await;
        let Some(started) = started else {
            return Err(Refusal::die("'guest exec' is not simulated"));
        };
        let started = started?;
        let pid = started.get("pid").map(cell).unwrap_or_default();
        let mut waited = 0;
        while synchronous && (timeout == 0 || waited <= timeout * 10) {
            let values = BTreeMap::from([("pid".to_owned(), pid.clone())]);
            let path = format!("{base}/exec-status");
            if let Some(Ok(value)) = self.call_path(Method::Get, &path, values, io).await
                && value.get("exited").is_some_and(|exited| matches!(cell(exited).as_str(), "1"))
            {
                io.out.text(&qm::agent(&value));
                return Ok(0);
            }
            waited += 1;
            self.pause(100).await;
            tokio::task::yield_now().await;
        }
        io.out.text(&qm::agent(&json!({ "pid": started.get("pid") })));
        Ok(0)
    }
}

pub(super) fn vmid(parsed: &Parsed) -> Result<u32, Refusal> {
    let text = parsed.get("vmid").unwrap_or_default();
    let kind = crate::guest::format::Kind::Format(crate::guest::format::Format::Vmid);
    crate::guest::format::check(kind, "vmid", text)
        .map_err(|error| Refusal::param("vmid", error))?;
    text.parse().map_err(|_| Refusal::param("vmid", "invalid format\n"))
}

/// `100` is `vm:100`.
fn sid(parsed: &Parsed) -> String {
    let sid = parsed.get("sid").unwrap_or_default();
    if sid.contains(':') { sid.to_owned() } else { format!("vm:{sid}") }
}

/// `print_recursive_hash`.
fn nested(io: &Io, prefix: &str, value: &Value, key: Option<&str>) {
    let deeper = format!("\t{prefix}");
    let title = || key.map(|key| format!("{prefix}{key}:"));
    match value {
        Value::Object(members) => {
            title().into_iter().for_each(|line| io.out.line(&line));
            for (key, value) in members {
                nested(io, &deeper, value, Some(key));
            }
        }
        Value::Array(items) => {
            title().into_iter().for_each(|line| io.out.line(&line));
            for item in items {
                nested(io, &deeper, item, None);
            }
        }
        Value::Null => {}
        other => {
            let key = key.map(|key| format!("{key}: ")).unwrap_or_default();
            io.out.line(&format!("{prefix}{key}{}", cell(other)));
        }
    }
}
