//! auditd's log; where there is none, the kernel's audit itself.
//!
//! Contract: entries about recording itself become facts, and so do lines that are cut, a file that is cut in place, and records for which there was no room. A log that cannot be read is a
//! fact once, unless it is not there and the kernel hands its records over. Limits: the kernel keeps no records for a listener that comes later. Design: the file
//! comes first; it also holds what auditd says of itself.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use super::heard::Heard;
use crate::host::AuditStream;
use crate::host::log_entries::{AuditLines, Tail, TailEnd};
use crate::input::{HostLog, HostLoggingFact};

/// Names of the two in facts.
const FILE: &str = "audit.log";
const STREAM: &str = "audit";

/// What is followed.
pub(super) struct Audit {
    path: PathBuf,
    tail: Tail,
    lines: AuditLines,
    heard: Heard,
    /// What the kernel hands over while there is no file.
    stream: Option<(AuditStream, Heard)>,
    /// Why the file could not be read the last time.
    unread: Option<String>,
    /// Whether the kernel tells anything here.
    is_initial: bool,
}

impl Audit {
    /// The kernel hands its records to the initial network namespace alone.
    pub(super) fn new(path: &Path, is_initial: bool) -> Self {
        let (tail, lines, heard) = (Tail::new(path), AuditLines::default(), Heard::new(HostLog::Audit, FILE));
        Self { path: path.to_owned(), tail, lines, heard, stream: None, unread: None, is_initial }
    }

    /// What says that there are new records of the kernel.
    pub(super) fn stream(&self) -> Option<BorrowedFd<'_>> {
        self.stream.as_ref().map(|(stream, _)| stream.as_fd())
    }

    /// What is new.
    pub(super) fn poll(&mut self) -> Vec<HostLoggingFact> {
        let mut facts = Vec::new();
        self.read_file(&mut facts);
        self.read_stream(&mut facts);
        self.lines.finish();
        facts.extend(self.lines.take().into_iter().map(|entry| HostLoggingFact::Entry(entry.into())));
        let cut = self.lines.take_cut() + self.tail.take_too_long();
        if cut > 0 {
            facts.push(self.gap(cut, false, "lines that are cut, or longer than any record"));
        }
        facts
    }

    fn read_file(&mut self, facts: &mut Vec<HostLoggingFact>) {
        let mut entries = 0;
        loop {
            let take = |line: &[u8]| {
                entries += 1;
                self.lines.line(line);
            };
            match self.tail.read(take) {
                Ok(TailEnd::UpToDate) => {
                    (self.unread, self.stream) = (None, None);
                    facts.extend(self.heard.begin(&self.path));
                    break;
                }
                Ok(TailEnd::More) => {}
                Ok(TailEnd::Truncated) => facts.push(self.gap(0, true, "the file is shorter than what was read of it")),
                Err(error) => {
                    facts.extend(self.cannot(&error));
                    break;
                }
            }
        }
        self.heard.entries(entries);
        facts.extend(self.heard.take());
    }

    /// The file cannot be read: the kernel is listened to in its place. Says once what is then not seen.
    fn cannot(&mut self, error: &io::Error) -> Option<HostLoggingFact> {
        let why = format!("{}: {error}", self.path.display());
        if self.unread.as_ref() == Some(&why) {
            return None;
        }
        self.unread = Some(why.clone());
        let unwatched = |why| Some(HostLoggingFact::Unwatched { part: FILE.to_owned(), why });
        match listen(self.is_initial) {
            Ok(stream) => {
                self.stream = Some((stream, Heard::new(HostLog::Audit, STREAM)));
                // What is there and may not be read can still be cut.
                if error.kind() == ErrorKind::NotFound { None } else { unwatched(why) }
            }
            Err(error) => unwatched(format!("{why}; nor can the kernel's audit be read in its place: {error}")),
        }
    }

    fn read_stream(&mut self, facts: &mut Vec<HostLoggingFact>) {
        let Some((stream, heard)) = &mut self.stream else { return };
        let mut entries = 0;
        let is_lost = stream.read(|line| {
            entries += 1;
            self.lines.line(line);
        });
        heard.entries(entries);
        facts.extend(heard.take());
        if is_lost {
            let why = "the kernel's audit: records came faster than they were read".to_owned();
            facts.push(HostLoggingFact::Gap { log: HostLog::Audit, count: 0, truncated: false, why });
        }
    }

    fn gap(&self, count: u64, truncated: bool, why: &str) -> HostLoggingFact {
        let why = if self.stream.is_some() {
            format!("the kernel's audit: {why}")
        } else {
            format!("{}: {why}", self.path.display())
        };
        HostLoggingFact::Gap { log: HostLog::Audit, count, truncated, why }
    }
}

fn listen(is_initial: bool) -> Result<AuditStream, String> {
    if !is_initial {
        return Err("it is told in the initial network namespace only, which this does not seem to be".to_owned());
    }
    AuditStream::open().map_err(|error| error.to_string())
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
        let line = "type=CONFIG_CHANGE msg=audit(1795000000.243:88): auid=1000 op=remove_rule list=4 res=1\n";
        std::fs::write(&path, format!("{line}type=CONF\n")).expect("written");
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
}
