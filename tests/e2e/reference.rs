//! What is generated from the code is what lies in `docs/reference`. With PVX_WRITE_DOCS set the
//! files are written instead of compared.

use std::path::Path;
use std::process::Command;

fn generated(kind: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_pvx")).args(["schema", kind]).output().unwrap();
    assert!(output.status.success(), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn check(kind: &str, file: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    let (path, now) = (folder.join(file), generated(kind));
    if std::env::var_os("PVX_WRITE_DOCS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == now,
        "docs/reference/{file} is not what the code says; write it with \
         PVX_WRITE_DOCS=1 cargo test -p pvx --test e2e reference"
    );
}

#[test]
fn the_reference_of_documents() {
    check("reference", "documents.md");
}

#[test]
fn json_schemas() {
    for kind in ["config", "cluster", "vm", "policy", "plan", "events"] {
        check(kind, &format!("{kind}.schema.json"));
    }
}

/// What `pvx COMMAND --help` prints.
fn help(command: &[String]) -> String {
    let mut pvx = Command::new(env!("CARGO_BIN_EXE_pvx"));
    let output = pvx.args(command).arg("--help").env("NO_COLOR", "1").output().unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// All commands, those of commands too, each with its help.
fn commands(parent: &[String]) -> Vec<(Vec<String>, String)> {
    let text = help(parent);
    let list = text.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = list.take_while(|line| !line.is_empty()).filter_map(|line| {
        let indented = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' '));
        indented?.split_whitespace().next().filter(|name| *name != "help")
    });
    let below = |name: &str| commands(&[parent, &[name.to_owned()]].concat());
    let below: Vec<_> = names.flat_map(below).collect();
    [vec![(parent.to_vec(), text)], below].concat()
}

/// The long options that a help describes.
fn options(help: &str) -> impl Iterator<Item = &str> {
    let indented = help.lines().filter_map(|line| line.strip_prefix("  "));
    let described = indented.map(str::trim_start).filter(|line| line.starts_with('-'));
    let words = described.flat_map(|line| line.split([' ', ',', '.']));
    words.filter(|word| word.starts_with("--"))
}

/// The page is written by hand: nothing that there is is missing in it.
#[test]
fn every_command_and_option_is_in_the_reference() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
    let page = std::fs::read_to_string(path).unwrap();
    let all = commands(&[]);
    assert!(all.len() > 15, "{}", all.len());
    let mut missing = std::collections::BTreeSet::new();
    for (command, text) in &all {
        let name = command.join(" ");
        if !name.is_empty() && !page.contains(&format!("`{name}")) {
            missing.insert(name);
        }
        // With what follows, so that `--ssh-key` is not found in `--ssh-known-hosts`.
        let said = |option: &str| [" ", "`", "|"].map(|end| format!("{option}{end}"));
        let gone = options(text).filter(|o| !said(o).iter().any(|said| page.contains(said)));
        missing.extend(gone.map(str::to_owned));
    }
    assert!(missing.is_empty(), "docs/reference/cli.md does not have {missing:?}");
}
