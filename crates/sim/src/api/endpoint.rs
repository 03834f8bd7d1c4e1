//! An endpoint as data.

use super::call::{Call, Reply};
use super::permission::Permission;
use super::quorum::Writes;
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind};

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Method {
    Get,
    Post,
    Put,
    Delete,
}

impl Method {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "GET" => Self::Get,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// How many values a parameter has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    One,
    /// Text that is a list (a format whose name ends in `-list`): several values are joined.
    List,
    /// An array; one value is an array of one.
    Array,
    /// The handler looks at the type.
    Any,
}

/// A parameter that is not part of the path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    /// A parameter without which this one is refused; empty when there is none.
    pub(crate) requires: &'static str,
    pub(crate) values: Values,
}

impl Param {
    /// A parameter whose text is a list.
    pub(crate) const fn list(mut self) -> Self {
        self.values = Values::List;
        self
    }

    /// A parameter whose type the handler looks at.
    pub(crate) const fn any(mut self) -> Self {
        self.values = Values::Any;
        self
    }

    /// A parameter that is an array.
    pub(crate) const fn array(mut self) -> Self {
        self.values = Values::Array;
        self
    }

    /// A parameter that is refused without another one.
    pub(crate) const fn requires(mut self, other: &'static str) -> Self {
        self.requires = other;
        self
    }
}

/// A parameter that may be left out.
pub(crate) const fn optional(name: &'static str, kind: Kind) -> Param {
    Param { name, kind, required: false, requires: "", values: Values::One }
}

/// A parameter that must be given.
pub(crate) const fn required(name: &'static str, kind: Kind) -> Param {
    Param { name, kind, required: true, requires: "", values: Values::One }
}

/// What carries a request out. It runs under the world's lock and must not block.
pub(crate) type Handler = fn(&mut Call<'_>) -> Result<Reply, Refusal>;

/// An endpoint.
#[derive(Clone, Copy)]
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    /// `/nodes/{node}/qemu/{vmid}/config`.
    pub(crate) path: &'static str,
    pub(crate) params: &'static [Param],
    /// The keys of a guest's configuration are parameters too.
    pub(crate) config_keys: bool,
    pub(crate) permission: Permission,
    /// API tokens may call it.
    pub(crate) tokens: bool,
    /// How it writes, which shows when there is no quorum.
    pub(crate) writes: Writes,
    pub(crate) handler: Handler,
}

impl Endpoint {
    pub(crate) const fn new(method: Method, path: &'static str, handler: Handler) -> Self {
        Self {
            method,
            path,
            params: &[],
            config_keys: false,
            permission: Permission::User,
            tokens: true,
            writes: Writes::Usual,
            handler,
        }
    }

    pub(crate) const fn get(path: &'static str, handler: Handler) -> Self {
        Self::new(Method::Get, path, handler)
    }

    pub(crate) const fn post(path: &'static str, handler: Handler) -> Self {
        Self::new(Method::Post, path, handler)
    }

    pub(crate) const fn put(path: &'static str, handler: Handler) -> Self {
        Self::new(Method::Put, path, handler)
    }

    pub(crate) const fn delete(path: &'static str, handler: Handler) -> Self {
        Self::new(Method::Delete, path, handler)
    }

    pub(crate) const fn with(mut self, params: &'static [Param]) -> Self {
        self.params = params;
        self
    }

    pub(crate) const fn with_config_keys(mut self) -> Self {
        self.config_keys = true;
        self
    }

    pub(crate) const fn may(mut self, permission: Permission) -> Self {
        self.permission = permission;
        self
    }

    /// Only for who has a ticket (`allowtoken => 0`).
    pub(crate) const fn no_token(mut self) -> Self {
        self.tokens = false;
        self
    }

    pub(crate) const fn writes(mut self, writes: Writes) -> Self {
        self.writes = writes;
        self
    }

    /// The type of a parameter, of the path or not.
    pub(crate) fn kind(&self, name: &str) -> Option<Kind> {
        if let Some(param) = self.params.iter().find(|param| param.name == name) {
            return Some(param.kind);
        }
        if self.in_path(name) {
            return Some(path_kind(name));
        }
        let key = if self.config_keys { crate::guest::keys::settable(name) } else { None };
        key.map(|key| key.kind)
    }

    /// How many values a parameter has.
    pub(crate) fn values(&self, name: &str) -> Values {
        let param = self.params.iter().find(|param| param.name == name);
        match (param.map(|param| param.values), self.kind(name)) {
            (Some(values), _) if values != Values::One => values,
            (_, Some(Kind::Format(format))) if format.is_list() => Values::List,
            _ => Values::One,
        }
    }

    /// Whether a parameter is part of the path.
    pub(crate) fn in_path(&self, name: &str) -> bool {
        let parts = self.path.split('/');
        parts
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .any(|part| part.trim_start_matches('*') == name)
    }
}

fn path_kind(name: &str) -> Kind {
    match name {
        "node" => Kind::Format(Format::Node),
        "vmid" => Kind::Format(Format::Vmid),
        "storage" => Kind::Format(Format::StorageId),
        "snapname" => Kind::SNAPSHOT,
        "userid" => super::names::USER,
        "tokenid" => super::names::TOKEN,
        "groupid" => super::names::GROUP,
        "roleid" => super::names::ROLE,
        "poolid" => super::names::POOL,
        "realm" => super::names::REALM,
        "pos" => Kind::NATURAL,
        _ => Kind::TEXT,
    }
}
