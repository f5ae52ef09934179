//! What the unit tests of rules share: a network, workloads, flows between them.
//!
//! Contract: workloads own 172.20.0.0/24 on `br-net`; a flow is from a workload, answered, over TCP unless changed.

use std::sync::Arc;
use std::time::Duration;

use super::{Actors, Context, Finding, Findings, Rule};
use crate::baseline::{Baseline, Compared};
use crate::input::{
    AppFacts, Attachment, Counters, Endpoint, FiveTuple, FlowEvent, FlowEventKind, FlowId, FlowRecord, InventoryEvent,
    NeighbourClaim, ObservationPoint, Protocol, Side, TcpFacts, Workload, WorkloadId, tcp_flags,
};
use crate::inventory::{AttributionMethod, Confidence, Owner, Timeline, TimelineLimits};
use crate::names::Names;
use crate::path::{
    Evidence, HopKind, JudgedFlow, Judgement, MissingHop, ObservedFlow, Oriented, PathState, Service, Skip, Verdict,
    responder_of,
};
use crate::time::Timestamp;
use hopwatch::engine_config;
pub use hopwatch::engine_config::named;
use hopwatch::facts::network;

/// Milliseconds after the start of the test.
pub fn at(millis: u64) -> Timestamp {
    Timestamp::from_secs(1000).plus(Duration::from_millis(millis))
}

pub fn end(text: &str) -> Endpoint {
    let address: std::net::SocketAddr = text.parse().expect("an address and a port");
    Endpoint { ip: address.ip(), port: address.port() }
}

/// The timeline, what the path knows, and what was found.
pub struct Bench {
    pub timeline: Timeline,
    pub path: PathState,
    pub baseline: Option<Baseline>,
    pub actors: Actors,
    pub names: Names,
    next: u64,
}

impl Bench {
    /// Workloads by name and last octet of their address.
    pub fn new(workloads: &[(&str, u8)]) -> Self {
        let mut timeline = Timeline::new(TimelineLimits { workloads: 100, remember: Duration::from_mins(10) });
        timeline.apply(at(0), &InventoryEvent::Connected { runtime: crate::input::RuntimeId::DOCKER });
        timeline.apply(at(0), &InventoryEvent::Network(Arc::new(network())));
        for (name, octet) in workloads {
            timeline.apply(at(0), &InventoryEvent::Workload(Arc::new(workload(name, *octet))));
        }
        Self {
            timeline,
            path: PathState::default(),
            baseline: None,
            actors: Actors::default(),
            names: Names::default(),
            next: 0,
        }
    }

    pub fn record(&mut self, millis: u64, protocol: Protocol, from: &str, to: &str) -> FlowRecord {
        self.next += 1;
        // A connection that nobody answered carries nothing.
        let payload_bytes = if protocol == Protocol::TCP { 0 } else { 100 };
        let side = Side { counters: Counters { packets: 3, payload_bytes, ..Counters::default() }, ..Side::default() };
        let tcp =
            TcpFacts { orig_flags: tcp_flags::SYN, resp_flags: tcp_flags::SYN | tcp_flags::ACK, ..TcpFacts::default() };
        FlowRecord {
            orig: side,
            resp: side,
            tcp: (protocol == Protocol::TCP).then_some(tcp),
            ..FlowRecord::new(
                FlowId(self.next),
                ObservationPoint::new("br-net"),
                FiveTuple { protocol, orig: end(from), resp: end(to) },
                at(millis),
            )
        }
    }

    /// The flow as it is judged: by nothing, no matter who has its originator's address.
    pub fn judged(&self, record: &FlowRecord) -> JudgedFlow {
        let oriented = Oriented {
            tuple: record.tuple,
            point: record.point.clone(),
            at: record.start,
            forward: true,
            certain: true,
        };
        let back = Oriented { tuple: record.tuple.reversed(), ..oriented.clone() };
        JudgedFlow {
            view: ObservedFlow { record: record.clone(), points: vec![record.point.clone()], translated: None },
            source: responder_of(&self.timeline, &back),
            responder: responder_of(&self.timeline, &oriented),
            oriented,
            answered: record.resp.counters.packets > 0,
            again: false,
            revised_from: None,
            judgement: None,
            sent_on: false,
            took: Duration::ZERO,
            over: false,
        }
    }

