//! Which first-payload facts are reported while a flow goes on: when, how often, and what stands in its updates.

use std::time::Duration;

use crate::support::payloads::{dns_answer, dns_query, hello, initial, records};
use etherparse::{Icmpv4Type, PacketBuilder};
use hopwatch::decode::LinkType;
use hopwatch::flow::{Meter, MeterLimits};
use hopwatch::input::{AppFacts, EchoFacts, Fact, FlowEvent, FlowEventKind, Input, Mac, ObservationPoint};
use hopwatch::time::Timestamp;
use proptest::prelude::*;

const LIMITS: MeterLimits = MeterLimits {
    max_flows: 100,
    idle_timeout: Duration::from_mins(1),
    active_timeout: Duration::ZERO,
    update_interval: Duration::from_secs(10),
};
const CLIENT: [u8; 4] = [192, 0, 2, 1];
const SERVER: [u8; 4] = [192, 0, 2, 2];

struct Talk {
    meter: Meter,
    out: Vec<Input>,
    millis: i64,
}

impl Talk {
    fn new() -> Self {
        Self {
            meter: Meter::new(ObservationPoint::new("test"), LinkType::ETHERNET, LIMITS),
            out: Vec::new(),
            millis: 0,
        }
    }

    fn frame(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        let mut frame = Vec::new();
        write(&mut frame);
        self.captured(u32::try_from(frame.len()).unwrap(), &frame)
    }

    fn captured(&mut self, wire_len: u32, frame: &[u8]) -> &mut Self {
        self.millis += 1;
        self.meter.packet(Timestamp::from_nanos(self.millis * 1_000_000), wire_len, frame, &mut self.out);
        self
    }

    fn tcp(&mut self, is_client: bool, at: u32, said: &[u8]) -> &mut Self {
        let (from, to, ports) = ends(is_client, 8080);
        let step = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(from, to, 64);
        self.frame(|out| step.tcp(ports.0, ports.1, 1 + at, 64).ack(1).write(out, said).unwrap())
    }

    fn udp(&mut self, is_client: bool, server: u16, said: &[u8]) -> &mut Self {
        let (from, to, ports) = ends(is_client, server);
        let step = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(from, to, 64);
        self.frame(|out| step.udp(ports.0, ports.1).write(out, said).unwrap())
    }

    /// The kinds of events since the last look, shortened, and the facts of the last.
    fn seen(&mut self) -> (String, AppFacts) {
        let events: Vec<_> = self.out.drain(..).filter_map(event).collect();
        let letter = |event: &FlowEvent| match event.kind {
            FlowEventKind::Started => 's',
            FlowEventKind::Answered => 'a',
            FlowEventKind::Payload => 'p',
            FlowEventKind::NextHopChanged => 'n',
            FlowEventKind::Resumed { .. } => 'r',
            FlowEventKind::Updated => 'u',
            FlowEventKind::Ended(_) => 'e',
        };
        let app = events.last().and_then(|event| event.record.app.as_deref().cloned()).unwrap_or_default();
        (events.iter().map(letter).collect(), app)
    }

    fn kinds(&mut self) -> String {
        self.seen().0
    }

    /// The next frame comes so many milliseconds after the last.
    fn after(&mut self, millis: i64) -> &mut Self {
        self.millis += millis - 1;
        self
    }

    /// Which end resumed the flow since the last look, each time: whether it was the originator.
    fn resumed(&mut self) -> Vec<bool> {
        let by_orig = |event: FlowEvent| match event.kind {
            FlowEventKind::Resumed { by_orig } => Some(by_orig),
            _ => None,
        };
        self.out.drain(..).filter_map(event).filter_map(by_orig).collect()
    }
}

const fn ends(is_client: bool, server: u16) -> ([u8; 4], [u8; 4], (u16, u16)) {
    if is_client { (CLIENT, SERVER, (40_000, server)) } else { (SERVER, CLIENT, (server, 40_000)) }
}

