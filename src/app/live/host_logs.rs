//! Follows auditd's log (or the kernel's audit, where auditd does not write it), the journal and syslog's files while the sniffer runs.
//!
//! Contract: entries about recording itself become facts, and gaps do: lines that are cut, a file that is cut in place, entries of the journal that are
//! gone. A log that cannot be read is a fact, once. Never waits for the engine. Limits: reading begins with what is new, the journal where the last run
//! ended: its cursor is kept in the state directory. Design: one thread for all; `journalctl` is a child that this thread reads without waiting.

mod audit;
mod bell;
mod gone;
mod heard;
mod journal;
mod kernel_audit;
mod syslog;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use self::audit::Audit;
use self::bell::Bell;
use self::journal::Journal;
use self::syslog::Syslog;
use super::outbox::Outbox;
use super::source::{self, Source, SourceContext};
use crate::host::is_in_initial_network;
use crate::host::log_entries::open_plain;
use crate::input::HostLoggingFact;
use crate::sandbox::{self, Role};
use crate::time::Timestamp;

/// Between two looks, and how long the end of the run may go unnoticed.
const INTERVAL: Duration = Duration::from_millis(500);
/// Looks at auditd's log alone before the others have their turn.
const ALONE: u32 = 50;
/// What is said of a log when too much of it came at once (`TailEnd::Skipped`).
const SKIPPED: &str = "more than 256 MiB came at once: what is before the last 4 MiB of it was not read";
/// auditd's own configuration, and where it writes without one.
const AUDITD: &str = "/etc/audit/auditd.conf";
const AUDIT_LOG: &str = "/var/log/audit/audit.log";
/// Bytes of the configuration that are read; it has some forty short lines.
const MAX_CONFIG: u64 = 1 << 16;

/// Starts the source.
pub(super) fn start(context: &SourceContext, state_dir: Option<&Path>) -> anyhow::Result<Source> {
    let state_dir = state_dir.map(Path::to_owned);
    // This thread may not see it.
    let is_initial = sandbox::look(is_in_initial_network).context("looking for the initial network namespace")?;
    source::spawn(Role::Helpers, "host-logs", context, move |context| {
        let mut outbox = Outbox::new(context.sender.clone());
        watch(&mut outbox, &context, state_dir.as_deref(), is_initial);
        outbox.finish();
    })
}

fn watch(outbox: &mut Outbox, context: &SourceContext, state_dir: Option<&Path>, is_initial: bool) {
    let mut audit = Audit::new(&audit_log(), is_initial);
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
        alone = if bell.wait(INTERVAL, audit.stream()) { alone + 1 } else { ALONE };
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
    let mut bytes = Vec::new();
    // One that cannot be read names nothing.
    let _ = open_plain(Path::new(AUDITD)).and_then(|(file, _)| file.take(MAX_CONFIG).read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    let named = text.lines().find_map(|line| line.split_once('=').filter(|(key, _)| key.trim() == "log_file"));
    named.map_or_else(|| PathBuf::from(AUDIT_LOG), |(_, path)| PathBuf::from(path.trim()))
}
