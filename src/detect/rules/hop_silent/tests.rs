//! A small history of one hop, told to the rule flow by flow.

use super::{HopSilent, META, Params, rule};
use crate::detect::samples::{flow, judgement, owned_by, timeline};
use crate::detect::{Context, Finding, Findings, Rule, Settle, Severity};
use crate::input::ObservationPoint;
use crate::path::{HopKind, HopRecord, JudgedFlow, PathState, Skip, Verdict};
use crate::time::Timestamp;

/// The rule, the memory of hops that it reads, and what it said.
struct Story {
    rule: HopSilent,
    path: PathState,
    lost: Vec<(&'static str, i64, i64)>,
    wake: Vec<Timestamp>,
    found: Vec<Finding>,
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1000 + seconds)
}

fn missing(workload: &str) -> JudgedFlow {
    let mut flow = flow(Some(judgement(Verdict::Bypassed, Some(Skip::Monitor))));
    flow.source = owned_by(workload);
    flow
}

impl Story {
    fn new(params: &Params) -> Self {
        let mut story =
            Self { rule: HopSilent::new(params), path: PathState::default(), lost: vec![], wake: vec![], found: vec![] };
        for name in ["ids", "proxy"] {
            story.path.hops.put(name, HopRecord { kind: HopKind::Mirror, ..HopRecord::default() });
        }
        story
    }

    fn record(&mut self, hop: &str, change: impl FnOnce(&mut HopRecord)) {
        let mut record = self.path.hops.get(hop).cloned().expect("a hop");
        change(&mut record);
        self.path.hops.put(hop, record);
    }

    /// A flow passed the hop.
    fn seen(&mut self, seconds: i64, hop: &str) {
        self.record(hop, |record| {
            (record.missed, record.missed_since, record.last_seen) = (0, None, Some(at(seconds)));
        });
        self.tell(seconds, &flow(Some(judgement(Verdict::Verified, None))));
    }

    /// A flow should have passed the hop, and did not.
    fn missed(&mut self, seconds: i64, hop: &str, flow: &JudgedFlow) {
        self.record(hop, |record| {
            record.missed += 1;
            record.missed_since.get_or_insert(at(seconds));
        });
        self.tell(seconds, flow);
    }

    fn tell(&mut self, seconds: i64, flow: &JudgedFlow) {
        self.until(seconds);
        self.rule.follow(&self.path.hops, flow);
        self.weigh(at(seconds));
    }

    /// Time goes on: the rule is woken where it asked for it.
    fn until(&mut self, seconds: i64) {
        while let Some(due) = self.wake.iter().copied().filter(|due| *due <= at(seconds)).min() {
            self.wake.retain(|other| *other != due);
            if self.rule.next_look.is_some_and(|look| look <= due) {
                self.rule.next_look = None;
                self.weigh(due);
            }
        }
    }

    fn weigh(&mut self, now: Timestamp) {
        let mut findings = Findings::default();
        let told: Vec<_> = self.lost.iter().map(|(at, from, until)| (ObservationPoint::new(at), *from, *until)).collect();
        let was_lost = |point: &ObservationPoint, from: Timestamp, until: Timestamp| {
            told.iter().any(|(lost, start, end)| lost == point && at(*start) <= until && from <= at(*end) && at(*end) <= now)
        };
        self.rule.weigh(&self.path.hops, now, &was_lost, &mut findings);
        let (found, wake) = findings.into_parts();
        self.found.extend(found);
        self.wake.extend(wake);
    }
}

