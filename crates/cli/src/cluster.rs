//! Reaching a cluster: a real one, or the embedded simulator. Both are spoken to over HTTPS by
//! the same client.

use std::path::{Path, PathBuf};

use pvx_core::desired::{Scope, VmidRange};
use pvx_core::document::ClusterConfig;
use pvx_provider_pve::Cluster;
use pvx_provider_pve::client::{Client, ClientOptions, Endpoint, Fingerprint, TlsTrust};
use pvx_provider_pve::credentials::TokenSource;
use pvx_sim::{LabOptions, Options, Sim, TimeScale, World};
use secrecy::SecretString;

use crate::args::{Connection, Global};
use crate::exit::CliError;
use crate::output;
use crate::ssh;
use crate::view;

/// The name of the built-in world, and of its cluster.
pub(crate) const LAB: &str = "lab";

/// A cluster that can be asked, and the simulator behind it when there is one.
pub(crate) struct Connected {
    pub(crate) cluster: Cluster,
    /// The simulator, and the lock on its world: held until the world is written.
    sim: Option<(Sim, std::fs::File)>,
}

impl Connected {
    /// Ends the simulator in good order.
    pub(crate) async fn close(self) {
        self.cluster.close().await;
        if let Some((sim, lock)) = self.sim {
            sim.shutdown().await;
            drop(lock);
        }
    }
}

/// Connects as options, environment and configuration say.
pub(crate) async fn connect(
    global: &Global,
    config: Option<&ClusterConfig>,
    root: &Path,
) -> Result<Connected, CliError> {
    if global.sim {
        return simulate(global, config, root).await;
    }
    let connection = &global.connection;
    let source = token_source(connection, config)?;
    let inline = matches!(source, TokenSource::Inline(_));
    let token = source.load().await.map_err(|error| {
        let origin = if inline { "PVX_TOKEN: " } else { "" };
        CliError::message(format!("{origin}{error}"))
    })?;
    let options =
        ClientOptions::new(endpoints(connection, config)?, trust(connection, config)?, token);
    let cluster = Cluster::new(client(options)?).with_ssh(ssh::to_nodes(connection, config));
    Ok(Connected { cluster, sim: None })
}

fn client(options: ClientOptions) -> Result<Client, CliError> {
    Client::new(options).map_err(|error| CliError::message(error.to_string()))
}

fn endpoints(
    connection: &Connection,
    config: Option<&ClusterConfig>,
) -> Result<Vec<Endpoint>, CliError> {
    let said: Vec<&String> = connection.endpoint.iter().filter(|e| !e.is_empty()).collect();
    if !said.is_empty() {
        let parse = |text: &String| {
            text.parse::<Endpoint>().map_err(|error| CliError::message(error.to_string()))
        };
        return said.into_iter().map(parse).collect();
    }
    let nodes = config.map(|c| c.cluster.nodes.as_slice()).unwrap_or_default();
    if nodes.is_empty() {
        return Err(CliError::with_help(
            "no cluster is named",
            "write cluster.nodes into cluster-config.yaml (`pvx init` makes one), give --endpoint HOST, or try everything with --sim",
        ));
    }
    let parse = |node: &pvx_core::document::ClusterNode| {
        let host = &node.host.value;
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        format!("{bracketed}:{}", node.port)
            .parse::<Endpoint>()
            .map(|endpoint| endpoint.with_node(node.name.value.clone()))
            .map_err(|error| CliError::message(error.to_string()))
    };
    nodes.iter().map(parse).collect()
}

/// Flags first, then the environment, then the configuration.
fn token_source(
    connection: &Connection,
    config: Option<&ClusterConfig>,
) -> Result<TokenSource, CliError> {
    if let Some(file) = &connection.token_file {
        return Ok(TokenSource::File(file.clone()));
    }
    if let Some(text) = std::env::var("PVX_TOKEN").ok().filter(|text| !text.is_empty()) {
        return Ok(TokenSource::Inline(SecretString::from(text)));
    }
    let credentials = config.map(|c| &c.credentials);
    if let Some(file) = credentials.and_then(|c| c.token_file.as_ref()) {
        return Ok(TokenSource::File(file.value.clone()));
    }
    if let Some(path) = credentials.and_then(|c| c.pass_path.as_ref()) {
        return Ok(TokenSource::Pass { path: path.value.clone() });
    }
    Err(CliError::with_help(
        "no API token is known",
        "set PVX_TOKEN to `user@realm!name=secret`, give --token-file FILE, or write credentials.pass_path into cluster-config.yaml",
    ))
}

/// The narrowest trust that is given; without any, the system's certificate authorities.
fn trust(connection: &Connection, config: Option<&ClusterConfig>) -> Result<TlsTrust, CliError> {
    if connection.insecure {
        return Ok(TlsTrust::Insecure);
    }
    let configured = config.into_iter().flat_map(|c| {
        let nodes = c.cluster.nodes.iter().filter_map(|n| n.fingerprint.clone());
        c.tls.fingerprints.iter().cloned().chain(nodes)
    });
    // An empty variable of the environment says nothing.
    let said: Vec<String> =
        connection.fingerprint.iter().filter(|pin| !pin.is_empty()).cloned().collect();
    let pins: Vec<String> = if said.is_empty() { configured.collect() } else { said };
    if connection.ca_file.is_none() && !pins.is_empty() {
        let parse = |text: &String| {
            text.parse::<Fingerprint>().map_err(|error| CliError::message(error.to_string()))
        };
        return pins.iter().map(parse).collect::<Result<_, _>>().map(TlsTrust::Fingerprints);
    }
    let in_config = config.and_then(|c| c.tls.ca_file.as_ref()).map(|file| &file.value);
    match connection.ca_file.as_ref().or(in_config) {
        Some(file) => std::fs::read(file).map(TlsTrust::CaPem).map_err(|error| {
            CliError::message(format!("the CA file {} cannot be read: {error}", file.display()))
        }),
        None => Ok(TlsTrust::System),
    }
}

