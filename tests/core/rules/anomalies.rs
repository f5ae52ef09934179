//! Scans and beacons through the engine: what is found, and what looks the same and is harmless.

use std::time::Duration;

use hopwatch::input::*;

use crate::support::engine_config::for_tests;
use crate::support::world::World;

const ENDED: FlowEventKind = FlowEventKind::Ended(EndReason::EndOfFlow);

/// Workload .2, no contracts.
fn world() -> World {
    let mut world = World::new(for_tests());
    world.start(0, "client", 2);
    world.tick(9000);
    world
}

fn refused(world: &mut World, millis: u64, to: &str, port: u16) {
    let mut record = world.record(millis, Protocol::TCP, 2, to, port);
    world.event(millis, FlowEventKind::Started, &record);
    record.resp.counters.packets = 1;
    record.tcp = record.tcp.map(|tcp| TcpFacts { resp_flags: tcp_flags::RST | tcp_flags::ACK, ..tcp });
    world.event(millis + 1, ENDED, &record);
}

/// A connection whose handshake was answered.
fn opened(world: &mut World, millis: u64, to: &str, port: u16) -> FlowRecord {
    let mut record = world.record(millis, Protocol::TCP, 2, to, port);
    world.event(millis, FlowEventKind::Started, &record);
    record.resp.counters.packets = 1;
    let flags = tcp_flags::SYN | tcp_flags::ACK;
    record.tcp = record.tcp.map(|tcp| TcpFacts { orig_flags: flags, resp_flags: flags, ..tcp });
    world.event(millis + 10, FlowEventKind::Answered, &record);
    record
}

fn answered(world: &mut World, millis: u64, to: &str, port: u16) {
    session(world, millis, to, port, (90, 200));
}

/// What was raised about anomalies.
fn anomalies(mut world: World) -> Vec<String> {
    world.finish();
    world.raised()
}

#[test]
fn five_refused_ports_are_a_scan_and_rise_with_their_number() {
    let scan = |ports: u16| {
        let mut world = world();
        (0..ports).for_each(|port| refused(&mut world, 10_000 + u64::from(port) * 10, "172.20.0.9", 1000 + port));
        world.finish();
        world.alerts.last().map(|alert| format!("{} {}", alert.rule, alert.severity.as_str()))
    };
    assert_eq!(scan(4), None);
    assert_eq!(scan(5).as_deref(), Some("port-scan low"));
    assert_eq!(scan(9).as_deref(), Some("port-scan medium"));
    assert_eq!(scan(100).as_deref(), Some("port-scan high"));
}

#[test]
fn a_dead_peer_that_is_asked_again_and_again_is_no_scan() {
    let mut world = world();
    (0..200).for_each(|number| refused(&mut world, 10_000 + number * 1000, "172.20.0.9", 5432));
    assert!(anomalies(world).is_empty());
}

#[test]
fn a_monitor_that_probes_fifty_hosts_of_which_five_are_down_is_no_scan() {
    let mut world = world();
    for host in 0..50_u8 {
        let (millis, to) = (10_000 + u64::from(host) * 5000, format!("10.9.{host}.7"));
        if host % 10 == 9 { refused(&mut world, millis, &to, 443) } else { answered(&mut world, millis, &to, 443) }
    }
    assert!(anomalies(world).is_empty());
}

#[test]
fn silent_hosts_are_a_scan_after_five_seconds_each_or_at_the_end() {
    let mut world = world();
    for host in 0..6_u8 {
        let record = world.record(10_000 + u64::from(host), Protocol::TCP, 2, &format!("10.9.0.{host}"), 22);
        world.event(10_000 + u64::from(host), FlowEventKind::Started, &record);
    }
    world.tick(14_000);
    assert!(world.raised().is_empty(), "they may answer yet");
    world.tick(15_100);
    assert_eq!(world.raised(), ["host-scan client low"]);
}

#[test]
fn a_loss_in_the_window_turns_silence_into_nothing() {
    let mut world = world();
    let loss = |since: u64| {
        let since = crate::support::world::at(since);
        Loss { point: None, reason: LossReason::Kernel, count: 9, since, source: None }
    };
    for host in 0..9_u8 {
        let record = world.record(10_000 + u64::from(host), Protocol::TCP, 2, &format!("10.9.0.{host}"), 22);
        world.event(10_000 + u64::from(host), FlowEventKind::Started, &record);
    }
    world.push(12_000, Fact::Recorded(RecordedFact::Loss(loss(10_500))));
    world.tick(30_000);
    assert!(anomalies(world).is_empty());
}

#[test]
fn living_neighbours_at_one_port_within_a_minute_are_a_sweep() {
    let mut world = world();
    (0..16_u8).for_each(|host| answered(&mut world, 10_000 + u64::from(host) * 500, &format!("10.9.0.{host}"), 22));
    assert_eq!(anomalies(world), ["host-scan client low"]);
}

