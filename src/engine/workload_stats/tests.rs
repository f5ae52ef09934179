//! The statistics of an engine: what flows of two workloads leave there.

use std::net::IpAddr;

use super::*;
use crate::engine::{Engine, EngineConfig};
use crate::input::{Attachment, Counters, Endpoint, Fact, Input, InventoryEvent, Protocol, Side, TcpFacts, tcp_flags};
use crate::inventory::TimelineLimits;
use crate::path::{DestinationSet, PortSpec, Service};
use hopwatch::engine_config::{contract, endpoint, for_tests};
use hopwatch::facts::network;

const LIMITS: WorkloadStatsLimits = WorkloadStatsLimits { rows: 100, flows: 100, alerts: 10, latest: 4 };

fn at(millis: u64) -> Timestamp {
    Timestamp::from_secs(1_764_000_000).plus(Duration::from_millis(millis))
}

/// `app-*` reaches the internet by `proxy` only.
fn engine(limits: WorkloadStatsLimits) -> Engine {
    let proxy = Arc::new(endpoint("proxy", vec![PortSpec { port: 3128, protocol: Some(Protocol::TCP) }]));
    let contracts = vec![contract("egress", Service::Egress, "app-*", DestinationSet::Internet, &proxy)];
    let timeline = TimelineLimits { workloads: 1000, remember: Duration::from_mins(1) };
    let mut engine = Engine::new(EngineConfig { contracts, timeline, max_destinations: 20, ..for_tests() });
    engine.observe(Box::new(WorkloadStats::new(limits)));
    let running = [2, 3].map(|host| WorkloadId::new(&host.to_string())).to_vec();
    tell(&mut engine, 0, InventoryEvent::Connected { runtime: crate::input::RuntimeId::DOCKER });
    tell(&mut engine, 0, InventoryEvent::Network(Arc::new(network())));
    tell(&mut engine, 0, workload(2, "app-2"));
    tell(&mut engine, 0, workload(3, "proxy"));
    tell(&mut engine, 0, InventoryEvent::Reconciled { runtime: crate::input::RuntimeId::DOCKER, running });
    engine
}

fn workload(host: u8, name: &str) -> InventoryEvent {
    let addresses = vec![IpAddr::from([172, 20, 0, host])];
    InventoryEvent::Workload(Arc::new(Workload {
        image: "image".into(),
        attachments: vec![Attachment { network: "net".into(), addresses, ..Attachment::default() }],
        since: Some(at(0)),
        ..Workload::new(WorkloadId::new(&host.to_string()), name, crate::input::RuntimeId::DOCKER)
    }))
}

fn tell(engine: &mut Engine, millis: u64, event: InventoryEvent) {
    engine.push(&Input::new(at(millis), event), &mut Vec::new());
}

struct Talk {
    engine: Engine,
    id: u64,
    port: u16,
    to: ([u8; 4], u16),
}

impl Talk {
    /// What the meter reports of the flow, with the bytes that were seen so far.
    fn event(&mut self, millis: u64, kind: FlowEventKind, out: u64, back: u64) {
        let side = |ip_bytes| Side {
            mac: None,
            next_hop: None,
            counters: Counters { packets: 1, ip_bytes, ..Counters::default() },
        };
        let record = FlowRecord {
            end: at(millis),
            orig: side(out),
            resp: side(back),
            tcp: Some(TcpFacts { orig_flags: tcp_flags::SYN, ..TcpFacts::default() }),
            ..FlowRecord::new(
                FlowId(self.id),
                ObservationPoint::new("br-net"),
                FiveTuple {
                    protocol: Protocol::TCP,
                    orig: Endpoint { ip: IpAddr::from([172, 20, 0, 2]), port: self.port },
                    resp: Endpoint { ip: IpAddr::from(self.to.0), port: self.to.1 },
                },
                at(1000),
            )
        };
        let event = FlowEvent { kind, record };
        self.engine.push(&Input::new(at(millis), Fact::Flow(Box::new(event))), &mut Vec::new());
    }

    fn row(&mut self, name: &str) -> WorkloadRow {
        let rows = self.engine.workload_stats().expect("a board").rows;
        let named =
            |row: &WorkloadRow| row.workload.as_ref().map_or(row.who.as_str(), |workload| &workload.name) == name;
        rows.into_iter().find(named).unwrap_or_else(|| panic!("no row {name}"))
    }
}

fn to_the_proxy() -> Talk {
    Talk { engine: engine(LIMITS), id: 1, port: 40_000, to: ([172, 20, 0, 3], 3128) }
}

