//! From a status, a reason phrase and a body to an [`ApiError`].

use std::collections::BTreeMap;

use serde::Deserialize;

use super::error::{ApiError, Call};

/// The body of a refusal: `{"data":null,"message":"…\n","errors":{…}}`, all of it optional.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    message: Option<serde_json::Value>,
    errors: Option<BTreeMap<String, serde_json::Value>>,
}

/// The error for an answer whose status is not 2xx.
///
/// The text stands twice, in the reason phrase and in the body. A 401 and a 595 have an empty body;
/// a phrase ends at the first line of a text of several. The body wins when it says anything.
pub(super) fn classify(call: Call, status: u16, phrase: &str, body: &[u8]) -> ApiError {
    let parsed: Body = serde_json::from_slice(body).unwrap_or_default();
    let message = parsed.message.as_ref().and_then(|m| m.as_str()).map(str::trim);
    let reason = match message {
        Some(message) if !message.is_empty() => message.to_owned(),
        _ => phrase.trim().to_owned(),
    };
    let write = call.method.is_write();
    let call = Box::new(call);
    match status {
        401 => ApiError::Unauthorized { call, reason },
        403 => {
            let (acl_path, privilege) = permission(&reason);
            ApiError::Forbidden { call, reason, acl_path, privilege }
        }
        400 => ApiError::Invalid { call, reason, errors: field_errors(parsed.errors) },
        501 => ApiError::NotImplemented { call, reason },
        // 502 and 504 are what a proxy in front of pveproxy says in the same situations.
        502 | 504 | 595 | 596 | 599 if write => {
            ApiError::OutcomeUnknown { call, cause: format!("{status} {reason}") }
        }
        595 | 596 | 599 => ApiError::NodeUnreachable { call, status, reason },
        _ => ApiError::Refused { call, status, reason },
    }
}

fn field_errors(errors: Option<BTreeMap<String, serde_json::Value>>) -> BTreeMap<String, String> {
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    errors.unwrap_or_default().into_iter().map(|(field, value)| (field, text(value))).collect()
}

