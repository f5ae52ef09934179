//! A small history of one hop, reported to the rule flow by flow.

use std::sync::Arc;

use super::{META, Params, rule};
use crate::detect::testing::{Bench, judged, judgement, owner};
use crate::detect::{Context, Finding, Findings, HoldTime, Rule, Severity};
use crate::input::{Loss, LossReason, ObservationPoint};
use crate::path::{Contract, DestinationSet, Hop, HopKind, JudgedFlow, PathState, Service, Skip, Stage, Verdict};
use crate::time::Timestamp;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1000 + seconds)
}

/// A contract with both hops.
fn contract() -> Contract {
    let hop = |name: &str, kind: HopKind| Hop {
        name: name.to_owned(),
        kind,
        workloads: vec![],
        addresses: vec![],
        interfaces: vec![],
        ports: vec![],
        evidence: kind.evidence().to_vec(),
    };
    let glob = globset::Glob::new("mirror*").expect("a glob").compile_matcher();
    let ids = Hop { interfaces: vec![glob], ..hop("ids", HopKind::Mirror) };
    let hops = [ids, hop("proxy", HopKind::Endpoint)];
    Contract {
        name: "contract".to_owned(),
        service: Service::Egress,
        workloads: vec![],
        remotes: vec![DestinationSet::Any],
        ports: vec![],
        family: None,
        networks: vec![],
        via: hops.into_iter().map(|hop| Stage { any_of: vec![Arc::new(hop)] }).collect(),
    }
}

/// A flow of a workload that went past a hop, or past all of several: `ids or proxy`.
fn past(hop: &str, workload: &str) -> JudgedFlow {
    let mut judgement = judgement(Verdict::Bypassed, Some(Skip::Monitor));
    judgement.missing_hop.as_mut().expect("a missing hop").alternatives =
        hop.split(" or ").map(str::to_owned).collect();
    JudgedFlow { source: owner(workload, 10), ..judged(Some(judgement)) }
}

/// A flow that passed a hop.
fn through(hop: &str) -> JudgedFlow {
    let mut judgement = judgement(Verdict::Verified, None);
    let contract = contract();
    judgement.passed = contract.hops().filter(|one| one.name == hop).cloned().collect();
    judged(Some(judgement))
}

/// The rule, what the path knows, and what the rule said and when.
struct Story {
    rule: Box<dyn Rule>,
    bench: Bench,
    wake: Vec<Timestamp>,
    found: Vec<(Timestamp, Finding)>,
}

impl Story {
    fn new(params: &Params) -> Self {
        let mut bench = Bench::new(&[]);
        bench.path = PathState::new([contract()].iter());
        Self { rule: Box::new(rule(params)), bench, wake: vec![], found: vec![] }
    }

    /// A flow that began then is judged at once.
    fn flow(&mut self, seconds: i64, flow: JudgedFlow) {
        self.late(seconds, seconds, flow);
    }

    /// A flow that began at `start` is judged at `seconds`.
    fn late(&mut self, start: i64, seconds: i64, mut flow: JudgedFlow) {
        self.until(seconds);
        flow.oriented.at = at(start);
        self.bench.path.record(&self.bench.timeline, &flow);
        self.ask(at(seconds), |rule, context, findings| rule.on_flow(context, &flow, findings));
    }

    fn missed(&mut self, seconds: i64, hop: &str) {
        self.flow(seconds, past(hop, "app"));
    }

    fn seen(&mut self, seconds: i64, hop: &str) {
        self.flow(seconds, through(hop));
    }

    fn lost(&mut self, since: i64, until: i64, point: &str) {
        self.until(until);
        let point = Some(ObservationPoint::new(point));
        let loss = Loss { point, reason: LossReason::Kernel, count: 1, since: at(since), source: None };
        self.bench.path.losses.apply(at(until), &loss);
    }

    /// Time goes on: the rule is woken when it asked to be.
    fn until(&mut self, seconds: i64) {
        while let Some(due) = self.wake.iter().copied().filter(|due| *due <= at(seconds)).min() {
            self.wake.retain(|other| *other != due);
            self.ask(due, |rule, context, findings| rule.on_time(context, findings));
        }
    }

