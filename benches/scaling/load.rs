//! What is there before, and the events whose cost is counted.
//!
//! Contract: the events are the same whatever they happen beside, and all in time for flows that wait. Limits: numbers stay away from those at which
//! a table grows (7/8 of a power of two), which would count as the event's.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use hopwatch::alert::AlertBudget;
use hopwatch::engine::EngineConfig;
use hopwatch::input::{
    Attachment, ClaimKind, Counters, EndReason, Endpoint, Fact, FiveTuple, FlowEvent, FlowEventKind, FlowId,
    FlowRecord, Input, InventoryEvent, KernelFact, LinkEvent, Mac, NamespaceView, NatBinding, NatFact, NeighbourClaim,
    NetnsId, NetworkMode, ObservationPoint, Protocol, RecordedFact, RuntimeId, RuntimeNetwork, Side, SocketEvidence,
    SocketView, TcpFacts, Workload, WorkloadId, WorkloadState, tcp_flags,
};
use hopwatch::inventory::TimelineLimits;
use hopwatch::path::{DestinationSet, Hop, PortSpec, Service};
use hopwatch::time::Timestamp;

use super::engine_config::{contract, endpoint, for_tests};

/// Workloads that send, the proxy left out.
const SENDERS: u32 = 10;
/// Events of a kind that are counted.
const EVENTS: u32 = 32;
/// Of those that make all waiting flows be looked at again.
const FEW: usize = 4;
/// Microseconds of event time: when the counted events begin, and when flows that wait for them have begun.
const COUNTED: u64 = 100_100_000;
const WAITING: u64 = 100_000_000;
const OPENED: u64 = 10_000_000;
/// Workloads that send once where alerts are counted.
const RAISING: u32 = 480;
const HOST: NetnsId = NetnsId(1);
const OUTSIDE: Endpoint = Endpoint { ip: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)), port: 443 };

/// What there is more or less of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    Workloads,
    Contracts,
    Networks,
    Links,
    Sockets,
    Translations,
    Waiting,
    Followed,
    Alerts,
}

impl Beside {
    pub const ALL: [Self; 9] = [
        Self::Workloads,
        Self::Contracts,
        Self::Networks,
        Self::Links,
        Self::Sockets,
        Self::Translations,
        Self::Waiting,
        Self::Followed,
        Self::Alerts,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Workloads => "known workloads",
            Self::Contracts => "contracts",
            Self::Networks => "networks",
            Self::Links => "interfaces",
            Self::Sockets => "sockets",
            Self::Translations => "translations",
            Self::Waiting => "waiting flows",
            Self::Followed => "followed flows",
            Self::Alerts => "open alerts",
        }
    }

    /// How many in the smaller run.
    pub const fn number(self) -> u32 {
        if matches!(self, Self::Contracts) { 25 } else { 120 }
    }
}

/// The last contract is about the workloads that send; each has a hop of its own.
pub fn config(beside: Beside, number: u32) -> EngineConfig {
    let contracts = if beside == Beside::Contracts { number } else { 1 };
    let to = |number: u32| {
        let last = number + 1 == contracts;
        let (hop, from) = if last {
            ("proxy".to_owned(), "app-*".to_owned())
        } else {
            (format!("proxy-{number}"), format!("other-{number}-*"))
        };
        let port = PortSpec { port: 3128, protocol: Some(Protocol::TCP) };
        let hop = Arc::new(Hop { name: hop.clone(), ..endpoint(&hop, vec![port]) });
        contract(&format!("egress-{number}"), Service::Egress, &from, DestinationSet::Internet, &hop)
    };
    EngineConfig {
        contracts: (0..contracts).map(to).collect(),
        timeline: TimelineLimits { workloads: 20_000, remember: Duration::from_mins(10) },
        max_flows: 262_144,
        max_alerts: 10_000,
        max_destinations: 20,
        alert_budget: AlertBudget { burst: 1_000_000, refill: Duration::from_mins(1) },
        ..for_tests()
    }
}

