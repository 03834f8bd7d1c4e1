//! Tasks: lists, status, log, stop.

use serde_json::{Value, json};

use super::call::{Call, Reply};
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
        optional("statusfilter", Kind::TEXT),
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

/// How many tasks `/cluster/tasks` shows.
const CLUSTER_LIMIT: usize = 25;

/// The task in the path, when the caller may see it.
fn find(call: &Call<'_>, writes: bool) -> Result<u64, Refusal> {
    let upid = call.params.get("upid").unwrap_or_default();
    if !is_upid(upid) {
        return Err(Refusal::param("upid", "unable to parse worker upid"));
    }
    let node = call.node();
    let found = call.world.tasks.find(upid).filter(|(_, task)| task.node == node);
    let Some((key, task)) = found else {
        return Err(Refusal::param("upid", "no such task"));
    };
    if !is_own(call, task) {
        let privilege = if writes { "Sys.Modify" } else { "Sys.Audit" };
        call.require(&format!("/nodes/{node}"), &[privilege])?;
    }
    Ok(key)
}

/// `UPID:node:pid:pstart:start:type:id:user:`.
fn is_upid(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let [kind, node, pid, pstart, start, task, _, user, end] = parts.as_slice() else {
        return false;
    };
    let hex = |part: &str| {
        (8..=9).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    *kind == "UPID"
        && !node.is_empty()
        && hex(pid)
        && hex(pstart)
        && hex(start)
        && !task.is_empty()
        && user.contains('@')
        && end.is_empty()
}

/// A user sees the tasks of its tokens; a token its own.
fn is_own(call: &Call<'_>, task: &Task) -> bool {
    task.user == call.caller.authid
        || task.user.split('!').next() == Some(call.caller.authid.as_str())
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
    let visible = call.world.tasks.iter().rev().filter(|task| all || is_own(call, task));
    let items = visible.take(CLUSTER_LIMIT).map(|task| {
        let mut item = base(task);
        if let TaskState::Stopped { end_ms, exit } = &task.state {
            put(&mut item, "endtime", json!(end_ms / 1000));
            put(&mut item, "status", json!(exit));
            put(&mut item, "saved", json!("1"));
        } else {
            put(&mut item, "pid", json!(task.pid));
            put(&mut item, "pstart", json!(task.pstart));
            put(&mut item, "saved", json!("0"));
        }
        item
    });
    Ok(Value::Array(items.collect()).into())
}

fn list(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let node = call.node();
    let all = call.may(&format!("/nodes/{node}"), &["Sys.Audit"]);
    let params = &call.params;
    let source = params.get("source").unwrap_or("archive");
    let errors = params.flag("errors").unwrap_or(false);
    let (since, until) = (params.int("since"), params.int("until"));
    let fits = |task: &&Task| {
        let start = task.start_ms / 1000;
        let failed = task.exit().is_some_and(|exit| exit != "OK");
        task.node == node
            && (all || is_own(call, task))
            && match source {
                "active" => task.running(),
                "archive" => !task.running(),
                _ => true,
            }
            && params.get("vmid").is_none_or(|vmid| task.id == vmid)
            && params.get("typefilter").is_none_or(|kind| task.kind == kind)
            && params.get("userfilter").is_none_or(|user| task.user.contains(user))
            && (!errors || failed)
            && since.is_none_or(|since| start >= since)
            && until.is_none_or(|until| start <= until)
    };
    let found: Vec<&Task> = call.world.tasks.iter().rev().filter(fits).collect();
    let start = usize::try_from(params.int("start").unwrap_or(0)).unwrap_or(0);
    let limit = usize::try_from(params.int("limit").unwrap_or(50)).unwrap_or(50);
    let limit = if limit == 0 { usize::MAX } else { limit };
    let items = found.iter().skip(start).take(limit).map(|task| list_item(task)).collect();
    let mut reply = Reply::from(Value::Array(items));
    reply.total = Some(found.len());
    Ok(reply)
}

fn index(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    find(call, false)?;
    Ok(super::cluster::subdirs(&["log", "status"], "name").into())
}

fn stop(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let key = find(call, true)?;
    if call.world.tasks.get(key).is_some_and(Task::running) {
        crate::work::stop(call.world, call.moment, key);
    }
    Ok(Value::Null.into())
}

fn status(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let key = find(call, false)?;
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
    let key = find(call, false)?;
    let Some(task) = call.world.tasks.get(key) else { return Ok(Value::Null.into()) };
    let start = usize::try_from(call.params.int("start").unwrap_or(0)).unwrap_or(0);
    let limit = usize::try_from(call.params.int("limit").unwrap_or(50)).unwrap_or(50);
    let lines = task.log.iter().enumerate().skip(start).take(limit);
    let mut items: Vec<Value> = lines.map(|(at, line)| json!({ "n": at + 1, "t": line })).collect();
    if task.log.is_empty() {
        items.push(json!({ "n": 1, "t": "no content" }));
    }
    let mut reply = Reply::from(Value::Array(items));
    reply.total = Some(task.log.len());
    Ok(reply)
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