#[test]
fn a_contact_each_minute_is_a_beacon_and_ten_of_them_are_one_alert() {
    let mut world = world();
    for number in 0..40_u64 {
        let jitter = number * 7919 % 12_000;
        answered(&mut world, 10_000 + number * 60_000 + jitter, "198.51.100.7", 443);
        answered(&mut world, 12_000 + number * 60_000, "198.51.100.9", 8443);
    }
    assert_eq!(anomalies(world), ["beacon client low"]);
}

/// The workload, or another host of its network, asks for the MACs of so many neighbours.
fn asks(world: &mut World, host: u8, mac: u8, neighbours: std::ops::Range<u8>) {
    asks_in_frames_of(world, host, mac, None, neighbours);
}

/// With another MAC in the frame than in the question.
fn asks_in_frames_of(world: &mut World, host: u8, mac: u8, frame: Option<u8>, neighbours: std::ops::Range<u8>) {
    for (neighbour, step) in neighbours.zip(0_u64..) {
        let claim = NeighbourClaim {
            point: ObservationPoint::new("br-net"),
            kind: ClaimKind::ArpRequest,
            ip: [172, 20, 0, host].into(),
            mac: Mac([2, 0, 0, 0, 0, mac]),
            asks: Some([172, 20, 0, neighbour].into()),
            frame_mac: frame.map(|mac| Mac([2, 0, 0, 0, 0, mac])),
            to: Some(Mac([0xff; 6])),
        };
        world.push(10_000 + step * 1000, Fact::Claim(Box::new(claim)));
    }
}

#[test]
fn who_asks_for_the_macs_of_many_neighbours_sweeps_them() {
    let asked = |neighbours| {
        let mut world = world();
        asks(&mut world, 2, 2, neighbours);
        anomalies(world)
    };
    assert_eq!(asked(20..36), ["host-scan client low"]);
    assert!(asked(20..35).is_empty());
    let mut forged = world();
    asks(&mut forged, 2, 77, 20..60);
    assert!(!anomalies(forged).iter().any(|alert| alert.starts_with("host-scan")), "another's MAC accuses nobody");
    let framed = |frame| {
        let mut world = world();
        world.start(0, "neighbour", 9);
        asks_in_frames_of(&mut world, 2, 2, Some(frame), 20..60);
        anomalies(world).iter().filter(|alert| alert.starts_with("host-scan")).count()
    };
    assert_eq!(framed(0x77), 1, "a made-up MAC in the frame hides no sweep whose answers go to its own");
    assert_eq!(framed(9), 0, "a frame with a neighbour's MAC accuses nobody");
}

#[test]
fn the_host_and_a_router_ask_for_whom_others_want_to_reach() {
    let mut host = world();
    asks(&mut host, 1, 0xff, 20..60);
    assert!(anomalies(host).is_empty());
    let mut router = world();
    let mut record = router.record(9500, Protocol::TCP, 2, "198.51.100.7", 443);
    record.orig.next_hop = Some(Mac([2, 0, 0, 0, 0, 2]));
    router.event(9500, FlowEventKind::Started, &record);
    router.event(9600, ENDED, &record);
    asks(&mut router, 2, 2, 20..60);
    assert!(!anomalies(router).contains(&"host-scan client low".to_owned()));
}

/// The workload asks its resolver, and is answered.
fn asks_resolver(world: &mut World, millis: u64, query: &str, kind: &'static str) {
    let mut record = world.record(millis, Protocol::UDP, 2, "172.20.0.1", 53);
    world.event(millis, FlowEventKind::Started, &record);
    record.resp.counters.packets = 1;
    let (query, rcode) = (query.to_owned(), Some("NXDOMAIN".into()));
    let dns = vec![DnsMessage { query, kind: kind.into(), rcode }];
    record.app = Some(std::sync::Arc::new(AppFacts { dns, ..AppFacts::default() }));
    world.event(millis + 5, FlowEventKind::Payload, &record);
}

#[test]
fn new_names_below_a_domain_at_regular_times_are_a_beacon() {
    let asked = |name: &dyn Fn(u64) -> String, gap: u64| {
        let mut world = world();
        for number in 0..12 {
            asks_resolver(&mut world, 10_000 + number * gap, &name(number), "A");
        }
        anomalies(world)
    };
    assert_eq!(asked(&|number| format!("{number:x}a7.evil.example"), 45_000), ["beacon client low"]);
    assert!(asked(&|_| "www.good.example".to_owned(), 45_000).is_empty(), "the same name again");
    assert!(asked(&|number| format!("www.site-{number}.example"), 45_000).is_empty(), "each below another domain");
}

