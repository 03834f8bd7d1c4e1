//! One template, one guest: minijinja with strict limits, and the check that the result is what
//! cloud-init can read.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, OutputSpan, UndefinedBehavior};
use serde_json::json;

use super::{Part, Template};
use crate::desired::Guest;
use crate::diagnostic::SourceId;
use crate::document::yaml;

/// Steps of one rendering, at most; a step is also charged for what it allocates.
const FUEL: u64 = 500_000;
/// Bytes of one file, at most: Proxmox VE reads no more (qemu-server, Cloudinit.pm
/// `read_cloudinit_snippets_file`), and no more than 3 MiB of all four together.
const LARGEST: usize = 1 << 20;

/// Why a template cannot be rendered. The message holds no value of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderError {
    /// Which file of cloud-init.
    pub part: Part,
    /// The template as the document names it.
    pub path: String,
    /// The template among the sources.
    pub source: Option<SourceId>,
    /// The place in the template, in bytes.
    pub range: Range<usize>,
    /// Line in the template, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub help: &'static str,
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

const HELP: &str = "known: name, fqdn, profile, group, node, user, ssh_keys, ip, ip6, prefix, \
    gateway, nameservers, searchdomain, tags, var, each, index";

/// The text of one file.
pub(super) fn render(
    part: Part,
    template: &Template,
    guest: &Guest,
    node: &str,
) -> Result<String, RenderError> {
    let failed = |range: Range<usize>, message: String, help| RenderError {
        part,
        path: template.path.clone(),
        source: template.source,
        line: template.text.get(..range.start).unwrap_or_default().matches('\n').count() + 1,
        range,
        message: mask(message, guest),
        help,
    };
    let environment = environment();
    let rendered = environment
        .template_from_str(&template.text)
        .and_then(|compiled| compiled.render_with_spans(context(guest, node)));
    let (text, spans) = rendered.map_err(|error| {
        let range = error.range().unwrap_or_else(|| line_range(&template.text, error.line()));
        failed(range, words(&error), HELP)
    })?;
    if text.len() > LARGEST {
        let message = format!("renders to {} KiB, at most 1 MiB is taken", text.len() >> 10);
        return Err(failed(0..0, message, "Proxmox VE reads no larger snippets"));
    }
    if is_yaml(part, &text)
        && let Err((offset, message)) = check_yaml(&text)
    {
        let help = "look at indentation; `{{ value|tojson }}` quotes a value for YAML";
        return Err(failed(origin(&spans, offset), message, help));
    }
    Ok(text)
}

fn environment<'a>() -> Environment<'a> {
    let mut environment = Environment::new();
    environment.set_debug(true);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    // A line that holds only a tag leaves nothing behind; the last line keeps its end.
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build();
    if let Ok(syntax) = syntax {
        environment.set_syntax(syntax);
    }
    environment.set_formatter(|out, state, value| {
        if value.is_none() {
            let text = "this guest has no such value; test it with `is not none` first";
            return Err(Error::new(ErrorKind::UndefinedError, text));
        }
        minijinja::escape_formatter(out, state, value)
    });
    environment
}

/// What a template may use. What a guest does not have is none; what nobody knows is an error.
fn context(guest: &Guest, node: &str) -> Value {
    let cloudinit = &guest.spec.cloudinit;
    let name = guest.address.guest();
    let fqdn = match &cloudinit.searchdomain {
        Some(domain) if !name.contains('.') => format!("{name}.{domain}"),
        _ => name.to_owned(),
    };
    let keys: Vec<&str> = cloudinit.ssh_keys.iter().flat_map(|keys| keys.lines()).collect();
    let first = cloudinit.ipconfig.get(&0).cloned().unwrap_or_default();
    let fixed = |text: &Option<String>| -> Option<(String, String)> {
        let (ip, prefix) = text.as_deref()?.split_once('/')?;
        Some((ip.to_owned(), prefix.to_owned()))
    };
    let (v4, v6) = (fixed(&first.ip), fixed(&first.ip6));
    let ours = json!({
        "name": name,
        "fqdn": fqdn,
        "profile": guest.address.profile(),
        "group": guest.group,
        "node": node,
        "user": cloudinit.user,
        "ssh_keys": keys,
        "ip": v4.as_ref().map(|(ip, _)| ip),
        "ip6": v6.as_ref().map(|(ip, _)| ip),
        "prefix": v4.as_ref().or(v6.as_ref()).and_then(|(_, prefix)| prefix.parse::<u8>().ok()),
        "gateway": first.gw.as_ref().or(first.gw6.as_ref()),
        "nameservers": cloudinit.nameservers,
        "searchdomain": cloudinit.searchdomain,
        "tags": guest.spec.tags,
    });
    let mut all: BTreeMap<String, serde_json::Value> = cloudinit.extra.0.clone();
    if let serde_json::Value::Object(ours) = ours {
        all.extend(ours);
    }
    Value::from(Serde(all))
}

