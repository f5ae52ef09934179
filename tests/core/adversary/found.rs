//! Histories that broke a law once, each as small as it was found.

use hopwatch::input::tcp_flags;
use hopwatch::inventory::Confidence;

use super::cases::{decoy, one_flow};
use super::history::{Asked, History, Outcome, Way};
use super::moves::{Attack, Attacker, Borrowed, Claims};

/// One flow of app, and one attack.
pub(super) fn attacked(asked: Asked, way: Way, is_tcp: bool, attack: Attack) -> History {
    let mut history = one_flow(asked, way);
    history.masquerade = false;
    history.step = 0;
    history.flows[0].is_tcp = is_tcp;
    history.flows[0].exchanges = 12;
    history.shown.second = false;
    history.shown.conntrack = false;
    history.attacks.push(attack);
    history
}

pub(super) fn with_all_points(mut history: History) -> History {
    history.shown.veths = true;
    history.shown.second = true;
    history.shown.ids = true;
    history.shown.uplink = true;
    history
}

/// Rules that accuse app with certainty.
fn accuses_exactly(outcome: &Outcome) -> Vec<&'static str> {
    let exact = outcome.alerts.iter().filter(|alert| {
        let confidence = alert.attribution.as_ref().and_then(|attribution| attribution.confidence);
        alert.workload.as_ref().is_some_and(|workload| workload.name == "app") && confidence == Some(Confidence::Exact)
    });
    exact.map(|alert| alert.rule).collect()
}

#[allow(clippy::needless_pass_by_value, reason = "each history is used once")]
fn assert_detected_at_all_points(history: History) {
    let outcome = with_all_points(history.clone()).run();
    let verdicts = outcome.of_flow(&history, 0);
    assert!(verdicts.iter().any(|verdict| Outcome::is_detected(verdict)), "{verdicts:?}");
    assert!(!outcome.accusing("app").is_empty(), "{:?}", outcome.raised());
}

pub(super) fn assert_app_is_not_accused(history: &History) {
    for history in [history.clone(), with_all_points(history.clone())] {
        let outcome = history.run();
        assert_eq!(accuses_exactly(&outcome), Vec::<&str>::new());
    }
}

fn in_midflow(by: Attacker, src: Borrowed, dst: Borrowed, claims: Claims) -> Attack {
    Attack { when: 100, src, dst, ..decoy(by, claims, tcp_flags::ACK | tcp_flags::PSH) }
}

#[test]
fn a_decoy_on_another_bridge_is_no_part_of_the_flow() {
    let decoy = Attack { when: -1, dst: Borrowed::Own, ..decoy(Attacker::Other, Claims::Reverse, tcp_flags::ACK) };
    let decoy = Attack { src: Borrowed::Host, ..decoy };
    assert_detected_at_all_points(attacked(Asked::Proxy, Way::Around, true, decoy));
}

#[test]
fn a_neighbours_decoy_does_not_turn_the_flow_of_the_one_whose_link_shows_that_it_asked() {
    for (is_tcp, flags) in [(true, tcp_flags::ACK), (true, tcp_flags::SYN), (false, 0)] {
        let decoy = decoy(Attacker::Neighbour, Claims::Reverse, flags);
        let decoy = Attack { when: -1, src: Borrowed::Host, dst: Borrowed::Own, ..decoy };
        assert_detected_at_all_points(attacked(Asked::Gateway, Way::Around, is_tcp, decoy));
    }
}

#[test]
fn a_neighbours_question_that_the_host_passes_on_is_reported() {
    let decoy = decoy(Attacker::Neighbour, Claims::Reverse, 0);
    let decoy = Attack { when: -301, src: Borrowed::App, dst: Borrowed::Host, ttl: 2, ..decoy };
    let mut history = attacked(Asked::Gateway, Way::Around, false, decoy);
    history.flows[0].is_high = true;
    let outcome = with_all_points(history).run();
    assert!(outcome.raised_about_traffic().contains(&"unknown-source"), "{:?}", outcome.raised());
}

#[test]
fn a_frame_that_a_neighbour_sends_later_ends_no_flow() {
    let late =
        Attack { when: 2_000, ..in_midflow(Attacker::Neighbour, Borrowed::Host, Borrowed::Own, Claims::Reverse) };
    assert_detected_at_all_points(attacked(Asked::Inline, Way::LeavesMidway, false, late));
}

