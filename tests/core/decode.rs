//! The decoder against packets that another library built, and against packets that nobody should send.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{
    IpFragOffset, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv4Options, Ipv6Extensions, Ipv6FragmentHeader,
    Ipv6Header, Ipv6RawExtHeader, PacketBuilder, TcpHeader,
};
use hopwatch::decode::{DecodeReason, Decoded, Fragment, Headers, LinkType, decode};
use hopwatch::input::{Mac, Protocol, tcp_flags};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Transport {
    Udp(u16, u16),
    Tcp { ports: (u16, u16), flags: u8, options: Vec<u8> },
    Echo { reply: bool },
}

#[derive(Clone, Debug)]
struct Built {
    link: u8,
    vlans: Vec<u16>,
    v6: bool,
    src: u128,
    dst: u128,
    ip_extra: Vec<u8>,
    fragmented: bool,
    transport: Transport,
    payload: usize,
    padding: usize,
}

const SRC_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const DST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn low_half(bits: u128) -> u32 {
    u32::try_from(bits & 0xffff_ffff).expect("32 bits")
}

impl Built {
    fn addresses(&self) -> (IpAddr, IpAddr) {
        let address = |bits: u128| -> IpAddr {
            if self.v6 { Ipv6Addr::from_bits(bits).into() } else { Ipv4Addr::from_bits(low_half(bits)).into() }
        };
        (address(self.src), address(self.dst))
    }

