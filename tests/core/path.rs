//! What is verified, bypassed or unobservable, and when an alert says so.

use crate::support::world::{World, at, config, exception, named};
use hopwatch::input::*;

fn world() -> World {
    let mut world = World::new(config());
    world.start(0, "web-1", 10);
    world.start(0, "proxy", 20);
    world.start(0, "resolver", 30);
    world
}

#[test]
fn through_the_proxy_is_verified_and_quiet() {
    let mut world = world();
    world.tcp(10_000, 10, "172.20.0.20", 3128);
    assert_eq!(world.count("egress", "verified"), 1);
    assert!(world.raised().is_empty());
}

#[test]
fn around_the_proxy_is_bypassed_and_names_the_hop() {
    let mut world = world();
    world.tcp(10_000, 10, "198.51.100.7", 443);
    assert_eq!(world.raised(), ["egress-skips-proxy web-1 high"]);
    let alert = &world.alerts[0];
    let hop = alert.missing_hop.as_ref().expect("a missing hop");
    assert_eq!((hop.name().as_str(), hop.expected.as_slice()), ("proxy", &["172.20.0.20:3128 (proxy)".to_owned()][..]));
    assert_eq!(alert.first_seen, at(10_000));
    assert_eq!(world.count("egress", "bypassed"), 1);
}

#[test]
fn the_proxys_own_traffic_is_not_judged() {
    let mut world = World::new(hopwatch::engine::EngineConfig {
        contracts: config()
            .contracts
            .into_iter()
            .map(|mut c| {
                c.workloads = vec![named("*")];
                c
            })
            .collect(),
        ..config()
    });
    world.start(0, "proxy", 20);
    world.start(0, "resolver", 30);
    world.tcp(10_000, 20, "198.51.100.7", 443);
    world.udp(10_000, 30, "198.51.100.53", 53);
    assert!(world.raised().is_empty(), "{:?}", world.raised());
}

#[test]
fn an_attempt_that_nobody_answers_is_told_within_a_second_and_less_severe() {
    let mut world = world();
    let record = world.record(10_000, Protocol::TCP, 10, "198.51.100.7", 443);
    world.event(10_000, FlowEventKind::Started, &record);
    assert!(world.raised().is_empty());
    world.tick(10_500);
    assert_eq!(world.raised(), ["egress-skips-proxy web-1 medium"]);
}

#[test]
fn an_answer_after_the_attempt_raises_the_severity_of_the_same_alert_on_the_next_flow() {
    let mut world = world();
    let record = world.record(10_000, Protocol::TCP, 10, "198.51.100.7", 443);
    world.event(10_000, FlowEventKind::Started, &record);
    world.tick(11_000);
    world.tcp(12_000, 10, "198.51.100.7", 443);
    let [first, update] = &world.alerts[..] else { panic!("{:?}", world.alerts) };
    assert_eq!((first.id.as_str(), update.update, update.count), (update.id.as_str(), 1, 2));
    assert!(update.severity > first.severity);
}

#[test]
fn dns_is_judged_by_the_dns_contract_alone() {
    let mut world = world();
    world.udp(10_000, 10, "198.51.100.53", 53);
    world.tcp(10_000, 10, "198.51.100.53", 853);
    let mut question = world.udp(10_000, 10, "172.20.0.30", 53);
    question.resp.counters.packets = 1;
    world.event(10_020, FlowEventKind::Answered, &question);
    assert_eq!(world.raised(), ["dns-skips-resolver web-1 high"]);
    assert_eq!((world.count("dns", "bypassed"), world.count("dns", "verified")), (2, 1));
    assert_eq!(world.count("egress", "bypassed"), 0);
}

