//! `vzdump`: a job that backs up guests, one after the other (`PVE::VZDump`). What is done with one
//! of them is in [`super::backup_guest`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::backup_guest::Current;
use super::{Next, Stage};
use crate::fetch::stamp;
use crate::guest::format::{list, parse_bool};
use crate::storage::activate::active;
use crate::world::World;
use crate::world::access::Caller;
use crate::world::lock::LockName;

/// Minutes that a job waits for the one before it (`lockwait`).
const LOCKWAIT: i64 = 180;

/// `vzdump 100 --storage local …`, as the log shows it.
fn command_line(options: &BTreeMap<String, String>) -> String {
    let mut line = "vzdump".to_owned();
    for vmid in list(options.get("vmid").map(String::as_str).unwrap_or_default()) {
        line.push_str(&format!(" {vmid}"));
    }
    for (name, value) in options.iter().filter(|(name, value)| {
        !matches!(name.as_ref(), "vmid" | "stdout" | "job-id") && !value.is_empty()
    }) {
        let plain =
            value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./=,:@".contains(&byte));
        let value = if plain { value.clone() } else { format!("'{value}'") };
        line.push_str(&format!(" --{name} {value}"));
    }
    line
}

/// Guests to back up.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Backup {
    /// Those that are not done yet.
    pub(crate) vmids: Vec<u32>,
    pub(crate) storage: String,
    /// `snapshot`, `suspend` or `stop`.
    pub(crate) mode: String,
    /// `zstd`, `gzip`, `lzo`, or none.
    pub(crate) compress: String,
    /// Retention instead of the storage's.
    pub(crate) keep: Option<String>,
    /// Whether old backups go.
    pub(crate) remove: bool,
    /// Template of the notes.
    pub(crate) notes: Option<String>,
    pub(crate) protected: bool,
    /// Guests without permission are left out.
    pub(crate) all: bool,
    pub(crate) command: String,
    /// Minutes.
    #[serde(default)]
    pub(crate) lockwait: Option<i64>,
    /// Minutes that a guest gets to shut down.
    #[serde(default)]
    pub(crate) stopwait: Option<i64>,
    #[serde(default)]
    pub(crate) ionice: Option<String>,
    #[serde(default)]
    pub(crate) bwlimit: Option<String>,
    /// Another job held the lock.
    #[serde(default)]
    pub(crate) waited: bool,
    /// What is being written.
    #[serde(default)]
    pub(crate) current: Option<Current>,
    pub(crate) errors: u32,
}

