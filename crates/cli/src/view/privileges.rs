//! What the token must be allowed, by path, and what goes another way than the API.

use std::collections::{BTreeMap, BTreeSet};

use pvx_core::diagnostic::Sources;
use pvx_core::plan::{Action, ActionKind, Finding, Plan, Privilege, Use};
use pvx_core::preflight::Access;
use serde::Serialize;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::paint::{BAD, FAINT, GOOD, STRONG, WARN, item, pad, paint, wrapped};
use super::{count, findings};

/// How many paths are named before the rest is counted.
const NAMED: usize = 4;

/// Columns for a privilege: `Datastore.AllocateTemplate` is the longest.
const WORDS: usize = 26;

/// The column where uses begin.
const USES: usize = WORDS + 6;

/// One privilege, and whether the token has it; nobody knows when its permissions cannot be read.
#[derive(Debug, Clone, Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    privilege: &'a Privilege,
    held: Option<bool>,
}

fn rows<'a>(plan: &'a Plan, access: &Access) -> Vec<Row<'a>> {
    let held = |check: &Privilege| access.permissions.as_ref().map(|all| all.meets(check));
    plan.privileges.iter().map(|check| Row { privilege: check, held: held(check) }).collect()
}

/// For people.
pub(crate) fn render(plan: &Plan, access: &Access, token: &str) -> String {
    let rows = rows(plan, access);
    let lacking = rows.iter().filter(|row| row.held == Some(false)).count();
    let state = match (access.permissions.is_some(), lacking) {
        (false, _) => paint(WARN, "what it may do cannot be read"),
        (true, 0) => paint(GOOD, "nothing is missing"),
        (true, missing) => paint(BAD, &format!("{missing} of {} missing", rows.len())),
    };
    let mut text = format!(
        "cluster {} · token {} · {} · {state}\n",
        paint(STRONG, &plan.cluster),
        paint(STRONG, token),
        count(plan.actions.len(), "action")
    );
    for (paths, rows) in alike(&rows) {
        text.push_str(&format!("\n{}\n", paint(STRONG, &wrapped(&listed(&paths), 0))));
        text.extend(rows.iter().map(line));
    }
    text + &beyond(plan)
}

/// A privilege on all paths of its section.
struct Line {
    words: String,
    held: Option<bool>,
    uses: Vec<Use>,
}

/// Guests that need the same are told together.
fn alike<'a>(rows: &[Row<'a>]) -> Vec<(Vec<&'a str>, Vec<Line>)> {
    let mut by_path: BTreeMap<&str, Vec<&Row<'a>>> = BTreeMap::new();
    for row in rows {
        by_path.entry(&row.privilege.path).or_default().push(row);
    }
    type Shape = Vec<(String, Option<bool>)>;
    let mut sections: Vec<(Shape, Vec<&str>, Vec<Line>)> = Vec::new();
    for (path, rows) in by_path {
        let shape: Vec<_> = rows.iter().map(|row| (words(row), row.held)).collect();
        let guest = path.starts_with("/vms/");
        let same = sections.iter_mut().find(|(other, paths, _)| {
            guest && *other == shape && paths.iter().all(|path| path.starts_with("/vms/"))
        });
        match same {
            Some((_, paths, lines)) => {
                paths.push(path);
                for (line, row) in lines.iter_mut().zip(&rows) {
                    line.uses.extend(row.privilege.uses.iter().cloned());
                }
            }
            None => {
                let line = |row: &&Row<'_>| Line {
                    words: words(row),
                    held: row.held,
                    uses: row.privilege.uses.clone(),
                };
                sections.push((shape, vec![path], rows.iter().map(line).collect()));
            }
        }
    }
    sections.into_iter().map(|(_, paths, lines)| (paths, lines)).collect()
}

fn words(row: &Row<'_>) -> String {
    let pool = row.privilege.pool.as_ref().map(|pool| format!(" (or on {pool})"));
    let words = match row.privilege.any_of.is_empty() {
        true => "root@pam alone".to_owned(),
        false => row.privilege.words(),
    };
    words + &pool.unwrap_or_default()
}

