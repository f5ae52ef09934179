//! `foreign-interface` and `packet-socket`.

use hopwatch::engine::EngineConfig;
use hopwatch::input::*;

use super::facts::{HOST, id, interface, pod};
use crate::support::world::{World, config, ip, named};

fn allowing(name: &str) -> EngineConfig {
    let mut config = config();
    config.rules.foreign_interface.allowed = vec![named(name)];
    config.rules.packet_socket.allowed = vec![named(name)];
    config
}

/// A workload whose first interface its runtime explains.
fn world(config: EngineConfig, more: Vec<InsideInterface>) -> World {
    let mut world = World::new(config);
    world.host(0, &[]);
    let netns = world.settled(0, "web-1", 10);
    world.view(5000, netns, &["web-1"], [vec![interface(10, "veth", "eth0")], more].concat());
    world
}

const NETNS: NetnsId = NetnsId(110);

#[test]
fn a_tunnel_is_told_at_once_with_kind_name_and_addresses_and_not_again() {
    let mut tunnel = interface(11, "tun", "tun0");
    tunnel.addresses = vec![ip("10.8.0.2")];
    let mut world = world(config(), vec![tunnel.clone()]);
    assert_eq!(world.raised(), ["foreign-interface web-1 high"]);
    let evidence = world.evidence();
    assert!(evidence.contains("interface tun0 of kind tun in net:[110], up, 10.8.0.2"), "{evidence}");
    assert!(evidence.contains("docker attached web-1 to net"), "{evidence}");
    tunnel.addresses.push(ip("fd00::2"));
    world.view(6000, NETNS, &["web-1"], vec![interface(10, "veth", "eth0"), tunnel]);
    world.tick(20_000);
    assert_eq!(world.times("foreign-interface"), 1);
}

#[test]
fn many_tunnels_are_one_alert_that_counts() {
    let tunnels = (11..60).map(|index| interface(index, "tun", &format!("tun{index}"))).collect();
    let mut world = world(config(), tunnels);
    assert_eq!(world.raised(), ["foreign-interface web-1 high"]);
    assert_eq!(world.times("foreign-interface"), 49);
}

#[test]
fn what_is_allowed_by_workload_or_kind_is_quiet() {
    let kinds = {
        let mut config = config();
        config.rules.foreign_interface.allowed_kinds = vec!["tun".into()];
        config
    };
    for config in [allowing("web-1"), kinds] {
        let mut world = world(config, vec![interface(11, "tun", "tun0")]);
        world.tick(20_000);
        assert!(world.raised().is_empty(), "{:?}", world.raised());
    }
}

#[test]
fn the_kernels_own_devices_are_normal_until_they_are_used() {
    let idle = |name: &str, kind: &str| InsideInterface { up: false, ..interface(12, kind, name) };
    let lo = InsideInterface { mac: None, ..interface(1, "", "lo") };
    let mut world = world(config(), vec![lo, idle("tunl0", "ipip"), idle("gre0", "gre"), idle("sit0", "sit")]);
    world.tick(20_000);
    assert!(world.raised().is_empty(), "{:?}", world.raised());
    world.view(21_000, NETNS, &["web-1"], vec![interface(10, "veth", "eth0"), interface(12, "ipip", "tunl0")]);
    assert_eq!(world.raised(), ["foreign-interface web-1 high"]);
}

#[test]
fn one_more_veth_than_attachments_is_told_after_it_settled_unless_the_runtime_explains_it() {
    for connected in [true, false] {
        let mut world = world(config(), vec![interface(11, "veth", "eth1")]);
        if connected {
            world.start_with(5500, "web-1", 10, |workload| {
                let more =
                    Attachment { network: "two".into(), addresses: vec![ip("172.21.0.2")], ..Attachment::default() };
                workload.attachments.push(more);
                workload.since = Some(crate::support::world::at(0));
            });
        }
        world.tick(5999);
        assert!(world.raised().is_empty(), "{:?}", world.raised());
        world.tick(6000);
        let expected: &[&str] = if connected { &[] } else { &["foreign-interface web-1 medium"] };
        assert_eq!(world.raised(), expected);
    }
}

