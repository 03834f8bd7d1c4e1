//! Tasks: lists, status, log, stop.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::call::{Call, Data, Reply};
use super::endpoint::{Endpoint, optional};
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind};
use crate::world::task::{Task, TaskState};

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/cluster/tasks", cluster),
    Endpoint::get("/nodes/{node}/tasks", list).with(&[
        optional("errors", Kind::Bool),
        optional("limit", Kind::NATURAL),
        optional("since", Kind::INT),
        optional("source", Kind::Enum(&["archive", "active", "all"])),
        optional("start", Kind::NATURAL),
        optional("statusfilter", Kind::Check(status_types)).list(),
        optional("typefilter", Kind::TEXT),
        optional("until", Kind::INT),
        optional("userfilter", Kind::TEXT),
        optional("vmid", Kind::Format(Format::Vmid)),
    ]),
    Endpoint::get("/nodes/{node}/tasks/{upid}", index),
    Endpoint::delete("/nodes/{node}/tasks/{upid}", stop),
    Endpoint::get("/nodes/{node}/tasks/{upid}/status", status),
    Endpoint::get("/nodes/{node}/tasks/{upid}/log", log).with(&[
        optional("limit", Kind::NATURAL),
        optional("start", Kind::NATURAL),
        optional("download", Kind::Bool),
    ]),
];

/// How many tasks each node tells of (`active_workers`).
const NODE_LIMIT: usize = 25;

/// The user in the UPID of the path, which need not be one of a task.
fn named<'a>(call: &'a Call<'_>) -> Result<&'a str, Refusal> {
    let upid = call.params.get("upid").unwrap_or_default();
    if !is_upid(upid) {
        return Err(Refusal::param("upid", "unable to parse worker upid"));
    }
    Ok(upid.rsplit(':').nth(1).unwrap_or_default())
}

/// The task in the path: where it runs, and nowhere else.
fn find(call: &Call<'_>) -> Option<u64> {
    let (node, upid) = (call.node(), call.params.get("upid").unwrap_or_default());
    let found = call.world.tasks.find(upid).filter(|(_, task)| task.node == node);
    found.map(|(key, _)| key)
}

/// The task in the path, when the caller owns it or has a privilege on its node.
fn allowed(call: &Call<'_>, privilege: &str) -> Result<u64, Refusal> {
    let owner = named(call)?;
    let key = find(call).ok_or_else(|| Refusal::param("upid", "no such task"))?;
    check_owner(call, owner, privilege)?;
    Ok(key)
}

fn check_owner(call: &Call<'_>, owner: &str, privilege: &str) -> Result<(), Refusal> {
    if is_own(call, owner) {
        return Ok(());
    }
    call.require(&format!("/nodes/{}", call.node()), &[privilege])
}

/// `UPID:node:pid:pstart:start:type:id:user:`.
fn is_upid(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let [kind, node, pid, pstart, start, task, _, user, end] = parts.as_slice() else {
        return false;
    };
    let hex = |part: &str| part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    // 32 bit hold 497 days.
    let long =
        |part: &str| hex(part) || (part.len() == 9 && hex(part.get(1..).unwrap_or_default()));
    *kind == "UPID"
        && !node.is_empty()
        && hex(pid)
        && long(pstart)
        && hex(start)
        && !task.is_empty()
        && !user.is_empty()
        && !text.contains(['/', ' '])
        && end.is_empty()
}

/// A user sees the tasks of its tokens; a token its own.
pub(crate) fn is_own(call: &Call<'_>, owner: &str) -> bool {
    owner == call.caller.authid || owner.split('!').next() == Some(call.caller.authid.as_str())
}

/// What `statusfilter` chooses from.
const STATUS_TYPES: [&str; 4] = ["ok", "error", "warning", "unknown"];

fn status_types(value: &str) -> Result<(), String> {
    let known = |word: &str| STATUS_TYPES.contains(&word.to_ascii_lowercase().as_str());
    match crate::guest::format::list(value).find(|word| !known(word)) {
        Some(word) => Err(format!("invalid format - invalid status '{word}'\n")),
        None => Ok(()),
    }
}

/// `PVE::UPID::normalize_status_type`.
fn status_type(exit: Option<&str>) -> &'static str {
    match exit {
        None | Some("unexpected status") => "unknown",
        Some("OK") => "ok",
        Some(text) if text.starts_with("WARNINGS: ") => "warning",
        Some(_) => "error",
    }
}

fn user_of(task: &Task) -> &str {
    task.user.split('!').next().unwrap_or_default()
}

