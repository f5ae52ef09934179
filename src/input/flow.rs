//! Flow facts: what the flow meter reports about a biflow.
//!
//! Contract: originator is the sender of the first packet, except that a first SYN-ACK names the other side (RFC 5103);
//! end reasons are IPFIX information element 136. Counters are per direction.
//! Design: a record is a snapshot; the meter keeps the live state.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AppFacts, ConnState, History, Mac, ObservationPoint, RareFacts, Tunnel};
use crate::time::Timestamp;

/// An IP protocol number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// ICMPv6.
    pub const ICMPV6: Self = Self(58);
    /// SCTP.
    pub const SCTP: Self = Self(132);

    /// Whether its ends have ports; the "port" of another one is an ICMP type or code, or 0.
    pub const fn has_ports(self) -> bool {
        matches!(self, Self::TCP | Self::UDP | Self::SCTP)
    }
}

/// `tcp`, `udp`, … or `ip-proto-N`.
impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ICMP => f.write_str("icmp"),
            Self::TCP => f.write_str("tcp"),
            Self::UDP => f.write_str("udp"),
            Self::ICMPV6 => f.write_str("icmp6"),
            Self::SCTP => f.write_str("sctp"),
            Self(number) => write!(f, "ip-proto-{number}"),
        }
    }
}

/// One end of a flow. The port is 0 where the protocol has none; for ICMP it is type or code as Community ID v1 maps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Endpoint {
    /// Address.
    pub ip: IpAddr,
    /// Port.
    pub port: u16,
}

impl Endpoint {
    /// Address and port; the address alone where the protocol has no ports.
    pub fn shown(self, protocol: Protocol) -> String {
        if protocol.has_ports() { self.to_string() } else { self.ip.to_string() }
    }
}

/// `192.0.2.1:443`, `[2001:db8::1]:443`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IpAddr::V4(ip) = self.ip else {
            return fmt::Display::fmt(&std::net::SocketAddr::new(self.ip, self.port), f);
        };
        let mut text = Digits::default();
        for (octet, end) in ip.octets().into_iter().zip(*b"...:") {
            text.push(u16::from(octet));
            text.put(end);
        }
        text.push(self.port);
        f.pad(text.as_str())
    }
}

/// The text of an IPv4 endpoint. Texts are made for nearly every flow, and the standard library's general formatter costs ten times as much.
#[derive(Default)]
struct Digits {
    text: [u8; 21],
    len: usize,
}

impl Digits {
    fn push(&mut self, number: u16) {
        for unit in [10_000, 1_000, 100, 10] {
            if number >= unit {
                self.put_digit(number / unit);
            }
        }
        self.put_digit(number);
    }

    fn put_digit(&mut self, number: u16) {
        // The last digit is less than ten.
        self.put(b'0' + (number % 10) as u8);
    }

    fn put(&mut self, character: u8) {
        if let Some(place) = self.text.get_mut(self.len) {
            *place = character;
            self.len += 1;
        }
    }

    fn as_str(&self) -> &str {
        self.text.get(..self.len).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default()
    }
}

/// Protocol and both ends, with a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FiveTuple {
    /// IP protocol number.
    pub protocol: Protocol,
    /// Originator.
    pub orig: Endpoint,
    /// Responder.
    pub resp: Endpoint,
}

/// In one word where both addresses are IPv4: tables of flows are looked up several times at each event.
impl Hash for FiveTuple {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { protocol, orig, resp } = self;
        let ports = u64::from(protocol.0) << 32 | u64::from(orig.port) << 16 | u64::from(resp.port);
        if let (IpAddr::V4(from), IpAddr::V4(to)) = (orig.ip, resp.ip) {
            let ips = u64::from(from.to_bits()) << 32 | u64::from(to.to_bits());
            state.write_u128(u128::from(ips) << 64 | u128::from(ports));
        } else {
            (orig.ip, resp.ip, ports).hash(state);
        }
    }
}

impl FiveTuple {
    /// The same flow seen from the other end.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { protocol: self.protocol, orig: self.resp, resp: self.orig }
    }

    /// The smaller end first: the same for both directions.
    #[must_use]
    pub fn canonical(self) -> Self {
        if self.orig <= self.resp { self } else { self.reversed() }
    }
}

/// What one direction carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes on the wire, link header included.
    pub frame_bytes: u64,
    /// Bytes of the IP packets; the captured length where a GSO frame has zero there.
    pub ip_bytes: u64,
    /// Bytes above the transport header.
    pub payload_bytes: u64,
}

/// One direction of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Source MAC of the first packet in this direction.
    pub mac: Option<Mac>,
    /// Destination MAC of the first packet in this direction: who was to take it on.
    pub next_hop: Option<Mac>,
    /// What it carried.
    pub counters: Counters,
}

/// Identifies one flow record at one observation point; derived from its content, so equal in replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub u64);

/// TCP flag bits (RFC 9293).
pub mod tcp_flags {
    /// No more data.
    pub const FIN: u8 = 0x01;
    /// Synchronise.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// Acknowledgement.
    pub const ACK: u8 = 0x10;
}

/// What TCP showed so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFacts {
    /// All flags that the originator sent.
    pub orig_flags: u8,
    /// All flags that the responder sent.
    pub resp_flags: u8,
    /// How the connection went.
    pub state: ConnState,
    /// What happened, in order.
    pub history: History,
}

