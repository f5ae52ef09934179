//! `log-shipper-silent`, `log-shipper-redirected` and the quiet wire behind `log-driver-changed`, driven by facts through the engine.

use std::sync::Arc;

use hopwatch::detect::HoldTime;
use hopwatch::engine::EngineConfig;
use hopwatch::input::*;

use crate::support::world::{World, at, config};

const LINE: u64 = 200;

/// Short times: silence after two seconds and two flows, pools of one second.
fn quick() -> EngineConfig {
    let mut config = EngineConfig { contracts: vec![], ..config() };
    let (silence, rules) = (HoldTime::secs(2), &mut config.rules);
    (rules.log_shipper_silent.silence, rules.log_shipper_silent.min_flows) = (silence, 2);
    (rules.log_driver_changed.silence, rules.log_driver_changed.min_flows) = (silence, 2);
    rules.log_shipper_redirected.learn = HoldTime::secs(1);
    config
}

/// .10 app, .20 its peer, .50 collector, .66 somebody's listener.
fn world(config: EngineConfig) -> World {
    let mut world = World::new(config);
    for (name, host) in [("app", 10), ("peer", 20), ("collector", 50), ("listener", 66)] {
        world.start(0, name, host);
    }
    world
}

fn with_driver(driver: &str, option: Option<(&str, &str)>) -> impl Fn(&mut Workload) + use<> {
    let options = option.map(|(name, value)| (name.to_owned(), Setting::Clear(value.to_owned())));
    let logging = Logging { driver: driver.to_owned(), options: options.into_iter().collect(), path: None };
    let configuration = Arc::new(Configuration { logging: Some(logging), ..Configuration::default() });
    move |workload| workload.configuration = Some(Arc::clone(&configuration))
}

fn fluentd(address: &str) -> impl Fn(&mut Workload) + use<> {
    with_driver("fluentd", Some(("fluentd-address", &format!("tcp://{address}:24224"))))
}

/// A connection that sends a line at each of these times.
fn lines(world: &mut World, host: u8, to: &str, port: u16, times: &[u64]) -> FlowRecord {
    let start = *times.first().expect("a time");
    let mut record = world.tcp(start, host, to, port);
    for (sent, millis) in (1..).zip(times) {
        record.orig.counters.payload_bytes = sent * LINE;
        world.event(millis + 20, FlowEventKind::Updated, &record);
    }
    record
}

/// App and peer talk at these times.
fn talk(world: &mut World, times: impl IntoIterator<Item = u64>) {
    for millis in times {
        world.tcp(millis, 10, "172.20.0.20", 80);
    }
}

fn every(from: u64, until: u64, step: u64) -> Vec<u64> {
    (from..until).step_by(usize::try_from(step).expect("a step")).collect()
}

fn raised(world: &mut World) -> Vec<String> {
    world.finish();
    world.raised()
}

fn point_lost(world: &mut World, millis: u64) {
    let point = Some(ObservationPoint::new("br-net"));
    let loss = Loss { point, reason: LossReason::Kernel, count: 1, since: at(millis), source: None };
    world.push(millis + 10, Fact::Recorded(RecordedFact::Loss(loss)));
}

#[test]
fn an_agent_that_stops_while_its_workload_talks_is_silent() {
    let mut world = world(quick());
    lines(&mut world, 10, "172.20.0.50", 5044, &every(10_000, 14_000, 500));
    talk(&mut world, [14_500, 16_000, 17_500]);
    world.tick(20_000);
    assert_eq!(raised(&mut world), ["log-shipper-silent app high"]);
    let evidence = world.evidence();
    assert!(evidence.contains("sent logs to collector (collector) at 172.20.0.50:5044 8 times"), "{evidence}");
    assert!(evidence.contains("nothing was lost in that time at br-net"), "{evidence}");
}

#[test]
fn who_sends_on_is_not_silent_and_who_resumes_ends_its_alert() {
    let mut world = world(quick());
    let mut record = lines(&mut world, 10, "172.20.0.50", 5044, &every(10_000, 18_000, 500));
    talk(&mut world, every(10_100, 18_000, 400));
    assert_eq!(world.raised().len(), 0);
    talk(&mut world, every(18_100, 26_000, 400));
    assert_eq!(world.raised(), ["log-shipper-silent app high"]);
    record.orig.counters.payload_bytes += 100 * LINE;
    world.event(27_000, FlowEventKind::Updated, &record);
    world.finish();
    let last = world.alerts.last().expect("its end");
    assert!(last.update > 0 && last.evidence.iter().any(|one| one.kind == "over"), "{last:?}");
}

