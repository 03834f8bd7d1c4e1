//! Reading the cluster: two requests for everything, one a guest for details, and one a node for
//! what runs right now.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{self, try_join_all};
use futures::stream::{self, StreamExt, TryStreamExt};
use pvx_core::live::{Guest, GuestRef, Ha, Inventory, Node, Pending, Storage, Summary};
use pvx_core::preflight::{Answers, Questions};
use pvx_core::provider::{ErrorClass, ProviderError, Reader, Snippets};
use serde::Deserialize;
use serde_json::Value;

use crate::client::{ApiError, ApiPath, Request};
use crate::cluster::{Cluster, provider_error};
use crate::codec;

pub(crate) mod latest;
mod text;

use text::Text;

/// Requests for guests of one node that are made or wait for their turn, at most: more than the
/// client sends at a time, so that it never waits for them.
const WAITING_PER_NODE: usize = 32;

impl Reader for Cluster {
    async fn inventory(&self) -> Result<Inventory, ProviderError> {
        let status = Request::get("/cluster/status");
        let resources = Request::get("/cluster/resources");
        let (status, resources) = futures::future::try_join(
            self.client.get::<Vec<StatusRow>>(&status),
            self.client.get::<Vec<ResourceRow>>(&resources),
        )
        .await
        .map_err(|error| self.cannot_look(&error))?;
        assemble(&status, resources)
    }

    async fn guests(&self, wanted: &[GuestRef], power: bool) -> Result<Vec<Guest>, ProviderError> {
        let mut nodes: BTreeMap<&str, Vec<&GuestRef>> = BTreeMap::new();
        for guest in wanted {
            nodes.entry(&guest.node).or_default().push(guest);
        }
        let asked: Vec<&str> = nodes.keys().copied().filter(|_| power).collect();
        let running = try_join_all(asked.into_iter().map(|node| self.running(node)));
        let configs = try_join_all(nodes.into_values().map(|guests| self.configs(guests)));
        let (running, configs) =
            futures::future::try_join(running, configs).await.map_err(|e| provider_error(&e))?;
        let running: BTreeSet<u32> = running.into_iter().flatten().collect();
        let mut guests: Vec<Guest> = configs.into_iter().flatten().collect();
        guests.sort_unstable_by_key(|guest| guest.vmid);
        for guest in &mut guests {
            guest.running = running.contains(&guest.vmid);
        }
        if let [guest] = guests.as_slice() {
            self.latest.keep(guest);
        }
        Ok(guests)
    }

    async fn ha(&self) -> Result<Ha, ProviderError> {
        self.read_ha().await
    }

    async fn preflight(&self, questions: &Questions) -> Result<Answers, ProviderError> {
        self.answer(questions).await
    }

    async fn snippets(&self, wanted: &[(String, String)]) -> Result<Snippets, ProviderError> {
        let all = wanted.iter().map(|(node, storage)| self.snippets_on(node, storage));
        let found = try_join_all(all).await.map_err(|e| provider_error(&e))?;
        let places = wanted.iter().cloned().zip(found);
        Ok(places.filter_map(|(place, names)| Some((place, names?))).collect())
    }
}

impl Cluster {
    /// Nothing can be planned for a token that may not even see which nodes there are.
    fn cannot_look(&self, error: &ApiError) -> ProviderError {
        let plain = provider_error(error);
        let ApiError::Forbidden { .. } = error else { return plain };
        let token = self.client.token_id();
        let user = token.split('!').next().unwrap_or(token);
        let text = format!("token {token} may not look at the cluster: it lacks Sys.Audit on /");
        ProviderError::new(ErrorClass::Denied, text).help(format!(
            "let it look, as root on a node; then `pvx privileges` names what else it needs, and where:\npveum acl modify / --users {user} --tokens '{token}' --roles PVEAuditor"
        ))
    }

    /// Names of the snippets on a storage; none when they may not be listed. Who lacks
    /// Datastore.Allocate gets a list without them (pve-storage, check_volume_access).
    async fn snippets_on(
        &self,
        node: &str,
        storage: &str,
    ) -> Result<Option<BTreeSet<String>>, ApiError> {
        let path = ApiPath::new("/nodes/{}/storage/{}/content", &[&node, &storage]);
        let request = Request::get(path).parameter("content", "snippets");
        let rows: Vec<ContentRow> = match self.client.get(&request).await {
            Err(ApiError::Forbidden { .. }) => return Ok(None),
            answer => answer?,
        };
        let name = |row: ContentRow| Some(row.volid.split_once(":snippets/")?.1.to_owned());
        let names: BTreeSet<String> = rows.into_iter().filter_map(name).collect();
        if names.is_empty() && !self.may_list(storage).await? {
            return Ok(None);
        }
        Ok(Some(names))
    }

    /// Are snippets on this storage shown to the token?
    async fn may_list(&self, storage: &str) -> Result<bool, ApiError> {
        let path = format!("/storage/{storage}");
        let request = Request::get("/access/permissions").parameter("path", &path);
        let found: BTreeMap<String, BTreeMap<String, Value>> = self.client.get(&request).await?;
        Ok(found.get(&path).is_some_and(|held| held.contains_key("Datastore.Allocate")))
    }