/// Everything that is there before the counted events.
pub fn before(beside: Beside, number: u32) -> Vec<Input> {
    let workloads = match beside {
        Beside::Workloads => number,
        Beside::Alerts => RAISING,
        _ => SENDERS,
    };
    let mut inputs = inventory(workloads);
    let host = NamespaceView { netns: HOST, host: true, workloads: Vec::new(), interfaces: Vec::new(), settings: None };
    inputs.push(recorded(1, RecordedFact::Kernel(KernelFact::Namespace(Arc::new(host)))));
    inputs.push(recorded(1, RecordedFact::Nat(NatFact::Watched { netns: None })));
    let many = |begin: u64, make: &dyn Fn(u64, u32) -> Input| -> Vec<Input> {
        (0..number).map(|one| make(begin + u64::from(one), one)).collect()
    };
    inputs.extend(match beside {
        Beside::Workloads | Beside::Contracts | Beside::Waiting | Beside::Followed | Beside::Alerts => Vec::new(),
        Beside::Networks => many(OPENED, &network),
        Beside::Links => many(OPENED, &link),
        Beside::Sockets => many(OPENED, &socket),
        Beside::Translations => many(WAITING - 1_000_000, &translation),
    });
    // The first flow after a change of the inventory pays for it.
    let first = (0..SENDERS).map(|one| Connection::of(1_000 + one, one, true));
    inputs.extend(first.flat_map(|connection| connection.whole(OPENED)));
    let open = (0..number).map(|one| Connection::of(10_000 + one, one, false));
    match beside {
        Beside::Followed => inputs.extend(open.flat_map(|connection| connection.begun(OPENED))),
        Beside::Alerts => {
            inputs.extend(open.flat_map(|connection| connection.by(1 + connection.number - 10_000).whole(OPENED)));
        }
        _ => {}
    }
    // What was due since is done.
    inputs.push(Input::new(at(WAITING - 1), Fact::Tick));
    if beside == Beside::Waiting {
        inputs.extend(many(WAITING, &|at, one| unknown(at, 40_000 + one)));
    }
    // The first event of the inventory pays for what the facts before it have touched.
    inputs.push(started(COUNTED - 1_000, 1));
    inputs
}

/// The events that are counted, by kind.
pub fn events() -> Vec<(&'static str, Vec<Input>)> {
    let all = |make: &dyn Fn(u64, u32) -> Input| -> Vec<Input> {
        (0..EVENTS).map(|one| make(COUNTED + u64::from(one), 50_000 + one)).collect()
    };
    let flows = |kind: FlowEventKind| all(&|time, one| Connection::of(one, one, one % 2 == 0).event(time, kind));
    vec![
        ("started", flows(FlowEventKind::Started)),
        ("answered", flows(FlowEventKind::Answered)),
        ("updated", flows(FlowEventKind::Updated)),
        ("ended", flows(FlowEventKind::Ended(EndReason::EndOfFlow))),
        ("unknown", all(&unknown)),
        ("workload", all(&started)),
        ("stopped", all(&stopped)),
        ("network", all(&network).into_iter().take(FEW).collect()),
        ("link", all(&link)),
        ("socket", all(&socket)),
        ("translation", all(&translation)),
        ("claim", all(&claim)),
    ]
}

/// A connection of a workload that keeps to the proxy or goes around it.
#[derive(Clone, Copy)]
struct Connection {
    number: u32,
    sender: u32,
    keeps: bool,
}

impl Connection {
    fn of(number: u32, sender: u32, keeps: bool) -> Self {
        Self { number, sender: 1 + sender % SENDERS, keeps }
    }

    fn by(self, sender: u32) -> Self {
        Self { sender, ..self }
    }

    fn begun(self, time: u64) -> [Input; 2] {
        [FlowEventKind::Started, FlowEventKind::Answered].map(|kind| self.event(time, kind))
    }

    fn whole(self, time: u64) -> impl Iterator<Item = Input> {
        self.begun(time).into_iter().chain([self.event(time, FlowEventKind::Ended(EndReason::EndOfFlow))])
    }

    fn event(self, time: u64, kind: FlowEventKind) -> Input {
        let port = u16::try_from(1_024 + self.number % 60_000).expect("small");
        let resp = if self.keeps { Endpoint { ip: address(0), port: 3128 } } else { OUTSIDE };
        let start = if self.number >= 50_000 { COUNTED } else { time };
        let orig = Endpoint { ip: address(self.sender), port };
        let mut record = record(self.number, orig, resp, mac(self.sender), at(start));
        record.end = at(time);
        if kind != FlowEventKind::Started {
            let next_hop = Some(mac(self.sender));
            record.resp = Side { mac: Some(mac(0)), next_hop, counters: packets(2) };
            record.orig.counters = packets(3);
        }
        Input::new(at(time), Fact::Flow(Box::new(FlowEvent { kind, record })))
    }
}

fn at(micros: u64) -> Timestamp {
    Timestamp::from_secs(1_764_000_000).plus(Duration::from_micros(micros))
}

/// Workload 0 is the proxy.
fn address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a4d_0010 + number))
}

fn mac(number: u32) -> Mac {
    let [a, b, c, d] = number.to_be_bytes();
    Mac([2, 0, a, b, c, d])
}

fn id(number: u32) -> WorkloadId {
    WorkloadId::new(&format!("{number:064x}"))
}

fn recorded(micros: u64, fact: RecordedFact) -> Input {
    Input::new(at(micros), Fact::Recorded(fact))
}

fn reported(micros: u64, event: InventoryEvent) -> Input {
    recorded(micros, RecordedFact::Inventory(event))
}