#[test]
fn an_attempt_at_the_hop_is_no_passage_until_it_answers() {
    let mut world = world();
    let mut record = world.record(10_000, Protocol::TCP, 10, "172.20.0.20", 3128);
    world.event(10_000, FlowEventKind::Started, &record);
    world.tick(11_000);
    assert_eq!((world.count("egress", "unobservable"), world.count("egress", "verified")), (1, 0));
    record.resp.counters.packets = 1;
    world.event(12_000, FlowEventKind::Answered, &record);
    assert_eq!((world.count("egress", "unobservable"), world.count("egress", "verified")), (0, 1), "revised");
    assert!(world.raised().is_empty());
}

#[test]
fn a_late_answer_raises_the_same_alert_and_counts_the_flow_once() {
    let mut world = world();
    let mut record = world.record(10_000, Protocol::TCP, 10, "198.51.100.7", 443);
    world.event(10_000, FlowEventKind::Started, &record);
    world.tick(11_000);
    assert_eq!(world.raised(), ["egress-skips-proxy web-1 medium"]);
    record.resp.counters.packets = 1;
    world.event(11_500, FlowEventKind::Answered, &record);
    let last = world.alerts.last().expect("an update");
    assert_eq!((last.severity.as_str(), last.count, last.id.as_str()), ("high", 1, world.alerts[0].id.as_str()));
    assert_eq!(world.count("egress", "bypassed"), 1);
}

#[test]
fn payload_without_an_answer_has_left() {
    let mut world = world();
    let mut record = world.record(10_000, Protocol::TCP, 10, "198.51.100.7", 443);
    world.event(10_000, FlowEventKind::Started, &record);
    world.tick(11_000);
    record.orig.counters.payload_bytes = 70_000;
    world.event(12_000, FlowEventKind::Updated, &record);
    assert_eq!(world.alerts.last().map(|alert| alert.severity.as_str()), Some("high"));
}

#[test]
fn a_foreign_resolver_inside_is_foreign_too() {
    let mut world = world();
    world.start(0, "rogue", 40);
    world.udp(10_000, 10, "172.20.0.40", 53);
    assert_eq!(world.raised(), ["dns-skips-resolver web-1 high"]);
}

#[test]
fn without_a_runtime_nothing_is_verified_and_nothing_accused() {
    let mut world = World::silent(config());
    world.tcp(10_000, 10, "198.51.100.7", 443);
    world.tcp(10_000, 10, "172.20.0.20", 3128);
    world.tick(12_000);
    assert!(world.raised().is_empty());
    assert_eq!((world.count("egress", "unobservable"), world.count("egress", "verified")), (1, 0));
}

#[test]
fn a_flow_waits_for_the_runtime_to_tell_whose_it_is() {
    let mut world = world();
    world.tcp(10_000, 50, "198.51.100.7", 443);
    assert!(world.raised().is_empty());
    world.runtime(10_200, InventoryEvent::Connected { runtime: hopwatch::input::RuntimeId::DOCKER });
    world.start_with(10_300, "web-late", 50, |workload| workload.since = Some(at(9_990)));
    assert_eq!(world.raised(), ["egress-skips-proxy web-late high"]);
}

#[test]
fn an_address_belongs_to_whoever_had_it_at_that_time() {
    let mut world = world();
    world.start(5_000, "batch", 60);
    world.stop(8_000, "batch");
    world.start(9_000, "web-2", 60);
    world.tcp(7_000, 60, "198.51.100.7", 443);
    world.tcp(10_000, 60, "198.51.100.7", 443);
    assert_eq!(world.raised(), ["egress-skips-proxy web-2 high"]);
}

#[test]
fn a_connection_whose_start_was_missed_is_not_judged_by_its_ports() {
    let mut world = world();
    let mut record = world.record(10_000, Protocol::TCP, 10, "198.51.100.7", 50_000);
    record.tuple.orig.port = 443;
    record.tcp = Some(TcpFacts { orig_flags: tcp_flags::ACK, resp_flags: 0, ..TcpFacts::default() });
    world.event(10_000, FlowEventKind::Started, &record);
    world.tick(12_000);
    assert!(world.raised().is_empty(), "an answer to a client outside is no egress");
    assert_eq!(world.count("egress", "unobservable"), 1);
}

