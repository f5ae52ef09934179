//! `sysctl-changed` by the kernel's word on a namespace, driven by facts through the engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use hopwatch::alert::Alert;
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

fn of(index: u8, name: &str, settings: InterfaceSettings) -> InsideInterface {
    InsideInterface { settings: Some(settings), ..interface(index, "veth", name) }
}

/// What this rule raised, in order.
fn ours(world: &World) -> Vec<&Alert> {
    world.alerts.iter().filter(|alert| alert.rule == "sysctl-changed" && alert.update == 0).collect()
}

/// The settings that the only alert names.
fn named_once(world: &World) -> Vec<&str> {
    let [alert] = ours(world)[..] else { panic!("{:?}", ours(world)) };
    named(alert)
}

/// The settings that an alert names.
fn named(alert: &Alert) -> Vec<&str> {
    let settings = alert.evidence.iter().filter(|one| one.text.contains(" became "));
    settings.filter_map(|one| one.text.split(' ').next()).collect()
}

#[test]
fn what_is_opened_later_is_reported_once_and_again_after_it_was_closed() {
    let mut world = world(&[]);
    let localnet = InterfaceSettings { route_localnet: 1, ..usual() };
    shown(&mut world, 100, usual(), usual());
    shown(&mut world, 60_000, usual(), localnet);
    assert_eq!(world.raised(), ["sysctl-changed web-1 medium"]);
    let evidence = world.evidence();
    assert!(
        evidence.contains("net.ipv4.conf.all.route_localnet became 1 after the container had started"),
        "{evidence}"
    );
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
fn an_interface_that_gets_another_name_does_not_hide_what_is_opened_on_it() {
    let mut world = world(&[]);
    shown(&mut world, 100, usual(), usual());
    let localnet = InterfaceSettings { route_localnet: 1, ..usual() };
    seen(&mut world, 60_000, vec![of(10, "x", localnet)], usual());
    let alerts = ours(&world);
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(
        named(alerts[0]),
        ["net.ipv4.conf.x.route_localnet"],
        "what it was given is nothing new under this name"
    );
    seen(&mut world, 70_000, vec![of(10, "y", localnet)], usual());
    assert_eq!(world.times("sysctl-changed"), 1, "another name opens nothing");
}

#[test]
fn a_new_interface_settles_from_when_it_is_first_seen_and_then_counts() {
    let mut world = world(&[]);
    shown(&mut world, 100, usual(), usual());
    let eth0 = of(10, "eth0", usual());
    let proxy = InterfaceSettings { proxy_arp: 1, ..usual() };
    seen(&mut world, 60_000, vec![eth0.clone(), of(11, "cali1", usual())], usual());
    seen(&mut world, 64_000, vec![eth0.clone(), of(11, "cali1", proxy)], usual());
    assert_eq!(ours(&world).len(), 0, "a network plugin set it");
    let localnet = InterfaceSettings { route_localnet: 1, ..proxy };
    seen(&mut world, 66_000, vec![eth0, of(11, "cali1", localnet)], usual());
    assert_eq!(named_once(&world), ["net.ipv4.conf.cali1.route_localnet"]);
}

#[test]
fn interfaces_that_a_setting_opens_are_one_alert_and_another_setting_or_conf_all_is_another() {
    let mut world = world(&[]);
    let proxy = InterfaceSettings { proxy_arp: 1, ..usual() };
    let both = InterfaceSettings { route_localnet: 1, ..proxy };
    let three = |first, second, third| vec![of(10, "eth0", first), of(11, "cali1", second), of(12, "cali2", third)];
    seen(&mut world, 100, three(usual(), usual(), usual()), usual());
    seen(&mut world, 60_000, three(usual(), proxy, both), usual());
    let alerts = ours(&world);
    let names: Vec<_> = alerts.iter().map(|alert| named(alert)).collect();
    let of_proxy = vec!["net.ipv4.conf.cali1.proxy_arp", "net.ipv4.conf.cali2.proxy_arp"];
    assert_eq!(names, [of_proxy, vec!["net.ipv4.conf.cali2.route_localnet"]]);
    seen(&mut world, 70_000, three(proxy, proxy, both), usual());
    assert_eq!(ours(&world).len(), 2, "the same setting of another interface is counted");
    seen(&mut world, 80_000, three(proxy, proxy, both), proxy);
    let alerts = ours(&world);
    assert_eq!(alerts.len(), 3, "{alerts:?}");
    assert_eq!(named(alerts[2]), ["net.ipv4.conf.all.proxy_arp"], "an interface does not carry all in its count");
}

#[test]
fn a_look_that_does_not_report_settings_begins_nothing_anew() {
    let mut world = world(&[]);
    shown(&mut world, 100, usual(), usual());
    world.view(60_000, NETNS, &["web-1"], vec![interface(10, "veth", "eth0")]);
    let localnet = InterfaceSettings { route_localnet: 1, ..usual() };
    shown(&mut world, 70_000, localnet, usual());
    assert_eq!(named_once(&world), ["net.ipv4.conf.eth0.route_localnet"]);
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
