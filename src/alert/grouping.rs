//! Groups findings into alerts and holds back what an exception allows.
//!
//! Contract: the first finding of a cause raises an alert at once. Repetitions count; an update reports them at most once per
//! `update_interval`, but at once when the severity rises or a destination is new. Every destination is listed in some line: the first
//! `max_destinations` at once, later ones in groups, the oldest making room. Every finding is in some alert's count or in an exception's hit count.
//! Without a repetition an alert comes again only if its flow carried at least [`MUCH`] more.
//! Limits: at `max_open` alerts the longest quiet one is closed, and counted; of [`MAX_NAMED`] destinations it is known that they were listed.
//! Design: keyed by rule, workload, contract and cause; the id is a hash of that key and the first event time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::model::{Alert, Destination, SCHEMA};
use super::{Exception, convert, exception, steps};
use crate::detect::{Finding, SEED_REFERENCE};
use crate::input::{Endpoint, FlowId, FlowRecord, Protocol};
use crate::path::Evidence;
use crate::time::Timestamp;

/// Bytes that the first flow of an alert carries before they alone are worth an update.
const MUCH: u64 = 1 << 20;
/// Destinations that an alert remembers after they left its list.
const MAX_NAMED: usize = 1024;

/// Bounds and intervals.
#[derive(Clone, Copy, Debug)]
pub struct GroupingLimits {
    /// Between two counted updates of one alert.
    pub update_interval: Duration,
    /// Without a repetition, an alert is closed.
    pub close_after: Duration,
    /// Alerts open at once.
    pub max_open: usize,
    /// Destinations listed in one alert.
    pub max_destinations: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    rule: &'static str,
    workload: String,
    contract: String,
    cause: String,
}

#[derive(Debug)]
struct OpenAlert {
    alert: Alert,
    flow: Option<FlowId>,
    last_sent: Timestamp,
    pending: bool,
    /// The flow's counters grew since the last line, by less than is worth one; the last line of all has them.
    grew: bool,
    /// Bytes of the flow in the last line.
    sent_bytes: u64,
    /// Its end was reported.
    is_over: bool,
    /// Destinations that were listed and made room for others.
    named: BTreeSet<Endpoint>,
}

/// What became of a finding.
#[derive(Debug, PartialEq)]
pub enum Disposition {
    /// Raised or updated an alert, which has to be delivered.
    Deliver(Box<Alert>),
    /// Counted; an update is due then.
    DueAt(Timestamp),
    /// Counted; an update is due already.
    Counted,
    /// Held back by an exception.
    Allowed(String),
}

/// The open alerts.
#[derive(Debug)]
pub struct AlertGrouper {
    limits: GroupingLimits,
    exceptions: Vec<Exception>,
    open: BTreeMap<Key, OpenAlert>,
    by_flow: BTreeMap<FlowId, Key>,
    closed_early: u64,
    /// Last updates of closed alerts that had counted something that was not reported.
    final_updates: Vec<Alert>,
}

impl AlertGrouper {
    /// No alert is open.
    pub const fn new(exceptions: Vec<Exception>, limits: GroupingLimits) -> Self {
        Self {
            limits,
            exceptions,
            open: BTreeMap::new(),
            by_flow: BTreeMap::new(),
            closed_early: 0,
            final_updates: Vec::new(),
        }
    }

    /// Alerts that were closed because too many were open.
    pub const fn closed_early(&self) -> u64 {
        self.closed_early
    }

    /// Takes in a finding.
    pub fn ingest(&mut self, mut finding: Finding) -> Disposition {
        if !finding.is_over
            && let Some(exception) = exception::that_covers(&self.exceptions, &finding)
        {
            if finding.at < exception.expires {
                return Disposition::Allowed(exception.name.clone());
            }
            finding.evidence.push(expired_note(exception));
        }
        let key = key(&finding);
        if finding.is_over {
            return self.open.get_mut(&key).map_or(Disposition::Counted, |open| open.end(&finding, &self.limits));
        }
        if self.open.get(&key).is_some_and(|open| finding.at.since(open.alert.last_seen) >= self.limits.close_after) {
            self.close(&key);
        }
        match self.open.get_mut(&key) {
            Some(open) => open.repeat(&finding, &self.limits),
            None => self.raise(key, &finding),
        }
    }

