//! Reading the HA manager's configuration: two requests.

use std::collections::BTreeMap;

use pvx_core::live::{Ha, Properties};
use pvx_core::provider::ProviderError;
use serde_json::Value;

use crate::client::{ApiError, Request};
use crate::cluster::{Cluster, provider_error};

type Row = BTreeMap<String, Value>;

/// What a row has beside properties (pve-ha-manager `API2/HA/Resources.pm`, `API2/HA/Rules.pm`).
const NO_PROPERTIES: &[&str] = &["sid", "rule", "digest", "order", "errors"];

impl Cluster {
    /// Resources and rules. Needs Sys.Audit on `/`.
    pub(crate) async fn read_ha(&self) -> Result<Ha, ProviderError> {
        let resources = Request::get("/cluster/ha/resources");
        let rules = Request::get("/cluster/ha/rules");
        let both = futures::future::try_join(
            self.client.get::<Vec<Row>>(&resources),
            self.client.get::<Vec<Row>>(&rules),
        );
        let (resources, rules) = both.await.map_err(|error| explained(&error))?;
        Ok(assemble(&resources, &rules))
    }
}

fn explained(error: &ApiError) -> ProviderError {
    let plain = provider_error(error);
    match error {
        ApiError::Forbidden { .. } => {
            plain.help("documents use `ha`: give the token Sys.Audit and Sys.Console on /")
        }
        ApiError::NotImplemented { .. } => {
            plain.help("documents use `ha`, which needs the HA rules of Proxmox VE 9")
        }
        _ => plain,
    }
}

fn assemble(resources: &[Row], rules: &[Row]) -> Ha {
    let vmid = |row: &Row| row.get("sid")?.as_str()?.strip_prefix("vm:")?.parse().ok();
    let name = |row: &Row| Some(row.get("rule")?.as_str()?.to_owned());
    let resource = |row| {
        let mut properties = properties(row);
        properties.remove("type");
        Some((vmid(row)?, properties))
    };
    Ha {
        resources: resources.iter().filter_map(resource).collect(),
        rules: rules.iter().filter_map(|row| Some((name(row)?, properties(row)))).collect(),
    }
}

fn properties(row: &Row) -> Properties {
    let known = row.iter().filter(|(key, _)| !NO_PROPERTIES.contains(&key.as_str()));
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(u8::from(*flag).to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    known.filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_properties() {
        let resources = r#"[{"sid":"vm:100","type":"vm","digest":"a","max_restart":2,
            "failback":0,"state":"enabled"},{"sid":"ct:200","type":"ct","digest":"a"}]"#;
        let rules = r#"[{"rule":"r1","type":"node-affinity","order":1,"digest":"b",
            "resources":"vm:100","nodes":"pve1:2,pve2","errors":{"nodes":["bad"]}}]"#;
        let ha = assemble(
            &serde_json::from_str::<Vec<Row>>(resources).unwrap(),
            &serde_json::from_str::<Vec<Row>>(rules).unwrap(),
        );
        insta::assert_debug_snapshot!(ha);
    }
}
