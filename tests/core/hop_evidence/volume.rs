//! Evidence by volume: a hop must see what the workload sends, and a mirror's copies accuse nobody.

use super::*;

/// `app`'s flow as the bridge and the monitor count it; the monitor sees `seen` of `sent` packets of 1,000 bytes.
fn watched(kind: HopKind, sent: u64, seen: u64) -> World {
    let mut world = world(vec![vec![hop("ids", kind)]]);
    let veth = |workload: &mut Workload| workload.attachments[0].host_interface = Some("veth-ids".into());
    world.start_with(0, "ids", 40, veth);
    link(&mut world, 0, "veth-ids", true);
    watch_translations(&mut world);
    let mut record = world.record(60_000, Protocol::UDP, 10, OUTSIDE, 4433);
    record.orig.next_hop = Some(HOST_MAC);
    let mut copy = record.clone();
    copy.id = FlowId(record.id.0 + 1000);
    copy.point = ObservationPoint::new("veth-ids");
    world.event(60_000, FlowEventKind::Started, &record);
    world.event(60_001, FlowEventKind::Started, &copy);
    for (millis, part) in [(70_000, 4), (80_000, 2), (90_000, 1)] {
        for (record, packets) in [(&mut record, sent), (&mut copy, seen)] {
            record.orig.counters.packets = (packets / part).max(1);
            record.orig.counters.payload_bytes = record.orig.counters.packets * 1_000;
            world.event(millis, FlowEventKind::Updated, record);
        }
    }
    for record in [&record, &copy] {
        world.event(91_000, FlowEventKind::Ended(EndReason::IdleTimeout), record);
    }
    world.tick(95_000);
    world
}

#[test]
fn a_mirror_that_sees_all_proves_the_flow_and_is_not_accused_of_its_copies() {
    let world = watched(HopKind::Mirror, 64, 64);
    assert_eq!(verdict(&world), "verified");
    assert!(world.raised().is_empty(), "{:?}", world.raised());
}

#[test]
fn a_mirror_that_sees_one_packet_of_many_proves_only_that_one() {
    let world = watched(HopKind::Mirror, 64, 1);
    assert_eq!(verdict(&world), "partial");
    assert_eq!(world.raised(), ["monitor-hop-skipped app high"]);
}

#[test]
fn a_few_packets_less_are_what_queues_lose() {
    assert_eq!(verdict(&watched(HopKind::Mirror, 64, 61)), "verified");
}
