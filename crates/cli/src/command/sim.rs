//! `pvx sim`: the embedded simulator on its own.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use pvx_core::diagnostic::{Diagnostic, Sources, Span, has_errors};
use pvx_core::document;
use pvx_sim::{Options, Problems, Sim, SimError, World};
use serde_json::json;

use crate::args::{Format, Global, NodeOff, ServeOptions, SimCommand, SimOptions, Switch};
use crate::cluster;
use crate::exit::{CliError, Code};
use crate::output;
use crate::session;
use crate::signals;

pub(crate) async fn run(global: &Global, options: &SimOptions) -> Result<Code, CliError> {
    match &options.command {
        SimCommand::Serve(options) => serve(global, options).await,
        SimCommand::Worlds => worlds(global),
        SimCommand::Schema => schema(),
        SimCommand::Reset => reset(global),
    }
}

async fn serve(global: &Global, serve: &ServeOptions) -> Result<Code, CliError> {
    let options = Options {
        listen: serve.listen,
        time_scale: cluster::time_scale(serve.time_scale),
        state_file: serve.state_file.clone(),
        ssh_listen: serve.ssh_listen,
        node_listen: serve.node_listen,
        node_off: match serve.node_off {
            NodeOff::Reset => pvx_sim::NodeOff::Reset,
            NodeOff::Silent => pvx_sim::NodeOff::Silent,
        },
        workers: serve.workers,
    };
    let kept = serve.state_file.as_ref().is_some_and(|file| file.exists());
    let world = if kept { World::lab() } else { load_world(&serve.world)? };
    let sim = Sim::start(world, options).await.map_err(|error| refused(&error))?;
    if let Some(lag) = serve.lag {
        sim.edit(|world| world.set_lag(lag == Switch::On));
    }
    announce(global, &sim);
    signals::wait().await;
    sim.shutdown().await;
    Ok(Code::Success)
}

/// Why it does not start, and what to do.
fn refused(error: &SimError) -> CliError {
    let message = format!("the simulator does not start: {error}");
    let SimError::Listen { address, source } = error else { return CliError::message(message) };
    let help = match source.kind() {
        ErrorKind::AddrInUse => format!(
            "something listens on port {} already: another simulator? End it, or take a free port with --listen {}:0 (and --ssh-listen and --node-listen likewise)",
            address.port(),
            address.ip()
        ),
        ErrorKind::AddrNotAvailable => "this machine has no such address; try 127.0.0.1".to_owned(),
        ErrorKind::PermissionDenied => {
            "ports below 1024 are for root; take a higher one".to_owned()
        }
        _ => return CliError::message(message),
    };
    CliError::with_help(message, help)
}

/// Everything a client needs. The token is the simulator's own and opens nothing else.
fn announce(global: &Global, sim: &Sim) {
    let (id, secret) = sim.token();
    let (url, fingerprint) = (format!("https://{}", sim.addr()), sim.fingerprint());
    match global.format {
        Format::Json => output::json(&json!({
            "url": url, "fingerprint": fingerprint, "token_id": id, "token_secret": secret,
            "nodes": sim.node_addrs().iter().map(|port| json!({
                "node": port.node, "address": port.address.to_string(),
            })).collect::<Vec<_>>(),
            "ssh": sim.ssh_addrs().iter().map(|ssh| json!({
                "node": ssh.node, "address": ssh.address.to_string(),
                "fingerprint": ssh.fingerprint, "host_key": ssh.host_key,
            })).collect::<Vec<_>>(),
        })),
        _ => output::text(&screen(sim, &url, &fingerprint, &format!("{id}={secret}"))),
    }
}

/// What `serve` shows, in 80 columns but for the fingerprint.
fn screen(sim: &Sim, url: &str, fingerprint: &str, token: &str) -> String {
    let world = sim.world();
    let counts = Counts::of(&world);
    let mut out = format!("serving {url}\n  cluster {}: {counts}\n\n", world.cluster());
    out += "For pvx, in another shell:\n\n";
    out += &endpoint_lines(sim);
    // Written in two lines of a shell, it fits a terminal.
    let (first, rest) = fingerprint.split_at_checked(48).unwrap_or((fingerprint, ""));
    out += &format!("  export PVX_FINGERPRINT={first}\\\n{rest}\n");
    out += &format!("  export PVX_TOKEN='{token}'\n\n");
    out += "For curl:\n\n";
    out += "  curl -k -H \"Authorization: PVEAPIToken=$PVX_TOKEN\" \\\n";
    out += &format!("    {url}/api2/json/version\n\n");
    out += &ssh_lines(sim);
    out += &format!("Faults, log and clock are at {url}/sim, with the same token.\n");
    out += "Ctrl-C ends it.\n";
    out
}

/// The addresses for pvx: those of the nodes, or the one for all. Of a big cluster, the first few.
fn endpoint_lines(sim: &Sim) -> String {
    let nodes = sim.node_addrs();
    if nodes.is_empty() {
        return format!("  export PVX_ENDPOINT={}\n", sim.addr());
    }
    let ports: Vec<String> =
        nodes.iter().take(SHOWN).map(|port| port.address.to_string()).collect();
    // No line is longer than a terminal is wide.
    let mut out = "  export PVX_ENDPOINT=\\\n".to_owned();
    for some in ports.chunks(3) {
        out += &format!("{},\\\n", some.join(","));
    }
    out.truncate(out.len() - 3);
    out + "\n"
}

