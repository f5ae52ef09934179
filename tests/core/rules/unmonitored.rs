//! `unmonitored-driver`.

use std::sync::Arc;

use hopwatch::input::*;

use super::facts::id;
use crate::support::world::{World, config, ip, named};

const TOLD: &str = "unmonitored-driver web-1 medium";

fn network(world: &mut World, millis: u64, name: &str, driver: &str) {
    let network =
        RuntimeNetwork { id: name.into(), name: name.into(), driver: driver.into(), ..RuntimeNetwork::default() };
    world.runtime(millis, InventoryEvent::Network(Arc::new(network)));
}

fn on(world: &mut World, millis: u64, name: &str, network: &str) {
    world.start_with(millis, name, 10, |workload| {
        let address = ip("10.9.0.2");
        workload.attachments =
            vec![Attachment { network: network.into(), addresses: vec![address], ..Attachment::default() }];
    });
}

fn inside(name: &str) -> LinkEvent {
    LinkEvent {
        point: ObservationPoint::new("web-1/eth0"),
        up: true,
        addresses: vec![ip("10.9.0.2")],
        inside: Some(id(name)),
        ..LinkEvent::default()
    }
}

#[test]
fn macvlan_is_told_once_after_it_settled_with_verdict_and_how_to_mend_it() {
    let mut world = World::new(config());
    network(&mut world, 0, "lan", "macvlan");
    on(&mut world, 1000, "web-1", "lan");
    world.tick(2999);
    assert!(world.raised().is_empty(), "{:?}", world.raised());
    world.tick(3000);
    assert_eq!(world.raised(), [TOLD]);
    let verdict = serde_json::to_value(&world.alerts[0].verdict).expect("JSON").to_string();
    assert!(verdict.contains("unobservable") && verdict.contains("no_observation_point"), "{verdict}");
    let evidence = world.evidence();
    assert!(evidence.contains("network lan has the driver macvlan"), "{evidence}");
    assert!(evidence.contains("[fix] set `capture.inside_namespaces`"), "{evidence}");
    world.start_with(5000, "web-1", 10, |workload| {
        workload.attachments = vec![Attachment { network: "lan".into(), ..Attachment::default() }];
        workload.labels.insert("changed".into(), "yes".into());
    });
    world.tick(20_000);
    assert_eq!(world.times("unmonitored-driver"), 1);
}

#[test]
fn a_capture_inside_and_an_allowed_workload_are_quiet() {
    for allowed in [true, false] {
        let mut config = config();
        if allowed {
            config.rules.unmonitored_driver.allowed = vec![named("web-1")];
        }
        let mut world = World::new(config);
        network(&mut world, 0, "lan", "macvlan");
        on(&mut world, 1000, "web-1", "lan");
        if !allowed {
            world.link(2000, inside("web-1"));
        }
        world.tick(20_000);
        assert!(world.raised().is_empty(), "{:?}", world.raised());
    }
}

#[test]
fn a_rootless_stack_is_recognised_as_what_it_is() {
    for stack in ["slirp4netns", "pasta"] {
        let mut world = World::new(config());
        world.start_with(1000, "web-1", 10, |workload| {
            workload.attachments.clear();
            workload.network_mode = NetworkMode::Rootless(stack.into());
        });
        world.tick(3000);
        assert_eq!(world.raised(), [TOLD]);
        let verdict = serde_json::to_value(&world.alerts[0].verdict).expect("JSON").to_string();
        assert!(verdict.contains("rootless_stack"), "{verdict}");
        assert!(world.evidence().contains(&format!("its network is rootless ({stack})")), "{}", world.evidence());
    }
}

#[test]
fn what_is_on_a_captured_bridge_or_has_no_network_is_quiet() {
    let mut world = World::new(config());
    world.start(1000, "seen", 10);
    for (name, mode) in [("none", NetworkMode::None), ("joined", NetworkMode::Container(id("seen")))] {
        world.start_with(1000, name, 20, |workload| {
            workload.attachments.clear();
            workload.network_mode = mode;
        });
    }
    world.tick(20_000);
    assert!(!world.raised().iter().any(|alert| alert.starts_with("unmonitored")), "{:?}", world.raised());
}

#[test]
fn a_network_that_is_told_late_is_judged_when_it_is_known() {
    let mut world = World::new(config());
    on(&mut world, 1000, "web-1", "lan");
    world.tick(20_000);
    assert!(world.raised().is_empty(), "what is not known is not said: {:?}", world.raised());
    network(&mut world, 20_000, "lan", "ipvlan");
    world.tick(30_000);
    assert_eq!(world.raised(), [TOLD]);
}

#[test]
fn one_that_ends_before_it_settled_is_reported_where_its_driver_gives_it_no_interface() {
    for (driver, expected) in [("macvlan", 1), ("bridge", 0)] {
        let mut world = World::new(config());
        network(&mut world, 0, "lan", driver);
        on(&mut world, 1000, "web-1", "lan");
        world.stop(1500, "web-1");
        world.tick(9000);
        assert_eq!(world.times("unmonitored-driver"), expected, "{driver}");
    }
}
