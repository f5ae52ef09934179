//! A small host in facts, for tests of the engine: network 172.20.0.0/24 on `br-net`, workloads at 172.20.0.10 and up.
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hopwatch::alert::{Alert, Exception};
use hopwatch::engine::{Engine, EngineConfig};
use hopwatch::input::*;
use hopwatch::path::*;
use hopwatch::time::Timestamp;

pub use super::engine_config::named;
use super::engine_config::{contract, endpoint, for_tests};
use super::facts::network;

/// Milliseconds after the start of the test's world.
pub fn at(millis: u64) -> Timestamp {
    Timestamp::from_secs(1_764_000_000).plus(Duration::from_millis(millis))
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Contracts: `web*` reach the internet through workload `proxy` (3128), everybody resolves at `resolver` (53).
pub fn config() -> EngineConfig {
    let port = |port| PortSpec { port, protocol: None };
    let [proxy, resolver] =
        [("proxy", 3128), ("resolver", 53)].map(|(name, at)| Arc::new(endpoint(name, vec![port(at)])));
    let dns = contract("dns", Service::Dns, "*", DestinationSet::Any, &resolver);
    let contracts = vec![
        contract("egress", Service::Egress, "web*", DestinationSet::Internet, &proxy),
        Contract { ports: [53, 853].map(port).into(), ..dns },
    ];
    EngineConfig { contracts, ..for_tests() }
}

pub fn exception(name: &str, workload: &str, expires: Timestamp) -> Exception {
    Exception {
        name: name.into(),
        rule: "egress-skips-proxy".into(),
        workload: Some(named(workload)),
        destinations: vec![],
        ports: vec![],
        owner: "platform".into(),
        reason: "test".into(),
        expires,
    }
}

/// An engine and what it raised.
pub struct World {
    pub engine: Engine,
    pub alerts: Vec<Alert>,
    next_flow: u64,
}

impl World {
    /// The runtime is connected and its snapshot is complete.
    pub fn new(config: EngineConfig) -> Self {
        let mut world = Self::silent(config);
        world.connect(0);
        world
    }

    /// The runtime connects, with a snapshot in which nothing runs.
    pub fn connect(&mut self, millis: u64) {
        self.runtime(millis, InventoryEvent::Connected { runtime: hopwatch::input::RuntimeId::DOCKER });
        self.runtime(millis, InventoryEvent::Network(Arc::new(network())));
        self.runtime(
            millis,
            InventoryEvent::Reconciled { runtime: hopwatch::input::RuntimeId::DOCKER, running: vec![] },
        );
        let link = LinkEvent {
            point: ObservationPoint::new("br-net"),
            up: true,
            mac: Some(Mac([2, 0, 0, 0, 0, 0xff])),
            addresses: vec![ip("172.20.0.1")],
            ..LinkEvent::default()
        };
        self.push(millis, Fact::Recorded(RecordedFact::Link(link)));
    }

    /// No runtime was ever heard of.
    pub fn silent(config: EngineConfig) -> Self {
        Self { engine: Engine::new(config), alerts: Vec::new(), next_flow: 0 }
    }

    pub fn push(&mut self, millis: u64, fact: Fact) {
        self.engine.push(&Input::new(at(millis), fact), &mut self.alerts);
    }

    pub fn tick(&mut self, millis: u64) {
        self.push(millis, Fact::Tick);
    }

    pub fn runtime(&mut self, millis: u64, event: InventoryEvent) {
        self.push(millis, Fact::Recorded(RecordedFact::Inventory(event)));
    }

    /// Starts a workload at 172.20.0.`host` with MAC 02:00:00:00:00:`host`.
    pub fn start(&mut self, millis: u64, name: &str, host: u8) {
        self.start_with(millis, name, host, |_| {});
    }

    pub fn start_with(&mut self, millis: u64, name: &str, host: u8, change: impl FnOnce(&mut Workload)) {
        let attachment = Attachment {
            network: "net".into(),
            addresses: vec![ip(&format!("172.20.0.{host}"))],
            mac: Some(Mac([2, 0, 0, 0, 0, host])),
            ..Attachment::default()
        };
        let mut workload = Workload {
            image: format!("{name}:1"),
            image_digest: "sha256:1".into(),
            attachments: vec![attachment],
            pid: Some(1),
            since: Some(at(millis)),
            ..Workload::new(
                WorkloadId::new(&format!("{name}{}", "0".repeat(50))),
                name,
                hopwatch::input::RuntimeId::DOCKER,
            )
        };
        change(&mut workload);
        self.runtime(millis, InventoryEvent::Workload(Arc::new(workload)));
    }

    pub fn stop(&mut self, millis: u64, name: &str) {
        let id = WorkloadId::new(&format!("{name}{}", "0".repeat(50)));
        self.runtime(millis, InventoryEvent::Stopped { id, until: at(millis) });
    }

    /// A flow from 172.20.0.`host`, as its first packet shows it on `br-net`.
    pub fn record(&mut self, millis: u64, protocol: Protocol, host: u8, to: &str, port: u16) -> FlowRecord {
        self.next_flow += 1;
        let sent = Counters {
            packets: 1,
            frame_bytes: 74,
            ip_bytes: 60,
            payload_bytes: if protocol == Protocol::TCP { 0 } else { 20 },
        };
        // On the bridge the host's frames carry the bridge's MAC.
        let sender = if host == 1 { 0xff } else { host };
        let source = 40_000 + u16::try_from(self.next_flow).expect("few flows");
        FlowRecord {
            orig: Side { mac: Some(Mac([2, 0, 0, 0, 0, sender])), next_hop: None, counters: sent },
            tcp: (protocol == Protocol::TCP).then_some(TcpFacts {
                orig_flags: tcp_flags::SYN,
                resp_flags: 0,
                ..TcpFacts::default()
            }),
            ..FlowRecord::new(
                FlowId(self.next_flow),
                ObservationPoint::new("br-net"),
                FiveTuple {
                    protocol,
                    orig: Endpoint { ip: ip(&format!("172.20.0.{host}")), port: source },
                    resp: Endpoint { ip: ip(to), port },
                },
                at(millis),
            )
        }
    }

    pub fn event(&mut self, millis: u64, kind: FlowEventKind, record: &FlowRecord) {
        let mut record = record.clone();
        record.end = at(millis);
        self.push(millis, Fact::Flow(Box::new(FlowEvent { kind, record })));
    }

    /// Starts a TCP flow and answers it 10 ms later.
    pub fn tcp(&mut self, millis: u64, host: u8, to: &str, port: u16) -> FlowRecord {
        let mut record = self.record(millis, Protocol::TCP, host, to, port);
        self.event(millis, FlowEventKind::Started, &record);
        record.resp = Side { mac: None, next_hop: None, counters: Counters { packets: 1, ..Counters::default() } };
        self.event(millis + 10, FlowEventKind::Answered, &record);
        record
    }

    /// Starts a UDP flow.
    pub fn udp(&mut self, millis: u64, host: u8, to: &str, port: u16) -> FlowRecord {
        let record = self.record(millis, Protocol::UDP, host, to, port);
        self.event(millis, FlowEventKind::Started, &record);
        record
    }

    /// Flows judged so by a contract.
    pub fn count(&self, contract: &str, verdict: &'static str) -> u64 {
        let stats = self.engine.stats();
        let flows = stats.verdicts().into_iter().filter(|((of, is, _), _)| &**of == contract && *is == verdict);
        flows.map(|(_, count)| count).sum()
    }

    pub fn finish(&mut self) {
        self.engine.finish(&mut self.alerts);
    }

    /// `rule workload severity` of what was raised, updates left out.
    pub fn raised(&self) -> Vec<String> {
        let name =
            |alert: &Alert| alert.workload.as_ref().map_or_else(|| "-".to_owned(), |workload| workload.name.clone());
        let raised = self.alerts.iter().filter(|alert| alert.update == 0);
        raised.map(|alert| format!("{} {} {}", alert.rule, name(alert), alert.severity.as_str())).collect()
    }
}
