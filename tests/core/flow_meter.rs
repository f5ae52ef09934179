//! The flow meter: who is originator, when a flow is answered, updated and ended, and what always adds up.

mod sinks;

use std::collections::BTreeMap;
use std::time::Duration;

use etherparse::PacketBuilder;
use hopwatch::decode::LinkType;
use hopwatch::flow::{Meter, MeterLimits, TCP_LINGER};
use hopwatch::input::{EndReason, Fact, FlowEvent, FlowEventKind, Input, ObservationPoint};
use hopwatch::time::Timestamp;
use proptest::prelude::*;

const LIMITS: MeterLimits = MeterLimits {
    max_flows: 1000,
    idle_timeout: Duration::from_mins(1),
    active_timeout: Duration::from_mins(5),
    update_interval: Duration::from_secs(10),
};

/// An end of a connection: the last byte of its address, and its port.
type End = (u8, u16);
const APP: End = (1, 40_000);
const WEB: End = (2, 80);

fn tcp(from: End, to: End, flags: &str, payload: usize) -> Vec<u8> {
    let mut step = PacketBuilder::ipv4([192, 0, 2, from.0], [192, 0, 2, to.0], 64).tcp(from.1, to.1, 1, 1024);
    for flag in flags.chars() {
        step = match flag {
            'S' => step.syn(),
            'A' => step.ack(2),
            'F' => step.fin(),
            'R' => step.rst(),
            other => panic!("no flag {other}"),
        };
    }
    let mut packet = Vec::new();
    step.write(&mut packet, &vec![0; payload]).expect("packet");
    packet
}

fn udp(from: End, to: End) -> Vec<u8> {
    udp_with(from, to, &[0; 10])
}

fn udp_with(from: End, to: End, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let step = PacketBuilder::ipv4([192, 0, 2, from.0], [192, 0, 2, to.0], 64);
    step.udp(from.1, to.1).write(&mut packet, payload).expect("packet");
    packet
}

fn icmp(from: u8, to: u8, kind: u8, code: u8) -> Vec<u8> {
    let mut packet = Vec::new();
    let step = PacketBuilder::ipv4([192, 0, 2, from], [192, 0, 2, to], 64);
    step.icmpv4_raw(kind, code, [0; 4]).write(&mut packet, &[0; 10]).expect("packet");
    packet
}

struct Bench {
    meter: Meter,
    out: Vec<Input>,
}

impl Bench {
    fn new(limits: MeterLimits) -> Self {
        Self { meter: Meter::new(ObservationPoint::new("docker0"), LinkType::RAW, limits), out: Vec::new() }
    }

    fn packet(&mut self, seconds: f64, packet: &[u8]) -> &mut Self {
        let wire_len = u32::try_from(packet.len()).expect("small");
        self.meter.packet(at(seconds), wire_len, packet, &mut self.out);
        self
    }

    fn advance(&mut self, seconds: f64) -> &mut Self {
        self.meter.advance(at(seconds), &mut self.out);
        self
    }

    /// What came out since the last look, as text: `9.5 started 1:40000>2:80 1/0`.
    fn seen(&mut self) -> Vec<String> {
        self.out.drain(..).map(|input| show(&input)).collect()
    }

    fn drained(&mut self) -> Vec<String> {
        self.meter.drain(&mut self.out);
        self.seen()
    }
}

fn at(seconds: f64) -> Timestamp {
    Timestamp::default().plus(Duration::from_secs_f64(seconds))
}

fn event(input: &Input) -> &FlowEvent {
    match &input.fact {
        Fact::Flow(event) => event,
        other => panic!("{other:?}"),
    }
}

/// The frames that a report of undecoded ones is about; 0 for other inputs.
fn undecoded(input: &Input) -> u64 {
    if let Fact::Undecoded(frames) = &input.fact { frames.packets } else { 0 }
}

