//! First-payload facts through the meter: what a client said is what the flow record tells, however it travelled.

use std::sync::Arc;
use std::time::Duration;

use crate::support::openvpn;
use crate::support::payloads::{dns_answer, dns_query, hello, hello_with, initial, records};
use etherparse::PacketBuilder;
use hopwatch::decode::LinkType;
use hopwatch::flow::{Meter, MeterLimits};
use hopwatch::input::{AppFacts, Fact, FlowEventKind, Input, ObservationPoint};
use hopwatch::time::Timestamp;
use proptest::prelude::*;

const LIMITS: MeterLimits = MeterLimits {
    max_flows: 100,
    idle_timeout: Duration::ZERO,
    active_timeout: Duration::ZERO,
    update_interval: Duration::ZERO,
};

/// One flow between a client (port 40000) and a server.
struct Talk {
    meter: Meter,
    server: u16,
    out: Vec<Input>,
}

const CLIENT: [u8; 4] = [192, 0, 2, 1];
const SERVER: [u8; 4] = [192, 0, 2, 2];
/// The client's initial sequence number: it wraps soon.
const ISN: u32 = u32::MAX - 700;

impl Talk {
    fn new(server: u16) -> Self {
        let meter = Meter::new(ObservationPoint::new("test"), LinkType::ETHERNET, LIMITS);
        Self { meter, server, out: Vec::new() }
    }

    /// A TCP connection that has been opened.
    fn tcp(server: u16) -> Self {
        let mut talk = Self::new(server);
        let syn = |from, to| PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(from, to, 64);
        talk.packet(syn(CLIENT, SERVER).tcp(40_000, server, ISN, 64).syn(), &[], None);
        talk.packet(syn(SERVER, CLIENT).tcp(server, 40_000, 99, 64).syn().ack(ISN.wrapping_add(1)), &[], None);
        talk
    }

    fn packet<T: Build>(&mut self, builder: T, payload: &[u8], snap: Option<usize>) {
        let frame = builder.frame(payload);
        let captured = &frame[..snap.unwrap_or(frame.len()).min(frame.len())];
        let wire_len = u32::try_from(frame.len()).unwrap();
        self.meter.packet(Timestamp::from_secs(1), wire_len, captured, &mut self.out);
    }

    /// Client's bytes at a place of its stream.
    fn says(&mut self, at: usize, payload: &[u8]) {
        self.says_cut(at, payload, None);
    }

    fn says_cut(&mut self, at: usize, payload: &[u8], snap: Option<usize>) {
        let seq = ISN.wrapping_add(1).wrapping_add(u32::try_from(at).unwrap());
        let ip = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(CLIENT, SERVER, 64);
        self.packet(ip.tcp(40_000, self.server, seq, 64).ack(100), payload, snap);
    }

    fn answers(&mut self, at: u32, payload: &[u8]) {
        let ip = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(SERVER, CLIENT, 64);
        self.packet(ip.tcp(self.server, 40_000, 100 + at, 64).ack(1), payload, None);
    }

    fn sends(&mut self, datagram: &[u8]) {
        let ip = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(CLIENT, SERVER, 64);
        self.packet(ip.udp(40_000, self.server), datagram, None);
    }

    fn gets(&mut self, datagram: &[u8]) {
        let ip = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(SERVER, CLIENT, 64);
        self.packet(ip.udp(self.server, 40_000), datagram, None);
    }

    /// What the record says at the end; there must be one record.
    fn facts(mut self) -> Option<Arc<AppFacts>> {
        self.meter.drain(&mut self.out);
        let records = self.out.into_iter().filter_map(|input| match input.fact {
            Fact::Flow(event) if matches!(event.kind, FlowEventKind::Ended(_)) => Some(event.record.app),
            _ => None,
        });
        let records: Vec<_> = records.collect();
        assert_eq!(records.len(), 1, "one flow");
        records.into_iter().next().flatten()
    }

    fn sni(self) -> Option<String> {
        self.facts()?.tls.as_ref()?.sni.clone()
    }
}

trait Build {
    fn frame(self, payload: &[u8]) -> Vec<u8>;
}

impl Build for etherparse::PacketBuilderStep<etherparse::TcpHeader> {
    fn frame(self, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        self.write(&mut frame, payload).unwrap();
        frame
    }
}

impl Build for etherparse::PacketBuilderStep<etherparse::UdpHeader> {
    fn frame(self, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        self.write(&mut frame, payload).unwrap();
        frame
    }
}