/// User and token apart.
fn who(task: &Task) -> (String, Option<String>) {
    match task.user.split_once('!') {
        Some((user, token)) => (user.to_owned(), Some(token.to_owned())),
        None => (task.user.clone(), None),
    }
}

fn base(task: &Task) -> Value {
    let (user, token) = who(task);
    let mut item = json!({
        "upid": task.upid, "node": task.node, "type": task.kind, "id": task.id, "user": user,
        "starttime": task.start_ms / 1000,
    });
    if let (Some(token), Some(members)) = (token, item.as_object_mut()) {
        members.insert("tokenid".to_owned(), json!(token));
    }
    item
}

fn put(item: &mut Value, key: &str, value: Value) {
    if let Some(members) = item.as_object_mut() {
        members.insert(key.to_owned(), value);
    }
}

fn list_item(task: &Task) -> Value {
    let mut item = base(task);
    put(&mut item, "pid", json!(task.pid));
    put(&mut item, "pstart", json!(task.pstart));
    match &task.state {
        TaskState::Running => {
            // The list of active tasks does not take the user apart.
            put(&mut item, "user", json!(task.user));
            if let Some(members) = item.as_object_mut() {
                members.remove("tokenid");
            }
            put(&mut item, "saved", json!("0"));
            put(&mut item, "status", json!("RUNNING"));
        }
        TaskState::Stopped { end_ms, exit } => {
            put(&mut item, "endtime", json!(end_ms / 1000));
            put(&mut item, "status", json!(exit));
        }
    }
    item
}

fn cluster(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let all = call.may("/", &["Sys.Audit"]);
    // User and token are taken apart before they are compared: a token never sees its own.
    let own = |task: &Task| task.user.split('!').next() == Some(call.caller.authid.as_str());
    let items = recent(call).into_iter().filter(|task| all || own(task)).map(|task| {
        let mut item = base(task);
        if let TaskState::Stopped { end_ms, exit } = &task.state {
            put(&mut item, "endtime", json!(end_ms / 1000));
            put(&mut item, "status", json!(exit));
            put(&mut item, "saved", json!("1"));
        } else {
            put(&mut item, "pid", json!(task.pid));
            put(&mut item, "saved", json!("0"));
        }
        item
    });
    Ok(Value::Array(items.collect()).into())
}

/// What the nodes tell of, one after the other: the running tasks of each, then its newest.
fn recent<'a>(call: &'a Call<'_>) -> Vec<&'a Task> {
    let mut found: BTreeMap<&str, (Vec<&Task>, Vec<&Task>)> = BTreeMap::new();
    for task in call.world.tasks.iter().rev() {
        let (running, ended) = found.entry(&task.node).or_default();
        if task.running() {
            running.push(task);
        } else if ended.len() < NODE_LIMIT {
            ended.push(task);
        }
    }
    let each = found.into_values().flat_map(|(mut running, mut ended)| {
        running.reverse();
        ended.truncate(NODE_LIMIT.saturating_sub(running.len()));
        running.into_iter().chain(ended)
    });
    each.collect()
}

fn list(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let node = call.node();
    let all = call.may(&format!("/nodes/{node}"), &["Sys.Audit"]);
    let params = &call.params;
    let source = params.get("source").unwrap_or("archive");
    let errors = params.flag("errors").unwrap_or(false);
    let types = params.get("statusfilter").map(str::to_ascii_lowercase);
    // To Perl, an empty text and 0 are no filter.
    let given = |name| params.get(name).filter(|text| !matches!(*text, "" | "0"));
    let userfilter = given("userfilter").map(str::to_ascii_lowercase);
    let typefilter = given("typefilter");
    let (since, until) = (params.int("since"), params.int("until"));
    let fits = |task: &&Task| {
        let start = task.start_ms / 1000;
        let kind = status_type(task.exit());
        let wanted = match &types {
            _ if errors => kind != "ok",
            Some(types) => crate::guest::format::list(types).any(|word| word == kind),
            None => true,
        };
        // The list of active tasks does not take user and token apart.
        let own =
            if task.running() { task.user == call.caller.authid } else { is_own(call, &task.user) };
        let user = if task.running() { task.user.as_str() } else { user_of(task) };
        task.node == node
            && (all || own)
            && wanted
            && match source {
                "active" => task.running(),
                "archive" => !task.running(),
                _ => true,
            }
            && params.get("vmid").is_none_or(|vmid| task.id == vmid)
            && typefilter.is_none_or(|kind| task.kind == kind)
            && userfilter.as_ref().is_none_or(|part| user.to_ascii_lowercase().contains(part))
            && since.is_none_or(|since| start >= since)
            && until.is_none_or(|until| start <= until)
    };
    let mut found: Vec<&Task> = call.world.tasks.iter().rev().filter(fits).collect();
    // Running ones as they were started, then the archive from its end.
    found.sort_by_key(|task| match task.state {
        TaskState::Running => (0, task.start_ms),
        TaskState::Stopped { end_ms, .. } => (1, end_ms.saturating_neg()),
    });
    let start = usize::try_from(params.int("start").unwrap_or(0)).unwrap_or(0);
    let limit = usize::try_from(params.int("limit").unwrap_or(50)).unwrap_or(50);
    let items = found.iter().skip(start).take(limit).map(|task| list_item(task)).collect();
    let mut reply = Reply::from(Value::Array(items));
    reply.total = Some(found.len());
    Ok(reply)
}

