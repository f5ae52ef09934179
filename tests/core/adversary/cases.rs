//! Known attacks, each with its benign twin: the same actions where nobody is deceived.
//!
//! What is watched is the bridge alone, unless a case says more: the hardest place to see from.

use std::net::Ipv4Addr;

use hopwatch::detect::Severity;
use hopwatch::input::{Mac, tcp_flags};

use super::history::{Asked, Flow, History, Outcome, Way};
use super::moves::{Attack, Attacker, Borrowed, Claims};
use crate::support::frames::{Content, Frame, arp_answer, loose_route};
use crate::support::lan::{APP, EVIL, FAR, OTHER, PROXY, Port, Shown, address, host_mac, mac};

const HOST: Ipv4Addr = Ipv4Addr::new(172, 20, 0, 1);

/// One TCP flow of app, seen on `br-net`.
pub(super) fn one_flow(asked: Asked, way: Way) -> History {
    let flow = Flow { number: 0, asked, start: 30_000, is_tcp: true, way, exchanges: 40, is_high: false };
    let shown = Shown {
        veths: false,
        second: true,
        ids: asked == Asked::Inline,
        uplink: false,
        conntrack: true,
        snap: 65_535,
        reversed: false,
    };
    History { asked, masquerade: true, step: 15, shown, flows: vec![flow], attacks: vec![] }
}

/// A forged packet of app's, 50 ms before the flow, that goes no further than the host.
pub(super) fn decoy(by: Attacker, claims: Claims, flags: u8) -> Attack {
    Attack {
        by,
        flow: 0,
        when: -50,
        src: Borrowed::Own,
        dst: Borrowed::Host,
        claims,
        flags,
        fits: true,
        ttl: 1,
        vlan: None,
        first_bytes: None,
        is_routed: false,
        payload: 0,
        icmp: false,
        arp: false,
        times: 1,
    }
}

/// A datagram to the outside.
fn datagram(src: Mac, from: Ipv4Addr) -> Frame {
    let content = Content::Udp { payload: vec![7; 600] };
    let dst = host_mac(0);
    Frame {
        src,
        dst,
        vlan: None,
        from: (from, 5000),
        to: (FAR, 4444),
        ttl: 64,
        options: vec![],
        first_bytes: None,
        content,
    }
}

/// A flow of this history without its own, and `frames` of app in its place, 20 ms apart.
fn only(asked: Asked, frames: &[(Port, Frame)]) -> (History, Outcome) {
    let mut history = one_flow(asked, Way::Through);
    history.flows.clear();
    let mut wire = history.wire();
    for (number, (port, frame)) in (0_u64..).zip(frames) {
        wire.send(30_000_000 + number * 20_000, *port, frame, false);
    }
    let outcome = history.watch(&wire);
    (history, outcome)
}

fn count(outcome: &Outcome, verdict: &'static str) -> u64 {
    outcome.counts.get(verdict).copied().unwrap_or(0)
}

/// The flow is bypassed, and app accused by the rule of its contract at full severity.
fn assert_detected(history: &History, rule: &str) {
    let outcome = history.run();
    let verdicts = outcome.of_flow(history, 0);
    assert!(verdicts.iter().any(|verdict| Outcome::is_detected(verdict)), "{verdicts:?}");
    let accuses = |alert: &&hopwatch::alert::Alert| {
        alert.rule == rule && alert.workload.as_ref().is_some_and(|workload| workload.name == "app")
    };
    let alert = outcome.alerts.iter().filter(accuses).max_by_key(|alert| alert.severity);
    assert_eq!(alert.map(|alert| alert.severity), Some(Severity::High), "{:?}", outcome.raised());
}

fn assert_quiet(outcome: &Outcome) {
    assert!(outcome.alerts.is_empty(), "{:?}", outcome.raised());
    assert_eq!((count(outcome, "bypassed"), count(outcome, "partial")), (0, 0));
}