#[test]
fn a_hello_in_one_segment() {
    let mut talk = Talk::tcp(8443);
    talk.says(0, &records(&hello("www.example.com", &["h2", "http/1.1"]), 16_000));
    let facts = talk.facts().unwrap();
    let tls = facts.tls.as_ref().unwrap();
    assert_eq!(tls.sni.as_deref(), Some("www.example.com"));
    assert_eq!(tls.alpn, ["h2", "http/1.1"]);
    let ja4 = tls.ja4.as_deref().unwrap();
    assert!(ja4.starts_with("t13d0505h2_") && ja4.len() == 36, "{ja4}");
}

#[test]
fn a_hello_after_what_announces_it() {
    let stream = records(&hello("inner.example", &[]), 16_000);
    let connect = b"CONNECT inner.example:443 HTTP/1.1\r\nHost: inner.example:443\r\n\r\n";
    let proxy = b"PROXY TCP4 198.51.100.7 203.0.113.9 5000 443\r\n";
    let mut proxy2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    proxy2.extend([198, 51, 100, 7, 203, 0, 113, 9, 0x13, 0x88, 1, 0xbb]);
    for announced in [&connect[..], proxy, &proxy2] {
        let mut together = Talk::tcp(8080);
        together.says(0, &[announced, &stream].concat());
        assert_eq!(together.sni().as_deref(), Some("inner.example"));
        let mut apart = Talk::tcp(8080);
        apart.says(0, announced);
        apart.answers(0, b"HTTP/1.1 200 OK\r\n\r\n");
        apart.says(announced.len(), &stream);
        let facts = apart.facts().unwrap();
        assert_eq!(facts.tls.as_ref().unwrap().sni.as_deref(), Some("inner.example"));
        match &facts.proxy {
            Some(header) => assert_eq!(header.source, Some(("198.51.100.7".parse().unwrap(), 5000))),
            None => assert_eq!(facts.http.as_ref().unwrap().connect.as_deref(), Some("inner.example:443")),
        }
    }
}

