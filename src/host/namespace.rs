//! Another network namespace, entered by a thread of its own.
//!
//! Contract: the calling thread never leaves its namespace; sockets that the body opens stay in the other one. Limits: needs
//! `CAP_SYS_ADMIN`, and leave to look into `/proc/PID/ns` (ptrace(2), access mode). Source: setns(2), namespaces(7).

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::thread;

use nix::sched::{CloneFlags, setns};

use crate::input::NetnsId;

/// Why a namespace cannot be entered.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// The kernel refused.
    #[error(
        "no permission to enter network namespaces of workloads: hopwatch needs CAP_SYS_ADMIN and CAP_SYS_PTRACE; run it as \
         root, or set capture.inside_namespaces to never"
    )]
    Permission,
    /// The process has ended.
    #[error("process {pid} has ended")]
    Gone {
        /// Which.
        pid: u32,
    },
    /// Anything else.
    #[error("the network namespace of process {pid} cannot be entered: {source}")]
    Other {
        /// Whose.
        pid: u32,
        /// Why.
        source: io::Error,
    },
}

/// The network namespace of a process. Holding it keeps the namespace alive.
#[derive(Debug)]
pub struct Netns {
    pid: u32,
    file: File,
    id: NetnsId,
}

impl Netns {
    /// Of a process, as this namespace of processes numbers it.
    pub fn of(pid: u32) -> Result<Self, EnterError> {
        let failed = |source: io::Error| enter_error(pid, source);
        let file = File::open(format!("/proc/{pid}/ns/net")).map_err(failed)?;
        let id = NetnsId(file.metadata().map_err(failed)?.ino());
        Ok(Self { pid, file, id })
    }

    /// This one, by whichever of these processes is still in it.
    pub fn any_of(netns: NetnsId, pids: &[u32]) -> Option<Self> {
        pids.iter().filter_map(|pid| Self::of(*pid).ok()).find(|door| door.id == netns)
    }

    /// The one that this thread is in.
    pub fn own() -> io::Result<NetnsId> {
        std::fs::metadata("/proc/thread-self/ns/net").map(|found| NetnsId(found.ino()))
    }

    /// The one of a process, without holding it; absent when the process is gone or hidden.
    pub fn id_of(pid: u32) -> Option<NetnsId> {
        std::fs::metadata(format!("/proc/{pid}/ns/net")).ok().map(|found| NetnsId(found.ino()))
    }

    /// Which.
    pub const fn id(&self) -> NetnsId {
        self.id
    }

    /// Calls on a thread that is in there.
    pub fn enter<T: Send>(&self, body: impl FnOnce() -> T + Send) -> Result<T, EnterError> {
        let there = || {
            setns(&self.file, CloneFlags::CLONE_NEWNET).map_err(|error| enter_error(self.pid, error.into()))?;
            Ok(body())
        };
        let other = |source| EnterError::Other { pid: self.pid, source };
        thread::scope(|scope| {
            let thread = thread::Builder::new().name("inside".to_owned()).spawn_scoped(scope, there).map_err(other)?;
            thread.join().map_err(|_| other(io::Error::other("looking inside panicked")))?
        })
    }
}

fn enter_error(pid: u32, source: io::Error) -> EnterError {
    match source.kind() {
        io::ErrorKind::PermissionDenied => EnterError::Permission,
        io::ErrorKind::NotFound => EnterError::Gone { pid },
        _ if source.raw_os_error() == Some(nix::Error::ESRCH as i32) => EnterError::Gone { pid },
        _ => EnterError::Other { pid, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_process_is_in_the_own_namespace() {
        let netns = Netns::of(std::process::id()).expect("own");
        assert_eq!(netns.id(), Netns::own().expect("own"));
        assert_eq!(Netns::id_of(std::process::id()), Some(netns.id()));
    }

    #[test]
    fn a_process_that_is_not_there_is_gone() {
        assert!(matches!(Netns::of(u32::MAX), Err(EnterError::Gone { .. })));
        assert_eq!(Netns::id_of(u32::MAX), None);
    }
}
