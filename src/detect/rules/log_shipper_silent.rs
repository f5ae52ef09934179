//! `log-shipper-silent`.
//!
//! Contract: a sender of logs that stopped although those whose logs it sends talk on is reported once, until it sends again. Limits:
//! [`MAX_BOOKS`] senders and as many services whose containers ended are remembered, [`MAX_FOR_ALL`] senders that ship for everybody; beyond,
//! a new one is not followed, and counted. Design: one [`Pulse`] a sender; losses and an incomplete inventory start the waiting anew.

mod strategy;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use self::strategy::META;
use crate::detect::log_shipping::{
    Collector, DeclaredCollector, DriverTarget, LOG_PORTS, LogFlows, Pulse, Quiet, Sender, Shipment,
};
use crate::detect::params::rule_params;
use crate::detect::{Context, Finding, Findings, HoldTime, Rule};
use crate::input::{Endpoint, FlowEvent, FlowEventKind, InventoryEvent, RecordedFact, Workload, WorkloadId};
use crate::inventory::Owner;
use crate::inventory::configuration::ServiceKey;
use crate::path::{Evidence, JudgedFlow, Selector, owner_of, responder_of};
use crate::time::{Timestamp, readable};
use crate::wording::many;

const MAX_BOOKS: usize = 4096;
const MAX_FOR_ALL: usize = 64;
/// Clients that the evidence names.
const MAX_NAMES: usize = 8;

rule_params! {
    /// How long a sender must have sent nothing; longer than `flows.update_interval`, which is how late a flow's growth is known.
    silence: HoldTime = HoldTime::secs(120),
    /// How many flows those whose logs it sends must have opened meanwhile.
    #[schemars(range(min = 1))]
    min_flows: u64 = 5,
    /// Ports at which collectors listen.
    ports: Vec<u16> = LOG_PORTS.to_vec(),
    /// Collectors at other ports: addresses or ranges, with or without a port.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    collectors: Vec<DeclaredCollector> = Vec::new(),
    /// Containers that send the logs of all others: they are silent while anybody talks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    agents: Vec<Selector> = Vec::new(),
    /// Workloads that may fall silent: jobs that log at their start only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shipper {
    Workload(WorkloadId),
    Driver(DriverTarget),
    Host,
}

#[derive(Clone, Debug)]
struct Shipping {
    pulse: Pulse,
    workload: Option<Arc<Workload>>,
    collector: Collector,
    at: Endpoint,
    /// A container of the same service sent these logs, not this one.
    is_inherited: bool,
}

/// The rule.
#[derive(Debug)]
pub struct LogShipperSilent {
    quiet: Quiet,
    agents: Vec<Selector>,
    allowed: Vec<Selector>,
    flows: LogFlows,
    shippers: BTreeMap<Shipper, Shipping>,
    /// Senders that ship for everybody.
    for_all: BTreeSet<Shipper>,
    /// Of services whose container ended.
    ended: BTreeMap<ServiceKey, Shipping>,
    due: BTreeSet<(Timestamp, Shipper)>,
    forgotten: u64,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    LogShipperSilent {
        quiet: Quiet { silence: params.silence.get(), min_flows: params.min_flows.max(1) },
        agents: params.agents.clone(),
        allowed: params.allowed.clone(),
        flows: LogFlows::new(&params.ports, &params.collectors),
        shippers: BTreeMap::new(),
        for_all: BTreeSet::new(),
        ended: BTreeMap::new(),
        due: BTreeSet::new(),
        forgotten: 0,
    }
}

