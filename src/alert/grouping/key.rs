//! What makes findings one alert, and the alert that the first of them raises.
//!
//! Contract: equal keys are one alert; the id is a hash of the key and the first event time, so a replay gives the same id.

use std::net::IpAddr;

use sha2::{Digest, Sha256};

use crate::alert::model::{Alert, SCHEMA};
use crate::alert::{convert, steps};
use crate::detect::{Actor, Finding, SEED_REFERENCE};
use crate::time::Timestamp;

/// The cause of every alert that summarises further causes.
const FURTHER: &str = "further causes";

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) rule: &'static str,
    workload: String,
    /// Of an actor that is a plain address.
    address: Option<IpAddr>,
    pub(super) contract: String,
    pub(super) cause: String,
}

impl Key {
    pub(super) fn of(finding: &Finding) -> Self {
        Self {
            rule: finding.rule.name,
            workload: finding.workload.as_ref().map(|workload| workload.id.to_string()).unwrap_or_default(),
            address: finding.actor.as_ref().and_then(Actor::address),
            contract: finding.contract.clone().unwrap_or_default(),
            cause: finding.cause.clone(),
        }
    }

    /// The alert that summarises further causes of the same rule and sender.
    pub(super) fn further(&self, finding: &Finding) -> Self {
        let cause = match point(finding) {
            Some(point) if self.workload.is_empty() => format!("{FURTHER} at {point}"),
            _ => FURTHER.to_owned(),
        };
        Self { rule: self.rule, workload: self.workload.clone(), address: None, contract: String::new(), cause }
    }

    /// Who sent it: the workload, else the observation point, which no sender chooses.
    pub(super) fn sender(&self, finding: &Finding) -> String {
        match point(finding) {
            Some(point) if self.workload.is_empty() => format!("at {point}"),
            _ => self.workload.clone(),
        }
    }

    /// SHA-256 over the key and the first event time, the first 64 bits.
    fn id(&self, first_seen: Timestamp) -> String {
        let mut hash = Sha256::new();
        let address = self.address.map(|ip| ip.to_string()).unwrap_or_default();
        let workload = if self.workload.is_empty() { &address } else { &self.workload };
        for part in [self.rule, workload, &self.contract, &self.cause] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        hash.update(first_seen.as_nanos().to_be_bytes());
        hash.finalize().iter().take(8).fold(String::with_capacity(16), |text, byte| text + &format!("{byte:02x}"))
    }

    /// The alert that a finding raises.
    pub(super) fn alert(&self, finding: &Finding) -> Alert {
        let id = self.id(finding.at);
        Alert {
            schema: SCHEMA,
            update: 0,
            rule: finding.rule.name,
            title: finding.rule.title,
            severity: finding.severity,
            first_seen: finding.at,
            last_seen: finding.at,
            count: 1,
            workload: finding.workload.as_deref().map(convert::workload),
            actor: convert::actor(finding),
            anomaly: finding.explanation.clone(),
            flow: finding.flow.as_ref().map(convert::flow),
            destinations: finding.destination.map(|end| convert::destination(end, finding)).into_iter().collect(),
            destinations_new: usize::from(finding.destination.is_some()),
            destinations_omitted: 0,
            contract: finding.contract.clone(),
            verdict: finding.verdict.map(convert::verdict),
            missing_hop: finding.missing_hop.clone(),
            evidence: finding.evidence.clone(),
            attribution: finding.attribution.as_ref().map(convert::attribution),
            attack: finding.rule.techniques.to_vec(),
            seed_reference: SEED_REFERENCE,
            response: steps::concrete(finding, &id),
            link: format!("docs/rules/{}.md", finding.rule.name),
            bundle: None,
            id,
        }
    }
}

fn point(finding: &Finding) -> Option<&crate::input::ObservationPoint> {
    finding.flow.as_ref().map(|flow| &flow.record.point).or(finding.point.as_ref())
}
