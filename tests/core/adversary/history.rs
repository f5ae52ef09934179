//! Random hosts, contracts and flows of `app`, and what hopwatch says of them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use hopwatch::alert::Alert;
use hopwatch::engine::{EngineConfig, Observer};
use hopwatch::input::{FiveTuple, FlowId, tcp_flags};
use hopwatch::inventory::Timeline;
use hopwatch::path::{Contract, DestinationSet, EvidenceKind, Hop, HopKind, JudgedFlow, PortSpec, Service, Stage};
use proptest::prelude::*;

use super::moves::{Attack, attacks};
use crate::support::engine_config::{contract, endpoint, for_tests};
use crate::support::frames::{Content, Frame};
use crate::support::lan::{APP, FAR, GATEWAY, PROXY, Port, RESOLVER, Shown, Wire, address, host_mac, mac, watch};

/// What the contract asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Proxy,
    Gateway,
    Inline,
    Nothing,
    Resolver,
}

/// How a flow keeps to its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Through,
    Around,
    /// Through the hop first, around it after half of the packets.
    LeavesMidway,
}

/// A flow that app opens.
#[derive(Clone, Debug)]
pub struct Flow {
    pub number: u16,
    pub asked: Asked,
    /// Milliseconds.
    pub start: u64,
    pub is_tcp: bool,
    pub way: Way,
    pub exchanges: u64,
    /// Whether the far end's port is one that clients may use, too.
    pub is_high: bool,
}

impl Flow {
    fn goes_around(&self) -> bool {
        self.way != Way::Through && (self.way != Way::LeavesMidway || self.has_ways())
    }

    /// Whether the hop is on the way, so that a flow may leave it.
    fn has_ways(&self) -> bool {
        matches!(self.asked, Asked::Gateway | Asked::Inline)
    }

    fn passes(&self, packet: u64) -> bool {
        match self.way {
            Way::Through => true,
            Way::Around => false,
            Way::LeavesMidway => packet < self.exchanges,
        }
    }

    pub fn client(&self) -> (Ipv4Addr, u16) {
        (address(APP), 41_000 + self.number)
    }

    pub fn server(&self) -> (Ipv4Addr, u16) {
        match (self.asked, self.goes_around()) {
            (Asked::Resolver, false) => (address(RESOLVER), 53),
            (Asked::Resolver, true) => (FAR, 53),
            (Asked::Proxy | Asked::Nothing, false) => (address(PROXY), 3128),
            _ => (FAR, if self.is_high { 4444 } else { 443 }),
        }
    }

    pub fn has_high_port(&self) -> bool {
        self.server().1 >= 1024
    }

    pub fn seq(&self) -> u32 {
        1_000 * u32::from(self.number + 1)
    }

    pub fn peer_seq(&self) -> u32 {
        9_000_000 + self.seq()
    }

    /// Next hop of app's frames.
    fn next_hop(&self, packet: u64) -> hopwatch::input::Mac {
        match self.server().0 {
            server if server == address(PROXY) => mac(PROXY),
            server if server == address(RESOLVER) => mac(RESOLVER),
            _ if self.asked == Asked::Gateway && self.passes(packet) => mac(GATEWAY),
            _ => host_mac(0),
        }
    }

    fn send(&self, wire: &mut Wire) {
        use tcp_flags::{ACK, FIN, PSH, SYN};
        let mut packets: Vec<(bool, u8, usize)> = Vec::new();
        if self.is_tcp {
            packets.extend([(true, SYN, 0), (false, SYN | ACK, 0), (true, ACK, 0)]);
        }
        for _ in 0..self.exchanges {
            packets.extend([(true, PSH | ACK, 400), (false, PSH | ACK, 700)]);
        }
        if self.is_tcp {
            packets.extend([(true, FIN | ACK, 0), (false, FIN | ACK, 0), (true, ACK, 0)]);
        }
        let (mut own, mut peer) = (self.seq(), self.peer_seq());
        for (number, (is_own, flags, payload)) in (0_u64..).zip(packets) {
            let (seq, ack) = if is_own { (own, peer) } else { (peer, own) };
            let ack = if flags & ACK == 0 { 0 } else { ack };
            let content = if self.is_tcp {
                Content::Tcp { flags, seq, ack, payload }
            } else {
                Content::Udp { payload: vec![0x61; payload] }
            };
            let advance = u32::try_from(payload).expect("small") + u32::from(flags & (SYN | FIN) != 0);
            let sender = if is_own { &mut own } else { &mut peer };
            *sender += advance;
            self.packet(wire, (number, is_own), content);
        }
    }

