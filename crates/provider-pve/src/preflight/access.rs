//! What the token may do, and the rules that this depends on: three requests, one more for another
//! token that is to carry the plan out, one for each path of which the list of all does not tell for
//! certain, and one for each VMID of a guest to be made when the token does not see all guests.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join3;
use futures::stream::{self, StreamExt, TryStreamExt};
use pvx_core::preflight::{Access, Applying, Permissions, Questions, TagRules};
use pvx_core::provider::ProviderError;
use serde::Deserialize;
use serde_json::Value;

use crate::client::{ApiError, Request};
use crate::cluster::{Cluster, provider_error};

/// VMIDs that are asked for at a time.
const AT_A_TIME: usize = 16;

/// `/access/permissions`: privileges by path; 1 when they go on below it.
type Listed = BTreeMap<String, BTreeMap<String, Value>>;

/// A row of `/cluster/sdn/vnets`.
#[derive(Debug, Deserialize)]
struct VnetRow {
    vnet: String,
    #[serde(default)]
    zone: Option<String>,
}

impl Cluster {
    /// What is known of the token's privileges. What it may not ask stays unknown.
    pub(crate) async fn read_access(&self, questions: &Questions) -> Result<Access, ProviderError> {
        if !questions.permissions {
            return Ok(Access::default());
        }
        let permissions = Request::get("/access/permissions");
        let options = Request::get("/cluster/options");
        let vnets = Request::get("/cluster/sdn/vnets");
        let (permissions, options, vnets) = join3(
            self.client.get::<Listed>(&permissions),
            self.client.get::<Value>(&options),
            self.client.get::<Vec<VnetRow>>(&vnets),
        )
        .await;
        let token = self.client.token_id().to_owned();
        let permissions = match permissions {
            Ok(listed) => {
                let listed = Permissions { token, paths: paths(listed) };
                Some(self.certain(listed, &questions.paths, None).await)
            }
            Err(ApiError::Forbidden { .. }) => None,
            Err(error) => return Err(provider_error(&error)),
        };
        // A cluster without SDN has no VNets, and one whose options are hidden has no rules to us.
        let vnets = vnets.unwrap_or_default().into_iter();
        // To see a VNet needs another privilege than to use it: entries of the ACL name it too.
        let mut zones = permissions.as_ref().map(named_zones).unwrap_or_default();
        zones.extend(vnets.filter_map(|row| Some((row.vnet, row.zone?))));
        let mut access = Access {
            permissions,
            applying: self.applying(questions).await?,
            taken: BTreeSet::new(),
            zones,
            tags: options.map(|options| tag_rules(&options)).unwrap_or_default(),
        };
        let sees_all =
            access.permissions.as_ref().is_some_and(|p| p.holds_below("/vms", "VM.Audit"));
        if !sees_all {
            access.taken = self.taken(&questions.vmids).await?;
        }
        Ok(access)
    }

    /// What another token may do (`PVE::API2::AccessControl`, permissions: needs Sys.Audit on
    /// `/access`). Of a token that is not there the answer is that it may do nothing.
    async fn applying(&self, questions: &Questions) -> Result<Option<Applying>, ProviderError> {
        let Some(token) = questions.applying.clone() else { return Ok(None) };
        let request = Request::get("/access/permissions").parameter("userid", &token);
        match self.client.get::<Listed>(&request).await {
            Ok(listed) => {
                let listed = Permissions { token: token.clone(), paths: paths(listed) };
                let certain = self.certain(listed, &questions.paths, Some(&token)).await;
                Ok(Some(Applying::Known(certain)))
            }
            Err(ApiError::Forbidden { .. }) => Ok(Some(Applying::Hidden(token))),
            Err(error) => Err(provider_error(&error)),
        }
    }

    /// Adds the paths that the list does not tell of for certain, each asked by itself; of another
    /// token than ours when one is named.
    async fn certain(
        &self,
        mut permissions: Permissions,
        wanted: &BTreeSet<String>,
        token: Option<&str>,
    ) -> Permissions {
        let asked: Vec<String> = permissions.uncertain(wanted).cloned().collect();
        let asked = stream::iter(asked).map(|path| async move {
            let request = Request::get("/access/permissions").parameter("path", &path);
            let request = match token {
                Some(token) => request.parameter("userid", token),
                None => request,
            };
            let listed: Listed = self.known(&request).await?;
            let own = paths(listed).remove(&path).unwrap_or_default();
            Some((path, own))
        });
        let answers: Vec<_> = asked.buffer_unordered(AT_A_TIME).collect().await;
        permissions.paths.extend(answers.into_iter().flatten());
        permissions
    }

