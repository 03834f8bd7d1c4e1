//! `pvx init`: a configuration and a first profile, ready for the simulator.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::json;

use crate::args::{Format, Global, InitOptions};
use crate::exit::{CliError, Code};
use crate::output;

const FILES: [(&str, &str); 3] = [
    ("cluster-config.yaml", include_str!("init/cluster-config.yaml")),
    ("clusters/demo.yaml", include_str!("init/demo.yaml")),
    (".gitignore", "/state/\n"),
];

pub(crate) fn run(global: &Global, options: &InitOptions) -> Result<Code, CliError> {
    let taken: Vec<&str> = FILES
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| *name != ".gitignore" && options.folder.join(name).exists())
        .collect();
    if !taken.is_empty() {
        return Err(CliError::with_help(
            format!("{} is there already: nothing was written", taken.join(", ")),
            "choose another folder, or edit what is there",
        ));
    }
    let mut written = Vec::new();
    for (name, text) in FILES {
        let path = options.folder.join(name);
        if !path.exists() {
            write(&path, &(modeline(&options.folder, name) + text))?;
            written.push(path.display().to_string());
        }
    }
    match global.format {
        Format::Json => output::json(&json!({ "written": written })),
        _ => {
            let list: String = written.iter().map(|name| format!("  {name}\n")).collect();
            output::text(&format!(
                "wrote\n{list}\ntry it without a cluster:\n  pvx apply --sim\nthen name your own nodes in cluster-config.yaml and run\n  pvx plan\n"
            ));
        }
    }
    Ok(Code::Success)
}

/// Names the schema for editors, where `pvx schema --out schemas` has written it before.
fn modeline(folder: &Path, name: &str) -> String {
    let (file, from) = match name {
        "cluster-config.yaml" => ("schemas/cluster-config.schema.json", ""),
        "clusters/demo.yaml" => ("schemas/cluster.schema.json", "../"),
        _ => return String::new(),
    };
    match folder.join(file).is_file() {
        true => format!("# yaml-language-server: $schema={from}{file}\n"),
        false => String::new(),
    }
}

/// Never writes over a file, not even one that appeared a moment ago.
fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let failed = |error| CliError::message(format!("{}: {error}", path.display()));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = fs::File::create_new(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
