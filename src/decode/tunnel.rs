//! Tunnels: from one IP packet inward to the IP packet that it carries.
//!
//! Contract: total and bounded: at most [`MAX_TUNNELS`] steps, each strictly inward. A header that cannot be one of its kind
//! is no tunnel; a tunnel that carries no IP (ARP, control messages) leaves the carrying packet as the innermost. What ICMP
//! errors quote is no tunnel. Later fragments carry nothing that can be read: their first piece stands for the packet.
//! Limits: tunnels over UDP are known by port, on either side; encrypted ones (ESP, WireGuard) are named, never entered.
//! Design: [`may_carry`] is the question that every packet may be asked, a few comparisons; a file for each family names the
//! tunnel and the header behind it, and the link and network decoders go on from there.

mod gre;
mod stack;
mod udp;

pub use stack::TunnelStack;
pub use udp::TunnelPorts;

use super::link::{self, Link, Network, Next};
use super::{Headers, be32, ip};
use crate::input::{Protocol, Tunnel, TunnelKind};

/// Tunnels in tunnels that are entered.
pub const MAX_TUNNELS: usize = 8;

mod protocol {
    use crate::input::Protocol;

    pub(super) const IPV4: Protocol = Protocol(4);
    pub(super) const IPV6: Protocol = Protocol(41);
    pub(super) const GRE: Protocol = Protocol(47);
    pub(super) const ESP: Protocol = Protocol(50);
    /// IP in IP as KA9Q numbered it.
    pub(super) const IPIP: Protocol = Protocol(94);
    /// Ethernet in IP (RFC 3378).
    pub(super) const ETHERIP: Protocol = Protocol(97);
    /// MPLS in IP (RFC 4023).
    pub(super) const MPLS: Protocol = Protocol(137);
    /// Ethernet (RFC 8986).
    pub(super) const ETHERNET: Protocol = Protocol(143);
}

/// What a header carries.
#[derive(Clone, Copy, Debug)]
struct Carried {
    kind: TunnelKind,
    id: Option<u32>,
    /// The header behind, and where it starts; `None` where it is encrypted or no packet.
    inner: Option<(Next, usize)>,
    /// Whether the header alone proves the tunnel; else what is behind it has to be IP.
    is_sure: bool,
}

impl Carried {
    const fn new(kind: TunnelKind, id: Option<u32>, next: Next, at: usize) -> Self {
        Self { kind, id, inner: Some((next, at)), is_sure: true }
    }

    const fn closed(kind: TunnelKind, id: Option<u32>) -> Self {
        Self { kind, id, inner: None, is_sure: true }
    }
}

/// The innermost IP packet of a frame whose outermost is known, and the tunnels on the way to it.
pub fn innermost(data: &[u8], outer: &Headers, ports: &TunnelPorts) -> (Headers, TunnelStack) {
    let mut tunnels = TunnelStack::default();
    let mut headers = *outer;
    while may_carry(&headers, ports) {
        let Some((tunnel, inner)) = step(data, &headers, ports) else { break };
        let is_kept = tunnels.push(tunnel);
        match inner {
            Some(inner) if is_kept => headers = inner,
            _ => break,
        }
    }
    (headers, tunnels)
}

/// The tunnels that a packet is in or carries: those of [`innermost`], and those that only their content shows.
pub fn carried(data: &[u8], outer: &Headers, ports: &TunnelPorts) -> TunnelStack {
    let (inner, mut tunnels) = innermost(data, outer, ports);
    if let Some(found) = udp::wireguard(data, &inner) {
        tunnels.push(named(&inner, found));
    }
    tunnels
}

/// Whether a packet may carry another: a question for every packet.
#[inline]
pub(crate) fn may_carry(headers: &Headers, ports: &TunnelPorts) -> bool {
    use protocol::{ESP, ETHERIP, ETHERNET, GRE, IPIP, IPV4, IPV6, MPLS};
    match headers.protocol {
        Protocol::UDP => ports.any(headers.src_port, headers.dst_port),
        IPV4 | IPV6 | GRE | ESP | IPIP | ETHERIP | MPLS | ETHERNET => true,
        _ => false,
    }
}

/// Whether [`carried`] may find anything: a question for every flow.
pub(crate) fn may_show(data: &[u8], headers: &Headers, ports: &TunnelPorts) -> bool {
    may_carry(headers, ports) || (headers.protocol == Protocol::UDP && udp::wireguard(data, headers).is_some())
}

fn named(carrier: &Headers, content: Carried) -> Tunnel {
    Tunnel { kind: content.kind, id: content.id, src: carrier.src, dst: carrier.dst }
}

/// One step inward.
fn step(data: &[u8], carrier: &Headers, ports: &TunnelPorts) -> Option<(Tunnel, Option<Headers>)> {
    if carrier.fragment.is_some_and(|piece| !piece.is_first()) {
        return None;
    }
    let at = carrier.payload_at as usize;
    let end = at.saturating_add(carrier.payload_bytes as usize);
    let data = data.get(..end).unwrap_or(data);
    let found = match carrier.protocol {
        protocol::IPV4 | protocol::IPIP => Carried::new(TunnelKind::IpInIp, None, Next::Network(Network::Ip), at),
        protocol::IPV6 if carrier.src.is_ipv4() => {
            Carried::new(TunnelKind::SixInFour, None, Next::Network(Network::Ipv6), at)
        }
        protocol::IPV6 => Carried::new(TunnelKind::IpInIp, None, Next::Network(Network::Ipv6), at),
        // Whatever its flags say, the protocol is a tunnel.
        protocol::GRE => gre::decode(data, at).unwrap_or(Carried::closed(TunnelKind::Gre, None)),
        protocol::ESP => Carried::closed(TunnelKind::Esp, be32(data, at)),
        protocol::ETHERIP if data.get(at)? >> 4 == 3 => Carried::new(TunnelKind::EtherIp, None, Next::Ethernet, at + 2),
        protocol::ETHERNET => Carried::new(TunnelKind::EtherIp, None, Next::Ethernet, at),
        protocol::MPLS => Carried::new(TunnelKind::Mpls, be32(data, at).map(|label| label >> 12), Next::Mpls, at),
        Protocol::UDP => udp::decode(data, carrier, ports)?,
        _ => return None,
    };
    let inner = found.inner.and_then(|(next, at)| enter(data, next, at, end, carrier));
    (found.is_sure || inner.is_some()).then(|| (named(carrier, found), inner))
}

/// Decodes what starts at `at` and ends on the wire at `end`.
fn enter(data: &[u8], next: Next, at: usize, end: usize, carrier: &Headers) -> Option<Headers> {
    let mut layer = Link::bare(Network::Other, at);
    link::follow(data, next, &mut layer).ok()?;
    if !layer.network.is_ip() {
        return None;
    }
    let data = data.get(..layer.limit).unwrap_or(data);
    let on_wire = end.min(layer.limit).max(data.len()).max(layer.offset);
    let mut headers = Headers::EMPTY;
    ip::decode(data, &layer, on_wire, &mut headers).ok()?;
    if layer.src_mac.is_none() && layer.dst_mac.is_none() {
        (headers.src_mac, headers.dst_mac) = (carrier.src_mac, carrier.dst_mac);
    }
    Some(headers)
}
