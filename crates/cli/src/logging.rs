//! Diagnostics of pvx itself, on standard error: `-vv` and `-vvv`.

use tracing_subscriber::EnvFilter;

/// Sets the level from the number of `-v`. The transport crates stay quiet: they would log
/// headers, and with them the token.
pub(crate) fn init(verbose: u8) {
    let level = match verbose {
        // What is worth a warning is said again by the error that follows, if one does.
        0 => "error",
        1 => "warn",
        2 => "debug",
        _ => "trace",
    };
    // An open token file is followed by no error, so it is said in any case.
    let credentials = if verbose == 0 { "warn" } else { level };
    let filter = format!(
        "off,pvx={level},pvx_core={level},pvx_sim={level},pvx_provider_pve={level},\
         pvx_provider_pve::credentials={credentials}"
    );
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(|| crate::output::Log)
        .without_time()
        .with_ansi(false)
        .with_target(verbose > 2)
        .init();
}
