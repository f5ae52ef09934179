//! Which alerts and events belong together.
//!
//! Contract: an alert joins the open incident of its service, its pod, the network namespace that it shares, or of the hop that it went
//! around; two open ones that it joins become the older one. Events of the last minutes before the first alert are steps too.
//! Limits: [`IncidentLimits::open`] incidents, of which the oldest is closed; [`MAX_RECENT`] events of [`MAX_SERVICES`] services wait for
//! an alert. Design: an index of links leads to the incident; nothing is walked but what is found there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::link::{Link, links, of_workload};
use super::model::{Incident, IncidentWorkload, Step, StepKind};
use super::open::OpenIncident;
use crate::alert::Alert;
use crate::input::{ContainerAct, ContainerEvent, Workload, WorkloadId};
use crate::inventory::Timeline;
use crate::inventory::configuration::ServiceKey;
use crate::time::Timestamp;

/// Events of one service that wait for an alert.
const MAX_RECENT: usize = 16;
/// Services with such events.
const MAX_SERVICES: usize = 4096;
/// Links of one incident.
const MAX_LINKS: usize = 64;
/// Evidence of an alert that its step shows.
const MAX_EVIDENCE: usize = 4;

/// Bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncidentLimits {
    /// An incident without a new step for so long is closed, and an event older than this joins no new one.
    pub close_after: Duration,
    /// Incidents that are open at once.
    pub open: usize,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IncidentCounts {
    /// Incidents written, updates not counted.
    pub written: u64,
    /// Steps that are counted in an incident but not listed.
    pub omitted: u64,
    /// Incidents closed early, and events forgotten, because there were too many.
    pub forgotten: u64,
}

/// Joins alerts and events to incidents.
#[derive(Debug)]
pub struct IncidentTracker {
    limits: IncidentLimits,
    open: BTreeMap<u64, OpenIncident>,
    index: BTreeMap<Link, u64>,
    recent: BTreeMap<ServiceKey, VecDeque<Step>>,
    next: u64,
    counts: IncidentCounts,
    out: Vec<Incident>,
}

impl IncidentTracker {
    /// Nothing is open.
    pub const fn new(limits: IncidentLimits) -> Self {
        Self {
            limits,
            open: BTreeMap::new(),
            index: BTreeMap::new(),
            recent: BTreeMap::new(),
            next: 0,
            counts: IncidentCounts { written: 0, omitted: 0, forgotten: 0 },
            out: Vec::new(),
        }
    }

    /// Takes over other bounds; what is open stays open.
    pub const fn reconfigure(&mut self, limits: IncidentLimits) {
        self.limits = limits;
    }

    /// Incidents that are new or have grown since the last call.
    pub fn take(&mut self) -> Vec<Incident> {
        std::mem::take(&mut self.out)
    }

    /// What was counted so far.
    pub const fn counts(&self) -> IncidentCounts {
        self.counts
    }

    /// An alert was raised or updated.
    pub fn alert(&mut self, timeline: &Timeline, alert: &Alert) {
        let workload = alert.workload.as_ref().and_then(|known| timeline.workload(&WorkloadId::new(&known.id)));
        let workload = workload.map(|workload| &**workload);
        let (sought, found_by) = links(workload, alert);
        let found = self.find(&sought, alert.first_seen);
        let number = match self.joined(found) {
            Some(number) => number,
            None if !alert.is_first_of_run => return,
            None => self.open(alert, workload),
        };
        self.link(number, found_by);
        let Some(incident) = self.open.get_mut(&number) else { return };
        let before = incident.severity();
        if incident.has_alert(&alert.id, alert.severity) {
            if incident.severity() > before {
                self.write(number);
            }
            return;
        }
        let listed = incident.add(step_of(alert), alert.workload.as_ref().map(named), &alert.attack);
        self.grown(number, listed, before);
    }

    /// The runtime did something to a container.
    pub fn event(&mut self, timeline: &Timeline, event: &ContainerEvent) {
        let Some(workload) = timeline.workload(&event.workload).filter(|_| is_step(&event.action)) else { return };
        let step = Step {
            at: event.at,
            kind: StepKind::Event,
            workload: Some(workload.name.clone()),
            text: format!("it {}", event.action),
            rule: None,
            alert: None,
            severity: None,
            contract: None,
            evidence: Vec::new(),
        };
        let found = self.find(&of_workload(workload), event.at);
        let Some(number) = self.joined(found) else { return self.remember(ServiceKey::of(workload), step) };
        let Some(incident) = self.open.get_mut(&number) else { return };
        let before = incident.severity();
        let named = IncidentWorkload {
            id: workload.id.to_string(),
            name: workload.name.clone(),
            image: workload.image.clone(),
        };
        let listed = incident.add(step, Some(named), &[]);
        self.grown(number, listed, before);
    }

