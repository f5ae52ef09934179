//! Wakes the thread that reads logs when auditd writes, or the kernel hands a record over.
//!
//! Contract: an alert about a container asks who ran a runtime's client, whose record auditd writes a moment before the container starts: a look twice a second is too
//! late. Limits: without inotify, or without auditd's folder, the wait lasts its whole time. Writes that follow each other are read together.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// How long writes are gathered.
const GATHER: Duration = Duration::from_millis(5);

/// See the module.
pub(super) struct Bell {
    folder: Option<PathBuf>,
    inotify: Option<Inotify>,
}

impl Bell {
    /// Watches a folder, from when it is there.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        let mut bell = Self { folder, inotify: None };
        bell.watch();
        bell
    }

    /// Waits until something is written, or is to be read of this other descriptor, or so long; whether something was.
    pub(super) fn wait(&mut self, most: Duration, other: Option<BorrowedFd<'_>>) -> bool {
        if self.inotify.is_none() {
            self.watch();
        }
        let watched = self.inotify.as_ref().map(AsFd::as_fd);
        let mut waiting: Vec<PollFd<'_>> =
            watched.into_iter().chain(other).map(|one| PollFd::new(one, PollFlags::POLLIN)).collect();
        let limit = PollTimeout::try_from(most).unwrap_or(PollTimeout::ZERO);
        let answer = poll(&mut waiting, limit);
        if answer.is_err() {
            std::thread::sleep(most);
        }
        let is_written = answer.is_ok_and(|count| count > 0);
        if is_written {
            std::thread::sleep(GATHER);
            let events = |inotify: &Inotify| inotify.read_events().is_ok_and(|events| !events.is_empty());
            while self.inotify.as_ref().is_some_and(events) {}
        }
        is_written
    }

    fn watch(&mut self) {
        let Some(folder) = self.folder.as_ref().filter(|folder| folder.is_dir()) else { return };
        let Ok(inotify) = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC) else { return };
        let written = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        if inotify.add_watch(folder, written).is_ok() {
            self.inotify = Some(inotify);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_wakes_and_silence_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut bell = Bell::new(Some(folder.path().join("audit")));
        assert!(!bell.wait(Duration::from_millis(1), None), "it is not there");
        std::fs::create_dir(folder.path().join("audit")).expect("a folder");
        assert!(!bell.wait(Duration::from_millis(1), None), "it is watched from now on");
        std::fs::write(folder.path().join("audit/audit.log"), "type=").expect("written");
        assert!(bell.wait(Duration::from_mins(1), None));
        assert!(!bell.wait(Duration::from_millis(1), None), "what was written is read");
        let (ours, mut theirs) = std::io::pipe().expect("a pipe");
        assert!(!bell.wait(Duration::from_millis(1), Some(ours.as_fd())));
        std::io::Write::write_all(&mut theirs, b"x").expect("written");
        assert!(bell.wait(Duration::from_mins(1), Some(ours.as_fd())), "a record came");
    }
}