fn evidence(finding: &Finding) -> String {
    finding.evidence.iter().map(|one| one.text.as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_hop_that_misses_enough_flows_for_long_enough_is_told_once_when_its_time_has_come() {
    let mut story = Story::new(&Params::default());
    story.seen(0, "ids");
    for seconds in 10..16 {
        story.missed(seconds, "ids", &missing(if seconds % 2 == 0 { "app" } else { "web" }));
    }
    story.until(39);
    assert!(story.found.is_empty(), "silent for 29 s only");
    story.until(40);
    let [finding] = &story.found[..] else { panic!("one finding: {:?}", story.found) };
    assert_eq!((finding.at, finding.severity, finding.cause.as_str()), (at(10), Severity::High, "ids"));
    assert_eq!(finding.missing_hop.as_ref().and_then(|hop| hop.kind), Some(HopKind::Mirror));
    assert_eq!((finding.contract.as_deref(), finding.workload.is_none()), (Some("contract"), true));
    let text = evidence(finding);
    assert!(text.contains("6 flows of app, web that should have passed it since 1970-01-01T00:16:50"), "{text}");
    assert!(text.contains("mirror ids last saw a flow at 1970-01-01T00:16:40") && text.contains("at br-net"), "{text}");
    for seconds in 41..200 {
        story.missed(seconds, "ids", &missing("app"));
    }
    assert_eq!(story.found.len(), 1, "the same silence is told once");
}

#[test]
fn it_is_told_again_after_the_hop_was_seen() {
    let mut story = Story::new(&Params::default());
    for begin in [0, 100] {
        for seconds in 0..5 {
            story.missed(begin + seconds, "ids", &missing("app"));
        }
        story.until(begin + 60);
        story.seen(begin + 61, "ids");
    }
    story.until(1000);
    assert_eq!(story.found.iter().map(|finding| finding.at).collect::<Vec<_>>(), [at(0), at(100)]);
    assert!(evidence(&story.found[0]).contains("never seen"), "{}", evidence(&story.found[0]));
}

#[test]
fn one_flow_that_arrives_in_time_makes_it_quiet() {
    let mut story = Story::new(&Params::default());
    for seconds in 0..200 {
        story.missed(seconds, "ids", &missing("app"));
        if seconds % 29 == 28 {
            story.seen(seconds, "ids");
        }
    }
    story.until(203);
    assert!(story.found.is_empty(), "{:?}", story.found);
}

#[test]
fn too_few_flows_are_no_silence_and_the_one_that_completes_them_tells() {
    let mut story = Story::new(&Params::default());
    for seconds in 0..4 {
        story.missed(seconds, "ids", &missing("app"));
    }
    story.until(500);
    assert!(story.found.is_empty());
    story.missed(501, "ids", &missing("app"));
    assert_eq!(story.found.len(), 1);
}

#[test]
fn each_hop_is_silent_for_itself() {
    let mut story = Story::new(&Params::default());
    for seconds in 0..5 {
        story.missed(seconds, "ids", &missing("app"));
        story.seen(seconds, "proxy");
    }
    for seconds in 10..15 {
        story.missed(seconds, "proxy", &missing("app"));
    }
    story.until(100);
    assert_eq!(story.found.iter().map(|finding| finding.cause.as_str()).collect::<Vec<_>>(), ["ids", "proxy"]);
}

#[test]
fn a_loss_where_it_would_have_been_heard_starts_the_waiting_anew() {
    for (point, own) in [("br-net", false), ("veth-ids", true), ("veth-other", false)] {
        let mut story = Story::new(&Params::default());
        if own {
            story.record("ids", |record| _ = record.points.insert(ObservationPoint::new("veth-ids")));
        }
        story.lost.push((point, 12, 13));
        for seconds in 0..20 {
            story.missed(seconds, "ids", &missing("app"));
        }
        story.until(42);
        let expected: &[i64] = if point == "veth-other" { &[0] } else { &[] };
        let told = |story: &Story| story.found.iter().map(|finding| finding.at).collect::<Vec<_>>();
        assert_eq!(told(&story), expected.iter().map(|seconds| at(*seconds)).collect::<Vec<_>>(), "{point}");
        if point == "veth-other" {
            continue;
        }
        story.until(60);
        assert_eq!(told(&story), [at(14)], "silent for 30 s after the loss was told and over");
        assert!(evidence(&story.found[0]).starts_with("5 flows"), "those after it: {}", evidence(&story.found[0]));
    }
}

#[test]
fn while_losses_go_on_nothing_is_said_and_few_timers_are_asked_for() {
    let mut story = Story::new(&Params::default());
    for seconds in 0..300 {
        story.lost.push(("br-net", seconds, seconds));
        story.missed(seconds, "ids", &missing("app"));
        assert!(story.wake.len() <= 1, "{:?}", story.wake);
    }
    assert!(story.found.is_empty());
    for seconds in 300..306 {
        story.missed(seconds, "ids", &missing("app"));
    }
    story.until(400);
    assert_eq!(story.found.len(), 1, "once they are over, it is");
}

#[test]
fn a_flow_judged_late_does_not_make_a_hop_silent_that_was_seen_since_it_began() {
    let mut story = Story::new(&Params::default());
    story.seen(20, "ids");
    story.record("ids", |record| (record.missed, record.missed_since) = (5, Some(at(1))));
    story.tell(21, &missing("app"));
    story.until(49);
    assert!(story.found.is_empty());
    story.until(50);
    assert_eq!(story.found.len(), 1);
}

#[test]
fn its_parameters_move_the_bounds() {
    let mut story = Story::new(&Params { silence: Settle::secs(2), min_flows: 1, enabled: true });
    story.missed(0, "ids", &missing("app"));
    story.until(2);
    assert_eq!(story.found.len(), 1);
    let refused = |text: &str| serde_json::from_str::<Params>(text).is_err();
    assert!(refused("{\"quiet\": \"1s\"}") && refused("{\"silence\": \"2h\"}"));
}

#[test]
fn only_one_contract_is_named_and_names_are_bounded() {
    let mut story = Story::new(&Params::default());
    for number in 0..40 {
        let mut flow = missing(&format!("app-{number:02}"));
        let judgement = flow.judgement.as_mut().expect("judged");
        judgement.contract = if number < 20 { "one" } else { "two" }.into();
        flow.view.points = vec![ObservationPoint::new(&format!("veth{number}"))];
        story.missed(number, "ids", &flow);
    }
    let [finding] = &story.found[..] else { panic!("one finding") };
    assert_eq!(finding.contract, None);
    assert!(evidence(finding).contains("app-07") && !evidence(finding).contains("app-08"), "{}", evidence(finding));
}

/// What the rule says through its own interface: `(when, what)`, driven by flows and by the times that it asks for.
fn through_the_interface(ticks: bool) -> Vec<(Timestamp, String)> {
    let mut rule = rule(&Params::default());
    assert_eq!(rule.meta().name, META.name);
    let (timeline, mut path, mut said, mut wake) = (timeline(), PathState::default(), Vec::new(), Vec::new());
    for seconds in 0..80 {
        let mut findings = Findings::default();
        if wake.contains(&at(seconds)) || ticks {
            let context = Context { timeline: &timeline, path: &path, now: at(seconds) };
            rule.on_time(context, &mut findings);
        }
        if seconds < 7 {
            let missed = HopRecord { missed: seconds.unsigned_abs() + 1, missed_since: Some(at(0)), ..HopRecord::default() };
            path.hops.put("ids", missed);
            let context = Context { timeline: &timeline, path: &path, now: at(seconds) };
            rule.on_flow(context, &missing("app"), &mut findings);
        }
        let (found, next) = findings.into_parts();
        said.extend(found.iter().map(|finding| (at(seconds), evidence(finding))));
        wake.extend(next);
    }
    said
}

#[test]
fn a_replay_says_the_same_and_ticks_change_nothing() {
    let first = through_the_interface(false);
    assert_eq!(first.iter().map(|(when, _)| *when).collect::<Vec<_>>(), [at(30)]);
    assert_eq!(first, through_the_interface(false));
    assert_eq!(first, through_the_interface(true));
}
