//! The kernel's audit itself, for as long as auditd does not write it down.
//!
//! Contract: entries about recording itself become facts, and so do records that are cut, or for which there was no room. Who takes the kernel's records is
//! asked every [`ASK`]. Limits: the initial network namespace alone; the kernel keeps no records for a listener that comes later. Design: a name in `/proc` is read
//! by a thread that may see it.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use super::heard::Heard;
use crate::clock::instant;
use crate::host::AuditStream;
use crate::host::log_entries::AuditLines;
use crate::host::logging::audit_reader;
use crate::input::{HostLog, HostLoggingFact};
use crate::sandbox;

/// Its name in facts.
const STREAM: &str = "audit";
const AUDITD: &str = "auditd";
/// Between two questions of who takes its records.
const ASK: Duration = Duration::from_secs(2);
/// The same where the kernel did not answer.
const ASK_AGAIN: Duration = Duration::from_mins(1);

/// What the kernel hands over.
pub(super) struct KernelAudit {
    stream: AuditStream,
    lines: AuditLines,
    heard: Heard,
}

impl KernelAudit {
    /// From now on; why not, in words.
    pub(super) fn open(is_initial: bool) -> Result<Self, String> {
        if !is_initial {
            return Err("the kernel hands audit records over in the initial network namespace only, and this does not seem to be it".to_owned());
        }
        let stream = AuditStream::open().map_err(|error| error.to_string())?;
        Ok(Self { stream, lines: AuditLines::default(), heard: Heard::new(HostLog::Audit, STREAM) })
    }

    /// What says that there are new records.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// What is new.
    pub(super) fn poll(&mut self, facts: &mut Vec<HostLoggingFact>) {
        let mut entries = 0;
        let is_lost = self.stream.read(|line| {
            entries += 1;
            self.lines.line(line);
        });
        self.heard.entries(entries);
        facts.extend(self.heard.take());
        if is_lost {
            facts.push(gap(0, "records came faster than they were read"));
        }
        self.lines.finish();
        facts.extend(self.lines.take().into_iter().map(|entry| HostLoggingFact::Entry(entry.into())));
        let cut = self.lines.take_cut();
        if cut > 0 {
            facts.push(gap(cut, "records that are cut"));
        }
    }
}

fn gap(count: u64, why: &str) -> HostLoggingFact {
    let why = format!("the kernel's audit: {why}");
    HostLoggingFact::Gap { log: HostLog::Audit, count, truncated: false, why }
}

/// Whether auditd takes the kernel's records.
pub(super) struct Reader {
    ask: fn() -> Option<bool>,
    known: Option<bool>,
    due: Instant,
}

impl Reader {
    /// Asks the kernel, in the initial network namespace alone.
    pub(super) fn new(is_initial: bool) -> Self {
        Self::by(if is_initial { ask } else { || None })
    }

    /// Asks by this function.
    pub(super) fn by(ask: fn() -> Option<bool>) -> Self {
        Self { ask, known: None, due: instant() }
    }

    /// What is known; nothing where the kernel does not say it.
    pub(super) fn is_auditd(&mut self) -> Option<bool> {
        if instant() >= self.due {
            self.known = (self.ask)();
            self.due = instant() + if self.known.is_some() { ASK } else { ASK_AGAIN };
        }
        self.known
    }

    /// Another answer, and no wait for it.
    #[cfg(test)]
    pub(super) fn become_of(&mut self, ask: fn() -> Option<bool>) {
        *self = Self::by(ask);
    }
}

fn ask() -> Option<bool> {
    // This thread may not see it.
    let reader = sandbox::look(audit_reader).ok()?.ok()?;
    Some(reader.as_deref() == Some(AUDITD))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_the_records_is_asked_again_after_a_while() {
        let mut reader = Reader::by(|| Some(true));
        assert_eq!(reader.is_auditd(), Some(true));
        reader.ask = || Some(false);
        assert_eq!(reader.is_auditd(), Some(true), "not yet");
        reader.due = instant();
        assert_eq!(reader.is_auditd(), Some(false));
        assert_eq!(Reader::new(false).is_auditd(), None, "another network is told nothing");
    }

    #[test]
    fn another_network_is_not_listened_in() {
        let refused = KernelAudit::open(false).err().unwrap_or_default();
        assert!(refused.contains("initial network namespace"), "{refused}");
    }
}
