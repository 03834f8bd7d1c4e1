//! `rules.cfg`: rules of node and resource affinity, and which of them cannot hold together
//! (`PVE::HA::Rules`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};

use crate::world::guest::hex;

/// What a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Affinity {
    /// Nodes with their priorities; strict when no other node will do.
    Nodes { nodes: BTreeMap<String, i64>, strict: Option<bool> },
    /// Resources on one node, or each on another.
    Together(bool),
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) resources: BTreeSet<String>,
    pub(crate) affinity: Affinity,
    #[serde(default)]
    pub(crate) disable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) comment: Option<String>,
}

/// Messages by rule, then by option.
pub(crate) type Errors = BTreeMap<String, BTreeMap<&'static str, Vec<String>>>;

impl Rule {
    pub(crate) fn kind(&self) -> &'static str {
        match self.affinity {
            Affinity::Nodes { .. } => "node-affinity",
            Affinity::Together(_) => "resource-affinity",
        }
    }

    fn nodes(&self) -> Option<&BTreeMap<String, i64>> {
        match &self.affinity {
            Affinity::Nodes { nodes, .. } => Some(nodes),
            Affinity::Together(_) => None,
        }
    }

    fn together(&self) -> Option<bool> {
        match self.affinity {
            Affinity::Together(together) => Some(together),
            Affinity::Nodes { .. } => None,
        }
    }

    /// As the API shows it; `order` counts from 1.
    pub(crate) fn json(&self, order: usize, digest: &str, errors: Option<&Errors>) -> Value {
        let resources: Vec<&str> = self.resources.iter().map(String::as_str).collect();
        let mut out = Map::new();
        out.insert("rule".to_owned(), json!(self.id));
        out.insert("type".to_owned(), json!(self.kind()));
        out.insert("order".to_owned(), json!(order));
        out.insert("digest".to_owned(), json!(digest));
        out.insert("resources".to_owned(), json!(resources.join(",")));
        match &self.affinity {
            Affinity::Nodes { nodes, strict } => {
                out.insert("nodes".to_owned(), json!(node_list(nodes)));
                if let Some(strict) = strict {
                    out.insert("strict".to_owned(), json!(u8::from(*strict)));
                }
            }
            Affinity::Together(together) => {
                let word = if *together { "positive" } else { "negative" };
                out.insert("affinity".to_owned(), json!(word));
            }
        }
        if self.disable {
            out.insert("disable".to_owned(), json!(1));
        }
        if let Some(comment) = &self.comment {
            out.insert("comment".to_owned(), json!(comment));
        }
        if let Some(errors) = errors.and_then(|errors| errors.get(&self.id)) {
            out.insert("errors".to_owned(), json!(errors));
        }
        Value::Object(out)
    }
}

/// `node1:2,node2`.
fn node_list(nodes: &BTreeMap<String, i64>) -> String {
    let entries = nodes.iter().map(|(node, priority)| match priority {
        0 => node.clone(),
        priority => format!("{node}:{priority}"),
    });
    entries.collect::<Vec<_>>().join(",")
}

/// SHA-1 of `rules.cfg`.
pub(crate) fn digest(rules: &[Rule]) -> String {
    let lines = rules.iter().map(|rule| rule.json(0, "", None).to_string());
    hex(&Sha1::digest(lines.collect::<Vec<_>>().join("\n").as_bytes()))
}

/// Rules that are not disabled, by what they are about, sorted by id.
struct Active<'a> {
    nodes: Vec<&'a Rule>,
    positive: Vec<&'a Rule>,
    negative: Vec<&'a Rule>,
}

impl<'a> Active<'a> {
    fn of(rules: &'a [Rule]) -> Self {
        let mut active: Vec<&Rule> = rules.iter().filter(|rule| !rule.disable).collect();
        active.sort_by(|a, b| a.id.cmp(&b.id));
        let pick = |wanted: Option<bool>| {
            active.iter().copied().filter(|rule| rule.together() == wanted).collect()
        };
        Self { nodes: pick(None), positive: pick(Some(true)), negative: pick(Some(false)) }
    }
}

