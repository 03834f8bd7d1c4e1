//! Requests that nobody would send, many of them: no panic, no error of our own making, JSON in
//! every body, and a world that stays whole. `PVX_FUZZ=1000000` says how many (20,000 without),
//! `PVX_FUZZ_SEED` where to begin.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod make;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use make::Maker;
use pvx_sim::direct::{Ask, Direct, Told};
use pvx_sim::{Guest, World};

/// How many requests one world sees.
const PER_WORLD: u64 = 2000;
/// Between two looks at the whole world.
const PER_CHECK: u64 = 500;

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn world() -> World {
    let mut world = World::truth();
    for (vmid, node) in [(100, "pve1"), (101, "pve2"), (102, "pve3")] {
        let disk = format!("local:{vmid}/vm-{vmid}-disk-0.raw");
        let config = [
            ("name", "a"),
            ("memory", "512"),
            ("scsi0", &format!("{disk},size=1G")),
            ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0"),
            ("boot", "order=scsi0"),
            ("agent", "1"),
        ];
        world.add_guest(Guest::new(vmid, node, &config));
        let volume = pvx_sim::Volume {
            content: "images".to_owned(),
            format: "raw".to_owned(),
            size: 1 << 30,
            used: 1 << 20,
            vmid: Some(vmid),
            ..pvx_sim::Volume::default()
        };
        assert!(world.add_volume(node, &disk, volume));
    }
    world
}

/// What an answer must be like, whatever was asked.
fn judge(told: &Told) -> Result<(), String> {
    if !(200..600).contains(&told.status) {
        return Err(format!("status {}", told.status));
    }
    if told.reason.chars().any(|letter| letter == '\n') {
        return Err(format!("reason {:?}", told.reason));
    }
    let text = String::from_utf8(told.body.clone()).map_err(|_| "body is no UTF-8".to_owned())?;
    if told.reason.contains("simulator:") || text.contains("simulator:") {
        return Err("an error of our own making".to_owned());
    }
    // An error of the HTTP layer has its text as body.
    let plain = told.status >= 400 && text.trim_end().starts_with(told.reason.trim_end());
    if !text.is_empty() && !plain {
        let body: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| format!("body: {error}: {text}"))?;
        if body.get("data").is_none() {
            return Err(format!("no data: {text}"));
        }
    }
    if told.status == 200 && text.is_empty() {
        return Err("200 without a body".to_owned());
    }
    Ok(())
}

fn show(ask: &Ask) -> String {
    let body = String::from_utf8_lossy(&ask.body);
    let body: String = body.chars().take(2000).collect();
    format!("{} {}\n  {}\n  {body:?}", ask.method, ask.target, ask.content_type)
}

/// Text of an error with what varies taken out.
fn pattern(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars().take(90) {
        let letter = if letter.is_ascii_digit() { '9' } else { letter };
        if !(letter == '9' && out.ends_with('9')) {
            out.push(letter);
        }
    }
    out
}

#[test]
fn a_million_requests() {
    let (count, seed) = (variable("PVX_FUZZ", 20_000), variable("PVX_FUZZ_SEED", 1));
    let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
    let mut errors: BTreeMap<String, u64> = BTreeMap::new();
    let mut done = 0;
    let mut round = seed;
    while done < count {
        let mut maker = Maker::new(round);
        let mut direct = Direct::new(world(), 1_790_000_000_000);
        for number in 0..PER_WORLD.min(count - done) {
            let ask = maker.request(direct.world());
            let result = catch_unwind(AssertUnwindSafe(|| {
                let told = direct.ask(&ask);
                direct.advance(maker.pause());
                told
            }));
            let place = format!("seed {round}, request {number}:\n{}", show(&ask));
            let told = result.unwrap_or_else(|_| panic!("panic at {place}"));
            if let Err(error) = judge(&told) {
                panic!("{error}: {} {:?} at {place}", told.status, told.reason);
            }
            maker.learn(&told.body);
            *statuses.entry(told.status).or_default() += 1;
            if told.status == 500 {
                *errors.entry(pattern(&told.reason)).or_default() += 1;
            }
            if number % PER_CHECK == PER_CHECK - 1
                && let Err(error) = direct.world().check()
            {
                panic!("{error} after {place}");
            }
        }
        done += PER_WORLD;
        round += 1;
    }
    // Enough of each kind, or the requests test nothing.
    for status in [200, 400, 500, 501] {
        assert!(statuses.get(&status).copied().unwrap_or(0) > count / 1000, "{statuses:?}");
    }
    if std::env::var_os("PVX_FUZZ_SHOW").is_some() {
        let mut errors: Vec<_> = errors.into_iter().collect();
        errors.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let lines: Vec<String> =
            errors.iter().map(|(text, count)| format!("{count:7} {text}")).collect();
        std::fs::write("/tmp/pvx-fuzz.txt", format!("{statuses:?}\n{}\n", lines.join("\n")))
            .unwrap();
    }
}
