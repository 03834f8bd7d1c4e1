//! What `pvx state` shows.

use pvx_core::state::{Alive, Condition, Damage, Folder, Held, Repaired, StateError, Unfinished};
use serde_json::{Value, json};

use super::count;
use super::paint::{BAD, FAINT, GOOD, STRONG, WARN, help, item, pad, paint, widest};

/// The state of one cluster.
pub(crate) struct Listing {
    pub(crate) cluster: String,
    pub(crate) folder: String,
    pub(crate) profiles: Vec<Condition>,
    /// Of profiles that cannot be shown.
    pub(crate) unreadable: Vec<StateError>,
}

impl Listing {
    pub(crate) fn new(folder: &Folder) -> Self {
        Self {
            cluster: folder.cluster().to_owned(),
            folder: folder.path().display().to_string(),
            profiles: Vec::new(),
            unreadable: Vec::new(),
        }
    }
}

/// Who has a lock, and for how long.
pub(crate) fn holder(held: &Held, now: i64) -> String {
    match &held.owner {
        Some(owner) => format!("{owner}, for {}", owner.age(now)),
        None => "its file does not say by whom".to_owned(),
    }
}

/// For people.
pub(crate) fn render(listings: &[Listing], now: i64) -> String {
    if listings.is_empty() {
        return "nothing is remembered here\n".to_owned();
    }
    let all: Vec<String> = listings.iter().map(|listing| one(listing, now)).collect();
    all.join("\n")
}

fn one(listing: &Listing, now: i64) -> String {
    let Listing { cluster, folder, profiles, unreadable } = listing;
    let profile = widest(profiles.iter().map(|found| found.profile.as_str())).max(7);
    let head = format!("{}  SERIAL  GUESTS  UNFINISHED  LOCK", pad("PROFILE", profile));
    let mut text =
        format!("cluster {} · {folder}\n{}\n", paint(STRONG, cluster), paint(FAINT, &head));
    for found in profiles {
        let serial = found.serial.map_or_else(|| "-".to_owned(), |serial| serial.to_string());
        let unfinished = match found.open.len() {
            0 => "-".to_owned(),
            number => number.to_string(),
        };
        let line = format!(
            "{}  {serial:>6}  {:>6}  {unfinished:>10}  {}",
            pad(&found.profile, profile),
            found.guests,
            lock(found.lock.as_ref(), now)
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let open = profiles.iter().flat_map(|found| &found.open);
    text.extend(
        open.map(|open| item(FAINT, "·", &format!("begun, and not ended: {}", step(open)))),
    );
    text.extend(profiles.iter().map(damage));
    text.extend(unreadable.iter().map(problem));
    text
}

fn lock(held: Option<&Held>, now: i64) -> String {
    let Some(held) = held else { return "-".to_owned() };
    let (style, word) = match held.alive {
        Alive::Runs => (GOOD, "runs"),
        Alive::Ended => (FAINT, "has ended"),
        Alive::Unseen => (WARN, "not seen from here"),
    };
    format!("{} ({})", holder(held, now), paint(style, word))
}

fn step(open: &Unfinished) -> String {
    let action = &open.action;
    format!("{} of {} ({} on {})", action.kind.verb(), action.address, action.vmid, action.node)
}

fn damage(found: &Condition) -> String {
    let state = found.state_damage.as_ref().map(problem).unwrap_or_default();
    if found.journal_damage.is_empty() {
        return state;
    }
    let profile = &found.profile;
    let journal = format!(
        "the journal of {profile} is damaged in {}: what else it says counts",
        Damage::tell(&found.journal_damage)
    );
    let way = format!("the next apply keeps it aside; `pvx state repair {profile}` does so now");
    format!("{state}{}{}", item(WARN, "!", &journal), help(&way))
}

fn problem(error: &StateError) -> String {
    let way = error.help().map(|way| help(&way)).unwrap_or_default();
    format!("{}{way}", item(BAD, "×", &error.to_string()))
}

/// For programs.
pub(crate) fn to_json(listings: &[Listing], now: i64) -> Value {
    let lock = |held: &Held| {
        let age = held.owner.as_ref().map(|owner| now.saturating_sub(owner.since));
        json!({ "owner": held.owner, "alive": held.alive, "age": age })
    };
    let open = |open: &Unfinished| {
        json!({
            "action": open.action.kind.verb(),
            "address": open.action.address,
            "vmid": open.action.vmid,
            "node": open.action.node,
            "at": open.at,
            "upid": open.upid,
        })
    };
    let lines = |damage: &Damage| json!({ "line": damage.line, "what": damage.what });
    let profile = |found: &Condition| {
        json!({
            "profile": found.profile,
            "serial": found.serial,
            "guests": found.guests,
            "lock": found.lock.as_ref().map(lock),
            "unfinished": found.open.iter().map(open).collect::<Vec<_>>(),
            "damage": {
                "state": found.state_damage.as_ref().map(ToString::to_string),
                "journal": found.journal_damage.iter().map(lines).collect::<Vec<_>>(),
            },
        })
    };
    let cluster = |listing: &Listing| {
        json!({
            "cluster": listing.cluster,
            "folder": listing.folder,
            "profiles": listing.profiles.iter().map(profile).collect::<Vec<_>>(),
            "unreadable": listing.unreadable.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    };
    json!({ "version": 1, "clusters": listings.iter().map(cluster).collect::<Vec<_>>() })
}

/// What repairs did, for people.
pub(crate) fn repaired(done: &[(String, Repaired)]) -> String {
    if done.is_empty() {
        return "nothing is damaged\n".to_owned();
    }
    let mut text = String::new();
    for (profile, repaired) in done {
        text.push_str(&format!("{} is repaired\n", paint(STRONG, profile)));
        if repaired.state {
            let guests = count(repaired.guests.len(), "guest");
            text.push_str(&item(FAINT, "·", &format!("{guests} found again")));
            text.extend(repaired.guests.iter().map(|(a, r)| format!("    {a}  {}\n", r.vmid)));
            let lost = "what cannot be read from a cluster is forgotten: which keys documents managed \
                        before, `prevent_destroy` of guests that left the documents, where they asked \
                        for guests to be";
            text.push_str(&item(WARN, "!", lost));
            text.push_str(&help("the next apply remembers it of all guests that documents name"));
        }
        if repaired.lines > 0 {
            let lines = count(repaired.lines, "line");
            let said = format!("{lines} of the journal could not be read; the others count");
            text.push_str(&item(WARN, "!", &said));
        }
        let kept = repaired.kept.iter().map(|path| format!("kept: {}", path.display()));
        text.extend(kept.map(|kept| item(FAINT, "·", &kept)));
    }
    text
}

/// The same for programs.
pub(crate) fn repaired_json(done: &[(String, Repaired)]) -> Value {
    let one = |(profile, repaired): &(String, Repaired)| {
        let vmids = repaired.guests.iter().map(|(a, r)| (a.to_string(), json!(r.vmid)));
        json!({
            "profile": profile,
            "guests": if repaired.state { Value::Object(vmids.collect()) } else { Value::Null },
            "lines": repaired.lines,
            "kept": repaired.kept,
        })
    };
    json!({ "version": 1, "repaired": done.iter().map(one).collect::<Vec<_>>() })
}
