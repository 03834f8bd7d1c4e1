//! Lists that tell of many guests at once. When several are watched, each look at a list serves all
//! whose turn to look it is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use tokio::time::Instant;

use crate::client::{ApiError, ApiPath, Client, Request};

/// From so many watched guests on, lists of nodes cost less than looks at each guest.
const CROWD: usize = 4;

/// Lists that were read of late.
#[derive(Debug, Default)]
pub(crate) struct Glance {
    watched: AtomicUsize,
    lists: Mutex<BTreeMap<String, Arc<List>>>,
}

type Rows = Arc<Vec<Row>>;

/// A list and when it was asked for. Held while it is being asked for.
type List = tokio::sync::Mutex<Option<(Instant, Rows)>>;

/// A guest's row of `GET /cluster/resources?type=vm`, where node, lock and hastate are live, or of
/// `GET /nodes/N/qemu`, where status is.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Row {
    #[serde(default)]
    pub(super) node: String,
    #[serde(default)]
    pub(super) vmid: Option<u32>,
    #[serde(default)]
    pub(super) status: Option<String>,
    #[serde(default)]
    pub(super) lock: Option<String>,
    #[serde(default)]
    pub(super) hastate: Option<String>,
}

/// Held while a guest is watched.
#[derive(Debug)]
pub(super) struct Watching<'a>(&'a Glance);

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.0.watched.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Glance {
    pub(super) fn watch(&self) -> Watching<'_> {
        self.watched.fetch_add(1, Ordering::Relaxed);
        Watching(self)
    }

    /// Whether enough guests are watched for lists of nodes.
    pub(super) fn is_crowded(&self) -> bool {
        self.watched.load(Ordering::Relaxed) >= CROWD
    }

    /// The guest's row in the cluster's list, no older than `since`. Without one it is gone, or hidden
    /// from the token.
    pub(super) async fn in_cluster(
        &self,
        client: &Client,
        vmid: u32,
        since: Instant,
    ) -> Result<Option<Row>, ApiError> {
        let request = Request::get("/cluster/resources").parameter("type", "vm");
        self.find(client, &request, vmid, since).await
    }

    /// The guest's row in its node's list, no older than `since`.
    pub(super) async fn on_node(
        &self,
        client: &Client,
        node: &str,
        vmid: u32,
        since: Instant,
    ) -> Result<Option<Row>, ApiError> {
        let request = Request::get(ApiPath::new("/nodes/{}/qemu", &[&node]));
        self.find(client, &request, vmid, since).await
    }

    async fn find(
        &self,
        client: &Client,
        request: &Request,
        vmid: u32,
        since: Instant,
    ) -> Result<Option<Row>, ApiError> {
        let list = self.list(request.path().as_str());
        let mut held = list.lock().await;
        let rows = match &*held {
            Some((asked, rows)) if *asked >= since => Arc::clone(rows),
            _ => {
                let asked = Instant::now();
                let rows: Rows = Arc::new(client.get(request).await?);
                *held = Some((asked, Arc::clone(&rows)));
                rows
            }
        };
        Ok(rows.iter().find(|row| row.vmid == Some(vmid)).cloned())
    }

    fn list(&self, path: &str) -> Arc<List> {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(lists.entry(path.to_owned()).or_default())
    }
}