fn show(input: &Input) -> String {
    let FlowEvent { kind, record } = event(input);
    let kind = match *kind {
        FlowEventKind::Started => "started".to_owned(),
        FlowEventKind::Answered => "answered".to_owned(),
        FlowEventKind::Payload => "payload".to_owned(),
        FlowEventKind::NextHopChanged => "next hop".to_owned(),
        FlowEventKind::Resumed { by_orig } => format!("resumed by {}", if by_orig { "orig" } else { "resp" }),
        FlowEventKind::Updated => "updated".to_owned(),
        FlowEventKind::Ended(reason) => format!("{reason:?}"),
    };
    let end = |end: hopwatch::input::Endpoint| end.to_string().replace("192.0.2.", "");
    let (orig, resp) = (end(record.tuple.orig), end(record.tuple.resp));
    let packets = (record.orig.counters.packets, record.resp.counters.packets);
    format!("{} {kind} {orig}>{resp} {}/{}", input.at.since(Timestamp::default()).as_secs_f64(), packets.0, packets.1)
}

#[test]
fn a_whole_connection_is_one_flow_with_its_last_acknowledgement() {
    let mut bench = Bench::new(LIMITS);
    bench.packet(0.0, &tcp(APP, WEB, "S", 0)).packet(0.1, &tcp(WEB, APP, "SA", 0)).packet(0.2, &tcp(APP, WEB, "A", 9));
    assert_eq!(bench.seen(), ["0 started 1:40000>2:80 1/0", "0.1 answered 1:40000>2:80 1/1"]);
    bench.packet(1.0, &tcp(APP, WEB, "FA", 0)).packet(1.1, &tcp(WEB, APP, "FA", 0)).packet(1.2, &tcp(APP, WEB, "A", 0));
    bench.packet(2.0, &tcp(WEB, APP, "R", 0));
    assert_eq!(bench.seen(), Vec::<String>::new(), "late packets make no flow");
    bench.advance(2.0 + TCP_LINGER.as_secs_f64());
    assert_eq!(bench.seen(), ["7 EndOfFlow 1:40000>2:80 4/3"]);
    assert_eq!(bench.meter.stats().active_flows, 0);
}

#[test]
fn a_new_syn_after_the_end_is_a_new_flow() {
    let mut bench = Bench::new(LIMITS);
    bench.packet(0.0, &tcp(APP, WEB, "S", 0)).packet(0.1, &tcp(WEB, APP, "RA", 0));
    assert_eq!(bench.seen(), ["0 started 1:40000>2:80 1/0"], "a refusal is no answer");
    bench.packet(0.2, &tcp(APP, WEB, "S", 0)).packet(0.3, &tcp(WEB, APP, "SA", 0));
    assert_eq!(
        bench.seen(),
        ["0.2 EndOfFlow 1:40000>2:80 1/1", "0.2 started 1:40000>2:80 1/0", "0.3 answered 1:40000>2:80 1/1"]
    );
    assert_eq!(bench.drained(), ["0.3 ForcedEnd 1:40000>2:80 1/1"]);
}

#[test]
fn a_fin_from_the_only_side_seen_ends_it() {
    let mut bench = Bench::new(LIMITS);
    bench.packet(0.0, &tcp(APP, WEB, "FA", 0)).packet(0.1, &tcp(WEB, APP, "A", 0)).advance(8.0);
    assert_eq!(bench.seen().last().map(String::as_str), Some("5.1 EndOfFlow 1:40000>2:80 1/1"));
}

#[test]
fn only_the_originator_opens_an_open_connection_again() {
    let renewed = |from: End, to: End| {
        let mut packet = Vec::new();
        let step = PacketBuilder::ipv4([192, 0, 2, from.0], [192, 0, 2, to.0], 64).tcp(from.1, to.1, 77, 1024).syn();
        step.write(&mut packet, &[]).expect("packet");
        packet
    };
    let mut bench = Bench::new(LIMITS);
    bench.packet(0.0, &tcp(APP, WEB, "S", 0)).packet(0.1, &tcp(WEB, APP, "SA", 0)).packet(0.2, &tcp(APP, WEB, "S", 0));
    bench.packet(0.3, &renewed(WEB, APP));
    assert_eq!(bench.seen().len(), 2, "sent again, and forged by the responder");
    bench.packet(0.4, &renewed(APP, WEB));
    assert_eq!(bench.seen(), ["0.4 EndOfFlow 1:40000>2:80 2/2", "0.4 started 1:40000>2:80 1/0"]);
}

