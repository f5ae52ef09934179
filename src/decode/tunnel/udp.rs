//! Tunnels over UDP, known by their ports.
//!
//! Contract: the lower of two known ports says what it is, as long as the header can be of that kind; then the other one. Where
//! only the source port is known, what is carried has to be IP.
//! Sources: RFC 7348 (VXLAN), RFC 8926 (Geneve), 3GPP TS 29.281 (GTP-U), RFC 4380 (Teredo), RFC 2661 (L2TP), RFC 5415 (CAPWAP),
//! RFC 7510 (MPLS), RFC 8086 (GRE), RFC 3948 (ESP), draft-ietf-nvo3-vxlan-gpe, draft-massar-v6ops-ayiya, the WireGuard paper.
//! Limits: ports beyond the registered ones only for VXLAN, as configured.

use super::{Carried, gre};
use crate::decode::link::{Network, Next, generic};
use crate::decode::{Headers, be16, be32};
use crate::input::{Protocol, TunnelKind};

const VXLAN: u16 = 4789;
/// VXLAN as Linux numbered it before the registration.
const VXLAN_LINUX: u16 = 8472;
const VXLAN_GPE: u16 = 4790;
const GENEVE: u16 = 6081;
const GTP_U: u16 = 2152;
/// GTP version 0, as GPRS had it (3GPP TS 09.60).
const GTP_0: u16 = 3386;
const TEREDO: u16 = 3544;
const L2TP: u16 = 1701;
const ESP: u16 = 4500;
const GRE: u16 = 4754;
const AYIYA: u16 = 5072;
const CAPWAP_DATA: u16 = 5247;
const MPLS: u16 = 6635;

/// The UDP ports at which tunnels are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelPorts {
    vxlan: Vec<u16>,
    /// One bit a port, so that asking costs the same for every list.
    known: Box<[u64; 1024]>,
}

impl Default for TunnelPorts {
    fn default() -> Self {
        Self::new(&[VXLAN, VXLAN_LINUX])
    }
}

impl TunnelPorts {
    /// The registered ports, and those at which VXLAN is spoken.
    pub fn new(vxlan: &[u16]) -> Self {
        let registered = [VXLAN_GPE, GENEVE, GTP_U, GTP_0, TEREDO, L2TP, ESP, GRE, AYIYA, CAPWAP_DATA, MPLS];
        let mut known = Box::new([0_u64; 1024]);
        for port in registered.iter().chain(vxlan) {
            known[usize::from(port >> 6)] |= 1 << (port & 63);
        }
        Self { vxlan: vxlan.to_vec(), known }
    }

    fn is_known(&self, port: u16) -> bool {
        self.known[usize::from(port >> 6)] >> (port & 63) & 1 == 1
    }

    /// Whether one of two ports is a tunnel's.
    #[inline]
    pub(super) fn any(&self, a: u16, b: u16) -> bool {
        self.is_known(a) || self.is_known(b)
    }
}

pub(super) fn decode(data: &[u8], carrier: &Headers, ports: &TunnelPorts) -> Option<Carried> {
    let at = carrier.payload_at as usize;
    let (low, high) = (carrier.src_port.min(carrier.dst_port), carrier.src_port.max(carrier.dst_port));
    [low, high].into_iter().filter(|port| ports.is_known(*port)).find_map(|port| {
        let found = at_port(data, at, port, ports)?;
        // Anybody may send from any port: a source port alone proves nothing.
        Some(Carried { is_sure: found.is_sure && port == carrier.dst_port, ..found })
    })
}

fn at_port(data: &[u8], at: usize, port: u16, ports: &TunnelPorts) -> Option<Carried> {
    if ports.vxlan.contains(&port) {
        return vxlan(data, at);
    }
    match port {
        VXLAN_GPE => vxlan_gpe(data, at),
        GENEVE => geneve(data, at),
        GTP_U => gtp_u(data, at),
        GTP_0 => gtp_0(data, at),
        TEREDO => teredo(data, at),
        L2TP => l2tp(data, at),
        ESP => esp(data, at),
        GRE => gre::decode(data, at),
        AYIYA => ayiya(data, at),
        CAPWAP_DATA => capwap(data, at),
        MPLS => Some(Carried { is_sure: false, ..Carried::new(TunnelKind::Mpls, None, Next::Mpls, at) }),
        _ => None,
    }
}

