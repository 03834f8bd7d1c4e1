//! The columns of lists: what the real schemas of results name, required ones first, each part
//! sorted (`extract_properties_to_print`).

use super::table::Column;
use crate::api::endpoint::Method;

/// The columns of a result; `#` marks numbers.
pub(super) struct Schema(&'static [&'static str]);

impl Schema {
    pub(super) fn columns(&self) -> Vec<Column> {
        let column = |name: &&str| Column {
            name: name.trim_end_matches('#').to_owned(),
            number: name.ends_with('#'),
        };
        self.0.iter().map(column).collect()
    }
}

/// Results with a schema. Others show all keys that occur.
const SCHEMAS: &[(Method, &str, Schema)] = &[
    (Method::Get, "/access/acl", Schema(&["path", "roleid", "type", "ugid", "propagate"])),
    (Method::Get, "/access/domains", Schema(&["realm", "type", "comment", "tfa"])),
    (Method::Get, "/access/groups", Schema(&["groupid", "comment", "users"])),
    (Method::Get, "/access/roles", Schema(&["roleid", "privs", "special"])),
    (
        Method::Get,
        "/access/users",
        Schema(&[
            "userid",
            "comment",
            "email",
            "enable",
            "expire#",
            "firstname",
            "groups",
            "keys",
            "lastname",
            "realm-type",
            "tfa-locked-until#",
            "tokens",
            "totp-locked",
        ]),
    ),
    (
        Method::Get,
        "/access/users/{userid}/token",
        Schema(&["tokenid", "comment", "expire#", "privsep"]),
    ),
    (
        Method::Post,
        "/access/users/{userid}/token/{tokenid}",
        Schema(&["full-tokenid", "info", "value"]),
    ),
    (Method::Get, "/pools", Schema(&["poolid", "comment", "members", "type"])),
    (
        Method::Get,
        "/nodes",
        Schema(&[
            "node",
            "status",
            "cpu#",
            "level",
            "maxcpu#",
            "maxmem#",
            "mem#",
            "ssl_fingerprint",
            "uptime#",
        ]),
    ),
    (
        Method::Get,
        "/nodes/{node}/tasks",
        Schema(&["upid", "type", "id", "user", "starttime#", "endtime#", "status"]),
    ),
    (Method::Get, "/version", Schema(&["release", "repoid", "version", "console"])),
];

/// The schema of an endpoint's result.
pub(super) fn of(method: Method, template: &str) -> Option<&'static Schema> {
    let found = SCHEMAS.iter().find(|(known, path, _)| *known == method && *path == template);
    found.map(|(_, _, schema)| schema)
}
