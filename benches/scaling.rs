//! What an event costs may not depend on what else there is: workloads, contracts, flows that wait.
//!
//! `cargo bench --bench scaling` counts instructions (valgrind) of the same events beside N things and beside 4 N, and fails where the cost of an
//! event grows with an exponent above [`MOST`]. Instructions do not jitter, so CI can hold it. Everything that is there before is made before
//! counting starts.
#![allow(clippy::expect_used, reason = "a benchmark: a failure ends it")]

#[path = "../tests/support/engine_config.rs"]
mod engine_config;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use hopwatch::engine::{Engine, EngineConfig};
use hopwatch::input::{
    Attachment, Counters, EndReason, Endpoint, Fact, FiveTuple, FlowEvent, FlowEventKind, FlowId, FlowRecord, Input,
    InventoryEvent, Mac, NetworkMode, ObservationPoint, Protocol, RecordedFact, RuntimeId, RuntimeNetwork, Side,
    TcpFacts, Workload, WorkloadId, WorkloadState, tcp_flags,
};
use hopwatch::inventory::TimelineLimits;
use hopwatch::path::{DestinationSet, Hop, PortSpec, Service};
use hopwatch::time::Timestamp;

use engine_config::{contract, endpoint, for_tests};

/// The cost of an event beside n things grows less than n to the power of this.
const MOST: f64 = 0.1;
/// Workloads that send, the hop left out.
const SENDERS: u32 = 10;
/// Events that are counted.
const FLOWS: u64 = 100;
const NEWS: u32 = 50;

/// What there is more or less of, and how many in the smaller run.
const PRODUCTS: [(&str, u32); 4] =
    [("known workloads", 400), ("contracts", 20), ("waiting flows", 250), ("followed flows", 500)];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [flag, product, number] if flag == "--count" => {
            count(product, number.parse().expect("a number"));
            ExitCode::SUCCESS
        }
        _ => compare(),
    }
}

/// Prints each product's cost, and fails where it is one.
fn compare() -> ExitCode {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("scaling: left out, valgrind is not installed (Debian: apt-get install valgrind libc6-dbg)");
        return ExitCode::SUCCESS;
    }
    println!("{:<16} {:>6} {:>12} {:>12} {:>9}", "beside", "n", "at n", "at 4 n", "exponent");
    let mut is_held = true;
    for (product, number) in PRODUCTS {
        let (few, many) = (instructions(product, number), instructions(product, 4 * number));
        let exponent = (many / few).log(4.0);
        println!("{product:<16} {number:>6} {few:>12} {many:>12} {exponent:>9.3}");
        is_held &= exponent <= MOST;
    }
    if is_held {
        return ExitCode::SUCCESS;
    }
    eprintln!("scaling: an event costs more where there is more of something else; {MOST} is the highest exponent");
    ExitCode::FAILURE
}

/// Instructions in [`measured`], counted in a process of its own.
fn instructions(product: &str, number: u32) -> f64 {
    let own = std::env::current_exe().expect("this program");
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=scaling::measured*"])
        .arg(own)
        .args(["--count", product, &number.to_string()])
        .output()
        .expect("valgrind runs");
    let log = String::from_utf8_lossy(&out.stderr);
    let collected = log.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, count)| count.trim());
    let count: f64 = collected.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no count in:\n{log}"));
    assert!(count > 0.0, "nothing was counted: the name of the function that is counted has changed\n{log}");
    count
}

#[inline(never)]
fn measured(engine: &mut Engine, inputs: &[Input]) -> usize {
    let mut alerts = Vec::new();
    for input in inputs {
        engine.push(input, &mut alerts);
    }
    alerts.len()
}

fn count(product: &str, number: u32) {
    let (workloads, contracts) = match product {
        "known workloads" => (number, 1),
        "contracts" => (SENDERS, number),
        _ => (SENDERS, 1),
    };
    let mut engine = Engine::new(config(contracts));
    let push = |engine: &mut Engine, inputs: &[Input]| {
        for input in inputs {
            engine.push(input, &mut Vec::new());
        }
    };
    push(&mut engine, &inventory(workloads));
    // The first flow after a change of the inventory pays for it.
    push(&mut engine, &flows(0, 10, at(1_000)));
    let inputs = match product {
        "waiting flows" => {
            push(&mut engine, &unknown(number));
            push(&mut engine, &news(0..1));
            news(1..NEWS)
        }
        "followed flows" => {
            let mut open = flows(1_000, u64::from(number), at(2_000));
            open.retain(
                |input| !matches!(&input.fact, Fact::Flow(event) if matches!(event.kind, FlowEventKind::Ended(_))),
            );
            push(&mut engine, &open);
            flows(1_000_000, FLOWS, at(1_000_000))
        }
        _ => flows(1_000, FLOWS, at(1_000_000)),
    };
    std::hint::black_box(measured(&mut engine, &inputs));
}

fn at(micros: u64) -> Timestamp {
    Timestamp::from_secs(1_764_000_000).plus(Duration::from_micros(micros))
}