#[test]
fn at_the_end_of_the_observation_every_loss_is_reported_and_absence_counts() {
    for lost in [true, false] {
        let mut world = world();
        world.push(1, Fact::Recorded(RecordedFact::Nat(NatFact::Watched { netns: None })));
        world.tcp(10_000, 10, "198.51.100.7", 443);
        if lost {
            let missed = NatFact::Missed { count: 0, since: at(9_990) };
            world.push(10_050, Fact::Recorded(RecordedFact::Nat(missed)));
        }
        world.tick(10_100);
        assert_eq!(world.count("egress", "bypassed"), 0, "a translation may still be reported, or its loss");
        world.finish();
        assert_eq!(world.count("egress", "bypassed"), u64::from(!lost));
    }
}

#[test]
fn an_answer_whose_request_was_lost_accuses_nobody_although_the_loss_is_reported_late() {
    for lost in [true, false] {
        let mut world = world();
        world.udp(1_000, 10, "172.20.0.20", 3128);
        let mut record = world.record(10_000, Protocol::UDP, 10, "198.51.100.7", 50_000);
        record.tuple.orig.port = 5_000;
        world.event(10_000, FlowEventKind::Started, &record);
        assert!(world.raised().is_empty(), "the request may have been lost");
        if lost {
            let point = Some(ObservationPoint::new("br-net"));
            let loss = Loss { point, reason: LossReason::Kernel, count: 1, since: at(9_900), source: None };
            world.push(10_200, Fact::Recorded(RecordedFact::Loss(loss)));
        }
        world.tick(12_000);
        assert_eq!(world.raised().is_empty(), lost, "{:?}", world.raised());
        assert_eq!(world.count("egress", "unobservable"), u64::from(lost));
    }
}

#[test]
fn a_download_whose_start_was_missed_is_judged() {
    let mut world = world();
    let mut record = world.record(10_000, Protocol::TCP, 10, "198.51.100.7", 443);
    record.tuple = record.tuple.reversed();
    std::mem::swap(&mut record.orig, &mut record.resp);
    record.tcp = Some(TcpFacts { orig_flags: tcp_flags::ACK, resp_flags: 0, ..TcpFacts::default() });
    world.event(10_000, FlowEventKind::Started, &record);
    world.event(10_010, FlowEventKind::Answered, &record);
    assert_eq!(world.raised(), ["egress-skips-proxy web-1 high"]);
}

#[test]
fn a_flow_at_two_points_is_one_flow_with_two_witnesses() {
    let mut world = world();
    let record = world.record(10_000, Protocol::TCP, 10, "198.51.100.7", 443);
    let mut elsewhere = record.clone();
    elsewhere.id = FlowId(999);
    elsewhere.point = ObservationPoint::new("veth1");
    world.event(10_000, FlowEventKind::Started, &record);
    world.event(10_000, FlowEventKind::Started, &elsewhere);
    world.event(10_010, FlowEventKind::Answered, &record);
    assert_eq!(world.count("egress", "bypassed"), 1);
    let points = &world.alerts[0].flow.as_ref().expect("a flow").observation_points;
    assert_eq!(points.iter().map(ObservationPoint::as_str).collect::<Vec<_>>(), ["br-net", "veth1"]);
}

#[test]
fn a_long_flow_counts_once() {
    let mut world = world();
    let record = world.tcp(10_000, 10, "198.51.100.7", 443);
    world.event(1_810_000, FlowEventKind::Ended(EndReason::ActiveTimeout), &record);
    let mut next = record.clone();
    next.id = FlowId(999);
    world.event(1_810_001, FlowEventKind::Started, &next);
    assert_eq!(world.count("egress", "bypassed"), 1);
}