    /// Writes an incident that has grown, as long as steps are listed or it has become worse.
    fn grown(&mut self, number: u64, listed: bool, before: crate::detect::Severity) {
        self.counts.omitted += u64::from(!listed);
        let is_worse = self.open.get(&number).is_some_and(|incident| incident.severity() > before);
        if listed || is_worse {
            self.write(number);
        }
    }

    fn write(&mut self, number: u64) {
        if let Some(incident) = self.open.get_mut(&number).filter(|incident| incident.is_chain()) {
            let written = incident.write();
            self.counts.written += u64::from(written.update == 0);
            self.out.push(written);
        }
    }

    /// The open incidents that these links lead to; one that was quiet for long is closed.
    fn find(&mut self, sought: &[Link], at: Timestamp) -> BTreeSet<u64> {
        let mut found: BTreeSet<u64> = sought.iter().filter_map(|link| self.index.get(link)).copied().collect();
        let close_after = self.limits.close_after;
        let is_over = |number: &u64| self.open.get(number).is_none_or(|open| at.since(open.last_seen) > close_after);
        let over: Vec<u64> = found.iter().copied().filter(is_over).collect();
        for number in over {
            found.remove(&number);
            self.close(number);
        }
        found
    }

    /// The oldest of them, with the others in it.
    fn joined(&mut self, mut found: BTreeSet<u64>) -> Option<u64> {
        let oldest = found.pop_first()?;
        for number in found {
            let Some(other) = self.open.remove(&number) else { continue };
            other.links.iter().for_each(|link| _ = self.index.insert(link.clone(), oldest));
            if let Some(incident) = self.open.get_mut(&oldest) {
                incident.merge(other);
            }
        }
        Some(oldest)
    }

    /// A new one, with the events that led to it.
    fn open(&mut self, alert: &Alert, workload: Option<&Workload>) -> u64 {
        if self.open.len() >= self.limits.open
            && let Some(oldest) = self.open.keys().next().copied()
        {
            self.counts.forgotten += 1;
            self.close(oldest);
        }
        let service = workload.map(ServiceKey::of);
        let mut incident = OpenIncident::new(&alert.id, service.as_ref().map(ToString::to_string), alert.first_seen);
        let earliest = alert.first_seen.minus(self.limits.close_after);
        let before = service.and_then(|service| self.recent.remove(&service)).unwrap_or_default();
        for step in before.into_iter().filter(|step| step.at >= earliest) {
            incident.add(step, None, &[]);
        }
        let number = self.next;
        self.next += 1;
        self.open.insert(number, incident);
        number
    }

    fn link(&mut self, number: u64, links: Vec<Link>) {
        let Some(incident) = self.open.get_mut(&number) else { return };
        for link in links {
            if incident.links.len() < MAX_LINKS && !incident.links.contains(&link) {
                self.index.insert(link.clone(), number);
                incident.links.push(link);
            }
        }
    }

    fn close(&mut self, number: u64) {
        for link in self.open.remove(&number).into_iter().flat_map(|incident| incident.links) {
            if self.index.get(&link) == Some(&number) {
                self.index.remove(&link);
            }
        }
    }

    fn remember(&mut self, service: ServiceKey, step: Step) {
        if self.recent.len() >= MAX_SERVICES && !self.recent.contains_key(&service) {
            self.counts.forgotten += 1;
            self.recent.pop_first();
        }
        let recent = self.recent.entry(service).or_default();
        if recent.len() >= MAX_RECENT {
            recent.pop_front();
        }
        recent.push_back(step);
    }
}

/// Whether an event is a step: what only belongs to a start is none.
const fn is_step(act: &ContainerAct) -> bool {
    !matches!(act, ContainerAct::Created | ContainerAct::Started)
}

fn named(workload: &crate::alert::AlertWorkload) -> IncidentWorkload {
    IncidentWorkload { id: workload.id.clone(), name: workload.name.clone(), image: workload.image.clone() }
}

fn step_of(alert: &Alert) -> Step {
    Step {
        at: alert.first_seen,
        kind: StepKind::Alert,
        workload: alert.workload.as_ref().map(|workload| workload.name.clone()),
        text: alert.title.to_owned(),
        rule: Some(alert.rule),
        alert: Some(alert.id.clone()),
        severity: Some(alert.severity),
        contract: alert.contract.clone(),
        evidence: alert.evidence.iter().take(MAX_EVIDENCE).cloned().collect(),
    }
}
