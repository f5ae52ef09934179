//! The program against packets that a generator builds, run as the kernel runs it.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::observe::filter;

/// The bytes that are kept.
fn run(program: &[Instruction], packet: &[u8]) -> u32 {
    filter::run(program, u32::try_from(packet.len()).expect("small"), packet)
}

const WHOLE: u32 = 4096;

/// A packet, where its headers end, and what it must keep.
#[derive(Clone, Debug)]
struct Built {
    link: LinkType,
    bytes: Vec<u8>,
    headers: usize,
}

#[derive(Clone, Debug)]
struct Shape {
    tags: Option<usize>,
    v6: bool,
    ip_options: usize,
    tcp_options: usize,
    ports: [u16; 2],
    flags: u8,
}

fn shapes() -> impl Strategy<Value = Shape> {
    let tags = prop_oneof![Just(None), (0..=2_usize).prop_map(Some)];
    let port = prop_oneof![Just(443), Just(3128), 1024..u16::MAX];
    (tags, any::<bool>(), 0..=10_usize, 0..=10_usize, [port.clone(), port], any::<u8>()).prop_map(
        |(tags, v6, ip_options, tcp_options, ports, flags)| Shape { tags, v6, ip_options, tcp_options, ports, flags },
    )
}

fn link_header(shape: &Shape) -> (LinkType, Vec<u8>) {
    let Some(tags) = shape.tags else { return (LinkType::RAW, Vec::new()) };
    let mut bytes = vec![2; 12];
    for tag in 0..tags {
        bytes.extend(if tag + 1 < tags { [0x88, 0xa8] } else { [0x81, 0x00] });
        bytes.extend([0, 7]);
    }
    bytes.extend(if shape.v6 { [0x86, 0xdd] } else { [0x08, 0x00] });
    (LinkType::ETHERNET, bytes)
}

fn ip_header(shape: &Shape, protocol: u8) -> Vec<u8> {
    if shape.v6 {
        let mut bytes = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
        bytes.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).octets());
        bytes.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2).octets());
        return bytes;
    }
    let words = u8::try_from(5 + shape.ip_options).expect("small");
    let mut bytes = vec![0x40 | words, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    bytes.extend(Ipv4Addr::new(192, 0, 2, 1).octets());
    bytes.extend(Ipv4Addr::new(192, 0, 2, 2).octets());
    bytes.resize(bytes.len() + 4 * shape.ip_options, 1);
    bytes
}

fn packet(shape: &Shape, protocol: u8, transport: &[u8], payload: &[u8]) -> Built {
    let (link, mut bytes) = link_header(shape);
    bytes.extend(ip_header(shape, protocol));
    bytes.extend(transport);
    let headers = bytes.len();
    bytes.extend(payload);
    Built { link, bytes, headers }
}

fn tcp(shape: &Shape, payload: &[u8]) -> Built {
    let words = u8::try_from(5 + shape.tcp_options).expect("small");
    let mut header: Vec<u8> = shape.ports.iter().flat_map(|port| port.to_be_bytes()).collect();
    header.extend([0; 8]);
    header.extend([words << 4, shape.flags, 0, 0, 0, 0, 0, 0]);
    header.resize(header.len() + 4 * shape.tcp_options, 1);
    packet(shape, 6, &header, payload)
}

fn udp(shape: &Shape, payload: &[u8]) -> Built {
    let mut header: Vec<u8> = shape.ports.iter().flat_map(|port| port.to_be_bytes()).collect();
    header.extend([0; 4]);
    packet(shape, 17, &header, payload)
}

fn kept(built: &Built) -> u32 {
    run(&program(built.link, Snap::Adaptive(WHOLE), &[]).expect("a program"), &built.bytes)
}

fn padded(start: &[u8], length: usize) -> Vec<u8> {
    let mut payload = start.to_vec();
    payload.resize(length.max(start.len()), b'x');
    payload
}

