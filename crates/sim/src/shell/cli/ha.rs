//! `ha-manager` (`PVE::CLI::ha_manager`).

use serde_json::Value;

use super::table::cell;
use super::{Action, After, Command, Own, command};
use crate::api::endpoint::Method::{Delete, Get, Post, Put};

pub(super) const COMMANDS: &[Command] = &[
    command("crm-command node-maintenance disable", &[], " <node>", 0, Action::Refused),
    command("crm-command node-maintenance enable", &[], " <node>", 0, Action::Refused),
    command(
        "crm-command migrate",
        &["sid", "node"],
        " <sid> <node>",
        0,
        Action::Own(Own::HaMigrate, &["sid", "node"]),
    ),
    command(
        "crm-command relocate",
        &["sid", "node"],
        " <sid> <node>",
        0,
        Action::Own(Own::HaRelocate, &["sid", "node"]),
    ),
    command(
        "crm-command arm-ha",
        &[],
        " ",
        0,
        Action::Api(Post, "/cluster/ha/status/arm-ha", After::Quiet),
    ),
    command(
        "crm-command disarm-ha",
        &["resource-mode"],
        " <resource-mode>",
        0,
        Action::Api(Post, "/cluster/ha/status/disarm-ha", After::Quiet),
    ),
    command(
        "crm-command stop",
        &["sid", "timeout"],
        " <sid> <timeout>",
        0,
        Action::Own(Own::HaStop, &["sid", "timeout"]),
    ),
    command(
        "rules add",
        &["type", "rule"],
        " <type> <rule> --resources <string> [OPTIONS]",
        0,
        Action::Api(Post, "/cluster/ha/rules", After::Quiet),
    ),
    command(
        "rules config",
        &[],
        "  [OPTIONS] [FORMAT_OPTIONS]",
        0,
        Action::Api(Get, "/cluster/ha/rules", After::Rules),
    ),
    command(
        "rules list",
        &[],
        "  [OPTIONS] [FORMAT_OPTIONS]",
        0,
        Action::Api(Get, "/cluster/ha/rules", After::Format),
    ),
    command(
        "rules remove",
        &["rule"],
        " <rule>",
        0,
        Action::Api(Delete, "/cluster/ha/rules/{rule}", After::Quiet),
    ),
    command(
        "rules set",
        &["type", "rule"],
        " <type> <rule> [OPTIONS]",
        0,
        Action::Api(Put, "/cluster/ha/rules/{rule}", After::Quiet),
    ),
    command(
        "groupadd",
        &["group"],
        " <group> --nodes <string> [OPTIONS]",
        1,
        Action::Api(Post, "/cluster/ha/groups", After::Quiet),
    ),
    command("groupconfig", &[], " ", 1, Action::Api(Get, "/cluster/ha/groups", After::Quiet)),
    command(
        "groupremove",
        &["group"],
        " <group>",
        1,
        Action::Api(Delete, "/cluster/ha/groups/{group}", After::Quiet),
    ),
    command(
        "groupset",
        &["group"],
        " <group> [OPTIONS]",
        1,
        Action::Api(Put, "/cluster/ha/groups/{group}", After::Quiet),
    ),
    command(
        "add",
        &["sid"],
        " <sid> [OPTIONS]",
        2,
        Action::Api(Post, "/cluster/ha/resources", After::Quiet),
    ),
    command(
        "config",
        &[],
        "  [OPTIONS]",
        2,
        Action::Api(Get, "/cluster/ha/resources", After::Print(config)),
    ),
    command(
        "remove",
        &["sid"],
        " <sid> [OPTIONS]",
        2,
        Action::Api(Delete, "/cluster/ha/resources/{sid}", After::Quiet),
    ),
    command(
        "set",
        &["sid"],
        " <sid> [OPTIONS]",
        2,
        Action::Api(Put, "/cluster/ha/resources/{sid}", After::Quiet),
    ),
    command("status", &[], "  [OPTIONS]", 3, Action::Own(Own::HaStatus, &["!verbose"])),
    command("migrate", &[], "", 2, Action::Alias("crm-command migrate")),
    command("relocate", &[], "", 2, Action::Alias("crm-command relocate")),
    command("stop", &[], "", 2, Action::Alias("crm-command stop")),
];

fn config(value: &Value) -> String {
    let mut items: Vec<&Value> = value.as_array().into_iter().flatten().collect();
    items.sort_by_key(|item| item.get("sid").map(cell));
    let mut out = String::new();
    for item in items {
        out.push_str(&format!("{}\n", item.get("sid").map(cell).unwrap_or_default()));
        for (key, value) in item.as_object().into_iter().flatten() {
            if !["digest", "sid", "type", "errors"].contains(&key.as_str()) {
                out.push_str(&format!("\t{key} {}\n", cell(value)));
            }
        }
        out.push('\n');
    }
    out
}