/// Where `--sim` keeps the world of a cluster.
pub(crate) fn sim_file(global: &Global, config: Option<&ClusterConfig>, root: &Path) -> PathBuf {
    let name = config
        .and_then(|c| c.cluster.name.as_ref())
        .map_or(LAB, |name| name.value.as_str())
        .replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_");
    global.state_root(root).join("sim").join(format!("{name}.world.json"))
}

/// What documents may count on when no configuration says it: the built-in lab.
pub(crate) fn lab_scope() -> Scope {
    Scope {
        cluster: Some(LAB.to_owned()),
        nodes: Vec::new(),
        vms: VmidRange::default(),
        templates: Some(VmidRange { first: 100, last: 999, span: None }),
        overcommit: pvx_core::desired::Overcommit::default(),
    }
}

/// The built-in lab, dressed as the configuration's cluster: its node names, storage and bridge.
async fn simulate(
    global: &Global,
    config: Option<&ClusterConfig>,
    root: &Path,
) -> Result<Connected, CliError> {
    let file = sim_file(global, config, root);
    let lock = lock_world(&file).await?;
    let options = Options {
        time_scale: time_scale(global.sim_speed),
        state_file: Some(file.clone()),
        ssh_listen: Some(std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0))),
        ..Options::default()
    };
    let sim = Sim::start(world(config), options).await.map_err(|error| {
        CliError::with_help(
            format!("the simulator does not start: {error}"),
            format!("`pvx sim reset` forgets its world ({})", file.display()),
        )
    })?;
    let (id, secret) = sim.token();
    let token = TokenSource::Inline(SecretString::from(format!("{id}={secret}")))
        .load()
        .await
        .map_err(|error| CliError::message(error.to_string()))?;
    let address: Endpoint =
        sim.addr().to_string().parse().map_err(|e: pvx_provider_pve::client::EndpointError| {
            CliError::message(e.to_string())
        })?;
    let pin: Fingerprint =
        sim.fingerprint().parse().map_err(|e: pvx_provider_pve::client::FingerprintError| {
            CliError::message(e.to_string())
        })?;
    let options = ClientOptions::new(vec![address], TlsTrust::Fingerprints(vec![pin]), token);
    let cluster = Cluster::new(client(options)?).with_ssh(ssh::to_simulator(&sim, &file)?);
    dress(&sim, config);
    Ok(Connected { cluster, sim: Some((sim, lock)) })
}

/// The configuration's cluster has the vendor data that the configuration names.
fn dress(sim: &Sim, config: Option<&ClusterConfig>) {
    let Some(volid) = config.and_then(|c| c.cloudinit.vendor_snippet_path.as_ref()) else { return };
    let world = sim.world();
    let nodes: Vec<&str> = world.nodes().map(|node| node.name.as_str()).collect();
    for node in nodes.into_iter().filter(|node| world.volume(node, &volid.value).is_none()) {
        let text = "#cloud-config\n{}\n".to_owned();
        let volume = pvx_sim::Volume {
            content: "snippets".to_owned(),
            format: "snippet".to_owned(),
            size: text.len() as u64,
            used: text.len() as u64,
            text: Some(text),
            ..pvx_sim::Volume::default()
        };
        sim.edit(|world| world.add_volume(node, &volid.value, volume));
    }
}

/// One pvx at a time works on a simulated cluster: it is in the memory of its process.
async fn lock_world(file: &Path) -> Result<std::fs::File, CliError> {
    let path = file.with_extension("lock");
    let failed = |error: std::io::Error| {
        CliError::with_help(
            format!("{}: {error}", path.display()),
            "the simulator keeps its cluster there; make it writable, or give --state DIR",
        )
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut options = std::fs::File::options();
    let lock = options.create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    if lock.try_lock().is_ok() {
        return Ok(lock);
    }
    output::errors(&view::note("waiting for another pvx that works on this simulator"));
    let waiting = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock));
    match waiting.await {
        Ok(locked) => locked.map_err(failed),
        Err(error) => Err(CliError::message(format!("the lock cannot be waited for: {error}"))),
    }
}

/// 0 means at once.
pub(crate) fn time_scale(factor: f64) -> TimeScale {
    if factor > 0.0 { TimeScale::times(factor) } else { TimeScale::INSTANT }
}

fn world(config: Option<&ClusterConfig>) -> World {
    let Some(config) = config.filter(|c| !c.cluster.nodes.is_empty()) else { return World::lab() };
    let name = config.cluster.name.as_ref().map(|name| name.value.clone());
    World::lab_with(LabOptions {
        cluster: name.unwrap_or_else(|| LAB.to_owned()),
        nodes: config.cluster.nodes.iter().map(|n| n.name.value.clone()).collect(),
        storages: config.default_text("storage").into_iter().collect(),
        bridges: config.default_text("network_bridge").into_iter().collect(),
    })
}
