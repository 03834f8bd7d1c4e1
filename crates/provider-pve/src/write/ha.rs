//! Guests under high availability. A request to start, stop, shut down or migrate one is handed to
//! the HA manager, and its task (`hastart`, `hastop`, `hamigrate`) ends when the manager took it
//! (qemu-server `API2/Qemu.pm`: vm_start, vm_stop, vm_shutdown, migrate_vm). What was asked for
//! comes true some 10 s later, or never: so the guest itself is looked at.

use std::time::Duration;

use pvx_core::provider::{ErrorClass, ProviderError};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::unknown;
use crate::client::{ApiError, ApiPath, Request, Upid, WaitOptions};
use crate::cluster::{Cluster, provider_error};

/// How long the look at the deadline itself may take.
pub(super) const LAST_LOOK: Duration = Duration::from_secs(2);

/// The service state that the HA manager leaves only when someone disables the service by hand
/// (pve-ha-manager `PVE::HA::Manager`, next_state_error).
const GIVEN_UP: &str = "error";

/// What a guest will be like when the HA manager has done its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    Running,
    Stopped,
    /// On another node than the one that took the request, and unlocked there.
    Moved,
}

/// What is to be waited for after a task of the HA manager.
#[derive(Debug)]
pub(super) struct Watch {
    goal: Goal,
    pub(super) vmid: u32,
    /// The node that took the request: the one the guest was on.
    from: String,
    /// The node it was last seen on.
    pub(super) node: String,
}

/// What one look at the guest showed.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) reached: bool,
    /// The HA manager's word for the guest (`started`, `migrate`, `error`, …).
    state: Option<String>,
}

/// `GET …/status/current`.
#[derive(Debug, Deserialize)]
struct Current {
    status: String,
    #[serde(default)]
    ha: Option<Ha>,
}

#[derive(Debug, Deserialize)]
struct Ha {
    #[serde(default)]
    state: Option<String>,
}

impl Watch {
    /// `None` for tasks that end when their work is done.
    fn after(upid: &Upid) -> Option<Self> {
        let goal = match upid.kind.as_str() {
            "hastart" => Goal::Running,
            "hastop" => Goal::Stopped,
            "hamigrate" => Goal::Moved,
            _ => return None,
        };
        Self::to(goal, upid)
    }

    /// After a reboot, which the HA manager has no part in.
    pub(super) fn reboot(upid: &Upid) -> Option<Self> {
        if upid.kind == "qmreboot" { Self::to(Goal::Running, upid) } else { None }
    }

    fn to(goal: Goal, upid: &Upid) -> Option<Self> {
        // `100`, or a service id: `vm:100`.
        let vmid = upid.id.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        Some(Self { goal, vmid, from: upid.node.clone(), node: upid.node.clone() })
    }

    /// The status that it is to have.
    fn wanted(&self) -> &'static str {
        if self.goal == Goal::Running { "running" } else { "stopped" }
    }

    fn wish(&self) -> String {
        match self.goal {
            Goal::Running => format!("guest {} runs", self.vmid),
            Goal::Stopped => format!("guest {} is stopped", self.vmid),
            Goal::Moved => format!("guest {} has left {}", self.vmid, self.from),
        }
    }
}

impl Cluster {
    /// Waits until what the HA manager took is true; at once for tasks of other kinds.
    ///
    /// # Errors
    /// `Failed` when the manager gave up, `OutcomeUnknown` when it is not true at the deadline or
    /// the guest cannot be looked at.
    pub(super) async fn settled(
        &self,
        upid: &Upid,
        options: WaitOptions,
        began: Instant,
    ) -> Result<(), ProviderError> {
        let Some(mut watch) = Watch::after(upid) else { return Ok(()) };
        let deadline = began + options.deadline;
        let mut interval = options.first_interval;
        let (mut last, mut since) = (None, Instant::now());
        let _watching = self.glance.watch();
        loop {
            let patience = deadline.max(Instant::now() + LAST_LOOK);
            match timeout_at(patience, self.look(&mut watch, since)).await {
                Ok(Ok(seen)) if seen.reached => return Ok(()),
                Ok(Ok(seen)) if seen.state.as_deref() == Some(GIVEN_UP) => {
                    return Err(given_up(upid, &watch));
                }
                Ok(Ok(seen)) => last = seen.state,
                Ok(Err(error)) if error.is_transient() => {}
                Ok(Err(error)) => return Err(unknown(upid, &provider_error(&error))),
                Err(_) => {}
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(too_late(upid, &watch, options.deadline, last.as_deref()));
            }
            sleep_until(deadline.min(now + interval)).await;
            since = now.max(Instant::now() - interval / 2);
            interval = options.next_interval(interval);
        }
    }

