//! The capabilities that a container's processes can have.
//!
//! Contract: [`effective`] gives the bounding set in the kernel's names. Source: `capability.h` of Linux 6.12; the defaults of moby
//! (`oci/caps/defaults.go`) and of containers-common (`containers.conf`). Limits: names that the kernel does not know are kept, since a
//! newer kernel may.

use std::collections::BTreeSet;

/// Every capability of Linux.
pub const ALL_CAPABILITIES: [&str; 41] = [
    "CAP_AUDIT_CONTROL",
    "CAP_AUDIT_READ",
    "CAP_AUDIT_WRITE",
    "CAP_BLOCK_SUSPEND",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_KILL",
    "CAP_LEASE",
    "CAP_LINUX_IMMUTABLE",
    "CAP_MAC_ADMIN",
    "CAP_MAC_OVERRIDE",
    "CAP_MKNOD",
    "CAP_NET_ADMIN",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_RAW",
    "CAP_PERFMON",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYSLOG",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_CHROOT",
    "CAP_SYS_MODULE",
    "CAP_SYS_NICE",
    "CAP_SYS_PACCT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_WAKE_ALARM",
];

/// What Docker gives without being asked.
pub const DOCKER_DEFAULT: &[&str] = &[
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// What Podman gives without being asked.
pub const PODMAN_DEFAULT: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// The default with what was added and without what was dropped. `ALL` adds or drops every one; a name that is added and dropped is
/// there when all are dropped or it is added by name (moby, `oci/caps/utils.go`).
pub fn effective(default: &[&str], added: &[String], dropped: &[String], privileged: bool) -> BTreeSet<String> {
    if privileged {
        return ALL_CAPABILITIES.map(str::to_owned).into();
    }
    let added: Vec<String> = added.iter().map(|name| normal(name)).collect();
    let dropped: Vec<String> = dropped.iter().map(|name| normal(name)).collect();
    let is_all = |names: &[String]| names.iter().any(|name| name == "CAP_ALL");
    let mut all: BTreeSet<String> = match (is_all(&added), is_all(&dropped)) {
        (true, _) => ALL_CAPABILITIES.map(str::to_owned).into(),
        (false, true) => BTreeSet::new(),
        (false, false) => default.iter().map(|name| (*name).to_owned()).collect(),
    };
    all.retain(|name| !dropped.contains(name));
    all.extend(added.into_iter().filter(|name| name != "CAP_ALL"));
    all
}

/// `net_admin` and `CAP_NET_ADMIN` are one.
fn normal(name: &str) -> String {
    let name = name.trim().to_ascii_uppercase();
    if name.starts_with("CAP_") { name } else { format!("CAP_{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn two_spellings_of_the_same_set_are_equal() {
        let one = effective(DOCKER_DEFAULT, &names(&["NET_ADMIN"]), &names(&["MKNOD"]), false);
        let spelled: Vec<&str> = DOCKER_DEFAULT.iter().copied().filter(|name| *name != "CAP_MKNOD").collect();
        let mut other = names(&spelled);
        other.push("cap_net_admin".to_owned());
        assert_eq!(one, effective(DOCKER_DEFAULT, &other, &names(&["ALL"]), false));
    }

    #[test]
    fn privileged_has_all_whatever_is_dropped() {
        assert_eq!(effective(DOCKER_DEFAULT, &[], &names(&["ALL"]), true).len(), ALL_CAPABILITIES.len());
    }

    #[test]
    fn all_without_one_is_all_without_that_one() {
        let set = effective(DOCKER_DEFAULT, &names(&["ALL"]), &names(&["SYS_ADMIN"]), false);
        assert_eq!(set.len(), ALL_CAPABILITIES.len() - 1);
        assert!(!set.contains("CAP_SYS_ADMIN"));
    }
}
