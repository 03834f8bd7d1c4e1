//! Backup jobs and what else knows of backups and templates: asked without a server.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::call::Data;
use super::dispatch::{Request, dispatch};
use super::endpoint::Method;
use super::params::Params;
use super::refusal::Refusal;
use super::router::Router;
use crate::clock::Moment;
use crate::world::World;
use crate::world::access::Caller;
use crate::world::guest::Guest;

/// 2026-11-28 12:00:00.
const NOW: i64 = 1_795_867_200_000;

fn ask_as(world: &mut World, who: &str, line: &str) -> Result<Value, Refusal> {
    static ROUTER: LazyLock<Router> = LazyLock::new(Router::new);
    let (method, rest) = line.split_once(' ').unwrap();
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (endpoint, mut params) = ROUTER.find(Method::parse(method).unwrap(), path).unwrap();
    let mut given = Params::default();
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        given.add(key.to_owned(), value.to_owned());
    }
    params.join(given)?;
    let caller = Ok(Caller { authid: who.to_owned() });
    let moment = Moment { now: NOW, instant: true };
    let reply = dispatch(world, &Request { endpoint, params, caller }, moment, "AB")?;
    crate::work::run_due(world, moment);
    Ok(match reply.data {
        Data::Value(value) => value,
        Data::Text(text) | Data::File(text) => serde_json::from_slice(&text).unwrap(),
    })
}

fn ask(world: &mut World, line: &str) -> Value {
    ask_as(world, "root@pam", line).unwrap_or_else(|refusal| panic!("{line}: {refusal:?}"))
}

/// What is answered, in one line.
fn brief(world: &mut World, who: &str, line: &str) -> String {
    match ask_as(world, who, line) {
        Ok(value) => value.to_string(),
        Err(Refusal::Params(errors)) => format!("400 {errors:?}"),
        Err(refusal) => format!("{} {}", refusal.status(), refusal.text().trim_end()),
    }
}

fn world() -> World {
    let mut world = World::truth();
    let disks = [
        ("name", "web"),
        ("scsi0", "vmdata:100/vm-100-disk-0.raw,size=1G"),
        ("scsi1", "vmdata:100/vm-100-disk-1.raw,backup=0,size=1G"),
        ("ide2", "local:iso/truth.iso,media=cdrom"),
    ];
    world.add_guest(Guest::new(100, "pve1", &disks));
    world.add_guest(Guest::new(101, "pve2", &[("name", "db")]));
    world
}

#[test]
fn a_job_is_kept_and_shown_as_it_is_parsed() {
    let mut world = world();
    let line = "POST /cluster/backup?id=j1&vmid=100,102&schedule=mon..fri 22:00&storage=shared&compress=zstd&prune-backups=keep-all=0,keep-last=3&comment=a: b&fleecing=1,storage=local&performance=max-workers=4&exclude-path=/tmp&exclude-path=/var&enabled=0&lockwait=5";
    assert_eq!(ask(&mut world, line), Value::Null);
    let expected = json!({
        "id": "j1", "type": "vzdump", "vmid": "100,102", "schedule": "mon..fri 22:00",
        "storage": "shared", "compress": "zstd", "prune-backups": {"keep-last": "3"},
        "comment": "a: b", "fleecing": {"enabled": 1, "storage": "local"}, "lockwait": 5,
        "performance": {"max-workers": "4"}, "exclude-path": ["/tmp", "/var"], "enabled": 0,
    });
    assert_eq!(ask(&mut world, "GET /cluster/backup/j1"), expected);
    // The list has the next run too, on Monday evening.
    let list = ask(&mut world, "GET /cluster/backup");
    assert_eq!(list[0]["next-run"], json!(1_796_076_000));
    let text = world.jobs_cfg();
    assert!(
        text.starts_with("vzdump: j1\n\tcomment a%3A b\n\tschedule mon..fri 22:00\n"),
        "{text}"
    );
    assert!(text.contains("\texclude-path /tmp\n\texclude-path /var\n"), "{text}");
    let tree = ask(&mut world, "GET /cluster/backup/j1/included_volumes");
    assert_eq!(
        tree,
        json!({ "children": [
            { "id": 100, "type": "qemu", "name": "web", "leaf": 0, "children": [
                { "id": "100:scsi0", "name": "vmdata:100/vm-100-disk-0.raw", "included": 1,
                  "reason": "backup=yes", "leaf": 1 },
                { "id": "100:scsi1", "name": "vmdata:100/vm-100-disk-1.raw", "included": 0,
                  "reason": "backup=no", "leaf": 1 },
            ]},
            { "id": 102, "type": "unknown", "leaf": 1 },
        ]})
    );
    let bare = ask(&mut world, "GET /cluster/backup-info/not-backed-up");
    assert_eq!(bare, json!([{ "vmid": 101, "type": "qemu", "name": "db" }]));
}