#[test]
fn the_same_cause_is_one_alert_and_nothing_is_lost() {
    let mut world = world();
    for flow in 0..50_u64 {
        world.tcp(10_000 + flow * 100, 10, &format!("198.51.100.{}", flow % 5), 443);
    }
    assert_eq!(world.raised().len(), 1);
    assert_eq!(world.alerts.len(), 3, "one alert and an update for each of two more listed destinations");
    world.finish();
    let last = world.alerts.last().expect("a last update");
    let listed: u64 = last.destinations.iter().map(|destination| destination.count).sum();
    assert_eq!((last.count, listed + last.destinations_omitted), (50, 50));
}

#[test]
fn repetitions_are_told_after_the_interval() {
    let mut world = world();
    world.tcp(10_000, 10, "198.51.100.7", 443);
    world.tcp(11_000, 10, "198.51.100.7", 443);
    assert_eq!(world.alerts.len(), 1);
    world.tick(80_000);
    assert_eq!(world.alerts.last().map(|alert| (alert.update, alert.count)), Some((1, 2)));
}

#[test]
fn after_a_long_silence_the_same_cause_is_a_new_alert() {
    let mut world = world();
    world.tcp(10_000, 10, "198.51.100.7", 443);
    world.tcp(700_000, 10, "198.51.100.7", 443);
    assert_eq!(world.raised().len(), 2);
    assert_ne!(world.alerts[0].id, world.alerts[1].id);
}

#[test]
fn an_exception_holds_back_until_it_expires() {
    let until = at(20_000);
    let mut config = config();
    config.exceptions = vec![exception("moving", "web-*", until)];
    let mut world = World::new(config);
    world.start(0, "web-1", 10);
    world.start(0, "proxy", 20);
    world.tcp(10_000, 10, "198.51.100.7", 443);
    assert!(world.raised().is_empty());
    assert_eq!(world.engine.stats().exception_hits.get("moving"), Some(&1));
    assert!(world.engine.stats().exception_last_hits.contains_key("moving"));
    world.tcp(21_000, 10, "198.51.100.7", 443);
    assert_eq!(world.raised(), ["egress-skips-proxy web-1 high"]);
    assert!(world.alerts[0].evidence.iter().any(|evidence| evidence.kind == "exception"), "says that it expired");
}

#[test]
fn the_same_history_gives_the_same_ids() {
    let ids = || {
        let mut world = world();
        world.tcp(10_000, 10, "198.51.100.7", 443);
        world.alerts[0].id.clone()
    };
    assert_eq!(ids(), ids());
}

#[test]
fn a_full_table_judges_before_it_forgets() {
    let mut config = config();
    config.max_flows = 4;
    let mut world = World::new(config);
    world.start(0, "web-1", 10);
    world.start(0, "proxy", 20);
    for flow in 0..20_u64 {
        let record = world.record(10_000 + flow, Protocol::TCP, 10, "198.51.100.7", 443);
        world.event(10_000 + flow, FlowEventKind::Started, &record);
    }
    world.finish();
    assert_eq!(world.count("egress", "bypassed"), 20);
    assert_eq!(world.engine.stats().flows_forgotten, 16);
    assert_eq!(world.engine.stats().bounds[&hopwatch::engine::Bound::Flows], 16);
}

#[test]
fn host_network_is_unexpected_unless_allowed() {
    let mut config = config();
    config.rules.unexpected_host_network.allowed = vec![named("node-exporter")];
    let mut world = World::new(config);
    let on_host = |workload: &mut Workload| {
        workload.network_mode = NetworkMode::Host;
        workload.attachments.clear();
    };
    world.start_with(1_000, "node-exporter", 1, on_host);
    world.start_with(1_000, "miner", 2, on_host);
    world.start_with(2_000, "miner", 2, |workload| {
        on_host(workload);
        workload.since = Some(at(1_000));
    });
    assert_eq!(world.raised(), ["unexpected-host-network miner high"]);
}

