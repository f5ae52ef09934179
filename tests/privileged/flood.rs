//! One container floods, another goes around its proxy: the alerts of the other come, all of them, and what was left out is the flooder's.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use etherparse::PacketBuilder;

use crate::support::netns::{Namespace, Sniffer, unavailable};
use crate::support::patience::PATIENCE;
use crate::support::sender::{Sender, flood_frame};

/// Probes come from 203.0.113.0/24, the flood from 198.18.0.0/15.
const CONFIG: &str = "
hops:
  proxy: {addresses: [10.9.0.3], ports: [3128]}
contracts:
  - {name: egress, from: [{addresses: [203.0.113.0/24]}], to: [any], via: [proxy]}
";
const PROBES: u8 = 20;
const FLOWS: u32 = 40_000;

/// A packet of a source of its own, around the proxy.
fn probe(number: u8) -> Vec<u8> {
    let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 9, 9], [2, 0, 0, 0, 0, 2]);
    let mut frame = Vec::new();
    let step = ethernet.ipv4([203, 0, 113, number + 1], [9, 9, 9, 9], 64).udp(40_000, 4000);
    step.write(&mut frame, b"a probe").expect("a frame in memory");
    frame
}

/// The flooder is the bridge's peer; the probes come over a link of their own, to the same bridge or beside it.
fn alerts_come(kind: &str, point: &str) {
    let namespace = Namespace::with_bridge("br-test");
    namespace.run("ip link add ve-probe type veth peer name probe && ip link set probe up && ip link set ve-probe up");
    if point == "br-test" {
        namespace.run("ip link set ve-probe master br-test");
    }
    let sniffer = Sniffer::start(&namespace, CONFIG, &["-i", "ve-probe"]);
    sniffer.wait_until("/metrics", "both are captured", |page| {
        page.contains("observation_point=\"br-test\"") && page.contains("observation_point=\"ve-probe\"")
    });
    let frames: Vec<_> = (0..FLOWS).map(|flow| flood_frame(kind, flow, 64)).collect();
    // A socket stays in the namespace in which it was made.
    let flooder = namespace.inside_peer(|| Sender::open("eth0").expect("a sender"));
    let prober = namespace.inside(|| Sender::open("probe").expect("a sender"));
    thread::scope(|scope| {
        let flood = scope.spawn(|| flooder.send(&frames, u64::from(FLOWS), None, PATIENCE));
        for number in 0..PROBES {
            prober.send(&[probe(number)], 1, None, PATIENCE);
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(flood.join().expect("a flood"), u64::from(FLOWS));
    });
    let (lines, log) = sniffer.end();
    let alerts = lines.iter().filter(|line| line["rule"] == "egress-skips-proxy").map(ToString::to_string);
    let alerts: Vec<_> = alerts.collect();
    let told = |number: &u8| alerts.iter().any(|alert| alert.contains(&format!("203.0.113.{}\"", number + 1)));
    let missing: BTreeSet<_> = (0..PROBES).filter(|number| !told(number)).collect();
    assert!(missing.is_empty(), "{kind} at {point}: of {PROBES} probes {missing:?} made no alert: {log}");
    let summary = lines.last().expect("a summary");
    let points = summary["points"].as_array().expect("points");
    let of_probes = points.iter().find(|point| point["observation_point"] == "ve-probe").expect("the probes' link");
    if point != "br-test" {
        assert!(of_probes["dropped"]["shed"] == 0 && of_probes["dropped"]["queue"] == 0, "{kind}: {of_probes}");
    }
}

#[test]
fn a_flood_of_any_kind_takes_no_alert_of_another_container() {
    if let Some(why) = unavailable() {
        println!("skipped: a_flood_of_any_kind_takes_no_alert_of_another_container: {why}");
        return;
    }
    for kind in ["udp", "syn", "spoof", "dns", "arp"] {
        alerts_come(kind, "ve-probe");
    }
    alerts_come("udp", "br-test");
}
