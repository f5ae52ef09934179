//! Names before addresses: what a workload asked for is the name of where it goes, in the alert and for its own flows only.

use hopwatch::input::*;
use hopwatch::names::KnownBy;

use crate::support::world::{World, config, ip};

fn world() -> World {
    let mut world = World::new(config());
    world.start(0, "web", 10);
    world.start(0, "other", 11);
    world.start(0, "proxy", 31);
    world.tick(9000);
    world
}

fn answered(world: &mut World, millis: u64, host: u8, name: &str, to: &str) {
    let answer = NameAnswer {
        point: ObservationPoint::new("br-net"),
        asker: ip(&format!("172.20.0.{host}")),
        resolver: ip("172.20.0.53"),
        name: name.into(),
        addresses: vec![ip(to)].into(),
        ttl: 60,
    };
    world.push(millis, Fact::Answer(Box::new(answer)));
}

/// The name that the first alert's first destination has.
fn named(world: &World) -> Option<(String, KnownBy)> {
    let destination = world.alerts.first()?.destinations.first()?;
    Some((destination.name.as_deref()?.to_owned(), destination.name_known_by?))
}

#[test]
fn an_alert_names_where_it_went_by_what_the_workload_asked_for() {
    for (host, known) in [(10, KnownBy::Dns), (11, KnownBy::Shared)] {
        let mut world = world();
        answered(&mut world, 9500, host, "evil.example", "198.51.100.7");
        world.tcp(10_000, 10, "198.51.100.7", 443);
        world.finish();
        assert_eq!(world.raised(), ["egress-skips-proxy web high"]);
        assert_eq!(named(&world), Some(("evil.example".to_owned(), known)));
    }
}

#[test]
fn an_answer_that_comes_after_the_flow_does_not_name_it() {
    let mut world = world();
    world.tcp(10_000, 10, "198.51.100.7", 443);
    answered(&mut world, 11_000, 10, "good.example", "198.51.100.7");
    world.finish();
    assert_eq!(named(&world), None);
}