#[test]
fn answers_of_a_neighbour_are_not_the_workloads_doing() {
    for (asked, is_tcp) in [(Asked::Proxy, false), (Asked::Resolver, false), (Asked::Proxy, true)] {
        for src in [Borrowed::Own, Borrowed::Proxy, Borrowed::Gateway] {
            let answer = in_midflow(Attacker::Neighbour, src, Borrowed::App, Claims::Reverse);
            assert_app_is_not_accused(&attacked(asked, Way::Through, is_tcp, answer));
        }
    }
}

#[test]
fn frames_of_a_neighbour_among_those_of_the_workload_are_not_the_workloads() {
    for asked in [Asked::Proxy, Asked::Resolver, Asked::Gateway, Asked::Inline] {
        for src in [Borrowed::Own, Borrowed::Host, Borrowed::Nobody] {
            for dst in [Borrowed::Own, Borrowed::Proxy, Borrowed::Host] {
                let frame = in_midflow(Attacker::Neighbour, src, dst, Claims::Forward);
                let many = Attack { times: 20, payload: 600, ..frame };
                assert_app_is_not_accused(&attacked(asked, Way::Through, false, many));
            }
        }
    }
}

#[test]
fn a_source_route_is_its_senders() {
    let routed =
        Attack { is_routed: true, ..in_midflow(Attacker::Neighbour, Borrowed::Own, Borrowed::Own, Claims::Forward) };
    let history = attacked(Asked::Gateway, Way::Through, true, routed);
    assert_app_is_not_accused(&history);
    assert!(history.run().accusing("evil").contains(&"tunnel-from-container"));
}

#[test]
#[ignore = "unknowable: docs/trust.md, What remains, 11"]
fn a_forged_address_with_its_mac_does_not_come_over_the_workloads_link() {
    let frame = in_midflow(Attacker::Neighbour, Borrowed::App, Borrowed::Own, Claims::Forward);
    let history = with_all_points(attacked(Asked::Gateway, Way::Through, true, frame));
    assert_eq!(accuses_exactly(&history.run()), Vec::<&str>::new());
}

#[test]
fn a_packet_from_outside_with_the_workloads_address_is_not_certainly_its_own() {
    let frame = in_midflow(Attacker::Outside, Borrowed::Own, Borrowed::Own, Claims::Forward);
    let mut history = attacked(Asked::Proxy, Way::Through, false, Attack { when: -2_000, ..frame });
    history.shown.uplink = true;
    assert_app_is_not_accused(&history);
}

#[test]
fn a_question_that_seems_to_come_from_outside_leaves_the_flow_in_a_verdict() {
    let decoy = Attack { when: -261, src: Borrowed::Host, ..decoy(Attacker::App, Claims::Reverse, 0) };
    let history = attacked(Asked::Proxy, Way::Around, false, Attack { dst: Borrowed::Own, ..decoy });
    let verdicts = history.run().of_flow(&history, 0);
    assert!(verdicts.iter().any(|verdict| !matches!(*verdict, "verified" | "uncovered")), "{verdicts:?}");
}

#[test]
fn claims_at_several_points_give_the_same_alert_in_every_order() {
    let claim = Attack { arp: true, ..decoy(Attacker::App, Claims::Forward, 0) };
    let mut history = attacked(Asked::Proxy, Way::Through, false, claim);
    history.shown.veths = true;
    let lines = |history: &History| {
        let alerts = history.run().alerts;
        alerts.iter().map(|alert| format!("{:?}", alert.evidence)).collect::<Vec<_>>()
    };
    let turned = History { shown: crate::support::lan::Shown { reversed: true, ..history.shown }, ..history.clone() };
    assert_eq!(lines(&history), lines(&turned));
    assert!(!lines(&history).is_empty());
}

#[test]
fn a_forged_answer_before_the_flow_does_not_turn_round_what_the_workloads_link_shows() {
    let decoy = decoy(Attacker::App, Claims::Reverse, tcp_flags::ACK);
    let decoy = Attack { when: -1, src: Borrowed::Host, dst: Borrowed::Own, ..decoy };
    let mut history = attacked(Asked::Gateway, Way::LeavesMidway, true, decoy);
    history.shown.veths = true;
    assert_detected_at_all_points(history);
}

