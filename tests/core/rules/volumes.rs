//! Hours against the volumes of an approved baseline, through the engine: what is reported, how often, and what looks the same and is harmless.

use std::sync::Arc;

use hopwatch::baseline::traffic::{Facts, Ports, Row, Seen, TrafficBaseline, Way};
use hopwatch::baseline::volume::{Figure, HourRow, VolumeBaseline, Within, Zone, hour_of};
use hopwatch::baseline::{Baseline, ServiceBaseline};
use hopwatch::engine::EngineConfig;
use hopwatch::input::*;
use hopwatch::inventory::configuration::{ServiceKey, ServiceName};

use crate::support::engine_config::for_tests;
use crate::support::world::{World, at};

const HOUR: u64 = 3_600_000;
const ENDED: FlowEventKind = FlowEventKind::Ended(EndReason::EndOfFlow);
/// What one contact carries each way.
const CARRIED: (u64, u64) = (100_000, 20_000);

/// `client` makes about 60 contacts an hour, as it did in the three weeks before.
fn baseline() -> Baseline {
    let now = hour_of(at(0));
    let rows = (now - 3 * 168..now).filter_map(|hour| {
        let flows = 55 + (hour % 11).unsigned_abs();
        HourRow::new(hour, [flows * CARRIED.0, flows * CARRIED.1, flows * 4, flows * 4, flows, 0])
    });
    let rows: Vec<HourRow> = rows.collect();
    let mut traffic = TrafficBaseline::default();
    traffic.volume = VolumeBaseline::of(Zone::default(), 1, 0, &rows).expect("sketches");
    let key = ServiceKey::new(ServiceName::Name("client".into()), "client");
    let mut baseline = Baseline::new(7, None);
    baseline.insert(ServiceBaseline { traffic: Some(traffic), ..ServiceBaseline::new(key) });
    baseline
}

fn world() -> World {
    let baseline = Some(Arc::new(baseline()));
    let mut world = World::new(EngineConfig { baseline, max_alerts: 100, ..for_tests() });
    world.start(0, "client", 2);
    world.start(0, "db", 3);
    world
}

/// Answered, and it carried something.
fn talk(world: &mut World, millis: u64, host: u8, to: &str, carried: (u64, u64)) {
    talk_at(world, millis, host, (to, 8080), carried);
}

fn talk_at(world: &mut World, millis: u64, host: u8, (to, port): (&str, u16), (sent, back): (u64, u64)) {
    let mut record = world.record(millis, Protocol::TCP, host, to, port);
    world.event(millis, FlowEventKind::Started, &record);
    record.resp.counters.packets = 1;
    let flags = tcp_flags::SYN | tcp_flags::ACK;
    record.tcp = record.tcp.map(|tcp| TcpFacts { orig_flags: flags, resp_flags: flags, ..tcp });
    world.event(millis + 5, FlowEventKind::Answered, &record);
    (record.orig.counters.payload_bytes, record.resp.counters.payload_bytes) = (sent, back);
    (record.orig.counters.packets, record.resp.counters.packets) = (4, 4);
    world.event(millis + 10, FlowEventKind::Payload, &record);
    world.event(millis + 20, ENDED, &record);
}

/// An hour in which somebody talks every minute, and this service so often.
fn hour(world: &mut World, hour: u64, host: u8, contacts: u64) {
    for minute in 0..60 {
        talk(world, hour * HOUR + minute * 60_000 + 1000, 3, "172.20.0.1", (10, 10));
        let now = (0..contacts).filter(|number| number * 60 / contacts.max(1) == minute).count() as u64;
        for number in 0..now {
            talk(world, hour * HOUR + minute * 60_000 + 2000 + number * 1000, host, "172.20.0.3", CARRIED);
        }
    }
}

/// What was raised of the rule, and in how many updates.
fn told(mut world: World, hours: u64) -> Vec<String> {
    world.tick(hours * HOUR + 600_000);
    world.finish();
    world.raised().into_iter().filter(|raised| raised.starts_with("volume-anomaly")).collect()
}

#[test]
fn hours_like_those_that_were_learned_are_no_news() {
    let mut world = world();
    (0..6).for_each(|number| hour(&mut world, number, 2, 50 + number * 3));
    assert_eq!(told(world, 6), Vec::<String>::new());
}