fn starts() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"\x16\x03\x01\x05\xdc\x01".to_vec()),
        Just(b"CONNECT example.com:443 HTTP/1.1\r\n".to_vec()),
        Just(b"GET / HTTP/1.1\r\n".to_vec()),
        Just(b"POST /upload HTTP/1.1\r\n".to_vec()),
        Just(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec()),
        Just(b"\r\n\r\n\0\r\nQUIT\n".to_vec()),
        Just(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_start_of_a_conversation_is_kept_whole(shape in shapes(), start in starts(), length in 0..4000_usize) {
        let built = tcp(&shape, &padded(&start, length));
        let needed = u32::try_from(built.bytes.len()).expect("small");
        prop_assert!(kept(&built) >= needed.min(WHOLE), "{} of {needed}", kept(&built));
    }

    #[test]
    fn a_short_message_is_kept_whole_and_bulk_is_not(shape in shapes(), length in 0..4000_usize) {
        let built = tcp(&shape, &padded(b"", length));
        let (bytes, headers) = (built.bytes.len(), u32::try_from(built.headers).expect("small"));
        let message = shape.flags & 0x08 != 0 && bytes <= 1200;
        prop_assert!(kept(&built) >= headers);
        prop_assert_eq!(kept(&built) == WHOLE, message && bytes > 160);
    }

    #[test]
    fn names_over_udp_are_kept_whole(shape in shapes(), which in 0..2_usize, length in 0..1500_usize) {
        let mut shape = shape;
        shape.ports[which] = 53;
        for built in [udp(&shape, &padded(b"", length)), tcp(&shape, &padded(b"", length))] {
            prop_assert!(kept(&built) >= u32::try_from(built.bytes.len()).expect("small"));
        }
    }

    /// Replies are compared with their requests in the first 64 bytes.
    #[test]
    fn enough_of_an_echo_is_kept(shape in shapes(), length in 0..1400_usize, is_reply in any::<bool>()) {
        let (protocol, kind) = if shape.v6 { (58, 128 + u8::from(is_reply)) } else { (1, 8 * u8::from(!is_reply)) };
        let built = packet(&shape, protocol, &[kind, 0, 0, 0, 0, 7, 0, 1], &vec![7; length]);
        prop_assert!(kept(&built) >= u32::try_from(built.headers + length.min(64)).expect("small"));
    }

    /// Neighbour discovery is read to its options, ARP to its end.
    #[test]
    fn claims_are_kept_whole(shape in shapes(), options in 0..8_usize) {
        let (link, mut arp) = link_header(&shape);
        let discovery = packet(&Shape { v6: true, ..shape.clone() }, 58, &[135, 0, 0, 0, 0, 0, 0, 0], &vec![1; 16 + 8 * options]);
        prop_assert!(kept(&discovery) >= u32::try_from(discovery.bytes.len()).expect("small"));
        if link == LinkType::ETHERNET {
            let kind = arp.len() - 2;
            arp[kind..].copy_from_slice(&[0x08, 0x06]);
            arp.extend([0; 46]);
            let arp = Built { link, headers: arp.len(), bytes: arp };
            prop_assert!(kept(&arp) >= u32::try_from(arp.bytes.len()).expect("small"));
        }
    }

    #[test]
    fn only_initial_packets_of_quic_are_kept_whole(shape in shapes(), first in any::<u8>(), version in 0..4_usize) {
        // What goes to or from a resolver is kept whole, whatever it is, and what goes to a tunnel as far as a tunnel is read.
        let [_, destination] = shape.ports.map(u32::from);
        prop_assume!(!shape.ports.iter().any(|port| DNS.contains(&u32::from(*port))) && !TUNNELS.contains(&destination));
        let (version, initial) = [(1_u32, 0xc0), (0x6b33_43cf, 0xd0), (0xff00_001d, 0xc0), (0x1234_5678, 0)][version];
        let mut start = vec![first];
        start.extend(version.to_be_bytes());
        let built = udp(&shape, &padded(&start, 1200));
        prop_assert_eq!(kept(&built) == WHOLE, first & 0xf0 == initial && initial != 0);
        prop_assert!(kept(&built) >= u32::try_from(built.headers).expect("small"));
    }

    #[test]
    fn no_packet_is_dropped_and_none_reads_beyond_itself(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        kind in 0..6_usize,
        link in prop_oneof![Just(LinkType::ETHERNET), Just(LinkType::RAW), Just(LinkType::LINUX_SLL2)],
    ) {
        let mut bytes = bytes;
        let kinds = [IPV4, IPV6, TAGS[0], TAGS[1], 0x0806, 0x8864];
        if let Some(place) = bytes.get_mut(12..14) {
            place.copy_from_slice(&u16::try_from(kinds[kind]).expect("16 bits").to_be_bytes());
        }
        for snap in [Snap::Adaptive(WHOLE), Snap::Flat(96)] {
            let program = program(link, snap, &own()).expect("a program");
            let kept = run(&program, &bytes);
            prop_assert!(kept > 0, "dropped");
            let least = if snap == Snap::Flat(96) { 96 } else { HEADER_BYTES };
            prop_assert!(kept >= least && kept <= snap.most());
        }
    }

    #[test]
    fn own_traffic_is_left_out_and_the_same_port_elsewhere_is_not(shape in shapes(), which in 0..2_usize) {
        let mut shape = Shape { ip_options: 0, tags: shape.tags.map(|_| 0), ..shape };
        shape.ports[which] = 9921;
        shape.ports[1 - which] = 40_000;
        let built = tcp(&shape, b"GET /metrics HTTP/1.1\r\n\r\n");
        let kept = |own: &[SocketAddr]| {
            run(&program(built.link, Snap::Flat(256), own).expect("a program"), &built.bytes)
        };
        let address = |last: u16| -> SocketAddr {
            let v4 = Ipv4Addr::new(192, 0, 2, u8::try_from(last).expect("small"));
            let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
            (if shape.v6 { IpAddr::V6(v6) } else { IpAddr::V4(v4) }, 9921).into()
        };
        // The packet goes from 1 to 2.
        let mine = u16::try_from(which).expect("small") + 1;
        prop_assert_eq!(kept(&[address(mine)]), 0);
        prop_assert_eq!(kept(&[address(7), address(mine)]), 0);
        prop_assert_eq!(kept(&[address(3 - mine)]), 256, "the port belongs to the other end");
        prop_assert_eq!(kept(&[address(7)]), 256, "another host's port");
    }
}

