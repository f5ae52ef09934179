//! Who holds a socket open: inode → `/proc/PID/fd` of the workloads' processes in its namespace.
//!
//! Contract: says of itself when it could not look everywhere; then "nobody" proves nothing. Limits: [`MAX_FILES`] descriptors a
//! workload and [`MAX_FILES_OF_ONE`] a process, so that none uses up what belongs to others. Source: proc(5).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io::ErrorKind;

use super::proc::{self, Unseen};
use super::workloads::Workloads;
use crate::input::{NetnsId, WorkloadId};

/// Descriptors of one workload that are looked at in one search.
const MAX_FILES: usize = 65_536;
/// Descriptors of one process.
const MAX_FILES_OF_ONE: usize = 16_384;

/// The holders of one socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) owners: BTreeSet<WorkloadId>,
    /// One of the processes.
    pub(super) pid: u32,
}

/// What a search found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) holders: HashMap<u64, Holder>,
    /// It looked at every descriptor of every workload with a process there.
    pub(super) complete: bool,
    /// Workloads there of which not everything could be looked at, as there was too much.
    pub(super) crowded: BTreeSet<WorkloadId>,
}

/// Searches the processes of all workloads in a namespace.
pub(super) fn find(workloads: &Workloads, netns: NetnsId, wanted: &HashSet<u64>) -> Found {
    let mut found = Found { complete: true, ..Found::default() };
    for (id, running) in workloads.iter() {
        found.complete &= !running.is_hidden();
        let pids = running.in_namespace(netns);
        let mut crowded = running.is_crowded() && !pids.is_empty();
        let mut left = MAX_FILES;
        for pid in pids {
            let most = left.min(MAX_FILES_OF_ONE);
            let mut own = most;
            let whole = each_socket(*pid, &mut own, |inode| {
                if wanted.contains(&inode) {
                    let holder = found.holders.entry(inode).or_default();
                    holder.pid = *pid;
                    if !holder.owners.contains(id) {
                        holder.owners.insert(id.clone());
                    }
                }
            });
            left -= most - own;
            crowded |= !whole && own == 0;
            found.complete &= whole;
        }
        if crowded {
            found.complete = false;
            found.crowded.insert(id.clone());
        }
    }
    found
}

/// Which of some processes holds a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holding {
    Nobody,
    One(u32),
    Several,
}

impl Holding {
    /// The process, where it is the only one.
    pub(super) const fn one(self) -> Option<u32> {
        match self {
            Self::One(pid) => Some(pid),
            Self::Nobody | Self::Several => None,
        }
    }
}

/// Who among these processes holds one of these sockets.
pub(super) fn holder_among(pids: &[u32], wanted: &HashSet<u64>) -> Holding {
    let mut left = MAX_FILES;
    let mut holds = |pid: u32| {
        let most = left.min(MAX_FILES_OF_ONE);
        let (mut own, mut holds) = (most, false);
        each_socket(pid, &mut own, |inode| holds |= wanted.contains(&inode));
        left -= most - own;
        holds
    };
    let mut holders = pids.iter().copied().filter(|pid| holds(*pid));
    match (holders.next(), holders.next()) {
        (None, _) => Holding::Nobody,
        (Some(pid), None) => Holding::One(pid),
        (Some(_), Some(_)) => Holding::Several,
    }
}

impl Found {
    /// Who most likely holds what was not found: the only one of which not everything could be looked at.
    pub(super) fn likely(&self) -> Option<&WorkloadId> {
        self.crowded.first().filter(|_| self.crowded.len() == 1)
    }
}

/// The sockets that this process holds itself.
pub(super) fn own() -> HashSet<u64> {
    let mut inodes = HashSet::new();
    each_socket(std::process::id(), &mut MAX_FILES.clone(), |inode| _ = inodes.insert(inode));
    inodes
}

/// Calls for each socket that a process holds; whether all its descriptors could be read. One that has ended holds none.
fn each_socket(pid: u32, left: &mut usize, mut each: impl FnMut(u64)) -> bool {
    let entries = match fs::read_dir(proc::path(pid, "fd")) {
        Ok(entries) => entries,
        Err(error) => return Unseen::of(&error, pid) == Unseen::Gone,
    };
    for entry in entries.flatten() {
        if *left == 0 {
            return false;
        }
        *left -= 1;
        match fs::read_link(entry.path()) {
            Ok(link) => proc::inode(&link, "socket:[").into_iter().for_each(&mut each),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return false,
            // Closed meanwhile.
            Err(_) => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd as _;

    use super::super::missed::Missed;
    use super::*;

    #[test]
    fn a_socket_of_this_process_is_found_and_another_inode_is_nobodys() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).expect("a link");
        let inode = proc::inode(&link, "socket:[").expect("an inode");
        let mut workloads = Workloads::new();
        let id = WorkloadId::new("self");
        workloads.start(&id, std::process::id());
        workloads.scan(true, &mut Missed::default(), &mut Vec::new());
        let netns = proc::netns(std::process::id()).expect("a namespace");
        let found = find(&workloads, netns, &HashSet::from([inode, 1]));
        assert!(found.complete);
        let holder = Holder { owners: BTreeSet::from([id]), pid: std::process::id() };
        assert_eq!(found.holders, HashMap::from([(inode, holder)]));
        assert!(own().contains(&inode));
    }

    #[test]
    fn who_has_too_many_processes_is_likely_the_holder_and_nobody_else_is() {
        let (crowd, other) = (WorkloadId::new("crowd"), WorkloadId::new("other"));
        let found = |crowded: &[&WorkloadId]| Found {
            crowded: crowded.iter().map(|id| (*id).clone()).collect(),
            ..Found::default()
        };
        assert_eq!(found(&[]).likely(), None, "a tool of the host's is nobody's");
        assert_eq!(found(&[&crowd]).likely(), Some(&crowd));
        assert_eq!(found(&[&crowd, &other]).likely(), None);
        let mut workloads = Workloads::new();
        workloads.start(&crowd, std::process::id());
        workloads.scan(true, &mut Missed::default(), &mut Vec::new());
        workloads.set_crowded(&crowd);
        let here = proc::netns(std::process::id()).expect("a namespace");
        let there = find(&workloads, here, &HashSet::from([1]));
        assert!(!there.complete && there.likely() == Some(&crowd));
        let elsewhere = find(&workloads, NetnsId(1), &HashSet::from([1]));
        assert!(elsewhere.complete && elsewhere.likely().is_none(), "it says nothing of other namespaces");
    }

    #[test]
    fn a_search_that_ran_out_of_its_budget_says_so() {
        let mut left = 1;
        assert!(!each_socket(std::process::id(), &mut left, |_| {}));
        assert!(each_socket(u32::MAX, &mut left, |_| {}), "a process that ended holds nothing");
    }
}