#[test]
fn ten_times_as_much_is_one_low_alert_that_says_what_was_expected() {
    let mut world = world();
    for number in 0..6 {
        hour(&mut world, number, 2, if number > 1 { 600 } else { 60 });
    }
    world.tick(6 * HOUR + 600_000);
    let alerts: Vec<_> = world.alerts.iter().filter(|alert| alert.rule == "volume-anomaly").collect();
    assert_eq!(alerts.len(), 1, "four hours, one alert per day");
    let why = alerts[0].anomaly.as_ref().expect("an explanation");
    assert!(why.observed.contains("from 2025-11-24 18:00:00.000 UTC to 19:00:00.000 UTC (Mon 18:00 UTC)"), "{why:?}");
    assert!(why.expected.contains("to 65"), "{}", why.expected);
    assert!(why.objects.iter().any(|object| object.starts_with("flows out: 600, about ")), "{why:?}");
    assert!(why.limits.iter().any(|limit| limit.contains("baseline serial 7")), "{why:?}");
    assert_eq!(told(world, 6), ["volume-anomaly client low"]);
}

#[test]
fn silence_of_a_service_that_always_talks_is_told_after_the_hour() {
    let mut world = world();
    (0..2).for_each(|number| hour(&mut world, number, 2, 60));
    (2..4).for_each(|number| hour(&mut world, number, 2, 0));
    assert_eq!(told(world, 4), ["volume-anomaly client low"]);
}

#[test]
fn silence_is_none_where_the_service_was_stopped_or_packets_were_lost_or_nothing_of_anybody_was_seen() {
    let mut stopped = world();
    (0..2).for_each(|number| hour(&mut stopped, number, 2, 60));
    stopped.stop(2 * HOUR, "client");
    (2..4).for_each(|number| hour(&mut stopped, number, 2, 0));
    assert_eq!(told(stopped, 4), Vec::<String>::new(), "stopped");

    let mut lossy = world();
    (0..2).for_each(|number| hour(&mut lossy, number, 2, 60));
    let point = Some(ObservationPoint::new("br-net"));
    let loss = Loss { point, reason: LossReason::Kernel, count: 3, since: at(2 * HOUR + 60_000), source: None };
    lossy.push(2 * HOUR + 60_500, Fact::Recorded(RecordedFact::Loss(loss)));
    hour(&mut lossy, 2, 2, 0);
    assert_eq!(told(lossy, 3), Vec::<String>::new(), "a loss");

    let mut blind = world();
    (0..2).for_each(|number| hour(&mut blind, number, 2, 60));
    blind.tick(5 * HOUR);
    hour(&mut blind, 9, 2, 60);
    assert_eq!(told(blind, 10), Vec::<String>::new(), "a gap in the recording");
}

#[test]
fn a_job_that_comes_a_moment_late_is_no_silence() {
    let mut world = world();
    (0..2).for_each(|number| hour(&mut world, number, 2, 60));
    hour(&mut world, 2, 2, 0);
    hour(&mut world, 3, 2, 60);
    assert_eq!(told(world, 4), Vec::<String>::new());
}

#[test]
fn the_hour_of_a_start_is_not_judged() {
    let mut world = world();
    (0..2).for_each(|number| hour(&mut world, number, 2, 60));
    world.stop(2 * HOUR + 500, "client");
    world.start(2 * HOUR + 600, "client", 2);
    hour(&mut world, 2, 2, 600);
    hour(&mut world, 3, 2, 60);
    assert_eq!(told(world, 4), Vec::<String>::new(), "a cold cache");
}

#[test]
fn a_service_that_scales_is_the_same_service() {
    let mut world = world();
    (0..2).for_each(|number| hour(&mut world, number, 2, 60));
    for host in 10..20_u8 {
        world.start_with(2 * HOUR - 1000, "client", host, |workload| {
            workload.id = WorkloadId::new(&format!("replica{host}"));
        });
    }
    hour(&mut world, 2, 2, 600);
    assert_eq!(told(world, 3), Vec::<String>::new(), "eleven containers do ten times as much");
}

#[test]
fn a_transfer_of_hours_counts_where_it_went_on() {
    let mut world = world();
    let mut record = world.record(100, Protocol::TCP, 2, "172.20.0.3", 9000);
    world.event(100, FlowEventKind::Started, &record);
    record.resp.counters.packets = 1;
    let flags = tcp_flags::SYN | tcp_flags::ACK;
    record.tcp = record.tcp.map(|tcp| TcpFacts { orig_flags: flags, resp_flags: flags, ..tcp });
    for number in 0..5 {
        record.orig.counters.payload_bytes = 1_000_000_000 + number * 10_000;
        world.event(number * HOUR + 500, FlowEventKind::Updated, &record);
        hour(&mut world, number, 2, 60);
    }
    assert_eq!(told(world, 5), Vec::<String>::new(), "a gigabyte before hopwatch saw a whole hour");
}