/// Sockets that no generated packet is from or to.
fn own() -> Vec<SocketAddr> {
    vec!["203.0.113.9:9".parse().expect("v4"), "[2001:db8:ffff::9]:9".parse().expect("v6")]
}

#[test]
fn the_later_segment_of_a_hello_and_its_limits() {
    let shape = Shape { tags: Some(0), v6: false, ip_options: 0, tcp_options: 3, ports: [40_000, 443], flags: 0x18 };
    assert_eq!(kept(&tcp(&shape, &padded(b"", 600))), WHOLE, "it ends what was written, and is short");
    assert_eq!(kept(&tcp(&shape, &padded(b"\x17\x03\x03", 600))), HEADER_BYTES, "encrypted data");
    assert_eq!(kept(&tcp(&shape, &padded(b"", 1448))), HEADER_BYTES, "bulk");
}

#[test]
fn tunnels_and_what_is_not_followed_keep_more_than_headers() {
    let shape = Shape { tags: Some(0), v6: true, ip_options: 0, tcp_options: 0, ports: [40_000, 4789], flags: 0 };
    assert_eq!(kept(&udp(&shape, &padded(b"", 1400))), OTHER_BYTES);
    assert_eq!(kept(&packet(&shape, 0, &[6, 0, 0, 0, 0, 0, 0, 0], &[0; 400])), OTHER_BYTES, "hop-by-hop options");
    let fragment = {
        let mut built = packet(&Shape { v6: false, ..shape }, 17, &[0, 53, 0, 53, 0, 0, 0, 0], &[0; 900]);
        built.bytes[20] = 1;
        built
    };
    assert_eq!(kept(&fragment), HEADER_BYTES, "a later fragment has no ports");
}