#[test]
fn joining_a_container_on_the_host_network_is_host_network_too() {
    let mut world = World::new(config());
    world.start_with(1_000, "agent", 1, |workload| workload.network_mode = NetworkMode::Host);
    let agent = world.alerts[0].workload.as_ref().expect("a workload").id.clone();
    world.start_with(2_000, "rider", 2, |workload| {
        workload.attachments.clear();
        workload.network_mode = NetworkMode::Container(WorkloadId::new(&agent));
    });
    assert_eq!(world.raised().len(), 2);
}

#[test]
fn one_that_joined_a_container_that_joined_another_keeps_to_its_contract() {
    let mut world = world();
    world.start(0, "db", 40);
    for (name, joined) in [("middle", "db"), ("web-9", "middle")] {
        world.start_with(0, name, 40, |workload| {
            workload.attachments.clear();
            workload.network_mode = NetworkMode::Container(WorkloadId::new(&format!("{joined}{}", "0".repeat(50))));
        });
    }
    world.tcp(10_000, 40, "198.51.100.7", 443);
    world.tick(12_000);
    assert!(world.raised().contains(&"egress-skips-proxy db high".to_owned()), "{:?}", world.raised());
    assert_eq!(world.count("egress", "bypassed"), 1);
}

#[test]
fn an_address_that_stays_unknown_is_judged_within_a_second() {
    let mut world = world();
    world.tcp(10_000, 99, "198.51.100.7", 443);
    world.tick(10_999);
    assert_eq!(world.count("egress", "unobservable"), 1);
}

#[test]
fn a_new_flow_from_the_address_of_a_workload_that_has_ended_waits_for_the_next_owner() {
    let mut world = world();
    world.start(5_000, "web-2", 60);
    world.stop(9_900, "web-2");
    world.tcp(10_000, 60, "198.51.100.7", 443);
    assert!(world.raised().is_empty(), "web-2 had ended");
    world.start_with(10_200, "batch", 60, |workload| workload.since = Some(at(9_990)));
    world.tick(12_000);
    assert!(world.raised().is_empty(), "batch may go anywhere: {:?}", world.raised());
}

#[test]
fn when_no_next_owner_is_told_the_ended_one_is_not_accused() {
    let mut world = world();
    world.start(5_000, "web-2", 60);
    world.stop(9_900, "web-2");
    world.tcp(10_000, 60, "198.51.100.7", 443);
    world.tick(12_000);
    assert!(world.raised().iter().all(|alert| !alert.starts_with("egress")), "{:?}", world.raised());
    assert_eq!(world.count("egress", "unobservable"), 1);
}

#[test]
fn an_alert_that_is_closed_early_tells_its_count_first() {
    let mut config = config();
    config.max_alerts = 1;
    let mut world = World::new(config);
    world.start(0, "web-1", 10);
    world.start(0, "web-2", 11);
    world.start(0, "proxy", 20);
    world.tcp(10_000, 10, "198.51.100.7", 443);
    world.tcp(11_000, 10, "198.51.100.7", 443);
    world.tcp(12_000, 11, "198.51.100.7", 443);
    let counts: Vec<_> = world.alerts.iter().map(|alert| (alert.update, alert.count)).collect();
    assert_eq!(counts, [(0, 1), (1, 2), (0, 1)]);
    assert_eq!(world.engine.stats().alerts_closed_early, 1);
}

#[test]
fn a_five_tuple_that_opens_again_elsewhere_later_is_another_flow() {
    let mut world = world();
    let record = world.tcp(10_000, 10, "198.51.100.7", 443);
    let mut later = record.clone();
    later.id = FlowId(999);
    later.point = ObservationPoint::new("second-file");
    later.start = at(60_000);
    world.event(60_000, FlowEventKind::Started, &later);
    world.event(60_010, FlowEventKind::Answered, &later);
    assert_eq!(world.count("egress", "bypassed"), 2);
}