/// Flags 1, reserved 3, VNI 3, reserved 1. A header without its one flag is believed if it carries IP.
fn vxlan(data: &[u8], at: usize) -> Option<Carried> {
    let flags = *data.get(at)?;
    let vni = be32(data, at + 4)? >> 8;
    Some(Carried { is_sure: flags & 0x08 != 0, ..Carried::new(TunnelKind::Vxlan, Some(vni), Next::Ethernet, at + 8) })
}

/// As VXLAN, with the next protocol before the VNI.
fn vxlan_gpe(data: &[u8], at: usize) -> Option<Carried> {
    let head = be32(data, at)?;
    let vni = be32(data, at + 4)? >> 8;
    let [flags, .., protocol] = head.to_be_bytes();
    // Without its flag and a protocol it is VXLAN.
    let next = if flags & 0x04 == 0 && protocol == 0 { Next::Ethernet } else { generic(protocol) };
    Some(Carried { is_sure: flags & 0x08 != 0, ..Carried::new(TunnelKind::Vxlan, Some(vni), next, at + 8) })
}

/// Version and option words 1, flags 1, protocol 2, VNI 3, reserved 1, options.
fn geneve(data: &[u8], at: usize) -> Option<Carried> {
    let first = *data.get(at)?;
    let kind = be16(data, at + 2)?;
    let vni = be32(data, at + 4)? >> 8;
    let behind = at + 8 + 4 * usize::from(first & 0x3f);
    (first >> 6 == 0 && kind >= 0x0600).then(|| Carried::new(TunnelKind::Geneve, Some(vni), Next::Type(kind), behind))
}

/// Flags 1, message 1, length 2, tunnel endpoint 4; with any of three flags sequence 2, number 1 and next extension 1.
fn gtp_u(data: &[u8], at: usize) -> Option<Carried> {
    const USER_DATA: u8 = 255;
    let (flags, message) = (*data.get(at)?, *data.get(at + 1)?);
    let teid = be32(data, at + 4)?;
    // Version 1, protocol type GTP.
    if flags >> 4 != 0x03 {
        return None;
    }
    if message != USER_DATA {
        return Some(Carried::closed(TunnelKind::GtpU, Some(teid)));
    }
    let mut behind = at + 8;
    if flags & 0x07 != 0 {
        let mut next = *data.get(behind + 3)?;
        behind += 4;
        // An extension header has its length in words first and the next one's type last.
        while flags & 0x04 != 0 && next != 0 {
            let length = 4 * usize::from(*data.get(behind)?);
            if length == 0 {
                return Some(Carried::closed(TunnelKind::GtpU, Some(teid)));
            }
            next = *data.get(behind + length - 1)?;
            behind += length;
        }
    }
    Some(Carried::new(TunnelKind::GtpU, Some(teid), Next::Network(Network::Ip), behind))
}

/// Flags 1, message 1, length 2, sequence 2, flow 2, number 1, spare 3, tunnel 8.
fn gtp_0(data: &[u8], at: usize) -> Option<Carried> {
    let (flags, message) = (*data.get(at)?, *data.get(at + 1)?);
    // Version 0, protocol type GTP, user data.
    (flags >> 4 == 0x01 && message == 255).then(|| {
        let ip = Next::Network(Network::Ip);
        Carried { is_sure: false, ..Carried::new(TunnelKind::GtpU, None, ip, at + 20) }
    })
}

/// Perhaps an authentication indicator and an origin indicator, then IPv6.
fn teredo(data: &[u8], at: usize) -> Option<Carried> {
    let mut behind = at;
    if be16(data, behind)? == 0x0001 {
        let (identifier, value) = (*data.get(behind + 2)?, *data.get(behind + 3)?);
        behind += 13 + usize::from(identifier) + usize::from(value);
    }
    if be16(data, behind)? == 0x0000 {
        behind += 8;
    }
    let ipv6 = Next::Network(Network::Ipv6);
    (data.get(behind)? >> 4 == 6)
        .then(|| Carried { is_sure: false, ..Carried::new(TunnelKind::Teredo, None, ipv6, behind) })
}

