//! Those who see a run: the people at a terminal, a log, a file of events. All of them are told
//! through one [`Watch`], which keeps the course of the run.

mod clock;
mod file;
mod readers;
mod watch;

pub(crate) use watch::{Conclusion, Watch};

use std::path::PathBuf;

/// What apply and destroy say while they work.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Progress")]
pub(crate) struct WatchOptions {
    /// Say every event on a line of its own with its time, on a terminal too
    #[arg(long)]
    pub(crate) plain: bool,
    /// Write every event into this file, a line of JSON each (`pvx schema events`)
    #[arg(long, value_name = "FILE", value_parser = file::path)]
    pub(crate) events: Option<PathBuf>,
}
