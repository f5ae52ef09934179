//! Links and tunnels: packets are built layer by layer, and what is decoded is what was built.

use std::net::IpAddr;

use etherparse::PacketBuilder;
use hopwatch::decode::{Decoded, Headers, LinkType, TunnelPorts, carried, decode, innermost};
use hopwatch::input::{Protocol, TunnelKind};
use proptest::prelude::*;

/// Who talks in the innermost packet.
type Talk = ((u8, u16), (u8, u16));

fn length(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).expect("small").to_be_bytes()
}

/// The innermost packet: UDP at ports that no tunnel has, in IPv4 or IPv6.
fn talk(v6: bool, ((src, src_port), (dst, dst_port)): Talk) -> Vec<u8> {
    let mut packet = Vec::new();
    if v6 {
        let step = PacketBuilder::ipv6([src; 16], [dst; 16], 64).udp(src_port, dst_port);
        step.write(&mut packet, b"hello").expect("a packet");
    } else {
        let step = PacketBuilder::ipv4([src; 4], [dst; 4], 64).udp(src_port, dst_port);
        step.write(&mut packet, b"hello").expect("a packet");
    }
    packet
}

/// An IP header around a payload.
fn ip(v6: bool, protocol: u8, payload: &[u8]) -> Vec<u8> {
    if v6 {
        [&[0x60, 0, 0, 0][..], &length(payload), &[protocol, 64], &[0xfd; 16], &[0xfe; 16], payload].concat()
    } else {
        let total = length(&vec![0; payload.len() + 20]);
        let tail = [0, 0, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
        [&[0x45, 0][..], &total, &tail, payload].concat()
    }
}

fn udp(v6: bool, port: u16, payload: &[u8]) -> Vec<u8> {
    let total = length(&vec![0; payload.len() + 8]);
    ip(v6, 17, &[&[0xc0, 0][..], &port.to_be_bytes(), &total, &[0, 0], payload].concat())
}

/// The Ethernet type of an IP packet.
fn kind(packet: &[u8]) -> [u8; 2] {
    if packet[0] >> 4 == 6 { [0x86, 0xdd] } else { [0x08, 0x00] }
}

fn ethernet(packet: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], &kind(packet), packet].concat()
}

fn ppp_protocol(packet: &[u8]) -> [u8; 2] {
    if packet[0] >> 4 == 6 { [0, 0x57] } else { [0, 0x21] }
}

/// Ways to carry an IP packet below IP, as link type and frame.
fn on_link(way: usize, packet: &[u8]) -> (LinkType, Vec<u8>) {
    let macs = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    let labels = [[0, 1, 0x20, 64], [0, 2, 0x31, 64]].concat();
    let ppp = [&ppp_protocol(packet)[..], packet].concat();
    let session = [&[0x11, 0, 0, 7][..], &length(&ppp), &ppp].concat();
    let snap = [&[0xaa, 0xaa, 3, 0, 0, 0][..], &kind(packet), packet].concat();
    let wireless = [&[0x88, 0x02, 0, 0][..], &[2; 6], &[4; 6], &[6; 6], &[0x10, 0, 0, 0], &snap].concat();
    let inner = ethernet(packet);
    match way {
        0 => (LinkType::ETHERNET, inner),
        1 => (LinkType::ETHERNET, [&macs[..], &[0x88, 0x47], &labels, packet].concat()),
        2 => (LinkType::ETHERNET, [&macs[..], &[0x81, 0, 0, 9, 0x88, 0x64], &session].concat()),
        3 => (LinkType::ETHERNET, [&macs[..], &length(&snap), &snap, &[0; 9]].concat()),
        4 => (LinkType::ETHERNET, [&macs[..], &[0x88, 0xe7, 0, 0, 0, 5], &inner].concat()),
        5 => (LinkType::PPP, [&[0xff, 3][..], &ppp].concat()),
        // Address, control and the first byte of the protocol left out.
        6 => (LinkType::PPP, ppp[1..].to_vec()),
        7 => (LinkType::PPP_HDLC, [&[0x0f, 0][..], &kind(packet), packet].concat()),
        8 => (LinkType::PPP_ETHER, session),
        9 => (LinkType::C_HDLC, [&[0x8f, 0][..], &kind(packet), packet].concat()),
        10 => {
            (LinkType::FRELAY, [&[0x18, 0x41, 3, if packet[0] >> 4 == 6 { 0x8e } else { 0xcc }][..], packet].concat())
        }
        11 => (LinkType::IEEE802_11, wireless),
        12 => (LinkType::IEEE802_11_RADIOTAP, [&[0, 0, 8, 0, 0, 0, 0, 0][..], &wireless].concat()),
        13 => (LinkType::PPI, [&[0, 0, 8, 0, 1, 0, 0, 0][..], &inner].concat()),
        14 => (LinkType::TOKEN_RING, [&[0x10, 0x40][..], &macs, &snap].concat()),
        15 => (LinkType::FDDI, [&[0x50][..], &macs, &snap].concat()),
        16 => (LinkType::PFLOG, [&[61, if packet[0] >> 4 == 6 { 24 } else { 2 }][..], &[0; 62], packet].concat()),
        _ => (LinkType::MPLS, [&labels[..], packet].concat()),
    }
}
const LINKS: usize = 18;

