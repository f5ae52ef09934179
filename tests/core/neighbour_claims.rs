//! ARP and neighbour discovery: from frames to claims, and from claims to alerts.

mod told;

use std::net::IpAddr;
use std::sync::Arc;

use crate::support::world::{World, at, config, ip};
use hopwatch::decode::LinkType;
use hopwatch::detect::rules::unknown_source;
use hopwatch::detect::{Context, Findings, Rule as _};
use hopwatch::engine::EngineConfig;
use hopwatch::flow::{Meter, MeterLimits, PointCounters};
use hopwatch::input::*;
use hopwatch::inventory::{AttributionMethod, Confidence, Doubt, Owner};
use hopwatch::path::{JudgedFlow, ObservedFlow, Oriented};

const BRIDGE: Mac = Mac([2, 0, 0, 0, 0, 0xff]);
const BROADCAST: Mac = Mac([0xff; 6]);

const fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

fn arp(operation: u8, host: [u8; 4], sender: Mac, src: Mac) -> Vec<u8> {
    let message = [&[0, 1, 8, 0, 6, 4, 0, operation][..], &sender.0, &host, &[0; 6], &[172, 20, 0, 1]].concat();
    [&BROADCAST.0[..], &src.0, &[8, 6], &message, &[0; 18]].concat()
}

/// `web` at .10, `other` at .20, and `thief` at .30; each with its veth.
fn world() -> World {
    let mut world = World::new(EngineConfig { contracts: vec![], ..config() });
    for (name, host) in [("web", 10), ("other", 20), ("thief", 30)] {
        world.start_with(0, name, host, |workload| {
            workload.attachments[0].host_interface = Some(format!("veth{host}"));
        });
    }
    world
}

fn claim(host: u8, at: Mac) -> NeighbourClaim {
    NeighbourClaim {
        point: ObservationPoint::new("br-net"),
        kind: ClaimKind::ArpReply,
        ip: ip(&format!("172.20.0.{host}")),
        mac: at,
        asks: None,
        frame_mac: None,
        to: Some(BROADCAST),
    }
}

fn hear(world: &mut World, millis: u64, claim: NeighbourClaim) {
    world.push(millis, Fact::Claim(Box::new(claim)));
}

/// What is raised for one claim at 10 s.
fn raised_for(claim: NeighbourClaim) -> Vec<String> {
    let mut world = world();
    hear(&mut world, 10_000, claim);
    world.tick(10_599);
    assert!(world.raised().is_empty(), "the runtime may still tell");
    world.tick(10_600);
    world.raised()
}

/// The same where the runtime may be late to report the sender.
fn raised_later_for(claim: NeighbourClaim) -> Vec<String> {
    let mut world = world();
    hear(&mut world, 10_000, claim);
    world.tick(15_599);
    assert!(world.raised().is_empty(), "the runtime may be late");
    world.tick(15_600);
    world.raised()
}

const BLAMED: [&str; 1] = ["unknown-source thief high"];
const NOBODY: [&str; 1] = ["unknown-source - high"];

#[test]
fn who_claims_a_neighbours_or_the_gateways_address_is_named() {
    assert_eq!(raised_for(claim(10, mac(30))), BLAMED, "a neighbour's");
    assert_eq!(raised_for(claim(1, mac(30))), BLAMED, "the gateway's");
    assert_eq!(raised_for(claim(99, mac(30))), BLAMED, "nobody's");
    assert_eq!(raised_later_for(claim(10, Mac([6; 6]))), NOBODY, "for a MAC that nobody has");
    assert_eq!(raised_for(claim(1, Mac([6; 6]))), NOBODY, "the gateway's, for such a MAC");
}

#[test]
fn the_frame_names_the_sender_before_the_claim_does() {
    let by_thief = |host, at| NeighbourClaim { frame_mac: Some(mac(30)), ..claim(host, at) };
    assert_eq!(raised_for(by_thief(1, mac(20))), BLAMED, "traffic for the gateway is sent to a third one");
    assert_eq!(raised_for(by_thief(10, BRIDGE)), BLAMED, "and a neighbour's to the host");
    assert_eq!(raised_for(by_thief(10, Mac([6; 6]))), BLAMED, "or nowhere");
}