/// Flags and version 2, perhaps a length 2, tunnel 2, session 2, perhaps sequence 4 and an offset; then PPP.
fn l2tp(data: &[u8], at: usize) -> Option<Carried> {
    let flags = be16(data, at)?;
    let (is_control, has_length) = (flags & 0x8000 != 0, flags & 0x4000 != 0);
    match flags & 0x000f {
        2 => {}
        3 if !is_control => return Some(Carried::closed(TunnelKind::L2tp, be32(data, at + 4))),
        _ => return None,
    }
    let mut behind = at + if has_length { 4 } else { 2 };
    let session = be32(data, behind)?;
    behind += 4;
    if is_control {
        return Some(Carried::closed(TunnelKind::L2tp, Some(session)));
    }
    if flags & 0x0800 != 0 {
        behind += 4;
    }
    if flags & 0x0200 != 0 {
        behind += 2 + usize::from(be16(data, behind)?);
    }
    Some(Carried::new(TunnelKind::L2tp, Some(session), Next::Ppp, behind))
}

/// A security parameter index that is not 0 (which marks key exchange); one byte alone keeps a mapping alive.
fn esp(data: &[u8], at: usize) -> Option<Carried> {
    be32(data, at).filter(|spi| *spi != 0).map(|spi| Carried::closed(TunnelKind::Esp, Some(spi)))
}

/// Lengths and methods 3, next header 1, time 4, identity, signature.
fn ayiya(data: &[u8], at: usize) -> Option<Carried> {
    let head = be32(data, at)?.to_be_bytes();
    let identity = 1_usize << (head[0] >> 4);
    let behind = at + 8 + identity + 4 * usize::from(head[1] >> 4);
    let next = match head[3] {
        4 => Network::Ip,
        41 => Network::Ipv6,
        _ => return None,
    };
    // Operation 1: forward.
    let is_sure = head[2] & 0x0f == 1;
    Some(Carried { is_sure, ..Carried::new(TunnelKind::Ayiya, None, Next::Network(next), behind) })
}

/// Version and kind 1, then header length 5 bits, radio 5, binding 5, and flags: T says that the frame is of the binding's
/// kind, F that it is a fragment.
fn capwap(data: &[u8], at: usize) -> Option<Carried> {
    let head = be32(data, at)?;
    // Version 0, not DTLS.
    if head >> 24 != 0 {
        return (head >> 24 == 1).then(|| Carried::closed(TunnelKind::Capwap, None));
    }
    let length = 4 * ((head >> 19) & 0x1f) as usize;
    let (binding, is_native, is_fragment) = ((head >> 9) & 0x1f, head & 0x100 != 0, head & 0x80 != 0);
    let is_later = is_fragment && be16(data, at + 6)? & 0xfff8 != 0;
    if length < 8 || is_later {
        return None;
    }
    let next = match (is_native, binding) {
        (false, _) => Next::Ethernet,
        // A version that is not 0 is the flags of a swapped header.
        (true, 1) if data.get(at + length)? & 0x03 != 0 => Next::SwappedWireless,
        (true, 1) => Next::Wireless,
        _ => return Some(Carried::closed(TunnelKind::Capwap, None)),
    };
    Some(Carried { is_sure: false, ..Carried::new(TunnelKind::Capwap, None, next, at + length) })
}

/// WireGuard by its messages: a kind, three zeros, and the length that the kind has. Some (Cloudflare WARP) use the three bytes;
/// then only an initiation is believed, unless it is a STUN message, a RADIUS request or DNS of the same length.
pub(super) fn wireguard(data: &[u8], headers: &Headers) -> Option<Carried> {
    let at = headers.payload_at as usize;
    let is_whole = headers.fragment.is_none() && headers.protocol == Protocol::UDP;
    let head = be32(data, at).filter(|_| is_whole)?;
    let is_another = || {
        let is_stun = be32(data, at + 4) == Some(0x2112_a442);
        let is_radius = be16(data, at + 2).map(u32::from) == Some(headers.payload_bytes);
        is_stun || is_radius || [headers.src_port, headers.dst_port].iter().any(|port| matches!(port, 53 | 5353))
    };
    let index_at = match (head >> 24, head & 0x00ff_ffff, headers.payload_bytes) {
        // Initiation and response carry the sender's index, the others the receiver's.
        (1, 0, 148) | (2, 0, 92) | (3, 0, 64) => at + 4,
        (4, 0, length) if length >= 32 && length % 16 == 0 => at + 4,
        (1, _, 148) if !is_another() => at + 4,
        _ => return None,
    };
    be32(data, index_at).map(|index| Carried::closed(TunnelKind::Wireguard, Some(index.swap_bytes())))
}
