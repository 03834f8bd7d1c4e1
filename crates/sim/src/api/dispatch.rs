//! From a request to an answer, in the order of `PVE::HTTPServer`: path, login, permission, node,
//! parameters, handler.

use std::collections::BTreeMap;

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, Values};
use super::params::{Odd, Params};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::clock::Moment;
use crate::guest::format::Kind;
use crate::world::World;
use crate::world::access::Caller;

/// A request whose endpoint is known.
pub(crate) struct Request {
    pub(crate) endpoint: &'static Endpoint,
    /// Of the path, the query and the body.
    pub(crate) params: Params,
    /// Who calls, or why that is not known.
    pub(crate) caller: Result<Caller, String>,
}

/// Carries a request out.
pub(crate) fn dispatch(
    world: &mut World,
    request: &Request,
    moment: Moment,
    fingerprint: &str,
) -> Result<Reply, Refusal> {
    world.report(moment.now);
    world.printed.clear();
    let endpoint = request.endpoint;
    let caller = match (&request.caller, endpoint.permission) {
        (Ok(caller), _) => caller.clone(),
        (Err(_), Permission::World) => Caller { authid: String::new() },
        (Err(reason), _) => return Err(Refusal::unauthorized(reason)),
    };
    endpoint.permission.check(world, &caller, &request.params)?;
    check_node(world, endpoint, &request.params)?;
    let params = settled(endpoint, &request.params);
    verify(endpoint, &params)?;
    super::quorum::guard(world, endpoint)?;
    let mut call = Call { world, params, caller, moment, fingerprint };
    super::quorum::rehearse(endpoint, &call)?;
    (endpoint.handler)(&mut call)
}

/// Milliseconds after which the network knows that nobody is there.
const NO_ROUTE_MS: i64 = 3_000;

/// Paths below a node that the node which was asked answers by itself: their methods have no
/// `proxyto`. So they answer whether there is such a node or not.
const LOCAL: &[&str] = &[
    "/nodes/{node}/apt",
    "/nodes/{node}/capabilities/qemu/cpu",
    "/nodes/{node}/certificates",
    "/nodes/{node}/certificates/acme",
    "/nodes/{node}/firewall",
    "/nodes/{node}/hardware",
    "/nodes/{node}/qemu/{vmid}/firewall",
    "/nodes/{node}/qemu/{vmid}/firewall/aliases",
    "/nodes/{node}/qemu/{vmid}/firewall/aliases/{name}",
    "/nodes/{node}/qemu/{vmid}/firewall/ipset",
    "/nodes/{node}/qemu/{vmid}/firewall/ipset/{name}",
    "/nodes/{node}/qemu/{vmid}/firewall/refs",
    "/nodes/{node}/qemu/{vmid}/firewall/rules",
    "/nodes/{node}/qemu/{vmid}/firewall/rules/{pos}",
    "/nodes/{node}/qemu/{vmid}/rrddata",
    "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}",
    "/nodes/{node}/qemu/{vmid}/termproxy",
    "/nodes/{node}/qemu/{vmid}/vncproxy",
    "/nodes/{node}/replication/{id}",
    "/nodes/{node}/rrddata",
    "/nodes/{node}/scan",
    "/nodes/{node}/sdn/zones/{zone}",
    "/nodes/{node}/services/{service}",
    "/nodes/{node}/storage/{storage}",
    "/nodes/{node}/tasks/{upid}",
];

/// Looks at the node of a path, where the proxy does.
fn check_node(world: &World, endpoint: &Endpoint, params: &Params) -> Result<(), Refusal> {
    // Whoever is asked wakes a node: it sleeps.
    let local = LOCAL.contains(&endpoint.path) || endpoint.path == super::node_config::WAKE;
    let proxied = endpoint.path.starts_with("/nodes/{node}/") && !local;
    let Some(node) = params.get("node").filter(|_| proxied) else {
        return Ok(());
    };
    check_node_name(world, node)
}

/// What the proxy says of a node that is unknown or cannot be reached.
pub(crate) fn check_node_name(world: &World, node: &str) -> Result<(), Refusal> {
    match world.nodes.get(node) {
        Some(found) if found.online => Ok(()),
        Some(_) => {
            let reason = "No route to host".to_owned();
            let refusal = Box::new(Refusal::Bare { status: 595, reason });
            Err(Refusal::Late { wait_ms: NO_ROUTE_MS, refusal })
        }
        None => Err(Refusal::die(format!(
            "hostname lookup '{node}' failed - failed to get address info for: {node}: Name or service not known"
        ))),
    }
}

/// The parameters with several values in one text where a list is wanted.
fn settled(endpoint: &Endpoint, given: &Params) -> Params {
    let mut params = given.clone();
    for name in given.0.keys().filter(|name| given.odd(name) == Some(Odd::Many)) {
        if endpoint.values(name) == Values::List {
            params.join_values(name);
        }
    }
    params
}

const MISSING: &str = "property is missing and it is not optional";
const UNKNOWN: &str =
    "property is not defined in schema and the schema does not allow additional properties";

/// Parameter verification (`PVE::JSONSchema::validate`).
fn verify(endpoint: &Endpoint, params: &Params) -> Result<(), Refusal> {
    let mut errors = BTreeMap::new();
    for (name, value) in &params.0 {
        if let Err(error) = check_value(endpoint, name, value, params.odd(name)) {
            errors.insert(name.clone(), error);
        }
    }
    for (name, odd) in params.without_text() {
        let error = match (endpoint.kind(name), odd) {
            (None, _) => UNKNOWN.to_owned(),
            (Some(kind), Odd::Object) => wrong_type(endpoint, name, kind, "HASH"),
            _ => continue,
        };
        errors.insert(name.to_owned(), error);
    }
    let named = |name: &str| params.get(name).is_some() || params.odd(name).is_some();
    for param in endpoint.params.iter().filter(|param| !param.requires.is_empty()) {
        if named(param.name) && params.get(param.requires).is_none() {
            let text = format!("missing property required by '{}'", param.name);
            errors.insert(param.requires.to_owned(), text);
        }
    }
    for param in endpoint.params.iter().filter(|param| param.required) {
        if params.get(param.name).is_none() {
            errors.entry(param.name.to_owned()).or_insert_with(|| MISSING.to_owned());
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Refusal::Params(errors)) }
}

/// `check_prop` of a value that is there.
fn check_value(
    endpoint: &Endpoint,
    name: &str,
    value: &str,
    odd: Option<Odd>,
) -> Result<(), String> {
    let kind = endpoint.kind(name).ok_or_else(|| UNKNOWN.to_owned())?;
    match (odd, endpoint.values(name)) {
        (Some(Odd::Many), Values::Array) | (Some(_), Values::Any) => {}
        (Some(Odd::Many), _) => return Err(wrong_type(endpoint, name, kind, "ARRAY")),
        (Some(Odd::Flag), _) if !matches!(kind, Kind::Bool) => {
            return Err(wrong_type(endpoint, name, kind, "JSON::PP::Boolean"));
        }
        _ => {}
    }
    crate::guest::format::check(kind, name, value)
}

/// What `check_type` says of a reference.
fn wrong_type(endpoint: &Endpoint, name: &str, kind: Kind, got: &str) -> String {
    match endpoint.values(name) {
        Values::Array => "type check ('array') failed".to_owned(),
        _ => format!("type check ('{}') failed - got {got}", kind.type_name()),
    }
}
