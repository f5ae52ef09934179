//! auditd's log; where auditd does not write it, the kernel's audit itself.
//!
//! Contract: entries about recording itself become facts, and so do lines that are cut, and a file that is cut in place, removed, or replaced by what is no file. A log that cannot be
//! read is a fact once, unless it is not there, auditd does not take the kernel's records, and the kernel hands them over here. Limits: [`TURNS`] reads at once; where the kernel does not say who takes its
//! records, a file that had a line counts as auditd's from then on; the record that comes before the file has had a line may be told twice. Design: the file comes
//! first; it also holds what auditd says of itself. That it is there says nothing: it stays when auditd goes, and auditd may write elsewhere.

use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use super::SKIPPED;
use super::gone::Gone;
use super::heard::Heard;
use super::kernel_audit::{KernelAudit, Reader};
use crate::host::log_entries::{AuditLines, Tail, TailEnd};
use crate::input::{HostLog, HostLoggingFact};

/// Its name in facts.
const FILE: &str = "audit.log";
/// Reads in one turn.
const TURNS: usize = 4;

/// What is followed.
pub(super) struct Audit {
    path: PathBuf,
    tail: Tail,
    lines: AuditLines,
    heard: Heard,
    gone: Gone,
    /// Whether a line came since it could be read.
    had_line: bool,
    /// What the kernel hands over while auditd does not write it down.
    kernel: Option<KernelAudit>,
    reader: Reader,
    /// Why the file was not enough the last time.
    unread: Option<String>,
    /// Whether the kernel tells anything here.
    is_initial: bool,
}

impl Audit {
    /// The kernel hands its records to the initial network namespace alone.
    pub(super) fn new(path: &Path, is_initial: bool) -> Self {
        Self {
            path: path.to_owned(),
            tail: Tail::new(path),
            lines: AuditLines::default(),
            heard: Heard::new(HostLog::Audit, FILE),
            gone: Gone::default(),
            had_line: false,
            kernel: None,
            reader: Reader::new(is_initial),
            unread: None,
            is_initial,
        }
    }

