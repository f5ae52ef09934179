//! Follows auditd's log, the journal and syslog's files while the sniffer runs.
//!
//! Contract: entries about recording itself become facts, and gaps do: lines that are cut, a file that is cut in place, entries of the journal that are
//! gone. A log that cannot be read is a fact, once. Never waits for the engine. Limits: reading begins with what is new, the journal where the last run
//! ended: its cursor is kept in the state directory. Design: one thread for all; `journalctl` is a child that this thread reads without waiting.

mod bell;
mod heard;
mod journal;
mod syslog;

use std::path::{Path, PathBuf};
use std::time::Duration;

use self::bell::Bell;
use self::heard::Heard;
use self::journal::Journal;
use self::syslog::Syslog;
use super::outbox::Outbox;
use super::source::{self, Source, SourceContext};
use crate::host::log_entries::{AuditLines, Tail, TailEnd};
use crate::input::{HostLog, HostLoggingFact};
use crate::sandbox::Role;
use crate::time::Timestamp;

/// Between two looks, and how long the end of the run may go unnoticed.
const INTERVAL: Duration = Duration::from_millis(500);
/// Looks at auditd's log alone before the others have their turn.
const ALONE: u32 = 50;
/// auditd's own configuration, and where it writes without one.
const AUDITD: &str = "/etc/audit/auditd.conf";
const AUDIT_LOG: &str = "/var/log/audit/audit.log";

/// Starts the source.
pub(super) fn start(context: &SourceContext, state_dir: Option<&Path>) -> anyhow::Result<Source> {
    let state_dir = state_dir.map(Path::to_owned);
    source::spawn(Role::Helpers, "host-logs", context, move |context| {
        let mut outbox = Outbox::new(context.sender.clone());
        watch(&mut outbox, &context, state_dir.as_deref());
        outbox.finish();
    })
}

fn watch(outbox: &mut Outbox, context: &SourceContext, state_dir: Option<&Path>) {
    let mut audit = Audit::new(&audit_log());
    let mut journal = Journal::new(state_dir);
    let mut syslog = Syslog::new(&syslog::FILES.map(Path::new));
    let mut bell = Bell::new(audit_folder());
    let mut alone = ALONE;
    while !context.is_over() {
        let mut facts = audit.poll();
        if alone >= ALONE {
            alone = 0;
            facts.extend(journal.poll());
            facts.extend(syslog.poll());
        }
        for fact in facts {
            outbox.rare(fact.into());
        }
        outbox.send();
        alone = if bell.wait(INTERVAL) { alone + 1 } else { ALONE };
    }
    journal.end();
}

/// What of syslog's files is not there to be read.
pub fn syslog_unwatched() -> Option<HostLoggingFact> {
    syslog::unwatched(syslog::FILES.iter().map(Path::new))
}

/// A log of the host, and when it was written last.
pub struct LastEntry {
    /// Its name for people.
    pub name: &'static str,
    /// Daemons of which one writes it.
    pub daemons: &'static [&'static str],
    /// When.
    pub at: Timestamp,
}

/// When each of the host's logs was written last; those that are not there are left out.
pub fn last_entries() -> Vec<LastEntry> {
    let logs: [(_, &[&str], _); 3] = [
        ("audit.log", &["auditd"], heard::written(&audit_log())),
        ("the journal", &["journald"], journal::last_written()),
        ("syslog's files", &["rsyslogd", "syslog-ng", "syslogd"], syslog::last_written()),
    ];
    logs.into_iter().filter_map(|(name, daemons, at)| Some(LastEntry { name, daemons, at: at? })).collect()
}

/// The program that reads the journal, wherever it may be.
pub(super) fn journalctl() -> Vec<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).map(|folder| folder.join(journal::JOURNALCTL)).collect()
}

/// The folder of auditd's log.
pub(super) fn audit_folder() -> Option<PathBuf> {
    audit_log().parent().map(Path::to_owned)
}

/// Where auditd writes.
fn audit_log() -> PathBuf {
    let text = std::fs::read_to_string(AUDITD).unwrap_or_default();
    let named = text.lines().find_map(|line| line.split_once('=').filter(|(key, _)| key.trim() == "log_file"));
    named.map_or_else(|| PathBuf::from(AUDIT_LOG), |(_, path)| PathBuf::from(path.trim()))
}

/// auditd's log.
struct Audit {
    path: PathBuf,
    tail: Tail,
    lines: AuditLines,
    heard: Heard,
    /// Why it could not be read the last time.
    unread: Option<String>,
}

impl Audit {
    fn new(path: &Path) -> Self {
        let heard = Heard::new(HostLog::Audit, "audit.log");
        Self { path: path.to_owned(), tail: Tail::new(path), lines: AuditLines::default(), heard, unread: None }
    }

    fn poll(&mut self) -> Vec<HostLoggingFact> {
        let (mut facts, mut entries) = (Vec::new(), 0);
        loop {
            let take = |line: &[u8]| {
                entries += 1;
                self.lines.line(line);
            };
            match self.tail.read(take) {
                Ok(TailEnd::UpToDate) => {
                    self.unread = None;
                    facts.extend(self.heard.begin(&self.path));
                    break;
                }
                Ok(TailEnd::More) => {}
                Ok(TailEnd::Truncated) => facts.push(self.gap(0, true, "the file is shorter than what was read of it")),
                Err(error) => {
                    let why = format!("{}: {error}", self.path.display());
                    if self.unread.as_ref() != Some(&why) {
                        self.unread = Some(why.clone());
                        facts.push(HostLoggingFact::Unwatched { part: "audit.log".to_owned(), why });
                    }
                    break;
                }
            }
        }
        self.heard.entries(entries);
        facts.extend(self.heard.take());
        self.lines.finish();
        facts.extend(self.lines.take().into_iter().map(|entry| HostLoggingFact::Entry(entry.into())));
        let cut = self.lines.take_cut() + self.tail.take_too_long();
        if cut > 0 {
            facts.push(self.gap(cut, false, "lines that are cut, or longer than any record"));
        }
        facts
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
        let mut audit = Audit::new(&path);
        assert!(matches!(&audit.poll()[..], [HostLoggingFact::Unwatched { .. }]));
        assert_eq!(audit.poll(), [], "once");
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
