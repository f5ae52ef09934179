//! What a person reads of each kind of skipped hop.

use std::time::Duration;

use super::{printable, render};
use crate::alert::{Alert, Desk, DeskLimits, Filed};
use crate::detect::rules::{self, RuleParams};
use crate::detect::samples::*;
use crate::detect::{Context, Finding, Findings, Rule};

#[test]
fn terminal_escapes_in_names_are_shown_not_obeyed() {
    assert_eq!(printable("web\u{1b}[2J\n"), "web\\u{1b}[2J\\u{a}");
    assert_eq!(printable("a\u{202e}b"), "a\\u{202e}b");
    assert_eq!(printable("dépôt-1"), "dépôt-1");
}

fn desk() -> Desk {
    let limits = DeskLimits {
        update_interval: Duration::from_mins(1),
        close_after: Duration::from_mins(10),
        max_open: 10,
        max_destinations: 10,
    };
    Desk::new(vec![], limits)
}

fn alert(desk: &mut Desk, finding: Finding) -> Alert {
    match desk.file(finding) {
        Filed::Deliver(alert) => *alert,
        other => panic!("no alert: {other:?}"),
    }
}

/// The text of an alert, without colours.
fn shown(alert: &Alert) -> String {
    anstream::adapter::strip_str(&render(alert)).to_string()
}

/// What the only rule that speaks says of a flow.
fn finding(flow: &JudgedFlow) -> Finding {
    let mut rules = rules::enabled(&RuleParams::default());
    let mut all: Vec<_> = rules.iter_mut().flat_map(|rule| found(rule.as_mut(), flow)).collect();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn around_gateway() -> JudgedFlow {
    let mut judged = judgement(Verdict::Bypassed, Some(Skip::Gateway));
    if let Some(hop) = &mut judged.missing_hop {
        (hop.name, hop.expected) = ("vpn".to_owned(), vec!["02:42:0a:4d:01:02 (vpn-1)".to_owned()]);
    }
    let text = "frames went to 02:42:aa:bb:cc:dd (the host's bridge), not to the gateway vpn at 02:42:0a:4d:01:02";
    judged.evidence = vec![Evidence { kind: "next_hop".to_owned(), text: text.to_owned() }];
    let mut flow = flow(Some(judged));
    let tuple = flow.oriented.tuple;
    let outside = Endpoint { ip: [203, 0, 113, 9].into(), port: 61_000 };
    flow.view.translated = Some(FiveTuple { orig: outside, ..tuple });
    flow
}

#[test]
fn a_skipped_gateway_is_told_with_its_kind_the_frames_and_the_other_side_of_nat() {
    let alert = alert(&mut desk(), finding(&around_gateway()));
    let text = shown(&alert);
    for line in [
        " HIGH  Container traffic went around its gateway  gateway-skipped\n",
        "  who         app (app, image app:1)\n",
        "  to where    198.51.100.7:443 tcp\n",
        "  behind NAT  203.0.113.9:61000 -> 198.51.100.7:443, 1:",
        "  skipped     gateway vpn (02:42:0a:4d:01:02 (vpn-1))\n",
        "  contract    contract: bypassed\n",
        "  evidence    [next_hop] frames went to 02:42:aa:bb:cc:dd (the host's bridge), not to the gateway vpn at 02:42:0a:4d:01:02\n",
        "  evidence    [answer] the responder answered\n",
        "  do next     1. Read the evidence: to whose MAC were the frames given?",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    let json = serde_json::to_value(&alert).expect("JSON");
    assert_eq!(json["flow"]["translated"]["orig"], serde_json::json!({"ip": "203.0.113.9", "port": 61_000}));
    assert_ne!(json["flow"]["translated"]["community_id"], json["flow"]["community_id"]);
    assert_eq!(json["missing_hop"]["kind"], "gateway");
}

#[test]
fn the_other_side_of_nat_stays_when_counters_grow() {
    let (mut desk, flow) = (desk(), around_gateway());
    let first = alert(&mut desk, finding(&flow));
    let mut record = flow.view.record.clone();
    record.orig = Side { counters: Counters { packets: 9, ..Counters::default() }, ..Side::default() };
    desk.on_flow(&record, true);
    let updated = desk.finish(NOW.plus(Duration::from_secs(1)));
    let [updated] = &updated[..] else { panic!("one update") };
    let (before, after) = (first.flow.expect("a flow"), updated.flow.clone().expect("a flow"));
    assert_eq!((after.orig.packets, after.translated), (9, before.translated));
}

#[test]
fn without_translation_there_is_no_such_field() {
    let mut flow = around_gateway();
    flow.view.translated = None;
    let alert = alert(&mut desk(), finding(&flow));
    assert!(!shown(&alert).contains("behind NAT"));
    assert!(serde_json::to_value(&alert).expect("JSON")["flow"].get("translated").is_none());
}

#[test]
fn a_hop_that_was_not_ready_says_why_it_cannot_be_judged() {
    let verdict = Verdict::Unobservable(Unobservable::HopNotReady);
    let text = shown(&alert(&mut desk(), finding(&flow(Some(judgement(verdict, Some(Skip::Startup)))))));
    assert!(text.contains(" LOW ") && text.contains("contract: unobservable (hop_not_ready)\n"), "{text}");
}

#[test]
fn where_no_path_is_allowed_no_hop_is_named() {
    let mut flow = flow(Some(judgement(Verdict::Bypassed, Some(Skip::Proxy))));
    let missing = flow.judgement.as_mut().and_then(|judged| judged.missing_hop.as_mut()).expect("a hop");
    (missing.name, missing.kind) = (String::new(), None);
    let text = shown(&alert(&mut desk(), finding(&flow)));
    assert!(text.contains("  skipped     no path is allowed\n"), "{text}");
}

#[test]
fn a_silent_hop_is_told_by_itself() {
    let (timeline, mut path, mut findings) = (timeline(), PathState::default(), Findings::default());
    let record = HopRecord { kind: HopKind::Mirror, missed: 9, missed_since: Some(NOW), ..HopRecord::default() };
    path.hops.put("ids", record);
    let now = NOW.plus(Duration::from_mins(1));
    let mut rule = rules::hop_silent::rule(&rules::hop_silent::Params::default());
    let context = Context { timeline: &timeline, path: &path, now };
    rule.on_flow(context, &flow(Some(judgement(Verdict::Bypassed, Some(Skip::Monitor)))), &mut findings);
    let mut alert = alert(&mut desk(), findings.into_parts().0.remove(0));
    let text = shown(&alert);
    for line in [
        " HIGH  A hop sees nothing while its workloads talk  hop-silent\n",
        "  hop         mirror ids\n",
        "  contract    contract\n",
        "  evidence    [missed] 9 flows of app that should have passed it since ",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    assert!(!text.contains("no workload known"), "{text}");
    (alert.update, alert.count) = (1, 2);
    assert!(shown(&alert).starts_with(" HIGH  hop-silent ids: 2 times now, last "), "{}", shown(&alert));
}