/// So many nodes are shown of a big cluster; `--format json` lists them all.
const SHOWN: usize = 5;

/// How to reach each node by SSH; of a big cluster, the first few.
fn ssh_lines(sim: &Sim) -> String {
    let all = sim.ssh_addrs();
    if all.is_empty() {
        return String::new();
    }
    let mut out = "Nodes by SSH:\n\n".to_owned();
    for ssh in all.iter().take(SHOWN) {
        let (node, address) = (&ssh.node, ssh.address);
        out += &format!("  ssh -p {} root@{}  # {node}\n", address.port(), address.ip());
        out += &format!("    {}\n", ssh.fingerprint);
    }
    if all.len() > SHOWN {
        out += &format!("  and {} more; `--format json` lists them\n", all.len() - SHOWN);
    }
    out + "\n"
}

/// How much a world has.
struct Counts {
    nodes: usize,
    guests: usize,
    storages: usize,
}

impl Counts {
    fn of(world: &World) -> Self {
        let (nodes, guests) = (world.nodes().count(), world.guests().count());
        Self { nodes, guests, storages: world.storages().count() }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = |count: usize, word: &str| match count {
            1 => format!("1 {word}"),
            count => format!("{count} {word}s"),
        };
        let (nodes, guests) = (many(self.nodes, "node"), many(self.guests, "guest"));
        write!(f, "{nodes}, {guests}, {}", many(self.storages, "storage"))
    }
}

fn load_world(name: &str) -> Result<World, CliError> {
    if let Some(world) = World::builtin(name) {
        return Ok(world);
    }
    let path = Path::new(name);
    if !path.exists() {
        let help = format!("built-in worlds: {}; or name a world file", World::BUILTIN.join(", "));
        return Err(CliError::with_help(
            format!("'{name}' is neither a built-in world nor a file"),
            help,
        ));
    }
    World::load(path).map_err(|error| match error {
        SimError::World(problems) => documents(*problems),
        error => CliError::message(error.to_string()),
    })
}

/// What is wrong with a world file, shown as what is wrong with documents is.
fn documents(wrong: Problems) -> CliError {
    let mut sources = Sources::default();
    let source = sources.add(wrong.file, wrong.text);
    let clamp = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let diagnostics = wrong.problems.into_iter().map(|problem| {
        let place = problem.place.unwrap_or_default();
        let span = Span { source, start: clamp(place.0), len: clamp(place.1) };
        let found = Diagnostic::error("world-file", problem.message).at(span, "here");
        problem.help.into_iter().fold(found, Diagnostic::help)
    });
    CliError::Documents { diagnostics: diagnostics.collect(), sources }
}

#[expect(clippy::unnecessary_wraps, reason = "every command has this shape")]
fn worlds(global: &Global) -> Result<Code, CliError> {
    let all = World::BUILTIN.iter().filter_map(|name| Some((*name, World::builtin(name)?)));
    let all: Vec<(&str, Counts)> = all.map(|(name, world)| (name, Counts::of(&world))).collect();
    match global.format {
        Format::Json => {
            let rows = all.iter().map(|(name, counts)| {
                json!({
                    "name": name, "nodes": counts.nodes, "guests": counts.guests,
                    "storages": counts.storages, "about": World::about(name),
                })
            });
            output::json(&rows.collect::<Vec<_>>());
        }
        _ => {
            let mut text = "NAME   NODES  GUESTS  STORAGES  WHAT FOR\n".to_owned();
            for (name, counts) in &all {
                let (nodes, guests, storages) = (counts.nodes, counts.guests, counts.storages);
                let about = World::about(name);
                text += &format!("{name:<5}  {nodes:>5}  {guests:>6}  {storages:>8}  {about}\n");
            }
            text += "\nServe one with `pvx sim serve --world NAME`; make your own in YAML:\n";
            text += "docs/simulator.md and examples/worlds show how.\n";
            output::text(&text);
        }
    }
    Ok(Code::Success)
}

/// The schema, whatever the format asked for: it is JSON.
#[expect(clippy::unnecessary_wraps, reason = "every command has this shape")]
fn schema() -> Result<Code, CliError> {
    output::json(&pvx_sim::world_schema());
    Ok(Code::Success)
}

fn reset(global: &Global) -> Result<Code, CliError> {
    let loaded = document::load_config(&session::load_options(global, Vec::new()));
    if has_errors(&loaded.diagnostics) {
        let (diagnostics, sources) = (loaded.diagnostics, loaded.sources);
        return Err(CliError::Documents { diagnostics, sources });
    }
    let file = cluster::sim_file(global, loaded.config.as_ref(), &loaded.root);
    let forgot = match std::fs::remove_file(&file) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => {
            return Err(CliError::message(format!("{}: {error}", file.display())));
        }
    };
    match global.format {
        Format::Json => output::json(&json!({ "file": file, "forgot": forgot })),
        _ if forgot => output::errors(&format!("forgot {}\n", file.display())),
        _ => output::errors("there is no world to forget\n"),
    }
    Ok(Code::Success)
}
