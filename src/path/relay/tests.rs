//! Each proof with what contradicts it; properties of rubbish, of true relays and of unrelated flows.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::input::{
    Counters, Endpoint, FlowId, HttpRequest, ObservationPoint, ProxyHeader, Side, SocksRequest, TcpFacts, TlsHello,
    tcp_flags,
};
use crate::time::Timestamp;

/// A client talks to a relay, the relay to an origin.
const INBOUND: (&str, &str) = ("172.20.0.2:40001", "172.20.0.9:3128");
const OUTBOUND: (&str, &str) = ("172.20.0.9:50001", "198.51.100.7:443");

fn end(text: &str) -> Endpoint {
    let address: SocketAddr = text.parse().expect("an address and a port");
    Endpoint { ip: address.ip(), port: address.port() }
}

/// A TCP flow that is over, from one millisecond to another, with so many payload bytes each way.
fn leg((from, to): (&str, &str), (start, stop): (u64, u64), (sent, received): (u64, u64)) -> FlowRecord {
    let at = |millis| Timestamp::from_secs(1000).plus(Duration::from_millis(millis));
    let side = |payload_bytes| Side {
        counters: Counters { packets: 5, payload_bytes, ..Counters::default() },
        ..Side::default()
    };
    FlowRecord {
        end: at(stop),
        orig: side(sent),
        resp: side(received),
        tcp: Some(TcpFacts { orig_flags: tcp_flags::SYN, state: ConnState::SF, ..TcpFacts::default() }),
        ..FlowRecord::new(
            FlowId(1),
            ObservationPoint::new("br-net"),
            FiveTuple { protocol: Protocol::TCP, orig: end(from), resp: end(to) },
            at(start),
        )
    }
}

fn said(mut record: FlowRecord, facts: AppFacts) -> FlowRecord {
    record.app = Some(Arc::new(facts));
    record
}

fn http(method: &str, host: Option<&str>, connect: Option<&str>) -> AppFacts {
    let http = HttpRequest {
        method: method.into(),
        host: host.map(str::to_owned),
        connect: connect.map(str::to_owned),
        ..HttpRequest::default()
    };
    AppFacts { http: Some(http), ..AppFacts::default() }
}

fn socks(command: &str, target: &str) -> AppFacts {
    let socks = SocksRequest { version: 5, command: command.into(), target: target.into() };
    AppFacts { socks: Some(socks), ..AppFacts::default() }
}

fn hello(sni: &str, ja4: &str) -> AppFacts {
    let tls = TlsHello { sni: Some(sni.into()), alpn: vec![], ja4: Some(ja4.into()) };
    AppFacts { tls: Some(tls), ..AppFacts::default() }
}

fn proof(inbound: &FlowRecord, outbound: &FlowRecord) -> Option<RelayProof> {
    matched(inbound, outbound).map(|found| found.proof)
}

/// Legs whose bytes say nothing.
fn inbound(facts: AppFacts) -> FlowRecord {
    said(leg(INBOUND, (0, 900), (700, 9000)), facts)
}

fn outbound(facts: AppFacts) -> FlowRecord {
    said(leg(OUTBOUND, (40, 880), (10, 20)), facts)
}

#[test]
fn the_target_that_was_asked_for_is_the_other_end() {
    let none = AppFacts::default;
    for (asked, out, proven) in [
        (http("CONNECT", None, Some("198.51.100.7:443")), none(), true),
        (socks("connect", "198.51.100.7:443"), none(), true),
        (http("CONNECT", None, Some("Origin.Example.:443")), hello("origin.example", "t13d"), true),
        (socks("connect", "origin.example:443"), http("GET", Some("origin.example:443"), None), true),
        (http("CONNECT", None, Some("198.51.100.8:443")), none(), false),
        (http("CONNECT", None, Some("198.51.100.7:80")), none(), false),
        (http("CONNECT", None, Some("origin.example:443")), hello("other.example", "t13d"), false),
        (http("CONNECT", None, Some("origin.example:8443")), hello("origin.example", "t13d"), false),
        (socks("bind", "198.51.100.7:443"), none(), false),
        (http("CONNECT", None, Some("no port")), none(), false),
    ] {
        let found = proof(&inbound(asked.clone()), &outbound(out));
        assert_eq!(found, proven.then_some(RelayProof::Target), "{asked:?}");
    }
    let to_six = FlowRecord {
        tuple: FiveTuple { resp: end("[2001:db8::7]:443"), ..outbound(none()).tuple },
        ..outbound(none())
    };
    for target in ["[2001:db8::7]:443", "2001:db8::7:443"] {
        assert_eq!(proof(&inbound(socks("connect", target)), &to_six), Some(RelayProof::Target), "{target}");
    }
    let found = matched(&inbound(http("CONNECT", None, Some("198.51.100.7:443"))), &outbound(none())).expect("a match");
    assert_eq!(
        found.text,
        "198.51.100.7:443 was asked for on the way in, and is the other end of the way out; the way out began 40 ms after the way in"
    );
}