#[test]
fn connections_of_one_instant_have_ids_of_their_own() {
    let mut bench = Bench::new(LIMITS);
    for _ in 0..3 {
        bench.packet(1.0, &tcp(APP, WEB, "S", 0)).packet(1.0, &tcp(WEB, APP, "R", 0));
    }
    bench.meter.drain(&mut bench.out);
    let mut ids: Vec<_> = bench.out.iter().map(|input| event(input).record.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn a_first_syn_ack_names_the_other_side() {
    let mut bench = Bench::new(LIMITS);
    bench.packet(0.0, &tcp(WEB, APP, "SA", 0)).packet(0.1, &tcp(APP, WEB, "A", 0));
    assert_eq!(bench.seen(), ["0 started 1:40000>2:80 0/1", "0 answered 1:40000>2:80 0/1"]);
    assert_eq!(bench.drained(), ["0.1 ForcedEnd 1:40000>2:80 1/1"]);
}

#[test]
fn in_the_middle_of_a_connection_the_first_sender_is_the_originator() {
    let mut bench = Bench::new(LIMITS);
    bench.packet(0.0, &tcp(WEB, APP, "A", 100)).packet(0.1, &tcp(APP, WEB, "A", 0));
    assert_eq!(bench.seen(), ["0 started 2:80>1:40000 1/0", "0.1 answered 2:80>1:40000 1/1"]);
}

#[test]
fn pings_are_answered_and_errors_are_not() {
    let mut bench = Bench::new(LIMITS);
    bench.packet(0.0, &icmp(1, 2, 8, 0)).packet(0.1, &icmp(2, 1, 0, 0));
    assert_eq!(bench.seen(), ["0 started 1:8>2:0 1/0", "0.1 answered 1:8>2:0 1/1"]);
    bench.packet(1.0, &icmp(1, 2, 3, 3)).packet(1.1, &icmp(2, 1, 3, 3));
    assert_eq!(bench.seen(), ["1 started 1:3>2:3 1/0", "1.1 started 2:3>1:3 1/0"]);
}

#[test]
fn idle_flows_end_at_their_deadline_in_its_order() {
    let mut bench = Bench::new(MeterLimits { update_interval: Duration::ZERO, ..LIMITS });
    bench.packet(0.0, &udp(APP, (2, 53))).packet(1.0, &udp(APP, (3, 53))).packet(2.0, &udp((2, 53), APP));
    bench.seen();
    bench.advance(1000.0);
    assert_eq!(bench.seen(), ["61 IdleTimeout 1:40000>3:53 1/0", "62 IdleTimeout 1:40000>2:53 1/1"]);
}

#[test]
fn a_long_flow_goes_on_in_a_new_record_with_its_direction() {
    let mut bench = Bench::new(MeterLimits { update_interval: Duration::ZERO, ..LIMITS });
    for step in 0..8 {
        bench.packet(f64::from(step) * 50.0, &udp(APP, WEB));
    }
    bench.packet(360.0, &udp(WEB, APP));
    assert_eq!(
        bench.seen(),
        [
            "0 started 1:40000>2:80 1/0",
            "50 resumed by orig 1:40000>2:80 2/0",
            "100 resumed by orig 1:40000>2:80 3/0",
            "150 resumed by orig 1:40000>2:80 4/0",
            "200 resumed by orig 1:40000>2:80 5/0",
            "250 resumed by orig 1:40000>2:80 6/0",
            "300 ActiveTimeout 1:40000>2:80 6/0",
            "300 started 1:40000>2:80 1/0",
            "350 resumed by orig 1:40000>2:80 2/0",
            "360 answered 1:40000>2:80 2/1",
        ]
    );
    bench.advance(2000.0);
    assert_eq!(bench.seen(), ["420 IdleTimeout 1:40000>2:80 2/1"]);
    assert_eq!(bench.meter.stats().active_flows, 0);
}

#[test]
fn a_quiet_flow_after_the_active_timeout_is_forgotten_without_a_word() {
    let limits = MeterLimits { active_timeout: Duration::from_secs(30), update_interval: Duration::ZERO, ..LIMITS };
    let mut bench = Bench::new(limits);
    bench.packet(0.0, &udp(APP, WEB)).advance(1000.0);
    assert_eq!(bench.seen(), ["0 started 1:40000>2:80 1/0", "30 ActiveTimeout 1:40000>2:80 1/0"]);
    assert_eq!(bench.meter.stats().active_flows, 0);
}

#[test]
fn updates_come_once_an_interval_and_only_with_news() {
    let mut bench = Bench::new(LIMITS);
    bench.packet(0.0, &udp(APP, WEB)).packet(1.0, &udp(APP, WEB)).packet(2.0, &udp(APP, WEB));
    assert_eq!(bench.seen(), ["0 started 1:40000>2:80 1/0"]);
    bench.advance(50.0);
    assert_eq!(bench.seen(), ["10 updated 1:40000>2:80 3/0"]);
    bench.packet(51.0, &udp(APP, WEB)).packet(52.0, &udp(APP, WEB)).packet(63.0, &udp(APP, WEB));
    assert_eq!(
        bench.seen(),
        [
            "51 resumed by orig 1:40000>2:80 4/0",
            "51 updated 1:40000>2:80 4/0",
            "61 updated 1:40000>2:80 5/0",
            "63 resumed by orig 1:40000>2:80 6/0",
        ]
    );
    bench.advance(80.0);
    assert_eq!(bench.seen(), ["71 updated 1:40000>2:80 6/0"], "what resumed is in the next update, too");
}

#[test]
fn a_full_table_evicts_the_longest_idle_and_says_so() {
    let mut bench = Bench::new(MeterLimits { max_flows: 2, ..LIMITS });
    bench.packet(0.0, &udp(APP, (2, 53))).packet(1.0, &udp(APP, (3, 53))).packet(2.0, &udp(APP, (2, 53)));
    bench.seen();
    bench.packet(3.0, &udp(APP, (4, 53)));
    assert_eq!(bench.seen(), ["3 LackOfResources 1:40000>3:53 1/0", "3 started 1:40000>4:53 1/0"]);
    assert_eq!((bench.meter.stats().evicted_flows, bench.meter.stats().active_flows), (1, 2));
    bench.packet(4.0, &tcp(APP, WEB, "R", 0)).packet(5.0, &udp(APP, (5, 53)));
    assert_eq!(bench.meter.stats().evicted_flows, 2, "a connection that has ended makes room first");
}

#[test]
fn drained_in_order_of_start_and_tuple() {
    let mut bench = Bench::new(LIMITS);
    bench.packet(1.0, &udp((9, 9), WEB)).packet(1.0, &udp((3, 9), WEB)).packet(0.5, &udp((4, 9), WEB));
    bench.packet(2.0, &tcp(APP, WEB, "R", 0));
    bench.seen();
    let expected = [
        "2 ForcedEnd 4:9>2:80 1/0",
        "2 ForcedEnd 3:9>2:80 1/0",
        "2 ForcedEnd 9:9>2:80 1/0",
        "2 EndOfFlow 1:40000>2:80 1/0",
    ];
    assert_eq!(bench.drained(), expected);
    assert_eq!(bench.drained(), Vec::<String>::new());
}

#[test]
fn when_time_goes_back_records_keep_it_and_events_do_not() {
    let mut bench = Bench::new(LIMITS);
    bench.packet(100.0, &udp(APP, WEB)).packet(40.0, &udp(APP, (3, 53))).packet(41.0, &udp((3, 53), APP));
    let last = event(&bench.out[2]).record.clone();
    assert_eq!((last.start, last.end), (at(40.0), at(41.0)));
    assert!(bench.out.iter().all(|input| input.at == at(100.0)));
}

#[test]
fn frames_without_ip_and_without_sense_are_counted() {
    let mut meter = Meter::new(ObservationPoint::new("docker0"), LinkType::ETHERNET, LIMITS);
    let mut out = Vec::new();
    let arp = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], &[8, 6], &[0; 28]].concat();
    meter.packet(at(0.0), 42, &arp, &mut out);
    meter.packet(at(0.0), 42, &arp[..5], &mut out);
    let stats = meter.stats();
    assert_eq!((stats.packets, stats.frame_bytes, stats.non_ip, stats.flow_packets), (2, 84, 1, 0));
    assert_eq!(stats.not_decoded, BTreeMap::from([("truncated_link", 1)]));
    assert!(out.is_empty());
}

