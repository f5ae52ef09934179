//! Alerts that an earlier run left open, until something is found of them.
//!
//! Contract: the first finding of the same condition continues the alert: same id, next update, counts added. It does so while it would have without a restart;
//! a setting that each run looks at anew also does so where it is found soon after the start. What is not found again is forgotten without a word: that
//! it was not seen proves nothing. Limits: as many as may be open. Design: recognised by a hash, so that nothing of the cause has to be kept; a run that found
//! none of them open pays nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use super::key::Key;
use crate::alert::model::Alert;
use crate::detect::{Finding, Severity};
use crate::input::OpenAlert;
use crate::path::Evidence;
use crate::time::Timestamp;

/// By condition, with the time when they are forgotten.
#[derive(Debug, Default)]
pub(super) struct Resumed(BTreeMap<String, (OpenAlert, Timestamp)>);

impl Resumed {
    /// Whether there was room. What is no hash was not written by hopwatch, and is left out.
    pub(super) fn add(&mut self, left: &OpenAlert, until: Timestamp, most: usize) -> bool {
        let has_room = self.0.len() < most || self.0.contains_key(&left.condition);
        let is_own = is_hash(&left.condition, 32) && is_hash(&left.id, 16);
        if has_room && is_own {
            self.0.insert(left.condition.clone(), (left.clone(), until));
        }
        has_room && is_own
    }

    /// The alert that a finding continues.
    pub(super) fn take(&mut self, key: &Key, finding: &Finding, close_after: Duration) -> Option<OpenAlert> {
        if self.0.is_empty() {
            return None;
        }
        let (left, _) = self.0.remove(&key.condition())?;
        let continues = (left.stands && finding.stands) || finding.at.since(left.last_seen) < close_after;
        continues.then_some(left)
    }

    /// Forgets what was not found again in time.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.0.retain(|_, (_, until)| *until > now);
    }
}

/// Hexadecimal digits as an id and a condition have them: they are shown on terminals and in commands to paste.
fn is_hash(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The alert of an earlier run, with what was found now.
pub(super) fn continued(key: &Key, finding: &Finding, left: OpenAlert) -> Alert {
    let text = format!("an earlier run of hopwatch raised this alert; its last update was {}; it goes on", left.update);
    let mut alert = key.alert(finding, left.id);
    alert.update = left.update.saturating_add(1);
    alert.count = left.count.saturating_add(u64::from(!finding.is_over && !finding.is_revision));
    alert.first_seen = left.first_seen.min(finding.at);
    alert.last_seen = left.last_seen.max(finding.at);
    alert.severity = alert.severity.max(Severity::of_word(&left.severity).unwrap_or(alert.severity));
    alert.evidence.push(Evidence::new("restart", text));
    alert
}