#[test]
fn both_ends_get_the_bytes_and_only_the_one_that_asked_the_verdict() {
    let mut talk = to_the_proxy();
    talk.event(1000, FlowEventKind::Started, 60, 0);
    talk.event(1001, FlowEventKind::Answered, 100, 60);
    let before = talk.engine.workload_stats_revision();
    talk.event(3000, FlowEventKind::Updated, 1000, 5000);
    assert!(talk.engine.workload_stats_revision() > before, "there is something to draw");
    let (app, proxy) = (talk.row("app-2"), talk.row("proxy"));
    assert_eq!((app.tally.bytes_out, app.tally.bytes_in), (1000, 5000));
    assert_eq!((proxy.tally.bytes_out, proxy.tally.bytes_in), (5000, 1000));
    assert_eq!((app.tally.verdicts, proxy.tally.verdicts), ([1, 0, 0, 0], [0; 4]));
    assert_eq!((app.tally.confidence, app.tally.flows, app.tally.flows_now), ([1, 0, 0], 1, 1));
    assert_eq!((proxy.tally.flows, proxy.tally.flows_now), (1, 1));
    let line = app.latest.front().expect("the flow");
    assert_eq!((line.source.as_str(), line.responder.as_str()), ("app-2", "proxy"));
    talk.event(9000, FlowEventKind::Ended(EndReason::EndOfFlow), 1100, 5100);
    let (app, proxy) = (talk.row("app-2"), talk.row("proxy"));
    assert_eq!((app.tally.flows_now, app.tally.bytes_out, proxy.tally.flows_now), (0, 1100, 0));
}

#[test]
fn a_flow_that_ends_before_it_is_judged_is_not_left_open() {
    let mut talk = to_the_proxy();
    talk.to = ([198, 51, 100, 7], 443);
    talk.event(1000, FlowEventKind::Started, 60, 0);
    talk.event(1100, FlowEventKind::Ended(EndReason::EndOfFlow), 60, 40);
    let app = talk.row("app-2");
    assert_eq!((app.tally.flows, app.tally.flows_now, app.tally.bytes_out, app.tally.bytes_in), (1, 0, 60, 40));
    assert_eq!(app.tally.verdicts, [0, 1, 0, 0], "it went around the proxy");
    assert_eq!(app.tally.alerts.iter().sum::<u64>(), 1);
    assert_eq!(talk.row("external").tally.bytes_in, 60);
    let alerts = talk.engine.workload_stats().expect("a board").alerts;
    assert_eq!(alerts.iter().map(|alert| alert.rule).collect::<Vec<_>>(), ["egress-skips-proxy"]);
}

#[test]
fn a_long_flow_goes_on_in_its_next_record() {
    let mut talk = to_the_proxy();
    talk.event(1000, FlowEventKind::Started, 60, 0);
    talk.event(1001, FlowEventKind::Answered, 100, 60);
    talk.event(5000, FlowEventKind::Ended(EndReason::ActiveTimeout), 500, 60);
    assert_eq!(talk.row("app-2").tally.flows_now, 1);
    talk.id = 2;
    talk.event(5001, FlowEventKind::Started, 7, 0);
    talk.event(5002, FlowEventKind::Ended(EndReason::EndOfFlow), 10, 0);
    let app = talk.row("app-2");
    assert_eq!((app.tally.flows, app.tally.flows_now, app.tally.bytes_out), (1, 0, 510));
}

#[test]
fn rows_that_go_are_added_to_other_and_sums_stay() {
    let mut talk = Talk { engine: engine(WorkloadStatsLimits { rows: 3, ..LIMITS }), ..to_the_proxy() };
    talk.event(1000, FlowEventKind::Started, 60, 0);
    talk.event(1001, FlowEventKind::Ended(EndReason::EndOfFlow), 100, 60);
    assert_eq!(talk.row("app-2").tally.bytes_out, 100);
    tell(&mut talk.engine, 2000, InventoryEvent::Stopped { id: WorkloadId::new("2"), until: at(2000) });
    for host in 10..60 {
        tell(&mut talk.engine, 3000, workload(host, &format!("w{host}")));
    }
    let view = talk.engine.workload_stats().expect("a board");
    assert!(view.rows.len() <= 4, "three and other: {}", view.rows.len());
    assert!(view.folded >= 48, "{}", view.folded);
    let sum: u64 = view.rows.iter().map(|row| row.tally.bytes_out + row.tally.bytes_in).sum();
    assert_eq!(sum, 2 * 160, "what was counted is still there");
    assert!(talk.row("proxy").runs, "a workload that runs is not put away for one that comes");
}

#[test]
fn more_flows_than_are_followed_still_count_once() {
    let mut talk = Talk { engine: engine(WorkloadStatsLimits { flows: 2, ..LIMITS }), ..to_the_proxy() };
    for number in 0..5 {
        (talk.id, talk.port) = (u64::from(number), 40_000 + number);
        talk.event(1000, FlowEventKind::Started, 60, 0);
        talk.event(1001, FlowEventKind::Answered, 60, 60);
    }
    let app = talk.row("app-2");
    assert_eq!((app.tally.flows, app.tally.flows_now, app.latest.len()), (5, 2, 4));
}
