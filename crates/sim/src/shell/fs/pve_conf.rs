//! The texts of `/etc/pve`: written from the world, and read back where that is allowed.

use std::collections::BTreeMap;

use super::Errno;
use crate::world::World;
use crate::world::access::AclKind;
use crate::world::guest::Guest;

/// `user.cfg` (`PVE::AccessControl::write_user_config`).
pub(super) fn users(world: &World) -> String {
    let access = &world.access;
    let mut out = String::new();
    for (name, user) in &access.users {
        let option = |key: &str| user.options.get(key).map(String::as_str).unwrap_or_default();
        out.push_str(&format!(
            "user:{name}:{}:{}:{}:{}:{}:{}::\n",
            u8::from(user.enable),
            user.expire,
            option("firstname"),
            option("lastname"),
            option("email"),
            option("comment"),
        ));
        for (token, found) in &user.tokens {
            let comment = found.comment.as_deref().unwrap_or_default();
            let privsep = u8::from(found.privsep);
            out.push_str(&format!("token:{name}!{token}:{}:{privsep}:{comment}:\n", found.expire));
        }
    }
    out.push('\n');
    for (name, members) in &access.groups {
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        out.push_str(&format!("group:{name}:{}::\n", members.join(",")));
    }
    out.push('\n');
    for (name, pool) in &world.pools {
        let guests: Vec<String> = pool.guests.iter().map(u32::to_string).collect();
        let storages: Vec<&str> = pool.storages.iter().map(String::as_str).collect();
        let comment = &pool.comment;
        out.push_str(&format!(
            "pool:{name}:{comment}:{}:{}:\n",
            guests.join(","),
            storages.join(",")
        ));
    }
    out.push('\n');
    for (name, privileges) in &access.roles {
        let privileges: Vec<&str> = privileges.iter().map(String::as_str).collect();
        out.push_str(&format!("role:{name}:{}:\n", privileges.join(",")));
    }
    out.push('\n');
    for entry in &access.acl {
        let at = if entry.kind == AclKind::Group { "@" } else { "" };
        let propagate = u8::from(entry.propagate);
        out.push_str(&format!("acl:{propagate}:{}:{at}{}:{}:\n", entry.path, entry.id, entry.role));
    }
    out
}

/// `corosync.conf`.
pub(super) fn corosync(world: &World) -> String {
    let mut out = "logging {\n  debug: off\n  to_syslog: yes\n}\n\nnodelist {\n".to_owned();
    for node in world.nodes.values() {
        out.push_str(&format!(
            "  node {{\n    name: {}\n    nodeid: {}\n    quorum_votes: 1\n    ring0_addr: {}\n  }}\n",
            node.name, node.id, node.ip
        ));
    }
    out.push_str(&format!(
        "}}\n\nquorum {{\n  provider: corosync_votequorum\n}}\n\ntotem {{\n  cluster_name: {}\n  config_version: {}\n  interface {{\n    linknumber: 0\n  }}\n  ip_version: ipv4-6\n  link_mode: passive\n  secauth: on\n  version: 2\n}}\n\n",
        world.cluster,
        world.nodes.len()
    ));
    out
}

/// `.members`.
pub(super) fn members(world: &World, own: &str) -> String {
    let nodes = world.nodes.values().map(|node| {
        format!(
            "  \"{}\": {{ \"id\": {}, \"online\": {}, \"ip\": \"{}\"}}",
            node.name,
            node.id,
            u8::from(node.online),
            node.ip
        )
    });
    let nodes: Vec<String> = nodes.collect();
    format!(
        "{{\n\"nodename\": \"{own}\",\n\"version\": {},\n\"cluster\": {{ \"name\": \"{}\", \"version\": {}, \"nodes\": {}, \"quorate\": {} }},\n\"nodelist\": {{\n{}\n  }}\n}}\n",
        world.nodes.len(),
        world.cluster,
        world.nodes.len(),
        world.nodes.len(),
        u8::from(world.quorate()),
        nodes.join(",\n")
    )
}

/// `.vmlist`.
pub(super) fn vmlist(world: &World) -> String {
    let guests = world.guests.values().map(|guest| {
        format!(
            "\"{}\": {{ \"node\": \"{}\", \"type\": \"qemu\", \"version\": 1 }}",
            guest.vmid, guest.node
        )
    });
    let guests: Vec<String> = guests.collect();
    let revision = world.revision;
    format!("{{\n\"version\": {revision},\n\"ids\": {{\n{}}}\n\n}}\n", guests.join(",\n"))
}

/// `key: value` lines; none when a line is something else.
pub(super) fn pairs(text: &str) -> Option<BTreeMap<String, String>> {
    let mut out = BTreeMap::new();
    for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        if line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once(':')?;
        let name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if key.is_empty() || !key.bytes().all(name) {
            return None;
        }
        out.insert(key.to_owned(), value.trim().to_owned());
    }
    Some(out)
}

/// `datacenter.cfg`: the description as a comment, then the options
/// (`PVE::DataCenterConfig::write_datacenter_config`).
pub(super) fn datacenter(world: &World) -> String {
    if world.options.is_empty() {
        return String::new();
    }
    let mut out = String::new();
    for line in world.options.get("description").into_iter().flat_map(|text| text.lines()) {
        out.push_str(&format!("#{}\n", line.replace('%', "%25").replace(':', "%3A")));
    }
    out.push('\n');
    for (key, value) in world.options.iter().filter(|(key, _)| *key != "description") {
        out.push_str(&format!("{key}: {value}\n"));
    }
    out
}

/// The options that a `datacenter.cfg` sets.
pub(super) fn options(text: &str) -> Option<BTreeMap<String, String>> {
    let mut options = pairs(text)?;
    options.extend(comment(text).map(|text| ("description".to_owned(), text)));
    Some(options)
}

/// The comment at the top of a configuration.
fn comment(text: &str) -> Option<String> {
    let lines: Vec<String> =
        text.lines().filter_map(|line| line.strip_prefix('#')).map(decode).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Writes a guest's configuration. Sections (pending changes, snapshots) cannot be written, and a
/// guest is never in two places.
pub(super) fn write_guest(
    world: &mut World,
    node: &str,
    vmid: u32,
    text: &str,
) -> Result<(), Errno> {
    if !world.nodes.contains_key(node) {
        return Err(Errno::NoEntry);
    }
    if world.guest(vmid).is_some_and(|guest| guest.node != node) {
        return Err(Errno::Exists);
    }
    let mut config = pairs(text).ok_or(Errno::Invalid)?;
    config.extend(comment(text).map(|text| ("description".to_owned(), text)));
    let guest = world.guests.entry(vmid).or_insert_with(|| Guest::new(vmid, node, &[]));
    guest.config = config;
    Ok(())
}

fn decode(line: &str) -> String {
    percent_encoding::percent_decode_str(line).decode_utf8_lossy().into_owned()
}