#[test]
fn where_the_runtime_tells_no_networks_the_first_interfaces_are_its_own() {
    let mut world = World::new(config());
    world.host(0, &[]);
    world.start_with(0, "pause", 20, |workload| {
        workload.runtime = hopwatch::input::RuntimeId::CRI;
        workload.attachments.clear();
        workload.pod = Some(pod("shop", true));
    });
    world.processes(0, "pause", NETNS, &[]);
    let first = vec![interface(2, "veth", "eth0"), interface(3, "macvlan", "net1")];
    world.view(500, NETNS, &["pause"], first.clone());
    world.tick(20_000);
    assert!(world.raised().is_empty(), "{:?}", world.raised());
    world.view(20_000, NETNS, &["pause"], [first, vec![interface(4, "macvlan", "net2")]].concat());
    world.tick(22_000);
    assert_eq!(world.raised(), ["foreign-interface pause medium"]);
}

/// A pod of a plugin like Multus: CRI tells its address, and nothing of its second network.
#[test]
fn where_the_runtime_tells_one_network_of_many_the_first_interfaces_are_its_own() {
    for (runtime, raised) in [("cri", false), ("containerd-1000", false), ("docker", true)] {
        let mut world = World::new(config());
        world.host(0, &[]);
        world.start_with(0, "pause", 10, |workload| {
            workload.runtime = runtime.parse().expect("a runtime");
            workload.pod = Some(pod("shop", true));
        });
        world.processes(0, "pause", NETNS, &[]);
        let first = vec![interface(10, "veth", "eth0"), interface(3, "", "net1")];
        world.view(500, NETNS, &["pause"], first.clone());
        world.tick(20_000);
        assert_eq!(!world.raised().is_empty(), raised, "{runtime}: {:?}", world.raised());
        world.view(20_000, NETNS, &["pause"], [first, vec![interface(4, "macvlan", "net2")]].concat());
        world.tick(22_000);
        assert_eq!(world.raised(), vec!["foreign-interface pause medium"; 1 + usize::from(raised)], "{runtime}");
    }
}

#[test]
fn a_rootless_stack_has_one_tun_device() {
    let mut world = World::new(config());
    world.host(0, &[]);
    world.start_with(0, "web-1", 20, |workload| {
        workload.attachments.clear();
        workload.network_mode = NetworkMode::Rootless("slirp4netns".into());
    });
    world.processes(0, "web-1", NETNS, &[]);
    world.view(0, NETNS, &["web-1"], vec![interface(2, "tun", "tap0")]);
    world.tick(1000);
    assert!(world.raised().is_empty(), "{:?}", world.raised());
    world.view(1500, NETNS, &["web-1"], vec![interface(2, "tun", "tap0"), interface(3, "tun", "tun0")]);
    assert_eq!(world.raised(), ["foreign-interface web-1 high"]);
    assert!(world.evidence().contains("interface tun0"), "{}", world.evidence());
}

#[test]
fn an_interface_that_is_told_before_its_workload_waits_for_it() {
    let mut world = World::new(config());
    world.host(0, &[]);
    world.processes(0, "web-1", NETNS, &[]);
    world.view(0, NETNS, &["web-1"], vec![interface(10, "veth", "eth0"), interface(11, "wireguard", "wg0")]);
    assert!(world.raised().is_empty());
    world.start(300, "web-1", 10);
    assert_eq!(world.raised(), ["foreign-interface web-1 high"]);
}

#[test]
fn a_packet_socket_is_told_with_its_holder_whoever_speaks_first() {
    for kernel_first in [true, false] {
        let mut world = World::new(config());
        world.host(0, &[]);
        if kernel_first {
            world.sniffer(100, NETNS, SnifferKind::Packet, 3, &["web-1"]);
            assert!(world.raised().is_empty());
        }
        world.settled(200, "web-1", 10);
        if !kernel_first {
            world.sniffer(300, NETNS, SnifferKind::Packet, 3, &["web-1"]);
        }
        assert_eq!(world.raised(), ["packet-socket web-1 high"]);
        let evidence = world.evidence();
        assert!(evidence.contains("a packet socket for every frame on eth0 in net:[110]"), "{evidence}");
        assert!(evidence.contains("held by tcpdump"), "{evidence}");
        assert_eq!(world.times("packet-socket"), 1);
    }
}

