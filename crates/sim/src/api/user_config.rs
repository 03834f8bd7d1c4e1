//! Changes of `user.cfg`: users, groups, roles, the ACL and pools
//! (`PVE::AccessControl::lock_user_config`).

use super::call::Call;
use super::refusal::Refusal;
use crate::world::lock::LockName;

/// How long a write of `user.cfg` tries to get the cluster's lock, in ms.
const WAIT_MS: i64 = 9_900;

/// Carries a change out as under the lock: wholly or not at all. Errors begin with `what`;
/// without quorum the lock is not to be had.
pub(crate) fn locked<T>(
    call: &mut Call<'_>,
    what: &str,
    change: impl FnOnce(&mut Call<'_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    if !call.world.quorate() {
        let lock = LockName::NoQuorum { file: "file-user_cfg".to_owned(), what: what.to_owned() };
        // Where time costs nothing, nothing is waited for: nobody gives this lock back.
        let wait_ms = call.moment.after(WAIT_MS) - call.moment.now;
        return Err(Refusal::Blocked { lock, wait_ms, before: String::new() });
    }
    let before = (call.world.access.clone(), call.world.pools.clone());
    let result = change(call);
    match result {
        Ok(done) => {
            call.world.access.forget_stale();
            Ok(done)
        }
        Err(refusal) => {
            (call.world.access, call.world.pools) = before;
            Err(inside(what, &refusal))
        }
    }
}

/// An error met under the lock. An exception becomes text there and with it status 500; its code
/// stands in the text.
fn inside(what: &str, refusal: &Refusal) -> Refusal {
    let text = refusal.text();
    match refusal {
        Refusal::Params(errors) => {
            let lines = errors.iter().map(|(name, error)| format!("{name}: {error}\n"));
            Refusal::die(format!("{what}: 400 {text}{}", lines.collect::<String>()))
        }
        other if other.status() != 500 => {
            Refusal::die(format!("{what}: {} {text}", other.status()))
        }
        _ => Refusal::die(format!("{what}: {text}")),
    }
}

/// A text as it comes back from `user.cfg`: white space at the ends is lost, and what is false in
/// Perl is not written.
pub(crate) fn stored(value: &str) -> Option<String> {
    let value = value.trim();
    (!matches!(value, "" | "0")).then(|| value.to_owned())
}
