//! `pveum` (`PVE::CLI::pveum`).

use serde_json::Value;

use super::table::cell;
use super::{Action, After, Command, Own, command};
use crate::api::endpoint::Method::{Delete, Get, Post, Put};

const TOKEN: &str = "/access/users/{userid}/token/{tokenid}";

pub(super) const COMMANDS: &[Command] = &[
    command(
        "acl delete",
        &["path"],
        " <path> --roles <string> [OPTIONS]",
        0,
        Action::Api(Put, "/access/acl", After::Quiet),
    )
    .fixing(&[("delete", "1")]),
    command(
        "acl list",
        &[],
        "  [FORMAT_OPTIONS]",
        0,
        Action::Api(Get, "/access/acl", After::Format),
    ),
    command(
        "acl modify",
        &["path"],
        " <path> --roles <string> [OPTIONS]",
        0,
        Action::Api(Put, "/access/acl", After::Quiet),
    )
    .fixing(&[("delete", "0")]),
    command(
        "group add",
        &["groupid"],
        " <groupid> [OPTIONS]",
        0,
        Action::Api(Post, "/access/groups", After::Quiet),
    ),
    command(
        "group delete",
        &["groupid"],
        " <groupid>",
        0,
        Action::Api(Delete, "/access/groups/{groupid}", After::Quiet),
    ),
    command(
        "group list",
        &[],
        "  [FORMAT_OPTIONS]",
        0,
        Action::Api(Get, "/access/groups", After::Format),
    ),
    command(
        "group modify",
        &["groupid"],
        " <groupid> [OPTIONS]",
        0,
        Action::Api(Put, "/access/groups/{groupid}", After::Quiet),
    ),
    command(
        "pool add",
        &["poolid"],
        " <poolid> [OPTIONS]",
        0,
        Action::Api(Post, "/pools", After::Quiet),
    ),
    command(
        "pool delete",
        &["poolid"],
        " <poolid>",
        0,
        Action::Api(Delete, "/pools/{poolid}", After::Quiet),
    ),
    command(
        "pool list",
        &[],
        "  [OPTIONS] [FORMAT_OPTIONS]",
        0,
        Action::Api(Get, "/pools", After::Format),
    ),
    command(
        "pool modify",
        &["poolid"],
        " <poolid> [OPTIONS]",
        0,
        Action::Api(Put, "/pools/{poolid}", After::Quiet),
    ),
    command(
        "realm add",
        &["realm"],
        " <realm> --type <string> [OPTIONS]",
        0,
        Action::Api(Post, "/access/domains", After::Quiet),
    ),
    command(
        "realm delete",
        &["realm"],
        " <realm>",
        0,
        Action::Api(Delete, "/access/domains/{realm}", After::Quiet),
    ),
    command(
        "realm list",
        &[],
        "  [FORMAT_OPTIONS]",
        0,
        Action::Api(Get, "/access/domains", After::Format),
    ),
    command(
        "realm modify",
        &["realm"],
        " <realm> [OPTIONS]",
        0,
        Action::Api(Put, "/access/domains/{realm}", After::Quiet),
    ),
    command("realm sync", &[], " <realm> [OPTIONS]", 0, Action::Refused),
    command(
        "role add",
        &["roleid"],
        " <roleid> [OPTIONS]",
        0,
        Action::Api(Post, "/access/roles", After::Quiet),
    ),
    command(
        "role delete",
        &["roleid"],
        " <roleid>",
        0,
        Action::Api(Delete, "/access/roles/{roleid}", After::Quiet),
    ),
    command(
        "role list",
        &[],
        "  [FORMAT_OPTIONS]",
        0,
        Action::Api(Get, "/access/roles", After::Format),
    ),
    command(
        "role modify",
        &["roleid"],
        " <roleid> [OPTIONS]",
        0,
        Action::Api(Put, "/access/roles/{roleid}", After::Quiet),
    ),
    command("user tfa delete", &[], " <userid> [OPTIONS]", 0, Action::Refused),
    // Nobody has a second factor.
    command(
        "user tfa list",
        &["userid"],
        " [<userid>]",
        0,
        Action::Own(Own::Nothing, &["?userid"]),
    ),
    command("user tfa unlock", &[], " <userid>", 0, Action::Refused),
    command(
        "user token add",
        &["userid", "tokenid"],
        " <userid> <tokenid> [OPTIONS] [FORMAT_OPTIONS]",
        0,
        Action::Api(Post, TOKEN, After::Format),
    ),
    command(
        "user token delete",
        &["userid", "tokenid"],
        " <userid> <tokenid> [FORMAT_OPTIONS]",
        0,
        Action::Api(Delete, TOKEN, After::Format),
    ),
    command(
        "user token list",
        &["userid"],
        " <userid> [FORMAT_OPTIONS]",
        0,
        Action::Api(Get, "/access/users/{userid}/token", After::Format),
    ),
    command(
        "user token modify",
        &["userid", "tokenid"],
        " <userid> <tokenid> [OPTIONS] [FORMAT_OPTIONS]",
        0,
        Action::Api(Put, TOKEN, After::Format),
    ),
    command(
        "user token permissions",
        &["userid", "tokenid"],
        " <userid> <tokenid> [OPTIONS] [FORMAT_OPTIONS]",
        0,
        Action::Api(Get, "/access/permissions", After::Permissions),
    ),
    command("user token remove", &[], "", 0, Action::Alias("user token delete")),
    command(
        "user permissions",
        &["userid"],
        " [<userid>] [OPTIONS] [FORMAT_OPTIONS]",
        0,
        Action::Api(Get, "/access/permissions", After::Permissions),
    ),
    command(
        "user add",
        &["userid"],
        " <userid> [OPTIONS]",
        0,
        Action::Api(Post, "/access/users", After::Quiet),
    ),
    command(
        "user delete",
        &["userid"],
        " <userid>",
        0,
        Action::Api(Delete, "/access/users/{userid}", After::Quiet),
    ),
    command(
        "user list",
        &[],
        "  [OPTIONS] [FORMAT_OPTIONS]",
        0,
        Action::Api(Get, "/access/users", After::Format),
    ),
    command(
        "user modify",
        &["userid"],
        " <userid> [OPTIONS]",
        0,
        Action::Api(Put, "/access/users/{userid}", After::Quiet),
    ),
    command(
        "passwd",
        &["userid"],
        " <userid> [OPTIONS]",
        1,
        Action::Api(Put, "/access/password", After::Quiet),
    ),
    command(
        "ticket",
        &["username"],
        " <username> [OPTIONS]",
        1,
        Action::Api(Post, "/access/ticket", After::Print(ticket)),
    ),
    command("useradd", &[], "", 2, Action::Alias("user add")),
    command("usermod", &[], "", 2, Action::Alias("user modify")),
    command("userdel", &[], "", 2, Action::Alias("user delete")),
    command("groupadd", &[], "", 2, Action::Alias("group add")),
    command("groupmod", &[], "", 2, Action::Alias("group modify")),
    command("groupdel", &[], "", 2, Action::Alias("group delete")),
    command("roleadd", &[], "", 2, Action::Alias("role add")),
    command("rolemod", &[], "", 2, Action::Alias("role modify")),
    command("roledel", &[], "", 2, Action::Alias("role delete")),
    command("aclmod", &[], "", 2, Action::Alias("acl modify")),
    command("acldel", &[], "", 2, Action::Alias("acl delete")),
];

fn ticket(value: &Value) -> String {
    format!("{}\n", value.get("ticket").map(cell).unwrap_or_default())
}