#[test]
fn equal_bytes_do_not_outweigh_another_target() {
    let asked = http("CONNECT", None, Some("198.51.100.8:443"));
    let (one, other) = (leg(INBOUND, (0, 900), (600, 5039)), leg(OUTBOUND, (40, 880), (500, 5000)));
    assert_eq!(proof(&said(one.clone(), asked), &other), None);
    let named = http("CONNECT", None, Some("origin.example:443"));
    assert_eq!(proof(&said(one, named), &other), Some(RelayProof::Bytes));
}

#[test]
fn a_hello_or_a_request_that_passes_is_known_again() {
    let same = |one: AppFacts, other: AppFacts| proof(&inbound(one), &outbound(other));
    assert_eq!(same(hello("a.example", "t13d"), hello("A.example", "t13d")), Some(RelayProof::Hello));
    assert_eq!(same(hello("a.example", "t13d"), hello("a.example", "t13x")), None);
    assert_eq!(same(hello("a.example", "t13d"), hello("b.example", "t13d")), None);
    let port_443 = "a.example:443";
    assert_eq!(same(http("GET", Some(port_443), None), http("GET", Some(port_443), None)), Some(RelayProof::Request));
    assert_eq!(same(http("GET", Some(port_443), None), http("POST", Some(port_443), None)), None);
    // A server that is named so, and asks another one in its turn.
    assert_eq!(same(http("GET", Some("a.example:3128"), None), http("GET", Some("a.example:3128"), None)), None);
    assert_eq!(same(http("GET", Some("a.example"), None), http("GET", Some("a.example"), None)), None);
}

#[test]
fn bytes_match_as_they_are_or_with_the_preamble_that_was_seen() {
    let raw = leg(OUTBOUND, (3, 800), (517, 4096));
    let came = |sent, received, facts| said(leg(INBOUND, (0, 810), (sent, received)), facts);
    let connect = || http("CONNECT", None, Some("origin.example:443"));
    for (inbound, holds) in [
        (came(517, 4096, AppFacts::default()), true),
        (came(519, 4112, AppFacts::default()), true),
        (came(521, 4096, AppFacts::default()), false),
        (came(517, 4113, AppFacts::default()), false),
        (came(517, 4096, connect()), false),
        (came(517 + 120, 4096 + 39, connect()), true),
        (came(517 + 120, 4096, connect()), false),
        (came(517 + 3, 4096 + 12, socks("connect", "origin.example:443")), false),
        (came(517 + 3 + 20, 4096 + 12, socks("connect", "origin.example:443")), true),
        (came(517 + 5000, 4096 + 39, connect()), false),
    ] {
        assert_eq!(proof(&inbound, &raw), holds.then_some(RelayProof::Bytes), "{inbound:?}");
    }
    let header =
        AppFacts { proxy: Some(ProxyHeader { version: 1, source: None, destination: None }), ..AppFacts::default() };
    let announced = said(leg(OUTBOUND, (3, 800), (517 + 45, 4096)), header);
    assert_eq!(proof(&came(517, 4096, AppFacts::default()), &announced), Some(RelayProof::Bytes));
}