#[derive(Clone, Debug)]
struct Step {
    millis: i64,
    tick: Option<u8>,
    frame: Vec<u8>,
}

/// Requests and questions.
const SAID: [&[u8]; 4] = [
    b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
    b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n",
    b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x01\0\x01",
    b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x01b\x07example\0\0\x01\0\x01",
];

/// What is said, over TCP if it is a request, over UDP if it is a question.
fn talk(from: End, to: End, said: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let step = PacketBuilder::ipv4([192, 0, 2, from.0], [192, 0, 2, to.0], 64);
    match said.first() {
        Some(0) => step.udp(from.1, to.1).write(&mut packet, said),
        _ => step.tcp(from.1, to.1, 1, 1024).ack(1).write(&mut packet, said),
    }
    .expect("packet");
    packet
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let flags = prop::sample::select(vec!["S", "SA", "A", "A", "FA", "R", "RA"]);
    let frame = prop_oneof![
        6 => (0_u8..4, 0_u8..4, 0_u16..2, flags, 0_usize..50).prop_map(|(from, to, port, flags, payload)| {
            tcp((from, port), (to, port), flags, payload)
        }),
        2 => (0_u8..4, 0_u8..4, 0_u16..2).prop_map(|(from, to, port)| udp((from, port), (to, 53))),
        2 => (0_u8..4, 0_u8..4, 0_u16..2, prop::sample::select(SAID.to_vec()))
            .prop_map(|(from, to, port, said)| talk((from, port), (to, 53), said)),
        2 => (0_u8..4, 0_u8..4, prop::sample::select(vec![0_u8, 3, 8])).prop_map(|(from, to, kind)| icmp(from, to, kind, 0)),
        1 => prop::collection::vec(any::<u8>(), 0..60),
    ];
    let millis = prop_oneof![8 => 0_i64..2000, 1 => 5000_i64..80_000, 1 => -20_000_i64..0];
    let step =
        (millis, prop::option::of(any::<u8>()), frame).prop_map(|(millis, tick, frame)| Step { millis, tick, frame });
    prop::collection::vec(step, 0..120)
}