    /// Brings the counters of a flow behind an alert up to date. When it has ended there is an update to send, due at the time
    /// returned.
    pub fn on_flow(&mut self, record: &FlowRecord, ended: bool) -> Option<Timestamp> {
        let open = self.open.get_mut(self.by_flow.get(&record.id)?)?;
        let flow = open.alert.flow.as_mut()?;
        let before = (flow.orig.packets, flow.resp.packets);
        let points = std::mem::take(&mut flow.observation_points);
        let translated = flow.translated.take();
        let same_way = flow.orig.endpoint == record.tuple.orig;
        let record = record.oriented(same_way);
        *flow = convert::record(&record, points, translated);
        open.grew |= (flow.orig.packets, flow.resp.packets) != before;
        let changed = ended && !open.pending && bytes(&open.alert) >= open.sent_bytes.saturating_add(MUCH);
        open.pending |= changed;
        changed.then(|| open.last_sent.plus(self.limits.update_interval).max(record.end))
    }

    /// Last updates of alerts that were closed since this was last asked, so that no count is lost.
    pub fn final_updates(&mut self) -> Vec<Alert> {
        std::mem::take(&mut self.final_updates)
    }

    /// Updates whose time has come, in order of key.
    pub fn due(&mut self, now: Timestamp) -> Vec<Alert> {
        let interval = self.limits.update_interval;
        let due = self.open.values_mut().filter(|open| open.pending && now >= open.last_sent.plus(interval));
        due.map(|open| open.emit(now)).collect()
    }

    /// The observation ends: everything that was counted but not yet reported.
    pub fn finish(&mut self, now: Timestamp) -> Vec<Alert> {
        self.open.values_mut().filter(|open| open.pending || open.grew).map(|open| open.emit(now)).collect()
    }

    fn raise(&mut self, key: Key, finding: &Finding) -> Disposition {
        if self.open.len() >= self.limits.max_open.max(1) {
            let quietest = self.open.iter().min_by_key(|(_, open)| open.alert.last_seen).map(|(key, _)| key.clone());
            if let Some(quietest) = quietest {
                self.close(&quietest);
                self.closed_early += 1;
            }
        }
        let alert = alert(&key, finding);
        let flow = finding.flow.as_ref().map(|view| view.record.id);
        if let Some(id) = flow {
            self.by_flow.insert(id, key.clone());
        }
        let mut open = OpenAlert::new(alert, flow, finding.at);
        let first = open.alert.clone();
        open.settle();
        self.open.insert(key, open);
        Disposition::Deliver(Box::new(first))
    }

    fn close(&mut self, key: &Key) {
        let Some(mut open) = self.open.remove(key) else { return };
        if open.pending || open.grew {
            let last_seen = open.alert.last_seen;
            self.final_updates.push(open.emit(last_seen));
        }
        if let Some(id) = open.flow {
            self.by_flow.remove(&id);
        }
    }
}

impl OpenAlert {
    const fn new(alert: Alert, flow: Option<FlowId>, at: Timestamp) -> Self {
        let named = BTreeSet::new();
        Self { alert, flow, last_sent: at, pending: false, grew: false, sent_bytes: 0, is_over: false, named }
    }

    fn repeat(&mut self, finding: &Finding, limits: &GroupingLimits) -> Disposition {
        let full = !finding.is_revision && self.new_destination(finding, limits.max_destinations);
        let alert = &mut self.alert;
        alert.count += u64::from(!finding.is_revision);
        alert.last_seen = alert.last_seen.max(finding.at);
        let rises = finding.severity > alert.severity;
        if rises {
            alert.severity = finding.severity;
        }
        if rises || std::mem::take(&mut self.is_over) {
            alert.evidence.clone_from(&finding.evidence);
        }
        if rises || full {
            return Disposition::Deliver(Box::new(self.emit(finding.at)));
        }
        self.later(finding.at, limits)
    }