    fn ask(&mut self, now: Timestamp, ask: impl FnOnce(&mut dyn Rule, Context<'_>, &mut Findings)) {
        let mut findings = Findings::default();
        let Bench { timeline, path, .. } = &self.bench;
        ask(
            self.rule.as_mut(),
            Context {
                timeline,
                actors: &crate::detect::Actors::default(),
                path,
                names: &crate::names::Names::default(),
                baseline: None,
                compared: None,
                now,
            },
            &mut findings,
        );
        let (found, wake) = findings.into_parts();
        self.found.extend(found.into_iter().map(|finding| (now, finding)));
        self.wake.extend(wake);
    }

    /// When it spoke, since when the silence counts, and of which hop.
    fn reported(&self) -> Vec<(Timestamp, Timestamp, &str)> {
        self.found.iter().map(|(now, finding)| (*now, finding.at, finding.cause.as_str())).collect()
    }
}

fn evidence(finding: &Finding) -> String {
    finding.evidence.iter().map(|one| one.text.as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_hop_that_misses_enough_flows_for_long_enough_is_reported_once_when_its_time_has_come() {
    let mut story = Story::new(&Params::default());
    story.seen(0, "ids");
    for seconds in 10..16 {
        story.flow(seconds, past("ids", if seconds % 2 == 0 { "app" } else { "web" }));
    }
    story.until(200);
    assert_eq!(story.reported(), [(at(40), at(10), "ids")]);
    let finding = &story.found[0].1;
    assert_eq!((finding.rule.name, finding.severity), (META.name, Severity::High));
    assert_eq!(finding.missing_hop.as_ref().and_then(|hop| hop.kind), Some(HopKind::Mirror));
    assert_eq!((finding.contract.as_deref(), finding.workload.is_none()), (Some("contract"), true));
    let text = evidence(finding);
    assert!(text.contains("6 flows of app, web since 1970-01-01 00:16:50.000 UTC did"), "{text}");
    assert!(
        text.contains("mirror ids last received a flow at 1970-01-01 00:16:40.000 UTC") && text.contains("at br-net"),
        "{text}"
    );
    for seconds in 201..400 {
        story.missed(seconds, "ids");
    }
    assert_eq!(story.found.len(), 1, "the same silence is reported once");
}

#[test]
fn it_is_reported_again_after_the_hop_was_seen() {
    let mut story = Story::new(&Params::default());
    for begin in [0, 100] {
        for seconds in 0..5 {
            story.missed(begin + seconds, "ids");
        }
        story.until(begin + 60);
        story.seen(begin + 61, "ids");
    }
    story.until(1000);
    assert_eq!(story.reported(), [(at(30), at(0), "ids"), (at(130), at(100), "ids")]);
    assert!(evidence(&story.found[0].1).contains("no flow since observation began"), "{}", evidence(&story.found[0].1));
}

#[test]
fn one_flow_that_arrives_in_time_makes_it_quiet() {
    let mut story = Story::new(&Params::default());
    for seconds in 0..200 {
        story.missed(seconds, "ids");
        if seconds % 29 == 28 {
            story.seen(seconds, "ids");
        }
    }
    story.until(203);
    assert_eq!(story.reported(), []);
    story.until(204);
    assert_eq!(story.reported(), [(at(204), at(174), "ids")]);
}

#[test]
fn too_few_flows_are_no_silence_and_the_one_that_completes_them_tells() {
    let mut story = Story::new(&Params::default());
    for seconds in 0..4 {
        story.missed(seconds, "ids");
    }
    story.until(500);
    assert_eq!(story.reported(), []);
    story.missed(501, "ids");
    assert_eq!(story.reported(), [(at(501), at(0), "ids")]);
}

#[test]
fn flows_that_cannot_be_judged_or_have_no_contract_are_no_missed_ones() {
    let mut story = Story::new(&Params::default());
    for seconds in 0..50 {
        story.flow(seconds, judged(None));
        let verdict = Verdict::Unobservable(crate::path::Unobservable::CaptureLoss);
        story.flow(seconds, judged(Some(judgement(verdict, None))));
    }
    story.until(200);
    assert_eq!(story.reported(), []);
}

#[test]
fn each_hop_is_silent_for_itself() {
    let mut story = Story::new(&Params::default());
    for seconds in 0..5 {
        story.missed(seconds, "ids");
        story.seen(seconds, "proxy");
    }
    for seconds in 10..15 {
        story.missed(seconds, "proxy");
    }
    story.until(100);
    assert_eq!(story.reported(), [(at(30), at(0), "ids"), (at(40), at(10), "proxy")]);
}

#[test]
fn of_alternatives_none_is_silent_while_another_is_passed() {
    let mut story = Story::new(&Params::default());
    for seconds in 0..200 {
        story.missed(seconds, "ids or proxy");
        if seconds % 20 == 19 {
            story.seen(seconds, "proxy");
        }
    }
    story.until(208);
    assert_eq!(story.reported(), []);
    for seconds in 210..220 {
        story.missed(seconds, "ids or proxy");
    }
    story.until(400);
    let hops: Vec<_> = story.reported().into_iter().map(|(.., hop)| hop).collect();
    assert_eq!(hops, ["ids", "proxy"], "both are, when nothing passes either");
}

#[test]
fn a_loss_where_it_would_have_been_heard_starts_the_waiting_anew() {
    for (point, excused) in [("br-net", true), ("mirror0", true), ("veth-other", false)] {
        let mut story = Story::new(&Params::default());
        story.bench.path.hops.observe(&ObservationPoint::new("mirror0"));
        for seconds in 0..13 {
            story.missed(seconds, "ids");
        }
        story.lost(12, 13, point);
        for seconds in 14..20 {
            story.missed(seconds, "ids");
        }
        story.until(100);
        let (from, missed) = if excused { (14, "5 flows") } else { (0, "19 flows") };
        assert_eq!(story.reported(), [(at(from + 30), at(from), "ids")], "{point}");
        let text = evidence(&story.found[0].1);
        assert!(text.starts_with(missed) && text.contains("at br-net, mirror0"), "{text}");
    }
}

#[test]
fn while_losses_go_on_nothing_is_said_and_few_timers_are_asked_for() {
    let mut story = Story::new(&Params::default());
    for seconds in 0..300 {
        story.lost(seconds - 1, seconds, "br-net");
        story.missed(seconds, "ids");
        assert!(story.wake.len() <= 1, "{:?}", story.wake);
    }
    assert_eq!(story.reported(), []);
    for seconds in 301..310 {
        story.missed(seconds, "ids");
    }
    story.until(400);
    assert_eq!(story.found.len(), 1, "once they are over, it is");
}

#[test]
fn a_flow_judged_late_does_not_make_a_hop_silent_that_was_seen_since_it_began() {
    let mut story = Story::new(&Params::default());
    story.seen(20, "ids");
    for _ in 0..5 {
        story.late(1, 21, past("ids", "app"));
    }
    story.until(200);
    assert_eq!(story.reported(), [(at(50), at(20), "ids")]);
}

#[test]
fn its_parameters_move_the_bounds() {
    let mut story = Story::new(&Params { silence: HoldTime::secs(2), min_flows: 1, enabled: true });
    story.missed(0, "ids");
    story.until(100);
    assert_eq!(story.reported(), [(at(2), at(0), "ids")]);
    let refused = |text: &str| serde_json::from_str::<Params>(text).is_err();
    assert!(refused("{\"quiet\": \"1s\"}") && refused("{\"silence\": \"2h\"}"));
}

#[test]
fn only_one_contract_is_named_and_names_are_bounded() {
    let mut story = Story::new(&Params::default());
    for number in 0..40 {
        let mut flow = past("ids", &format!("app-{number:02}"));
        flow.judgement.as_mut().expect("judged").contract = if number < 20 { "one" } else { "two" }.into();
        flow.view.points = vec![ObservationPoint::new(&format!("veth{number}"))];
        story.flow(number, flow);
    }
    let [(_, finding)] = &story.found[..] else { panic!("one finding: {:?}", story.reported()) };
    assert_eq!(finding.contract, None);
    let text = evidence(finding);
    assert!(text.contains("app-07") && !text.contains("app-08") && !text.contains("veth20"), "{text}");
}

/// What the rule says, with or without being asked at times that it did not ask for.
fn history(ticks: bool) -> Vec<(Timestamp, String)> {
    let mut story = Story::new(&Params::default());
    for seconds in 0..80 {
        match seconds {
            0..7 | 40..50 => story.missed(seconds, "ids"),
            38 => story.seen(seconds, "ids"),
            _ => {}
        }
        story.until(seconds);
        if ticks {
            story.ask(at(seconds), |rule, context, findings| rule.on_time(context, findings));
        }
    }
    story.found.iter().map(|(now, finding)| (*now, evidence(finding))).collect()
}

#[test]
fn a_replay_says_the_same_and_ticks_change_nothing() {
    let first = history(false);
    assert_eq!(first.iter().map(|(now, _)| *now).collect::<Vec<_>>(), [at(30), at(70)]);
    assert_eq!(first, history(false));
    assert_eq!(first, history(true));
}
