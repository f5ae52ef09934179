//! Every way to skip a hop has one rule that speaks for it, and no other does.

use crate::detect::rules::{self, RuleParams};
use crate::detect::testing::{Bench, judged as flow, judgement, owner};
use crate::detect::{Finding, Rule, Severity};
use crate::input::Protocol;
use crate::inventory::Owner;
use crate::path::{Evidence, JudgedFlow, Skip, Unobservable, Verdict};

const NOT_READY: Verdict = Verdict::Unobservable(Unobservable::HopNotReady);

/// Each way with its rule, and the severity of that.
const SPEAKS: [(Skip, &str, Severity); 9] = [
    (Skip::Startup, "startup-window", Severity::Medium),
    (Skip::Network, "second-network-egress", Severity::High),
    (Skip::Ipv6, "ipv6-leak", Severity::High),
    (Skip::Resolver, "dns-skips-resolver", Severity::High),
    (Skip::Ingress, "published-port-direct", Severity::High),
    (Skip::Gateway, "gateway-skipped", Severity::High),
    (Skip::Monitor, "monitor-hop-skipped", Severity::High),
    (Skip::Sidecar, "sidecar-skipped", Severity::High),
    (Skip::Proxy, "egress-skips-proxy", Severity::High),
];

fn found(rule: &mut dyn Rule, flow: &JudgedFlow) -> Vec<Finding> {
    Bench::new(&[("app", 10)]).on_flow(rule, flow)
}

/// What all rules together say of a flow.
fn all_say(flow: &JudgedFlow) -> Vec<Finding> {
    let mut rules = rules::enabled(&RuleParams::default());
    rules.iter_mut().flatten().flat_map(|rule| found(rule.as_mut(), flow)).collect()
}

fn only(flow: &JudgedFlow) -> Finding {
    let mut all = all_say(flow);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn skipped(skip: Skip) -> JudgedFlow {
    flow(Some(judgement(Verdict::Bypassed, Some(skip))))
}

#[test]
fn each_way_to_skip_has_exactly_one_rule() {
    for verdict in [Verdict::Bypassed, Verdict::Partial] {
        for (skip, rule, severity) in SPEAKS {
            let mut flow = flow(Some(judgement(verdict, Some(skip))));
            // What came in is about who was reached.
            flow.responder = flow.source.clone();
            let finding = only(&flow);
            assert_eq!((finding.rule.name, finding.severity), (rule, severity), "{skip:?}");
            assert_eq!(finding.verdict, Some(verdict));
            assert_eq!(finding.missing_hop.map(|hop| hop.name()).as_deref(), Some("hop"));
            assert_eq!(finding.contract.as_deref(), Some("contract"));
            assert_eq!(finding.cause, "hop", "flows of one workload around one hop are one alert");
            let texts: Vec<_> = finding.evidence.iter().map(|one| one.text.as_str()).collect();
            assert_eq!(finding.workload.map(|workload| workload.name.clone()).as_deref(), Some("app"));
            assert_eq!(texts[..2], ["what the judge saw", "the responder answered"]);
        }
    }
}

#[test]
fn what_kept_its_contract_or_has_none_or_cannot_be_judged_is_nobodys_matter() {
    let verdicts = [Verdict::Verified, Verdict::Unobservable(Unobservable::CaptureLoss), NOT_READY];
    let mut quiet: Vec<_> = verdicts.map(|verdict| flow(Some(judgement(verdict, None)))).into();
    quiet.push(flow(None));
    for flow in quiet {
        assert!(all_say(&flow).is_empty(), "{:?}", flow.judgement);
    }
}

#[test]
fn a_hop_that_was_not_ready_is_reported_one_severity_lower() {
    let finding = only(&flow(Some(judgement(NOT_READY, Some(Skip::Startup)))));
    assert_eq!((finding.rule.name, finding.severity), ("startup-window", Severity::Low));
    assert_eq!(finding.verdict, Some(NOT_READY));
}

#[test]
fn an_attempt_is_reported_one_severity_lower_and_a_datagram_with_payload_is_none() {
    for (skip, rule, severity) in SPEAKS {
        let mut attempt = skipped(skip);
        attempt.answered = false;
        let finding = only(&attempt);
        let lower = if severity == Severity::High { Severity::Medium } else { Severity::Low };
        assert_eq!((finding.rule.name, finding.severity), (rule, lower));
        attempt.view.record.tcp = None;
        attempt.view.record.tuple.protocol = Protocol::UDP;
        attempt.view.record.orig.counters.payload_bytes = 100;
        assert_eq!(only(&attempt).severity, severity, "{rule}");
    }
}

#[test]
fn without_a_workload_the_address_stands_for_it() {
    for (skip, rule, _) in SPEAKS {
        let mut unknown = skipped(skip);
        (unknown.source, unknown.responder) = (Owner::Unknown, Owner::Unknown);
        let finding = only(&unknown);
        let whose = if skip == Skip::Ingress { "198.51.100.7" } else { "172.20.0.10" };
        assert_eq!((finding.workload.is_some(), finding.cause), (false, format!("hop {whose}")), "{rule}");
    }
}

#[test]
fn a_rule_that_is_switched_off_leaves_its_flows_to_no_other() {
    let mut params = RuleParams::default();
    params.gateway_skipped.enabled = false;
    let mut rules = rules::enabled(&params);
    let flow = skipped(Skip::Gateway);
    assert!(rules.iter_mut().flatten().all(|rule| found(rule.as_mut(), &flow).is_empty()));
    assert_eq!(
        (rules.iter().flatten().count(), rules::is_enabled(&params, "gateway-skipped")),
        (rules::ALL.len() - 1, Some(false))
    );
}

#[test]
fn who_came_in_beside_the_ingress_is_said() {
    let sender = |owner| {
        let mut flow = skipped(Skip::Ingress);
        flow.source = owner;
        let of_sender = |one: &Evidence| one.kind == "sender";
        only(&flow).evidence.into_iter().find(of_sender).map(|one| one.text).unwrap_or_default()
    };
    for (owner, said) in [
        (owner("scanner", 99), "workload scanner (172.20.0.10)"),
        (Owner::External, "172.20.0.10, outside of this host"),
        (Owner::Host, "the host itself, or through it"),
        (Owner::Unknown, "whose owner is unknown"),
        (Owner::Ambiguous { candidates: vec![], host: false }, "several could own"),
    ] {
        let text = sender(owner);
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn what_came_in_is_about_the_workload_that_was_reached_whoever_came() {
    for sender in [owner("scanner", 99), Owner::External] {
        let mut flow = skipped(Skip::Ingress);
        (flow.source, flow.responder) = (sender, owner("shop", 20));
        let finding = only(&flow);
        assert_eq!(finding.workload.map(|workload| workload.name.clone()).as_deref(), Some("shop"));
        assert_eq!(finding.attribution, Some(owner("shop", 20)));
        assert_eq!(finding.cause, "hop", "a thousand clients are one alert");
    }
}
