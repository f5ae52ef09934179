//! Datagrams in the far end's name from a MAC that is nobody's, or over the workload's own link, and their benign twins.

use std::net::Ipv4Addr;

use super::cases::one_flow;
use super::found::{assert_app_is_not_accused, assert_not_silenced, attacked, before, with_all_points};
use super::history::{Asked, History, Outcome, Way};
use super::moves::{Attacker, Borrowed, Claims};
use crate::support::frames::{Content, Frame};
use crate::support::lan::{APP, EVIL, FAR, Port, address, host_mac, mac};
use hopwatch::input::Mac;

/// A UDP flow of app around the hop, to a port that clients use, too, and a datagram of the far end before it.
fn asked_by(asked: Asked, by: Attacker, macs: (Borrowed, Borrowed)) -> History {
    let mut history = attacked(asked, Way::Around, false, before(by, Claims::Reverse, -50, macs));
    history.flows[0].is_high = true;
    history
}

#[test]
fn a_question_from_a_mac_of_nobodys_silences_nothing_at_any_port() {
    use Borrowed::{App, Host, Nobody, Own};
    for asked in [Asked::Proxy, Asked::Gateway, Asked::Inline, Asked::Nothing] {
        for (by, dst) in [(Attacker::App, Own), (Attacker::App, Host), (Attacker::Neighbour, App)] {
            let history = asked_by(asked, by, (Nobody, dst));
            assert_not_silenced(&history);
            assert_not_silenced(&with_all_points(history));
        }
    }
}

#[test]
fn it_accuses_nobody_with_certainty() {
    use Borrowed::{App, Host, Nobody};
    for (asked, dst) in [(Asked::Proxy, App), (Asked::Inline, App), (Asked::Gateway, Host)] {
        let mut history = asked_by(asked, Attacker::Neighbour, (Nobody, dst));
        history.flows[0].way = Way::Through;
        assert_app_is_not_accused(&history);
    }
}

#[test]
fn a_question_that_went_to_the_host_over_the_workloads_own_link_is_the_workloads() {
    use Borrowed::{Gateway, Host, Nobody};
    for src in [Host, Nobody, Gateway] {
        let mut history = asked_by(Asked::Proxy, Attacker::App, (src, Host));
        history.shown.veths = true;
        let outcome = history.run();
        let verdicts = outcome.of_flow(&history, 0);
        assert!(verdicts.iter().any(|verdict| Outcome::is_detected(verdict)), "{src:?}: {verdicts:?}");
        assert!(outcome.accusing("app").contains(&"egress-skips-proxy"), "{src:?}: {:?}", outcome.raised());
    }
}

/// A datagram between app at port 40000 and the far end.
fn datagram(is_apps: bool, (src, dst): (Mac, Mac), far: (Ipv4Addr, u16)) -> Frame {
    let own = (address(APP), 40_000);
    let (from, to) = if is_apps { (own, far) } else { (far, own) };
    let content = Content::Udp { payload: vec![7; 300] };
    Frame { src, dst, vlan: None, from, to, ttl: 64, options: vec![], first_bytes: None, content }
}

/// What is said of frames at these milliseconds.
fn said_of(asked: Asked, frames: &[(u64, Port, Frame)], shows_all: bool) -> Outcome {
    let mut history = one_flow(asked, Way::Through);
    history.masquerade = false;
    history.flows.clear();
    let history = if shows_all { with_all_points(history) } else { history };
    let mut wire = history.wire();
    for (millis, port, frame) in frames {
        wire.send(millis * 1000, *port, frame, false);
    }
    history.watch(&wire)
}

fn count(outcome: &Outcome, verdicts: &[&str]) -> u64 {
    verdicts.iter().filter_map(|verdict| outcome.counts.get(verdict)).sum()
}