    fn ip(&self) -> IpHeaders {
        match self.addresses() {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let mut header = Ipv4Header::new(0, 64, IpNumber::UDP, src.octets(), dst.octets()).expect("header");
                header.options = Ipv4Options::try_from(&self.ip_extra[..]).expect("options");
                header.identification = 77;
                header.more_fragments = self.fragmented;
                IpHeaders::Ipv4(header, Ipv4Extensions::default())
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header =
                    Ipv6Header { source: source.octets(), destination: destination.octets(), ..Ipv6Header::default() };
                let hop = (!self.ip_extra.is_empty()).then(|| {
                    let mut body = vec![0; 6];
                    body.extend(self.ip_extra.repeat(2));
                    Ipv6RawExtHeader::new_raw(IpNumber::UDP, &body).expect("extension")
                });
                let piece = Ipv6FragmentHeader::new(IpNumber::UDP, IpFragOffset::ZERO, true, 77);
                let fragment = self.fragmented.then_some(piece);
                IpHeaders::Ipv6(
                    header,
                    Ipv6Extensions { hop_by_hop_options: hop, fragment, ..Ipv6Extensions::default() },
                )
            }
            _ => unreachable!("both ends have one family"),
        }
    }

    fn ip_packet(&self) -> Vec<u8> {
        let step = PacketBuilder::ip(self.ip());
        let payload = vec![0x55; self.payload];
        let mut packet = Vec::new();
        match &self.transport {
            Transport::Udp(src, dst) => step.udp(*src, *dst).write(&mut packet, &payload),
            Transport::Tcp { ports, flags, options } => {
                let mut header = TcpHeader::new(ports.0, ports.1, 1, 1024);
                header.fin = flags & tcp_flags::FIN != 0;
                header.syn = flags & tcp_flags::SYN != 0;
                header.rst = flags & tcp_flags::RST != 0;
                header.psh = flags & tcp_flags::PSH != 0;
                header.ack = flags & tcp_flags::ACK != 0;
                header.set_options_raw(options).expect("options");
                step.tcp_header(header).write(&mut packet, &payload)
            }
            Transport::Echo { reply } => match (self.v6, reply) {
                (false, false) => step.icmpv4_echo_request(1, 2).write(&mut packet, &payload),
                (false, true) => step.icmpv4_echo_reply(1, 2).write(&mut packet, &payload),
                (true, false) => step.icmpv6_echo_request(1, 2).write(&mut packet, &payload),
                (true, true) => step.icmpv6_echo_reply(1, 2).write(&mut packet, &payload),
            },
        }
        .expect("a packet");
        packet
    }

    /// Link type, frame, and where IP starts in it.
    fn frame(&self) -> (LinkType, Vec<u8>, usize) {
        let kind: u16 = if self.v6 { 0x86dd } else { 0x0800 };
        let tags: Vec<u16> = self.vlans.iter().flat_map(|id| [0x8100, *id | 0x6000]).chain([kind]).collect();
        let bytes = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        let (link, mut head) = match self.link {
            0 => (LinkType::ETHERNET, [&DST_MAC[..], &SRC_MAC, &bytes(&tags)].concat()),
            1 => (LinkType::LINUX_SLL, [&[0, 0, 0, 1, 0, 6][..], &SRC_MAC, &[0, 0], &bytes(&tags)].concat()),
            2 => {
                let fixed = [&bytes(&tags[..1])[..], &[0, 0, 0, 0, 0, 2, 0, 1, 0, 6], &SRC_MAC, &[0, 0]].concat();
                (LinkType::LINUX_SLL2, [fixed, bytes(&tags[1..])].concat())
            }
            3 => (LinkType::RAW, Vec::new()),
            4 => (LinkType::NULL, vec![if self.v6 { 30 } else { 2 }, 0, 0, 0]),
            _ if self.v6 => (LinkType::IPV6, Vec::new()),
            _ => (LinkType::IPV4, Vec::new()),
        };
        let at = head.len();
        head.extend(self.ip_packet());
        // What Ethernet adds to short frames is no part of the packet.
        head.extend(vec![0; self.padding]);
        (link, head, at)
    }

    fn check(&self, headers: &Headers) {
        let has_tags = self.link < 3;
        let (protocol, ports, flags, header_len) = match &self.transport {
            Transport::Udp(src, dst) => (Protocol::UDP, (*src, *dst), None, 8),
            Transport::Tcp { ports, flags, options } => {
                (Protocol::TCP, *ports, Some(*flags), 20 + options.len().next_multiple_of(4))
            }
            Transport::Echo { reply } => {
                let (protocol, ask, answer) =
                    if self.v6 { (Protocol::ICMPV6, 128, 129) } else { (Protocol::ICMP, 8, 0) };
                (protocol, if *reply { (answer, ask) } else { (ask, answer) }, None, 8)
            }
        };
        assert_eq!((headers.src, headers.dst), self.addresses());
        assert_eq!((headers.protocol, (headers.src_port, headers.dst_port)), (protocol, ports));
        assert_eq!((headers.tcp_flags(), headers.one_way), (flags, false));
        assert_eq!(headers.ip_bytes as usize, self.ip_packet().len());
        assert_eq!(headers.payload_bytes as usize, self.payload);
        assert_eq!(headers.vlans.as_slice(), if has_tags { &self.vlans[..] } else { &[] });
        assert_eq!(headers.src_mac, has_tags.then_some(Mac(SRC_MAC)));
        assert_eq!(headers.dst_mac, (self.link == 0).then_some(Mac(DST_MAC)));
        let named = if self.v6 { Protocol(0) } else { protocol };
        let piece = Fragment { id: 77, offset: 0, more: true, protocol: named };
        assert_eq!(headers.fragment, self.fragmented.then_some(piece));
        let (_, frame, at) = self.frame();
        assert_eq!(headers.payload(&frame), vec![0x55; self.payload]);
        assert!(headers.payload_at as usize >= at + header_len);
    }
}

fn transport() -> impl Strategy<Value = Transport> {
    let options = prop::collection::vec(Just(1_u8), 0..=40);
    prop_oneof![
        any::<(u16, u16)>().prop_map(|(src, dst)| Transport::Udp(src, dst)),
        (any::<(u16, u16)>(), 0_u8..32, options).prop_map(|(ports, flags, options)| Transport::Tcp {
            ports,
            flags,
            options
        }),
        any::<bool>().prop_map(|reply| Transport::Echo { reply }),
    ]
}