    fn ask(&self, now: Timestamp, ask: impl FnOnce(Context<'_>, &mut Findings)) -> (Vec<Finding>, Vec<Timestamp>) {
        self.ask_about(None, now, ask)
    }

    fn ask_about(
        &self,
        workload: Option<&Workload>,
        now: Timestamp,
        ask: impl FnOnce(Context<'_>, &mut Findings),
    ) -> (Vec<Finding>, Vec<Timestamp>) {
        let mut findings = Findings::default();
        let baseline = self.baseline.as_ref();
        let compared = baseline.zip(workload).and_then(|(baseline, workload)| Compared::of(baseline, workload));
        let (timeline, path, compared) = (&self.timeline, &self.path, compared.as_ref());
        ask(
            Context { timeline, actors: &self.actors, baseline, compared, path, names: &self.names, now },
            &mut findings,
        );
        findings.into_parts()
    }

    pub fn on_workload(&self, rule: &mut dyn Rule, workload: &Arc<Workload>) -> Vec<Finding> {
        self.ask_about(Some(workload), at(1), |context, findings| rule.on_workload(context, workload, findings)).0
    }

    pub fn on_flow(&self, rule: &mut dyn Rule, flow: &JudgedFlow) -> Vec<Finding> {
        self.ask(flow.view.record.end, |context, findings| rule.on_flow(context, flow, findings)).0
    }

    /// The flow goes on as `record`.
    pub fn on_progress(
        &self,
        rule: &mut dyn Rule,
        flow: &JudgedFlow,
        kind: FlowEventKind,
        record: FlowRecord,
    ) -> Vec<Finding> {
        let event = FlowEvent { kind, record };
        self.ask(event.record.end, |context, findings| rule.on_progress(context, flow, &event, findings)).0
    }

    pub fn on_fact(&self, rule: &mut dyn Rule, now: Timestamp, fact: &crate::input::RecordedFact) -> Vec<Finding> {
        self.ask(now, |context, findings| rule.on_fact(context, fact, findings)).0
    }

    pub fn on_claim(&self, rule: &mut dyn Rule, now: Timestamp, claim: &NeighbourClaim) -> Vec<Finding> {
        self.ask(now, |context, findings| rule.on_claim(context, claim, findings)).0
    }

    /// What it says at a time that it asked for, and when it wants to be asked next.
    pub fn wake(&self, rule: &mut dyn Rule, now: Timestamp) -> (Vec<Finding>, Vec<Timestamp>) {
        self.ask(now, |context, findings| rule.on_time(context, findings))
    }

    pub fn on_time(&self, rule: &mut dyn Rule, now: Timestamp) -> Vec<Finding> {
        self.ask(now, |context, findings| rule.on_time(context, findings)).0
    }

    /// When a rule that hears of this flow wants to be woken.
    pub fn wakes(&self, rule: &mut dyn Rule, flow: &JudgedFlow) -> Vec<Timestamp> {
        self.ask(flow.view.record.end, |context, findings| rule.on_flow(context, flow, findings)).1
    }
}

pub fn said(mut record: FlowRecord, facts: AppFacts) -> FlowRecord {
    record.app = Some(Arc::new(facts));
    record
}

pub fn workload(name: &str, octet: u8) -> Workload {
    let addresses = vec![end(&format!("172.20.0.{octet}:0")).ip];
    Workload {
        image: format!("{name}:1"),
        image_digest: "sha256:aa".into(),
        attachments: vec![Attachment { network: "net".into(), addresses, ..Attachment::default() }],
        pid: Some(1),
        since: Some(at(0)),
        ..Workload::new(WorkloadId::new(name), name, crate::input::RuntimeId::DOCKER)
    }
}

/// A workload as a certain owner.
pub fn owner(name: &str, octet: u8) -> Owner {
    let workload = Arc::new(workload(name, octet));
    Owner::Workload { workload, how: AttributionMethod::Address, confidence: Confidence::Exact, why: None }
}

/// What the contract `contract` says of a flow that had to pass the gateway `hop`.
pub fn judgement(verdict: Verdict, skip: Option<Skip>) -> Judgement {
    let missing = MissingHop { alternatives: vec!["hop".to_owned()], kind: Some(HopKind::Gateway), expected: vec![] };
    let skipped = matches!(verdict, Verdict::Bypassed | Verdict::Partial);
    let hop = || Arc::new(engine_config::hop("hop", HopKind::Gateway));
    Judgement {
        contract: "contract".into(),
        service: Service::Egress,
        verdict,
        missing_hop: skipped.then_some(missing),
        skip,
        evidence: vec![Evidence::new("next_hop", "what the judge saw")],
        passed: if verdict == Verdict::Verified { vec![hop()] } else { vec![] },
    }
}

/// A flow of workload `app` to 198.51.100.7:443 that was answered and judged so.
pub fn judged(judgement: Option<Judgement>) -> JudgedFlow {
    let mut bench = Bench::new(&[("app", 10)]);
    let record = bench.record(0, Protocol::TCP, "172.20.0.10:40000", "198.51.100.7:443");
    JudgedFlow { judgement, ..bench.judged(&record) }
}