/// The last contract is about the workloads that send.
fn config(contracts: u32) -> EngineConfig {
    let port = PortSpec { port: 3128, protocol: Some(Protocol::TCP) };
    let proxy = Arc::new(Hop { name: "proxy".into(), ..endpoint("proxy", vec![port]) });
    let to = |number: u32| {
        let from = if number + 1 == contracts { "app-*".to_owned() } else { format!("other-{number}-*") };
        contract(&format!("egress-{number}"), Service::Egress, &from, DestinationSet::Internet, &proxy)
    };
    EngineConfig {
        contracts: (0..contracts).map(to).collect(),
        timeline: TimelineLimits { workloads: 20_000, remember: Duration::from_mins(10) },
        max_flows: 262_144,
        max_alerts: 10_000,
        max_destinations: 20,
        ..for_tests()
    }
}

/// Workload 0 is the proxy.
fn address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a4d_0010 + number))
}

fn mac(number: u32) -> Mac {
    let [a, b, c, d] = number.to_be_bytes();
    Mac([2, 0, a, b, c, d])
}

fn workload(number: u32) -> InventoryEvent {
    let attachment = Attachment {
        network: "net".into(),
        addresses: vec![address(number)],
        mac: Some(mac(number)),
        ..Attachment::default()
    };
    InventoryEvent::Workload(Arc::new(Workload {
        id: WorkloadId::new(&format!("{number:064x}")),
        name: if number == 0 { "proxy".into() } else { format!("app-{number}") },
        image: "image".into(),
        image_digest: String::new(),
        published: Vec::new(),
        labels: BTreeMap::new(),
        runtime: RuntimeId::DOCKER,
        network_mode: NetworkMode::Own,
        attachments: vec![attachment],
        pod: None,
        pid: None,
        state: WorkloadState::Running,
        since: Some(at(0)),
        configuration: None,
    }))
}

fn reported(micros: u64, event: InventoryEvent) -> Input {
    Input::new(at(micros), Fact::Recorded(RecordedFact::Inventory(event)))
}

fn inventory(workloads: u32) -> Vec<Input> {
    let network = RuntimeNetwork {
        id: "n".into(),
        name: "net".into(),
        driver: "bridge".into(),
        subnets: vec!["10.77.0.0/16".parse().expect("range")],
        gateways: vec![],
        bridge: Some("br-net".into()),
        parent: None,
    };
    let running = (0..=workloads).map(|number| WorkloadId::new(&format!("{number:064x}"))).collect();
    let first = [InventoryEvent::Connected { runtime: RuntimeId::DOCKER }, InventoryEvent::Network(Arc::new(network))];
    let last = InventoryEvent::Reconciled { runtime: RuntimeId::DOCKER, running };
    let all = first.into_iter().chain((0..=workloads).map(workload)).chain([last]);
    all.map(|event| reported(0, event)).collect()
}

/// Containers that start, and have nothing to do with any flow.
fn news(numbers: std::ops::Range<u32>) -> Vec<Input> {
    numbers.map(|number| reported(110_000 + u64::from(number), workload(60_000 + number))).collect()
}

/// Flows around the proxy: started, answered, ended.
fn flows(first: u64, count: u64, start: Timestamp) -> Vec<Input> {
    let all = (0..count).flat_map(|number| {
        let sender = 1 + u32::try_from(number).expect("small") % SENDERS;
        let start = start.plus(Duration::from_micros(number * 100));
        let port = u16::try_from(20_000 + number % 40_000).expect("small");
        let resp = Endpoint { ip: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)), port: 443 };
        let record = record(first + number, Endpoint { ip: address(sender), port }, resp, mac(sender), start);
        let kinds = [FlowEventKind::Started, FlowEventKind::Answered, FlowEventKind::Ended(EndReason::EndOfFlow)];
        kinds.map(|kind| event(start, kind, record.clone()))
    });
    all.collect()
}

/// Flows from addresses that nobody owns yet.
fn unknown(count: u32) -> Vec<Input> {
    let one = |number: u32| {
        let start = at(100_000 + u64::from(number));
        let resp = Endpoint { ip: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)), port: 443 };
        let orig = Endpoint { ip: address(30_000 + number), port: 40_000 };
        event(
            start,
            FlowEventKind::Started,
            record(10_000 + u64::from(number), orig, resp, mac(30_000 + number), start),
        )
    };
    (0..count).map(one).collect()
}

fn event(at: Timestamp, kind: FlowEventKind, record: FlowRecord) -> Input {
    Input::new(at, Fact::Flow(Box::new(FlowEvent { kind, record })))
}

fn record(id: u64, orig: Endpoint, resp: Endpoint, mac: Mac, start: Timestamp) -> FlowRecord {
    FlowRecord {
        id: FlowId(id),
        point: ObservationPoint::new("br-net"),
        tuple: FiveTuple { protocol: Protocol::TCP, orig, resp },
        start,
        end: start,
        orig: Side { mac: Some(mac), next_hop: None, counters: Counters { packets: 1, ..Counters::default() } },
        resp: Side::default(),
        vlans: vec![],
        fragments: 0,
        tunnels: Vec::new(),
        app: None,
        rare: None,
        tcp: Some(TcpFacts { orig_flags: tcp_flags::SYN, resp_flags: 0, ..TcpFacts::default() }),
    }
}
