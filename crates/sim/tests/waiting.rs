//! Requests whose work takes time: what they hold meanwhile, how long anybody waits for them, and
//! that they are carried out whether or not somebody still does.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

#[path = "support/script.rs"]
mod script;
mod support;

use std::sync::Arc;
use std::time::Duration;

use pvx_sim::direct::Direct;
use pvx_sim::fault::Fault;
use pvx_sim::{Options, Sim, TimeScale, World};
use script::{START_MS, Script as Lab};
use serde_json::Value;
use support::{Client, Who};

/// Copies take a second per GiB: two seconds, and ten minutes.
const WORLD: &str = "
from: lab
volumes:
  - {volid: 'shared:import/two.qcow2', size: 4GiB, used: 2GiB}
  - {volid: 'shared:import/huge.qcow2', size: 700GiB, used: 600GiB}
guests: [{vmid: 200, name: web, node: pve1}]
";
const CONFIG: &str = "/nodes/pve1/qemu/200/config";
const TWO: &str = "shared:0,import-from=shared:import/two.qcow2";
const HUGE: &str = "shared:0,import-from=shared:import/huge.qcow2";

fn world() -> World {
    World::from_yaml(WORLD).unwrap()
}

/// A script about the guest.
fn still() -> Lab {
    let world = world();
    let (id, secret) = world.token();
    let caller = format!("PVEAPIToken={id}={secret}");
    Lab { direct: Direct::new(world, START_MS), caller, below: "/nodes/pve1/qemu/200" }
}

impl Lab {
    fn config(&mut self) -> Value {
        self.data("GET config")
    }

    fn ended(&self, upid: &str) -> Option<&str> {
        self.direct.world().tasks().find(|task| task.upid == upid).unwrap().exit()
    }
}

#[test]
fn a_change_as_task_takes_the_time_of_its_copies() {
    let mut lab = still();
    let upid = lab.begin(&format!("POST config scsi0={TWO} cores=2"));
    lab.direct.advance(2_000);
    assert_eq!(lab.ended(&upid), None);
    let config = lab.config();
    assert_eq!((&config["scsi0"], &config["cores"]), (&Value::Null, &Value::Null));
    lab.direct.advance(500);
    assert_eq!(lab.ended(&upid), Some("OK"));
    assert_eq!(lab.config()["scsi0"], "shared:200/vm-200-disk-0.qcow2,size=4G");
}

#[test]
fn a_synchronous_change_waits_without_a_task() {
    let mut lab = still();
    let upid = lab.begin(&format!("POST config scsi0={TWO}"));
    // It waits for the configuration, which the other change holds, and then for its own copy.
    lab.play(&[(&format!("PUT config scsi1={TWO}"), "done")]);
    assert_eq!(lab.ended(&upid), Some("OK"));
    let config = lab.config();
    assert_eq!(config["scsi0"], "shared:200/vm-200-disk-0.qcow2,size=4G");
    assert_eq!(config["scsi1"], "shared:200/vm-200-disk-1.qcow2,size=4G");
    let tasks = lab.data("GET /nodes/pve1/tasks source=all");
    assert_eq!(tasks.as_array().unwrap().len(), 1, "{tasks}");
    // What is wrong is told as ever.
    let changed = "checksum mismatch (file change by other user?)";
    lab.play(&[("PUT config scsi2=shared:4 digest=0", changed)]);
    lab.direct.add_fault(Fault::now().fills("shared")).unwrap();
    let (told, body) = lab.call(&format!("PUT config scsi2={TWO}"));
    assert_eq!(told.status, 500, "{body}");
    assert_eq!(lab.config()["scsi2"], Value::Null);
}

#[test]
fn a_delay_in_the_background_is_waited_for() {
    let mut lab = still();
    let upid = lab.begin(&format!("POST config scsi0={TWO} background_delay=1"));
    assert_eq!(lab.ended(&upid), None);
    assert_eq!(lab.data(&format!("POST config scsi1={TWO} background_delay=9")), Value::Null);
    lab.direct.add_fault(Fault::now().fills("shared")).unwrap();
    let (told, _) = lab.call(&format!("POST config scsi2={TWO} background_delay=9"));
    assert!(told.reason.starts_with("failed to update VM 200: "), "{told:?}");
}

#[test]
fn the_storage_may_be_locked() {
    let mut lab = still();
    lab.direct.add_fault(Fault::now().holds_storage("shared", 15_000)).unwrap();
    lab.play(&[
        ("PUT config scsi0=shared:4", "cfs-lock 'storage-shared' error: got lock request timeout"),
        // A change that allocates nothing does not care; one that does gets its turn.
        ("PUT config cores=2", "done"),
        ("PUT config scsi0=shared:4", "done"),
    ]);
}

/// A world behind sockets.
struct Served {
    sim: Sim,
    client: Arc<Client>,
    who: Who,
}

impl Served {
    async fn start() -> Self {
        let options = Options { time_scale: TimeScale::REAL, ..Options::default() };
        let sim = Sim::start(world(), options).await.unwrap();
        let (id, secret) = sim.token();
        let client = Arc::new(Client::new(sim.addr()));
        Self { sim, client, who: Who::token(&id, &secret) }
    }

    fn put(&self, key: &str, value: &str) -> tokio::task::JoinHandle<support::Answer> {
        let (client, who) = (Arc::clone(&self.client), self.who.clone());
        let (key, value) = (key.to_owned(), value.to_owned());
        tokio::spawn(async move { client.call(&who, "PUT", CONFIG, &[(&key, &value)]).await })
    }

    fn value(&self, key: &str) -> Option<String> {
        self.sim.world().guest(200).unwrap().get(key).map(str::to_owned)
    }

    /// Looks until it holds; gives up after half a minute.
    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        for _ in 0..3_000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not come to hold");
    }
}

#[tokio::test]
async fn the_proxy_gives_up_after_30_s_and_the_node_goes_on() {
    let served = Served::start().await;
    let mut put = served.put("scsi0", HUGE);
    let mut passed = 0;
    let answer = loop {
        if let Ok(answer) = tokio::time::timeout(Duration::from_millis(5), &mut put).await {
            break answer.unwrap();
        }
        passed += 1;
        served.sim.advance(500);
    };
    assert_eq!((answer.status, answer.reason.as_str()), (596, "Connection timed out"));
    assert!(passed > 50, "{passed}");
    assert_eq!(served.value("scsi0"), None);
    served.sim.advance(700_000);
    served.until(|served| served.value("scsi0").is_some()).await;
}

#[tokio::test]
async fn who_goes_away_does_not_undo_what_was_asked() {
    let served = Served::start().await;
    served.sim.add_fault(Fault::on("PUT", CONFIG).latency(300)).unwrap();
    let put = served.put("description", "kept");
    served.until(|served| served.sim.faults()[0].fired == 1).await;
    put.abort();
    assert!(put.await.is_err());
    served.until(|served| served.value("description").is_some()).await;
}