/// Rules that share resources, joined (`find_disjoint_rules_resource_sets`).
fn joined<'a>(rules: &[&'a Rule]) -> Vec<(Vec<&'a Rule>, BTreeSet<String>)> {
    let mut sorted = rules.to_vec();
    sorted.sort_by_key(|rule| (rule.resources.first(), &rule.id));
    let mut out: Vec<(Vec<&Rule>, BTreeSet<String>)> = Vec::new();
    for rule in sorted {
        match out.iter_mut().find(|(_, set)| !set.is_disjoint(&rule.resources)) {
            Some((members, set)) => {
                members.push(rule);
                set.extend(rule.resources.iter().cloned());
            }
            None => out.push((vec![rule], rule.resources.clone())),
        }
    }
    out
}

/// Notes errors of rules.
#[derive(Default)]
struct Notes(Errors);

impl Notes {
    fn add(&mut self, rule: &Rule, text: impl Into<String>) {
        let entry = self.0.entry(rule.id.clone()).or_default();
        entry.entry("resources").or_default().push(text.into());
    }
}

/// `check_feasibility`: what is wrong with which rule, for a cluster of so many nodes. The checks
/// come in the order in which the real ones are registered: node affinity, resource affinity, and
/// those between the two.
pub(crate) fn check(rules: &[Rule], node_count: usize) -> Errors {
    let active = Active::of(rules);
    let mut notes = Notes::default();
    check_one_place(&active, &mut notes);
    check_counts(&active, node_count, &mut notes);
    check_together_and_apart(&active, &mut notes);
    check_priorities(&active, &mut notes);
    check_one_place_together(&active, &mut notes);
    check_room(&active, &mut notes);
    notes.0
}

/// A resource is in one rule of node affinity at most.
fn check_one_place(active: &Active<'_>, notes: &mut Notes) {
    for rule in &active.nodes {
        for sid in &rule.resources {
            let others = active.nodes.iter().filter(|other| other.resources.contains(sid)).count();
            if others > 1 {
                notes.add(
                    rule,
                    format!("resource '{sid}' is already used in another node affinity rule"),
                );
            }
        }
    }
}

fn check_counts(active: &Active<'_>, node_count: usize, notes: &mut Notes) {
    for rule in active.negative.iter().chain(&active.positive) {
        if rule.resources.len() < 2 {
            notes.add(rule, "rule is ineffective as there are less than two resources");
        }
    }
    for rule in active.negative.iter().filter(|rule| rule.resources.len() > node_count) {
        notes.add(rule, "rule defines more resources than available nodes");
    }
}

/// Two resources cannot be kept together and apart.
fn check_together_and_apart(active: &Active<'_>, notes: &mut Notes) {
    for (members, set) in joined(&active.positive) {
        for negative in &active.negative {
            if set.intersection(&negative.resources).count() < 2 {
                continue;
            }
            notes.add(
                negative,
                "rule shares two or more resources with a positive resource affinity rule",
            );
            for rule in &members {
                notes.add(
                    rule,
                    "rule shares two or more resources with a negative resource affinity rule",
                );
            }
        }
    }
}

/// Nodes of several priorities do not go with resource affinity.
fn check_priorities(active: &Active<'_>, notes: &mut Notes) {
    let several = |rule: &Rule| {
        let nodes = rule.nodes().into_iter().flat_map(BTreeMap::values);
        nodes.collect::<BTreeSet<_>>().len() > 1
    };
    for rule in active.negative.iter().chain(&active.positive) {
        let paired: Vec<&&Rule> = active
            .nodes
            .iter()
            .filter(|nodes| !nodes.resources.is_disjoint(&rule.resources))
            .collect();
        if !paired.iter().any(|nodes| several(nodes)) {
            continue;
        }
        notes.add(rule, "resources are in node affinity rules with multiple priorities");
        for nodes in paired {
            notes.add(
                nodes,
                "resources are in a resource affinity rule and cannot be in a node affinity rule with multiple priorities",
            );
        }
    }
}