prop_compose! {
    fn built()(
        (link, vlans) in (0_u8..6, prop::collection::vec(0_u16..4096, 0..=4)),
        (v6, src, dst, fragmented) in any::<(bool, u128, u128, bool)>(),
        words in 0_usize..=10,
        transport in transport(),
        (payload, padding) in (0_usize..1400, 0_usize..20),
    ) -> Built {
        let ip_extra = vec![1; words * 4];
        Built { link, vlans, v6, src, dst, ip_extra, fragmented, transport, payload, padding }
    }
}

fn wire(frame: &[u8]) -> u32 {
    u32::try_from(frame.len()).expect("small")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_built_packet_is_decoded_to_what_was_built(built in built()) {
        let (link, frame, _) = built.frame();
        match decode(link, wire(&frame), &frame) {
            Ok(Decoded::Ip(headers)) => built.check(&headers),
            other => panic!("{other:?}"),
        }
    }

    /// A snapped packet is either not decoded for lack of bytes, or says the same as the whole one.
    #[test]
    fn cut_anywhere_it_says_the_same_or_nothing(built in built()) {
        let (link, frame, _) = built.frame();
        let whole = decode(link, wire(&frame), &frame).expect("decodes");
        let Decoded::Ip(whole) = whole else { panic!("not IP") };
        for cut in 0..frame.len().min(200) {
            match decode(link, wire(&frame), &frame[..cut]) {
                Ok(Decoded::Ip(mut headers)) => {
                    // Ports that are cut off are not known.
                    if cut < whole.payload_at as usize && (headers.src_port, headers.dst_port) == (0, 0) {
                        headers.src_port = whole.src_port;
                        headers.dst_port = whole.dst_port;
                        headers.one_way = whole.one_way;
                    }
                    // The data offset and the flags of TCP may be cut off while the ports are there.
                    if headers.tcp.is_none() {
                        headers.tcp = whole.tcp;
                        headers.payload_bytes = whole.payload_bytes;
                        headers.payload_at = whole.payload_at;
                    }
                    prop_assert_eq!(headers, whole);
                }
                Ok(Decoded::NonIp) => panic!("became non-IP at {cut}"),
                Err(reason) => prop_assert!(matches!(
                    reason,
                    DecodeReason::TruncatedLink | DecodeReason::TruncatedIp | DecodeReason::TruncatedExtensions
                ), "{reason} at {cut}"),
            }
        }
    }

    #[test]
    fn any_bytes_are_survived(link in 0_u16..300, wire_len in any::<u32>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(LinkType(link), wire_len, &bytes).map(|decoded| match decoded {
            Decoded::Ip(headers) => headers.payload(&bytes).len(),
            Decoded::NonIp => 0,
        });
    }

    #[test]
    fn damaged_packets_are_survived(built in built(), hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let (link, mut frame, _) = built.frame();
        for (at, byte) in hits {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        if let Ok(Decoded::Ip(headers)) = decode(link, wire(&frame), &frame) {
            prop_assert!(headers.payload_bytes <= headers.ip_bytes);
        }
    }
}

fn udp_packet() -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
        .udp(1000, 53)
        .write(&mut packet, &[0; 100])
        .expect("packet");
    packet
}

fn raw(packet: &[u8], wire_len: u32) -> Result<Headers, DecodeReason> {
    decode(LinkType::RAW, wire_len, packet).map(|decoded| match decoded {
        Decoded::Ip(headers) => headers,
        Decoded::NonIp => panic!("raw IP is IP"),
    })
}

#[test]
fn a_gso_frame_without_a_length_reaches_to_the_end_of_the_wire() {
    let mut packet = udp_packet();
    packet[2..4].fill(0);
    let headers = raw(&packet, 40_000).expect("decodes");
    assert_eq!(headers.ip_bytes, 40_000);
    let snapped = raw(&packet[..40], 40_000).expect("decodes");
    assert_eq!(snapped.ip_bytes, 40_000);
}