/// Ways to carry an IP packet in another.
fn tunnel(way: usize, v6: bool, packet: &[u8]) -> (TunnelKind, Option<u32>, Vec<u8>) {
    let frame = ethernet(packet);
    let kind = kind(packet);
    let protocol = if packet[0] >> 4 == 6 { 41 } else { 4 };
    let in_ip = if protocol == 41 && !v6 { TunnelKind::SixInFour } else { TunnelKind::IpInIp };
    let gre = |parts: &[&[u8]]| ip(v6, 47, &parts.concat());
    let vxlan = [&[8, 0, 0, 0, 0, 1, 2, 0][..], &frame].concat();
    match way {
        0 => (in_ip, None, ip(v6, protocol, packet)),
        1 => (TunnelKind::Gre, None, gre(&[&[0, 0], &kind, packet])),
        2 => {
            let fields = [0, 0, 0, 0, 0, 0, 1, 44, 0, 0, 0, 1];
            (TunnelKind::Gre, Some(300), gre(&[&[0xb0, 0], &kind, &fields, packet]))
        }
        3 => (TunnelKind::Gre, Some(7), gre(&[&[0x20, 0, 0x65, 0x58, 0, 0, 0, 7], &frame])),
        4 => (TunnelKind::Erspan, None, gre(&[&[0, 0, 0x88, 0xbe], &frame])),
        5 => {
            let header = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 9, 0x10, 5, 0, 100, 0, 0, 0, 1];
            (TunnelKind::Erspan, Some(100), gre(&[&header, &frame]))
        }
        6 => {
            let header = [0x10, 0, 0x22, 0xeb, 0, 0, 0, 9, 0x20, 5, 0, 100, 0, 0, 0, 1, 0, 0, 0, 1];
            (TunnelKind::Erspan, Some(100), gre(&[&header, &[0; 8], &frame]))
        }
        7 => {
            let ppp = [&ppp_protocol(packet)[..], packet].concat();
            let head = [&[0x30, 0x81, 0x88, 0x0b][..], &length(&ppp), &[0, 5], &[0; 8]].concat();
            (TunnelKind::Gre, Some(5), gre(&[&head, &ppp]))
        }
        8 => (TunnelKind::Vxlan, Some(258), udp(v6, 4789, &vxlan)),
        9 => (TunnelKind::Vxlan, Some(258), udp(v6, 8472, &vxlan)),
        10 => {
            let header = [1, 0, 0x65, 0x58, 0, 0, 9, 0, 0, 0, 0x80, 0];
            (TunnelKind::Geneve, Some(9), udp(v6, 6081, &[&header[..], &frame].concat()))
        }
        11 => {
            // With a sequence number and two extension headers.
            let header = [0x36, 255, 0, 0, 0, 0, 4, 0, 0, 1, 0, 0x85, 1, 0, 0, 0xc0, 1, 0, 0, 0];
            (TunnelKind::GtpU, Some(1024), udp(v6, 2152, &[&header[..], packet].concat()))
        }
        12 => {
            let ppp = [&[0xff, 3][..], &ppp_protocol(packet), packet].concat();
            (TunnelKind::L2tp, Some(0x0001_0002), udp(v6, 1701, &[&[0, 2, 0, 1, 0, 2][..], &ppp].concat()))
        }
        13 => (TunnelKind::Mpls, Some(18), ip(v6, 137, &[&[0, 1, 0x21, 64][..], packet].concat())),
        _ => (TunnelKind::EtherIp, None, ip(v6, 97, &[&[0x30, 0][..], &frame].concat())),
    }
}
const TUNNELS: usize = 15;

