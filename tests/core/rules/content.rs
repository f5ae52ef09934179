//! `undeclared-relay`, `metadata-service-direct`, `tunnel-from-container` and resolution by content, through the engine.

use std::sync::Arc;

use hopwatch::input::*;

use crate::support::world::{World, config};

const ENDED: FlowEventKind = FlowEventKind::Ended(EndReason::EndOfFlow);

/// Workloads that no egress contract names: .2 client, .9 relay, .53 resolver, .31 proxy.
fn world() -> World {
    let mut world = World::new(config());
    for (name, host) in [("client", 2), ("relay", 9), ("resolver", 53), ("proxy", 31)] {
        world.start(0, name, host);
    }
    world.tick(9000);
    world
}

fn ended(world: &mut World, millis: u64, record: &FlowRecord, sent: u64, received: u64) {
    let mut record = record.clone();
    record.orig.counters.payload_bytes = sent;
    record.resp.counters.payload_bytes = received;
    world.event(millis, ENDED, &record);
}

fn relayed(hop: u8) -> Vec<String> {
    let mut world = world();
    let came = world.tcp(10_000, 2, &format!("172.20.0.{hop}"), 3128);
    let went = world.tcp(10_005, hop, "198.51.100.7", 80);
    ended(&mut world, 10_400, &went, 90, 850);
    ended(&mut world, 10_401, &came, 90, 850);
    world.finish();
    world.raised()
}

#[test]
fn a_relay_is_told_unless_a_contract_names_it() {
    assert_eq!(relayed(9), ["undeclared-relay relay medium"]);
    assert!(relayed(31).is_empty(), "{:?}", relayed(31));
}

#[test]
fn metadata_is_told_as_an_attempt_until_it_answers() {
    let mut world = world();
    let mut record = world.record(10_000, Protocol::TCP, 2, "169.254.169.254", 80);
    world.event(10_000, FlowEventKind::Started, &record);
    world.tick(11_000);
    assert_eq!(world.raised(), ["metadata-service-direct client medium"]);
    record.resp.counters.packets = 1;
    record.tcp = record.tcp.map(|tcp| TcpFacts { resp_flags: tcp_flags::SYN | tcp_flags::ACK, ..tcp });
    world.event(12_000, FlowEventKind::Updated, &record);
    let last = world.alerts.last().map(|alert| (alert.rule, alert.severity.as_str(), alert.update));
    assert_eq!(last, Some(("metadata-service-direct", "high", 1)), "the same alert rises");
}

#[test]
fn what_is_learnt_from_first_bytes_reaches_the_rules() {
    let mut world = world();
    let mut record = world.tcp(10_000, 2, "198.51.100.7", 443);
    assert!(world.raised().is_empty());
    let ssh = AppFacts { ssh: Some("SSH-2.0-OpenSSH_9.2".into()), ..AppFacts::default() };
    record.app = Some(Arc::new(ssh));
    world.event(10_050, FlowEventKind::Payload, &record);
    assert_eq!(world.raised(), ["tunnel-from-container client high"]);
}

#[test]
fn names_that_carry_data_are_told_of_whoever_asks_and_not_of_the_resolver() {
    let mut world = world();
    for (host, to) in [(2, "172.20.0.53"), (53, "198.51.100.7")] {
        for number in 0_u16..6 {
            let millis = 10_000 + u64::from(number) * 100;
            let mut record = world.record(millis, Protocol::UDP, host, to, 53);
            let query = format!("paaa{number}.t.evil.example");
            let dns = vec![DnsMessage { query, kind: "NULL".into(), rcode: None }];
            record.app = Some(Arc::new(AppFacts { dns, ..AppFacts::default() }));
            world.event(millis, FlowEventKind::Started, &record);
        }
    }
    world.tick(12_000);
    let tunnels: Vec<_> = world.raised().into_iter().filter(|raised| raised.starts_with("tunnel")).collect();
    assert_eq!(tunnels, ["tunnel-from-container client high"]);
}

#[test]
fn resolution_over_https_breaks_the_dns_contract() {
    let mut world = world();
    let mut record = world.tcp(10_000, 2, "198.51.100.53", 443);
    let tls = TlsHello { sni: Some("dns.google".into()), alpn: vec!["h2".into()], ja4: None };
    record.app = Some(Arc::new(AppFacts { tls: Some(tls), ..AppFacts::default() }));
    world.event(10_020, FlowEventKind::Payload, &record);
    world.tick(20_000);
    assert_eq!(world.raised(), ["dns-skips-resolver client high"]);
}

#[test]
fn resolution_at_a_known_address_waits_for_its_answer() {
    let mut world = world();
    world.tcp(10_000, 2, "8.8.8.8", 443);
    assert_eq!(world.raised(), ["dns-skips-resolver client high"]);
    let attempt = world.record(20_000, Protocol::TCP, 9, "8.8.8.8", 443);
    world.event(20_000, FlowEventKind::Started, &attempt);
    world.tick(20_300);
    assert_eq!(world.raised().len(), 1, "it may answer yet");
    world.tick(21_000);
    assert_eq!(world.raised().get(1).map(String::as_str), Some("dns-skips-resolver relay medium"));
}
