//! Files of rules: found, read, and all rules looked at.

use std::path::{Path, PathBuf};

use super::config::ClusterConfig;
use super::decode::policy as decode;
use super::files::{self, File};
use super::yaml;
use crate::diagnostic::{Diagnostic, Sources, Spanned};
use crate::policy::{self, Rule};

/// Adds the rules of the files to those of the configuration, and tells what is wrong with any.
pub(crate) fn complete(
    config: &mut ClusterConfig,
    working_dir: &Path,
    sources: &mut Sources,
    problems: &mut Vec<Diagnostic>,
) {
    let mut found = Vec::new();
    for named in std::mem::take(&mut config.policy_files) {
        let paths = match matching(&named.value) {
            Ok(paths) => paths,
            Err(why) => {
                let text = files::shown(&named.value, working_dir);
                problems.push(
                    Diagnostic::error("cannot-read", format!("no rules in {text}"))
                        .at(named.span, why)
                        .help("name a file, or files with `*`, such as policies/*.yaml"),
                );
                continue;
            }
        };
        for path in paths {
            let path = Spanned::new(path, named.span);
            config.policy.rules.extend(read(&path, working_dir, sources, problems));
            found.push(path.map(|path| real(&path)));
        }
    }
    config.policy_files = found;
    repeated(&config.policy.rules, problems);
    problems.extend(policy::problems(&config.policy.rules, sources));
}

/// A path that is the same however it was named.
pub(crate) fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The file, or those that `*` in its name stands for, in sorted order.
fn matching(path: &Path) -> Result<Vec<PathBuf>, String> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let Some(pattern) = name.filter(|name| name.contains('*')) else {
        return Ok(vec![path.to_owned()]);
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).map_err(|error| files::reason(&error))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| fits(&pattern, name)).collect();
    names.sort_unstable();
    if names.is_empty() {
        return Err("no file has such a name".to_owned());
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// Does `name` look like `pattern`, in which `*` stands for anything? What is hidden does not.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match left.find(part) {
            Some(at) => left = left.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    left.ends_with(last)
}

fn read(
    path: &Spanned<PathBuf>,
    working_dir: &Path,
    sources: &mut Sources,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Rule> {
    let shown = files::shown(&path.value, working_dir);
    let file = File { path: path.value.clone(), shown };
    let nodes = files::read(&file, sources)
        .map_err(|problem| problem.at(path.span, "named here"))
        .and_then(|source| yaml::parse(source, &sources.text(source)));
    match nodes {
        Ok(nodes) => nodes.iter().flat_map(|node| decode::file(node, problems)).collect(),
        Err(problem) => {
            problems.push(problem);
            Vec::new()
        }
    }
}

fn repeated(rules: &[Rule], problems: &mut Vec<Diagnostic>) {
    for (index, rule) in rules.iter().enumerate() {
        let mut before = rules.iter().take(index);
        if let Some(first) = before.find(|other| other.name.value == rule.name.value) {
            let message = format!("there are two rules '{}'", rule.name.value);
            problems.push(
                Diagnostic::error("duplicate-rule", message)
                    .at(rule.name.span, "again here")
                    .at(first.name.span, "first here"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, name, expected) in [
            ("*.yaml", "org.yaml", true),
            ("*.yaml", "org.yml", false),
            ("*.yaml", ".org.yaml", false),
            ("org-*-v*.yaml", "org-a-b-v2.yaml", true),
            ("org-*-v*.yaml", "org-a.yaml", false),
            ("a*a", "a", false),
            ("*", "x", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