#[test]
fn a_port_that_is_used_again_at_once_does_not_cut_the_comparison_short() {
    let decoy = decoy(Attacker::App, Claims::Reverse, tcp_flags::SYN);
    for claims in [Claims::Reverse, Claims::Forward] {
        let again = Attack { when: 1_120, src: Borrowed::Host, dst: Borrowed::Own, claims, ..decoy.clone() };
        assert_detected_at_all_points(attacked(Asked::Inline, Way::LeavesMidway, true, again));
    }
}

/// The flow is in a verdict that reassures nobody.
pub(super) fn assert_not_reassured(history: &History) -> (Outcome, Vec<&'static str>) {
    let outcome = history.run();
    let verdicts = outcome.of_flow(history, 0);
    assert!(verdicts.iter().any(|verdict| !matches!(*verdict, "verified" | "uncovered")), "{verdicts:?}\n{history:#?}");
    (outcome, verdicts)
}

/// And somebody is accused.
pub(super) fn assert_not_silenced(history: &History) {
    let (outcome, verdicts) = assert_not_reassured(history);
    let is_detected = verdicts.iter().any(|verdict| Outcome::is_detected(verdict));
    let alerts = if is_detected { outcome.accusing("app") } else { outcome.raised_about_traffic() };
    assert!(!alerts.is_empty(), "{verdicts:?}: {:?}\n{history:#?}", outcome.raised());
}

pub(super) fn before(by: Attacker, claims: Claims, when: i64, (src, dst): (Borrowed, Borrowed)) -> Attack {
    Attack { when, src, dst, fits: false, ..decoy(by, claims, tcp_flags::SYN) }
}

fn with_veths(mut history: History) -> History {
    history.shown.veths = true;
    history.step = 15;
    history
}

#[test]
fn an_answer_that_the_workload_forges_before_its_datagram_silences_nothing() {
    use Borrowed::{Nobody, Own, Proxy};
    for asked in [Asked::Proxy, Asked::Gateway, Asked::Nothing] {
        for (src, when) in [(Own, -1), (Proxy, -261), (Nobody, -261)] {
            let answer = before(Attacker::App, Claims::Reverse, when, (src, Own));
            assert_not_silenced(&attacked(asked, Way::Around, false, answer));
        }
    }
}

#[test]
fn answers_of_a_neighbour_in_the_hosts_name_reassure_nobody_where_veths_are_captured() {
    use Borrowed::{App, Host, Own};
    let early = |when, macs| before(Attacker::Neighbour, Claims::Reverse, when, macs);
    let mut two = with_veths(attacked(Asked::Proxy, Way::Around, false, early(-541, (Host, Own))));
    two.attacks.push(Attack { ttl: 2, ..early(-1, (Own, Host)) });
    assert_not_reassured(&two);
    let mut three = with_veths(attacked(Asked::Proxy, Way::Around, false, early(-300, (Host, Own))));
    three.attacks.push(early(0, (Own, Own)));
    three.attacks.push(before(Attacker::App, Claims::Reverse, -1, (Host, Own)));
    assert_not_reassured(&three);
    assert_not_reassured(&with_veths(attacked(Asked::Inline, Way::LeavesMidway, false, early(-1, (Host, App)))));
}

#[test]
fn frames_in_the_workloads_name_hide_no_shortfall_at_an_inline_hop() {
    use Borrowed::{App, Own};
    let many = Attack { times: 6, ..before(Attacker::Neighbour, Claims::Forward, 0, (App, Own)) };
    assert_detected_at_all_points(attacked(Asked::Inline, Way::LeavesMidway, false, many));
    let own = before(Attacker::App, Claims::Forward, -1, (Own, Own));
    assert_detected_at_all_points(attacked(Asked::Inline, Way::LeavesMidway, false, own));
}

#[test]
fn a_forged_end_before_the_flow_does_not_end_the_comparison() {
    use Borrowed::{App, Host, Own};
    let ack = Attack { flags: tcp_flags::ACK, ..before(Attacker::Neighbour, Claims::Forward, -271, (App, Host)) };
    let mut history = attacked(Asked::Gateway, Way::LeavesMidway, true, ack);
    history.attacks.push(before(Attacker::Neighbour, Claims::Forward, -1, (Own, Own)));
    history.shown.veths = true;
    history.shown.reversed = true;
    assert_not_silenced(&history);
}