impl Rule for LogShipperSilent {
    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, _findings: &mut Findings) {
        self.flows.on_fact(context.timeline, fact);
        let RecordedFact::Inventory(event) = fact else { return };
        match event {
            InventoryEvent::Stopped { id, .. } => self.end(id),
            InventoryEvent::Reconciled { .. } => {
                let gone = self.shippers.keys().filter_map(|shipper| match shipper {
                    Shipper::Workload(id) if !context.timeline.is_running(id) => Some(id.clone()),
                    _ => None,
                });
                gone.collect::<Vec<_>>().iter().for_each(|id| self.end(id));
            }
            _ => {}
        }
    }

    fn on_workload(&mut self, context: Context<'_>, workload: &Arc<Workload>, _findings: &mut Findings) {
        let shipper = Shipper::Workload(workload.id.clone());
        if self.ended.is_empty() || self.shippers.contains_key(&shipper) || !context.timeline.is_running(&workload.id) {
            return;
        }
        // Its logs go another way than those of the container before it: log-driver-changed compares settings.
        if self.flows.clients.target_of(&workload.id).is_some() {
            return;
        }
        let Some(mut shipping) = self.ended.remove(&ServiceKey::of(workload)) else { return };
        shipping.pulse.wait_from(workload.since.unwrap_or(context.now).max(shipping.pulse.last));
        (shipping.workload, shipping.is_inherited) = (Some(Arc::clone(workload)), true);
        self.shippers.insert(shipper, shipping);
    }

    fn on_flow(&mut self, context: Context<'_>, flow: &JudgedFlow, findings: &mut Findings) {
        if flow.again {
            return;
        }
        if self.flows.may_be_collector(flow) {
            self.read(context, flow, &flow.oriented.read(&flow.view.record), flow.over, findings);
        } else if !self.shippers.is_empty() {
            self.talk(context, flow, findings);
        }
    }

    fn on_progress(&mut self, context: Context<'_>, flow: &JudgedFlow, event: &FlowEvent, findings: &mut Findings) {
        if self.flows.may_be_collector(flow) {
            let ended = matches!(event.kind, FlowEventKind::Ended(_));
            self.read(context, flow, &flow.oriented.read(&event.record), ended, findings);
        }
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        while self.due.first().is_some_and(|(due, _)| *due <= context.now) {
            if let Some((_, shipper)) = self.due.pop_first() {
                self.check(context, &shipper, findings);
            }
        }
    }

    fn forgotten(&self) -> u64 {
        self.forgotten + self.flows.forgotten()
    }
}

impl LogShipperSilent {
    fn read(
        &mut self,
        context: Context<'_>,
        flow: &JudgedFlow,
        record: &crate::input::FlowRecord,
        ended: bool,
        findings: &mut Findings,
    ) {
        let Some(shipment) = self.flows.read(context.timeline, flow, record, ended) else { return };
        let Shipment { sender, collector, at, time } = shipment;
        let (shipper, workload, is_for_all) = match sender {
            Sender::Workload(workload) if Selector::any(&self.allowed, &workload) => return,
            Sender::Workload(workload) => {
                let is_agent = Selector::any(&self.agents, &workload);
                (Shipper::Workload(workload.id.clone()), Some(workload), is_agent)
            }
            Sender::Driver(target) => (Shipper::Driver(target), None, false),
            Sender::Host => (Shipper::Host, None, true),
        };
        if self.shippers.len() >= MAX_BOOKS && !self.shippers.contains_key(&shipper) {
            self.forgotten += 1;
            return;
        }
        if is_for_all && !self.for_all.contains(&shipper) {
            if self.for_all.len() < MAX_FOR_ALL {
                self.for_all.insert(shipper.clone());
            } else {
                self.forgotten += 1;
            }
        }
        let new =
            || Shipping { pulse: Pulse::new(time), workload, collector: collector.clone(), at, is_inherited: false };
        let shipping = self.shippers.entry(shipper.clone()).or_insert_with(new);
        if shipping.pulse.shipped(time, &flow.view.points) {
            let silent = shipping.clone();
            let text = vec![Evidence::new("over", format!("logs are sent to {at} again, since {}", time.readable()))];
            for over in [self.finding(context, &shipper, &silent, text.clone()), of_all(&silent, text)] {
                findings.push(Finding { at: time, is_over: true, ..over });
            }
        }
        if let Some(shipping) = self.shippers.get_mut(&shipper) {
            (shipping.collector, shipping.at, shipping.is_inherited) = (collector, at, false);
        }
    }

