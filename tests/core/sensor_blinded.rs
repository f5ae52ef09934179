//! `sensor-blinded`: each cause alone, each with what looks like it and is in order.

mod silence;

use std::sync::Arc;

use crate::support::world::{World, at, config, ip};
use hopwatch::engine::EngineConfig;
use hopwatch::input::*;

fn told(point: &str) -> LinkEvent {
    LinkEvent { point: ObservationPoint::new(point), up: true, promiscuous: Some(true), ..LinkEvent::default() }
}

fn bridge() -> LinkEvent {
    LinkEvent { addresses: vec![ip("172.20.0.1")], mac: Some(Mac([2, 0, 0, 0, 0, 0xff])), ..told("br-net") }
}

fn uplink() -> LinkEvent {
    LinkEvent { addresses: vec![ip("192.0.2.7")], ..told("eth0") }
}

fn gone(link: LinkEvent) -> LinkEvent {
    LinkEvent { up: false, ..link }
}

fn world() -> World {
    let mut world = World::new(config());
    link(&mut world, 10, bridge());
    world
}

fn link(world: &mut World, millis: u64, link: LinkEvent) {
    world.push(millis, Fact::Recorded(RecordedFact::Link(link)));
}

fn lose(world: &mut World, millis: u64, reason: LossReason, count: u64) {
    let loss = Loss { point: Some(ObservationPoint::new("br-net")), reason, count, since: at(millis), source: None };
    world.push(millis, Fact::Recorded(RecordedFact::Loss(loss)));
}

fn network(bridge: &str) -> InventoryEvent {
    let network = RuntimeNetwork {
        id: format!("id of {bridge}"),
        name: format!("net of {bridge}"),
        driver: "bridge".into(),
        bridge: Some(bridge.into()),
        ..RuntimeNetwork::default()
    };
    InventoryEvent::Network(Arc::new(network))
}

fn runtime_cut() -> InventoryEvent {
    InventoryEvent::Disconnected { runtime: hopwatch::input::RuntimeId::DOCKER, error: "connection refused".into() }
}

fn renamed(link: LinkEvent, name: &str) -> LinkEvent {
    LinkEvent { up: false, renamed: Some(ObservationPoint::new(name)), ..link }
}

fn reconciled() -> InventoryEvent {
    InventoryEvent::Reconciled { runtime: hopwatch::input::RuntimeId::DOCKER, running: vec![] }
}

/// Severity, first event time in milliseconds, and text of each alert, time having passed.
fn said(mut world: World) -> Vec<(String, u64, String)> {
    world.tick(600_000);
    world.finish();
    let raised = world.alerts.iter().filter(|alert| alert.update == 0 && alert.rule == "sensor-blinded");
    let first = at(0).as_nanos();
    raised
        .map(|alert| {
            let millis = u64::try_from((alert.first_seen.as_nanos() - first) / 1_000_000).expect("after the start");
            (alert.severity.as_str().to_owned(), millis, alert.evidence[0].text.clone())
        })
        .collect()
}

#[track_caller]
fn assert_said(world: World, severity: &str, millis: u64, part: &str) {
    let said = said(world);
    let [(how, when, text)] = &said[..] else { panic!("one alert expected: {said:?}") };
    assert_eq!((how.as_str(), *when), (severity, millis), "{text}");
    assert!(text.contains(part), "{text}");
}

#[track_caller]
fn assert_silent(world: World) {
    assert_eq!(said(world), []);
}

#[test]
fn a_bridge_that_goes_while_its_network_is_listed() {
    let mut world = world();
    link(&mut world, 5_000, gone(bridge()));
    assert_said(world, "high", 5_000, "network net still uses it");
}

#[test]
fn the_alert_comes_after_the_settling_time_and_not_before() {
    let mut world = world();
    link(&mut world, 5_000, gone(bridge()));
    world.tick(6_999);
    assert_eq!(world.raised(), Vec::<String>::new());
    world.tick(7_000);
    assert_eq!(world.raised(), ["sensor-blinded - high"]);
}