    /// The cause has ended.
    fn end(&mut self, finding: &Finding, limits: &GroupingLimits) -> Disposition {
        if std::mem::replace(&mut self.is_over, true) {
            return Disposition::Counted;
        }
        self.alert.evidence.extend(finding.evidence.iter().cloned());
        if finding.at >= self.last_sent.plus(limits.update_interval) {
            return Disposition::Deliver(Box::new(self.emit(finding.at)));
        }
        self.later(finding.at, limits)
    }

    fn later(&mut self, now: Timestamp, limits: &GroupingLimits) -> Disposition {
        let due = self.last_sent.plus(limits.update_interval).max(now);
        if std::mem::replace(&mut self.pending, true) { Disposition::Counted } else { Disposition::DueAt(due) }
    }

    fn emit(&mut self, now: Timestamp) -> Alert {
        self.last_sent = self.last_sent.max(now);
        self.alert.update += 1;
        let alert = self.alert.clone();
        self.settle();
        alert
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
        alert.destinations.push(destination(endpoint, finding));
        alert.destinations_new += 1;
        is_among_the_first || alert.destinations_new >= most
    }
}

/// Bytes of the first flow, both ways.
fn bytes(alert: &Alert) -> u64 {
    alert.flow.as_ref().map_or(0, |flow| flow.orig.bytes.saturating_add(flow.resp.bytes))
}

fn destination(endpoint: Endpoint, finding: &Finding) -> Destination {
    let protocol = finding.flow.as_ref().map_or(Protocol::TCP, |flow| flow.record.tuple.protocol);
    Destination { endpoint, count: 1, first_seen: finding.at, last_seen: finding.at, protocol }
}

fn key(finding: &Finding) -> Key {
    Key {
        rule: finding.rule.name,
        workload: finding.workload.as_ref().map(|workload| workload.id.to_string()).unwrap_or_default(),
        contract: finding.contract.clone().unwrap_or_default(),
        cause: finding.cause.clone(),
    }
}

fn alert(key: &Key, finding: &Finding) -> Alert {
    Alert {
        schema: SCHEMA,
        id: id(key, finding.at),
        update: 0,
        rule: finding.rule.name,
        title: finding.rule.title,
        severity: finding.severity,
        first_seen: finding.at,
        last_seen: finding.at,
        count: 1,
        workload: finding.workload.as_deref().map(convert::workload),
        flow: finding.flow.as_ref().map(convert::flow),
        destinations: finding.destination.map(|end| destination(end, finding)).into_iter().collect(),
        destinations_new: usize::from(finding.destination.is_some()),
        destinations_omitted: 0,
        contract: finding.contract.clone(),
        verdict: finding.verdict.map(convert::verdict),
        missing_hop: finding.missing_hop.clone(),
        evidence: finding.evidence.clone(),
        attribution: finding.attribution.as_ref().map(convert::attribution),
        attack: finding.rule.techniques.to_vec(),
        seed_reference: SEED_REFERENCE,
        response: steps::concrete(finding),
        link: format!("docs/rules/{}.md", finding.rule.name),
    }
}

/// SHA-256 over the key and the first event time, the first 64 bits.
fn id(key: &Key, first_seen: Timestamp) -> String {
    let mut hash = Sha256::new();
    for part in [key.rule, &key.workload, &key.contract, &key.cause] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.update(first_seen.as_nanos().to_be_bytes());
    hash.finalize().iter().take(8).fold(String::with_capacity(16), |text, byte| text + &format!("{byte:02x}"))
}

fn expired_note(exception: &Exception) -> Evidence {
    let Exception { name, owner, expires, .. } = exception;
    let until = expires.readable();
    Evidence::new("exception", format!("exception {name} (owner: {owner}) allowed this until it expired at {until}"))
}
