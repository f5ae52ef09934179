//! Fragments and layers at the meter: every packet is counted once, whatever the order.

use std::time::Duration;

use hopwatch::decode::{LinkType, TunnelPorts};
use hopwatch::flow::{Layer, Meter, MeterLimits};
use hopwatch::input::{Fact, FlowEventKind, FlowRecord, Input, ObservationPoint, TunnelKind};
use hopwatch::time::Timestamp;
use proptest::prelude::*;

const LIMITS: MeterLimits = MeterLimits {
    max_flows: 1000,
    idle_timeout: Duration::from_mins(1),
    active_timeout: Duration::ZERO,
    update_interval: Duration::ZERO,
};

fn meter(layer: Layer) -> Meter {
    Meter::new(ObservationPoint::new("test"), LinkType::RAW, LIMITS).with_layer(layer, TunnelPorts::default())
}

/// An IPv4 packet of a host to 10.0.0.255: identification, fragment field, protocol, what it carries.
fn ip(host: u8, id: u8, place: u16, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + payload.len()).expect("small").to_be_bytes();
    let place = place.to_be_bytes();
    let head =
        [0x45, 0, total[0], total[1], 0, id, place[0], place[1], 64, protocol, 0, 0, 10, 0, 0, host, 10, 0, 0, 255];
    [&head[..], payload].concat()
}

/// Piece `number` of `of` of a datagram to port 53.
fn piece(host: u8, id: u8, number: u16, of: u16) -> Vec<u8> {
    let more = if number + 1 < of { 0x2000 } else { 0 };
    let payload: &[u8] = if number == 0 { &[0x11, 0x11, 0, 53, 0, 16, 0, 0] } else { &[7; 8] };
    ip(host, id, number | more, 17, payload)
}

/// The records of packets that come a second apart.
fn records(meter: &mut Meter, packets: &[Vec<u8>]) -> Vec<FlowRecord> {
    let mut out: Vec<Input> = Vec::new();
    for (second, packet) in (0_i64..).zip(packets) {
        let wire_len = u32::try_from(packet.len()).expect("small");
        meter.packet(Timestamp::from_secs(second), wire_len, packet, &mut out);
        let stats = meter.stats();
        assert_eq!(stats.flow_packets + stats.non_ip, stats.packets, "at every moment");
    }
    meter.drain(&mut out);
    let ended = out.into_iter().filter_map(|input| match input.fact {
        Fact::Flow(event) if matches!(event.kind, FlowEventKind::Ended(_)) => Some(event.record),
        _ => None,
    });
    ended.collect()
}

fn packets(record: &FlowRecord) -> u64 {
    record.orig.counters.packets + record.resp.counters.packets
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_in_any_order_are_one_flow_each_host(
        order in Just((0..12_u16).collect::<Vec<_>>()).prop_shuffle(),
        layer in prop::sample::select(vec![Layer::Outer, Layer::Inner]),
    ) {
        // Two hosts, two datagrams each, three pieces each, with the same identifications.
        let make = |n: &u16| piece(1 + (n % 2) as u8, 1 + (n / 2 % 2) as u8, n / 4, 3);
        let all: Vec<Vec<u8>> = order.iter().map(make).collect();
        let records = records(&mut meter(layer), &all);
        prop_assert_eq!(records.len(), 2);
        for record in records {
            prop_assert_eq!((packets(&record), record.fragments), (6, 6));
            prop_assert_eq!((record.tuple.orig.port, record.tuple.resp.port), (0x1111, 53));
        }
    }

    /// Whatever pieces come, lost, twice or of nothing: each is in one record.
    #[test]
    fn no_piece_is_lost_or_counted_twice(
        pieces in prop::collection::vec((1_u8..4, 1_u8..4, 0_u16..4), 0..120),
    ) {
        let all: Vec<Vec<u8>> = pieces.iter().map(|&(host, id, number)| piece(host, id, number, 4)).collect();
        let records = records(&mut meter(Layer::Outer), &all);
        prop_assert_eq!(records.iter().map(packets).sum::<u64>(), all.len() as u64);
        prop_assert_eq!(records.iter().map(|record| record.fragments).sum::<u64>(), all.len() as u64);
    }
}

#[test]
fn a_piece_without_a_first_one_ends_up_without_ports_after_its_wait() {
    let mut meter = meter(Layer::Outer);
    let mut out: Vec<Input> = Vec::new();
    meter.packet(Timestamp::from_secs(1), 28, &piece(1, 1, 1, 3), &mut out);
    meter.advance(Timestamp::from_secs(30), &mut out);
    assert!(out.is_empty(), "it waits");
    meter.advance(Timestamp::from_secs(100), &mut out);
    let started = out.first().expect("a flow");
    assert_eq!(started.at, Timestamp::from_secs(31), "at its deadline, however time is told");
    let Fact::Flow(event) = &started.fact else { panic!("a flow event") };
    assert_eq!((event.record.tuple.resp.port, event.record.start), (0, Timestamp::from_secs(1)));
}

/// VXLAN, whose second packet is in two pieces.
fn through_vxlan() -> Vec<Vec<u8>> {
    let inner = [&[2; 12][..], &[0x08, 0], &ip(9, 1, 0, 17, &[0, 80, 0, 90, 0, 8, 0, 0])].concat();
    let mut udp = [&[0xc0, 0, 0x12, 0xb5, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 5, 0][..], &inner].concat();
    udp[5] = u8::try_from(udp.len()).expect("small");
    vec![ip(1, 1, 0, 17, &udp), ip(1, 2, 0x2000, 17, &udp), ip(1, 2, 8, 17, &[0; 8])]
}

#[test]
fn the_outer_layer_names_what_it_carries() {
    let records = records(&mut meter(Layer::Outer), &through_vxlan());
    assert_eq!(records.len(), 1);
    assert_eq!((packets(&records[0]), records[0].tuple.resp.port), (3, 4789));
    assert_eq!((records[0].tunnels[0].kind, records[0].tunnels[0].id), (TunnelKind::Vxlan, Some(5)));
}

#[test]
fn the_inner_layer_goes_through_and_counts_whole_frames() {
    let packets_in = through_vxlan();
    let mut records = records(&mut meter(Layer::Inner), &packets_in);
    records.sort_by_key(|record| record.tuple.resp.port);
    assert_eq!(records.len(), 2);
    let (inner, later) = (&records[0], &records[1]);
    assert_eq!((inner.tuple.orig.port, inner.tuple.resp.port, packets(inner)), (80, 90, 2));
    assert_eq!(inner.orig.counters.frame_bytes, (packets_in[0].len() + packets_in[1].len()) as u64);
    assert_eq!((inner.tunnels[0].kind, inner.tunnels[0].dst), (TunnelKind::Vxlan, [10, 0, 0, 255].into()));
    // The later piece carries nothing that can be read; it counts to the carrying flow, with its ports.
    assert_eq!((later.tuple.resp.port, packets(later), later.fragments), (4789, 1, 1));
}
