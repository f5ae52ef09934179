//! What an alert says of who sent the frames: interface, MAC, process, and whose a forged address is.

use std::sync::Arc;

use hopwatch::alert::{FrameSender, ProcessEvidence};
use hopwatch::input::*;

use super::facts::{HOST, id, interface};
use crate::support::world::{World, at, config, ip};

const WEB_MAC: Mac = Mac([2, 0, 0, 0, 0, 10]);
const DB_MAC: Mac = Mac([2, 0, 0, 0, 0, 40]);
/// The uplink's own.
const HOSTS_MAC: Mac = Mac([2, 0, 0, 0, 0, 0xfe]);

/// The proxy, `web-1` and `db` on one bridge, each behind a veth that the runtime named.
fn world() -> World {
    let mut world = World::new(config());
    for (name, host) in [("proxy", 2), ("web-1", 10), ("db", 40)] {
        world.start_with(0, name, host, |workload| {
            workload.attachments[0].host_interface = Some(format!("veth-{name}"));
        });
    }
    world
}

fn sender_of(world: &World, rule: &str) -> FrameSender {
    let alert = world.alerts.iter().find(|alert| alert.rule == rule).expect("an alert");
    alert.sender.as_deref().cloned().unwrap_or_default()
}

#[test]
fn a_bypass_names_the_workloads_interface_and_mac() {
    let mut world = world();
    world.tcp(10_000, 10, "198.51.100.7", 443);
    world.tick(20_000);
    let sender = sender_of(&world, "egress-skips-proxy");
    assert_eq!((sender.interface.as_deref(), sender.mac), (Some("veth-web-1"), Some(WEB_MAC)));
    assert_eq!((sender.forged, sender.address_of, sender.process), (false, None, None));
}

#[test]
fn the_macs_of_those_who_pass_frames_on_are_not_the_senders() {
    let mut world = world();
    let mut record = world.record(10_000, Protocol::TCP, 10, "198.51.100.7", 443);
    record.orig.mac = Some(HOSTS_MAC);
    record.point = ObservationPoint::new("eth0");
    let link = LinkEvent { point: record.point.clone(), up: true, mac: Some(HOSTS_MAC), ..LinkEvent::default() };
    world.link(0, link);
    world.event(10_000, FlowEventKind::Started, &record);
    record.resp.counters.packets = 1;
    world.event(10_010, FlowEventKind::Answered, &record);
    world.tick(20_000);
    assert_eq!(sender_of(&world, "egress-skips-proxy").mac, Some(WEB_MAC));
}

#[test]
fn a_borrowed_address_is_forged_and_its_owner_is_named() {
    let mut world = world();
    let mut record = world.record(10_000, Protocol::UDP, 40, "172.20.0.20", 9999);
    record.orig.mac = Some(WEB_MAC);
    world.event(10_000, FlowEventKind::Started, &record);
    world.tick(11_000);
    let sender = sender_of(&world, "unknown-source");
    assert_eq!((sender.interface.as_deref(), sender.mac), (Some("veth-web-1"), Some(WEB_MAC)));
    assert_eq!((sender.forged, sender.address_of.as_deref()), (true, Some("db")));
}

#[test]
fn a_forged_frame_names_the_process_with_the_only_packet_socket() {
    for sockets in [1, 2] {
        let mut world = world();
        let netns = NetnsId(110);
        world.host(0, &[]);
        world.view(0, netns, &["web-1"], vec![interface(10, "veth", "eth0")]);
        world.processes(0, "web-1", netns, &[]);
        for inode in 0..sockets {
            let sniffer = SnifferView {
                netns,
                inode,
                kind: SnifferKind::Packet,
                protocol: 3,
                interface: None,
                owners: vec![id("web-1")],
                command: Some(format!("forge{inode}")),
                pid: Some(77),
            };
            world.kernel(100, KernelFact::SnifferOpened(Arc::new(sniffer)));
        }
        let mut record = world.record(10_000, Protocol::UDP, 40, "172.20.0.20", 9999);
        record.orig.mac = Some(WEB_MAC);
        world.event(10_000, FlowEventKind::Started, &record);
        world.tick(11_000);
        let process = sender_of(&world, "unknown-source").process;
        let said = process.as_ref().map(|process| (process.command.as_str(), process.pid, process.how));
        let expected = (sockets == 1).then_some(("forge0", Some(77), ProcessEvidence::PacketSocket));
        assert_eq!(said, expected, "of several nobody knows which");
    }
}

