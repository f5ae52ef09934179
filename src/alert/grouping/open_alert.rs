//! One open alert: what it has counted, and what of it is not reported yet.

use std::collections::BTreeSet;
use std::time::Duration;

use super::further::Further;
use super::order::Place;
use super::replicas::Replicas;
use super::{Disposition, GroupingLimits};
use crate::alert::convert;
use crate::alert::model::Alert;
use crate::detect::Finding;
use crate::input::{Endpoint, FlowId, FlowRecord};
use crate::time::Timestamp;

/// Bytes that the first flow of an alert carries before they alone are worth an update.
const MUCH: u64 = 1 << 20;
/// Destinations that an alert remembers after they left its list.
const MAX_NAMED: usize = 1024;

#[derive(Debug)]
pub(super) struct OpenAlert {
    alert: Alert,
    pub(super) flow: Option<FlowId>,
    last_sent: Timestamp,
    pending: bool,
    /// The flow's counters grew since the last line, by less than is worth one; the last line of all has them.
    grew: bool,
    /// Bytes of the flow in the last line.
    sent_bytes: u64,
    /// Destinations that were listed and made room for others.
    named: BTreeSet<Endpoint>,
    /// The causes that it stands for, where it summarises them.
    pub(super) further: Option<Box<Further>>,
    /// The containers that it is about, where it counts those of a roll-out.
    replicas: Option<Box<Replicas>>,
}

impl OpenAlert {
    pub(super) const fn new(alert: Alert, flow: Option<FlowId>, at: Timestamp) -> Self {
        let named = BTreeSet::new();
        Self {
            alert,
            flow,
            last_sent: at,
            pending: false,
            grew: false,
            sent_bytes: 0,
            named,
            further: None,
            replicas: None,
        }
    }

    /// Where it stands in the order of time.
    pub(super) fn place(&self, interval: Duration) -> Place {
        Place { last_seen: self.alert.last_seen, due: self.pending.then(|| self.last_sent.plus(interval)) }
    }

    /// Whether something was counted that no line has.
    pub(super) const fn is_unreported(&self) -> bool {
        self.pending || self.grew
    }

    /// The line that raises it.
    pub(super) fn first_line(&mut self) -> Alert {
        let first = self.line();
        self.settle();
        first
    }

    pub(super) fn repeat(&mut self, finding: &Finding, limits: &GroupingLimits) -> Disposition {
        self.count_replica(finding);
        let full = !finding.is_revision && self.new_destination(finding, limits.max_destinations);
        let alert = &mut self.alert;
        alert.count += u64::from(!finding.is_revision);
        alert.last_seen = alert.last_seen.max(finding.at);
        let rises = finding.severity > alert.severity;
        if rises {
            alert.severity = finding.severity;
        }
        // What an anomaly looks like now says more than what it looked like first.
        if rises || std::mem::take(&mut alert.ended) || finding.explanation.is_some() {
            alert.evidence.clone_from(&finding.evidence);
        }
        if finding.explanation.is_some() {
            alert.anomaly.clone_from(&finding.explanation);
        }
        if rises || full {
            return Disposition::Deliver(Box::new(self.emit(finding.at)));
        }
        self.later(finding.at, limits)
    }

    /// Counts the container of a finding that is about a roll-out.
    pub(super) fn count_replica(&mut self, finding: &Finding) {
        if let Some(workload) = finding.workload.as_ref().filter(|_| finding.roll_out.is_some()) {
            self.replicas.get_or_insert_default().count(workload);
        }
    }

    /// The cause has ended.
    pub(super) fn end(&mut self, finding: &Finding, limits: &GroupingLimits) -> Disposition {
        if std::mem::replace(&mut self.alert.ended, true) {
            return Disposition::Counted;
        }
        self.alert.evidence.extend(finding.evidence.iter().cloned());
        if finding.at >= self.last_sent.plus(limits.update_interval) {
            return Disposition::Deliver(Box::new(self.emit(finding.at)));
        }
        self.later(finding.at, limits)
    }

    /// Brings the counters of its flow up to date; when an update is due, where there is one to send.
    pub(super) fn on_flow(&mut self, record: &FlowRecord, ended: bool, limits: &GroupingLimits) -> Option<Timestamp> {
        let flow = self.alert.flow.as_mut()?;
        let before = (flow.orig.packets, flow.resp.packets);
        let points = std::mem::take(&mut flow.observation_points);
        let translated = flow.translated.take();
        let same_way = flow.orig.endpoint == record.tuple.orig;
        let record = record.oriented(same_way);
        *flow = convert::record(&record, points, translated);
        self.grew |= (flow.orig.packets, flow.resp.packets) != before;
        let changed = ended && !self.pending && bytes(&self.alert) >= self.sent_bytes.saturating_add(MUCH);
        self.pending |= changed;
        changed.then(|| self.last_sent.plus(limits.update_interval).max(record.end))
    }

    /// The next line.
    pub(super) fn emit(&mut self, now: Timestamp) -> Alert {
        self.last_sent = self.last_sent.max(now);
        self.alert.update += 1;
        let alert = self.line();
        self.settle();
        alert
    }

    /// The last line, where something was counted that no line has.
    pub(super) fn last_line(&mut self) -> Option<Alert> {
        let last_seen = self.alert.last_seen;
        self.is_unreported().then(|| self.emit(last_seen))
    }

    /// Whether it is about what this hash names.
    pub(super) fn is_about(&self, condition: &str) -> bool {
        self.alert.condition.as_ref().is_some_and(|own| *own.hash == *condition)
    }

    pub(super) const fn last_seen(&self) -> Timestamp {
        self.alert.last_seen
    }

    fn line(&self) -> Alert {
        let mut alert = self.alert.clone();
        alert.evidence.extend(self.further.iter().flat_map(|further| further.evidence()));
        alert.evidence.extend(self.replicas.iter().filter_map(|replicas| replicas.evidence()));
        alert
    }

    fn later(&mut self, now: Timestamp, limits: &GroupingLimits) -> Disposition {
        let due = self.last_sent.plus(limits.update_interval).max(now);
        if std::mem::replace(&mut self.pending, true) { Disposition::Counted } else { Disposition::DueAt(due) }
    }

    /// All that there is was reported.
    fn settle(&mut self) {
        (self.pending, self.grew) = (false, false);
        self.sent_bytes = bytes(&self.alert);
        self.alert.destinations_new = 0;
    }

    /// Counts the destination; whether it must be reported now: as one of the first, or because a whole list waits.
    fn new_destination(&mut self, finding: &Finding, most: usize) -> bool {
        let Some(endpoint) = finding.destination else { return false };
        let alert = &mut self.alert;
        if let Some(known) = alert.destinations.iter_mut().find(|known| known.endpoint == endpoint) {
            known.count += 1;
            known.last_seen = known.last_seen.max(finding.at);
            return false;
        }
        if self.named.contains(&endpoint) {
            alert.destinations_omitted += 1;
            return false;
        }
        let is_among_the_first = alert.destinations.len() < most;
        if !is_among_the_first {
            let oldest = alert.destinations.remove(0);
            alert.destinations_omitted += oldest.count;
            if self.named.len() >= MAX_NAMED {
                self.named.pop_first();
            }
            self.named.insert(oldest.endpoint);
        }
        alert.destinations.push(convert::destination(endpoint, finding));
        alert.destinations_new += 1;
        is_among_the_first || alert.destinations_new >= most
    }
}

/// Bytes of the first flow, both ways.
fn bytes(alert: &Alert) -> u64 {
    alert.flow.as_ref().map_or(0, |flow| flow.orig.bytes.saturating_add(flow.resp.bytes))
}
