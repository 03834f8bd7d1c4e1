//! Storages, volumes, memory, other people's guests, and what keeps a guest from moving.

use std::collections::BTreeMap;

use futures::future::{join, join_all, join5};
use pvx_core::live::GuestRef;
use pvx_core::preflight::place::{
    Asked, Known, Listed, Migration, NodeMemory, Other, Replication, Snapshotted, StorageState,
    Volumes,
};
use pvx_core::provider::{GuestKind, Medium, Reader};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::{ApiPath, Request};
use crate::cluster::Cluster;
use crate::guest::Qemu;
use crate::read::{is_set, number};

/// A row of `/nodes/{node}/storage`.
#[derive(Debug, Deserialize)]
struct StorageRow {
    storage: String,
    #[serde(default)]
    content: String,
    #[serde(default)]
    enabled: Option<Value>,
    #[serde(default)]
    active: Option<Value>,
    #[serde(default)]
    total: Option<Value>,
    #[serde(default)]
    used: Option<Value>,
    #[serde(default)]
    avail: Option<Value>,
}

/// A row of `/storage`.
#[derive(Debug, Deserialize)]
struct StorageConfig {
    storage: String,
    #[serde(default)]
    sparse: Option<Value>,
}

/// A row of `/nodes/{node}/storage/{storage}/content`.
#[derive(Debug, Deserialize)]
struct VolumeRow {
    volid: String,
    #[serde(default)]
    size: Option<Value>,
    /// Instead of the size, where that would have to be looked up (qcow2 on LVM).
    #[serde(default, rename = "approximate-size")]
    approximate: Option<Value>,
    #[serde(default)]
    used: Option<Value>,
}

/// `/nodes/{node}/status`
#[derive(Debug, Deserialize)]
struct NodeStatus {
    memory: Amount,
    #[serde(default)]
    swap: Option<Amount>,
}

#[derive(Debug, Deserialize)]
struct Amount {
    total: Value,
}

/// What keeps a guest on its node only while it runs (qemu-server `QemuMigrate/Helpers.pm`,
/// check_non_migratable_resources).
const WHILE_RUNNING: &[&str] = &["amd-sev", "intel-tdx"];

/// `GET …/migrate`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Precondition {
    local_resources: Vec<String>,
    not_allowed_nodes: Option<BTreeMap<String, Refused>>,
    #[serde(rename = "mapped-resource-info")]
    mapped: Option<BTreeMap<String, Value>>,
}

/// Why a guest cannot go to a node.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refused {
    unavailable_storages: Vec<String>,
    #[serde(rename = "unavailable-resources")]
    resources: Vec<String>,
    #[serde(rename = "blocking-ha-resources")]
    apart: Vec<Apart>,
}

#[derive(Debug, Deserialize)]
struct Apart {
    sid: String,
}

#[derive(Debug, Deserialize)]
struct SnapshotRow {
    name: String,
}

#[derive(Debug, Deserialize)]
struct JobRow {
    id: String,
    guest: Value,
    target: String,
}

impl Cluster {
    /// What is known of places.
    pub(super) async fn places(&self, asked: &Asked) -> Known {
        let storages = join_all(asked.storages.iter().map(|node| self.storage_states(node)));
        let volumes = join_all(asked.volumes.iter().map(|(n, s, c)| self.volumes(n, s, c)));
        let bridges = join_all(asked.bridges.iter().map(|node| self.bridges(node)));
        let memory = join_all(asked.memory.iter().map(|node| self.node_memory(node)));
        let moves = asked.migrations.iter().map(|(guest, target)| self.migration(guest, target));
        let snapshots = join_all(asked.snapshots.iter().map(|guest| self.snapshotted(guest)));
        let cluster = join(self.thick(asked.storage_options), self.jobs(asked.replication));
        let guests = join5(join_all(moves), snapshots, self.others(&asked.others), cluster, memory);
        let nodes = join5(storages, volumes, bridges, guests, async {});
        let (storages, volumes, bridges, guests, ()) = nodes.await;
        let (migrations, snapshots, others, (thick, replication), memory) = guests;
        Known {
            storages: storages.into_iter().flatten().collect(),
            thick,
            volumes: volumes.into_iter().flatten().collect(),
            bridges: bridges.into_iter().flatten().collect(),
            memory: memory.into_iter().flatten().collect(),
            others,
            migrations: migrations.into_iter().flatten().collect(),
            snapshots: snapshots.into_iter().flatten().collect(),
            replication,
        }
    }

