//! `/access` (`PVE::API2::AccessControl`), one file per group of paths.

pub(super) mod acl;
mod domain_options;
pub(super) mod domains;
pub(super) mod groups;
pub(super) mod password;
pub(super) mod permissions;
pub(super) mod roles;
pub(super) mod tfa;
pub(super) mod ticket;
pub(super) mod tokens;
pub(super) mod users;

use super::call::{Call, Reply};
use super::cluster::subdirs;
use super::endpoint::Endpoint;
use super::refusal::Refusal;

pub(crate) const ENDPOINTS: &[Endpoint] = &[Endpoint::get("/access", index)];

fn index(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    let names =
        ["users", "groups", "roles", "acl", "domains", "openid", "tfa", "ticket", "password"];
    Ok(subdirs(&names, "subdir").into())
}
