//! `log-shipper-redirected`.
//!
//! Contract: the first logs to a collector that is neither declared nor one of the service's known ones are reported once. Limits:
//! [`MAX_SERVICES`] services with [`MAX_COLLECTORS`] collectors each; beyond, a new one is not followed, and counted. Design: what a service uses
//! within `learn` after its first logs is its pool; a log driver's address is a setting, so there only a container that started later and
//! sends elsewhere counts, and the setting is the second witness.

mod strategy;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub use self::strategy::META;
use crate::detect::log_shipping::{Collector, DeclaredCollector, DriverTarget, LOG_PORTS, LogFlows, Sender, Shipment};
use crate::detect::params::rule_params;
use crate::detect::{Context, Finding, Findings, HoldTime, Rule};
use crate::input::{Endpoint, FlowEvent, FlowEventKind, FlowRecord, RecordedFact, Workload};
use crate::inventory::configuration::ServiceKey;
use crate::path::{Evidence, JudgedFlow, ObservedFlow, Selector};
use crate::time::Timestamp;

const MAX_SERVICES: usize = 4096;
const MAX_COLLECTORS: usize = 64;
/// Containers of one log driver address whose services are looked at for one flow.
const MAX_CLIENTS: usize = 256;

rule_params! {
    /// How long after a service's first logs its collectors are taken for one pool.
    learn: HoldTime = HoldTime::secs(300),
    /// Ports at which collectors listen.
    ports: Vec<u16> = LOG_PORTS.to_vec(),
    /// Collectors that every workload may use: addresses or ranges, with or without a port. With any here, all others are reported at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    collectors: Vec<DeclaredCollector> = Vec::new(),
    /// Workloads that may send logs anywhere: agents with many outputs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shipper {
    Service(ServiceKey),
    Host,
}

/// A collector that a service uses.
#[derive(Clone, Copy, Debug)]
struct Use {
    at: Endpoint,
    first: Timestamp,
    last: Timestamp,
}

/// The rule.
#[derive(Debug)]
pub struct LogShipperRedirected {
    learn: Duration,
    allowed: Vec<Selector>,
    flows: LogFlows,
    known: BTreeMap<Shipper, BTreeMap<Collector, Use>>,
    forgotten: u64,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    LogShipperRedirected {
        learn: params.learn.get(),
        allowed: params.allowed.clone(),
        flows: LogFlows::new(&params.ports, &params.collectors),
        known: BTreeMap::new(),
        forgotten: 0,
    }
}

impl Rule for LogShipperRedirected {
    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, _findings: &mut Findings) {
        self.flows.on_fact(context.timeline, fact);
    }

    fn on_flow(&mut self, context: Context<'_>, flow: &JudgedFlow, findings: &mut Findings) {
        if !flow.again && self.flows.may_be_collector(flow) {
            self.read(context, flow, &flow.oriented.read(&flow.view.record), flow.over, findings);
        }
    }

    fn on_progress(&mut self, context: Context<'_>, flow: &JudgedFlow, event: &FlowEvent, findings: &mut Findings) {
        if self.flows.may_be_collector(flow) {
            let ended = matches!(event.kind, FlowEventKind::Ended(_));
            self.read(context, flow, &flow.oriented.read(&event.record), ended, findings);
        }
    }

    fn forgotten(&self) -> u64 {
        self.forgotten + self.flows.forgotten()
    }
}

impl LogShipperRedirected {
    fn read(
        &mut self,
        context: Context<'_>,
        flow: &JudgedFlow,
        record: &FlowRecord,
        ended: bool,
        findings: &mut Findings,
    ) {
        let Some(shipment) = self.flows.read(context.timeline, flow, record, ended) else { return };
        match shipment.sender.clone() {
            Sender::Workload(workload) => self.by_workload(flow, record, &shipment, &workload, findings),
            Sender::Driver(target) => self.by_driver(context, flow, &shipment, &target, findings),
            Sender::Host => {
                if let Some(before) = self.learn(&Shipper::Host, &shipment, Some(record.start)) {
                    let witnesses = witnesses(before.as_ref());
                    let evidence = self.evidence("the host", &shipment, before);
                    let finding = Finding::of_nobody(&META, record.start, &cause(&shipment), evidence);
                    let finding = Finding { witnesses, ..finding };
                    findings.push(with_flow(finding, flow, &shipment, META.severity.lower()));
                }
            }
        }
    }

    fn by_workload(
        &mut self,
        flow: &JudgedFlow,
        record: &FlowRecord,
        shipment: &Shipment,
        workload: &Arc<Workload>,
        findings: &mut Findings,
    ) {
        if Selector::any(&self.allowed, workload) {
            return;
        }
        let service = ServiceKey::of(workload);
        let who = service.to_string();
        if let Some(before) = self.learn(&Shipper::Service(service), shipment, Some(record.start)) {
            let witnesses = witnesses(before.as_ref());
            let evidence = self.evidence(&who, shipment, before);
            let finding = Finding::of_workload(&META, record.start, workload, &cause(shipment), evidence);
            let finding = Finding { witnesses, ..finding };
            findings.push(with_flow(finding, flow, shipment, META.severity));
        }
    }

