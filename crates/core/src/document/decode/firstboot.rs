//! The keys of `cloudinit` beyond login, keys and network: the password, the format of the drive,
//! and files of the guest's own.

use std::path::PathBuf;

use super::super::yaml::{Kind, Node};
use super::fields::Fields;
use super::vm::PlacesByPath;
use super::{names, value};
use crate::desired::CloudInit;
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::secret::{Password, SecretSource};
use crate::snippet::{Part, Template};

/// Formats of the drive (qemu-server, QemuServer.pm `citype`).
const FORMATS: [&str; 3] = ["nocloud", "configdrive2", "opennebula"];

/// Where a password may be.
const SOURCES: [&str; 4] = ["env", "file", "pass", "var"];

/// Takes the keys out of `fields`.
pub(super) fn take(
    fields: &mut Fields<'_, '_>,
    cloudinit: &mut CloudInit,
    places: &mut PlacesByPath,
) {
    refuse_plain(fields);
    if let Some(node) = fields.take("password") {
        places.insert("cloudinit.password".to_owned(), node.span);
        cloudinit.password = password(node, fields.problems);
    }
    if let Some(upgrade) = fields.boolean("upgrade") {
        places.insert("cloudinit.upgrade".to_owned(), upgrade.span);
        cloudinit.upgrade = Some(upgrade.value);
    }
    if let Some(format) = fields.word("type", &FORMATS) {
        places.insert("cloudinit.type".to_owned(), format.span);
        cloudinit.format = Some(format.value);
    }
    if let Some(storage) = fields.parsed("snippets", names::identifier) {
        places.insert("cloudinit.snippets".to_owned(), storage.span);
        cloudinit.snippets = Some(storage.value);
    }
    custom(fields, cloudinit, places);
    for part in Part::ALL {
        let Some(path) = fields.text(part.key()) else { continue };
        places.insert(format!("cloudinit.{}", part.key()), path.span);
        said_once(part, &path, places, fields.problems);
        cloudinit.templates.insert(part, Template::named(path.value));
    }
    let own =
        cloudinit.templates.contains_key(&Part::User) || cloudinit.custom.contains_key(&Part::User);
    if let Some(place) = places.get("cloudinit.password").filter(|_| own) {
        fields.problems.push(unused(*place));
    }
}

/// Proxmox's own name is refused as the secret it would hold.
fn refuse_plain(fields: &mut Fields<'_, '_>) {
    for (key, node) in fields.take_secrets(&["cipassword"]) {
        let message = format!("'{key}' is a secret");
        fields.problems.push(value::secret(node.span, message, PASSWORD_HELP));
    }
}

const PASSWORD_HELP: &str = "guests are logged into with ssh_keys; or say where it is: password: {env: NAME}, {var: NAME}, {file: PATH} or {pass: ENTRY}";

/// User data of one's own replaces all that Proxmox VE would write, the password among it.
fn unused(place: Span) -> Diagnostic {
    let message = "the password is not used: the guest has user data of its own";
    Diagnostic::warning("unused-key", message)
        .at(place, "no guest sees it")
        .help("Proxmox VE writes a password only into user data that it writes itself: take one of the two out")
}

/// `{env: NAME}`, `{file: PATH}`, `{pass: ENTRY}` or `{var: NAME}`, with or without `version: N`.
fn password(node: &Node, problems: &mut Vec<Diagnostic>) -> Option<Password> {
    if !matches!(node.kind, Kind::Map(_)) {
        problems.push(value::secret(node.span, "'password' is a secret", PASSWORD_HELP));
        return None;
    }
    let mut fields = Fields::open(node, "password", "password", problems)?;
    let env = fields.parsed("env", variable).map(|v| v.map(SecretSource::Env));
    let file = fields.text("file").map(|v| v.map(|path| SecretSource::File(PathBuf::from(path))));
    let pass = fields.parsed("pass", entry).map(|v| v.map(SecretSource::Pass));
    let var = fields.parsed("var", variable).map(|v| v.map(SecretSource::Variable));
    let version = fields.integer("version", 1..=u32::MAX).map(|version| version.value);
    let given: Vec<Spanned<SecretSource>> = [env, file, pass, var].into_iter().flatten().collect();
    let said = SOURCES.iter().filter(|key| node.get(key).is_some()).count();
    if said != 1 {
        let mut problem = Diagnostic::error("bad-value", "a password is in one place")
            .help("give one of env, file, pass and var");
        problem = match given.as_slice() {
            [] => problem.at(fields.span(), "no place is given"),
            all => all.iter().fold(problem, |p, one| p.at(one.span, "one of them")),
        };
        fields.problems.push(problem);
    }
    fields.finish();
    let source = given.into_iter().next().filter(|_| said == 1)?.value;
    Some(Password { source, version })
}