#[test]
fn socks_5_up_to_its_request_and_what_follows() {
    let mut talk = Talk::tcp(1080);
    talk.says(0, &[5, 2, 0, 2]);
    talk.answers(0, &[5, 2]);
    talk.says(4, &[1, 4, b'u', b's', b'e', b'r', 2, b'p', b'w']);
    talk.answers(2, &[1, 0]);
    let request = [&[5, 1, 0, 3, 11][..], b"example.com", &[0, 80]].concat();
    talk.says(13, &request);
    talk.answers(4, &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    talk.says(13 + request.len(), b"GET / HTTP/1.1\r\nhost:  example.com \r\n\r\n");
    let facts = talk.facts().unwrap();
    let socks = facts.socks.as_ref().unwrap();
    assert_eq!((socks.version, socks.command.as_ref(), socks.target.as_str()), (5, "connect", "example.com:80"));
    assert_eq!(facts.http.as_ref().unwrap().host.as_deref(), Some("example.com"));
}

#[test]
fn socks_4_with_an_address_and_with_a_name() {
    let cases = [
        (&b"\x04\x01\x01\xbb\xc6\x33\x64\x07user\0"[..], "198.51.100.7:443"),
        (b"\x04\x01\x01\xbb\0\0\0\x01\0example.com\0", "example.com:443"),
    ];
    for (request, target) in cases {
        let mut talk = Talk::tcp(1080);
        talk.says(0, request);
        assert_eq!(talk.facts().unwrap().socks.as_ref().unwrap().target, target);
    }
}

#[test]
fn tls_that_starts_later() {
    let mut talk = Talk::tcp(25);
    talk.answers(0, b"220 mail.example ESMTP\r\n");
    talk.says(0, b"EHLO client\r\n");
    talk.answers(24, b"250-STARTTLS\r\n");
    talk.says(13, b"STARTTLS\r\n");
    talk.says(23, &records(&hello("mail.example", &[]), 400));
    assert_eq!(talk.sni().as_deref(), Some("mail.example"));
}

#[test]
fn the_clients_ssh_string_is_preferred() {
    let mut talk = Talk::tcp(22);
    talk.answers(0, b"SSH-2.0-server\r\n");
    talk.says(0, b"SSH-2.0-cli");
    talk.says(11, b"ent_1.0\r\nmore");
    assert_eq!(talk.facts().unwrap().ssh.as_deref(), Some("SSH-2.0-client_1.0"));
}

#[test]
fn an_answer_completes_its_question_and_repeats_count_once() {
    let mut talk = Talk::new(53);
    for kind in [1, 28, 1] {
        talk.sends(&dns_query("www.example.com", kind));
    }
    talk.gets(&dns_answer(&dns_query("www.example.com", 28), 3));
    talk.sends(&dns_query("", 65280));
    let facts = talk.facts().unwrap();
    let told = facts.dns.iter().map(|dns| (dns.query.as_str(), dns.kind.as_ref(), dns.rcode.as_deref()));
    let expected =
        [("www.example.com", "A", None), ("www.example.com", "AAAA", Some("NXDOMAIN")), (".", "TYPE65280", None)];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[test]
fn questions_of_a_flow_are_bounded() {
    let mut talk = Talk::new(53);
    for number in 0..1000 {
        talk.sends(&dns_query(&format!("n{number}.example.com"), 1));
        talk.gets(&dns_answer(&dns_query(&format!("n{number}.example.com"), 1), 0));
    }
    let facts = talk.facts().unwrap();
    assert_eq!((facts.dns.len(), facts.dns_more), (256, 744), "answers do not ask");
}

#[test]
fn questions_of_a_stream_are_bounded() {
    let mut talk = Talk::tcp(53);
    let mut at = 0;
    for number in 0..300 {
        let query = openvpn::framed(&dns_query(&format!("n{number}.example.com"), 1));
        talk.says(at, &query);
        at += query.len();
    }
    let facts = talk.facts().unwrap();
    assert_eq!((facts.dns.len(), facts.dns_more), (256, 44));
}

/// Which message and protection a flow told of.
fn told_openvpn(talk: Talk) -> Option<(&'static str, &'static str)> {
    let openvpn = talk.facts()?.openvpn?;
    Some((openvpn.reset.as_str(), openvpn.protection.as_str()))
}

#[test]
fn openvpn_at_any_port_over_both_transports() {
    for (reset, protection, message) in openvpn::messages() {
        for port in [53, 443, 1194, 9999] {
            let mut udp = Talk::new(port);
            udp.sends(&message);
            assert_eq!(told_openvpn(udp), Some((reset, protection)), "{port}");
            let mut tcp = Talk::tcp(port);
            tcp.says(0, &openvpn::framed(&message));
            assert_eq!(told_openvpn(tcp), Some((reset, protection)), "{port}");
        }
        let mut pieces = Talk::tcp(1194);
        let framed = openvpn::framed(&message);
        pieces.says(0, &framed[..7]);
        pieces.says(7, &framed[7..]);
        assert_eq!(told_openvpn(pieces), Some((reset, protection)));
    }
}

/// As programs did between two releases: another number for the offer of early negotiation, and flags behind the server's answer.
#[test]
fn openvpn_that_negotiates_early() {
    for (reset, protection, mut message) in
        openvpn::messages().filter(|(_, protection, _)| protection.contains("crypt"))
    {
        if reset == "server_v2" {
            message.extend([7; 6]);
        } else {
            message[9..13].copy_from_slice(&[0x0a, 1, 0, 1]);
        }
        let mut talk = Talk::new(1194);
        talk.sends(&message);
        assert_eq!(told_openvpn(talk), Some((reset, protection)));
    }
}

/// Adaptive capture keeps 160 bytes of a datagram: all of a reset but the client's key.
#[test]
fn a_cut_openvpn_message() {
    for (reset, protection, message) in openvpn::messages() {
        let mut talk = Talk::new(1194);
        let ip = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(CLIENT, SERVER, 64);
        talk.packet(ip.udp(40_000, 1194), &message, Some(160));
        assert_eq!(told_openvpn(talk), Some((reset, protection)));
    }
}

/// Nothing but its shape makes it `OpenVPN`, so nothing about the shape may be wrong.
#[test]
fn what_only_resembles_openvpn_is_not() {
    for (reset, protection, message) in openvpn::messages() {
        let mut wrong = vec![message[..message.len() - 1].to_vec(), [&message[..], &[0]].concat()];
        let mut change = |at: usize, byte: u8| {
            wrong.push(message.clone());
            wrong.last_mut().unwrap()[at] = byte;
        };
        // A key number, another kind, and the end of a body that is not encrypted.
        change(0, message[0] | 1);
        change(0, 0x28);
        if protection != "tls_crypt" {
            change(message.len() - 1, 1);
        }
        match protection {
            "none" => change(9, 7),
            "tls_auth" => change(message.len() - if reset == "server_v2" { 21 } else { 9 }, 0),
            _ => change(13, 0),
        }
        for message in wrong {
            let mut talk = Talk::new(1194);
            talk.sends(&message);
            assert_eq!(told_openvpn(talk), None, "{reset} {protection}: {message:02x?}");
            let mut talk = Talk::tcp(1194);
            talk.says(0, &openvpn::framed(&message));
            assert_eq!(told_openvpn(talk), None, "{reset} {protection}: {message:02x?}");
        }
    }
}

#[test]
fn dns_over_tcp_message_by_message() {
    let messages: Vec<u8> = ["a.example", "b.example"]
        .iter()
        .map(|name| dns_query(name, 1))
        .flat_map(|message| [u16::try_from(message.len()).unwrap().to_be_bytes().to_vec(), message].concat())
        .collect();
    for cut in 0..messages.len() {
        let mut talk = Talk::tcp(53);
        talk.says(0, &messages[..cut]);
        talk.says(cut, &messages[cut..]);
        let facts = talk.facts().unwrap();
        let names: Vec<_> = facts.dns.iter().map(|dns| dns.query.as_str()).collect();
        assert_eq!(names, ["a.example", "b.example"], "cut at {cut}");
    }
}

#[test]
fn dns_on_other_ports_only_beyond_doubt() {
    let mut talk = Talk::new(9999);
    talk.sends(&dns_query("www.example.com", 1));
    assert_eq!(talk.facts().unwrap().dns.len(), 1);
    let mut odd = Talk::new(9999);
    odd.sends(&dns_query("www.example.com", 65280));
    assert_eq!(odd.facts(), None);
}

#[test]
fn unknown_payload_has_no_facts() {
    for payload in
        [&[0x80; 900][..], b"\x16\x03\x01\x00\x30\x02\x00", b"HELO there\r\n", b"\0", &[5; 40], b"SSHX", b"PROX"]
    {
        let mut tcp = Talk::tcp(443);
        tcp.says(0, payload);
        tcp.answers(0, payload);
        assert_eq!(tcp.facts(), None, "{payload:?}");
        let mut udp = Talk::new(443);
        udp.sends(payload);
        assert_eq!(udp.facts(), None, "{payload:?}");
    }
}

/// Places where a stream of some length is cut.
fn pieces(stream: &[u8], cuts: &[usize]) -> Vec<(usize, Vec<u8>)> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % stream.len()).chain([0, stream.len()]).collect();
    cuts.sort_unstable();
    cuts.windows(2).filter(|pair| pair[0] < pair[1]).map(|pair| (pair[0], stream[pair[0]..pair[1]].to_vec())).collect()
}

