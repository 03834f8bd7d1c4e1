//! The server: sockets, TLS, and the loop that lets tasks take effect.

mod admin;
pub(crate) mod answer;
mod anycert;
pub(crate) mod auth;
mod compress;
pub(crate) mod fetch;
mod http;
pub(crate) mod log;
pub(crate) mod ports;
pub(crate) mod request;
mod tls;
mod upload;
mod workers;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

use crate::api::router::Router;
use crate::clock::{Clock, TimeScale};
use crate::error::SimError;
use crate::fault::{Fault, FaultState};
use crate::world::World;
use crate::world::lock_use::LockTotals;
use log::{RequestLog, RequestRecord, RequestTotals};
use ports::{NodeAddr, NodeOff};

/// How to serve.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How fast sim time runs.
    pub time_scale: TimeScale,
    /// The world is loaded from this file when it exists, and written to it when a request or a
    /// task changed it: before the answer while the world is small, a little later when writing
    /// it takes long. What is in the file was the whole world at one moment.
    pub state_file: Option<PathBuf>,
    /// Where the first node's SSH server listens; the other nodes follow on the next ports. Port 0
    /// takes free ones. None: no SSH.
    pub ssh_listen: Option<SocketAddr>,
    /// Where the first node's own API port is, besides [`Options::listen`]; the other nodes follow
    /// on the next ports. Port 0 takes free ones. None: no ports of nodes.
    pub node_listen: Option<SocketAddr>,
    /// What clients see at the port of a node that is off.
    pub node_off: NodeOff,
    /// Workers of each node's daemon: so many requests that write are in hand at once, and more
    /// queue (3 on a real node). 0 for no limit. Requests that wait for nothing do not notice.
    pub workers: usize,
}

impl Default for Options {
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen,
            time_scale: TimeScale::REAL,
            state_file: None,
            ssh_listen: None,
            node_listen: None,
            node_off: NodeOff::Reset,
            workers: 3,
        }
    }
}

/// What connections and the scheduler share.
pub(crate) struct Shared {
    world: Mutex<World>,
    pub(crate) clock: Clock,
    pub(crate) router: Router,
    pub(crate) fingerprint: String,
    pub(crate) requests: RequestLog,
    /// Something changed: tasks to run, locks that are free.
    pub(crate) changed: Notify,
    pub(crate) workers: workers::Workers,
    pub(crate) node_off: NodeOff,
    state_file: Option<PathBuf>,
    /// What is in the state file. Held while writing, so that files are never out of order.
    written: Mutex<Written>,
}

/// The last write of the state file.
#[derive(Default)]
struct Written {
    revision: u64,
    /// When it ended, and how long it took.
    last: Option<(Instant, Duration)>,
}

impl Written {
    /// How long the next write has to wait, so that writing takes a tenth of the time at most: a
    /// world of thousands of guests is not written for each of thousands of requests.
    fn wait(&self) -> Duration {
        let (at, took) = self.last.unwrap_or((Instant::now(), Duration::ZERO));
        (took * 9).saturating_sub(at.elapsed())
    }
}

impl Shared {
    /// What serves nobody, for tests.
    #[cfg(test)]
    pub(crate) fn alone(world: World, scale: TimeScale) -> Arc<Self> {
        let clock = Clock::start(scale, world.clock_ms);
        Arc::new(Self {
            world: Mutex::new(world),
            clock,
            router: Router::new(),
            fingerprint: "AA:BB".to_owned(),
            requests: RequestLog::default(),
            changed: Notify::new(),
            workers: workers::Workers::new(0),
            node_off: NodeOff::Reset,
            state_file: None,
            written: Mutex::default(),
        })
    }

    /// The world. A handler that panicked would be a bug of ours; the world it leaves is served on.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a node runs.
    pub(crate) fn is_on(&self, node: &str) -> bool {
        self.world().nodes.get(node).is_some_and(|node| node.online)
    }

