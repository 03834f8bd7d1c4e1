//! `pvx sim`: the embedded simulator on its own.

use std::path::Path;

use pvx_core::diagnostic::has_errors;
use pvx_core::document;
use pvx_sim::{Options, Sim, World};
use serde_json::json;

use crate::args::{Format, Global, ServeOptions, SimCommand, SimOptions};
use crate::cluster;
use crate::exit::{CliError, Code};
use crate::output;
use crate::session;
use crate::signals;

pub(crate) async fn run(global: &Global, options: &SimOptions) -> Result<Code, CliError> {
    match &options.command {
        SimCommand::Serve(options) => serve(global, options).await,
        SimCommand::Worlds => worlds(global),
        SimCommand::Reset => reset(global),
    }
}

async fn serve(global: &Global, serve: &ServeOptions) -> Result<Code, CliError> {
    let options = Options {
        listen: serve.listen,
        time_scale: cluster::time_scale(serve.time_scale),
        state_file: serve.state_file.clone(),
        ssh_listen: serve.ssh_listen,
        ..Options::default()
    };
    let sim = Sim::start(load_world(&serve.world)?, options)
        .await
        .map_err(|error| CliError::message(format!("the simulator does not start: {error}")))?;
    announce(global, &sim);
    signals::wait().await;
    sim.shutdown().await;
    Ok(Code::Success)
}

/// Everything a client needs. The token is the simulator's own and opens nothing else.
fn announce(global: &Global, sim: &Sim) {
    let (id, secret) = sim.token();
    let (url, fingerprint) = (format!("https://{}", sim.addr()), sim.fingerprint());
    match global.format {
        Format::Json => output::json(&json!({
            "url": url, "fingerprint": fingerprint, "token_id": id, "token_secret": secret,
            "ssh": sim.ssh_addrs().iter().map(|ssh| json!({
                "node": ssh.node, "address": ssh.address.to_string(),
                "fingerprint": ssh.fingerprint, "host_key": ssh.host_key,
            })).collect::<Vec<_>>(),
        })),
        Format::Human => output::text(&format!(
            "serving {url}\n\n  export PVX_ENDPOINT={}\n  export PVX_FINGERPRINT={fingerprint}\n  export PVX_TOKEN='{id}={secret}'\n\n{}Ctrl-C ends it\n",
            sim.addr(),
            ssh_lines(sim)
        )),
    }
}

/// How to reach each node by SSH.
fn ssh_lines(sim: &Sim) -> String {
    let line = |ssh: &pvx_sim::SshAddr| {
        let (node, address) = (&ssh.node, ssh.address);
        format!(
            "  ssh -p {} root@{}  # {node}, {}\n",
            address.port(),
            address.ip(),
            ssh.fingerprint
        )
    };
    let lines: String = sim.ssh_addrs().iter().map(line).collect();
    if lines.is_empty() { lines } else { lines + "\n" }
}

fn load_world(name: &str) -> Result<World, CliError> {
    if let Some(world) = World::builtin(name) {
        return Ok(world);
    }
    let path = Path::new(name);
    if !path.exists() {
        let help = format!("built-in worlds: {}; or name a world file", World::BUILTIN.join(", "));
        return Err(CliError::with_help(format!("there is no world '{name}'"), help));
    }
    World::load(path).map_err(|error| CliError::message(format!("{name}: {error}")))
}

#[expect(clippy::unnecessary_wraps, reason = "every command has this shape")]
fn worlds(global: &Global) -> Result<Code, CliError> {
    match global.format {
        Format::Json => output::json(&World::BUILTIN),
        Format::Human => output::text(&(World::BUILTIN.join("\n") + "\n")),
    }
    Ok(Code::Success)
}

fn reset(global: &Global) -> Result<Code, CliError> {
    let loaded = document::load_config(&session::load_options(global, Vec::new()));
    if has_errors(&loaded.diagnostics) {
        let (diagnostics, sources) = (loaded.diagnostics, loaded.sources);
        return Err(CliError::Documents { diagnostics, sources });
    }
    let file = cluster::sim_file(global, loaded.config.as_ref(), &loaded.root);
    match std::fs::remove_file(&file) {
        Ok(()) => output::errors(&format!("forgot {}\n", file.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            output::errors("there is no world to forget\n");
        }
        Err(error) => {
            return Err(CliError::message(format!("{}: {error}", file.display())));
        }
    }
    Ok(Code::Success)
}
