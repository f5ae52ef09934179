//! `unjudged-traffic`, and what it rests on: everything that a covered workload sends is counted.

use std::sync::Arc;

use hopwatch::engine::EngineConfig;
use hopwatch::input::*;
use hopwatch::path::{Amount, UnjudgedReason, Unobservable};

use crate::support::world::{World, at, config, named};

const RULE: &str = "unjudged-traffic";

/// A world with the proxy, a covered and an uncovered workload, and this budget.
fn world(budget_bytes: u64, change: impl FnOnce(&mut EngineConfig)) -> World {
    let mut config = config();
    config.contracts.retain(|contract| contract.name == "egress");
    config.rules.unjudged_traffic.budget_bytes = budget_bytes;
    change(&mut config);
    let mut world = World::new(config);
    for (name, host) in [("proxy", 3), ("web-1", 10), ("other", 20)] {
        world.start(0, name, host);
    }
    world
}

/// Frames that were seen at a time.
fn undecoded(millis: u64, point: &str, sender: Option<u8>, packets: u64) -> Fact {
    let mac = sender.map(|host| Mac([2, 0, 0, 0, 0, host]));
    let (point, frame_bytes) = (ObservationPoint::new(point), 100 * packets);
    Fact::Undecoded(Box::new(Undecoded { point, mac, reason: "vlan_depth", packets, frame_bytes, last: at(millis) }))
}

/// What is counted for a reason, of all senders.
fn counted(world: &World, contract: &str, reason: UnjudgedReason) -> Amount {
    world.engine.stats().unjudged.get(&(Arc::from(contract), reason)).copied().unwrap_or_default()
}

fn frames(packets: u64) -> Amount {
    Amount { flows: 0, packets, bytes: 100 * packets }
}

/// A TCP flow in mid-stream between two high ports, of which one direction shows, that has sent so many bytes.
fn midstream(world: &mut World, millis: u64, bytes: u64) -> FlowRecord {
    let mut record = world.record(millis, Protocol::TCP, 10, "198.51.100.7", 45_000);
    record.tcp = Some(TcpFacts { orig_flags: tcp_flags::ACK, ..TcpFacts::default() });
    record.orig.counters = Counters { packets: 10, frame_bytes: bytes, ip_bytes: bytes, payload_bytes: bytes };
    world.event(millis, FlowEventKind::Started, &record);
    record
}

#[test]
fn frames_of_a_covered_workload_that_cannot_be_read_are_counted_once_over_all_points() {
    let mut world = world(1_000_000, |_| {});
    for (point, sender, packets) in [
        ("br-net", Some(10), 5),
        ("veth10", Some(10), 7),
        ("br-net", Some(10), 4),
        ("br-net", Some(20), 50),
        ("br-net", Some(3), 50),
        ("br-net", Some(0xff), 50),
    ] {
        world.push(1000, undecoded(1000, point, sender, packets));
    }
    let frame = UnjudgedReason::Frame("vlan_depth");
    assert_eq!(
        counted(&world, "egress", frame),
        frames(9),
        "nine passed the bridge; the hop, the host and others are not covered"
    );
    assert_eq!(counted(&world, "", frame), frames(0));
    world.push(2000, undecoded(2000, "br-net", Some(0x99), 6));
    world.push(2000, undecoded(2000, "br-net", None, 1));
    assert_eq!(counted(&world, "", frame), frames(7), "nobody's MAC counts for the network");
    assert!(world.raised().is_empty(), "{:?}", world.raised());
}

#[test]
fn above_its_budget_the_rule_names_the_workload_the_amount_and_the_reason() {
    let mut world = world(1000, |_| {});
    world.push(1000, undecoded(1000, "br-net", Some(10), 10));
    assert_eq!(world.times(RULE), 0, "a budget that is not exceeded");
    world.push(2000, undecoded(2000, "br-net", Some(10), 1));
    assert_eq!(world.raised(), ["unjudged-traffic web-1 medium"]);
    let evidence = world.evidence();
    assert!(evidence.contains("it sent 1100 bytes in 1 s that no contract could judge, more than 1000"), "{evidence}");
    assert!(evidence.contains("11 packets, 1100 bytes in frames that belong to no flow (vlan_depth)"), "{evidence}");
    world.push(3000, undecoded(3000, "br-net", Some(10), 10));
    world.push(4000, undecoded(4000, "br-net", Some(10), 1));
    world.finish();
    assert_eq!(world.raised().len(), 1, "one alert");
    assert_eq!(world.alerts.last().map(|alert| alert.count), Some(2), "that counts each further budget");
}

