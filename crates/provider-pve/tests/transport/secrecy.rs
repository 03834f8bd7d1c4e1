//! No log line and no error holds a secret.

use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};

use pvx_provider_pve::client::{Client, Request, TlsTrust};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::server::{Reply, SECRET, Server, data, options};

/// Everything that anything in this process logs, by way of `tracing` or of `log`.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    /// The one sink of this process, with subscribers for all levels behind it.
    fn install() -> &'static Self {
        static SINK: OnceLock<Sink> = OnceLock::new();
        SINK.get_or_init(|| {
            let sink = Self::default();
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(tracing::Level::TRACE)
                .with_ansi(false)
                .with_writer(sink.clone())
                .finish();
            tracing::subscriber::set_global_default(subscriber).unwrap();
            log::set_boxed_logger(Box::new(sink.clone())).unwrap();
            log::set_max_level(log::LevelFilter::Trace);
            sink
        })
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl log::Log for Sink {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        writeln!(self.clone(), "{} {}", record.target(), record.args()).unwrap();
    }

    fn flush(&self) {}
}

const PASSWORD: &str = "hunter2-cipassword";
const MARKED: &str = "marked-secret-value";
const ANSWERED: &str = "answered-secret-value";

#[tokio::test]
async fn the_most_verbose_log_holds_no_secret() {
    let sink = Sink::install();
    let server = Server::start(|seen| match seen.nth {
        0 => data(&json!({ "value": ANSWERED })),
        1 => Reply::Answer(
            403,
            "Permission check failed (/vms/100, VM.Config.Cloudinit)",
            String::new(),
        ),
        2 => Reply::Drop,
        _ => Reply::Answer(200, "OK", format!("{ANSWERED} is no JSON")),
    })
    .await;
    let trust = TlsTrust::Fingerprints(vec![server.fingerprint()]);
    let options = options(vec![Server::dead().await, server.endpoint()], trust);
    let shown = format!("{options:?}");
    let client = Client::new(options).unwrap();
    let request = Request::put("/nodes/pve1/qemu/100/config")
        .parameter("cores", "2-in-clear")
        .parameter("cipassword", PASSWORD)
        .secret("anything", MARKED.into());
    let mut errors = String::new();
    for _ in 0..4 {
        if let Err(error) = client.send(&request).await {
            errors.push_str(&format!("{error} {error:?}\n"));
        }
    }
    let get: Result<u32, _> = client.get(&Request::get("/x").parameter("password", PASSWORD)).await;
    errors.push_str(&get.unwrap_err().to_string());

    let log = format!("{}\n{errors}\n{shown}\n{client:?}\n{request:?}", sink.text());
    let encoded = [PASSWORD, MARKED].map(|s| s.replace('-', "%2D"));
    let parts = SECRET.split('-').filter(|part| part.len() > 4).collect::<Vec<_>>();
    for secret in
        [SECRET, PASSWORD, MARKED, ANSWERED, &encoded[0], &encoded[1]].iter().chain(&parts)
    {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    // The log is not empty of all else.
    for expected in ["2-in-clear", "cipassword=***", "/nodes/pve1/qemu/100/config", "status=403"] {
        assert!(log.contains(expected), "{expected} is not in the log:\n{log}");
    }
    assert!(server.seen().iter().any(|seen| seen.body.contains(PASSWORD)), "it was sent");
}
