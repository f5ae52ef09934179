//! What `/proc` says of one process.
//!
//! Contract: a process that is gone and one that is hidden are distinguished. Limits: [`MAX_FILE`] bytes of a file. Source: proc(5).
//! Command names are attacker-chosen: passed on as they are; the printing code escapes them.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::input::NetnsId;

/// A longer file of `/proc` is cut.
const MAX_FILE: u64 = 1024 * 1024;
/// Parent and start time: fields 4 and 22 of `stat`, counted after the command's name, which may hold anything.
const PARENT: usize = 1;
const START: usize = 19;

/// Why a process cannot be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unseen {
    /// It has ended.
    Gone,
    /// It is there, but this process may not see it.
    Hidden,
}

impl Unseen {
    /// A process that is not in `/proc` may still be there: `hidepid` hides those of others.
    pub(super) fn of(error: &io::Error, pid: u32) -> Self {
        match error.kind() {
            ErrorKind::PermissionDenied => Self::Hidden,
            _ if exists(pid) => Self::Hidden,
            _ => Self::Gone,
        }
    }
}

fn exists(pid: u32) -> bool {
    let Ok(number) = i32::try_from(pid) else { return false };
    let there = !matches!(kill(Pid::from_raw(number), None), Err(nix::Error::ESRCH));
    // A process that was not waited for has no namespaces and no files any more.
    there && !matches!(stat(pid), Some(stat) if stat.zombie)
}

/// The network namespace of a process's main thread.
pub(super) fn netns(pid: u32) -> Result<NetnsId, Unseen> {
    fs::read_link(path(pid, "ns/net")).map_err(|error| Unseen::of(&error, pid)).and_then(|link| {
        // Without a target the process is ending.
        inode(&link, "net:[").map(NetnsId).ok_or(Unseen::Gone)
    })
}

/// The network namespace of the calling thread.
pub(super) fn own_netns() -> Option<NetnsId> {
    inode(&fs::read_link("/proc/thread-self/ns/net").ok()?, "net:[").map(NetnsId)
}

/// `net:[4026531840]`, `socket:[12345]`.
pub(super) fn inode(link: &Path, before: &str) -> Option<u64> {
    link.to_str()?.strip_prefix(before)?.strip_suffix(']')?.parse().ok()
}

/// The command's name, as far as it can be read.
pub(super) fn command(pid: u32) -> String {
    read(&path(pid, "comm")).unwrap_or_default().trim_end_matches('\n').to_owned()
}

/// What is needed of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) parent: u32,
    /// In clock ticks since boot: with the pid, the name of a process.
    pub(super) start: u64,
    pub(super) zombie: bool,
    /// By a signal, or by one who traces it.
    pub(super) stopped: bool,
}

pub(super) fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&read(&path(pid, "stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    // `1234 (a) b) (c) S 1 …`: the name ends at the last parenthesis.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(PARENT)?).ok()?,
        start: number(START)?,
        zombie: matches!(fields.first(), Some(&("Z" | "X"))),
        stopped: matches!(fields.first(), Some(&("T" | "t"))),
    })
}

/// The children of a process, by all its threads; `None` where this kernel does not list them (`CONFIG_PROC_CHILDREN`).
pub(super) fn children(pid: u32) -> Option<Vec<u32>> {
    let mut found = Vec::new();
    let Ok(threads) = fs::read_dir(path(pid, "task")) else { return Some(found) };
    for thread in threads.flatten() {
        match read(&thread.path().join("children")) {
            Ok(text) => found.extend(text.split_ascii_whitespace().filter_map(|word| word.parse::<u32>().ok())),
            Err(error) if error.kind() == ErrorKind::NotFound && thread.path().exists() => return None,
            Err(_) => {}
        }
    }
    Some(found)
}

/// All processes, in no order.
pub(super) fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

pub(super) fn path(pid: u32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}

/// A file's text, cut to a bound.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_move_the_fields() {
        let fields: Vec<String> = (4..=52).map(|field| field.to_string()).collect();
        let text = format!("77 (a) S 9 (b) Z {}", fields.join(" "));
        assert_eq!(parse_stat(&text), Some(Stat { parent: 4, start: 22, zombie: true, stopped: false }));
        assert_eq!(parse_stat("77 (a) S 1"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn this_process_is_seen_and_one_that_cannot_be_is_gone() {
        let own = std::process::id();
        assert!(netns(own).is_ok() && own_netns().is_some());
        assert!(stat(own).is_some_and(|stat| stat.start > 0 && !stat.zombie));
        assert_eq!(netns(u32::MAX), Err(Unseen::Gone));
        assert_eq!(Unseen::of(&ErrorKind::NotFound.into(), own), Unseen::Hidden, "it runs, whatever /proc says");
        assert_eq!(Unseen::of(&ErrorKind::PermissionDenied.into(), u32::MAX), Unseen::Hidden);
    }

    #[test]
    fn links_are_read_by_their_kind() {
        assert_eq!(inode(Path::new("socket:[42]"), "socket:["), Some(42));
        assert_eq!(inode(Path::new("/dev/null"), "socket:["), None);
        assert_eq!(inode(Path::new("net:[x]"), "net:["), None);
    }
}