    /// Those who ship the logs of the ends of this flow have something to ship.
    fn talk(&mut self, context: Context<'_>, flow: &JudgedFlow, findings: &mut Findings) {
        let responder = responder_of(context.timeline, &flow.oriented);
        let at = flow.oriented.at;
        for workload in [flow.source.workload(), responder.workload()].into_iter().flatten() {
            let own = Shipper::Workload(workload.id.clone());
            self.talked(context, own, at, workload, findings);
            if let Some(target) = self.flows.clients.target_of(&workload.id) {
                self.talked(context, Shipper::Driver(target.clone()), at, workload, findings);
            }
            let everybodys: Vec<Shipper> = self.for_all.iter().cloned().collect();
            for shipper in everybodys {
                self.talked(context, shipper, at, workload, findings);
            }
        }
    }

    fn talked(
        &mut self,
        context: Context<'_>,
        shipper: Shipper,
        at: Timestamp,
        workload: &Arc<Workload>,
        findings: &mut Findings,
    ) {
        let is_allowed = !self.allowed.is_empty() && Selector::any(&self.allowed, workload);
        let Some(shipping) = self.shippers.get_mut(&shipper).filter(|shipping| !shipping.pulse.reported && !is_allowed)
        else {
            return;
        };
        shipping.pulse.talked(at, &workload.name);
        let due = shipping.pulse.due(self.quiet);
        if due <= context.now {
            self.check(context, &shipper, findings);
        } else if shipping.pulse.talk == 1 && self.due.insert((due, shipper)) {
            findings.schedule(due);
        }
    }

    fn check(&mut self, context: Context<'_>, shipper: &Shipper, findings: &mut Findings) {
        let Some(shipping) = self.shippers.get_mut(shipper) else { return };
        if !context.timeline.is_complete() {
            return shipping.pulse.wait_from(context.now);
        }
        if !shipping.pulse.is_quiet(self.quiet, context.path, context.now) {
            return;
        }
        if matches!(shipper, Shipper::Driver(target) if self.flows.clients.of(target).next().is_none()) {
            self.shippers.remove(shipper);
            return;
        }
        shipping.pulse.reported = true;
        if let Some(shipping) = self.shippers.get(shipper) {
            findings.push(self.found(context, shipper, shipping));
        }
    }

    fn found(&self, context: Context<'_>, shipper: &Shipper, shipping: &Shipping) -> Finding {
        let Pulse { last, shipments, longest_gap, from, talk, .. } = &shipping.pulse;
        let who = match shipper {
            Shipper::Workload(_) if shipping.is_inherited => "the container before it".to_owned(),
            Shipper::Workload(_) => "it".to_owned(),
            Shipper::Driver(target) => format!("the runtime, for the log driver {} ({target}),", target.driver),
            Shipper::Host => "the host".to_owned(),
        };
        let (from, last) = (from.readable(), last.readable());
        let gap = if longest_gap.is_zero() {
            String::new()
        } else {
            format!(", never with a gap over {}", readable(*longest_gap))
        };
        let collector = &shipping.collector;
        let mut evidence = vec![
            Evidence::new(
                "silent",
                format!(
                    "{who} sent logs to {collector} at {} {} until {last}{gap}; nothing since",
                    shipping.at,
                    many(*shipments, "time")
                ),
            ),
            Evidence::new(
                "talk",
                format!("{} of {} began since {from}", many(*talk, "flow"), shipping.pulse.talkers()),
            ),
            Evidence::new(
                "observation",
                format!("nothing was lost in that time at {}", shipping.pulse.watched_at(context.path, context.now)),
            ),
        ];
        let (others, reaching) = self.others(shipper, shipping);
        if reaching > 0 {
            evidence.push(Evidence::new(
                "others",
                format!("still reached by {reaching} of {}", many(others, "other sender")),
            ));
            return self.finding(context, shipper, shipping, evidence);
        }
        let is_gone = is_gone(context, shipping);
        if is_gone {
            evidence.push(Evidence::new("collector", format!("no container of {collector} has that address now")));
        }
        if others == 0 {
            let finding = self.finding(context, shipper, shipping, evidence);
            let severity = if is_gone { finding.severity.lower() } else { finding.severity };
            return Finding { severity, ..finding };
        }
        evidence.push(Evidence::new(
            "others",
            format!("none of {} reaches this collector either", many(others, "other sender")),
        ));
        of_all(shipping, evidence)
    }

