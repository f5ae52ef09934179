//! Alerts and events of one chain become one incident.

use std::sync::Arc;
use std::time::Duration;

use hopwatch::detect::Severity;
use hopwatch::incident::{Incident, IncidentLimits, StepKind};
use hopwatch::input::*;

use crate::support::world::{World, at, config, named};

const LIMITS: IncidentLimits = IncidentLimits { close_after: Duration::from_mins(10), open: 8 };

/// Workloads `web-1` and `db`, which must pass `proxy`.
fn world() -> World {
    let mut engine = hopwatch::engine::EngineConfig { incidents: Some(LIMITS), ..config() };
    engine.contracts[0].workloads = vec![named("web*"), named("db")];
    engine.monitors.hops = engine.contracts.iter().flat_map(|one| one.hops().cloned()).collect();
    let mut world = World::new(engine);
    for (name, host) in [("web-1", 10), ("proxy", 20), ("resolver", 30), ("db", 40)] {
        world.start(0, name, host);
    }
    world
}

fn act(world: &mut World, millis: u64, name: &str, action: ContainerAct) {
    let workload = WorkloadId::new(&format!("{name}{}", "0".repeat(50)));
    let event = ContainerEvent { workload, runtime: RuntimeId::DOCKER, at: at(millis), action };
    world.runtime(millis, InventoryEvent::Container(Arc::new(event)));
}

fn exec(world: &mut World, millis: u64, name: &str, line: &str) {
    let words = line.split(' ').map(str::to_owned).collect();
    let command = ExecutedCommand { program: "sh".into(), words, ..ExecutedCommand::default() };
    act(world, millis, name, ContainerAct::Exec(Box::new(command)));
}

fn texts(incident: &Incident) -> Vec<String> {
    let one = |step: &hopwatch::incident::Step| step.rule.map_or_else(|| step.text.clone(), str::to_owned);
    incident.steps.iter().map(one).collect()
}

#[test]
fn an_exec_a_killed_agent_and_a_bypass_are_one_incident_worse_than_each() {
    let mut world = world();
    exec(&mut world, 1_000, "web-1", "-c …");
    exec(&mut world, 9_000, "web-1", "-c kill -9 ( pidof fluent-bit )");
    world.tcp(10_000, 10, "198.51.100.7", 443);
    let written = world.engine.take_incidents();
    let last = written.last().expect("an incident");
    assert_eq!(
        texts(last),
        [
            "it executed `sh -c …`",
            "it executed `sh -c kill -9 ( pidof fluent-bit )`",
            "tamper-exec",
            "egress-skips-proxy"
        ]
    );
    assert_eq!(last.severity, Severity::Critical);
    assert_eq!((last.first_seen, last.last_seen), (at(1_000), at(10_000)));
    assert_eq!(last.service.as_deref(), Some("web-* (web-1)"));
    let ids: Vec<_> = written.iter().map(|incident| (incident.id.as_str(), incident.update)).collect();
    let first = format!("incident-{}", world.alerts[0].id);
    assert_eq!(ids, [(first.as_str(), 0), (first.as_str(), 1)]);
    assert_eq!(world.engine.stats().incidents.written, 1);
}

#[test]
fn a_lone_alert_and_events_without_one_are_none() {
    let mut world = world();
    world.tcp(10_000, 10, "198.51.100.7", 443);
    exec(&mut world, 11_000, "db", "-c …");
    act(&mut world, 12_000, "db", ContainerAct::Paused);
    assert_eq!(world.alerts.len(), 1);
    assert!(world.engine.take_incidents().is_empty());
}

#[test]
fn services_stay_apart_until_a_hop_that_does_not_work_joins_them() {
    let mut world = world();
    world.tcp(10_000, 10, "198.51.100.7", 443);
    world.tcp(10_500, 40, "198.51.100.8", 443);
    assert!(world.engine.take_incidents().is_empty(), "two services, two lone alerts");
    world.start_with(11_000, "proxy", 20, |proxy| proxy.state = WorkloadState::Paused);
    world.tick(40_000);
    assert_eq!(world.alerts.last().map(|alert| alert.rule), Some("monitor-stopped"));
    world.tcp(41_000, 10, "198.51.100.9", 443);
    let written = world.engine.take_incidents();
    let last = written.last().expect("an incident");
    assert!(texts(last).contains(&"monitor-stopped".to_owned()), "{last:?}");
    assert_eq!(last.workloads.len(), 2, "who went around the hop last, and the hop: {last:?}");
}

#[test]
fn after_a_long_quiet_another_one_begins() {
    let mut world = world();
    for at in [10_000, 3_000_000] {
        exec(&mut world, at, "web-1", "-c kill -9 ( pidof fluent-bit )");
    }
    let written = world.engine.take_incidents();
    let ids: std::collections::BTreeSet<_> = written.iter().map(|incident| &incident.id).collect();
    assert_eq!((ids.len(), written.len()), (2, 2), "{written:?}");
}

#[test]
fn a_flood_of_steps_is_listed_up_to_a_bound_and_counted_beyond() {
    let mut world = world();
    exec(&mut world, 10_000, "web-1", "-c kill -9 ( pidof fluent-bit )");
    for number in 0..200 {
        exec(&mut world, 10_001 + number, "web-1", "-c …");
    }
    let written = world.engine.take_incidents();
    let last = written.last().expect("an incident");
    assert_eq!((written.len(), last.steps.len()), (63, 64));
    world.tcp(11_000, 10, "198.51.100.7", 443);
    assert_eq!(world.engine.stats().incidents.omitted, 139);
    assert!(last.steps.iter().filter(|step| step.kind == StepKind::Alert).count() == 1);
}

#[test]
fn the_same_history_gives_the_same_bytes() {
    let run = || {
        let mut world = world();
        exec(&mut world, 9_000, "web-1", "-c kill -9 ( pidof fluent-bit )");
        world.tcp(10_000, 10, "198.51.100.7", 443);
        world.tcp(10_500, 40, "198.51.100.8", 443);
        world.finish();
        serde_json::to_string(&world.engine.take_incidents()).expect("JSON")
    };
    assert_eq!(run(), run());
}

#[test]
fn nothing_is_made_where_it_is_switched_off() {
    let mut world = World::new(config());
    world.start(0, "web-1", 10);
    exec(&mut world, 9_000, "web-1", "-c kill -9 ( pidof fluent-bit )");
    assert!(!world.alerts.is_empty() && world.engine.take_incidents().is_empty());
}
