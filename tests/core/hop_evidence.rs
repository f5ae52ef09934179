//! Each kind of evidence, each reason why something cannot be known, each explanation of a skipped hop.

mod deceived;
mod published;
mod volume;

use std::sync::Arc;

use crate::support::engine_config::hop;
use crate::support::world::{World, at, config, ip, named};
use hopwatch::engine::EngineConfig;
use hopwatch::input::*;
use hopwatch::path::*;

const OUTSIDE: &str = "198.51.100.7";
const HOST_MAC: Mac = Mac([2, 0, 0, 0, 0, 0xff]);

fn at_interface(name: &str, interface: &str) -> Hop {
    let glob = globset::Glob::new(interface).expect("a glob").compile_matcher();
    Hop { workloads: vec![], interfaces: vec![glob], ..hop(name, HopKind::Inline) }
}

fn contract(via: Vec<Vec<Hop>>) -> Contract {
    let stage = |hops: Vec<Hop>| Stage { any_of: hops.into_iter().map(Arc::new).collect() };
    Contract {
        name: "path".into(),
        service: Service::Egress,
        workloads: vec![named("app*")],
        remotes: vec![DestinationSet::Internet],
        ports: vec![],
        family: None,
        networks: vec![],
        via: via.into_iter().map(stage).collect(),
    }
}

/// `app` at .10, `gateway` at .30, `squid` at .20, on `br-net`.
fn world_of(contract: Contract) -> World {
    let mut world = World::new(EngineConfig { contracts: vec![contract], ..config() });
    world.start(0, "app", 10);
    world.start(0, "squid", 20);
    world.start(0, "gateway", 30);
    world
}

fn world(via: Vec<Vec<Hop>>) -> World {
    world_of(contract(via))
}

fn fact(world: &mut World, millis: u64, fact: RecordedFact) {
    world.push(millis, Fact::Recorded(fact));
}

fn link(world: &mut World, millis: u64, name: &str, up: bool) {
    let link = LinkEvent { point: ObservationPoint::new(name), up, ..LinkEvent::default() };
    fact(world, millis, RecordedFact::Link(link));
}

/// A flow of `app`, whose first frame goes to a MAC; answered.
fn flow(world: &mut World, millis: u64, to: &str, port: u16, next_hop: Mac) -> FlowRecord {
    let mut record = world.record(millis, Protocol::TCP, 10, to, port);
    record.orig.next_hop = Some(next_hop);
    world.event(millis, FlowEventKind::Started, &record);
    record.resp.counters.packets = 1;
    world.event(millis + 10, FlowEventKind::Answered, &record);
    record
}

fn seen_at(world: &mut World, millis: u64, record: &FlowRecord, point: &str) {
    let mut record = record.clone();
    record.id = FlowId(record.id.0 + 1000);
    record.point = ObservationPoint::new(point);
    world.event(millis, FlowEventKind::Started, &record);
}

fn bound(world: &mut World, millis: u64, before: FiveTuple, after: FiveTuple) {
    let binding = NatBinding { netns: None, before, after };
    fact(world, millis, RecordedFact::Nat(NatFact::Bound(binding)));
}

fn watch_translations(world: &mut World) {
    fact(world, 1, RecordedFact::Nat(NatFact::Watched { netns: None }));
}