fn index(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    Ok(super::cluster::subdirs(&["log", "status"], "name").into())
}

fn stop(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let key = allowed(call, "Sys.Modify")?;
    if call.world.tasks.get(key).is_some_and(Task::running) {
        crate::work::stop(call.world, call.moment, key);
    }
    Ok(Value::Null.into())
}

fn status(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let key = allowed(call, "Sys.Audit")?;
    let Some(task) = call.world.tasks.get(key) else { return Ok(Value::Null.into()) };
    let mut item = base(task);
    put(&mut item, "pid", json!(task.pid));
    put(&mut item, "pstart", json!(task.pstart));
    match task.exit() {
        None => put(&mut item, "status", json!("running")),
        Some(exit) => {
            put(&mut item, "status", json!("stopped"));
            put(&mut item, "exitstatus", json!(exit));
        }
    }
    Ok(item.into())
}

fn log(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    check_owner(call, named(call)?, "Sys.Audit")?;
    if call.params.flag("download") == Some(true) {
        return download(call);
    }
    let Some(task) = find(call).and_then(|key| call.world.tasks.get(key)) else {
        let line = json!({ "n": 1, "t": "unable to open file - No such file or directory" });
        return Ok(Reply { total: Some(1), ..Reply::from(json!([line])) });
    };
    let number = |name, default| {
        call.params.int(name).and_then(|value| usize::try_from(value).ok()).unwrap_or(default)
    };
    let (start, limit) = (number("start", 0), number("limit", 50));
    // 0 is for all.
    let limit = if limit == 0 { usize::MAX } else { limit };
    let lines = task.log.iter().enumerate().skip(start).take(limit);
    let mut items: Vec<Value> = lines.map(|(at, line)| json!({ "n": at + 1, "t": line })).collect();
    if task.log.is_empty() {
        items.push(json!({ "n": 1, "t": "no content" }));
    }
    let mut reply = Reply::from(Value::Array(items));
    reply.total = Some(task.log.len().max(1));
    Ok(reply)
}

/// The whole log as a file.
fn download(call: &Call<'_>) -> Result<Reply, Refusal> {
    if ["start", "limit"].iter().any(|name| call.params.get(name).is_some()) {
        let text = "'download' cannot be used together with 'start' or 'limit' parameters";
        return Err(Refusal::die(text));
    }
    let Some(task) = find(call).and_then(|key| call.world.tasks.get(key)) else {
        let upid = call.params.get("upid").unwrap_or_default();
        // In a folder by the last digit of the start.
        let start = upid.split(':').nth(4).unwrap_or_default();
        let folder = start.chars().next_back().unwrap_or('0');
        let path = format!("/var/log/pve/tasks/{folder}/{upid}");
        return Err(Refusal::die(format!(
            "Could not open file '{path}' - No such file or directory"
        )));
    };
    let lines = task.log.iter().map(|line| format!("{line}\n"));
    let text = lines.collect::<String>().into_bytes();
    Ok(Reply { data: Data::File(text), total: None })
}

#[cfg(test)]
mod tests {
    use super::is_upid;

    #[test]
    fn upids() {
        assert!(is_upid("UPID:pve1:00000F2A:000862E8:6B034FBE:qmcreate:4000:root@pam!lab:"));
        assert!(is_upid("UPID:pve1:00000001:00000001:00000001:qmstart:1:root@pam:"));
        for bad in [
            "notaupid",
            "UPID:pve1:1:1:1:qmstart:1:root@pam:",
            "UPID:::::::",
            "UPID:pve1:00000001:00000001:00000001:qmstart:1:root@pam",
        ] {
            assert!(!is_upid(bad), "{bad}");
        }
    }
}