impl Backup {
    /// Of guests, as the options say.
    pub(crate) fn of(options: &BTreeMap<String, String>, vmids: Vec<u32>) -> Self {
        let text = |name: &str| options.get(name).cloned().filter(|text| !text.is_empty());
        let flag = |name: &str| text(name).as_deref().and_then(parse_bool);
        Self {
            vmids,
            storage: text("storage").unwrap_or_else(|| "local".to_owned()),
            mode: text("mode").unwrap_or_else(|| "snapshot".to_owned()),
            compress: text("compress").unwrap_or_default(),
            keep: text("prune-backups"),
            remove: flag("remove").unwrap_or(true),
            notes: text("notes-template"),
            protected: flag("protected").unwrap_or(false),
            all: flag("all").unwrap_or(false),
            lockwait: text("lockwait").and_then(|text| text.parse().ok()),
            stopwait: text("stopwait").and_then(|text| text.parse().ok()),
            ionice: text("ionice"),
            bwlimit: text("bwlimit"),
            command: command_line(options),
            ..Self::default()
        }
    }

    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        if stage.number == 0 {
            return self.prepare(stage);
        }
        if stage.number == 1 {
            self.begin(stage)?;
        }
        if let Some(mut current) = self.current.take() {
            match current.advance(self, stage) {
                Ok(Some(ms)) => {
                    self.current = Some(current);
                    return Ok(Next::After(ms));
                }
                result => self.close(stage, &current, result.map(|_| ())),
            }
        }
        while !self.vmids.is_empty() {
            let mut current = Current::new(self.vmids.remove(0), stage.moment.seconds());
            match current.open(self, stage) {
                Ok(ms) => {
                    self.current = Some(current);
                    return Ok(Next::After(ms));
                }
                Err(error) => self.close(stage, &current, Err(error)),
            }
        }
        if self.errors > 0 {
            stage.say("INFO: Backup job finished with errors");
            return Err("job errors".to_owned());
        }
        stage.say("INFO: Backup job finished successfully");
        Ok(Next::Done)
    }

    /// The checks of `PVE::VZDump::new`, and the lock: one job on a node at a time.
    fn prepare(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let (id, node) = (&self.storage, stage.node.clone());
        let mut errors = Vec::new();
        if let Err(error) = active(stage.world, id, &node) {
            errors.push(format!("could not activate storage '{id}': {error}"));
        }
        let info = format!("could not get storage information for '{id}'");
        match stage.world.storages.get(id) {
            Some(storage) if storage.holds("backup") => {}
            Some(_) => errors
                .push(format!("{info}: can't use storage '{id}' for backups - wrong content type")),
            None => errors.push(format!("{info}: storage '{id}' does not exist")),
        }
        if !errors.is_empty() {
            return Err(errors.join("\n"));
        }
        let lock = LockName::Vzdump(node);
        if !stage.world.locks.free(&lock, true, Some(stage.holder)) {
            self.waited = true;
            stage.say("INFO: trying to get global lock - waiting...");
        }
        let wait_ms = self.lockwait.unwrap_or(LOCKWAIT).saturating_mul(60_000);
        Ok(Next::Lock { lock, exclusive: true, wait_ms })
    }

    /// The first lines, and who may (`exec_backup`).
    fn begin(&mut self, stage: &mut Stage<'_>) -> Result<(), String> {
        if self.waited {
            stage.say("INFO: got global lock");
        }
        stage.say(format!("INFO: starting new backup job: {}", self.command));
        let caller = Caller { authid: stage.user.clone() };
        let mut allowed = Vec::new();
        for vmid in std::mem::take(&mut self.vmids) {
            let may = stage.world.require(&caller, &format!("/vms/{vmid}"), &["VM.Backup"]);
            match may {
                Err(refusal) if stage.world.guest(vmid).is_some() => {
                    if !self.all {
                        return Err(refusal.exit());
                    }
                }
                _ => allowed.push(vmid),
            }
        }
        self.vmids = allowed;
        Ok(())
    }

    pub(super) fn extension(&self) -> &'static str {
        match self.compress.as_str() {
            "1" | "lzo" => "vma.lzo",
            "gzip" => "vma.gz",
            "zstd" => "vma.zst",
            _ => "vma",
        }
    }

    /// The end of one guest's backup.
    fn close(&mut self, stage: &mut Stage<'_>, done: &Current, result: Result<(), String>) {
        let vmid = done.vmid;
        done.clean_up(stage);
        let end = stage.moment.seconds();
        match result {
            Ok(()) => {
                let took = (end - done.start).max(0);
                let (hours, minutes, seconds) = (took / 3600, took / 60 % 60, took % 60);
                stage.say(format!(
                    "INFO: Finished Backup of VM {vmid} ({hours:02}:{minutes:02}:{seconds:02})"
                ));
                stage.say(format!("INFO: Backup finished at {}", stamp(end)));
            }
            Err(error) => {
                self.errors += 1;
                stage.say(format!("ERROR: Backup of VM {vmid} failed - {error}"));
                stage.say(format!("INFO: Failed at {}", stamp(end)));
            }
        }
    }

    pub(crate) fn abandon(self, world: &mut World) {
        if let Some(current) = self.current {
            current.abandon(world);
        }
    }
}
