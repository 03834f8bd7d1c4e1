//! What does not hold any more is refused, and nothing is sent.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::fake::{Answer, Fake, configure, go, plan};
use crate::live::Guest;
use crate::plan::{ActionId, ActionKind, Plan, Precondition};
use crate::provider::ErrorClass;

const UUID: Uuid = Uuid::from_u128(7);

fn guest() -> Guest {
    let config = [("tags", "k3s;pvx-k3s"), ("uuid", "00000000-0000-0000-0000-000000000007")];
    Guest {
        vmid: 1000,
        node: "pve1".to_owned(),
        config: config.map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect(),
        digest: Some("abc".to_owned()),
        ..Guest::default()
    }
}

fn owned() -> Precondition {
    Precondition::Owned { mark: "pvx-k3s".to_owned(), uuid: UUID }
}

fn digest() -> Precondition {
    Precondition::Digest { digest: "abc".to_owned() }
}

fn one(kind: ActionKind, preconditions: &[Precondition]) -> Plan {
    let mut made = plan(vec![vec![("pve1", kind, &[])]]);
    let mut action = made.actions.get(ActionId(0)).unwrap().clone();
    action.preconditions = preconditions.to_vec();
    made.actions = crate::plan::ActionGraph::default();
    made.actions.add(action);
    made
}

async fn refused(plan: &Plan, change: impl FnOnce(&mut Guest)) -> Option<String> {
    let fake = Fake::default();
    let mut live = guest();
    change(&mut live);
    fake.guests.lock().unwrap().insert(1000, live);
    let ran = go(&fake, plan).await;
    let error = ran.report.failed.get(&ActionId(0))?;
    assert_eq!(error.class, ErrorClass::Changed);
    assert_eq!(fake.sent(), [0; 0], "nothing is sent");
    assert!(!fake.lines().contains(&"journal begin #0".to_owned()));
    Some(error.message.clone())
}

fn shutdown() -> ActionKind {
    ActionKind::Shutdown { timeout: 1, force: false }
}

fn migrate() -> ActionKind {
    ActionKind::Migrate { target: "pve2".to_owned(), online: false, with_local_disks: false }
}

