//! What makes findings one alert, and the alert that the first of them raises.
//!
//! Contract: equal keys are one alert; containers of one roll-out are one sender. The id is a hash of the key and the first event time, so a replay gives the same id.

use std::net::IpAddr;

use sha2::{Digest, Sha256};

use crate::alert::model::{Alert, Condition, SCHEMA};
use crate::alert::{convert, steps};
use crate::detect::{Actor, Finding, RollOut, SEED_REFERENCE};
use crate::time::Timestamp;

/// The cause of every alert that summarises further causes.
const FURTHER: &str = "further causes";

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) rule: &'static str,
    /// Absent for a roll-out.
    workload: String,
    pub(super) roll_out: Option<RollOut>,
    /// Of an actor that is a plain address.
    address: Option<IpAddr>,
    pub(super) contract: String,
    pub(super) cause: String,
}

impl Key {
    pub(super) fn of(finding: &Finding) -> Self {
        let workload = finding.workload.as_ref().filter(|_| finding.roll_out.is_none());
        Self {
            rule: finding.rule.name,
            workload: workload.map(|workload| workload.id.to_string()).unwrap_or_default(),
            roll_out: finding.roll_out.clone(),
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
        let service = self.roll_out.as_ref().map(|roll_out| format!("service {}", roll_out.service));
        let workload = service.unwrap_or_else(|| self.workload.clone());
        Self { rule: self.rule, workload, roll_out: None, address: None, contract: String::new(), cause }
    }

    /// Who sent it: the workload, or the service that rolls out, else the observation point, which no sender chooses.
    pub(super) fn sender(&self, finding: &Finding) -> String {
        if let Some(roll_out) = &self.roll_out {
            return format!("service {}", roll_out.service);
        }
        match point(finding) {
            Some(point) if self.workload.is_empty() => format!("at {point}"),
            _ => self.workload.clone(),
        }
    }

    /// SHA-256 over the key and the first event time, the first 64 bits.
    pub(super) fn id(&self, first_seen: Timestamp) -> String {
        let mut hash = self.hashed(|roll_out| format!("{}\n{}", roll_out.service, roll_out.since));
        hash.update(first_seen.as_nanos().to_be_bytes());
        hexadecimal(hash, 8)
    }

    /// SHA-256 over the key without any time, the first 128 bits: each run counts a roll-out from its own first report.
    pub(super) fn condition(&self) -> String {
        hexadecimal(self.hashed(|roll_out| format!("{}\n", roll_out.service)), 16)
    }

    fn hashed(&self, of_service: impl Fn(&RollOut) -> String) -> Sha256 {
        let mut hash = Sha256::new();
        let address = self.address.map(|ip| ip.to_string()).unwrap_or_default();
        let service = self.roll_out.as_ref().map(of_service);
        let workload = if self.workload.is_empty() { &address } else { &self.workload };
        let workload = service.as_ref().unwrap_or(workload);
        for part in [self.rule, workload, &self.contract, &self.cause] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        hash
    }

    /// The alert that a finding raises, with this id.
    pub(super) fn alert(&self, finding: &Finding, id: String) -> Alert {
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
            blind_spots: finding.blind_spots.clone(),
            witnesses: finding.witnesses.clone(),
            evidence: finding.evidence.clone(),
            attribution: finding.attribution.as_ref().map(convert::attribution),
            sender: finding.sender.clone(),
            attack: finding.rule.techniques.to_vec(),
            seed_reference: SEED_REFERENCE,
            response: steps::concrete(finding, &id),
            link: format!("docs/rules/{}.md", finding.rule.name),
            config_sha256: None,
            ended: finding.is_over,
            is_first_of_run: false,
            condition: Some(Condition { hash: self.condition().into(), stands: finding.stands }),
            bundle: None,
            id,
        }
    }
}

fn hexadecimal(hash: Sha256, bytes: usize) -> String {
    hash.finalize()
        .iter()
        .take(bytes)
        .fold(String::with_capacity(2 * bytes), |text, byte| text + &format!("{byte:02x}"))
}

fn point(finding: &Finding) -> Option<&crate::input::ObservationPoint> {
    finding.flow.as_ref().map(|flow| &flow.record.point).or(finding.point.as_ref())
}