    /// Which of these VMIDs are taken. That needs no privilege (`PVE::API2::Cluster`, nextid).
    async fn taken(&self, vmids: &BTreeSet<u32>) -> Result<BTreeSet<u32>, ProviderError> {
        let asked = stream::iter(vmids.iter().copied()).map(|vmid| async move {
            let request = Request::get("/cluster/nextid").parameter("vmid", vmid);
            match self.client.get::<Value>(&request).await {
                Ok(_) => Ok((vmid, false)),
                Err(ApiError::Invalid { errors, .. }) if errors.contains_key("vmid") => {
                    Ok((vmid, true))
                }
                Err(error) => Err(provider_error(&error)),
            }
        });
        let answers: Vec<(u32, bool)> = asked.buffer_unordered(AT_A_TIME).try_collect().await?;
        Ok(answers.into_iter().filter(|(_, taken)| *taken).map(|(vmid, _)| vmid).collect())
    }
}

/// The zones of VNets that paths of the ACL name, by VNet.
fn named_zones(permissions: &Permissions) -> BTreeMap<String, String> {
    let named = permissions.paths.keys().filter_map(|path| {
        let (zone, rest) = path.strip_prefix("/sdn/zones/")?.split_once('/')?;
        let vnet = rest.split('/').next()?;
        (zone != "localnetwork").then(|| (vnet.to_owned(), zone.to_owned()))
    });
    named.collect()
}

fn paths(listed: Listed) -> BTreeMap<String, BTreeMap<String, bool>> {
    let goes_on = |value: &Value| match value {
        Value::Number(number) => number.as_u64() != Some(0),
        Value::String(text) => !matches!(text.as_str(), "" | "0"),
        Value::Bool(flag) => *flag,
        _ => false,
    };
    let held = |privileges: BTreeMap<String, Value>| {
        privileges.into_iter().map(|(name, value)| (name, goes_on(&value))).collect()
    };
    listed.into_iter().map(|(path, privileges)| (path, held(privileges))).collect()
}

/// `registered-tags` and `user-tag-access`, as lists or as text (`PVE::DataCenterConfig`).
fn tag_rules(options: &Value) -> TagRules {
    let registered = options.get("registered-tags").map(list).unwrap_or_default();
    let access = options.get("user-tag-access");
    let mode = access.and_then(|access| access.get("user-allow")).and_then(Value::as_str);
    let listed = access.and_then(|access| access.get("user-allow-list")).map(list);
    TagRules { registered, mode: mode.map(str::to_owned), listed: listed.unwrap_or_default() }
}

fn list(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::String(text) => crate::codec::Tags::parse(text).iter().map(str::to_owned).collect(),
        _ => BTreeSet::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_list_says() {
        let listed = r#"{"/vms":{"VM.Audit":1,"VM.Clone":0},"/":{"Sys.Audit":"1"}}"#;
        let read = paths(serde_json::from_str(listed).unwrap());
        assert!(read["/vms"]["VM.Audit"]);
        assert!(!read["/vms"]["VM.Clone"]);
        assert!(read["/"]["Sys.Audit"]);
    }

    #[test]
    fn the_acl_names_zones() {
        let listed = r#"{"/sdn/zones/evpn/blue":{"SDN.Use":1},"/sdn/zones/evpn/red/5":{"SDN.Use":1},
            "/sdn/zones/localnetwork/vmbr0":{"SDN.Use":1},"/sdn/zones/evpn":{"SDN.Use":1}}"#;
        let paths = paths(serde_json::from_str(listed).unwrap());
        let found = named_zones(&Permissions { paths, ..Permissions::default() });
        let found: Vec<_> = found.iter().map(|(vnet, zone)| format!("{zone}/{vnet}")).collect();
        assert_eq!(found, ["evpn/blue", "evpn/red"]);
    }

    #[test]
    fn who_may_set_tags() {
        let options = r#"{"registered-tags":["prod","gold"],
            "user-tag-access":{"user-allow":"list","user-allow-list":["a","b"]}}"#;
        let rules = tag_rules(&serde_json::from_str(options).unwrap());
        assert_eq!(rules.mode.as_deref(), Some("list"));
        assert_eq!((rules.registered.len(), rules.listed.len()), (2, 2));
        let text = r#"{"registered-tags":"prod;gold"}"#;
        assert_eq!(tag_rules(&serde_json::from_str(text).unwrap()).registered.len(), 2);
        assert_eq!(tag_rules(&Value::Null), TagRules::default());
    }
}
