//! How fast the simulator answers, starts and loads, and what it takes: see
//! `docs/simulator/performance.md`.
//!
//! `cargo bench -p pvx-sim --bench performance [-- PART…]`; parts are `start`, `reads`, `big`,
//! `tasks`, `clones`. `PVX_BENCH_SECONDS` says how long each rate is measured (1), `PVX_BENCH_RUNS`
//! how often (3): the best counts.

mod client;
mod counts;
mod served;
mod worlds;

use std::io::Write as _;
use std::time::{Duration, Instant};

use client::{Server, Tally, load};
use served::Served;

/// Anything that ends the benchmark.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Connections of the clients that measure throughput.
const CONNECTIONS: usize = 4;
/// What one client reads of a world.
const KINDS: [(&str, &str); 5] = [
    ("config", "/nodes/{node}/qemu/{vmid}/config"),
    ("status/current", "/nodes/{node}/qemu/{vmid}/status/current"),
    ("cluster/resources", "/cluster/resources"),
    ("qemu list", "/nodes/{node}/qemu"),
    ("tasks", "/nodes/{node}/tasks"),
];

fn main() -> Result<(), Failure> {
    if let Ok(what) = std::env::var(served::WHAT) {
        return served::serve(&what);
    }
    let asked: Vec<String> = std::env::args().skip(1).filter(|part| part != "--bench").collect();
    let wants = |part: &str| asked.is_empty() || asked.iter().any(|asked| asked == part);
    if wants("start") {
        start()?;
    }
    if wants("reads") {
        reads()?;
    }
    if wants("big") {
        big()?;
    }
    if wants("tasks") {
        tasks()?;
    }
    if wants("clones") {
        clones()?;
    }
    Ok(())
}

