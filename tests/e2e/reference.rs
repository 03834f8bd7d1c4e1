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
    for kind in ["config", "cluster", "vm", "policy", "plan"] {
        check(kind, &format!("{kind}.schema.json"));
    }
}