/// A name of a variable, as shells take it.
fn variable(text: &str) -> Result<String, String> {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.starts_with(|c: char| c.is_ascii_digit()) || !text.chars().all(valid) {
        return Err("a variable's name is letters, digits and '_'".to_owned());
    }
    Ok(text.to_owned())
}

fn entry(text: &str) -> Result<String, String> {
    if text.starts_with('-') { Err("begins with '-'".to_owned()) } else { Ok(text.to_owned()) }
}

fn custom(fields: &mut Fields<'_, '_>, cloudinit: &mut CloudInit, places: &mut PlacesByPath) {
    let Some(mut custom) = fields.mapping("cicustom", "cicustom") else { return };
    for part in Part::ALL {
        let Some(volume) = custom.parsed(part.name(), snippet) else { continue };
        places.insert(format!("cloudinit.cicustom.{}", part.name()), volume.span);
        cloudinit.custom.insert(part, volume.value);
    }
    custom.finish();
}

/// A file and a snippet for the same part exclude each other.
fn said_once(
    part: Part,
    path: &Spanned<String>,
    places: &PlacesByPath,
    problems: &mut Vec<Diagnostic>,
) {
    let (key, custom) = (part.key(), format!("cicustom.{}", part.name()));
    if let Some(there) = places.get(&format!("cloudinit.{custom}")) {
        problems.push(
            Diagnostic::error("conflict", format!("'{key}' and '{custom}' are the same file"))
                .at(path.span, "rendered here")
                .at(*there, "named here")
                .help("keep one of the two"),
        );
    }
}

/// Where the storage `local` keeps its snippets.
const LOCAL: &str = "/var/lib/vz/snippets/";

/// A snippet as Proxmox VE names it (`local:snippets/x.yaml`), also by the path that it has on
/// storage `local`.
pub(crate) fn snippet(text: &str) -> Result<String, String> {
    let (storage, file) = match (text.strip_prefix(LOCAL), text.split_once(":snippets/")) {
        (Some(file), _) => ("local", file),
        (None, Some((storage, file))) => (storage, file),
        (None, None) => {
            return Err(
                "write STORAGE:snippets/FILE, such as local:snippets/vendor.yaml".to_owned()
            );
        }
    };
    names::identifier(storage)?;
    let valid = |c: char| c.is_ascii_graphic() && !"/,=\"'\\".contains(c);
    if file.is_empty() || file.starts_with('.') || !file.chars().all(valid) {
        return Err("a snippet's file name has no '/', no comma and no space".to_owned());
    }
    Ok(format!("{storage}:snippets/{file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snippets_by_volume_and_by_path() {
        assert_eq!(snippet("local:snippets/v.yaml"), Ok("local:snippets/v.yaml".to_owned()));
        assert_eq!(snippet("/var/lib/vz/snippets/v.yaml"), Ok("local:snippets/v.yaml".to_owned()));
        for bad in [
            "v.yaml",
            "/mnt/v.yaml",
            "local:snippets/",
            "local:snippets/a/b",
            "a,b:snippets/c",
            "local:snippets/a,user=b",
            "local:snippets/..x",
        ] {
            assert!(snippet(bad).is_err(), "{bad}");
        }
    }
}
