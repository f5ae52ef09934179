//! Whose a flow is when address alone does not tell: the host's network, shared namespaces, forged frames on a veth; and what that does to verdicts.

use std::sync::Arc;

use crate::support::world::{World, at, config, ip};
use hopwatch::input::*;

const OUTSIDE: &str = "198.51.100.7";
/// The host's address is 172.20.0.1.
const HOST: u8 = 1;

fn id(name: &str) -> WorkloadId {
    WorkloadId::new(&format!("{name}{}", "0".repeat(50)))
}

fn kernel(world: &mut World, millis: u64, fact: KernelFact) {
    world.push(millis, Fact::Recorded(RecordedFact::Kernel(fact)));
}

fn namespace(world: &mut World, millis: u64, netns: u64, names: &[&str]) {
    let workloads = names.iter().map(|name| id(name)).collect();
    let view = NamespaceView { netns: NetnsId(netns), host: netns == 1, workloads, interfaces: vec![], settings: None };
    kernel(world, millis, KernelFact::Namespace(Arc::new(view)));
}

/// A socket at the near end of a flow, or one that listens.
fn socket(world: &mut World, millis: u64, netns: u64, local: Endpoint, remote: Option<Endpoint>, owner: Option<&str>) {
    let view = SocketView {
        netns: NetnsId(netns),
        inode: millis * 100_000 + u64::from(local.port),
        protocol: Protocol::TCP,
        local,
        remote,
        owners: owner.map(id).into_iter().collect(),
        how: SocketEvidence::Cgroup,
        command: None,
        pid: None,
        since: None,
    };
    kernel(world, millis, KernelFact::SocketOpened(Arc::new(view)));
}

fn listens(world: &mut World, millis: u64, port: u16, owner: Option<&str>) {
    socket(world, millis, 1, Endpoint { ip: ip("0.0.0.0"), port }, None, owner);
}

fn on_host(world: &mut World, millis: u64, name: &str) {
    world.start_with(millis, name, 0, |workload| {
        workload.network_mode = NetworkMode::Host;
        workload.attachments.clear();
    });
}

/// What the rule for skipped proxies said.
fn bypasses(world: &World) -> Vec<String> {
    world.raised().into_iter().filter(|line| line.starts_with("egress-skips-proxy")).collect()
}

fn world() -> World {
    let mut world = World::new(config());
    world.start(0, "proxy", 20);
    namespace(&mut world, 0, 1, &[]);
    world
}

#[test]
fn a_flow_from_the_hosts_network_waits_for_its_socket_and_is_judged_as_the_workloads() {
    let mut world = world();
    on_host(&mut world, 1_000, "web-host");
    let record = world.tcp(10_000, HOST, OUTSIDE, 443);
    assert!(bypasses(&world).is_empty(), "it may be the host's");
    socket(&mut world, 10_200, 1, record.tuple.orig, Some(record.tuple.resp), Some("web-host"));
    assert_eq!(bypasses(&world), ["egress-skips-proxy web-host high"]);
    let attribution = &world.alerts.last().expect("an alert").attribution.as_ref().expect("attributed");
    assert_eq!(serde_json::to_value(attribution).expect("JSON")["how"], "socket");
    assert_eq!(world.engine.stats().attributions[&("exact", "socket")], 1);
}

#[test]
fn a_flow_whose_socket_was_missed_is_nobodys_and_nobody_is_accused() {
    let mut world = world();
    on_host(&mut world, 1_000, "web-host");
    world.tcp(10_000, HOST, OUTSIDE, 443);
    world.tick(12_000);
    assert!(bypasses(&world).is_empty());
    assert_eq!((world.count("egress", "unobservable"), world.count("egress", "bypassed")), (1, 0));
    assert_eq!(world.engine.stats().attributions[&("ambiguous", "")], 1);
}