fn run(steps: &[Step], limits: MeterLimits, with_ticks: bool) -> (Vec<Input>, Meter) {
    let mut meter = Meter::new(ObservationPoint::new("docker0"), LinkType::RAW, limits);
    let mut out = Vec::new();
    let mut now = 1_000_000_i64;
    let mut clock = now;
    for (index, step) in steps.iter().enumerate() {
        let next = now + step.millis;
        // Before the first packet there is no time yet that a tick could be after.
        if let Some(part) = step.tick.filter(|_| with_ticks && index > 0) {
            // A tick promises that nothing older will come, so it lies before the packet that comes next.
            let tick = clock + (next - clock).max(0) * i64::from(part) / 255;
            meter.advance(Timestamp::from_nanos(tick * 1_000_000), &mut out);
        }
        now = next;
        clock = if index == 0 { now } else { clock.max(now) };
        let wire_len = u32::try_from(step.frame.len()).expect("small");
        meter.packet(Timestamp::from_nanos(now * 1_000_000), wire_len, &step.frame, &mut out);
    }
    meter.drain(&mut out);
    (out, meter)
}

prop_compose! {
    fn limits()(max_flows in 1_usize..12, idle in 0_u64..20, active in 0_u64..40, update in 0_u64..10) -> MeterLimits {
        let [idle_timeout, active_timeout, update_interval] = [idle, active, update].map(Duration::from_secs);
        MeterLimits { max_flows, idle_timeout, active_timeout, update_interval }
    }
}

