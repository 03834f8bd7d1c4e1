//! Backup jobs: `/etc/pve/jobs.cfg` (`PVE::Job::Registry`, `PVE::VZDump::JobBase`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::World;
use crate::calendar::Calendar;
use crate::guest::format::list;

/// A job that backs up guests.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct BackupJob {
    pub(crate) id: String,
    /// As they are stored.
    pub(crate) options: BTreeMap<String, String>,
    /// Sim time at which it begins, ms; none while it is switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next_ms: Option<i64>,
}

impl BackupJob {
    /// A new job, or a changed one.
    pub(crate) fn new(id: String, options: BTreeMap<String, String>, now: i64) -> Self {
        let mut job = Self { id, options, next_ms: None };
        job.plan(now);
        job
    }

    /// Finds out when it begins next, after a time in Unix seconds.
    pub(crate) fn plan(&mut self, now: i64) {
        let on = self.options.get("enabled").is_none_or(|enabled| enabled != "0");
        self.next_ms = self.calendar().filter(|_| on).and_then(|calendar| calendar.next(now));
        self.next_ms = self.next_ms.map(|next| next.saturating_mul(1000));
    }

    pub(crate) fn calendar(&self) -> Option<Calendar> {
        Calendar::parse(self.options.get("schedule")?).ok()
    }

    /// Takes a guest out of the job; false when the job has none left
    /// (`remove_vmid_from_job`).
    fn forget(&mut self, vmid: u32) -> bool {
        let (key, needed) = match self.options.contains_key("vmid") {
            true => ("vmid", true),
            false => ("exclude", false),
        };
        let Some(text) = self.options.get(key) else { return true };
        let own = vmid.to_string();
        let left: Vec<&str> = list(text).filter(|one| *one != own).collect();
        if left.is_empty() {
            self.options.remove(key);
            return !needed;
        }
        let left = left.join(",");
        self.options.insert(key.to_owned(), left);
        true
    }
}

impl World {
    pub(crate) fn backup_job(&self, id: &str) -> Option<&BackupJob> {
        self.backup_jobs.iter().find(|job| job.id == id)
    }

    /// A guest is gone for good: no job names it any longer.
    pub(crate) fn purge_from_jobs(&mut self, vmid: u32) {
        self.backup_jobs.retain_mut(|job| job.forget(vmid));
        let own = format!("{vmid}-");
        self.replication.retain(|id, _| !id.starts_with(&own));
    }

    /// Replication jobs of a guest: id and target node.
    pub(crate) fn replication_of(&self, vmid: u32) -> impl Iterator<Item = (&String, &str)> {
        let own = format!("{vmid}-");
        let jobs = self.replication.iter().filter(move |(id, _)| id.starts_with(&own));
        jobs.map(|(id, job)| (id, job.get("target").map(String::as_str).unwrap_or_default()))
    }

    /// The file `/etc/pve/jobs.cfg`; empty without jobs.
    pub(crate) fn jobs_cfg(&self) -> String {
        let mut out = String::new();
        for job in &self.backup_jobs {
            out.push_str(&format!("vzdump: {}\n", job.id));
            let first = ["comment", "schedule"];
            let rest = job.options.keys().map(String::as_str).filter(|key| !first.contains(key));
            for key in first.into_iter().chain(rest) {
                let Some(value) = job.options.get(key) else { continue };
                for line in value.split('\0') {
                    out.push_str(&format!("\t{key} {}\n", encoded(key, line)));
                }
            }
            out.push('\n');
        }
        out
    }
}

/// Comments keep their line ends (`encode_text`).
fn encoded(key: &str, value: &str) -> String {
    if key != "comment" {
        return value.to_owned();
    }
    value.replace('%', "%25").replace(':', "%3A").replace('\n', "%0A").replace('\r', "%0D")
}