/// What minijinja says, on one line.
fn words(error: &Error) -> String {
    let kind = match error.kind() {
        ErrorKind::OutOfFuel => return format!("takes more than {FUEL} steps"),
        ErrorKind::UndefinedError if error.detail().is_none() => {
            return "there is no such value".to_owned();
        }
        ErrorKind::UndefinedError => String::new(),
        kind => format!("{kind}: "),
    };
    let text = error.detail().unwrap_or("cannot be rendered");
    let text = format!("{kind}{text}");
    text.lines().next().unwrap_or_default().to_owned()
}

/// Values of variables may be secrets, and messages may repeat them.
fn mask(mut message: String, guest: &Guest) -> String {
    fn leaves<'v>(value: &'v serde_json::Value, found: &mut Vec<&'v str>) {
        match value {
            serde_json::Value::String(text) if !text.is_empty() => found.push(text),
            serde_json::Value::Array(items) => items.iter().for_each(|item| leaves(item, found)),
            serde_json::Value::Object(map) => map.values().for_each(|item| leaves(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    guest.spec.cloudinit.extra.0.values().for_each(|value| leaves(value, &mut found));
    // The longest first: a short value may be a part of it.
    found.sort_by_key(|text| std::cmp::Reverse(text.len()));
    for text in found.into_iter().filter(|text| text.len() > 2) {
        message = message.replace(text, "***");
    }
    message
}

/// The whole line `line`, from 1.
fn line_range(text: &str, line: Option<usize>) -> Range<usize> {
    let before = line.unwrap_or(1).saturating_sub(1);
    let start: usize = text.split_inclusive('\n').take(before).map(str::len).sum();
    let rest = text.get(start..).unwrap_or_default();
    start..start + rest.lines().next().unwrap_or_default().len()
}

/// `network-config` and `meta-data` are YAML always (JSON is YAML); user and vendor data when
/// their first line says so.
fn is_yaml(part: Part, text: &str) -> bool {
    let said = text.lines().next().is_some_and(|line| line.trim_end() == "#cloud-config");
    said || matches!(part, Part::Network | Part::Meta)
}

/// The byte where it stops being YAML, and what is wrong there.
fn check_yaml(text: &str) -> Result<(), (usize, String)> {
    match yaml::parse(SourceId(0), text) {
        Ok(_) => Ok(()),
        Err(problem) => {
            let label = problem.labels.first();
            let start = label.map_or(0, |label| label.span.start as usize);
            let why = label.map_or("cannot be read", |label| label.text.as_str());
            let line = text.get(..start).unwrap_or_default().matches('\n').count() + 1;
            Err((start, format!("line {line} of what it renders to is not YAML: {why}")))
        }
    }
}

/// The place in the template that wrote the byte at `offset`.
fn origin(spans: &[OutputSpan], offset: usize) -> Range<usize> {
    let wrote = |span: &&OutputSpan| span.output_range().contains(&offset);
    let Some(span) = spans.iter().find(wrote).or(spans.last()) else { return 0..0 };
    let (output, source) = (span.output_range(), span.source_range());
    if output.len() == source.len() {
        // Text as it stands: the very byte.
        let start = source.start + offset.saturating_sub(output.start).min(source.len());
        return start..start;
    }
    source
}

#[cfg(test)]
mod tests;