/// ACL path and privilege of `Permission check failed (/vms/100, VM.Audit)`. Other texts stand in
/// the same brackets (`pool 'nosuch' does not exist`) and give nothing.
fn permission(reason: &str) -> (Option<String>, Option<String>) {
    let inner = reason
        .split_once("Permission check failed (")
        .and_then(|(_, rest)| rest.trim_end().strip_suffix(')'));
    match inner.and_then(|inner| inner.split_once(", ")) {
        Some((path, privilege)) if path.starts_with('/') => {
            (Some(path.to_owned()), Some(privilege.to_owned()))
        }
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Method;
    use super::*;

    fn error(method: Method, status: u16, phrase: &str, body: &str) -> ApiError {
        let path = "/nodes/pve1/qemu/4000/config".to_owned();
        let call = Call { method, path, node: Some("pve1".to_owned()) };
        classify(call, status, phrase, body.as_bytes())
    }

    fn refused(message: &str) -> ApiError {
        let body = serde_json::json!({ "data": null, "message": format!("{message}\n") });
        error(Method::Put, 500, message, &body.to_string())
    }

    fn invalid(field: &str, text: &str) -> ApiError {
        let message = "Parameter verification failed.\n";
        let body = serde_json::json!({ "message": message, "errors": { field: text } });
        error(Method::Post, 400, "Parameter verification failed.", &body.to_string())
    }

    // Texts as recorded from Proxmox VE 9.2, but for those of locks, which are from its sources.
    #[test]
    fn recorded_refusals_are_recognised() {
        let missing = "Configuration file 'nodes/pve1/qemu-server/4999.conf' does not exist";
        assert!(refused(missing).is_missing_guest());
        let source = "unable to find configuration file for VM 4990 on node 'pve1'";
        assert!(refused(source).is_missing_guest());
        assert!(!refused("storage 'nosuch' does not exist").is_missing_guest());

        assert!(refused("checksum mismatch (file change by other user?)").is_digest_mismatch());
        let other = "detected modified configuration - file changed by other user? Try again.";
        assert!(refused(other).is_digest_mismatch());

        for text in [
            "unable to create VM 4000 - VM 4000 already exists on node 'pve1'",
            "unable to create VM 4021: config file already exists",
            "create resource failed: resource ID 'vm:4100' already defined",
        ] {
            assert!(refused(text).is_already_exists(), "{text}");
        }
        assert!(invalid("tokenid", "Token already exists.").is_already_exists());
        assert!(invalid("vmid", "VM 4000 already exists").is_already_exists());
        assert!(!invalid("vmid", "no").is_already_exists());

        for text in [
            "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout",
            "cfs-lock 'storage-shared' error: got lock request timeout",
        ] {
            assert!(refused(text).is_lock_timeout() && refused(text).is_transient(), "{text}");
        }
        assert_eq!(refused("VM is locked (backup)").guest_lock(), Some("backup"));
        assert_eq!(refused("VM 4010 not running").guest_lock(), None);
        assert!(refused("cluster not ready - no quorum?").is_no_quorum());
        assert!(!refused("cluster not ready - no quorum?").is_transient());
    }

    #[test]
    fn a_refusal_after_the_work_began_leaves_the_outcome_open() {
        for text in [
            "got no worker upid - start worker failed",
            "can't lock file '/var/log/pve/tasks/.active.lock' - got timeout",
            "'domain-ha'-locked command timed out - aborting",
        ] {
            let write = error(Method::Post, 500, text, "");
            assert!(write.is_outcome_unknown() && !write.is_busy(), "{text}");
            assert!(!error(Method::Get, 500, text, "").is_outcome_unknown(), "{text}");
        }
    }

    #[test]
    fn permissions_are_taken_apart() {
        let cases = [
            ("Permission check failed (/vms/100, VM.Audit)", Some(("/vms/100", "VM.Audit"))),
            (
                "Permission check failed (/, Sys.Modify|VM.Audit)",
                Some(("/", "Sys.Modify|VM.Audit")),
            ),
            ("Permission check failed (pool 'nosuch' does not exist)", None),
            ("Permission check failed", None),
            ("only root can do this", None),
        ];
        for (text, expected) in cases {
            let ApiError::Forbidden { acl_path, privilege, .. } = error(Method::Get, 403, text, "")
            else {
                panic!("{text}");
            };
            assert_eq!(acl_path.as_deref().zip(privilege.as_deref()), expected, "{text}");
        }
    }

    #[test]
    fn a_lost_answer_is_told_from_a_refusal() {
        for status in [502, 504, 595, 596, 599] {
            for method in [Method::Post, Method::Put, Method::Delete] {
                let error = error(method, status, "No route to host", "");
                assert!(error.is_outcome_unknown(), "{method} {status}");
            }
            let read = error(Method::Get, status, "No route to host", "");
            assert!(!read.is_outcome_unknown() && read.is_transient(), "{status}");
        }
        assert!(error(Method::Get, 503, "", "").is_transient());
        assert!(!error(Method::Get, 500, "", "").is_transient());
    }

    #[test]
    fn the_body_wins_over_the_phrase_when_it_says_anything() {
        let reason = |body: &str| match error(Method::Get, 500, " phrase ", body) {
            ApiError::Refused { reason, .. } => reason,
            other => panic!("{other}"),
        };
        assert_eq!(reason(r#"{"message":"two\nlines\n"}"#), "two\nlines");
        for body in ["", "{}", "<html>", r#"{"message":""}"#, r#"{"message":7}"#, "[1]", "null"] {
            assert_eq!(reason(body), "phrase", "{body}");
        }
    }

    #[test]
    fn texts_say_where_what_and_what_next() {
        let fields = r#"{"message":"Parameter verification failed.\n","errors":
            {"cores":"type check ('integer') failed - got 'two'","net0":"invalid format\n"}}"#;
        let texts = [
            error(Method::Get, 401, "Authentication failed!", ""),
            error(Method::Get, 403, "Permission check failed (/vms/100, VM.Audit)", ""),
            error(Method::Post, 400, "Parameter verification failed.", fields),
            refused("VM 4010 is running - destroy failed"),
            error(Method::Get, 501, "Method 'GET /no/such/path' not implemented", ""),
            error(Method::Get, 595, "No route to host", ""),
            error(Method::Put, 596, "Broken pipe", ""),
        ];
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(texts.join("\n"));
    }
}
