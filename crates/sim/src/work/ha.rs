//! `hastart`, `hastop`, `hamigrate`: what was asked of a managed guest is passed on to the
//! manager; the task ends when it is queued (`PVE::API2::Qemu`, the command `ha-manager`).

use serde::{Deserialize, Serialize};

use super::{Next, Stage};
use crate::api::motion_info;
use crate::ha::{Command, sid_of};

/// Milliseconds that the command takes to start.
const COMMAND_MS: i64 = 600;

/// A request to the manager.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Wish {
    Start,
    /// With a time limit in seconds; 0 stops at once.
    Stop(i64),
    Migrate(String),
}

/// A managed guest and what is asked of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) vmid: u32,
    pub(crate) wish: Wish,
}

impl Request {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let vmid = self.vmid;
        if stage.number == 0 {
            stage.say(match &self.wish {
                Wish::Start => format!("Requesting HA start for VM {vmid}"),
                Wish::Stop(_) => format!("Requesting HA stop for VM {vmid}"),
                Wish::Migrate(node) => {
                    format!("Requesting HA migration for VM {vmid} to node {node}")
                }
            });
            return Ok(Next::After(COMMAND_MS));
        }
        let sid = sid_of(vmid);
        let (command, result) = match &self.wish {
            Wish::Start => {
                let result = stage.world.ha.request(&sid, "started");
                (format!("set {sid} --state started"), result)
            }
            Wish::Stop(timeout) => {
                let result = managed(stage, &sid);
                let order = Command::Stop { sid: sid.clone(), timeout: *timeout };
                if result.is_ok() {
                    stage.world.ha.commands.push(order);
                }
                (format!("crm-command stop {sid} {timeout}"), result)
            }
            Wish::Migrate(node) => (format!("migrate {sid} {node}"), migrate(stage, &sid, node)),
        };
        match result {
            Ok(()) => Ok(Next::Done),
            Err(text) => {
                stage.log.extend(text.lines().map(str::to_owned));
                Err(format!("command 'ha-manager {command}' failed: exit code 255"))
            }
        }
    }
}

fn managed(stage: &Stage<'_>, sid: &str) -> Result<(), String> {
    if !stage.world.ha.manages(sid) {
        return Err(format!("resource '{sid}' is not HA managed"));
    }
    stage.world.ha.check_state(sid, None)
}

/// Queues the move, and says what moves along or stands in the way.
fn migrate(stage: &mut Stage<'_>, sid: &str, node: &str) -> Result<(), String> {
    managed(stage, sid)?;
    let order = Command::Migrate { sid: sid.to_owned(), node: node.to_owned() };
    stage.world.ha.commands.push(order);
    let (together, apart) = motion_info(stage.world, sid, node);
    if !apart.is_empty() {
        let mut text = format!("cannot migrate resource '{sid}' to node '{node}':\n\n");
        for other in apart {
            text.push_str(&format!(
                "- resource '{other}' on target node '{node}' in negative affinity with resource '{sid}'\n"
            ));
        }
        return Err(text);
    }
    for other in together {
        stage.say(format!(
            "also migrate resource '{other}' in positive affinity with resource '{sid}' to target node '{node}'"
        ));
    }
    Ok(())
}