#[test]
fn who_asks_for_the_names_of_many_neighbours_sweeps_them() {
    let mut world = world();
    (0..16)
        .for_each(|host| asks_resolver(&mut world, 10_000 + host * 100, &format!("{host}.0.9.10.in-addr.arpa"), "PTR"));
    assert_eq!(anomalies(world), ["host-scan client low"]);
    let mut scattered = self::world();
    (0..16).for_each(|host| {
        asks_resolver(&mut scattered, 10_000 + host * 100, &format!("7.0.{host}.198.in-addr.arpa"), "PTR");
    });
    assert!(anomalies(scattered).is_empty(), "addresses of a log");
}

/// A connection that stays open, in which one end speaks again at these times.
fn kept_open(times: impl Iterator<Item = u64>, by_orig: bool) -> Vec<String> {
    let mut world = world();
    let mut record = opened(&mut world, 10_000, "198.51.100.7", 443);
    for millis in times {
        record.end = crate::support::world::at(millis);
        record.orig.counters.payload_bytes += 40;
        world.event(millis, FlowEventKind::Resumed { by_orig }, &record);
    }
    anomalies(world)
}

#[test]
fn a_beacon_inside_one_connection_is_found_whichever_end_speaks_first() {
    let regular = || (1..12_u64).map(|number| 10_000 + number * 30_000 + number * 7919 % 3000);
    assert_eq!(kept_open(regular(), true), ["beacon client low"]);
    assert_eq!(kept_open(regular(), false), ["beacon client low"], "the server that an implant called wakes it");
    let irregular = (1..12_u64).map(|number| 10_000 + number * number * 4000);
    assert!(kept_open(irregular, true).is_empty());
}

#[test]
fn contacts_at_random_and_failed_ones_are_no_beacon() {
    let mut random = world();
    let mut millis = 10_000;
    for number in 1..60_u64 {
        // Exponential intervals, a minute on average.
        let share = f64::from(u16::try_from(number * 2_654_435_761 % 1000).expect("small")) / 1000.0;
        let wait = Duration::from_secs_f64(-(1.0 - share).ln() * 60.0);
        millis += u64::try_from(wait.as_millis()).expect("minutes") + 1500;
        answered(&mut random, millis, "198.51.100.7", 443);
    }
    assert!(anomalies(random).is_empty());
    let mut failed = world();
    (0..40_u64).for_each(|number| refused(&mut failed, 10_000 + number * 60_000, "198.51.100.7", 443));
    assert!(anomalies(failed).is_empty(), "a retry is regular");
}

/// A session that carried so much, from .2.
fn session(world: &mut World, millis: u64, to: &str, port: u16, (sent, received): (u64, u64)) {
    let mut record = opened(world, millis, to, port);
    record.orig.counters.payload_bytes = sent;
    record.resp.counters.payload_bytes = received;
    world.event(millis + 20, FlowEventKind::Payload, &record);
    world.event(millis + 30, ENDED, &record);
}

#[test]
fn twenty_logins_alike_are_guesses_and_one_that_differs_makes_it_high() {
    let mut guesses = world();
    (0..30).for_each(|number| session(&mut guesses, 10_000 + number * 1000, "172.20.0.9", 22, (1200 + number, 2000)));
    session(&mut guesses, 50_000, "172.20.0.9", 22, (9000, 90_000));
    guesses.finish();
    let of_guesses: Vec<_> = guesses.alerts.iter().filter(|alert| alert.rule == "brute-force").collect();
    assert_eq!(of_guesses.first().map(|alert| alert.severity.as_str()), Some("low"));
    assert_eq!(of_guesses.last().map(|alert| (alert.severity.as_str(), alert.update > 0)), Some(("high", true)));
    let quiet = |world: World| !anomalies(world).iter().any(|raised| raised.starts_with("brute-force"));
    let mut work = world();
    for number in 0..30 {
        session(&mut work, 10_000 + number * 1000, "172.20.0.9", 22, (1000 * (number + 1) * (number + 1), 2000));
    }
    assert!(quiet(work), "each does something else");
    let mut seldom = world();
    (0..30).for_each(|number| session(&mut seldom, 10_000 + number * 67_000, "172.20.0.9", 22, (1200, 2000)));
    assert!(quiet(seldom), "a check every minute");
}

#[test]
fn a_hundred_megabytes_out_and_little_back_are_reported() {
    let moved = |bytes: (u64, u64)| {
        let mut world = world();
        for number in 0..10 {
            let each = (bytes.0 / 10, bytes.1 / 10);
            session(&mut world, 10_000 + number * 7919 * (number + 1), "198.51.100.7", 443, each);
        }
        anomalies(world)
    };
    assert_eq!(moved((120_000_000, 1_000_000)), ["exfiltration client medium"]);
    assert!(moved((120_000_000, 20_000_000)).is_empty(), "a conversation");
    assert!(moved((1_000_000, 120_000_000)).is_empty(), "a download");
    assert!(moved((90_000_000, 0)).is_empty(), "below the floor");
}
