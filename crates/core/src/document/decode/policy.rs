//! `policy`, and the files of rules that it names.

use std::path::PathBuf;

use super::super::yaml::Node;
use super::config::Folders;
use super::fields::Fields;
use super::{names, value};
use crate::diagnostic::{Diagnostic, Spanned};
use crate::policy::{
    Each, Expression, Freeze, LONGEST_EXPRESSION, MOST_RULES, Policy, Rule, Severity, Window, Zone,
    clock, date, day_named,
};

/// Bytes of a message, at most.
const LONGEST_MESSAGE: usize = 1000;

/// `policy` of the configuration, and the files that it names: paths whose last part may have `*`.
pub(crate) fn take(
    fields: &mut Fields<'_, '_>,
    folders: &Folders<'_>,
) -> (Policy, Vec<Spanned<PathBuf>>) {
    let Some(mut fields) = fields.mapping("policy", "policy") else { return Default::default() };
    let max_destroy = fields.integer("max_destroy", 0..=1_000_000);
    let protected_tags = fields.parsed_list("protected_tags", names::tag);
    let zone = fields.parsed("time_zone", Zone::named).map(|zone| zone.value).unwrap_or_default();
    let windows_at = fields.take("windows").map(|node| node.span);
    let windows = each(&mut fields, "windows", |item, problems| window(item, &zone, problems));
    let freeze = each(&mut fields, "freeze", freeze);
    let rules = each(&mut fields, "rules", rule);
    let files = fields.parsed_list("files", |text| folders.expand(text));
    fields.finish();
    let policy = Policy { max_destroy, protected_tags, zone, windows, windows_at, freeze, rules };
    (policy, files)
}

/// A file of rules.
pub(crate) fn file(node: &Node, problems: &mut Vec<Diagnostic>) -> Vec<Rule> {
    let Some(mut fields) = Fields::open(node, "document", "a policy file", problems) else {
        return Vec::new();
    };
    let rules = each(&mut fields, "rules", rule);
    fields.require("rules", "a policy file is a mapping with a list of rules");
    fields.finish();
    rules
}

fn each<T>(
    fields: &mut Fields<'_, '_>,
    key: &'static str,
    read: impl Fn(&Node, &mut Vec<Diagnostic>) -> Option<T>,
) -> Vec<T> {
    let Some(list) = fields.take(key) else { return Vec::new() };
    let items = value::items(list, key, MOST_RULES, fields.problems);
    items.iter().filter_map(|item| read(item, fields.problems)).collect()
}

fn window(node: &Node, zone: &Zone, problems: &mut Vec<Diagnostic>) -> Option<Window> {
    let mut fields = Fields::open(node, "windows", "a window", problems)?;
    let days = fields.parsed_list("days", day_named);
    let from = fields.parsed("from", clock);
    fields.require("from", "from is when it opens, such as 22:00");
    let to = fields.parsed("to", clock);
    fields.require("to", "to is when it closes, such as 06:00");
    let own = fields.parsed("time_zone", Zone::named);
    fields.finish();
    let zone = own.map_or_else(|| zone.clone(), |zone| zone.value);
    let days = days.into_iter().map(|day| day.value).collect();
    Some(Window { days, from: from?.value, to: to?.value, zone })
}

fn freeze(node: &Node, problems: &mut Vec<Diagnostic>) -> Option<Freeze> {
    let mut fields = Fields::open(node, "freeze", "a freeze", problems)?;
    let from = fields.parsed("from", date);
    fields.require("from", "from is its first day, such as 2026-12-20");
    let to = fields.parsed("to", date);
    fields.require("to", "to is its last day");
    let reason = fields.text("reason").map(|reason| reason.value);
    fields.finish();
    let (from, to) = (from?, to?);
    if to.value < from.value {
        problems.push(value::bad_value(to.span, "to", "it ends before it begins"));
        return None;
    }
    Some(Freeze { from: from.value, to: to.value, reason, span: node.span })
}

fn rule(node: &Node, problems: &mut Vec<Diagnostic>) -> Option<Rule> {
    let mut fields = Fields::open(node, "rules", "a rule", problems)?;
    let name = fields.parsed("name", names::label);
    fields.require("name", "name is what messages call it, such as memory-cap");
    let each = fields.word("each", &["guest", "change", "plan"]);
    let when = expression(&mut fields, "when");
    let check = expression(&mut fields, "check");
    fields.require("check", "check is what must hold, such as guest.memory <= 8192");
    let message = fields.take("message");
    let message =
        message.and_then(|m| value::long_text(m, "message", LONGEST_MESSAGE, fields.problems));
    let severity = fields.word("severity", &["error", "warning"]);
    let at = fields.text("at");
    fields.finish();
    let each = match each.as_ref().map(|each| each.value.as_str()) {
        Some("change") => Each::Change,
        Some("plan") => Each::Plan,
        _ => Each::Guest,
    };
    if let (Each::Plan, Some(at)) = (each, &at) {
        problems.push(value::bad_value(at.span, "at", "a rule about the plan has no guest"));
    }
    Some(Rule {
        name: name?.map(|name| name.to_string()),
        each,
        when,
        check: check?,
        message,
        severity: match severity.as_ref().map(|word| word.value.as_str()) {
            Some("warning") => Severity::Warning,
            _ => Severity::Error,
        },
        at: at.map(|at| at.value),
    })
}

fn expression(fields: &mut Fields<'_, '_>, key: &'static str) -> Option<Expression> {
    let node = fields.take(key)?;
    let text = value::long_text(node, key, LONGEST_EXPRESSION, fields.problems)?;
    if text.value.trim().is_empty() {
        fields.problems.push(value::bad_value(node.span, key, "is empty"));
        return None;
    }
    Some(Expression { text: text.value, span: text.span })
}
