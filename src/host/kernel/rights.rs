//! What a process may do, as `/proc/PID/status` says.
//!
//! Contract: capabilities by the kernel's names, one that is newer than this list by its number (`CAP_41`); a line that is missing or odd is not known.
//! Source: proc(5), capabilities(7), `capability.h` of Linux 6.12.

use std::collections::BTreeSet;

use crate::input::SeccompMode;

/// In order of bit.
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The lines that matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) effective: BTreeSet<String>,
    pub(super) bounding: BTreeSet<String>,
    pub(super) no_new_privileges: Option<bool>,
    pub(super) seccomp: Option<SeccompMode>,
}

impl Status {
    /// `None` where the capabilities are not in it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let set = |name: &str| value(name).and_then(|hex| u64::from_str_radix(hex, 16).ok()).map(names);
        Some(Self {
            effective: set("CapEff:")?,
            bounding: set("CapBnd:")?,
            no_new_privileges: match value("NoNewPrivs:") {
                Some("0") => Some(false),
                Some("1") => Some(true),
                _ => None,
            },
            seccomp: match value("Seccomp:") {
                Some("0") => Some(SeccompMode::Off),
                Some("1") => Some(SeccompMode::Strict),
                Some("2") => Some(SeccompMode::Filter),
                _ => None,
            },
        })
    }
}

fn names(mask: u64) -> BTreeSet<String> {
    let name = |bit: usize| CAPABILITIES.get(bit).map_or_else(|| format!("CAP_{bit}"), |name| (*name).to_owned());
    (0..64).filter(|bit| mask >> bit & 1 == 1).map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_read_by_their_names() {
        let text = "Name:\tCapBnd: 0\nGroups:\t0 1 \nCapInh:\t0000000000000000\nCapEff:\t0000000000003000\n\
                    CapBnd:\t0000020000201000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        let status = Status::parse(text).expect("a status");
        assert_eq!(status.effective, ["CAP_NET_ADMIN", "CAP_NET_RAW"].map(str::to_owned).into());
        assert_eq!(status.bounding, ["CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_41"].map(str::to_owned).into());
        assert_eq!((status.no_new_privileges, status.seccomp), (Some(true), Some(SeccompMode::Filter)));
    }

    #[test]
    fn what_is_missing_or_odd_is_not_known() {
        assert_eq!(Status::parse(""), None);
        assert_eq!(Status::parse("CapEff:\tx\nCapBnd:\t0\n"), None);
        let status = Status::parse("CapEff:\t0\nCapBnd:\t0\nSeccomp:\t9\n").expect("a status");
        assert_eq!((status.no_new_privileges, status.seccomp), (None, None));
    }

    #[test]
    fn the_own_process_is_understood() {
        let text = std::fs::read_to_string("/proc/self/status").expect("a status");
        assert!(Status::parse(&text).is_some());
    }
}
