//! What the methods return: what a table of it shows, what of it names the children, and what must
//! be given (`returns`, `links` and `parameters` of the methods' schemas).

use super::table::{Column, Look, Type};
use crate::api::endpoint::Method;
use crate::api::methods::matches;

/// A method a line.
const TABLE: &str = include_str!("results.txt");

/// The schema of a method's result.
pub(super) struct Schema {
    /// `object`, `array`, `string`, `null` or another type; `-` where none is given.
    pub(super) kind: &'static str,
    /// The type of a list's items.
    pub(super) items: Option<&'static str>,
    pub(super) optional: bool,
    /// The property of an item that names a child.
    pub(super) child: Option<&'static str>,
    /// Whether the items are children: also those whose names stand in no property.
    pub(super) has_children: bool,
    /// Parameters that must be given beside those in the path, with their types.
    pub(super) required: Vec<(&'static str, &'static str)>,
    /// The properties in the order in which a table shows them
    /// (`PVE::CLIFormatter::extract_properties_to_print`).
    pub(super) columns: Vec<Column>,
}

/// The schema of an endpoint's result.
pub(super) fn of(method: Method, template: &str) -> Option<Schema> {
    lines().find(|line| line.method == method && same(line.path, template)).map(Line::parse)
}

/// The schema of what a path leads to, simulated or not.
pub(super) fn at(method: Method, path: &str) -> Option<Schema> {
    let given: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let fits = |line: &Line| line.method == method && matches(line.path, &given);
    let literal = |line: &Line| line.path.split('/').filter(|part| !part.starts_with('{')).count();
    lines().filter(fits).max_by_key(literal).map(Line::parse)
}

struct Line {
    path: &'static str,
    method: Method,
    rest: std::str::Split<'static, char>,
}

fn lines() -> impl Iterator<Item = Line> {
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut rest = line.split(' ');
        Some(Line { path: rest.next()?, method: Method::parse(rest.next()?)?, rest })
    })
}

/// Whether two templates are one, however their parameters are called.
fn same(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == b || (a.starts_with('{') && b.starts_with('{')) => {}
            _ => return false,
        }
    }
}

impl Line {
    fn parse(mut self) -> Schema {
        let kind = self.rest.next().unwrap_or("-");
        let (kind, optional) = kind.strip_suffix('?').map_or((kind, false), |kind| (kind, true));
        let (kind, items) = match kind.split_once('(') {
            Some((kind, items)) => (kind, Some(items.trim_end_matches(')'))),
            None => (kind, None),
        };
        let mut schema = Schema {
            kind,
            items,
            optional,
            child: None,
            has_children: false,
            required: Vec::new(),
            columns: Vec::new(),
        };
        for word in self.rest {
            if let Some(link) = word.strip_prefix('>') {
                schema.has_children = true;
                schema.child = link.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
            } else if let Some(needed) = word.strip_prefix('+') {
                schema.required.extend(needed.split_once(':'));
            } else {
                schema.columns.push(column(word));
            }
        }
        schema
    }
}

/// `name:iB~width"title`.
fn column(word: &str) -> Column {
    let (word, title) =
        word.split_once('"').map_or((word, None), |(word, title)| (word, Some(title)));
    let (word, width) =
        word.split_once('~').map_or((word, None), |(word, width)| (word, Some(width)));
    let (name, letters) = word.split_once(':').unwrap_or((word, ""));
    let kind = match letters.chars().next() {
        Some('i' | 'n') => Type::Number,
        Some('b') => Type::Flag,
        _ => Type::Text,
    };
    let look = letters.chars().find_map(|letter| {
        Some(match letter {
            'B' => Look::Bytes,
            'T' | 'G' => Look::Time,
            'D' => Look::Duration,
            '%' => Look::Share,
            'Y' => Look::Yaml,
            _ => return None,
        })
    });
    Column {
        name: name.to_owned(),
        title: title.map_or_else(|| name.to_owned(), |title| title.replace('_', " ")),
        kind,
        look: look.unwrap_or(Look::Plain),
        width: width.and_then(|width| width.parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_found_by_template_and_by_path() {
        let nodes = of(Method::Get, "/nodes").unwrap();
        assert_eq!((nodes.kind, nodes.items, nodes.child), ("array", Some("object"), Some("node")));
        let names: Vec<&str> = nodes.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "node",
                "status",
                "cpu",
                "level",
                "maxcpu",
                "maxmem",
                "mem",
                "ssl_fingerprint",
                "uptime"
            ]
        );
        let create = of(Method::Post, "/nodes/{node}/qemu").unwrap();
        assert_eq!(create.required, [("vmid", "integer")]);
        let volume = "/nodes/{node}/storage/{storage}/content/{*volume}";
        assert_eq!(of(Method::Delete, volume).unwrap().kind, "string");
        assert!(at(Method::Get, "/nodes/pve1/ceph").unwrap().has_children);
        assert_eq!(at(Method::Get, "/nodes/pve1/qemu").unwrap().child, Some("vmid"));
        assert!(at(Method::Get, "/no/such/path").is_none());
    }

    #[test]
    fn every_line_is_read() {
        let count = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(lines().count(), count);
    }
}
