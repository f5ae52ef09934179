//! Flows that carry logs: who sends them, for whom, and to which collector.
//!
//! Contract: a flow carries logs when it goes to a collector's port, to a collector that the configuration names, or to the address of a
//! log driver; keep-alives are no logs ([`MIN_BYTES`]). The daemon sends for a log driver, so such a flow is the host's on the wire and
//! its clients are the containers with that setting. Limits: [`MAX_FLOWS`] flows are followed; beyond, growth of a flow is not noticed,
//! and counted. Design: the rules about collectors share this reading and keep their own books.

mod clients;
mod collector;
mod pulse;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::input::{Endpoint, FlowId, FlowRecord, RecordedFact, Workload};
use crate::inventory::configuration::ServiceKey;
use crate::inventory::{Owner, Timeline};
use crate::path::{JudgedFlow, owner_of};
use crate::time::Timestamp;

pub use clients::Clients;
pub use collector::{Collector, DeclaredCollector, DriverTarget, LOG_PORTS};
pub use pulse::{Pulse, Quiet};

/// Flows whose growth is followed.
const MAX_FLOWS: usize = 16_384;
/// Payload that is more than keep-alives and handshakes of one update.
const MIN_BYTES: u64 = 16;

/// Who sends logs.
#[derive(Clone, Debug)]
pub enum Sender {
    /// A container, for itself or for others.
    Workload(Arc<Workload>),
    /// The runtime's daemon, for the containers whose log driver has this address.
    Driver(DriverTarget),
    /// A process of the host that no log driver explains.
    Host,
}

/// Logs that a flow carried.
#[derive(Clone, Debug)]
pub struct Shipment {
    /// Who sent them.
    pub sender: Sender,
    /// Who received them.
    pub collector: Collector,
    /// Where the collector is: behind address translation, where that is known.
    pub at: Endpoint,
    /// The last packet so far.
    pub time: Timestamp,
}

/// The reader of such flows.
#[derive(Debug)]
pub struct LogFlows {
    /// Few, so that a look through them costs less than a search.
    ports: Vec<u16>,
    declared: Vec<DeclaredCollector>,
    /// Containers whose logs the daemon sends.
    pub clients: Clients,
    carried: BTreeMap<FlowId, u64>,
    forgotten: u64,
}

impl LogFlows {
    /// Nothing was seen yet.
    pub fn new(ports: &[u16], declared: &[DeclaredCollector]) -> Self {
        Self {
            ports: ports.to_vec(),
            declared: declared.to_vec(),
            clients: Clients::default(),
            carried: BTreeMap::new(),
            forgotten: 0,
        }
    }

    /// Whether the configuration names collectors.
    pub const fn has_declared(&self) -> bool {
        !self.declared.is_empty()
    }

    /// Whether the configuration names this one.
    pub fn is_declared(&self, end: Endpoint) -> bool {
        self.declared.iter().any(|declared| declared.contains(end))
    }

    /// Whether a flow to this end may carry logs.
    pub fn may_be_collector(&self, flow: &JudgedFlow) -> bool {
        let tuple = flow.oriented.tuple;
        let is = |end: Endpoint| {
            self.ports.contains(&end.port) || self.clients.is_port(tuple.protocol, end.port) || self.is_declared(end)
        };
        is(tuple.resp) || flow.view.translated.is_some() && is(behind(flow))
    }

    /// What a flow carried since it was last read; `None` where it carries no logs, or no more of them. `record` is the flow as it stands,
    /// read from the sender's end.
    pub fn read(
        &mut self,
        timeline: &Timeline,
        flow: &JudgedFlow,
        record: &FlowRecord,
        ended: bool,
    ) -> Option<Shipment> {
        if !self.may_be_collector(flow) {
            return None;
        }
        let grew = self.grew(record, ended);
        if !grew {
            return None;
        }
        let at = behind(flow);
        let owner = owner_of(timeline, &flow.oriented.point, at, flow.oriented.at);
        let sender = self.sender(flow, at, owner.workload().is_some())?;
        let collector = match &owner {
            Owner::Workload { workload, .. } => Collector::Service(ServiceKey::of(workload)),
            _ => Collector::Address(at.ip),
        };
        Some(Shipment { sender, collector, at, time: record.end })
    }

    fn sender(&self, flow: &JudgedFlow, at: Endpoint, is_here: bool) -> Option<Sender> {
        match &flow.source {
            Owner::Workload { workload, .. } => Some(Sender::Workload(Arc::clone(workload))),
            Owner::Host => {
                let tuple = flow.oriented.tuple;
                let target = self.clients.target(tuple.protocol, [tuple.resp, at], is_here);
                Some(target.map_or(Sender::Host, |target| Sender::Driver(target.clone())))
            }
            _ => None,
        }
    }

    /// Whether a flow carried more than keep-alives since it was last read.
    fn grew(&mut self, record: &FlowRecord, ended: bool) -> bool {
        let bytes = record.orig.counters.payload_bytes;
        let before = self.carried.get(&record.id).copied();
        let grew = bytes >= before.unwrap_or(0).saturating_add(MIN_BYTES);
        if ended {
            self.carried.remove(&record.id);
        } else if before.is_some() || self.carried.len() < MAX_FLOWS {
            self.carried.insert(record.id, if grew { bytes } else { before.unwrap_or(0) });
        } else {
            self.forgotten += 1;
        }
        grew
    }

    /// Takes in containers and their ends.
    pub fn on_fact(&mut self, timeline: &Timeline, fact: &RecordedFact) {
        self.clients.on_fact(timeline, fact);
    }

    /// What found no room.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten + self.clients.forgotten()
    }
}

/// The end that answers, behind address translation where that is known.
fn behind(flow: &JudgedFlow) -> Endpoint {
    let translated = flow.view.translated.map(|tuple| if flow.oriented.forward { tuple } else { tuple.reversed() });
    translated.map_or(flow.oriented.tuple.resp, |tuple| tuple.resp)
}
