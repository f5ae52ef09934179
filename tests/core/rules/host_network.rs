//! `unexpected-host-network`: start, policy, digest, the kernel's word.

use hopwatch::alert::Exception;
use hopwatch::engine::EngineConfig;
use hopwatch::input::*;
use hopwatch::path::{Selector, SelectorFile};
use hopwatch::time::Timestamp;

use super::facts::{HOST, id};
use crate::support::world::{World, at, config, ip};

const DIGEST: &str = "sha256:00ff";
const TOLD: &str = "unexpected-host-network agent high";

fn digest(digest: &str) -> Selector {
    Selector::try_from(SelectorFile { digest: Some(digest.into()), ..SelectorFile::default() }).expect("a selector")
}

fn agent(world: &mut World, millis: u64, since: Option<Timestamp>) {
    world.start_with(millis, "agent", 10, |workload| {
        workload.attachments.clear();
        workload.network_mode = NetworkMode::Host;
        workload.image_digest = DIGEST.into();
        workload.since = since;
    });
}

fn excepting(digest_of: &str) -> EngineConfig {
    let exception = Exception {
        name: "agents".into(),
        rule: "unexpected-host-network".into(),
        workload: Some(digest(digest_of)),
        destinations: vec![],
        ports: vec![],
        owner: "platform".into(),
        reason: "node exporter".into(),
        expires: at(10_000),
    };
    EngineConfig { exceptions: vec![exception], ..config() }
}

#[test]
fn the_evidence_says_whether_the_start_was_observed() {
    for (since, says) in [
        (Some(at(5000)), "[start] it was started at 2025"),
        (
            Some(Timestamp::from_secs(1_700_000_000)),
            "[start] it was already running when observation began; started at 2023",
        ),
        (None, "[start] it was already running when observation began\n"),
    ] {
        let mut world = World::new(config());
        agent(&mut world, 5000, since);
        assert_eq!(world.raised(), [TOLD]);
        assert!(world.evidence().contains(says), "{}", world.evidence());
    }
}

#[test]
fn the_evidence_gives_the_digest_that_a_policy_can_name() {
    let mut config = config();
    config.rules.unexpected_host_network.allowed = vec![digest("sha256:other")];
    let mut world = World::new(config);
    agent(&mut world, 5000, Some(at(5000)));
    let evidence = world.evidence();
    assert!(
        evidence.contains("[policy] the one selector that allows it does not match; its image digest is sha256:00ff"),
        "{evidence}"
    );
}

#[test]
fn a_digest_allows_whatever_the_name_and_only_that_digest() {
    for (config, told) in [(excepting(DIGEST), false), (excepting("sha256:00fe"), true), (excepting("sha256:00"), true)]
    {
        let mut world = World::new(config);
        agent(&mut world, 5000, Some(at(5000)));
        assert_eq!(world.raised().is_empty(), !told, "{:?}", world.raised());
        assert_eq!(world.engine.stats().exception_hits.get("agents").copied().unwrap_or(0), u64::from(!told));
    }
    let mut config = config();
    config.rules.unexpected_host_network.allowed = vec![digest(DIGEST)];
    let mut world = World::new(config);
    agent(&mut world, 5000, Some(at(5000)));
    assert!(world.raised().is_empty(), "{:?}", world.raised());
}

#[test]
fn an_exception_by_digest_expires_and_says_so() {
    let mut world = World::new(excepting(DIGEST));
    agent(&mut world, 20_000, Some(at(20_000)));
    assert_eq!(world.raised(), [TOLD]);
    assert!(world.evidence().contains("exception agents (owner: platform) allowed this until it expired"));
}

#[test]
fn the_kernels_word_is_added_where_it_is_known() {
    for (netns, says) in
        [(HOST, "first process in net:[1], the host's namespace"), (NetnsId(9), "host namespace is net:[1]")]
    {
        let mut world = World::new(config());
        world.host(0, &[]);
        world.processes(4000, "agent", netns, &[]);
        agent(&mut world, 5000, Some(at(5000)));
        assert!(world.evidence().contains(says), "{}", world.evidence());
    }
}

#[test]
fn one_run_is_told_once_and_a_restart_counts() {
    let mut world = World::new(config());
    agent(&mut world, 5000, Some(at(5000)));
    world.start_with(6000, "agent", 10, |workload| {
        workload.network_mode = NetworkMode::Host;
        workload.state = WorkloadState::Paused;
        workload.since = Some(at(5000));
    });
    world.stop(7000, "agent");
    agent(&mut world, 8000, Some(at(8000)));
    assert_eq!(world.raised(), [TOLD]);
    assert_eq!(world.times("unexpected-host-network"), 2);
}

const FLOW: &str = "host-network-flow agent medium";

/// A host with an uplink, an agent in its network, and in the runtime's list a workload that is not.
fn with_uplink(config: EngineConfig) -> World {
    let mut world = World::new(config);
    for (point, address) in [("eth0", "192.0.2.1"), ("lo", "127.0.0.1")] {
        let addresses = vec![ip(address)];
        let point = ObservationPoint::new(point);
        world.link(0, LinkEvent { point, up: true, addresses, ..LinkEvent::default() });
    }
    world.host(0, &["agent"]);
    agent(&mut world, 0, Some(at(0)));
    world.processes(0, "agent", HOST, &[]);
    world
}