    fn packet(&self, wire: &mut Wire, (number, is_own): (u64, bool), content: Content) {
        let now = self.start * 1000 + number * 40_000;
        let ids = self.asked == Asked::Inline && self.passes(number);
        let dst = self.next_hop(number);
        let (from, to) = (self.client(), self.server());
        let sent =
            Frame { src: mac(APP), dst, vlan: None, from, to, ttl: 64, options: vec![], first_bytes: None, content };
        let local = [PROXY, RESOLVER].into_iter().find(|host| address(*host) == self.server().0);
        match (is_own, local) {
            (true, _) => wire.send(now, Port::Container(APP), &sent, ids),
            (false, Some(host)) => wire.send(now, Port::Container(host), &sent.turned(), ids),
            (false, None) => wire.send(now, Port::Outside, &sent.turned(), ids),
        }
    }
}

/// One history: a host, a contract, flows of app and an attacker's moves.
#[derive(Clone, Debug)]
pub struct History {
    pub asked: Asked,
    pub masquerade: bool,
    /// Microseconds from point to point.
    pub step: u64,
    pub shown: Shown,
    pub flows: Vec<Flow>,
    pub attacks: Vec<Attack>,
}

pub fn histories() -> impl Strategy<Value = History> {
    use Asked::{Gateway, Inline, Nothing, Proxy, Resolver};
    let asked = prop::sample::select(vec![Proxy, Proxy, Gateway, Inline, Nothing, Resolver]);
    let way = prop_oneof![1 => Just(Way::Through), 2 => Just(Way::Around), 1 => Just(Way::LeavesMidway)];
    let flow = (0..4_000_u64, any::<bool>(), way, 1..24_u64, prop::bool::weighted(0.3));
    let shown = (any::<[bool; 4]>(), any::<bool>());
    let flows = prop::collection::vec(flow, 1..4);
    (asked, any::<bool>(), prop::sample::select(vec![0_u64, 15]), shown, flows, attacks()).prop_map(
        |(asked, masquerade, step, ([veths, second, uplink, conntrack], reversed), flows, attacks)| {
            let flows = (0_u16..).zip(flows).map(|(number, (after, is_tcp, way, exchanges, is_high))| Flow {
                number,
                asked,
                start: 30_000 + 6_000 * u64::from(number) + after,
                is_tcp,
                way,
                // So much goes around that no loss explains it.
                exchanges: if way == Way::LeavesMidway { exchanges.max(12) } else { exchanges },
                is_high,
            });
            let ids = asked == Inline || second;
            let shown = Shown { veths, second, ids, uplink, conntrack, snap: 65_535, reversed };
            History { asked, masquerade, step, shown, flows: flows.collect(), attacks }
        },
    )
}

impl History {
    pub fn without_attack(&self) -> Self {
        Self { attacks: vec![], ..self.clone() }
    }

    /// Every flow passes its hop.
    pub fn keep_to_path(&mut self) {
        self.flows.iter_mut().for_each(|flow| flow.way = Way::Through);
    }

    /// Whether some move hides who asked in a flow.
    pub fn hides_who_asks(&self, number: usize) -> bool {
        let mut attacks = self.attacks.iter().filter(|attack| attack.flow % self.flows.len() == number);
        attacks.any(|attack| attack.hides_who_asks(&self.flows[number]))
    }

    /// Flows that go around the hop.
    pub fn around(&self) -> impl Iterator<Item = (usize, &Flow)> {
        self.flows.iter().enumerate().filter(|(_, flow)| flow.goes_around())
    }

    /// What happens.
    pub fn wire(&self) -> Wire {
        let mut wire = Wire::new(self.masquerade, self.step);
        self.flows.iter().for_each(|flow| flow.send(&mut wire));
        for attack in &self.attacks {
            attack.send(&mut wire, &self.flows[attack.flow % self.flows.len()]);
        }
        wire
    }

    pub fn run(&self) -> Outcome {
        self.watch(&self.wire())
    }

