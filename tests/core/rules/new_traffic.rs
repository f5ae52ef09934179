//! Traffic that an approved baseline does not hold, through the engine: what is reported, how often, and what looks the same and is expected.

use std::sync::Arc;

use hopwatch::baseline::Baseline;
use hopwatch::engine::EngineConfig;
use hopwatch::input::*;

use crate::support::engine_config::for_tests;
use crate::support::world::{World, at};

const ENDED: FlowEventKind = FlowEventKind::Ended(EndReason::EndOfFlow);
const NEWS: [&str; 4] = ["new-destination", "new-peer", "new-listener", "new-fingerprint"];

/// What is expected of `client` (.2): pages of a domain by TLS, one network, its database; it answers the host at 8080.
fn baseline(traffic: &serde_json::Value) -> Baseline {
    let document = serde_json::json!({
        "schema": "hopwatch.baseline/1",
        "serial": 7,
        "services": [
            {"match": {"name": "client", "image": "client"}, "traffic": traffic},
            {"match": {"name": "db", "image": "db"}},
        ],
    });
    Baseline::from_json(&document).expect("a baseline")
}

fn usual() -> serde_json::Value {
    serde_json::json!({
        "learned": {"from": "2026-11-20T08:00:00Z", "to": "2026-11-21T08:00:00Z", "starts": 2, "contacts": 100},
        "reaches": [
            {"peer": "domain updates.example", "port": "443/tcp", "speaks": ["tls"], "ja4": ["t13d1516h2_8daaf6152771_b186095e22b6"]},
            {"peer": "service db (db)", "port": "5432/tcp"},
        ],
        "listens": [{"peer": "host", "port": "8080/tcp"}],
    })
}

fn config(traffic: &serde_json::Value) -> EngineConfig {
    EngineConfig { baseline: Some(Arc::new(baseline(traffic))), max_alerts: 100, ..for_tests() }
}

fn world(traffic: &serde_json::Value) -> World {
    let mut world = World::new(config(traffic));
    world.start(0, "client", 2);
    world.start(0, "db", 3);
    world.tick(9000);
    world
}

/// Answered, and it says so.
fn talk(world: &mut World, millis: u64, host: u8, (to, port): (&str, u16), app: Option<AppFacts>) {
    let mut record = world.record(millis, Protocol::TCP, host, to, port);
    world.event(millis, FlowEventKind::Started, &record);
    record.resp.counters.packets = 1;
    let flags = tcp_flags::SYN | tcp_flags::ACK;
    record.tcp = record.tcp.map(|tcp| TcpFacts { orig_flags: flags, resp_flags: flags, ..tcp });
    world.event(millis + 5, FlowEventKind::Answered, &record);
    record.orig.counters.payload_bytes = 200;
    record.resp.counters.payload_bytes = 900;
    record.app = app.map(Arc::new);
    world.event(millis + 10, FlowEventKind::Payload, &record);
    world.event(millis + 20, ENDED, &record);
}

fn tls(name: &str, ja4: &str) -> AppFacts {
    let (sni, ja4) = (Some(name.to_owned()), Some(ja4.to_owned()));
    AppFacts { tls: Some(TlsHello { sni, ja4, ..TlsHello::default() }), ..AppFacts::default() }
}

const USUAL_HELLO: &str = "t13d1516h2_8daaf6152771_b186095e22b6";

fn news(mut world: World) -> Vec<String> {
    world.tick(4_000_000);
    world.finish();
    world.raised().into_iter().filter(|raised| NEWS.iter().any(|rule| raised.starts_with(rule))).collect()
}

#[test]
fn what_the_baseline_holds_is_no_news_whatever_the_address() {
    let mut world = world(&usual());
    for host in 1..40_u8 {
        let to = format!("198.51.100.{host}");
        talk(
            &mut world,
            10_000 + u64::from(host) * 7000,
            2,
            (&to, 443),
            Some(tls("cdn3.updates.example", USUAL_HELLO)),
        );
    }
    talk(&mut world, 400_000, 2, ("172.20.0.3", 5432), None);
    assert_eq!(news(world), Vec::<String>::new());
}

#[test]
fn forty_new_destinations_are_one_alert_that_names_them_and_counts_up() {
    let mut world = world(&usual());
    for host in 1..=40_u8 {
        let (to, name) = (format!("198.51.100.{host}"), format!("a{host}.example"));
        talk(&mut world, 10_000 + u64::from(host) * 7000, 2, (&to, 443), Some(tls(&name, USUAL_HELLO)));
    }
    world.tick(4_000_000);
    world.finish();
    let of: Vec<_> = world.alerts.iter().filter(|alert| alert.rule == "new-destination").collect();
    let (first, last) = (of.first().expect("an alert"), of.last().expect("an alert"));
    assert!(of.iter().all(|alert| alert.id == first.id), "one alert");
    let why = last.anomaly.as_ref().expect("why");
    assert!(why.observed.contains("40 destinations"), "{}", why.observed);
    assert!(why.limits.iter().any(|limit| limit.contains("serial 7")), "{:?}", why.limits);
    assert_eq!(first.severity.as_str(), "low", "TLS at 443 with a name is news, and no more");
}