    /// An answer, or nothing: what cannot be read is not known.
    pub(super) async fn known<T: DeserializeOwned>(&self, request: &Request) -> Option<T> {
        match self.client.get(request).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                tracing::debug!(%error, "preflight: not known");
                None
            }
        }
    }

    async fn storage_states(&self, node: &str) -> Vec<StorageState> {
        let request = Request::get(ApiPath::new("/nodes/{}/storage", &[&node]));
        let rows: Vec<StorageRow> = self.known(&request).await.unwrap_or_default();
        let state = |row: StorageRow| StorageState {
            node: node.to_owned(),
            enabled: row.enabled.is_none() || is_set(row.enabled.as_ref()),
            active: row.active.is_none() || is_set(row.active.as_ref()),
            total: number(row.total.as_ref()),
            used: number(row.used.as_ref()),
            free: number(row.avail.as_ref()),
            content: row.content.split(',').filter(|c| !c.is_empty()).map(str::to_owned).collect(),
            storage: row.storage,
        };
        rows.into_iter().map(state).collect()
    }

    async fn thick(&self, asked: bool) -> Vec<String> {
        if !asked {
            return Vec::new();
        }
        let rows: Vec<StorageConfig> =
            self.known(&Request::get("/storage")).await.unwrap_or_default();
        let thick = rows.into_iter().filter(|row| !is_set(row.sparse.as_ref()));
        thick.map(|row| row.storage).collect()
    }

    async fn volumes(&self, node: &str, storage: &str, content: &str) -> Option<Volumes> {
        let path = ApiPath::new("/nodes/{}/storage/{}/content", &[&node, &storage]);
        let request = Request::get(path).parameter("content", content);
        let rows: Vec<VolumeRow> = self.known(&request).await?;
        let listed = |row: VolumeRow| Listed {
            size: number(row.size.as_ref().or(row.approximate.as_ref())),
            used: row.used.as_ref().map(|used| number(Some(used))),
            volid: row.volid,
        };
        Some(Volumes {
            node: node.to_owned(),
            storage: storage.to_owned(),
            content: content.to_owned(),
            list: rows.into_iter().map(listed).collect(),
        })
    }

    async fn node_memory(&self, node: &str) -> Option<NodeMemory> {
        let request = Request::get(ApiPath::new("/nodes/{}/status", &[&node]));
        let status: NodeStatus = self.known(&request).await?;
        Some(NodeMemory {
            node: node.to_owned(),
            total: number(Some(&status.memory.total)),
            swap: status.swap.map_or(0, |swap| number(Some(&swap.total))),
        })
    }

    async fn others(&self, asked: &[GuestRef]) -> Vec<Other> {
        if asked.is_empty() {
            return Vec::new();
        }
        let guests = match self.guests(asked, true).await {
            Ok(guests) => guests,
            Err(error) => {
                tracing::debug!(%error, "preflight: other guests are not known");
                return Vec::new();
            }
        };
        let other = |guest: pvx_core::live::Guest| Other {
            vmid: guest.vmid,
            node: guest.node.clone(),
            name: guest.name().to_owned(),
            running: guest.running,
            cards: Qemu.hardware(&guest.config).cards,
        };
        guests.into_iter().map(other).collect()
    }

    async fn migration(&self, guest: &GuestRef, target: &str) -> Option<Migration> {
        let path = ApiPath::new("/nodes/{}/qemu/{}/migrate", &[&guest.node, &guest.vmid]);
        let request = Request::get(path).parameter("target", target);
        let found: Precondition = self.known(&request).await?;
        let refused = found.not_allowed_nodes.and_then(|mut nodes| nodes.remove(target));
        let refused = refused.unwrap_or_default();
        let mapped = found.mapped.unwrap_or_default();
        // Mapped devices are among those of the node too, and keep nobody there.
        let local = found.local_resources.into_iter().filter(|key| !mapped.contains_key(key));
        let (local, devices) = local.partition(|key| WHILE_RUNNING.contains(&key.as_str()));
        let stays = |info: &Value| !is_set(info.get("live-migration"));
        let held = mapped.into_iter().filter(|(_, info)| stays(info)).map(|(key, _)| key);
        Some(Migration {
            vmid: guest.vmid,
            target: target.to_owned(),
            devices,
            unmapped: refused.resources,
            held: held.chain::<Vec<String>>(local).collect(),
            storages: refused.unavailable_storages,
            apart: refused.apart.into_iter().map(|apart| apart.sid).collect(),
        })
    }

    /// The volumes that each snapshot of a guest holds: one request, and one for each snapshot.
    async fn snapshotted(&self, guest: &GuestRef) -> Option<Snapshotted> {
        let path = ApiPath::new("/nodes/{}/qemu/{}/snapshot", &[&guest.node, &guest.vmid]);
        let rows: Vec<SnapshotRow> = self.known(&Request::get(path)).await?;
        let names = rows.into_iter().map(|row| row.name).filter(|name| name != "current");
        let all = names.map(|name| async move {
            let tail = "/nodes/{}/qemu/{}/snapshot/{}/config";
            let path = ApiPath::new(tail, &[&guest.node, &guest.vmid, &name]);
            let config: BTreeMap<String, Value> =
                self.known(&Request::get(path)).await.unwrap_or_default();
            let text = |(key, value): (String, Value)| Some((key, value.as_str()?.to_owned()));
            let config = config.into_iter().filter_map(text).collect();
            let volume = |drive: pvx_core::provider::Drive| match drive.medium {
                Medium::Volume { volid, .. } => Some(volid),
                _ => None,
            };
            (name, Qemu.hardware(&config).drives.into_iter().filter_map(volume).collect())
        });
        Some(Snapshotted { vmid: guest.vmid, volumes: join_all(all).await })
    }

    async fn jobs(&self, asked: bool) -> Vec<Replication> {
        if !asked {
            return Vec::new();
        }
        let request = Request::get("/cluster/replication");
        let rows: Vec<JobRow> = self.known(&request).await.unwrap_or_default();
        let job = |row: JobRow| {
            let vmid = u32::try_from(number(Some(&row.guest))).ok()?;
            Some(Replication { id: row.id, vmid, target: row.target })
        };
        rows.into_iter().filter_map(job).collect()
    }
}