/// The one verdict there is, with its reason.
fn verdict(world: &World) -> String {
    let stats = world.engine.stats();
    let all: Vec<_> = stats.verdicts().into_iter().filter(|(_, count)| *count > 0).collect();
    match &all[..] {
        [((_, verdict, ""), 1)] => (*verdict).to_owned(),
        [((_, verdict, reason), 1)] => format!("{verdict} {reason}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_gateway_is_known_by_the_mac_that_frames_go_to() {
    for (mac, expected) in
        [(Mac([2, 0, 0, 0, 0, 30]), "verified"), (HOST_MAC, "bypassed"), (Mac([2, 0, 0, 0, 0, 20]), "bypassed")]
    {
        let mut world = world(vec![vec![hop("gateway", HopKind::Gateway)]]);
        flow(&mut world, 60_000, OUTSIDE, 443, mac);
        world.tick(62_000);
        assert_eq!(verdict(&world), expected, "{mac}");
    }
}

#[test]
fn without_a_frame_of_its_own_the_next_hop_is_not_known() {
    let mut world = world(vec![vec![hop("gateway", HopKind::Gateway)]]);
    let mut record = world.record(60_000, Protocol::TCP, 10, OUTSIDE, 443);
    record.orig.mac = None;
    world.event(60_000, FlowEventKind::Started, &record);
    world.tick(62_000);
    assert_eq!(verdict(&world), "unobservable no_observation_point");
}

#[test]
fn an_inline_monitor_must_see_the_flow_in_time() {
    let via = || vec![vec![at_interface("ids", "br-ids")]];
    let mut seen = world(via());
    link(&mut seen, 0, "br-ids", true);
    let record = flow(&mut seen, 60_000, OUTSIDE, 443, HOST_MAC);
    assert_eq!(verdict(&seen), "[]", "it may still be seen");
    seen_at(&mut seen, 60_100, &record, "br-ids");
    assert_eq!(verdict(&seen), "verified");

    let mut skipped = world(via());
    link(&mut skipped, 0, "br-ids", true);
    watch_translations(&mut skipped);
    flow(&mut skipped, 60_000, OUTSIDE, 443, HOST_MAC);
    skipped.tick(60_600);
    assert_eq!(verdict(&skipped), "bypassed");
}

#[test]
fn a_pattern_of_interfaces_does_not_mean_the_workloads_own_bridge_and_a_name_does() {
    for (pattern, expected) in [("br-*", "unobservable no_observation_point"), ("br-net", "verified")] {
        let mut world = world(vec![vec![at_interface("ids", pattern)]]);
        link(&mut world, 0, "br-net", true);
        flow(&mut world, 60_000, OUTSIDE, 443, HOST_MAC);
        world.tick(61_000);
        assert_eq!(verdict(&world), expected, "{pattern}");
    }
    let mut beyond = world(vec![vec![at_interface("ids", "br-*")]]);
    link(&mut beyond, 0, "br-ids", true);
    let record = flow(&mut beyond, 60_000, OUTSIDE, 443, HOST_MAC);
    seen_at(&mut beyond, 60_100, &record, "br-ids");
    assert_eq!(verdict(&beyond), "verified");
}

#[test]
fn absence_at_a_monitor_proves_nothing_while_it_is_blind_or_loses() {
    let via = || vec![vec![at_interface("ids", "br-ids")]];
    let mut blind = world(via());
    flow(&mut blind, 60_000, OUTSIDE, 443, HOST_MAC);
    blind.tick(62_000);
    assert_eq!(verdict(&blind), "unobservable no_observation_point");

    let mut late = world(via());
    flow(&mut late, 60_000, OUTSIDE, 443, HOST_MAC);
    link(&mut late, 60_100, "br-ids", true);
    late.tick(62_000);
    assert_eq!(verdict(&late), "unobservable no_observation_point");

    let mut lossy = world(via());
    link(&mut lossy, 0, "br-ids", true);
    flow(&mut lossy, 60_000, OUTSIDE, 443, HOST_MAC);
    let point = Some(ObservationPoint::new("br-ids"));
    let loss = Loss { point, reason: LossReason::Kernel, count: 3, since: at(59_900), source: None };
    fact(&mut lossy, 60_100, RecordedFact::Loss(loss));
    lossy.tick(62_000);
    assert_eq!(verdict(&lossy), "unobservable capture_loss");

    let mut translated = world(via());
    link(&mut translated, 0, "br-ids", true);
    flow(&mut translated, 60_000, OUTSIDE, 443, HOST_MAC);
    translated.tick(62_000);
    assert_eq!(verdict(&translated), "unobservable nat_unknown", "it may pass there under another address");

    let mut ended = world(via());
    link(&mut ended, 0, "br-ids", true);
    flow(&mut ended, 60_000, OUTSIDE, 443, HOST_MAC);
    ended.finish();
    assert_eq!(verdict(&ended), "unobservable capture_loss", "the observation ended before the grace time");
}

#[test]
fn a_monitor_behind_the_translation_is_joined_by_connection_tracking() {
    for told_first in [true, false] {
        let mut world = world(vec![vec![at_interface("ids", "eth0")]]);
        link(&mut world, 0, "eth0", true);
        watch_translations(&mut world);
        let record = flow(&mut world, 60_000, OUTSIDE, 443, HOST_MAC);
        let outside = Endpoint { ip: ip("203.0.113.1"), port: 61_000 };
        let mut twin = record.clone();
        twin.tuple.orig = outside;
        twin.orig.mac = Some(HOST_MAC);
        if told_first {
            bound(&mut world, 60_011, record.tuple, twin.tuple);
        }
        seen_at(&mut world, 60_012, &twin, "eth0");
        if !told_first {
            bound(&mut world, 60_040, record.tuple, twin.tuple);
        }
        world.tick(62_000);
        assert_eq!(verdict(&world), "verified", "told first: {told_first}");
        assert_eq!(world.engine.stats().flows_judged, if told_first { 1 } else { 2 });
    }
}

#[test]
fn a_redirected_flow_is_answered_by_the_proxy() {
    let proxy = || vec![vec![hop("squid", HopKind::Endpoint)]];
    for (answered_by, expected) in [("172.20.0.20", "verified"), (OUTSIDE, "bypassed")] {
        let mut world = world(proxy());
        watch_translations(&mut world);
        let mut record = world.record(60_000, Protocol::TCP, 10, OUTSIDE, 80);
        record.orig.next_hop = Some(HOST_MAC);
        world.event(60_000, FlowEventKind::Started, &record);
        let mut after = record.tuple;
        if answered_by == OUTSIDE {
            after.orig = Endpoint { ip: ip("203.0.113.1"), port: 61_000 };
        } else {
            after.resp = Endpoint { ip: ip(answered_by), port: 3129 };
        }
        bound(&mut world, 60_005, record.tuple, after);
        world.event(60_010, FlowEventKind::Answered, &record);
        world.tick(62_000);
        assert_eq!(verdict(&world), expected);
    }
}

#[test]
fn a_hop_that_only_redirection_can_prove_needs_connection_tracking() {
    let only = Hop { evidence: vec![EvidenceKind::Redirect], ..hop("squid", HopKind::Endpoint) };
    let mut world = world(vec![vec![only]]);
    flow(&mut world, 60_000, OUTSIDE, 80, HOST_MAC);
    world.tick(62_000);
    assert_eq!(verdict(&world), "unobservable nat_unknown");
}

#[test]
fn some_hops_passed_and_one_skipped_is_partial_and_names_it() {
    let mut world = world(vec![vec![hop("gateway", HopKind::Gateway)], vec![at_interface("ids", "br-ids")]]);
    link(&mut world, 0, "br-ids", true);
    watch_translations(&mut world);
    flow(&mut world, 60_000, OUTSIDE, 443, Mac([2, 0, 0, 0, 0, 30]));
    world.tick(62_000);
    assert_eq!(verdict(&world), "partial");
}

#[test]
fn any_of_the_alternatives_is_enough() {
    let mut world = world(vec![vec![hop("gateway", HopKind::Gateway), hop("squid", HopKind::Gateway)]]);
    flow(&mut world, 60_000, OUTSIDE, 443, Mac([2, 0, 0, 0, 0, 20]));
    world.tick(62_000);
    assert_eq!(verdict(&world), "verified");
}

#[test]
fn no_path_is_allowed_where_the_contract_denies_it() {
    let mut world = world(vec![]);
    flow(&mut world, 60_000, OUTSIDE, 443, HOST_MAC);
    world.tick(62_000);
    assert_eq!(verdict(&world), "bypassed");
    assert_eq!(world.raised(), ["egress-skips-proxy app high"]);
}

#[test]
fn the_rest_of_a_translated_connection_is_unobservable_and_quiet() {
    let mut world = world(vec![vec![hop("squid", HopKind::Endpoint)]]);
    let mut record = world.record(60_000, Protocol::TCP, 10, OUTSIDE, 443);
    record.point = ObservationPoint::new("eth0");
    record.orig.counters = Counters { packets: 1, ip_bytes: 40, ..Counters::default() };
    record.tcp = Some(TcpFacts { orig_flags: tcp_flags::FIN | tcp_flags::ACK, ..TcpFacts::default() });
    world.event(60_000, FlowEventKind::Started, &record);
    world.tick(70_000);
    assert_eq!((verdict(&world), world.raised().len()), ("unobservable one_sided".to_owned(), 0));
    let mut payload = record.clone();
    payload.id = FlowId(77);
    payload.tuple.orig.port += 1;
    payload.orig.counters.payload_bytes = 500;
    world.event(80_000, FlowEventKind::Started, &payload);
    world.event(80_010, FlowEventKind::Answered, &payload);
    world.tick(90_000);
    assert_eq!(world.count("path", "bypassed"), 1, "data was sent");
}

fn ingress() -> Contract {
    let any = vec![DestinationSet::Any];
    Contract { service: Service::Ingress, remotes: any, ..contract(vec![vec![hop("gateway", HopKind::Endpoint)]]) }
}

#[test]
fn what_comes_in_must_come_from_the_ingress() {
    for (from, expected) in [(ip("172.20.0.30"), "verified"), (ip(OUTSIDE), "bypassed")] {
        let mut world = world_of(ingress());
        let mut record = world.record(60_000, Protocol::TCP, 30, "172.20.0.10", 80);
        record.tuple.orig.ip = from;
        record.orig.mac = None;
        world.event(60_000, FlowEventKind::Started, &record);
        world.event(60_010, FlowEventKind::Answered, &record);
        world.tick(62_000);
        assert_eq!(verdict(&world), expected);
    }
}

#[test]
fn what_the_host_brings_back_in_is_judged_by_who_asked() {
    let mut unknown = world_of(ingress());
    let mut record = unknown.record(60_000, Protocol::TCP, 1, "172.20.0.10", 80);
    record.orig.mac = None;
    unknown.event(60_000, FlowEventKind::Started, &record);
    unknown.event(60_010, FlowEventKind::Answered, &record);
    unknown.tick(62_000);
    assert_eq!(verdict(&unknown), "unobservable nat_unknown");

    let mut hairpin = world_of(ingress());
    watch_translations(&mut hairpin);
    let asked = Endpoint { ip: ip("172.20.0.30"), port: 50_000 };
    let before = FiveTuple { orig: asked, resp: Endpoint { ip: ip("203.0.113.1"), port: 8080 }, ..record.tuple };
    bound(&mut hairpin, 59_990, before, record.tuple);
    hairpin.event(60_000, FlowEventKind::Started, &record);
    hairpin.event(60_010, FlowEventKind::Answered, &record);
    hairpin.tick(62_000);
    assert_eq!(verdict(&hairpin), "verified");
}

#[test]
fn a_sidecar_is_known_by_its_socket() {
    let netns = NetnsId(77);
    for (owner, expected) in
        [(Some("gateway"), "verified"), (Some("app"), "bypassed"), (None, "unobservable unattributed_address")]
    {
        let mut world = World::new(EngineConfig {
            contracts: vec![contract(vec![vec![hop("gateway", HopKind::Sidecar)]])],
            ..config()
        });
        world.start(0, "app", 10);
        let id = |name: &str| WorkloadId::new(&format!("{name}{}", "0".repeat(50)));
        world.start_with(0, "gateway", 10, |workload| {
            workload.network_mode = NetworkMode::Container(id("app"));
            workload.attachments.clear();
        });
        let view = NamespaceView {
            netns,
            host: false,
            workloads: vec![id("app"), id("gateway")],
            interfaces: vec![],
            settings: None,
        };
        fact(&mut world, 10, RecordedFact::Kernel(KernelFact::Namespace(Arc::new(view))));
        for name in ["app", "gateway"] {
            let processes = ProcessNamespaces { workload: id(name), netns, strays: vec![] };
            fact(&mut world, 11, RecordedFact::Kernel(KernelFact::Processes(Arc::new(processes))));
        }
        let record = world.record(60_000, Protocol::TCP, 10, OUTSIDE, 443);
        if let Some(owner) = owner {
            let socket = SocketView {
                netns,
                inode: 5,
                protocol: Protocol::TCP,
                local: record.tuple.orig,
                remote: Some(record.tuple.resp),
                owners: vec![id(owner)],
                how: SocketEvidence::Process,
                command: None,
                pid: None,
                since: Some(at(59_990)),
            };
            fact(&mut world, 59_999, RecordedFact::Kernel(KernelFact::SocketOpened(Arc::new(socket))));
        }
        world.event(60_000, FlowEventKind::Started, &record);
        world.event(60_010, FlowEventKind::Answered, &record);
        world.tick(62_000);
        assert_eq!(verdict(&world), expected, "{owner:?}");
    }
}