    /// The daemon sends for these containers: theirs is the setting, its is the flow.
    fn by_driver(
        &mut self,
        context: Context<'_>,
        flow: &JudgedFlow,
        shipment: &Shipment,
        target: &DriverTarget,
        findings: &mut Findings,
    ) {
        let clients = self.flows.clients.of(target).filter_map(|id| context.timeline.workload(id)).take(MAX_CLIENTS);
        let clients = clients.filter(|client| !Selector::any(&self.allowed, client));
        let clients: Vec<Arc<Workload>> = clients.cloned().collect();
        for client in &clients {
            let service = ServiceKey::of(client);
            let who = format!("the log driver of {service}");
            // What two containers of a service do side by side is no redirection; what one does that came later is.
            let since = client.since.unwrap_or(context.now);
            let key = Shipper::Service(service);
            let is_later = self.known.get(&key).is_some_and(|known| known.values().any(|used| used.first < since));
            if let Some(before) = self.learn(&key, shipment, is_later.then_some(Timestamp::MAX)) {
                let witnesses = witnesses(before.as_ref());
                let mut evidence = self.evidence(&who, shipment, before);
                let text = format!(
                    "its log driver {} is set to {target}; the container has run since {}",
                    target.driver,
                    since.readable()
                );
                evidence.push(Evidence::new("setting", text));
                let finding = Finding::of_workload(&META, shipment.time, client, &cause(shipment), evidence);
                let finding = Finding { witnesses, ..finding };
                findings.push(with_flow(finding, flow, shipment, META.severity));
            }
        }
    }

    /// Remembers a use. What was used before, where this one is new: `Some` is a finding. `start`: since when logs are sent so; `None`
    /// where that is no matter.
    #[expect(clippy::option_option, reason = "the outer says whether it is a finding, the inner what was known before")]
    fn learn(
        &mut self,
        shipper: &Shipper,
        shipment: &Shipment,
        start: Option<Timestamp>,
    ) -> Option<Option<(Collector, Use)>> {
        if self.known.len() >= MAX_SERVICES && !self.known.contains_key(shipper) {
            self.forgotten += 1;
            return None;
        }
        let new = Use { at: shipment.at, first: shipment.time, last: shipment.time };
        let known = self.known.entry(shipper.clone()).or_default();
        if let Some(used) = known.get_mut(&shipment.collector) {
            (used.at, used.last) = (shipment.at, used.last.max(shipment.time));
            return None;
        }
        if known.len() >= MAX_COLLECTORS {
            self.forgotten += 1;
            return None;
        }
        let before = known.iter().max_by_key(|(_, used)| used.last).map(|(collector, used)| (collector.clone(), *used));
        let first = known.values().map(|used| used.first).min();
        known.insert(shipment.collector.clone(), new);
        if self.flows.is_declared(shipment.at) {
            return None;
        }
        if self.flows.has_declared() {
            return Some(before);
        }
        let is_new = first.zip(start).is_some_and(|(first, start)| start > first.plus(self.learn));
        is_new.then_some(before)
    }

    fn evidence(&self, who: &str, shipment: &Shipment, before: Option<(Collector, Use)>) -> Vec<Evidence> {
        let Shipment { collector, at, time, .. } = shipment;
        let mut evidence = vec![Evidence::new("redirected", format!("{who} sends logs to {collector} at {at}"))];
        if let Some((collector, used)) = before {
            let Use { at, first, last } = used;
            let (first, last) = (first.readable(), last.readable());
            let text = format!("before, they went to {collector} at {at}, from {first} until {last}");
            evidence.push(Evidence::new("before", text));
        }
        if self.flows.has_declared() {
            let time = time.readable();
            let text = format!("at {time}, {at} is not a collector that rules.log-shipper-redirected.collectors names");
            evidence.push(Evidence::new("declared", text));
        }
        evidence
    }
}

/// Where the logs went before.
fn witnesses(before: Option<&(Collector, Use)>) -> Vec<IpAddr> {
    before.iter().map(|(_, used)| used.at.ip).collect()
}

fn cause(shipment: &Shipment) -> String {
    format!("to {}", shipment.collector)
}

fn with_flow(finding: Finding, flow: &JudgedFlow, shipment: &Shipment, severity: crate::detect::Severity) -> Finding {
    let view = ObservedFlow {
        points: flow.view.points.clone(),
        record: flow.view.record.clone(),
        translated: flow.view.translated,
    };
    Finding {
        severity,
        attribution: Some(flow.source.clone()),
        flow: Some(view),
        destination: Some(shipment.at),
        ..finding
    }
}