fn line(line: &Line) -> String {
    let (style, sign) = match line.held {
        Some(true) => (GOOD, "✓"),
        Some(false) => (BAD, "×"),
        None => (FAINT, "·"),
    };
    let deeds: BTreeSet<String> = line.uses.iter().map(deed).collect();
    let whom: BTreeSet<String> =
        line.uses.iter().filter_map(|one| one.address.as_ref().map(ToString::to_string)).collect();
    let deeds = deeds.into_iter().collect::<Vec<_>>().join("; ");
    let uses = match (whom.first(), whom.len()) {
        (None, _) => deeds,
        (Some(one), 1) => format!("{deeds} · {one}"),
        (Some(one), number) => format!("{deeds} · {one} and {}", count(number - 1, "more guest")),
    };
    let head = format!("  {} {}", paint(style, sign), pad(&line.words, WORDS));
    let uses = paint(FAINT, &wrapped(&uses, USES));
    if line.words.width() > WORDS {
        return format!("{head}\n{}{uses}\n", " ".repeat(USES));
    }
    format!("{head}{}{uses}\n", " ".repeat(USES - WORDS - 4))
}

fn deed(one: &Use) -> String {
    let keys: Vec<&str> = one.keys.iter().map(String::as_str).collect();
    format!("{} {}", one.verb, keys.join(", ")).trim_end().to_owned()
}

fn listed(paths: &[&str]) -> String {
    let mut paths = paths.to_vec();
    paths.sort_by_key(|path| (path.len(), *path));
    let named = paths.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match paths.len().saturating_sub(NAMED) {
        0 => named,
        rest => format!("{named} and {rest} more"),
    }
}

/// What no API token does.
#[derive(Debug, Clone, Serialize)]
struct Beyond {
    node: String,
    address: String,
    /// `root` for `qm set`; any login that may write the storage's folder for a file.
    login: &'static str,
    what: String,
}

fn over_ssh(plan: &Plan) -> Vec<Beyond> {
    let beyond = |action: &Action| {
        let (login, what) = match &action.kind {
            ActionKind::ConfigureAsRoot { set, delete } => {
                let keys: Vec<&str> = set.keys().chain(delete).map(String::as_str).collect();
                ("root", format!("set {} (root@pam alone may)", keys.join(", ")))
            }
            ActionKind::Snippet { storage, name, .. } => (
                "root, or who may write the storage's folder",
                format!("write {storage}:snippets/{name}"),
            ),
            _ => return None,
        };
        let (node, address) = (action.node.clone(), action.address.to_string());
        Some(Beyond { node, address, login, what })
    };
    plan.actions.iter().filter_map(beyond).collect()
}

fn beyond(plan: &Plan) -> String {
    let list = over_ssh(plan);
    if list.is_empty() {
        return String::new();
    }
    let title = paint(STRONG, "over SSH, because no API token may");
    let line = |one: &Beyond| {
        item(
            FAINT,
            " ·",
            &format!("{} on {}, for {}; login: {}", one.what, one.node, one.address, one.login),
        )
    };
    format!("\n{title}\n{}", list.iter().map(line).collect::<String>())
}

/// What cannot be planned, so that what it needs is not named.
pub(crate) fn incomplete(errors: &[Finding], sources: &Sources) -> String {
    let text = "the plan has errors: what is named is not all that it will need";
    format!("\n{}{}", item(WARN, "!", text), findings::render(errors, &[], sources))
}

/// For programs.
pub(crate) fn to_json(
    plan: &Plan,
    access: &Access,
    token: &str,
    commands: Option<&[String]>,
) -> Value {
    let mut value = json!({
        "version": 1,
        "cluster": plan.cluster,
        "token": token,
        "privileges": rows(plan, access),
        "over_ssh": over_ssh(plan),
        "findings": plan.findings,
    });
    if let (Some(object), Some(commands)) = (value.as_object_mut(), commands) {
        object.insert("pveum".to_owned(), json!(commands));
    }
    value
}