#[test]
fn who_falls_silent_together_with_its_logs_has_nothing_to_send() {
    let mut world = world(quick());
    lines(&mut world, 10, "172.20.0.50", 5044, &every(10_000, 14_000, 500));
    talk(&mut world, [13_900, 14_000, 14_100, 14_200]);
    world.tick(60_000);
    assert_eq!(raised(&mut world), Vec::<String>::new());
}

#[test]
fn a_burst_of_lines_at_the_start_is_no_habit_and_keep_alives_are_no_lines() {
    let mut world = world(quick());
    let mut record = lines(&mut world, 10, "172.20.0.50", 5044, &every(10_000, 11_000, 200));
    for millis in every(12_000, 40_000, 1000) {
        record.orig.counters.payload_bytes += 1;
        world.event(millis, FlowEventKind::Updated, &record);
    }
    talk(&mut world, every(12_000, 40_000, 500));
    assert_eq!(raised(&mut world), Vec::<String>::new(), "it sent for one second only");
}

#[test]
fn a_silence_that_may_be_our_own_deafness_is_none() {
    let mut world = world(quick());
    lines(&mut world, 10, "172.20.0.50", 5044, &every(10_000, 14_000, 500));
    for millis in every(14_500, 30_000, 1000) {
        talk(&mut world, [millis]);
        point_lost(&mut world, millis + 200);
    }
    assert!(!raised(&mut world).iter().any(|alert| alert.starts_with("log-shipper")), "{:?}", world.raised());
}

#[test]
fn while_the_runtime_does_not_answer_nothing_is_said() {
    let mut world = world(quick());
    lines(&mut world, 10, "172.20.0.50", 5044, &every(10_000, 14_000, 500));
    let error = "gone".to_owned();
    world.runtime(14_100, InventoryEvent::Disconnected { runtime: RuntimeId::DOCKER, error });
    talk(&mut world, every(14_500, 30_000, 1000));
    assert!(!raised(&mut world).iter().any(|alert| alert.starts_with("log-shipper")), "{:?}", world.raised());
}

#[test]
fn a_collector_that_nobody_reaches_is_one_alert_of_its_own() {
    let mut world = world(quick());
    for host in [10, 20] {
        lines(&mut world, host, "172.20.0.50", 5044, &every(10_000, 14_000, 500));
    }
    world.stop(14_100, "collector");
    talk(&mut world, every(14_500, 20_000, 500));
    assert_eq!(raised(&mut world), ["log-shipper-silent - medium"]);
    assert!(world.evidence().contains("none of 1 other sender reaches"), "{}", world.evidence());
}

#[test]
fn the_daemon_sends_for_a_log_driver_and_its_client_is_named() {
    let mut world = world(quick());
    world.start_with(9000, "app", 10, fluentd("172.20.0.50"));
    lines(&mut world, 1, "172.20.0.50", 24224, &every(10_000, 14_000, 500));
    talk(&mut world, every(14_500, 20_000, 500));
    assert_eq!(raised(&mut world), ["log-shipper-silent app high"]);
    assert!(world.evidence().contains("for the log driver fluentd (tcp://172.20.0.50:24224)"), "{}", world.evidence());
}

#[test]
fn a_successor_that_sends_nothing_is_silent_in_its_predecessors_place() {
    let mut world = world(quick());
    lines(&mut world, 10, "172.20.0.50", 5044, &every(10_000, 14_000, 500));
    world.stop(14_100, "app");
    let renewed = |workload: &mut Workload| workload.id = WorkloadId::new(&"e".repeat(64));
    world.start_with(15_000, "app", 10, renewed);
    talk(&mut world, every(15_500, 22_000, 500));
    assert_eq!(raised(&mut world), ["log-shipper-silent app high"]);
    assert!(world.evidence().contains("the container before it sent logs"), "{}", world.evidence());
}

