//! What the user sees: text made from data. Calm, dense, one fact a line, the same words
//! everywhere; colour only adds.

pub(crate) mod diagnostics;
pub(crate) mod explain;
mod findings;
pub(crate) mod graph;
pub(crate) mod html;
pub(crate) mod live;
pub(crate) mod markdown;
mod paint;
pub(crate) mod plain;
pub(crate) mod plan;
mod policy;
pub(crate) mod privileges;
pub(crate) mod report;
mod review;
pub(crate) mod saved;
pub(crate) mod show;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod timings;
mod units;

use pvx_core::diagnostic::{Diagnostic, Sources};
use pvx_core::plan::Plan;
use pvx_provider_pve::client::Stats;

use paint::{FAINT, WARN, item, paint};

/// `1 guest`, `2 guests`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// An error that has no place in a document. Lines of the help after the first are commands, which
/// are copied as they are.
pub(crate) fn problem(message: &str, help: Option<&str>) -> String {
    let mut diagnostic = Diagnostic::error("error", message.trim_end());
    let (help, commands) = match help.map(|help| help.split_once('\n').unwrap_or((help, ""))) {
        Some((help, commands)) => (Some(help), commands),
        None => (None, ""),
    };
    diagnostic.help = help.map(str::to_owned);
    let text = diagnostics::one(&diagnostic, &Sources::default());
    if commands.is_empty() {
        return text;
    }
    let commands: String = commands.lines().map(|line| format!("        {line}\n")).collect();
    format!("{}\n{commands}\n", text.trim_end())
}

/// What a run that failed takes back.
pub(crate) fn undo(plan: &Plan, sources: &Sources) -> String {
    format!(
        "\n{}\n{}",
        paint(WARN, "taking back what this run changed"),
        plan::render(plan, sources)
    )
}

/// Something worth knowing.
pub(crate) fn note(message: &str) -> String {
    item(WARN, "!", message)
}

/// The last lines of a task's log.
pub(crate) fn log_tail(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  {} {line}\n", paint(FAINT, "│"))).collect()
}

/// What a command cost.
pub(crate) fn requests(stats: Stats) -> String {
    format!(
        "{} ({} that write), {} received, {} sent\n",
        count(usize::try_from(stats.requests).unwrap_or(usize::MAX), "request"),
        stats.writes,
        units::bytes(stats.bytes_in),
        units::bytes(stats.bytes_out)
    )
}
