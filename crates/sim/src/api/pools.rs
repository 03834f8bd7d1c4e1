//! `/pools`: reading.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional};
use super::refusal::Refusal;
use crate::guest::format::Kind;

pub(crate) const ENDPOINTS: &[Endpoint] = &[Endpoint::get("/pools", pools).with(&[
    optional("poolid", Kind::TEXT),
    optional("type", Kind::Enum(&["qemu", "lxc", "storage"])),
])];

fn pools(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let wanted = call.params.get("poolid");
    let visible = call.world.pools.iter().filter(|(name, _)| {
        wanted.is_none_or(|wanted| wanted == name.as_str())
            && call.may(&format!("/pool/{name}"), &["Pool.Audit"])
    });
    let items = visible.map(|(name, pool)| {
        let mut item = json!({ "poolid": name });
        if let (false, Some(members)) = (pool.comment.is_empty(), item.as_object_mut()) {
            members.insert("comment".to_owned(), json!(pool.comment));
        }
        item
    });
    Ok(Value::Array(items.collect()).into())
}