#[test]
fn a_later_fragment_has_no_ports() {
    let mut packet = udp_packet();
    packet[4..8].copy_from_slice(&[0x12, 0x34, 0x20, 0x05]);
    let headers = raw(&packet, 128).expect("decodes");
    assert_eq!((headers.src_port, headers.dst_port, headers.payload_bytes), (0, 0, 108));
    assert_eq!(headers.fragment, Some(Fragment { id: 0x1234, offset: 40, more: true, protocol: Protocol::UDP }));
}

#[test]
fn an_authentication_header_is_stepped_over() {
    let mut packet = udp_packet();
    // Next header, length in words less two, reserved, SPI, sequence, and four bytes of check value.
    let header = [&[17, 2, 0, 0][..], &[0, 0, 0, 9], &[0, 0, 0, 1], &[0xab; 4]].concat();
    packet.splice(20..20, header);
    packet[9] = 51;
    packet[3] += 16;
    let headers = raw(&packet, 144).expect("decodes");
    assert_eq!((headers.protocol, headers.src_port, headers.dst_port), (Protocol::UDP, 1000, 53));
    assert_eq!((headers.ip_bytes, headers.payload_bytes), (144, 100));
    packet[21] = 0xff;
    assert_eq!(
        raw(&packet, 144).expect("decodes").protocol,
        Protocol(51),
        "a length beyond the packet is not believed"
    );
}

#[test]
fn each_fault_has_its_reason() {
    let with = |at: usize, byte: u8| {
        let mut packet = udp_packet();
        packet[at] = byte;
        raw(&packet, 128).expect_err("broken")
    };
    assert_eq!(with(0, 0x55), DecodeReason::IpVersion);
    assert_eq!(with(0, 0x44), DecodeReason::IpHeaderLength);
    assert_eq!(with(3, 19), DecodeReason::IpTotalLength);
    assert_eq!(decode(LinkType(147), 4, &[0; 4]), Err(DecodeReason::UnknownLinkType));
    assert_eq!(decode(LinkType::ETHERNET, 60, &[0; 13]), Err(DecodeReason::TruncatedLink));
    assert_eq!(raw(&[0x45; 19], 100), Err(DecodeReason::TruncatedIp));
    let tags = [vec![0; 12], [0x81, 0, 0, 7].repeat(9)].concat();
    assert_eq!(decode(LinkType::ETHERNET, 60, &tags), Err(DecodeReason::VlanDepth));
    let labels = [vec![0; 12], [[0x88, 0xe7].to_vec(), vec![0; 16]].concat().repeat(99)].concat();
    assert_eq!(decode(LinkType::ETHERNET, 1794, &labels), Err(DecodeReason::LinkDepth));
}

/// What IP says is kept when what is behind it cannot be read.
#[test]
fn a_packet_without_its_transport_header_is_still_a_packet() {
    let mut packet = udp_packet();
    packet[3] = 22;
    let short = raw(&packet, 128).expect("decodes");
    assert_eq!((short.protocol, short.src_port, short.dst_port, short.payload_bytes), (Protocol::UDP, 0, 0, 0));
    let mut endless = [vec![0x60, 0, 0, 0, 16, 0, 60, 64], vec![0; 32]].concat();
    endless.extend([60, 0, 0, 0, 0, 0, 0, 0].repeat(512));
    for cut in [41, 48, endless.len()] {
        assert_eq!(
            raw(&endless[..cut], 4136),
            Err(DecodeReason::TruncatedExtensions),
            "{cut}: nobody knows what it carries"
        );
    }
}

/// The frame is shorter than its packet says, and nothing of it was cut: its last header announces what would follow.
#[test]
fn the_last_header_of_a_whole_frame_names_the_protocol() {
    for (payload, expected) in [(500, Protocol(4)), (40, Protocol(0))] {
        let mut packet = [vec![0x60, 0, 0, 0], u16::to_be_bytes(payload).to_vec(), vec![0, 64]].concat();
        packet.extend([0x20; 32]);
        packet.extend([4, 30, 0, 0, 0, 0, 0, 0]);
        assert_eq!(raw(&packet, wire(&packet)).expect("decodes").protocol, expected, "payload {payload}");
        assert_eq!(raw(&packet, wire(&packet) + 1), Err(DecodeReason::TruncatedExtensions), "cut by the capture");
    }
}

