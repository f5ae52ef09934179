//! First-payload facts through the meter: what a client said is what the flow record tells, however it travelled.

mod answers;
mod openvpn_shape;
mod random;

use std::sync::Arc;
use std::time::Duration;

use crate::support::openvpn;
use crate::support::payloads::{dns_answer, dns_query, hello, hello_with, initial, records};
use etherparse::PacketBuilder;
use hopwatch::decode::LinkType;
use hopwatch::flow::{Meter, MeterLimits};
use hopwatch::input::{AppFacts, Fact, FlowEventKind, Input, ObservationPoint};
use hopwatch::time::Timestamp;

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