#[test]
fn a_network_that_is_removed_takes_its_bridge_along_in_any_order() {
    for (bridge_goes, network_goes) in [(5_000, 6_500), (5_000, 5_000), (6_500, 5_000)] {
        let mut world = world();
        let mut steps = [(bridge_goes, true), (network_goes, false)];
        steps.sort_unstable();
        for (millis, is_link) in steps {
            if is_link {
                link(&mut world, millis, gone(bridge()));
            } else {
                world.runtime(millis, InventoryEvent::NetworkRemoved { id: "n".into() });
            }
        }
        assert_silent(world);
    }
}

#[test]
fn a_network_told_before_or_after_its_bridge_may_be_removed() {
    let told = LinkEvent { addresses: vec![ip("10.1.0.1")], ..told("br-new") };
    for link_first in [true, false] {
        let mut world = world();
        link(&mut world, if link_first { 1_000 } else { 1_200 }, told.clone());
        world.runtime(1_300, network("br-new"));
        world.runtime(1_400, InventoryEvent::NetworkRemoved { id: "id of br-new".into() });
        link(&mut world, 1_500, gone(told.clone()));
        assert_silent(world);
    }
}

#[test]
fn a_bridge_that_is_back_at_once_was_not_gone() {
    let mut world = world();
    link(&mut world, 5_000, gone(bridge()));
    link(&mut world, 6_000, bridge());
    assert_silent(world);
}

#[test]
fn while_the_runtime_is_silent_a_bridge_is_judged_when_it_is_heard_again() {
    for (still_there, expected) in [(true, 1), (false, 0)] {
        let mut world = world();
        world.runtime(4_000, runtime_cut());
        link(&mut world, 5_000, gone(bridge()));
        world.runtime(9_000, InventoryEvent::Connected { runtime: hopwatch::input::RuntimeId::DOCKER });
        if !still_there {
            world.runtime(9_000, InventoryEvent::NetworkRemoved { id: "n".into() });
        }
        world.runtime(9_100, reconciled());
        world.tick(11_099);
        assert_eq!(world.raised(), Vec::<String>::new());
        assert_eq!(said(world).len(), expected);
    }
}

fn with_veth(world: &mut World) {
    world.start_with(100, "web", 10, |workload| {
        workload.attachments[0].host_interface = Some("veth1".into());
    });
    link(world, 150, told("veth1"));
}

#[test]
fn a_veth_that_goes_while_its_workload_runs() {
    let mut world = world();
    with_veth(&mut world);
    link(&mut world, 5_000, gone(told("veth1")));
    assert_said(world, "high", 5_000, "web still runs");
}

#[test]
fn a_veth_goes_with_its_workload_or_its_attachment() {
    let mut stopped = world();
    with_veth(&mut stopped);
    link(&mut stopped, 5_000, gone(told("veth1")));
    stopped.stop(5_800, "web");
    assert_silent(stopped);
    let mut disconnected = world();
    with_veth(&mut disconnected);
    link(&mut disconnected, 5_000, gone(told("veth1")));
    disconnected.start_with(5_800, "web", 10, |workload| workload.attachments.clear());
    assert_silent(disconnected);
}

fn inside(world: &mut World, mac: Option<Mac>) -> LinkEvent {
    world.start(100, "web", 10);
    let id = WorkloadId::new(&format!("web{}", "0".repeat(50)));
    let told = LinkEvent { inside: Some(id), addresses: vec![ip("172.20.0.10")], mac, ..told("web:eth0") };
    link(world, 150, told.clone());
    told
}

#[test]
fn a_tap_inside_that_ends_while_the_workload_runs() {
    for mac in [None, Some(Mac([2, 0, 0, 0, 0, 10]))] {
        let mut world = world();
        let told = inside(&mut world, mac);
        link(&mut world, 5_000, gone(told));
        assert_said(world, "medium", 5_000, "web still runs");
    }
}

#[test]
fn a_tap_inside_ends_with_its_workload_or_with_what_the_runtime_took_away() {
    let mut stopped = world();
    let told = inside(&mut stopped, None);
    link(&mut stopped, 5_000, gone(told));
    stopped.stop(5_500, "web");
    assert_silent(stopped);
    let mut disconnected = world();
    let told = inside(&mut disconnected, Some(Mac([2, 0, 0, 0, 0, 10])));
    link(&mut disconnected, 5_000, gone(told));
    disconnected.start_with(5_800, "web", 10, |workload| workload.attachments.clear());
    assert_silent(disconnected);
}