#[test]
fn jobs_change() {
    let mut world = world();
    ask(&mut world, "POST /cluster/backup?id=j1&vmid=100&schedule=daily&comment=x&mailto=");
    for (change, expected) in [
        (
            "exclude=101&delete=comment,vmid",
            json!({"all": 1, "exclude": "101", "enabled": 1, "schedule": "daily"}),
        ),
        ("vmid=101&enabled=0", json!({"vmid": "101", "enabled": 0, "schedule": "daily"})),
        (
            "starttime=2:30&dow=mon,tue",
            json!({"vmid": "101", "enabled": 0, "schedule": "mon,tue 2:30"}),
        ),
        ("all=1&schedule=*/15", json!({"all": 1, "enabled": 0, "schedule": "*/15"})),
    ] {
        ask(&mut world, &format!("PUT /cluster/backup/j1?{change}"));
        let mut shown = ask(&mut world, "GET /cluster/backup/j1");
        let members = shown.as_object_mut().unwrap();
        members.retain(|key, _| !matches!(key.as_str(), "id" | "type"));
        assert_eq!(shown, expected, "{change}");
    }
    // Purging a guest takes it out of the jobs, and ends those that had no other.
    ask(&mut world, "POST /cluster/backup?id=j2&vmid=100&schedule=daily");
    ask(&mut world, "POST /cluster/backup?id=j3&vmid=100,101&schedule=daily");
    world.purge_from_jobs(100);
    let left: Vec<(&str, Option<&String>)> =
        world.backup_jobs.iter().map(|job| (job.id.as_str(), job.options.get("vmid"))).collect();
    assert_eq!(left, [("j1", None), ("j3", Some(&"101".to_owned()))]);
    ask(&mut world, "DELETE /cluster/backup/j1");
    assert_eq!(world.backup_jobs.len(), 1);
}