#[test]
fn what_a_neighbour_sends_before_a_flow_is_not_a_bypass_of_the_workload() {
    use Borrowed::{App, Gateway, Host, Nobody, Own, Proxy};
    let early = |claims, when, macs| before(Attacker::Neighbour, claims, when, macs);
    let (forward, reverse) = (Claims::Forward, Claims::Reverse);
    let pieces = Attack { first_bytes: Some(8), ..early(reverse, -601, (Host, Own)) };
    for attack in [
        early(forward, -1, (Own, Own)),
        early(forward, -1, (Proxy, Own)),
        early(forward, -1_001, (Nobody, Own)),
        early(forward, 400, (Own, Gateway)),
        early(reverse, -1, (App, Own)),
        early(reverse, -501, (App, Own)),
        pieces,
    ] {
        for is_tcp in [false, true] {
            let mut history = attacked(Asked::Inline, Way::Through, is_tcp, attack.clone());
            history.shown.conntrack = true;
            for reversed in [false, true] {
                history.shown.reversed = reversed;

                assert_app_is_not_accused(&history);
            }
        }
    }
}

#[test]
fn an_end_that_a_neighbour_forges_is_waited_out_at_the_other_points() {
    let syn = before(Attacker::Neighbour, Claims::Forward, 1_240, (Borrowed::Own, Borrowed::Own));
    let mut history = attacked(Asked::Inline, Way::Through, true, syn);
    history.flows[0].exchanges = 15;
    assert_app_is_not_accused(&history);
}

#[test]
fn the_workloads_mac_on_another_network_is_not_the_workloads() {
    for asked in [Asked::Gateway, Asked::Proxy] {
        let frame = before(Attacker::Other, Claims::Forward, 0, (Borrowed::App, Borrowed::Own));
        let mut history = attacked(asked, Way::Through, false, frame);
        history.shown.second = true;
        assert_app_is_not_accused(&history);
    }
}

#[test]
fn a_source_route_behind_the_mac_of_nobody_or_of_the_workload_is_not_certainly_its_own() {
    use Borrowed::{App, Nobody, Own};
    for (by, claims, macs) in [
        (Attacker::Neighbour, Claims::Forward, (Nobody, Own)),
        (Attacker::Neighbour, Claims::Reverse, (App, Own)),
        (Attacker::Neighbour, Claims::FromProxy, (App, App)),
        (Attacker::Outside, Claims::Reverse, (Own, Own)),
    ] {
        let routed = Attack { is_routed: true, ..before(by, claims, 0, macs) };
        assert_app_is_not_accused(&attacked(Asked::Proxy, Way::Through, false, routed));
    }
}

#[test]
fn what_a_neighbour_adds_to_a_question_is_not_certainly_the_workloads() {
    let many = before(Attacker::Neighbour, Claims::Forward, 0, (Borrowed::Own, Borrowed::Host));
    let many = Attack { ttl: 2, payload: 600, times: 25, ..many };
    assert_app_is_not_accused(&attacked(Asked::Resolver, Way::Through, false, many));
}

#[test]
fn a_handshake_that_is_forged_before_the_flow_is_judged_silences_nothing() {
    use Borrowed::{Host, Own};
    for (src, dst) in [(Own, Host), (Host, Own)] {
        for (when, fits) in [(20, false), (30, true), (100, true), (350, true)] {
            let syn = Attack { when, src, dst, fits, ..decoy(Attacker::App, Claims::Reverse, tcp_flags::SYN) };
            let flags = tcp_flags::SYN | tcp_flags::ACK;
            let answer = Attack { when: when + 1, src: Own, dst: Host, flags, claims: Claims::Forward, ..syn.clone() };
            let mut history = attacked(Asked::Proxy, Way::Around, true, syn);
            history.attacks.push(answer);
            history.shown.conntrack = true;
            assert_not_silenced(&history);
        }
    }
}

#[test]
fn frames_for_the_hop_that_go_to_nobody_or_to_everybody_are_no_passage() {
    for (asked, dst) in [
        (Asked::Proxy, Borrowed::Nobody),
        (Asked::Proxy, Borrowed::Everybody),
        (Asked::Resolver, Borrowed::Nobody),
        (Asked::Gateway, Borrowed::Everybody),
    ] {
        for is_tcp in [false, true] {
            let frame = in_midflow(Attacker::App, Borrowed::Own, dst, Claims::Forward);
            let many = Attack { times: 20, payload: 600, ..frame };
            assert_not_reassured(&attacked(asked, Way::Through, is_tcp, many));
        }
    }
}