    /// One look. What others saw after `since` is as good.
    pub(super) async fn look(&self, watch: &mut Watch, since: Instant) -> Result<Seen, ApiError> {
        if watch.goal == Goal::Moved {
            let row = self.glance.in_cluster(&self.client, watch.vmid, since).await?;
            let Some(row) = row else { return Ok(Seen::default()) };
            let arrived = row.node != watch.from && row.lock.as_deref() != Some("migrate");
            return Ok(Seen { reached: arrived, state: row.hastate });
        }
        if self.glance.is_crowded() {
            return self.look_at_lists(watch, since).await;
        }
        let path = ApiPath::new("/nodes/{}/qemu/{}/status/current", &[&watch.node, &watch.vmid]);
        match self.client.get::<Current>(&Request::get(path)).await {
            Ok(current) => {
                let state = current.ha.and_then(|ha| ha.state);
                Ok(Seen { reached: current.status == watch.wanted(), state })
            }
            // The manager may start it on another node: the next look is at that one.
            Err(error) if error.is_missing_guest() => self.follow(watch, since).await,
            Err(error) => Err(error),
        }
    }

    /// The same of many guests: a list for each node, and one for what the HA manager says.
    async fn look_at_lists(&self, watch: &mut Watch, since: Instant) -> Result<Seen, ApiError> {
        let (node, vmid) = (watch.node.clone(), watch.vmid);
        match self.glance.on_node(&self.client, &node, vmid, since).await {
            Ok(Some(row)) if row.status.as_deref() == Some(watch.wanted()) => {
                Ok(Seen { reached: true, state: None })
            }
            Ok(_) => self.follow(watch, since).await,
            // The list fails as a whole when a guest of the node goes meanwhile.
            Err(error) if error.is_missing_guest() => Ok(Seen::default()),
            Err(error) => Err(error),
        }
    }

    /// Where the guest is now, and what the HA manager says of it.
    async fn follow(&self, watch: &mut Watch, since: Instant) -> Result<Seen, ApiError> {
        let row = self.glance.in_cluster(&self.client, watch.vmid, since).await?;
        let Some(row) = row else { return Ok(Seen::default()) };
        watch.node = row.node;
        Ok(Seen { reached: false, state: row.hastate })
    }
}

fn given_up(upid: &Upid, watch: &Watch) -> ProviderError {
    let text = format!(
        "the HA manager gave up before {}: its service vm:{} is in state error",
        watch.wish(),
        watch.vmid
    );
    let help = format!(
        "mend the cause (log of pve-ha-lrm on {}), then `ha-manager set vm:{} --state disabled`",
        watch.node, watch.vmid
    );
    let mut error = ProviderError::new(ErrorClass::Failed, text).help(help);
    error.upid = Some(upid.to_string());
    error
}

fn too_late(upid: &Upid, watch: &Watch, after: Duration, state: Option<&str>) -> ProviderError {
    let state = state.map(|state| format!(" (HA state {state})")).unwrap_or_default();
    let text = format!(
        "the HA manager took the request (task {}), and not even after {} s it is so that {}{state}",
        upid.kind,
        after.as_secs(),
        watch.wish()
    );
    let help = "`ha-manager status` shows what it waits for; run the command again: it looks at the cluster first";
    let mut error = ProviderError::new(ErrorClass::OutcomeUnknown, text).help(help);
    error.upid = Some(upid.to_string());
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_tasks_are_followed() {
        let table = [
            ("hastart", "100", Some((Goal::Running, 100))),
            ("hastop", "100", Some((Goal::Stopped, 100))),
            ("hamigrate", "vm%3A100", Some((Goal::Moved, 100))),
            ("hastart", "", None),
            ("qmstart", "100", None),
            ("qmigrate", "100", None),
        ];
        for (kind, id, expected) in table {
            let text = format!("UPID:pve1:00000F2A:000862E8:6B034FBE:{kind}:{id}:root@pam:");
            let watch = Watch::after(&text.parse().unwrap());
            assert_eq!(watch.as_ref().map(|w| (w.goal, w.vmid)), expected, "{kind} {id}");
            assert!(watch.is_none_or(|w| w.from == "pve1" && w.node == "pve1"));
        }
    }
}
