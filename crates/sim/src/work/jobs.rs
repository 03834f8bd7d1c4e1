//! Backup jobs begin by themselves when their time has come, on every node that has guests of them
//! (`pvescheduler`, `PVE::Jobs::VZDump`).

use super::backup::Backup;
use super::{Work, fork};
use crate::api::backup_options::{self, Options};
use crate::clock::Moment;
use crate::world::World;
use crate::world::jobs::BackupJob;

/// What a job has that is no option of a backup.
const OWN: &[&str] = &["comment", "enabled", "repeat-missed", "schedule"];

/// Starts the jobs whose time has come. True when there were any.
pub(super) fn run(world: &mut World, moment: Moment) -> bool {
    let mut due = Vec::new();
    for job in world.backup_jobs.iter_mut().filter(|job| is_due(job, moment.now)) {
        job.plan(moment.seconds());
        due.push(job.options.clone());
    }
    let began = !due.is_empty();
    if !world.quorate() {
        return began;
    }
    for mut options in due {
        options.retain(|key, _| !OWN.contains(&key.as_str()));
        options.insert("quiet".to_owned(), "1".to_owned());
        start(world, moment, &options);
    }
    began
}

fn is_due(job: &BackupJob, now: i64) -> bool {
    job.next_ms.is_some_and(|next| next <= now)
}

fn start(world: &mut World, moment: Moment, options: &Options) {
    let wanted = options.get("node");
    let nodes = world.nodes.values().filter(|node| node.online);
    let nodes: Vec<String> = nodes.map(|node| node.name.clone()).collect();
    for node in nodes.iter().filter(|node| wanted.is_none_or(|wanted| wanted == *node)) {
        let mut own = options.clone();
        own.insert("node".to_owned(), node.clone());
        let Ok(vmids) = backup_options::included_guests(world, &own) else { continue };
        if vmids.is_empty() && own.get("all").is_none_or(|all| all != "1") {
            continue;
        }
        own.remove("node");
        let id = match vmids.as_slice() {
            [one] => one.to_string(),
            _ => String::new(),
        };
        let work = Work::Backup(Box::new(Backup::of(&own, vmids)));
        fork(world, moment, node, "vzdump", &id, "root@pam", work);
    }
}

/// When the next job begins.
pub(super) fn next_due(world: &World) -> Option<i64> {
    world.backup_jobs.iter().filter_map(|job| job.next_ms).min()
}