pub(crate) fn say(line: &str) -> Result<(), Failure> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn runs() -> u64 {
    number("PVX_BENCH_RUNS", 3).max(1)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn paths(path: &str, node: &str, vmid: u32) -> String {
    let path = path.replace("{node}", node).replace("{vmid}", &vmid.to_string());
    format!("/api2/json{path}")
}

/// The best of several runs: the machine may have other things to do.
fn best(server: &Server, connections: usize, targets: &[String]) -> Result<(Tally, f64), Failure> {
    let time = Duration::from_secs(number("PVX_BENCH_SECONDS", 1));
    let mut best = (Tally::default(), 0.0);
    for _ in 0..runs() {
        let run = load(server, connections, targets, time)?;
        if run.1 > best.1 {
            best = run;
        }
    }
    Ok(best)
}

fn start() -> Result<(), Failure> {
    let mut times = Vec::new();
    let mut memory = 0.0;
    for _ in 0..runs() * 3 {
        let served = Served::start("lab")?;
        times.push(served.start);
        served.server.connect().get("/api2/json/version")?;
        memory = served.memory()?.0;
    }
    times.sort_unstable();
    let first = times.first().copied().unwrap_or_default();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    let (first, middle) = (milliseconds(first), milliseconds(middle));
    say(&format!("start of lab: best {first:.1} ms, median {middle:.1} ms; {memory:.1} MiB"))
}

fn reads() -> Result<(), Failure> {
    let served = Served::start("lab")?;
    let mut setup = served.server.connect();
    setup.send("POST", "/api2/json/nodes/pve1/qemu/100/clone", "newid=200&name=bench")?;
    setup.send("POST", "/api2/json/nodes/pve1/qemu/200/status/start", "")?;
    let bare = Served::start("bare")?;
    say("reads of lab per second (the same from a bare server), answer, p50, p99:")?;
    let mut all = Vec::new();
    let mut sizes = Vec::new();
    for (name, path) in KINDS {
        let target = paths(path, "pve1", 200);
        let size = setup.get(&target)?.len();
        all.push(target.clone());
        sizes.push(format!("/{size}"));
        rate(name, &served.server, &bare.server, &[target], &[format!("/{size}")])?;
    }
    rate("mix", &served.server, &bare.server, &all, &sizes)?;
    let (now, most) = served.memory()?;
    let logged = logged(&served.server)?;
    say(&format!(
        "afterwards: {now:.1} MiB (at most {most:.1}); the log counts {} requests, {} bytes",
        logged.0, logged.1
    ))?;
    counts::of_lab()
}

fn rate(
    name: &str,
    server: &Server,
    bare: &Server,
    targets: &[String],
    sizes: &[String],
) -> Result<(), Failure> {
    let (mut tally, fast) = best(server, CONNECTIONS, targets)?;
    let (_, bound) = best(bare, CONNECTIONS, sizes)?;
    let size = tally.bytes / (tally.requests() as u64).max(1);
    let (p50, p99) = (tally.percentile(50), tally.percentile(99));
    let (made, again) = (tally.handshakes, tally.resumed);
    say(&format!(
        "  {name:<18} {fast:>7.0} ({bound:>7.0})  {size:>6} bytes  {p50:>5} us {p99:>6} us  \
         {made} connections, {again} resumed"
    ))
}

/// Requests and bytes of their answers as the simulator's log has them.
fn logged(server: &Server) -> Result<(u64, u64), Failure> {
    let answer = serde_json::from_slice(server.connect().get("/sim/requests?records=0")?);
    let answer: serde_json::Value = answer?;
    let totals = answer.get("totals").and_then(serde_json::Value::as_array);
    let totals = totals.ok_or("no totals")?;
    let sum = |key: &str| {
        let values = totals.iter().filter_map(|item| item.get(key));
        values.filter_map(serde_json::Value::as_u64).sum()
    };
    Ok((sum("count"), sum("bytes_out")))
}

fn big() -> Result<(), Failure> {
    let path = std::env::temp_dir().join(format!("pvx-bench-{}.json", std::process::id()));
    let began = Instant::now();
    let world = worlds::big(50, 20_000);
    let made = milliseconds(began.elapsed());
    let began = Instant::now();
    world.save(&path)?;
    let saved = milliseconds(began.elapsed());
    drop(world);
    let file = path.to_string_lossy().into_owned();
    let served = Served::start(&file);
    let bytes = std::fs::metadata(&path)?.len() / 1_000_000;
    std::fs::remove_file(&path)?;
    let served = served?;
    let (start, load) = (milliseconds(served.start), milliseconds(served.load));
    let (now, most) = served.memory()?;
    say("50 nodes, 20,000 guests:")?;
    say(&format!("  made in {made:.0} ms, written in {saved:.0} ms, {bytes} MB of JSON"))?;
    say(&format!("  read in {load:.0} ms, answers {start:.0} ms after its process started"))?;
    say(&format!("  {now:.0} MiB (at most {most:.0})"))?;
    for (name, path) in KINDS.into_iter().chain([("nodes", "/nodes"), ("qemu/config", KINDS[0].1)])
    {
        latency(name, &served, &paths(path, "node01", 1000))?;
    }
    let (now, most) = served.memory()?;
    say(&format!("  afterwards {now:.0} MiB (at most {most:.0})"))?;
    counts::of_big()
}

/// One connection, one request after the other.
fn latency(name: &str, served: &Served, target: &str) -> Result<(), Failure> {
    let (mut tally, rate) = best(&served.server, 1, &[target.to_owned()])?;
    let size = tally.bytes / (tally.requests() as u64).max(1);
    let (p50, p99) = (f64::from(tally.percentile(50)), f64::from(tally.percentile(99)));
    let (p50, p99) = (p50 / 1000.0, p99 / 1000.0);
    say(&format!("  {name:<18} p50 {p50:>7.2} ms, p99 {p99:>7.2} ms, {rate:>6.0}/s, {size} bytes"))
}

fn tasks() -> Result<(), Failure> {
    let served = Served::start("lab")?;
    let mut client = served.server.connect();
    client.send("POST", "/api2/json/nodes/pve1/qemu/100/clone", "newid=200")?;
    let began = Instant::now();
    for _ in 0..5000 {
        for action in ["start", "stop"] {
            let target = format!("/api2/json/nodes/pve1/qemu/200/status/{action}");
            client.send("POST", &target, "")?;
        }
    }
    let rate = 10_000.0 / began.elapsed().as_secs_f64();
    say(&format!("after 10,000 tasks (made at {rate:.0}/s by one client):"))?;
    for target in ["/nodes/pve1/tasks", "/nodes/pve1/tasks?limit=0", "/cluster/tasks"] {
        latency(target, &served, &format!("/api2/json{target}"))?;
    }
    let (now, most) = served.memory()?;
    say(&format!("  {now:.1} MiB (at most {most:.1})"))
}

fn clones() -> Result<(), Failure> {
    let mut fastest: f64 = 0.0;
    for _ in 0..runs() {
        let served = Served::start("lab")?;
        let mut client = served.server.connect();
        let began = Instant::now();
        for newid in 1000..1500 {
            let form = format!("newid={newid}&name=clone-{newid}");
            client.send("POST", "/api2/json/nodes/pve1/qemu/100/clone", &form)?;
        }
        fastest = fastest.max(500.0 / began.elapsed().as_secs_f64());
        let (requests, bytes) = logged(&served.server)?;
        if requests != 500 {
            return Err(format!("the log has {requests} requests, {bytes} bytes").into());
        }
    }
    say(&format!("500 clones by one client: {fastest:.0} per second, 500 requests in the log"))
}
