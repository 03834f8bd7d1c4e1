//! Who this process is, for locks and journals.

use jiff::Timestamp;
use pvx_core::state::Owner;

/// This process, doing `command` from now on.
pub(crate) fn owner(command: &str) -> Owner {
    let (now, pid) = (Timestamp::now(), std::process::id());
    let login = |name: &str| std::env::var(name).ok().filter(|user| !user.is_empty());
    let user = login("USER").or_else(|| login("LOGNAME"));
    Owner {
        user: user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw())),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        pid,
        boot: boot(),
        since: now.as_second(),
        command: command.to_owned(),
        run: format!("{}-{pid}", now.strftime("%Y%m%dT%H%M%S%.3fZ")),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Linux gives each start of a kernel a name, which its containers see too.
fn boot() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