    /// VMIDs of the VMs that run on a node: live, unlike `/cluster/resources`.
    ///
    /// Proxmox lists the files of a node's guests and then reads one after the other (qemu-server
    /// `vmstatus`): the whole list fails when one of them goes meanwhile. So it is asked once more.
    async fn running(&self, node: &str) -> Result<Vec<u32>, ApiError> {
        let request = Request::get(ApiPath::new("/nodes/{}/qemu", &[&node]));
        let rows: Vec<PowerRow> = match self.client.get(&request).await {
            Err(error) if error.is_missing_guest() => self.client.get(&request).await?,
            answer => answer?,
        };
        let runs = |row: &PowerRow| row.status == "running" || row.status == "paused";
        Ok(rows.into_iter().filter(runs).map(|row| row.vmid).collect())
    }

    /// The configurations of guests of one node. Only so many wait at a time: each request that
    /// waits for its turn takes memory, and every node is kept busy.
    async fn configs(&self, guests: Vec<&GuestRef>) -> Result<Vec<Guest>, ApiError> {
        let asked = stream::iter(guests).map(|guest| self.config(guest));
        let found = asked.buffer_unordered(WAITING_PER_NODE).boxed();
        found.try_filter_map(|guest| future::ready(Ok(guest))).try_collect().await
    }

