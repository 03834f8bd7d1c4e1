//! `pvx state`: what is kept in the state folder, without asking the cluster where that can be
//! avoided.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pvx_core::address::Address;
use pvx_core::document;
use pvx_core::state::{Alive, Condition, Folder, Locks, Owner, StateError};
use serde_json::json;

use crate::args::{Format, Global, StateCommand, StateOptions};
use crate::confirm::confirm;
use crate::exit::{CliError, Code};
use crate::output;
use crate::owner;
use crate::session::{self, Session};
use crate::view::{self, state::Listing};

pub(crate) async fn run(global: &Global, options: &StateOptions) -> Result<Code, CliError> {
    let cluster = options.cluster.as_deref();
    match &options.command {
        StateCommand::List => list(global, cluster),
        StateCommand::Unlock { profile, yes, force } => {
            unlock(global, &one(global, cluster)?, profile, *yes, *force)
        }
        StateCommand::Repair { profiles } => repair(global, &one(global, cluster)?, profiles).await,
    }
}

/// The folders of all clusters, or of the one that is named.
fn folders(global: &Global, cluster: Option<&str>) -> Result<Vec<Folder>, CliError> {
    let config = document::load_config(&session::load_options(global, Vec::new()));
    let root = global.state_root(&config.root);
    let Some(cluster) = cluster else { return Ok(Folder::all(&root)?) };
    let folder = Folder::new(&root, cluster);
    if folder.profiles()?.is_empty() {
        return Err(CliError::with_help(
            format!("there is no state of a cluster {cluster}: {}", folder.path().display()),
            format!("{}; `--state DIR` names another folder", known(&Folder::all(&root)?)),
        ));
    }
    Ok(vec![folder])
}

/// The one folder that is meant.
fn one(global: &Global, cluster: Option<&str>) -> Result<Folder, CliError> {
    let mut all = folders(global, cluster)?;
    match (all.pop(), all.is_empty()) {
        (Some(folder), true) => Ok(folder),
        (None, _) => {
            Err(CliError::with_help("there is no state here", "`--state DIR` names a folder"))
        }
        (Some(last), false) => {
            all.push(last);
            Err(CliError::with_help(
                "there is state of several clusters",
                format!("say which one with `--cluster NAME`: {}", known(&all)),
            ))
        }
    }
}

fn known(all: &[Folder]) -> String {
    let names: Vec<&str> = all.iter().map(Folder::cluster).collect();
    match names.is_empty() {
        true => "there is none of any".to_owned(),
        false => format!("there is state of {}", names.join(", ")),
    }
}

fn list(global: &Global, cluster: Option<&str>) -> Result<Code, CliError> {
    let here = owner::owner("state list");
    let mut listings = Vec::new();
    for folder in folders(global, cluster)? {
        let mut listing = Listing::new(&folder);
        for profile in folder.profiles()? {
            match folder.condition(&profile, &here) {
                Ok(condition) => listing.profiles.push(condition),
                // One that cannot be read does not hide the others.
                Err(error) => listing.unreadable.push(error),
            }
        }
        listings.push(listing);
    }
    let now = Timestamp::now().as_second();
    match global.format {
        Format::Json => output::json(&view::state::to_json(&listings, now)),
        _ => output::text(&view::state::render(&listings, now)),
    }
    Ok(Code::Success)
}

fn unlock(
    global: &Global,
    folder: &Folder,
    profile: &str,
    yes: bool,
    force: bool,
) -> Result<Code, CliError> {
    let Some(held) = folder.held(profile, &owner::owner("state unlock"))? else {
        match global.format {
            Format::Json => output::json(&json!({ "profile": profile, "unlocked": false })),
            _ => output::text(&format!("{profile} is not locked: nothing to do\n")),
        }
        return Ok(Code::Success);
    };
    let now = Timestamp::now().as_second();
    let by = view::state::holder(&held, now);
    if held.alive == Alive::Runs && !force {
        return Err(CliError::with_help(
            format!("{profile} is locked by a process that runs: {by}"),
            "wait for it, or end it; its lock goes with it. `--force` breaks the lock all the same, \
             and then two may work on one profile",
        ));
    }
    // Whoever runs here was looked for already: of the others only the user knows.
    if held.alive != Alive::Ended {
        confirm(&format!("Break the lock of {profile} ({by})?"), yes)?;
    }
    folder.unlock(profile)?;
    match global.format {
        Format::Json => {
            output::json(&json!({ "profile": profile, "unlocked": true, "owner": held.owner }));
        }
        _ => output::text(&format!(
            "the lock of {profile} is broken ({by})\nthe next apply looks at what was left unfinished\n"
        )),
    }
    Ok(Code::Success)
}

async fn repair(global: &Global, folder: &Folder, asked: &[String]) -> Result<Code, CliError> {
    let owner = owner::owner("state repair");
    let damaged = damaged(folder, asked, &owner)?;
    // Only what a damaged state file said has to be read from the cluster.
    let members = match damaged.iter().any(|found| found.state_damage.is_some()) {
        true => members(global, folder).await?,
        false => BTreeMap::new(),
    };
    let mut done = Vec::new();
    for found in damaged {
        let of_profile = |address: &Address| address.key() == found.profile;
        let members = members.iter().filter(|(a, _)| of_profile(a)).map(|(a, v)| (a.clone(), *v));
        if let Some(repaired) = folder.repair(&found.profile, &members.collect(), &owner)? {
            done.push((found.profile, repaired));
        }
    }
    match global.format {
        Format::Json => output::json(&view::state::repaired_json(&done)),
        _ => output::text(&view::state::repaired(&done)),
    }
    Ok(Code::Success)
}

/// Those of the profiles that are damaged. One that is named and sound is an error.
fn damaged(folder: &Folder, asked: &[String], here: &Owner) -> Result<Vec<Condition>, CliError> {
    let there = folder.profiles()?;
    let names: Vec<&String> =
        if asked.is_empty() { there.iter().collect() } else { asked.iter().collect() };
    let mut damaged = Vec::new();
    for name in names {
        if !there.contains(name) {
            return Err(CliError::with_help(
                format!("there is no state of a profile {name} in {}", folder.path().display()),
                "`pvx state list` shows all",
            ));
        }
        match folder.condition(name, here) {
            Ok(found) if found.is_damaged() => damaged.push(found),
            Ok(_) if asked.is_empty() => {}
            // What a newer pvx wrote is not damaged.
            Err(StateError::Newer { .. }) if asked.is_empty() => {}
            Ok(_) => {
                return Err(CliError::with_help(
                    format!("the state of {name} is sound: nothing was changed"),
                    "`pvx state list` shows what is damaged",
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(damaged)
}

/// VMIDs of the guests that the documents own.
async fn members(global: &Global, folder: &Folder) -> Result<BTreeMap<Address, u32>, CliError> {
    let session = Session::open(global, &[]).await?;
    let found = session.members(folder.cluster()).await;
    session.close().await;
    found
}