fn names() -> impl Strategy<Value = String> {
    proptest::collection::vec("[a-z0-9_-]{1,20}", 1..6).prop_map(|labels| labels.join("."))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Split over records and segments, shuffled, some of them repeated.
    #[test]
    fn a_hello_survives_its_way(
        name in names(),
        ciphers in proptest::collection::vec(any::<u16>(), 1..60),
        key_share in 0..2_000_usize,
        record in 40..3_000_usize,
        (cuts, order, again) in (
            proptest::collection::vec(any::<usize>(), 0..6),
            any::<[u8; 7]>(),
            proptest::collection::vec(0..7_usize, 0..4),
        ),
    ) {
        let stream = records(&hello_with(&name, &["h2"], &ciphers, key_share), record);
        let mut segments = pieces(&stream, &cuts);
        let whole = {
            let mut talk = Talk::tcp(443);
            talk.says(0, &stream);
            talk.facts()
        };
        let repeated: Vec<_> = again.iter().filter_map(|place| segments.get(*place).cloned()).collect();
        segments.extend(repeated);
        let mut number = 0;
        segments.sort_by_cached_key(|_| { number += 1; order[number % order.len()] });
        let mut talk = Talk::tcp(443);
        for (at, bytes) in &segments {
            talk.says(*at, bytes);
        }
        let facts = talk.facts();
        prop_assert_eq!(&facts, &whole);
        let facts = facts.unwrap();
        let tls = facts.tls.as_ref().unwrap();
        prop_assert_eq!(tls.sni.as_deref(), Some(name.as_str()));
        prop_assert!(tls.ja4.is_some());
    }

    /// CRYPTO frames over several packets in any order.
    #[test]
    fn a_quic_hello_survives_its_way(
        name in names(),
        version in prop_oneof![Just(1_u32), Just(0x6b33_43cf)],
        cuts in proptest::collection::vec(any::<usize>(), 1..12),
        order in any::<[u8; 13]>(),
        a_packet in 1..5_usize,
        protocol in prop_oneof![Just("h3"), Just("doq")],
        port in prop_oneof![Just(443_u16), Just(853), Just(53)],
    ) {
        let message = hello(&name, &[protocol]);
        let mut frames = pieces(&message, &cuts);
        let mut number = 0;
        frames.sort_by_cached_key(|_| { number += 1; order[number % order.len()] });
        let mut talk = Talk::new(port);
        for frames in frames.chunks(a_packet) {
            let frames: Vec<_> = frames.iter().map(|(at, bytes)| (*at, bytes.as_slice())).collect();
            talk.sends(&initial(version, &frames));
            talk.gets(&initial(version, &[(0, &[2, 0, 0, 9])])[..60]);
        }
        let facts = talk.facts().unwrap();
        prop_assert_eq!(facts.quic.unwrap().version, version);
        let tls = facts.tls.as_ref().unwrap();
        prop_assert_eq!(&tls.alpn, &[protocol]);
        prop_assert_eq!(tls.sni.as_deref(), Some(name.as_str()));
        prop_assert!(tls.ja4.as_ref().unwrap().starts_with("q13d"));
    }

    /// What the snap length cut is told as far as it is certain.
    #[test]
    fn a_cut_hello_says_nothing_wrong(snap in 60..1_900_usize) {
        let stream = records(&hello("cut.example", &["h2", "h3"]), 16_000);
        let mut talk = Talk::tcp(443);
        talk.says_cut(0, &stream, Some(snap));
        let facts = talk.facts();
        let tls = facts.as_ref().and_then(|facts| facts.tls.as_ref());
        let all_captured = snap >= 54 + stream.len();
        prop_assert_eq!(tls.is_some_and(|tls| tls.ja4.is_some()), all_captured);
        if let Some(tls) = tls {
            prop_assert!(tls.sni.is_none() || tls.sni.as_deref() == Some("cut.example"));
            prop_assert!(tls.alpn.is_empty() || tls.alpn == ["h2", "h3"]);
        }
        prop_assert!(snap < 250 || tls.is_some_and(|tls| tls.sni.is_some()), "the name is near the front");
    }

    #[test]
    fn dns_names_are_what_was_asked(name in names(), kind in 1..300_u16) {
        let mut talk = Talk::new(53);
        talk.sends(&dns_query(&name, kind));
        talk.gets(&dns_answer(&dns_query(&name, kind), 0));
        let facts = talk.facts().unwrap();
        prop_assert_eq!(facts.dns.len(), 1);
        prop_assert_eq!(&facts.dns[0].query, &name);
        prop_assert_eq!(facts.dns[0].rcode.as_deref(), Some("NOERROR"));
    }

    /// Whatever comes, in whatever order: the meter lives and its counters add up.
    #[test]
    fn any_bytes_are_survived(
        port in prop_oneof![Just(53_u16), Just(443), Just(5353), Just(1080)],
        packets in proptest::collection::vec((any::<bool>(), any::<bool>(), 0..20_000_usize, payload()), 1..12),
    ) {
        let (mut tcp, mut udp) = (Talk::tcp(port), Talk::new(port));
        for (is_tcp, is_answer, at, payload) in &packets {
            match (is_tcp, is_answer) {
                (true, false) => tcp.says(*at, payload),
                (true, true) => tcp.answers(u32::try_from(*at).unwrap(), payload),
                (false, false) => udp.sends(payload),
                (false, true) => udp.gets(payload),
            }
        }
        tcp.facts();
        if packets.iter().any(|(is_tcp, ..)| !is_tcp) {
            udp.facts();
        }
    }
}

/// Random bytes, or a message of a protocol with some bytes changed.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let message = prop_oneof![
        Just(records(&hello("www.example.com", &["h2"]), 300)),
        Just(initial(1, &[(0, &hello("www.example.com", &["h3"]))])),
        Just(dns_query("www.example.com", 1)),
        Just(b"CONNECT a:1 HTTP/1.1\r\nHost: b\r\n\r\n".to_vec()),
        Just(vec![5, 1, 0, 5, 1, 0, 3, 1, b'x', 0, 80]),
        proptest::sample::select(openvpn::messages().map(|(.., message)| message).collect::<Vec<_>>()),
        Just(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c123456789012".to_vec()),
    ];
    let changed =
        (message, proptest::collection::vec((any::<usize>(), any::<u8>()), 0..6)).prop_map(|(mut bytes, changes)| {
            for (place, byte) in changes {
                let place = place % bytes.len();
                bytes[place] = byte;
            }
            bytes
        });
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..300), changed]
}
