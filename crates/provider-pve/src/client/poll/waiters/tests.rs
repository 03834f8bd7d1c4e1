//! What is asked for whom, and what they are told. Time is made up.

use super::*;
use crate::client::Call;
use crate::client::Method;
use crate::client::task::{TaskOutcome, TaskStatus};

type Receiver = oneshot::Receiver<End>;

struct Scene {
    waiters: Waiters,
    now: Instant,
}

fn upid(node: &str, pid: u32) -> Upid {
    format!("UPID:{node}:{pid:08X}:000862E8:6B034FBE:qmclone:{pid}:root@pam!lab:").parse().unwrap()
}

impl Scene {
    fn new() -> Self {
        Self { waiters: Waiters::default(), now: Instant::now() }
    }

    fn add(&mut self, node: &str, pid: u32) -> Receiver {
        let (sender, receiver) = oneshot::channel();
        let options = WaitOptions::new(Duration::from_secs(600));
        self.waiters.add(&upid(node, pid), options, sender, self.now);
        receiver
    }

    /// Lets time pass until something is asked.
    fn asks(&mut self) -> Vec<Ask> {
        let due = self.waiters.due().unwrap();
        self.now = self.now.max(due);
        let asks = self.waiters.tick(self.now, &BTreeSet::new());
        asks.into_iter().map(|(ask, _)| ask).collect()
    }

    fn list(&mut self, ask: &Ask, rows: &[(&str, u32, Option<&str>)]) {
        let row = |(node, pid, exit): &(&str, u32, Option<&str>)| {
            let listed = match exit {
                None => Listed::Running,
                Some(text) => {
                    let outcome = TaskOutcome::of(text);
                    Listed::Ended(TaskEnd { exitstatus: (*text).to_owned(), outcome })
                }
            };
            (upid(node, *pid).to_string(), listed)
        };
        let rows = rows.iter().map(row).collect();
        self.waiters.take(ask, self.now, Ok(Answer::List(rows)), self.now);
    }

    fn status(&mut self, node: &str, pid: u32, exit: Option<&str>) {
        let status = TaskStatus {
            status: if exit.is_some() { "stopped" } else { "running" }.to_owned(),
            exitstatus: exit.map(str::to_owned),
        };
        self.waiters.take(&task(node, pid), self.now, Ok(Answer::Status(status)), self.now);
    }

    fn fail(&mut self, ask: &Ask, error: ApiError) {
        self.waiters.take(ask, self.now, Err(error), self.now);
    }
}

fn task(node: &str, pid: u32) -> Ask {
    Ask::Task(upid(node, pid).to_string())
}

fn node(name: &str) -> Ask {
    Ask::Node(name.to_owned())
}

fn call() -> Box<Call> {
    Box::new(Call { method: Method::Get, path: "/x".to_owned(), node: None })
}

fn lost() -> ApiError {
    ApiError::NodeUnreachable { call: call(), status: 595, reason: "No route to host".to_owned() }
}

fn denied() -> ApiError {
    ApiError::Invalid { call: call(), reason: "no".to_owned(), errors: BTreeMap::new() }
}

fn told(receiver: &mut Receiver) -> Option<String> {
    receiver.try_recv().ok().map(|end| match end {
        Ok(end) => end.exitstatus,
        Err(error) => error.to_string(),
    })
}

#[test]
fn one_list_tells_all_who_wait() {
    let mut scene = Scene::new();
    let mut all: Vec<_> = (0..100).map(|n| scene.add(["pve1", "pve2"][n % 2], n as u32)).collect();
    assert_eq!(scene.asks(), [Ask::Cluster]);
    let rows: Vec<_> =
        (0..100).map(|n| (["pve1", "pve2"][n % 2], n as u32, (n < 60).then_some("OK"))).collect();
    scene.list(&Ask::Cluster, &rows);
    let ended = all.iter_mut().filter_map(told).count();
    assert_eq!(ended, 60);
    assert_eq!(scene.asks(), [Ask::Cluster]);
}

#[test]
fn a_hundred_long_tasks_cost_a_request_each_two_seconds() {
    let mut scene = Scene::new();
    let all: Vec<_> = (0..100).map(|n| scene.add(["pve1", "pve2"][n % 2], n as u32)).collect();
    let rows: Vec<_> = (0..100).map(|n| (["pve1", "pve2"][n % 2], n as u32, None)).collect();
    let (began, mut lists, mut others) = (scene.now, 0, 0);
    while scene.now < began + Duration::from_secs(600) {
        for ask in scene.asks() {
            match ask {
                Ask::Cluster => lists += 1,
                _ => others += 1,
            }
        }
        scene.list(&Ask::Cluster, &rows);
    }
    assert!((300..=320).contains(&lists), "{lists} lists");
    assert!((25..=30).contains(&others), "{others} tasks by themselves");
    drop(all);
}

