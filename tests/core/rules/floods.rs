//! Floods through the engine: what is reported, how often, and what is as fast and harmless.

use hopwatch::input::*;

use crate::support::engine_config::for_tests;
use crate::support::world::World;

const ENDED: FlowEventKind = FlowEventKind::Ended(EndReason::IdleTimeout);

fn world() -> World {
    let mut world = World::new(for_tests());
    world.start(0, "client", 2);
    world.tick(9000);
    world
}

fn floods(mut world: World) -> Vec<String> {
    world.tick(120_000);
    world.finish();
    world.raised().into_iter().filter(|raised| raised.starts_with("flood")).collect()
}

/// Connections tried within a second with one host.
fn connections(count: u64, is_answered: bool) -> World {
    spread(count, is_answered, |_| (2, 443))
}

/// The same, from these hosts to these ports.
fn spread(count: u64, is_answered: bool, place: impl Fn(u64) -> (u8, u16)) -> World {
    let mut world = world();
    for number in 0..count {
        let millis = 10_000 + number * 900 / count;
        let (host, port) = place(number);
        let mut record = world.record(millis, Protocol::TCP, host, "198.51.100.7", port);
        world.event(millis, FlowEventKind::Started, &record);
        if is_answered {
            record.resp.counters.packets = 1;
            let flags = tcp_flags::SYN | tcp_flags::ACK;
            record.tcp = record.tcp.map(|tcp| TcpFacts { orig_flags: flags, resp_flags: flags, ..tcp });
            world.event(millis, FlowEventKind::Answered, &record);
        }
    }
    world
}

/// One flow that carried so much within so long.
fn stream(protocol: Protocol, (packets, answered): (u64, u64), millis: u64) -> World {
    let mut world = world();
    let mut record = world.record(10_000, protocol, 2, "198.51.100.7", 5000);
    world.event(10_000, FlowEventKind::Started, &record);
    world.tick(10_000 + millis);
    record.orig.counters.packets = packets;
    record.orig.counters.payload_bytes = packets * 100;
    record.resp.counters.packets = answered;
    record.end = crate::support::world::at(10_000 + millis);
    world.event(10_001 + millis, FlowEventKind::Updated, &record);
    world.event(10_002 + millis, ENDED, &record);
    world
}

#[test]
fn connections_that_nobody_answers_are_a_flood_from_five_hundred_a_second_on() {
    assert_eq!(floods(connections(520, false)), ["flood client medium"]);
    assert_eq!(floods(connections(450, false)), Vec::<String>::new());
    assert_eq!(floods(connections(900, true)), Vec::<String>::new(), "a load test");
}

#[test]
fn one_source_at_many_ports_searches_and_few_ports_many_sources_or_decoys_hide_no_flood() {
    let port = |number: u64| u16::try_from(1000 + number).expect("a port");
    assert_eq!(floods(spread(900, false, |number| (2, port(number)))), Vec::<String>::new(), "port-scan reports it");
    assert_eq!(floods(spread(900, false, |number| (2, port(number % 8)))), ["flood client medium"]);
    let many = floods(spread(900, false, |number| (u8::try_from(3 + number % 200).expect("a host"), port(number))));
    assert_eq!(many.len(), 1, "{many:?}");
    let decoys = spread(900, false, |number| (2, if number < 200 { port(number) } else { 443 }));
    assert_eq!(floods(decoys), ["flood client medium"]);
}

#[test]
fn datagrams_without_an_answer_are_a_flood_and_the_same_over_a_longer_time_are_not() {
    assert_eq!(floods(stream(Protocol::UDP, (9000, 10), 500)), ["flood client low"]);
    assert_eq!(floods(stream(Protocol::UDP, (9000, 10), 5000)), Vec::<String>::new(), "1,800 a second");
    assert_eq!(floods(stream(Protocol::UDP, (9000, 900), 500)), Vec::<String>::new(), "a conversation");
}

#[test]
fn pings_are_a_flood_at_a_thousand_a_second_answered_or_not_and_a_connection_never_is() {
    assert_eq!(floods(stream(Protocol::ICMP, (1500, 1500), 900)), ["flood client medium"]);
    assert_eq!(floods(stream(Protocol::ICMP, (900, 900), 900)), Vec::<String>::new());
    assert_eq!(floods(stream(Protocol::TCP, (90_000, 90_000), 900)), Vec::<String>::new(), "a download");
}

#[test]
fn a_flood_that_lasts_is_one_alert_that_is_updated_at_tenfold_amounts() {
    let mut world = world();
    let mut record = world.record(10_000, Protocol::ICMP, 2, "198.51.100.7", 0);
    world.event(10_000, FlowEventKind::Started, &record);
    for second in 1..=60 {
        record.orig.counters.packets = second * 2000;
        record.end = crate::support::world::at(10_000 + second * 1000);
        world.event(10_000 + second * 1000, FlowEventKind::Updated, &record);
    }
    world.finish();
    let of: Vec<_> = world.alerts.iter().filter(|alert| alert.rule == "flood").collect();
    let ids: std::collections::BTreeSet<_> = of.iter().map(|alert| &alert.id).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(of.last().map(|alert| alert.count), Some(2), "at 2,000 and at 20,000");
}
