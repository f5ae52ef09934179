//! What an alert says could not be seen when it was raised.

use hopwatch::input::*;

use crate::support::engine_config::for_tests;
use crate::support::world::{World, at};

/// Five refused ports of one workload, ten seconds in; `before` is what was reported by then.
fn blind_spots(before: impl FnOnce(&mut World)) -> Vec<(String, String)> {
    let mut world = World::new(for_tests());
    world.start(0, "client", 2);
    world.tick(9000);
    before(&mut world);
    for port in 0..5_u16 {
        let millis = 10_000 + u64::from(port) * 10;
        let mut record = world.record(millis, Protocol::TCP, 2, "172.20.0.9", 1000 + port);
        world.event(millis, FlowEventKind::Started, &record);
        record.resp.counters.packets = 1;
        record.tcp = record.tcp.map(|tcp| TcpFacts { resp_flags: tcp_flags::RST | tcp_flags::ACK, ..tcp });
        world.event(millis + 1, FlowEventKind::Ended(EndReason::EndOfFlow), &record);
    }
    world.finish();
    let [alert] = &world.alerts[..] else { panic!("{:?}", world.raised()) };
    alert.blind_spots.iter().map(|blind| (blind.kind.clone(), blind.text.clone())).collect()
}

fn loss(world: &mut World, millis: u64, point: Option<&str>) {
    loss_of(world, millis, point, None);
}

fn loss_of(world: &mut World, millis: u64, point: Option<&str>, source: Option<Mac>) {
    let point = point.map(ObservationPoint::new);
    let loss = Loss { point, reason: LossReason::Kernel, count: 9, since: at(millis - 100), source };
    world.push(millis, Fact::Recorded(RecordedFact::Loss(loss)));
}

#[test]
fn losses_around_the_flow_are_named_and_those_elsewhere_or_long_before_are_not() {
    assert!(blind_spots(|_| {}).is_empty());
    assert!(blind_spots(|world| loss(world, 9500, Some("br-elsewhere"))).is_empty());
    let of_a_flooder = |world: &mut World| loss_of(world, 9500, Some("br-net"), Some(Mac([2, 9, 9, 9, 9, 9])));
    assert!(blind_spots(of_a_flooder).is_empty(), "only another sender lost something");
    let [(kind, text)] = &blind_spots(|world| loss(world, 9500, Some("br-net")))[..] else { panic!("one") };
    assert!(kind == "lost" && text.starts_with("packets may be missing at br-net from "), "{text}");
    let [(_, text)] = &blind_spots(|world| loss(world, 9500, None))[..] else { panic!("one") };
    assert!(text.starts_with("packets may be missing everywhere"), "{text}");
}

#[test]
fn of_many_losses_the_latest_are_named_and_the_rest_is_a_number() {
    let many = blind_spots(|world| {
        for millis in (9100..9940).step_by(70) {
            let (point, reason) = (Some(ObservationPoint::new("br-net")), LossReason::Kernel);
            let loss = Loss { point, reason, count: 9, since: at(millis - 20), source: None };
            world.push(millis, Fact::Recorded(RecordedFact::Loss(loss)));
        }
    });
    let kinds: Vec<_> = many.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["lost", "lost", "lost", "lost", "lost", "lost", "lost", "more"]);
    assert!(many[0].1.contains(&at(9870).readable()), "the latest first: {}", many[0].1);
    assert!(many[7].1.starts_with("and 5 more"), "{}", many[7].1);
}

#[test]
fn a_runtime_that_does_not_answer_is_named() {
    let silent = blind_spots(|world| {
        let runtime = RuntimeId::of_root(RuntimeKind::Docker);
        let error = "the socket is gone".to_owned();
        let connected = InventoryEvent::Connected { runtime };
        for event in [connected, InventoryEvent::Disconnected { runtime, error }] {
            world.push(9500, Fact::Recorded(RecordedFact::Inventory(event)));
        }
    });
    let kinds: Vec<_> = silent.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["runtime"]);
}