/// Resources that are kept together have one rule of node affinity at most.
fn check_one_place_together(active: &Active<'_>, notes: &mut Notes) {
    for (members, set) in joined(&active.positive) {
        let paired: Vec<&&Rule> =
            active.nodes.iter().filter(|nodes| !nodes.resources.is_disjoint(&set)).collect();
        if paired.len() < 2 {
            continue;
        }
        for rule in members {
            notes.add(rule, "resources are in multiple node affinity rules");
        }
        for nodes in paired {
            notes.add(
                nodes,
                "at least one resource is in a positive resource affinity rule and there are other resources in at least one other node affinity rule already",
            );
        }
    }
}

/// Resources that are kept apart need a node each.
fn check_room(active: &Active<'_>, notes: &mut Notes) {
    for rule in &active.negative {
        let (mut located, mut allowed) = (BTreeSet::new(), BTreeSet::new());
        let mut paired = Vec::new();
        for nodes in &active.nodes {
            let shared: Vec<&String> = rule.resources.intersection(&nodes.resources).collect();
            if shared.is_empty() {
                continue;
            }
            located.extend(shared);
            allowed.extend(nodes.nodes().into_iter().flat_map(BTreeMap::keys));
            paired.push(nodes);
        }
        if allowed.len() >= located.len() {
            continue;
        }
        notes.add(
            rule,
            "two or more resources are restricted to less nodes than available to the resources",
        );
        for nodes in paired {
            notes.add(
                nodes,
                "at least one resource is in a negative resource affinity rule and this rule would restrict these to less nodes than available to the resources",
            );
        }
    }
}

/// The rules that hold, as the manager uses them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Compiled {
    /// Nodes and priorities of a resource.
    pub(crate) nodes: BTreeMap<String, BTreeMap<String, i64>>,
    /// Resources on the same node.
    pub(crate) together: BTreeMap<String, BTreeSet<String>>,
    /// Resources on other nodes.
    pub(crate) apart: BTreeMap<String, BTreeSet<String>>,
}

impl Compiled {
    pub(crate) fn together(&self, sid: &str) -> impl Iterator<Item = &String> {
        self.together.get(sid).into_iter().flatten()
    }

    pub(crate) fn apart(&self, sid: &str) -> impl Iterator<Item = &String> {
        self.apart.get(sid).into_iter().flatten()
    }
}

/// Drops what cannot hold and adds what follows: resources that are kept together share what one
/// of them has to obey (`transform` and `compile`).
pub(crate) fn compile(rules: &[Rule], cluster: &[String]) -> Compiled {
    let errors = check(rules, cluster.len());
    let feasible: Vec<Rule> =
        rules.iter().filter(|rule| !errors.contains_key(&rule.id)).cloned().collect();
    let active = Active::of(&feasible);
    let groups: Vec<BTreeSet<String>> =
        joined(&active.positive).into_iter().map(|(_, set)| set).collect();
    let group = |sid: &String| -> BTreeSet<String> {
        let found = groups.iter().find(|set| set.contains(sid));
        found.cloned().unwrap_or_else(|| BTreeSet::from([sid.clone()]))
    };
    let mut out = Compiled::default();
    for set in &groups {
        for sid in set {
            let others = set.iter().filter(|other| *other != sid).cloned();
            out.together.entry(sid.clone()).or_default().extend(others);
        }
    }
    for rule in &active.negative {
        for sid in &rule.resources {
            for other in rule.resources.iter().filter(|other| *other != sid) {
                for member in group(sid) {
                    out.apart.entry(member).or_default().extend(group(other));
                }
            }
        }
    }
    for rule in &active.nodes {
        let Affinity::Nodes { nodes, strict } = &rule.affinity else { continue };
        let mut nodes = nodes.clone();
        if *strict != Some(true) {
            for node in cluster {
                nodes.entry(node.clone()).or_insert(-1);
            }
        }
        for sid in rule.resources.iter().flat_map(group) {
            out.nodes.insert(sid, nodes.clone());
        }
    }
    out
}