    /// Writes the state file if the world changed since, and it was not written a moment ago. How
    /// long the next write has to wait, when one is due.
    pub(crate) fn persist(&self) -> Option<Duration> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if self.state_file.is_none() || self.world().revision == written.revision {
            return None;
        }
        let wait = written.wait();
        drop(written);
        if wait.is_zero() {
            self.persist_now();
            return None;
        }
        Some(wait)
    }

    /// Writes the state file if the world changed since.
    fn persist_now(&self) {
        let Some(path) = &self.state_file else { return };
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        let (bytes, revision) = {
            let mut world = self.world();
            if world.revision == written.revision {
                return;
            }
            world.clock_ms = self.clock.moment().now;
            (world.to_json(), world.revision)
        };
        match crate::world::write_file(path, &bytes) {
            Ok(()) => {
                *written = Written { revision, last: Some((Instant::now(), began.elapsed())) };
            }
            Err(error) => tracing::error!(%error, "the state file is behind"),
        }
    }

    /// Changes the world behind the clients' back.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut World, i64) -> R) -> R {
        let now = self.clock.moment().now;
        let result = {
            let mut world = self.world();
            world.revision += 1;
            change(&mut world, now)
        };
        self.changed.notify_waiters();
        result
    }

    /// Lets every stage that is due take effect.
    pub(crate) fn run_tasks(&self) -> bool {
        let moment = self.clock.moment();
        crate::work::run_due(&mut self.world(), moment)
    }
}

/// A running simulator. Dropping it closes the listener soon; [`Sim::shutdown`] waits for that and
/// writes the state file once more.
pub struct Sim {
    shared: Arc<Shared>,
    address: SocketAddr,
    certificate: String,
    ssh: Vec<crate::ssh::SshAddr>,
    nodes: Vec<NodeAddr>,
    stop: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Sim {
    /// Serves a world (or the one in the state file, when it is there).
    ///
    /// # Errors
    /// The address cannot be bound, the state file is not readable, TLS cannot be set up.
    pub async fn start(world: World, options: Options) -> Result<Self, SimError> {
        let mut world = match &options.state_file {
            Some(path) if path.exists() => World::load(path)?,
            _ => world,
        };
        let identity = tls::identity(&mut world)?;
        let clock = Clock::start(options.time_scale, world.clock_ms);
        if world.ticket_key.is_empty() {
            world.ticket_key = uuid::Uuid::new_v4().to_string();
        }
        world.wake(clock.moment().now);
        world.revision += 1;
        let refused = |source| SimError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let shared = Arc::new(Shared {
            world: Mutex::new(world),
            clock,
            router: Router::new(),
            fingerprint: identity.fingerprint,
            requests: RequestLog::default(),
            changed: Notify::new(),
            workers: workers::Workers::new(options.workers),
            node_off: options.node_off,
            state_file: options.state_file,
            written: Mutex::default(),
        });
        shared.persist_now();
        let (stop, stopped) = watch::channel(false);
        let tls = identity.acceptor;
        let accept = |node, listener| {
            let (shared, stopped) = (Arc::clone(&shared), stopped.clone());
            tokio::spawn(http::accept(shared, node, listener, tls.clone(), stopped))
        };
        let scheduler = schedule(Arc::clone(&shared), stopped.clone());
        let mut tasks = vec![accept(None, listener), tokio::spawn(scheduler)];
        let mut nodes = Vec::new();
        if let Some(first) = options.node_listen {
            let names = shared.world().nodes.keys().cloned().collect();
            for (found, listener) in ports::bind_all(first, names).await? {
                tasks.push(accept(Some(found.node.as_str().into()), listener));
                nodes.push(found);
            }
        }
        let mut ssh = Vec::new();
        if let Some(first) = options.ssh_listen {
            let (addresses, servers) = crate::ssh::start(&shared, first, &stopped).await?;
            ssh = addresses;
            tasks.extend(servers);
        }
        Ok(Self { shared, address, certificate: identity.certificate, ssh, nodes, stop, tasks })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Where the nodes' SSH servers listen, by name of the node; empty without
    /// [`Options::ssh_listen`].
    #[must_use]
    pub fn ssh_addrs(&self) -> &[crate::ssh::SshAddr] {
        &self.ssh
    }

    /// Where the nodes' own API ports are, by name of the node; empty without
    /// [`Options::node_listen`]. All show the same certificate.
    #[must_use]
    pub fn node_addrs(&self) -> &[NodeAddr] {
        &self.nodes
    }

    /// The certificate's SHA-256, `AB:CD:…`, as Proxmox VE prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.shared.fingerprint.clone()
    }

    /// The certificate as PEM; it is its own authority.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.certificate.clone()
    }

