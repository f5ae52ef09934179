//! Alerts that an earlier run left open, until something is found of them or they are over.
//!
//! Contract: the first finding of the same condition continues the alert: same id, next update, counts added. What was seen continues while it would have without
//! a restart; what stands, when it is found again in time. Limits: as many as may be open. Design: recognised by a hash, so that nothing of the
//! cause has to be kept; a run that found none of them open pays nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::key::{Key, stands};
use crate::alert::model::{Alert, Condition};
use crate::detect::{Finding, RuleMeta, Severity, rules};
use crate::input::{OpenAlert, Workload};
use crate::path::Evidence;
use crate::time::Timestamp;

/// By condition, with the time when they are over.
#[derive(Debug, Default)]
pub(super) struct Resumed(BTreeMap<String, (OpenAlert, Timestamp)>);

impl Resumed {
    /// Whether there was room.
    pub(super) fn add(&mut self, left: &OpenAlert, until: Timestamp, most: usize) -> bool {
        let has_room = self.0.len() < most || self.0.contains_key(&left.condition);
        if has_room {
            self.0.insert(left.condition.clone(), (left.clone(), until));
        }
        has_room
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        !self.0.is_empty() && self.0.contains_key(&key.condition())
    }

    /// The alert that a finding continues.
    pub(super) fn take(&mut self, key: &Key, finding: &Finding, close_after: Duration) -> Option<OpenAlert> {
        if self.0.is_empty() {
            return None;
        }
        let (left, _) = self.0.remove(&key.condition())?;
        let continues = stands(finding) || finding.at.since(left.last_seen) < close_after;
        continues.then_some(left)
    }

    /// What stands and was not found again in time. What was seen and did not come again is forgotten.
    pub(super) fn take_over(&mut self, now: Timestamp) -> Vec<OpenAlert> {
        let over = self.0.extract_if(.., |_, (_, until)| *until <= now);
        over.map(|(_, (left, _))| left).filter(|left| left.stands).collect()
    }
}

/// The alert of an earlier run, with what was found now.
pub(super) fn continued(key: &Key, finding: &Finding, left: OpenAlert) -> Alert {
    let text = format!("this alert was open, with update {}, when hopwatch ended; it goes on", left.update);
    let mut alert = key.alert(finding, left.id);
    alert.update = left.update.saturating_add(1);
    alert.count = left.count.saturating_add(u64::from(!finding.is_over && !finding.is_revision));
    alert.first_seen = left.first_seen.min(finding.at);
    alert.last_seen = left.last_seen.max(finding.at);
    alert.severity = alert.severity.max(severity(&left.severity).unwrap_or(alert.severity));
    alert.evidence.push(Evidence::new("restart", text));
    alert
}

/// The last line of an alert that is over; none where its rule is no longer known.
pub(super) fn ended(left: &OpenAlert, workload: Option<Arc<Workload>>) -> Option<Alert> {
    let rule: &'static RuleMeta = rules::ALL.iter().find(|rule| rule.name == left.rule)?;
    let text = "this alert was open when hopwatch ended, and was not found again since hopwatch runs: it is over, or can no longer be seen";
    let evidence = vec![Evidence::new("restart", text.to_owned())];
    let finding = Finding { workload, is_over: true, ..Finding::of_nobody(rule, left.last_seen, "", evidence) };
    let mut alert = Key::of(&finding).alert(&finding, left.id.clone());
    alert.update = left.update.saturating_add(1);
    alert.count = left.count;
    alert.first_seen = left.first_seen;
    alert.severity = severity(&left.severity).unwrap_or(rule.severity);
    alert.condition = Some(Condition { hash: left.condition.as_str().into(), stands: true });
    Some(alert)
}

fn severity(word: &str) -> Option<Severity> {
    Severity::ALL.into_iter().find(|severity| severity.as_str() == word)
}
