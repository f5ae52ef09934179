//! `hop-silent`.
//!
//! Contract: a hop that missed enough flows for long enough is reported once, until it is seen again. Limits: one small record per hop that the
//! configuration names; [`MAX_POINTS`] points and [`MAX_NAMES`] workloads, contracts and alternatives are remembered of each.
//! Design: the memory of hops says when a silence began, and a new beginning is a new silence. Losses move the start of the waiting, so that
//! only time in which the hop would have been seen counts; so does an alternative that was passed instead.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::detect::params::rule_params;
use crate::detect::{Ads, Context, Finding, Findings, HoldTime, Rule, RuleMeta, Severity, Technique};
use crate::input::ObservationPoint;
use crate::path::{Evidence, HopMemory, HopRecord, JudgedFlow, Judgement, MissingHop, PathState};
use crate::time::Timestamp;
use crate::wording::many;

/// Points of missed flows whose losses are asked for; more add little.
const MAX_POINTS: usize = 16;
/// Workloads named in the evidence, addresses whose packets belong to it, and contracts that are distinguished.
const MAX_NAMES: usize = 8;

rule_params! {
    /// How long a hop must have seen nothing since the first flow that missed it.
    silence: HoldTime = HoldTime::secs(30),
    /// How many flows must have missed it in that time.
    #[schemars(range(min = 1))]
    min_flows: u64 = 5,
}

/// The rule.
#[derive(Debug)]
pub struct HopSilent {
    silence: Duration,
    min_flows: u64,
    silent: BTreeMap<String, Silence>,
    next_look: Option<Timestamp>,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    HopSilent::new(params)
}

/// A hop that missed something and was not seen since.
#[derive(Debug)]
struct Silence {
    /// Start of the first missed flow: another one is another silence.
    began: Timestamp,
    /// From when on the waiting counts; later than `began` after a loss.
    from: Timestamp,
    /// Flows missed before `from`.
    before: u64,
    /// Flows missed when it was last looked at.
    counted: u64,
    reported: bool,
    points: BTreeSet<ObservationPoint>,
    /// Hops that would have done as well.
    alternatives: BTreeSet<String>,
    workloads: BTreeSet<String>,
    /// Addresses that these sent from.
    senders: BTreeSet<IpAddr>,
    contracts: BTreeSet<String>,
}

impl Rule for HopSilent {
    fn on_flow(&mut self, context: Context<'_>, flow: &JudgedFlow, findings: &mut Findings) {
        if let Some(judgement) = &flow.judgement {
            self.follow(&context.path.hops, flow, judgement);
            self.check(context, findings);
        }
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        if self.next_look.is_some_and(|at| at <= context.now) {
            self.next_look = None;
            self.check(context, findings);
        }
    }
}

impl HopSilent {
    fn new(params: &Params) -> Self {
        let (silence, min_flows) = (params.silence.get(), params.min_flows.max(1));
        Self { silence, min_flows, silent: BTreeMap::new(), next_look: None }
    }

    /// Follows how many flows each hop missed; `flow` is the latest that was judged.
    fn follow(&mut self, hops: &HopMemory, flow: &JudgedFlow, judgement: &Judgement) {
        let missing = judgement.missing_hop.iter().flat_map(|missing| &missing.alternatives);
        let passed = judgement.passed.iter().map(|hop| &hop.name);
        for name in passed.chain(missing).map(String::as_str) {
            let Some(record) = hops.get(name) else { continue };
            let Some(began) = record.missed_since else {
                self.silent.remove(name);
                continue;
            };
            if self.silent.get(name).is_none_or(|silence| silence.began != began) {
                self.silent.insert(name.to_owned(), Silence::new(began));
            }
            if let Some(silence) = self.silent.get_mut(name).filter(|silence| record.missed > silence.counted) {
                silence.counted = record.missed;
                silence.record_flow(name, flow);
            }
        }
    }