fn outermost(link: LinkType, frame: &[u8]) -> Headers {
    let wire_len = u32::try_from(frame.len()).expect("small");
    match decode(link, wire_len, frame) {
        Ok(Decoded::Ip(headers)) => headers,
        other => panic!("{link:?}: {other:?}"),
    }
}

fn ends(headers: &Headers) -> (IpAddr, u16, IpAddr, u16) {
    (headers.src, headers.src_port, headers.dst, headers.dst_port)
}

fn expected(v6: bool, ((src, src_port), (dst, dst_port)): Talk) -> (IpAddr, u16, IpAddr, u16) {
    let ip = |octet: u8| if v6 { IpAddr::from([octet; 16]) } else { IpAddr::from([octet; 4]) };
    (ip(src), src_port, ip(dst), dst_port)
}

fn talking() -> impl Strategy<Value = Talk> {
    // Below every port of a tunnel.
    ((1_u8..250, 1_u16..1700), (1_u8..250, 1_u16..1700))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_link_leads_to_the_packet(way in 0..LINKS, v6 in any::<bool>(), talkers in talking()) {
        let packet = talk(v6, talkers);
        let (link, frame) = on_link(way, &packet);
        prop_assert!(link.is_supported());
        let headers = outermost(link, &frame);
        prop_assert_eq!(ends(&headers), expected(v6, talkers), "way {}", way);
        prop_assert_eq!((headers.ip_bytes as usize, headers.payload(&frame)), (packet.len(), &b"hello"[..]));
        for cut in 0..frame.len() {
            // Nothing that is cut off is invented.
            if let Ok(Decoded::Ip(cut)) = decode(link, 2000, &frame[..cut]) {
                prop_assert_eq!((cut.src, cut.dst), (headers.src, headers.dst));
            }
        }
    }

    #[test]
    fn every_tunnel_is_entered_and_named(
        ways in prop::collection::vec((0..TUNNELS, any::<bool>()), 1..4),
        link in 0..LINKS,
        v6 in any::<bool>(),
        talkers in talking(),
    ) {
        let mut packet = talk(v6, talkers);
        let mut named = Vec::new();
        for &(way, carrier_v6) in &ways {
            let (kind, id, carrier) = tunnel(way, carrier_v6, &packet);
            named.insert(0, (kind, id));
            packet = carrier;
        }
        let (link, frame) = on_link(link, &packet);
        let outer = outermost(link, &frame);
        let (inner, tunnels) = innermost(&frame, &outer, &TunnelPorts::default());
        prop_assert_eq!(ends(&inner), expected(v6, talkers), "{:?}", ways);
        prop_assert_eq!(inner.payload(&frame), b"hello");
        let found: Vec<_> = tunnels.iter().map(|tunnel| (tunnel.kind, tunnel.id)).collect();
        prop_assert_eq!(found, named);
        prop_assert_eq!(tunnels.iter().next().map(|tunnel| (tunnel.src, tunnel.dst)), Some((outer.src, outer.dst)));
        for cut in 0..frame.len() {
            if let Ok(Decoded::Ip(outer)) = decode(link, 2000, &frame[..cut]) {
                innermost(&frame[..cut], &outer, &TunnelPorts::default());
            }
        }
    }

    #[test]
    fn damaged_tunnels_are_survived(
        way in 0..TUNNELS,
        v6 in any::<bool>(),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let (.., packet) = tunnel(way, v6, &talk(v6, ((1, 1), (2, 2))));
        let (.., packet) = tunnel(way, v6, &packet);
        let mut frame = ethernet(&packet);
        for (at, byte) in hits {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        if let Ok(Decoded::Ip(outer)) = decode(LinkType::ETHERNET, 300, &frame) {
            let (inner, _) = innermost(&frame, &outer, &TunnelPorts::default());
            prop_assert!(inner.payload_bytes <= inner.ip_bytes);
        }
    }

    #[test]
    fn any_bytes_behind_any_link_or_port_are_survived(
        link in 0_u16..300,
        port in prop::sample::select(vec![4789_u16, 4790, 6081, 2152, 3386, 3544, 1701, 4500, 4754, 5072, 5247, 6635]),
        bytes in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        let _ = decode(LinkType(link), 200, &bytes);
        let packet = udp(false, port, &bytes);
        let outer = outermost(LinkType::RAW, &packet);
        let tunnels = carried(&packet, &outer, &TunnelPorts::default());
        prop_assert!(tunnels.iter().all(|tunnel| tunnel.src.is_ipv4() || tunnels.len() > 1));
    }
}

fn kinds_carried(packet: &[u8]) -> Vec<(TunnelKind, Option<u32>)> {
    let outer = outermost(LinkType::RAW, packet);
    carried(packet, &outer, &TunnelPorts::default()).iter().map(|tunnel| (tunnel.kind, tunnel.id)).collect()
}

#[test]
fn encrypted_tunnels_are_named_and_not_entered() {
    assert_eq!(kinds_carried(&ip(false, 50, &[0, 0, 1, 1, 0, 0, 0, 1, 9, 9])), [(TunnelKind::Esp, Some(257))]);
    let keyed = udp(false, 4500, &[0, 0, 1, 1, 0, 0, 0, 1, 9, 9]);
    assert_eq!(kinds_carried(&keyed), [(TunnelKind::Esp, Some(257))]);
    assert_eq!(kinds_carried(&udp(false, 4500, &[0, 0, 0, 0, 1, 2, 3, 4])), [], "key exchange");
    let data = [&[4, 0, 0, 0, 7, 0, 0, 0][..], &[9; 24]].concat();
    assert_eq!(kinds_carried(&udp(true, 40_000, &data)), [(TunnelKind::Wireguard, Some(7))]);
    assert_eq!(kinds_carried(&udp(true, 40_000, &data[..31])), []);
}

#[test]
fn a_tunnel_without_ip_inside_leaves_its_carrier() {
    let arp = [&[2; 12][..], &[0x08, 0x06], &[0; 28]].concat();
    let packet = udp(false, 4789, &[&[8, 0, 0, 0, 0, 0, 5, 0][..], &arp].concat());
    let outer = outermost(LinkType::RAW, &packet);
    let (inner, tunnels) = innermost(&packet, &outer, &TunnelPorts::default());
    assert_eq!(inner, outer);
    assert_eq!(tunnels.iter().map(|tunnel| (tunnel.kind, tunnel.id)).next(), Some((TunnelKind::Vxlan, Some(5))));
}

#[test]
fn what_an_icmp_error_quotes_is_not_inside() {
    let quoted = talk(false, ((1, 1), (2, 2)));
    let packet = ip(false, 1, &[&[3, 3, 0, 0, 0, 0, 0, 0][..], &quoted].concat());
    let outer = outermost(LinkType::RAW, &packet);
    let (inner, tunnels) = innermost(&packet, &outer, &TunnelPorts::default());
    assert_eq!((inner.protocol, tunnels.len()), (Protocol::ICMP, 0));
}

#[test]
fn teredo_with_both_indicators() {
    let inner = talk(true, ((1, 1), (2, 2)));
    let indicators = [&[0, 1, 1, 2][..], &[7; 12], &[0, 0], &[8; 6]].concat();
    let packet = udp(false, 3544, &[&indicators[..], &inner].concat());
    let outer = outermost(LinkType::RAW, &packet);
    let (found, tunnels) = innermost(&packet, &outer, &TunnelPorts::default());
    assert_eq!(ends(&found), expected(true, ((1, 1), (2, 2))));
    assert_eq!(tunnels.iter().map(|tunnel| tunnel.kind).collect::<Vec<_>>(), [TunnelKind::Teredo]);
}

#[test]
fn other_ports_are_vxlan_only_if_they_are_said_to_be() {
    let frame = ethernet(&talk(false, ((1, 1), (2, 2))));
    let packet = udp(false, 5000, &[&[8, 0, 0, 0, 0, 0, 5, 0][..], &frame].concat());
    let outer = outermost(LinkType::RAW, &packet);
    assert_eq!(innermost(&packet, &outer, &TunnelPorts::default()).0, outer);
    assert_eq!(ends(&innermost(&packet, &outer, &TunnelPorts::new(&[5000])).0), expected(false, ((1, 1), (2, 2))));
}

#[test]
fn tunnels_without_end_are_left_at_the_bound() {
    let mut packet = talk(false, ((1, 1), (2, 2)));
    for _ in 0..20 {
        packet = ip(false, 4, &packet);
    }
    let outer = outermost(LinkType::RAW, &packet);
    let (inner, tunnels) = innermost(&packet, &outer, &TunnelPorts::default());
    assert_eq!((inner.protocol, tunnels.len()), (Protocol(4), hopwatch::decode::MAX_TUNNELS));
}