#[test]
fn a_second_sign_makes_a_new_destination_medium() {
    let mut odd_port = world(&usual());
    talk(&mut odd_port, 10_000, 2, ("198.51.100.7", 4444), Some(tls("a.example", USUAL_HELLO)));
    assert_eq!(news(odd_port), ["new-destination client medium"]);
    let mut unknown = world(&usual());
    talk(&mut unknown, 10_000, 2, ("198.51.100.7", 443), Some(tls("updates.example", USUAL_HELLO)));
    talk(&mut unknown, 20_000, 2, ("198.51.100.7", 8443), Some(tls("updates.example", USUAL_HELLO)));
    assert_eq!(news(unknown), ["new-destination client medium"], "a known peer at another port");
}

#[test]
fn an_address_without_a_name_counts_where_names_were_watched_or_play_no_part() {
    let named = usual();
    let mut unwatched = world(&named);
    talk(&mut unwatched, 10_000, 2, ("203.0.113.9", 443), None);
    assert_eq!(news(unwatched), Vec::<String>::new(), "its name may have been asked for before");
    let by_address = serde_json::json!({"reaches": [{"peer": "network 198.51.100.0/24", "port": "443/tcp"}]});
    let mut world = world(&by_address);
    talk(&mut world, 10_000, 2, ("198.51.100.200", 443), None);
    talk(&mut world, 20_000, 2, ("203.0.113.9", 443), None);
    assert_eq!(news(world), ["new-destination client medium"], "an unknown protocol");
}

#[test]
fn a_service_that_it_never_reached_is_a_new_peer_and_another_port_of_a_known_one_too() {
    let mut world = world(&usual());
    world.start(9_500, "vault", 4);
    talk(&mut world, 10_000, 2, ("172.20.0.4", 8200), None);
    talk(&mut world, 20_000, 2, ("172.20.0.3", 22), None);
    assert_eq!(news(world), ["new-peer client medium"]);
}

#[test]
fn who_asks_speaks_where_its_traffic_is_known_else_who_is_asked() {
    let mut world = world(&usual());
    world.start(9_500, "intruder", 4);
    talk(&mut world, 10_000, 4, ("172.20.0.2", 8080), None);
    assert_eq!(news(world), ["new-peer client medium"], "the intruder has no baseline, the client has");
}

#[test]
fn a_port_at_which_it_answers_for_the_first_time_is_a_new_listener() {
    let mut world = world(&usual());
    talk(&mut world, 10_000, 3, ("172.20.0.2", 4444), None);
    assert_eq!(news(world), ["new-listener client medium"]);
}

#[test]
fn another_protocol_or_hello_with_a_known_peer_is_a_new_fingerprint() {
    let mut hello = world(&usual());
    talk(
        &mut hello,
        10_000,
        2,
        ("198.51.100.7", 443),
        Some(tls("updates.example", "t13d1516h2_8daaf6152771_02713d6af862")),
    );
    assert_eq!(news(hello), ["new-fingerprint client low"]);
    let mut ssh = world(&usual());
    let dns = NameAnswer {
        point: ObservationPoint::new("br-net"),
        asker: "172.20.0.2".parse().expect("an address"),
        resolver: "172.20.0.1".parse().expect("an address"),
        name: "updates.example".into(),
        addresses: ["198.51.100.7".parse().expect("an address")].into(),
        ttl: 300,
    };
    ssh.push(9_900, Fact::Answer(Box::new(dns)));
    let said = AppFacts { ssh: Some("SSH-2.0-x".into()), ..AppFacts::default() };
    talk(&mut ssh, 10_000, 2, ("198.51.100.7", 443), Some(said));
    assert_eq!(news(ssh), ["new-fingerprint client medium"]);
}

#[test]
fn without_a_traffic_part_or_in_shadow_nothing_is_news() {
    let strange = |config: EngineConfig| {
        let mut world = World::new(config);
        world.start(0, "client", 2);
        world.tick(9000);
        talk(&mut world, 10_000, 2, ("203.0.113.9", 4444), None);
        news(world)
    };
    assert_eq!(strange(for_tests()), Vec::<String>::new());
    let mut baseline = baseline(&usual());
    assert_eq!(
        strange(EngineConfig { baseline: Some(Arc::new(baseline.clone().without_traffic())), ..for_tests() }),
        Vec::<String>::new()
    );
    let key = baseline.services().next().expect("a service").key.clone();
    baseline.service_mut(&key).expect("a service").state = hopwatch::baseline::ServiceState::Shadow;
    assert_eq!(strange(EngineConfig { baseline: Some(Arc::new(baseline)), ..for_tests() }), Vec::<String>::new());
}

#[test]
fn at_a_start_that_the_baseline_never_saw_news_is_low_and_says_why() {
    let mut unseen = usual();
    unseen["learned"]["starts"] = 0.into();
    let mut world = World::new(config(&unseen));
    world.start_with(0, "client", 2, |workload| workload.since = Some(at(0)));
    world.tick(9000);
    talk(&mut world, 10_000, 2, ("198.51.100.7", 4444), Some(tls("a.example", USUAL_HELLO)));
    world.finish();
    let alert = world.alerts.iter().find(|alert| alert.rule == "new-destination").expect("an alert");
    let why = alert.anomaly.as_ref().expect("why");
    assert_eq!(alert.severity.as_str(), "low");
    assert!(why.limits.iter().any(|limit| limit.contains("saw no start")), "{:?}", why.limits);
}