#[test]
fn datagrams_that_come_in_through_the_host_are_quiet() {
    let (own, from_host) = ((mac(APP), host_mac(0)), (host_mac(0), mac(APP)));
    // A published port: passed on by the host, or by docker-proxy with the host's address on the bridge.
    let gateway = Ipv4Addr::new(172, 20, 0, 1);
    for (far, shows_all) in [(FAR, false), (FAR, true), (Ipv4Addr::new(203, 0, 113, 9), true), (gateway, false)] {
        let far = (far, 50_000);
        let frames = [
            (30_000, Port::Outside, datagram(false, from_host, far)),
            (30_010, Port::Container(APP), datagram(true, own, far)),
            (30_020, Port::Outside, datagram(false, from_host, far)),
        ];
        let outcome = said_of(Asked::Nothing, &frames, shows_all);
        assert!(outcome.alerts.is_empty(), "{far:?}: {:?}", outcome.raised());
        assert_eq!(count(&outcome, &["bypassed", "partial", "unobservable"]), 0, "{far:?}");
    }
}

#[test]
fn what_leaves_from_an_outside_address_and_a_mac_of_nobodys_is_in_a_verdict_and_reported() {
    for shows_all in [false, true] {
        let frame = Frame {
            from: (Ipv4Addr::new(203, 0, 113, 77), 5000),
            to: (FAR, 4444),
            ..datagram(true, (Mac([2, 0, 0, 0, 7, 7]), host_mac(0)), (FAR, 4444))
        };
        let frames: Vec<_> =
            (0..20).map(|number| (30_000 + number * 20, Port::Container(EVIL), frame.clone())).collect();
        let outcome = said_of(Asked::Proxy, &frames, shows_all);
        assert_eq!(outcome.raised_about_traffic().first(), Some(&"unknown-source"), "{:?}", outcome.raised());
        if !shows_all {
            assert!(count(&outcome, &["unobservable"]) > 0, "{:?}", outcome.counts);
        }
        assert!(outcome.accusing("app").is_empty());
        assert_eq!(outcome.accusing("evil").is_empty(), !shows_all, "its veth names it");
    }
}

#[test]
fn a_forged_question_is_not_believed_after_the_flow_was_idle() {
    let far = (FAR, 4444);
    let (own, from_host) = ((mac(APP), host_mac(0)), (host_mac(0), mac(APP)));
    let nobody = Mac([2, 0, 0, 0, 7, 7]);
    for (src, far) in [(nobody, far), (host_mac(0), (FAR, 443))] {
        let mut frames = vec![
            (30_000, Port::Container(APP), Frame { ttl: 1, ..datagram(false, (src, host_mac(0)), far) }),
            (30_100, Port::Container(APP), datagram(true, own, far)),
            (30_120, Port::Outside, datagram(false, from_host, far)),
        ];
        // The meter's idle timeout is a minute.
        for number in 0..20 {
            frames.push((200_000 + number * 20, Port::Container(APP), datagram(true, own, far)));
            frames.push((200_010 + number * 20, Port::Outside, datagram(false, from_host, far)));
        }
        let outcome = said_of(Asked::Proxy, &frames, false);
        let judged = count(&outcome, &["bypassed", "partial", "unobservable"]);
        assert!(judged >= 2, "{src}: {:?}", outcome.counts);
    }
}

#[test]
fn a_conversation_that_outside_began_is_still_its_own_after_it_was_idle() {
    let far = (FAR, 50_000);
    let (own, from_host) = ((mac(APP), host_mac(0)), (host_mac(0), mac(APP)));
    let frames = [
        (30_000, Port::Outside, datagram(false, from_host, far)),
        (30_100, Port::Container(APP), datagram(true, own, far)),
        (200_000, Port::Container(APP), datagram(true, own, far)),
        (200_100, Port::Outside, datagram(false, from_host, far)),
    ];
    let outcome = said_of(Asked::Proxy, &frames, false);
    assert!(outcome.alerts.is_empty(), "{:?}", outcome.raised());
    assert_eq!(count(&outcome, &["bypassed", "partial", "unobservable"]), 0, "{:?}", outcome.counts);
}