    fn check(&mut self, context: Context<'_>, findings: &mut Findings) {
        let Context { path, now, .. } = context;
        let mut next: Option<Timestamp> = None;
        for (name, silence) in self.silent.iter_mut().filter(|(_, silence)| !silence.reported) {
            let Some(record) = path.hops.get(name).filter(|record| record.missed_since == Some(silence.began)) else {
                continue;
            };
            silence.excuse(record, path, now);
            let due = silence.from.plus(self.silence);
            if now < due {
                next = Some(next.map_or(due, |other| other.min(due)));
            } else if record.missed.saturating_sub(silence.before) >= self.min_flows {
                silence.reported = true;
                findings.push(silence.finding(name, record));
            }
        }
        if let Some(at) = next.filter(|at| self.next_look.is_none_or(|other| *at < other)) {
            self.next_look = Some(at);
            findings.schedule(at);
        }
    }
}

impl Silence {
    const fn new(began: Timestamp) -> Self {
        Self {
            began,
            from: began,
            before: 0,
            counted: 0,
            reported: false,
            points: BTreeSet::new(),
            alternatives: BTreeSet::new(),
            workloads: BTreeSet::new(),
            senders: BTreeSet::new(),
            contracts: BTreeSet::new(),
        }
    }

    /// Remembers whose flow it was, where it was seen, and which hops would have done as well.
    fn record_flow(&mut self, name: &str, flow: &JudgedFlow) {
        for point in &flow.view.points {
            if self.points.len() < MAX_POINTS {
                self.points.insert(point.clone());
            }
        }
        if let Some(workload) = flow.source.workload().filter(|_| self.workloads.len() < MAX_NAMES) {
            self.workloads.insert(workload.name.clone());
        }
        if self.senders.len() < MAX_NAMES {
            self.senders.insert(flow.oriented.tuple.orig.ip);
        }
        let Some(judgement) = &flow.judgement else { return };
        if self.contracts.len() < MAX_NAMES {
            self.contracts.insert(judgement.contract.to_string());
        }
        let stage = judgement.missing_hop.iter().flat_map(|missing| missing.alternatives.iter());
        let others = stage.filter(|other| *other != name).take(MAX_NAMES.saturating_sub(self.alternatives.len()));
        self.alternatives.extend(others.cloned());
    }

    /// Where something was lost since the waiting began, or an alternative was passed, it begins anew.
    fn excuse(&mut self, record: &HopRecord, path: &PathState, now: Timestamp) {
        let mut points = record.points.iter().chain(&self.points);
        let lost = points.any(|point| path.losses.overlap(point, self.from, now));
        let instead = self.alternatives.iter().filter_map(|other| path.hops.get(other)?.last_seen).max();
        let instead = instead.filter(|seen| *seen > self.from);
        if let Some(from) = lost.then_some(now).or(instead) {
            (self.from, self.before) = (from, record.missed);
        }
        // Judged late: the flow began before the hop was seen last.
        self.from = self.from.max(record.last_seen.unwrap_or(self.from));
    }

    fn finding(&self, name: &str, record: &HopRecord) -> Finding {
        let kind = record.kind.as_str();
        let missed = record.missed - self.before;
        let since = self.from.readable();
        let of = self.workloads.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let of = if of.is_empty() { String::new() } else { format!(" of {of}") };
        let last = match record.last_seen {
            Some(at) => format!("{kind} {name} last received a flow at {}", at.readable()),
            None => format!("{kind} {name} has received no flow since observation began"),
        };
        let evidence = vec![
            Evidence::new("missed", format!("{}{of} since {since} did not reach it", many(missed, "flow"))),
            Evidence::new("last_seen", last),
            self.where_checked(record),
        ];
        let contract = self.contracts.first().filter(|_| self.contracts.len() == 1).cloned();
        let missing_hop =
            MissingHop { alternatives: vec![name.to_owned()], kind: Some(record.kind), expected: Vec::new() };
        let known = match record.points.iter().collect::<Vec<_>>()[..] {
            [point] => vec![("BRIDGE", point.to_string())],
            _ => Vec::new(),
        };
        Finding {
            contract,
            missing_hop: Some(missing_hop),
            known,
            witnesses: self.senders.iter().copied().collect(),
            ..Finding::of_nobody(&META, self.from, name, evidence)
        }
    }

