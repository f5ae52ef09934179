//! A host with two bridges, containers, an inline monitor and an uplink: what each point sees of what is sent, then meters and engine.
//!
//! Contract: [`Wire`] knows where frames really go, whatever they claim; [`watch`] shows the chosen points to the pure core as live capture does.
//! Design: bridge 0 is `br-net` (172.20.0.0/24), bridge 1 `br-two` (172.21.0.0/24). A container's MAC, address and veth follow from its number.
//! The host forwards outside, with or without masquerade, past the monitor `ids0` where the sender says so; it does not route between bridges.
#![allow(dead_code, reason = "helpers of tests: each binary uses a part")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use hopwatch::decode::LinkType;
use hopwatch::engine::{EngineConfig, Observer};
use hopwatch::flow::{Meter, MeterLimits};
use hopwatch::input::*;
use hopwatch::time::Timestamp;

use super::facts::bridged;
use super::frames::{Content, Frame};
use super::world::{World, at, ip};

pub const APP: u8 = 10;
pub const PROXY: u8 = 20;
pub const GATEWAY: u8 = 30;
pub const RESOLVER: u8 = 53;
pub const EVIL: u8 = 66;
/// A neighbour of `EVIL` on the second bridge.
pub const OTHER: u8 = 67;
pub const FAR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const UPLINK: Mac = Mac([2, 0, 0, 0, 2, 1]);
const ROUTER: Mac = Mac([2, 0, 0, 0, 2, 2]);
const WORKLOADS: [(&str, u8); 6] =
    [("app", APP), ("proxy", PROXY), ("gateway", GATEWAY), ("resolver", RESOLVER), ("evil", EVIL), ("other", OTHER)];

const fn bridge_of(host: u8) -> u8 {
    if host == OTHER { 1 } else { 0 }
}

pub const fn mac(host: u8) -> Mac {
    Mac([2, 0, 0, 0, bridge_of(host), host])
}

pub const fn host_mac(bridge: u8) -> Mac {
    Mac([2, 0, 0, 0, bridge, 0xff])
}

pub const fn address(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 20 + bridge_of(host), 0, host)
}

fn bridge_name(bridge: u8) -> &'static str {
    if bridge == 0 { "br-net" } else { "br-two" }
}

fn veth(host: u8) -> String {
    format!("veth{host}")
}

/// Where a frame enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// A container's veth.
    Container(u8),
    /// The uplink.
    Outside,
}

/// What happens at a point or in the kernel.
#[derive(Clone, Debug)]
enum Event {
    Frame(String, Vec<u8>),
    Bound(NatBinding),
}

/// Everything that really happened, in microseconds.
#[derive(Clone, Debug)]
pub struct Wire {
    events: Vec<(u64, Event)>,
    masquerade: bool,
    /// Microseconds from point to point; with 0 all points see a frame at the same time.
    step: u64,
    /// Translated tuples to the tuples before.
    bound: BTreeMap<FiveTuple, FiveTuple>,
}

impl Wire {
    /// A quiet host: each point has seen a frame 20 s before anything happens.
    pub fn new(masquerade: bool, step: u64) -> Self {
        let mut wire = Self { events: vec![], masquerade, step, bound: BTreeMap::new() };
        let hello = |src, from: Ipv4Addr| Frame {
            src,
            dst: Mac([2, 0, 0, 0, 9, 9]),
            vlan: None,
            from: (from, 9),
            to: (Ipv4Addr::new(172, 20, 0, 1), 9),
            ttl: 1,
            options: vec![],
            first_bytes: None,
            content: Content::Udp { payload: vec![0; 4] },
        };
        for (_, host) in WORKLOADS {
            wire.send(0, Port::Container(host), &hello(mac(host), address(host)), false);
        }
        for point in ["ids0", "eth0"] {
            wire.events.push((0, Event::Frame(point.into(), hello(ROUTER, Ipv4Addr::new(192, 0, 2, 1)).bytes())));
        }
        wire
    }

    /// A frame on its way; `ids`: whether the host leads what it forwards past the inline monitor.
    pub fn send(&mut self, micros: u64, from: Port, frame: &Frame, ids: bool) {
        match from {
            Port::Container(host) => {
                let bridge = bridge_of(host);
                self.seen(micros, &veth(host), frame);
                self.seen(micros + self.step, bridge_name(bridge), frame);
                self.bridge(micros + 2 * self.step, bridge, frame, ids);
            }
            Port::Outside => self.arrive_from_outside(micros, frame, ids),
        }
    }

    fn seen(&mut self, micros: u64, point: &str, frame: &Frame) {
        self.events.push((micros, Event::Frame(point.to_owned(), frame.bytes())));
    }