#[test]
fn addresses_inside_are_not_the_hosts() {
    let mut world = world();
    let told = inside(&mut world, Some(Mac([2, 0, 0, 0, 0, 10])));
    // Somebody in there gave it one more.
    link(&mut world, 200, LinkEvent { addresses: vec![ip("172.20.0.99")], ..told });
    let timeline = world.engine.timeline();
    assert_eq!(timeline.host_mac(&ObservationPoint::new("web:eth0")), None);
    let record = world.record(2_000, Protocol::TCP, 99, "198.51.100.1", 443);
    world.event(2_000, FlowEventKind::Started, &record);
    world.tick(10_000);
    assert_eq!(world.raised(), ["unknown-source - high"], "it was given to nobody, and is not the host's");
}

#[test]
fn an_uplink_that_goes_down() {
    let mut world = world();
    link(&mut world, 100, uplink());
    link(&mut world, 5_000, gone(uplink()));
    assert_said(world, "medium", 5_000, "eth0, which had addresses of the host");
}

#[test]
fn an_interface_without_addresses_and_of_nobody_may_go() {
    let mut world = world();
    link(&mut world, 100, told("tap7"));
    link(&mut world, 5_000, gone(told("tap7")));
    assert_silent(world);
}

#[test]
fn promiscuity_that_ends_on_a_bridge() {
    let mut off = world();
    link(&mut off, 5_000, LinkEvent { promiscuous: Some(false), ..bridge() });
    assert_said(off, "high", 5_000, "br-net is no longer promiscuous");
    let mut unknown = world();
    link(&mut unknown, 5_000, LinkEvent { promiscuous: None, ..bridge() });
    assert_silent(unknown);
    let mut elsewhere = world();
    link(&mut elsewhere, 100, told("veth9"));
    link(&mut elsewhere, 5_000, LinkEvent { promiscuous: Some(false), ..told("veth9") });
    assert_silent(elsewhere);
}

fn with_programs(programs: &[&str]) -> LinkEvent {
    LinkEvent { programs: programs.iter().map(|&program| program.to_owned()).collect(), ..bridge() }
}

#[test]
fn a_program_that_is_placed_later_is_worse_than_one_that_was_there() {
    let mut placed = world();
    link(&mut placed, 5_000, with_programs(&["tc ingress"]));
    link(&mut placed, 6_000, with_programs(&["tc ingress"]));
    assert_said(placed, "high", 5_000, "tc ingress on br-net was not there before");
    let mut before = World::silent(config());
    link(&mut before, 10, with_programs(&["tc ingress"]));
    link(&mut before, 6_000, with_programs(&["tc ingress"]));
    assert_said(before, "low", 10, "tc ingress was on br-net when it was first seen");
    let mut another = World::silent(config());
    link(&mut another, 10, with_programs(&["tc ingress"]));
    link(&mut another, 6_000, with_programs(&["tc ingress", "xdp"]));
    let severities: Vec<_> = said(another).into_iter().map(|(severity, ..)| severity).collect();
    assert_eq!(severities, ["low", "high"]);
}

#[test]
fn a_program_that_is_taken_away_is_no_loss_of_sight() {
    let mut world = World::silent(config());
    link(&mut world, 10, with_programs(&["xdp"]));
    link(&mut world, 5_000, with_programs(&[]));
    assert_eq!(said(world).len(), 1, "only that it was there");
}

#[test]
fn the_table_of_points_is_bounded_and_one_that_is_down_makes_room() {
    let mut world = world();
    for number in 0..5_000 {
        link(&mut world, 100, told(&format!("tap{number}")));
    }
    link(&mut world, 200, gone(bridge()));
    let at_last = |name| LinkEvent { addresses: vec![ip("192.0.2.7")], ..told(name) };
    let names = [(300, "too-early"), (3_000, "newcomer"), (3_000, "too-late")];
    for (millis, name) in names {
        link(&mut world, millis, at_last(name));
    }
    for (_, name) in names {
        link(&mut world, 5_000, gone(at_last(name)));
    }
    let texts: Vec<_> = said(world).into_iter().map(|(.., text)| text).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].starts_with("br-net") && texts[1].starts_with("newcomer"), "{texts:?}");
}

