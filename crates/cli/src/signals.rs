//! Ctrl-C: the first one begins nothing new and waits for what runs, the second one leaves.

use pvx_core::execute::Stop;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Listens from now on, and tells what each one does. SIGTERM counts like Ctrl-C: pipelines send
/// it.
pub(crate) fn listen(tell: impl Fn(Stop) + Send + 'static) -> watch::Receiver<Stop> {
    let (sender, receiver) = watch::channel(Stop::Go);
    // Before anything is begun: nothing that is sent from here on is missed.
    let mut both = Both::new();
    tokio::spawn(async move {
        for stop in [Stop::Drain, Stop::Leave] {
            both.recv().await;
            // The second one is told before the run leaves. The first one takes effect before it is
            // told, so that nothing begins after that but what was chosen already. The run is over
            // when nobody listens any more.
            if stop == Stop::Leave {
                tell(stop);
            }
            let _ = sender.send(stop);
            if stop != Stop::Leave {
                tell(stop);
            }
        }
        std::future::pending::<()>().await;
    });
    receiver
}

/// Waits for one Ctrl-C or SIGTERM.
pub(crate) async fn wait() {
    Both::new().recv().await;
}

/// One listener for both, made once: what comes between two looks is not lost.
struct Both {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
}

impl Both {
    fn new() -> Self {
        let listener = |kind| signal(kind).ok();
        Self {
            interrupt: listener(SignalKind::interrupt()),
            terminate: listener(SignalKind::terminate()),
        }
    }

    async fn recv(&mut self) {
        tokio::select! {
            () = one(&mut self.interrupt) => {}
            () = one(&mut self.terminate) => {}
        }
    }
}

async fn one(signal: &mut Option<Signal>) {
    match signal.as_mut() {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
