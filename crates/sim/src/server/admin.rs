//! `/sim`: the simulator's own endpoint, outside `/api2`: faults, log, nodes, clock, world.
//!
//! It is for whoever runs the simulator: the peer must be on loopback and show the token that the
//! world names as its operator's (`Authorization: PVEAPIToken=ID=SECRET`). That header alone keeps
//! other sites' pages out of a browser; requests that say that they come from one are refused too.

use std::net::SocketAddr;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use crate::fault::Fault;

/// Status and text.
type Refused = (u16, String);

/// How many records `GET /sim/requests` shows unless told.
const RECORDS: usize = 100;

/// Answers a request below `/sim`.
pub(crate) fn serve(
    shared: &Shared,
    peer: SocketAddr,
    head: &Parts,
    body: &[u8],
) -> Response<Full<Bytes>> {
    let result = admit(shared, peer, &head.headers).and_then(|()| {
        let query = head.uri.query().unwrap_or_default();
        route(shared, head.method.as_str(), head.uri.path(), query, body)
    });
    let (status, bytes) = match result {
        Ok(bytes) => (200, bytes),
        Err((status, error)) => (status, json!({ "error": error }).to_string().into_bytes()),
    };
    let mut response = Response::new(Full::new(Bytes::from(bytes)));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Lets only the operator in.
fn admit(shared: &Shared, peer: SocketAddr, headers: &HeaderMap) -> Result<(), Refused> {
    let refuse = |text: &str| Err((403, text.to_owned()));
    if !peer.ip().to_canonical().is_loopback() {
        return refuse("/sim answers on loopback only");
    }
    let text = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    let foreign = text("origin").is_some()
        || text("sec-fetch-site").is_some_and(|site| site != b"none" && site != b"same-origin");
    if foreign {
        return refuse("/sim does not answer to pages of a browser");
    }
    let world = shared.world();
    let (id, secret) = &world.operator;
    if id.is_empty() {
        return refuse("the world names no operator, so nobody may use /sim");
    }
    let wanted = format!("PVEAPIToken={id}={secret}");
    if text("authorization").is_some_and(|given| same(given, wanted.as_bytes())) {
        return Ok(());
    }
    Err((401, format!("give the operator's token: Authorization: PVEAPIToken={id}=SECRET")))
}

/// Compares without telling by its time where two texts differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).fold(0, |seen, (one, other)| seen | (one ^ other)) == 0
}

fn route(
    shared: &Shared,
    method: &str,
    path: &str,
    query: &str,
    body: &[u8],
) -> Result<Vec<u8>, Refused> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).skip(1).collect();
    let value = match (method, parts.as_slice()) {
        ("GET", []) => index(),
        ("GET", ["world"]) => return Ok(shared.world().to_json()),
        ("GET", ["faults"]) => json!({ "faults": shared.world().faults.rules }),
        ("POST", ["faults"]) => add_fault(shared, body)?,
        ("DELETE", ["faults"]) => {
            shared.change(|world, _| world.clear_faults());
            json!({})
        }
        ("DELETE", ["faults", id]) => remove_fault(shared, id)?,
        ("GET", ["requests"]) => requests(shared, query)?,
        ("DELETE", ["requests"]) => {
            shared.requests.clear();
            json!({})
        }
        ("GET", ["locks"]) => locks(shared, query)?,
        ("DELETE", ["locks"]) => {
            shared.world().clear_locks();
            json!({})
        }
        ("POST", ["nodes", node]) => set_node(shared, node, body)?,
        ("GET", ["clock"]) => clock(shared),
        ("POST", ["clock"]) => {
            let Advance { advance_ms } = parse(body)?;
            shared.clock.advance(i64::try_from(advance_ms).unwrap_or(i64::MAX));
            shared.run_tasks();
            shared.changed.notify_waiters();
            clock(shared)
        }
        ("POST", ["lag"]) => {
            let Lag { on } = parse(body)?;
            shared.change(|world, _| world.set_lag(on));
            json!({ "on": on })
        }
        _ => return Err((404, format!("there is no {method} {path}; see GET /sim"))),
    };
    Ok(value.to_string().into_bytes())
}

