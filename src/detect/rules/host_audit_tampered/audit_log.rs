//! Whether audit.log has what the kernel must have written.
//!
//! Contract: a line is expected only when rules changed while audit recorded, auditd ran and took the records, and its log had lines before: the kernel writes down every
//! change of its rules. Any line of that time or later is enough. Limits: a filter that excludes `CONFIG_CHANGE` breaks the expectation (ADR 28).

use std::time::Duration;

use crate::input::HostLogging;
use crate::time::Timestamp;

/// The line must be read by then: lines are told once a minute, and rules are looked at every two seconds.
pub(super) const WITHIN: Duration = Duration::from_secs(150);
/// So long before the change is seen its line may have been read.
const BEFORE: Duration = Duration::from_secs(10);
const AUDITD: &str = "auditd";

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct AuditLog {
    /// When its last line was read.
    heard: Option<Timestamp>,
}

impl AuditLog {
    /// Its name in facts.
    pub(super) const PART: &str = "audit.log";

    pub(super) fn hear(&mut self, at: Timestamp) {
        self.heard = self.heard.max(Some(at));
    }

    /// It cannot be read.
    pub(super) const fn unread(&mut self) {
        self.heard = None;
    }

    /// Whether a line of then may be about a change that was seen later.
    pub(super) fn is_about(line: Timestamp, change: Timestamp) -> bool {
        line.plus(BEFORE) >= change
    }

    /// Whether the kernel must have written something between two states, and no line of that time was read yet.
    pub(super) fn must_have_a_line(&self, before: Option<&HostLogging>, state: &HostLogging, now: Timestamp) -> bool {
        let audits = before.and_then(|before| Some((before.audit.as_ref()?, state.audit.as_ref()?)));
        let is_changed = audits.is_some_and(|(old, new)| old.enabled && new.enabled && old.rules != new.rules);
        let is_written = before.is_some_and(is_read_by_auditd) && is_read_by_auditd(state);
        is_changed && is_written && self.heard.is_some_and(|heard| !Self::is_about(heard, now))
    }

    /// That it is silent.
    pub(super) fn text(&self) -> String {
        let last = self.heard.map_or_else(|| "not known".to_owned(), Timestamp::readable);
        format!(
            "the kernel's audit rules changed, which is always written down, and audit.log has no line about it; its last line: {last}"
        )
    }
}

/// Whether the kernel hands its records to auditd.
pub(super) fn is_read_by_auditd(state: &HostLogging) -> bool {
    let reader = state.audit.as_ref().and_then(|audit| audit.reader.as_deref());
    reader == Some(AUDITD) && state.daemons.contains(AUDITD)
}
