//! Tables of single values.

use super::config::host_and_port;
use super::value::{boolean, integer};
use super::vm::is_slot;
use crate::diagnostic::{Diagnostic, SourceId};
use crate::document::yaml;

/// Decodes the value of `a: <text>` and gives the codes of the problems.
fn decode<T>(
    text: &str,
    read: impl Fn(&yaml::Node, &mut Vec<Diagnostic>) -> Option<T>,
) -> Result<T, &'static str> {
    let node = yaml::parse(SourceId(0), &format!("a: {text}\n")).unwrap().remove(0);
    let mut problems = Vec::new();
    let value = read(node.get("a").unwrap(), &mut problems);
    value.ok_or_else(|| problems.first().map_or("no problem was given", |problem| problem.code))
}

#[test]
fn numbers() {
    let read = |text| {
        decode(text, |node, problems| integer(node, "a", 1..=100, problems)).map(|v| v.value)
    };
    for (text, expected) in [
        ("1", Ok(1)),
        ("100", Ok(100)),
        ("0", Err("out-of-range")),
        ("101", Err("out-of-range")),
        ("-1", Err("out-of-range")),
        ("99999999999999999999", Err("out-of-range")),
        ("1.5", Err("out-of-range")),
        ("1e1", Err("out-of-range")),
        ("08", Err("bad-value")),
        ("0x10", Err("bad-value")),
        ("'1'", Err("wrong-type")),
        ("one", Err("wrong-type")),
        ("[1]", Err("wrong-type")),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn booleans() {
    let read = |text| decode(text, |node, problems| boolean(node, "a", problems)).map(|v| v.value);
    for (text, expected) in [
        ("true", Ok(true)),
        ("False", Ok(false)),
        ("yes", Ok(true)),
        ("Off", Ok(false)),
        ("1", Ok(true)),
        ("0", Ok(false)),
        ("2", Err("wrong-type")),
        ("maybe", Err("wrong-type")),
        ("{}", Err("wrong-type")),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn slots() {
    let buses = [("scsi", 30), ("net", 31)];
    for good in ["scsi0", "scsi30", "net31"] {
        assert!(is_slot(good, &buses), "{good}");
    }
    for bad in ["scsi31", "scsi", "scsi01", "scsi+1", "scsi-1", "ide0", "0", ""] {
        assert!(!is_slot(bad, &buses), "{bad}");
    }
}

#[test]
fn hosts() {
    let ok = |host: &str, port| Ok((host.to_owned(), port));
    for (text, expected) in [
        ("pve01", ok("pve01", 8006)),
        ("pve01.lab.example", ok("pve01.lab.example", 8006)),
        ("pve01:443", ok("pve01", 443)),
        ("10.0.0.1", ok("10.0.0.1", 8006)),
        ("10.0.0.1:8007", ok("10.0.0.1", 8007)),
        ("fd00::1", ok("fd00::1", 8006)),
        ("[fd00::1]", ok("fd00::1", 8006)),
        ("[fd00::1]:8007", ok("fd00::1", 8007)),
    ] {
        assert_eq!(host_and_port(text, 8006), expected, "{text}");
    }
    for bad in [
        "https://pve01",
        "pve01:0",
        "pve01:65536",
        "pve01:",
        "pve01:+1",
        "10.0.0.256",
        "1.2.3",
        "pve 01",
        "[fd00::1",
        "[pve01]",
        "[fd00::1]x",
        ":8006",
        "a..b",
        "-a",
        "pve01/x",
        "a@b",
    ] {
        assert!(host_and_port(bad, 8006).is_err(), "{bad}");
    }
}
