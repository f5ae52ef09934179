//! Messages as the kernel writes them, cut ones, and any bytes.

use proptest::prelude::*;

use super::*;
use crate::host::netlink::build::{attribute, message};

const NESTED: u16 = 0x8000;

fn end(ip: &str, port: u16) -> Endpoint {
    Endpoint { ip: ip.parse().expect("an address"), port }
}

fn five(protocol: Protocol, orig: (&str, u16), resp: (&str, u16)) -> FiveTuple {
    FiveTuple { protocol, orig: end(orig.0, orig.1), resp: end(resp.0, resp.1) }
}

/// A tuple as an attribute; ports are identifier and type of ICMP.
fn tuple_of(kind: u16, five: &FiveTuple) -> Vec<u8> {
    let octets = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let first = if five.orig.ip.is_ipv4() { 1 } else { 3 };
    let ip = [attribute(first, &octets(five.orig.ip)), attribute(first + 1, &octets(five.resp.ip))].concat();
    let (one, two) = (five.orig.port.to_be_bytes(), five.resp.port.to_be_bytes());
    let ports = match five.protocol {
        Protocol::ICMP => [attribute(4, &one), attribute(5, &two[1..]), attribute(6, &[0])].concat(),
        Protocol::ICMPV6 => [attribute(7, &one), attribute(8, &two[1..]), attribute(9, &[0])].concat(),
        _ => [attribute(2, &one), attribute(3, &two)].concat(),
    };
    let proto = [attribute(1, &[five.protocol.0]), ports].concat();
    attribute(NESTED | kind, &[attribute(NESTED | 1, &ip), attribute(NESTED | 2, &proto)].concat())
}

fn reported(kind: u16, orig: &FiveTuple, reply: &FiveTuple, more: &[u8]) -> Vec<u8> {
    let body = [&[2, 0, 0, 0][..], &tuple_of(1, orig), &tuple_of(2, reply), &attribute(3, &[0, 0, 1, 0x9e]), more];
    message(kind, &body.concat())
}

fn received(datagram: &[u8]) -> (Vec<Connection>, Tally) {
    let mut all = Vec::new();
    let tally = read(datagram, |connection| all.push(*connection));
    (all, tally)
}

#[test]
fn masquerade_published_port_and_hairpin() {
    let before = five(Protocol::TCP, ("10.0.0.2", 40_000), ("203.0.113.9", 8080));
    let cases = [
        // The source is another one.
        (
            five(Protocol::TCP, ("203.0.113.9", 8080), ("192.0.2.1", 50_001)),
            ("192.0.2.1", 50_001),
            ("203.0.113.9", 8080),
        ),
        // The destination is.
        (five(Protocol::TCP, ("10.0.0.7", 80), ("10.0.0.2", 40_000)), ("10.0.0.2", 40_000), ("10.0.0.7", 80)),
        // Both are.
        (five(Protocol::TCP, ("10.0.0.7", 80), ("10.0.0.1", 40_000)), ("10.0.0.1", 40_000), ("10.0.0.7", 80)),
    ];
    for (reply, orig, resp) in cases {
        for (kind, gone) in [(NEW, false), (DELETE, true)] {
            let (all, tally) = received(&reported(kind, &before, &reply, &[]));
            assert_eq!(all, [Connection { gone, before, after: five(Protocol::TCP, orig, resp), tag: 0 }]);
            assert_eq!(tally, Tally { messages: 1, malformed: 0 });
        }
    }
}

#[test]
fn ipv6_and_sctp_are_read_like_any_other() {
    let before = five(Protocol::SCTP, ("2001:db8::2", 1), ("2001:db8:1::9", 2));
    let reply = five(Protocol::SCTP, ("2001:db8::3", 3), ("2001:db8::2", 1));
    let (all, _) = received(&reported(NEW, &before, &reply, &[]));
    assert_eq!(all[0].after, five(Protocol::SCTP, ("2001:db8::2", 1), ("2001:db8::3", 3)));
}

#[test]
fn what_is_not_translated_is_only_counted() {
    let before = five(Protocol::UDP, ("10.0.0.2", 40_000), ("203.0.113.9", 53));
    let (all, tally) = received(&reported(NEW, &before, &before.reversed(), &[]).repeat(3));
    assert_eq!((all, tally), (vec![], Tally { messages: 3, malformed: 0 }));
    assert_eq!(received(&message(0x0201, &[1, 2])), (vec![], Tally::default()), "of another subsystem");
}

#[test]
fn icmp_has_the_ports_of_the_flow_meter_and_its_identifier_is_a_tag() {
    // Identifier and type in the places of the ports.
    let question = five(Protocol::ICMP, ("10.0.0.2", 77), ("203.0.113.9", 8));
    let answer = five(Protocol::ICMP, ("203.0.113.9", 77), ("192.0.2.1", 0));
    let (all, _) = received(&reported(NEW, &question, &answer, &[]));
    let (before, after) = (
        five(Protocol::ICMP, ("10.0.0.2", 8), ("203.0.113.9", 0)),
        five(Protocol::ICMP, ("192.0.2.1", 8), ("203.0.113.9", 0)),
    );
    assert_eq!(all, [Connection { gone: false, before, after, tag: 77 }]);

    let question = five(Protocol::ICMPV6, ("2001:db8::2", 9), ("2001:db8::9", 128));
    let answer = five(Protocol::ICMPV6, ("2001:db8::9", 9), ("2001:db8::1", 129));
    let (all, _) = received(&reported(NEW, &question, &answer, &[]));
    assert_eq!(all[0].after, five(Protocol::ICMPV6, ("2001:db8::1", 128), ("2001:db8::9", 129)));

    // Another identifier alone is no translation that a five-tuple shows.
    let untouched = five(Protocol::ICMP, ("203.0.113.9", 78), ("10.0.0.2", 0));
    let question = five(Protocol::ICMP, ("10.0.0.2", 77), ("203.0.113.9", 8));
    assert_eq!(received(&reported(NEW, &question, &untouched, &[])).0, []);
}