#[test]
fn the_benign_twin_and_a_slow_sender_are_quiet() {
    let mut allowed = world(1000, |config| config.rules.unjudged_traffic.allowed = vec![named("web-1")]);
    allowed.push(1000, undecoded(1000, "br-net", Some(10), 500));
    assert!(allowed.raised().is_empty(), "{:?}", allowed.raised());
    let mut slow = world(1000, |_| {});
    for hour in 0..20 {
        slow.push(1000 + hour * 3_700_000, undecoded(1000 + hour * 3_700_000, "br-net", Some(10), 9));
    }
    assert!(slow.raised().is_empty(), "{:?}", slow.raised());
}

#[test]
fn frames_of_macs_that_nobody_has_are_one_alert_about_their_network() {
    let mut world = world(1000, |_| {});
    for number in 0..200_u8 {
        let (millis, mac) = (1000 + u64::from(number), Some(Mac([6, 0, 0, 0, 0, number])));
        let point = ObservationPoint::new("br-net");
        let frames = Undecoded { point, mac, reason: "non_ip", packets: 1, frame_bytes: 100, last: at(millis) };
        world.push(millis, Fact::Undecoded(Box::new(frames)));
    }
    assert_eq!(world.raised(), ["unjudged-traffic - medium"]);
    assert!(world.evidence().contains("on network net"), "{}", world.evidence());
}

#[test]
fn unobservable_flows_count_while_they_are_and_as_they_grow() {
    let one_sided = UnjudgedReason::Flow(Unobservable::OneSided);
    let mut world = world(1_000_000, |_| {});
    let mut record = midstream(&mut world, 1000, 400_000);
    world.tick(4000);
    assert_eq!(world.count("egress", "unobservable"), 1);
    assert_eq!(counted(&world, "egress", one_sided), Amount { flows: 1, packets: 10, bytes: 400_000 });
    record.orig.counters.frame_bytes = 1_400_000;
    record.orig.counters.packets = 30;
    world.event(5000, FlowEventKind::Updated, &record);
    assert_eq!(counted(&world, "egress", one_sided), Amount { flows: 1, packets: 30, bytes: 1_400_000 });
    assert_eq!(world.times(RULE), 1, "one unobservable flow among few passes no budget unseen");
}

#[test]
fn a_revised_verdict_takes_its_flow_back() {
    let one_sided = UnjudgedReason::Flow(Unobservable::OneSided);
    let mut world = world(1_000_000, |_| {});
    let mut record = midstream(&mut world, 1000, 400_000);
    world.tick(4000);
    record.tcp = Some(TcpFacts { orig_flags: tcp_flags::ACK | tcp_flags::SYN, ..TcpFacts::default() });
    record.resp.counters.packets = 1;
    world.event(5000, FlowEventKind::Answered, &record);
    world.event(5100, FlowEventKind::Updated, &record);
    assert_eq!((world.count("egress", "unobservable"), world.count("egress", "bypassed")), (0, 1));
    assert_eq!(counted(&world, "egress", one_sided), Amount::default());
}

#[test]
fn what_no_contract_covers_is_counted_and_spends_no_budget() {
    let mut world = world(10, |_| {});
    world.udp(1000, 10, "192.168.5.5", 4000);
    world.udp(1000, 20, "192.168.5.5", 4000);
    world.tick(4000);
    let Amount { flows, packets, bytes } = counted(&world, "egress", UnjudgedReason::NotCovered);
    assert_eq!((flows, packets, bytes), (1, 1, 74), "web-1's flow to a private address");
    assert_eq!(world.times(RULE), 0);
}
