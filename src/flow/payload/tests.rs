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