#[test]
fn the_alert_says_what_was_claimed_and_whose_it_is() {
    let mut world = world();
    hear(&mut world, 10_000, claim(10, mac(30)));
    world.tick(11_000);
    let alert = &world.alerts[0];
    assert_eq!(alert.first_seen, at(10_000), "when it was said, not when it was sure");
    let text = &alert.evidence[0].text;
    for word in ["172.20.0.10", "02:00:00:00:00:1e", "web", "02:00:00:00:00:0a", "thief", "ARP reply", "br-net"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let attribution = alert.attribution.as_ref().expect("an attribution");
    assert_eq!(attribution.how, Some(AttributionMethod::Mac));
}

#[test]
fn what_is_said_again_and_again_is_one_alert_that_counts() {
    let mut world = world();
    for turn in 0..20 {
        hear(&mut world, 10_000 + turn * 2_000, claim(10, mac(30)));
        hear(&mut world, 11_000 + turn * 2_000, claim(10, mac(10)));
    }
    world.tick(60_000);
    world.finish();
    assert_eq!(world.raised(), BLAMED);
    assert_eq!(world.alerts.last().map(|alert| alert.count), Some(20));
}

#[test]
fn what_is_true_or_the_hosts_own_is_normal() {
    let quiet = |claim: NeighbourClaim| assert_eq!(raised_for(claim.clone()), [""; 0], "{claim:?}");
    quiet(claim(10, mac(10)));
    quiet(claim(1, BRIDGE));
    quiet(claim(10, BRIDGE));
    quiet(NeighbourClaim { frame_mac: Some(mac(30)), ..claim(10, mac(10)) });
    quiet(NeighbourClaim { ip: ip("203.0.113.9"), ..claim(10, mac(30)) });
    quiet(NeighbourClaim { ip: ip("fe80::1"), ..claim(10, mac(30)) });
    quiet(NeighbourClaim { ip: ip("172.20.0.255"), ..claim(10, mac(30)) });
    quiet(NeighbourClaim { point: ObservationPoint::new("uplink0"), ip: ip("192.0.2.1"), ..claim(10, mac(30)) });
}

#[test]
fn the_hosts_own_link_local_address_is_the_hosts() {
    let mut world = world();
    let link = LinkEvent {
        point: ObservationPoint::new("br-net"),
        up: true,
        mac: Some(BRIDGE),
        addresses: vec![ip("172.20.0.1"), ip("fe80::ff")],
        ..LinkEvent::default()
    };
    world.push(5_000, Fact::Recorded(RecordedFact::Link(link)));
    let advertised =
        |last: Mac| NeighbourClaim { kind: ClaimKind::NeighbourAdvertisement, ip: ip("fe80::ff"), ..claim(1, last) };
    hear(&mut world, 10_000, advertised(BRIDGE));
    world.tick(11_000);
    assert!(world.raised().is_empty());
    hear(&mut world, 12_000, advertised(mac(30)));
    world.tick(13_000);
    assert_eq!(world.raised(), BLAMED);
}

#[test]
fn a_container_being_started_claims_before_its_runtime_tells() {
    let mut world = world();
    hear(&mut world, 10_000, claim(40, mac(40)));
    // Its runtime dates its start after its first frame.
    world.start(10_400, "young", 40);
    world.tick(12_000);
    assert!(world.raised().is_empty(), "{:?}", world.raised());
}

#[test]
fn a_container_that_comes_back_with_its_address_and_another_mac_is_normal() {
    let mut world = world();
    world.stop(9_900, "web");
    hear(&mut world, 10_000, claim(10, mac(77)));
    world.start_with(10_300, "web-again", 10, |workload| workload.attachments[0].mac = Some(mac(77)));
    world.tick(12_000);
    // The old one's end is told late.
    hear(&mut world, 20_000, claim(20, mac(78)));
    world.stop(20_100, "other");
    world.start_with(20_200, "other-again", 20, |workload| workload.attachments[0].mac = Some(mac(78)));
    world.tick(30_000);
    assert!(world.raised().is_empty(), "{:?}", world.raised());
}

#[test]
fn an_address_whose_owner_ended_is_nobodys() {
    let mut world = world();
    world.stop(9_000, "web");
    hear(&mut world, 10_000, claim(10, mac(10)));
    world.tick(10_700);
    assert!(world.raised().is_empty(), "its own last word");
    hear(&mut world, 11_000, claim(10, mac(30)));
    world.tick(12_000);
    assert_eq!(world.raised(), BLAMED);
    assert!(world.alerts[0].evidence[0].text.contains("no runtime assigned that address"));
}

#[test]
fn a_workload_with_two_macs_may_say_each_address_at_each() {
    let mut world = world();
    world.start_with(1_000, "router", 50, |workload| {
        let second =
            Attachment { addresses: vec![ip("172.20.0.51")], mac: Some(mac(51)), ..workload.attachments[0].clone() };
        workload.attachments.push(second);
    });
    hear(&mut world, 10_000, claim(50, mac(51)));
    hear(&mut world, 10_000, claim(51, mac(50)));
    world.tick(11_000);
    assert!(world.raised().is_empty());
}

#[test]
fn without_a_complete_word_nobody_is_accused() {
    let mut world = world();
    world.runtime(
        5_000,
        InventoryEvent::Disconnected { runtime: hopwatch::input::RuntimeId::DOCKER, error: "gone".into() },
    );
    hear(&mut world, 10_000, claim(10, mac(30)));
    world.tick(11_000);
    assert!(world.raised().is_empty());
}

#[test]
fn a_veth_names_who_forged_every_mac() {
    let at_veth = |to: Mac, claim: NeighbourClaim| NeighbourClaim {
        point: ObservationPoint::new("veth30"),
        to: Some(to),
        ..claim
    };
    assert_eq!(raised_for(at_veth(mac(20), claim(10, Mac([6; 6])))), BLAMED, "sent to another container");
    assert_eq!(raised_later_for(at_veth(mac(30), claim(10, Mac([6; 6])))), NOBODY, "it was sent to the veth's owner");
    assert_eq!(raised_later_for(at_veth(BROADCAST, claim(10, Mac([6; 6])))), NOBODY, "flooded to every veth");
    assert_eq!(raised_for(at_veth(BRIDGE, claim(10, mac(10)))), BLAMED, "address and MAC of another, to the host");
    assert!(raised_for(at_veth(mac(30), claim(10, mac(10)))).is_empty(), "said to the veth's owner");
    assert!(raised_for(at_veth(BROADCAST, claim(10, mac(10)))).is_empty(), "flooded to every veth");
    assert!(raised_for(at_veth(BRIDGE, claim(30, mac(30)))).is_empty(), "its own");
}

#[test]
fn an_owner_without_a_mac_is_contradicted_only_by_another_workloads() {
    let raised = |at: Mac| {
        let mut world = world();
        world.start_with(1_000, "plain", 60, |workload| workload.attachments[0].mac = None);
        hear(&mut world, 10_000, claim(60, at));
        world.tick(11_000);
        world.raised()
    };
    assert!(raised(mac(60)).is_empty(), "nobody knows better");
    assert_eq!(raised(mac(30)), BLAMED);
}

/// What the rule says of a flow that the timeline attributes to `thief` by its veth, sent from an address and a MAC.
fn over_the_veth(from: &str, mac: Mac) -> Option<(String, String)> {
    let mut world = world();
    let mut record = world.record(10_000, Protocol::UDP, 10, "198.51.100.7", 443);
    record.point = ObservationPoint::new("veth30");
    record.tuple.orig.ip = ip(from);
    record.orig.mac = Some(mac);
    let timeline = world.engine.timeline();
    let thief = timeline.running().find(|workload| workload.name == "thief").expect("it runs");
    let source = Owner::Workload {
        workload: Arc::clone(thief),
        how: AttributionMethod::Veth,
        confidence: Confidence::Likely,
        why: Some(Doubt::VethDiffers),
    };
    let (point, tuple) = (record.point.clone(), record.tuple);
    let flow = JudgedFlow {
        view: ObservedFlow { record, points: vec![point.clone()], translated: None },
        oriented: Oriented { tuple, point, at: at(10_000), forward: true, certain: true },
        source,
        responder: Owner::External,
        answered: false,
        judgement: None,
        sent_on: false,
        took: std::time::Duration::ZERO,
        over: false,
        again: false,
        revised_from: None,
    };
    let mut findings = Findings::default();
    let mut rule = unknown_source::rule(&unknown_source::Params::default());
    rule.on_flow(
        Context {
            timeline,
            actors: &hopwatch::detect::Actors::default(),
            baseline: None,
            compared: None,
            path: &hopwatch::path::PathState::default(),
            names: &hopwatch::names::Names::default(),
            now: at(10_600),
        },
        &flow,
        &mut findings,
    );
    let (found, _) = findings.into_parts();
    let told = |finding: &hopwatch::detect::Finding| {
        let name = finding.workload.as_ref().map(|workload| workload.name.clone()).unwrap_or_default();
        (name, finding.evidence[0].text.clone())
    };
    found.first().map(told)
}

#[test]
fn a_flow_over_the_veth_of_another_names_the_veths_owner() {
    for (from, with, truth) in [
        ("172.20.0.10", mac(10), "172.20.0.10 belongs to web"),
        ("172.20.0.1", mac(10), "172.20.0.1 is the host's"),
        ("172.20.0.30", mac(10), "02:00:00:00:00:0a is not its own"),
    ] {
        let (name, text) = over_the_veth(from, with).expect("a finding");
        assert_eq!(name, "thief");
        assert!(text.contains("veth30") && text.ends_with(truth), "{text}");
    }
    assert_eq!(over_the_veth("203.0.113.9", mac(30)), None, "a gateway container forwards such frames");
}

#[test]
fn a_flood_of_claims_is_told_and_bounded() {
    let mut world = World::new(EngineConfig { contracts: vec![], max_alerts: 10, ..config() });
    world.start(0, "thief", 30);
    for turn in 0..2_000_u64 {
        let bytes = turn.to_be_bytes();
        hear(&mut world, 10_000, claim(99, Mac([6, 0, 0, 0, bytes[6], bytes[7]])));
    }
    world.tick(11_000);
    world.finish();
    assert_eq!(world.raised().len(), 1, "the sender chooses MACs: they make no alerts");
    assert_eq!(world.alerts.last().map(|alert| alert.count), Some(2_000), "every one is counted");
}

/// Frames that one container forges, each claiming a neighbour's address for a MAC of its own invention, and one real bypass in the middle.
#[test]
fn a_flood_of_forged_claims_is_a_few_alerts_and_hides_no_bypass() {
    const FRAMES: u64 = 120_000;
    let mut world = World::new(EngineConfig { max_alerts: 10_000, ..config() });
    for (name, host) in [("proxy", 3), ("web", 10), ("evil", 66)] {
        world.start(0, name, host);
    }
    for host in 100..180 {
        world.start(0, &format!("peer{host}"), host);
    }
    let is_bypass = |alert: &&hopwatch::alert::Alert| alert.rule == "egress-skips-proxy" && alert.update == 0;
    let mut bypass_at = None;
    for number in 0..FRAMES {
        let millis = 5_000 + number / 40;
        if number == FRAMES / 2 {
            bypass_at = Some(millis);
            world.tcp(millis, 10, "198.51.100.7", 443);
        }
        let host = 100 + u8::try_from(number % 80).expect("few");
        let [.., a, b, c] = number.to_be_bytes();
        let forged = NeighbourClaim { frame_mac: Some(mac(66)), ..claim(host, Mac([2, 9, 9, a, b, c])) };
        hear(&mut world, millis, forged);
        if bypass_at.is_some_and(|at| millis == at + 1_000) {
            assert_eq!(world.alerts.iter().filter(is_bypass).count(), 1, "the bypass is reported within a second");
        }
    }
    world.tick(20_000);
    world.finish();
    assert_eq!(world.alerts.iter().filter(is_bypass).count(), 1);
    let about_evil = |alert: &&hopwatch::alert::Alert| alert.rule == "unknown-source";
    let mut counted = std::collections::BTreeMap::new();
    for alert in world.alerts.iter().filter(about_evil) {
        assert_eq!(alert.workload.as_ref().map(|workload| workload.name.as_str()), Some("evil"));
        counted.insert(alert.id.clone(), alert.count);
    }
    assert_eq!(counted.len(), 21, "a burst, and one for all further addresses");
    assert_eq!(counted.values().sum::<u64>(), FRAMES, "every frame is counted");
    assert!(world.alerts.iter().filter(about_evil).count() < 60, "and they are few lines");
    let over = world.engine.stats().alerts_over_budget;
    assert_eq!(over.get("unknown-source"), Some(&(FRAMES / 80 * 60)), "those of the other sixty addresses");
    let summary =
        world.alerts.iter().filter(about_evil).find(|alert| alert.count == FRAMES / 80 * 60).expect("a summary");
    let says = |text: &str| summary.evidence.iter().any(|evidence| evidence.text.contains(text));
    assert!(says("60 further causes") && says("also: ") && says("172.20.0.1"), "{:?}", summary.evidence);
}
