//! Groups findings into alerts and holds back what an exception allows.
//!
//! Contract: the first finding of a cause raises an alert at once. Repetitions count; an update reports them at most once an
//! `update_interval`, but at once when the severity rises or a listed destination is new. Every finding is in some alert's count
//! or in an exception's hit count. Limits: at `max_open` alerts the longest quiet one is closed, and counted.
//! Design: keyed by rule, workload, contract and cause; the id is a hash of that key and the first event time.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::model::{Alert, Destination, SCHEMA};
use super::{Exception, convert};
use crate::detect::{Finding, SEED_REFERENCE};
use crate::input::{FlowId, FlowRecord};
use crate::path::Evidence;
use crate::time::Timestamp;

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
    /// Last updates of closed alerts that had counted something pending.
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
        match self.exceptions.iter().find(|exception| exception.covers(&finding)) {
            Some(exception) if finding.at < exception.expires => return Disposition::Allowed(exception.name.clone()),
            Some(expired) => finding.evidence.push(expired_note(expired)),
            None => {}
        }
        let key = key(&finding);
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
        let changed = ended && !open.pending && (flow.orig.packets, flow.resp.packets) != before;
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
        self.open.values_mut().filter(|open| open.pending).map(|open| open.emit(now)).collect()
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
        self.open.insert(key, OpenAlert { alert: alert.clone(), flow, last_sent: finding.at, pending: false });
        Disposition::Deliver(Box::new(alert))
    }

    fn close(&mut self, key: &Key) {
        let Some(mut open) = self.open.remove(key) else { return };
        if open.pending {
            let last_seen = open.alert.last_seen;
            self.final_updates.push(open.emit(last_seen));
        }
        if let Some(id) = open.flow {
            self.by_flow.remove(&id);
        }
    }
}

impl OpenAlert {
    fn repeat(&mut self, finding: &Finding, limits: &GroupingLimits) -> Disposition {
        let alert = &mut self.alert;
        alert.count += u64::from(!finding.is_revision);
        alert.last_seen = alert.last_seen.max(finding.at);
        let rises = finding.severity > alert.severity;
        if rises {
            alert.severity = finding.severity;
            alert.evidence.clone_from(&finding.evidence);
        }
        let is_new = !finding.is_revision && record_destination(alert, finding, limits.max_destinations);
        if rises || is_new {
            return Disposition::Deliver(Box::new(self.emit(finding.at)));
        }
        let due = self.last_sent.plus(limits.update_interval);
        if std::mem::replace(&mut self.pending, true) {
            Disposition::Counted
        } else {
            Disposition::DueAt(due.max(finding.at))
        }
    }

    fn emit(&mut self, now: Timestamp) -> Alert {
        self.pending = false;
        self.last_sent = self.last_sent.max(now);
        self.alert.update += 1;
        self.alert.clone()
    }
}

/// Counts the destination; whether it is one more that is listed.
fn record_destination(alert: &mut Alert, finding: &Finding, most: usize) -> bool {
    let Some(endpoint) = finding.destination else { return false };
    if let Some(known) = alert.destinations.iter_mut().find(|known| known.endpoint == endpoint) {
        known.count += 1;
        known.last_seen = known.last_seen.max(finding.at);
        return false;
    }
    if alert.destinations.len() >= most {
        alert.destinations_omitted += 1;
        return false;
    }
    alert.destinations.push(Destination { endpoint, count: 1, first_seen: finding.at, last_seen: finding.at });
    true
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
    let mut alert = Alert {
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
        destinations: Vec::new(),
        destinations_omitted: 0,
        contract: finding.contract.clone(),
        verdict: finding.verdict.map(convert::verdict),
        missing_hop: finding.missing_hop.clone(),
        evidence: finding.evidence.clone(),
        attribution: finding.attribution.as_ref().map(convert::attribution),
        attack: finding.rule.techniques.to_vec(),
        seed_reference: SEED_REFERENCE,
        response: finding.rule.ads.response.to_vec(),
        link: format!("docs/rules/{}.md", finding.rule.name),
    };
    record_destination(&mut alert, finding, usize::MAX);
    alert
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
    Evidence::new("exception", format!("exception {name} (owner: {owner}) allowed this until it expired at {expires}"))
}