    /// Where a bridge takes a frame.
    fn bridge(&mut self, micros: u64, bridge: u8, frame: &Frame, ids: bool) {
        if frame.dst == host_mac(bridge) {
            return self.forward(micros, bridge, frame, ids);
        }
        let Some((_, host)) = WORKLOADS.into_iter().find(|(_, host)| mac(*host) == frame.dst) else { return };
        if bridge_of(host) != bridge {
            return;
        }
        self.seen(micros, &veth(host), frame);
        if host == GATEWAY && !is_inside(frame.to.0) && frame.ttl > 1 && frame.vlan.is_none() {
            let on = Frame { src: mac(GATEWAY), dst: host_mac(0), ttl: frame.ttl - 1, ..frame.clone() };
            self.send(micros + self.step, Port::Container(GATEWAY), &on, ids);
        }
    }

    /// What the host does with a frame for its own MAC.
    fn forward(&mut self, micros: u64, bridge: u8, frame: &Frame, ids: bool) {
        // Linux takes no tagged frames on a bridge, and drops source routes.
        if frame.ttl <= 1 || frame.vlan.is_some() || !frame.options.is_empty() {
            return;
        }
        if is_inside(frame.to.0) {
            let back = WORKLOADS.into_iter().find(|(_, host)| address(*host) == frame.to.0);
            if let Some((_, host)) = back.filter(|(_, host)| bridge_of(*host) == bridge) {
                self.enter_bridge(micros, host, frame);
            }
            return;
        }
        let mut out = Frame { src: UPLINK, dst: ROUTER, ttl: frame.ttl - 1, ..frame.clone() };
        if ids {
            self.seen(micros, "ids0", &out);
        }
        if self.masquerade && is_inside(frame.from.0) && self.translates(micros, frame) {
            out.from.0 = HOST;
        }
        self.seen(micros + self.step, "eth0", &out);
    }

    /// Whether connection tracking knows the connection, or takes it as a new one.
    fn translates(&mut self, micros: u64, frame: &Frame) -> bool {
        let Some(before) = tuple(frame) else { return false };
        let after = FiveTuple { orig: Endpoint { ip: HOST.into(), ..before.orig }, ..before };
        if self.bound.contains_key(&after) {
            return true;
        }
        let is_valid = match frame.content {
            Content::Tcp { flags, .. } => flags & tcp_flags::RST == 0 && flags != tcp_flags::SYN | tcp_flags::ACK,
            _ => frame.first_bytes.is_none(),
        };
        if is_valid {
            self.bound.insert(after, before);
            self.events.push((micros + 1, Event::Bound(NatBinding { netns: None, before, after })));
        }
        is_valid
    }

    fn arrive_from_outside(&mut self, micros: u64, frame: &Frame, ids: bool) {
        let frame = Frame { src: ROUTER, dst: UPLINK, ..frame.clone() };
        let before = tuple(&frame).and_then(|tuple| self.translated(tuple));
        let to = if before.is_some() { HOST } else { frame.to.0 };
        self.seen(micros, "eth0", &Frame { to: (to, frame.to.1), ..frame.clone() });
        if ids {
            self.seen(micros + self.step, "ids0", &frame);
        }
        if self.masquerade && before.is_none() {
            return;
        }
        if let Some((_, host)) = WORKLOADS.into_iter().find(|(_, host)| address(*host) == frame.to.0) {
            self.enter_bridge(micros + 2 * self.step, host, &frame);
        }
    }

    /// The binding of an answer to a container.
    fn translated(&self, answer: FiveTuple) -> Option<FiveTuple> {
        self.bound.values().copied().find(|before| before.reversed() == answer)
    }

    fn enter_bridge(&mut self, micros: u64, host: u8, frame: &Frame) {
        let bridge = bridge_of(host);
        let on = Frame { src: host_mac(bridge), dst: mac(host), ttl: frame.ttl - 1, ..frame.clone() };
        self.seen(micros, bridge_name(bridge), &on);
        self.seen(micros + self.step, &veth(host), &on);
    }

    /// Frames that are no IPv4, on a container's link.
    pub fn raw(&mut self, micros: u64, host: u8, bytes: &[u8]) {
        for point in [veth(host), bridge_name(bridge_of(host)).to_owned()] {
            self.events.push((micros, Event::Frame(point, bytes.to_vec())));
        }
    }
}

fn is_inside(ip: Ipv4Addr) -> bool {
    matches!(ip.octets(), [172, 20 | 21, ..])
}

fn tuple(frame: &Frame) -> Option<FiveTuple> {
    let protocol = match frame.content {
        Content::Tcp { .. } => Protocol::TCP,
        Content::Udp { .. } => Protocol::UDP,
        Content::Icmp { .. } => return None,
    };
    let end = |(ip, port): (Ipv4Addr, u16)| Endpoint { ip: ip.into(), port };
    Some(FiveTuple { protocol, orig: end(frame.from), resp: end(frame.to) })
}