/// A TCP flow of the host from a port of its own, and the socket behind it.
fn talk(world: &mut World, millis: u64, port: u16, to: &str, owners: &[&str]) {
    let (point, from) = if to.starts_with("127.") { ("lo", "127.0.0.1") } else { ("eth0", "192.0.2.1") };
    let local = Endpoint { ip: ip(from), port };
    let remote = Endpoint { ip: ip(to), port: 443 };
    let socket = SocketView {
        netns: HOST,
        inode: port.into(),
        protocol: Protocol::TCP,
        local,
        remote: Some(remote),
        owners: owners.iter().map(|name| id(name)).collect(),
        how: SocketEvidence::Process,
        command: Some("curl".into()),
        pid: Some(4242),
        since: Some(at(millis)),
    };
    world.kernel(millis, KernelFact::SocketOpened(std::sync::Arc::new(socket)));
    let mut record = world.record(millis, Protocol::TCP, 1, to, 443);
    record.tuple.orig = local;
    record.point = ObservationPoint::new(point);
    record.orig.mac = None;
    world.event(millis, FlowEventKind::Started, &record);
    record.resp = Side { mac: None, next_hop: None, counters: Counters { packets: 1, ..Counters::default() } };
    world.event(millis + 10, FlowEventKind::Answered, &record);
    world.tick(millis + 2000);
}

#[test]
fn what_a_container_on_the_hosts_network_talks_to_is_one_alert_with_its_destinations() {
    let mut world = with_uplink(config());
    talk(&mut world, 10_000, 40_001, "198.51.100.7", &["agent"]);
    talk(&mut world, 20_000, 40_002, "127.0.0.1", &["agent"]);
    talk(&mut world, 30_000, 40_003, "198.51.100.7", &["agent"]);
    assert_eq!(world.raised(), [TOLD, FLOW]);
    assert_eq!(world.times("host-network-flow"), 3);
    let last = world.alerts.iter().rev().find(|alert| alert.rule == "host-network-flow").expect("an update");
    let reached: Vec<_> = last.destinations.iter().map(|to| (to.endpoint.ip.to_string(), to.count)).collect();
    assert_eq!(reached, [("198.51.100.7".to_owned(), 2), ("127.0.0.1".to_owned(), 1)]);
}

#[test]
fn the_hosts_own_traffic_and_an_allowed_workloads_are_quiet() {
    let mut world = with_uplink(config());
    talk(&mut world, 10_000, 40_001, "198.51.100.7", &[]);
    assert_eq!(world.raised(), [TOLD]);
    let mut config = config();
    config.rules.host_network_flow.allowed = vec![digest(DIGEST)];
    let mut world = with_uplink(config);
    talk(&mut world, 10_000, 40_001, "198.51.100.7", &["agent"]);
    assert_eq!(world.raised(), [TOLD]);
}

#[test]
fn to_be_allowed_on_the_hosts_network_is_not_to_be_allowed_to_talk() {
    let mut config = config();
    config.rules.unexpected_host_network.allowed = vec![digest(DIGEST)];
    let mut world = with_uplink(config);
    talk(&mut world, 10_000, 40_001, "198.51.100.7", &["agent"]);
    assert_eq!(world.raised(), [FLOW]);
}

#[test]
fn hopwatchs_own_container_is_quiet_and_one_that_looks_like_it_is_not() {
    for (pid, told) in [(4242, vec![]), (4243, vec!["capability-raised agent high", TOLD])] {
        let mut world = World::new(config());
        world.kernel(0, KernelFact::Sensor { pid: 4242 });
        world.start_with(100, "agent", 10, |workload| {
            workload.attachments.clear();
            workload.network_mode = NetworkMode::Host;
            workload.pid = Some(pid);
            let configuration = Configuration { privileged: true, ..Configuration::default() };
            workload.configuration = Some(std::sync::Arc::new(configuration));
        });
        world.tick(5000);
        let mut raised = world.raised();
        raised.sort();
        assert_eq!(raised, told, "{pid}");
    }
}

#[test]
fn a_setting_of_hopwatchs_own_container_that_changes_in_place_is_reported() {
    let mut world = World::new(config());
    world.kernel(0, KernelFact::Sensor { pid: 4242 });
    for (millis, capability) in [(100, "SYS_ADMIN"), (5000, "SYS_MODULE")] {
        world.start_with(millis, "agent", 10, |workload| {
            workload.pid = Some(4242);
            workload.since = Some(at(100));
            let capabilities = Some(std::collections::BTreeSet::from([capability.to_owned()]));
            let configuration = Configuration { capabilities, ..Configuration::default() };
            workload.configuration = Some(std::sync::Arc::new(configuration));
        });
    }
    world.tick(10_000);
    assert_eq!(world.raised(), ["capability-raised agent critical"]);
}