#[test]
fn what_is_refused_of_jobs() {
    let mut world = world();
    ask(&mut world, "POST /cluster/backup?id=j1&vmid=100&schedule=daily");
    let root = "root@pam";
    for (who, line, expected) in [
        (root, "POST /cluster/backup?id=j1&all=1&schedule=daily", "500 Job 'j1' already exists"),
        (
            root,
            "POST /cluster/backup?id=j2&schedule=daily",
            // Within the lock an exception becomes text.
            "500 400 Parameter verification failed.\nvmid: property is missing",
        ),
        (
            root,
            "POST /cluster/backup?id=j2&all=1",
            r#"400 {"schedule": "neither 'starttime' nor 'schedule' were set"}"#,
        ),
        (
            root,
            "POST /cluster/backup?id=j2&all=1&schedule=foo",
            r#"400 {"schedule": "invalid format - invalid calendar event 'foo' - unable to parse calendar event at 'foo' - Context(\"weekday\")\n\n"}"#,
        ),
        (
            root,
            "POST /cluster/backup?id=j2&all=1&schedule=daily&fleecing=1",
            r#"400 {"fleecing": "invalid format - 'storage' parameter is required when 'enabled' is set\n"}"#,
        ),
        (
            root,
            "POST /cluster/backup?pool=no&schedule=daily",
            "403 Permission check failed (pool 'no' does not exist)",
        ),
        (root, "GET /cluster/backup/no", r#"400 {"id": "No such job 'no'"}"#),
        (
            root,
            "DELETE /cluster/backup/no",
            "500 400 Parameter verification failed.\nid: No such job 'no'",
        ),
        (root, "PUT /cluster/backup/no?enabled=1", "500 no such vzdump job"),
        (root, "PUT /cluster/backup/j1", "500 no options specified"),
        (
            root,
            "PUT /cluster/backup/j1?delete=foo",
            "500 400 Parameter verification failed.\ndelete: unknown option 'foo'",
        ),
        (
            root,
            "PUT /cluster/backup/j1?delete=vmid",
            "500 400 Parameter verification failed.\nvmid: property is missing",
        ),
        (
            "viewer@pve",
            "POST /cluster/backup?all=1&schedule=daily",
            "403 Permission check failed (/, Sys.Modify)",
        ),
        (
            "admin@pve",
            "POST /cluster/backup?all=1&schedule=daily&script=/x",
            r#"400 {"script": "Only root may set this option."}"#,
        ),
    ] {
        assert_eq!(brief(&mut world, who, line), expected, "{line}");
    }
}

#[test]
fn reads_and_refusals_around_backups() {
    let mut world = world();
    let defaults = ask(&mut world, "GET /nodes/pve1/vzdump/defaults?storage=shared");
    assert_eq!(
        defaults,
        json!({
            "all": 0, "bwlimit": 0, "compress": "0", "dumpdir": "/mnt/shared/dump",
            "fleecing": {"enabled": 0}, "ionice": 7, "lockwait": 180,
            "mailnotification": "always", "mode": "snapshot", "notification-mode": "auto",
            "performance": {"max-workers": 16, "pbs-entries-max": 1_048_576}, "pigz": 0,
            "prune-backups": "keep-all=1", "quiet": 0, "remove": 1, "stdexcludes": 1, "stop": 0,
            "stopwait": 10, "storage": "shared", "zstd": 1,
        })
    );
    let s = "/nodes/pve1/storage";
    for (line, expected) in [
        (
            "GET /nodes/pve1/vzdump/defaults?storage=vmdata".to_owned(),
            "500 can't use storage 'vmdata' for backups - wrong content type",
        ),
        (
            "POST /nodes/pve1/vzdump?pool=no".to_owned(),
            "500 pool 'no' does not exist",
        ),
        (
            "GET /nodes/pve1/vzdump/extractconfig?volume=local:backup/vzdump-qemu-100-2026_11_28-12_00_00.vma".to_owned(),
            "500 volume 'local:backup/vzdump-qemu-100-2026_11_28-12_00_00.vma' does not exist",
        ),
        (
            format!("GET {s}/local/file-restore/list?filepath=/&volume=vzdump-qemu-100-2026_11_28-12_00_00.vma"),
            r#"400 {"storage": "Only PBS storages supported for file-restore."}"#,
        ),
        (
            format!("GET {s}/local/file-restore/list?filepath=/&volume=shared:backup/x.vma"),
            r#"400 {"volume": "storage ID mismatch (shared != local)."}"#,
        ),
        (
            format!("GET {s}/local/import-metadata?volume=import/no.ovf"),
            "500 can't open '/var/lib/vz/import/no.ovf' - No such file or directory",
        ),
        (
            format!("POST {s}/local/download-url?content=films&url=http://x/y.iso&filename=y.iso"),
            r#"400 {"content": "invalid format - invalid content type 'films'\n"}"#,
        ),
        (
            "POST /nodes/pve1/aplinfo?storage=local&template=no".to_owned(),
            r#"400 {"template": "no such template"}"#,
        ),
        (
            "POST /nodes/pve1/aplinfo?storage=vmdata&template=debian-13-standard_13.6-1_amd64.tar.zst".to_owned(),
            "500 storage 'vmdata' does not support templates",
        ),
        ("GET /nodes/pve1/scan/iscsi?portal=192.0.2.1".to_owned(), "[]"),
        (
            "GET /nodes/pve1/scan/pbs?server=192.0.2.1&username=root@pam&password=x".to_owned(),
            "500 error fetching datastores - 500 Can't connect to 192.0.2.1:8007 (No route to host)",
        ),
        (
            "GET /cluster/jobs/schedule-analyze?schedule=hourly&iterations=1".to_owned(),
            r#"[{"timestamp":1795870800,"utc":"Sat Nov 28 13:00:00 2026"}]"#,
        ),
    ] {
        assert_eq!(brief(&mut world, "root@pam", &line), expected, "{line}");
    }
}

/// A job begins by itself, on each node that has guests of it, and not while it is switched off.
#[test]
fn a_job_runs_when_its_time_has_come() {
    let mut world = world();
    ask(&mut world, "POST /cluster/backup?id=j1&all=1&schedule=*/10&storage=shared");
    ask(&mut world, "POST /cluster/backup?id=j2&vmid=101&schedule=*/10&enabled=0");
    assert_eq!(crate::work::next_due(&world), Some(NOW + 600_000));
    let begun = |world: &mut World, now: i64| {
        crate::work::run_due(world, Moment { now, instant: true });
        let tasks = world.tasks().filter(|task| task.kind == "vzdump");
        tasks.map(|task| format!("{} {} {}", task.node, task.id, task.user)).collect::<Vec<_>>()
    };
    let all = ["pve1 100 root@pam", "pve2 101 root@pam", "pve3  root@pam"];
    assert_eq!(begun(&mut world, NOW + 599_999), [""; 0]);
    assert_eq!(begun(&mut world, NOW + 600_000), all);
    assert_eq!(begun(&mut world, NOW + 700_000), all);
    ask(&mut world, "PUT /cluster/backup/j1?enabled=0");
    assert_eq!(begun(&mut world, NOW + 1_300_000), all);
}

/// What stands on a storage that is switched off cannot be used, and the storage is what is named.
#[test]
fn volumes_of_a_disabled_storage() {
    let mut world = world();
    ask(&mut world, "PUT /storage/vmdata?disable=1");
    ask(&mut world, "POST /nodes/pve1/qemu/100/status/start");
    ask(&mut world, "PUT /nodes/pve1/qemu/100/resize?disk=scsi0&size=2G");
    let ends: Vec<&str> = world.tasks().filter_map(crate::Task::exit).collect();
    let last = ends.iter().rev().take(2);
    assert!(last.clone().all(|end| *end == "storage 'vmdata' is disabled"), "{ends:?}");
    let line = "PUT /nodes/pve1/qemu/100/config?ide0=off:iso/x.iso,media=cdrom";
    ask(&mut world, "POST /storage?storage=off&type=dir&path=/srv/off&disable=1&content=iso");
    assert_eq!(brief(&mut world, "root@pam", line), "500 storage 'off' is disabled");
}