/// What hopwatch sees of a wire.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "sources, any of them together")]
pub struct Shown {
    pub veths: bool,
    pub second: bool,
    pub ids: bool,
    pub uplink: bool,
    pub conntrack: bool,
    /// Bytes captured of each frame.
    pub snap: usize,
    /// Whether points report in the reverse order of their names.
    pub reversed: bool,
}

impl Shown {
    fn points(self) -> Vec<String> {
        let mut points = vec!["br-net".to_owned()];
        for (name, is_shown) in [("br-two", self.second), ("ids0", self.ids), ("eth0", self.uplink)] {
            points.extend(is_shown.then(|| name.to_owned()));
        }
        if self.veths {
            let captured = WORKLOADS.iter().filter(|(_, host)| bridge_of(*host) == 0 || self.second);
            points.extend(captured.map(|(_, host)| veth(*host)));
        }
        points.sort();
        if self.reversed {
            points.reverse();
        }
        points
    }
}

const LIMITS: MeterLimits = MeterLimits {
    max_flows: 10_000,
    idle_timeout: Duration::from_mins(1),
    active_timeout: Duration::from_mins(30),
    update_interval: Duration::from_secs(1),
};

/// Shows a wire to the pure core; the world afterwards.
pub fn watch(wire: &Wire, shown: Shown, config: EngineConfig, observer: Box<dyn Observer>) -> World {
    let mut world = World::new(config);
    world.engine.observe(observer);
    introduce(&mut world, shown);
    let meter = |name: &String| Meter::new(ObservationPoint::new(name), LinkType::ETHERNET, LIMITS);
    let mut meters: Vec<(String, Meter)> = shown.points().iter().map(|name| (name.clone(), meter(name))).collect();
    let mut events: Vec<&(u64, Event)> = wire.events.iter().collect();
    events.sort_by_key(|(micros, _)| *micros);
    for together in events.chunk_by(|a, b| a.0 == b.0) {
        let now = at(100).plus(Duration::from_micros(together[0].0));
        step(&mut world, &mut meters, (now, together), shown);
    }
    let last = events.last().map_or(0, |(micros, _)| *micros);
    for seconds in 1..=8 {
        let now = at(100).plus(Duration::from_micros(last) + Duration::from_secs(seconds));
        step(&mut world, &mut meters, (now, &[]), shown);
        world.engine.push(&Input::new(now, Fact::Tick), &mut world.alerts);
    }
    let mut inputs: Vec<Input> = Vec::new();
    for (_, meter) in &mut meters {
        meter.drain(&mut inputs);
    }
    inputs.sort_by_key(|input| input.at);
    for input in &inputs {
        world.engine.push(input, &mut world.alerts);
    }
    world.finish();
    world
}

/// All points reach a moment, and report.
fn step(world: &mut World, meters: &mut [(String, Meter)], (now, events): (Timestamp, &[&(u64, Event)]), shown: Shown) {
    let mut inputs: Vec<Input> = Vec::new();
    for (name, meter) in meters {
        meter.advance(now, &mut inputs);
        for (_, event) in events {
            if let Event::Frame(point, bytes) = event
                && point == name
            {
                let wire_len = u32::try_from(bytes.len()).expect("a frame");
                meter.packet(now, wire_len, &bytes[..bytes.len().min(shown.snap)], &mut inputs);
            }
        }
    }
    for (_, event) in events {
        if let Event::Bound(binding) = event
            && shown.conntrack
        {
            inputs.push(Input::new(now, Fact::Recorded(RecordedFact::Nat(NatFact::Bound(*binding)))));
        }
    }
    inputs.sort_by_key(|input| input.at);
    for input in &inputs {
        world.engine.push(input, &mut world.alerts);
    }
}

/// The facts before the first packet.
fn introduce(world: &mut World, shown: Shown) {
    let second = bridged("two", "172.21.0.0/24", "172.21.0.1", "br-two");
    world.runtime(0, InventoryEvent::Network(Arc::new(second)));
    for (name, host) in WORKLOADS {
        world.start_with(0, name, host, |workload| {
            let attachment = &mut workload.attachments[0];
            attachment.host_interface = Some(veth(host));
            attachment.addresses = vec![IpAddr::from(address(host))];
            attachment.mac = Some(mac(host));
            if bridge_of(host) == 1 {
                "two".clone_into(&mut attachment.network);
            }
        });
    }
    for point in shown.points() {
        let (mac, addresses) = match point.as_str() {
            "br-net" => continue,
            "br-two" => (Some(host_mac(1)), vec![ip("172.21.0.1")]),
            "eth0" => (Some(UPLINK), vec![IpAddr::from(HOST)]),
            _ => (None, vec![]),
        };
        let link = LinkEvent { point: ObservationPoint::new(&point), up: true, mac, addresses, ..LinkEvent::default() };
        world.push(0, Fact::Recorded(RecordedFact::Link(link)));
    }
    if shown.conntrack {
        world.push(1, Fact::Recorded(RecordedFact::Nat(NatFact::Watched { netns: None })));
    }
}