#[test]
fn ping_and_allowed_workloads_and_tools_of_the_host_are_normal() {
    let mut world = World::new(allowing("dhcp"));
    world.host(0, &[]);
    world.settled(0, "web-1", 10);
    world.settled(0, "dhcp", 20);
    world.sniffer(100, NETNS, SnifferKind::Raw, 1, &["web-1"]);
    world.sniffer(200, NETNS, SnifferKind::Raw, 58, &["web-1"]);
    world.sniffer(300, NETNS, SnifferKind::Packet, 3, &[]);
    world.sniffer(400, NetnsId(120), SnifferKind::Packet, 0x0800, &["dhcp"]);
    world.tick(20_000);
    assert!(world.raised().is_empty(), "{:?}", world.raised());
    world.sniffer(21_000, NETNS, SnifferKind::Raw, 6, &["web-1"]);
    assert_eq!(world.raised(), ["packet-socket web-1 high"]);
}

#[test]
fn a_packet_socket_in_the_hosts_namespace_is_its_holders() {
    let mut world = World::new(config());
    world.host(0, &[]);
    world.start_with(0, "web-1", 10, |workload| workload.network_mode = NetworkMode::Host);
    world.sniffer(100, HOST, SnifferKind::Packet, 3, &["web-1"]);
    assert!(world.raised().contains(&"packet-socket web-1 high".to_owned()), "{:?}", world.raised());
}

/// `eth0` of `web-1` with so many promiscuous listeners.
fn promiscuous(world: &mut World, millis: u64, listeners: u32) {
    let eth0 = InsideInterface { promiscuity: listeners, ..interface(10, "veth", "eth0") };
    world.view(millis, NETNS, &["web-1"], vec![eth0]);
}

#[test]
fn promiscuity_without_a_known_listener_is_told_once_it_has_settled() {
    let mut world = world(config(), vec![]);
    promiscuous(&mut world, 6000, 1);
    world.tick(6999);
    assert!(world.raised().is_empty());
    world.tick(7000);
    assert_eq!(world.raised(), ["packet-socket web-1 high"]);
    promiscuous(&mut world, 8000, 2);
    world.tick(20_000);
    assert_eq!(world.times("packet-socket"), 1);
}

#[test]
fn promiscuity_that_goes_at_once_or_has_a_known_listener_is_not_told_twice() {
    let mut world = world(config(), vec![]);
    promiscuous(&mut world, 6000, 1);
    promiscuous(&mut world, 6500, 0);
    promiscuous(&mut world, 9000, 1);
    world.sniffer(9100, NETNS, SnifferKind::Packet, 3, &["web-1"]);
    world.tick(20_000);
    assert_eq!(world.times("packet-socket"), 1, "the socket alone: {:?}", world.raised());
}

#[test]
fn our_own_tap_inside_accounts_for_one_listener() {
    let tap = |up| LinkEvent {
        point: ObservationPoint::new("web-1/eth0"),
        up,
        mac: Some(Mac([2, 0, 0, 0, 0, 10])),
        inside: Some(id("web-1")),
        ..LinkEvent::default()
    };
    let mut world = world(config(), vec![]);
    promiscuous(&mut world, 6000, 1);
    world.link(6200, tap(true));
    world.tick(20_000);
    assert!(world.raised().is_empty(), "{:?}", world.raised());
    promiscuous(&mut world, 21_000, 2);
    world.tick(23_000);
    assert_eq!(world.raised(), ["packet-socket web-1 high"]);
    assert!(world.evidence().contains("for 2 listeners; 1 of them are known"), "{}", world.evidence());
}

#[test]
fn a_bridge_inside_explains_its_ports() {
    let port = InsideInterface { promiscuity: 1, ..interface(12, "veth", "veth1") };
    let mut config = config();
    config.rules.foreign_interface.allowed = vec![named("web-1")];
    let mut world = world(config, vec![interface(11, "bridge", "docker0"), port]);
    world.tick(20_000);
    assert!(world.raised().is_empty(), "{:?}", world.raised());
}
