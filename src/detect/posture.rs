//! What the rules about settings share: a dangerous setting is reported once a service, a change in place at once.
//!
//! Contract: a setting that a rule calls dangerous is reported for the first container of a service that has it, with all its witnesses
//! in one finding; other containers of the service are counted in its alert while they are rolled out ([`RollOuts`]). For a service of the baseline the differences from it are reported in the same
//! way, and what the baseline expects is not, however dangerous; what it does not know is. A setting that differs from the container's own start,
//! under one id and start time, is reported as critical: no call of the runtime can change it. Limits: those of [`RollOuts`]. Without a configuration (a runtime that does not report it) nothing is said.
//! Design: a rule states what is dangerous ([`Signal`]) and which fields are its own; nothing else differs between them.

mod drift;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) use drift::Drift;

use super::roll_out::{Report, RollOuts};
use super::{Context, Finding, Findings, Rule, RuleMeta, Severity};
use crate::baseline::Deviation;
use crate::input::{Configuration, RuntimeKind, Workload, WorkloadState};
use crate::inventory::configuration::{Difference, Field, ServiceKey, differences};
use crate::path::{Evidence, Selector};

/// Witnesses of one finding.
const MAX_EVIDENCE: usize = 16;

/// A dangerous setting of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Names it among those of its rule; the same setting has the same name.
    pub name: String,
    /// Which field says so.
    pub field: Field,
    /// How much it matters.
    pub severity: Severity,
    /// What was found, in a sentence.
    pub text: String,
}

impl Signal {
    /// A signal of a field.
    pub fn new(name: impl Into<String>, field: Field, severity: Severity, text: impl Into<String>) -> Self {
        Self { name: name.into(), field, severity, text: text.into() }
    }
}

/// What differs between the rules about settings.
#[derive(Clone, Copy, Debug)]
pub struct Posture {
    /// The rule.
    pub rule: &'static RuleMeta,
    /// The dangerous settings of a container, in order of importance.
    pub signals: fn(&Workload, &Configuration) -> Vec<Signal>,
    /// Whether a field (`logging.driver`) is this rule's.
    pub owns: fn(&Field) -> bool,
    /// How much a difference from the baseline matters that is in itself not dangerous.
    pub drift: fn(&Deviation) -> Severity,
    /// Whether hopwatch's own container needs what is dangerous elsewhere; a change of it is reported all the same.
    pub needed_by_sensor: bool,
}

/// A rule about settings; it remembers what it reported of each service.
#[derive(Debug)]
pub struct PostureRule {
    posture: Posture,
    allowed: Vec<Selector>,
    reported: RollOuts,
    changed: BTreeMap<crate::input::WorkloadId, BTreeSet<String>>,
}

impl PostureRule {
    fn forget(&mut self, id: &crate::input::WorkloadId) {
        self.changed.remove(id);
        self.reported.forget(id);
    }

    /// The rule; workloads that `allowed` selects are not reported.
    pub fn new(posture: Posture, allowed: &[Selector]) -> Self {
        Self { posture, allowed: allowed.to_vec(), reported: RollOuts::default(), changed: BTreeMap::new() }
    }

    /// The alert that counts a container, where there is one.
    pub(in crate::detect) fn counted(&self, id: &crate::input::WorkloadId) -> Option<Report> {
        self.reported.counted(id)
    }

    fn check_setting(&mut self, context: Context<'_>, workload: &Arc<Workload>, findings: &mut Findings) {
        let Some(configuration) = &workload.configuration else { return };
        let is_needed = self.posture.needed_by_sensor && context.timeline.kernel().is_sensor(workload);
        let dangerous = if is_needed { Vec::new() } else { (self.posture.signals)(workload, configuration) };
        let mut drift = drift::Drift::new(&self.posture, context.baseline.zip(context.compared), dangerous);
        let service = ServiceKey::of(workload);
        let names: Vec<&str> = drift.signals.iter().map(|signal| signal.name.as_str()).collect();
        let Some(report) = self.reported.report(context.now, &service, &workload.id, &names) else { return };
        drift.signals.retain(|signal| report.names.contains(&signal.name));
        let signals = drift.signals;
        let Some(severity) = signals.iter().map(|signal| signal.severity).max() else { return };
        let cause = report.cause();
        let text = format!("the service is {service}; its containers that are alike are one alert");
        let mut evidence = vec![Evidence::new("service", text)];
        evidence.extend(drift.baseline.map(|text| Evidence::new("baseline", text)));
        evidence.extend(signals.iter().take(MAX_EVIDENCE).map(|signal| Evidence::new("setting", signal.text.clone())));
        if signals.len() > MAX_EVIDENCE {
            let more = signals.len() - MAX_EVIDENCE;
            evidence.push(Evidence::new("setting", format!("and {more} more")));
        }
        let at = workload.since.unwrap_or(context.now);
        let finding = Finding::of_workload(self.posture.rule, at, workload, &cause, evidence);
        let (is_hostile, roll_out) = (drift.is_hostile, report.roll_out);
        findings.push(Finding { severity, is_hostile, roll_out, is_change: true, stands: true, ..finding });
    }