    /// A guest's configuration with pending values, in one request. `None` when it is gone or may
    /// not be read.
    async fn config(&self, guest: &GuestRef) -> Result<Option<Guest>, ApiError> {
        let path = ApiPath::new("/nodes/{}/qemu/{}/pending", &[&guest.node, &guest.vmid]);
        match self.client.get::<Vec<PendingRow>>(&Request::get(path)).await {
            Ok(rows) => Ok(Some(guest_of(guest, rows))),
            Err(error) if error.is_missing_guest() => Ok(None),
            Err(ApiError::Forbidden { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A row of `/cluster/status`: the cluster itself, or a node.
#[derive(Debug, Deserialize)]
struct StatusRow {
    r#type: String,
    name: String,
    #[serde(default)]
    quorate: Option<Value>,
    #[serde(default)]
    online: Option<Value>,
}

/// A row of `/cluster/resources`. Only `id` and `type` are always there.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ResourceRow {
    r#type: String,
    node: Option<String>,
    vmid: Option<Value>,
    name: Option<String>,
    tags: Option<String>,
    template: Option<Value>,
    status: Option<String>,
    lock: Option<String>,
    pool: Option<String>,
    maxmem: Option<Value>,
    maxcpu: Option<Value>,
    maxdisk: Option<Value>,
    disk: Option<Value>,
    storage: Option<String>,
    shared: Option<Value>,
    plugintype: Option<String>,
    content: Option<String>,
}

/// A row of `/nodes/{node}/qemu`.
#[derive(Debug, Deserialize)]
struct PowerRow {
    vmid: u32,
    status: String,
}

/// A row of `/nodes/{node}/storage/{storage}/content`.
#[derive(Debug, Deserialize)]
struct ContentRow {
    volid: String,
}

/// A row of `…/pending`: one key, with what runs, what waits, and whether it goes.
#[derive(Debug, Deserialize)]
pub(crate) struct PendingRow {
    key: String,
    #[serde(default)]
    value: Option<Text>,
    #[serde(default)]
    pending: Option<Text>,
    #[serde(default)]
    delete: Option<Value>,
}

fn assemble(status: &[StatusRow], rows: Vec<ResourceRow>) -> Result<Inventory, ProviderError> {
    let cluster = status.iter().find(|row| row.r#type == "cluster");
    let alone = status.iter().find(|row| row.r#type == "node");
    let Some(identity) = cluster.or(alone) else {
        let text = "/cluster/status names neither a cluster nor a node";
        return Err(ProviderError::new(ErrorClass::Protocol, text));
    };
    let mut inventory = Inventory {
        cluster: identity.name.clone(),
        quorate: cluster.is_none_or(|row| is_set(row.quorate.as_ref())),
        ..Inventory::default()
    };
    for row in status.iter().filter(|row| row.r#type == "node") {
        let node = Node { online: is_set(row.online.as_ref()), ..Node::default() };
        inventory.nodes.insert(row.name.clone(), node);
    }
    for row in rows {
        add(&mut inventory, row);
    }
    Ok(inventory)
}

fn add(inventory: &mut Inventory, row: ResourceRow) {
    if row.r#type == "pool" {
        inventory.pools.extend(row.pool);
        return;
    }
    let Some(node) = row.node.clone() else { return };
    match row.r#type.as_str() {
        "node" => {
            let found = inventory.nodes.entry(node).or_default();
            found.cpus = u32::try_from(number(row.maxcpu.as_ref())).unwrap_or(u32::MAX);
            found.memory = number(row.maxmem.as_ref());
        }
        "storage" => {
            let Some(name) = row.storage.clone() else { return };
            inventory.storages.insert((node, name), storage(&row));
        }
        "qemu" | "lxc" => {
            let Ok(vmid) = u32::try_from(number(row.vmid.as_ref())) else { return };
            inventory.guests.insert(vmid, summary(vmid, node, row));
        }
        _ => {}
    }
}

fn storage(row: &ResourceRow) -> Storage {
    let content = row.content.as_deref().unwrap_or_default();
    Storage {
        shared: is_set(row.shared.as_ref()),
        plugin: row.plugintype.clone().unwrap_or_default(),
        content: content.split(',').filter(|c| !c.is_empty()).map(str::to_owned).collect(),
        total: number(row.maxdisk.as_ref()),
        used: number(row.disk.as_ref()),
        available: row.status.as_deref() == Some("available"),
    }
}

fn summary(vmid: u32, node: String, row: ResourceRow) -> Summary {
    Summary {
        vmid,
        qemu: row.r#type == "qemu",
        node,
        name: row.name,
        tags: tags(row.tags.as_deref().unwrap_or_default()),
        template: is_set(row.template.as_ref()),
        status: row.status.unwrap_or_default(),
        memory: number(row.maxmem.as_ref()),
        lock: row.lock,
        pool: row.pool,
    }
}

/// A guest as `…/pending` shows it.
pub(crate) fn guest_at(vmid: u32, node: &str, rows: Vec<PendingRow>) -> Guest {
    guest_of(&GuestRef { vmid, node: node.to_owned() }, rows)
}

fn guest_of(reference: &GuestRef, rows: Vec<PendingRow>) -> Guest {
    let mut guest =
        Guest { vmid: reference.vmid, node: reference.node.clone(), ..Guest::default() };
    let mut config = BTreeMap::new();
    for row in rows {
        let value = row.value.map(|text| text.0);
        if row.key == "digest" {
            guest.digest = value;
            continue;
        }
        let goes = is_set(row.delete.as_ref());
        let pending = row.pending.map(|text| text.0);
        let next = if goes || pending.is_some() {
            let next = pending.filter(|_| !goes);
            let running = value;
            guest.pending.push(Pending { key: row.key.clone(), running, next: next.clone() });
            next
        } else {
            value
        };
        if let Some(next) = next {
            config.insert(row.key, next);
        }
    }
    guest.pending.sort_by(|a, b| a.key.cmp(&b.key));
    guest.config = config;
    guest
}

fn tags(stored: &str) -> BTreeSet<String> {
    codec::Tags::parse(stored).iter().map(str::to_owned).collect()
}

pub(crate) fn number(value: Option<&Value>) -> u64 {
    match value {
        Some(Value::Number(number)) => number
            .as_u64()
            .or_else(|| number.as_f64().filter(|f| *f >= 0.0).map(|f| f as u64))
            .unwrap_or(0),
        Some(Value::String(text)) => text.parse().unwrap_or(0),
        _ => 0,
    }
}

/// 0/1, `"0"`/`"1"`, booleans; `delete` can be 2 (forced).
pub(crate) fn is_set(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(flag)) => *flag,
        other => number(other) > 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows<T: serde::de::DeserializeOwned>(json: &str) -> Vec<T> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_standalone_node_is_its_own_cluster() {
        let status = r#"[{"type":"node","name":"alone","online":1,"local":1}]"#;
        let inventory = assemble(&rows(status), vec![]).unwrap();
        assert_eq!((inventory.cluster.as_str(), inventory.quorate), ("alone", true));
    }

    #[test]
    fn a_new_guest_has_no_name_yet() {
        let resources = r#"[{"type":"qemu","status":"unknown","node":"pve1","vmid":4000,
            "id":"qemu/4000","tags":"alpha;zeta"}]"#;
        let status = r#"[{"type":"cluster","name":"lab","quorate":0},
            {"type":"node","name":"pve1","online":0}]"#;
        let inventory = assemble(&rows(status), rows(resources)).unwrap();
        assert!(!inventory.quorate);
        assert!(!inventory.nodes["pve1"].online);
        let guest = &inventory.guests[&4000];
        assert_eq!((guest.name.as_ref(), guest.tags.len()), (None, 2));
    }

    #[test]
    fn pending_values_are_merged_and_kept() {
        let pending = r#"[{"key":"cores","value":1,"pending":2},{"key":"balloon","value":0,
            "delete":1},{"key":"memory","value":"128"},{"key":"digest","value":"abc"}]"#;
        let reference = GuestRef { vmid: 4010, node: "pve1".into() };
        let guest = guest_of(&reference, rows(pending));
        assert_eq!(guest.digest.as_deref(), Some("abc"));
        assert_eq!(guest.config["cores"], "2");
        assert!(!guest.config.contains_key("balloon"));
        let keys: Vec<_> = guest.pending.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(keys, ["balloon", "cores"]);
    }
}