/// Whether the clock shows a moment of before again after it was set back.
fn comes_back(steps: &[Step]) -> bool {
    let mut now = 0;
    let times: Vec<i64> = steps
        .iter()
        .map(|step| {
            now += step.millis;
            now
        })
        .collect();
    let again = |(at, time): (usize, &i64)| {
        let before = times[..at].iter().rposition(|earlier| earlier == time);
        before.is_some_and(|before| times[before..at].iter().any(|between| between != time))
    };
    times.iter().enumerate().any(again)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn inserted_ticks_change_nothing(steps in steps(), limits in limits()) {
        prop_assert_eq!(run(&steps, limits, true).0, run(&steps, limits, false).0);
    }

    #[test]
    fn everything_adds_up(steps in steps(), limits in limits()) {
        let (out, meter) = run(&steps, limits, false);
        let stats = meter.stats();
        let not_decoded: u64 = stats.not_decoded.values().sum();
        prop_assert_eq!(stats.packets, steps.len() as u64);
        prop_assert_eq!(stats.packets, stats.flow_packets + stats.non_ip + not_decoded);
        prop_assert_eq!(stats.active_flows, 0);
        prop_assert!(out.is_sorted_by_key(|input| input.at), "events go back in time");

        let (unread, out): (Vec<_>, Vec<_>) = out.into_iter().partition(|input| undecoded(input) > 0);
        prop_assert_eq!(unread.iter().map(undecoded).sum::<u64>(), stats.non_ip + not_decoded);
        let ended = |input: &&Input| matches!(event(input).kind, FlowEventKind::Ended(_));
        let in_records: u64 = out.iter().filter(ended)
            .map(|input| event(input).record.orig.counters.packets + event(input).record.resp.counters.packets).sum();
        prop_assert_eq!(in_records, stats.flow_packets);
        prop_assert_eq!(out.iter().filter(ended).count() as u64, stats.flows);
        let evicted = out.iter().filter(|input| event(input).kind == FlowEventKind::Ended(EndReason::LackOfResources));
        prop_assert_eq!(evicted.count() as u64, stats.evicted_flows);
    }

    /// Every record starts once, ends once and last, is answered at most once, and is not updated too often.
    #[test]
    fn every_record_has_a_life(steps in steps(), limits in limits()) {
        prop_assume!(!comes_back(&steps), "a record's id is its tuple and its start");
        let (out, _) = run(&steps, limits, false);
        let mut lives = std::collections::BTreeMap::<_, Vec<&Input>>::new();
        for input in out.iter().filter(|input| undecoded(input) == 0) {
            let record = &event(input).record;
            prop_assert!(record.start <= record.end);
            lives.entry(record.id).or_default().push(input);
        }
        for life in lives.values() {
            let kinds: Vec<_> = life.iter().map(|input| event(input).kind).collect();
            prop_assert_eq!(kinds[0], FlowEventKind::Started);
            prop_assert_eq!(kinds.iter().filter(|kind| **kind == FlowEventKind::Started).count(), 1);
            prop_assert!(kinds.iter().filter(|kind| **kind == FlowEventKind::Answered).count() <= 1);
            let told: Vec<_> = life.iter().filter(|input| event(input).kind == FlowEventKind::Payload).collect();
            prop_assert!(told.len() <= 4 && told.iter().all(|input| event(input).record.app.is_some()));
            let ends = kinds.iter().position(|kind| matches!(kind, FlowEventKind::Ended(_)));
            prop_assert_eq!(ends, Some(kinds.len() - 1));
            let updates: Vec<_> = life.iter().filter(|input| event(input).kind == FlowEventKind::Updated).collect();
            prop_assert!(updates.windows(2).all(|pair| pair[1].at.since(pair[0].at) >= limits.update_interval));
        }
    }
}