#[test]
fn the_hosts_own_flows_wait_for_a_socket_only_where_the_kernel_is_looked_at() {
    let mut world = world();
    world.start(0, "web-1", 10);
    world.tcp(10_000, HOST, OUTSIDE, 443);
    assert_eq!(world.engine.stats().flows_judged, 0, "a process may have got into the host's namespace unseen");
    world.tick(10_700);
    let stats = world.engine.stats();
    assert_eq!((stats.flows_judged, stats.attributions[&("host", "")]), (1, 1));
    on_host(&mut world, 11_000, "web-host");
    let record = world.record(12_000, Protocol::TCP, HOST, OUTSIDE, 443);
    socket(&mut world, 11_990, 1, record.tuple.orig, Some(record.tuple.resp), None);
    world.event(12_000, FlowEventKind::Started, &record);
    assert_eq!(world.engine.stats().attributions[&("host", "")], 2, "a process of no workload holds it");
}

#[test]
fn what_has_no_sockets_is_not_waited_for() {
    let mut world = world();
    on_host(&mut world, 1_000, "web-host");
    let ping = world.record(10_000, Protocol::ICMP, HOST, OUTSIDE, 0);
    world.event(10_000, FlowEventKind::Started, &ping);
    assert_eq!(world.engine.stats().flows_judged, 1);
}

#[test]
fn a_hop_on_the_hosts_network_is_known_by_its_socket() {
    let mut world = World::new(config());
    namespace(&mut world, 0, 1, &[]);
    world.start(0, "web-1", 10);
    on_host(&mut world, 0, "proxy");
    world.tcp(10_000, 10, "172.20.0.1", 3128);
    world.tick(11_000);
    assert_eq!((world.count("egress", "verified"), world.count("egress", "bypassed")), (0, 0));
    let unobservable = world.count("egress", "unobservable");
    listens(&mut world, 12_000, 3128, Some("proxy"));
    world.tcp(13_000, 10, "172.20.0.1", 3128);
    assert_eq!((world.count("egress", "verified"), world.count("egress", "unobservable")), (1, unobservable));
}

#[test]
fn in_a_shared_namespace_the_socket_tells_who_skips_the_proxy() {
    let mut world = world();
    world.start(0, "web-1", 10);
    world.start_with(0, "side", 0, |workload| {
        workload.network_mode = NetworkMode::Container(id("web-1"));
        workload.attachments.clear();
    });
    namespace(&mut world, 100, 7, &["side", "web-1"]);
    let record = world.tcp(10_000, 10, OUTSIDE, 443);
    socket(&mut world, 10_100, 7, record.tuple.orig, Some(record.tuple.resp), Some("side"));
    world.tick(11_000);
    assert_eq!(bypasses(&world), ["egress-skips-proxy side high"], "it sends from an address that the contract covers");
    let record = world.tcp(12_000, 10, OUTSIDE, 443);
    socket(&mut world, 12_100, 7, record.tuple.orig, Some(record.tuple.resp), Some("web-1"));
    assert_eq!(bypasses(&world), ["egress-skips-proxy side high", "egress-skips-proxy web-1 high"]);
}

#[test]
fn a_veth_tells_who_forged_address_and_mac() {
    let mut world = world();
    let veth = |workload: &mut Workload, name: &str| workload.attachments[0].host_interface = Some(name.into());
    world.start_with(0, "web-victim", 10, |workload| veth(workload, "veth10"));
    world.start_with(0, "web-thief", 11, |workload| veth(workload, "veth11"));
    let mut record = world.record(10_000, Protocol::TCP, 10, OUTSIDE, 443);
    record.point = ObservationPoint::new("veth11");
    world.event(10_000, FlowEventKind::Started, &record);
    world.event(10_010, FlowEventKind::Answered, &record);
    world.tick(11_000);
    assert_eq!(bypasses(&world), ["egress-skips-proxy web-thief high"]);
    let alert = world.alerts.iter().find(|alert| alert.rule == "egress-skips-proxy").expect("raised");
    let attribution = serde_json::to_value(&alert.attribution).expect("JSON");
    assert_eq!((attribution["how"].as_str(), attribution["confidence"].as_str()), (Some("veth"), Some("likely")));
    assert_eq!(alert.first_seen, at(10_000));
}
