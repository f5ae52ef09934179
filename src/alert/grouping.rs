//! Groups findings into alerts and holds back what an exception allows.
//!
//! Contract: the first finding of a cause raises an alert at once. Repetitions count; an update reports them at most once per
//! `update_interval`, but at once when the severity rises or a destination is new. Every destination is listed in some line: the first
//! `max_destinations` at once, later ones in groups, the oldest making room. Every finding is in some alert's count or in an exception's hit count.
//! Without a repetition an alert comes again only if its flow carried much more. Above its budget a rule raises no alert about a sender: its
//! further causes are counted in one alert, which says so.
//! Limits: at `max_open` alerts the longest quiet one is closed, and counted; a limited number of destinations is known to have been listed.
//! Design: keyed by rule, workload, contract and cause. An update, a wake-up and an eviction cost the logarithm of the open alerts.

mod budget;
mod further;
mod key;
mod open_alert;
mod order;
mod replicas;
mod resumed;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use budget::AlertBudget;

use super::model::Alert;
use super::{Exception, SeverityPolicy, exception};
use crate::detect::Finding;
use crate::input::{self, FlowId, FlowRecord};
use crate::path::Evidence;
use crate::time::Timestamp;
use budget::Budgets;
use further::Further;
use key::Key;
use open_alert::OpenAlert;
use order::Order;
use resumed::Resumed;

/// Bounds and intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupingLimits {
    /// Between two counted updates of one alert.
    pub update_interval: Duration,
    /// Without a repetition, an alert is closed.
    pub close_after: Duration,
    /// Alerts open at once.
    pub max_open: usize,
    /// Destinations listed in one alert.
    pub max_destinations: usize,
    /// Alerts of one rule about one sender.
    pub budget: AlertBudget,
}

/// An alert about an anomaly stays open at least so long: what is regular comes again, and is one alert an hour at most.
const ANOMALY_OPEN: Duration = Duration::from_hours(1);

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

/// Its order never reaches the output.
type Table<K, V> = hashbrown::HashMap<K, V, foldhash::fast::RandomState>;

/// The open alerts.
#[derive(Debug)]
pub struct AlertGrouper {
    limits: GroupingLimits,
    exceptions: Vec<Exception>,
    severities: SeverityPolicy,
    budgets: Budgets,
    open: Table<Arc<Key>, OpenAlert>,
    order: Order,
    by_flow: Table<FlowId, Arc<Key>>,
    /// What an earlier run left open and nothing was found of yet.
    resumed: Resumed,
    closed_early: u64,
    /// Findings above the budget, by rule.
    over_budget: BTreeMap<&'static str, u64>,
    /// Last updates of closed alerts that had counted something that was not reported.
    final_updates: Vec<Alert>,
}

impl AlertGrouper {
    /// No alert is open.
    pub fn new(exceptions: Vec<Exception>, severities: SeverityPolicy, limits: GroupingLimits) -> Self {
        Self {
            limits,
            exceptions,
            severities,
            budgets: Budgets::new(limits.budget),
            open: Table::default(),
            order: Order::default(),
            by_flow: Table::default(),
            resumed: Resumed::default(),
            closed_early: 0,
            over_budget: BTreeMap::new(),
            final_updates: Vec::new(),
        }
    }

    /// Takes over other exceptions, severities and limits; open alerts stay open. Returns when their updates are due.
    pub fn reconfigure(
        &mut self,
        exceptions: Vec<Exception>,
        severities: SeverityPolicy,
        limits: GroupingLimits,
    ) -> Vec<Timestamp> {
        (self.exceptions, self.severities) = (exceptions, severities);
        if self.limits == limits {
            return Vec::new();
        }
        if self.limits.budget != limits.budget {
            self.budgets = Budgets::new(limits.budget);
        }
        self.limits = limits;
        self.order = Order::default();
        let mut due = Vec::new();
        for (key, open) in &self.open {
            let place = open.place(limits.update_interval);
            self.order.insert(key, place);
            due.extend(place.due);
        }
        due
    }