/// The same facts, with as many ticks in between as there may be.
#[test]
fn ticks_change_nothing() {
    let run = |ticks: bool| {
        let mut world = world();
        let tick = |world: &mut World, millis| {
            if ticks {
                world.tick(millis);
            }
        };
        link(&mut world, 1_000, uplink());
        tick(&mut world, 1_500);
        link(&mut world, 3_000, gone(bridge()));
        world.runtime(4_000, runtime_cut());
        tick(&mut world, 5_000);
        tick(&mut world, 6_000);
        lose(&mut world, 7_000, LossReason::Queue, 3);
        link(&mut world, 8_000, gone(uplink()));
        tick(&mut world, 9_999);
        tick(&mut world, 14_000);
        world.runtime(20_000, reconciled());
        world.tick(60_000);
        world.finish();
        serde_json::to_string(&world.alerts).expect("JSON")
    };
    let without = run(false);
    assert_eq!(without, run(true));
    assert_eq!(without.matches("\"update\":0").count(), 4, "{without}");
    assert_eq!(without.matches("\"kind\":\"over\"").count(), 2, "the end of the loss and of the silence: {without}");
}

/// The rule is heard only when it is switched on.
#[test]
fn switched_off_it_is_silent() {
    let mut off: EngineConfig = config();
    off.rules.sensor_blinded.enabled = false;
    let mut world = World::new(off);
    link(&mut world, 10, bridge());
    link(&mut world, 5_000, gone(bridge()));
    assert_silent(world);
}

#[test]
fn the_alert_has_the_steps_of_its_cause_and_says_when_it_is_over() {
    let mut world = world();
    link(&mut world, 5_000, gone(bridge()));
    world.tick(7_000);
    let steps = world.alerts[0].response.join("\n");
    assert!(steps.contains("`ip -d link show br-net`"), "{steps}");
    assert!(!["Program:", "Runtime:", "Losses:"].iter().any(|other| steps.contains(other)), "{steps}");
    link(&mut world, 9_200, bridge());
    world.tick(600_000);
    world.finish();
    assert_eq!(world.raised(), ["sensor-blinded - high"], "the end is no alert of its own");
    let last = world.alerts.last().expect("an update");
    let over: Vec<_> = last.evidence.iter().filter(|evidence| evidence.kind == "over").collect();
    assert_eq!((last.update, last.count, over.len()), (1, 1, 1), "{last:?}");
    assert_eq!(over[0].text, "br-net is up again, after 4.2 s");
}

#[test]
fn the_end_of_losses_and_of_silence_is_reported_too() {
    let mut losing = world();
    lose(&mut losing, 5_000, LossReason::Queue, 1);
    let mut silent = world();
    silent.runtime(1_000, reconciled());
    silent.runtime(5_000, runtime_cut());
    silent.tick(20_000);
    silent.runtime(30_000, reconciled());
    for (mut world, end) in
        [(losing, "nothing was lost at br-net for 10 s"), (silent, "docker answers again, after 25 s")]
    {
        world.tick(600_000);
        world.finish();
        let last = world.alerts.last().expect("an update");
        assert_eq!(last.evidence.last().map(|evidence| evidence.text.as_str()), Some(end), "{:?}", world.alerts);
        assert_eq!(last.count, 1);
    }
}

#[test]
fn a_renamed_interface_is_not_called_gone() {
    let moved = |old: LinkEvent, name: &str, observed: bool| {
        let mut world = world();
        link(&mut world, 20, old.clone());
        link(&mut world, 5_000, renamed(old.clone(), name));
        if observed {
            link(&mut world, 5_100, LinkEvent { point: ObservationPoint::new(name), ..old });
        }
        world
    };
    assert_said(
        moved(bridge(), "br-new", true),
        "high",
        5_000,
        "br-net is called br-new now, but network net still uses it",
    );
    assert_said(
        moved(uplink(), "wan0", false),
        "medium",
        5_000,
        "eth0, which had addresses of the host, is called wan0 now",
    );
    assert_silent(moved(uplink(), "wan0", true));
}
