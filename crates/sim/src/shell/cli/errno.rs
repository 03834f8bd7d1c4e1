//! The exit status of a command that fails.
//!
//! Perl's `die` ends a program with `errno`, whatever set it last, or with 255 where that is 0. A
//! request to pmxcfs sets it to 0 when it succeeds and to ENOENT when the file is not there
//! (`PVE::IPCC`), and opening a file leaves ENOTTY, as Perl asks whether it is a terminal. What an
//! error meant thus shows in what was looked at before it.

const NOT_THERE: i32 = 2;
const NO_TERMINAL: i32 = 25;

/// What was asked: the command, and whether the guest that it is about was running.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) command: &'a str,
    pub(super) running: bool,
}

impl<'a> Asked<'a> {
    pub(super) fn of(command: &'a str) -> Self {
        Self { command, running: false }
    }
}

/// The exit status for an error of a command. Errors in a task end with 255.
pub(super) fn exit_status(text: &str, asked: Asked<'_>) -> i32 {
    let Asked { command, running } = asked;
    let ends = |end: &str| text.trim_end().ends_with(end);
    let begins = |start: &str| text.starts_with(start);
    // A file of `/etc/pve` that was asked for last and is not there: the guest's, or `domains.cfg`
    // where a user is looked up (both measured).
    let missing = (begins("Configuration file '") && text.contains("does not exist"))
        || begins("unable to find configuration file for ")
        || (command == "pveum user add" && begins("create user failed"))
        // `replication.cfg`, which a change of a guest reads first.
        || (command == "qm set" && begins("storage '"));
    // No pid file, no file at all.
    let no_file = (begins("VM ") && (ends(" not running") || ends(" is not running")))
        || ends(": non-existent or non-regular file")
        || (begins("volume '") && ends("' does not exist"));
    // The lock file was opened, or the pid file of a guest that runs.
    let opened = (begins("unable to create VM ") && text.contains(" already exists on node "))
        || (begins("VM ") && ends("is running - destroy failed"))
        || begins("can't migrate running VM without --online")
        || begins("you can't convert a VM to template if VM is running")
        || begins("QEMU guest agent is not running");
    // A clone looks twice whether its source runs.
    let cloning = begins("no such cluster node '")
        || begins("snapshot '")
        || begins("can't clone VM to node '")
        || ends(" not allowed for linked clones")
        || ends(": config file already exists");
    if command == "qm clone" && cloning {
        return if running { NO_TERMINAL } else { NOT_THERE };
    }
    if missing || no_file {
        NOT_THERE
    } else if opened {
        NO_TERMINAL
    } else {
        255
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses() {
        for (text, command, wanted) in [
            ("Configuration file 'nodes/pve1/qemu-server/9.conf' does not exist\n", "qm status", 2),
            ("unable to find configuration file for VM 9 on node 'pve1'\n", "qm reset", 2),
            ("create user failed: user 'a@pve' already exists\n", "pveum user add", 2),
            ("create role failed: role 'A' already exists\n", "pveum role add", 255),
            ("VM 100 not running\n", "qm reset", 2),
            ("/x: non-existent or non-regular file\n", "qm disk import", 2),
            ("unable to create VM 100 - VM 100 already exists on node 'pve1'\n", "qm create", 25),
            ("VM 100 is running - destroy failed\n", "qm destroy", 25),
            ("storage 'x' does not exist\n", "pvesm list", 255),
            ("storage 'x' does not exist\n", "qm set", 2),
            ("can't remove VM 100 - protection mode enabled\n", "qm destroy", 255),
        ] {
            assert_eq!(exit_status(text, Asked::of(command)), wanted, "{text}");
        }
        let text = "unable to create VM 9: config file already exists\n";
        for (running, wanted) in [(false, 2), (true, 25)] {
            let asked = Asked { command: "qm clone", running };
            assert_eq!(exit_status(text, asked), wanted);
        }
    }
}