    /// What says that there are new records of the kernel.
    pub(super) fn stream(&self) -> Option<BorrowedFd<'_>> {
        self.kernel.as_ref().map(KernelAudit::as_fd)
    }

    /// What is new.
    pub(super) fn poll(&mut self) -> Vec<HostLoggingFact> {
        let mut facts = Vec::new();
        let by_auditd = self.reader.is_auditd();
        let read = self.read_file(&mut facts);
        if self.gone.is_news(&self.tail) {
            facts.push(self.gap(0, true, Gone::WHY));
        }
        let is_enough = read.is_ok() && self.had_line && by_auditd != Some(false);
        if is_enough {
            self.unread = None;
        } else {
            self.listen_instead(by_auditd, read.err().as_ref(), &mut facts);
        }
        if let Some(kernel) = &mut self.kernel {
            kernel.poll(&mut facts);
        }
        if is_enough {
            // What waited there was read.
            self.kernel = None;
        }
        self.lines.finish();
        facts.extend(self.lines.take().into_iter().map(|entry| HostLoggingFact::Entry(entry.into())));
        let cut = self.lines.take_cut() + self.tail.take_too_long();
        if cut > 0 {
            facts.push(self.gap(cut, false, "lines that are cut, or longer than any record"));
        }
        facts
    }

    fn read_file(&mut self, facts: &mut Vec<HostLoggingFact>) -> io::Result<()> {
        let mut entries = 0;
        let mut read = Ok(());
        for _ in 0..TURNS {
            let take = |line: &[u8]| {
                entries += 1;
                self.lines.line(line);
            };
            match self.tail.read(take) {
                Ok(TailEnd::UpToDate) => break,
                Ok(TailEnd::More) => {}
                // Who takes the kernel's records may go on writing to the old one.
                Ok(TailEnd::Replaced) => (self.had_line, entries) = (false, 0),
                Ok(TailEnd::Skipped) => facts.push(self.gap(0, false, SKIPPED)),
                Ok(TailEnd::Truncated) => facts.push(self.gap(0, true, "the file is shorter than what was read of it")),
                Err(error) => {
                    read = Err(error);
                    break;
                }
            }
        }
        if read.is_ok() {
            facts.extend(self.heard.begin(&self.path));
        }
        self.had_line = read.is_ok() && (self.had_line || entries > 0);
        self.heard.entries(entries);
        facts.extend(self.heard.take());
        read
    }

    /// The file is not enough: the kernel is listened to, too. Says once what is then not seen.
    fn listen_instead(&mut self, by_auditd: Option<bool>, error: Option<&io::Error>, facts: &mut Vec<HostLoggingFact>) {
        let why = self.not_enough(by_auditd, error);
        if self.unread.as_ref() == Some(&why) {
            return;
        }
        self.unread = Some(why.clone());
        let kind = error.map(io::Error::kind);
        if kind == Some(ErrorKind::InvalidInput) && self.tail.has_begun() {
            facts.push(self.gap(0, true, "it was replaced by something that is no file"));
        }
        // What is there and may not be read can still be cut, and what auditd writes can be elsewhere.
        let is_missed = error.is_some() && (kind != Some(ErrorKind::NotFound) || by_auditd == Some(true));
        let why = match self.listen() {
            Ok(()) => is_missed.then_some(why),
            // A file that can be read is followed as well as can be.
            Err(_) if error.is_none() && by_auditd != Some(false) => None,
            Err(error) => Some(format!("{why}; nor can the kernel's audit be read in its place: {error}")),
        };
        facts.extend(why.map(|why| HostLoggingFact::Unwatched { part: FILE.to_owned(), why }));
    }

    /// Why the file does not say what the kernel records.
    fn not_enough(&self, by_auditd: Option<bool>, error: Option<&io::Error>) -> String {
        let path = self.path.display();
        match (error, by_auditd) {
            (Some(error), Some(true)) => format!("{path}: {error}, although auditd takes the kernel's records"),
            (Some(error), _) => format!("{path}: {error}"),
            (None, Some(false)) => format!("{path}: auditd, which writes it, does not take the kernel's records"),
            (None, _) => format!("{path}: it has had no line yet"),
        }
    }

    fn listen(&mut self) -> Result<(), String> {
        if self.kernel.is_none() {
            self.kernel = Some(KernelAudit::open(self.is_initial)?);
        }
        Ok(())
    }

    fn gap(&self, count: u64, truncated: bool, why: &str) -> HostLoggingFact {
        let why = format!("{}: {why}", self.path.display());
        HostLoggingFact::Gap { log: HostLog::Audit, count, truncated, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::LogAct;

    #[test]
    fn entries_gaps_and_a_log_that_is_not_there_are_facts() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.log");
        let mut audit = Audit::new(&path, false);
        let told = audit.poll();
        let [HostLoggingFact::Unwatched { part, why }] = &told[..] else { panic!("{told:?}") };
        assert!(part == "audit.log" && why.contains("in its place"), "{why}");
        assert_eq!(audit.poll(), [], "once");
        assert!(audit.stream().is_none());
        std::fs::write(&path, "").expect("written");
        let begun = audit.poll();
        assert!(matches!(begun[..], [HostLoggingFact::Heard { entries: 0, .. }]), "{begun:?}");
        std::fs::write(&path, format!("{LINE}type=CONF\n")).expect("written");
        let facts = audit.poll();
        let [
            HostLoggingFact::Heard { entries: 2, .. },
            HostLoggingFact::Entry(entry),
            HostLoggingFact::Gap { count: 1, truncated: false, .. },
        ] = &facts[..]
        else {
            panic!("{facts:?}");
        };
        assert_eq!(entry.act, LogAct::RulesRemoved { count: 1 });
        std::fs::write(&path, "").expect("written");
        assert!(matches!(&audit.poll()[..], [HostLoggingFact::Gap { truncated: true, .. }]));
    }

    const LINE: &str = "type=CONFIG_CHANGE msg=audit(1795000000.243:88): auid=1000 op=remove_rule list=4 res=1\n";

    struct World {
        _folder: tempfile::TempDir,
        path: PathBuf,
        audit: Audit,
    }

    impl World {
        /// Where the kernel cannot be listened to, so that each try is told.
        fn new(by_auditd: fn() -> Option<bool>) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("audit.log");
            let mut audit = Audit::new(&path, false);
            audit.reader.become_of(by_auditd);
            Self { path, audit, _folder: folder }
        }

        /// What is said but that there were entries.
        fn poll(&mut self) -> Vec<HostLoggingFact> {
            let facts = self.audit.poll().into_iter();
            facts.filter(|fact| !matches!(fact, HostLoggingFact::Heard { .. })).collect()
        }
    }

    fn is_unwatched(facts: &[HostLoggingFact], text: &str) -> bool {
        matches!(facts, [HostLoggingFact::Unwatched { part, why }] if part == FILE && why.contains(text))
    }

    #[test]
    fn an_empty_file_in_its_place_is_not_enough_though_auditd_takes_the_records() {
        let mut world = World::new(|| Some(true));
        std::fs::write(&world.path, "").expect("written");
        world.poll();
        std::fs::write(&world.path, LINE).expect("written");
        world.poll();
        assert!(world.audit.had_line);
        std::fs::rename(&world.path, world.path.with_extension("hidden")).expect("renamed");
        std::fs::write(&world.path, "").expect("written");
        assert_eq!(world.poll(), [], "rotation looks the same");
        assert!(!world.audit.had_line && world.audit.unread.is_some(), "the kernel is listened to");
    }

    #[test]
    fn a_file_that_auditd_does_not_write_takes_nothing_from_the_kernels_word() {
        let mut world = World::new(|| Some(false));
        std::fs::write(&world.path, "").expect("written");
        assert!(is_unwatched(&world.poll(), "nor can the kernel's audit be read in its place"), "it was tried");
        assert_eq!(world.poll(), [], "once");
        world.audit.reader.become_of(|| Some(true));
        assert_eq!(world.poll(), [], "auditd writes it");
        world.audit.reader.become_of(|| Some(false));
        assert!(is_unwatched(&world.poll(), "nor can the kernel's audit be read in its place"), "auditd is gone");
    }

    #[test]
    fn where_the_kernel_does_not_say_who_takes_its_records_a_line_says_that_the_file_is_written() {
        let mut world = World::new(|| None);
        std::fs::write(&world.path, "").expect("written");
        assert_eq!((world.poll(), world.audit.unread.is_some()), (Vec::new(), true), "it was tried without a word");
        std::fs::write(&world.path, LINE).expect("written");
        let told = world.poll();
        assert!(matches!(told[..], [HostLoggingFact::Entry(_)]), "{told:?}");
        assert_eq!(world.audit.unread, None);
    }

    #[test]
    fn a_log_that_is_removed_or_was_never_there_while_auditd_runs_is_told_once() {
        let mut world = World::new(|| Some(true));
        assert!(is_unwatched(&world.poll(), "although auditd takes the kernel's records"));
        std::fs::write(&world.path, LINE).expect("written");
        assert_eq!(world.poll(), [], "what is there first is old");
        std::fs::remove_file(&world.path).expect("removed");
        assert_eq!(world.poll(), [], "rotation gives the name back");
        world.audit.gone.grow_old();
        let told = world.poll();
        let [HostLoggingFact::Gap { log: HostLog::Audit, truncated: true, why, .. }] = &told[..] else {
            panic!("{told:?}");
        };
        assert!(why.contains("it was removed"), "{why}");
        assert_eq!(world.poll(), [], "once");
    }

    #[test]
    fn a_pipe_in_its_place_is_told_once_and_stalls_nothing() {
        let mut world = World::new(|| Some(true));
        std::fs::write(&world.path, LINE).expect("written");
        world.poll();
        std::fs::remove_file(&world.path).expect("removed");
        nix::unistd::mkfifo(&world.path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let told = world.poll();
        let is_told =
            matches!(told[..], [HostLoggingFact::Gap { truncated: true, .. }, HostLoggingFact::Unwatched { .. }]);
        assert!(is_told, "{told:?}");
        assert_eq!(world.poll(), [], "once");
    }
}