impl TcpFacts {
    /// Whether the handshake's SYN or SYN-ACK was seen, so that the direction is certain.
    pub const fn direction_known(self) -> bool {
        (self.orig_flags | self.resp_flags) & tcp_flags::SYN != 0
    }
}

/// A biflow at one observation point, as it stood when the event was made.
#[derive(Debug, PartialEq, Eq)]
pub struct FlowRecord {
    /// Its identity.
    pub id: FlowId,
    /// Where it was seen.
    pub point: ObservationPoint,
    /// Who talked to whom.
    pub tuple: FiveTuple,
    /// First packet.
    pub start: Timestamp,
    /// Last packet so far.
    pub end: Timestamp,
    /// Originator → responder.
    pub orig: Side,
    /// Responder → originator.
    pub resp: Side,
    /// 802.1Q identifiers of the first packet, outermost first.
    pub vlans: Vec<u16>,
    /// Fragments among the packets.
    pub fragments: u64,
    /// Tunnels that the first packet went through, outermost first; for a flow of outer packets, what it carries.
    pub tunnels: Vec<Tunnel>,
    /// TCP only.
    pub tcp: Option<TcpFacts>,
    /// What its first payload bytes said.
    pub app: Option<Arc<AppFacts>>,
    /// What most records never have.
    pub rare: Option<Box<RareFacts>>,
}

/// Records are copied several times a flow, and nearly none has a list in it.
impl Clone for FlowRecord {
    fn clone(&self) -> Self {
        Self {
            id: self.id,
            point: self.point.clone(),
            tuple: self.tuple,
            start: self.start,
            end: self.end,
            orig: self.orig,
            resp: self.resp,
            vlans: copied(&self.vlans),
            fragments: self.fragments,
            tunnels: copied(&self.tunnels),
            tcp: self.tcp,
            app: self.app.clone(),
            rare: self.rare.clone(),
        }
    }
}

#[inline]
fn copied<T: Clone>(list: &[T]) -> Vec<T> {
    if list.is_empty() { Vec::new() } else { list.to_vec() }
}

impl FlowRecord {
    /// Of this time, without a packet.
    pub fn new(id: FlowId, point: ObservationPoint, tuple: FiveTuple, at: Timestamp) -> Self {
        Self {
            id,
            point,
            tuple,
            start: at,
            end: at,
            orig: Side::default(),
            resp: Side::default(),
            vlans: Vec::new(),
            fragments: 0,
            tunnels: Vec::new(),
            tcp: None,
            app: None,
            rare: None,
        }
    }

    /// The same record, read from the other end.
    #[must_use]
    pub fn reversed(self) -> Self {
        let tcp = self.tcp.map(|tcp| TcpFacts {
            orig_flags: tcp.resp_flags,
            resp_flags: tcp.orig_flags,
            state: tcp.state.reversed(&tcp.history),
            history: tcp.history.reversed(),
        });
        let rare = self.rare.map(|rare| Box::new(rare.reversed()));
        Self { tuple: self.tuple.reversed(), orig: self.resp, resp: self.orig, tcp, rare, ..self }
    }

    /// The same record as it stands, or read from the other end.
    pub fn oriented(&self, forward: bool) -> Cow<'_, Self> {
        if forward { Cow::Borrowed(self) } else { Cow::Owned(self.clone().reversed()) }
    }
}

/// Why a flow record ended (IPFIX information element 136, `flowEndReason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// No packet for the idle timeout.
    IdleTimeout,
    /// Longer than the active timeout; the flow goes on in a new record.
    ActiveTimeout,
    /// FIN from both sides, or RST.
    EndOfFlow,
    /// The observation ended.
    ForcedEnd,
    /// The table was full.
    LackOfResources,
}

impl EndReason {
    /// All reasons, in order.
    pub const ALL: [Self; 5] =
        [Self::IdleTimeout, Self::ActiveTimeout, Self::EndOfFlow, Self::ForcedEnd, Self::LackOfResources];

    /// The name in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IdleTimeout => "idle_timeout",
            Self::ActiveTimeout => "active_timeout",
            Self::EndOfFlow => "end_of_flow",
            Self::ForcedEnd => "forced_end",
            Self::LackOfResources => "lack_of_resources",
        }
    }
}

/// What happened to a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowEventKind {
    /// First packet.
    Started,
    /// First packet from the responder that is not a refusal (for TCP: not RST).
    Answered,
    /// Its first payload bytes said something that was not known before: a name, a request, a question.
    Payload,
    /// A packet of one direction went over another pair of link addresses than those before; at most a few times a record.
    NextHopChanged,
    /// One end sends new payload after a silence of the whole flow of [`Self::PAUSE`]; at most [`Self::MAX_RESUMED`] times a record.
    Resumed {
        /// The originator.
        by_orig: bool,
    },
    /// Goes on; sent at most once an update interval.
    Updated,
    /// Last event of this record.
    Ended(EndReason),
}

impl FlowEventKind {
    /// The silence before [`Self::Resumed`].
    pub const PAUSE: Duration = Duration::from_secs(2);
    /// How often a record resumes; later pauses are not reported.
    pub const MAX_RESUMED: u8 = 64;

    /// Whether the flow ends, and does not go on in another record.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Ended(reason) if !matches!(reason, EndReason::ActiveTimeout))
    }
}

/// A flow and what happened to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowEvent {
    /// What happened.
    pub kind: FlowEventKind,
    /// The flow as it stands.
    pub record: FlowRecord,
}