#[test]
fn zones_tell_entries_apart_and_other_protocols_have_no_ports() {
    let before = five(Protocol(47), ("10.0.0.2", 7), ("203.0.113.9", 8));
    let reply = five(Protocol(47), ("203.0.113.9", 8), ("192.0.2.1", 7));
    let (all, _) = received(&reported(NEW, &before, &reply, &attribute(18, &[0, 3])));
    let ends = |from| five(Protocol(47), (from, 0), ("203.0.113.9", 0));
    let reported = Connection { gone: false, before: ends("10.0.0.2"), after: ends("192.0.2.1"), tag: 0x3_0007 };
    assert_eq!(all, [reported]);
}

#[test]
fn hostile_messages_are_counted() {
    let before = five(Protocol::TCP, ("10.0.0.2", 1), ("203.0.113.9", 2));
    let reply = five(Protocol::TCP, ("203.0.113.9", 2), ("192.0.2.1", 1));
    let whole = [tuple_of(1, &before), tuple_of(2, &reply)].concat();
    let with = |tuples: &[u8]| message(NEW, &[&[2, 0, 0, 0], tuples].concat());
    let other = five(Protocol::UDP, ("203.0.113.9", 2), ("192.0.2.1", 1));
    let v6 = five(Protocol::TCP, ("2001:db8::1", 2), ("2001:db8::2", 1));
    let short = attribute(NESTED | 1, &attribute(NESTED | 1, &attribute(1, &[10, 0, 0])));
    let mixed = attribute(NESTED | 1, &[attribute(1, &[10, 0, 0, 2]), attribute(4, &[1; 16])].concat());
    let proto = attribute(NESTED | 2, &[attribute(1, &[6]), attribute(2, &[0, 1]), attribute(3, &[0, 2])].concat());
    let wrong = [
        with(&[]),
        message(NEW, &[]),
        with(&tuple_of(1, &before)),
        with(&tuple_of(2, &reply)),
        with(&[tuple_of(1, &before), tuple_of(2, &other)].concat()),
        with(&[tuple_of(1, &before), tuple_of(2, &v6)].concat()),
        with(&[short, tuple_of(2, &reply)].concat()),
        with(&[attribute(NESTED | 1, &[mixed, proto].concat()), tuple_of(2, &reply)].concat()),
        with(&[&whole[..], &attribute(18, &[1])].concat()),
    ];
    for (number, datagram) in wrong.iter().enumerate() {
        let sound = reported(NEW, &before, &reply, &[]);
        let (all, tally) = received(&[&datagram[..], &sound].concat());
        assert_eq!((all.len(), tally), (1, Tally { messages: 2, malformed: 1 }), "case {number}");
    }
}

#[test]
fn a_cut_message_is_never_read_as_another() {
    let before = five(Protocol::TCP, ("10.0.0.2", 1), ("203.0.113.9", 2));
    let reply = five(Protocol::TCP, ("203.0.113.9", 2), ("192.0.2.1", 1));
    let whole = reported(NEW, &before, &reply, &[]);
    let (expected, _) = received(&whole);
    for cut in 1..whole.len() {
        assert_eq!(received(&whole[..cut]), (vec![], Tally { messages: 0, malformed: 1 }), "the frame at {cut}");
        // The frame is right, what is in it ends early.
        let mut short = whole[..cut].to_vec();
        short.splice(..4.min(cut), u32::try_from(cut).expect("short").to_ne_bytes().into_iter().take(cut));
        let (all, tally) = received(&short);
        assert!(all.is_empty() && tally.malformed == 1 || all == expected, "the body at {cut}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (all, tally) = received(&bytes);
        prop_assert!(u64::try_from(all.len()).expect("few") + tally.malformed <= tally.messages + 1);
    }

    /// A sound message with some bytes changed: read, refused or passed over, and its neighbour is read unless the frame broke.
    #[test]
    fn damaged_messages_are_survived(changes in proptest::collection::vec((16..150_usize, any::<u8>()), 1..6)) {
        let before = five(Protocol::TCP, ("10.0.0.2", 1), ("203.0.113.9", 2));
        let reply = five(Protocol::TCP, ("203.0.113.9", 2), ("192.0.2.1", 1));
        let sound = reported(NEW, &before, &reply, &[]);
        let mut damaged = sound.clone();
        for (at, value) in changes {
            if let Some(byte) = damaged.get_mut(at) {
                *byte = value;
            }
        }
        let (all, tally) = received(&[damaged, sound].concat());
        prop_assert_eq!(tally.messages, 2);
        prop_assert_eq!(all.last().map(|last| last.before), Some(before));
    }
}
