//! What can be asked: endpoints, their parameters and what those may be, and the names that exist.

use super::Direct;
use crate::api::router::TABLES;
use crate::guest::format::{self, Kind};
use crate::guest::keys;
use crate::guest::property::Property;
use crate::world::World;

/// An endpoint, for who makes requests up.
#[derive(Clone, Debug)]
pub struct Described {
    /// `GET`, `POST`, `PUT`, `DELETE`.
    pub method: &'static str,
    /// `/nodes/{node}/qemu/{vmid}/config`.
    pub path: &'static str,
    /// The parameters beside those of the path.
    pub params: Vec<Parameter>,
    /// The keys of a guest's configuration are parameters too.
    pub config_keys: bool,
}

/// A parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// It must be given.
    pub required: bool,
    kind: Kind,
}

/// What a value is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// 0 or 1.
    Bool,
    /// A whole number with bounds.
    Int(Option<i64>, Option<i64>),
    /// One of these.
    Words(Vec<String>),
    /// A property string: name, shape, whether it must be there, whether its key may be left out.
    Properties(Vec<(&'static str, Shape, bool, bool)>),
    /// Anything else; [`Parameter::accepts`] knows more.
    Text,
}

impl Parameter {
    /// A key of a guest's configuration, when a request may set it.
    #[must_use]
    pub fn config(name: &str) -> Option<Self> {
        let kind = keys::settable(name)?.kind;
        Some(Self { name: name.to_owned(), required: false, kind })
    }

    /// What its values are made of.
    #[must_use]
    pub fn shape(&self) -> Shape {
        shape(self.kind)
    }

    /// Whether the verification of parameters lets a value through.
    #[must_use]
    pub fn accepts(&self, value: &str) -> bool {
        format::check(self.kind, &self.name, value).is_ok()
    }
}

fn shape(kind: Kind) -> Shape {
    let own = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    match kind {
        Kind::Bool => Shape::Bool,
        Kind::Int { min, max } => Shape::Int(min, max),
        Kind::Enum(words) => Shape::Words(own(words)),
        Kind::Words(words) => Shape::Words(words()),
        Kind::Properties(properties) | Kind::Checked { properties, .. } => {
            let own = |one: &&Property| one.alias.is_empty();
            let all = properties.iter().filter(own);
            let each = |one: &Property| (one.name, shape(one.kind), !one.optional, one.default_key);
            Shape::Properties(all.map(each).collect())
        }
        _ => Shape::Text,
    }
}

impl Direct {
    /// All endpoints.
    #[must_use]
    pub fn endpoints() -> Vec<Described> {
        let all = TABLES.iter().copied().flatten();
        let param = |param: &crate::api::endpoint::Param| Parameter {
            name: param.name.to_owned(),
            required: param.required,
            kind: param.kind,
        };
        all.map(|endpoint| Described {
            method: endpoint.method.name(),
            path: endpoint.path,
            params: endpoint.params.iter().map(param).collect(),
            config_keys: endpoint.config_keys,
        })
        .collect()
    }

    /// The keys of a guest's configuration that a request may set.
    #[must_use]
    pub fn config_keys() -> Vec<String> {
        keys::names().filter(|name| keys::settable(name).is_some()).collect()
    }
}

impl World {
    /// The names of what exists: `pool`, `resource` and `rule` of HA, `group`, `user`, `role`,
    /// `token` (`user@realm!name`). Nothing for another word.
    #[must_use]
    pub fn existing(&self, what: &str) -> Vec<String> {
        let tokens = |(user, entry): (&String, &crate::world::access::User)| {
            entry.tokens.keys().map(|name| format!("{user}!{name}")).collect::<Vec<_>>()
        };
        match what {
            "pool" => self.pools.keys().cloned().collect(),
            "resource" => self.ha.resources.keys().cloned().collect(),
            "rule" => self.ha.rules.iter().map(|rule| rule.id.clone()).collect(),
            "group" => self.access.groups.keys().cloned().collect(),
            "user" => self.access.users.keys().cloned().collect(),
            "role" => self.access.roles.keys().cloned().collect(),
            "token" => self.access.users.iter().flat_map(tokens).collect(),
            _ => Vec::new(),
        }
    }
}