#[test]
fn a_claim_of_anothers_address_is_forged_and_names_its_frame() {
    let mut world = world();
    let claim = NeighbourClaim {
        point: ObservationPoint::new("veth-web-1"),
        kind: ClaimKind::ArpReply,
        ip: ip("172.20.0.40"),
        mac: WEB_MAC,
        asks: None,
        frame_mac: Some(WEB_MAC),
        to: None,
    };
    world.push(10_000, Fact::Claim(Box::new(claim)));
    world.tick(20_000);
    let sender = sender_of(&world, "unknown-source");
    assert_eq!((sender.interface.as_deref(), sender.mac), (Some("veth-web-1"), Some(WEB_MAC)));
    assert_eq!((sender.forged, sender.address_of.as_deref()), (true, Some("db")));
    assert_ne!(sender.mac, Some(DB_MAC));
}

#[test]
fn on_the_hosts_network_the_socket_names_the_process() {
    let mut world = World::new(config());
    let address = ip("192.0.2.1");
    let point = ObservationPoint::new("eth0");
    world.link(0, LinkEvent { point: point.clone(), up: true, addresses: vec![address], ..LinkEvent::default() });
    world.host(0, &["agent"]);
    world.start_with(0, "agent", 10, |workload| {
        workload.network_mode = NetworkMode::Host;
        workload.attachments.clear();
        workload.since = Some(at(0));
    });
    world.processes(0, "agent", HOST, &[]);
    let (local, remote) = (Endpoint { ip: address, port: 40_001 }, Endpoint { ip: ip("198.51.100.7"), port: 443 });
    let socket = SocketView {
        netns: HOST,
        inode: 1,
        protocol: Protocol::TCP,
        local,
        remote: Some(remote),
        owners: vec![id("agent")],
        how: SocketEvidence::Process,
        command: Some("curl".into()),
        pid: Some(4242),
        since: Some(at(10_000)),
    };
    world.kernel(10_000, KernelFact::SocketOpened(Arc::new(socket)));
    let mut record = world.record(10_000, Protocol::TCP, 10, "198.51.100.7", 443);
    (record.tuple.orig, record.point, record.orig.mac) = (local, point, None);
    world.event(10_000, FlowEventKind::Started, &record);
    world.tick(13_000);
    let process = sender_of(&world, "host-network-flow").process.expect("a process");
    assert_eq!((process.command.as_str(), process.pid, process.how), ("curl", Some(4242), ProcessEvidence::Socket));
}

#[test]
fn a_sender_that_nobody_knows_is_named_by_its_mac_and_forged_where_the_address_is_anothers() {
    let strange = Mac([2, 0, 0, 0, 0x77, 0x77]);
    // Of `db`, of nobody in this network, from outside.
    for (source, forged, address_of) in
        [("172.20.0.40", true, Some("db")), ("172.20.0.77", false, None), ("198.51.100.10", true, None)]
    {
        let mut world = world();
        let mut record = world.record(10_000, Protocol::UDP, 1, "172.20.0.10", 9999);
        record.tuple.orig = Endpoint { ip: ip(source), port: 4444 };
        record.orig.mac = Some(strange);
        world.event(10_000, FlowEventKind::Started, &record);
        world.tick(20_000);
        let alert = world.alerts.iter().find(|alert| alert.rule == "unknown-source");
        let Some(alert) = alert else { panic!("{source}: {:?}", world.raised()) };
        let sender = alert.sender.as_deref().cloned().unwrap_or_default();
        assert_eq!(
            (sender.mac, sender.forged, sender.address_of.as_deref()),
            (Some(strange), forged, address_of),
            "{source}"
        );
    }
}
