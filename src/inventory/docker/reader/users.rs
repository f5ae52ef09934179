//! Whose a rootless runtime and its processes are.
//!
//! Contract: a user's runtime is believed only about processes of that user, which the kernel shows. Limits: one look at a process; it may be
//! another one a moment later.

use crate::sandbox;

/// Whether a user id is an ordinary user's: neither root nor the kernel's overflow id (`/proc/sys/kernel/overflowuid`).
pub(super) const fn is_user(uid: u32) -> bool {
    uid != 0 && uid != 65_534
}

/// Whether a process runs in a user namespace other than ours, as a user or one of the user's subordinate ids (subuid(5)).
pub(super) fn is_process_of(pid: u32, user: u32) -> bool {
    let space = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/user")).ok();
    let is_other =
        move || space(&pid.to_string()).is_some_and(|theirs| space("self").is_some_and(|ours| ours != theirs));
    // Landlock hides it from most threads.
    let other = sandbox::look(is_other).unwrap_or(false);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let name = nix::unistd::User::from_uid(user.into()).ok().flatten().map(|user| user.name);
    let subordinate = std::fs::read_to_string("/etc/subuid").unwrap_or_default();
    other && runs_as(&status, user, name.as_deref(), &subordinate)
}

/// Whether all user ids of a process (`proc_pid_status(5)`) are the user's.
fn runs_as(status: &str, user: u32, name: Option<&str>, subordinate: &str) -> bool {
    let ranges = subordinate.lines().filter_map(|line| {
        let mut parts = line.trim().split(':');
        let of = parts.next()?;
        let (start, count): (u32, u32) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        (Some(of) == name || of == user.to_string()).then_some((start, count))
    });
    let ranges: Vec<(u32, u32)> = ranges.collect();
    let owned = |id: u32| id == user || ranges.iter().any(|(start, count)| id >= *start && id - start < *count);
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    let mut ids = ids.split_whitespace().peekable();
    ids.peek().is_some() && ids.all(|id| id.parse().is_ok_and(owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_a_users_only_with_all_its_ids_and_in_another_user_namespace() {
        let own =
            |ids: &str| runs_as(&format!("Name:\tx\nUid:\t{ids}\n"), 1000, Some("ann"), "bob:1:9\nann:100000:65536\n");
        assert!(own("1000\t1000\t1000\t1000") && own("100000\t165535\t1000\t1000"));
        assert!(!own("0\t0\t0\t0") && !own("1001\t1001\t1001\t1001") && !own("1000\t0\t1000\t1000"));
        assert!(!own("165536\t1000\t1000\t1000") && !own("5\t5\t5\t5") && !own(""));
        assert!(!is_process_of(std::process::id(), nix::unistd::getuid().as_raw()), "ours is in no other namespace");
    }
}
