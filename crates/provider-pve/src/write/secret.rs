//! Secrets come into a request right before it is sent, and nowhere else.

use pvx_core::plan::{Action, ActionKind};
use pvx_core::provider::{ErrorClass, ProviderError};
use pvx_core::secret::{MARKER, SECRET_KEYS};

use crate::client::Request;
use crate::cluster::Secrets;

/// The request with the secrets that the action only names.
///
/// # Errors
/// When a secret is not known: a marker must never be sent as a value.
pub(super) fn put_in(
    action: &Action,
    request: Request,
    secrets: &Secrets,
) -> Result<Request, ProviderError> {
    let (ActionKind::Create { config: set, .. } | ActionKind::Configure { set, .. }) = &action.kind
    else {
        return Ok(request);
    };
    let marked = |key: &&&str| set.get(**key).is_some_and(|value| value == MARKER);
    SECRET_KEYS.iter().filter(marked).try_fold(request, |request, key| {
        match secrets.passwords.get(&action.address) {
            Some(password) => Ok(request.replace(key, password)),
            None => {
                let text = format!("the {key} of {} is not known", action.address);
                Err(ProviderError::new(ErrorClass::Refused, text).help("plan and apply again"))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pvx_core::address::Address;

    use super::*;
    use crate::write::request;
    use crate::write::tests::action;

    #[test]
    fn a_marker_is_replaced_or_refused() {
        let set = BTreeMap::from([
            ("ciuser".to_owned(), "ops".to_owned()),
            ("cipassword".to_owned(), MARKER.to_owned()),
        ]);
        for kind in [
            ActionKind::Create { config: set.clone(), pool: None },
            ActionKind::Configure { set, delete: Vec::new(), background: false },
        ] {
            let action = action(kind);
            let secrets = Secrets::default();
            let error = put_in(&action, request(&action, None), &secrets).unwrap_err();
            assert_eq!(error.class, ErrorClass::Refused);
            let passwords = BTreeMap::from([(Address::new("k3s", "w01"), "canary&=;".into())]);
            let secrets = Secrets { passwords, ..Secrets::default() };
            let request = put_in(&action, request(&action, None), &secrets).unwrap();
            let shown = format!("{request:?}");
            assert!(!shown.contains("canary") && !shown.contains(MARKER), "{shown}");
        }
    }
}
