//! Hops that are reached by a port which the host publishes for them.

use super::*;

/// The host's own address on `br-net`, as [`World::new`] reports it.
const HOST: &str = "172.20.0.1";

fn publish(world: &mut World, name: &str, host: u8, port: u16) {
    world.start_with(1000, name, host, |workload| {
        workload.published =
            vec![PublishedPort { host_ip: ip("0.0.0.0"), host_port: port, port: 3128, protocol: Protocol::TCP }];
    });
}

fn asked(port: u16) -> String {
    let mut world = world_of(Contract {
        remotes: vec![DestinationSet::Any],
        ..contract(vec![vec![hop("squid", HopKind::Endpoint)]])
    });
    watch_translations(&mut world);
    publish(&mut world, "squid", 20, 4128);
    publish(&mut world, "other", 21, 5128);
    flow(&mut world, 60_000, HOST, port, HOST_MAC);
    world.tick(62_000);
    verdict(&world)
}

#[test]
fn a_port_that_the_host_publishes_for_the_hop_is_the_hop() {
    assert_eq!(asked(4128), "verified");
}

#[test]
fn a_port_that_the_host_publishes_for_another_is_not() {
    assert_eq!(asked(5128), "bypassed");
}

#[test]
fn who_answers_at_another_port_of_the_host_is_not_known_without_sockets() {
    assert_eq!(asked(6128), "unobservable unattributed_address");
}