/// Whether `exfiltration` speaks of so many bytes there and back, with a baseline and without.
fn taken(carried: (u64, u64)) -> (bool, bool) {
    let with = |mut world: World| {
        talk_at(&mut world, 60_000, 2, ("198.51.100.9", 443), carried);
        world.tick(120_000);
        world.raised().iter().any(|raised| raised.starts_with("exfiltration client"))
    };
    let mut without = World::new(for_tests());
    without.start(0, "client", 2);
    without.start(0, "db", 3);
    (with(world()), with(without))
}

#[test]
fn bytes_out_are_judged_by_the_service_s_own_hours_where_the_baseline_knows_them() {
    assert_eq!(taken((6_000_000, 0)), (false, false), "an hour of the usual");
    assert_eq!(taken((25_000_000, 20_000_000)), (true, false), "three times the busiest hours, and much came back");
    assert_eq!(taken((150_000_000, 1_000_000)), (true, true));
}

#[test]
fn a_service_that_always_sends_much_is_no_exfiltration() {
    let mut baseline = baseline();
    let key = baseline.services().next().expect("a service").key.clone();
    let volume = baseline.service_mut(&key).and_then(|service| service.traffic.as_mut()?.volume.as_mut());
    volume.expect("volume").accept(Figure::BytesOut, Within { from: 0, to: 400_000_000 });
    let mut world = World::new(EngineConfig { baseline: Some(Arc::new(baseline)), ..for_tests() });
    world.start(0, "client", 2);
    talk_at(&mut world, 60_000, 2, ("198.51.100.9", 443), (150_000_000, 0));
    world.tick(120_000);
    assert!(!world.raised().iter().any(|raised| raised.starts_with("exfiltration")), "{:?}", world.raised());
}

#[test]
fn sessions_with_a_login_service_are_compared_with_the_busiest_hour_of_the_baseline() {
    let guesses = |known: bool, sessions: u64| {
        let mut baseline = baseline();
        let key = baseline.services().next().expect("a service").key.clone();
        let traffic = baseline.service_mut(&key).and_then(|service| service.traffic.as_mut()).expect("traffic");
        let facts = Facts { seen: Seen::new(None, 1, 400, 40), ..Facts::default() };
        let peer = "service db (db)".parse().expect("a peer");
        let ports = Ports::one(Protocol::TCP, 22);
        assert!(!known || traffic.insert(Row { way: Way::Reaches, peer, ports, facts }));
        let mut world = World::new(EngineConfig { baseline: Some(Arc::new(baseline)), max_alerts: 100, ..for_tests() });
        world.start(0, "client", 2);
        world.start(0, "db", 3);
        (0..sessions)
            .for_each(|number| talk_at(&mut world, 60_000 + number * 3000, 2, ("172.20.0.3", 22), (900, 1200)));
        world.tick(600_000);
        world.raised().iter().any(|raised| raised.starts_with("brute-force client"))
    };
    assert_eq!([19, 30].map(|sessions| guesses(false, sessions)), [false, true]);
    assert_eq!([30, 40, 41].map(|sessions| guesses(true, sessions)), [false, false, true]);
}

#[test]
fn in_shadow_or_without_volume_nothing_is_told() {
    let quiet = |baseline: Option<Baseline>| {
        let mut world = World::new(EngineConfig { baseline: baseline.map(Arc::new), ..for_tests() });
        world.start(0, "client", 2);
        world.start(0, "db", 3);
        (0..3).for_each(|number| hour(&mut world, number, 2, 600));
        told(world, 3)
    };
    assert_eq!(quiet(None), Vec::<String>::new());
    assert_eq!(quiet(Some(baseline().without_traffic())), Vec::<String>::new());
    let mut shadow = baseline();
    let key = shadow.services().next().expect("a service").key.clone();
    shadow.service_mut(&key).expect("a service").state = hopwatch::baseline::ServiceState::Shadow;
    assert_eq!(quiet(Some(shadow)), Vec::<String>::new());
}