#[tokio::test(start_paused = true)]
async fn everything_holds() {
    let all = [owned(), digest(), Precondition::Unprotected];
    for kind in [ActionKind::Start, ActionKind::Destroy, configure(), shutdown(), migrate()] {
        assert_eq!(refused(&one(kind, &all), |_| {}).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn ownership_was_lost() {
    let table: [fn(&mut Guest); 4] = [
        |g| drop(g.config.remove("uuid")),
        |g| drop(g.config.insert("uuid".into(), Uuid::nil().to_string())),
        |g| drop(g.config.insert("tags".into(), "k3s;pvx-k3sx".into())),
        |g| drop(g.config.remove("tags")),
    ];
    for change in table {
        for kind in [ActionKind::Start, ActionKind::Destroy, configure(), shutdown(), migrate()] {
            let message = refused(&one(kind, &[owned()]), change).await.unwrap();
            assert!(message.contains("is not k3s/g0 any more"), "{message}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_guest_is_gone_or_elsewhere() {
    let table: [fn(&mut Guest); 2] = [|g| g.vmid = 7, |g| g.node = "pve2".to_owned()];
    for change in table {
        let message = refused(&one(ActionKind::Destroy, &[owned()]), change).await.unwrap();
        assert_eq!(message, "guest 1000 is not on pve1 any more");
    }
}

#[tokio::test(start_paused = true)]
async fn it_was_protected_meanwhile() {
    let protect = |g: &mut Guest| drop(g.config.insert("protection".into(), "1".into()));
    for kind in [shutdown(), ActionKind::Destroy] {
        let plan = one(kind, &[owned(), Precondition::Unprotected]);
        assert!(refused(&plan, protect).await.unwrap().contains("was protected meanwhile"));
    }
}

#[tokio::test(start_paused = true)]
async fn it_was_made_a_template_meanwhile() {
    let convert = |g: &mut Guest| drop(g.config.insert("template".into(), "1".into()));
    for kind in [shutdown(), ActionKind::Destroy] {
        let plan = one(kind, &[owned(), Precondition::Unprotected]);
        assert!(refused(&plan, convert).await.unwrap().contains("was made a template meanwhile"));
    }
    // One that was a template when it was planned.
    assert_eq!(refused(&one(ActionKind::Destroy, &[owned()]), convert).await, None);
}

#[tokio::test(start_paused = true)]
async fn it_changed_meanwhile() {
    let change = |g: &mut Guest| g.digest = Some("abd".to_owned());
    let resize = ActionKind::Resize { disk: "scsi0".to_owned(), size: 1 };
    for kind in [shutdown(), ActionKind::Destroy, ActionKind::Start, migrate(), configure(), resize]
    {
        let plan = one(kind, &[digest()]);
        assert!(refused(&plan, change).await.unwrap().contains("changed since the plan"));
    }
}

/// What was read in the same breath goes with the request, where it takes a digest.
#[tokio::test(start_paused = true)]
async fn the_digest_of_the_reading_is_sent() {
    let resize = ActionKind::Resize { disk: "scsi0".to_owned(), size: 1 };
    let table = [(configure(), Some("abc")), (resize, Some("abc")), (shutdown(), None)];
    for (kind, sent) in table {
        let fake = Fake::default();
        fake.guests.lock().unwrap().insert(1000, guest());
        go(&fake, &one(kind, &[owned()])).await;
        assert_eq!(*fake.digests.lock().unwrap(), [sent.map(str::to_owned)]);
    }
}

#[tokio::test(start_paused = true)]
async fn it_changed_while_a_lock_was_waited_for() {
    let fake = Fake::default();
    fake.guests.lock().unwrap().insert(1000, guest());
    fake.answer(0, &[Answer::Busy, Answer::Done]);
    let steal = |fake: &Fake| {
        drop(
            fake.guests.lock().unwrap().insert(1000, Guest { config: BTreeMap::new(), ..guest() }),
        );
    };
    *fake.before.lock().unwrap() = Some(Box::new(steal));
    let ran = go(&fake, &one(ActionKind::Destroy, &[owned()])).await;
    assert_eq!(fake.sent(), [0]);
    assert_eq!(ran.report.failed[&ActionId(0)].class, ErrorClass::Changed);
}

/// A change that allocates wrote its first volume down, and a lock kept it from the next: sent again
/// it would allocate the first one once more.
#[tokio::test(start_paused = true)]
async fn a_change_that_was_made_in_part_is_planned_again() {
    let wrote = |fake: &Fake| {
        let digest = Some("def".to_owned());
        drop(fake.guests.lock().unwrap().insert(1000, Guest { digest, ..guest() }));
    };
    let table = [
        (vec!["shared"], true, vec![0], Some(ErrorClass::Changed)),
        (vec!["shared"], false, vec![0, 0], None),
        // Values alone are the same again.
        (vec![], true, vec![0, 0], None),
    ];
    for (storages, in_part, sent, failed) in table {
        let fake = Fake::default();
        fake.guests.lock().unwrap().insert(1000, guest());
        fake.answer(0, &[Answer::LockTimeout("shared"), Answer::Done]);
        if in_part {
            *fake.before.lock().unwrap() = Some(Box::new(wrote));
        }
        let mut plan = one(configure(), &[owned()]);
        let mut action = plan.actions.get(ActionId(0)).unwrap().clone();
        action.storages = storages.iter().map(|s| (*s).to_owned()).collect();
        plan.actions = crate::plan::ActionGraph::default();
        plan.actions.add(action);
        let ran = go(&fake, &plan).await;
        assert_eq!(fake.sent(), sent, "{storages:?} {in_part}");
        let class = ran.report.failed.get(&ActionId(0)).map(|error| error.class);
        assert_eq!(class, failed, "{storages:?} {in_part}");
    }
}

/// Its disks are gone, its file is left: it is neither ours any more nor somebody else's.
#[tokio::test(start_paused = true)]
async fn a_removal_that_stopped_half_way() {
    let left = |g: &mut Guest| g.config = BTreeMap::from([("lock".into(), "destroyed".into())]);
    let text = refused(&one(ActionKind::Destroy, &[owned()]), left).await.unwrap();
    assert_eq!(text, "guest 1000 on pve1 is half removed: its disks are gone");
}

/// A guest that took the VMID of a clone while that one was made is not configured as ours.
#[tokio::test(start_paused = true)]
async fn not_the_clone_that_was_made() {
    let begun = Precondition::Begun { note: "pvx is making k3s/cp01".to_owned() };
    let plan = one(configure(), &[begun]);
    let described = |text: &'static str| {
        move |g: &mut Guest| drop(g.config.insert("description".into(), text.into()))
    };
    assert_eq!(refused(&plan, described("pvx is making k3s/cp01\n")).await, None);
    for other in ["somebody else's", "pvx is making k3s/cp02"] {
        let text = refused(&plan, described(other)).await.unwrap();
        assert!(text.contains("is not the one that was cloned"), "{text}");
    }
    assert!(refused(&plan, |_| {}).await.is_some(), "no description at all");
}

#[tokio::test(start_paused = true)]
async fn another_volume_in_the_same_place_is_not_erased() {
    let (disk, volume) = ("unused0".to_owned(), "shared:vm-1000-disk-1".to_owned());
    let erase = ActionKind::Erase { disk: disk.clone() };
    let plan = one(erase, &[Precondition::Holds { disk: disk.clone(), volume: volume.clone() }]);
    let hold = |held: &str| {
        let (disk, held) = (disk.clone(), held.to_owned());
        move |guest: &mut Guest| drop(guest.config.insert(disk, held))
    };
    assert_eq!(refused(&plan, hold(&volume)).await, None);
    let text = refused(&plan, hold("shared:vm-1000-disk-2")).await.unwrap();
    assert_eq!(text, "unused0 of guest 1000 on pve1 is not shared:vm-1000-disk-1");
    assert!(refused(&plan, |_| ()).await.is_some());
}

/// A start right after a write that proved the guest does not read it again; everything else does,
/// and so does a start that comes later.
#[tokio::test(start_paused = true)]
async fn a_proof_is_as_good_as_new_for_a_moment() {
    let stolen = |answer: Answer, kind: ActionKind| async move {
        let made = plan(vec![vec![("pve1", configure(), &[]), ("pve1", kind, &[])]]);
        let mut actions = crate::plan::ActionGraph::default();
        for action in made.actions.iter() {
            actions.add(crate::plan::Action { preconditions: vec![owned()], ..action.clone() });
        }
        actions.order(ActionId(0), ActionId(1));
        let fake = Fake::default();
        fake.guests.lock().unwrap().insert(1000, guest());
        fake.answer(0, &[answer]);
        let steal = |fake: &Fake| fake.guests.lock().unwrap().clear();
        *fake.before.lock().unwrap() = Some(Box::new(steal));
        go(&fake, &Plan { actions, ..made }).await;
        fake.sent().len() == 2
    };
    assert!(stolen(Answer::Done, ActionKind::Start).await);
    assert!(stolen(Answer::Task(3), ActionKind::Start).await);
    assert!(!stolen(Answer::Task(6), ActionKind::Start).await);
    for kind in [ActionKind::Destroy, shutdown(), migrate(), configure()] {
        assert!(!stolen(Answer::Done, kind).await);
    }
}
