//! Calls of the API from within a task, as workers of bulk actions make them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::call::Call;
use super::dispatch::{Request, dispatch};
use super::endpoint::Method;
use super::params::Params;
use super::refusal::Refusal;
use super::router::TABLES;
use crate::clock::Moment;
use crate::world::World;
use crate::world::access::Caller;

/// Who calls, and whether over the wire (with all checks) or within the daemon (without those of
/// login and permission).
pub(crate) struct Inside<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) moment: Moment,
    pub(crate) authid: &'a str,
    pub(crate) wire: bool,
}

impl Inside<'_> {
    /// A call of an endpoint by its path template; the value of `data`.
    pub(crate) fn call(
        &mut self,
        method: Method,
        template: &str,
        params: &[(&str, String)],
    ) -> Result<Value, Refusal> {
        let found = TABLES.iter().copied().flatten();
        let mut found = found.filter(|it| it.method == method && it.path == template);
        let Some(endpoint) = found.next() else {
            return Err(Refusal::not_implemented("POST", template));
        };
        let params: BTreeMap<String, String> =
            params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let caller = Caller { authid: self.authid.to_owned() };
        let reply = if self.wire {
            let request = Request { endpoint, params: params.into(), caller: Ok(caller) };
            dispatch(self.world, &request, self.moment, "")?
        } else {
            super::quorum::guard(self.world, endpoint)?;
            let params = Params::from(params);
            let moment = self.moment;
            let world = &mut *self.world;
            (endpoint.handler)(&mut Call { world, params, caller, moment, fingerprint: "" })?
        };
        Ok(reply.data.value())
    }

    /// A call for a guest, below `/nodes/{node}/qemu/{vmid}`, that starts a task: its UPID.
    pub(crate) fn guest_task(
        &mut self,
        node: &str,
        vmid: u32,
        tail: &str,
        params: &[(&str, String)],
    ) -> Result<String, Refusal> {
        let mut all = vec![("node", node.to_owned()), ("vmid", vmid.to_string())];
        all.extend(params.iter().cloned());
        let template = format!("/nodes/{{node}}/qemu/{{vmid}}/{tail}");
        let answer = self.call(Method::Post, &template, &all)?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }
}
