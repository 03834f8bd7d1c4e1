//! Who this process is, for locks and journals.

use jiff::Timestamp;
use pvx_core::state::Owner;

/// This machine's name.
pub(crate) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// This process, doing `command` from now on.
pub(crate) fn owner(command: &str) -> Owner {
    let (now, pid) = (Timestamp::now(), std::process::id());
    let login = |name: &str| std::env::var(name).ok().filter(|user| !user.is_empty());
    let user = login("USER").or_else(|| login("LOGNAME"));
    Owner {
        user: user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw())),
        host: host(),
        pid,
        since: now.as_second(),
        command: command.to_owned(),
        run: format!("{}-{pid}", now.strftime("%Y%m%dT%H%M%S%.3fZ")),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