fn assert_decoy_is_seen_through(attack: &Attack) {
    for masquerade in [true, false] {
        let mut history = one_flow(Asked::Proxy, Way::Around);
        history.masquerade = masquerade;
        history.attacks.push(attack.clone());
        assert_detected(&history, "egress-skips-proxy");
    }
}

#[test]
fn a_question_that_is_forged_from_outside_does_not_make_app_the_one_who_answers() {
    assert_decoy_is_seen_through(&decoy(Attacker::App, Claims::Reverse, tcp_flags::SYN));
    let tagged = Attack { vlan: Some(100), ..decoy(Attacker::App, Claims::Reverse, tcp_flags::SYN) };
    assert_decoy_is_seen_through(&tagged);
}

#[test]
fn an_own_answer_before_the_question_does_not_either() {
    assert_decoy_is_seen_through(&decoy(Attacker::App, Claims::Forward, tcp_flags::SYN | tcp_flags::ACK));
}

#[test]
fn nor_does_a_decoy_of_a_neighbour_on_another_bridge() {
    assert_decoy_is_seen_through(&decoy(Attacker::Other, Claims::Reverse, tcp_flags::SYN));
}

#[test]
fn a_connection_that_outside_really_opens_is_quiet() {
    use tcp_flags::{ACK, PSH, SYN};
    let frame = |is_asker: bool, flags, seq, ack, payload| {
        let content = Content::Tcp { flags, seq, ack, payload };
        let (from, to) = ((FAR, 50_000), (address(APP), 8080));
        let (src, dst) = (mac(APP), host_mac(0));
        let (from, to) = if is_asker { (from, to) } else { (to, from) };
        let frame = Frame { src, dst, vlan: None, from, to, ttl: 64, options: vec![], first_bytes: None, content };
        (if is_asker { Port::Outside } else { Port::Container(APP) }, frame)
    };
    let frames = [
        frame(true, SYN, 10, 0, 0),
        frame(false, SYN | ACK, 90, 11, 0),
        frame(true, ACK, 11, 91, 0),
        frame(true, PSH | ACK, 11, 91, 300),
        frame(false, PSH | ACK, 91, 311, 900),
    ];
    let mut history = one_flow(Asked::Proxy, Way::Through);
    history.masquerade = false;
    history.flows.clear();
    let mut wire = history.wire();
    for (number, (port, frame)) in (0_u64..).zip(frames) {
        wire.send(30_000_000 + number * 20_000, port, &frame, false);
    }
    assert_quiet(&history.watch(&wire));
}

#[test]
fn a_stranger_who_borrows_the_far_end_accuses_app_of_nothing() {
    let history = one_flow(Asked::Proxy, Way::Through);
    let mut wire = history.wire();
    let borrowed = datagram(mac(OTHER), address(OTHER));
    let borrowed = Frame { dst: host_mac(1), from: (FAR, 4444), to: (address(APP), 41_000), ..borrowed };
    for number in 0..5 {
        wire.send(29_000_000 + number * 500_000, Port::Container(OTHER), &borrowed, false);
    }
    let outcome = history.watch(&wire);
    assert!(outcome.accusing("app").is_empty(), "{:?}", outcome.raised());
    assert_eq!(outcome.of_flow(&history, 0).iter().filter(|verdict| **verdict == "verified").count(), 1);
}

#[test]
fn a_gateway_that_is_left_in_midflow_is_reported() {
    assert_detected(&one_flow(Asked::Gateway, Way::LeavesMidway), "gateway-skipped");
    let through = one_flow(Asked::Gateway, Way::Through);
    let outcome = through.run();
    assert_quiet(&outcome);
    assert_eq!(count(&outcome, "verified"), 1);
}

#[test]
fn an_inline_monitor_that_sees_only_the_start_is_reported() {
    assert_detected(&one_flow(Asked::Inline, Way::LeavesMidway), "monitor-hop-skipped");
    let outcome = one_flow(Asked::Inline, Way::Through).run();
    assert_quiet(&outcome);
    assert_eq!(count(&outcome, "verified"), 1);
}