    /// Id and secret of the world's token for pvx.
    #[must_use]
    pub fn token(&self) -> (String, String) {
        self.shared.world().operator.clone()
    }

    /// The requests answered so far: the last fifty thousand, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.shared.requests.last(usize::MAX)
    }

    /// What the requests so far came to, by method and path template.
    #[must_use]
    pub fn request_totals(&self) -> Vec<RequestTotals> {
        self.shared.requests.totals()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.shared.requests.clear();
    }

    /// What each lock was held and waited for so far.
    #[must_use]
    pub fn lock_totals(&self) -> Vec<LockTotals> {
        self.shared.world().lock_totals()
    }

    /// A copy of the world, for assertions.
    #[must_use]
    pub fn world(&self) -> World {
        self.shared.run_tasks();
        self.shared.world().clone()
    }

    /// Changes the world behind the client's back.
    pub fn edit<R>(&self, change: impl FnOnce(&mut World) -> R) -> R {
        let result = self.shared.change(|world, _| change(world));
        self.shared.persist_now();
        result
    }

    /// Adds a fault on demand; its id.
    ///
    /// # Errors
    /// The rule cannot mean anything, or names a node or storage that is not there.
    pub fn add_fault(&self, fault: Fault) -> Result<String, String> {
        self.shared.change(|world, now| world.add_fault(fault, now))
    }

    /// Removes a fault and what it holds in force (a lock, a full storage, a lost quorum). False
    /// when there is none of that id.
    pub fn remove_fault(&self, id: &str) -> bool {
        self.shared.change(|world, _| world.remove_fault(id))
    }

    /// Removes all faults and what they hold in force.
    pub fn clear_faults(&self) {
        self.shared.change(|world, _| world.clear_faults());
    }

    /// The faults, with how often they matched and fired.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultState> {
        self.shared.world().faults.rules.clone()
    }

    /// Waits until a fault has fired; one that holds, until something has come to the point at which
    /// it is held. With [`Fault::skip`] that is the N-th request, without looking again and again.
    /// False when there is no fault of that id (any more).
    pub async fn wait_for_fault(&self, id: &str) -> bool {
        loop {
            let changed = self.shared.changed.notified();
            let come = {
                let world = self.shared.world();
                let mut rules = world.faults.rules.iter();
                rules.find(|rule| rule.fault.id.as_deref() == Some(id)).map(FaultState::came)
            };
            match come {
                Some(false) => changed.await,
                Some(true) => return true,
                None => return false,
            }
        }
    }

    /// Sim time, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.shared.clock.moment().now
    }

    /// Puts the clock forward by so many milliseconds of sim time.
    pub fn advance(&self, ms: i64) {
        self.shared.clock.advance(ms);
        self.shared.changed.notify_waiters();
        self.shared.run_tasks();
    }

    /// Stops serving and waits until the listener is closed. Running tasks stay in the state
    /// file and go on with the next start.
    pub async fn shutdown(self) {
        let _ = self.stop.send(true);
        for task in self.tasks {
            let _ = task.await;
        }
        self.shared.world().revision += 1;
        self.shared.persist_now();
    }
}

/// How long the scheduler sleeps when nothing is to be done.
const IDLE: Duration = Duration::from_secs(3600);

/// Runs stages as they become due.
async fn schedule(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    loop {
        let changed = shared.changed.notified();
        if shared.run_tasks() {
            shared.changed.notify_waiters();
        }
        fetch::start(&shared);
        let write = shared.persist().unwrap_or(IDLE);
        let due = crate::work::next_due(&shared.world());
        let pause = due.map_or(IDLE, |due| shared.clock.real_until(due)).min(write);
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep(pause.max(Duration::from_millis(1))) => {}
            _ = stopped.changed() => return,
        }
    }
}