fn index() -> Value {
    json!({
        "GET /sim/faults": "the rules, with how often they matched and fired",
        "POST /sim/faults": "adds a rule (or `{\"faults\": [...]}`); answers the ids",
        "DELETE /sim/faults": "removes all rules and what they hold in force",
        "DELETE /sim/faults/ID": "removes one rule",
        "GET /sim/requests?records=N": "totals by method and path template, the last N requests",
        "DELETE /sim/requests": "forgets the requests so far",
        "GET /sim/locks?spans=N": "how long each lock was held and waited for, and the last N holders",
        "DELETE /sim/locks": "forgets what locks were used for",
        "GET /sim/world": "the whole world; a file of it can be served again",
        "POST /sim/nodes/NODE {\"online\": false}": "switches a node off or on",
        "GET /sim/clock": "sim time",
        "POST /sim/clock {\"advance_ms\": N}": "puts the clock forward",
        "POST /sim/lag {\"on\": true}": "whether /cluster/resources lags as pvestatd does",
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lag {
    on: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Online {
    online: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Several {
    faults: Vec<Fault>,
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| (400, error.to_string()))
}

fn add_fault(shared: &Shared, body: &[u8]) -> Result<Value, Refused> {
    let value: Value = parse(body)?;
    if !value.is_object() {
        return Err((400, "a rule is an object".to_owned()));
    }
    let several = value.get("faults").is_some();
    let read = |error: serde_json::Error| (400, error.to_string());
    let faults = if several {
        serde_json::from_value::<Several>(value).map_err(read)?.faults
    } else {
        vec![serde_json::from_value::<Fault>(value).map_err(read)?]
    };
    let mut ids = Vec::new();
    for fault in faults {
        let added = shared.change(|world, now| world.add_fault(fault, now));
        ids.push(added.map_err(|error| (400, error))?);
    }
    Ok(if several { json!({ "ids": ids }) } else { json!({ "id": ids.first() }) })
}

fn remove_fault(shared: &Shared, id: &str) -> Result<Value, Refused> {
    if shared.change(|world, _| world.remove_fault(id)) {
        return Ok(json!({}));
    }
    Err((404, format!("there is no fault '{id}'")))
}

/// How many of the last are asked for.
fn limit(query: &str, name: &str) -> Result<usize, Refused> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    match pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.parse()).next() {
        None => Ok(RECORDS),
        Some(Ok(limit)) => Ok(limit),
        Some(Err(_)) => Err((400, format!("`{name}` is a number"))),
    }
}

fn locks(shared: &Shared, query: &str) -> Result<Value, Refused> {
    let limit = limit(query, "spans")?;
    let world = shared.world();
    let spans = world.lock_spans();
    let skip = spans.len().saturating_sub(limit);
    Ok(json!({ "totals": world.lock_totals(), "spans": spans.get(skip..) }))
}

fn requests(shared: &Shared, query: &str) -> Result<Value, Refused> {
    let limit = limit(query, "records")?;
    let totals = shared.requests.totals();
    let sum = |part: fn(&super::log::RequestTotals) -> u64| totals.iter().map(part).sum::<u64>();
    let by: Vec<Value> = totals
        .iter()
        .map(|totals| {
            let mut item = json!(totals);
            if let Some(members) = item.as_object_mut() {
                members.insert("classes".to_owned(), json!(totals.classes()));
            }
            item
        })
        .collect();
    Ok(json!({
        "count": sum(|totals| totals.count), "bytes_in": sum(|totals| totals.bytes_in),
        "bytes_out": sum(|totals| totals.bytes_out), "totals": by,
        "records": shared.requests.last(limit),
    }))
}

fn set_node(shared: &Shared, node: &str, body: &[u8]) -> Result<Value, Refused> {
    let Online { online } = parse(body)?;
    if shared.change(|world, _| world.set_node_online(node, online)) {
        return Ok(json!({ "online": online }));
    }
    Err((404, format!("there is no node '{node}'")))
}

fn clock(shared: &Shared) -> Value {
    json!({ "now_ms": shared.clock.moment().now })
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn tokens_are_compared_whole() {
        assert!(same(b"abc", b"abc") && same(b"", b""));
        assert!(!same(b"abc", b"abd") && !same(b"abc", b"ab"));
    }
}
