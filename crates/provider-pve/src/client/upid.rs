//! UPIDs, the ids of tasks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The id of a task: `UPID:node:pid:pstart:starttime:type:id:user:`, numbers in upper-case hex, a
/// colon at the end (PVE::UPID). The UPID says on which node to ask about the task, not the request
/// that started it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Upid {
    /// The node that runs the task.
    pub node: String,
    /// Process id of the worker.
    pub pid: u32,
    /// Start time of the process, in clock ticks since boot. Nine digits after 497 days.
    pub pstart: u64,
    /// When the task began, in seconds since 1970.
    pub starttime: u32,
    /// The task's type: `qmclone`, `qmstart`, `vzdump`, …
    pub kind: String,
    /// What it works on, for instance a VMID; can be empty.
    pub id: String,
    /// Who started it, possibly with a token's name: `root@pam!lab`.
    pub user: String,
}

/// A text is no UPID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no task id (UPID:node:pid:pstart:starttime:type:id:user:)")]
pub struct UpidError(String);

impl Upid {
    /// Reads the UPID out of the answer to a write.
    ///
    /// # Errors
    /// [`UpidError`] when the answer is no text or no UPID.
    pub fn from_answer(answer: &serde_json::Value) -> Result<Self, UpidError> {
        match answer.as_str() {
            Some(text) => text.parse(),
            None => Err(UpidError(shorten(&answer.to_string()))),
        }
    }
}

impl FromStr for Upid {
    type Err = UpidError;

    fn from_str(text: &str) -> Result<Self, UpidError> {
        parse(text).ok_or_else(|| UpidError(shorten(text)))
    }
}

fn parse(text: &str) -> Option<Upid> {
    let fields: Vec<&str> = text.split(':').collect();
    let ["UPID", node, pid, pstart, starttime, kind, id, user, ""] = fields.as_slice() else {
        return None;
    };
    let node_ok = !node.is_empty()
        && node.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !node.starts_with('-')
        && !node.ends_with('-');
    let word = |s: &str| !s.contains(|c: char| c.is_whitespace() || c == '/');
    let words_ok =
        !kind.is_empty() && !user.is_empty() && [kind, id, user].into_iter().all(|s| word(s));
    if !node_ok || !words_ok {
        return None;
    }
    Some(Upid {
        node: (*node).to_owned(),
        pid: u32::try_from(hex(pid, 8, 8)?).ok()?,
        pstart: hex(pstart, 8, 9)?,
        starttime: u32::try_from(hex(starttime, 8, 8)?).ok()?,
        kind: (*kind).to_owned(),
        id: (*id).to_owned(),
        user: (*user).to_owned(),
    })
}

fn hex(text: &str, least: usize, most: usize) -> Option<u64> {
    let fits = (least..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

fn shorten(text: &str) -> String {
    text.chars().take(120).collect()
}

impl fmt::Display for Upid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, pid, pstart, starttime, kind, id, user } = self;
        write!(f, "UPID:{node}:{pid:08X}:{pstart:08X}:{starttime:08X}:{kind}:{id}:{user}:")
    }
}

impl TryFrom<String> for Upid {
    type Error = UpidError;

    fn try_from(text: String) -> Result<Self, UpidError> {
        text.parse()
    }
}

impl From<Upid> for String {
    fn from(upid: Upid) -> Self {
        upid.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_recorded_and_odd_ones() {
        for text in [
            "UPID:pve1:00000F2A:000862E8:6B034FBE:qmcreate:4000:root@pam!lab:",
            "UPID:pve-2:00000F2A:1000862E8:6B034FBE:srvreload::root@pam:",
            "UPID:n:FFFFFFFF:FFFFFFFFF:FFFFFFFF:imgdel:4000@local-lvm:pvx@pve!cli:",
        ] {
            let upid: Upid = text.parse().unwrap();
            assert_eq!(upid.to_string(), text);
            let json = serde_json::to_value(&upid).unwrap();
            assert_eq!(json, serde_json::Value::from(text));
            assert_eq!(Upid::from_answer(&json).unwrap(), upid);
        }
        let upid: Upid =
            "UPID:pve1:00000f2a:000862e8:6b034fbe:qmcreate:4000:root@pam!lab:".parse().unwrap();
        assert_eq!((upid.node.as_str(), upid.pid, upid.starttime), ("pve1", 0xF2A, 0x6B03_4FBE));
        assert_eq!((upid.kind.as_str(), upid.id.as_str()), ("qmcreate", "4000"));
        assert_eq!(upid.user, "root@pam!lab");
        assert!(upid.to_string().contains("00000F2A"));
    }

    #[test]
    fn refuses_what_is_none() {
        for text in [
            "",
            "notaupid",
            "UPID:pve1:00000F2A:000862E8:6B034FBE:qmcreate:4000:root@pam",
            "UPID:pve1:F2A:000862E8:6B034FBE:qmcreate:4000:root@pam:",
            "UPID:pve1:+0000F2A:000862E8:6B034FBE:qmcreate:4000:root@pam:",
            "UPID:../x:00000F2A:000862E8:6B034FBE:qmcreate:4000:root@pam:",
            "UPID:pve1:00000F2A:000862E8:6B034FBE:qm/create:4000:root@pam:",
            "UPID:pve1:00000F2A:000862E8:6B034FBE::4000:root@pam:",
        ] {
            assert!(text.parse::<Upid>().is_err(), "{text}");
        }
        assert!(Upid::from_answer(&serde_json::Value::Null).is_err());
    }
}