#[test]
fn a_source_address_from_nowhere_is_its_senders() {
    let (_, outcome) =
        only(Asked::Proxy, &[(Port::Container(APP), datagram(mac(APP), Ipv4Addr::new(203, 0, 113, 77)))]);
    assert_eq!(count(&outcome, "bypassed"), 1);
    let rules = outcome.accusing("app");
    assert!(rules.contains(&"unknown-source") && rules.contains(&"egress-skips-proxy"), "{rules:?}");
}

#[test]
fn the_hosts_address_behind_a_containers_mac_is_the_containers() {
    let (_, outcome) = only(Asked::Proxy, &[(Port::Container(APP), datagram(mac(APP), HOST))]);
    assert!(!outcome.accusing("app").is_empty(), "{:?}", outcome.raised());
}

#[test]
fn the_hops_address_behind_the_hosts_mac_is_nobodys_and_is_counted() {
    let (_, outcome) = only(Asked::Proxy, &[(Port::Container(APP), datagram(host_mac(0), address(PROXY)))]);
    assert!(!outcome.alerts.is_empty() || count(&outcome, "unobservable") > 0, "neither an alert nor a verdict");
    let (_, outcome) = only(Asked::Proxy, &[(Port::Container(PROXY), datagram(mac(PROXY), address(PROXY)))]);
    assert_quiet(&outcome);
}

#[test]
fn a_source_route_that_names_the_proxy_is_no_passage() {
    let mut routed = datagram(mac(APP), address(APP));
    routed.options = loose_route(&[address(PROXY)]);
    let (_, outcome) = only(Asked::Proxy, &[(Port::Container(APP), routed.clone()), (Port::Container(APP), routed)]);
    assert_eq!(count(&outcome, "verified"), 0);
    assert!(!outcome.accusing("app").is_empty(), "{:?}", outcome.raised());
}

#[test]
fn an_attempt_at_the_proxy_is_no_passage() {
    let content = Content::Tcp { flags: tcp_flags::SYN, seq: 1, ack: 0, payload: 0 };
    let to = (address(PROXY), 3128);
    let syn = Frame { dst: mac(PROXY), to, content, ..datagram(mac(APP), address(APP)) };
    let (_, outcome) = only(Asked::Proxy, &[(Port::Container(APP), syn)]);
    assert_eq!((count(&outcome, "verified"), count(&outcome, "bypassed")), (0, 0));
    let outcome = one_flow(Asked::Proxy, Way::Through).run();
    assert_quiet(&outcome);
    assert_eq!(count(&outcome, "verified"), 1);
}

#[test]
fn a_storm_of_claims_makes_few_alerts_and_hides_no_bypass() {
    let history = one_flow(Asked::Proxy, Way::Around);
    let mut wire = history.wire();
    for number in 0..4_000_u32 {
        let [_, _, high, low] = number.to_be_bytes();
        let forged = Mac([2, 9, 9, 9, high, low]);
        wire.raw(
            29_000_000 + u64::from(number) * 500,
            EVIL,
            &arp_answer(forged, Ipv4Addr::new(172, 20, 0, low), forged),
        );
    }
    let outcome = history.watch(&wire);
    let raised = outcome.alerts.iter().filter(|alert| alert.update == 0).count();
    assert!(raised <= 40, "{raised} alerts");
    let bypass = outcome.alerts.iter().find(|alert| alert.rule == "egress-skips-proxy").expect("the bypass");
    assert_eq!(bypass.workload.as_ref().map(|workload| workload.name.as_str()), Some("app"));
    assert!(outcome.of_flow(&history, 0).contains(&"bypassed"));
}

#[test]
fn what_neighbours_truly_claim_is_quiet() {
    let history = one_flow(Asked::Gateway, Way::Through);
    let mut wire = history.wire();
    for number in 0..100_u64 {
        wire.raw(29_000_000 + number * 20_000, EVIL, &arp_answer(mac(EVIL), address(EVIL), mac(EVIL)));
    }
    assert_quiet(&history.watch(&wire));
}
