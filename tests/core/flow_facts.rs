//! What the meter reports beyond counters: who really asks, over which link addresses and by which way packets went, what an
//! ICMP error quotes, and what could not be read.

use std::net::IpAddr;
use std::time::Duration;

use etherparse::PacketBuilder;
use hopwatch::decode::LinkType;
use hopwatch::flow::{Meter, MeterLimits};
use hopwatch::input::{
    EndReason, Fact, FlowEventKind, FlowRecord, Input, LinkShare, Mac, ObservationPoint, Protocol, RareFacts, Undecoded,
};
use hopwatch::time::Timestamp;

const LIMITS: MeterLimits = MeterLimits {
    max_flows: 1000,
    idle_timeout: Duration::from_mins(1),
    active_timeout: Duration::from_mins(30),
    update_interval: Duration::from_secs(10),
};
const APP: (u8, u16) = (1, 40_000);
const FAR: (u8, u16) = (2, 443);

const fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

/// A TCP segment: flags, sequence number, acknowledgement, payload.
fn tcp(from: (u8, u16), to: (u8, u16), flags: &str, (seq, ack): (u32, u32), payload: usize) -> Vec<u8> {
    let step = PacketBuilder::ethernet2(mac(from.0).0, mac(to.0).0);
    let step = step.ipv4([192, 0, 2, from.0], [192, 0, 2, to.0], 64).tcp(from.1, to.1, seq, 1024);
    let step = flags.chars().fold(step, |step, flag| if flag == 'S' { step.syn() } else { step.ack(ack) });
    let mut frame = Vec::new();
    step.write(&mut frame, &vec![0; payload]).expect("a frame");
    frame
}

/// A datagram between two link addresses.
fn udp(pair: (u8, u8), from: (u8, u16), to: (u8, u16)) -> Vec<u8> {
    let step = PacketBuilder::ethernet2(mac(pair.0).0, mac(pair.1).0);
    let mut frame = Vec::new();
    let step = step.ipv4([192, 0, 2, from.0], [192, 0, 2, to.0], 64).udp(from.1, to.1);
    step.write(&mut frame, &[0; 100]).expect("a frame");
    frame
}

struct Bench {
    meter: Meter,
    out: Vec<Input>,
}

impl Bench {
    fn new() -> Self {
        let meter = Meter::new(ObservationPoint::new("br0"), LinkType::ETHERNET, LIMITS);
        Self { meter, out: Vec::new() }
    }

    fn frame(&mut self, millis: u64, frame: &[u8]) -> &mut Self {
        let wire_len = u32::try_from(frame.len()).expect("small");
        self.meter.packet(at(millis), wire_len, frame, &mut self.out);
        self
    }

    fn drained(&mut self) -> Vec<(FlowEventKind, FlowRecord)> {
        self.meter.drain(&mut self.out);
        let events = self.out.drain(..).filter_map(|input| match input.fact {
            Fact::Flow(event) => Some((event.kind, event.record)),
            _ => None,
        });
        events.collect()
    }

    fn ended(&mut self) -> Vec<FlowRecord> {
        let ended = self.drained().into_iter().filter(|(kind, _)| matches!(kind, FlowEventKind::Ended(_)));
        ended.map(|(_, record)| record).collect()
    }

    /// The records that ended: who asked, how many packets each side sent, and whether the direction was turned.
    fn records(&mut self) -> Vec<(u16, (u64, u64), bool)> {
        let shown = |record: FlowRecord| {
            let packets = (record.orig.counters.packets, record.resp.counters.packets);
            (record.tuple.orig.port, packets, rare(&record).reoriented)
        };
        self.ended().into_iter().map(shown).collect()
    }
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_secs(1000).plus(Duration::from_millis(millis))
}

fn rare(record: &FlowRecord) -> RareFacts {
    record.rare.as_deref().cloned().unwrap_or_default()
}

/// A connection that APP opens, with numbers of its own.
fn connection(bench: &mut Bench) {
    bench
        .frame(100, &tcp(APP, FAR, "S", (5000, 0), 0))
        .frame(110, &tcp(FAR, APP, "SA", (9000, 5001), 0))
        .frame(120, &tcp(APP, FAR, "A", (5001, 9001), 100))
        .frame(130, &tcp(FAR, APP, "A", (9001, 5101), 100));
}

#[test]
fn a_syn_after_a_lone_syn_ack_of_the_same_host_names_it_the_originator() {
    let mut bench = Bench::new();
    bench.frame(0, &tcp(APP, FAR, "SA", (4999, 1), 0));
    connection(&mut bench);
    assert_eq!(bench.records(), [(443, (0, 1), false), (40_000, (2, 2), true)]);
}