#[test]
fn driver_none_and_a_quiet_wire_are_one_alert_with_two_witnesses() {
    let mut world = world(quick());
    world.start_with(9000, "app", 10, fluentd("172.20.0.50"));
    lines(&mut world, 1, "172.20.0.50", 24224, &every(10_000, 14_000, 500));
    world.stop(14_100, "app");
    let none = with_driver("none", None);
    world.start_with(15_000, "app", 10, |workload| {
        none(workload);
        workload.id = WorkloadId::new(&"e".repeat(64));
    });
    talk(&mut world, every(15_500, 22_000, 500));
    assert_eq!(raised(&mut world), ["log-driver-changed app high"]);
    let last = world.alerts.last().expect("an update");
    let kinds: Vec<&str> = last.evidence.iter().map(|one| one.kind.as_str()).collect();
    assert_eq!((last.severity.as_str(), kinds), ("critical", vec!["setting", "wire", "observation"]));
}

#[test]
fn an_agents_new_collector_is_a_redirection_and_its_pool_is_not() {
    let mut world = world(quick());
    lines(&mut world, 10, "172.20.0.50", 5044, &[10_000, 10_500]);
    lines(&mut world, 10, "198.51.100.7", 5044, &[10_600, 10_700]);
    assert_eq!(world.raised().len(), 0, "within `learn` it is the pool");
    lines(&mut world, 10, "172.20.0.66", 5044, &[20_000, 20_500]);
    lines(&mut world, 10, "172.20.0.66", 5044, &[21_000, 21_500]);
    assert_eq!(raised(&mut world), ["log-shipper-redirected app high"]);
    let evidence = world.evidence();
    assert!(evidence.contains("sends logs to listener (listener) at 172.20.0.66:5044"), "{evidence}");
    assert!(evidence.contains("before, they went to 198.51.100.7 at 198.51.100.7:5044"), "{evidence}");
}

#[test]
fn a_connection_without_a_line_redirects_nothing() {
    let mut world = world(quick());
    lines(&mut world, 10, "172.20.0.50", 5044, &[10_000, 10_500]);
    world.tcp(20_000, 10, "172.20.0.66", 5044);
    world.tick(25_000);
    assert_eq!(raised(&mut world), Vec::<String>::new());
}

#[test]
fn a_log_drivers_new_address_has_the_setting_as_its_second_witness() {
    let mut world = world(quick());
    world.start_with(9000, "app", 10, fluentd("172.20.0.50"));
    lines(&mut world, 1, "172.20.0.50", 24224, &[10_000, 10_100]);
    world.stop(10_200, "app");
    world.start_with(10_300, "app", 10, fluentd("172.20.0.66"));
    lines(&mut world, 1, "172.20.0.66", 24224, &[10_400, 10_500]);
    assert_eq!(raised(&mut world), ["log-shipper-redirected app high"]);
    assert!(
        world.evidence().contains("[setting] its log driver fluentd is set to tcp://172.20.0.66:24224"),
        "{}",
        world.evidence()
    );
}

#[test]
fn a_collector_that_was_created_again_is_the_same_one() {
    let mut world = world(quick());
    world.start_with(9000, "app", 10, fluentd("172.20.0.50"));
    lines(&mut world, 1, "172.20.0.50", 24224, &[10_000, 10_100]);
    world.stop(10_200, "app");
    world.stop(10_200, "collector");
    world.start_with(10_300, "collector", 70, |workload| workload.id = WorkloadId::new(&"c".repeat(64)));
    world.start_with(10_300, "app", 10, fluentd("172.20.0.70"));
    lines(&mut world, 1, "172.20.0.70", 24224, &[10_400, 10_500]);
    assert_eq!(raised(&mut world), Vec::<String>::new());
}

#[test]
fn with_declared_collectors_every_other_one_is_reported_at_once() {
    let mut config = quick();
    let declared = serde_json::from_str(r#"["172.20.0.50:5044"]"#).expect("collectors");
    config.rules.log_shipper_redirected.collectors = declared;
    let mut world = world(config);
    lines(&mut world, 10, "172.20.0.50", 5044, &[10_000, 10_500]);
    assert_eq!(world.raised().len(), 0);
    lines(&mut world, 20, "172.20.0.66", 5044, &[10_000, 10_500]);
    assert_eq!(raised(&mut world), ["log-shipper-redirected peer high"]);
}