    /// Whether a setting differs from the container's own start.
    fn check_start(&mut self, context: Context<'_>, workload: &Arc<Workload>, findings: &mut Findings) {
        let (Some(now), Some(first)) = (&workload.configuration, context.timeline.configuration_at_start(&workload.id))
        else {
            return;
        };
        let is_own = |difference: &Difference| (self.posture.owns)(&difference.field);
        let own: Vec<Difference> = differences(first, now).into_iter().filter(is_own).collect();
        let known = self.changed.entry(workload.id.clone()).or_default();
        let new: Vec<&Difference> = own.iter().filter(|difference| known.insert(difference.to_string())).collect();
        if known.is_empty() {
            self.changed.remove(&workload.id);
        }
        let Some(first) = new.first() else { return };
        let by_update = workload.runtime.kind() == RuntimeKind::Podman && new.iter().all(|new| can_be_updated(new));
        let mut evidence: Vec<Evidence> =
            new.iter().take(MAX_EVIDENCE).map(|new| Evidence::new("setting", new.to_string())).collect();
        evidence.push(Evidence::new("start", how_changed(workload, by_update)));
        let cause = format!("changed since its start: {}", first.field);
        let finding = Finding::of_workload(self.posture.rule, context.now, workload, &cause, evidence);
        let severity = if by_update { Severity::High } else { Severity::Critical };
        findings.push(Finding { severity, is_hostile: !by_update, is_change: true, ..finding });
    }
}

/// `podman update` changes environment and health check of a running container (5.x); nothing else changes these.
fn can_be_updated(difference: &Difference) -> bool {
    matches!(difference.field.name(), "environment" | "healthcheck")
}

fn how_changed(workload: &Workload, by_update: bool) -> String {
    let since = workload.since.map_or_else(|| "an unknown time".to_owned(), crate::time::Timestamp::readable);
    if by_update {
        return format!("the container has run since {since}; podman update can change this");
    }
    format!(
        "the container has run under one id since {since}; no call of the runtime changes this: its files on the host were \
         edited while the runtime was down"
    )
}

impl Rule for PostureRule {
    fn on_fact(&mut self, context: Context<'_>, fact: &crate::input::RecordedFact, _findings: &mut Findings) {
        use crate::input::{InventoryEvent, RecordedFact};
        match fact {
            RecordedFact::Inventory(InventoryEvent::Stopped { id, .. }) => self.forget(id),
            RecordedFact::Inventory(InventoryEvent::Reconciled { .. }) => {
                self.reported.keep(|id| context.timeline.is_running(id));
            }
            _ => {}
        }
    }

    fn on_workload(&mut self, context: Context<'_>, workload: &Arc<Workload>, findings: &mut Findings) {
        if workload.state == WorkloadState::Exited {
            self.forget(&workload.id);
            return;
        }
        if Selector::any(&self.allowed, workload) {
            return;
        }
        self.check_setting(context, workload, findings);
        self.check_start(context, workload, findings);
    }

    fn forgotten(&self) -> u64 {
        self.reported.refused()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::rules::log_driver_changed::{Params, rule};
    use crate::detect::testing::{Bench, at, workload};
    use crate::input::Logging;

    fn with_driver(name: &str, driver: &str) -> Arc<Workload> {
        let logging = Some(Logging { driver: driver.to_owned(), ..Logging::default() });
        let configuration = Some(Arc::new(Configuration { logging, ..Configuration::default() }));
        Arc::new(Workload { configuration, ..workload(name, 10) })
    }

    fn report(bench: &mut Bench, rule: &mut dyn Rule, workload: &Arc<Workload>) -> Vec<Finding> {
        bench.timeline.apply(at(1), &crate::input::InventoryEvent::Workload(Arc::clone(workload)));
        bench.on_workload(rule, workload)
    }

    #[test]
    fn containers_of_a_service_that_are_alike_are_one_roll_out() {
        let (mut bench, mut rule) = (Bench::new(&[]), rule(&Params::default()));
        let replica = |number: u8| {
            let mut one = (*with_driver(&format!("web-{number}"), "none")).clone();
            one.image = "web:1".into();
            Arc::new(one)
        };
        let roll_out = |found: &[Finding]| found.iter().map(|one| one.roll_out.clone()).collect::<Vec<_>>();
        let first = report(&mut bench, &mut rule, &replica(1));
        assert_eq!((first.len(), first[0].roll_out.is_some()), (1, true));
        let second = report(&mut bench, &mut rule, &replica(2));
        assert_eq!((roll_out(&second), &second[0].cause), (roll_out(&first), &first[0].cause));
        assert_eq!(report(&mut bench, &mut rule, &replica(2)).len(), 0, "it is counted");
        let mut foreign = (*replica(3)).clone();
        foreign.image = "evil:1".into();
        assert_eq!(report(&mut bench, &mut rule, &Arc::new(foreign)).len(), 1, "another image is another service");
    }

    #[test]
    fn a_driver_that_changes_under_one_start_is_critical_and_told_once() {
        let (mut bench, mut rule) = (Bench::new(&[]), rule(&Params::default()));
        assert_eq!(report(&mut bench, &mut rule, &with_driver("web", "json-file")).len(), 0);
        let found = report(&mut bench, &mut rule, &with_driver("web", "journald"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].severity, Severity::Critical);
        assert!(found[0].evidence[0].text.contains("was json-file, is journald"), "{found:?}");
        assert_eq!(report(&mut bench, &mut rule, &with_driver("web", "journald")).len(), 0);
    }

    #[test]
    fn a_container_that_was_started_again_may_have_other_settings() {
        let (mut bench, mut rule) = (Bench::new(&[]), rule(&Params::default()));
        report(&mut bench, &mut rule, &with_driver("web", "json-file"));
        let mut again = (*with_driver("web", "journald")).clone();
        again.since = Some(at(50));
        assert_eq!(report(&mut bench, &mut rule, &Arc::new(again)).len(), 0);
    }

    #[test]
    fn who_is_allowed_is_not_reported() {
        let allowed: Selector = serde_json::from_str(r#"{"name":"job-*"}"#).expect("a selector");
        let (mut bench, mut rule) = (Bench::new(&[]), rule(&Params { allowed: vec![allowed], ..Params::default() }));
        assert_eq!(report(&mut bench, &mut rule, &with_driver("job-1", "none")).len(), 0);
    }
}
