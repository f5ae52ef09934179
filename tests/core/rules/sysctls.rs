//! `sysctl-changed` by the kernel's word on a namespace, driven by facts through the engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use hopwatch::engine::EngineConfig;
use hopwatch::input::*;

use super::facts::{id, interface};
use crate::support::world::{World, config};

const NETNS: NetnsId = NetnsId(110);

/// As Docker leaves them on a host that forwards.
fn usual() -> InterfaceSettings {
    InterfaceSettings { forwarding: 1, accept_redirects: 1, send_redirects: 1, ..InterfaceSettings::default() }
}

fn world(sysctls: &[(&str, &str)]) -> World {
    let mut world = World::new(EngineConfig { contracts: vec![], ..config() });
    let sysctls: BTreeMap<String, String> =
        sysctls.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    world.start_with(0, "web-1", 10, |workload| {
        workload.configuration = Some(Arc::new(Configuration { sysctls: Some(sysctls), ..Configuration::default() }));
    });
    world.processes(0, "web-1", NETNS, &[]);
    world
}

/// The namespace with these settings of `eth0` and of all.
fn shown(world: &mut World, millis: u64, eth0: InterfaceSettings, all: InterfaceSettings) {
    let eth0 = InsideInterface { settings: Some(eth0), ..interface(10, "veth", "eth0") };
    seen(world, millis, vec![eth0], all);
}

fn seen(world: &mut World, millis: u64, interfaces: Vec<InsideInterface>, all: InterfaceSettings) {
    let workloads = vec![id("web-1")];
    let view = NamespaceView { netns: NETNS, host: false, workloads, interfaces, settings: Some(all) };
    world.kernel(millis, KernelFact::Namespace(Arc::new(view)));
}

#[test]
fn what_is_opened_later_is_reported_once_and_again_after_it_was_closed() {
    let mut world = world(&[]);
    let localnet = InterfaceSettings { route_localnet: 1, ..usual() };
    shown(&mut world, 100, usual(), usual());
    shown(&mut world, 60_000, usual(), localnet);
    assert_eq!(world.raised(), ["sysctl-changed web-1 medium"]);
    let evidence = world.evidence();
    assert!(evidence.contains("net.ipv4.conf.all.route_localnet is 1 since after the start"), "{evidence}");
    shown(&mut world, 70_000, usual(), localnet);
    shown(&mut world, 80_000, usual(), usual());
    assert_eq!(world.raised().len(), 1);
    shown(&mut world, 90_000, InterfaceSettings { proxy_arp: 1, ..usual() }, usual());
    assert_eq!(world.raised(), ["sysctl-changed web-1 medium"; 2], "another setting is another alert");
}

#[test]
fn what_a_namespace_or_a_new_interface_begins_with_and_what_is_closed_is_nothing() {
    let mut world = world(&[]);
    let vpn = InterfaceSettings { rp_filter: 2, route_localnet: 1, proxy_arp: 1, ..usual() };
    shown(&mut world, 100, usual(), usual());
    shown(&mut world, 2_000, vpn, vpn);
    let of =
        |index, name: &str, settings| InsideInterface { settings: Some(settings), ..interface(index, "veth", name) };
    seen(&mut world, 60_000, vec![of(10, "eth0", vpn), of(11, "eth1", vpn)], vpn);
    let strict = InterfaceSettings { rp_filter: 1, ..InterfaceSettings::default() };
    seen(&mut world, 70_000, vec![of(10, "eth0", strict), of(11, "eth1", strict)], strict);
    world.tick(90_000);
    let is_ours = |alert: &&String| alert.starts_with("sysctl-changed");
    assert_eq!(
        world.raised().iter().filter(is_ours).count(),
        0,
        "an entry point set them, and a network was connected"
    );
}

#[test]
fn a_workload_that_enters_may_set_what_it_needs() {
    let mut world = world(&[]);
    let localnet = InterfaceSettings { route_localnet: 1, ..usual() };
    shown(&mut world, 100, usual(), usual());
    let eth0 = InsideInterface { settings: Some(localnet), ..interface(10, "veth", "eth0") };
    let workloads = vec![id("web-1"), id("init")];
    let interfaces = vec![eth0.clone()];
    let view = NamespaceView { netns: NETNS, host: false, workloads, interfaces, settings: Some(localnet) };
    world.kernel(60_000, KernelFact::Namespace(Arc::new(view)));
    seen(&mut world, 70_000, vec![eth0], localnet);
    world.tick(90_000);
    assert_eq!(world.raised(), [""; 0]);
}

#[test]
fn what_the_runtime_was_asked_to_close_and_is_open_contradicts() {
    let mut world = world(&[("net.ipv4.ip_forward", "0"), ("net.ipv4.conf.all.rp_filter", "1")]);
    let strict = InterfaceSettings { rp_filter: 1, ..usual() };
    shown(&mut world, 100, strict, strict);
    assert_eq!(world.raised(), [""; 0], "it may not be set yet");
    world.tick(5_200);
    assert_eq!(world.raised(), ["sysctl-changed web-1 medium"]);
    let evidence = world.evidence();
    assert!(evidence.contains("net.ipv4.ip_forward is 1, although the runtime was asked for 0"), "{evidence}");
    assert!(!evidence.contains("rp_filter"), "{evidence}");
}

#[test]
fn the_hosts_own_namespace_and_one_without_settings_say_nothing() {
    let mut world = world(&[("net.ipv4.ip_forward", "0")]);
    world.view(100, NETNS, &["web-1"], vec![interface(10, "veth", "eth0")]);
    world.view(60_000, NETNS, &["web-1"], vec![interface(10, "veth", "eth0")]);
    world.tick(90_000);
    assert_eq!(world.raised(), [""; 0]);
}