#[test]
fn more_forged_senders_than_are_kept_apart_hide_no_way_around_a_hop() {
    use Borrowed::{App, Gateway, Host, Nobody, Own, Proxy};
    for asked in [Asked::Gateway, Asked::Inline] {
        for is_tcp in [false, true] {
            let mut history =
                attacked(asked, Way::LeavesMidway, is_tcp, decoy(Attacker::Neighbour, Claims::Nowhere, 0));
            history.attacks = [Own, Nobody, Proxy, Gateway, Host, App]
                .map(|dst| in_midflow(Attacker::Neighbour, Own, dst, Claims::Forward))
                .to_vec();
            assert_not_reassured(&history);
        }
    }
}

#[test]
fn a_record_that_joins_the_flow_late_starts_the_wait_for_the_hop_anew() {
    use Borrowed::Own;
    let mut history =
        attacked(Asked::Inline, Way::Through, false, before(Attacker::Neighbour, Claims::Reverse, -501, (Own, Own)));
    history.attacks.push(before(Attacker::Outside, Claims::Forward, -501, (Own, Own)));
    history.flows[0].exchanges = 1;
    history.shown.uplink = true;
    history.shown.conntrack = true;
    assert_app_is_not_accused(&history);
}

#[test]
fn more_forged_senders_than_are_kept_apart_before_a_datagram_leave_it_in_a_verdict() {
    use Borrowed::{App, Gateway, Host, Nobody, Own, Proxy};
    for asked in [Asked::Proxy, Asked::Gateway, Asked::Nothing] {
        let mut history = attacked(asked, Way::Around, false, decoy(Attacker::Neighbour, Claims::Nowhere, 0));
        let early = |dst| before(Attacker::Neighbour, Claims::Forward, -50, (Own, dst));
        history.attacks = [Own, Nobody, Proxy, Gateway, Host, App].map(early).to_vec();
        assert_not_silenced(&history);
        assert_app_is_not_accused(&history);
    }
}

#[test]
fn a_forged_handshake_elsewhere_does_not_end_the_flow_that_goes_on() {
    use Borrowed::{Host, Own};
    let flags = tcp_flags::SYN | tcp_flags::ACK;
    let answer = Attack { flags, ..before(Attacker::Other, Claims::Reverse, 2_000, (Own, Own)) };
    let mut history = attacked(Asked::Inline, Way::LeavesMidway, true, answer);
    history.shown.second = true;
    assert_not_silenced(&history);
    let syn = before(Attacker::Neighbour, Claims::Reverse, 0, (Host, Own));
    let mut history = attacked(Asked::Inline, Way::LeavesMidway, true, Attack { times: 2, ..syn });
    history.attacks.push(before(Attacker::Neighbour, Claims::Forward, 0, (Own, Own)));
    history.shown.veths = true;
    history.shown.reversed = true;
    assert_not_silenced(&history);
}

#[test]
fn an_answer_from_outside_before_the_flow_does_not_begin_its_translated_side() {
    use Borrowed::Own;
    for asked in [Asked::Proxy, Asked::Inline] {
        for is_tcp in [false, true] {
            let answer = before(Attacker::Outside, Claims::Reverse, -1, (Own, Own));
            let mut history = attacked(asked, Way::Around, is_tcp, answer);
            history.flows[0].exchanges = 1;
            (history.masquerade, history.step) = (true, 15);
            (history.shown.uplink, history.shown.conntrack) = (true, true);
            assert_not_silenced(&history);
        }
    }
}

/// Fresh seed 4987358159460281636: what the veth reports of the flow when it has ended is no part of what its five-tuple seems to open then.
#[test]
fn a_syn_from_outside_after_the_end_of_a_flow_accuses_nobody() {
    use Borrowed::Own;
    for when in [1_999, 2_000, 2_001, 2_500, 2_999, 4_000, 11_000] {
        let syn = before(Attacker::Outside, Claims::Forward, when, (Own, Own));
        let mut history = attacked(Asked::Inline, Way::Through, true, Attack { times: 2, fits: false, ..syn });
        history.flows[0].exchanges = 1;
        (history.shown.veths, history.shown.ids, history.shown.uplink) = (true, true, true);
        for reversed in [false, true] {
            (history.shown.conntrack, history.shown.reversed) = (true, reversed);
            assert_eq!(accuses_exactly(&history.run()), Vec::<&str>::new(), "{when} {reversed}");
        }
    }
}
