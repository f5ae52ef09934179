//! A flood of new flows: the table stays within its bound, every eviction is counted, and who keeps talking stays.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use etherparse::PacketBuilder;
use hopwatch::decode::LinkType;
use hopwatch::flow::{FlowSink, FlowView, Meter, MeterLimits};
use hopwatch::input::{EndReason, FlowEventKind, ObservationPoint};
use hopwatch::time::Timestamp;
use proptest::prelude::*;

/// Flows that keep talking; they come from 192.0.2.0/24, the flood from 198.18.0.0/15.
const ESTABLISHED: u32 = 100;

/// A packet whose source address and port can be set.
struct Packet(Vec<u8>);

impl Packet {
    fn new() -> Self {
        let mut bytes = Vec::new();
        let step = PacketBuilder::ipv4([0; 4], [203, 0, 113, 1], 64).udp(0, 443);
        step.write(&mut bytes, &[0; 8]).expect("a packet in memory");
        Self(bytes)
    }

    fn established(&mut self, number: u32) -> &[u8] {
        self.from([192, 0, 2, u8::try_from(number).expect("few")], 40_000)
    }

    fn flood(&mut self, number: u32) -> &[u8] {
        let [_, high, middle, low] = number.to_be_bytes();
        self.from([198, 18, high, middle], 1024 + u16::from(low))
    }

    fn from(&mut self, ip: [u8; 4], port: u16) -> &[u8] {
        self.0[12..16].copy_from_slice(&ip);
        self.0[20..22].copy_from_slice(&port.to_be_bytes());
        &self.0
    }
}

/// What became of the flows.
#[derive(Default)]
struct Ends {
    started: u64,
    ended: u64,
    evicted: u64,
    evicted_established: BTreeSet<IpAddr>,
    established_packets: u64,
}

impl FlowSink for Ends {
    fn flow(&mut self, _: Timestamp, kind: FlowEventKind, flow: FlowView<'_>) {
        match kind {
            FlowEventKind::Started => self.started += 1,
            FlowEventKind::Ended(reason) => {
                self.ended += 1;
                let record = flow.record();
                let source = record.tuple.orig.ip;
                let established = matches!(source, IpAddr::V4(ip) if ip.octets()[0] == 192);
                self.established_packets += if established { record.orig.counters.packets } else { 0 };
                if reason == EndReason::LackOfResources {
                    self.evicted += 1;
                    self.evicted_established.extend(established.then_some(source));
                }
            }
            FlowEventKind::Answered
            | FlowEventKind::Payload
            | FlowEventKind::NextHopChanged
            | FlowEventKind::Resumed { .. }
            | FlowEventKind::Updated => {}
        }
    }
}

/// `tuples` new flows spread evenly over `span`, while each established flow sends every `pause`.
fn flood(tuples: u32, span: Duration, pause: Duration, max_flows: usize) -> (Ends, Meter, u64) {
    let limits = MeterLimits {
        max_flows,
        idle_timeout: Duration::from_hours(1),
        active_timeout: Duration::ZERO,
        update_interval: Duration::ZERO,
    };
    let mut meter = Meter::new(ObservationPoint::new("br-1"), LinkType::RAW, limits);
    let (mut ends, mut packet, mut sent) = (Ends::default(), Packet::new(), 0);
    let (step, mut next) = (span / tuples, Duration::ZERO);
    for number in 0..tuples {
        let passed = step * number;
        let at = Timestamp::default().plus(passed);
        if passed >= next {
            next += pause;
            sent += u64::from(ESTABLISHED);
            for number in 0..ESTABLISHED {
                meter.packet(at, 36, packet.established(number), &mut ends);
            }
        }
        meter.packet(at, 36, packet.flood(number), &mut ends);
        assert!(meter.stats().active_flows <= max_flows as u64);
    }
    (ends, meter, sent)
}

#[test]
fn a_million_tuples_in_a_minute_evict_each_other_and_nobody_who_talks() {
    let max_flows = 50_000;
    let (mut ends, mut meter, sent) = flood(1_000_000, Duration::from_mins(1), Duration::from_secs(1), max_flows);
    assert_eq!(ends.evicted_established, BTreeSet::new());
    assert_eq!(ends.started, 1_000_000 + u64::from(ESTABLISHED), "no established flow had to begin again");
    assert_eq!(ends.evicted, ends.started - max_flows as u64, "one out for one in");
    assert_eq!(meter.stats().evicted_flows, ends.evicted);
    meter.drain(&mut ends);
    assert_eq!((ends.ended, ends.established_packets), (ends.started, sent));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn who_talks_before_the_table_has_turned_over_stays(max_flows in 300..2_000_usize, share in 1..95_u32) {
        // So many new flows between two packets of an established one fit beside the established.
        let between = (u32::try_from(max_flows).expect("small") - ESTABLISHED) * share / 100;
        let tuples = 6_000;
        let span = Duration::from_secs(6);
        let (mut ends, mut meter, sent) = flood(tuples, span, span / tuples * between.max(1), max_flows);
        prop_assert_eq!(&ends.evicted_established, &BTreeSet::new());
        prop_assert_eq!(meter.stats().evicted_flows, ends.evicted);
        prop_assert_eq!(ends.evicted, u64::from(tuples + ESTABLISHED) - max_flows as u64);
        meter.drain(&mut ends);
        prop_assert_eq!((ends.ended, ends.established_packets), (ends.started, sent));
    }
}
