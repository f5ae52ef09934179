//! What the meter's own tests cannot reach: fragments with ports, and the accounts of what is held.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

#[path = "../../../tests/support/payloads.rs"]
mod payloads;

use super::*;
use crate::decode::{Fragment, VlanStack};
use crate::input::tcp_flags;
use payloads::{dns_query, hello, initial, records};

fn headers(protocol: Protocol, dst_port: u16, payload: usize) -> Headers {
    Headers {
        src_mac: None,
        dst_mac: None,
        vlans: VlanStack::default(),
        src: [192, 0, 2, 1].into(),
        dst: [192, 0, 2, 2].into(),
        protocol,
        src_port: 40_000,
        dst_port,
        one_way: false,
        tcp: None,
        ip_at: 0,
        has_route: false,
        ip_bytes: 0,
        payload_bytes: u32::try_from(payload).unwrap(),
        payload_at: 0,
        fragment: None,
    }
}

/// One flow.
struct Flow {
    inspector: PayloadInspector,
    budget: PayloadBudget,
    slot: PayloadSlot,
}

impl Flow {
    fn new(protocol: Protocol) -> Self {
        Self {
            inspector: PayloadInspector::default(),
            budget: PayloadBudget::new(&headers(protocol, 1, 0)),
            slot: PayloadSlot::new(),
        }
    }

    fn inspect(&mut self, headers: &Headers, payload: &[u8]) {
        self.slot.see_first(0, headers);
        if self.budget.wants(0, headers.payload_bytes) {
            self.inspector.inspect(&mut self.budget, &mut self.slot, 0, headers, payload);
        }
    }

    /// A transport header of `head` bytes and payload, split by IP into pieces of `len` bytes.
    fn feed_pieces(&mut self, whole: &Headers, head: usize, payload: &[u8], len: usize, order: &[usize]) {
        let total = head + payload.len();
        let pieces: Vec<_> = (0..total).step_by(len).map(|start| (start, (start + len).min(total))).collect();
        for place in order.iter().copied().chain(order.len()..pieces.len()) {
            let Some((start, end)) = pieces.get(place).copied() else { continue };
            let piece = payload.get(start.max(head) - head..end.max(head) - head).unwrap_or(&[]);
            let fragment =
                Fragment { id: 7, offset: u32::try_from(start).unwrap(), more: end < total, protocol: Protocol(0) };
            let tcp = whole.tcp.filter(|_| start == 0);
            let payload_bytes = u32::try_from(piece.len()).unwrap();
            self.inspect(&Headers { fragment: Some(fragment), tcp, payload_bytes, ..*whole }, piece);
        }
    }

    fn facts(&self) -> AppFacts {
        self.inspector.facts(self.budget, &self.slot).map(|facts| facts.as_ref().clone()).unwrap_or_default()
    }
}

#[test]
fn a_question_in_pieces() {
    let query = dns_query("fragments.example.com", 1);
    for len in [16, 24, 32] {
        let mut flow = Flow::new(Protocol::UDP);
        flow.feed_pieces(&headers(Protocol::UDP, 53, query.len()), 8, &query, len, &[0, 2, 1]);
        assert_eq!(flow.facts().dns.first().map(|dns| dns.query.as_str()), Some("fragments.example.com"), "{len}");
        assert_eq!(flow.inspector.buffered, 0, "nothing waits");
    }
}

#[test]
fn a_quic_hello_in_pieces() {
    let datagram = initial(1, &[(0, &hello("fragments.example", &["h3"]))]);
    let mut flow = Flow::new(Protocol::UDP);
    flow.feed_pieces(&headers(Protocol::UDP, 443, datagram.len()), 8, &datagram, 800, &[]);
    let tls = flow.facts().tls.unwrap();
    assert_eq!(tls.sni.as_deref(), Some("fragments.example"));
    assert!(tls.ja4.is_some());
    assert_eq!((flow.inspector.buffered, flow.budget.is_none()), (0, true));
}

#[test]
fn a_tls_hello_in_pieces() {
    let stream = records(&hello("fragments.example", &["h2"]), 16_000);
    for head in [20, 32] {
        let mut whole = headers(Protocol::TCP, 443, stream.len());
        whole.tcp = Some(TcpHeader { flags: tcp_flags::ACK, seq: 5, ack: 0, window: 0 });
        let mut flow = Flow::new(Protocol::TCP);
        flow.feed_pieces(&whole, head, &stream, 280, &[0, 1, 3, 2]);
        let tls = flow.facts().tls.unwrap();
        assert_eq!(tls.sni.as_deref(), Some("fragments.example"));
        assert!(tls.ja4.is_some());
        assert_eq!(flow.inspector.buffered, 0);
    }
}

