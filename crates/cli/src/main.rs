//! `pvx`: a declarative reconciler for Proxmox VE.

mod args;
mod cluster;
mod command;
mod confirm;
mod events;
mod exit;
mod format;
#[cfg(debug_assertions)]
mod kill;
mod limits;
mod logging;
mod output;
mod owner;
mod saved;
mod secrets;
mod session;
mod signals;
mod ssh;
mod view;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use exit::{CliError, Code};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return exit::usage(&error),
    };
    logging::init(args.global.verbose);
    limits::raise();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = CliError::message(format!("the runtime does not start: {error}"));
            return exit::report(Err(error), &args.global);
        }
    };
    let result = runtime.block_on(run(&args));
    // What was abandoned on purpose (second Ctrl-C) must not hold the process.
    runtime.shutdown_background();
    let code = exit::report(result, &args.global);
    if output::is_complete() { code } else { exit::unwritten() }
}

async fn run(args: &Args) -> Result<Code, CliError> {
    let global = &args.global;
    format::check(global, &args.command)?;
    match &args.command {
        Command::Init(options) => command::init::run(global, options),
        Command::Validate(options) => command::validate::run(global, options),
        Command::Plan(options) => command::plan::run(global, options).await,
        Command::Apply(options) => command::apply::run(global, options).await,
        Command::Destroy(options) => command::destroy::run(global, options).await,
        Command::Privileges(options) => command::privileges::run(global, options).await,
        Command::Status(options) => command::status::run(global, options).await,
        Command::Show(options) => command::show::run(global, options).await,
        Command::Graph(options) => command::graph::run(global, options).await,
        Command::Schema(options) => command::schema::run(global, options),
        Command::State(options) => command::state::run(global, options).await,
        Command::Sim(options) => command::sim::run(global, options).await,
        Command::Version => command::version::run(global),
        Command::Completions(options) => command::completions::run(options),
    }
}
