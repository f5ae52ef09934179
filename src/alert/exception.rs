//! What is allowed although a rule fires: by whom, why, and until when.
//!
//! Contract: every given part must hold; an expired exception no longer counts and says so, and never hides a valid one.

use crate::detect::{ExceptionTerm, Finding};
use crate::input::Protocol;
use crate::path::{DestinationSet, PortSpec, Selector};
use crate::time::Timestamp;

/// An exception to a rule.
#[derive(Clone, Debug)]
pub struct Exception {
    /// Its name: how reports and counters call it.
    pub name: String,
    /// Which rule.
    pub rule: String,
    /// Whose doing; `None`: any workload, known or not.
    pub workload: Option<Selector>,
    /// To where; empty: anywhere.
    pub destinations: Vec<DestinationSet>,
    /// To which ports; empty: any.
    pub ports: Vec<PortSpec>,
    /// Who answers for it.
    pub owner: String,
    /// Why it is allowed.
    pub reason: String,
    /// From when on it no longer counts.
    pub expires: Timestamp,
}

/// The exception that a finding falls under: a valid one if there is any, else the one that expired last.
pub(super) fn that_covers<'a>(exceptions: &'a [Exception], finding: &Finding) -> Option<&'a Exception> {
    let covering = || exceptions.iter().filter(|exception| exception.covers(finding));
    covering().find(|exception| finding.at < exception.expires).or_else(|| covering().max_by_key(|it| it.expires))
}

impl Exception {
    /// What rules know of it.
    pub fn term(&self) -> ExceptionTerm {
        let Self { name, rule, owner, reason, expires, .. } = self.clone();
        ExceptionTerm { name, rule, owner, reason, expires }
    }

    /// Whether this finding is meant, whatever the date.
    pub fn covers(&self, finding: &Finding) -> bool {
        let workload_fits = self
            .workload
            .as_ref()
            .is_none_or(|selector| finding.workload.as_ref().is_some_and(|workload| selector.matches(workload)));
        self.rule == finding.rule.name && workload_fits && self.destination_fits(finding)
    }

    fn destination_fits(&self, finding: &Finding) -> bool {
        if self.destinations.is_empty() && self.ports.is_empty() {
            return true;
        }
        let Some(end) = finding.destination else { return false };
        let protocol = finding.flow.as_ref().map_or(Protocol::TCP, |flow| flow.record.tuple.protocol);
        (self.destinations.is_empty() || self.destinations.iter().any(|set| set.contains(end.ip)))
            && (self.ports.is_empty() || self.ports.iter().any(|spec| spec.matches(protocol, end.port)))
    }
}