fn event(input: Input) -> Option<FlowEvent> {
    match input.fact {
        Fact::Flow(event) => Some(*event),
        Fact::Answer(_) => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_packet_that_completes_a_fact_tells_of_it() {
    let stream = records(&hello("www.example.com", &["h2"]), 16_000);
    let mut talk = Talk::new();
    assert_eq!(talk.tcp(true, 0, &stream[..400]).kinds(), "s", "the name is there, the hello is not complete");
    assert_eq!(talk.tcp(false, 0, b"").kinds(), "a");
    assert_eq!(talk.tcp(true, 900, &stream[900..]).kinds(), "");
    let (kinds, app) = talk.tcp(true, 400, &stream[400..900]).seen();
    assert_eq!((kinds.as_str(), app.tls.unwrap().sni.as_deref()), ("p", Some("www.example.com")));
    assert_eq!(talk.tcp(true, 0, &stream).tcp(true, 5000, &stream).kinds(), "", "said again, and later");
}

#[test]
fn payload_after_a_silence_resumes_a_flow_and_what_only_keeps_it_alive_does_not() {
    let mut talk = Talk::new();
    assert_eq!(talk.tcp(true, 0, b"ping").tcp(false, 0, b"pong").kinds(), "sa");
    let mut is_silent_before = |wait, is_client, at, said: &[u8]| talk.after(wait).tcp(is_client, at, said).resumed();
    assert!(is_silent_before(1999, true, 4, b"ping").is_empty(), "not silent for long enough");
    assert_eq!(is_silent_before(2000, true, 8, b"ping"), [true]);
    assert_eq!(is_silent_before(2000, false, 4, b"pong"), [false], "the other end");
    assert!(is_silent_before(3000, true, 11, b"g").is_empty(), "a byte that was sent before keeps it alive");
    assert!(is_silent_before(3000, true, 8, b"ping").is_empty(), "sent again");
    assert!(is_silent_before(3000, true, 12, b"").is_empty(), "no payload");
    let mut datagrams = Talk::new();
    assert_eq!(datagrams.udp(true, 4000, b"ping").after(5000).udp(true, 4000, b"ping").resumed(), [true]);
    assert!(datagrams.after(5000).udp(false, 4000, b"pong").resumed().is_empty(), "its first is the answer");
    assert!(datagrams.after(5000).udp(true, 4000, b"\xff").resumed().is_empty(), "a byte keeps a translation alive");
}

#[test]
fn a_flow_that_rests_again_and_again_is_told_of_a_bounded_number_of_times() {
    let mut talk = Talk::new();
    talk.udp(true, 4000, b"ping");
    for _ in 0..100 {
        talk.after(3000).udp(true, 4000, b"ping");
    }
    assert_eq!(talk.resumed().len(), usize::from(FlowEventKind::MAX_RESUMED));
}

#[test]
fn a_first_packet_starts_its_flow_before_it_tells() {
    let (kinds, app) = Talk::new().tcp(true, 0, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").seen();
    assert_eq!((kinds.as_str(), app.http.is_some()), ("sp", true));
    let quic = initial(1, &[(0, &hello("www.example.com", &["h3"]))]);
    let (kinds, app) = Talk::new().udp(true, 443, &quic).seen();
    assert_eq!((kinds.as_str(), app.tls.unwrap().alpn), ("sp", vec!["h3".to_owned()]), "all of a packet at once");
    assert_eq!(Talk::new().tcp(true, 0, b"nothing known").kinds(), "s");
}

#[test]
fn each_new_fact_is_told_of_and_four_at_most() {
    let mut talk = Talk::new();
    let proxy: &[u8] = b"PROXY TCP4 198.51.100.7 203.0.113.9 5000 443\r\n";
    let socks = [5, 1, 0, 5, 1, 0, 3, 1, b'x', 0, 80];
    let connect: &[u8] = b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n";
    let hello = records(&hello("a.example", &[]), 16_000);
    let mut at = 0;
    let mut told = String::new();
    for said in [proxy, &socks[..3], &socks[3..], connect, &hello] {
        talk.tcp(true, at, said);
        at += u32::try_from(said.len()).unwrap();
        told += &talk.kinds();
        told += " ";
    }
    assert_eq!(told, "sp  p p p ");
    let mut ssh = Talk::new();
    assert_eq!(ssh.tcp(true, 0, b"").tcp(false, 0, b"SSH-2.0-server\r\n").kinds(), "sap");
    let (kinds, app) = ssh.tcp(true, 0, b"SSH-2.0-client\r\n").seen();
    assert_eq!((kinds.as_str(), app.ssh.as_deref()), ("p", Some("SSH-2.0-client")), "the client's replaces it");
}

#[test]
fn of_dns_a_few_questions_are_told_and_updates_show_the_rest() {
    let mut talk = Talk::new();
    assert_eq!(talk.udp(true, 53, &dns_query("n0.example", 1)).kinds(), "sp");
    talk.udp(false, 53, &dns_answer(&dns_query("n0.example", 1), 0));
    assert_eq!(talk.kinds(), "a", "an answer changes what is known, and is not reported");
    let mut told = Vec::new();
    for number in 1..400 {
        let question = dns_query(&format!("n{number}.example"), 1);
        if talk.udp(true, 53, &question).kinds() == "p" {
            told.push(number + 1);
        }
        assert_eq!(talk.udp(false, 53, &dns_answer(&question, 0)).kinds(), "", "an answer is not reported");
    }
    assert_eq!(told, [4, 16, 32]);
    talk.millis += 10_000;
    let (kinds, app) = talk.udp(true, 53, &dns_query("last.example", 1)).seen();
    assert_eq!((kinds.as_str(), app.dns.len(), app.dns_more), ("ur", 256, 145), "the update is due before that packet");
    talk.millis += 10_000;
    let (kinds, app) = talk.udp(false, 53, b"").seen();
    assert_eq!((kinds.as_str(), app.dns_more), ("u", 145));
}

#[test]
fn next_hops_are_where_the_first_packet_of_a_direction_went() {
    let [host, gateway, other, far] = [1, 2, 3, 4].map(|last| [2, 0, 0, 0, 0, last]);
    for back in [(gateway, host), (other, host), (gateway, far), (other, far)] {
        let mut talk = Talk::new();
        for ((from, to), is_client) in [((host, gateway), true), (back, false), ((far, far), true), ((far, far), false)]
        {
            let (src, dst, ports) = ends(is_client, 9);
            let step = PacketBuilder::ethernet2(from, to).ipv4(src, dst, 64).udp(ports.0, ports.1);
            talk.frame(|out| step.write(out, b"x").unwrap());
        }
        talk.meter.drain(&mut talk.out);
        for (input, is_answered) in talk.out.drain(..).zip([false, true, true]) {
            let Some(FlowEvent { record, .. }) = event(input) else { continue };
            let [orig, resp] = [record.orig, record.resp].map(|side| (side.mac, side.next_hop));
            assert_eq!(orig, (Some(Mac(host)), Some(Mac(gateway))));
            let expected = if is_answered { (Some(Mac(back.0)), Some(Mac(back.1))) } else { (None, None) };
            assert_eq!(resp, expected);
        }
    }
}

/// An echo packet of a client's ping to the server, or the server's reply.
fn echo(is_reply: bool, number: u16, said: &[u8]) -> Vec<u8> {
    let (from, to, _) = ends(!is_reply, 0);
    let header = etherparse::IcmpEchoHeader { id: 7, seq: number };
    let kind = if is_reply { Icmpv4Type::EchoReply(header) } else { Icmpv4Type::EchoRequest(header) };
    let mut frame = Vec::new();
    let step = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(from, to, 64).icmpv4(kind);
    step.write(&mut frame, said).unwrap();
    frame
}

/// What was said of requests and replies with these numbers and contents.
fn echoes(packets: &[(bool, u16, &[u8])]) -> (String, Option<EchoFacts>) {
    let mut talk = Talk::new();
    for (is_reply, number, said) in packets {
        let frame = echo(*is_reply, *number, said);
        talk.captured(u32::try_from(frame.len()).unwrap(), &frame);
    }
    talk.meter.drain(&mut talk.out);
    let (kinds, app) = talk.seen();
    (kinds, app.echo)
}

#[test]
fn pings_say_nothing_odd() {
    let pings: Vec<_> = (0..100).flat_map(|number| [(false, number), (true, number)]).collect();
    let pings: Vec<_> = pings.iter().map(|(is_reply, number)| (*is_reply, *number, &[7_u8; 56][..])).collect();
    assert_eq!(echoes(&pings), ("sae".to_owned(), None));
    // Ten on their way at once, answers twice, and a reply that was cut short.
    let mut late: Vec<_> = (0..10).map(|number| (false, number, &[7_u8; 56][..])).collect();
    late.extend((0..10).map(|number| (true, number, &[7_u8; 56][..])));
    late.extend([(true, 3, &[7; 56][..]), (true, 4, &[7; 16])]);
    assert_eq!(echoes(&late).1, None);
    assert_eq!(echoes(&[(false, 1, b""), (true, 1, b"")]).1, None);
}

#[test]
fn replies_that_say_something_else_are_counted_and_told_of_in_time() {
    let odd = |number| [(false, number, &[7_u8; 56][..]), (true, number, &[9; 56])];
    let packets: Vec<_> = (0..4).flat_map(odd).collect();
    let facts = Some(EchoFacts { odd_replies: 4, unasked_replies: 0 });
    assert_eq!(echoes(&packets), ("sape".to_owned(), facts));
    assert_eq!(echoes(&packets[..6]), ("sae".to_owned(), Some(EchoFacts { odd_replies: 3, unasked_replies: 0 })));
    let longer = [(false, 1, &b"ask"[..]), (true, 1, b"ask and more"), (false, 2, b""), (true, 2, b"data")];
    assert_eq!(echoes(&longer).1, Some(EchoFacts { odd_replies: 2, unasked_replies: 0 }));
    let unasked: Vec<_> = (0..5).map(|number| (true, number, &b"data"[..])).collect();
    assert_eq!(echoes(&unasked), ("spe".to_owned(), Some(EchoFacts { odd_replies: 0, unasked_replies: 5 })));
}

/// What ptunnel 0.72 and the kernel beside it sent to fetch a small file: the start of each payload.
#[test]
fn a_real_tunnel_is_odd() {
    let connect = *b"\xd5\x20\x08\x80\x7f\0\0\x01\0\0\x1f\x90\x40\0\0\0\0\0\xff\xff\0\0\0\0\0\0\x0a\x40";
    let request = *b"\xd5\x20\x08\x80\0\0\0\0\0\0\0\0\x40\0\0\x02\0\0\xff\xff\0\0\0\x5b\0\x01\x0a\x40GET /README";
    let accept = *b"\xd5\x20\x08\x80\x7f\0\0\x01\0\0\x1f\x90\x80\0\0\x01\0\0\0\x01\0\0\0\0\0\0\x0a\x40";
    let page = *b"\xd5\x20\x08\x80\0\0\0\0\0\0\0\0\x80\0\0\x02\0\0\0\x01\0\0\0\xc9\0\x01\x0a\x40HTTP/1.0 20";
    let packets = [
        (false, 0, &connect[..]),
        (true, 0, &connect),
        (false, 1, &request),
        (true, 1, &request),
        (true, 0, &accept),
        (true, 1, &page),
        (true, 2, b"iodine for Debian"),
    ];
    assert_eq!(echoes(&packets).1, Some(EchoFacts { odd_replies: 2, unasked_replies: 1 }));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Against a list of all that was asked; what was not captured is not held against a reply.
    #[test]
    fn odd_is_what_differs_in_what_was_captured(
        packets in proptest::collection::vec((any::<bool>(), 0..4_u16, 0..3_usize, 0..80_usize, 36..140_usize), 1..60),
    ) {
        let mut talk = Talk::new();
        let mut asked: [Option<(Vec<u8>, usize)>; 4] = [const { None }; 4];
        let mut expected = EchoFacts::default();
        for (is_reply, number, content, len, snap) in packets {
            let said: Vec<u8> = (0..len).map(|at| u8::try_from(at * (content + 1)).unwrap()).collect();
            let frame = echo(is_reply, number, &said);
            let captured = &frame[..snap.min(frame.len())];
            talk.captured(u32::try_from(frame.len()).unwrap(), captured);
            // Number and identifier must be there.
            let Some(seen) = captured.get(42..) else { continue };
            let seen = &seen[..seen.len().min(64)];
            match &asked[usize::from(number)] {
                _ if !is_reply => asked[usize::from(number)] = Some((seen.to_vec(), len)),
                None => expected.unasked_replies += 1,
                Some((prefix, asked)) => {
                    let differs = prefix.iter().zip(seen).any(|(asked, told)| asked != told);
                    expected.odd_replies += u32::from(differs || len > *asked);
                }
            }
        }
        talk.meter.drain(&mut talk.out);
        let (kinds, app) = talk.seen();
        prop_assert_eq!(app.echo.unwrap_or_default(), expected);
        let told = [expected.odd_replies, expected.unasked_replies].iter().filter(|count| **count >= 4).count();
        prop_assert_eq!(kinds.matches('p').count(), told);
    }
}
