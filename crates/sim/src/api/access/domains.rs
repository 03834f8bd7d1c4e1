//! `/access/domains` (`PVE::API2::Domains`): the two realms that are always there.

use serde_json::{Value, json};

use crate::api::call::{Call, Reply};
use crate::api::endpoint::Endpoint;
use crate::api::permission::Permission;
use crate::api::refusal::Refusal;

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/access/domains", index).may(Permission::World),
    Endpoint::get("/access/domains/{realm}", read)
        .may(Permission::Any("/access/realm", &["Realm.Allocate", "Sys.Audit"])),
];

const REALMS: [(&str, &str); 2] =
    [("pam", "Linux PAM standard authentication"), ("pve", "Proxmox VE authentication server")];

/// The digest of a `domains.cfg` that is not there.
const DIGEST: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";

/// The type of a realm: its name, for the two that are built in.
pub(super) fn kind(realm: &str) -> Option<&'static str> {
    REALMS.iter().find(|(name, _)| *name == realm).map(|(name, _)| *name)
}

fn index(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    let items = REALMS
        .iter()
        .map(|(name, comment)| json!({ "realm": name, "type": name, "comment": comment }));
    Ok(Value::Array(items.collect()).into())
}

fn read(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let name = call.params.get("realm").unwrap_or_default();
    let Some((realm, comment)) = REALMS.iter().find(|(realm, _)| *realm == name) else {
        return Err(Refusal::die(format!("domain '{name}' does not exist")));
    };
    let mut out = json!({ "type": realm, "comment": comment, "digest": DIGEST });
    if let (&"pam", Some(members)) = (realm, out.as_object_mut()) {
        members.insert("plugin".to_owned(), json!("PVE::Auth::PAM"));
    }
    Ok(out.into())
}