    /// How many others send to the same collector, and how many of them did since this one stopped.
    fn others(&self, shipper: &Shipper, shipping: &Shipping) -> (usize, usize) {
        let same = self.shippers.iter().filter(|(other, its)| *other != shipper && its.collector == shipping.collector);
        same.fold((0, 0), |(all, reaching), (_, its)| {
            (all + 1, reaching + usize::from(its.pulse.last > shipping.pulse.from))
        })
    }

    fn finding(
        &self,
        context: Context<'_>,
        shipper: &Shipper,
        shipping: &Shipping,
        mut evidence: Vec<Evidence>,
    ) -> Finding {
        let (at, mut cause) = (shipping.pulse.from, format!("silent {}", shipping.collector));
        let mut workload = shipping.workload.clone();
        if let Shipper::Driver(target) = shipper {
            let clients = self.flows.clients.of(target).filter_map(|id| context.timeline.workload(id)).take(MAX_NAMES);
            let clients: Vec<&Arc<Workload>> = clients.collect();
            let names: Vec<&str> = clients.iter().map(|client| client.name.as_str()).collect();
            evidence.push(Evidence::new("clients", format!("it is the log driver of {}", names.join(", "))));
            cause = format!("driver {target}");
            workload = clients.first().filter(|_| clients.len() == 1).map(|client| Arc::clone(client));
        }
        let finding = match &workload {
            Some(workload) => Finding::of_workload(&META, at, workload, &cause, evidence),
            None => Finding::of_nobody(&META, at, &cause, evidence),
        };
        let severity = if *shipper == Shipper::Host { finding.severity.lower() } else { finding.severity };
        Finding { severity, witnesses: vec![shipping.at.ip], ..finding }
    }

    /// A container ended; the next one of its service may have to send as this one did.
    fn end(&mut self, id: &WorkloadId) {
        let shipper = Shipper::Workload(id.clone());
        self.for_all.remove(&shipper);
        let Some(shipping) = self.shippers.remove(&shipper) else { return };
        let Some(service) = shipping.workload.as_deref().map(ServiceKey::of) else { return };
        if self.ended.len() < MAX_BOOKS || self.ended.contains_key(&service) {
            self.ended.insert(service, shipping);
        } else {
            self.forgotten += 1;
        }
    }
}

/// Every sender of a collector is silent.
fn of_all(shipping: &Shipping, evidence: Vec<Evidence>) -> Finding {
    let cause = format!("collector {}", shipping.collector);
    let severity = META.severity.lower();
    let witnesses = vec![shipping.at.ip];
    Finding { severity, witnesses, ..Finding::of_nobody(&META, shipping.pulse.from, &cause, evidence) }
}

/// Whether the collector was a container, and none of its service has the address now.
fn is_gone(context: Context<'_>, shipping: &Shipping) -> bool {
    let Collector::Service(service) = &shipping.collector else { return false };
    let point = crate::input::ObservationPoint::default();
    let owner = owner_of(context.timeline, &point, shipping.at, context.now);
    !matches!(owner, Owner::Workload { workload, .. } if ServiceKey::of(&workload) == *service)
}
