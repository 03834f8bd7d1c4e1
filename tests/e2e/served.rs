//! A simulator that serves while a test runs, for what one process alone cannot show.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use pvx_sim::{Options, Sim, TimeScale, World};
use tokio::runtime::Runtime;

pub(crate) struct Served {
    runtime: Runtime,
    pub(crate) sim: Sim,
}

impl Served {
    pub(crate) fn start(time_scale: TimeScale) -> Self {
        Self::with(World::lab(), time_scale)
    }

    pub(crate) fn with(world: World, time_scale: TimeScale) -> Self {
        let runtime = Runtime::new().unwrap();
        let ssh_listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let options = Options { time_scale, ssh_listen, ..Options::default() };
        let sim = runtime.block_on(Sim::start(world, options)).unwrap();
        Self { runtime, sim }
    }

    /// Id and secret in one line.
    pub(crate) fn token(&self) -> String {
        let (id, secret) = self.sim.token();
        format!("{id}={secret}")
    }

    /// What `pvx` needs to reach it.
    pub(crate) fn variables(&self) -> [(&'static str, String); 3] {
        [
            ("PVX_ENDPOINT", self.sim.addr().to_string()),
            ("PVX_FINGERPRINT", self.sim.fingerprint()),
            ("PVX_TOKEN", self.token()),
        ]
    }

    /// Waits until a fault has come to pass; false when whoever should meet it has ended before.
    pub(crate) fn wait_for_fault(
        &self,
        id: &str,
        patience: Duration,
        mut ended: impl FnMut() -> bool,
    ) -> bool {
        let began = Instant::now();
        loop {
            let look = async {
                let come = self.sim.wait_for_fault(id);
                tokio::time::timeout(Duration::from_millis(20), come).await.unwrap_or(false)
            };
            if self.runtime.block_on(look) {
                return true;
            }
            if ended() || began.elapsed() > patience {
                return false;
            }
        }
    }

    pub(crate) fn stop(self) {
        self.runtime.block_on(self.sim.shutdown());
    }
}
