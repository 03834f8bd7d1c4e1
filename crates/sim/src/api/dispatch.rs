//! From a request to an answer, in the order of `PVE::HTTPServer`: path, login, permission, node,
//! parameters, handler.

use std::collections::BTreeMap;

use super::call::{Call, Reply};
use super::endpoint::Endpoint;
use super::params::Params;
use super::permission::Permission;
use super::refusal::Refusal;
use crate::clock::Moment;
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
    verify(endpoint, &request.params)?;
    super::quorum::guard(world, endpoint, &request.params)?;
    let params = request.params.clone();
    let mut call = Call { world, params, caller, moment, fingerprint };
    (endpoint.handler)(&mut call)
}

/// Milliseconds after which the network knows that nobody is there.
const NO_ROUTE_MS: i64 = 3_000;

/// What the proxy says of a node that is unknown or cannot be reached.
fn check_node(world: &World, endpoint: &Endpoint, params: &Params) -> Result<(), Refusal> {
    let Some(node) = params.get("node").filter(|_| endpoint.path.starts_with("/nodes/{node}/"))
    else {
        return Ok(());
    };
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

/// Parameter verification (`PVE::JSONSchema::validate`).
fn verify(endpoint: &Endpoint, params: &Params) -> Result<(), Refusal> {
    let mut errors = BTreeMap::new();
    for (name, value) in &params.0 {
        match endpoint.kind(name) {
            Some(kind) => {
                if let Err(error) = crate::guest::format::check(kind, name, value) {
                    errors.insert(name.clone(), error);
                }
            }
            None => {
                let text = "property is not defined in schema and the schema does not allow additional properties";
                errors.insert(name.clone(), text.to_owned());
            }
        }
    }
    for param in endpoint.params.iter().filter(|param| !param.requires.is_empty()) {
        if params.get(param.name).is_some() && params.get(param.requires).is_none() {
            let text = format!("missing property required by '{}'", param.name);
            errors.insert(param.requires.to_owned(), text);
        }
    }
    for param in endpoint.params.iter().filter(|param| param.required) {
        if params.get(param.name).is_none() {
            let text = "property is missing and it is not optional";
            errors.insert(param.name.to_owned(), text.to_owned());
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Refusal::Params(errors)) }
}