#[test]
fn what_carries_no_ip_is_no_error() {
    let frame = |kind: [u8; 2]| [&DST_MAC[..], &SRC_MAC, &kind, &[0; 46]].concat();
    for kind in [[0x08, 0x06], [0x88, 0xcc], [0x00, 0x26], [0x88, 0x8e]] {
        assert_eq!(decode(LinkType::ETHERNET, 60, &frame(kind)), Ok(Decoded::NonIp), "{kind:x?}");
    }
}

#[test]
fn old_and_new_tags_are_followed_together() {
    let tags = [0x91, 0, 0x20, 0x64, 0x88, 0xa8, 0, 7, 0x81, 0, 0x0f, 0xff, 0x08, 0];
    let frame = [&DST_MAC[..], &SRC_MAC, &tags, &udp_packet()].concat();
    let Ok(Decoded::Ip(headers)) = decode(LinkType::ETHERNET, 154, &frame) else { panic!("IP") };
    assert_eq!((headers.vlans.as_slice(), headers.dst_port), (&[100, 7, 4095][..], 53));
}

/// Extension headers that etherparse walks, too: kind, and how many units of its length field. Fragment headers are whole
/// packets' own ("atomic"), and hop-by-hop options come first.
fn chain() -> impl Strategy<Value = Vec<(u8, u8)>> {
    let later = prop::collection::vec((prop::sample::select(vec![43_u8, 44, 51, 60]), 0_u8..4), 0..5);
    (any::<bool>(), later).prop_map(|(starts_with_options, mut chain)| {
        if starts_with_options {
            chain.insert(0, (0, 1));
        }
        chain
    })
}

/// A UDP packet behind extension headers; every byte of them that says nothing of lengths comes from `filler`.
fn extended(chain: &[(u8, u8)], filler: u8) -> Vec<u8> {
    let numbers = chain.iter().map(|(kind, _)| *kind).chain([17]).collect::<Vec<u8>>();
    let mut body = Vec::new();
    for ((kind, units), next) in chain.iter().zip(&numbers[1..]) {
        let (size, units) = match kind {
            44 => (8, filler),
            51 => (4 * (usize::from(*units) + 3), units + 1),
            _ => (8 * (usize::from(*units) + 1), *units),
        };
        let filler = if *kind == 44 { 0 } else { filler };
        body.extend([&[*next, units][..], &vec![filler; size - 2]].concat());
    }
    body.extend([0x03, 0xe8, 0, 53, 0, 8, 0, 0]);
    let mut packet = vec![0x60, 0, 0, 0, 0, u8::try_from(body.len()).expect("short"), numbers[0], 64];
    packet.extend([0x20; 32]);
    packet.extend(body);
    packet
}

proptest! {
    /// Both decoders say the same of the chains that both understand, and where one finds a chain cut, so does the other.
    #[test]
    fn extension_headers_are_read_as_etherparse_reads_them(chain in chain(), filler in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let packet = extended(&chain, filler);
        let cut = cut.index(packet.len() - 39) + 40;
        let data = &packet[40..cut];
        let ours = raw(&packet[..cut], wire(&packet));
        let (theirs, number, rest, error) = etherparse::Ipv6ExtensionsSlice::from_slice_lax(etherparse::IpNumber(packet[6]), data);
        if error.is_some() {
            prop_assert_eq!(ours, Err(DecodeReason::TruncatedExtensions));
        } else {
            let headers = ours.expect("decodes");
            prop_assert_eq!(headers.protocol.0, number.0);
            prop_assert_eq!(headers.fragment, None);
            prop_assert_eq!(headers.has_route, chain.iter().any(|(kind, _)| *kind == 43));
            prop_assert_eq!((theirs.first_header().is_some(), headers.payload_at as usize), (!chain.is_empty(), cut - rest.len() + 8));
        }
    }
}