#[test]
fn who_came_after_the_question_is_not_in_the_answer() {
    let mut scene = Scene::new();
    let (_first, _second) = (scene.add("pve1", 1), scene.add("pve2", 2));
    assert_eq!(scene.asks(), [Ask::Cluster]);
    let began = scene.now;
    scene.now += Duration::from_millis(5);
    let _third = scene.add("pve2", 3);
    let answer = Answer::List(BTreeMap::new());
    scene.waiters.take(&Ask::Cluster, began, Ok(answer), scene.now);
    let doubts: Vec<_> = scene.waiters.open().map(|w| w.doubt.is_some()).collect();
    assert_eq!(doubts, [true, true, false]);
}

#[test]
fn what_fell_out_of_the_list_is_asked_for_by_itself_at_once() {
    let mut scene = Scene::new();
    let (mut first, mut second) = (scene.add("pve1", 1), scene.add("pve2", 2));
    scene.asks();
    scene.list(&Ask::Cluster, &[("pve1", 1, None), ("pve2", 2, None)]);
    scene.asks();
    let before = scene.now;
    scene.list(&Ask::Cluster, &[("pve2", 2, None)]);
    assert_eq!(scene.asks(), [task("pve1", 1)]);
    assert_eq!(scene.now, before);
    scene.status("pve1", 1, Some("WARNINGS: 1"));
    assert_eq!(told(&mut first).unwrap(), "WARNINGS: 1");
    assert_eq!(told(&mut second), None);
}

#[test]
fn lists_that_show_nothing_are_left_for_those_that_do() {
    let mut scene = Scene::new();
    let all = [scene.add("pve1", 1), scene.add("pve1", 2), scene.add("pve2", 3)];
    assert_eq!(scene.asks(), [Ask::Cluster]);
    scene.list(&Ask::Cluster, &[]);
    assert_eq!(scene.asks().len(), 3);
    scene.status("pve1", 1, None);
    scene.status("pve1", 2, None);
    scene.status("pve2", 3, None);
    assert_eq!(scene.asks(), [node("pve1"), task("pve2", 3)]);
    scene.list(&node("pve1"), &[("pve1", 1, None), ("pve1", 2, None)]);
    scene.now += BLIND;
    assert!(scene.asks().contains(&Ask::Cluster), "tried again after a while");
    drop(all);
}

#[test]
fn a_list_that_may_not_be_read_is_left_too() {
    let mut scene = Scene::new();
    let _all = [scene.add("pve1", 1), scene.add("pve1", 2)];
    assert_eq!(scene.asks(), [node("pve1")]);
    scene.fail(&node("pve1"), denied());
    assert_eq!(scene.asks(), [task("pve1", 1), task("pve1", 2)]);
}

#[test]
fn a_node_that_is_lost_is_waited_for_and_others_are_told() {
    let mut scene = Scene::new();
    let (mut lost_one, mut other) = (scene.add("pve1", 1), scene.add("pve2", 2));
    scene.asks();
    scene.list(&Ask::Cluster, &[("pve2", 2, None)]);
    let mut asked = 0;
    let began = scene.now;
    while scene.now < began + Duration::from_secs(60) {
        let asks = scene.asks();
        asked += asks.iter().filter(|ask| **ask == task("pve1", 1)).count();
        scene.fail(&task("pve1", 1), lost());
        scene.list(&Ask::Cluster, &[("pve2", 2, None)]);
    }
    assert!((6..=14).contains(&asked), "{asked} questions about the lost one in a minute");
    assert!(scene.waiters.last_error(0).unwrap().contains("595"));
    scene.list(&Ask::Cluster, &[("pve2", 2, Some("OK"))]);
    assert_eq!((told(&mut lost_one), told(&mut other).as_deref()), (None, Some("OK")));
    // It comes back: its list tells what became of the task.
    scene.list(&Ask::Cluster, &[("pve1", 1, Some("unexpected status"))]);
    assert_eq!(told(&mut lost_one).unwrap(), "unexpected status");
}

#[test]
fn an_error_about_one_task_is_told_to_that_one() {
    let mut scene = Scene::new();
    let (mut first, mut second) = (scene.add("pve1", 1), scene.add("pve2", 2));
    scene.fail(&task("pve1", 1), denied());
    assert!(told(&mut first).unwrap().contains("not accepted"));
    assert_eq!(told(&mut second), None);
}

#[test]
fn nothing_is_due_when_nobody_waits() {
    let mut scene = Scene::new();
    assert_eq!(scene.waiters.due(), None);
    let _gone = scene.add("pve1", 1);
    assert!(scene.waiters.due().is_some());
    scene.waiters.remove(0);
    assert_eq!(scene.waiters.due(), None);
}