    /// The exceptions in force, expired ones included.
    pub fn exceptions(&self) -> &[Exception] {
        &self.exceptions
    }

    /// Alerts that were closed because too many were open.
    pub const fn closed_early(&self) -> u64 {
        self.closed_early
    }

    /// Findings that raised no alert of their own because the budget of their rule and sender was spent, by rule.
    pub const fn over_budget(&self) -> &BTreeMap<&'static str, u64> {
        &self.over_budget
    }

    /// Takes in a finding; `complete` adds what only the first line of an alert says, and is called where one is raised.
    pub fn ingest(&mut self, mut finding: Finding, complete: impl FnOnce(&mut Finding)) -> Disposition {
        if !finding.is_over
            && let Some(exception) = exception::that_covers(&self.exceptions, &finding)
        {
            if finding.at < exception.expires {
                return Disposition::Allowed(exception.name.clone());
            }
            finding.evidence.push(expired_note(exception));
        }
        self.severities.apply(&mut finding);
        let key = Key::of(&finding);
        if finding.is_over {
            if let Some(ended) = self.change(&key, |open, limits| open.end(&finding, limits)) {
                return ended;
            }
            let Some(left) = self.left_open(&key, &finding) else { return Disposition::Counted };
            return self.go_on(left, key, &finding, None);
        }
        if let Some(repeated) = self.repeat(&key, &finding) {
            return repeated;
        }
        if let Some(left) = self.left_open(&key, &finding) {
            complete(&mut finding);
            return self.go_on(left, key, &finding, None);
        }
        if self.budgets.take(key.rule, key.sender(&finding), finding.at) {
            complete(&mut finding);
            return self.raise(key, &finding, None);
        }
        self.summarise(&key, finding, complete)
    }

    /// Brings the counters of a flow behind an alert up to date. When it has ended there is an update to send, due at the time
    /// returned.
    pub fn on_flow(&mut self, record: &FlowRecord, ended: bool) -> Option<Timestamp> {
        let key = Arc::clone(self.by_flow.get(&record.id)?);
        self.change(&key, |open, limits| open.on_flow(record, ended, limits))?
    }

    /// Last updates of alerts that were closed since this was last asked, so that no count is lost.
    pub fn final_updates(&mut self) -> Vec<Alert> {
        std::mem::take(&mut self.final_updates)
    }

    /// Updates whose time has come, in order of key.
    pub fn due(&mut self, now: Timestamp) -> Vec<Alert> {
        let due = self.order.take_due(now);
        due.iter().filter_map(|key| self.open.get_mut(key).map(|open| open.emit(now))).collect()
    }

    /// The observation ends: everything that was counted but not yet reported.
    pub fn finish(&mut self, now: Timestamp) -> Vec<Alert> {
        let mut unreported: Vec<_> = self.open.iter_mut().filter(|(_, open)| open.is_unreported()).collect();
        unreported.sort_unstable_by_key(|(key, _)| *key);
        let last = unreported.into_iter().map(|(_, open)| open.emit(now)).collect();
        self.order.take_due(Timestamp::MAX);
        last
    }

    /// An alert that an earlier run left open; when to [forget](Self::forget_resumed) it.
    pub fn resume(&mut self, left: &input::OpenAlert, now: Timestamp) -> Timestamp {
        let close_after = self.limits.close_after;
        let until = now.plus(if left.stands { close_after } else { close_after.max(ANOMALY_OPEN) });
        if self.open.values().any(|open| open.is_about(&left.condition)) {
            return until;
        }
        if !self.resumed.add(left, until, self.limits.max_open) {
            self.closed_early += 1;
        }
        until
    }

    /// Forgets alerts that an earlier run left open and that were not found again by now.
    pub fn forget_resumed(&mut self, now: Timestamp) {
        self.resumed.forget(now);
    }

    /// What an earlier run left open with this key, where it is not too old.
    fn left_open(&mut self, key: &Key, finding: &Finding) -> Option<input::OpenAlert> {
        let patience = if finding.explanation.is_some() { ANOMALY_OPEN } else { Duration::ZERO };
        self.resumed.take(key, finding, self.limits.close_after.max(patience))
    }

    /// Goes on with that alert.
    fn go_on(
        &mut self,
        left: input::OpenAlert,
        key: Key,
        finding: &Finding,
        further: Option<Box<Further>>,
    ) -> Disposition {
        let alert = resumed::continued(&key, finding, left);
        self.open(key, alert, finding, further)
    }

    /// Counts a finding in the alert of its key, where that is open.
    fn repeat(&mut self, key: &Key, finding: &Finding) -> Option<Disposition> {
        let last_seen = self.open.get(key)?.last_seen();
        let patience = if finding.explanation.is_some() { ANOMALY_OPEN } else { Duration::ZERO };
        // The rule says how long a roll-out lasts; its containers may have started long before they were compared.
        if key.roll_out.is_none() && finding.at.since(last_seen) >= self.limits.close_after.max(patience) {
            self.close(key);
            return None;
        }
        self.change(key, |open, limits| open.repeat(finding, limits))
    }

    /// Counts a finding above the budget in the alert that summarises its sender's further causes.
    fn summarise(&mut self, key: &Key, mut finding: Finding, complete: impl FnOnce(&mut Finding)) -> Disposition {
        *self.over_budget.entry(key.rule).or_default() += 1;
        let further = key.further(&finding);
        if let Some(summary) = self.open.get_mut(&further).and_then(|open| open.further.as_mut()) {
            summary.count(key, &finding);
        }
        if let Some(repeated) = self.repeat(&further, &finding) {
            return repeated;
        }
        let mut summary = Box::<Further>::default();
        summary.count(key, &finding);
        let left = self.left_open(&further, &finding);
        complete(&mut finding);
        match left {
            Some(left) => self.go_on(left, further, &finding, Some(summary)),
            None => self.raise(further, &finding, Some(summary)),
        }
    }

    fn raise(&mut self, key: Key, finding: &Finding, further: Option<Box<Further>>) -> Disposition {
        let alert = key.alert(finding, key.id(finding.at));
        self.open(key, alert, finding, further)
    }

    /// Opens an alert and delivers its first line of this run.
    fn open(&mut self, key: Key, alert: Alert, finding: &Finding, further: Option<Box<Further>>) -> Disposition {
        if self.open.len() >= self.limits.max_open.max(1)
            && let Some(quietest) = self.order.quietest()
        {
            self.close(&quietest);
            self.closed_early += 1;
        }
        let flow = finding.flow.as_ref().map(|view| view.record.id);
        let mut open = OpenAlert::new(alert, flow, finding.at);
        open.further = further;
        open.count_replica(finding);
        let first = Alert { is_first_of_run: true, ..open.first_line() };
        let key = Arc::new(key);
        if let Some(id) = flow {
            self.by_flow.insert(id, Arc::clone(&key));
        }
        self.order.insert(&key, open.place(self.limits.update_interval));
        self.open.insert(key, open);
        Disposition::Deliver(Box::new(first))
    }

    /// Changes an open alert, and its place in the order of time.
    fn change<T>(&mut self, key: &Key, change: impl FnOnce(&mut OpenAlert, &GroupingLimits) -> T) -> Option<T> {
        let (key, open) = self.open.get_key_value_mut(key)?;
        let before = open.place(self.limits.update_interval);
        let result = change(open, &self.limits);
        self.order.change(key, before, open.place(self.limits.update_interval));
        Some(result)
    }

    fn close(&mut self, key: &Key) {
        let Some((key, mut open)) = self.open.remove_entry(key) else { return };
        self.order.remove(&key, open.place(self.limits.update_interval));
        self.final_updates.extend(open.last_line());
        if let Some(id) = open.flow {
            self.by_flow.remove(&id);
        }
    }
}

fn expired_note(exception: &Exception) -> Evidence {
    let Exception { name, owner, expires, .. } = exception;
    let until = expires.readable();
    Evidence::new("exception", format!("exception {name} (owner: {owner}) allowed this until it expired at {until}"))
}

#[cfg(test)]
mod tests;
