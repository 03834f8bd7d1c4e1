//! Reboots. The task `qmreboot` ends when the guest is down (qemu-server `vm_reboot`); what starts
//! it again is a task of root@pam's, begun by the clean-up after QEMU. So the guest is watched until
//! it runs again, with nothing left that waits for a cold boot.

use std::time::Duration;

use pvx_core::live::GuestRef;
use pvx_core::provider::{ErrorClass, ProviderError, Reader};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::ha::{LAST_LOOK, Watch};
use super::unknown;
use crate::client::{ApiPath, Request, Upid, WaitOptions};
use crate::cluster::{Cluster, provider_error};

/// How long a guest that is down may take to run again: the clean-up and the start take seconds,
/// more on a node with much to do.
const PATIENCE: Duration = Duration::from_secs(180);

/// A row of `GET /nodes/N/tasks`.
#[derive(Debug, Deserialize)]
struct TaskRow {
    upid: String,
    #[serde(default)]
    status: Option<String>,
}

impl Cluster {
    /// Waits until a guest whose reboot has ended runs again; at once for tasks of other kinds.
    ///
    /// # Errors
    /// `Failed` when it does not come back, or comes back with values that still wait;
    /// `OutcomeUnknown` when it cannot be looked at.
    pub(super) async fn rebooted(
        &self,
        upid: &Upid,
        options: WaitOptions,
    ) -> Result<(), ProviderError> {
        let Some(mut watch) = Watch::reboot(upid) else { return Ok(()) };
        let limit = options.deadline.min(PATIENCE);
        let deadline = Instant::now() + limit;
        let mut interval = options.first_interval;
        let mut since = Instant::now();
        let _watching = self.glance.watch();
        loop {
            let patience = deadline.max(Instant::now() + LAST_LOOK);
            match timeout_at(patience, self.look(&mut watch, since)).await {
                Ok(Ok(seen)) if seen.reached => return self.nothing_waits(upid, &watch).await,
                Ok(Ok(_)) => self.no_start_failed(upid, &watch).await?,
                Ok(Err(error)) if error.is_transient() => {}
                Ok(Err(error)) => return Err(unknown(upid, &provider_error(&error))),
                Err(_) => {}
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(not_back(upid, &watch, limit));
            }
            sleep_until(deadline.min(now + interval)).await;
            since = now.max(Instant::now() - interval / 2);
            interval = options.next_interval(interval);
        }
    }

    /// The start after the reboot, when the token may see it: then there is no need to wait for a
    /// guest that will not come.
    async fn no_start_failed(&self, upid: &Upid, watch: &Watch) -> Result<(), ProviderError> {
        let request = Request::get(ApiPath::new("/nodes/{}/tasks", &[&watch.node]))
            .parameter("vmid", watch.vmid)
            .parameter("typefilter", "qmstart")
            .parameter("since", upid.starttime);
        // Without an answer the guest itself is looked at again.
        let rows: Vec<TaskRow> = self.client.get(&request).await.unwrap_or_default();
        let ended = |row: &&TaskRow| {
            let status = row.status.as_deref().unwrap_or("RUNNING");
            status != "RUNNING" && status != "OK" && !status.starts_with("WARNINGS")
        };
        let Some(row) = rows.iter().find(ended) else { return Ok(()) };
        let text = row.status.as_deref().unwrap_or_default();
        let Ok(start) = row.upid.parse::<Upid>() else { return Ok(()) };
        let mut error = self.failed(&start, text).await;
        error.class = ErrorClass::Failed;
        error.message =
            format!("guest {} was shut down to reboot and does not start: {text}", watch.vmid);
        Err(error.help(start_help(watch)))
    }

    async fn nothing_waits(&self, upid: &Upid, watch: &Watch) -> Result<(), ProviderError> {
        let reference = GuestRef { vmid: watch.vmid, node: watch.node.clone() };
        let found = self.guests(std::slice::from_ref(&reference), false).await;
        let found = found.map_err(|error| unknown(upid, &error))?;
        let keys: Vec<&str> =
            found.iter().flat_map(|guest| &guest.pending).map(|p| p.key.as_str()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let text = format!(
            "guest {} was rebooted, and Proxmox could not put into effect: {}",
            watch.vmid,
            keys.join(", ")
        );
        let help = format!(
            "its log says why (`journalctl -t qmeventd` on {}); undo a value with `qm set {} --revert KEY`",
            watch.node, watch.vmid
        );
        Err(failed(upid, text, help))
    }
}

fn not_back(upid: &Upid, watch: &Watch, limit: Duration) -> ProviderError {
    let text = format!(
        "guest {} was shut down to reboot, and does not run again after {} s",
        watch.vmid,
        limit.as_secs()
    );
    failed(upid, text, start_help(watch))
}

fn start_help(watch: &Watch) -> String {
    format!(
        "its new values are in effect; find out why it does not start (`qm start {}` on {}), then apply again",
        watch.vmid, watch.node
    )
}

fn failed(upid: &Upid, text: String, help: String) -> ProviderError {
    let mut error = ProviderError::new(ErrorClass::Failed, text).help(help);
    error.upid = Some(upid.to_string());
    error
}

/// What to do about a guest that did not shut down when it was asked to reboot. Nothing is forced:
/// it runs on as it was.
pub(super) fn advice(upid: &Upid, error: ProviderError) -> ProviderError {
    if upid.kind != "qmreboot" || error.class != ErrorClass::Failed {
        return error;
    }
    let help = format!(
        "guest {} runs on as before, and its values wait: give it longer (--shutdown-timeout), or shut it down from inside and apply again",
        upid.id
    );
    error.help(help)
}