fn workload(number: u32) -> InventoryEvent {
    let attachment = Attachment {
        network: "net".into(),
        addresses: vec![address(number)],
        mac: Some(mac(number)),
        ..Attachment::default()
    };
    InventoryEvent::Workload(Arc::new(Workload {
        id: id(number),
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

fn bridged(id: String, subnet: Ipv4Addr, prefix: u8, bridge: String) -> InventoryEvent {
    let subnet = ipnetwork::IpNetwork::new(IpAddr::V4(subnet), prefix).expect("a range");
    InventoryEvent::Network(Arc::new(RuntimeNetwork {
        name: id.clone(),
        id,
        driver: "bridge".into(),
        subnets: vec![subnet],
        gateways: vec![],
        bridge: Some(bridge),
        parent: None,
    }))
}

fn inventory(workloads: u32) -> Vec<Input> {
    let running = (0..=workloads).map(id).collect();
    let network = bridged("net".into(), Ipv4Addr::new(10, 77, 0, 0), 16, "br-net".into());
    let first = [InventoryEvent::Connected { runtime: RuntimeId::DOCKER }, network];
    let last = InventoryEvent::Reconciled { runtime: RuntimeId::DOCKER, running };
    let all = first.into_iter().chain((0..=workloads).map(workload)).chain([last]);
    all.map(|event| reported(0, event)).collect()
}

/// A network that no workload is in.
fn network(micros: u64, number: u32) -> Input {
    let subnet = Ipv4Addr::from_bits(0xac10_0000 + (number % 65_536) * 16);
    reported(micros, bridged(format!("net-{number}"), subnet, 28, format!("br-{number}")))
}

/// A container that starts, and has nothing to do with any flow.
fn started(micros: u64, number: u32) -> Input {
    reported(micros, workload(10_000 + number))
}

fn stopped(micros: u64, number: u32) -> Input {
    reported(micros, InventoryEvent::Stopped { id: id(10_000 + number), until: at(micros) })
}

fn link(micros: u64, number: u32) -> Input {
    let host = IpAddr::V4(Ipv4Addr::from_bits(0xc612_0000 + number));
    let point = ObservationPoint::new(&format!("veth-{number}"));
    let link = LinkEvent {
        point,
        up: true,
        mac: Some(mac(0x0100_0000 + number)),
        addresses: vec![host],
        ..LinkEvent::default()
    };
    recorded(micros, RecordedFact::Link(link))
}

/// A socket that waits for connections to a port of the host.
fn socket(micros: u64, number: u32) -> Input {
    let port = u16::try_from(number % 60_000).expect("small");
    let local = Endpoint { ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port };
    let view = SocketView {
        netns: HOST,
        inode: u64::from(number),
        protocol: Protocol::TCP,
        local,
        remote: None,
        owners: Vec::new(),
        how: SocketEvidence::Cgroup,
        command: None,
        pid: None,
        since: Some(at(micros)),
    };
    recorded(micros, RecordedFact::Kernel(KernelFact::SocketOpened(Arc::new(view))))
}

fn translation(micros: u64, number: u32) -> Input {
    let port = u16::try_from(number % 60_000).expect("small");
    let orig = Endpoint { ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)), port };
    let before = FiveTuple { protocol: Protocol::TCP, orig, resp: OUTSIDE };
    let after = FiveTuple { orig: Endpoint { ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), port }, ..before };
    recorded(micros, RecordedFact::Nat(NatFact::Bound(NatBinding { netns: None, before, after })))
}

fn claim(micros: u64, number: u32) -> Input {
    let sender = 1 + number % SENDERS;
    let claim = NeighbourClaim {
        point: ObservationPoint::new("br-net"),
        kind: ClaimKind::ArpReply,
        ip: address(sender),
        mac: mac(sender),
        asks: None,
        frame_mac: None,
        to: None,
    };
    Input::new(at(micros), Fact::Claim(Box::new(claim)))
}

/// A flow from an address without an owner yet.
fn unknown(micros: u64, number: u32) -> Input {
    let orig = Endpoint { ip: address(number), port: 40_000 };
    let record = record(number + 1_000_000, orig, OUTSIDE, mac(number), at(micros));
    Input::new(at(micros), Fact::Flow(Box::new(FlowEvent { kind: FlowEventKind::Started, record })))
}

fn packets(packets: u64) -> Counters {
    Counters { packets, frame_bytes: 60 * packets, ip_bytes: 40 * packets, payload_bytes: 0 }
}

fn record(id: u32, orig: Endpoint, resp: Endpoint, mac: Mac, start: Timestamp) -> FlowRecord {
    FlowRecord {
        orig: Side { mac: Some(mac), next_hop: None, counters: packets(1) },
        tcp: Some(TcpFacts { orig_flags: tcp_flags::SYN, ..TcpFacts::default() }),
        ..FlowRecord::new(
            FlowId(u64::from(id)),
            ObservationPoint::new("br-net"),
            FiveTuple { protocol: Protocol::TCP, orig, resp },
            start,
        )
    }
}
