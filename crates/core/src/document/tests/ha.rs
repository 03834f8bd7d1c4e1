//! `pool` and `ha`: what they become, and what is refused.

use super::lab::{Lab, PROFILE};
use crate::desired::{Affinity, Guest, Ha, HaState, Power};

fn vm(keys: &str) -> String {
    format!("name: db\ndisks: {{scsi0: 4G}}\n{keys}\n")
}

fn guest(keys: &str) -> Guest {
    let lab = Lab::new();
    lab.write("db.yaml", vm(keys));
    let loaded = lab.load(&["db.yaml"]);
    assert!(loaded.diagnostics.is_empty(), "{}", lab.render(&loaded));
    loaded.desired.guests().next().unwrap().clone()
}

fn ha(keys: &str) -> Ha {
    guest(keys).spec.ha.unwrap()
}

#[test]
fn one_word_or_a_mapping() {
    for state in HaState::ALL {
        assert_eq!(ha(&format!("ha: {}", state.word())), Ha { state, ..Ha::default() });
        assert_eq!(ha(&format!("ha: {{state: {}}}", state.word())).state, state);
    }
    let much = ha(
        "ha: {max_restart: 3, max_relocate: 0, failback: no, comment: first, nodes: {pve01: 2, pve02: 1}, strict: true}",
    );
    assert_eq!(
        much,
        Ha {
            state: HaState::Started,
            max_restart: Some(3),
            max_relocate: Some(0),
            failback: Some(false),
            comment: Some("first".into()),
            nodes: [("pve01".to_owned(), 2), ("pve02".to_owned(), 1)].into(),
            strict: Some(true),
            affinity: None,
        }
    );
    assert_eq!(much.best_nodes().collect::<Vec<_>>(), ["pve01"]);
    let equal = ha("ha: {nodes: [pve02, pve01]}");
    assert_eq!(equal.best_nodes().collect::<Vec<_>>(), ["pve01", "pve02"]);
    assert_eq!(ha("ha: {nodes: pve03}").nodes.len(), 1);
}

#[test]
fn power_follows_ha_where_nothing_is_said() {
    let table = [
        ("ha: started", Power::Running),
        ("ha: stopped", Power::Stopped),
        ("ha: disabled", Power::Stopped),
        ("ha: ignored", Power::Running),
        ("ha: ignored\npower: stopped", Power::Stopped),
        ("ha: started\npower: unmanaged", Power::Unmanaged),
        ("ha: disabled\npower: stopped", Power::Stopped),
    ];
    for (keys, power) in table {
        assert_eq!(guest(keys).power, power, "{keys}");
    }
}

#[test]
fn pools() {
    for pool in ["blue", "a/b/c", "A_b.c-1"] {
        assert_eq!(guest(&format!("pool: {pool}")).spec.pool.as_deref(), Some(pool));
    }
    for bad in ["a b", "/a", "a//b", "a/b/c/d", "ü"] {
        let lab = Lab::new();
        lab.write("db.yaml", vm(&format!("pool: {bad}")));
        assert!(lab.problems(&["db.yaml"]).contains("the value of 'pool' cannot be used"), "{bad}");
    }
}

#[test]
fn a_group_has_an_affinity() {
    let lab = Lab::new();
    let text =
        PROFILE.replace("{count: 2, cores: 2,", "{count: 2, ha: {affinity: apart}, cores: 2,");
    lab.write("clusters/k3s.yaml", text);
    let loaded = lab.load(&["clusters"]);
    let said = loaded.desired.guests().filter_map(|guest| guest.spec.ha.as_ref()?.affinity);
    assert_eq!(said.collect::<Vec<_>>(), [Affinity::Apart, Affinity::Apart]);
}

#[test]
fn what_is_refused() {
    let refused = [
        "ha: on",
        "ha: {state: enabled}",
        "ha: {stat: started}",
        "ha: {strict: true}",
        "ha: {nodes: []}",
        "ha: {nodes: {pve01: -1}}",
        "ha: {nodes: [pve01, pve09]}",
        "ha: {comment: \"two\\nlines\"}",
        "ha: {affinity: apart}",
        "ha: started\npower: stopped",
        "ha: {state: stopped}\npower: running",
        "node: pve03\nha: {nodes: [pve01], strict: true}",
    ];
    let mut all = String::new();
    for keys in refused {
        let lab = Lab::new();
        lab.write("db.yaml", vm(keys));
        all += &format!("## {keys}\n{}\n", lab.problems(&["db.yaml"]));
        assert!(all.ends_with("errors: true\n\n"), "{all}");
    }
    let lab = Lab::new();
    let pair = "{count: 2, ha: {affinity: together, nodes: {pve01: 1, pve02: 2}}, cores: 2,";
    lab.write("clusters/k3s.yaml", PROFILE.replace("{count: 2, cores: 2,", pair));
    all += &lab.problems(&["clusters"]);
    insta::assert_snapshot!(all);
}

/// A pinned guest that the HA manager prefers elsewhere goes to and fro.
#[test]
fn pinned_and_preferred_elsewhere() {
    let table = [
        ("ha: {nodes: {pve01: 2, pve03: 1}}", true),
        ("ha: {nodes: {pve01: 2, pve03: 1}, failback: false}", false),
        ("ha: {nodes: {pve01: 2, pve03: 2}}", false),
        ("ha: {nodes: [pve03]}", false),
        ("ha: started", false),
    ];
    for (keys, refused) in table {
        let lab = Lab::new();
        lab.write("db.yaml", vm(&format!("node: pve03\n{keys}")));
        let mut desired = lab.load(&["db.yaml"]).desired;
        desired.profiles[0].guests[0].pinned = true;
        let mut problems = Vec::new();
        crate::document::check::ha::check(&desired, &mut problems);
        assert_eq!(!problems.is_empty(), refused, "{keys}: {problems:?}");
    }
}
