//! What became of contacts, by what scanners and ordinary programs do.

use super::*;
use crate::detect::testing::{Bench, at};
use crate::input::History;

const SYN: u8 = tcp_flags::SYN;
const ACK: u8 = tcp_flags::ACK;
const RST: u8 = tcp_flags::RST;
const FIN: u8 = tcp_flags::FIN;

/// A connection with these flags, packets and payload of both ends, and this history.
fn tcp(flags: (u8, u8), packets: (u64, u64), payload: (u64, u64), history: &str) -> FlowRecord {
    let mut bench = Bench::new(&[]);
    let mut record = bench.record(0, Protocol::TCP, "10.0.0.1:40000", "10.0.0.2:80");
    let mut letters = History::default();
    history.bytes().for_each(|letter| letters.push(letter));
    (record.orig.counters.packets, record.resp.counters.packets) = packets;
    (record.orig.counters.payload_bytes, record.resp.counters.payload_bytes) = payload;
    record.tcp = Some(TcpFacts { orig_flags: flags.0, resp_flags: flags.1, state: ConnState::OTH, history: letters });
    record
}

fn of(record: &FlowRecord, millis: u64, end: End) -> Option<Outcome> {
    outcome(record, true, Progress { now: at(millis), end, is_lossy: false })
}

#[test]
fn what_scanners_send_fails_and_what_programs_send_does_not() {
    use Outcome::*;
    let cases = [
        ("connect", (SYN | ACK, SYN | ACK), (3, 2), (10, 0), "ShADd", Answered),
        ("closed port", (SYN, RST | ACK), (1, 1), (0, 0), "Sr", Refused),
        ("filtered", (SYN, 0), (1, 0), (0, 0), "S", Silent),
        ("half-open scan", (SYN | RST, SYN | ACK), (2, 1), (0, 0), "ShR", Empty),
        ("connect scan", (SYN | ACK | RST, SYN | ACK), (3, 1), (0, 0), "ShAR", Empty),
        ("closed by the server", (SYN | ACK | FIN, SYN | ACK | FIN), (3, 2), (0, 0), "ShAfF", Answered),
        ("FIN scan", (FIN, RST | ACK), (1, 1), (0, 0), "Fr", Stealth),
        ("NULL scan", (0, 0), (1, 0), (0, 0), "", Stealth),
        ("XMAS scan", (FIN | tcp_flags::PSH | 0x20, RST), (1, 1), (0, 0), "Fr", Stealth),
        ("SYN with FIN", (SYN | FIN, 0), (1, 0), (0, 0), "Q", Stealth),
        ("ACK scan", (ACK, RST), (1, 1), (0, 0), "Ar", Stealth),
        ("Maimon scan", (FIN | ACK, RST), (1, 1), (0, 0), "Fr", Stealth),
        ("middle of a connection", (ACK, ACK), (9, 9), (100, 100), "ADad", Midstream),
        ("rest of a connection", (RST, 0), (1, 0), (0, 0), "R", Error),
        ("only the client's side", (SYN | ACK, 0), (5, 0), (100, 0), "SAD", OneSided),
        ("only the server's side", (0, SYN | ACK), (0, 4), (0, 100), "^had", OneSided),
        ("backscatter", (0, SYN | ACK), (0, 1), (0, 0), "^h", Error),
    ];
    for (name, flags, packets, payload, history, expected) in cases {
        assert_eq!(of(&tcp(flags, packets, payload, history), 5000, End::Ended), Some(expected), "{name}");
    }
}

#[test]
fn silence_needs_five_seconds_or_one_at_the_end_of_the_observation() {
    let attempt = tcp((SYN, 0), (1, 0), (0, 0), "S");
    assert_eq!(of(&attempt, 4999, End::Open), None);
    assert_eq!(of(&attempt, 5000, End::Open), Some(Outcome::Silent));
    assert_eq!(of(&attempt, 999, End::Cut), Some(Outcome::Unknown));
    assert_eq!(of(&attempt, 1000, End::Cut), Some(Outcome::Silent));
    let lossy = Progress { now: at(5000), end: End::Open, is_lossy: true };
    assert_eq!(outcome(&attempt, true, lossy), Some(Outcome::Unknown), "what was lost may have been the answer");
}

#[test]
fn a_connection_without_payload_waits_for_some() {
    let open = tcp((SYN | ACK, SYN | ACK), (2, 1), (0, 0), "ShA");
    assert_eq!(of(&open, 100, End::Open), None);
    assert_eq!(of(&open, 5000, End::Open), Some(Outcome::Answered));
    let pooled = FlowRecord { end: at(6000), ..tcp((SYN | ACK | FIN, SYN | ACK), (3, 2), (0, 0), "ShAF") };
    assert_eq!(of(&pooled, 6000, End::Ended), Some(Outcome::Answered), "held open for long: a pool");
}

#[test]
fn datagrams_pings_and_errors() {
    let mut bench = Bench::new(&[]);
    let mut of_kind = |protocol, to: &str, packets| {
        let mut record = bench.record(0, protocol, "10.0.0.1:8", to);
        (record.orig.counters.packets, record.resp.counters.packets) = packets;
        of(&record, 5000, End::Open)
    };
    assert_eq!(of_kind(Protocol::UDP, "10.0.0.2:53", (1, 1)), Some(Outcome::Answered));
    assert_eq!(of_kind(Protocol::UDP, "10.0.0.2:514", (9, 0)), Some(Outcome::Silent));
    assert_eq!(of_kind(Protocol::UDP, "10.0.0.2:33440", (1, 0)), Some(Outcome::Error), "traceroute");
    assert_eq!(of_kind(Protocol::ICMP, "10.0.0.2:0", (1, 0)), Some(Outcome::Silent));
    assert_eq!(of_kind(Protocol::ICMP, "10.0.0.2:0", (1, 1)), Some(Outcome::Answered));
    let mut unreachable = bench.record(0, Protocol::ICMP, "10.0.0.1:3", "10.0.0.2:3");
    unreachable.resp.counters.packets = 0;
    assert_eq!(of(&unreachable, 5000, End::Open), Some(Outcome::Error));
}