#[test]
fn a_forged_question_from_the_other_side_does_not_turn_a_connection() {
    let mut before = Bench::new();
    before.frame(0, &tcp(FAR, APP, "S", (1, 0), 0));
    connection(&mut before);
    assert_eq!(before.records(), [(443, (1, 0), false), (40_000, (2, 2), true)]);
    // Between the question and its answer: the one whose SYN is answered asks.
    let mut between = Bench::new();
    between.frame(0, &tcp(APP, FAR, "S", (5000, 0), 0)).frame(1, &tcp(FAR, APP, "S", (1, 0), 0));
    between.frame(10, &tcp(FAR, APP, "SA", (9000, 5001), 0)).frame(20, &tcp(APP, FAR, "A", (5001, 9001), 100));
    assert_eq!(between.records(), [(40_000, (1, 0), false), (443, (1, 0), true), (40_000, (1, 1), true)]);
}

#[test]
fn a_forged_handshake_gives_way_to_the_real_one() {
    let mut bench = Bench::new();
    bench.frame(0, &tcp(FAR, APP, "S", (1, 0), 0)).frame(1, &tcp(APP, FAR, "SA", (4999, 2), 0));
    connection(&mut bench);
    let last = bench.records().pop().expect("a record");
    assert_eq!(last, (40_000, (1, 2), true), "from the answer on");
}

#[test]
fn what_comes_again_or_is_forged_later_turns_nothing() {
    let mut bench = Bench::new();
    bench.frame(0, &tcp(APP, FAR, "S", (5000, 0), 0)).frame(1, &tcp(APP, FAR, "S", (5000, 0), 0));
    bench.frame(2, &tcp(FAR, APP, "SA", (9000, 5001), 0)).frame(3, &tcp(FAR, APP, "SA", (9000, 5001), 0));
    bench.frame(4, &tcp(APP, FAR, "A", (5001, 9001), 9));
    bench.frame(5, &tcp(FAR, APP, "S", (77, 0), 0)).frame(6, &tcp(APP, FAR, "SA", (1, 1), 0));
    assert_eq!(bench.records(), [(40_000, (4, 3), false)]);
}

#[test]
fn another_next_hop_is_an_event_and_counted_by_itself() {
    let mut bench = Bench::new();
    let frame = |to: u8| udp((1, to), APP, FAR);
    let hops = [9, 9, 9, 8, 8, 8, 8, 8, 8, 8].into_iter().chain(20..30);
    for (millis, to) in (0..).zip(hops) {
        bench.frame(millis, &frame(to));
    }
    bench.frame(30, &udp((9, 1), FAR, APP));
    let events = bench.drained();
    let changed = events.iter().filter(|(kind, _)| *kind == FlowEventKind::NextHopChanged).count();
    assert_eq!(changed, 5, "four other pairs, and one for all that are not kept");
    let (_, record) = events.last().expect("an end");
    assert_eq!((record.orig.mac, record.orig.next_hop), (Some(mac(1)), Some(mac(9))));
    let links = rare(record).other_links;
    let frame_bytes = 7 * frame(8).len() as u64;
    let eight = LinkShare { from_orig: true, mac: Some(mac(1)), next_hop: Some(mac(8)), packets: 7, frame_bytes };
    let rest = LinkShare { mac: None, next_hop: None, ..eight };
    assert_eq!((links.len(), links[0], links[4]), (5, eight, rest));
    assert!(rare(&record.clone().reversed()).other_links.iter().all(|link| !link.from_orig));
}

#[test]
fn the_way_that_a_packet_names_is_in_the_record_and_is_not_its_destination() {
    let mut bench = Bench::new();
    let mut frame = udp((1, 9), APP, FAR);
    bench.frame(0, &frame);
    frame.splice(34..34, [1, 131, 11, 4, 198, 51, 100, 1, 198, 51, 100, 2]);
    frame[14] = 0x48;
    frame[17] += 12;
    bench.frame(1, &frame).frame(2, &frame);
    let record = bench.ended().pop().expect("an end");
    assert_eq!(record.tuple.resp.ip, IpAddr::from([192, 0, 2, 2]));
    let way = vec![IpAddr::from([198, 51, 100, 1]), IpAddr::from([198, 51, 100, 2])];
    assert_eq!((rare(&record).routed_packets, rare(&record).routed_via), (2, way));
    assert_eq!(record.orig.counters.packets, 3);
}

#[test]
fn an_error_says_whether_it_quotes_a_flow_that_was_seen() {
    let error = |quoted: &[u8]| {
        let step = PacketBuilder::ethernet2(mac(9).0, mac(1).0).ipv4([192, 0, 2, 2], [192, 0, 2, 1], 64);
        let mut frame = Vec::new();
        step.icmpv4_raw(3, 3, [0; 4]).write(&mut frame, quoted).expect("a frame");
        frame
    };
    let mut bench = Bench::new();
    let (seen, stranger) = (udp((1, 9), APP, FAR), udp((1, 9), (1, 5), (2, 6)));
    bench.frame(0, &seen).frame(1, &error(&seen[14..])).frame(2, &error(&stranger[14..])).frame(3, &error(b"none"));
    let icmp = bench.ended().into_iter().find(|record| record.tuple.protocol == Protocol::ICMP).expect("errors");
    assert_eq!((icmp.orig.counters.packets, rare(&icmp).quoting_packets), (3, 1));
}