#[test]
fn time_must_fit() {
    let inbound = leg(INBOUND, (1000, 9000), (517, 4096));
    for (start, stop, holds) in [
        (1000, 9000, true),
        (2900, 8000, true),
        (999, 9000, false),
        (3001, 9000, false),
        (1003, 6900, false),
        (1003, 11_001, false),
    ] {
        let outbound = leg(OUTBOUND, (start, stop), (517, 4096));
        assert_eq!(matched(&inbound, &outbound).is_some(), holds, "{start} to {stop}");
    }
    let short = leg(INBOUND, (1000, 1100), (517, 4096));
    assert_eq!(matched(&short, &leg(OUTBOUND, (1101, 1200), (517, 4096))), None, "the way in was over");
    let mut open = leg(OUTBOUND, (1003, 4000), (517, 4096));
    open.tcp = Some(TcpFacts { state: ConnState::S1, ..TcpFacts::default() });
    assert_eq!(proof(&inbound, &open), Some(RelayProof::Bytes), "only ends that were seen count");
}

#[test]
fn little_or_one_sided_conversations_and_other_protocols_say_nothing() {
    for (sent, received) in [(99, 100), (0, 5000), (5000, 0), (0, 0)] {
        assert_eq!(
            matched(&leg(INBOUND, (0, 900), (sent, received)), &leg(OUTBOUND, (3, 890), (sent, received))),
            None
        );
    }
    let (mut inbound, outbound) = (leg(INBOUND, (0, 900), (517, 4096)), leg(OUTBOUND, (3, 890), (517, 4096)));
    assert!(matched(&inbound, &outbound).is_some());
    assert!(
        matched(&inbound, &inbound).is_none() && matched(&outbound, &outbound).is_none(),
        "a flow is no relay of itself"
    );
    inbound.tuple.protocol = Protocol::UDP;
    assert!(matched(&inbound, &outbound).is_none());
    inbound.tuple.protocol = Protocol::ICMP;
    assert!(matched(&said(inbound, http("CONNECT", None, Some("198.51.100.7:443"))), &outbound).is_none());
}

proptest! {
    /// Heartbeats and echo: both directions carry the same, whatever passes.
    #[test]
    fn symmetric_rubbish_never_matches(bytes in 0_u64..10_000_000, start in 0_u64..3000, length in 0_u64..5000) {
        let inbound = leg(INBOUND, (0, 5000), (bytes, bytes));
        let outbound = leg(OUTBOUND, (start, start + length), (bytes, bytes));
        prop_assert_eq!(matched(&inbound, &outbound), None);
    }

    /// The way out never began before the way in.
    #[test]
    fn no_pair_matches_both_ways(
        sent in 1_u64..1_000_000, received in 1_u64..1_000_000, delay in 1_u64..2000, connect: bool,
    ) {
        let facts = if connect { http("CONNECT", None, Some("198.51.100.7:443")) } else { AppFacts::default() };
        let inbound = said(leg(INBOUND, (0, 5000), (sent, received)), facts.clone());
        let outbound = said(leg(OUTBOUND, (delay, 5000), (sent, received)), facts);
        prop_assert_eq!(matched(&outbound, &inbound), None);
    }

    #[test]
    fn a_raw_relay_always_matches(
        sent in 200_u64..1_000_000, factor in 2_u64..100, delay in 0_u64..2000, lag in 0_u64..2000,
    ) {
        let payload = (sent, sent * factor);
        let outbound = leg(OUTBOUND, (delay, 5000), payload);
        prop_assert_eq!(proof(&leg(INBOUND, (0, 5000 + lag), payload), &outbound), Some(RelayProof::Bytes));
    }
}

/// Log-uniform sizes and starts within ten seconds, by a fixed generator.
fn crowd(mut seed: u64, ends: (&str, &str)) -> Vec<FlowRecord> {
    let mut next = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut size = move || {
        let bits = 6 + next(14);
        (1 << bits) + next(1 << bits)
    };
    let flow = |_| {
        let start = size() % 10_000;
        leg(ends, (start, start + size() % 3000), (size(), size()))
    };
    (0..1000).map(flow).collect()
}

#[test]
fn unrelated_flows_practically_never_match() {
    let (inbound, outbound) = (crowd(1, INBOUND), crowd(2, OUTBOUND));
    let pairs = inbound.iter().flat_map(|one| outbound.iter().map(move |other| (one, other)));
    let matches = pairs.filter(|(one, other)| matched(one, other).is_some()).count();
    assert!(matches <= 1, "{matches} of a million");
}
