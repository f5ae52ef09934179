//! When frames from an address that is not the sender's are reported, and when a runtime may still explain them.

use crate::support::world::{World, at, config, ip};
use hopwatch::input::*;

fn world() -> World {
    let mut world = World::new(config());
    world.start(0, "web-1", 10);
    world
}

#[test]
fn a_source_that_nobody_owns_is_told_with_the_macs_owner() {
    let mut world = world();
    let mut record = world.record(10_000, Protocol::UDP, 77, "198.51.100.9", 9999);
    record.orig.mac = Some(Mac([2, 0, 0, 0, 0, 10]));
    world.event(10_000, FlowEventKind::Started, &record);
    assert!(world.raised().iter().all(|alert| !alert.starts_with("unknown-source")), "the runtime may still tell");
    world.tick(10_700);
    assert!(world.raised().contains(&"unknown-source web-1 high".to_owned()), "{:?}", world.raised());
}

#[test]
fn a_borrowed_address_is_told_with_owner_and_sender() {
    let mut world = world();
    world.start(0, "db", 40);
    let mut record = world.record(10_000, Protocol::UDP, 40, "172.20.0.20", 9999);
    record.orig.mac = Some(Mac([2, 0, 0, 0, 0, 10]));
    world.event(10_000, FlowEventKind::Started, &record);
    world.tick(11_000);
    assert_eq!(world.raised(), ["unknown-source web-1 high"]);
    assert!(world.alerts[0].evidence[0].text.contains("belongs to db"), "{:?}", world.alerts[0].evidence);
}

#[test]
fn what_the_host_routes_in_is_no_unknown_source() {
    let mut world = world();
    for source in ["172.20.0.1", "203.0.113.9", "172.20.0.77"] {
        let mut record = world.record(10_000, Protocol::TCP, 1, "172.20.0.10", 80);
        record.tuple.orig.ip = ip(source);
        record.orig.mac = Some(Mac([2, 0, 0, 0, 0, 0xff]));
        world.event(10_000, FlowEventKind::Started, &record);
    }
    world.tick(12_000);
    assert!(world.raised().is_empty(), "{:?}", world.raised());
}

/// A frame from an address and a MAC that no runtime has reported.
fn nobodys_frame(world: &mut World) {
    let mut record = world.record(10_000, Protocol::UDP, 77, "172.20.0.10", 9999);
    record.orig.mac = Some(Mac([2, 0, 0, 0, 0, 77]));
    world.event(10_000, FlowEventKind::Started, &record);
}

#[test]
fn a_container_that_the_runtime_reports_seconds_late_is_no_unknown_source() {
    let mut world = world();
    nobodys_frame(&mut world);
    world.tick(13_000);
    assert!(world.raised().is_empty(), "the runtime may be busy: {:?}", world.raised());
    world.start_with(13_500, "late", 77, |workload| workload.since = Some(at(9_900)));
    world.tick(60_000);
    world.finish();
    assert!(world.raised().is_empty(), "{:?}", world.raised());
}

#[test]
fn frames_of_nobody_are_reported_when_the_runtime_had_its_time_or_at_the_end() {
    for ends in [false, true] {
        let mut world = world();
        nobodys_frame(&mut world);
        world.tick(13_000);
        assert!(world.raised().is_empty(), "{:?}", world.raised());
        if ends {
            world.finish();
        } else {
            world.tick(16_000);
        }
        assert_eq!(world.raised(), ["unknown-source - high"], "{ends}");
        assert_eq!((world.alerts[0].first_seen, world.alerts[0].count), (at(10_000), 1));
    }
}

#[test]
fn a_suspicion_is_not_lost_when_the_runtime_or_the_network_goes_meanwhile() {
    let gone = || InventoryEvent::Disconnected { runtime: hopwatch::input::RuntimeId::DOCKER, error: "gone".into() };
    let network = || InventoryEvent::NetworkRemoved { id: crate::support::facts::network().id };
    for event in [gone(), network()] {
        let mut world = world();
        nobodys_frame(&mut world);
        world.tick(12_000);
        world.runtime(13_000, event.clone());
        world.tick(16_000);
        assert!(world.raised().contains(&"unknown-source - high".to_owned()), "{event:?}: {:?}", world.raised());
    }
}

#[test]
fn more_suspects_than_are_held_are_reported_in_their_order() {
    let mut world = world();
    for number in 0..300_u64 {
        let mut record = world.record(10_000 + number, Protocol::UDP, 77, "172.20.0.10", 9999);
        record.tuple.orig.port = 10_000 + u16::try_from(number).expect("a port");
        record.orig.mac = Some(Mac([2, 0, 0, 0, 0, 77]));
        world.event(10_000 + number, FlowEventKind::Started, &record);
    }
    world.tick(20_000);
    let alert = world.alerts.iter().find(|alert| alert.rule == "unknown-source").expect("an alert");
    assert_eq!(alert.first_seen, at(10_000));
}

/// A datagram that claims to come from outside, with a MAC that nobody has, and then the workload's own to there.
fn forged_question(own_after: u64) -> World {
    let mut world = world();
    let mut record = world.record(10_000, Protocol::UDP, 1, "172.20.0.10", 40_002);
    record.tuple.orig = Endpoint { ip: ip("198.51.100.10"), port: 4444 };
    record.orig.mac = Some(Mac([2, 0, 0, 0, 0x77, 0x77]));
    record.orig.next_hop = Some(Mac([2, 0, 0, 0, 0, 10]));
    world.event(10_000, FlowEventKind::Started, &record);
    world.tick(10_000 + own_after);
    record.resp = Side {
        mac: Some(Mac([2, 0, 0, 0, 0, 10])),
        next_hop: Some(Mac([2, 0, 0, 0, 0, 0xff])),
        counters: Counters { packets: 1, ..record.orig.counters },
    };
    record.end = at(10_000 + own_after);
    world.event(10_000 + own_after, FlowEventKind::Answered, &record);
    world.tick(20_000);
    world
}

#[test]
fn a_forged_frame_is_one_alert_whenever_the_flow_that_it_began_is_judged() {
    let told = |own_after| {
        let alerts = forged_question(own_after).alerts;
        let alerts = alerts.iter().filter(|alert| alert.rule == "unknown-source");
        alerts.map(|alert| (alert.id.clone(), alert.destinations.clone())).collect::<Vec<_>>()
    };
    let (before, after) = (told(200), told(3_000));
    assert!(!before.is_empty() && !after.is_empty(), "{before:?} {after:?}");
    for (id, destinations) in before.iter().chain(&after) {
        assert_eq!(id, &before[0].0);
        assert_eq!(destinations.len(), 1, "{destinations:?}");
        assert_eq!(destinations[0], before[0].1[0]);
    }
}