    /// That it would have been seen.
    fn where_checked(&self, record: &HopRecord) -> Evidence {
        let points: BTreeSet<_> = record.points.iter().chain(&self.points).map(ObservationPoint::as_str).collect();
        let points: Vec<_> = points.into_iter().take(MAX_POINTS).collect();
        Evidence::new("observation", format!("nothing was lost in that time at {}", points.join(", ")))
    }
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "hop-silent",
    title: "A hop sees nothing while its workloads talk",
    severity: Severity::High,
    techniques: &[Technique { name: "Impair Defenses: Disable or Modify Tools", v19: "T1685", v18: "T1562.001" }],
    ads: Ads {
        goal: "Detects a hop of a path contract (a proxy, a gateway, an inline monitor, a mirror, a sidecar) that \
             sees nothing for a while although the workloads that must pass it send traffic.",
        categorization: "Defense Impairment: a control was stopped, cut off or steered around, for everybody at once.",
        strategy: "For every hop it is remembered when a flow was last proven to have reached or passed it, and how many \
             flows that should have were since judged without being seen to. When there are `min_flows` of these and \
             the first of them began `silence` ago, this rule fires, once until the hop is seen again. Only flows \
             count of which it is proven that they went past (`bypassed`, `partial`). A loss where these were seen, or \
             at the hop's own points, starts the waiting anew: silence that may be our own deafness is none. Of \
             alternatives (any of several hops) none is silent while another is passed.",
        technical_context: "This is one alert about the hop; the rules about skipped hops report each workload. \
             Together they say which of the two it is: many workloads and no hop means that the hop, or what feeds \
             it, is gone; one workload and a hop that is alive means the workload. A mirror made by tc and a SPAN \
             port end without a trace in the traffic itself. A hop that nobody has a reason to pass is silent too, \
             and is not reported: silence counts only against flows.",
        blind_spots: &[
            "A hop that is fed by some of its workloads and not by others is not silent; the rule for its kind \
             reports each.",
            "While losses go on at its points, nothing is said; sensor-blinded reports the losses.",
            "A hop without an observation point cannot be seen at all, and what cannot be judged is no missed flow \
             (no_observation_point).",
            "One packet that reaches it in `silence` is enough to count as seen: an attacker who forges one packet in \
             each period keeps this rule quiet, but not the others.",
            "A running flow counts only when its verdict is revised, which evidence by `peer` rarely causes: a hop that is cut \
             off under long flows may be noticed only with the next ones.",
        ],
        assumptions: &[
            "The hop's own points are captured where its evidence is `transit`.",
            "Its workloads talk often enough: `min_flows` in the time that matters to you.",
        ],
        false_positives: &[
            "A hop whose selector or interface was never right: `hopwatch paths` shows it before any traffic flows.",
            "A hop that is replaced: raise `silence` above the time that takes.",
            "A contract whose workloads are all excepted from the rule of its kind: narrow the contract, or except the \
             hop here too.",
        ],
        true_positives: &["mirror-silent"],
        benign_twins: &["mirror-talks"],
        priority: "High: nothing controls or inspects what its workloads send.",
        response: &[
            "The evidence says when it was last seen, and which workloads' flows have bypassed it since, and how many.",
            "Is it alive? `docker ps -a`, its log, its own counters. Restart it or bring its interface up before \
             looking further.",
            "A mirror: `tc filter show dev BRIDGE ingress` and `egress` must show `mirred`; put it back.",
            "Who did it? `docker events --since 1h --until 0s`, the audit log, the shell history of the host around \
             the time since which it is silent.",
            "Look at the alerts of single workloads in that time: what did they send while nothing watched?",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1562/001/",
            "https://man7.org/linux/man-pages/man8/tc-mirred.8.html",
            "https://www.rfc-editor.org/rfc/rfc7011",
        ],
    },
};

#[cfg(test)]
#[path = "hop_silent/tests.rs"]
mod tests;
