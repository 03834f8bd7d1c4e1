//! Ctrl-C: the first one begins nothing new and waits for what runs, the second one leaves.

use pvx_core::execute::Stop;
use tokio::sync::watch;

/// Listens from now on, and tells the user with `say` what the first one did. SIGTERM counts like
/// Ctrl-C: pipelines send it.
pub(crate) fn listen(say: impl Fn(&str) + Send + 'static) -> watch::Receiver<Stop> {
    let (sender, receiver) = watch::channel(Stop::Go);
    tokio::spawn(async move {
        for stop in [Stop::Drain, Stop::Leave] {
            wait().await;
            if stop == Stop::Drain {
                say("stopping: nothing new begins; Ctrl-C again leaves at once");
            }
            // The run is over when nobody listens any more.
            let _ = sender.send(stop);
        }
        std::future::pending::<()>().await;
    });
    receiver
}

/// Waits for one Ctrl-C or SIGTERM.
pub(crate) async fn wait() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