#[test]
fn what_could_not_be_read_is_reported_by_sender() {
    let frame = |from: u8, rest: &[u8]| [&mac(9).0[..], &mac(from).0, rest, &[0x45; 40]].concat();
    let tags = [[0x81, 0, 0, 1].repeat(5), vec![0x08, 0]].concat();
    let (tagged, other, arp) = (|from: u8| frame(from, &tags), frame(1, &[0x88, 0xb5]), frame(1, &[0x08, 0x06]));
    let mut bench = Bench::new();
    bench.frame(0, &tagged(1)).frame(1, &tagged(1)).frame(2, &tagged(3)).frame(3, &other).frame(4, &arp);
    let reported = |bench: &mut Bench| {
        let all = bench.out.drain(..).filter_map(|input| match input.fact {
            Fact::Undecoded(frames) => Some((input.at, *frames)),
            _ => None,
        });
        all.collect::<Vec<(Timestamp, Undecoded)>>()
    };
    assert_eq!(reported(&mut bench), []);
    bench.meter.advance(at(20_000), &mut bench.out);
    let entry = |from: u8, reason, packets: u64, bytes: usize, last: u64| {
        let frame_bytes = packets * bytes as u64;
        let (point, mac) = (ObservationPoint::new("br0"), Some(mac(from)));
        (at(10_000), Undecoded { point, mac, reason, packets, frame_bytes, last: at(last) })
    };
    let len = tagged(1).len();
    let expected =
        [entry(1, "non_ip", 1, other.len(), 3), entry(1, "vlan_depth", 2, len, 1), entry(3, "vlan_depth", 1, len, 2)];
    assert_eq!(reported(&mut bench), expected);
    bench.frame(30_000, &tagged(1));
    bench.meter.drain(&mut bench.out);
    assert_eq!(reported(&mut bench).len(), 1, "the end reports what is left");
}

#[test]
fn a_cut_chain_of_extension_headers_is_no_flow_of_an_extension_header() {
    let options = |next: u8| [&[next, 31][..], &[0; 254]].concat();
    let mut frame = [&mac(9).0[..], &mac(1).0, &[0x86, 0xdd, 0x60, 0, 0, 0, 2, 30, 60, 64]].concat();
    frame.extend([0x20; 32]);
    frame.extend([options(60), options(17), vec![0x9c, 0x40, 0, 53, 0, 30], vec![0; 24]].concat());
    let wire_len = u32::try_from(frame.len()).expect("small");
    let mut bench = Bench::new();
    bench.meter.packet(at(0), wire_len, &frame, &mut bench.out);
    bench.meter.packet(at(1), wire_len, &frame[..256], &mut bench.out);
    assert_eq!(bench.meter.stats().not_decoded, [("truncated_extensions", 1)].into());
    let ports: Vec<u16> = bench.ended().iter().map(|record| record.tuple.resp.port).collect();
    assert_eq!(ports, [53]);
}

#[test]
fn a_conversation_keeps_its_originator_over_silence() {
    let (question, answer) = (udp((1, 2), APP, FAR), udp((2, 1), FAR, APP));
    for (is_answered, later) in [(true, 40_000), (false, 443)] {
        let mut bench = Bench::new();
        bench.frame(0, &question);
        if is_answered {
            bench.frame(1, &answer);
        }
        bench.frame(100_000, &answer);
        let events = bench.drained();
        let idle = FlowEventKind::Ended(EndReason::IdleTimeout);
        assert!(events.iter().any(|(kind, record)| *kind == idle && record.tuple.orig.port == 40_000));
        // What nobody answered is no conversation.
        assert_eq!(events.last().map(|(_, record)| record.tuple.orig.port), Some(later));
    }
}

#[test]
fn late_packets_do_not_move_the_end_of_a_record() {
    let mut bench = Bench::new();
    let frame = udp((1, 2), APP, FAR);
    bench.frame(0, &frame).frame(20_000, &frame).frame(19_000, &frame).frame(5, &frame);
    let record = bench.ended().pop().expect("an end");
    assert_eq!((record.start, record.end), (at(0), at(20_000)));
    // Another flow moves the clock far ahead: all of these are old.
    bench.frame(90_000, &udp((1, 2), (1, 7), FAR));
    bench.frame(50_000, &frame).frame(60_000, &frame).frame(55_000, &frame);
    let late = bench.ended().into_iter().find(|record| record.tuple.orig.port == 40_000).expect("a record");
    assert_eq!((late.start, late.end), (at(50_000), at(60_000)));
}