#[test]
fn what_waits_is_counted_and_given_back() {
    let stream = records(&hello("waits.example", &["h2"]), 16_000);
    let mut flow = Flow::new(Protocol::TCP);
    let mut part = headers(Protocol::TCP, 443, 700);
    part.tcp = Some(TcpHeader { flags: tcp_flags::ACK, seq: 5, ack: 0, window: 0 });
    flow.inspect(&part, &stream[..700]);
    assert_eq!(flow.inspector.buffered, 700);
    let tls = flow.facts().tls.unwrap();
    assert_eq!((tls.sni.as_deref(), tls.ja4), (Some("waits.example"), None), "what is surely there");
    flow.inspector.release(&mut flow.slot);
    assert_eq!((flow.inspector.buffered, flow.facts()), (0, AppFacts::default()));
    flow.slot.index = 0;
    assert_eq!(flow.facts(), AppFacts::default(), "the next flow in this place starts anew");
}

#[test]
fn unknown_content_takes_no_place() {
    let mut flow = Flow::new(Protocol::TCP);
    let mut part = headers(Protocol::TCP, 443, 100);
    for number in 0..20 {
        part.tcp = Some(TcpHeader { flags: tcp_flags::ACK, seq: number * 100, ack: 0, window: 0 });
        flow.inspect(&part, &[0x61; 100]);
    }
    assert!(flow.inspector.all.is_empty() && !flow.budget.wants(0, 1) && flow.budget.wants(1, 1));
}

#[test]
fn too_many_waiting_bytes_are_refused_and_counted() {
    let mut flow = Flow::new(Protocol::TCP);
    flow.inspector.buffered = MAX_BUFFERED + 1;
    let mut part = headers(Protocol::TCP, 443, 7);
    part.tcp = Some(TcpHeader { flags: tcp_flags::ACK, seq: 5, ack: 0, window: 0 });
    flow.inspect(&part, &[22, 3, 1, 2, 0, 1, 0]);
    assert_eq!((flow.inspector.refused(), flow.budget.wants(0, 1)), (1, false));
}

/// Sends segments of the originator's stream, one after another.
fn send(flow: &mut Flow, port: u16, segments: &[&[u8]]) {
    let mut seq = 5_u32;
    for segment in segments {
        let mut headers = headers(Protocol::TCP, port, segment.len());
        headers.tcp = Some(TcpHeader { flags: tcp_flags::ACK, seq, ack: 0, window: 0 });
        flow.inspect(&headers, segment);
        seq += u32::try_from(segment.len()).unwrap();
    }
}

#[test]
fn a_connect_is_read_wherever_it_comes_on_a_kept_connection() {
    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    const CONNECT: &[u8] = b"CONNECT dns.google:443 HTTP/1.1\r\nHost: dns.google\r\n\r\n";
    let (pipelined, after_lines) = ([GET, CONNECT].concat(), [&b"\r\n\r\n"[..], CONNECT].concat());
    let mut many = vec![GET; 20];
    many.push(CONNECT);
    let cases: [&[&[u8]]; 8] = [
        &[CONNECT],
        &[GET, CONNECT],
        &[&pipelined],
        &[&after_lines],
        &[GET, &after_lines],
        &[GET, b"\r\n", CONNECT],
        &[GET, &CONNECT[..3], &CONNECT[3..]],
        &many,
    ];
    for case in cases {
        let mut flow = Flow::new(Protocol::TCP);
        send(&mut flow, 3128, case);
        let connect = flow.facts().http.and_then(|request| request.connect);
        assert_eq!(connect.as_deref(), Some("dns.google:443"), "{case:?}");
        assert_eq!(flow.inspector.buffered, 0);
    }
    let mut flow = Flow::new(Protocol::TCP);
    send(&mut flow, 3128, &[GET, b"a body that says: CONNECT dns.google:443 HTTP/1.1\r\n\r\n"]);
    assert_eq!(flow.facts().http.unwrap().connect, None);
}

#[test]
fn a_question_over_tcp_is_read_at_any_port_and_other_content_is_not_one() {
    let query = dns_query("over-tcp.example.com", 1);
    let message = [&u16::try_from(query.len()).unwrap().to_be_bytes()[..], &query].concat();
    let single: Vec<&[u8]> = message.chunks(1).collect();
    let cases: [&[&[u8]]; 3] = [&[&message], &[&message[..2], &message[2..]], &single];
    for case in cases {
        let mut flow = Flow::new(Protocol::TCP);
        send(&mut flow, 8080, case);
        assert_eq!(flow.facts().dns.first().map(|dns| dns.query.as_str()), Some("over-tcp.example.com"), "{case:?}");
        assert_eq!(flow.inspector.buffered, 0);
    }
    let mut flow = Flow::new(Protocol::TCP);
    send(&mut flow, 8080, &[&[0, 40, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]]);
    assert!(flow.facts().dns.is_empty() && flow.inspector.all.is_empty());
}

#[test]
fn a_hello_that_does_not_fit_is_counted() {
    let mut hello = vec![22, 3, 1, 0x40, 0, 1, 0, 0x4e, 0x20, 3, 3];
    hello.resize(20_000, 0);
    let mut flow = Flow::new(Protocol::TCP);
    send(&mut flow, 443, &hello.chunks(1400).collect::<Vec<_>>());
    assert_eq!((flow.inspector.refused(), flow.inspector.buffered), (1, 0));
}
