//! The engine's cost a flow event, with 200 workloads and 50 contracts.
#![allow(clippy::expect_used, missing_docs, reason = "a benchmark: a failure ends it")]

#[path = "../tests/support/engine_config.rs"]
mod engine_config;
#[path = "../tests/support/facts.rs"]
mod facts;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use divan::{Bencher, counter::ItemsCount};
use hopwatch::engine::{Engine, EngineConfig};
use hopwatch::input::{
    Attachment, Counters, EndReason, Endpoint, Fact, FiveTuple, FlowEvent, FlowEventKind, FlowId, FlowRecord, Input,
    InventoryEvent, Mac, ObservationPoint, Protocol, RecordedFact, Side, TcpFacts, Workload, WorkloadId, tcp_flags,
};
use hopwatch::inventory::TimelineLimits;
use hopwatch::path::{DestinationSet, Hop, PortSpec, Service};
use hopwatch::time::Timestamp;

use engine_config::{contract, endpoint, for_tests};
use facts::network;

const WORKLOADS: u8 = 200;
const CONTRACTS: u8 = 50;
const FLOWS: u64 = 10_000;

fn main() {
    divan::main();
}

fn at(micros: u64) -> Timestamp {
    Timestamp::from_secs(1_764_000_000).plus(Duration::from_micros(micros))
}

/// Contract N is about workloads whose name ends in N; workload 0 is the hop of all.
fn config() -> EngineConfig {
    let port = PortSpec { port: 3128, protocol: Some(Protocol::TCP) };
    let proxy = Arc::new(Hop { name: "proxy".into(), ..endpoint("app-0", vec![port]) });
    let to = |number: u8| {
        let (name, from) = (format!("egress-{number}"), format!("app-*{number}"));
        contract(&name, Service::Egress, &from, DestinationSet::Internet, &proxy)
    };
    EngineConfig {
        contracts: (0..CONTRACTS).map(to).collect(),
        timeline: TimelineLimits { workloads: 20_000, remember: Duration::from_mins(10) },
        max_flows: 262_144,
        max_alerts: 10_000,
        max_destinations: 20,
        ..for_tests()
    }
}

fn address(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(172, 20, 0, 10 + host))
}

fn inventory() -> Vec<Input> {
    let fact = |event| Input::new(at(0), Fact::Recorded(RecordedFact::Inventory(event)));
    let workload = |number: u8| {
        let attachment = Attachment {
            network: "net".into(),
            addresses: vec![address(number)],
            mac: Some(Mac([2, 0, 0, 0, 0, number])),
            ..Attachment::default()
        };
        InventoryEvent::Workload(Arc::new(Workload {
            image: "image".into(),
            attachments: vec![attachment],
            since: Some(at(0)),
            ..Workload::new(
                WorkloadId::new(&format!("{number:064x}")),
                &format!("app-{number}"),
                hopwatch::input::RuntimeId::DOCKER,
            )
        }))
    };
    let running = (0..WORKLOADS).map(|number| WorkloadId::new(&format!("{number:064x}"))).collect();
    let first = [
        InventoryEvent::Connected { runtime: hopwatch::input::RuntimeId::DOCKER },
        InventoryEvent::Network(Arc::new(network())),
    ];
    let last = InventoryEvent::Reconciled { runtime: hopwatch::input::RuntimeId::DOCKER, running };
    first.into_iter().chain((0..WORKLOADS).map(workload)).chain([last]).map(fact).collect()
}

/// Started, answered and ended; `bypass` in a hundred go around the proxy.
fn flows(bypass: u64) -> Vec<Input> {
    let mut inputs = Vec::new();
    for number in 0..FLOWS {
        let start = at(1_000_000 + number * 100);
        let around = number % 100 < bypass;
        let outside = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
        let resp = if around { Endpoint { ip: outside, port: 443 } } else { Endpoint { ip: address(0), port: 3128 } };
        let from = u8::try_from(1 + number % u64::from(WORKLOADS - 1)).expect("small");
        let port = u16::try_from(20_000 + number % 40_000).expect("small");
        let mut record = FlowRecord {
            orig: Side {
                mac: Some(Mac([2, 0, 0, 0, 0, from])),
                next_hop: None,
                counters: Counters { packets: 1, ..Counters::default() },
            },
            tcp: Some(TcpFacts { orig_flags: tcp_flags::SYN, resp_flags: 0, ..TcpFacts::default() }),
            ..FlowRecord::new(
                FlowId(number),
                ObservationPoint::new("br-net"),
                FiveTuple { protocol: Protocol::TCP, orig: Endpoint { ip: address(from), port }, resp },
                start,
            )
        };
        for kind in [FlowEventKind::Started, FlowEventKind::Answered, FlowEventKind::Ended(EndReason::EndOfFlow)] {
            record.end = start;
            inputs.push(Input::new(start, Fact::Flow(Box::new(FlowEvent { kind, record: record.clone() }))));
        }
    }
    inputs
}

#[divan::bench(args = [0, 5, 100])]
fn flow_events(bencher: Bencher<'_, '_>, bypass_percent: u64) {
    let inventory = inventory();
    let flows = flows(bypass_percent);
    bencher
        .counter(ItemsCount::new(flows.len()))
        .with_inputs(|| {
            let mut engine = Engine::new(config());
            let mut alerts = Vec::new();
            for input in &inventory {
                engine.push(input, &mut alerts);
            }
            engine
        })
        .bench_values(|mut engine| {
            let mut alerts = Vec::new();
            for input in &flows {
                engine.push(input, &mut alerts);
            }
            engine.finish(&mut alerts);
            alerts.len()
        });
}
