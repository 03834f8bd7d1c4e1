//! Which command has which `--format`: the one place that says no.

use std::path::Path;

use clap::ValueEnum;

use crate::args::{Command, Format, Global};
use crate::exit::CliError;
use crate::saved;

/// What a plan is shown as, made now or saved.
const PLAN: &[Format] = &[Format::Human, Format::Json, Format::Markdown, Format::Html];

/// Refuses a format that the command does not have, before anything is read.
pub(crate) fn check(global: &Global, command: &Command) -> Result<(), CliError> {
    let has = formats(command);
    if has.contains(&global.format) {
        return Ok(());
    }
    let known: Vec<String> = has.iter().copied().map(name).collect();
    let asked = name(global.format);
    let help = match global.format {
        Format::Markdown | Format::Html => {
            format!("it has {}; `pvx plan --format {asked}` is for review", known.join(", "))
        }
        Format::Svg | Format::Dot | Format::Mermaid => {
            format!("it has {}; `pvx graph --format {asked}` draws a plan", known.join(", "))
        }
        Format::Human | Format::Json => format!("it has {}", known.join(", ")),
    };
    Err(CliError::with_help(format!("this command has no format '{asked}'"), help))
}

fn formats(command: &Command) -> &'static [Format] {
    match command {
        Command::Plan(_) => PLAN,
        Command::Show(options) if saved::is_plan(Path::new(&options.address)) => PLAN,
        // For people a graph is a picture.
        Command::Graph(_) => {
            &[Format::Human, Format::Svg, Format::Dot, Format::Mermaid, Format::Json]
        }
        _ => &[Format::Human, Format::Json],
    }
}

/// As the command line spells it.
fn name(format: Format) -> String {
    format.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}
