//! `cipassword`: Proxmox never shows one, so all that can be compared is whether there is one, and
//! the version that documents gave when it was last written.

use pvx_core::secret::{MARKER, Password};

use super::super::differ::Differ;
use super::super::identity;

const PATH: &str = "cloudinit.password";
const KEY: &str = "cipassword";

pub(super) fn compare(differ: &mut Differ<'_>) {
    let had = differ
        .managed_before(PATH)
        .any(|path| path == PATH || path.starts_with("cloudinit.password@"));
    let Some(password) = &differ.wanted.spec.cloudinit.password else {
        if had && differ.stored(KEY).is_some() {
            let reason = "no longer in the documents";
            said(differ, Some("set".to_owned()), None, reason);
            differ.delete(KEY);
        }
        return;
    };
    let stored = differ.stored(KEY).is_some();
    differ.manage(&path(password));
    if let Some(why) = reason(differ, password, stored) {
        let before = stored.then(|| "set".to_owned());
        said(differ, before, Some(format!("set from {}", password.source)), why);
        differ.set(KEY, MARKER);
    }
}

fn said(differ: &mut Differ<'_>, before: Option<String>, after: Option<String>, reason: &str) {
    differ.explain((PATH, KEY), before.as_deref(), after.as_deref(), reason);
}

/// `cloudinit.password`, or with a version `cloudinit.password@2`.
fn path(password: &Password) -> String {
    match password.version {
        Some(version) => format!("{PATH}@{version}"),
        None => PATH.to_owned(),
    }
}

/// Why it is written; none when it is taken to be there already.
fn reason(differ: &Differ<'_>, password: &Password, stored: bool) -> Option<&'static str> {
    if !stored {
        return Some("the guest has no password yet");
    }
    // What a clone has is its template's.
    if identity::of(differ.live) != Some(differ.wanted.identity) {
        return Some("the template's password is not the guest's");
    }
    // A guest of which nothing is remembered keeps what it has: a lost state changes nothing.
    let before = &differ.wanted.managed_before;
    let remembered = !before.is_empty();
    let written = before.contains(&path(password));
    (password.version.is_some() && remembered && !written).then_some("its version changed")
}
