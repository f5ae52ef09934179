//! An incident that may still grow.
//!
//! Contract: pure; steps stay in order of event time, those of one time in order of arrival. Limits: [`MAX_STEPS`] steps, counted beyond;
//! [`MAX_NAMED`] workloads, techniques and merged ids.

use super::link::Link;
use super::model::{Incident, IncidentWorkload, SCHEMA, Step, StepKind};
use crate::alert::Technique;
use crate::detect::Severity;
use crate::time::Timestamp;

/// Steps of one incident that are listed.
pub(super) const MAX_STEPS: usize = 64;
/// Workloads, techniques and merged ids that are listed.
const MAX_NAMED: usize = 16;

/// Rules about tampering with what would report: before a broken path they make both worse.
const TAMPERING: [&str; 10] = [
    "host-audit-tampered",
    "host-firewall-changed",
    "log-driver-changed",
    "log-files-tampered",
    "log-shipper-redirected",
    "log-shipper-silent",
    "monitor-stopped",
    "monitoring-opt-out",
    "sensor-blinded",
    "tamper-exec",
];

#[derive(Debug)]
pub(super) struct OpenIncident {
    pub(super) id: String,
    pub(super) links: Vec<Link>,
    pub(super) last_seen: Timestamp,
    service: Option<String>,
    updates: u32,
    steps: Vec<Step>,
    omitted: u64,
    workloads: Vec<IncidentWorkload>,
    attack: Vec<Technique>,
    merged: Vec<String>,
    /// The highest of its alerts, those that are not listed included.
    worst: Severity,
}

impl OpenIncident {
    pub(super) fn new(first_alert: &str, service: Option<String>, at: Timestamp) -> Self {
        Self {
            id: format!("incident-{first_alert}"),
            links: Vec::new(),
            last_seen: at,
            service,
            updates: 0,
            steps: Vec::new(),
            omitted: 0,
            workloads: Vec::new(),
            attack: Vec::new(),
            merged: Vec::new(),
            worst: Severity::Low,
        }
    }

    /// Whether an alert is a step of it already; its severity is noted.
    pub(super) fn has_alert(&mut self, id: &str, severity: Severity) -> bool {
        let Some(step) = self.steps.iter_mut().find(|step| step.alert.as_deref() == Some(id)) else { return false };
        step.severity = step.severity.max(Some(severity));
        self.worst = self.worst.max(severity);
        true
    }

    /// Adds a step; whether it is listed.
    pub(super) fn add(&mut self, step: Step, workload: Option<IncidentWorkload>, attack: &[Technique]) -> bool {
        self.last_seen = self.last_seen.max(step.at);
        self.worst = self.worst.max(step.severity.unwrap_or(Severity::Low));
        name(&mut self.workloads, workload);
        for technique in attack {
            name(&mut self.attack, Some(*technique));
        }
        if self.steps.len() >= MAX_STEPS {
            self.omitted += 1;
            return false;
        }
        let place = self.steps.partition_point(|other| other.at <= step.at);
        self.steps.insert(place, step);
        true
    }

    /// Takes in another one, which turned out to be the same.
    pub(super) fn merge(&mut self, other: Self) {
        self.omitted += other.omitted;
        self.worst = self.worst.max(other.worst);
        other.steps.into_iter().for_each(|step| _ = self.add(step, None, &[]));
        other.workloads.into_iter().for_each(|workload| name(&mut self.workloads, Some(workload)));
        other.attack.into_iter().for_each(|technique| name(&mut self.attack, Some(technique)));
        // One that was never written is named nowhere.
        let written = (other.updates > 0).then_some(other.id);
        written.into_iter().chain(other.merged).for_each(|id| name(&mut self.merged, Some(id)));
        self.links.extend(other.links);
    }

    /// Whether it is more than a lone alert, and not about nothing but one low rule.
    pub(super) fn is_chain(&self) -> bool {
        let mut rules: Vec<&str> = self.steps.iter().filter_map(|step| step.rule).collect();
        rules.sort_unstable();
        rules.dedup();
        self.steps.len() > 1 && (self.worst >= Severity::Medium || rules.len() > 1)
    }

    /// As it stands, to be written.
    pub(super) fn write(&mut self) -> Incident {
        let update = self.updates;
        self.updates = self.updates.saturating_add(1);
        Incident {
            schema: SCHEMA,
            id: self.id.clone(),
            update,
            severity: self.severity(),
            service: self.service.clone(),
            workloads: self.workloads.clone(),
            first_seen: self.steps.first().map_or(self.last_seen, |step| step.at),
            last_seen: self.last_seen,
            steps: self.steps.clone(),
            steps_omitted: self.omitted,
            merged: self.merged.clone(),
            attack: self.attack.clone(),
        }
    }

    pub(super) fn severity(&self) -> Severity {
        let alerts = self.steps.iter().filter(|step| step.kind == StepKind::Alert);
        let mut tampered = false;
        for step in alerts {
            if tampered && step.contract.is_some() {
                return self.worst.higher();
            }
            tampered |= step.rule.is_some_and(|rule| TAMPERING.contains(&rule));
        }
        self.worst
    }
}

fn name<T: PartialEq>(list: &mut Vec<T>, one: Option<T>) {
    if let Some(one) = one
        && list.len() < MAX_NAMED
        && !list.contains(&one)
    {
        list.push(one);
    }
}