    /// What is said of a wire.
    pub fn watch(&self, wire: &Wire) -> Outcome {
        let log = Log::default();
        let world = watch(wire, self.shown, self.config(), Box::new(log.clone()));
        let mut counts = BTreeMap::new();
        for ((_, verdict, _), count) in world.engine.stats().verdicts() {
            *counts.entry(verdict).or_default() += count;
        }
        let flows = log.0.lock().expect("one thread").clone();
        Outcome { alerts: world.alerts, flows, counts }
    }

    fn config(&self) -> EngineConfig {
        let port = |port| PortSpec { port, protocol: None };
        let (service, to) = match self.asked {
            Asked::Resolver => (Service::Dns, DestinationSet::Any),
            _ => (Service::Egress, DestinationSet::Internet),
        };
        let hop = Arc::new(self.hop());
        let asked = contract("path", service, "app", to, &hop);
        let contract = match self.asked {
            Asked::Nothing => Contract { via: Vec::<Stage>::new(), ..asked },
            Asked::Resolver => Contract { ports: vec![port(53)], ..asked },
            _ => asked,
        };
        EngineConfig { contracts: vec![contract], max_flows: 10_000, ..for_tests() }
    }

    fn hop(&self) -> Hop {
        let port = |port| PortSpec { port, protocol: None };
        let glob = globset::Glob::new("ids0").expect("a glob").compile_matcher();
        match self.asked {
            Asked::Proxy | Asked::Nothing => endpoint("proxy", vec![port(3128)]),
            Asked::Resolver => endpoint("resolver", vec![port(53)]),
            Asked::Gateway => {
                Hop { kind: HopKind::Gateway, evidence: vec![EvidenceKind::NextHop], ..endpoint("gateway", vec![]) }
            }
            Asked::Inline => Hop {
                kind: HopKind::Inline,
                evidence: vec![EvidenceKind::Transit],
                workloads: vec![],
                interfaces: vec![glob],
                ..endpoint("ids", vec![])
            },
        }
    }
}

/// What was said of each flow last, by the id that it was judged under.
type Verdicts = BTreeMap<(FlowId, FiveTuple), (String, &'static str)>;

#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Verdicts>>);

impl Observer for Log {
    fn judged(&mut self, _timeline: &Timeline, _names: &hopwatch::names::Names, flow: &JudgedFlow, _goes_on: bool) {
        let verdict = flow.judgement.as_ref().map_or("uncovered", |judgement| judgement.verdict.as_str());
        let source = flow.source.workload().map_or_else(|| "-".to_owned(), |workload| workload.name.clone());
        let mut log = self.0.lock().expect("one thread");
        log.insert((flow.view.record.id, flow.view.record.tuple), (source, verdict));
    }
}

/// What a run said.
pub struct Outcome {
    pub alerts: Vec<Alert>,
    flows: Verdicts,
    /// Flows by verdict.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Outcome {
    pub fn is_detected(verdict: &str) -> bool {
        matches!(verdict, "bypassed" | "partial")
    }

    /// The last verdicts on the records of a flow, whichever way they were read and whatever sender they claim.
    pub fn of_flow(&self, history: &History, number: usize) -> Vec<&'static str> {
        let (client, server) = (history.flows[number].client(), history.flows[number].server());
        let is_end = |end: hopwatch::input::Endpoint, (ip, port): (Ipv4Addr, u16)| end.ip == ip && end.port == port;
        let is_flow = |tuple: &FiveTuple| {
            (is_end(tuple.orig, client) && is_end(tuple.resp, server))
                || (is_end(tuple.resp, client) && is_end(tuple.orig, server))
        };
        self.flows.iter().filter(|((_, tuple), _)| is_flow(tuple)).map(|(_, (_, verdict))| *verdict).collect()
    }

    /// Rules that accuse a workload.
    pub fn accusing(&self, name: &str) -> Vec<&'static str> {
        let of = self.alerts.iter().filter(|a| a.workload.as_ref().is_some_and(|workload| workload.name == name));
        of.map(|alert| alert.rule).collect()
    }

    /// Rules that raised an alert about frames: not that the second network is not captured.
    pub fn raised_about_traffic(&self) -> Vec<&'static str> {
        self.raised().into_iter().filter(|rule| *rule != "unmonitored-driver").collect()
    }

    /// Rules that spoke.
    pub fn raised(&self) -> Vec<&'static str> {
        self.alerts.iter().map(|alert| alert.rule).collect()
    }
}
