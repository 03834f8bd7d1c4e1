//! Diagnostics of pvx itself, on standard error: `-vv` and `-vvv`.

use tracing_subscriber::EnvFilter;

/// Sets the level from the number of `-v`. The transport crates stay quiet: they would log
/// headers, and with them the token.
pub(crate) fn init(verbose: u8) {
    let level = match verbose {
        0 | 1 => "warn",
        2 => "debug",
        _ => "trace",
    };
    let filter =
        format!("off,pvx={level},pvx_core={level},pvx_provider_pve={level},pvx_sim={level}");
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(verbose > 2)
        .init();
}
